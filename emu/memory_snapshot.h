/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memory_snapshot: the content of all RAM at a moment, to go back to. Snapshots form a tree: the first one makes its
 * content the base of the memory, each later one holds what differs from that base, and shares pages with its parent.
 *
 * Going back costs in proportion to the pages written since, and keeps the host's page mappings. The pages
 * written since are known without looking at all of RAM (memory_state.h).
 */
#ifndef BOOTRACE_EMU_MEMORY_SNAPSHOT_H
#define BOOTRACE_EMU_MEMORY_SNAPSHOT_H

#include "emu/base/diag.h"

#include <stdint.h>

struct memory;
struct memory_snapshot;

/* `parent` may be NULL; it is where this run came from, and only saves room. */
enum emu_err memory_snapshot_take(struct memory *mem, struct memory_snapshot *parent, struct memory_snapshot **out,
                                  struct diag *d) EMU_MUST_CHECK;
/* Make `s` hold the present content, as if it were taken now. */
enum emu_err memory_snapshot_update(struct memory *mem, struct memory_snapshot *s, struct diag *d) EMU_MUST_CHECK;
/* Make RAM what it was when `s` was taken; translated code of changed pages becomes stale. */
void memory_snapshot_restore(struct memory *mem, const struct memory_snapshot *s);
void memory_snapshot_free(struct memory *mem, struct memory_snapshot *s);

/* How many pages it holds besides the base, and how many of them are its own. */
uint64_t memory_snapshot_pages(const struct memory_snapshot *s);
uint64_t memory_snapshot_own_pages(const struct memory_snapshot *s);

#endif
