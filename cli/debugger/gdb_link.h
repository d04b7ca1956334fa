/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gdb_link: one gdb at a time on a loopback TCP port or a Unix socket. It carries packets and acknowledges them; what
 * they say is gdb_server's business.
 */
#ifndef BOOTRACE_CLI_DEBUGGER_GDB_LINK_H
#define BOOTRACE_CLI_DEBUGGER_GDB_LINK_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/debugger/gdb_packet.h"
#include "emu/base/diag.h"

struct gdb_link;

#define GDB_LINK_ADDRESS_BYTES 128u

/* Listen on "127.0.0.1:PORT", ":PORT" or "localhost:PORT" (the same; port 0: a free one), or on a path with a '/'.
   EMU_EINPUT: the address has none of these forms, is not a loopback address, or is in use. */
enum emu_err gdb_link_new(const char *address, struct gdb_link **out, struct diag *d) EMU_MUST_CHECK;
void gdb_link_free(struct gdb_link *l);

enum gdb_link_event { GDB_LINK_PACKET, GDB_LINK_INTERRUPT, GDB_LINK_CLOSED, GDB_LINK_PAUSE };

/* What gdb's `target remote` takes. */
const char *gdb_link_address(const struct gdb_link *l);

/* Wait for a gdb, and forget what the last one sent. GDB_LINK_PAUSE: no gdb came for a while, or a signal did;
   GDB_LINK_CLOSED: none can come any more; GDB_LINK_PACKET: one is connected. */
enum gdb_link_event gdb_link_accept(struct gdb_link *l);
void gdb_link_close(struct gdb_link *l);

/* Wait for the next packet; GDB_LINK_PAUSE if nothing comes for a while, or a signal does. */
enum gdb_link_event gdb_link_receive(struct gdb_link *l, const struct gdb_reader **packet);
/* While the guest runs: has gdb sent Ctrl-C, or gone away? Does not wait. */
bool gdb_link_interrupted(struct gdb_link *l);

void gdb_link_send(struct gdb_link *l, const struct gdb_writer *w);
/* From now on neither side acknowledges. */
void gdb_link_stop_acknowledging(struct gdb_link *l);

#endif
