/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * snapshot_plan: where a run writes snapshot files (--snapshot-at). Writing one does not change the run.
 */
#ifndef BOOTRACE_CLI_RUN_SNAPSHOT_PLAN_H
#define BOOTRACE_CLI_RUN_SNAPSHOT_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/run/guest.h"
#include "emu/base/diag.h"
#include "emu/machine.h"

#define SNAPSHOT_PLAN_MAX 32

struct snapshot_plan {
    struct {
        const char *position, *path; /* as the user gave them */
        uint64_t steps;
        unsigned vcpu;
        bool of_vcpu; /* steps of `vcpu`, else of all */
        bool done;
    } at[SNAPSHOT_PLAN_MAX];
    unsigned count;
    bool failed; /* one could not be written */
};

/* `position` is N, steps of all vCPUs together, or VCPU:N. */
enum emu_err snapshot_plan_add(struct snapshot_plan *p, const char *position, const char *path,
                               struct diag *d) EMU_MUST_CHECK;
/* Check that the positions can be reached: the machine has these vCPUs and is not past them. */
enum emu_err snapshot_plan_check(const struct snapshot_plan *p, const struct guest *g, struct diag *d) EMU_MUST_CHECK;
/* Limit the next run of the machine to the next position. The plan sets `limits->position_max` and `also`. */
void snapshot_plan_limit(const struct snapshot_plan *p, const struct machine *m, struct machine_limits *limits);
/* Write the snapshots that are due where the machine stands, and say so, or why not, on standard error. */
void snapshot_plan_take(struct snapshot_plan *p, const struct guest *g);
/* After the run: false if it has not reached a position, which a line on standard error names, or if a file could not
   be written. */
bool snapshot_plan_finish(const struct snapshot_plan *p);

#endif
