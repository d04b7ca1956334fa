/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * snapshot_file: the whole machine at an exact boundary as a file, to go on from in another process, on another
 * machine. docs/snapshot-file.md describes the format.
 *
 * ASSUMES: the guest's memory does not depend on what the TLB holds, which is not in a file: a guest that clears the
 * accessed bits of page-table entries and uses them on without flushing would find them set again earlier.
 *
 * Not in it: what watchers (watch.h) have seen, so a detector begins where the run is resumed; and a schedule's player.
 *
 * A file belongs to the build that wrote it (build_id.h) and to a case: a text that says what was booted and how; the
 * program understands it, here it is only kept. Every byte of a file is under a checksum (XXH3), so damage is found
 * when the file is opened. The checksums are no signature: a file from strangers runs their guest in a state that they
 * chose.
 */
#ifndef BOOTRACE_EMU_SNAPSHOT_FILE_H
#define BOOTRACE_EMU_SNAPSHOT_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "emu/base/diag.h"
#include "emu/build_id.h"
#include "emu/machine.h"

#define SNAPSHOT_FILE_FORMAT         2u
#define SNAPSHOT_FILE_CASE_BYTES_MAX (1u << 20)

/* Write the machine to `path`: first to a temporary file beside it, which is synchronised and renamed, so that `path`
   is what it was or the whole snapshot, whatever happens. `case_text` has no zero byte and is not too long. Nothing of
   the machine changes. EMU_EINPUT if `path` can't be written, EMU_EHOST if the host refuses otherwise. */
enum emu_err snapshot_file_write(struct machine *m, const char *case_text, const char *path,
                                 struct diag *d) EMU_MUST_CHECK;

struct snapshot_file;

struct snapshot_file_info {
    uint32_t format;
    char build[BUILD_ID_BYTES];
    uint64_t file_bytes;
    const char *case_text;
    uint64_t ram_bytes; /* the machine's configuration */
    unsigned vcpus;
    unsigned xen_version;
    uint64_t digest; /* machine_digest() */
    uint64_t steps;  /* of all vCPUs */
    uint64_t now_ns;
    uint64_t ram_pages; /* that are not zero */
};

/* Read a file into memory and check format, checksums and build. EMU_EINPUT, with a sentence about `path`, if it is no
   snapshot, is damaged, or is of another format or build. */
enum emu_err snapshot_file_open(const char *path, struct snapshot_file **out, struct diag *d) EMU_MUST_CHECK;
/* The same with bytes, which are copied; `name` is for the sentences. */
enum emu_err snapshot_file_open_bytes(const char *name, const uint8_t *bytes, size_t length, struct snapshot_file **out,
                                      struct diag *d) EMU_MUST_CHECK;
void snapshot_file_close(struct snapshot_file *f);
/* Valid until the file is closed. */
const struct snapshot_file_info *snapshot_file_info(const struct snapshot_file *f);
const char *snapshot_file_name(const struct snapshot_file *f);

/* Make `m` the machine that was written; machine_digest() says the same. `m` was made with the same configuration and
   has not run; what a loader put into its memory is replaced. Fails with EMU_EINPUT where the content does not fit `m`;
   then `m` can only be freed. */
enum emu_err snapshot_file_load(const struct snapshot_file *f, struct machine *m, struct diag *d) EMU_MUST_CHECK;

/* For tests and fuzzing: correct the checksums of changed bytes, if the header lets them be found. */
void snapshot_file_seal(uint8_t *bytes, size_t length);
/* Also for tests and fuzzing: believe the digest, steps and time that the machine has after loading, instead of those
   in the file. */
void snapshot_file_believe(struct snapshot_file *f);

/* Where snapshot_file_write() writes before it renames: `path` with this and six characters behind it, locked (flock)
   while the writer lives. */
#define SNAPSHOT_FILE_TEMPORARY ".new-"

#endif
