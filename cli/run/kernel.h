/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kernel: a Linux image with its symbols and patch tables, as the sub-commands that look into one need it.
 */
#ifndef BOOTRACE_CLI_RUN_KERNEL_H
#define BOOTRACE_CLI_RUN_KERNEL_H

#include "emu/base/diag.h"
#include "emu/image/image.h"
#include "emu/image/symbols.h"
#include "models/linux/kernel_view.h"
#include "models/linux/patch_tables.h"

struct kernel {
    struct image *image;
    struct kernel_view view;
    struct symbols *symbols; /* sealed */
    struct patch_tables tables;
};

/* Read all of it, or nothing. Errors name the file. Free with kernel_fini, which also bears a zeroed struct. */
enum emu_err kernel_init(struct kernel *k, const char *path, struct diag *d) EMU_MUST_CHECK;
void kernel_fini(struct kernel *k);

#endif
