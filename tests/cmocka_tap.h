/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmocka, which wants these headers before its own; and running tests of which the last needs a kernel. */
#ifndef BOOTRACE_TESTS_CMOCKA_TAP_H
#define BOOTRACE_TESTS_CMOCKA_TAP_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

static inline size_t kernel_is_given(void)
{
    const char *path = getenv("BOOTRACE_KERNEL");

    return path && *path;
}

/* cmocka 1.1 reports a skipped test as failed, so without BOOTRACE_KERNEL the last one is filtered out. */
#define RUN_KERNEL_TEST_LAST(group, tests)                                                                             \
    (cmocka_set_skip_filter(kernel_is_given() ? NULL : (tests)[sizeof(tests) / sizeof(*(tests)) - 1].name),            \
     cmocka_run_group_tests_name(group, tests, NULL, NULL))

#endif
