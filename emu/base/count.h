/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * count: the number of an array's elements, known when it is compiled.
 */
#ifndef BOOTRACE_EMU_BASE_COUNT_H
#define BOOTRACE_EMU_BASE_COUNT_H

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
