#include "fuzz/strategy.h"

#include <string.h>

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
    return index < sizeof(strategies) / sizeof(strategies[0]) ? strategies[index] : NULL;
}

const struct strategy *strategy_find(const char *name)
{
    for (unsigned i = 0; strategy_at(i); i++)
        if (!strcmp(strategy_at(i)->name, name))
            return strategy_at(i);
    return NULL;
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
