/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bytes: the decisions of one run are given as bytes, three a decision: what, and how many steps later. Made for
 * fuzzers that mutate bytes: every byte string is a run, and a small change is a small change.
 */
#include <stdio.h>
#include <stdlib.h>

#include "fuzz/search/search.h"
#include "fuzz/search/strategy.h"

#define BYTES_A_DECISION 3

struct bytes_strategy {
    struct strategy_options o;
    size_t used;
    bool waiting; /* the gap before the next action was taken from the bytes */
    bool begun;
    unsigned what;
};

static enum emu_err bytes_init(const struct strategy_options *o, void **state, struct diag *d)
{
    struct bytes_strategy *s;
    enum emu_err err = strategy_check(o, d);

    if (err != EMU_OK)
        return err;
    s = calloc(1, sizeof(*s));
    if (!s)
        return diag_no_memory(d);
    s->o = *o;
    *state = s;
    return EMU_OK;
}

static bool bytes_begin(void *state)
{
    struct bytes_strategy *s = state;
    bool first = !s->begun;

    s->begun = true;
    return first;
}

/* The 65,536 values of two bytes are spread over the window: each boundary is some gap if they are enough. */
static uint64_t gap(const struct bytes_strategy *s, unsigned high, unsigned low)
{
    uint64_t value = high << 8 | low;

    return 1 + (value * (s->o.window_steps >> 16)) + (value * (s->o.window_steps & 0xffff) >> 16);
}

static void bytes_move(void *state, struct machine *m, bool refused, struct move *move)
{
    struct bytes_strategy *s = state;
    unsigned choices = s->o.sources + (s->o.interleave ? s->o.vcpus : 0), n;

    if (s->waiting) {
        s->waiting = false;
        n = s->what % choices;
        move->acts = true;
        if (n < s->o.sources)
            move->action = strategy_action(&s->o.source[n], s->what / choices % s->o.vcpus);
        else
            move->action = (struct decision){.kind = DECISION_RUN, .vcpu = n - s->o.sources};
    }
    if (s->o.byte_count - s->used < BYTES_A_DECISION)
        return;
    s->what = s->o.bytes[s->used];
    move->steps = gap(s, s->o.bytes[s->used + 1], s->o.bytes[s->used + 2]);
    s->used += BYTES_A_DECISION;
    s->waiting = true;
}

static void bytes_end(void *state, const struct trial *trial)
{
}

static void bytes_statement(void *state, char *text, size_t bytes)
{
    const struct bytes_strategy *s = state;

    snprintf(text, bytes, "one run, of %zu bytes", s->o.byte_count);
}

const struct strategy strategy_bytes = {
    .name = "bytes",
    .what = "one run whose decisions are bytes, for fuzzers",
    .init = bytes_init,
    .fini = free,
    .begin = bytes_begin,
    .move = bytes_move,
    .end = bytes_end,
    .statement = bytes_statement,
};
