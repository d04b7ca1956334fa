/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz/search/course_inside.h"

#include <stdlib.h>
#include <string.h>

#include "emu/base/ensure.h"
#include "emu/decide.h"
#include "emu/memory.h"
#include "emu/model.h"
#include "emu/vcpu.h"
#include "fuzz/search/dead_stack.h"
#include "fuzz/search/search.h"
#include "fuzz/search/strategy.h"
#include "fuzz/search/translations.h"

#define CHOICES_MAX 65536u
#define SLICE_STEPS 1000000u
/* When all spin the machine's own rule goes on for so long, then for twice as long and so on: it proves hangs. */
#define ALL_SPIN_STEPS 100000u
#define BRIEF_STEPS    4000u /* a vCPU that spins again so soon has done nothing for the others */

static struct vcpu_view look_at(struct machine *m, unsigned vcpu)
{
    const struct decision run = {.kind = DECISION_RUN, .vcpu = vcpu};
    struct decide_view view;

    decide_view(m, &run, &view);
    return view.vcpu;
}

/* Something is there for it to take. */
static bool has_pending(struct course *c, unsigned vcpu)
{
    return vcpu_nmi_pending(c->m, vcpu) || machine_pending_vector(c->m, vcpu) != MODEL_NO_VECTOR;
}

static bool push_activity(struct course *c, unsigned vcpu, int back_to)
{
    if (c->state.activities == COURSE_ACTIVITIES_MAX)
        return false;
    c->state.activity[c->state.activities++] =
        (struct activity){.vcpu = (uint8_t)vcpu,
                          .back_to = (uint8_t)(back_to < 0 ? (int)vcpu : back_to),
                          .begun_steps = machine_steps(c->m)};
    return true;
}

/* It ends where its vCPU is back at these registers' place. */
static void end_at_return(struct activity *a, const struct vcpu_regs *r)
{
    a->returns = true;
    a->rip_gva = r->rip;
    a->sp = r->gpr[GPR_RSP];
}

/* Whether it takes what is pending for it here. */
static bool takes_pending(struct course *c, unsigned vcpu)
{
    struct vcpu_view v = look_at(c->m, vcpu);

    return !v.interrupt_shadow && ((v.nmi_pending && !v.nmi_blocked) || (!v.nmi_pending && (v.rflags & RFLAGS_IF)));
}

/* The interrupted vCPU goes on, and takes an interrupt first: its handler moves with the move. False if that can't be
   followed. */
static bool follow_pending(struct course *c, unsigned number, unsigned vcpu, bool *pushed)
{
    struct activity *a;
    struct vcpu_regs r;

    if (!takes_pending(c, vcpu) || (!*pushed && !push_activity(c, vcpu, (int)vcpu)))
        return false;
    *pushed = true;
    vcpu_get_regs(c->m, vcpu, &r);
    a = &c->state.activity[c->state.activities - 1];
    a->is_handler = true;
    end_at_return(a, &r);
    if (c->noted[number].resumes >= 0 && !c->noted[number].knows_stack)
        dead_stack_note(c->noted[number].reach->handlers.bytes, c->m, vcpu);
    c->noted[number].knows_stack = true;
    return true;
}

/* End to note the reaches of moves that are over when `running` goes on. */
static void end_notes(struct course *c, int running)
{
    unsigned activities = c->state.activities;
    bool pushed = false;

    for (unsigned i = 0; i < COURSE_NOTED_MAX; i++) {
        unsigned vcpu = running < 0 ? c->noted[i].vcpu : (unsigned)running;

        if (!(c->state.noting >> i & 1) || activities > c->noted[i].above ||
            (c->noted[i].resumes >= 0 && c->noted[i].resumes != running))
            continue;
        if (has_pending(c, vcpu)) {
            if (follow_pending(c, i, vcpu, &pushed))
                continue;
            c->noted[i].reach->everything = true; /* it takes it somewhere else at each boundary */
        }
        if (c->noted[i].settles)
            reach_set_settle(c->noted[i].reach);
        c->state.noting &= ~(1u << i);
    }
}

