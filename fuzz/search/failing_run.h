/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * failing_run: plays a failing schedule again on the machine, makes it simpler (minimise.h), and turns its exact
 * positions into anchors, which survive a rebuilt guest. The schedule that it returns has been run.
 */
#ifndef BOOTRACE_FUZZ_SEARCH_FAILING_RUN_H
#define BOOTRACE_FUZZ_SEARCH_FAILING_RUN_H

#include "fuzz/search/minimise.h"
#include "fuzz/search/search.h"

struct snapshot;

struct failing_run_options {
    struct machine *machine;
    const struct symbols *symbols; /* NULL: positions stay numbers */
    const struct snapshot *start;  /* where schedules are played from */
    struct position start_anchor;  /* of the start, in a run from the beginning; POSITION_HERE if there is none */
    struct trial_end end;          /* its flag `interrupted` ends the minimising too */
    uint64_t runs_max;
};

/* `schedule` failed with `verdict` when it was run from the start; it is replaced by the simpler one, `verdict` and
   *digest by what that ends with. *how says whether it failed so again, else all three stay as they are. The machine is
   left anywhere. Only EMU_EHOST is returned as an error. */
enum emu_err failing_run_minimise(const struct failing_run_options *o, struct schedule *schedule,
                                  struct verdict *verdict, uint64_t *digest, struct minimised *how,
                                  struct diag *d) EMU_MUST_CHECK;

/* Replace the places of `schedule` by anchors, behind a mark at the start's, if every one has a symbol and the anchored
   schedule ends with the very same digest; else leave it. *anchored says which. Ends of DECISION_RUN_TO stay numbers.
 */
enum emu_err failing_run_anchor(const struct failing_run_options *o, struct schedule *schedule, uint64_t digest,
                                bool *anchored, struct diag *d) EMU_MUST_CHECK;

#endif
