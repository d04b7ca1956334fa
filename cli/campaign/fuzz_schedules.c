/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/campaign/fuzz_schedules.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/campaign/fuzz_case.h"
#include "cli/run/approach.h"
#include "cli/run/console.h"
#include "cli/run/host_time.h"
#include "cli/run/json_text.h"
#include "cli/run/post_mortem.h"
#include "cli/run/same.h"
#include "cli/run/status.h"
#include "emu/base/plural.h"
#include "emu/snapshot.h"
#include "emu/vcpu.h"
#include "fuzz/search/failing_run.h"
#include "fuzz/search/search.h"

#define RUNS_MAX_DEFAULT     10000u
#define STEPS_MAX_DEFAULT    20000000u
#define MINIMISE_RUNS_MAX    2000u
#define SETTLE_STEPS_DEFAULT 20000u
#define WINDOW_STEPS_DEFAULT 100000000u

struct view {
    struct console console;
    const struct fuzz_schedules *f;
    struct guest *g;
    FILE *to;
    double started, shown;
    bool over;                              /* the time is used up */
    bool unwritten;                         /* a case could not be written, which was said */
    char (*as_found)[FUZZ_CASE_PATH_BYTES]; /* where each failure lies since it was found; "" if nowhere */
};

static bool is_over(void *context)
{
    struct view *v = context;

    v->over = v->over || (v->f->stop_at_s && host_time_s() >= v->f->stop_at_s);
    return *v->f->interrupted || v->over;
}

static bool show(void *context, const struct search_report *r)
{
    struct view *v = context;
    double now = host_time_s(), s = now - v->started;
    char line[200];

    if (now - v->shown > 0.2) {
        v->shown = now;
        snprintf(line, sizeof(line), "[%.1f s] %s: %" PRIu64 " run%s (%.0f/s), %" PRIu64 " failing in %u way%s", s,
                 v->f->strategy->name, r->runs, plural(r->runs), (double)r->runs / (s > 0 ? s : 1),
                 r->by_kind[TRIAL_FAIL], r->failures, plural(r->failures));
        console_progress(&v->console, line);
    }
    return is_over(v);
}

/* A failure that can't be written is still told, and the others are looked for. */
static void complain(struct view *v, const struct diag *d)
{
    v->unwritten = true;
    console_progress(&v->console, NULL);
    diag_print(d, "bootrace fuzz", stderr);
}

/* What was found is kept before anything can end this process. */
static enum emu_err keep_as_found(void *context, const struct search_report *r, unsigned index, struct diag *d)
{
    struct view *v = context;
    const struct search_failure *x = &r->failure[index];
    const struct fuzz_case c = {.folder = v->f->out,
                                .window = v->f->window,
                                .as_found = true,
                                .mechanism = "Found by `bootrace fuzz`, and neither played again nor minimised. Nobody "
                                             "has said yet why it fails.\n",
                                .schedule = &x->schedule,
                                .verdict = &x->verdict,
                                .digest = x->digest};

    if (v->f->out && fuzz_case_write(&c, v->g, v->as_found[index], d) != EMU_OK)
        complain(v, d);
    return EMU_OK;
}

/* How long the window is when nothing disturbs it, and that it does not fail by itself. */
static enum emu_err measure(const struct fuzz_schedules *f, struct guest *g, const struct snapshot *start,
                            const struct trial_end *end, struct strategy_options *o, struct diag *d)
{
    struct machine *m = g->machine;
    uint64_t first = machine_steps(m), sp = vcpu_gpr(m, GPR_RSP);
    unsigned vcpu = machine_current(m);
    struct machine_limits limits = {.steps_max =
                                        first + (f->window_steps_max ? f->window_steps_max : WINDOW_STEPS_DEFAULT),
                                    .until_rip_gva = f->end_rip_gva};
    enum machine_stop_reason why;
    struct schedule nothing;
    struct trial trial;

    do {
        why = machine_run(m, &limits);
    } while (why == MACHINE_STOPPED_ASKED ||
             (why == MACHINE_STOPPED_RIP && (machine_current(m) != vcpu || vcpu_gpr(m, GPR_RSP) < sp)));
    o->window_steps = machine_steps(m) - first;
    o->window_is_cut = f->end_rip_gva && why == MACHINE_STOPPED_STEPS;
    if (o->window_is_cut)
        o->end_rip_gva = 0;
    snapshot_restore(m, start);
    schedule_init(&nothing);
    if (trial_play(m, &nothing, g->symbols, end, &trial, d) != EMU_OK)
        return EMU_EINPUT;
    snapshot_restore(m, start);
    if (trial.kind == TRIAL_FAIL)
        return diag_set(d, EMU_EINPUT, "the undisturbed run fails already: %s", trial.verdict.text);
    if (trial.kind == TRIAL_UNMODELLED)
        return diag_set(d, EMU_EINPUT, "the undisturbed run leaves the model: %s", trial.verdict.text);
    return EMU_OK;
}

