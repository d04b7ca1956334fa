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
 * Add what a vmlinux says to a table not yet sealed: symbol table and debug data, or of a stripped one the kernel's own
 * tables. EMU_EINPUT: it has none of them, or can't be read; errors name the file.
 */
enum emu_err kernel_read_vmlinux(const char *path, struct symbols *s, struct kernel_vmlinux *has,
                                 struct diag *d) EMU_MUST_CHECK;

/* Read all of it, or nothing. Errors name the file. Free with kernel_fini, which also bears a zeroed struct. */
enum emu_err kernel_init(struct kernel *k, const char *path, struct diag *d) EMU_MUST_CHECK;
void kernel_fini(struct kernel *k);

/* Apply edits (models/linux/edit_text.h), in order, to the kernel's bytes where they are. EMU_EINPUT: one does not fit.
 */
enum emu_err kernel_edit(const struct kernel *k, const char *const *edit, unsigned edits,
                         const struct edit_memory *memory, struct diag *d) EMU_MUST_CHECK;

#endif