/* Until the interrupted vCPU goes on, whatever runs could meet its next step. */
static void end_activity(struct course *c)
{
    c->state.activities--;
    end_notes(c, -1);
}

void course_note_reach(struct course *c, unsigned number, struct reach_set *reach, unsigned vcpu, bool settles)
{
    int from = course_running(c);

    ensure(number < COURSE_NOTED_MAX);
    reach_set_clear(reach);
    c->noted[number].reach = reach;
    c->noted[number].above = c->state.activities;
    c->noted[number].resumes = from == (int)vcpu ? -1 : from;
    c->noted[number].vcpu = vcpu;
    c->noted[number].knows_stack = from == (int)vcpu;
    c->noted[number].settles = settles;
    c->state.noting |= 1u << number;
}

/* ---- life ---- */

enum emu_err course_init(struct course *c, struct machine *m, const struct strategy_options *o,
                         const struct symbols *symbols, struct diag *d)
{
    enum emu_err err;

    memset(c, 0, sizeof(*c));
    c->m = m;
    c->o = o;
    c->diag = d;
    c->start_steps = machine_steps(m);
    c->end_steps = o->run_steps_max ? c->start_steps + o->run_steps_max : UINT64_MAX;
    c->counted_vcpu = UINT32_MAX;
    c->state = (struct course_state){.running = -1, .pinned = -1, .waiter = -1, .since_steps = c->start_steps};
    c->code_lines = memory_range(machine_memory(m), 0).bytes >> COURSE_LINE_SHIFT;
    c->code_line = calloc(c->code_lines / 8 + 1, 1);
    schedule_init(&c->schedule);
    if (!c->code_line)
        return diag_no_memory(d);
    course_note_code(c, symbols);
    err = translations_new(m, &c->translations, d);
    if (err == EMU_OK)
        err = course_watch(c, d);
    return err;
}

void course_fini(struct course *c)
{
    course_unwatch(c);
    translations_free(c->translations);
    schedule_fini(&c->schedule);
    free(c->code_line);
}

static struct decision *last_decision(struct course *c)
{
    return c->schedule.count ? &c->schedule.decision[c->schedule.count - 1] : NULL;
}

void course_mark(const struct course *c, struct course_mark *mark)
{
    const struct decision *last = last_decision((struct course *)(uintptr_t)c);

    mark->state = c->state;
    mark->decisions = c->schedule.count;
    mark->to_steps = last ? last->to.steps : 0;
}

void course_reset(struct course *c, const struct course_mark *mark)
{
    c->state = mark->state;
    c->schedule.count = mark->decisions;
    if (c->schedule.count)
        last_decision(c)->to.steps = mark->to_steps;
    c->reached = c->spins = c->did_something = false;
    c->iret_steps = 0;
    c->record = NULL;
    c->follow = NULL;
    c->counted_vcpu = UINT32_MAX;
    spin_restart(&c->spin);
}

/* ---- decisions ---- */

static enum emu_err decide(struct course *c, struct decision d, bool *legal)
{
    enum emu_err err = search_decide(c->m, d, &c->schedule, legal, c->diag);

    c->decided++;
    if (*legal) {
        c->state.pinned = -1;
        c->counted_vcpu = UINT32_MAX;
    } else if (err == EMU_OK) {
        c->refused++;
    }
    return err;
}

/* ---- who runs ---- */

/* It is runnable, or what it waits for has come. */
static bool can_run(const struct course *c, unsigned vcpu)
{
    enum vcpu_state state = vcpu_state(c->m, vcpu);

    return state == VCPU_RUNNABLE || (state != VCPU_OFFLINE && look_at(c->m, vcpu).can_run);
}

