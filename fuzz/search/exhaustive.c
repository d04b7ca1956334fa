/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz/search/exhaustive.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emu/decide.h"
#include "emu/delivery.h"
#include "emu/engine.h"
#include "emu/exception.h"
#include "emu/machine.h"
#include "emu/memory.h"
#include "emu/schedule.h"
#include "emu/snapshot.h"
#include "emu/trace.h"
#include "emu/vcpu.h"
#include "fuzz/detect/divergence.h"
#include "fuzz/search/dead_stack.h"
#include "fuzz/search/footprint.h"
#include "fuzz/search/torn_code.h"
#include "fuzz/search/window.h"

#define CONFIRMED_MAX  256u
#define CONFIRMED_TORN 256u
#define COURSES_MAX    32u
#define END_TEXT_BYTES 200u
#define NO_VECTOR      UINT64_MAX

/* What a handler did, from where, and how it ended: it does so again wherever memory holds the same where it read. */
struct course {
    struct footprint *footprint;
    uint64_t position;             /* of the boundary */
    uint64_t last_used;            /* a stamp that grows: the smallest is replaced first; 0: the slot is free */
    bool leaves;                   /* it asked something of the machine or a model */
    bool register_effect_is_local; /* measured at this boundary; do not reuse it elsewhere */
    bool failed;
    struct verdict verdict;
    struct torn_site torn; /* of torn code */
};

/* The outcome of a failing run that is not watched, kept for each place and kind of failure. */
struct unobserved_end {
    uint64_t rip_gva;
    unsigned failure; /* an exception's vector, or CONFIRMED_TORN */
    uint64_t site_gva;
    uint8_t present[TORN_CODE_SITE_BYTES_MAX]; /* of torn code */
    bool fails;                                /* the guest itself */
    struct verdict verdict;                    /* … so */
    char text[END_TEXT_BYTES];                 /* "then …"; "" if there is nothing to say */
};

struct exhaustive {
    struct machine *m;
    struct exhaustive_options o;
    struct exhaustive_report *r;
    struct window *window;
    struct window_cursor cursor;
    struct course *course; /* of the present run */
    struct course known[COURSES_MAX];
    uint64_t uses;
    struct torn_code *torn;
    struct snapshot *start, *at;
    struct diag *d;

    struct divergence_values *before; /* what must stay the same, at the present boundary */

    bool handling;  /* the handler runs, and what it does is noted */
    bool following; /* a failing run goes on, and only its exceptions are noted */
    bool changing;  /* the interrupted code is in the middle of changing code */
    bool exception; /* it raised one that handlers do not raise */
    bool is_torn;   /* it was about to execute torn code */
    unsigned vector;
    uint64_t exception_rip_gva;
    uint64_t below_gva; /* where the last exception was raised that the kernel below has taken */
    uint64_t followed_vector;
    struct torn_code_finding finding;

    struct unobserved_end unobserved[CONFIRMED_MAX];
    unsigned unobserved_count;
};

/* The guest's own handler of an exception begins. */
static void look_for_trap(struct exhaustive *s, uint64_t gva)
{
    const struct guest_trap *trap = guest_traps_at(&s->o.traps, gva);

    if (!trap)
        return;
    if (s->following) {
        if (s->followed_vector == NO_VECTOR || !exception_is_fatal(s->followed_vector))
            s->followed_vector = trap->vector;
        return;
    }
    if (s->exception)
        return;
    s->exception = true;
    s->vector = trap->vector;
    s->exception_rip_gva = s->below_gva;
    machine_stop(s->m);
}

static void on_access(void *context, enum engine_access kind, uint64_t gpa, unsigned bytes)
{
    struct exhaustive *s = context;
    uint64_t block_gva, gva;

    if (!s->handling && !s->following)
        return;
    block_gva = kind == ENGINE_FETCH ? engine_access_block_gva(machine_engine(s->m)) : 0;
    gva = block_gva % PAGE_BYTES == gpa % PAGE_BYTES ? block_gva : (block_gva | (PAGE_BYTES - 1)) + 1;
    if (kind == ENGINE_FETCH && s->o.traps.count)
        look_for_trap(s, gva);
    if (!s->handling)
        return;
    if (kind == ENGINE_LEAVE) {
        s->course->leaves = true;
        return;
    }
    footprint_add(s->course->footprint, kind == ENGINE_WRITE, gpa, bytes);
    if (kind == ENGINE_FETCH && s->changing && !s->is_torn) {
        if (torn_code_check(s->torn, s->m, gva, gpa, bytes, &s->finding)) {
            s->is_torn = true;
            machine_stop(s->m);
        }
    }
}

