/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gdb_packet: the framing of gdb's remote serial protocol, and the numbers and bytes in it. Bytes go in, packets come
 * out, and the other way round; what a packet means is gdb_server's business, how bytes travel gdb_link's.
 *
 * The other end is not trusted: whatever bytes come, memory is bounded and what can't be understood is said to be
 * damaged.
 *
 * Source: Debugging with GDB, "GDB Remote Serial Protocol", "Overview".
 */
#ifndef BOOTRACE_CLI_DEBUGGER_GDB_PACKET_H
#define BOOTRACE_CLI_DEBUGGER_GDB_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "emu/base/diag.h"

#define GDB_PACKET_BYTES_MAX 16384u /* what is between '$' and '#' */

/* ---- what comes in ---- */

enum gdb_input {
    GDB_INPUT_NONE,      /* more bytes are needed */
    GDB_INPUT_PACKET,    /* reader.data has one */
    GDB_INPUT_DAMAGED,   /* a packet with a wrong checksum, or too long, was dropped */
    GDB_INPUT_INTERRUPT, /* Ctrl-C, between packets */
    GDB_INPUT_RESEND,    /* '-': the other end wants the last packet again */
};

struct gdb_reader { /* zeroed at the start */
    enum { GDB_READ_BETWEEN, GDB_READ_DATA, GDB_READ_ESCAPED, GDB_READ_SUM_HIGH, GDB_READ_SUM_LOW } state;
    uint8_t sum;     /* of the bytes as they came */
    uint8_t sum_got; /* the first digit of what follows '#' */
    bool damaged;
    size_t length;
    char data[GDB_PACKET_BYTES_MAX + 1]; /* escapes resolved; a zero follows it */
};

/* One more byte. After GDB_INPUT_PACKET `data` and `length` stay until the next call. */
enum gdb_input gdb_reader_feed(struct gdb_reader *r, uint8_t byte);

/* What is left of a packet that is being understood. */
struct gdb_cursor {
    const char *at, *end;
};

/* Each reads something and moves on, or returns false and stays. */
bool gdb_read_text(struct gdb_cursor *c, const char *text);         /* exactly this */
bool gdb_read_number(struct gdb_cursor *c, uint64_t *number);       /* 1 to 16 hexadecimal digits */
bool gdb_read_bytes(struct gdb_cursor *c, void *dst, size_t bytes); /* two digits a byte, first byte first */
static inline size_t gdb_left(const struct gdb_cursor *c)
{
    return (size_t)(c->end - c->at);
}

/* ---- what goes out ---- */

/* The content of one packet. What does not fit is dropped and `full` set. */
struct gdb_writer {
    size_t length;
    bool full;
    char data[GDB_PACKET_BYTES_MAX];
};

void gdb_write_nothing(struct gdb_writer *w); /* start again */
void gdb_write_text(struct gdb_writer *w, const char *fmt, ...) EMU_PRINTF(2, 3);
void gdb_write_bytes(struct gdb_writer *w, const void *src, size_t bytes); /* two digits a byte */
/* As they are, with what would look like framing escaped. Stops when full; returns the bytes that fitted. */
size_t gdb_write_binary(struct gdb_writer *w, const void *src, size_t bytes);

#define GDB_FRAME_BYTES_MAX (GDB_PACKET_BYTES_MAX + 4)
/* Put '$', the content, '#' and the checksum into `frame`; returns the length. */
size_t gdb_frame(const struct gdb_writer *w, char frame[GDB_FRAME_BYTES_MAX]);

#endif