static bool is_free(const struct course *c, unsigned vcpu)
{
    return can_run(c, vcpu) && !(c->state.spinning >> vcpu & 1);
}

static void begin_running(struct course *c, int vcpu)
{
    end_notes(c, vcpu);
    c->state.running = vcpu;
    c->state.since_steps = machine_steps(c->m);
    c->spins = c->did_something = false;
    spin_restart(&c->spin);
    course_note_segment(c, false);
}

/* Whether moves may still be made here. */
static bool is_in_window(const struct course *c)
{
    return !c->state.left && machine_steps(c->m) < c->end_steps &&
           (c->o->end_rip_gva || machine_steps(c->m) - c->start_steps < c->o->window_steps);
}

static void note_choice(struct course *c, int from, unsigned to)
{
    struct course_record *r = c->record;
    uint64_t others = 0;

    for (unsigned v = 0; v < c->o->vcpus; v++)
        if (v != to && (int)v != from && is_free(c, v))
            others |= 1ull << v;
    if (others && r && is_in_window(c) &&
        course_make_room(r, &r->choice, &r->choice_room, r->choices, sizeof(*r->choice), CHOICES_MAX))
        r->choice[r->choices++] =
            (struct course_choice){.step = machine_steps(c->m), .others = others, .noting = c->state.noting};
}

/* The one that ran waits, spins, or has had its time: who goes on? -1 if nobody is free to. */
static int next_vcpu(struct course *c, int from)
{
    struct course_state *s = &c->state;

    if (from >= 0 && s->activities && s->activity[s->activities - 1].vcpu == from) {
        int back = s->activity[s->activities - 1].back_to;

        end_activity(c);
        if (back != from && is_free(c, (unsigned)back))
            return back;
    }
    for (unsigned i = 1; i <= c->o->vcpus; i++) {
        unsigned v =
            ((unsigned)(from < 0 ? (int)machine_current(c->m) - 1 + (int)c->o->vcpus : from) + i) % c->o->vcpus;

        if (is_free(c, v))
            return (int)v;
    }
    return -1;
}

/* Until this step the running one may go on. */
static uint64_t turn_end(const struct course *c)
{
    const struct course_state *s = &c->state;
    bool restless = s->running >= 0 && (c->restless >> s->running & 1);
    uint64_t fair = s->since_steps + (restless ? COURSE_RESTLESS_STEPS : STRATEGY_FAIR_STEPS);

    return s->woken_steps && s->woken_steps + COURSE_WOKEN_STEPS < fair ? s->woken_steps + COURSE_WOKEN_STEPS : fair;
}

static void give_way(struct course *c)
{
    struct course_state *s = &c->state;
    int from = s->running, to;
    bool is_brief = machine_steps(c->m) - s->since_steps < BRIEF_STEPS;

    if (!is_brief)
        s->stuck = 0;
    if (from >= 0 && machine_steps(c->m) - s->since_steps >= STRATEGY_FAIR_STEPS)
        c->restless |= 1ull << from;
    if (c->did_something && !(c->spins && is_brief && s->spun_in_turn > 2 * c->o->vcpus))
        s->spinning = 0;
    s->spun_in_turn = c->spins && is_brief ? s->spun_in_turn + 1 : 0;
    to = s->woken_steps && !c->spins && s->waiter != from && can_run(c, (unsigned)s->waiter) ? s->waiter : -1;
    s->woken_steps = 0;
    s->waiter = -1;
    if (c->spins && from >= 0) {
        s->spinning |= 1ull << from;
        s->waiter = from;
        s->waiter_reads = c->spin.reads;
        memcpy(s->waiter_read, c->spin.read, sizeof(s->waiter_read));
    }
    if (to < 0 || (s->activities && s->activity[s->activities - 1].vcpu == from))
        to = next_vcpu(c, from);
    else
        s->spinning &= ~(1ull << to);
    if (to >= 0)
        note_choice(c, from, (unsigned)to);
    begin_running(c, to);
}

