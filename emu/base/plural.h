/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plural: "1 step", "2 steps": the ending of a regular noun behind a count, in sentences for people.
 */
#ifndef BOOTRACE_EMU_BASE_PLURAL_H
#define BOOTRACE_EMU_BASE_PLURAL_H

#include <stdint.h>

static inline const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

#endif
