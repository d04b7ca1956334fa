/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_schedules: `bootrace fuzz --strategy random|pct|preempt`: many whole runs of a window under a strategy, what
 * they found, minimised and written as cases.
 */
#ifndef BOOTRACE_CLI_CAMPAIGN_FUZZ_SCHEDULES_H
#define BOOTRACE_CLI_CAMPAIGN_FUZZ_SCHEDULES_H

#include <jansson.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>

#include "cli/run/guest.h"
#include "fuzz/search/strategy.h"

struct fuzz_schedules {
    const struct strategy *strategy;
    struct source source[STRATEGY_SOURCES_MAX];
    unsigned sources;
    uint64_t runs_max, seed, steps_max, failures_max; /* 0: the default */
    uint64_t settle_steps;                            /* of preempt; 0: the default */
    bool follow;                                      /* preempt too follows runs for steps_max */
    unsigned depth;
    const char *reach; /* symbol; NULL for none */
    const char *out;   /* folder for cases; NULL for none */
    const char *window;
    struct position start_anchor; /* of the window, where the machine stands; POSITION_HERE if it is no symbol's */
    uint64_t end_rip_gva;         /* of the window; 0 if it is so many steps long: */
    uint64_t window_steps_max;
    double stop_at_s;  /* host_time_s(); 0 for never */
    uint64_t budget_s; /* --budget as given, for messages */
    volatile sig_atomic_t *interrupted;
};

/* The machine of `g` stands at the window's start. The exit status; `json` gets the report if it is not NULL. */
int fuzz_schedules(const struct fuzz_schedules *f, struct guest *g, FILE *to, json_t **json, struct diag *d);

#endif
