/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * approach: run a guest to the place at which a search begins, or once undisturbed, while a user watches: there is a
 * progress line, and Ctrl-C and a budget of time end the run. A guest that never gets there may run for ever.
 */
#ifndef BOOTRACE_CLI_RUN_APPROACH_H
#define BOOTRACE_CLI_RUN_APPROACH_H

#include <signal.h>

#include "cli/run/guest.h"

#define APPROACH_TIMES_MAX UINT32_MAX

/* An instruction, counted as in anchors (docs/schedule.md): the place is where the first vCPU is about to execute it
   for the `wanted`-th time. */
struct approach_place {
    uint64_t gva, wanted;      /* wanted: from 1 to APPROACH_TIMES_MAX */
    uint64_t times[VCPUS_MAX]; /* so far, of each vCPU */
};

struct approach {
    const volatile sig_atomic_t *interrupted; /* the caller's; NULL: never */
    double stop_at_s;                         /* of host_time_s(); 0: never */
    const char *what;                         /* for the progress line; NULL: "on the way to the window" */
};

/* Whether the run has to end. */
bool approach_is_over(const struct approach *a);

/* machine_run() to one of `limits`; MACHINE_STOPPED_ASKED: the run had to end before that. */
enum machine_stop_reason approach_run(const struct approach *a, struct guest *g, const struct machine_limits *limits);
/* The same to a place, whose `times` are counted from zero. Returns MACHINE_STOPPED_RIP there, else as above. */
enum machine_stop_reason approach_run_to(const struct approach *a, struct guest *g, struct approach_place *place);

#endif
