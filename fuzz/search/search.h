/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * search: many runs of one window under a strategy, each from the same snapshot, and their outcomes.
 *
 * A run passes when it reaches its end (the guest's own PASS, a place, or so many steps), and fails when the machine or
 * a detector says FAIL. Runs that leave the model, or that do not reach the place in time, are counted apart: they are
 * neither.
 */
#ifndef BOOTRACE_FUZZ_SEARCH_SEARCH_H
#define BOOTRACE_FUZZ_SEARCH_SEARCH_H

#include <stdbool.h>
#include <signal.h>
#include <stdint.h>

#include "emu/base/diag.h"
#include "emu/machine.h"
#include "emu/schedule.h"
#include "emu/verdict.h"
#include "fuzz/search/strategy.h"

struct divergence;
struct symbols;

struct trial_end {
    uint64_t reach_rip_gva; /* reaching it is passing; 0 for none */
    uint64_t steps_max;     /* of all vCPUs, counted from the window's start */
    /* Set by a signal handler, it ends a run within a second: as out of budget in trial_play(), and in search_run() as
       one that was not made. NULL: nothing does. */
    const volatile sig_atomic_t *interrupted;
    const struct divergence *same; /* a run that does not come to its comparison is out of budget; NULL for none */
};

enum trial_kind { TRIAL_PASS, TRIAL_FAIL, TRIAL_BUDGET, TRIAL_UNMODELLED, TRIAL_KINDS };

struct trial {
    enum trial_kind kind;
    struct verdict verdict; /* VERDICT_NONE if the run reached its place or its steps */
    uint64_t steps;         /* of all vCPUs, since the window's start */
    uint64_t digest;        /* of the state at the end, if it failed */
    uint64_t refused;       /* decisions that the machine did not take; of a search's runs */
    struct schedule schedule;
};

/* Two failures are one if the same property failed in the same way: kind, detector, the place's symbol and, where the
   guest itself said what failed, its words (but for the numbers in them). */
bool trial_is_same_failure(const struct verdict *a, const struct verdict *b, const struct symbols *symbols);

/* Play `schedule` from where the machine stands until the end. The machine stays there. EMU_EINPUT: a decision is
   illegal. trial->schedule is left empty. */
enum emu_err trial_play(struct machine *m, const struct schedule *schedule, const struct symbols *symbols,
                        const struct trial_end *end, struct trial *trial, struct diag *diag) EMU_MUST_CHECK;

/* The run that began when all vCPUs had made start_steps is over here; `reached`: at end->reach_rip_gva. Sets all of
 *trial but the schedule and `refused`. */
void trial_conclude(struct machine *m, uint64_t start_steps, bool reached, const struct trial_end *end,
                    struct trial *trial);

struct search_failure {
    struct verdict verdict;
    struct schedule schedule; /* of the first run that failed so */
    uint64_t digest;
    uint64_t steps;
    uint64_t run;   /* the how many-th, from 1 */
    uint64_t count; /* runs that failed so */
};

#define SEARCH_FAILURES_MAX 64u

struct search_report {
    uint64_t runs, by_kind[TRIAL_KINDS];
    uint64_t decisions, refused;
    uint64_t steps_max; /* of a run */
    uint64_t first_failing_run;
    struct search_failure failure[SEARCH_FAILURES_MAX];
    unsigned failures;
    uint64_t unlisted;         /* failing runs of further kinds, for which there is no place */
    struct verdict unmodelled; /* of the first run that left the model */
    bool exhausted;            /* the strategy had nothing left to try */
    char statement[1400];
};

struct search_options {
    struct machine *machine;
    const struct symbols *symbols;
    const struct strategy *strategy;
    struct strategy_options strategy_options; /* machine and vcpus are filled in here */
    struct trial_end end;
    uint64_t runs_max;
    uint64_t failures_max;                                          /* stop after so many different ones; 0: go on */
    bool (*progress)(void *context, const struct search_report *r); /* true stops */
    bool (*is_over)(void *context); /* asked now and then within a run: true abandons it, and stops; may be NULL */
    /* A failure of a new kind, r->failure[index], has just been found: keep it, before anything else can happen. May be
       NULL. */
    enum emu_err (*found)(void *context, const struct search_report *r, unsigned index, struct diag *d);
    void *context;
};

/* The machine stands at the window's start, before and after. An abandoned run is not counted. */
enum emu_err search_run(const struct search_options *o, struct search_report *r, struct diag *d) EMU_MUST_CHECK;
void search_report_fini(struct search_report *r);

/* Carry `d` out where the machine stands. If that is legal it is kept in `schedule` with its exact position; if not,
 *legal is false and nothing has changed. */
enum emu_err search_decide(struct machine *m, struct decision d, struct schedule *schedule, bool *legal,
                           struct diag *diag) EMU_MUST_CHECK;

/* For strategies that make their runs themselves (strategy.h, search). One more run was made: it is counted, and kept
   if it failed in a new way. */
enum emu_err search_note(const struct search_options *o, struct search_report *r, const struct trial *trial,
                         struct diag *d) EMU_MUST_CHECK;
/* To be asked between runs; within one, only whether the user or the time ends the search. */
bool search_is_enough(const struct search_options *o, const struct search_report *r);
bool search_is_over(const struct search_options *o);

#endif
