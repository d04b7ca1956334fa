/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/report/timeline.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cli/report/report_words.h"
#include "cli/report/scene_site.h"
#include "cli/run/detect.h"
#include "emu/base/analyzer.h"
#include "emu/exception.h"
#include "emu/snapshot.h"

#define UNDISTURBED_STEPS 20000u   /* how far a change of code is followed */
#define LATE_NS           50000000 /* an exception so long before the end may be its cause */
#define TRIES_MAX         4u       /* decisions that are looked at, from the last one back */
#define FATAL_MAX         32u

struct sample {
    uint64_t time_ns, steps;
};

struct ring { /* of struct scene_fact */
    struct scene_fact *fact;
    unsigned room;
    uint64_t count;
};

struct timeline_inside {
    struct snapshot *start;
    struct sample *sample;
    unsigned samples;
    uint64_t stride_steps; /* between samples */

    /* The first pass: when and where everybody was at the last look. */
    uint64_t looked_ns;
    uint64_t looked_position[VCPUS_MAX];
    bool jumped; /* a decision has let time pass since */
    enum vcpu_state state[VCPUS_MAX];
    struct ring events, hypercalls;
    struct scene_fact fatal[FATAL_MAX]; /* exceptions since the last decision, the first ones */
    uint64_t fatal_steps[FATAL_MAX];
    unsigned fatals;
    /* Of each decision that is kept: the first interrupt or NMI behind it, if it was the next to be delivered. */
    struct scene_fact delivered[TIMELINE_DECISIONS];
    uint64_t console_at;

    /* The second. */
    struct scene *watching;
    bool freeze_at_anchor;
    struct snapshot *before; /* the first scene */
    struct player player_before;
};

const char *timeline_state_name(enum timeline_state state)
{
    static const char *const names[TIMELINE_STATE_COUNT] = {[TIMELINE_OFFLINE] = "offline",
                                                            [TIMELINE_RUNNING] = "running",
                                                            [TIMELINE_READY] = "ready, not run",
                                                            [TIMELINE_BLOCKED] = "blocked",
                                                            [TIMELINE_POLLING] = "polling"};

    return names[state];
}

static struct machine *machine_of(const struct timeline *t)
{
    return t->session->guest.machine;
}

/* ---- sums over time ---- */

static void fold_bins(struct timeline *t)
{
    for (unsigned i = 0; i < TIMELINE_BINS; i++) {
        struct timeline_bin *to = &t->bin[i / 2], from = t->bin[i];

        if (i % 2 == 0) {
            if (i)
                *to = from;
            continue;
        }
        for (unsigned v = 0; v < machine_vcpus(machine_of(t)); v++) {
            for (unsigned s = 0; s < TIMELINE_STATE_COUNT; s++)
                to->state_ns[v][s] += from.state_ns[v][s];
            to->interrupts[v] += from.interrupts[v];
            to->exceptions[v] += from.exceptions[v];
            to->hypercalls[v] += from.hypercalls[v];
        }
    }
    memset(&t->bin[TIMELINE_BINS / 2], 0, TIMELINE_BINS / 2 * sizeof(*t->bin));
    t->bin_ns *= 2;
}

static struct timeline_bin *bin_at(struct timeline *t, uint64_t time_ns)
{
    while (time_ns / t->bin_ns >= TIMELINE_BINS)
        fold_bins(t);
    return &t->bin[time_ns / t->bin_ns];
}

static void add_time(struct timeline *t, unsigned vcpu, enum timeline_state state, uint64_t from_ns, uint64_t to_ns)
{
    while (from_ns < to_ns) {
        struct timeline_bin *b = bin_at(t, from_ns);
        uint64_t end = (from_ns / t->bin_ns + 1) * t->bin_ns;

        if (end > to_ns)
            end = to_ns;
        b->state_ns[vcpu][state] += end - from_ns;
        from_ns = end;
    }
}

static enum timeline_state waiting_state(enum vcpu_state state)
{
    switch (state) {
    case VCPU_OFFLINE:
        return TIMELINE_OFFLINE;
    case VCPU_HALTED:
        return TIMELINE_BLOCKED;
    case VCPU_POLLING:
        return TIMELINE_POLLING;
    case VCPU_RUNNABLE:
        break;
    }
    return TIMELINE_READY;
}

