/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_exhaustive: `bootrace fuzz` of every boundary: the window in parts, by several processes, kept in a folder so
 * that what is done is never done again.
 */
#ifndef BOOTRACE_CLI_CAMPAIGN_FUZZ_EXHAUSTIVE_H
#define BOOTRACE_CLI_CAMPAIGN_FUZZ_EXHAUSTIVE_H

#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "cli/run/guest.h"
#include "emu/schedule.h"
#include "fuzz/search/exhaustive.h"

#define FUZZ_JOBS_MAX       256u
#define FUZZ_KEEP_STEPS_MAX 30000000ull /* after its decision; a failing run that is kept must have ended by then */

struct fuzz_exhaustive {
    const char *window; /* as the user says it */
    uint64_t end_rip_gva, window_steps_max;
    bool every_boundary;
    const char *same;                          /* as the user says it; NULL for none */
    const struct divergence_list *same_parsed; /* the same */
    double stop_at_s;                          /* host_time_s(); 0 for never */
    struct source source[SOURCES_MAX];         /* by their rows; of one that is not asked for the value is 0 */
    unsigned jobs;                             /* processes; 1 at least */
    unsigned shard, shards;                    /* the shard-th of shards parts of the window, from 1 */
    const char *out;                           /* folder; NULL: nothing is kept */
    volatile sig_atomic_t *interrupted;
};

/* Search with one source of f->source; *joined is what is known of it then (search_part.h), from this and from earlier
   runs; *done: the shard is covered. The machine of `g` stands at the window's start, before and after. */
enum emu_err fuzz_exhaustive(const struct fuzz_exhaustive *f, struct guest *g, const struct source *source, FILE *to,
                             json_t **joined, bool *done, struct diag *d) EMU_MUST_CHECK;

/* The decision that delivers this source's interrupt at this step of the vCPU. */
struct decision fuzz_exhaustive_decision(const struct source *source, unsigned vcpu, uint64_t position);

#endif
