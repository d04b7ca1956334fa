/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz/search/search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emu/base/ensure.h"
#include "emu/decide.h"
#include "emu/image/symbols.h"
#include "emu/player.h"
#include "emu/snapshot.h"
#include "emu/vcpu.h"
#include "fuzz/detect/divergence.h"

/* A strategy that lets no vCPU make a step for so long has lost its way: the run is over. */
#define STILL_MAX 10000u
/* Between two looks at whether a signal came. */
#define SLICE_STEPS 1000000u

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && !strcmp(a, b));
}

bool trial_is_same_failure(const struct verdict *a, const struct verdict *b, const struct symbols *symbols)
{
    struct symbol x, y;
    bool has_x, has_y;

    if (a->kind != b->kind || !same_text(a->detector, b->detector) || a->is_quote != b->is_quote ||
        (a->is_quote && !verdict_texts_agree(a->text, b->text)))
        return false;
    if (!symbols)
        return a->rip_gva == b->rip_gva;
    has_x = symbols_find_address(symbols, a->rip_gva, &x);
    has_y = symbols_find_address(symbols, b->rip_gva, &y);
    return has_x == has_y && (has_x ? x.start_gva == y.start_gva : a->rip_gva == b->rip_gva);
}

void trial_conclude(struct machine *m, uint64_t start_steps, bool reached, const struct trial_end *end, struct trial *o)
{
    const struct verdict *v = machine_verdict(m);

    if (!reached)
        machine_conclude(m);
    o->verdict = *v;
    o->steps = machine_steps(m) - start_steps;
    o->digest = 0;
    switch (v->kind) {
    case VERDICT_FAIL:
        o->kind = TRIAL_FAIL;
        o->digest = machine_digest(m);
        return;
    case VERDICT_PASS:
        o->kind = TRIAL_PASS;
        return;
    case VERDICT_NONE:
        o->kind = reached || !end->reach_rip_gva ? TRIAL_PASS : TRIAL_BUDGET;
        if (end->same && !divergence_was_compared(end->same))
            o->kind = TRIAL_BUDGET;
        return;
    case VERDICT_BUDGET:
        o->kind = TRIAL_BUDGET;
        return;
    case VERDICT_UNMODELLED:
    case VERDICT_ERROR:
    case VERDICT_INTERRUPTED:
        break;
    }
    o->kind = TRIAL_UNMODELLED;
}

enum emu_err trial_play(struct machine *m, const struct schedule *schedule, const struct symbols *symbols,
                        const struct trial_end *end, struct trial *trial, struct diag *diag)
{
    uint64_t start = machine_steps(m), last = start + end->steps_max;
    struct machine_limits limits = {.until_rip_gva = end->reach_rip_gva};
    enum machine_stop_reason why;
    struct player player;
    bool goes_on, interrupted;

    memset(trial, 0, sizeof(*trial));
    player_init(&player, m, schedule, symbols_resolve, symbols, NULL);
    do {
        uint64_t now = machine_steps(m);
        enum emu_err err;

        limits.steps_max = last - now > SLICE_STEPS ? now + SLICE_STEPS : last;
        err = player_run(&player, &limits, &why, diag);
        if (err != EMU_OK)
            return err;
        goes_on = why == MACHINE_STOPPED_ASKED || (why == MACHINE_STOPPED_STEPS && machine_steps(m) < last);
        interrupted = goes_on && end->interrupted && *end->interrupted;
    } while (goes_on && !interrupted);
    trial_conclude(m, start, why == MACHINE_STOPPED_RIP, end, trial);
    if (interrupted)
        trial->kind = TRIAL_BUDGET;
    return EMU_OK;
}

/* ---- one run under a strategy ---- */

struct run {
    struct machine *m;
    const struct search_options *o;
    struct search_report *r;
    void *state;
    struct trial trial;
    uint64_t start_steps, end_steps;
    int pinned;     /* the vCPU that the last recorded decision lets run alone; -1 if none */
    unsigned still; /* moves in a row that led nowhere */
    bool over, reached;
    bool lost;      /* it was ended since nobody made a step any more */
    bool abandoned; /* … since the search is over */
    struct diag *diag;
};

enum emu_err search_decide(struct machine *m, struct decision d, struct schedule *schedule, bool *legal,
                           struct diag *diag)
{
    enum emu_err err;

