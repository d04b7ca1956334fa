/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/campaign/fuzz_schedules.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/run/approach.h"
#include "cli/run/status.h"
#include "cli/run/console.h"
#include "cli/campaign/fuzz_case.h"
#include "cli/run/host_time.h"
#include "cli/run/json_text.h"
#include "cli/run/post_mortem.h"
#include "cli/run/same.h"
#include "emu/base/count.h"
#include "emu/base/plural.h"
#include "emu/snapshot.h"
#include "emu/vcpu.h"
#include "fuzz/search/minimise.h"
#include "fuzz/search/search.h"

#define RUNS_MAX_DEFAULT     10000u
#define STEPS_MAX_DEFAULT    20000000u
#define MINIMISE_RUNS_MAX    2000u
#define WINDOW_STEPS_DEFAULT 100000000u

enum emu_err fuzz_parse_source(const char *text, struct source *source, struct diag *d)
{
    static const struct {
        const char *name;
        enum decision_kind kind;
        bool has_number, is_vcpu;
    } names[] = {
        {"timer", DECISION_EXPIRE, false, false}, {"nmi", DECISION_NMI, false, false},
        {"vector", DECISION_VECTOR, true, false}, {"ipi", DECISION_IPI, true, false},
        {"irq", DECISION_IRQ, true, false},       {"upcall", DECISION_UPCALL, false, false},
        {"event", DECISION_EVENT, true, false},   {"late", DECISION_LATE, true, false},
        {"pass", DECISION_PASS, true, false},     {"plug", DECISION_PLUG, true, true},
        {"unplug", DECISION_UNPLUG, true, true},
    };
    size_t n = strcspn(text, ":");

    for (unsigned i = 0; i < COUNT(names); i++) {
        char line[96];
        struct decision decision;

        if (strlen(names[i].name) != n || strncmp(text, names[i].name, n) != 0)
            continue;
        if (names[i].has_number != (text[n] == ':'))
            return diag_set(d, EMU_EINPUT,
                            names[i].has_number ? "--inject %s wants a number, like %s:1"
                                                : "--inject %s takes no number%.0s",
                            names[i].name, names[i].name);
        *source = (struct source){.kind = names[i].kind, .vcpu = DECISION_ANY_VCPU};
        if (!names[i].has_number)
            return EMU_OK;
        if (strlen(text + n + 1) > 40)
            return diag_set(d, EMU_EINPUT, "--inject %s wants a number, not '%.40s...'", names[i].name, text + n + 1);
        /* The schedule's own parser knows which numbers are legal. */
        snprintf(line, sizeof(line), "then %s %s%s", names[i].name,
                 names[i].kind == DECISION_VECTOR || names[i].kind == DECISION_IPI ? "0 " : "", text + n + 1);
        if (decision_parse(line, &decision, d) != EMU_OK)
            return EMU_EINPUT;
        source->value = decision.value;
        if (names[i].is_vcpu)
            source->vcpu = decision.vcpu;
        return EMU_OK;
    }
    return diag_set(d, EMU_EINPUT,
                    "--inject takes timer, nmi, vector:N, ipi:N, irq:N, upcall, event:N, late:NS, pass:NS, plug:V and "
                    "unplug:V, not '%s'",
                    text);
}

struct view {
    struct console console;
    const struct fuzz_schedules *f;
    double started, shown;
    bool over; /* the time is used up */
};

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
    v->over = v->f->stop_at_s && now >= v->f->stop_at_s;
    return *v->f->interrupted || v->over;
}

/* How long the window is when nothing disturbs it, and that it does not fail by itself. */
static enum emu_err measure(const struct fuzz_schedules *f, struct guest *g, const struct snapshot *start,
                            const struct trial_end *end, uint64_t *window_steps, struct diag *d)
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
    *window_steps = machine_steps(m) - first;
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

static enum emu_err tell_failure(const struct fuzz_schedules *f, struct guest *g, const struct minimise_options *mo,
                                 struct search_failure *x, FILE *to, json_t *cases, struct diag *d)
{
    size_t before = x->schedule.count, decisions;
    uint64_t runs = 0;
    bool anchored = false;
    char place[160], path[FUZZ_CASE_PATH_BYTES] = "", *text = NULL;
    size_t bytes;
    FILE *memory;
    enum emu_err err = minimise(mo, &x->schedule, &x->verdict, &x->digest, &runs, d);

