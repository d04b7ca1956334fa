/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire: numbers of fixed size in little-endian order, written to a growing buffer and read from bytes that are not
 * trusted. Both remember the first failure, so that a caller asks once at the end.
 */
#ifndef BOOTRACE_EMU_WIRE_H
#define BOOTRACE_EMU_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wire_out {
    uint8_t *bytes; /* malloc()ed; the caller frees it */
    size_t length, room;
    bool failed; /* the host has no memory left */
};

struct wire_in {
    const uint8_t *at, *end;
    bool failed; /* something was asked for that is not there; zeros were given */
};

void wire_put(struct wire_out *w, const void *bytes, size_t length);
/* `bytes` is 1, 2, 4 or 8; larger values are cut. */
void wire_put_number(struct wire_out *w, uint64_t value, unsigned bytes);
/* A string with its length before it; NULL differs from "". */
void wire_put_text(struct wire_out *w, const char *text);

void wire_get(struct wire_in *w, void *bytes, size_t length);
uint64_t wire_get_number(struct wire_in *w, unsigned bytes);
/* The bytes of a string within the input, not terminated; NULL with `*length` 0 for NULL or on failure. Fails where it
   is longer than `length_max` or holds a zero. */
const char *wire_get_text(struct wire_in *w, size_t length_max, size_t *length);

#endif
