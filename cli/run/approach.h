/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * approach: run a guest to the place at which a search begins, or once undisturbed, under the eyes of a user: with a
 * progress line, and so that Ctrl-C and a budget of time end it. A guest that never comes there may run for ever.
 */
#ifndef BOOTRACE_CLI_RUN_APPROACH_H
#define BOOTRACE_CLI_RUN_APPROACH_H

#include <signal.h>

#include "cli/run/guest.h"

#define APPROACH_TIMES_MAX UINT32_MAX

/* An instruction, counted as anchors are (docs/schedule.md): the `wanted`-th time that one vCPU is about to execute it.
   The first vCPU that comes to so many is the one. */
struct approach_place {
    uint64_t gva, wanted;      /* wanted: from 1 to APPROACH_TIMES_MAX */
    uint64_t times[VCPUS_MAX]; /* so far, of each vCPU */
};

struct approach {
    const volatile sig_atomic_t *interrupted; /* the caller's; NULL: never */
    double stop_at_s;                         /* of host_time_s(); 0: never */
    const char *what;                         /* for the progress line; NULL: "on the way to the window" */
};

/* Whether it is to end. */
bool approach_is_over(const struct approach *a);

/* machine_run() to one of `limits`; MACHINE_STOPPED_ASKED: it is over before. */
enum machine_stop_reason approach_run(const struct approach *a, struct guest *g, const struct machine_limits *limits);
/* The same to a place, whose `times` are counted from zero: MACHINE_STOPPED_RIP, or as above. */
enum machine_stop_reason approach_run_to(const struct approach *a, struct guest *g, struct approach_place *place);

#endif
