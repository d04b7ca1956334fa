/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ensure: our own mistakes. On in every build. A value that a guest or a case file controls never reaches it.
 */
#ifndef BOOTRACE_EMU_BASE_ENSURE_H
#define BOOTRACE_EMU_BASE_ENSURE_H

/* Print the condition and its place, and abort. */
_Noreturn void ensure_failed(const char *file, int line, const char *condition);

#define ensure(cond) ((cond) ? (void)0 : ensure_failed(__FILE__, __LINE__, #cond))

#endif
