/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * session: one guest, run to its end while a user watches: console, progress line, Ctrl-C, the place to stop at, the
 * budget, under a schedule or by default. `boot` and `replay` are sessions with different ends.
 */
#ifndef BOOTRACE_CLI_RUN_SESSION_H
#define BOOTRACE_CLI_RUN_SESSION_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "cli/run/console.h"
#include "cli/run/guest.h"
#include "cli/run/hotplug.h"
#include "cli/run/hypercall_log.h"
#include "cli/run/snapshot_plan.h"
#include "emu/player.h"
#include "fuzz/search/disturb.h"

struct session_options {
    const char *until;               /* symbol, step count or console:REGEX; NULL for none */
    uint64_t steps_max;              /* 0 for none */
    uint64_t extra_stops;            /* stop about every so many steps; 0 for never */
    FILE *console;                   /* NULL: nowhere */
    enum console_stream stream;      /* which of the guest's consoles */
    FILE *calls;                     /* where every hypercall is written; NULL: nowhere */
    const struct schedule *schedule; /* NULL: all by default; the caller's */
    const char *schedule_file;       /* for errors */
    const struct hotplug *hotplug;   /* NULL: none; the caller's */
    uint64_t disturb_seed;           /* makes the host unfair; 0: it is fair. Not together with a schedule */
    uint64_t disturb_steps;          /* for how many steps the host is unfair */
    /* The run is recorded here: what the schedule did, and digests of the state at some places. NULL: it is not
     * recorded. The caller's.
     */
    struct schedule *record;
    /* At these steps, a line with the state's digest (diverge.h) is printed here; the run ends at the last of them. */
    struct {
        uint64_t first, every, last;
        FILE *to; /* NULL: none */
    } digests;
    struct snapshot_plan *snapshots; /* the caller's; NULL for none */
};

struct session {
    struct session_options options;
    struct guest guest;
    struct console console;
    struct operations operations;
    struct calls calls;
    uint64_t until_rip_gva, until_steps;
    unsigned hotplug_next;
    uint64_t random; /* of extra stops */
    struct player player;
    uint64_t digest_steps; /* the next of them */
    struct disturb disturb;
    uint64_t checkpoint_steps; /* when the next digest is to be recorded */
    size_t recorded;           /* decisions of the schedule that are in the record */
    double started, host_s;
};

/* Build the guest, find the place to stop at, and attach the console. On failure nothing is held. */
enum emu_err session_init(struct session *s, const struct guest_options *guest, const struct session_options *options,
                          struct diag *d) EMU_MUST_CHECK;
void session_fini(struct session *s);

/* Run until there is a verdict; SIGINT and SIGTERM give VERDICT_INTERRUPTED. EMU_EINPUT: the schedule does not fit the
   guest, or the run differs from the recorded one at a checkpoint; session_failed_check then says which. */
enum emu_err session_run(struct session *s, struct diag *d) EMU_MUST_CHECK;
/* The check that failed, or NULL; and the last check before it, or NULL. */
const struct decision *session_failed_check(const struct session *s, const struct decision **last_good);

/* Whether a verdict of this kind is about a place in the guest. */
bool session_has_place(const struct verdict *v);
/* Post mortem where it helps, and the last two lines: the verdict, and steps, time and digest. */
void session_print(struct session *s, FILE *to);
/* The same as an object. The caller's. */
json_t *session_json(struct session *s);

#endif
