/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/campaign/fuzz_keep.h"

#include <stdlib.h>
#include <string.h>

#include "cli/campaign/fuzz_case.h"
#include "cli/run/console.h"
#include "cli/run/json_text.h"
#include "emu/machine.h"
#include "emu/snapshot.h"
#include "emu/vcpu.h"
#include "fuzz/detect/torn_site.h"
#include "fuzz/search/failing_run.h"
#include "fuzz/search/search.h"

#define KEEP_MAX       8u /* cases of one source */
#define KEEP_TRIES_MAX 32u
#define TORN_STEPS_MAX 400000ull /* after its decision; the handler has come to the torn site by then */

struct fuzz_keep {
    const struct fuzz_exhaustive *f;
    struct guest *g;
    struct failing_run_options mo;
    struct snapshot *start;
    struct torn_site_detector torn;
    bool torn_is_attached;
};

/* One of the failures, as the search tells it. */
struct failure {
    const char *verdict, *reason, *place, *at, *torn;
    struct decision decision;
    json_t *told;
};

/* Play the decision from the window's start; with a site, that is watched. The steps up to the decision are the
   window's, and don't count. */
static enum emu_err play(struct fuzz_keep *k, const struct torn_site *site, const struct schedule *s,
                         struct trial *trial, struct diag *d)
{
    enum emu_err err = EMU_OK;

    snapshot_restore(k->g->machine, k->start);
    k->mo.end.steps_max = (site ? TORN_STEPS_MAX : FUZZ_KEEP_STEPS_MAX) + s->decision[0].at.steps -
                          vcpu_position(k->g->machine, machine_current(k->g->machine));
    if (site && !k->torn_is_attached)
        err = torn_site_attach(&k->torn, k->g->machine, site, d);
    else if (k->torn_is_attached)
        err = torn_site_watch(&k->torn, site, d);
    k->torn_is_attached |= site && err == EMU_OK;
    return err == EMU_OK ? trial_play(k->g->machine, s, k->g->symbols, &k->mo.end, trial, d) : err;
}

static enum emu_err write_case(struct fuzz_keep *k, const struct failure *one, const struct schedule *s,
                               const struct trial *trial, const char *torn, FILE *to, struct diag *d)
{
    char path[FUZZ_CASE_PATH_BYTES], mechanism[1536];
    const struct fuzz_case c = {.folder = k->f->out,
                                .window = k->f->window,
                                .mechanism = mechanism,
                                .schedule = s,
                                .verdict = &trial->verdict,
                                .digest = trial->digest};
    /* The bytes of torn code stand in the case's site. */
    const char *bytes = torn ? strstr(one->reason, " written: ") : NULL, *then = strstr(one->reason, "; then");
    int length = (int)(bytes ? (size_t)(bytes - one->reason) + strlen(" written") : strlen(one->reason));
    enum emu_err err;

    snprintf(mechanism, sizeof(mechanism),
             "Found by `bootrace fuzz --window %s`: an interrupt (%s) before %s. "
             "%.*s%s\n",
             k->f->window, decision_kind_name(one->decision.kind), one->place, length, one->reason,
             bytes && then ? then : "");
    k->g->options.torn_site = torn;
    err = fuzz_case_write(&c, k->g, path, d);
    k->g->options.torn_site = NULL;
    if (err != EMU_OK)
        return err;
    fprintf(to, "  %s\n", trial->verdict.text);
    fuzz_case_print_schedule(s, to);
    fprintf(to, "  replay: bootrace replay %s\n", path);
    json_object_set_new(one->told, "file", json_text(path));
    return EMU_OK;
}

/* *how: with TRIAL_FAIL it fails as a whole run too, and is a case now. */
static enum emu_err keep_one(struct fuzz_keep *k, const struct failure *one, enum trial_kind *how, FILE *to,
                             struct diag *d)
{
    struct torn_site site;
    struct schedule s;
    struct trial trial = {.kind = TRIAL_PASS};
    bool anchored, torn = false;
    enum emu_err err;