/* The minimised case takes the place of the one that was written when the failure was found. */
static void keep_minimised(struct view *v, const struct search_failure *x, size_t decisions, unsigned index,
                           char path[FUZZ_CASE_PATH_BYTES])
{
    char mechanism[512];
    const struct fuzz_case c = {.folder = v->f->out,
                                .window = v->f->window,
                                .mechanism = mechanism,
                                .schedule = &x->schedule,
                                .verdict = &x->verdict,
                                .digest = x->digest};
    struct diag d;

    snprintf(mechanism, sizeof(mechanism),
             "Found by `bootrace fuzz --strategy %s --window %s`, and minimised to %zu decision%s. Nobody has said yet "
             "why it fails.\n",
             v->f->strategy->name, v->f->window, decisions, plural(decisions));
    if (fuzz_case_write(&c, v->g, path, &d) != EMU_OK) {
        complain(v, &d);
        snprintf(path, FUZZ_CASE_PATH_BYTES, "%s", v->as_found[index]);
    } else if (v->as_found[index][0]) {
        unlink(v->as_found[index]);
    }
}

static enum emu_err add_json(const struct search_failure *x, const char *place, const struct minimised *how,
                             size_t decisions, const char *path, json_t *cases, struct diag *d)
{
    char *text = NULL;
    size_t bytes;
    FILE *memory = open_memstream(&text, &bytes);

    if (!memory)
        return diag_no_memory(d);
    schedule_print(&x->schedule, memory);
    fclose(memory);
    json_array_append_new(
        cases, json_pack("{s:o, s:o?, s:o, s:o, s:b, s:b, s:I, s:I, s:I, s:o, s:o}", "verdict",
                         json_text(verdict_kind_name(x->verdict.kind)), "detector", json_text(x->verdict.detector),
                         "reason", json_text(x->verdict.text), "place", json_text(place), "confirmed", how->confirmed,
                         "minimised", how->finished, "run", (json_int_t)x->run, "count", (json_int_t)x->count,
                         "decisions", (json_int_t)decisions, "schedule", json_text(text), "file", json_text(path)));
    free(text);
    return EMU_OK;
}

/* What can't be confirmed is a result too. Only the host's failure is an error. */
static enum emu_err tell_failure(struct view *v, const struct failing_run_options *mo, struct search_failure *x,
                                 unsigned index, json_t *cases, struct diag *d)
{
    size_t before = x->schedule.count, decisions;
    struct minimised how;
    bool anchored = false;
    char place[160], path[FUZZ_CASE_PATH_BYTES] = "";
    enum emu_err err = failing_run_minimise(mo, &x->schedule, &x->verdict, &x->digest, &how, d);

    if (err == EMU_OK && how.finished)
        err = failing_run_anchor(mo, &x->schedule, x->digest, &anchored, d);
    if (err == EMU_EHOST)
        return err;
    decisions = x->schedule.count - (anchored ? 1 : 0);
    post_mortem_place(v->g->symbols, x->verdict.rip_gva, place, sizeof(place));
    fprintf(v->to, "  %s: %s, at %s; first in run %" PRIu64 ", %" PRIu64 " run%s in all\n",
            verdict_kind_name(x->verdict.kind), x->verdict.text, place, x->run, x->count, plural(x->count));
    if (how.confirmed)
        fprintf(v->to, "  minimised from %zu to %zu decision%s in %" PRIu64 " run%s%s%s:\n", before, decisions,
                plural(decisions), how.runs, plural(how.runs), anchored ? ", by anchors" : "",
                *v->f->interrupted ? ", and then interrupted" : "");
    else
        fprintf(v->to, "  not confirmed: %s; not minimised, its %zu decision%s:\n",
                *v->f->interrupted ? "interrupted before it was played again"
                                   : "played again, it does not fail in this way",
                decisions, plural(decisions));
    fuzz_case_print_schedule(&x->schedule, v->to);
    if (v->f->out && how.confirmed)
        keep_minimised(v, x, decisions, index, path);
    else if (v->f->out)
        snprintf(path, sizeof(path), "%s", v->as_found[index]);
    if (path[0])
        fprintf(v->to, "  replay: bootrace replay %s\n", path);
    return add_json(x, place, &how, decisions, path, cases, d);
}

