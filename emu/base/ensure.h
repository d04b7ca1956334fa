/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ensure: our own mistakes. On in every build. A value that a guest or a case file controls never reaches it.
 *
 * Who runs a machine under decisions says how to print them: with a mistake of ours they are what makes it happen
 * again.
 */
#ifndef BOOTRACE_EMU_BASE_ENSURE_H
#define BOOTRACE_EMU_BASE_ENSURE_H

/* Prints to a file descriptor, from memory that may be in any state: it allocates nothing and takes no lock. */
struct ensure_reporter {
    void (*print)(int fd, const void *context); /* NULL: nothing is known */
    const void *context;
};

/* From now on this one is asked. Returns the one before, to be put back when `context` ends. */
struct ensure_reporter ensure_set_reporter(struct ensure_reporter reporter);

/* Print the condition, its place, and what the reporter knows, and abort. */
_Noreturn void ensure_failed(const char *file, int line, const char *condition);

#define ensure(cond) ((cond) ? (void)0 : ensure_failed(__FILE__, __LINE__, #cond))

#endif
