/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest_file: a whole file that goes into the guest's memory.
 */
#ifndef BOOTRACE_CLI_RUN_GUEST_FILE_H
#define BOOTRACE_CLI_RUN_GUEST_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "emu/base/diag.h"

/* `what` names it in messages, like "initrd". The caller frees `*out`. EMU_EINPUT: it can't be read, is empty, or is
   larger than the guest's memory of `ram_bytes`. */
enum emu_err guest_file_read(const char *path, const char *what, uint64_t ram_bytes, uint8_t **out, size_t *bytes,
                             struct diag *d) EMU_MUST_CHECK;

#endif
