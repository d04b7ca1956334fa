/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memory: the guest-physical address space. RAM below and above the PCI hole, device windows, and nothing elsewhere.
 *
 * All access from the host goes through memory_read() and memory_write(), by copy. A host write to a page from which
 * the engine has translated code is remembered, so that the engine drops the stale translation before it runs again.
 * Not here: virtual addresses (paging.h), what a device does (model.h).
 */
#ifndef BOOTRACE_EMU_MEMORY_H
#define BOOTRACE_EMU_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "emu/base/diag.h"

#define PAGE_BYTES 4096u
#define PAGE_SHIFT 12

/* RAM ends below this address and goes on at 4 GiB, as Xen's toolstack lays a guest out (HVM_BELOW_4G_RAM_END). */
#define MEMORY_LOW_RAM_END_GPA 0xf0000000ull
#define MEMORY_HIGH_RAM_GPA    0x100000000ull

struct memory;

/* Reserve `ram_bytes` (a multiple of PAGE_BYTES) of zeroed RAM. Fails with EMU_EHOST if the host has no room. */
enum emu_err memory_new(uint64_t ram_bytes, struct memory **out, struct diag *d) EMU_MUST_CHECK;
/* The same with an area of host state behind the RAM, which no guest address reaches, but which digests and snapshots
   include: what lies there is saved and put back at the cost of the pages that changed. */
enum emu_err memory_new_with_area(uint64_t ram_bytes, uint64_t area_bytes, struct memory **out,
                                  struct diag *d) EMU_MUST_CHECK;
void *memory_area(struct memory *mem);
void memory_free(struct memory *mem);
/* In the child, after fork(): what the host says of "this process" is the child's from here on. The base of snapshots
   stays shared with the parent; neither makes a new one while it has snapshots. */
enum emu_err memory_forked(struct memory *mem, struct diag *d) EMU_MUST_CHECK;

uint64_t memory_ram_bytes(const struct memory *mem);

/* Copy `bytes` at `gpa`. False, and nothing copied, if any byte of it is not RAM. */
bool memory_read(const struct memory *mem, uint64_t gpa, void *dst, size_t bytes) EMU_MUST_CHECK;
bool memory_write(struct memory *mem, uint64_t gpa, const void *src, size_t bytes) EMU_MUST_CHECK;
bool memory_fill(struct memory *mem, uint64_t gpa, uint8_t byte, size_t bytes) EMU_MUST_CHECK;

/* Like memory_read(), but invisible to memory_watch(). For inspection only. */
bool memory_peek(const struct memory *mem, uint64_t gpa, void *dst, size_t bytes) EMU_MUST_CHECK;

/* Tell `fn` (NULL: nobody) of every memory_read, memory_write and memory_fill before it happens: what the machine and
   its models do to the guest's memory. Page walks and looking at code are not told. */
typedef void(memory_watch_fn)(void *context, bool write, uint64_t gpa, uint64_t bytes);
void memory_watch(struct memory *mem, memory_watch_fn *fn, void *context);

/* Whether the whole range is RAM. */
bool memory_is_ram(const struct memory *mem, uint64_t gpa, uint64_t bytes);

/*
 * Holes: pages of RAM that are no memory to the guest. memory_is_ram() is false for them and they can't be read or
 * written here, but their content stays (memory_peek()). The guest can read it; the guest's writes are lost.
 *
 * The list is not part of any state: whoever makes holes says so again after a snapshot was restored
 * (model->restored()).
 */
#define MEMORY_HOLES_MAX 1024u
struct memory_hole {
    uint64_t gpa, bytes; /* whole pages of RAM */
};
/* Exactly these are holes from now on: ascending, neither overlapping nor adjacent, at most MEMORY_HOLES_MAX. */
void memory_set_holes(struct memory *mem, const struct memory_hole *hole, unsigned count);
bool memory_is_hole(const struct memory *mem, uint64_t gpa);

/* The digest of the content of all RAM: a function of (gpa, bytes) only, incremental over pages changed since. */
uint64_t memory_digest(struct memory *mem);

/* For the engine: the host view of RAM range 0 (low) or 1 (high); bytes 0 if there is none. */
struct memory_range {
    uint64_t gpa;
    uint64_t bytes;
    uint8_t *host;
};
struct memory_range memory_range(const struct memory *mem, unsigned index);

/* For the engine: the holes, and whether they have changed since asked last. */
const struct memory_hole *memory_holes(const struct memory *mem, unsigned *count);
bool memory_pop_holes_changed(struct memory *mem);

/* For the engine: `ppn` holds translated code; and the pages among those that the host has written since asked last.
   memory_pop_stale() returns false when there are no more. */
void memory_set_code(struct memory *mem, uint64_t ppn);
bool memory_pop_stale(struct memory *mem, uint64_t *ppn);

#endif
