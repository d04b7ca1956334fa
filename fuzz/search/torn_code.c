/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz/search/torn_code.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emu/engine.h"
#include "emu/machine.h"
#include "emu/memory.h"
#include "emu/vcpu.h"
#include "fuzz/detect/code_version.h"
#include "fuzz/search/window.h"

#define SITE_BYTES TORN_CODE_SITE_BYTES_MAX
#define INT3       0xcc

struct change {
    uint64_t first_position, last_position; /* of the steps that write */
    uint64_t gpa, gva, patcher_gva;
    unsigned bytes;
    uint8_t before[SITE_BYTES], after[SITE_BYTES];
};

struct torn_code {
    struct change *change; /* ascending, and one after the other */
    uint64_t changes, room;
    const struct change *current;
    uint64_t next_gva; /* behind the last instruction that was looked at */
};

/* Lay `x` into the change; it touches it and fits. */
static void extend(struct change *c, const struct window_write *x)
{
    if (x->gpa < c->gpa) {
        unsigned more = (unsigned)(c->gpa - x->gpa);

        memmove(c->before + more, c->before, c->bytes);
        memmove(c->after + more, c->after, c->bytes);
        memcpy(c->before, x->before, more);
        c->gpa -= more;
        c->gva -= more;
        c->bytes += more;
    }
    for (unsigned i = 0; i < x->bytes; i++) {
        unsigned at = (unsigned)(x->gpa - c->gpa) + i;

        if (at >= c->bytes) {
            c->before[at] = x->before[i];
            c->bytes = at + 1;
        }
        c->after[at] = x->after[i];
    }
    c->last_position = x->position;
}

/* A byte that changes once more had reached a version: then another change begins. */
static bool belongs(const struct change *c, const struct window_write *x)
{
    uint64_t from = x->gpa < c->gpa ? x->gpa : c->gpa, to = c->gpa + c->bytes;

    if (x->gpa + x->bytes > to)
        to = x->gpa + x->bytes;
    if (x->gpa > c->gpa + c->bytes || x->gpa + x->bytes < c->gpa || to - from > SITE_BYTES)
        return false;
    for (unsigned i = 0; i < x->bytes; i++)
        if (x->gpa + i >= c->gpa && x->gpa + i < c->gpa + c->bytes && x->after[i] != c->after[x->gpa + i - c->gpa])
            return false;
    return true;
}

/* A copy that goes from the end to the begin and ends with two words that overlap writes the further one first: `x`
   does not touch the change, but the next write fills what is between them. */
static bool is_bridged(const struct change *c, const struct window_write *x, const struct window_write *next)
{
    uint64_t x_end = x->gpa + x->bytes, next_end = next->gpa + next->bytes, end = c->gpa + c->bytes;
    uint64_t from = x->gpa < c->gpa ? x->gpa : c->gpa, to = x_end > end ? x_end : end;

    if (next->gpa < from)
        from = next->gpa;
    if (next_end > to)
        to = next_end;
    return (x_end < c->gpa || x->gpa > end) && next->gpa <= x_end && x->gpa <= next_end && to - from <= SITE_BYTES &&
           belongs(c, next);
}

static void extend_over(struct change *c, const struct window_write *x, const struct window_write *next)
{
    extend(c, next);
    extend(c, x);
    memcpy(c->before + (x->gpa - c->gpa), x->before, x->bytes); /* `next` has found there what `x` wrote */
}

enum emu_err torn_code_new(const struct window *w, struct torn_code **out, struct diag *d)
{
    struct torn_code *t = calloc(1, sizeof(*t));

    if (t) {
        t->room = window_writes(w);
        t->change = calloc(t->room ? t->room : 1, sizeof(*t->change));
    }
    if (!t || !t->change) {
        torn_code_free(t);
        return diag_no_memory(d);
    }
    for (uint64_t i = 0; i < window_writes(w); i++) {
        const struct window_write *x = window_write(w, i);
        struct change *c = t->changes ? &t->change[t->changes - 1] : NULL;

        if (c && i + 1 < window_writes(w) && is_bridged(c, x, window_write(w, i + 1))) {
            extend_over(c, x, window_write(w, i + 1));
            continue;
        }
        if (!c || !belongs(c, x)) {
            c = &t->change[t->changes++];
            *c =
                (struct change){.first_position = x->position, .gpa = x->gpa, .gva = x->gva, .patcher_gva = x->rip_gva};
        }
        extend(c, x);
    }
    *out = t;
    return EMU_OK;
}

void torn_code_free(struct torn_code *t)
{
    if (!t)
        return;
    free(t->change);
    free(t);
}

uint64_t torn_code_changes(const struct torn_code *t)
{
    return t->changes;
}

bool torn_code_begin(struct torn_code *t, uint64_t position)
{
    uint64_t low = 0, high = t->changes;

    while (low < high) { /* the first that is not over */
        uint64_t middle = low + (high - low) / 2;

        if (t->change[middle].last_position < position)
            low = middle + 1;
        else
            high = middle;
    }
    t->current = low < t->changes && t->change[low].first_position < position ? &t->change[low] : NULL;
    return t->current;
}

static bool is_version(struct decoder *dec, unsigned bits, const struct change *c, const uint8_t *version, uint64_t gpa,
                       const uint8_t *code, unsigned length)
{
    return code_version_has(dec, bits, version, c->bytes, (int64_t)(gpa - c->gpa), code, length);
}