static void on_fact(struct machine *m, const struct trace_fact *fact, void *context)
{
    struct exhaustive *s = context;

    if ((s->following || s->handling) && fact->kind == TRACE_EXCEPTION &&
        guest_traps_goes_below(&s->o.traps, m, fact, &s->below_gva))
        return;
    if (s->following && fact->kind == TRACE_EXCEPTION &&
        (s->followed_vector == NO_VECTOR || !exception_is_fatal(s->followed_vector)))
        s->followed_vector = fact->a;
    if (!s->handling || s->exception || fact->kind != TRACE_EXCEPTION || !exception_is_fatal(fact->a))
        return;
    s->exception = true;
    s->vector = (unsigned)fact->a;
    s->exception_rip_gva = fact->rip_gva;
    machine_stop(m);
}

static uint64_t position(const struct exhaustive *s)
{
    return vcpu_position(s->m, s->o.vcpu);
}

static struct machine_limits limits_of(const struct exhaustive *s)
{
    return (struct machine_limits){.steps_max = UINT64_MAX, .pinned = true, .vcpu = s->o.vcpu};
}

/* Go on undisturbed to an exact position. */
static bool run_to(struct exhaustive *s, uint64_t to)
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

enum outcome { OUTCOME_RETURNED, OUTCOME_FAILED, OUTCOME_NOTHING_TO_DELIVER, OUTCOME_NOT_TAKEN };

static void note_budget(struct exhaustive *s, struct verdict *v, uint64_t rip_gva)
{
    *v = (struct verdict){.kind = VERDICT_BUDGET, .vcpu = s->o.vcpu, .rip_gva = rip_gva, .position = position(s)};
    snprintf(v->text, sizeof(v->text), "the handler has not returned after %" PRIu64 " steps", s->o.handler_steps_max);
}

/* Whether the machine's models have a say in what is delivered. */
static bool asks_models(const struct exhaustive *s)
{
    return s->o.source.kind == DECISION_IRQ || s->o.source.kind == DECISION_IPI;
}

/* By the machine's models, which know whether the interrupt would be taken here. */
static enum outcome decide(struct exhaustive *s)
{
    struct decision d = {.kind = s->o.source.kind, .vcpu = s->o.vcpu, .value = s->o.source.value};
    struct diag why;

    return machine_decide(s->m, &d, &why) == EMU_OK ? OUTCOME_RETURNED : OUTCOME_NOT_TAKEN;
}

static enum outcome deliver(struct exhaustive *s)
{
    if (asks_models(s))
        return decide(s);
    if (s->o.source.kind == DECISION_NMI)
        vcpu_raise_nmi(s->m, s->o.vcpu);
    else if (s->o.source.kind == DECISION_VECTOR)
        vcpu_raise_vector(s->m, s->o.vcpu, (uint8_t)s->o.source.value);
    else if (!machine_pass_time(s->m))
        return OUTCOME_NOTHING_TO_DELIVER;
    return OUTCOME_RETURNED;
}

/* Run the handler until it returns to the interrupted instruction. */
static enum outcome run_handler(struct exhaustive *s, struct verdict *v)
{
    uint64_t rip = vcpu_rip(s->m), sp = vcpu_gpr(s->m, GPR_RSP), before = position(s);
    struct machine_limits l = limits_of(s);

    l.until_rip_gva = rip;
    l.position_max = before + s->o.handler_steps_max;
    for (;;) {
        enum machine_stop_reason why = machine_run(s->m, &l);

        if (why == MACHINE_STOPPED_VERDICT) {
            *v = *machine_verdict(s->m);
            return v->kind == VERDICT_PASS ? OUTCOME_RETURNED : OUTCOME_FAILED;
        }
        if (s->is_torn || s->exception)
            return OUTCOME_FAILED;
        if (why == MACHINE_STOPPED_RIP && position(s) > before && vcpu_gpr(s->m, GPR_RSP) == sp)
            return OUTCOME_RETURNED;
        if (why == MACHINE_STOPPED_POSITION || why == MACHINE_STOPPED_NOT_RUNNABLE) {
            note_budget(s, v, vcpu_rip(s->m));
            machine_conclude(s->m);
            if (machine_verdict(s->m)->kind == VERDICT_FAIL)
                *v = *machine_verdict(s->m);
            return OUTCOME_FAILED;
        }
    }
}

