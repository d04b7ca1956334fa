/* SPDX-License-Identifier: GPL-2.0-or-later */
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
    uint8_t *ours; /* a page that holds 1, and zeros in a child of fork() until memory_forked() */
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
    const struct memory_snapshot *synced; /* RAM was as in it when it was looked at last; NULL if none, or freed */
    struct {                              /* memory_open.c: the pages that may have been written since then */
        uint64_t *page;                   /* indices, in any order */
        uint64_t count;
        uint8_t *is; /* one bit a page: it is in the list */
        bool known;  /* the list is complete, but for what was written since `faults` */
        uint64_t faults;
        uint64_t idle; /* how often a page of the list was found unchanged, since they were protected */
        int userfault; /* by which the host protects pages; -1: it can't */
        bool forked;   /* this process is a child since it was looked at last */
    } open;
    struct memory_hole hole[MEMORY_HOLES_MAX];
    unsigned hole_count;
    bool holes_changed; /* since the engine looked */
    memory_watch_fn *watch;
    void *watch_context;
};

/* The index of a page among all RAM pages, from 0 without a gap; and back. */
uint64_t memory_page_index(const struct memory *mem, uint64_t ppn);
uint64_t memory_page_number(const struct memory *mem, uint64_t index);

/* Fill mem->written with the indices, ascending, of all pages that may differ from the base. */
void memory_find_written(struct memory *mem);

/* The same for pages that may have been written since they were protected last, in any order, to `list`; those are
   protected at once if `protect`. False if the host can't say. */
bool memory_scan_open(struct memory *mem, bool protect, uint64_t *list, uint64_t *count);

/*
 * The open pages: every page that may differ from what `synced` holds is in mem->open.page. A page that is not open
 * costs a page fault when it is written, and no page becomes open without one: so as long as the process's count of
 * faults stands still the list is complete, and nothing is scanned. Without the host's help (Linux 6.7's userfaultfd
 * for asynchronous write protection) all pages written since the base stay open.
 */
void memory_find_open(struct memory *mem);
void memory_add_open(struct memory *mem, uint64_t index); /* the host is about to write it */
/* RAM is as in `synced`: what has happened so far to the host's page tables is known. Protects the open pages, which
   empties the list, when most of them are never written. */
void memory_settle_open(struct memory *mem);
/* No page of the private mapping is written. */
void memory_reset_open(struct memory *mem);

/* The host changes page `index`: translated code of it is stale. */
void memory_mark_stale(struct memory *mem, uint64_t index);

static inline uint8_t *memory_page_host(const struct memory *mem, uint64_t index)
{
    return mem->range[0].host + (index << PAGE_SHIFT);
}

/* The digest of a page's content at its place; 0 for zeros. */
uint64_t memory_page_digest(const struct memory *mem, uint64_t index, const uint8_t *content);

#endif
