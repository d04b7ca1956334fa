/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/debugger/stops.h"

#include <stdlib.h>
#include <string.h>

#include "cli/debugger/history.h"
#include "emu/engine.h"
#include "emu/memory.h"
#include "emu/vcpu.h"

#define BREAKS_MAX (MACHINE_BREAKS_MAX - 1u) /* one more is the schedule's */
/* With accesses watched the engine is an order of magnitude slower: go back in smaller pieces. */
#define WATCHED_DISTANCE_STEPS 2000000ull
/* A run shorter than this is not worth translating the guest anew without the watching. */
#define SHORT_STEPS 200000ull

struct breakpoint {
    enum stops_point point;
    uint64_t gva;
};

struct watch {
    enum stops_point point;
    uint64_t gva, bytes;
    struct {
        uint64_t gpa, bytes;
    } range[2];
    unsigned ranges;
};

struct hit {
    bool is_there;
    uint64_t before_step; /* of the instruction */
    unsigned vcpu;
    const struct watch *watch;
};

struct stops {
    struct machine *m;
    struct history *h;
    struct breakpoint breakpoint[BREAKS_MAX];
    unsigned breakpoints;
    struct watch watch[STOPS_WATCHES_MAX];
    unsigned watches;

    enum { IGNORE, STOP_AT_FIRST, KEEP_LAST } mode;
    uint64_t from_step, to_step; /* hits of instructions from here to before there count */
    struct hit hit;
    bool engine_watches;
    const char *failed;
};

static uint64_t now(const struct stops *s)
{
    return machine_steps(s->m);
}

/* ---- what is watched ---- */

static bool wants(enum stops_point point, enum engine_access kind)
{
    return point == STOPS_WATCH_ACCESS || (point == STOPS_WATCH_WRITE) == (kind == ENGINE_WRITE);
}

static const struct watch *watch_of(const struct stops *s, enum engine_access kind, uint64_t gpa, uint64_t bytes)
{
    for (unsigned i = 0; i < s->watches; i++)
        for (unsigned k = 0; k < s->watch[i].ranges; k++)
            if (gpa < s->watch[i].range[k].gpa + s->watch[i].range[k].bytes && s->watch[i].range[k].gpa < gpa + bytes &&
                wants(s->watch[i].point, kind))
                return &s->watch[i];
    return NULL;
}

/* Called for every access of the guest: most are none of ours. */
static void on_access(void *context, enum engine_access kind, uint64_t gpa, unsigned bytes)
{
    struct stops *s = context;
    const struct watch *w;
    uint64_t before;

    if (s->mode == IGNORE || (kind != ENGINE_READ && kind != ENGINE_WRITE))
        return;
    w = watch_of(s, kind, gpa, bytes);
    if (!w || (s->mode == STOP_AT_FIRST && s->hit.is_there))
        return;
    /* The engine's position is exact within the block, the machine's count is not yet. */
    before = now(s) - vcpu_position(s->m, machine_current(s->m)) + engine_access_position(machine_engine(s->m));
    if (before < s->from_step || before >= s->to_step)
        return;
    s->hit = (struct hit){true, before, machine_current(s->m), w};
    if (s->mode == STOP_AT_FIRST)
        machine_stop(s->m);
}

bool stops_set(struct stops *s, enum stops_point point, unsigned vcpu, uint64_t gva, uint64_t bytes)
{
    struct watch w = {.point = point, .gva = gva, .bytes = bytes};

    stops_remove(s, point, gva, bytes);
    if (point <= STOPS_BREAK_HARDWARE) {
        if (s->breakpoints == BREAKS_MAX)
            return false;
        s->breakpoint[s->breakpoints++] = (struct breakpoint){point, gva};
        return true;
    }
    if (s->watches == STOPS_WATCHES_MAX || !bytes || bytes > STOPS_WATCH_BYTES_MAX)
        return false;
    while (bytes) {
        uint64_t chunk = PAGE_BYTES - (gva & (PAGE_BYTES - 1)), gpa;

        if (chunk > bytes)
            chunk = bytes;
        if (!vcpu_translate(s->m, vcpu, gva, &gpa) || !memory_is_ram(machine_memory(s->m), gpa, chunk))
            return false;
        w.range[w.ranges].gpa = gpa;
        w.range[w.ranges++].bytes = chunk;
        gva += chunk;
        bytes -= chunk;
    }
    s->watch[s->watches++] = w;
    return true;
}

