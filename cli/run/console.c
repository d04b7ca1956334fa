/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/run/console.h"

#include <string.h>
#include <unistd.h>

#include "emu/base/count.h"
#include "emu/machine.h"
#include "models/xen/xen.h"

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

enum emu_err console_parse_stream(const char *text, enum console_stream *stream, struct diag *d)
{
    static const char *const names[] = {
        [CONSOLE_AUTO] = "auto", [CONSOLE_RING] = "ring", [CONSOLE_IO] = "io", [CONSOLE_BOTH] = "both"};

    for (unsigned i = 0; i < COUNT(names); i++) {
        if (!strcmp(text, names[i])) {
            *stream = (enum console_stream)i;
            return EMU_OK;
        }
    }
    return diag_set(d, EMU_EINPUT, "the console is auto, ring, io or both, not '%s'", text);
}

static bool is_wanted(struct console *c, uint64_t stream)
{
    bool is_io = stream == XEN_CONSOLE_HYPERCALL, is_ring = stream == XEN_CONSOLE_RING;

    c->ring_is_used |= is_ring;
    switch (c->stream) {
    case CONSOLE_AUTO:
        return !is_io || !c->ring_is_used;
    case CONSOLE_RING:
        return !is_io;
    case CONSOLE_IO:
        return !is_ring;
    case CONSOLE_BOTH:
        break;
    }
    return true;
}

void console_listen(struct machine *m, const struct trace_fact *fact, void *context)
{
    struct console *c = context;
    char byte = (char)fact->a;

    if (fact->kind != TRACE_CONSOLE || !is_wanted(c, fact->b))
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
