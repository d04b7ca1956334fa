/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * read_file: a whole file, of a kind that has a largest size. It need not be a regular file.
 */
#ifndef BOOTRACE_EMU_BASE_READ_FILE_H
#define BOOTRACE_EMU_BASE_READ_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "emu/base/diag.h"

/* The caller frees `*out`, which is never NULL on success, also for an empty file. EMU_EINPUT: the file can't be
   opened or read, or has more than `bytes_max` bytes; then the sentence is `too_large`. */
enum emu_err read_file(const char *path, size_t bytes_max, const char *too_large, uint8_t **out, size_t *bytes,
                       struct diag *d) EMU_MUST_CHECK;

#endif
