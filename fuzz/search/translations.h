/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * translations: which pages of guest memory are page tables, and by which address spaces (CR3) they are reached. Who
 * writes a word of one changes what the accesses of every vCPU in such an address space may mean; the words that walks
 * read are not told one by one (engine.h), so a write to a table conflicts with all that is done in such a space.
 *
 * What is known only grows: a page that has become something else again counts as a table still. That makes conflicts
 * where there are none, and loses none. SDM Vol. 3A, "Paging": 32-bit, PAE and 4-level.
 */
#ifndef BOOTRACE_FUZZ_SEARCH_TRANSLATIONS_H
#define BOOTRACE_FUZZ_SEARCH_TRANSLATIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "emu/base/diag.h"

struct machine;
struct translations;

/* Spaces beyond so many share the last number. */
#define TRANSLATIONS_SPACES_MAX 64u

enum emu_err translations_new(struct machine *m, struct translations **out, struct diag *d) EMU_MUST_CHECK;
void translations_free(struct translations *t);

/* The number of the current vCPU's address space; its tables are looked at if it is new. */
unsigned translations_space(struct translations *t);
/* The current vCPU's instruction is about to write there: the spaces (one bit each) of which it is a table; 0 for most
   writes. */
uint64_t translations_of_write(struct translations *t, uint64_t gpa);
/* The host had no memory left: nothing complete can be said. */
bool translations_is_broken(const struct translations *t);

#endif