void stops_remove(struct stops *s, enum stops_point point, uint64_t gva, uint64_t bytes)
{
    for (unsigned i = 0; i < s->breakpoints; i++)
        if (s->breakpoint[i].point == point && s->breakpoint[i].gva == gva)
            s->breakpoint[i--] = s->breakpoint[--s->breakpoints];
    for (unsigned i = 0; i < s->watches; i++)
        if (s->watch[i].point == point && s->watch[i].gva == gva && s->watch[i].bytes == bytes)
            s->watch[i--] = s->watch[--s->watches];
}

void stops_remove_all(struct stops *s)
{
    s->breakpoints = s->watches = 0;
}

/* ---- running ---- */

static void watch_in_engine(struct stops *s, bool watch)
{
    struct diag d;

    if (watch == s->engine_watches)
        return;
    if (engine_watch_accesses(machine_engine(s->m), watch ? on_access : NULL, s, &d) == EMU_OK)
        s->engine_watches = watch;
    else
        s->failed = "the CPU engine can't watch memory accesses";
}

static bool go(struct stops *s, uint64_t step)
{
    s->mode = IGNORE;
    if (step < now(s) || step - now(s) > SHORT_STEPS)
        watch_in_engine(s, false);
    return history_go(s->h, step);
}

static unsigned fill_breaks(const struct stops *s, uint64_t gva[MACHINE_BREAKS_MAX])
{
    for (unsigned i = 0; i < s->breakpoints; i++)
        gva[i] = s->breakpoint[i].gva;
    return s->breakpoints;
}

/* The linear address at which the loaded vCPU stands. */
static uint64_t stands_at(const struct stops *s)
{
    struct vcpu_regs r;

    vcpu_get_regs(s->m, machine_current(s->m), &r);
    return regs_code_bits(&r) == 64 ? r.rip : (uint32_t)(r.seg[SEG_CS].base + r.rip);
}

static struct stop at_breakpoint(const struct stops *s)
{
    struct stop stop = {.kind = STOP_POINT, .vcpu = machine_current(s->m), .gva = stands_at(s)};

    for (unsigned i = 0; i < s->breakpoints; i++)
        if (s->breakpoint[i].gva == stop.gva)
            stop.point = s->breakpoint[i].point;
    return stop;
}

static struct stop at_watch(const struct stops *s, const struct hit *hit)
{
    return (struct stop){.kind = STOP_POINT, .vcpu = hit->vcpu, .point = hit->watch->point, .gva = hit->watch->gva};
}

static struct stop simple(enum stop_kind kind, unsigned vcpu)
{
    return (struct stop){.kind = kind, .vcpu = vcpu};
}

/* It went no further: something failed, or the user wanted so. */
static struct stop cut_short(struct stops *s)
{
    struct stop stop = {.kind = STOP_ASKED, .vcpu = machine_current(s->m), .why = history_failure(s->h)};

    s->mode = IGNORE;
    if (s->failed)
        stop.why = s->failed;
    if (stop.why)
        stop.kind = STOP_FAILED;
    s->failed = NULL;
    return stop;
}

/* Forwards to the first point, or to where `vcpu` has made `position` steps (0: no such limit). */
static struct stop forwards(struct stops *s, unsigned vcpu, uint64_t position)
{
    uint64_t breaks[MACHINE_BREAKS_MAX], began = now(s);
    struct machine_limits l = {.steps_max = UINT64_MAX,
                               .break_gva = breaks,
                               .breaks = fill_breaks(s, breaks),
                               .vcpu = vcpu,
                               .position_max = position};

    if (machine_verdict(s->m)->kind != VERDICT_NONE)
        return simple(STOP_END, vcpu);
    if (s->watches || s->engine_watches)
        watch_in_engine(s, s->watches);
    if (s->failed)
        return cut_short(s);
    s->from_step = began;
    s->to_step = UINT64_MAX;
    s->hit.is_there = false;
    s->mode = s->watches ? STOP_AT_FIRST : IGNORE;
    for (;;) {
        enum machine_stop_reason why = MACHINE_STOPPED_ASKED;
        bool ok = history_advance(s->h, &l, &why);

        if (s->hit.is_there) { /* whatever stopped it came later */
            struct hit hit = s->hit;

            return go(s, hit.before_step + 1) ? at_watch(s, &hit) : cut_short(s);
        }
        if (!ok)
            return cut_short(s);
        switch (why) {
        case MACHINE_STOPPED_RIP:
            if (now(s) == began && machine_current(s->m) == vcpu)
                break; /* where it stood; the machine goes over it now */
            s->mode = IGNORE;
            return at_breakpoint(s);
        case MACHINE_STOPPED_POSITION:
            s->mode = IGNORE;
            return simple(STOP_DONE, vcpu);
        case MACHINE_STOPPED_VERDICT:
            s->mode = IGNORE;
            return simple(STOP_END, machine_verdict(s->m)->vcpu);
        default:
            break;
        }
    }
}