    d.at = (struct position){.kind = POSITION_STEPS, .vcpu = machine_current(m)};
    d.at.steps = vcpu_position(m, d.at.vcpu);
    err = machine_decide(m, &d, diag);
    *legal = err == EMU_OK;
    if (err == EMU_EINPUT)
        return EMU_OK;
    return err == EMU_OK ? schedule_append(schedule, &d, diag) : err;
}

static enum emu_err decide(struct run *run, struct decision d, bool *legal)
{
    enum emu_err err = search_decide(run->m, d, &run->trial.schedule, legal, run->diag);

    run->pinned = -1;
    run->r->decisions++;
    if (err == EMU_OK && !*legal) {
        run->r->refused++;
        run->trial.refused++;
    }
    return err;
}

/* machine_run() with a look now and then whether the search is over. */
static enum machine_stop_reason run_on(struct run *run, const struct machine_limits *limits)
{
    struct machine_limits slice = *limits;
    enum machine_stop_reason why;

    for (;;) {
        uint64_t now = machine_steps(run->m);

        slice.steps_max = limits->steps_max - now > SLICE_STEPS ? now + SLICE_STEPS : limits->steps_max;
        why = machine_run(run->m, &slice);
        if (why != MACHINE_STOPPED_ASKED &&
            (why != MACHINE_STOPPED_STEPS || machine_steps(run->m) >= limits->steps_max))
            return why;
        run->abandoned = search_is_over(run->o);
        if (run->abandoned)
            return why;
    }
}

static enum emu_err go(struct run *run, const struct move *move)
{
    struct machine *m = run->m;
    uint64_t now = machine_steps(m);
    struct machine_limits limits = {.steps_max = run->end_steps,
                                    .until_rip_gva = run->o->end.reach_rip_gva,
                                    .until_runnable = move->until_runnable};
    enum machine_stop_reason why;
    bool alone = move->only >= 0;

    if (move->steps < run->end_steps - now)
        limits.steps_max = now + (move->steps ? move->steps : 1);
    if (alone && run->pinned != move->only) {
        enum emu_err err = decide(
            run,
            (struct decision){.kind = DECISION_RUN_TO, .vcpu = (unsigned)move->only, .to.vcpu = (unsigned)move->only},
            &alone);

        if (err != EMU_OK)
            return err;
        if (alone)
            run->pinned = move->only;
        else
            limits.steps_max = now + 1 < run->end_steps ? now + 1 : run->end_steps;
    } else if (!alone) {
        run->pinned = -1;
    }
    if (alone) {
        limits.pinned = limits.pinned_until_waits = true;
        limits.vcpu = (unsigned)move->only;
    }
    why = run_on(run, &limits);
    if (alone) { /* it was let run to here */
        struct decision *d = &run->trial.schedule.decision[run->trial.schedule.count - 1];

        d->to.kind = POSITION_STEPS;
        d->to.steps = vcpu_position(m, d->vcpu);
    }
    run->reached = why == MACHINE_STOPPED_RIP;
    run->still = machine_steps(m) == now ? run->still + 1 : 0;
    run->lost = run->still > STILL_MAX;
    run->over = run->reached || why == MACHINE_STOPPED_VERDICT || machine_steps(m) >= run->end_steps || run->lost ||
                run->abandoned;
    return EMU_OK;
}

static void print_last_words(int fd, const void *context)
{
    const struct run *run = context;

    schedule_print_last_words(&run->trial.schedule, run->trial.schedule.count, fd);
}

static enum emu_err run_once(struct run *run)
{
    struct ensure_reporter before = ensure_set_reporter((struct ensure_reporter){print_last_words, run});
    const struct strategy *strategy = run->o->strategy;
    enum emu_err err = EMU_OK;
    bool legal = true;

    run->start_steps = machine_steps(run->m);
    run->end_steps = run->start_steps + run->o->end.steps_max;
    run->pinned = -1;
    run->still = 0;
    run->over = run->reached = run->lost = run->abandoned = false;
    while (err == EMU_OK && !run->over) {
        struct move move = {.only = -1, .steps = UINT64_MAX};

        strategy->move(run->state, run->m, !legal, &move);
        legal = true;
        if (move.acts)
            err = decide(run, move.action, &legal);
        if (err == EMU_OK)
            err = go(run, &move);
    }
    if (err == EMU_OK)
        trial_conclude(run->m, run->start_steps, run->reached, &run->o->end, &run->trial);
    if (err == EMU_OK && run->lost && run->trial.kind == TRIAL_PASS && !run->reached)
        run->trial.kind = TRIAL_BUDGET; /* it did not come to its end */
    ensure_set_reporter(before);
    return err;
}

