/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * snapshot_cache: a folder of snapshot files, so that a long way to a place is run only once. A file's name is its key:
 * a digest over everything that it depends on (the build, the case, the place). The folder may be shared by any number
 * of processes, which may be killed at any time: a file is whole or not there.
 *
 * It stays within a bound by deleting the files that were not used for the longest time (by the files' times; nothing
 * else here looks at the host's clock, and no run depends on it).
 */
#ifndef BOOTRACE_EMU_SNAPSHOT_CACHE_H
#define BOOTRACE_EMU_SNAPSHOT_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "emu/base/diag.h"
#include "emu/snapshot_file.h"

#define SNAPSHOT_CACHE_KEY_BYTES         33 /* hexadecimal digits and a zero */
#define SNAPSHOT_CACHE_FOLDER_BYTES      4096
#define SNAPSHOT_CACHE_BYTES_MAX_DEFAULT (4ull << 30)

struct snapshot_cache {
    char folder[SNAPSHOT_CACHE_FOLDER_BYTES];
    uint64_t bytes_max; /* of all files together */
};

/* Make the folder, and those above it, if need be. EMU_EINPUT if that is not possible. */
enum emu_err snapshot_cache_init(struct snapshot_cache *c, const char *folder, uint64_t bytes_max,
                                 struct diag *d) EMU_MUST_CHECK;

/* The key of a place (any text) of a case, for this build. */
void snapshot_cache_key(const char *case_text, const char *place, char key[SNAPSHOT_CACHE_KEY_BYTES]);

/* Open the file of `key`, which then counts as the one used last; `*out` is NULL if there is none. A file that is
   damaged, or was made by another build, is removed. Fails with EMU_EHOST only. */
enum emu_err snapshot_cache_get(const struct snapshot_cache *c, const char *key, struct snapshot_file **out,
                                struct diag *d) EMU_MUST_CHECK;
/* Write the machine as the file of `key`, then delete files until the rest is within the bound. */
enum emu_err snapshot_cache_put(const struct snapshot_cache *c, const char *key, struct machine *m,
                                const char *case_text, struct diag *d) EMU_MUST_CHECK;

struct snapshot_cache_entry {
    char key[SNAPSHOT_CACHE_KEY_BYTES];
    char path[SNAPSHOT_CACHE_FOLDER_BYTES + 64];
    uint64_t bytes;
    uint64_t used_ns; /* when it was used last, since 1970 */
};

/* All entries, the one used last first. The caller frees `*entries`. */
enum emu_err snapshot_cache_list(const struct snapshot_cache *c, struct snapshot_cache_entry **entries, size_t *count,
                                 struct diag *d) EMU_MUST_CHECK;
/* Drop what was not used for the longest time until the rest has at most `bytes_max`, and what killed processes left
   behind. How many entries were dropped is in `*dropped` if that is not NULL. */
enum emu_err snapshot_cache_trim(const struct snapshot_cache *c, uint64_t bytes_max, size_t *dropped,
                                 struct diag *d) EMU_MUST_CHECK;

#endif
