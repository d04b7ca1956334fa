/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/run/hotplug.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "emu/machine.h"

#define LINE_BYTES 256

static enum emu_err read_line(const char *text, struct hotplug *h, unsigned line, struct diag *d)
{
    struct hotplug_line *at = &h->at[h->count];
    char word[16], rest;
    int found = sscanf(text, "%" SCNu64 " %15s %u %c", &at->steps, word, &at->vcpu, &rest);

    if (found <= 0 && text[strspn(text, " \t\r\n")] == '\0')
        return EMU_OK;
    if (found != 3 || strchr(text, '-') || (strcmp(word, "plug") && strcmp(word, "unplug")))
        return diag_set_at(d, EMU_EINPUT, h->path, line,
                           "a line is 'STEPS plug VCPU' or 'STEPS unplug VCPU', not '%.*s'", (int)strcspn(text, "\r\n"),
                           text);
    if (at->vcpu == 0 || at->vcpu >= VCPUS_MAX)
        return diag_set_at(d, EMU_EINPUT, h->path, line, "a vCPU from 1 to %d can be plugged, not %u", VCPUS_MAX - 1,
                           at->vcpu);
    if (h->count && at->steps < at[-1].steps)
        return diag_set_at(d, EMU_EINPUT, h->path, line, "step %" PRIu64 " is before the line above", at->steps);
    if (h->count == HOTPLUG_MAX - 1)
        return diag_set_at(d, EMU_EINPUT, h->path, line, "more than %u requests", HOTPLUG_MAX - 1);
    at->kind = strcmp(word, "plug") ? DECISION_UNPLUG : DECISION_PLUG;
    at->line = line;
    h->count++;
    return EMU_OK;
}

enum emu_err hotplug_read(const char *path, struct hotplug *h, struct diag *d)
{
    FILE *f = fopen(path, "r");
    enum emu_err err = EMU_OK;
    char text[LINE_BYTES];

    h->path = path;
    h->count = 0;
    if (!f)
        return diag_set_at(d, EMU_EINPUT, path, 0, "can't be opened: %s", strerror(errno));
    for (unsigned line = 1; err == EMU_OK && fgets(text, sizeof(text), f); line++) {
        if (!strchr(text, '\n') && !feof(f)) {
            err = diag_set_at(d, EMU_EINPUT, path, line, "the line is too long");
            break;
        }
        text[strcspn(text, "#")] = '\0';
        err = read_line(text, h, line, d);
    }
    if (err == EMU_OK && ferror(f))
        err = diag_set_at(d, EMU_EINPUT, path, 0, "can't be read: %s", strerror(errno));
    fclose(f);
    return err;
}
