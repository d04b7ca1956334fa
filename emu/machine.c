/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * machine: the run loop. The documented fair default schedule is: vCPUs take turns in the order of their numbers; a
 * turn ends after MACHINE_TURN_NS of virtual time, or when the vCPU halts, polls, yields or goes offline. Where more
 * vCPUs are runnable when a turn begins than MACHINE_ROUND_NS has room for, each gets an equal part of that instead, so
 * that nobody is away for longer than a round: all share one line of time, and who measures time (a vCPU that
 * calibrates its delay loop) sees it jump by as much as the others take. The jump is below an eighth of two timer ticks
 * of 4 ms, which is what Linux's calibration takes for good. Machines of up to four vCPUs never have shorter turns.
 * Timers expire at the first instruction boundary at or after their deadline. When no vCPU can run, time jumps to the
 * next deadline.
 *
 * Interrupts are delivered at the first boundary at which they are pending and may be taken (IF, shadow, NMI blocking).
 */
#include "emu/exception.h"
#include "emu/machine.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "emu/base/ensure.h"
#include "emu/machine_state.h"
#include "emu/progress.h"

/* Timers that may expire one after another without a vCPU becoming runnable. */
#define IDLE_TURNS_MAX        10000000u
#define IDLE_TURNS_PINNED_MAX 100000u

enum emu_err machine_new(const struct machine_config *config, struct machine **out, struct diag *d)
{
    struct machine *m;
    enum emu_err err;
    size_t timers, vcpu_at, timers_at;

    if (config->vcpus < 1 || config->vcpus > VCPUS_MAX)
        return diag_set(d, EMU_EINPUT, "a machine has 1 to %u vCPUs, not %u", VCPUS_MAX, config->vcpus);
    if (config->model_count > MODELS_MAX)
        return diag_set(d, EMU_EINPUT, "a machine has at most %u models, not %u", MODELS_MAX, config->model_count);
    m = calloc(1, sizeof(*m));
    if (!m)
        return diag_no_memory(d);
    m->config = *config;
    for (unsigned i = 0; i < config->model_count; i++) {
        m->arena_offset[i] = m->arena_bytes;
        m->arena_bytes += (config->models[i]->state_bytes + 63) & ~(size_t)63;
    }
    timers = (size_t)config->model_count * TIMER_KINDS_MAX * config->vcpus;
    /* The models' states, the vCPUs and the timers lie behind the RAM, where digests and snapshots find them. */
    vcpu_at = m->arena_bytes;
    timers_at = vcpu_at + config->vcpus * sizeof(*m->vcpu);
    err = memory_new_with_area(config->ram_bytes, timers_at + timers * sizeof(*m->deadline_ns), &m->mem, d);
    if (err == EMU_OK) {
        m->arena = memory_area(m->mem);
        m->vcpu = (struct vcpu *)(void *)(m->arena + vcpu_at);
        m->deadline_ns = (uint64_t *)(void *)(m->arena + timers_at);
        for (size_t i = 0; i < timers; i++)
            m->deadline_ns[i] = TIMER_NEVER;
        m->expired = calloc(timers + 1, sizeof(*m->expired));
        if (!m->expired)
            err = diag_no_memory(d);
    }
    if (err == EMU_OK)
        err = engine_new(m->mem, config->vcpus, &machine_engine_ops, m, &m->engine, d);
    for (unsigned v = 0; err == EMU_OK && v < config->vcpus; v++) {
        regs_init_reset(&m->vcpu[v].regs);
        m->vcpu[v].regs_waiting = 1;
        m->vcpu[v].state = v ? VCPU_OFFLINE : VCPU_RUNNABLE;
    }
    if (err == EMU_OK)
        machine_switch(m, 0);
    for (unsigned i = 0; err == EMU_OK && i < config->model_count; i++)
        if (config->models[i]->init)
            err = config->models[i]->init(m, d);
    if (err != EMU_OK) {
        machine_free(m);
        return err;
    }
    *out = m;
    return EMU_OK;
}

