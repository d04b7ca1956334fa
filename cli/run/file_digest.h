/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * file_digest: what a case or a snapshot says of a file, to know later whether it is still the same.
 */
#ifndef BOOTRACE_CLI_RUN_FILE_DIGEST_H
#define BOOTRACE_CLI_RUN_FILE_DIGEST_H

#include <stdint.h>

#include "emu/base/diag.h"

#define FILE_DIGEST_TEXT_BYTES 33

struct file_digest {
    uint64_t xxh3;                         /* XXH3-64: cases */
    char xxh3_128[FILE_DIGEST_TEXT_BYTES]; /* XXH3-128 in hexadecimal digits: snapshots */
};

/* EMU_EINPUT: the file can't be opened or read. */
enum emu_err file_digest(const char *path, struct file_digest *out, struct diag *d) EMU_MUST_CHECK;

#endif
