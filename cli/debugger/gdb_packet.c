/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/debugger/gdb_packet.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ESCAPE     '}'
#define ESCAPE_XOR 0x20
#define INTERRUPT  0x03

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static void begin(struct gdb_reader *r)
{
    r->state = GDB_READ_DATA;
    r->sum = 0;
    r->damaged = false;
    r->length = 0;
    r->data[0] = '\0';
}

static void put(struct gdb_reader *r, uint8_t byte)
{
    if (r->length == GDB_PACKET_BYTES_MAX) {
        r->damaged = true;
        return;
    }
    r->data[r->length++] = (char)byte;
    r->data[r->length] = '\0';
}

enum gdb_input gdb_reader_feed(struct gdb_reader *r, uint8_t byte)
{
    int value;

    /* Framing characters are never data: a '$' is always a new packet, since the end of the last one got lost. */
    if (byte == '$') {
        begin(r);
        return GDB_INPUT_NONE;
    }
    switch (r->state) {
    case GDB_READ_BETWEEN:
        return byte == INTERRUPT ? GDB_INPUT_INTERRUPT : byte == '-' ? GDB_INPUT_RESEND : GDB_INPUT_NONE;
    case GDB_READ_DATA:
    case GDB_READ_ESCAPED:
        if (byte == '#') {
            r->damaged = r->damaged || r->state == GDB_READ_ESCAPED;
            r->state = GDB_READ_SUM_HIGH;
            return GDB_INPUT_NONE;
        }
        r->sum = (uint8_t)(r->sum + byte);
        if (r->state == GDB_READ_ESCAPED) {
            put(r, byte ^ ESCAPE_XOR);
            r->state = GDB_READ_DATA;
        } else if (byte == ESCAPE) {
            r->state = GDB_READ_ESCAPED;
        } else {
            put(r, byte);
        }
        return GDB_INPUT_NONE;
    case GDB_READ_SUM_HIGH:
        value = digit_value((char)byte);
        r->damaged = r->damaged || value < 0;
        r->sum_got = value < 0 ? 0 : (uint8_t)(value << 4);
        r->state = GDB_READ_SUM_LOW;
        return GDB_INPUT_NONE;
    case GDB_READ_SUM_LOW:
        value = digit_value((char)byte);
        r->state = GDB_READ_BETWEEN;
        if (r->damaged || value < 0 || (r->sum_got | value) != r->sum) {
            r->length = 0;
            r->data[0] = '\0';
            return GDB_INPUT_DAMAGED;
        }
        return GDB_INPUT_PACKET;
    }
    return GDB_INPUT_NONE;
}

bool gdb_read_text(struct gdb_cursor *c, const char *text)
{
    size_t length = strlen(text);

    if (gdb_left(c) < length || memcmp(c->at, text, length))
        return false;
    c->at += length;
    return true;
}

bool gdb_read_number(struct gdb_cursor *c, uint64_t *number)
{
    const char *at = c->at;
    uint64_t n = 0;

    while (at < c->end && digit_value(*at) >= 0) {
        if (n >> 60)
            return false;
        n = n << 4 | (uint64_t)digit_value(*at++);
    }
    if (at == c->at)
        return false;
    c->at = at;
    *number = n;
    return true;
}

bool gdb_read_bytes(struct gdb_cursor *c, void *dst, size_t bytes)
{
    uint8_t *to = dst;

    if (gdb_left(c) / 2 < bytes)
        return false;
    for (size_t i = 0; i < bytes; i++)
        if (digit_value(c->at[2 * i]) < 0 || digit_value(c->at[2 * i + 1]) < 0)
            return false;
    for (size_t i = 0; i < bytes; i++, c->at += 2)
        to[i] = (uint8_t)(digit_value(c->at[0]) << 4 | digit_value(c->at[1]));
    return true;
}

void gdb_write_nothing(struct gdb_writer *w)
{
    w->length = 0;
    w->full = false;
}

void gdb_write_text(struct gdb_writer *w, const char *fmt, ...)
{
    size_t room = sizeof(w->data) - w->length;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(w->data + w->length, room, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= room)
        w->full = true;
    else
        w->length += (size_t)n;
}

void gdb_write_bytes(struct gdb_writer *w, const void *src, size_t bytes)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *from = src;

    if ((sizeof(w->data) - w->length) / 2 < bytes) {
        w->full = true;
        return;
    }
    for (size_t i = 0; i < bytes; i++) {
        w->data[w->length++] = digits[from[i] >> 4];
        w->data[w->length++] = digits[from[i] & 15];
    }
}

size_t gdb_write_binary(struct gdb_writer *w, const void *src, size_t bytes)
{
    const char *from = src;

    for (size_t i = 0; i < bytes; i++) {
        /* '*' would be a repetition in what we send. */
        bool escaped = from[i] == '#' || from[i] == '$' || from[i] == ESCAPE || from[i] == '*';

        if (sizeof(w->data) - w->length < (escaped ? 2 : 1)) {
            w->full = true;
            return i;
        }
        if (escaped)
            w->data[w->length++] = ESCAPE;
        w->data[w->length++] = (char)(escaped ? from[i] ^ ESCAPE_XOR : from[i]);
    }
    return bytes;
}

size_t gdb_frame(const struct gdb_writer *w, char frame[GDB_FRAME_BYTES_MAX])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t sum = 0;

    frame[0] = '$';
    memcpy(frame + 1, w->data, w->length);
    for (size_t i = 0; i < w->length; i++)
        sum = (uint8_t)(sum + (uint8_t)w->data[i]);
    frame[w->length + 1] = '#';
    frame[w->length + 2] = digits[sum >> 4];
    frame[w->length + 3] = digits[sum & 15];
    return w->length + 4;
}