void machine_tell_models_restored(struct machine *m)
{
    for (unsigned i = 0; i < m->config.model_count; i++)
        if (m->config.models[i]->restored)
            m->config.models[i]->restored(m);
}

void machine_free(struct machine *m)
{
    if (!m)
        return;
    hang_probe_free(m);
    hang_clock_free(m);
    free(m->expired);
    engine_free(m->engine);
    memory_free(m->mem);
    while (m->kept_texts) {
        struct kept_text *next = m->kept_texts->next;

        free(m->kept_texts);
        m->kept_texts = next;
    }
    free(m);
}

enum emu_err machine_forked(struct machine *m, struct diag *d)
{
    return memory_forked(m->mem, d);
}

const struct machine_config *machine_config(const struct machine *m)
{
    return &m->config;
}

struct memory *machine_memory(struct machine *m)
{
    return m->mem;
}

void *machine_model_state(struct machine *m, const struct model *model)
{
    for (unsigned i = 0; i < m->config.model_count; i++)
        if (m->config.models[i] == model)
            return m->arena + m->arena_offset[i];
    ensure(!"the model is one of the machine's");
    return NULL;
}

unsigned machine_vcpus(const struct machine *m)
{
    return m->config.vcpus;
}

unsigned machine_current(const struct machine *m)
{
    return m->run.current;
}

uint64_t clock_now_ns(const struct machine *m)
{
    return engine_now_ns(m->engine);
}

uint64_t clock_read_ns(struct machine *m)
{
    m->run.time_reads++;
    return engine_now_ns(m->engine);
}

void clock_charge(struct machine *m, uint64_t ns)
{
    engine_set_now_ns(m->engine, engine_now_ns(m->engine) + ns);
}

void machine_console(struct machine *m, uint8_t byte)
{
    trace_add(m, TRACE_CONSOLE, m->run.current, byte, 0, 0);
}

const struct verdict *machine_verdict(const struct machine *m)
{
    return &m->run.verdict;
}

EMU_PRINTF(4, 0)
static void set_verdict(struct machine *m, enum verdict_kind kind, const char *detector, const char *fmt, va_list ap)
{
    if (m->run.verdict.kind != VERDICT_NONE)
        return;
    m->run.verdict.kind = kind;
    m->run.verdict.detector = detector;
    m->run.verdict.vcpu = m->run.current;
    m->run.verdict.rip_gva = engine_rip(m->engine);
    m->run.verdict.position = engine_steps(m->engine, m->run.current);
    vsnprintf(m->run.verdict.text, sizeof(m->run.verdict.text), fmt, ap);
    watch_tell_judges(m, &m->run.verdict);
    engine_ask_attention(m->engine);
}

void machine_set_verdict(struct machine *m, enum verdict_kind kind, const char *detector, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    set_verdict(m, kind, detector, fmt, ap);
    va_end(ap);
}

void machine_conclude(struct machine *m)
{
    if (m->run.verdict.kind == VERDICT_NONE)
        watch_tell_judges(m, &m->run.verdict);
}

void machine_unmodelled(struct machine *m, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    set_verdict(m, VERDICT_UNMODELLED, NULL, fmt, ap);
    va_end(ap);
}

uint64_t machine_steps(const struct machine *m)
{
    return engine_steps_all(m->engine);
}

/* Whether registers wait to be loaded, or an interrupt to be looked for, is our business and not the guest's. */
static uint64_t digest_without_ours(struct machine *m)
{
    struct vcpu kept[VCPUS_MAX];
    uint64_t sum;

    memcpy(kept, m->vcpu, m->config.vcpus * sizeof(*kept));
    for (unsigned v = 0; v < m->config.vcpus; v++) {
        m->vcpu[v].regs_waiting = m->vcpu[v].kicked = 0;
        memset(&m->vcpu[v].regs, 0, sizeof(m->vcpu[v].regs));
    }
    sum = memory_digest(m->mem);
    memcpy(m->vcpu, kept, m->config.vcpus * sizeof(*kept));
    return sum;
}