static enum emu_err find_reach(const struct fuzz_schedules *f, struct guest *g, struct trial_end *end, struct diag *d)
{
    struct symbol s;
    size_t n;

    if (!f->reach)
        return EMU_OK;
    n = g->symbols ? symbols_find_name(g->symbols, f->reach, &s) : 0;
    if (!n && g->symbols && f->reach[0] == '@')
        return symbols_resolve(g->symbols, f->reach, 0, &end->reach_rip_gva, d);
    if (n != 1)
        return diag_set(d, EMU_EINPUT,
                        n ? "--reach %s: %zu symbols have this name" : "--reach %s: no symbol has this name", f->reach,
                        n);
    end->reach_rip_gva = s.start_gva;
    return EMU_OK;
}

static void print_search(const struct view *v, const struct search_report *r, double seconds)
{
    const struct fuzz_schedules *f = v->f;

    fprintf(v->to,
            "%s: %" PRIu64 " run%s in %.1f s (%.0f/s): %" PRIu64 " failing in %u way%s, %" PRIu64
            " out of budget, %" PRIu64 " left the model\n%s\n",
            f->strategy->name, r->runs, plural(r->runs), seconds, (double)r->runs / (seconds > 0 ? seconds : 1),
            r->by_kind[TRIAL_FAIL], r->failures, plural(r->failures), r->by_kind[TRIAL_BUDGET],
            r->by_kind[TRIAL_UNMODELLED], r->statement);
    if (*f->interrupted)
        fprintf(v->to, "interrupted\n");
    else if (v->over)
        fprintf(v->to, "stopped: the budget of %" PRIu64 " s is used up; %s\n", f->budget_s,
                f->strategy == &strategy_preempt ? "a longer one makes the same runs first, and then more"
                                                 : "another --search-seed makes other runs");
    if (r->by_kind[TRIAL_UNMODELLED])
        fprintf(v->to, "  the first that left the model: %s\n", r->unmodelled.text);
    if (r->unlisted)
        fprintf(v->to, "  %" PRIu64 " failing run%s of further kinds %s not listed: %u kinds are\n", r->unlisted,
                plural(r->unlisted), r->unlisted == 1 ? "is" : "are", SEARCH_FAILURES_MAX);
}

static json_t *json_of(const struct view *v, const struct search_options *o, const struct search_report *r,
                       double seconds, json_t *cases)
{
    return json_pack("{s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:I, s:I, s:b, s:f, s:o, s:O}", "window",
                     json_text(v->f->window), "strategy", json_text(v->f->strategy->name), "window_steps",
                     (json_int_t)o->strategy_options.window_steps, "run_steps_max", (json_int_t)o->end.steps_max,
                     "runs", (json_int_t)r->runs, "failing", (json_int_t)r->by_kind[TRIAL_FAIL], "unlisted",
                     (json_int_t)r->unlisted, "budget", (json_int_t)r->by_kind[TRIAL_BUDGET], "unmodelled",
                     (json_int_t)r->by_kind[TRIAL_UNMODELLED], "first_failing_run", (json_int_t)r->first_failing_run,
                     "exhausted", r->exhausted, "decisions", (json_int_t)r->decisions, "refused",
                     (json_int_t)r->refused, "stopped", v->over, "host_s", seconds, "assumptions",
                     json_text(r->statement), "cases", cases);
}

/* Of a search that was made. Runs that left the model or their budget pass as little as what was not run. */
static int status_of(const struct view *v, const struct search_report *r)
{
    bool complete = !v->over && !r->by_kind[TRIAL_BUDGET] && !r->by_kind[TRIAL_UNMODELLED] &&
                    (r->exhausted || !v->f->strategy->covers);

    return *v->f->interrupted       ? COMMAND_INTERRUPTED
           : v->unwritten           ? COMMAND_ERROR
           : r->by_kind[TRIAL_FAIL] ? COMMAND_FAIL
           : complete               ? COMMAND_PASS
                                    : COMMAND_BUDGET;
}