/* The instruction, of which at least a byte is within the change. */
static bool is_torn(struct decoder *dec, unsigned bits, const struct change *c, struct machine *m, uint64_t gpa,
                    const uint8_t *code, unsigned length)
{
    const uint8_t *const versions[] = {c->before, c->after};
    uint8_t present[SITE_BYTES];

    if (code[0] == INT3)
        return gpa > c->gpa && memory_peek(machine_memory(m), c->gpa, present, c->bytes) &&
               code_version_leads_into_int3(dec, bits, present, c->bytes, (unsigned)(gpa - c->gpa), versions, 2);
    return !is_version(dec, bits, c, c->before, gpa, code, length) &&
           !is_version(dec, bits, c, c->after, gpa, code, length);
}

bool torn_code_check(struct torn_code *t, struct machine *m, uint64_t gva, uint64_t gpa, unsigned bytes,
                     struct torn_code_finding *finding)
{
    const struct change *c = t->current;
    struct decoder *dec = engine_decoder(machine_engine(m));
    unsigned bits, at = 0, there = bytes;
    uint8_t code[PAGE_BYTES + INSN_BYTES_MAX];

    if (!c || gpa >= c->gpa + c->bytes + INSN_BYTES_MAX || c->gpa >= gpa + bytes + INSN_BYTES_MAX || bytes > PAGE_BYTES)
        return false;
    /* The last instruction may reach into the next page, and the first one may have begun in the page before. */
    if (memory_peek(machine_memory(m), gpa, code, bytes + INSN_BYTES_MAX))
        there += INSN_BYTES_MAX;
    else if (!memory_peek(machine_memory(m), gpa, code, bytes))
        return false;
    if (gva != engine_access_block_gva(machine_engine(m)) && t->next_gva > gva && t->next_gva - gva < INSN_BYTES_MAX)
        at = (unsigned)(t->next_gva - gva);
    bits = vcpu_code_bits(m);
    while (at < bytes) {
        struct insn insn;
        unsigned length;

        if (!decoder_decode(dec, bits, code + at, there - at, &insn))
            insn.length = 1;
        length = insn.length;
        if (gpa + at + length > c->gpa && gpa + at < c->gpa + c->bytes &&
            is_torn(dec, bits, c, m, gpa + at, code + at, length)) {
            memset(finding, 0, sizeof(*finding));
            finding->gva = gva + at;
            finding->site_gva = c->gva;
            finding->patcher_gva = c->patcher_gva;
            finding->bytes = c->bytes;
            memcpy(finding->before, c->before, c->bytes);
            memcpy(finding->after, c->after, c->bytes);
            if (!memory_peek(machine_memory(m), c->gpa, finding->present, c->bytes))
                return false;
            for (unsigned i = 0; i < c->bytes; i++)
                finding->written += finding->present[i] == c->after[i] && c->before[i] != c->after[i];
            return true;
        }
        at += length;
    }
    t->next_gva = gva + at;
    return false;
}

/* Lay `bytes` of another change of the same place over this version; false if it has nothing to do with it, or
   changes nothing. */
static bool lay_over(const struct change *site, const struct change *c, const uint8_t *bytes, uint8_t *version)
{
    bool changed = false;

    for (unsigned i = 0; i < c->bytes; i++) {
        uint64_t at = c->gpa + i - site->gpa;

        if (at < site->bytes && version[at] != bytes[i]) {
            version[at] = bytes[i];
            changed = true;
        }
    }
    return changed;
}

unsigned torn_code_versions(const struct torn_code *t, uint8_t (*version)[SITE_BYTES], unsigned max)
{
    const struct change *site = t->current, *c;
    uint8_t bytes[SITE_BYTES];
    unsigned count = 0;

    memcpy(bytes, site->before, site->bytes);
    for (c = site; count < max / 2; c--) { /* backwards */
        if (c == site || lay_over(site, c, c->before, bytes))
            memcpy(version[count++], bytes, site->bytes);
        if (c == t->change)
            break;
    }
    for (unsigned i = 0; i < count / 2; i++) {
        memcpy(bytes, version[i], site->bytes);
        memcpy(version[i], version[count - 1 - i], site->bytes);
        memcpy(version[count - 1 - i], bytes, site->bytes);
    }
    memcpy(bytes, site->after, site->bytes);
    for (c = site; c < t->change + t->changes && count < max; c++)
        if (c == site || lay_over(site, c, c->after, bytes))
            memcpy(version[count++], bytes, site->bytes);
    return count;
}

void torn_code_print(const struct torn_code_finding *f, char *text, size_t text_bytes)
{
    const struct {
        const uint8_t *bytes;
        const char *name;
    } versions[] = {{f->before, "old"}, {f->present, "now"}, {f->after, "new"}};
    size_t used = 0;

    for (unsigned v = 0; v < 3; v++) {
        for (unsigned i = 0; i < f->bytes && used < text_bytes; i++)
            used += (size_t)snprintf(text + used, text_bytes - used, "%02x ", versions[v].bytes[i]);
        if (used < text_bytes)
            used += (size_t)snprintf(text + used, text_bytes - used, "(%s)%s", versions[v].name, v < 2 ? ", " : "");
    }
}
