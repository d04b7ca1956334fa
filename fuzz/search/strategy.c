/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz/search/strategy.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emu/base/count.h"
#include "emu/base/plural.h"

/* One a line. */
/* clang-format off */
static const struct strategy *const strategies[] = {
    &strategy_random,
    &strategy_pct,
    &strategy_preempt,
    &strategy_bytes,
};
/* clang-format on */

const struct strategy *strategy_at(unsigned index)
{
    return index < COUNT(strategies) ? strategies[index] : NULL;
}

const struct strategy *strategy_find(const char *name)
{
    for (unsigned i = 0; strategy_at(i); i++)
        if (!strcmp(strategy_at(i)->name, name))
            return strategy_at(i);
    return NULL;
}

enum emu_err strategy_check(const struct strategy_options *o, struct diag *d)
{
    if (!o->sources && !o->interleave)
        return diag_set(d, EMU_EINPUT, "there is nothing to decide: one vCPU and no source of interrupts");
    return EMU_OK;
}

void strategy_print_extent(const struct strategy_options *o, char text[STRATEGY_EXTENT_BYTES])
{
    bool short_of_it = o->run_steps_max && o->run_steps_max < o->window_steps;
    uint64_t steps = short_of_it ? o->run_steps_max : o->window_steps;

    if (o->window_is_cut)
        snprintf(text, STRATEGY_EXTENT_BYTES,
                 "the first %" PRIu64 " step%s (of all vCPUs) of the window, which is longer", steps, plural(steps));
    else if (short_of_it)
        snprintf(text, STRATEGY_EXTENT_BYTES,
                 "the first %" PRIu64 " of the window's %" PRIu64 " steps (of all vCPUs), at which runs end", steps,
                 o->window_steps);
    else
        snprintf(text, STRATEGY_EXTENT_BYTES, "the window (%" PRIu64 " step%s of all vCPUs)", steps, plural(steps));
}

struct decision strategy_action(const struct source *source, unsigned vcpu)
{
    struct decision action = {.kind = source->kind, .vcpu = source->vcpu, .value = source->value};

    if (action.vcpu == DECISION_ANY_VCPU && action.kind != DECISION_EXPIRE)
        action.vcpu = vcpu;
    return action;
}

/* Steele, Lea, Flood 2014. */
uint64_t strategy_random_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ull;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

/* Lemire's multiplication; the bias is below 2^-32 for every n that occurs. */
uint64_t strategy_random_below(uint64_t *state, uint64_t n)
{
    return (uint64_t)((unsigned __int128)strategy_random_next(state) * n >> 64);
}

static int by_place(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

void strategy_random_places(uint64_t *state, uint64_t window_steps, uint64_t *place, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        place[i] = strategy_random_below(state, window_steps ? window_steps : 1);
    qsort(place, count, sizeof(*place), by_place);
}
