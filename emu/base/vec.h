/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vec: room for one more element in an array that grows on the heap. The array, its count and its room stay fields of
 * the caller's own.
 */
#ifndef BOOTRACE_EMU_BASE_VEC_H
#define BOOTRACE_EMU_BASE_VEC_H

#include <stdbool.h>
#include <stddef.h>

#include "emu/base/diag.h"

/* Make `*array`, which has room for `*room` elements, hold at least `needed`: its room doubles, or begins at
   `first_room`. `array` is the address of the caller's pointer, which may hold NULL. False if the host has no memory
   or the size overflows; nothing has changed then. */
bool vec_reserve(void *array, size_t *room, size_t needed, size_t first_room, size_t element_bytes) EMU_MUST_CHECK;

#endif
