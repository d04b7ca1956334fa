/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a course touches: its accesses, what of them may be noticed by others, and its record. */
#include "fuzz/search/course_inside.h"

#include <stdlib.h>
#include <string.h>

#include "emu/base/vec.h"
#include "emu/engine.h"
#include "emu/memory.h"
#include "emu/trace.h"
#include "emu/vcpu.h"
#include "fuzz/search/code_symbols.h"
#include "fuzz/search/translations.h"

#define ACCESSES_MAX (64u << 20)
#define SEGMENTS_MAX 65536u
#define BLOCK_BYTES  4096u

/* ---- what is code ---- */

static void note_code(struct course *c, uint64_t gpa, uint64_t bytes)
{
    for (uint64_t line = gpa >> COURSE_LINE_SHIFT;
         line <= (gpa + bytes - 1) >> COURSE_LINE_SHIFT && line < c->code_lines; line++)
        c->code_line[line >> 3] |= (uint8_t)(1u << (line & 7));
}

static bool is_code(const struct course *c, uint64_t gpa, unsigned bytes)
{
    for (uint64_t line = gpa >> COURSE_LINE_SHIFT;
         line <= (gpa + bytes - 1) >> COURSE_LINE_SHIFT && line < c->code_lines; line++)
        if (c->code_line[line >> 3] >> (line & 7) & 1)
            return true;
    return false;
}

static bool note_code_page(void *context, uint64_t gva, uint64_t gpa, uint64_t bytes)
{
    note_code(context, gpa, bytes);
    return true;
}

void course_note_code(struct course *c, const struct symbols *symbols)
{
    (void)code_symbols_each(c->m, machine_current(c->m), symbols, note_code_page, c);
}

/* ---- accesses ---- */

static void note_reaches(struct course *c, const struct access *a)
{
    const struct activity *top = c->state.activities ? &c->state.activity[c->state.activities - 1] : NULL;
    bool by_handler = top && top->is_handler && top->vcpu == a->vcpu;

    for (uint32_t left = c->state.noting; left; left &= left - 1)
        reach_set_add(c->noted[__builtin_ctz(left)].reach, a, by_handler);
}

/* The steps of a block, whose last instruction is IRET; 0 if it can't be taken apart. */
static uint64_t count_steps(struct course *c, const uint8_t *code, unsigned bytes)
{
    struct decoder *dec = engine_decoder(machine_engine(c->m));
    unsigned bits = vcpu_code_bits(c->m);
    uint64_t steps = 0;

    for (unsigned at = 0; at < bytes; steps++) {
        struct insn insn;

        if (!decoder_decode(dec, bits, code + at, bytes - at, &insn))
            return 0;
        at += insn.length;
    }
    return steps;
}

/* Other instructions are not taken apart: bytes that only look like a serialising one make an order that matters to
   nobody. */
static bool looks_serialising(const uint8_t *code, unsigned bytes)
{
    for (const uint8_t *at = code, *end = code + bytes; (at = memchr(at, 0x0f, (size_t)(end - at))); at++) {
        if (at + 1 == end)
            return true;
        switch (at[1]) {
        case 0x00: /* LLDT, LTR */
        case 0x01: /* LGDT, LIDT, INVLPG, SERIALIZE */
        case 0x08: /* INVD */
        case 0x09: /* WBINVD */
        case 0x20: /* MOV to and from control and debug registers */
        case 0x21:
        case 0x22:
        case 0x23:
        case 0x30: /* WRMSR */
        case 0xa2: /* CPUID */
            return true;
        default:
            break;
        }
    }
    return false;
}

/* The block may serialise: at its end, by IRET, or anywhere in it. */
static void note_order(struct course *c, struct access *a)
{
    uint8_t code[BLOCK_BYTES];
    struct access order;

    if (a->bytes > sizeof(code) || !memory_peek(machine_memory(c->m), a->gpa, code, a->bytes)) {
        a->orders = 1;
        return;
    }
    a->orders = looks_serialising(code, a->bytes);
    if (code[a->bytes - 1] != 0xcf || a->orders)
        return;
    c->iret_steps = count_steps(c, code, a->bytes);
    if (!c->iret_steps) {
        a->orders = 1;
        return;
    }
    c->iret_steps += a->step;
    c->iret_vcpu = a->vcpu;
    order = (struct access){.kind = ACCESS_ORDER, .vcpu = a->vcpu, .space = a->space};
    note_reaches(c, &order);
}

/* The steps of all vCPUs but the current one. */
static uint64_t others_steps(struct course *c)
{
    unsigned vcpu = machine_current(c->m);

    if (vcpu != c->counted_vcpu) {
        c->counted_vcpu = vcpu;
        c->others_steps = machine_steps(c->m) - vcpu_position(c->m, vcpu);
    }
    return c->others_steps;
}

bool course_make_room(struct course_record *r, void *array, size_t *room, size_t count, size_t element, size_t max)
{
    r->overflow = r->overflow || count >= max || !vec_reserve(array, room, count + 1, 64, element);
    return !r->overflow;
}

static void record_access(struct course *c, const struct access *a)
{
    struct course_record *r = c->record;

    if (r && r->wants_accesses && !c->state.left &&
        course_make_room(r, &r->access, &r->access_room, r->accesses, sizeof(*a), ACCESSES_MAX))
        r->access[r->accesses++] = *a;
}

