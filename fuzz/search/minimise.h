/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * minimise: from a failing schedule to the simplest one that fails in the same way: first the fewest decisions, then
 * the simplest kinds, then the lowest positions. And from its exact positions to anchors, which survive a rebuilt
 * guest.
 *
 * Every step is a run; what is returned was run and failed so.
 */
#ifndef BOOTRACE_FUZZ_SEARCH_MINIMISE_H
#define BOOTRACE_FUZZ_SEARCH_MINIMISE_H

#include "fuzz/search/search.h"

struct snapshot;

struct minimise_options {
    struct machine *machine;
    const struct symbols *symbols; /* NULL: positions stay numbers */
    const struct snapshot *start;  /* where schedules are played from */
    struct position start_anchor;  /* of the start, in a run from the beginning; POSITION_HERE if there is none */
    struct trial_end end;
    uint64_t runs_max;
};

/* `schedule` fails with `verdict` when it is played from the start; it is replaced by the simpler one, `verdict` and
   *digest by what it ends with. *runs counts the runs made. The machine is left anywhere. EMU_EINPUT: it does not fail
   at all, or in another way: it is not confirmed. */
enum emu_err minimise(const struct minimise_options *o, struct schedule *schedule, struct verdict *verdict,
                      uint64_t *digest, uint64_t *runs, struct diag *d) EMU_MUST_CHECK;

/* Replace the places of `schedule` by anchors, behind a mark at the start's, if every one has a symbol and the anchored
   schedule ends with the very same digest; else leave it. *anchored says which. Ends of DECISION_RUN_TO stay numbers.
 */
enum emu_err anchor_schedule(const struct minimise_options *o, struct schedule *schedule, uint64_t digest,
                             bool *anchored, struct diag *d) EMU_MUST_CHECK;

#endif
