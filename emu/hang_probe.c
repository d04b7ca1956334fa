/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/hang_probe.h"

#include <stdlib.h>
#include <string.h>

#include "emu/machine_state.h"

#define WORD_BYTES    8u
#define TABLE_BITS    14
#define WORDS_MAX     (1u << (TABLE_BITS - 1))
#define ACCESSES_MAX  20000000u
#define PERIOD_MAX_NS 20000000ull
#define NO_WORD       UINT64_MAX

struct word {
    uint64_t gpa; /* NO_WORD: free */
    uint64_t before;
    bool guest, host;
};

struct hang_probe {
    bool on, watches, spoilt;
    bool closed; /* the period has an end; what is awaited are the timers */
    uint64_t registers, begin_ns, period_ns, facts, time_reads, accesses;
    unsigned words;
    struct word word[1u << TABLE_BITS];
};

static struct word *find(struct hang_probe *p, uint64_t gpa)
{
    uint64_t at = gpa / WORD_BYTES * 0x9e3779b97f4a7c15ull >> (64 - TABLE_BITS);

    while (p->word[at].gpa != NO_WORD && p->word[at].gpa != gpa)
        at = (at + 1) % (1u << TABLE_BITS);
    return &p->word[at];
}

static void note(struct machine *m, enum engine_access kind, uint64_t gpa)
{
    struct hang_probe *p = m->hang_probe;
    struct word *w = find(p, gpa);

    if (w->gpa == NO_WORD) {
        if (p->words == WORDS_MAX || !memory_peek(m->mem, gpa, &w->before, sizeof(w->before))) {
            p->spoilt = true;
            return;
        }
        w->gpa = gpa;
        w->guest = w->host = false;
        p->words++;
    }
    if (!m->host_acts)
        w->guest = true;
    else if (kind == ENGINE_WRITE)
        w->host = true;
}

static void on_access(void *context, enum engine_access kind, uint64_t gpa, unsigned bytes)
{
    struct machine *m = context;
    struct hang_probe *p = m->hang_probe;

    if (p->spoilt)
        return;
    if (kind == ENGINE_LEAVE || ++p->accesses > ACCESSES_MAX) {
        p->spoilt = true;
        return;
    }
    for (uint64_t at = gpa / WORD_BYTES * WORD_BYTES; at < gpa + bytes && !p->spoilt; at += WORD_BYTES)
        note(m, kind, at);
}

static void stop_watching(struct machine *m)
{
    struct diag d;

    if (m->hang_probe->watches)
        (void)!engine_watch_own_accesses(m->engine, NULL, NULL, &d);
    m->hang_probe->watches = false;
}

bool hang_probe_is_on(const struct machine *m)
{
    return m->hang_probe && m->hang_probe->on;
}

void hang_probe_begin(struct machine *m, uint64_t registers, uint64_t now_ns)
{
    struct hang_probe *p = m->hang_probe;
    struct diag d;

    if (!p)
        p = m->hang_probe = malloc(sizeof(*p));
    if (!p)
        return;
    memset(p, 0, offsetof(struct hang_probe, word));
    for (unsigned i = 0; i < 1u << TABLE_BITS; i++)
        p->word[i].gpa = NO_WORD;
    p->registers = registers;
    p->begin_ns = now_ns;
    p->facts = m->run.hang.facts;
    p->time_reads = m->run.time_reads;
    p->on = p->watches = engine_watch_own_accesses(m->engine, on_access, m, &d) == EMU_OK;
    timer_count_anew(m);
}

void hang_probe_end(struct machine *m)
{
    if (!hang_probe_is_on(m))
        return;
    m->hang_probe->on = false;
    stop_watching(m);
}

void hang_probe_free(struct machine *m)
{
    free(m->hang_probe);
    m->hang_probe = NULL;
}

/* Is all that the guest used as it was before, and none of it the host's? */
static bool is_as_before(struct machine *m)
{
    const struct hang_probe *p = m->hang_probe;

    for (unsigned i = 0; i < 1u << TABLE_BITS; i++) {
        const struct word *w = &p->word[i];
        uint64_t now;

        if (w->gpa == NO_WORD || !w->guest)
            continue;
        if (w->host || hang_clock_is_told_at(m, w->gpa, WORD_BYTES) ||
            !memory_peek(m->mem, w->gpa, &now, sizeof(now)) || now != w->before)
            return false;
    }
    return true;
}

bool hang_probe_look(struct machine *m, uint64_t registers, uint64_t now_ns, uint64_t *period_ns)
{
    struct hang_probe *p = m->hang_probe;
    bool repeats = registers == p->registers && now_ns != p->begin_ns;

    if (p->spoilt || p->facts != m->run.hang.facts || p->time_reads != m->run.time_reads ||
        (!p->closed && now_ns - p->begin_ns > PERIOD_MAX_NS) || (repeats && !is_as_before(m))) {
        hang_probe_end(m);
        return false;
    }
    if (!repeats)
        return false;
    if (!p->closed) {
        p->closed = true;
        p->period_ns = now_ns - p->begin_ns;
        stop_watching(m);
    }
    if (!timer_all_have_expired_twice(m))
        return false;
    *period_ns = p->period_ns;
    hang_probe_end(m);
    return true;
}

void hang_probe_note_question(struct machine *m)
{
    if (hang_probe_is_on(m))
        m->hang_probe->spoilt = true;
}
