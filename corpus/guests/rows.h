/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rows: how the row guests speak. Each makes one family's hypercalls, every case once, and prints a line a case:
 *
 *   row FAMILY.CASE RESULT [EFFECT]
 *
 * RESULT is the hypercall's, in decimal (a negative Xen errno on failure); EFFECT is what the call did, in words that
 * are the same in every run: no time, no domain number, no address. A row that needs a second vCPU is printed only
 * where there is one. The guests need Xen; without it they fail at once.
 */
#ifndef ROWS_H
#define ROWS_H

#include "hypercall.h"

#define ROW(name, result) printk("row %s %ld\n", name, (long)(result))
#define ROW_EFFECT(name, result, ...)                                                                                  \
    do {                                                                                                               \
        long result_ = (long)(result);                                                                                 \
        char effect_[128];                                                                                             \
        rows_format(effect_, sizeof effect_, __VA_ARGS__);                                                             \
        printk("row %s %ld %s\n", name, result_, effect_);                                                             \
    } while (0)

/* Not mapped: page 0. */
#define BAD_POINTER ((void *)0x10)
#define BAD_GFN     0x3fffffu
#define BAD_VCPU    4096u
#define BAD_DOMAIN  0x7abc
#define BAD_PORT    0x1fff0u

__attribute__((format(printf, 3, 4))) static inline void rows_format(char *out, size_t out_bytes, const char *format,
                                                                     ...)
{
    va_list args;
    va_start(args, format);
    format_text(out, out_bytes, format, args);
    va_end(args);
}

static inline void rows_begin(const char *family)
{
    if (!xen_present())
        guest_fail(1, "no Xen");
    printk("rows %s: %u-bit guest, %s vCPUs\n", family, (unsigned)sizeof(void *) * 8, cpu_count() > 1 ? "more" : "1");
}

static inline unsigned long frame_of(const void *at)
{
    return (uintptr_t)at >> 12;
}

#endif