/* ---- how a failing run goes on ---- */

static struct unobserved_end *find_unobserved(struct exhaustive *s, uint64_t rip_gva, unsigned failure)
{
    for (unsigned i = 0; i < s->unobserved_count; i++) {
        struct unobserved_end *e = &s->unobserved[i];

        if (e->rip_gva == rip_gva && e->failure == failure &&
            (failure != CONFIRMED_TORN ||
             (e->site_gva == s->finding.site_gva && !memcmp(e->present, s->finding.present, sizeof(e->present)))))
            return e;
    }
    return NULL;
}

/* The handler has returned. True if that ends the story. */
static bool follow_return(struct exhaustive *s, char *text)
{
    char difference[DIVERGENCE_TEXT_BYTES];

    if (s->o.same && divergence_differs(s->o.same, s->before, s->m, difference)) {
        snprintf(text, END_TEXT_BYTES, "then it returns, and %.170s", difference);
        return true;
    }
    snprintf(text, END_TEXT_BYTES, "then it returns");
    return false;
}

/* Deliver once more at s->at, without looking: to the handler's return, and to the guest's own end if that is near. */
static void play_on(struct exhaustive *s, struct unobserved_end *e)
{
    struct machine_limits l = {.steps_max = machine_steps(s->m) + s->o.confirm_steps_max};
    const struct verdict *end = machine_verdict(s->m);
    struct verdict v = {0};
    enum outcome outcome;
    enum machine_stop_reason why;

    s->is_torn = s->exception = false;
    s->followed_vector = NO_VECTOR;
    s->following = true;
    outcome = run_handler(s, &v);
    s->following = false;
    if (outcome == OUTCOME_RETURNED && machine_verdict(s->m)->kind == VERDICT_NONE && follow_return(s, e->text))
        return;
    if (outcome == OUTCOME_FAILED && s->followed_vector == NO_VECTOR) /* no panic on its way: a loop */
        l.steps_max = machine_steps(s->m) + s->o.handler_steps_max;
    do {
        why = machine_run(s->m, &l);
    } while (why == MACHINE_STOPPED_ASKED);
    machine_conclude(s->m);
    e->fails = end->kind == VERDICT_FAIL;
    if (e->fails)
        e->verdict = *end;
    if (outcome == OUTCOME_FAILED && !e->fails)
        snprintf(e->text, sizeof(e->text), "then it does not return within %" PRIu64 " steps", s->o.handler_steps_max);
    else if (outcome == OUTCOME_FAILED && s->followed_vector != NO_VECTOR)
        snprintf(e->text, sizeof(e->text), "then %s, and %.150s", exception_name(s->followed_vector), end->text);
    else if (e->fails)
        snprintf(e->text, sizeof(e->text), outcome == OUTCOME_RETURNED ? "then it returns, and %.150s" : "then %.150s",
                 end->text);
}

/* What the failure at hand ends in: torn code stays the finding, an exception gives way to the guest's own failure. */
static void follow(struct exhaustive *s, struct verdict *v)
{
    unsigned failure = s->is_torn ? CONFIRMED_TORN : s->vector;
    struct unobserved_end *e;
    size_t used;

    if (!(s->is_torn || s->exception) || machine_verdict(s->m)->kind != VERDICT_NONE)
        return;
    e = find_unobserved(s, v->rip_gva, failure);
    if (!e) {
        if (s->unobserved_count == CONFIRMED_MAX)
            return;
        snapshot_restore(s->m, s->at);
        if (deliver(s) != OUTCOME_RETURNED)
            return;
        e = &s->unobserved[s->unobserved_count++];
        *e = (struct unobserved_end){.rip_gva = v->rip_gva, .failure = failure, .site_gva = s->finding.site_gva};
        memcpy(e->present, s->finding.present, sizeof(e->present));
        play_on(s, e);
    }
    if (failure != CONFIRMED_TORN) {
        if (e->fails)
            *v = e->verdict;
        return;
    }
    used = strlen(v->text);
    snprintf(v->text + used, sizeof(v->text) - used, "; %s", e->text);
}

