#include "fuzz/footprint.h"

#include <stdlib.h>
#include <string.h>

/* A hash of 64-byte lines, each with one bit a byte for "read first" and one for "written". */
#define LINE_BYTES 64u

struct line {
    uint64_t number;             /* gpa / LINE_BYTES + 1; 0 if free */
    uint64_t read, written, own; /* own: written, and dead */
};

struct footprint {
    struct line *line;
    uint64_t slots, used;
    uint64_t dead_from, dead_to;
    bool everything;
};

#define SLOTS_FIRST 4096u

enum emu_err footprint_new(struct footprint **out, struct diag *d)
{
    struct footprint *f = calloc(1, sizeof(*f));

    if (f) {
        f->slots = SLOTS_FIRST;
        f->line = calloc(f->slots, sizeof(*f->line));
    }
    if (!f || !f->line) {
        footprint_free(f);
        return diag_set(d, EMU_EHOST, "the host has no memory left");
    }
    *out = f;
    return EMU_OK;
}

void footprint_free(struct footprint *f)
{
    if (!f)
        return;
    free(f->line);
    free(f);
}

void footprint_clear(struct footprint *f)
{
    memset(f->line, 0, f->slots * sizeof(*f->line));
    f->used = 0;
    f->dead_from = f->dead_to = 0;
    f->everything = false;
}

void footprint_set_dead(struct footprint *f, uint64_t from_gpa, uint64_t to_gpa)
{
    f->dead_from = from_gpa;
    f->dead_to = to_gpa;
}

static struct line *find(const struct footprint *f, uint64_t number)
{
    uint64_t i = (number * 0x9e3779b97f4a7c15ull) >> 20;

    for (;; i++) {
        struct line *l = &f->line[i & (f->slots - 1)];

        if (!l->number || l->number == number)
            return l;
    }
}

static bool grow(struct footprint *f)
{
    struct footprint bigger = *f;

    bigger.slots = f->slots * 2;
    bigger.line = calloc(bigger.slots, sizeof(*bigger.line));
    if (!bigger.line)
        return false;
    for (uint64_t i = 0; i < f->slots; i++)
        if (f->line[i].number)
            *find(&bigger, f->line[i].number) = f->line[i];
    free(f->line);
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
    bits = (n == LINE_BYTES ? UINT64_MAX : (1ull << n) - 1) << at;
    *gpa += n;
    *bytes -= n;
    return bits;
}

bool footprint_add(struct footprint *f, bool write, uint64_t gpa, unsigned bytes)
{
    bool dead = write && gpa >= f->dead_from && gpa < f->dead_to;

    while (bytes) {
        uint64_t number = gpa / LINE_BYTES + 1, bits = take_bits(&gpa, &bytes);
        struct line *l;

        if (f->used * 2 >= f->slots && !grow(f)) {
            f->everything = true;
            return false;
        }
        l = find(f, number);
        if (!l->number) {
            l->number = number;
            f->used++;
        }
        if (dead)
            l->own |= bits;
        else if (write)
            l->written |= bits;
        else
            l->read |= bits & ~l->written & ~l->own;
    }
    return true;
}

bool footprint_conflicts(const struct footprint *f, bool write, uint64_t gpa, unsigned bytes)
{
    if (f->everything)
        return true;
    while (bytes) {
        uint64_t number = gpa / LINE_BYTES + 1, bits = take_bits(&gpa, &bytes);
        const struct line *l = find(f, number);

        if (l->number && ((l->written & bits) || (write && (l->read & bits))))
            return true;
    }
    return false;
}

uint64_t footprint_reads(const struct footprint *f)
{
    uint64_t n = 0;

    for (uint64_t i = 0; i < f->slots; i++)
        n += (uint64_t)__builtin_popcountll(f->line[i].read);
    return n;
}

uint64_t footprint_writes(const struct footprint *f)
{
    uint64_t n = 0;

    for (uint64_t i = 0; i < f->slots; i++)
        n += (uint64_t)__builtin_popcountll(f->line[i].written);
    return n;
}
