#include "fuzz/exhaustive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emu/engine.h"
#include "emu/machine.h"
#include "emu/snapshot.h"
#include "emu/trace.h"
#include "emu/vcpu.h"
#include "fuzz/footprint.h"

/* Below the interrupted stack pointer: frames of the entry, and of what runs on the same stack. */
#define DEAD_STACK_BYTES 4096u

struct search {
    struct machine *m;
    const struct exhaustive_options *o;
    struct exhaustive_report *r;
    struct footprint *footprint;
    struct diag *d;

    enum { IDLE, RECORD, COMPARE } mode;
    bool conflict;
    uint64_t conflict_position;

    bool handling;  /* the handler runs */
    bool exception; /* it raised one that handlers do not raise */
    unsigned vector;
    uint64_t exception_rip_gva;
};

static void on_access(void *context, enum engine_access kind, uint64_t gpa, unsigned bytes)
{
    struct search *s = context;

    if (s->mode == RECORD) {
        if (kind != ENGINE_LEAVE)
            footprint_add(s->footprint, kind == ENGINE_WRITE, gpa, bytes);
    } else if (s->mode == COMPARE && !s->conflict &&
               (kind == ENGINE_LEAVE || footprint_conflicts(s->footprint, kind == ENGINE_WRITE, gpa, bytes))) {
        s->conflict = true;
        s->conflict_position = engine_access_position(machine_engine(s->m));
        machine_stop(s->m);
    }
}

/* A page fault may be part of a handler's work, a breakpoint too; these are not. */
static bool is_failure_exception(uint64_t vector)
{
    return vector == 0 || vector == 6 || vector == 8 || (vector >= 10 && vector <= 13) || vector == 17;
}

static void on_fact(struct machine *m, const struct trace_fact *fact, void *context)
{
    struct search *s = context;

    if (!s->handling || s->exception || fact->kind != TRACE_EXCEPTION || !is_failure_exception(fact->a))
        return;
    s->exception = true;
    s->vector = (unsigned)fact->a;
    s->exception_rip_gva = fact->rip_gva;
}

static uint64_t position(const struct search *s)
{
    return vcpu_position(s->m, s->o->vcpu);
}

static struct machine_limits limits_of(const struct search *s)
{
    return (struct machine_limits){.steps_max = UINT64_MAX, .pinned = true, .vcpu = s->o->vcpu};
}

/* Go on undisturbed to an exact position. */
static bool run_to(struct search *s, uint64_t to)
{
    struct machine_limits l = limits_of(s);

    l.position_max = to;
    while (position(s) < to) {
        enum machine_stop_reason why = machine_run(s->m, &l);

        if (why != MACHINE_STOPPED_POSITION && why != MACHINE_STOPPED_ASKED)
            return false;
    }
    return true;
}

/* Where the source's interrupt would be taken from here on; false if the window ends before. */
static bool run_to_open(struct search *s, uint64_t end_position)
{
    struct machine_limits l = limits_of(s);

    if (s->o->source == SOURCE_NMI)
        return true;
    l.until_interruptible = true;
    l.position_max = end_position;
    for (;;) {
        switch (machine_run(s->m, &l)) {
        case MACHINE_STOPPED_INTERRUPTIBLE:
            return true;
        case MACHINE_STOPPED_ASKED:
            break;
        default:
            return false;
        }
    }
}

enum outcome { OUTCOME_RETURNED, OUTCOME_FAILED, OUTCOME_NOTHING_TO_DELIVER };

static void note_budget(struct search *s, struct verdict *v, uint64_t rip_gva)
{
    *v = (struct verdict){.kind = VERDICT_BUDGET, .vcpu = s->o->vcpu, .rip_gva = rip_gva, .position = position(s)};
    snprintf(v->text, sizeof(v->text), "the handler has not returned after %llu steps",
             (unsigned long long)s->o->handler_steps_max);
}

/* Follow a failing run until the guest's own end, which says more than the first exception. */
static void confirm(struct search *s, struct verdict *v)
{
    struct machine_limits l = {.steps_max = machine_steps(s->m) + s->o->confirm_steps_max};
    enum machine_stop_reason why;

    do {
        why = machine_run(s->m, &l);
    } while (why == MACHINE_STOPPED_ASKED);
    if (why == MACHINE_STOPPED_VERDICT)
        *v = *machine_verdict(s->m);
}