/* Share the time since the last look: those that have made steps ran, in proportion; the others waited. */
static void look(struct timeline *t)
{
    struct timeline_inside *in = t->inside;
    struct machine *m = machine_of(t);
    uint64_t now = clock_now_ns(m), steps = 0, from = in->looked_ns;

    bin_at(t, now);
    for (unsigned v = 0; v < machine_vcpus(m); v++)
        steps += vcpu_position(m, v) - in->looked_position[v];
    for (unsigned v = 0; v < machine_vcpus(m); v++) {
        uint64_t mine = vcpu_position(m, v) - in->looked_position[v];
        uint64_t running_ns = mine > now - from ? now - from : mine; /* a step is a nanosecond at least */

        if (mine && mine == steps && in->state[v] == VCPU_RUNNABLE && !in->jumped)
            running_ns = now - from;
        add_time(t, v, TIMELINE_RUNNING, from, from + running_ns);
        add_time(t, v, waiting_state(in->state[v]), from + running_ns, now);
        in->looked_position[v] += mine;
        in->state[v] = vcpu_state(m, v);
    }
    in->looked_ns = now;
    in->jumped = false;
    if (in->samples && machine_steps(m) < in->sample[in->samples - 1].steps + in->stride_steps)
        return;
    if (in->samples == TIMELINE_SAMPLES) {
        for (unsigned i = 0; i < TIMELINE_SAMPLES / 2; i++)
            in->sample[i] = in->sample[2 * i];
        in->samples /= 2;
        in->stride_steps *= 2;
    }
    in->sample[in->samples++] = (struct sample){now, machine_steps(m)};
}

enum timeline_state timeline_bin_state(const struct timeline *t, unsigned bin, unsigned vcpu)
{
    enum timeline_state most = TIMELINE_OFFLINE;

    for (unsigned s = 0; s < TIMELINE_STATE_COUNT; s++)
        if (t->bin[bin].state_ns[vcpu][s] > t->bin[bin].state_ns[vcpu][most])
            most = (enum timeline_state)s;
    return most;
}

/* ---- the first pass ---- */

static void ring_add(struct ring *r, const struct scene_fact *f)
{
    r->fact[r->count++ % r->room] = *f;
}

/* In order, for who reads them. */
static unsigned ring_unroll(struct ring *r)
{
    unsigned kept = r->count < r->room ? (unsigned)r->count : r->room, first = (unsigned)(r->count % r->room);
    struct scene_fact *copy;

    if (r->count <= r->room || !first)
        return kept;
    copy = malloc(r->room * sizeof(*copy));
    if (!copy)
        return 0;
    for (unsigned i = 0; i < kept; i++)
        copy[i] = r->fact[(first + i) % r->room];
    free(r->fact);
    r->fact = copy;
    return kept;
}

static void keep_console(struct timeline *t, uint8_t byte)
{
    struct timeline_inside *in = t->inside;

    if (byte == '\r' || byte == '\0')
        return;
    if (in->console_at == TIMELINE_CONSOLE_BYTES - 1) {
        in->console_at /= 2;
        memmove(t->console, t->console + TIMELINE_CONSOLE_BYTES - 1 - in->console_at, in->console_at);
    }
    t->console[in->console_at++] = (char)byte;
    t->console[in->console_at] = '\0';
}

static void note_fatal(struct timeline *t, const struct scene_fact *f)
{
    struct timeline_inside *in = t->inside;

    if (in->fatals == FATAL_MAX && t->decisions_made)
        return;
    if (in->fatals == FATAL_MAX) { /* without a decision those near the end count */
        memmove(in->fatal, in->fatal + 1, (FATAL_MAX - 1) * sizeof(*in->fatal));
        memmove(in->fatal_steps, in->fatal_steps + 1, (FATAL_MAX - 1) * sizeof(*in->fatal_steps));
        in->fatals--;
    }
    in->fatal[in->fatals] = *f;
    in->fatal_steps[in->fatals++] = machine_steps(machine_of(t));
}