struct stop stops_continue(struct stops *s, unsigned vcpu)
{
    return forwards(s, vcpu, 0);
}

struct stop stops_step(struct stops *s, unsigned vcpu)
{
    return forwards(s, vcpu, vcpu_position(s->m, vcpu) + 1);
}

/* The last point met on the way from step `from` to step `to`. False if interrupted. */
static bool find_last(struct stops *s, uint64_t from, uint64_t to, struct hit *last)
{
    uint64_t breaks[MACHINE_BREAKS_MAX];
    struct machine_limits l = {.steps_max = to, .break_gva = breaks, .breaks = fill_breaks(s, breaks)};

    if (!go(s, from))
        return false;
    watch_in_engine(s, s->watches);
    if (s->failed)
        return false;
    s->from_step = from;
    s->to_step = to;
    s->hit.is_there = false;
    s->mode = s->watches ? KEEP_LAST : IGNORE;
    last->is_there = false;
    while (now(s) < to) {
        enum machine_stop_reason why;

        if (!history_advance(s->h, &l, &why))
            return false;
        if (why == MACHINE_STOPPED_RIP)
            *last = (struct hit){true, now(s), machine_current(s->m), NULL};
        else if (why == MACHINE_STOPPED_VERDICT)
            break;
    }
    s->mode = IGNORE;
    if (s->hit.is_there && (!last->is_there || s->hit.before_step >= last->before_step))
        *last = s->hit;
    return true;
}

/* At a step where a breakpoint is met next: up to where the machine meets it. */
static struct stop meet(struct stops *s, const struct hit *hit)
{
    uint64_t breaks[MACHINE_BREAKS_MAX];
    struct machine_limits l = {
        .steps_max = hit->before_step + 1, .break_gva = breaks, .breaks = fill_breaks(s, breaks)};
    enum machine_stop_reason why;

    return history_advance(s->h, &l, &why) ? at_breakpoint(s) : cut_short(s);
}

struct stop stops_continue_back(struct stops *s, unsigned vcpu)
{
    uint64_t end = now(s), from;

    while (history_find_before(s->h, end, &from)) {
        struct hit last;

        if (s->watches && end - from > WATCHED_DISTANCE_STEPS) {
            watch_in_engine(s, false);
            if (!history_refine(s->h, from, end, WATCHED_DISTANCE_STEPS) || !history_find_before(s->h, end, &from))
                return cut_short(s);
        }
        if (!find_last(s, from, end, &last))
            return cut_short(s);
        if (last.is_there) {
            if (!go(s, last.before_step))
                return cut_short(s);
            return last.watch ? at_watch(s, &last) : meet(s, &last);
        }
        end = from;
    }
    return go(s, history_begin(s->h)) ? simple(STOP_BEGIN, vcpu) : cut_short(s);
}

struct stop stops_step_back(struct stops *s, unsigned vcpu)
{
    uint64_t position = vcpu_position(s->m, vcpu), from, to = now(s);
    struct machine_limits l = {.steps_max = UINT64_MAX, .vcpu = vcpu, .position_max = position};
    enum machine_stop_reason why;

    /* A vCPU that has made no step in this history has none to take back, and the others' stay. */
    if (!position || !history_find_position(s->h, vcpu, position - 1, &from))
        return simple(STOP_BEGIN, vcpu);
    /* Mostly it made the last step of all. */
    if (!go(s, to - 1))
        return cut_short(s);
    if (vcpu_position(s->m, vcpu) == position - 1)
        return simple(STOP_DONE, vcpu);
    if (!go(s, from))
        return cut_short(s);
    do {
        if (!history_advance(s->h, &l, &why))
            return cut_short(s);
    } while (why == MACHINE_STOPPED_ASKED);
    return go(s, now(s) - 1) ? simple(STOP_DONE, vcpu) : cut_short(s);
}

/* ---- life ---- */

struct stops *stops_new(struct machine *m, struct history *h)
{
    struct stops *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->m = m;
    s->h = h;
    return s;
}

void stops_free(struct stops *s)
{
    if (!s)
        return;
    watch_in_engine(s, false);
    free(s);
}
