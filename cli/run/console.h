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

#include "emu/base/diag.h"
#include "emu/trace.h"

#define CONSOLE_LINE_BYTES 1024

/* A Xen guest has two consoles: its console ring, and console_io, which is Xen's own. Many kernels write to both. */
enum console_stream {
    CONSOLE_AUTO, /* the ring, once it is in use; what comes from neither is always shown */
    CONSOLE_RING,
    CONSOLE_IO,
    CONSOLE_BOTH, /* as they come */
};

/* "auto", "ring", "io" or "both". */
enum emu_err console_parse_stream(const char *text, enum console_stream *stream, struct diag *d) EMU_MUST_CHECK;

struct console {
    enum console_stream stream;
    bool ring_is_used;
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

/* Show or replace the progress line, or remove it (NULL). Does nothing if standard error is no terminal. */
void console_progress(struct console *c, const char *text);

#endif
