/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * history: a run in which one can go to any step, forwards and backwards. It keeps snapshots, few of the far past and
 * more nearby. Since a run is a pure function of its inputs, it reaches any other step by running there again from the
 * snapshot before it.
 *
 * A step is counted over all vCPUs (machine_steps). What the user changed by hand (history_note_change) is an input of
 * the run from that step on: it is applied again whenever the run comes by, and what came after it is forgotten.
 *
 * What only watches the run, but must go back with it (the console's length, the last hypercalls), is here too.
 */
#ifndef BOOTRACE_CLI_DEBUGGER_HISTORY_H
#define BOOTRACE_CLI_DEBUGGER_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "emu/base/diag.h"
#include "emu/machine.h"

#define HISTORY_HYPERCALLS   64u
#define HISTORY_CHANGE_BYTES 4096u

struct history;

struct history_hypercall {
    unsigned vcpu;
    uint64_t step, rip_gva;
    uint64_t number, argument, result;
};

struct history_ops {
    void (*console)(void *context, uint8_t byte); /* each byte once, however often its step is executed */
    /* Asked now and then while the run goes on; true to stop it. */
    bool (*interrupted)(void *context);
    void *context;
};

/* The machine as it is now is the beginning; `player` (NULL: none) plays its schedule from here on, and is copied. The
   machine and what the player points to stay the caller's. */
struct player;
enum emu_err history_new(struct machine *m, const struct player *player, const struct history_ops *ops,
                         struct history **out, struct diag *d) EMU_MUST_CHECK;
void history_free(struct history *h);

uint64_t history_begin(const struct history *h); /* the step at which it begins */

/* Go forwards until one of the limits; *why says which. Every run of the machine under a debugger is this function's.
   False if it ended before: ops.interrupted said so, or history_failure(). */
bool history_advance(struct history *h, const struct machine_limits *limits, enum machine_stop_reason *why);
/* Why the schedule can't be played on, or NULL if it can; asking clears it. */
const char *history_failure(struct history *h);

/* Go to exactly this step, which is not before the beginning; if the run ends before it, go to its end. False if
   interrupted, somewhere on the way. */
bool history_go(struct history *h, uint64_t step);

/* The latest step before `step` from which history_go() starts without running: a snapshot's. False before all. */
bool history_find_before(const struct history *h, uint64_t step, uint64_t *snapshot_step);
/* The same by what `vcpu` has done: it has made at most `position` steps there. */
bool history_find_position(const struct history *h, unsigned vcpu, uint64_t position, uint64_t *snapshot_step);
/* Make snapshots between a snapshot's step and `to` so that none is farther than `distance` from the next. False if
   interrupted. */
bool history_refine(struct history *h, uint64_t from, uint64_t to, uint64_t distance);

/* Change registers of a vCPU, or guest-physical RAM, now; every later visit of this step will. False if the range is no
   RAM, or there were too many changes already. */
struct vcpu_regs;
bool history_set_regs(struct history *h, unsigned vcpu, const struct vcpu_regs *r);
bool history_write(struct history *h, uint64_t gpa, const void *src, size_t bytes);

/* The number of hypercalls kept, HISTORY_HYPERCALLS at most, and the i-th of them, oldest first. */
unsigned history_hypercalls(const struct history *h);
const struct history_hypercall *history_hypercall(const struct history *h, unsigned i);
unsigned history_snapshots(const struct history *h);
/* NULL if no schedule is played. */
const struct player *history_player(const struct history *h);

#endif