/* ---- many ---- */

enum emu_err search_note(const struct search_options *so, struct search_report *r, const struct trial *o,
                         struct diag *d)
{
    enum emu_err err;

    r->runs++;
    r->by_kind[o->kind]++;
    if (o->steps > r->steps_max)
        r->steps_max = o->steps;
    if (o->kind == TRIAL_UNMODELLED && r->by_kind[TRIAL_UNMODELLED] == 1)
        r->unmodelled = o->verdict;
    if (o->kind != TRIAL_FAIL)
        return EMU_OK;
    if (!r->first_failing_run)
        r->first_failing_run = r->runs;
    for (unsigned i = 0; i < r->failures; i++)
        if (trial_is_same_failure(&r->failure[i].verdict, &o->verdict, so->symbols)) {
            r->failure[i].count++;
            return EMU_OK;
        }
    if (r->failures == SEARCH_FAILURES_MAX) {
        r->unlisted++;
        return EMU_OK;
    }
    err = schedule_copy(&r->failure[r->failures].schedule, &o->schedule, d);
    if (err != EMU_OK)
        return err;
    r->failure[r->failures].verdict = o->verdict;
    r->failure[r->failures].digest = o->digest;
    r->failure[r->failures].steps = o->steps;
    r->failure[r->failures].run = r->runs;
    r->failure[r->failures].count = 1;
    r->failures++;
    return so->found ? so->found(so->context, r, r->failures - 1, d) : EMU_OK;
}

bool search_is_over(const struct search_options *o)
{
    return (o->end.interrupted && *o->end.interrupted) || (o->is_over && o->is_over(o->context));
}

bool search_is_enough(const struct search_options *o, const struct search_report *r)
{
    return search_is_over(o) || r->runs >= o->runs_max || (o->failures_max && r->failures >= o->failures_max) ||
           (o->progress && o->progress(o->context, r));
}

/* Runs under a strategy that proposes, each from the start. */
static enum emu_err run_all(const struct search_options *o, const struct strategy_options *options,
                            const struct snapshot *start, struct search_report *r, struct diag *d)
{
    struct run run = {.m = o->machine, .o = o, .r = r, .diag = d};
    enum emu_err err = o->strategy->init(options, &run.state, d);

    while (err == EMU_OK && !search_is_enough(o, r)) {
        if (!o->strategy->begin(run.state)) {
            r->exhausted = true;
            break;
        }
        schedule_init(&run.trial.schedule);
        run.trial.refused = 0;
        err = run_once(&run);
        if (err == EMU_OK && run.abandoned) {
            schedule_fini(&run.trial.schedule);
            break;
        }
        if (err == EMU_OK)
            err = search_note(o, r, &run.trial, d);
        if (err == EMU_OK)
            o->strategy->end(run.state, &run.trial);
        schedule_fini(&run.trial.schedule);
        snapshot_restore(o->machine, start);
    }
    if (run.state) {
        o->strategy->statement(run.state, r->statement, sizeof(r->statement));
        o->strategy->fini(run.state);
    }
    return err;
}

enum emu_err search_run(const struct search_options *o, struct search_report *r, struct diag *d)
{
    struct strategy_options options = o->strategy_options;
    struct snapshot *start = NULL;
    enum emu_err err;

    memset(r, 0, sizeof(*r));
    options.machine = o->machine;
    options.vcpus = machine_vcpus(o->machine);
    err = snapshot_take(o->machine, NULL, &start, d);
    if (err == EMU_OK)
        err = o->strategy->search ? o->strategy->search(o, &options, start, r, d) : run_all(o, &options, start, r, d);
    if (start) {
        snapshot_restore(o->machine, start);
        snapshot_free(o->machine, start);
    }
    if (err != EMU_OK)
        search_report_fini(r);
    return err;
}

void search_report_fini(struct search_report *r)
{
    for (unsigned i = 0; i < r->failures; i++)
        schedule_fini(&r->failure[i].schedule);
    memset(r, 0, sizeof(*r));
}