/* Search, and tell what was found. The machine stands at the window's start, of which `start` is the snapshot. */
static enum emu_err search_and_tell(struct view *v, struct search_options *o, const struct snapshot *start,
                                    struct search_report *r, json_t **json, struct diag *d)
{
    const struct failing_run_options mo = {.machine = v->g->machine,
                                           .symbols = v->g->symbols,
                                           .start = start,
                                           .start_anchor = v->f->start_anchor,
                                           .end = o->end,
                                           .runs_max = MINIMISE_RUNS_MAX};
    json_t *cases = json_array();
    double seconds;
    enum emu_err err = search_run(o, r, d);

    console_progress(&v->console, NULL);
    seconds = host_time_s() - v->started;
    if (err == EMU_OK)
        print_search(v, r, seconds);
    for (unsigned i = 0; err == EMU_OK && i < r->failures; i++)
        err = tell_failure(v, &mo, &r->failure[i], i, cases, d);
    if (err == EMU_OK && json)
        *json = json_of(v, o, r, seconds, cases);
    json_decref(cases);
    return err;
}

int fuzz_schedules(const struct fuzz_schedules *f, struct guest *g, FILE *to, json_t **json, struct diag *d)
{
    struct approach approach = {.interrupted = f->interrupted, .stop_at_s = f->stop_at_s};
    struct view v = {.f = f, .g = g, .to = to, .started = host_time_s()};
    struct search_options o = {
        .machine = g->machine,
        .symbols = g->symbols,
        .strategy = f->strategy,
        .end = {.steps_max = f->steps_max ? f->steps_max : STEPS_MAX_DEFAULT, .interrupted = f->interrupted},
        .runs_max = f->runs_max ? f->runs_max : RUNS_MAX_DEFAULT,
        .failures_max = f->failures_max,
        .progress = show,
        .is_over = is_over,
        .found = keep_as_found,
        .context = &v};
    struct strategy_options *so = &o.strategy_options;
    struct search_report *r = calloc(1, sizeof(*r));
    struct snapshot *start = NULL;
    enum emu_err err;
    int status;

    v.as_found = calloc(SEARCH_FAILURES_MAX, sizeof(*v.as_found));
    err = r && v.as_found ? find_reach(f, g, &o.end, d) : diag_no_memory(d);
    if (err == EMU_OK && g->options.same)
        err = same_new(g, g->options.same, o.end.steps_max, &approach, &g->same, d);
    o.end.same = g->same;
    *so = (struct strategy_options){.sources = f->sources,
                                    .interleave = machine_vcpus(g->machine) > 1,
                                    .run_steps_max = o.end.steps_max,
                                    .end_rip_gva = f->end_rip_gva,
                                    .window_sp = vcpu_gpr(g->machine, GPR_RSP),
                                    .window_vcpu = machine_current(g->machine),
                                    .settle_steps = f->follow         ? 0
                                                    : f->settle_steps ? f->settle_steps
                                                                      : SETTLE_STEPS_DEFAULT,
                                    .seed = f->seed ? f->seed : 1,
                                    .depth = f->depth};
    memcpy(so->source, f->source, sizeof(f->source));
    if (err == EMU_OK)
        err = snapshot_take(g->machine, NULL, &start, d);
    if (err == EMU_OK)
        err = measure(f, g, start, &o.end, so, d);
    if (err == EMU_OK) {
        fprintf(to, "window: %" PRIu64 " step%s%s; each run goes on for at most %" PRIu64 " step%s\n", so->window_steps,
                plural(so->window_steps), so->window_is_cut ? ", where it is cut (--window-steps-max)" : "",
                o.end.steps_max, plural(o.end.steps_max));
        err = search_and_tell(&v, &o, start, r, json, d);
    }
    status = err == EMU_OK                 ? status_of(&v, r)
             : *f->interrupted             ? COMMAND_INTERRUPTED
             : approach_is_over(&approach) ? COMMAND_BUDGET
             : err == EMU_EINPUT           ? COMMAND_INPUT
                                           : COMMAND_ERROR;
    if (err != EMU_OK && status != COMMAND_INPUT)
        diag_print(d, "bootrace fuzz", stderr);
    if (start) {
        snapshot_restore(g->machine, start);
        snapshot_free(g->machine, start);
    }
    if (r)
        search_report_fini(r);
    free(r);
    free(v.as_found);
    return status;
}
