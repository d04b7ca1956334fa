/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * given_kernel: the kernel that BOOTRACE_KERNEL names, read as far as tests of models/linux need it.
 */
#ifndef BOOTRACE_TESTS_GIVEN_KERNEL_H
#define BOOTRACE_TESTS_GIVEN_KERNEL_H

#include "tests/cmocka_tap.h"

#include "models/image_formats.h"
#include "models/linux/kallsyms.h"
#include "models/linux/patch_tables.h"

/* Its symbols and its tables, or the test fails. The caller frees *img and the symbols. */
static inline struct symbols *given_kernel_read(struct image **img, struct kernel_view *v, struct patch_tables *t)
{
    struct symbols *s = symbols_new();
    struct diag d;

    diag_init(&d);
    if (image_load_file(getenv("BOOTRACE_KERNEL"), image_formats, img, &d) ||
        kernel_view_init(v, (*img)->bytes, (*img)->size, &d) || kallsyms_read(v, s, NULL, &d) || symbols_seal(s, &d) ||
        patch_tables_find(v, s, t, &d))
        fail_msg("%s", d.text);
    return s;
}

#endif
