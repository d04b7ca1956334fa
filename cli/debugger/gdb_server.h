/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gdb_server: what the packets of gdb's remote serial protocol mean for a guest: vCPUs as threads, registers, memory
 * through the page tables, points, going forwards and backwards, and `monitor` commands. Stop mode: while the guest
 * runs, gdb only waits, or interrupts.
 *
 * vCPU n is thread n + 1, since gdb's thread 0 is any.
 *
 * Source: Debugging with GDB, "GDB Remote Serial Protocol".
 */
#ifndef BOOTRACE_CLI_DEBUGGER_GDB_SERVER_H
#define BOOTRACE_CLI_DEBUGGER_GDB_SERVER_H

#include <signal.h>
#include <stdbool.h>

#include "emu/base/diag.h"

struct gdb_link;
struct gdb_server;
struct guest;
struct player;

enum gdb_server_end {
    GDB_SERVER_KILLED,   /* gdb ended the guest */
    GDB_SERVER_DETACHED, /* gdb left it to itself */
    GDB_SERVER_CLOSED,   /* the connection is gone; another one may be served */
    GDB_SERVER_SIGNAL,   /* *stop was set by a signal handler */
};

/* The history begins where the guest is; `player` as for history_new. All arguments stay the caller's and outlive the
 * server.
 */
enum emu_err gdb_server_new(struct guest *g, const struct player *player, struct gdb_link *l,
                            const volatile sig_atomic_t *stop, struct gdb_server **out, struct diag *d) EMU_MUST_CHECK;
void gdb_server_free(struct gdb_server *s);

/* Serve the connection that the link has. */
enum gdb_server_end gdb_server_run(struct gdb_server *s);

/* Without a debugger to the guest's end; the console goes to standard error. False if `stop` came first. */
bool gdb_server_run_on(struct gdb_server *s);

#endif