static void take(struct course *c, const struct access *a)
{
    if (c->iret_steps && a->step >= c->iret_steps) {
        struct access iret = {.step = c->iret_steps - 1, .kind = ACCESS_ORDER, .space = a->space, .vcpu = c->iret_vcpu};

        c->iret_steps = 0;
        record_access(c, &iret);
    }
    record_access(c, a);
    note_reaches(c, a);
}

void course_note_segment(struct course *c, bool by_default)
{
    struct course_record *r = c->record;

    if (r && course_make_room(r, &r->segment, &r->segment_room, r->segments, sizeof(*r->segment), SEGMENTS_MAX))
        r->segment[r->segments++] =
            (struct course_segment){.step = machine_steps(c->m), .state = c->state, .by_default = by_default};
}

static void take_leave(struct course *c, uint64_t step)
{
    struct access a = {.step = step, .kind = ACCESS_LEAVE, .space = c->space, .vcpu = (uint8_t)machine_current(c->m)};

    spin_restart(&c->spin);
    c->did_something = true;
    take(c, &a);
}

static void take_fetch(struct course *c, struct access *a)
{
    c->space = (uint8_t)translations_space(c->translations);
    a->space = c->space;
    if (c->iret_steps && c->iret_steps > a->step) /* the block was left before */
        c->iret_steps = 0;
    note_order(c, a);
    note_code(c, a->gpa, a->bytes);
    if (!c->spins && !c->passes_time && !c->follow &&
        spin_note_block(&c->spin, c->m, engine_access_block_gva(machine_engine(c->m)))) {
        c->spins = true;
        machine_stop(c->m);
    }
    take(c, a);
}

/* The running one writes: what a spinning one waits for? */
static void note_wake(struct course *c, const struct access *a)
{
    struct course_state *s = &c->state;
    bool is_it = s->waiter_reads > SPIN_READS_MAX;

    if (s->waiter < 0 || s->woken_steps || s->waiter == s->running || c->follow || c->passes_time)
        return;
    for (unsigned i = 0; i < s->waiter_reads && i < SPIN_READS_MAX && !is_it; i++)
        is_it = a->gpa / 8 <= s->waiter_read[i] && s->waiter_read[i] <= (a->gpa + a->bytes - 1) / 8;
    if (is_it) {
        s->woken_steps = a->step;
        machine_stop(c->m); /* its time is limited from here on */
    }
}

static void on_access(void *context, enum engine_access kind, uint64_t gpa, unsigned bytes)
{
    struct course *c = context;
    struct access a = {.gpa = gpa, .bytes = (uint16_t)bytes};

    if (!c->watching)
        return;
    a.step = others_steps(c) + engine_access_position(machine_engine(c->m));
    a.space = c->space;
    a.vcpu = (uint8_t)machine_current(c->m);
    switch (kind) {
    case ENGINE_FETCH:
        a.kind = ACCESS_FETCH;
        take_fetch(c, &a);
        return;
    case ENGINE_LEAVE:
        take_leave(c, a.step);
        return;
    case ENGINE_READ:
        a.kind = ACCESS_READ;
        spin_note_read(&c->spin, gpa, bytes);
        take(c, &a);
        return;
    case ENGINE_WRITE:
        break;
    }
    a.kind = ACCESS_WRITE;
    a.code = is_code(c, gpa, bytes);
    spin_note_write(&c->spin, c->m, gpa, bytes);
    c->did_something = true;
    note_wake(c, &a);
    take(c, &a);
    a.gpa = translations_of_write(c->translations, gpa);
    if (a.gpa) {
        a.kind = ACCESS_TABLE;
        a.code = 0;
        take(c, &a);
    }
}

static void on_fact(struct machine *m, const struct trace_fact *fact, void *context)
{
    struct course *c = context;

    if (!c->watching)
        return;
    switch (fact->kind) {
    case TRACE_INTERRUPT:
    case TRACE_NMI:
    case TRACE_HYPERCALL:
    case TRACE_VCPU_STATE:
    case TRACE_EVENT:
    case TRACE_MSR_WRITE:
    case TRACE_HOST_WRITE:
    case TRACE_HOST_AREA:
        take_leave(c, machine_steps(m));
        return;
    case TRACE_CONSOLE:
    case TRACE_EXCEPTION:
    case TRACE_SHUTDOWN:
    case TRACE_OWNER:
    case TRACE_KIND_COUNT:
        return;
    }
}

void course_begin_record(struct course *c, struct course_record *r, bool accesses)
{
    r->wants_accesses = accesses;
    r->accesses = r->choices = r->segments = 0;
    r->overflow = false;
    c->record = r;
    course_note_segment(c, false);
}

void course_begin_follow(struct course *c, const struct course_record *r)
{
    c->follow = r;
    c->followed = 0; /* those that have begun are entered before anything runs */
}

void course_record_fini(struct course_record *r)
{
    free(r->access);
    free(r->choice);
    free(r->segment);
    memset(r, 0, sizeof(*r));
}

enum emu_err course_watch(struct course *c, struct diag *d)
{
    enum emu_err err = engine_watch_accesses(machine_engine(c->m), on_access, c, d);

    if (err == EMU_OK)
        trace_listen(c->m, on_fact, c);
    return err;
}

void course_unwatch(struct course *c)
{
    struct diag ignored;

    trace_unlisten(c->m, on_fact, c);
    (void)!engine_watch_accesses(machine_engine(c->m), NULL, NULL, &ignored);
}
