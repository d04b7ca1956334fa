/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * player: runs a machine under a schedule. It brings the machine to each decision's place, has it carried out, and goes
 * on by the default after the last one. The machine's own limits work as without a schedule.
 *
 * The struct is plain data: to take a snapshot of the machine, copy the player too, and put both back.
 */
#ifndef BOOTRACE_EMU_PLAYER_H
#define BOOTRACE_EMU_PLAYER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "emu/base/diag.h"
#include "emu/machine.h"
#include "emu/schedule.h"

/* Where the guest has `symbol`+`offset`. EMU_EINPUT with a sentence if that is not one place. symbols_resolve() is one.
 */
typedef enum emu_err(player_resolve_fn)(const void *context, const char *symbol, uint64_t offset, uint64_t *gva,
                                        struct diag *diag);

struct player {
    struct machine *machine;
    const struct schedule *schedule; /* both belong to the caller */
    player_resolve_fn *resolve;      /* of the symbols of anchors */
    const void *resolve_context;
    const char *file; /* of the schedule, for errors; NULL for "schedule" */
    /* Told before a decision is carried out at its place, if not NULL; it may look at everything and change nothing. */
    void (*reached)(struct machine *m, size_t decision, void *context);
    void *context; /* of `reached` */

    size_t next;         /* the decision that comes next */
    bool on_the_way;     /* that one is DECISION_RUN_TO, and has begun */
    bool counting;       /* anchor_gva and what is below it are those of the next place */
    uint64_t anchor_gva; /* 0 once passed often enough */
    uint64_t seen;       /* occurrences of the anchor */
    uint64_t steps;      /* the place as steps of the vCPU, when it is known */
    uint64_t here_steps; /* where the decision before took place, of all vCPUs; UINT64_MAX at first */
};

void player_init(struct player *p, struct machine *m, const struct schedule *schedule, player_resolve_fn *resolve,
                 const void *resolve_context, const char *file);

/* Whether all decisions were carried out. */
bool player_is_done(const struct player *p);

/*
 * machine_run() under the schedule. EMU_EINPUT: a decision is illegal at its place, its place can't be reached, or its
 * symbol is unknown; the sentence names file and line. `limits->position_max` and `also` are the caller's and work on;
 * `limits->pinned` is not for schedules.
 */
enum emu_err player_run(struct player *p, const struct machine_limits *limits, enum machine_stop_reason *why,
                        struct diag *diag) EMU_MUST_CHECK;

/* Up to the boundary of the last decision, or a verdict, or machine_stop(). */
enum emu_err player_run_decisions(struct player *p, struct diag *diag) EMU_MUST_CHECK;

/* A run that has ended before all its decisions were carried out was not this schedule's: EMU_EINPUT says so. */
enum emu_err player_finish(const struct player *p, struct diag *diag) EMU_MUST_CHECK;

#endif
