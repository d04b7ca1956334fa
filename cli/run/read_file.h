/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * read_file: a whole file that goes into the guest's memory.
 */
#ifndef BOOTRACE_CLI_RUN_READ_FILE_H
#define BOOTRACE_CLI_RUN_READ_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "emu/base/diag.h"

/* `what` names it in messages, like "initrd". The caller frees `*out`. EMU_EINPUT: it can't be read, is empty, or has
   more than `bytes_max` bytes, the guest's memory. */
enum emu_err read_file(const char *path, const char *what, size_t bytes_max, uint8_t **out, size_t *bytes,
                       struct diag *d) EMU_MUST_CHECK;

#endif