void course_choose(struct course *c, const struct course_choice *choice, unsigned vcpu)
{
    c->state.noting = choice->noting;
    c->follow = NULL;
    begin_running(c, (int)vcpu);
}

int course_running(struct course *c)
{
    if (c->state.running < 0 && can_run(c, machine_current(c->m)) && !c->state.spinning)
        begin_running(c, (int)machine_current(c->m));
    return c->state.running;
}

/* ---- moves ---- */

enum emu_err course_preempt(struct course *c, unsigned vcpu, bool *made)
{
    int from = course_running(c);

    *made = course_can_preempt(c, vcpu) && push_activity(c, vcpu, from);
    if (!*made)
        return EMU_OK;
    c->follow = NULL;
    c->state.spinning &= ~(1ull << vcpu);
    begin_running(c, (int)vcpu);
    return EMU_OK;
}

bool course_can_preempt(struct course *c, unsigned vcpu)
{
    int from = course_running(c);

    return from >= 0 && from != (int)vcpu && can_run(c, vcpu);
}

bool course_is_open(struct course *c, unsigned vcpu, bool maskable)
{
    struct vcpu_view v = look_at(c->m, vcpu);

    return v.state != VCPU_OFFLINE && !v.interrupt_shadow && !v.nmi_pending &&
           (maskable ? v.pending_vector == MODEL_NO_VECTOR && (v.rflags & RFLAGS_IF) : !v.nmi_blocked);
}

enum emu_err course_interrupt(struct course *c, const struct decision *d, unsigned vcpu, bool *made)
{
    int from = course_running(c);
    struct vcpu_regs r;
    bool waits = vcpu_state(c->m, vcpu) != VCPU_RUNNABLE;
    enum emu_err err;

    *made = false;
    if (!course_is_open(c, vcpu, d->kind != DECISION_NMI) || !push_activity(c, vcpu, from))
        return EMU_OK;
    c->state.activity[c->state.activities - 1].is_handler = true;
    vcpu_get_regs(c->m, vcpu, &r);
    err = decide(c, *d, made);
    *made = *made && has_pending(c, vcpu);
    if (err != EMU_OK || !*made) {
        c->state.activities--;
        return err;
    }
    c->follow = NULL;
    if (!waits)
        end_at_return(&c->state.activity[c->state.activities - 1], &r);
    c->state.spinning = 0;
    begin_running(c, can_run(c, vcpu) ? (int)vcpu : -1);
    return EMU_OK;
}

/* ---- running ---- */

static bool has_returned(const struct course *c)
{
    const struct course_state *s = &c->state;
    const struct activity *a = s->activities ? &s->activity[s->activities - 1] : NULL;

    return a && a->returns && a->vcpu == machine_current(c->m) && machine_steps(c->m) > a->begun_steps &&
           vcpu_rip(c->m) == a->rip_gva && vcpu_gpr(c->m, GPR_RSP) == a->sp;
}

static void note_return(struct course *c)
{
    int back = c->state.activity[c->state.activities - 1].back_to;

    end_activity(c);
    if (back == c->state.running)
        end_notes(c, back);
    course_note_segment(c, false);
    if (back == c->state.running)
        return;
    if (c->did_something)
        c->state.spinning = 0;
    if (is_free(c, (unsigned)back))
        begin_running(c, back);
    else
        give_way(c);
}

static bool leaves_window(const struct course *c)
{
    return !c->state.left && c->o->end_rip_gva && machine_current(c->m) == c->o->window_vcpu &&
           vcpu_rip(c->m) == c->o->end_rip_gva && vcpu_gpr(c->m, GPR_RSP) >= c->o->window_sp;
}

static void leave_window(struct course *c)
{
    c->state.left = true;
    c->state.left_steps = machine_steps(c->m);
    course_note_segment(c, false);
}

