/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * console: the guest's console bytes on their way to the user: to a stream as they come, kept apart from the progress
 * line, and matched line by line against a regular expression.
 */
#ifndef BOOTRACE_CLI_RUN_CONSOLE_H
#define BOOTRACE_CLI_RUN_CONSOLE_H

#include <regex.h>
#include <stdbool.h>
#include <stdio.h>

#include "emu/trace.h"

#define CONSOLE_LINE_BYTES 1024

struct console {
    FILE *to; /* NULL: nowhere */
    bool has_pattern;
    regex_t pattern;
    bool matched;  /* a line has matched */
    bool progress; /* a progress line is on the terminal */
    char line[CONSOLE_LINE_BYTES];
    size_t length;
    unsigned long bytes;
};

/* A trace_listener_fn; `context` is the struct console. Stops the machine when the pattern matches. */
void console_listen(struct machine *m, const struct trace_fact *fact, void *context);

/* Show, replace (and with NULL remove) the progress line on a terminal; nothing when stderr is none. */
void console_progress(struct console *c, const char *text);

#endif
