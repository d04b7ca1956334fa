/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/hang_clock.h"

#include <stdlib.h>
#include <string.h>

#include "emu/machine_state.h"

#define WORD_BYTES 8u
#define KNOWN_BITS 12

struct hang_clock {
    bool on;
    uint64_t known[1u << KNOWN_BITS]; /* words in which the host says no time, by their numbers and 1 */
};

bool hang_clock_is_told_at(struct machine *m, uint64_t gpa, unsigned bytes)
{
    for (unsigned i = 0; i < m->config.model_count; i++)
        if (m->config.models[i]->tells_time && m->config.models[i]->tells_time(m, gpa, bytes))
            return true;
    return false;
}

static void on_access(void *context, enum engine_access kind, uint64_t gpa, unsigned bytes)
{
    struct machine *m = context;

    if (kind != ENGINE_READ || m->host_acts || !bytes)
        return;
    for (uint64_t word = gpa / WORD_BYTES; word <= (gpa + bytes - 1) / WORD_BYTES; word++) {
        uint64_t *known = &m->hang_clock->known[word % (1u << KNOWN_BITS)];

        if (*known == word + 1)
            continue;
        if (hang_clock_is_told_at(m, word * WORD_BYTES, WORD_BYTES))
            (void)clock_read_ns(m);
        else
            *known = word + 1;
    }
}

bool hang_clock_is_on(const struct machine *m)
{
    return m->hang_clock && m->hang_clock->on;
}

bool hang_clock_begin(struct machine *m)
{
    struct diag d;

    if (!m->hang_clock)
        m->hang_clock = malloc(sizeof(*m->hang_clock));
    if (!m->hang_clock)
        return false;
    memset(m->hang_clock, 0, sizeof(*m->hang_clock));
    m->hang_clock->on = engine_watch_own_accesses(m->engine, on_access, m, &d) == EMU_OK;
    return m->hang_clock->on;
}

void hang_clock_end(struct machine *m)
{
    struct diag d;

    if (!hang_clock_is_on(m))
        return;
    m->hang_clock->on = false;
    (void)!engine_watch_own_accesses(m->engine, NULL, NULL, &d);
}

void hang_clock_free(struct machine *m)
{
    free(m->hang_clock);
    m->hang_clock = NULL;
}
