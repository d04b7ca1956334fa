/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz/search/translations.h"

#include <stdlib.h>
#include <string.h>

#include "emu/engine.h"
#include "emu/machine.h"
#include "emu/memory.h"
#include "emu/paging.h"
#include "emu/regs.h"

#define PTE_P     1u
#define PTE_PS    (1u << 7)
#define PTE_FRAME 0x000ffffffffff000ull

/* A page that is a table of this level: 1 is the last. One page may be of several levels. */
struct table {
    uint64_t key; /* page number << 3 | level; 0: free */
    uint64_t spaces;
    uint8_t entry_bytes;
};

struct space {
    uint64_t cr3;
    bool paged, pae, lma;
};

struct translations {
    struct machine *m;
    struct space space[TRANSLATIONS_SPACES_MAX];
    unsigned spaces, latest;
    struct table *table;
    unsigned bits;
    uint64_t tables;
    uint8_t *is_table; /* one bit a page of RAM */
    uint64_t pages;
    uint64_t unread_gpa; /* an entry that is written but not read again: what it links may be new */
    bool has_unread, broken;
};

static struct table *find(const struct table *table, unsigned bits, uint64_t key)
{
    uint64_t mask = (1ull << bits) - 1, i = key * 0x9e3779b97f4a7c15ull >> (64 - bits);

    while (table[i].key && table[i].key != key)
        i = (i + 1) & mask;
    return (struct table *)(uintptr_t)&table[i];
}

static bool grow(struct translations *t)
{
    struct table *bigger = calloc((size_t)2 << t->bits, sizeof(*bigger));

    if (!bigger)
        return false;
    for (uint64_t i = 0; i < 1ull << t->bits; i++)
        if (t->table[i].key)
            *find(bigger, t->bits + 1, t->table[i].key) = t->table[i];
    free(t->table);
    t->table = bigger;
    t->bits++;
    return true;
}

static bool is_link(uint64_t entry, unsigned level)
{
    return (entry & PTE_P) && level > 1 && !(level <= 3 && (entry & PTE_PS));
}

/* The page is a table of that level of these spaces, and so are those that it links. The depth is the level's. */
static void add(struct translations *t, uint64_t gpa, unsigned level, unsigned entry_bytes, uint64_t spaces)
{
    uint64_t page = gpa >> PAGE_SHIFT;
    uint8_t entries[PAGE_BYTES];
    struct table *x;

    if (page >= t->pages || t->broken)
        return;
    if (t->tables * 2 >= 1ull << t->bits && !grow(t)) {
        t->broken = true;
        return;
    }
    x = find(t->table, t->bits, page << 3 | level);
    if (x->key && !(spaces & ~x->spaces))
        return;
    t->tables += !x->key;
    x->key = page << 3 | level;
    x->spaces |= spaces;
    x->entry_bytes = (uint8_t)entry_bytes;
    t->is_table[page >> 3] |= (uint8_t)(1u << (page & 7));
    if (level == 1 || !memory_peek(machine_memory(t->m), page << PAGE_SHIFT, entries, sizeof(entries)))
        return;
    for (unsigned at = 0; at < PAGE_BYTES; at += entry_bytes) {
        uint64_t entry = 0;

        memcpy(&entry, entries + at, entry_bytes);
        if (is_link(entry, level))
            add(t, entry & PTE_FRAME, level - 1, entry_bytes, spaces);
    }
}

/* What an entry that was written links now. */
static void read_entry(struct translations *t)
{
    uint64_t gpa = t->unread_gpa & ~7ull, page = gpa >> PAGE_SHIFT;

    t->has_unread = false;
    for (unsigned level = 2; level <= 4; level++) {
        struct table x = *find(t->table, t->bits, page << 3 | level);

        for (unsigned at = 0; x.key && at < 8; at += x.entry_bytes) {
            uint64_t entry = 0;

            if (memory_peek(machine_memory(t->m), gpa + at, &entry, x.entry_bytes) && is_link(entry, level))
                add(t, entry & PTE_FRAME, level - 1, x.entry_bytes, x.spaces);
        }
    }
}

enum emu_err translations_new(struct machine *m, struct translations **out, struct diag *d)
{
    struct translations *t = calloc(1, sizeof(*t));

    if (!t)
        return diag_no_memory(d);
    t->m = m;
    t->bits = 12;
    t->pages = memory_range(machine_memory(m), 0).bytes >> PAGE_SHIFT;
    t->is_table = calloc(t->pages / 8 + 1, 1);
    t->table = calloc((size_t)1 << t->bits, sizeof(*t->table));
    if (!t->is_table || !t->table) {
        translations_free(t);
        return diag_no_memory(d);
    }
    *out = t;
    return EMU_OK;
}

void translations_free(struct translations *t)
{
    if (!t)
        return;
    free(t->table);
    free(t->is_table);
    free(t);
}

static void add_root(struct translations *t, const struct paging *p, unsigned number)
{
    uint64_t bit = 1ull << number;

    if (!(p->cr0 & CR0_PG))
        return;
    if (p->efer & EFER_LMA)
        add(t, p->cr3 & PTE_FRAME, 4, 8, bit);
    else if (p->cr4 & CR4_PAE)
        add(t, p->cr3 & PTE_FRAME, 3, 8, bit); /* the page of its four entries */
    else
        add(t, p->cr3 & PTE_FRAME, 2, 4, bit);
}

static bool is_space(const struct space *s, const struct paging *p)
{
    return s->paged == !!(p->cr0 & CR0_PG) && s->pae == !!(p->cr4 & CR4_PAE) && s->lma == !!(p->efer & EFER_LMA) &&
           (!s->paged || !((s->cr3 ^ p->cr3) & PTE_FRAME));
}

unsigned translations_space(struct translations *t)
{
    struct engine *e = machine_engine(t->m);
    struct paging p;
    unsigned number;

    if (t->spaces && engine_control_register(e, 3) == t->space[t->latest].cr3 && t->space[t->latest].paged)
        return t->latest;
    engine_get_paging(e, &p);
    for (unsigned i = 0; i < t->spaces; i++)
        if (is_space(&t->space[i], &p))
            return t->latest = i;
    if (t->has_unread)
        read_entry(t);
    number = t->spaces < TRANSLATIONS_SPACES_MAX ? t->spaces++ : TRANSLATIONS_SPACES_MAX - 1;
    if (number < TRANSLATIONS_SPACES_MAX - 1)
        t->space[number] =
            (struct space){.cr3 = p.cr3, .paged = p.cr0 & CR0_PG, .pae = p.cr4 & CR4_PAE, .lma = p.efer & EFER_LMA};
    add_root(t, &p, number);
    return t->latest = number;
}

uint64_t translations_of_write(struct translations *t, uint64_t gpa)
{
    uint64_t page = gpa >> PAGE_SHIFT, spaces = 0;

    if (page >= t->pages || !(t->is_table[page >> 3] >> (page & 7) & 1))
        return 0;
    if (t->has_unread)
        read_entry(t);
    for (unsigned level = 1; level <= 4; level++) {
        const struct table *x = find(t->table, t->bits, page << 3 | level);

        if (x->key)
            spaces |= x->spaces;
    }
    t->has_unread = true;
    t->unread_gpa = gpa;
    return spaces;
}

bool translations_is_broken(const struct translations *t)
{
    return t->broken;
}
