/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/report/scene_site.h"

#include <stdlib.h>
#include <string.h>

#include "emu/image/symbols.h"
#include "emu/memory.h"

#define SITE_PAUSE_STEPS 4000u /* more between two writes: another change */
#define CHANGES_MAX      4096u

struct change { /* bytes that lie together, written one soon after the other */
    uint64_t gpa, end_gpa;
    uint64_t first_position, last_position;
    size_t first, last; /* in the scene's writes */
};

static void add_change(struct change *c, unsigned *count, const struct scene_write *x, size_t number)
{
    for (unsigned i = *count; i-- > 0;) {
        if (x->position - c[i].last_position > SITE_PAUSE_STEPS || x->gpa > c[i].end_gpa ||
            x->gpa + x->bytes < c[i].gpa)
            continue;
        if (x->gpa < c[i].gpa)
            c[i].gpa = x->gpa;
        if (x->gpa + x->bytes > c[i].end_gpa)
            c[i].end_gpa = x->gpa + x->bytes;
        c[i].last_position = x->position;
        c[i].last = number;
        return;
    }
    if (*count < CHANGES_MAX)
        c[(*count)++] = (struct change){x->gpa, x->gpa + x->bytes, x->position, x->position, number, number};
}

/* Where instructions begin around the site, with its bytes as given: the last beginning at or before it, and the first
   at or behind its end. */
static void find_bounds(const struct scene *sc, const struct scene_site *s, const uint8_t *bytes, struct decoder *dec,
                        uint64_t *low, uint64_t *high)
{
    struct machine *m = sc->machine;
    struct symbol symbol;
    unsigned bits = vcpu_code_bits(m);

    *low = s->gva;
    *high = s->gva + s->bytes;
    if (!sc->symbols || !symbols_find_address(sc->symbols, s->gva, &symbol) || s->gva - symbol.start_gva > 0x8000)
        return;
    for (uint64_t at = symbol.start_gva; at < s->gva + s->bytes;) {
        uint8_t code[INSN_BYTES_MAX];
        struct insn insn;

        if (at <= s->gva)
            *low = at;
        if (!vcpu_read_gva(m, machine_current(m), at, code, sizeof(code), NULL))
            return;
        for (unsigned i = 0; i < sizeof(code); i++)
            if (at + i - s->gva < s->bytes)
                code[i] = bytes[at + i - s->gva];
        if (!decoder_decode(dec, bits, code, sizeof(code), &insn))
            return;
        at += insn.length;
        *high = at;
    }
}

/* Widen the site to whole instructions, as far as there is room. */
static void widen(const struct scene *sc, struct scene_site *s, struct decoder *dec)
{
    uint64_t low[2], high[2], from, to;
    uint8_t around[SCENE_SITE_BYTES];
    unsigned shift;

    find_bounds(sc, s, s->before, dec, &low[0], &high[0]);
    find_bounds(sc, s, s->after, dec, &low[1], &high[1]);
    from = low[0] < low[1] ? low[0] : low[1];
    to = high[0] > high[1] ? high[0] : high[1];
    if (to < s->gva + s->bytes)
        to = s->gva + s->bytes;
    if (from > s->gva || to - from > SCENE_SITE_BYTES ||
        !vcpu_read_gva(sc->machine, machine_current(sc->machine), from, around, to - from, NULL))
        return;
    shift = (unsigned)(s->gva - from);
    for (unsigned i = 0; i < 3; i++) {
        uint8_t *bytes = i == 0 ? s->before : i == 1 ? s->during : s->after, whole[SCENE_SITE_BYTES];

        memcpy(whole, around, to - from);
        memcpy(whole + shift, bytes, s->bytes);
        memcpy(bytes, whole, to - from);
    }
    s->gpa -= shift;
    s->gva = from;
    s->bytes = (unsigned)(to - from);
}

/* False if there is no such site to be told of. */
static bool make_site(const struct scene *sc, const struct change *c, uint64_t position, unsigned patcher,
                      struct decoder *dec, struct scene_site *s)
{
    bool known[SCENE_SITE_BYTES] = {false};

    *s = (struct scene_site){.gpa = c->gpa,
                             .bytes = (unsigned)(c->end_gpa - c->gpa),
                             .vcpu = patcher,
                             .first_position = c->first_position,
                             .last_position = c->last_position};
    if (!memory_read(machine_memory(sc->machine), s->gpa, s->after, s->bytes))
        return false;
    memcpy(s->before, s->after, s->bytes);
    memcpy(s->during, s->after, s->bytes);
    for (size_t i = c->first; i <= c->last; i++) {
        const struct scene_write *x = &sc->write[i];

        if (x->vcpu != patcher || x->gpa < c->gpa || x->gpa + x->bytes > c->end_gpa)
            continue;
        s->gva = x->gva - (x->gpa - c->gpa);
        s->last_ns = x->time_ns;
        if (x->bytes > s->store_bytes)
            s->store_bytes = x->bytes;
        for (unsigned b = 0; b < x->bytes; b++) {
            unsigned at = (unsigned)(x->gpa - c->gpa) + b;

            if (!known[at])
                s->before[at] = s->during[at] = x->before[b];
            known[at] = true;
            if (x->position < position)
                s->during[at] = x->after[b];
            s->after[at] = x->after[b];
        }
        if (x->position < position)
            s->writer_gva = x->rip_gva;
    }
    if (s->gva >= UINT64_MAX - PAGE_BYTES)
        return false;
    widen(sc, s, dec);
    return true;
}

enum emu_err scene_site_find(const struct scene *sc, unsigned patcher, uint64_t position,
                             struct scene_site site[SCENE_SITES_MAX], unsigned *sites, struct diag *d)
{
    struct change *c = calloc(CHANGES_MAX, sizeof(*c));
    struct decoder *dec = NULL;
    unsigned count = 0;
    enum emu_err err;

    if (!c)
        return diag_no_memory(d);
    err = decoder_new(&dec, d);
    if (err == EMU_OK)
        for (size_t i = 0; i < sc->writes; i++)
            if (sc->write[i].vcpu == patcher && sc->write[i].gva != UINT64_MAX)
                add_change(c, &count, &sc->write[i], i);
    for (unsigned i = 0; err == EMU_OK && i < count && *sites < SCENE_SITES_MAX; i++)
        if (c[i].first_position < position && c[i].last_position >= position &&
            c[i].end_gpa - c[i].gpa <= SCENE_SITE_BYTES)
            *sites += make_site(sc, &c[i], position, patcher, dec, &site[*sites]);
    decoder_free(dec);
    free(c);
    return err;
}
