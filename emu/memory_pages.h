/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memory_pages: the content of guest RAM, page by page, for code that stores it elsewhere. Pages are counted from 0
 * without a gap where the PCI hole is. Zeros are what is not listed.
 */
#ifndef BOOTRACE_EMU_MEMORY_PAGES_H
#define BOOTRACE_EMU_MEMORY_PAGES_H

#include <stdint.h>

struct memory;

/* The pages of RAM; a page number is less. */
uint64_t memory_pages_count(const struct memory *mem);
/* Fill `list` (memory_pages_count() entries) with the numbers, ascending, of the pages that are not all zero; how many
   there are. Its cost is in proportion to the pages that were ever touched. */
uint64_t memory_pages_list(struct memory *mem, uint64_t *list);
/* Copy `count` pages from `first` on, out or in. */
void memory_pages_read(const struct memory *mem, uint64_t first, uint64_t count, void *to);
void memory_pages_write(struct memory *mem, uint64_t first, uint64_t count, const void *from);
/* Make all RAM zero, as when it was made. */
void memory_pages_clear(struct memory *mem);

#endif