    schedule_init(&s);
    err = schedule_append(&s, &one->decision, d);
    if (err == EMU_OK && one->torn)
        err = torn_site_parse(one->torn, k->g->symbols, &site, d);
    if (err == EMU_OK && one->torn) {
        err = play(k, &site, &s, &trial, d);
        torn = trial.kind == TRIAL_FAIL;
    }
    if (err == EMU_OK && !torn)
        err = play(k, NULL, &s, &trial, d);
    *how = err == EMU_OK ? trial.kind : TRIAL_UNMODELLED;
    if (*how == TRIAL_FAIL)
        err = failing_run_anchor(&k->mo, &s, trial.digest, &anchored, d);
    if (*how == TRIAL_FAIL && err == EMU_OK)
        err = write_case(k, one, &s, &trial, torn ? one->torn : NULL, to, d);
    schedule_fini(&s);
    return err;
}

static struct failure failure_of(const struct fuzz_keep *k, const struct source *source, json_t *one)
{
    return (struct failure){
        .verdict = json_string_value(json_object_get(one, "verdict")),
        .reason = json_string_value(json_object_get(one, "reason")),
        .place = json_string_value(json_object_get(one, "place")),
        .at = json_string_value(json_object_get(one, "at")),
        .torn = json_string_value(json_object_get(one, "torn")),
        .told = one,
        .decision = fuzz_exhaustive_decision(source, machine_current(k->g->machine),
                                             (uint64_t)json_integer_value(json_object_get(one, "delivered"))),
    };
}

enum emu_err fuzz_keep_failures(struct fuzz_keep *k, const struct source *source, json_t *joined, FILE *to,
                                struct diag *d)
{
    json_t *failures = json_object_get(joined, "cases"), *one;
    struct console console = {.to = NULL};
    unsigned kept = 0, tries = 0;
    enum emu_err err = EMU_OK;
    const char *before = "";
    bool endless = false;
    size_t i;

    json_array_foreach(failures, i, one)
    {
        struct failure failure = failure_of(k, source, one);
        bool is_long = failure.verdict && !strcmp(failure.verdict, verdict_kind_name(VERDICT_BUDGET));
        enum trial_kind how;
        char line[96];

        /* Neighbours at one place are one failure. What comes to no end would take its time, place by place. */
        if (!failure.at || !failure.reason || !failure.place || (!strcmp(failure.at, before) && kept) ||
            *k->f->interrupted || kept == KEEP_MAX || tries == KEEP_TRIES_MAX || (is_long && endless))
            continue;
        tries++;
        snprintf(line, sizeof(line), "playing failure %zu of %zu as a whole run; %u kept", i + 1,
                 json_array_size(failures), kept);
        console_progress(&console, line);
        err = keep_one(k, &failure, &how, to, d);
        snapshot_restore(k->g->machine, k->start);
        if (err != EMU_OK)
            break;
        kept += how == TRIAL_FAIL;
        endless |= is_long && how != TRIAL_FAIL;
        if (how == TRIAL_FAIL)
            before = failure.at;
    }
    console_progress(&console, NULL);
    if (err == EMU_OK && kept == KEEP_MAX)
        fprintf(to, "  %u cases are kept of a source at most; the list above has all failures\n", KEEP_MAX);
    return err;
}

enum emu_err fuzz_keep_new(const struct fuzz_exhaustive *f, struct guest *g, const struct position *start_anchor,
                           struct fuzz_keep **out, struct diag *d)
{
    struct fuzz_keep *k = calloc(1, sizeof(*k));
    enum emu_err err;

    if (!k)
        return diag_no_memory(d);
    k->f = f;
    k->g = g;
    err = snapshot_take(g->machine, NULL, &k->start, d);
    if (err != EMU_OK) {
        free(k);
        return err;
    }
    k->mo = (struct failing_run_options){.machine = g->machine,
                                         .symbols = g->symbols,
                                         .start = k->start,
                                         .start_anchor = *start_anchor,
                                         .end = {.interrupted = f->interrupted, .same = g->same}};
    *out = k;
    return EMU_OK;
}

void fuzz_keep_free(struct fuzz_keep *k)
{
    if (!k)
        return;
    snapshot_free(k->g->machine, k->start);
    free(k);
}
