/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/run/console.h"

#include <unistd.h>

#include "emu/machine.h"

void console_progress(struct console *c, const char *text)
{
    if (!isatty(STDERR_FILENO))
        return;
    if (c->progress)
        fprintf(stderr, "\r\033[K");
    c->progress = text != NULL;
    if (text) {
        fprintf(stderr, "%s", text);
        fflush(stderr);
    }
}

void console_listen(struct machine *m, const struct trace_fact *fact, void *context)
{
    struct console *c = context;
    char byte = (char)fact->a;

    if (fact->kind != TRACE_CONSOLE)
        return;
    c->bytes++;
    if (c->to) {
        if (c->progress)
            console_progress(c, NULL);
        if (byte != '\r')
            putc(byte, c->to);
        if (byte == '\n')
            fflush(c->to);
    }
    if (byte != '\n' && byte != '\r' && byte != '\0' && c->length + 1 < sizeof(c->line))
        c->line[c->length++] = byte;
    if (byte == '\n') {
        c->line[c->length] = '\0';
        c->length = 0;
        if (c->has_pattern && !c->matched && regexec(&c->pattern, c->line, 0, NULL, 0) == 0) {
            c->matched = true;
            machine_stop(m);
        }
    }
}
