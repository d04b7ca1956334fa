/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * snapshot_case: the case of a guest as the text in a snapshot file: digests of its files, its command line and its
 * machine, as one JSON object with sorted keys. The same case gives the same text, so the text is also a part of a
 * snapshot's key in the cache. docs/snapshot-file.md says what the keys are.
 */
#ifndef BOOTRACE_CLI_RUN_SNAPSHOT_CASE_H
#define BOOTRACE_CLI_RUN_SNAPSHOT_CASE_H

#include "cli/run/guest.h"
#include "emu/base/diag.h"

/* `o` is complete (guest_options_complete) and has an image. The caller frees `*text`. */
enum emu_err snapshot_case_print(const struct guest_options *o, char **text, struct diag *d) EMU_MUST_CHECK;

/* Fill in what `o` does not say from the case of the snapshot `name`, and refuse what contradicts that case. The texts
   that `o` then points to belong to `*keep`, for snapshot_case_free(). */
struct snapshot_case;
enum emu_err snapshot_case_apply(const char *name, const char *text, struct guest_options *o,
                                 struct snapshot_case **keep, struct diag *d) EMU_MUST_CHECK;
void snapshot_case_free(struct snapshot_case *c);

/* Whether the file is the Xen below the kernel in the case of a snapshot in a pv mode. */
bool snapshot_case_has_xen(const char *text, const char *path);

#endif
