/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/campaign/fuzz_case.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/case/outcome.h"
#include "cli/run/post_mortem.h"
#include "cli/case/record.h"

#define DECISIONS_SHOWN 12u

enum emu_err fuzz_case_write(const char *folder, const char *window, const char *mechanism, struct guest *g,
                             const struct schedule *s, const struct verdict *v, uint64_t digest,
                             char path[FUZZ_CASE_PATH_BYTES], struct diag *d)
{
    struct outcome outcome;
    struct record r = {.guest = &g->options, .schedule = s, .outcome = &outcome, .mechanism = mechanism};

    outcome_init(&outcome);
    outcome.verdict = v->kind;
    snprintf(outcome.detector, sizeof(outcome.detector), "%s", v->detector ? v->detector : "");
    snprintf(outcome.text, sizeof(outcome.text), "%s", v->text);
    outcome.rip_gva = v->rip_gva;
    outcome.is_quote = v->is_quote;
    post_mortem_place(g->symbols, v->rip_gva, outcome.place, sizeof(outcome.place));
    outcome_clean(outcome.text);
    outcome_clean(outcome.place);
    outcome.digest = digest;
    if (mkdir(folder, 0777) && errno != EEXIST)
        return diag_set_at(d, EMU_EINPUT, folder, 0, "can't be made: %s", strerror(errno));
    if (snprintf(path, FUZZ_CASE_PATH_BYTES, "%s/%s-%s-%08x.yaml", folder, window, v->detector ? v->detector : "fail",
                 (unsigned)digest) >= FUZZ_CASE_PATH_BYTES)
        return diag_set_at(d, EMU_EINPUT, folder, 0, "the path of a case in it is too long");
    for (char *c = path + strlen(folder); *c; c++)
        if (*c == '#') /* begins a fragment in a URI, as SARIF has them */
            *c = '-';
    return record_write(&r, path, d);
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
