/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * random: a few actions at boundaries chosen uniformly from the window. What is refused where it falls (IF=0, a waiting
 * vCPU) is tried again at the boundaries that follow.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "emu/base/plural.h"
#include "fuzz/search/search.h"
#include "fuzz/search/strategy.h"

#define ACTIONS_MAX 64
#define TRIES_MAX   64 /* boundaries at which a refused action is tried */

struct random_strategy {
    struct strategy_options o;
    uint64_t random;
    uint64_t at[ACTIONS_MAX]; /* steps from the window's start, ascending */
    unsigned actions, next, tries;
    struct decision action; /* the one proposed last */
    uint64_t start_steps;
    uint64_t runs, failing;
};

static enum emu_err random_init(const struct strategy_options *o, void **state, struct diag *d)
{
    struct random_strategy *s;
    enum emu_err err = strategy_check(o, d);

    if (err != EMU_OK)
        return err;
    s = calloc(1, sizeof(*s));
    if (!s)
        return diag_no_memory(d);
    s->o = *o;
    s->random = o->seed;
    if (!s->o.depth || s->o.depth > ACTIONS_MAX)
        s->o.depth = s->o.depth ? ACTIONS_MAX : 1;
    s->start_steps = machine_steps(o->machine);
    *state = s;
    return EMU_OK;
}

static bool random_begin(void *state)
{
    struct random_strategy *s = state;

    s->actions = 1 + (unsigned)strategy_random_below(&s->random, s->o.depth);
    strategy_random_places(&s->random, s->o.window_steps, s->at, s->actions);
    s->next = s->tries = 0;
    return true;
}

static void choose(struct random_strategy *s)
{
    uint64_t n = strategy_random_below(&s->random, s->o.sources + (s->o.interleave ? 1 : 0));
    uint64_t any = strategy_random_below(&s->random, s->o.vcpus);

    if (n == s->o.sources)
        s->action = (struct decision){.kind = DECISION_RUN, .vcpu = (unsigned)any};
    else
        s->action = strategy_action(&s->o.source[n], (unsigned)any);
}

static void random_move(void *state, struct machine *m, bool refused, struct move *move)
{
    struct random_strategy *s = state;
    uint64_t done = machine_steps(m) - s->start_steps;

    if (refused && s->tries < TRIES_MAX) {
        s->tries++;
    } else if (s->next < s->actions && done >= s->at[s->next]) {
        s->next++;
        s->tries = 0;
        choose(s);
    } else {
        if (s->next < s->actions)
            move->steps = s->at[s->next] - done;
        return;
    }
    move->acts = true;
    move->action = s->action;
    move->steps = 1; /* then we are asked again: was it refused? */
}

static void random_end(void *state, const struct trial *trial)
{
    struct random_strategy *s = state;

    s->runs++;
    s->failing += trial->kind == TRIAL_FAIL;
}

static void random_statement(void *state, char *text, size_t bytes)
{
    const struct random_strategy *s = state;
    char extent[STRATEGY_EXTENT_BYTES];

    strategy_print_extent(&s->o, extent);
    snprintf(text, bytes,
             "%" PRIu64 " of %" PRIu64 " random runs failed (up to %u action%s each in %s, seed %" PRIu64
             "); nothing is said of what was not "
             "run",
             s->failing, s->runs, s->o.depth, plural(s->o.depth), extent, s->o.seed);
}

const struct strategy strategy_random = {
    .name = "random",
    .what = "actions at boundaries chosen uniformly",
    .init = random_init,
    .fini = free,
    .begin = random_begin,
    .move = random_move,
    .end = random_end,
    .statement = random_statement,
};