uint64_t machine_digest(struct machine *m)
{
    const uint64_t no_seed = 1; /* it was one's default: runs keep the digests that they had with it */
    uint64_t words[] = {engine_now_ns(m->engine), m->run.trace_digest, m->run.trace_count, no_seed,
                        m->run.current,           m->run.turn_end_ns};
    uint64_t sum = XXH3_64bits(words, sizeof(words));

    for (unsigned v = 0; v < m->config.vcpus; v++) {
        struct vcpu_regs r;
        uint64_t steps = engine_steps(m->engine, v);

        memset(&r, 0, sizeof(r));
        vcpu_get_regs(m, v, &r);
        sum = XXH3_64bits_withSeed(&r, sizeof(r), sum);
        sum = XXH3_64bits_withSeed(&steps, sizeof(steps), sum);
    }
    return sum ^ digest_without_ours(m);
}

void machine_stop(struct machine *m)
{
    m->asked_to_stop = 1;
    engine_ask_attention(m->engine);
}

void machine_pass_time_to(struct machine *m, uint64_t time_ns)
{
    if (time_ns > engine_now_ns(m->engine))
        engine_set_now_ns(m->engine, time_ns);
    timer_expire_due(m, engine_now_ns(m->engine));
}

bool machine_pass_time(struct machine *m)
{
    uint64_t next = timer_next_ns(m);

    if (next == TIMER_NEVER)
        return false;
    machine_pass_time_to(m, next);
    return true;
}

struct engine *machine_engine(struct machine *m)
{
    return m->engine;
}

/* ---- events ---- */

void machine_deliver(struct machine *m, const struct event *event)
{
    struct vcpu_regs r;
    struct event delivered;
    const char *why = NULL;

    engine_get_event_regs(m->engine, &r);
    switch (delivery_enter(m->mem, &r, event, &delivered, &why)) {
    case DELIVERY_DONE:
        break;
    case DELIVERY_SHUTDOWN:
        machine_set_verdict(m, VERDICT_FAIL, "crash", "triple fault: %s while a double fault was delivered",
                            exception_name(event->vector));
        return;
    case DELIVERY_UNMODELLED:
        machine_unmodelled(m, "%s", why);
        return;
    }
    engine_set_event_regs(m->engine, &r);
    engine_count_step(m->engine);
    m->delivered = true;
    if (delivered.vector == VECTOR_DB && delivered.type == EVENT_EXCEPTION)
        engine_set_debug_register(m->engine, 7, engine_debug_register(m->engine, 7) & ~DR7_GD);
    if (delivered.type == EVENT_NMI)
        m->vcpu[m->run.current].nmi_blocked = 1;
    trace_add(m,
              delivered.type == EVENT_EXTERNAL ? TRACE_INTERRUPT
              : delivered.type == EVENT_NMI    ? TRACE_NMI
                                               : TRACE_EXCEPTION,
              m->run.current, delivered.vector, delivered.error_code, delivered.vector == VECTOR_PF ? r.cr2 : 0);
}

static int pending_vector(struct machine *m, unsigned vcpu, const struct model **from)
{
    *from = NULL;
    if (m->vcpu[vcpu].spurious_pending)
        return m->vcpu[vcpu].spurious_vector;
    for (unsigned i = 0; i < m->config.model_count; i++) {
        const struct model *model = m->config.models[i];
        int vector = model->pending_vector ? model->pending_vector(m, vcpu) : MODEL_NO_VECTOR;

        if (vector != MODEL_NO_VECTOR) {
            *from = model;
            return vector;
        }
    }
    return MODEL_NO_VECTOR;
}

