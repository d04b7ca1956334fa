/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * minimise: from a failing schedule to the simplest one that fails in the same way: first the fewest decisions, then
 * the simplest kinds, then the lowest positions. It knows no machine: an oracle says whether a schedule fails
 * (failing_run.h is the oracle that runs it). The schedule that it returns was given to the oracle, and failed.
 */
#ifndef BOOTRACE_FUZZ_SEARCH_MINIMISE_H
#define BOOTRACE_FUZZ_SEARCH_MINIMISE_H

#include <stdbool.h>
#include <stdint.h>

#include "emu/base/diag.h"
#include "emu/machine.h"
#include "emu/schedule.h"

struct minimise_oracle {
    /* Whether this schedule fails in the wanted way; an illegal one does not. An error ends the minimising. */
    enum emu_err (*fails)(void *context, const struct schedule *s, bool *does, struct diag *d);
    bool (*is_over)(void *context); /* leave it as it is now; NULL: never */
    void *context;
    unsigned vcpus;
    uint64_t first_position[VCPUS_MAX]; /* of each vCPU, where schedules begin */
    uint64_t runs_max;                  /* about how often the oracle is asked */
};

struct minimised {
    bool confirmed; /* the schedule failed when it was asked for the first time; else it is left as it was */
    bool finished;  /* neither is_over() nor runs_max ended it before */
    uint64_t runs;
};

enum emu_err minimise(const struct minimise_oracle *o, struct schedule *schedule, struct minimised *how,
                      struct diag *d) EMU_MUST_CHECK;

#endif
