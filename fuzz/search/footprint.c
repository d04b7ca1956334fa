/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz/search/footprint.h"

#include <stdlib.h>
#include <string.h>

#include "emu/base/ensure.h"
#include "emu/memory.h"

/* A hash of 64-byte lines; each mask has one bit a byte. */
#define LINE_BYTES 64u

struct line {
    uint64_t number;             /* gpa / LINE_BYTES + 1; 0 if free */
    uint64_t read, written, own; /* read first; written; written, and dead */
    uint64_t kept;               /* written, and as before in the end */
    bool saved;                  /* `before` is what was there at the first access, `after` when it was settled */
    uint8_t before[LINE_BYTES], after[LINE_BYTES];
};

struct footprint {
    const struct memory *mem;
    struct line *line;
    uint64_t slots, used;
    uint64_t *slot; /* the used ones */
    struct {
        uint64_t from_gpa, to_gpa;
    } dead[FOOTPRINT_DEAD_MAX];
    unsigned deads;
    bool everything;
};

#define SLOTS_FIRST 1024u

static bool make_slots(struct footprint *f, uint64_t slots)
{
    f->slots = slots;
    f->line = calloc(slots, sizeof(*f->line));
    f->slot = calloc(slots, sizeof(*f->slot));
    return f->line && f->slot;
}

enum emu_err footprint_new(const struct memory *mem, struct footprint **out, struct diag *d)
{
    struct footprint *f = calloc(1, sizeof(*f));

    if (!f || !make_slots(f, SLOTS_FIRST)) {
        footprint_free(f);
        return diag_no_memory(d);
    }
    f->mem = mem;
    *out = f;
    return EMU_OK;
}

void footprint_free(struct footprint *f)
{
    if (!f)
        return;
    free(f->line);
    free(f->slot);
    free(f);
}

void footprint_clear(struct footprint *f)
{
    for (uint64_t i = 0; i < f->used; i++)
        memset(&f->line[f->slot[i]], 0, sizeof(*f->line));
    f->used = 0;
    f->deads = 0;
    f->everything = false;
}

void footprint_add_dead(struct footprint *f, uint64_t from_gpa, uint64_t to_gpa)
{
    ensure(f->deads < FOOTPRINT_DEAD_MAX);
    f->dead[f->deads].from_gpa = from_gpa;
    f->dead[f->deads++].to_gpa = to_gpa;
}

static uint64_t bits_below(uint64_t n)
{
    return n >= LINE_BYTES ? UINT64_MAX : (1ull << n) - 1;
}

/* The bytes of the line at `line_gpa` that lie in dead ranges. */
static uint64_t dead_bits(const struct footprint *f, uint64_t line_gpa)
{
    uint64_t bits = 0;

    for (unsigned i = 0; i < f->deads; i++) {
        uint64_t from = f->dead[i].from_gpa, to = f->dead[i].to_gpa;

        if (to > line_gpa && from < line_gpa + LINE_BYTES)
            bits |= bits_below(to - line_gpa) & ~bits_below(from > line_gpa ? from - line_gpa : 0);
    }
    return bits;
}

static uint64_t find(const struct footprint *f, uint64_t number)
{
    uint64_t i = (number * 0x9e3779b97f4a7c15ull) >> 20;

    for (;; i++) {
        const struct line *l = &f->line[i & (f->slots - 1)];

        if (!l->number || l->number == number)
            return i & (f->slots - 1);
    }
}

static bool grow(struct footprint *f)
{
    struct footprint bigger = *f;

    if (!make_slots(&bigger, f->slots * 2)) {
        free(bigger.line);
        free(bigger.slot);
        return false;
    }
    for (uint64_t i = 0; i < f->used; i++) {
        const struct line *l = &f->line[f->slot[i]];
        uint64_t to = find(&bigger, l->number);

        bigger.line[to] = *l;
        bigger.slot[i] = to;
    }
    free(f->line);
    free(f->slot);
    *f = bigger;
    return true;
}