static void on_fact(struct machine *m, const struct trace_fact *fact, void *context)
{
    struct timeline *t = context;
    struct timeline_inside *in = t->inside;
    struct scene_fact f = {*fact, fact->rip_gva};
    struct timeline_bin *bin;
    uint64_t rsp;

    t->count[fact->kind]++;
    if (fact->kind == TRACE_CONSOLE) {
        t->bytes_of_console++;
        keep_console(t, (uint8_t)fact->a);
        return;
    }
    look(t);
    bin = bin_at(t, fact->time_ns);
    switch (fact->kind) {
    case TRACE_INTERRUPT:
    case TRACE_NMI:
        f.interrupted_gva = scene_interrupted_gva(m, fact, &rsp);
        bin->interrupts[fact->vcpu]++;
        if (t->decisions_made && !in->delivered[(t->decisions_made - 1) % TIMELINE_DECISIONS].fact.time_ns)
            in->delivered[(t->decisions_made - 1) % TIMELINE_DECISIONS] = f;
        break;
    case TRACE_EXCEPTION:
        f.interrupted_gva = scene_interrupted_gva(m, fact, &rsp);
        bin->exceptions[fact->vcpu]++;
        if (exception_is_fatal(fact->a))
            note_fatal(t, &f);
        break;
    case TRACE_HYPERCALL:
        bin->hypercalls[fact->vcpu]++;
        ring_add(&in->hypercalls, &f);
        if (words_errno(fact->c)) {
            t->refused = f;
            t->refusals++;
        }
        break;
    default:
        break;
    }
    ring_add(&in->events, &f);
}

static void on_decision(struct machine *m, size_t number, void *context)
{
    struct timeline *t = context;
    struct timeline_inside *in = t->inside;
    unsigned v = machine_current(m);
    const struct decision *d = &t->session->options.schedule->decision[number];

    look(t);
    if (d->kind == DECISION_MARK || d->kind == DECISION_CHECK)
        return;
    t->decision[t->decisions_made % TIMELINE_DECISIONS] =
        (struct timeline_decision){number, v, vcpu_position(m, v), machine_steps(m), clock_now_ns(m), vcpu_rip(m)};
    memset(&in->delivered[t->decisions_made % TIMELINE_DECISIONS], 0, sizeof(in->delivered[0]));
    t->decisions_made++;
    in->fatals = 0;
    in->jumped = true;
}

static void unroll_decisions(struct timeline *t)
{
    unsigned first = (unsigned)(t->decisions_made % TIMELINE_DECISIONS);
    struct timeline_decision d[TIMELINE_DECISIONS];
    struct scene_fact f[TIMELINE_DECISIONS];

    t->decisions = t->decisions_made < TIMELINE_DECISIONS ? (unsigned)t->decisions_made : TIMELINE_DECISIONS;
    if (t->decisions_made <= TIMELINE_DECISIONS || !first)
        return;
    memcpy(d, t->decision, sizeof(d));
    memcpy(f, t->inside->delivered, sizeof(f));
    for (unsigned i = 0; i < TIMELINE_DECISIONS; i++) {
        t->decision[i] = d[(first + i) % TIMELINE_DECISIONS];
        t->inside->delivered[i] = f[(first + i) % TIMELINE_DECISIONS];
    }
}

static enum emu_err keep_detectors(struct timeline *t, struct diag *d)
{
    size_t bytes;
    FILE *to = open_memstream(&t->detectors, &bytes);

    if (!to)
        return diag_no_memory(d);
    detect_print(t->session->guest.detect, to);
    return fclose(to) ? diag_no_memory(d) : EMU_OK;
}

static enum emu_err run_whole(struct timeline *t, struct diag *d)
{
    struct machine *m = machine_of(t);
    enum emu_err err;

    t->session->player.reached = on_decision;
    t->session->player.context = t;
    trace_listen(m, on_fact, t);
    look(t);
    err = session_run(t->session, d);
    trace_unlisten(m, on_fact, t);
    if (err != EMU_OK)
        return err;
    look(t);
    /* NOLINTNEXTLINE(cert-err33-c): a failure changes nothing here */
    signal(SIGINT, SIG_DFL); /* what follows takes as long again: a second Ctrl-C ends it */
    /* NOLINTNEXTLINE(cert-err33-c): a failure changes nothing here */
    signal(SIGTERM, SIG_DFL);
    t->verdict = *machine_verdict(m);
    t->end_ns = clock_now_ns(m);
    t->end_steps = machine_steps(m);
    t->digest = machine_digest(m);
    t->bins = (unsigned)(t->end_ns / t->bin_ns) + 1;
    ANALYZER_LOSES_ELEMENTS_BEGIN
    t->events = ring_unroll(&t->inside->events);
    t->hypercalls = ring_unroll(&t->inside->hypercalls);
    t->event = t->inside->events.fact;
    t->hypercall = t->inside->hypercalls.fact;
    ANALYZER_LOSES_ELEMENTS_END