    if (err == EMU_OK)
        err = anchor_schedule(mo, &x->schedule, x->digest, &anchored, d);
    if (err != EMU_OK)
        return err;
    decisions = x->schedule.count - (anchored ? 1 : 0);
    post_mortem_place(g->symbols, x->verdict.rip_gva, place, sizeof(place));
    fprintf(to, "  %s: %s, at %s; first in run %" PRIu64 ", %" PRIu64 " run%s in all\n",
            verdict_kind_name(x->verdict.kind), x->verdict.text, place, x->run, x->count, plural(x->count));
    fprintf(to, "  minimised from %zu to %zu decision%s in %" PRIu64 " run%s%s:\n", before, decisions,
            plural(decisions), runs, plural(runs), anchored ? ", by anchors" : "");
    fuzz_case_print_schedule(&x->schedule, to);
    if (f->out) {
        char mechanism[512];

        snprintf(
            mechanism, sizeof(mechanism),
            "Found by `bootrace fuzz --strategy %s --window %s`, and minimised to %zu decision%s. Nobody has said yet "
            "why it fails.\n",
            f->strategy->name, f->window, decisions, plural(decisions));
        err = fuzz_case_write(f->out, f->window, mechanism, g, &x->schedule, &x->verdict, x->digest, path, d);
        if (err != EMU_OK)
            return err;
        fprintf(to, "  replay: bootrace replay %s\n", path);
    }
    memory = open_memstream(&text, &bytes);
    if (!memory)
        return diag_set(d, EMU_EHOST, "the host has no memory left");
    schedule_print(&x->schedule, memory);
    fclose(memory);
    json_array_append_new(cases, json_pack("{s:o, s:o?, s:o, s:o, s:I, s:I, s:I, s:o, s:o}", "verdict",
                                           json_text(verdict_kind_name(x->verdict.kind)), "detector",
                                           json_text(x->verdict.detector), "reason", json_text(x->verdict.text),
                                           "place", json_text(place), "run", (json_int_t)x->run, "count",
                                           (json_int_t)x->count, "decisions", (json_int_t)decisions, "schedule",
                                           json_text(text), "file", json_text(path)));
    free(text);
    return EMU_OK;
}

static enum emu_err find_reach(const struct fuzz_schedules *f, struct guest *g, struct trial_end *end, struct diag *d)
{
    struct symbol s;
    size_t n;

    if (!f->reach)
        return EMU_OK;
    n = g->symbols ? symbols_find_name(g->symbols, f->reach, &s) : 0;
    if (n != 1)
        return diag_set(d, EMU_EINPUT,
                        n ? "--reach %s: %zu symbols have this name" : "--reach %s: no symbol has this name", f->reach,
                        n);
    end->reach_rip_gva = s.start_gva;
    return EMU_OK;
}

