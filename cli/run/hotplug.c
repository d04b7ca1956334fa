/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/run/hotplug.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/run/parse.h"
#include "emu/machine.h"

#define LINE_BYTES 256
#define BLANKS     " \t\r\n"

/* WORD and the blanks behind it. */
static bool take_word(const char **text, const char *word)
{
    size_t length = strlen(word), blanks;

    if (strncmp(*text, word, length))
        return false;
    blanks = strspn(*text + length, BLANKS);
    *text += blanks ? length + blanks : 0;
    return blanks;
}

static enum emu_err read_line(const char *text, struct hotplug *h, unsigned line, struct diag *d)
{
    struct hotplug_line *at = &h->at[h->count];
    const char *next = text + strspn(text, BLANKS);
    enum decision_kind kind = DECISION_MARK;
    uint64_t vcpu = 0;

    if (!*next)
        return EMU_OK;
    if (parse_take_number(&next, UINT64_MAX, &at->steps) && strspn(next, BLANKS)) {
        next += strspn(next, BLANKS);
        if (take_word(&next, "plug"))
            kind = DECISION_PLUG;
        else if (take_word(&next, "unplug"))
            kind = DECISION_UNPLUG;
    }
    if (kind == DECISION_MARK || !parse_take_number(&next, UINT64_MAX, &vcpu) || next[strspn(next, BLANKS)])
        return diag_set_at(d, EMU_EINPUT, h->path, line,
                           "a line is 'STEPS plug VCPU' or 'STEPS unplug VCPU', not '%.*s'", (int)strcspn(text, "\r\n"),
                           text);
    if (vcpu == 0 || vcpu >= VCPUS_MAX)
        return diag_set_at(d, EMU_EINPUT, h->path, line, "a vCPU from 1 to %d can be plugged, not %" PRIu64,
                           VCPUS_MAX - 1, vcpu);
    if (h->count && at->steps < at[-1].steps)
        return diag_set_at(d, EMU_EINPUT, h->path, line, "step %" PRIu64 " is before the line above", at->steps);
    if (h->count == HOTPLUG_MAX - 1)
        return diag_set_at(d, EMU_EINPUT, h->path, line, "more than %u requests", HOTPLUG_MAX - 1);
    at->kind = kind;
    at->vcpu = (unsigned)vcpu;
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