int machine_pending_vector(struct machine *m, unsigned vcpu)
{
    const struct model *from;

    ensure(vcpu < m->config.vcpus);
    return pending_vector(m, vcpu, &from);
}

/* At a boundary of the current vCPU: deliver what may be delivered. Returns how many steps it may run before it must be
   asked again. */
static uint64_t deliver_pending(struct machine *m)
{
    struct vcpu *v = &m->vcpu[m->run.current];
    const struct model *from = NULL;
    bool watch_if = false, shadow;
    uint64_t steps = UINT64_MAX;
    int vector;

    v->kicked = 0;
    vector = pending_vector(m, m->run.current, &from);
    if (!v->nmi_pending && vector == MODEL_NO_VECTOR) {
        engine_watch(m->engine, false, v->nmi_blocked);
        return steps;
    }
    shadow = engine_interrupt_shadow(m->engine);
    if (shadow)
        steps = 1;
    if (v->nmi_pending && !v->nmi_blocked && !shadow) {
        struct event event = {.type = EVENT_NMI, .vector = VECTOR_NMI};

        v->nmi_pending = 0;
        machine_deliver(m, &event);
        v->kicked = 1;
    } else if (vector != MODEL_NO_VECTOR && !shadow && (engine_rflags(m->engine) & RFLAGS_IF)) {
        struct event event = {.type = EVENT_EXTERNAL, .vector = (uint8_t)vector};

        if (from)
            from->accept_vector(m, m->run.current, vector);
        else
            v->spurious_pending = 0;
        machine_deliver(m, &event);
        v->kicked = 1;
    }
    if (v->kicked && m->run.verdict.kind == VERDICT_NONE) { /* the handler's first boundary: what is pending now? */
        v->kicked = 0;
        vector = pending_vector(m, m->run.current, &from);
        if (vector != MODEL_NO_VECTOR && (engine_rflags(m->engine) & RFLAGS_IF))
            steps = 0;
        if (v->nmi_pending && !v->nmi_blocked)
            steps = 0;
    }
    watch_if = vector != MODEL_NO_VECTOR;
    engine_watch(m->engine, watch_if, v->nmi_blocked);
    return steps;
}

/* ---- the loop ---- */

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static bool is_at_position(const struct machine *m, const struct machine_limits *l)
{
    return (l->position_max && engine_steps(m->engine, l->vcpu) >= l->position_max) ||
           (l->also.position_max && engine_steps(m->engine, l->also.vcpu) >= l->also.position_max);
}

/* How many steps the current vCPU may make before it is at one of the positions; at least one. */
static uint64_t steps_to_position(const struct machine *m, const struct machine_limits *l)
{
    uint64_t steps = engine_steps(m->engine, m->run.current), left = UINT64_MAX;

    if (l->position_max && m->run.current == l->vcpu)
        left = l->position_max - steps;
    if (l->also.position_max && m->run.current == l->also.vcpu)
        left = min_u64(left, l->also.position_max - steps);
    return left;
}

/* Nobody can run: time jumps to the next deadline. False if the pinned vCPU is not helped by that. */
static bool idle(struct machine *m, const struct machine_limits *limits, uint64_t *idle_turns)
{
    uint64_t next = timer_next_ns(m);

    if (limits->pinned &&
        (next == TIMER_NEVER || m->vcpu[limits->vcpu].state == VCPU_OFFLINE || *idle_turns > IDLE_TURNS_PINNED_MAX))
        return false;
    if (!limits->pinned && hang_check_idle(m, *idle_turns == 0))
        return true;
    if (++*idle_turns > IDLE_TURNS_MAX)
        machine_set_verdict(m, VERDICT_BUDGET, NULL, "timers have expired %u times and woken no vCPU", IDLE_TURNS_MAX);
    else
        machine_pass_idle_time(m, next);
    return true;
}

