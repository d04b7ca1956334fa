/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pct: probabilistic concurrency testing. Every vCPU, and every source of interrupts as one that has a single step,
 * gets a random priority; the highest that can run does, from the moment at which it can; at depth - 1 steps chosen
 * uniformly the running one becomes the lowest. A bug that needs `depth` orderings is hit by a run with a probability
 * of at least 1 / (n k^(depth-1)), where n counts vCPUs and sources and k is the window's steps.
 *
 * Source: Burckhardt, Kothari, Musuvathi, Nagarakatte, "A Randomized Scheduler with Probabilistic Guarantees of Finding
 * Bugs", ASPLOS 2010. DEVIATION: a vCPU that has run alone for STRATEGY_FAIR_STEPS gives way, since kernels spin; the
 * bound is for the runs in which that does not happen.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "emu/vcpu.h"
#include "fuzz/search/search.h"
#include "fuzz/search/strategy.h"

#define DEPTH_MAX   16
#define RETRY_STEPS 1

struct pct {
    struct strategy_options o;
    uint64_t random;
    uint64_t start_steps;
    unsigned entities; /* vCPUs, then sources */
    int64_t priority[VCPUS_MAX + STRATEGY_SOURCES_MAX];
    bool fired[STRATEGY_SOURCES_MAX];
    uint64_t change[DEPTH_MAX]; /* ascending, from the window's start */
    unsigned changes, next;
    int64_t lowest;
    int running;          /* the vCPU that runs alone; -1 if none */
    uint64_t alone_since; /* steps */
    int tried;            /* the source proposed last, -1 if none */
    uint64_t retry_at;    /* a refused source is tried again then */
    uint64_t runs, failing, refused, given_way;
};

static enum emu_err pct_init(const struct strategy_options *o, void **state, struct diag *d)
{
    struct pct *s;
    enum emu_err err = strategy_check(o, d);

    if (err != EMU_OK)
        return err;
    if (o->depth > DEPTH_MAX)
        return diag_set(d, EMU_EINPUT, "pct takes a depth of 1 to %d, not %u", DEPTH_MAX, o->depth);
    s = calloc(1, sizeof(*s));
    if (!s)
        return diag_no_memory(d);
    s->o = *o;
    s->o.depth = o->depth ? o->depth : 2;
    s->random = o->seed;
    s->start_steps = machine_steps(o->machine);
    s->entities = o->vcpus + o->sources;
    *state = s;
    return EMU_OK;
}

static bool pct_begin(void *state)
{
    struct pct *s = state;

    for (unsigned i = 0; i < s->entities; i++)
        s->priority[i] = (int64_t)s->o.depth + i;
    for (unsigned i = s->entities - 1; i > 0; i--) {
        unsigned k = (unsigned)strategy_random_below(&s->random, i + 1);
        int64_t t = s->priority[i];

        s->priority[i] = s->priority[k];
        s->priority[k] = t;
    }
    s->changes = s->o.depth - 1;
    strategy_random_places(&s->random, s->o.window_steps, s->change, s->changes);
    for (unsigned i = 0; i < s->o.sources; i++)
        s->fired[i] = false;
    s->next = 0;
    s->lowest = (int64_t)s->o.depth - 1;
    s->running = s->tried = -1;
    s->retry_at = 0;
    return true;
}

/* The highest that can run; a source whose time is not yet (it was refused here) can't. -1 if none. */
static int highest(const struct pct *s, const struct machine *m, uint64_t done)
{
    int best = -1;

    for (unsigned i = 0; i < s->entities; i++) {
        if (i < s->o.vcpus ? vcpu_state(m, i) != VCPU_RUNNABLE : s->fired[i - s->o.vcpus] || done < s->retry_at)
            continue;
        if (best < 0 || s->priority[i] > s->priority[best])
            best = (int)i;
    }
    return best;
}

