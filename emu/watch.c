/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/watch.h"

#include <string.h>

#include "emu/base/ensure.h"
#include "emu/machine_state.h"

static struct watch_entry *find(struct machine *m, const struct watcher *w)
{
    for (unsigned i = 0; i < m->watch.watchers; i++)
        if (m->watch.watcher[i].w == w)
            return &m->watch.watcher[i];
    ensure(!"the watcher is one of the machine's");
    return NULL;
}

enum emu_err watch_add(struct machine *m, const struct watcher *w, struct diag *d)
{
    struct watch_entry *last = m->watch.watchers ? &m->watch.watcher[m->watch.watchers - 1] : NULL;
    size_t at = last ? last->state_at + ((last->w->state_bytes + 7) & ~(size_t)7) : 0;

    if (m->watch.watchers == WATCHERS_MAX || at > WATCH_STATE_BYTES || w->state_bytes > WATCH_STATE_BYTES - at)
        return diag_set(d, EMU_EHOST, "there is no room for another watcher");
    m->watch.watcher[m->watch.watchers++] = (struct watch_entry){.w = w, .state_at = at};
    memset((uint8_t *)m->run.watch_state + at, 0, w->state_bytes);
    return EMU_OK;
}

void *watch_state(struct machine *m, const struct watcher *w)
{
    return (uint8_t *)m->run.watch_state + find(m, w)->state_at;
}

enum emu_err watch_set_places(struct machine *m, const struct watcher *w, const uint64_t *gva, unsigned count,
                              struct diag *d)
{
    struct watch_entry *mine = find(m, w);
    unsigned others = 0;

    for (unsigned i = 0; i < m->watch.watchers; i++)
        if (&m->watch.watcher[i] != mine)
            others += m->watch.watcher[i].places;
    if (count > WATCH_PLACES_MAX - others)
        return diag_set(d, EMU_EHOST, "there is no room for %u watched places", count);
    if (count == mine->places && !memcmp(gva, mine->place, count * sizeof(*gva)))
        return EMU_OK;
    memcpy(mine->place, gva, count * sizeof(*gva));
    mine->places = count;
    m->watch.changed = true;
    return EMU_OK;
}

enum emu_err watch_memory(struct machine *m, uint64_t gpa, uint64_t bytes, struct diag *d)
{
    return engine_watch_writes(m->engine, gpa, bytes, d);
}

size_t watch_state_bytes(const struct machine *m)
{
    const struct watch_entry *last = m->watch.watchers ? &m->watch.watcher[m->watch.watchers - 1] : NULL;

    return last ? last->state_at + last->w->state_bytes : 0;
}

void watch_closely(struct machine *m, const struct watcher *w, uint64_t vcpus)
{
    uint64_t all = 0;

    find(m, w)->closely = vcpus;
    for (unsigned i = 0; i < m->watch.watchers; i++)
        all |= m->watch.watcher[i].closely;
    engine_inspect(m->engine, all);
}

void watch_ask(struct machine *m, const struct watcher *w)
{
    find(m, w)->asked = true;
    m->watch.asked = true;
    engine_ask_attention(m->engine);
}

void watch_tell_judges(struct machine *m, struct verdict *v)
{
    for (unsigned i = 0; i < m->watch.watchers; i++)
        if (m->watch.watcher[i].w->judges)
            m->watch.watcher[i].w->judges(m, v, m->watch.watcher[i].w->context);
}

void watch_tell_asked(struct machine *m)
{
    m->watch.asked = false;
    for (unsigned i = 0; i < m->watch.watchers; i++) {
        struct watch_entry *x = &m->watch.watcher[i];

        if (x->asked && x->w->asked)
            x->w->asked(m, x->w->context);
        x->asked = false;
    }
}

void watch_note_write(struct machine *m, uint64_t gpa, unsigned bytes, const uint8_t *before, uint64_t rip_gva,
                      uint64_t position)
{
    struct watch_write w = {
        .vcpu = m->run.current, .rip_gva = rip_gva, .position = position, .gpa = gpa, .bytes = bytes};

    ensure(bytes <= WATCH_WRITE_BYTES);
    memcpy(w.before, before, bytes);
    ensure(memory_peek(m->mem, gpa, w.after, bytes));
    for (unsigned i = 0; i < m->watch.watchers; i++)
        if (m->watch.watcher[i].w->write)
            m->watch.watcher[i].w->write(m, &w, m->watch.watcher[i].w->context);
    if (m->run.watch_wrote)
        return;
    m->run.watch_wrote = true;
    m->run.watch_write = w;
}

bool watch_wants(struct machine *m, uint64_t gpa, unsigned bytes)
{
    for (unsigned i = 0; i < m->watch.watchers; i++) {
        const struct watch_entry *x = &m->watch.watcher[i];

        if ((x->closely >> m->run.current & 1) && x->w->wants && x->w->wants(m, gpa, bytes, x->w->context))
            return true;
    }
    return false;
}

void watch_tell_executes(struct machine *m, uint64_t gva, const struct insn *insn)
{
    for (unsigned i = 0; i < m->watch.watchers; i++) {
        const struct watch_entry *x = &m->watch.watcher[i];

        if ((x->closely >> m->run.current & 1) && x->w->executes)
            x->w->executes(m, gva, insn, x->w->context);
    }
}

void watch_tell_serialised(struct machine *m)
{
    for (unsigned i = 0; i < m->watch.watchers; i++)
        if (m->watch.watcher[i].w->serialised)
            m->watch.watcher[i].w->serialised(m, m->watch.watcher[i].w->context);
}

void watch_tell_write(struct machine *m)
{
    struct watch_write first = m->run.watch_write;

    m->run.watch_wrote = false;
    for (unsigned i = 0; i < m->watch.watchers; i++)
        if (m->watch.watcher[i].w->written)
            m->watch.watcher[i].w->written(m, &first, m->watch.watcher[i].w->context);
}

void watch_tell_reached(struct machine *m, uint64_t rip_gva)
{
    for (unsigned i = 0; i < m->watch.watchers; i++) {
        const struct watch_entry *x = &m->watch.watcher[i];

        for (unsigned k = 0; k < x->places; k++)
            if (x->place[k] == rip_gva) {
                if (x->w->reached)
                    x->w->reached(m, rip_gva, x->w->context);
                break;
            }
    }
}

void watch_tell_restored(struct machine *m)
{
    for (unsigned i = 0; i < m->watch.watchers; i++)
        if (m->watch.watcher[i].w->restored)
            m->watch.watcher[i].w->restored(m, m->watch.watcher[i].w->context);
}