static uint64_t last_step(const struct course *c)
{
    uint64_t last = c->end_steps;

    if (c->state.stuck && machine_steps(c->m) - c->state.since_steps < BRIEF_STEPS)
        return last; /* it may hang, which takes a while to be proved */
    if (c->state.left && c->o->settle_steps && c->o->settle_steps < last - c->state.left_steps)
        last = c->state.left_steps + c->o->settle_steps;
    return last;
}

/* Nobody is free to run: time passes, by the machine's own rule. */
static enum machine_stop_reason pass_time(struct course *c, uint64_t until)
{
    struct machine_limits limits = {.until_rip_gva = c->reach_rip_gva};
    uint64_t now = machine_steps(c->m), slice = (uint64_t)ALL_SPIN_STEPS << (c->state.stuck < 8 ? c->state.stuck : 8);
    enum machine_stop_reason why;

    course_note_segment(c, true);
    limits.steps_max = until - now > slice ? now + slice : until;
    if (!c->state.spinning)
        limits.until_runnable = c->o->vcpus < 64 ? (1ull << c->o->vcpus) - 1 : UINT64_MAX;
    c->passes_time = true;
    why = machine_run(c->m, &limits);
    c->passes_time = false;
    c->counted_vcpu = UINT32_MAX;
    c->state.pinned = -1;
    c->state.stuck = c->state.spinning ? c->state.stuck + 1 : 0;
    c->state.spinning = 0;
    c->state.spun_in_turn = 0;
    begin_running(c, can_run(c, machine_current(c->m)) ? (int)machine_current(c->m) : -1);
    if (c->state.running < 0)
        begin_running(c, next_vcpu(c, -1));
    return why;
}

/* Let the one that is chosen go on. */
static enum machine_stop_reason go(struct course *c, uint64_t until, bool open)
{
    struct course_state *s = &c->state;
    unsigned vcpu = (unsigned)s->running;
    const struct activity *a = s->activities ? &s->activity[s->activities - 1] : NULL;
    uint64_t now = machine_steps(c->m), breaks[2], fair_end;
    struct machine_limits limits = {.until_rip_gva = c->reach_rip_gva, .until_interruptible = open};
    enum machine_stop_reason why;
    bool alone = true;

    if (s->pinned != s->running) {
        c->err = decide(c, (struct decision){.kind = DECISION_RUN_TO, .vcpu = vcpu, .to.vcpu = vcpu}, &alone);
        if (c->err != EMU_OK)
            return MACHINE_STOPPED_VERDICT;
        s->pinned = alone ? s->running : -1;
    }
    fair_end = turn_end(c);
    limits.steps_max = !alone ? now + 1 : until - now > SLICE_STEPS ? now + SLICE_STEPS : until;
    if (c->o->vcpus > 1 && !c->follow && fair_end > now && fair_end < limits.steps_max)
        limits.steps_max = fair_end;
    limits.pinned = limits.pinned_until_waits = alone;
    limits.vcpu = vcpu;
    if (c->o->end_rip_gva)
        breaks[limits.breaks++] = c->o->end_rip_gva;
    if (a && a->returns && a->vcpu == vcpu)
        breaks[limits.breaks++] = a->rip_gva;
    limits.break_gva = breaks;
    why = machine_run(c->m, &limits);
    if (alone) {
        struct decision *d = last_decision(c);

        d->to.kind = POSITION_STEPS;
        d->to.steps = vcpu_position(c->m, vcpu);
    }
    return why;
}

/* Enter the segments that begin here or have begun. Returns where the next one does. */
static uint64_t enter_segments(struct course *c)
{
    const struct course_record *r = c->follow;
    uint64_t now = machine_steps(c->m);

    for (; c->followed < r->segments && r->segment[c->followed].step <= now; c->followed++) {
        int pinned = c->state.pinned;

        c->state = r->segment[c->followed].state;
        c->state.pinned = pinned;
    }
    return c->followed < r->segments ? r->segment[c->followed].step : UINT64_MAX;
}