    unroll_decisions(t);
    return keep_detectors(t, d);
}

/* ---- the second pass ---- */

static void on_decision_again(struct machine *m, size_t number, void *context)
{
    struct timeline *t = context;

    if (!t->inside->watching)
        return;
    scene_pause(t->inside->watching);
    if (t->anchor && number == t->anchor->number)
        scene_freeze_at_exception(t->inside->watching);
}

/* To so many steps of all vCPUs, or to the end. */
static enum emu_err run_to_steps(struct timeline *t, struct player *p, uint64_t steps, struct diag *d)
{
    struct machine *m = machine_of(t);

    while (machine_steps(m) < steps && machine_verdict(m)->kind == VERDICT_NONE) {
        struct machine_limits l = {.steps_max = steps};
        enum machine_stop_reason why;
        enum emu_err err = player_run(p, &l, &why, d);

        if (err != EMU_OK)
            return err;
    }
    return EMU_OK;
}

/* To the end of the first pass: to the machine's own verdict, or to where the user's limits ended it. */
static enum emu_err run_to_end(struct timeline *t, struct player *p, struct diag *d)
{
    enum verdict_kind kind = t->verdict.kind;
    bool own = kind == VERDICT_FAIL || kind == VERDICT_UNMODELLED || kind == VERDICT_ERROR;

    return run_to_steps(t, p, own ? UINT64_MAX : t->end_steps, d);
}

/* To at most `near_ns` before that time, or to the first boundary behind it: idle time may lead further. */
static enum emu_err run_to_time(struct timeline *t, struct player *p, uint64_t time_ns, uint64_t near_ns,
                                struct diag *d)
{
    struct timeline_inside *in = t->inside;
    struct machine *m = machine_of(t);
    uint64_t steps = 0, ns_a_step = 32;
    enum emu_err err;

    for (unsigned i = 0; i < in->samples && in->sample[i].time_ns <= time_ns; i++)
        steps = in->sample[i].steps;
    err = run_to_steps(t, p, steps, d);
    while (err == EMU_OK && clock_now_ns(m) + near_ns < time_ns && machine_steps(m) < t->end_steps) {
        uint64_t from_ns = clock_now_ns(m), from = machine_steps(m);

        steps = from + 1 + (time_ns - from_ns) / (2 * ns_a_step);
        err = run_to_steps(t, p, steps < t->end_steps ? steps : t->end_steps, d);
        if (machine_steps(m) > from)
            ns_a_step = 1 + (clock_now_ns(m) - from_ns) / (machine_steps(m) - from);
    }
    return err;
}

/* ---- code that was being changed ---- */

/* Go to decision number i of those kept and on without it: what would the code have become that is being changed? */
static enum emu_err follow_undisturbed(struct timeline *t, unsigned i, struct diag *d)
{
    struct machine *m = machine_of(t);
    const struct timeline_decision *at = &t->decision[i];
    const struct scene_fact *delivered = &t->inside->delivered[i];
    struct schedule before = *t->session->options.schedule;
    struct player p = t->inside->player_before;
    struct machine_limits l = {.steps_max = UINT64_MAX, .pinned = true};
    struct scene sc;
    unsigned patcher;
    uint64_t position;
    enum emu_err err, stopped;