/* The vCPUs that will run instead of `running` as soon as they can. */
static uint64_t waiting_above(const struct pct *s, const struct machine *m, int running)
{
    uint64_t vcpus = 0;

    for (unsigned i = 0; i < s->o.vcpus; i++)
        if (vcpu_state(m, i) != VCPU_RUNNABLE && s->priority[i] > s->priority[running])
            vcpus |= (uint64_t)1 << i;
    return vcpus;
}

static void fire(struct pct *s, unsigned source, struct machine *m, struct move *move)
{
    s->fired[source] = true;
    s->tried = (int)source;
    move->acts = true;
    move->action = strategy_action(&s->o.source[source], machine_current(m));
    move->steps = RETRY_STEPS;
}

static void pct_move(void *state, struct machine *m, bool refused, struct move *move)
{
    struct pct *s = state;
    uint64_t done = machine_steps(m) - s->start_steps;
    int best;

    if (refused && s->tried >= 0) {
        s->fired[s->tried] = false;
        s->retry_at = done + RETRY_STEPS;
    }
    s->tried = -1;
    if (done >= s->o.window_steps)
        return;
    while (s->next < s->changes && done >= s->change[s->next]) {
        if (s->running >= 0)
            s->priority[s->running] = --s->lowest;
        s->next++;
    }
    if (s->running >= 0 && done - s->alone_since >= STRATEGY_FAIR_STEPS && s->o.interleave) {
        s->priority[s->running] = --s->lowest;
        s->given_way++;
    }
    best = highest(s, m, done);
    if (best >= (int)s->o.vcpus) {
        fire(s, (unsigned)best - s->o.vcpus, m, move);
        move->only = s->running;
        return;
    }
    if (best != s->running)
        s->alone_since = done;
    s->running = best;
    move->steps = best < 0 ? 1 : s->o.window_steps - done;
    if (best < 0)
        return;
    if (s->o.interleave) {
        move->only = best;
        move->until_runnable = waiting_above(s, m, best);
    }
    if (s->next < s->changes && s->change[s->next] - done < move->steps)
        move->steps = s->change[s->next] - done;
    if (s->o.interleave && move->steps > STRATEGY_FAIR_STEPS)
        move->steps = STRATEGY_FAIR_STEPS;
    for (unsigned i = 0; i < s->o.sources; i++) /* one that is higher and waits to be tried again */
        if (!s->fired[i] && s->priority[s->o.vcpus + i] > s->priority[best] && s->retry_at > done &&
            s->retry_at - done < move->steps)
            move->steps = s->retry_at - done;
}

static void pct_end(void *state, const struct trial *trial)
{
    struct pct *s = state;

    s->runs++;
    s->failing += trial->kind == TRIAL_FAIL;
    s->refused += trial->refused != 0;
}

static void pct_statement(void *state, char *text, size_t bytes)
{
    const struct pct *s = state;
    unsigned n = (s->o.interleave ? s->o.vcpus : 1) + s->o.sources;
    double bound = 1.0 / (n * pow((double)s->o.window_steps, s->o.depth - 1));
    char extent[STRATEGY_EXTENT_BYTES];

    strategy_print_extent(&s->o, extent);
    snprintf(text, bytes,
             "hit rate %.3g (%" PRIu64 " of %" PRIu64 " runs), bound %.3g = 1/(n k^(d-1)) with n = %u, k = %" PRIu64
             ", d = %u, seed %" PRIu64 ", for "
             "a failure that needs d orderings within %s%s%s",
             s->runs ? (double)s->failing / (double)s->runs : 0, s->failing, s->runs, bound, n, s->o.window_steps,
             s->o.depth, s->o.seed, extent, s->refused ? "; not for runs in which the machine refused a decision" : "",
             s->given_way ? "; not for those in which vCPUs that spun gave way" : "");
}

const struct strategy strategy_pct = {
    .name = "pct",
    .what = "random priorities with depth-1 changes, and a bound on its hit rate",
    .init = pct_init,
    .fini = free,
    .begin = pct_begin,
    .move = pct_move,
    .end = pct_end,
    .statement = pct_statement,
};
