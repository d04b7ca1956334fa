/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/report/code_map.h"

#include <stdlib.h>
#include <string.h>

#include "emu/base/analyzer.h"
#include "emu/image/symbols.h"
#include "emu/vcpu.h"

#define PAGES_MAX        32768u /* a power of two; half of them are used at most */
#define TEXT_GUESS_BYTES (256ull << 20)

struct code_page { /* of guest-physical memory, as the guest executes it */
    uint64_t ppn;  /* + 1; 0 if free */
    uint64_t gva;  /* of its first byte; UINT64_MAX if unknown */
    uint8_t *executed;
};

bool code_map_init(struct code_map *c, struct machine *m, const struct symbols *symbols)
{
    *c = (struct code_map){.machine = m, .symbols = symbols};
    c->page = calloc(PAGES_MAX, sizeof(*c->page));
    return c->page != NULL;
}

void code_map_fini(struct code_map *c)
{
    for (unsigned i = 0; c->page && i < PAGES_MAX; i++)
        free(c->page[i].executed);
    free(c->page);
    memset(c, 0, sizeof(*c));
}

static struct code_page *find_page(const struct code_map *c, uint64_t ppn)
{
    for (uint64_t i = ppn * 0x9e3779b97f4a7c15ull >> 40;; i++) {
        struct code_page *p = &c->page[i % PAGES_MAX];

        if (!p->ppn || p->ppn == ppn + 1)
            return p;
    }
}

static struct code_page *make_page(struct code_map *c, uint64_t ppn)
{
    struct code_page *p = find_page(c, ppn);

    if (p->ppn)
        return p;
    if (c->pages == PAGES_MAX / 2)
        return NULL;
    *p = (struct code_page){.ppn = ppn + 1, .gva = UINT64_MAX};
    c->pages++;
    return p;
}

bool code_map_is_code(const struct code_map *c, uint64_t gva)
{
    struct symbol found;

    return c->symbols && symbols_find_address(c->symbols, gva, &found) &&
           (found.kind == 'T' || found.kind == 't' || found.kind == 'W');
}

ANALYZER_LOSES_ELEMENTS_BEGIN
void code_map_add(struct code_map *c, uint64_t gpa, unsigned bytes, uint64_t gva)
{
    struct code_page *p = make_page(c, gpa / PAGE_BYTES);

    if (!p)
        return;
    p->gva = gva - gpa % PAGE_BYTES;
    if (!c->text_gva && code_map_is_code(c, gva)) {
        c->text_gva = gva;
        c->text_gpa = gpa;
    }
    if (!p->executed)
        p->executed = calloc(PAGE_BYTES / 8, 1);
    if (!p->executed)
        return;
    for (unsigned i = gpa % PAGE_BYTES; i < gpa % PAGE_BYTES + bytes && i < PAGE_BYTES; i++)
        p->executed[i / 8] |= (uint8_t)(1u << i % 8);
}
ANALYZER_LOSES_ELEMENTS_END

bool code_map_was_executed(const struct code_map *c, uint64_t gpa, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        const struct code_page *p = find_page(c, (gpa + i) / PAGE_BYTES);
        unsigned at = (gpa + i) % PAGE_BYTES;

        if (p->executed && (p->executed[at / 8] >> at % 8 & 1))
            return true;
    }
    return false;
}

uint64_t code_map_gva(struct code_map *c, uint64_t gpa)
{
    struct code_page *p = make_page(c, gpa / PAGE_BYTES);
    uint64_t guess, back;

    if (!p)
        return UINT64_MAX;
    if (p->gva == UINT64_MAX && c->text_gva) {
        guess = (gpa - c->text_gpa) + c->text_gva;
        if (guess - c->text_gva + TEXT_GUESS_BYTES < 2 * TEXT_GUESS_BYTES &&
            vcpu_translate(c->machine, machine_current(c->machine), guess, &back) && back == gpa)
            p->gva = guess & ~(uint64_t)(PAGE_BYTES - 1);
        else
            p->gva = UINT64_MAX - 1; /* not code of the kernel */
    }
    return p->gva >= UINT64_MAX - 1 ? UINT64_MAX : p->gva + gpa % PAGE_BYTES;
}