/* Deliver at the present boundary and run the handler. */
static enum outcome handle(struct search *s, struct verdict *v)
{
    uint64_t rip = vcpu_rip(s->m), sp = vcpu_gpr(s->m, GPR_RSP), sp_gpa, before = position(s);
    struct machine_limits l = limits_of(s);
    enum outcome outcome = OUTCOME_FAILED;

    footprint_clear(s->footprint);
    if (vcpu_translate(s->m, s->o->vcpu, sp - 1, &sp_gpa))
        footprint_set_dead(s->footprint,
                           sp_gpa + 1 - ((sp_gpa + 1) % PAGE_BYTES ? (sp_gpa + 1) % PAGE_BYTES : DEAD_STACK_BYTES),
                           sp_gpa + 1);
    s->exception = false;
    s->handling = true;
    s->mode = RECORD;
    if (s->o->source == SOURCE_NMI)
        vcpu_raise_nmi(s->m, s->o->vcpu);
    else if (s->o->source == SOURCE_VECTOR)
        vcpu_raise_vector(s->m, s->o->vcpu, s->o->vector);
    else if (!machine_pass_time(s->m)) {
        s->handling = false;
        s->mode = IDLE;
        return OUTCOME_NOTHING_TO_DELIVER;
    }
    l.until_rip_gva = rip;
    l.position_max = before + s->o->handler_steps_max;
    for (;;) {
        enum machine_stop_reason why = machine_run(s->m, &l);

        if (why == MACHINE_STOPPED_RIP && position(s) > before && vcpu_gpr(s->m, GPR_RSP) == sp) {
            outcome = s->exception ? OUTCOME_FAILED : OUTCOME_RETURNED;
            break;
        }
        if (why == MACHINE_STOPPED_VERDICT) {
            *v = *machine_verdict(s->m);
            break;
        }
        if (why == MACHINE_STOPPED_POSITION || why == MACHINE_STOPPED_NOT_RUNNABLE) {
            note_budget(s, v, vcpu_rip(s->m));
            break;
        }
        if (s->exception)
            break;
    }
    s->mode = IDLE;
    s->handling = false;
    if (position(s) - before > s->r->handler_steps_max)
        s->r->handler_steps_max = position(s) - before;
    if (outcome == OUTCOME_FAILED && s->exception) {
        *v = (struct verdict){.kind = VERDICT_FAIL,
                              .detector = "crash",
                              .vcpu = s->o->vcpu,
                              .rip_gva = s->exception_rip_gva,
                              .position = position(s)};
        snprintf(v->text, sizeof(v->text), "exception vector %u in the handler", s->vector);
    }
    if (outcome == OUTCOME_FAILED && s->exception && machine_verdict(s->m)->kind == VERDICT_NONE)
        confirm(s, v);
    return outcome;
}

static void add_failure(struct search *s, uint64_t first, uint64_t last, uint64_t delivered, uint64_t rip_gva,
                        const struct verdict *v)
{
    s->r->failing += last - first + 1;
    if (s->r->failures < EXHAUSTIVE_FAILURES_MAX)
        s->r->failure[s->r->failures++] = (struct exhaustive_failure){.first_position = first,
                                                                      .last_position = last,
                                                                      .delivered_position = delivered,
                                                                      .rip_gva = rip_gva,
                                                                      .verdict = *v};
}

/* Where the window ends, undisturbed: the machine is run there once. */
static enum emu_err find_end(struct search *s)
{
    uint64_t sp = vcpu_gpr(s->m, GPR_RSP), first = position(s);
    struct machine_limits l = limits_of(s);

    l.until_rip_gva = s->o->end_rip_gva;
    l.position_max = first + s->o->steps_max;
    for (;;) {
        enum machine_stop_reason why = machine_run(s->m, &l);

        if (why == MACHINE_STOPPED_ASKED || (why == MACHINE_STOPPED_RIP && vcpu_gpr(s->m, GPR_RSP) < sp))
            continue;
        if (why == MACHINE_STOPPED_RIP || why == MACHINE_STOPPED_POSITION)
            break;
        return diag_set(s->d, EMU_EINPUT, "the undisturbed run does not get through the window: %s",
                        why == MACHINE_STOPPED_VERDICT ? machine_verdict(s->m)->text : "the vCPU waits");
    }
    s->r->last_position = position(s);
    return EMU_OK;
}

