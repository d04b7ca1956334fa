/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kernel: a Linux image with its symbols and patch tables, as the sub-commands that look into one need it.
 */
#ifndef BOOTRACE_CLI_RUN_KERNEL_H
#define BOOTRACE_CLI_RUN_KERNEL_H

#include "emu/base/diag.h"
#include "emu/image/image.h"
#include "emu/image/symbols.h"
#include "models/linux/edit.h"
#include "models/linux/kernel_view.h"
#include "models/linux/patch_tables.h"

struct kernel {
    struct image *image;
    struct kernel_view view;
    struct symbols *symbols; /* sealed */
    struct patch_tables tables;
};

struct kernel_vmlinux {      /* what a vmlinux has */
    size_t symbols;          /* in its symbol table */
    size_t functions, lines; /* in its debug data */
};

/*
 * Add the symbols of a vmlinux to a table that is not yet sealed: from its symbol table and debug data or, if it is
 * stripped, from the kernel's own tables. EMU_EINPUT: it has none of these, or can't be read; errors name the file.
 */
enum emu_err kernel_read_vmlinux(const char *path, struct symbols *s, struct kernel_vmlinux *has,
                                 struct diag *d) EMU_MUST_CHECK;

/* Read everything, or hold nothing. Errors name the file. kernel_fini() frees it, and accepts a zeroed struct too. */
enum emu_err kernel_init(struct kernel *k, const char *path, struct diag *d) EMU_MUST_CHECK;
void kernel_fini(struct kernel *k);

/* Apply edits (models/linux/edit_text.h), in order, to the kernel's bytes where they are. EMU_EINPUT: one does not fit.
 */
enum emu_err kernel_edit(const struct kernel *k, const char *const *edit, unsigned edits,
                         const struct edit_memory *memory, struct diag *d) EMU_MUST_CHECK;

#endif