/* The bits of an access within one line; moves the access on. */
static uint64_t take_bits(uint64_t *gpa, unsigned *bytes)
{
    unsigned at = (unsigned)(*gpa % LINE_BYTES), n = LINE_BYTES - at;
    uint64_t bits;

    if (n > *bytes)
        n = *bytes;
    bits = bits_below(n) << at;
    *gpa += n;
    *bytes -= n;
    return bits;
}

bool footprint_add(struct footprint *f, bool write, uint64_t gpa, unsigned bytes)
{
    while (bytes) {
        uint64_t number = gpa / LINE_BYTES + 1, bits = take_bits(&gpa, &bytes), at, dead;
        struct line *l;

        if (f->used * 2 >= f->slots && !grow(f)) {
            f->everything = true;
            return false;
        }
        at = find(f, number);
        l = &f->line[at];
        if (!l->number) {
            l->number = number;
            f->slot[f->used++] = at;
            l->saved = f->mem && memory_peek(f->mem, (number - 1) * LINE_BYTES, l->before, LINE_BYTES);
        }
        if (write) {
            dead = bits & dead_bits(f, (number - 1) * LINE_BYTES);
            l->own |= dead;
            l->written |= bits & ~dead;
        } else {
            l->read |= bits & ~l->written & ~l->own;
        }
    }
    return true;
}

/* The bytes that are the same. */
static uint64_t equal_bits(const uint8_t *a, const uint8_t *b)
{
    uint64_t bits = 0;

    for (unsigned i = 0; i < LINE_BYTES; i++)
        bits |= (uint64_t)(a[i] == b[i]) << i;
    return bits;
}

void footprint_settle(struct footprint *f)
{
    for (uint64_t i = 0; i < f->used; i++) {
        struct line *l = &f->line[f->slot[i]];

        l->saved = l->saved && memory_peek(f->mem, (l->number - 1) * LINE_BYTES, l->after, LINE_BYTES);
        if (l->saved && l->written)
            l->kept = l->written & equal_bits(l->before, l->after);
    }
}

bool footprint_fits(struct footprint *f)
{
    if (f->everything || !f->mem)
        return false;
    for (uint64_t i = 0; i < f->used; i++) {
        struct line *l = &f->line[f->slot[i]];
        uint8_t now[LINE_BYTES];

        if (!l->read || !l->saved) /* what is not saved is no RAM: a device */
            continue;
        if (!memory_peek(f->mem, (l->number - 1) * LINE_BYTES, now, LINE_BYTES))
            return false;
        if (memcmp(now, l->before, LINE_BYTES) && (l->read & ~equal_bits(l->before, now)))
            return false;
    }
    for (uint64_t i = 0; i < f->used; i++) {
        struct line *l = &f->line[f->slot[i]];
        uint8_t now[LINE_BYTES];

        if (l->written && l->saved && memory_peek(f->mem, (l->number - 1) * LINE_BYTES, now, LINE_BYTES))
            l->kept = l->written & equal_bits(l->after, now);
    }
    return true;
}

bool footprint_conflicts(const struct footprint *f, bool write, uint64_t gpa, unsigned bytes)
{
    if (f->everything)
        return true;
    while (bytes) {
        uint64_t number = gpa / LINE_BYTES + 1, bits = take_bits(&gpa, &bytes);
        const struct line *l = &f->line[find(f, number)];

        if (l->number && (write ? (l->read | l->written) & bits : l->written & ~l->kept & bits))
            return true;
    }
    return false;
}

uint64_t footprint_reads(const struct footprint *f)
{
    uint64_t n = 0;

    for (uint64_t i = 0; i < f->used; i++)
        n += (uint64_t)__builtin_popcountll(f->line[f->slot[i]].read);
    return n;
}

uint64_t footprint_writes(const struct footprint *f)
{
    uint64_t n = 0;

    for (uint64_t i = 0; i < f->used; i++)
        n += (uint64_t)__builtin_popcountll(f->line[f->slot[i]].written);
    return n;
}

uint64_t footprint_changes(const struct footprint *f)
{
    uint64_t n = 0;

    for (uint64_t i = 0; i < f->used; i++)
        n += (uint64_t)__builtin_popcountll(f->line[f->slot[i]].written & ~f->line[f->slot[i]].kept);
    return n;
}