    if (at->number < p.next)
        return EMU_OK; /* it lies before the scene */
    before.count = at->number;
    p.schedule = &before;
    snapshot_restore(m, t->inside->before);
    err = scene_start(&sc, m, t->session->guest.symbols, NULL, 0, d);
    if (err != EMU_OK)
        return err;
    err = run_to_steps(t, &p, at->steps, d);
    patcher = sc.writes ? sc.write[sc.writes - 1].vcpu : at->vcpu;
    position = vcpu_position(m, patcher);
    if (delivered->fact.time_ns && delivered->fact.vcpu == patcher && delivered->fact.position > position)
        position = delivered->fact.position - 1;
    l.vcpu = patcher;
    l.position_max = position + UNDISTURBED_STEPS;
    while (err == EMU_OK && vcpu_position(m, patcher) < l.position_max && machine_verdict(m)->kind == VERDICT_NONE &&
           machine_run(m, &l) != MACHINE_STOPPED_NOT_RUNNABLE)
        continue;
    stopped = scene_stop(&sc, d);
    if (err == EMU_OK)
        err = stopped;
    if (err == EMU_OK)
        err = scene_site_find(&sc, patcher, position, t->site, &t->sites, d);
    scene_fini(&sc);
    return err;
}

/* ---- the scenes ---- */

static enum emu_err watch(struct timeline *t, struct player *p, uint64_t to_ns, bool freeze, struct diag *d)
{
    struct scene *sc = &t->scene[t->scenes];
    enum emu_err err = scene_start(sc, machine_of(t), t->session->guest.symbols, t->site, t->sites, d), stopped;

    if (err != EMU_OK)
        return err;
    if (freeze)
        scene_freeze_at_exception(sc);
    t->inside->watching = sc;
    err = to_ns >= t->end_ns ? run_to_end(t, p, d) : run_to_time(t, p, to_ns, 0, d);
    t->inside->watching = NULL;
    stopped = scene_stop(sc, d);
    t->scenes++;
    return err == EMU_OK ? stopped : err;
}

/* The time that the first scene is around. */
static uint64_t find_focus(struct timeline *t)
{
    struct timeline_inside *in = t->inside;

    t->focus[0] = TIMELINE_AT_END;
    if (t->decisions) {
        t->anchor = &t->decision[t->decisions - 1];
        t->focus[0] = TIMELINE_AT_DECISION;
        return t->anchor->time_ns;
    }
    for (unsigned i = 0; i < in->fatals; i++)
        if (t->verdict.kind == VERDICT_FAIL && in->fatal[i].fact.time_ns + LATE_NS >= t->end_ns) {
            t->focus[0] = TIMELINE_AT_EXCEPTION;
            return in->fatal[i].fact.time_ns;
        }
    return t->end_ns;
}

static enum emu_err look_closer(struct timeline *t, struct diag *d)
{
    struct timeline_inside *in = t->inside;
    struct machine *m = machine_of(t);
    uint64_t focus = find_focus(t), around = t->around_ns, to = focus + around;
    const struct scene_fact *delivered = t->decisions ? &in->delivered[t->decisions - 1] : NULL;
    struct player p;
    enum emu_err err;

    if (delivered && delivered->fact.time_ns && delivered->fact.time_ns < focus + LATE_NS)
        to = delivered->fact.time_ns + around;
    if (to + around >= t->end_ns)
        to = t->end_ns;
    snapshot_restore(m, in->start);
    player_init(&p, m, t->session->options.schedule, symbols_resolve, t->session->guest.symbols,
                t->session->options.schedule_file);
    p.reached = on_decision_again;
    p.context = t;
    err = run_to_time(t, &p, focus > around ? focus - around : 0, around / 8, d);
    if (err == EMU_OK)
        err = snapshot_take(m, in->start, &in->before, d);
    in->player_before = p;
    for (unsigned i = 0; err == EMU_OK && !t->sites && i < TRIES_MAX && i < t->decisions; i++)
        err = follow_undisturbed(t, t->decisions - 1 - i, d);
    if (err != EMU_OK)
        return err;
    snapshot_restore(m, in->before);
    p = in->player_before;
    err = watch(t, &p, to, !t->anchor, d);
    if (err == EMU_OK && to < t->end_ns) {
        err = run_to_time(t, &p, t->end_ns - around, around / 8, d);
        t->focus[1] = TIMELINE_AT_END;
        if (err == EMU_OK)
            err = watch(t, &p, t->end_ns, false, d);
    }
    if (err == EMU_OK && machine_digest(m) != t->digest)
        err = diag_set(d, EMU_EHOST,
                       "the run did not repeat: its digest was %016" PRIx64 " and is now %016" PRIx64
                       "; this is an error of bootrace",
                       t->digest, machine_digest(m));
    return err;
}