int fuzz_schedules(const struct fuzz_schedules *f, struct guest *g, FILE *to, json_t **json, struct diag *d)
{
    struct trial_end end = {.steps_max = f->steps_max ? f->steps_max : STEPS_MAX_DEFAULT};
    struct approach approach = {.interrupted = f->interrupted, .stop_at_s = f->stop_at_s};
    struct view view = {.f = f, .started = host_time_s()};
    struct search_options o = {.machine = g->machine,
                               .symbols = g->symbols,
                               .strategy = f->strategy,
                               .runs_max = f->runs_max ? f->runs_max : RUNS_MAX_DEFAULT,
                               .failures_max = f->failures_max,
                               .progress = show,
                               .context = &view};
    struct minimise_options mo = {
        .machine = g->machine, .symbols = g->symbols, .start_anchor = f->start_anchor, .runs_max = MINIMISE_RUNS_MAX};
    struct search_report *r = calloc(1, sizeof(*r));
    struct snapshot *start = NULL;
    json_t *cases = json_array();
    uint64_t window_steps = 0;
    double seconds = 0;
    enum emu_err err = r ? find_reach(f, g, &end, d) : diag_set(d, EMU_EHOST, "the host has no memory left");
    int status;

    if (err == EMU_OK && g->options.same)
        err = same_new(g, g->options.same, end.steps_max, &approach, &g->same, d);
    end.same = g->same;
    if (err == EMU_OK)
        err = snapshot_take(g->machine, NULL, &start, d);
    if (err == EMU_OK)
        err = measure(f, g, start, &end, &window_steps, d);
    if (err == EMU_OK) {
        o.end = mo.end = end;
        o.strategy_options = (struct strategy_options){.sources = f->sources,
                                                       .interleave = machine_vcpus(g->machine) > 1,
                                                       .window_steps = window_steps,
                                                       .seed = f->seed ? f->seed : 1,
                                                       .depth = f->depth};
        memcpy(o.strategy_options.source, f->source, sizeof(f->source));
        fprintf(to, "window: %" PRIu64 " step%s; each run goes on for at most %" PRIu64 " step%s\n", window_steps,
                plural(window_steps), end.steps_max, plural(end.steps_max));
        err = search_run(&o, r, d);
        console_progress(&view.console, NULL);
        seconds = host_time_s() - view.started;
    }
    if (err == EMU_OK) {
        fprintf(to,
                "%s: %" PRIu64 " run%s in %.1f s (%.0f/s): %" PRIu64 " failing in %u way%s, %" PRIu64
                " out of budget, %" PRIu64 " left the model\n%s\n",
                f->strategy->name, r->runs, plural(r->runs), seconds, (double)r->runs / (seconds > 0 ? seconds : 1),
                r->by_kind[TRIAL_FAIL], r->failures, plural(r->failures), r->by_kind[TRIAL_BUDGET],
                r->by_kind[TRIAL_UNMODELLED], r->statement);
        if (view.over)
            fprintf(to, "stopped: the budget of %" PRIu64 " s is used up; %s\n", f->budget_s,
                    f->strategy == &strategy_preempt ? "a longer one makes the same runs first, and then more"
                                                     : "another --search-seed makes other runs");
        if (r->by_kind[TRIAL_UNMODELLED])
            fprintf(to, "  the first that left the model: %s\n", r->unmodelled.text);
        mo.start = start;
        for (unsigned i = 0; err == EMU_OK && i < r->failures; i++)
            err = tell_failure(f, g, &mo, &r->failure[i], to, cases, d);
    }
    status = *f->interrupted                         ? COMMAND_INTERRUPTED
             : err != EMU_OK                         ? approach_is_over(&approach) ? COMMAND_BUDGET : COMMAND_INPUT
             : r->by_kind[TRIAL_FAIL]                ? COMMAND_FAIL
             : r->by_kind[TRIAL_BUDGET] || view.over ? COMMAND_BUDGET
                                                     : COMMAND_PASS;
    if (err != EMU_OK && status != COMMAND_INPUT)
        diag_print(d, "bootrace fuzz", stderr);
    if (err == EMU_OK && json)
        *json = json_pack("{s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:I, s:I, s:b, s:f, s:o, s:O}", "window",
                          json_text(f->window), "strategy", json_text(f->strategy->name), "window_steps",
                          (json_int_t)window_steps, "runs", (json_int_t)r->runs, "failing",
                          (json_int_t)r->by_kind[TRIAL_FAIL], "budget", (json_int_t)r->by_kind[TRIAL_BUDGET],
                          "unmodelled", (json_int_t)r->by_kind[TRIAL_UNMODELLED], "first_failing_run",
                          (json_int_t)r->first_failing_run, "exhausted", r->exhausted, "decisions",
                          (json_int_t)r->decisions, "refused", (json_int_t)r->refused, "stopped", view.over, "host_s",
                          seconds, "assumptions", json_text(r->statement), "cases", cases);
    json_decref(cases);
    if (start) {
        snapshot_restore(g->machine, start);
        snapshot_free(g->machine, start);
    }
    if (r)
        search_report_fini(r);
    free(r);
    return status;
}
