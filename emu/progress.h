/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * progress: a loop of ours that starts the guest again and again must make steps or let time pass. If neither happens
 * for PROGRESS_STARTS_MAX turns, the loop would go on for ever. That is our error, so it ends the run and says where.
 */
#ifndef BOOTRACE_EMU_PROGRESS_H
#define BOOTRACE_EMU_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/* Turns that may rightly change neither: a stop at a watched place, attention that was asked for, a block that has to
   be gone through one instruction at a time. A handful; there are at most some hundred watched places. */
#define PROGRESS_STARTS_MAX 1000u

struct progress { /* zeroed at the start */
    uint64_t steps, now_ns;
    unsigned starts;
};

/* Called once a turn; false if there have been too many since a step was made or time has passed. */
static inline bool progress_is_made(struct progress *p, uint64_t steps, uint64_t now_ns)
{
    if (steps != p->steps || now_ns != p->now_ns) {
        *p = (struct progress){.steps = steps, .now_ns = now_ns};
        return true;
    }
    return ++p->starts < PROGRESS_STARTS_MAX;
}

#endif