/* ---- its life ---- */

static bool allocate(struct timeline *t)
{
    struct timeline_inside *in = t->inside;

    t->bin = calloc(TIMELINE_BINS, sizeof(*t->bin));
    t->decision = calloc(TIMELINE_DECISIONS, sizeof(*t->decision));
    t->console = calloc(TIMELINE_CONSOLE_BYTES, 1);
    in->sample = calloc(TIMELINE_SAMPLES, sizeof(*in->sample));
    in->events = (struct ring){calloc(TIMELINE_EVENTS, sizeof(struct scene_fact)), TIMELINE_EVENTS, 0};
    in->hypercalls = (struct ring){calloc(TIMELINE_HYPERCALLS, sizeof(struct scene_fact)), TIMELINE_HYPERCALLS, 0};
    return t->bin && t->decision && t->console && in->sample && in->events.fact && in->hypercalls.fact;
}

enum emu_err timeline_collect(struct timeline *t, struct session *s, uint64_t around_ns, struct diag *d)
{
    enum emu_err err;

    *t = (struct timeline){.session = s, .around_ns = around_ns, .bin_ns = 64};
    t->inside = calloc(1, sizeof(*t->inside));
    if (!t->inside || !allocate(t)) {
        timeline_fini(t);
        return diag_no_memory(d);
    }
    t->inside->stride_steps = 1;
    for (unsigned v = 0; v < machine_vcpus(machine_of(t)); v++)
        t->inside->state[v] = vcpu_state(machine_of(t), v);
    err = snapshot_take(machine_of(t), NULL, &t->inside->start, d);
    if (err == EMU_OK)
        err = run_whole(t, d);
    if (err == EMU_OK)
        err = look_closer(t, d);
    if (err != EMU_OK)
        timeline_fini(t);
    return err;
}

void timeline_fini(struct timeline *t)
{
    struct timeline_inside *in = t->inside;

    for (unsigned i = 0; i < TIMELINE_SCENES; i++)
        scene_fini(&t->scene[i]);
    if (in) {
        if (in->before)
            snapshot_free(machine_of(t), in->before);
        if (in->start)
            snapshot_free(machine_of(t), in->start);
        free(in->sample);
        free(in->events.fact);
        free(in->hypercalls.fact);
    }
    free(in);
    free(t->bin);
    free(t->decision);
    free(t->console);
    free(t->detectors);
    memset(t, 0, sizeof(*t));
}

/* ---- what a reader wants of it ---- */

const struct scene *timeline_last_insns(const struct timeline *t)
{
    return t->scene[0].cause != SCENE_NONE ? &t->scene[0] : &t->scene[t->scenes - 1];
}

static void each_wait_between(const struct scene *sc, unsigned vcpu, uint64_t from_ns, uint64_t to_ns,
                              enum timeline_state state, timeline_stretch_fn *each, void *context)
{
    uint64_t at = from_ns;

    for (size_t i = 0; i < sc->spans && at < to_ns; i++) {
        const struct scene_span *s = &sc->span[i];

        if (s->vcpu != vcpu || s->to_ns <= at)
            continue;
        if (s->from_ns >= to_ns)
            break;
        if (s->from_ns > at)
            each(context, vcpu, at, s->from_ns, state);
        at = s->to_ns;
    }
    if (at < to_ns)
        each(context, vcpu, at, to_ns, state);
}

void timeline_each_wait(const struct scene *sc, unsigned vcpu, timeline_stretch_fn *each, void *context)
{
    enum vcpu_state state = sc->state_at_start[vcpu];
    uint64_t at = sc->from_ns;

    for (size_t i = 0; i < sc->facts; i++) {
        const struct trace_fact *f = &sc->fact[i].fact;

        if (f->kind != TRACE_VCPU_STATE || f->vcpu != vcpu)
            continue;
        each_wait_between(sc, vcpu, at, f->time_ns, waiting_state(state), each, context);
        at = f->time_ns;
        state = (enum vcpu_state)f->a;
    }
    each_wait_between(sc, vcpu, at, sc->to_ns, waiting_state(state), each, context);
}
