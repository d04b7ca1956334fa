/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/wire.h"

#include <stdlib.h>
#include <string.h>

#include "emu/base/vec.h"

#define NO_TEXT UINT32_MAX

void wire_put(struct wire_out *w, const void *bytes, size_t length)
{
    size_t needed;

    if (w->failed || __builtin_add_overflow(w->length, length, &needed) ||
        !vec_reserve(&w->bytes, &w->room, needed, 256, 1))
        w->failed = true;
    if (w->failed || !length)
        return;
    memcpy(w->bytes + w->length, bytes, length);
    w->length += length;
}

void wire_put_number(struct wire_out *w, uint64_t value, unsigned bytes)
{
    uint8_t little[8];

    for (unsigned i = 0; i < 8; i++)
        little[i] = (uint8_t)(value >> 8 * i);
    wire_put(w, little, bytes);
}

void wire_put_text(struct wire_out *w, const char *text)
{
    size_t length = text ? strlen(text) : 0;

    wire_put_number(w, text ? length : NO_TEXT, 4);
    wire_put(w, text, length);
}

void wire_get(struct wire_in *w, void *bytes, size_t length)
{
    if (w->failed || (size_t)(w->end - w->at) < length) {
        w->failed = true;
        memset(bytes, 0, length);
        return;
    }
    memcpy(bytes, w->at, length);
    w->at += length;
}

uint64_t wire_get_number(struct wire_in *w, unsigned bytes)
{
    uint8_t little[8];
    uint64_t value = 0;

    wire_get(w, little, bytes);
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)little[i] << 8 * i;
    return value;
}

const char *wire_get_text(struct wire_in *w, size_t length_max, size_t *length)
{
    uint64_t n = wire_get_number(w, 4);
    const uint8_t *text = w->at;

    *length = 0;
    if (w->failed || n == NO_TEXT)
        return NULL;
    if (n > length_max || n > (size_t)(w->end - w->at)) {
        w->failed = true;
        return NULL;
    }
    if (memchr(text, 0, n)) {
        w->failed = true;
        return NULL;
    }
    w->at += n;
    *length = n;
    return (const char *)text;
}
