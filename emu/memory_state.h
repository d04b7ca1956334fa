/*
 * memory_state: the insides of guest memory, for memory.c and memory_snapshot.c.
 *
 * RAM is a private mapping of a memfd. The memfd holds the base: zeros at first, and the content at the first snapshot
 * once there is one. The pages of the private mapping that are not the memfd's are exactly those written since (or
 * written before and put back): the host's page tables keep that list for us.
 */
#ifndef BOOTRACE_EMU_MEMORY_STATE_H
#define BOOTRACE_EMU_MEMORY_STATE_H

#include "emu/memory.h"

struct memory {
    uint64_t ram_bytes;
    struct memory_range range[2];
    int fd;        /* the RAM's memfd */
    int pagemap;   /* /proc/self/pagemap; -1 if the host has none */
    bool no_scan;  /* the host's kernel has no PAGEMAP_SCAN: the pagemap is read instead */
    uint8_t *base; /* the memfd, shared and read-only; NULL before the first snapshot */
    uint64_t base_digest;
    uint64_t *base_page_digest; /* of the base's pages, where base_page_known */
    uint8_t *base_page_known;   /* one bit a page */
    uint64_t snapshots;         /* that exist; while there are any, the base stays */
    uint8_t *code;              /* one bit a page: translated code comes from it */
    uint8_t *stale;             /* one bit a page: the host wrote a code page */
    uint64_t *stale_page;       /* page indices of those, a stack */
    uint64_t stale_count;
    uint64_t pages; /* of RAM, then of the area */
    uint64_t mapped_bytes;
    uint64_t *written; /* page indices, filled by memory_find_written() */
    uint64_t written_count;
    memory_watch_fn *watch;
    void *watch_context;
};

/* The index of a page among all RAM pages, from 0 without a gap; and back. */
uint64_t memory_page_index(const struct memory *mem, uint64_t ppn);
uint64_t memory_page_number(const struct memory *mem, uint64_t index);

/* Fill mem->written with the indices, ascending, of all pages that may differ from the base. */
void memory_find_written(struct memory *mem);

/* The host changes page `index`: translated code of it is stale. */
void memory_mark_stale(struct memory *mem, uint64_t index);

static inline uint8_t *memory_page_host(const struct memory *mem, uint64_t index)
{
    return mem->range[0].host + (index << PAGE_SHIFT);
}

/* The digest of a page's content at its place; 0 for zeros. */
uint64_t memory_page_digest(const struct memory *mem, uint64_t index, const uint8_t *content);

#endif
