/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/base/diag.h"

#include <stdarg.h>
#include <string.h>

void diag_init(struct diag *d)
{
    memset(d, 0, sizeof(*d));
}

static void set_place(struct diag *d, const char *file, unsigned line)
{
    /* An empty name is one too: it comes from an unset variable of a script. */
    snprintf(d->file, sizeof(d->file), "%s", !file ? "" : *file ? file : "''");
    d->line = line;
}

enum emu_err diag_set(struct diag *d, enum emu_err err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    set_place(d, NULL, 0);
    vsnprintf(d->text, sizeof(d->text), fmt, ap);
    va_end(ap);
    return err;
}

enum emu_err diag_set_at(struct diag *d, enum emu_err err, const char *file, unsigned line, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    set_place(d, file, line);
    vsnprintf(d->text, sizeof(d->text), fmt, ap);
    va_end(ap);
    return err;
}

enum emu_err diag_no_memory(struct diag *d)
{
    return diag_set(d, EMU_EHOST, "the host has no memory left");
}

void diag_add_place(struct diag *d, const char *file, unsigned line)
{
    if (d->file[0] == '\0')
        set_place(d, file, line);
}

void diag_print(const struct diag *d, const char *program, FILE *to)
{
    fprintf(to, "%s: ", program);
    if (d->file[0] && d->line)
        fprintf(to, "%s:%u: ", d->file, d->line);
    else if (d->file[0])
        fprintf(to, "%s: ", d->file);
    fprintf(to, "%s\n", d->text);
}
