/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/base/ensure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The only state of the program that no machine owns: it enters nothing but the last words of a process. */
static struct ensure_reporter ensure_reporter;

struct ensure_reporter ensure_set_reporter(struct ensure_reporter reporter)
{
    struct ensure_reporter before = ensure_reporter;

    ensure_reporter = reporter;
    return before;
}

void ensure_failed(const char *file, int line, const char *condition)
{
    struct ensure_reporter reporter = ensure_set_reporter((struct ensure_reporter){NULL, NULL});
    char text[512];

    snprintf(text, sizeof(text), "bootrace: internal error: %s:%d: ensure(%s) failed; this is a bug in bootrace\n",
             file, line, condition);
    (void)!write(STDERR_FILENO, text, strlen(text));
    if (reporter.print) /* taken away: a mistake in it comes here again */
        reporter.print(STDERR_FILENO, reporter.context);
    abort();
}