/* ---- what must stay the same ---- */

/* What is there at the present boundary, before the interrupt. */
static enum emu_err note_same(struct exhaustive *s)
{
    uint64_t sp = vcpu_gpr(s->m, GPR_RSP);

    for (unsigned i = 0; i < s->o.same->ranges; i++) {
        const struct divergence_range *r = &s->o.same->range[i];

        if (r->gva < sp && r->gva + r->bytes > sp - DEAD_STACK_BYTES)
            return diag_set(s->d, EMU_EINPUT,
                            "--same %s: this memory lies just below the interrupted stack pointer, where every "
                            "interrupt writes",
                            r->name);
    }
    return divergence_read(s->o.same, s->m, s->before, s->d);
}

/* It counts as what the handler has read: a boundary is like another only if the same is there. */
static void note_same_as_read(struct exhaustive *s)
{
    for (unsigned i = 0; i < s->o.same->ranges; i++) {
        const struct divergence_range *r = &s->o.same->range[i];

        for (uint64_t gva = r->gva, to = gva + r->bytes, gpa; gva < to;) {
            uint64_t page_end = (gva | (PAGE_BYTES - 1)) + 1, end = page_end < to ? page_end : to;

            if (vcpu_translate(s->m, s->o.vcpu, gva, &gpa))
                footprint_add(s->course->footprint, false, gpa, (unsigned)(end - gva));
            gva = end;
        }
    }
}

/* The handler has put back the registers; does it so whatever they hold? The machine is left anywhere. */
static bool puts_back_others(struct exhaustive *s)
{
    struct verdict ignored;
    char text[DIVERGENCE_TEXT_BYTES];

    snapshot_restore(s->m, s->at);
    divergence_disturb_registers(s->m);
    vcpu_get_regs(s->m, s->o.vcpu, &s->before->regs);
    return deliver(s) == OUTCOME_RETURNED && run_handler(s, &ignored) == OUTCOME_RETURNED &&
           machine_verdict(s->m)->kind == VERDICT_NONE &&
           !divergence_registers_differ(s->o.same, s->before, s->m, text);
}

/* The handler has returned. */
static enum outcome look_at_same(struct exhaustive *s, struct verdict *v)
{
    char text[DIVERGENCE_TEXT_BYTES];

    if (divergence_differs(s->o.same, s->before, s->m, text)) {
        *v = (struct verdict){.kind = VERDICT_FAIL,
                              .detector = "divergence",
                              .vcpu = s->o.vcpu,
                              .rip_gva = vcpu_rip(s->m),
                              .position = position(s)};
        snprintf(v->text, sizeof(v->text), "divergence where the handler returns: %s", text);
        s->course->register_effect_is_local = divergence_registers_differ(s->o.same, s->before, s->m, text);
        return OUTCOME_FAILED;
    }
    if ((s->o.same->registers || s->o.same->cr2) && !s->o.every_boundary)
        s->course->register_effect_is_local = !puts_back_others(s);
    return OUTCOME_RETURNED;
}

/* The site that was torn, with its versions. */
static void note_torn_site(struct exhaustive *s)
{
    struct torn_site *site = &s->course->torn;

    site->gva = s->finding.site_gva;
    site->bytes = s->finding.bytes;
    site->versions = torn_code_versions(s->torn, site->version, TORN_SITE_VERSIONS_MAX);
}

static void describe_failure(struct exhaustive *s, struct verdict *v)
{
    if (!s->is_torn && !s->exception)
        return;
    *v = (struct verdict){.kind = VERDICT_FAIL, .vcpu = s->o.vcpu, .position = position(s)};
    if (s->is_torn) {
        char bytes[VERDICT_TEXT_BYTES - 100];

        v->detector = "torn-code";
        v->rip_gva = s->finding.gva;
        note_torn_site(s);
        torn_code_print(&s->finding, bytes, sizeof(bytes));
        snprintf(v->text, sizeof(v->text), "torn code: %u of %u bytes written: %s", s->finding.written,
                 s->finding.bytes, bytes);
        return;
    }
    v->detector = "crash";
    v->rip_gva = s->exception_rip_gva;
    snprintf(v->text, sizeof(v->text), "exception vector %u in the handler", s->vector);
}

