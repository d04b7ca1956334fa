/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * snapshot: the whole machine at an exact boundary, to go back to in the same process. Snapshots form a tree; going
 * back costs in proportion to the pages that changed.
 *
 * Not here: files (a snapshot file holds registers by name and is portable; this one holds the engine's own contexts).
 */
#ifndef BOOTRACE_EMU_SNAPSHOT_H
#define BOOTRACE_EMU_SNAPSHOT_H

#include "emu/base/diag.h"

struct machine;
struct snapshot;

/* `parent` (may be NULL) is the snapshot that this run came from; it only saves room, and may be freed before `out`.
   Fails with EMU_EHOST. */
enum emu_err snapshot_take(struct machine *m, struct snapshot *parent, struct snapshot **out,
                           struct diag *d) EMU_MUST_CHECK;
/* Make `s` the machine as it is now. That is cheaper than a new snapshot: it costs in proportion to the pages written
   since `s` was taken or gone back to. If it fails, `s` can only be freed. */
enum emu_err snapshot_update(struct machine *m, struct snapshot *s, struct diag *d) EMU_MUST_CHECK;
/* Make the machine what it was, verdict and trace digest included; listeners stay. */
void snapshot_restore(struct machine *m, const struct snapshot *s);
void snapshot_free(struct machine *m, struct snapshot *s);

#endif
