/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/run/diverge.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/run/child.h"

#define PLACES_PER_ROUND 256u
#define ARGUMENTS_MAX    12u
#define ROUNDS_MAX       12u /* 256^12 steps are more than there are */

struct line {
    uint64_t step, digest;
    char place[512];
};

static bool read_line(const char **text, struct line *l)
{
    size_t length = strcspn(*text, "\n");
    const char *digest, *place;
    char *end;

    l->step = strtoull(*text, &end, 10);
    digest = end;
    l->digest = strtoull(digest, &end, 16);
    place = end + strspn(end, " ");
    if (digest == *text || end == digest || place > *text + length)
        return false;
    snprintf(l->place, sizeof(l->place), "%.*s", (int)(*text + length - place), place);
    *text += length + ((*text)[length] == '\n');
    return true;
}

static enum emu_err start(struct child *c, const char *program, const char *const *arguments, const char *digests,
                          struct diag *d)
{
    const char *argv[ARGUMENTS_MAX + 5] = {"bootrace", "replay", "--quiet", digests};
    unsigned n = 4;

    for (unsigned i = 0; arguments[i] && i < ARGUMENTS_MAX; i++)
        argv[n++] = arguments[i];
    argv[n] = NULL;
    return child_start(c, program, (char *const *)(uintptr_t)argv, d);
}

/* The first of these places at which the two differ; `before` is the last equal one. Neither differs: false. */
static bool compare(const struct child *ours, const struct child *theirs, struct line *before, struct line *a,
                    struct line *b)
{
    const char *one = child_output(ours), *other = child_output(theirs);

    for (;;) {
        bool more = read_line(&one, a), more_there = read_line(&other, b);

        if (!more && !more_there)
            return false;
        if (!more || !more_there) { /* one run has ended */
            if (!more)
                *a = (struct line){.step = b->step};
            else
                *b = (struct line){.step = a->step};
            return true;
        }
        if (a->digest != b->digest || a->step != b->step || strcmp(a->place, b->place))
            return true;
        *before = *a;
    }
}

static enum emu_err one_round(const char *const *arguments, const char *program, const char *digests,
                              struct child pair[2], struct diag *d)
{
    enum emu_err err = start(&pair[0], NULL, arguments, digests, d);
    unsigned ended = 0;

    if (err != EMU_OK)
        return err;
    err = start(&pair[1], program, arguments, digests, d);
    if (err != EMU_OK) {
        child_fini(&pair[0]);
        return err;
    }
    while (ended < 2)
        ended += child_wait_any(pair, 2, -1) >= 0;
    for (unsigned i = 0; i < 2; i++) {
        if (*child_output(&pair[i]))
            continue;
        err = diag_set(d, EMU_EINPUT, "%s gives no digests: %.*s", i ? program : "this program",
                       (int)strcspn(child_errors(&pair[i]), "\n"), child_errors(&pair[i]));
        child_fini(&pair[0]);
        child_fini(&pair[1]);
        return err;
    }
    return EMU_OK;
}

enum emu_err diverge_find(const char *const *arguments, const char *program, uint64_t last_step,
                          struct first_difference *found, struct diag *d)
{
    uint64_t first = 0, last = last_step;

    memset(found, 0, sizeof(*found));
    for (unsigned round = 0; round < ROUNDS_MAX; round++) {
        uint64_t every = (last - first) / PLACES_PER_ROUND + 1;
        struct line before = {.place = ""}, a, b;
        struct child pair[2];
        char digests[96];
        enum emu_err err;
        bool differ;

        snprintf(digests, sizeof(digests), "--digests=%" PRIu64 ",%" PRIu64 ",%" PRIu64, first, every, last);
        err = one_round(arguments, program, digests, pair, d);
        if (err != EMU_OK)
            return err;
        differ = compare(&pair[0], &pair[1], &before, &a, &b);
        child_fini(&pair[0]);
        child_fini(&pair[1]);
        if (!differ)
            return EMU_OK;
        if (every == 1 || a.step == first) {
            *found = (struct first_difference){.found = true, .step = a.step, .ours = a.digest, .theirs = b.digest};
            snprintf(found->before, sizeof(found->before), "%s", before.place);
            return EMU_OK;
        }
        last = a.step;
        first = a.step > every ? a.step - every : 0;
    }
    return EMU_OK;
}
