/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/base/vec.h"

#include <stdlib.h>
#include <string.h>

bool vec_reserve(void *array, size_t *room, size_t needed, size_t first_room, size_t element_bytes)
{
    size_t wanted = *room ? *room : first_room, bytes;
    void *old, *moved;

    if (needed <= *room)
        return true;
    while (wanted < needed)
        if (__builtin_mul_overflow(wanted, 2, &wanted))
            return false;
    if (__builtin_mul_overflow(wanted, element_bytes, &bytes))
        return false;
    memcpy(&old, array, sizeof(old));
    moved = realloc(old, bytes);
    if (!moved)
        return false;
    memcpy(array, &moved, sizeof(moved));
    *room = wanted;
    return true;
}