static struct course *oldest_course(struct exhaustive *s)
{
    struct course *c = &s->known[0];

    for (unsigned i = 1; i < COURSES_MAX; i++)
        if (s->known[i].last_used < c->last_used)
            c = &s->known[i];
    return c;
}

/* A run from here that is known already; NULL if there is none. While code is being changed it must be looked at. */
static struct course *find_course(struct exhaustive *s, uint64_t at)
{
    struct course *best = NULL;

    if (s->o.every_boundary || s->changing)
        return NULL;
    for (;;) { /* the latest first */
        uint64_t below = best ? best->last_used : UINT64_MAX;

        best = NULL;
        for (unsigned i = 0; i < COURSES_MAX; i++)
            if (s->known[i].last_used && !s->known[i].register_effect_is_local && s->known[i].last_used < below &&
                (!best || s->known[i].last_used > best->last_used))
                best = &s->known[i];
        if (!best)
            return NULL;
        if (!(best->leaves && window_leaves_between(s->window, best->position, at)) &&
            footprint_fits(best->footprint)) {
            best->last_used = ++s->uses;
            return best;
        }
    }
}

/* Deliver at the present boundary, which s->at holds, and run the handler. */
static enum outcome handle(struct exhaustive *s, struct verdict *v)
{
    uint64_t before = position(s);
    enum outcome outcome;

    s->course = oldest_course(s);
    s->course->position = before;
    s->course->last_used = ++s->uses;
    s->course->leaves = asks_models(s);
    s->course->register_effect_is_local = false;
    s->course->torn.versions = 0;
    footprint_clear(s->course->footprint);
    dead_stack_note(s->course->footprint, s->m, s->o.vcpu);
    if (s->o.same)
        note_same_as_read(s);
    s->exception = s->is_torn = false;
    s->handling = true;
    outcome = deliver(s);
    if (outcome == OUTCOME_RETURNED)
        outcome = run_handler(s, v);
    else
        s->course->leaves = true; /* until the window asks something of the machine, which may arm a timer */
    s->handling = false;
    footprint_settle(s->course->footprint);
    if (position(s) - before > s->r->handler_steps_max)
        s->r->handler_steps_max = position(s) - before;
    if (outcome == OUTCOME_FAILED) {
        describe_failure(s, v);
        follow(s, v);
    } else if (outcome == OUTCOME_RETURNED && s->o.same && machine_verdict(s->m)->kind == VERDICT_NONE) {
        outcome = look_at_same(s, v);
    }
    s->course->failed = outcome == OUTCOME_FAILED;
    s->course->verdict = *v;
    return outcome;
}

static void add_failure(struct exhaustive *s, uint64_t first, uint64_t last, uint64_t delivered, uint64_t rip_gva)
{
    s->r->failing += last - first + 1;
    if (s->r->failures < EXHAUSTIVE_FAILURES_MAX)
        s->r->failure[s->r->failures++] = (struct exhaustive_failure){.first_position = first,
                                                                      .last_position = last,
                                                                      .delivered_position = delivered,
                                                                      .rip_gva = rip_gva,
                                                                      .verdict = s->course->verdict,
                                                                      .torn = s->course->torn};
}

/* Run the handler from the present boundary, and be there again. */
static enum emu_err run_at(struct exhaustive *s)
{
    struct verdict v = {0};
    enum outcome outcome;
    enum emu_err err = s->at ? snapshot_update(s->m, s->at, s->d) : snapshot_take(s->m, s->start, &s->at, s->d);

    if (err == EMU_OK && s->o.same)
        err = note_same(s);
    if (err != EMU_OK)
        return err;
    outcome = handle(s, &v);
    s->r->runs += outcome != OUTCOME_NOT_TAKEN && outcome != OUTCOME_NOTHING_TO_DELIVER;
    snapshot_restore(s->m, s->at);
    return EMU_OK;
}

enum emu_err exhaustive_cover(struct exhaustive *s, uint64_t from, uint64_t to)
{
    uint64_t end = to < window_last(s->window) ? to : window_last(s->window);

