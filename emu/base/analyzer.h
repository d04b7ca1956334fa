/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * analyzer: marks where gcc's -fanalyzer (scripts/lint analyzer) is known to be wrong.
 *
 * It loses sight of memory whose only owner is an element of an array, where the array is reached through a pointer
 * that it can't follow, and reports a leak. Between the two marks it reports no leaks. LeakSanitizer still watches that
 * code in the sanitized tests.
 */
#ifndef BOOTRACE_EMU_BASE_ANALYZER_H
#define BOOTRACE_EMU_BASE_ANALYZER_H

#if defined(__GNUC__) && !defined(__clang__)
#define ANALYZER_LOSES_ELEMENTS_BEGIN                                                                                  \
    _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wanalyzer-malloc-leak\"")
#define ANALYZER_LOSES_ELEMENTS_END _Pragma("GCC diagnostic pop")
#else
#define ANALYZER_LOSES_ELEMENTS_BEGIN
#define ANALYZER_LOSES_ELEMENTS_END
#endif

#endif
