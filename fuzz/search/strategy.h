/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * strategy: decides what the host does next in a run of a search. A strategy proposes, the machine disposes: a proposal
 * that the machine refuses does not happen, and the strategy goes on.
 *
 * One strategy is one file and one line in strategy.c. It sees the machine at boundaries of its own choice and changes
 * nothing in it. What it did is recorded by the search as a schedule with exact positions.
 */
#ifndef BOOTRACE_FUZZ_SEARCH_STRATEGY_H
#define BOOTRACE_FUZZ_SEARCH_STRATEGY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "emu/base/diag.h"
#include "emu/machine.h"
#include "emu/schedule.h"
#include "fuzz/search/source.h"

struct search_options;
struct search_report;
struct snapshot;
struct trial;

#define STRATEGY_SOURCES_MAX 8 /* of a search */

struct strategy_options {
    struct machine *machine; /* at the window's start */
    unsigned vcpus;
    struct source source[STRATEGY_SOURCES_MAX];
    unsigned sources;
    bool interleave;        /* the vCPUs' interleaving is searched too */
    uint64_t window_steps;  /* of all vCPUs together, in the undisturbed run */
    bool window_is_cut;     /* the window goes on behind them */
    uint64_t run_steps_max; /* a run is followed for so many steps from the window's start; 0: to its own end */
    /* Where the window ends: before this instruction on window_vcpu, with the stack as high as window_sp. 0: after
       window_steps. For strategies that say who runs. */
    uint64_t end_rip_gva, window_sp;
    unsigned window_vcpu;
    uint64_t settle_steps; /* of all vCPUs, for which they follow a run behind the window's end; 0: no such end */
    bool every_boundary;   /* preempt leaves out nothing: to check what it leaves out */
    uint64_t seed;
    unsigned depth; /* decisions (random), PCT's d, or moves (preempt): what the strategy counts */
    const uint8_t *bytes;
    size_t byte_count; /* of the strategy "bytes" */
};

/* One proposal at a boundary: an action or none, and then how far to run before the strategy is asked again. */
struct move {
    bool acts;
    struct decision action;  /* kind, vcpu, value; the place is here */
    int only;                /* then run only this vCPU, until it blocks; -1: no vCPU is pinned */
    uint64_t steps;          /* and for so many steps of all vCPUs; at least 1 */
    uint64_t until_runnable; /* or until one of these vCPUs is runnable, one bit each */
};

struct strategy {
    const char *name;
    const char *what; /* one line for --help */
    bool covers;      /* once nothing is left to try, all is covered, and before that the search is not complete */
    /* The whole search, by a strategy that makes its runs itself; the machine stands at `start` and is left anywhere.
       It fills in the report with its statement. NULL: runs are made, each from the start, as the functions below say.
     */
    enum emu_err (*search)(const struct search_options *o, const struct strategy_options *so,
                           const struct snapshot *start, struct search_report *r, struct diag *d);
    enum emu_err (*init)(const struct strategy_options *o, void **state, struct diag *d);
    void (*fini)(void *state);
    /* A new run begins at the window's start. False if there is nothing left to try. */
    bool (*begin)(void *state);
    /* `refused`: the machine has refused the action proposed last. *move is "go on by the default to the end". */
    void (*move)(void *state, struct machine *m, bool refused, struct move *move);
    /* The run is over. */
    void (*end)(void *state, const struct trial *trial);
    /* What may be said of the whole search once begin() has said that nothing is left, or at any time: a sentence for
       the report, true whatever happened. */
    void (*statement)(void *state, char *text, size_t bytes);
};

/* NULL if there is none of that name. */
const struct strategy *strategy_find(const char *name);
/* By index, NULL behind the last one. */
const struct strategy *strategy_at(unsigned index);

extern const struct strategy strategy_random, strategy_pct, strategy_preempt, strategy_bytes;

/* A vCPU that has run alone for so many steps gives way: it may spin for what another has to do. Not a preemption. More
   than Linux's paravirtual locks spin before they give up and wait (32,768 rounds). */
#define STRATEGY_FAIR_STEPS 400000u

/* What of the window the runs have gone through: "the window (N steps of all vCPUs)", or "the first N of …". */
#define STRATEGY_EXTENT_BYTES 160
void strategy_print_extent(const struct strategy_options *o, char text[STRATEGY_EXTENT_BYTES]);

/* For init: EMU_EINPUT if there is one vCPU and no source, so that nothing can be decided. */
enum emu_err strategy_check(const struct strategy_options *o, struct diag *d) EMU_MUST_CHECK;

/* What injecting from `source` proposes; where the source leaves the vCPU to the strategy, it is `vcpu`. */
struct decision strategy_action(const struct source *source, unsigned vcpu);

/* SplitMix64, for strategies: their numbers are part of the case, never of the host. */
uint64_t strategy_random_next(uint64_t *state);
/* Uniform below `n`, n > 0. */
uint64_t strategy_random_below(uint64_t *state, uint64_t n);
/* `count` numbers of steps from the window's start, uniform and ascending, some perhaps twice. */
void strategy_random_places(uint64_t *state, uint64_t window_steps, uint64_t *place, unsigned count);

#endif