    s->r->next_position = from;
    while (s->r->next_position < end) {
        uint64_t next = s->r->next_position;
        uint64_t delivered = window_next_open(s->window, next, s->o.source.kind != DECISION_NMI), rip, last;
        enum emu_err err;

        if (s->o.progress && s->o.progress(s->o.context, s->r, next))
            return EMU_OK;
        if (delivered >= window_last(s->window)) {
            s->r->boundaries += end - next;
            s->r->next_position = end;
            break;
        }
        if (!run_to(s, delivered))
            return diag_set(s->d, EMU_EHOST, "the window does not run as it was recorded");
        rip = vcpu_rip(s->m);
        s->changing = torn_code_begin(s->torn, delivered);
        s->course = find_course(s, delivered);
        if (!s->course) {
            err = run_at(s);
            if (err != EMU_OK)
                return err;
        }
        last = s->o.every_boundary || s->course->register_effect_is_local
                   ? delivered
                   : window_next_conflict(s->window, &s->cursor, s->course->footprint, s->course->leaves, delivered);
        if (last >= end)
            last = end - 1;
        s->r->boundaries += last - next + 1;
        if (s->course->failed)
            add_failure(s, next, last, delivered, rip);
        s->r->next_position = last + 1;
    }
    s->r->complete = true;
    return EMU_OK;
}

static enum emu_err record(struct exhaustive *s)
{
    struct window_options o = {.vcpu = s->o.vcpu,
                               .end_rip_gva = s->o.end_rip_gva,
                               .steps_max = s->o.steps_max,
                               .symbols = s->o.symbols,
                               .progress = s->o.recording,
                               .context = s->o.context};
    enum emu_err err = window_record(s->m, &o, &s->window, s->d);

    if (err != EMU_OK)
        return err;
    snapshot_restore(s->m, s->start);
    s->r->window = s->window;
    s->r->first_position = window_first(s->window);
    s->r->last_position = window_last(s->window);
    err = torn_code_new(s->window, &s->torn, s->d);
    if (err == EMU_OK)
        s->r->changes = torn_code_changes(s->torn);
    return err;
}

enum emu_err exhaustive_new(struct machine *m, const struct exhaustive_options *options,
                            struct exhaustive_report *report, struct exhaustive **out, struct diag *d)
{
    struct exhaustive *s = calloc(1, sizeof(*s));
    enum emu_err err = EMU_OK;

    memset(report, 0, sizeof(*report));
    if (!s)
        return diag_no_memory(d);
    *s = (struct exhaustive){.m = m, .o = *options, .r = report, .d = d};
    report->failure = calloc(EXHAUSTIVE_FAILURES_MAX, sizeof(*report->failure));
    s->before = calloc(1, sizeof(*s->before));
    if (!report->failure || !s->before)
        err = diag_no_memory(d);
    for (unsigned i = 0; err == EMU_OK && i < COURSES_MAX; i++)
        err = footprint_new(machine_memory(m), &s->known[i].footprint, d);
    if (err == EMU_OK)
        err = snapshot_take(m, NULL, &s->start, d);
    if (err == EMU_OK)
        err = record(s);
    if (err == EMU_OK)
        err = engine_watch_accesses(machine_engine(m), on_access, s, d);
    if (err != EMU_OK) {
        exhaustive_free(s);
        return err;
    }
    trace_listen(m, on_fact, s);
    *out = s;
    return EMU_OK;
}

void exhaustive_free(struct exhaustive *s)
{
    struct diag ignored;

    if (!s)
        return;
    trace_unlisten(s->m, on_fact, s);
    (void)!engine_watch_accesses(machine_engine(s->m), NULL, NULL, &ignored);
    snapshot_free(s->m, s->at);
    if (s->start) {
        snapshot_restore(s->m, s->start);
        snapshot_free(s->m, s->start);
    }
    torn_code_free(s->torn);
    free(s->before);
    for (unsigned i = 0; i < COURSES_MAX; i++)
        footprint_free(s->known[i].footprint);
    free(s);
}

void exhaustive_report_fini(struct exhaustive_report *report)
{
    window_free(report->window);
    free(report->failure);
    memset(report, 0, sizeof(*report));
}
