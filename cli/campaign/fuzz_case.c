/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/campaign/fuzz_case.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/case/outcome.h"
#include "cli/case/record.h"
#include "cli/run/post_mortem.h"

#define DECISIONS_SHOWN 12u

enum emu_err fuzz_case_write(const struct fuzz_case *c, struct guest *g, char path[FUZZ_CASE_PATH_BYTES],
                             struct diag *d)
{
    const struct verdict *v = c->verdict;
    struct outcome outcome;
    struct record r = {.guest = &g->options, .schedule = c->schedule, .outcome = &outcome, .mechanism = c->mechanism};
    enum emu_err err;

    path[0] = '\0';
    outcome_init(&outcome);
    outcome.verdict = v->kind;
    snprintf(outcome.detector, sizeof(outcome.detector), "%s", v->detector ? v->detector : "");
    snprintf(outcome.text, sizeof(outcome.text), "%s", v->text);
    outcome.rip_gva = v->rip_gva;
    outcome.is_quote = v->is_quote;
    post_mortem_place(g->symbols, v->rip_gva, outcome.place, sizeof(outcome.place));
    outcome_clean(outcome.text);
    outcome_clean(outcome.place);
    outcome.digest = c->digest;
    if (mkdir(c->folder, 0777) && errno != EEXIST)
        return diag_set_at(d, EMU_EINPUT, c->folder, 0, "can't be made: %s", strerror(errno));
    if (snprintf(path, FUZZ_CASE_PATH_BYTES, "%s/%s-%s-%08x%s.yaml", c->folder, c->window,
                 v->detector ? v->detector : "fail", (unsigned)c->digest,
                 c->as_found ? "-as-found" : "") >= FUZZ_CASE_PATH_BYTES)
        err = diag_set_at(d, EMU_EINPUT, c->folder, 0, "the path of a case in it is too long");
    else
        err = EMU_OK;
    for (char *x = path + strlen(c->folder); err == EMU_OK && *x; x++)
        if (*x == '#' || *x == ':') /* begin a fragment and a scheme in a URI, as SARIF has them */
            *x = '-';
    if (err == EMU_OK)
        err = record_write(&r, path, d);
    if (err != EMU_OK)
        path[0] = '\0';
    return err;
}

void fuzz_case_print_schedule(const struct schedule *s, FILE *to)
{
    char text[DECISION_TEXT_BYTES];

    for (size_t i = 0; i < s->count && i < DECISIONS_SHOWN; i++) {
        decision_print(&s->decision[i], text, sizeof(text));
        fprintf(to, "    %s\n", text);
    }
    if (s->count > DECISIONS_SHOWN)
        fprintf(to, "    ... (%zu more)\n", s->count - DECISIONS_SHOWN);
}