static void set_breakpoints(struct machine *m, const struct machine_limits *limits)
{
    uint64_t gva[4 + MACHINE_BREAKS_MAX + 1 + WATCH_PLACES_MAX];
    unsigned n = machine_debug_breakpoints(m, gva);

    static_assert(sizeof(gva) <= ENGINE_BREAKPOINTS_MAX * sizeof(*gva), "the engine takes them all");
    ensure(limits->breaks <= MACHINE_BREAKS_MAX);
    if (limits->until_rip_gva)
        gva[n++] = limits->until_rip_gva;
    for (unsigned i = 0; i < limits->breaks; i++)
        gva[n++] = limits->break_gva[i];
    for (unsigned i = 0; i < m->watch.watchers; i++) {
        memcpy(&gva[n], m->watch.watcher[i].place, m->watch.watcher[i].places * sizeof(*gva));
        n += m->watch.watcher[i].places;
    }
    m->debugging = n != 0;
    m->watch.changed = false;
    engine_set_breakpoints(m->engine, gva, n);
}

/* At a breakpoint: is it one of the limits, or only a watcher's? */
static bool is_limit(const struct machine_limits *limits, uint64_t rip_gva)
{
    for (unsigned i = 0; i < limits->breaks; i++)
        if (limits->break_gva[i] == rip_gva)
            return true;
    return limits->until_rip_gva && limits->until_rip_gva == rip_gva;
}

static bool is_any_runnable(struct machine *m, uint64_t vcpus)
{
    machine_wake_halted(m);
    for (unsigned v = 0; v < m->config.vcpus; v++)
        if (vcpus >> v & 1 && m->vcpu[v].state == VCPU_RUNNABLE)
            return true;
    return false;
}

static const char *exit_name(enum engine_exit_kind kind)
{
    static const char *const names[] = {
        [ENGINE_EXIT_BOUNDARY] = "stopped at a boundary",
        [ENGINE_EXIT_EXCEPTION] = "reported an exception",
        [ENGINE_EXIT_ALONE] = "left an instruction",
        [ENGINE_EXIT_VMCALL] = "reported a hypercall",
        [ENGINE_EXIT_SYSCALL] = "reported SYSCALL",
        [ENGINE_EXIT_SYSENTER] = "reported SYSENTER",
        [ENGINE_EXIT_HLT] = "reported HLT",
        [ENGINE_EXIT_BREAK] = "stopped at a breakpoint",
        [ENGINE_EXIT_NO_MEMORY] = "reported no memory",
        [ENGINE_EXIT_BROKEN] = "broke",
    };

    return names[kind];
}

/* We go round without a step or time that passes: our error, and what is known of it. */
static void report_no_progress(struct machine *m, enum engine_exit_kind last)
{
    const struct vcpu *v = &m->vcpu[m->run.current];
    const struct model *from;
    int vector = pending_vector(m, m->run.current, &from);
    char waits[48] = "no interrupt waits";

    if (vector != MODEL_NO_VECTOR)
        snprintf(waits, sizeof(waits), "vector 0x%x waits", (unsigned)vector);
    machine_set_verdict(
        m, VERDICT_ERROR, NULL,
        "the run makes no step: vCPU %u (%s) was to run %u times from its step %" PRIu64 ", RIP 0x%" PRIx64 ", and the "
        "CPU engine last %s; IF is %u%s, %s%s%s",
        m->run.current, vcpu_state_name((enum vcpu_state)v->state), PROGRESS_STARTS_MAX,
        engine_steps(m->engine, m->run.current), engine_rip(m->engine), exit_name(last),
        !!(engine_rflags(m->engine) & RFLAGS_IF), engine_interrupt_shadow(m->engine) ? " in an interrupt shadow" : "",
        waits, v->nmi_pending ? ", an NMI waits" : "", v->nmi_blocked ? ", NMIs are blocked" : "");
}

