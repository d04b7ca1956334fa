/*
 * approach: run a guest to the place at which a search begins, under the eyes of a user: with a progress line, and so
 * that Ctrl-C and a budget of time end it. A guest that never comes there may run for ever.
 */
#ifndef BOOTRACE_CLI_APPROACH_H
#define BOOTRACE_CLI_APPROACH_H

#include <signal.h>

#include "cli/guest.h"

struct approach {
    const volatile sig_atomic_t *interrupted; /* the caller's */
    double stop_at_s;                         /* of host_time_s(); 0: never */
};

/* Whether it is to end. */
bool approach_is_over(const struct approach *a);

/* machine_run() to one of `limits`; MACHINE_STOPPED_ASKED: it is over before. */
enum machine_stop_reason approach_run(const struct approach *a, struct guest *g, const struct machine_limits *limits);

#endif