/* One stretch as recorded. */
static enum machine_stop_reason go_as_recorded(struct course *c, uint64_t until, bool open)
{
    const struct course_record *r = c->follow;
    bool by_default = c->followed && r->segment[c->followed - 1].by_default;
    enum machine_stop_reason why;

    if (!by_default && c->state.running >= 0)
        return go(c, until, open);
    why = machine_run(c->m, &(struct machine_limits){.steps_max = until, .until_interruptible = open});
    c->state.pinned = -1;
    c->counted_vcpu = UINT32_MAX;
    return why;
}

static enum course_stop follow(struct course *c, uint64_t until, bool open)
{
    while (c->follow) {
        uint64_t next = enter_segments(c);
        enum machine_stop_reason why;

        if (machine_steps(c->m) >= until)
            return COURSE_THERE;
        why = go_as_recorded(c, next < until ? next : until, open && c->state.running >= 0);
        if (c->err != EMU_OK)
            return COURSE_FAILED;
        if (why == MACHINE_STOPPED_VERDICT)
            return COURSE_OVER;
        if (why == MACHINE_STOPPED_INTERRUPTIBLE)
            return COURSE_THERE;
        if (why == MACHINE_STOPPED_NOT_RUNNABLE && next > machine_steps(c->m)) {
            c->strayed = true;
            return COURSE_OVER;
        }
        if (c->is_over && c->is_over(c->context))
            return COURSE_ABANDONED;
    }
    return COURSE_OVER;
}

static enum course_stop run(struct course *c, uint64_t until, bool open)
{
    for (;;) {
        enum machine_stop_reason why;
        uint64_t last;

        if (!c->o->end_rip_gva && !c->state.left && machine_steps(c->m) - c->start_steps >= c->o->window_steps)
            leave_window(c);
        last = last_step(c);
        if (machine_steps(c->m) >= last)
            return COURSE_OVER;
        if (machine_steps(c->m) >= until)
            return COURSE_THERE;
        if (!c->o->end_rip_gva && !c->state.left && c->start_steps + c->o->window_steps < last)
            last = c->start_steps + c->o->window_steps;
        if (until < last)
            last = until;
        if (course_running(c) >= 0 && !can_run(c, (unsigned)c->state.running))
            give_way(c);
        why = c->state.running < 0 ? pass_time(c, last) : go(c, last, open);
        if (c->err != EMU_OK)
            return COURSE_FAILED;
        if (why == MACHINE_STOPPED_VERDICT)
            return COURSE_OVER;
        if (why == MACHINE_STOPPED_RIP && c->reach_rip_gva && vcpu_rip(c->m) == c->reach_rip_gva) {
            c->reached = true;
            return COURSE_OVER;
        }
        if (leaves_window(c))
            leave_window(c);
        if (has_returned(c))
            note_return(c);
        else if (c->state.running >= 0 && (c->spins || why == MACHINE_STOPPED_NOT_RUNNABLE ||
                                           (c->o->vcpus > 1 && machine_steps(c->m) >= turn_end(c))))
            give_way(c);
        else if (why == MACHINE_STOPPED_INTERRUPTIBLE)
            return COURSE_THERE;
        if (c->is_over && c->is_over(c->context))
            return COURSE_ABANDONED;
    }
}

static enum course_stop go_on(struct course *c, uint64_t until, bool open)
{
    enum course_stop stop;

    c->watching = true;
    stop = c->follow ? follow(c, until, open) : run(c, until, open);
    c->watching = false;
    return stop;
}

enum course_stop course_run(struct course *c, uint64_t until_steps)
{
    return go_on(c, until_steps, false);
}

enum course_stop course_run_to_open(struct course *c, uint64_t until_steps)
{
    return go_on(c, until_steps, true);
}