/* NOLINTNEXTLINE(readability-function-size): the loop that the head of this file describes */
enum machine_stop_reason machine_run(struct machine *m, const struct machine_limits *limits)
{
    uint64_t idle_turns = 0;
    struct progress progress = {0};
    enum engine_exit_kind last = ENGINE_EXIT_BOUNDARY;

    ensure(limits->vcpu < m->config.vcpus && limits->also.vcpu < m->config.vcpus);
    set_breakpoints(m, limits);
    hang_set_pinned(m, limits->pinned ? (uint64_t)limits->vcpu + 1 : 0);
    m->pinned_to_place = limits->pinned && !limits->position_max && (limits->until_rip_gva || limits->breaks);
    m->pinned_is_stuck = false;
    for (;;) {
        uint64_t steps, limit_ns, left, debug_gva[4];
        struct engine_exit x;

        if (m->watch.asked)
            watch_tell_asked(m);
        if (m->run.watch_wrote)
            watch_tell_write(m);
        if (m->watch.changed)
            set_breakpoints(m, limits);
        if (m->run.verdict.kind != VERDICT_NONE)
            return MACHINE_STOPPED_VERDICT;
        if (m->asked_to_stop) {
            m->asked_to_stop = 0;
            return MACHINE_STOPPED_ASKED;
        }
        if (!progress_is_made(&progress, machine_steps(m), engine_now_ns(m->engine))) {
            report_no_progress(m, last);
            return MACHINE_STOPPED_VERDICT;
        }
        if (machine_steps(m) >= limits->steps_max)
            return MACHINE_STOPPED_STEPS;
        if (is_at_position(m, limits))
            return MACHINE_STOPPED_POSITION;
        if (limits->pinned_until_waits && m->vcpu[limits->vcpu].state != VCPU_RUNNABLE)
            return MACHINE_STOPPED_NOT_RUNNABLE;
        timer_expire_due(m, engine_now_ns(m->engine));
        if (limits->until_runnable && is_any_runnable(m, limits->until_runnable))
            return MACHINE_STOPPED_RUNNABLE;
        if (!machine_pick_vcpu(m, limits)) {
            if (!idle(m, limits, &idle_turns))
                return MACHINE_STOPPED_NOT_RUNNABLE;
            continue;
        }
        idle_turns = 0;
        if (m->pinned_is_stuck)
            return MACHINE_STOPPED_NOT_RUNNABLE;
        if (m->run.verdict.kind != VERDICT_NONE)
            continue;
        left = deliver_pending(m);
        if (!left || m->run.verdict.kind != VERDICT_NONE || is_at_position(m, limits) ||
            machine_steps(m) >= limits->steps_max) /* a delivery is a step */
            continue;
        steps = engine_steps(m->engine, m->run.current);
        left = min_u64(min_u64(left, limits->steps_max - machine_steps(m)), steps_to_position(m, limits));
        limit_ns = min_u64(m->run.turn_end_ns, timer_next_ns(m));
        if (limits->until_interruptible) {
            if ((engine_rflags(m->engine) & RFLAGS_IF) && !engine_interrupt_shadow(m->engine))
                return MACHINE_STOPPED_INTERRUPTIBLE;
            engine_watch(m->engine, true, false);
            if (engine_interrupt_shadow(m->engine))
                left = 1;
        }
        if (m->debugging || machine_debug_breakpoints(m, debug_gva))
            set_breakpoints(m, limits); /* each vCPU has its own */
        if (m->debugging && machine_take_debug_breakpoint(m))
            continue;
        x = engine_run(m->engine, limit_ns, left > UINT64_MAX - steps ? UINT64_MAX : steps + left);
        last = x.kind;
        if (x.kind == ENGINE_EXIT_BREAK) {
            uint64_t rip_gva = engine_rip(m->engine);

            watch_tell_reached(m, rip_gva);
            if (is_limit(limits, rip_gva))
                return MACHINE_STOPPED_RIP;
        }
        machine_take_exit(m, &x);
    }
}