/* Go on from the boundary `from` to the first instruction that conflicts; the machine stands behind it. False if the
   window ends before. */
static bool run_to_conflict(struct search *s, const struct snapshot *at, uint64_t end)
{
    uint64_t behind;

    s->mode = COMPARE;
    s->conflict = false;
    while (!s->conflict && position(s) < end) {
        struct machine_limits l = limits_of(s);

        l.position_max = end;
        if (machine_run(s->m, &l) == MACHINE_STOPPED_VERDICT)
            break;
    }
    s->mode = IDLE;
    if (!s->conflict || s->conflict_position >= end)
        return false;
    behind = s->conflict_position + 1;
    snapshot_restore(s->m, at);
    return run_to(s, behind);
}

static enum emu_err search(struct search *s, const struct snapshot *start)
{
    uint64_t next, end;
    enum emu_err err = find_end(s);

    if (err != EMU_OK)
        return err;
    end = s->r->last_position;
    snapshot_restore(s->m, start);
    s->r->first_position = next = position(s);
    while (next < end) {
        struct snapshot *at;
        struct verdict v = {0};
        uint64_t delivered, rip, last;
        enum outcome outcome;

        if (s->o->progress && s->o->progress(s->o->context, s->r, position(s)))
            return EMU_OK;
        if (!run_to_open(s, end)) {
            s->r->boundaries += end - next;
            break;
        }
        delivered = position(s);
        rip = vcpu_rip(s->m);
        err = snapshot_take(s->m, NULL, &at, s->d);
        if (err != EMU_OK)
            return err;
        outcome = handle(s, &v);
        if (outcome == OUTCOME_NOTHING_TO_DELIVER) {
            snapshot_free(s->m, at);
            return diag_set(s->d, EMU_EINPUT, "no timer is armed in the window, so there is nothing to deliver");
        }
        s->r->runs++;
        snapshot_restore(s->m, at);
        if (s->o->every_boundary) {
            last = delivered;
            if (!run_to(s, delivered + 1))
                last = end - 1;
        } else if (run_to_conflict(s, at, end)) {
            last = position(s) - 1;
        } else {
            last = end - 1;
        }
        if (last >= end)
            last = end - 1;
        s->r->boundaries += last - next + 1;
        if (outcome == OUTCOME_FAILED)
            add_failure(s, next, last, delivered, rip, &v);
        next = last + 1;
        snapshot_free(s->m, at);
    }
    s->r->complete = true;
    return EMU_OK;
}

enum emu_err exhaustive_search(struct machine *m, const struct exhaustive_options *options,
                               struct exhaustive_report *report, struct diag *d)
{
    struct search s = {.m = m, .o = options, .r = report, .d = d};
    struct snapshot *start = NULL;
    enum emu_err err;

    memset(report, 0, sizeof(*report));
    report->failure = calloc(EXHAUSTIVE_FAILURES_MAX, sizeof(*report->failure));
    if (!report->failure)
        return diag_set(d, EMU_EHOST, "the host has no memory left");
    err = footprint_new(&s.footprint, d);
    if (err == EMU_OK)
        err = snapshot_take(m, NULL, &start, d);
    if (err == EMU_OK) {
        trace_listen(m, on_fact, &s);
        err = engine_watch_accesses(machine_engine(m), on_access, &s, d);
    }
    if (err == EMU_OK)
        err = search(&s, start);
    if (start) {
        enum emu_err off = engine_watch_accesses(machine_engine(m), NULL, NULL, d);

        if (err == EMU_OK)
            err = off;
        trace_unlisten(m, on_fact, &s);
        snapshot_restore(m, start);
        snapshot_free(m, start);
    }
    footprint_free(s.footprint);
    return err;
}

void exhaustive_report_fini(struct exhaustive_report *report)
{
    free(report->failure);
    memset(report, 0, sizeof(*report));
}
