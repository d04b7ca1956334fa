/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/delivery.h"

#include <string.h>

#include "emu/exception.h"
#include "emu/memory.h"
#include "emu/paging.h"

#define GATE_TASK    0x5
#define GATE_INT_16  0x6
#define GATE_TRAP_16 0x7
#define GATE_INT     0xe
#define GATE_TRAP    0xf

#define ERROR_EXT 1u
#define ERROR_IDT 2u

/* One attempt; `fault` is what stopped it. */
struct attempt {
    struct memory *mem;
    struct vcpu_regs r; /* becomes the result if the attempt succeeds */
    struct paging paging;
    const struct event *event;
    struct event fault;
    bool faulted;
    const char *unmodelled;
};

static bool fail(struct attempt *a, uint8_t vector, uint32_t error_code)
{
    if (!a->faulted) {
        a->faulted = true;
        a->fault = (struct event){.type = EVENT_EXCEPTION,
                                  .vector = vector,
                                  .has_error_code = exception_has_error_code(vector),
                                  .error_code = error_code};
    }
    return false;
}

static bool fail_unmodelled(struct attempt *a, const char *why)
{
    a->unmodelled = why;
    return false;
}

static uint32_t ext(const struct attempt *a)
{
    return a->event->type == EVENT_SOFTWARE ? 0 : ERROR_EXT;
}

/* Linear access with supervisor rights, byte ranges over page borders included. */
static bool linear_copy(struct attempt *a, uint64_t gva, void *data, size_t bytes, bool write)
{
    uint8_t *p = data;

    while (bytes) {
        size_t chunk = PAGE_BYTES - (gva & (PAGE_BYTES - 1));
        struct paging_result w = paging_walk(a->mem, &a->paging, gva, write ? PAGING_WRITE : 0);

        if (chunk > bytes)
            chunk = bytes;
        if (!w.ok) {
            a->r.cr2 = gva;
            return fail(a, VECTOR_PF, w.error_code);
        }
        if (write ? !memory_write(a->mem, w.gpa, p, chunk) : !memory_read(a->mem, w.gpa, p, chunk))
            return fail_unmodelled(a, "an event is delivered through memory that is not RAM");
        gva += chunk;
        p += chunk;
        bytes -= chunk;
    }
    return true;
}

static bool load(struct attempt *a, uint64_t gva, void *dst, size_t bytes)
{
    return linear_copy(a, gva, dst, bytes, false);
}

static bool push(struct attempt *a, const struct segment *ss, uint64_t *sp, uint64_t value, unsigned bytes, bool wide)
{
    uint64_t mask = wide ? UINT64_MAX : ss->attributes & SEG_ATTR_DB ? UINT32_MAX : 0xffff;
    uint64_t gva;

    *sp = (*sp & ~mask) | ((*sp - bytes) & mask);
    gva = wide ? *sp : (uint32_t)(ss->base + (*sp & mask));
    return linear_copy(a, gva, &value, bytes, true);
}

/* The descriptor of `selector`, two words. `vector` is what its absence raises. */
static bool load_descriptor(struct attempt *a, uint16_t selector, uint8_t vector, uint32_t words[2])
{
    const struct segment *ldtr = &a->r.ldtr;
    bool local = selector & 4;
    uint64_t base = local ? ldtr->base : a->r.gdtr.base;
    uint32_t limit = local ? ldtr->limit : a->r.gdtr.limit;

    if (!(selector & ~3u))
        return fail(a, vector, ext(a));
    if ((selector & ~7u) + 7 > limit)
        return fail(a, vector, (selector & ~3u) | ext(a));
    return load(a, base + (selector & ~7u), words, 8);
}

static struct segment segment_of(uint16_t selector, const uint32_t words[2])
{
    uint32_t limit = (words[0] & 0xffff) | (words[1] & 0xf0000);

    return (struct segment){
        .selector = selector,
        .base = (words[0] >> 16) | (words[1] & 0xff) << 16 | (words[1] & 0xff000000),
        .limit = words[1] & SEG_ATTR_G ? limit << 12 | 0xfff : limit,
        .attributes = words[1] & 0x00f0ff00,
    };
}

struct gate {
    unsigned type, dpl;
    uint16_t selector;
    uint64_t offset;
    unsigned ist;
};

static bool load_gate(struct attempt *a, bool long_mode, struct gate *g)
{
    uint32_t w[4] = {0};
    unsigned bytes = long_mode ? 16 : 8, vector = a->event->vector;
    uint32_t error = vector * 8 + ERROR_IDT + ext(a);

    if (vector * bytes + bytes - 1 > a->r.idtr.limit)
        return fail(a, VECTOR_GP, error);
    if (!load(a, a->r.idtr.base + vector * bytes, w, bytes))
        return false;
    g->type = w[1] >> 8 & 0x1f;
    g->dpl = w[1] >> 13 & 3;
    g->selector = (uint16_t)(w[0] >> 16);
    g->offset = (w[0] & 0xffff) | (w[1] & 0xffff0000);
    g->ist = long_mode ? w[1] & 7 : 0;
    if (long_mode)
        g->offset |= (uint64_t)w[2] << 32;
    if (g->type != GATE_INT && g->type != GATE_TRAP &&
        (long_mode || (g->type != GATE_INT_16 && g->type != GATE_TRAP_16 && g->type != GATE_TASK)))
        return fail(a, VECTOR_GP, error);
    if (a->event->type == EVENT_SOFTWARE && g->dpl < regs_cpl(&a->r))
        return fail(a, VECTOR_GP, error);
    if (!(w[1] & SEG_ATTR_P))
        return fail(a, VECTOR_NP, error);
    if (g->type == GATE_TASK)
        return fail_unmodelled(a, "an event goes through a task gate");
    return true;
}

/* The handler's code segment, and the privilege level that it runs at. */
static bool load_handler_cs(struct attempt *a, const struct gate *g, bool long_mode, struct segment *cs, unsigned *cpl)
{
    uint32_t words[2];
    unsigned dpl;

    if (!load_descriptor(a, g->selector, VECTOR_GP, words))
        return false;
    dpl = words[1] >> SEG_ATTR_DPL_SHIFT & 3;
    if (!(words[1] & SEG_ATTR_S) || !(words[1] & SEG_ATTR_CODE) || dpl > *cpl ||
        (long_mode && (!(words[1] & SEG_ATTR_L) || (words[1] & SEG_ATTR_DB))))
        return fail(a, VECTOR_GP, (g->selector & ~3u) | ext(a));
    if (!(words[1] & SEG_ATTR_P))
        return fail(a, VECTOR_NP, (g->selector & ~3u) | ext(a));
    if (!(words[1] & SEG_ATTR_CONFORMING))
        *cpl = dpl;
    *cs = segment_of((uint16_t)((g->selector & ~3u) | *cpl), words);
    return true;
}

static bool pushes_rf(const struct event *event)
{
    if (event->debug_fault)
        return true;
    return event->type == EVENT_EXCEPTION && event->vector != 1 && event->vector != 3 && event->vector != 4 &&
           event->vector != VECTOR_DF && event->vector != 18;
}

static void enter(struct attempt *a, const struct gate *g, const struct segment *cs)
{
    a->r.seg[SEG_CS] = *cs;
    a->r.rip = g->offset;
    a->r.rflags &= ~(RFLAGS_TF | RFLAGS_NT | RFLAGS_RF | RFLAGS_VM);
    if (g->type == GATE_INT || g->type == GATE_INT_16)
        a->r.rflags &= ~RFLAGS_IF;
    a->r.interrupt_shadow = false;
}

static bool attempt_64(struct attempt *a)
{
    struct vcpu_regs *r = &a->r;
    struct segment cs, old_ss = r->seg[SEG_SS];
    unsigned old_cpl = regs_cpl(r), cpl = old_cpl;
    uint64_t sp = r->gpr[GPR_RSP];
    uint16_t old_cs = r->seg[SEG_CS].selector;
    struct gate g;

    if (!load_gate(a, true, &g) || !load_handler_cs(a, &g, true, &cs, &cpl))
        return false;
    if ((int64_t)(g.offset << 16) >> 16 != (int64_t)g.offset)
        return fail(a, VECTOR_GP, ext(a));
    if (g.ist || cpl != old_cpl) {
        unsigned offset = g.ist ? 0x24 + 8 * (g.ist - 1) : 4 + 8 * cpl;

        if (offset + 7 > r->tr.limit)
            return fail(a, VECTOR_TS, (r->tr.selector & ~3u) | ext(a));
        if (!load(a, r->tr.base + offset, &sp, 8))
            return false;
        if ((int64_t)(sp << 16) >> 16 != (int64_t)sp)
            return fail(a, VECTOR_SS, ext(a));
    }
    sp &= ~15ull;
    if (!push(a, NULL, &sp, old_ss.selector, 8, true) || !push(a, NULL, &sp, r->gpr[GPR_RSP], 8, true) ||
        !push(a, NULL, &sp, r->rflags | (pushes_rf(a->event) ? RFLAGS_RF : 0), 8, true) ||
        !push(a, NULL, &sp, old_cs, 8, true) || !push(a, NULL, &sp, r->rip, 8, true) ||
        (a->event->has_error_code && !push(a, NULL, &sp, a->event->error_code, 8, true)))
        return false;
    if (cpl != old_cpl)
        r->seg[SEG_SS] =
            (struct segment){.selector = (uint16_t)cpl,
                             .limit = UINT32_MAX,
                             .attributes = SEG_ATTR_G | SEG_ATTR_DB | SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_WRITABLE |
                                           (1u << SEG_ATTR_TYPE_SHIFT) | cpl << SEG_ATTR_DPL_SHIFT};
    r->gpr[GPR_RSP] = sp;
    enter(a, &g, &cs);
    return true;
}

/* The stack of privilege level `cpl` from the TSS. */
static bool load_tss_stack(struct attempt *a, unsigned cpl, struct segment *ss, uint64_t *sp)
{
    const struct segment *tr = &a->r.tr;
    bool tss_32 = tr->attributes >> SEG_ATTR_TYPE_SHIFT & 8;
    unsigned offset = tss_32 ? 4 + 8 * cpl : 2 + 4 * cpl, width = tss_32 ? 4 : 2;
    uint32_t words[2];
    uint32_t new_sp = 0;
    uint16_t selector = 0;

    if (offset + width + 1 > tr->limit)
        return fail(a, VECTOR_TS, (tr->selector & ~3u) | ext(a));
    if (!load(a, tr->base + offset, &new_sp, width) || !load(a, tr->base + offset + width, &selector, 2) ||
        !load_descriptor(a, selector, VECTOR_TS, words))
        return false;
    if ((selector & 3u) != cpl || (words[1] >> SEG_ATTR_DPL_SHIFT & 3) != cpl || !(words[1] & SEG_ATTR_S) ||
        (words[1] & SEG_ATTR_CODE) || !(words[1] & SEG_ATTR_WRITABLE))
        return fail(a, VECTOR_TS, (selector & ~3u) | ext(a));
    if (!(words[1] & SEG_ATTR_P))
        return fail(a, VECTOR_SS, (selector & ~3u) | ext(a));
    *ss = segment_of(selector, words);
    *sp = new_sp;
    return true;
}

static bool attempt_32(struct attempt *a)
{
    struct vcpu_regs *r = &a->r;
    bool v86 = r->rflags & RFLAGS_VM;
    struct segment cs, ss = r->seg[SEG_SS];
    const struct segment old_ss = ss;
    unsigned old_cpl = regs_cpl(r), cpl = old_cpl, width;
    uint64_t sp = r->gpr[GPR_RSP];
    struct gate g;
    bool ok = true;

    if (!load_gate(a, false, &g) || !load_handler_cs(a, &g, false, &cs, &cpl))
        return false;
    if (v86 && cpl != 0)
        return fail(a, VECTOR_GP, (g.selector & ~3u) | ext(a));
    if (cpl != old_cpl && !load_tss_stack(a, cpl, &ss, &sp))
        return false;
    width = g.type == GATE_INT || g.type == GATE_TRAP ? 4 : 2;
    if (g.offset > cs.limit)
        return fail(a, VECTOR_GP, ext(a));
    if (v86) {
        static const enum segment_register data[4] = {SEG_GS, SEG_FS, SEG_DS, SEG_ES};

        for (int i = 0; ok && i < 4; i++)
            ok = push(a, &ss, &sp, r->seg[data[i]].selector, width, false);
    }
    if (ok && cpl != old_cpl)
        ok = push(a, &ss, &sp, old_ss.selector, width, false) && push(a, &ss, &sp, r->gpr[GPR_RSP], width, false);
    ok = ok && push(a, &ss, &sp, r->rflags | (pushes_rf(a->event) ? RFLAGS_RF : 0), width, false) &&
         push(a, &ss, &sp, r->seg[SEG_CS].selector, width, false) && push(a, &ss, &sp, r->rip, width, false) &&
         (!a->event->has_error_code || push(a, &ss, &sp, a->event->error_code, width, false));
    if (!ok)
        return false;
    if (v86)
        r->seg[SEG_GS] = r->seg[SEG_FS] = r->seg[SEG_DS] = r->seg[SEG_ES] = (struct segment){0};
    r->seg[SEG_SS] = ss;
    r->gpr[GPR_RSP] = sp;
    if (width == 2)
        g.offset &= 0xffff;
    enter(a, &g, &cs);
    return true;
}

static bool attempt_real(struct attempt *a)
{
    struct vcpu_regs *r = &a->r;
    struct segment *ss = &r->seg[SEG_SS];
    uint64_t sp = r->gpr[GPR_RSP];
    uint16_t entry[2];

    if (a->event->vector * 4u + 3 > r->idtr.limit)
        return fail(a, VECTOR_GP, 0);
    if (!load(a, r->idtr.base + a->event->vector * 4u, entry, 4) || !push(a, ss, &sp, r->rflags, 2, false) ||
        !push(a, ss, &sp, r->seg[SEG_CS].selector, 2, false) || !push(a, ss, &sp, r->rip, 2, false))
        return false;
    r->gpr[GPR_RSP] = sp;
    r->rip = entry[0];
    r->seg[SEG_CS].selector = entry[1];
    r->seg[SEG_CS].base = (uint64_t)entry[1] << 4;
    r->rflags &= ~(RFLAGS_TF | RFLAGS_IF | RFLAGS_AC | RFLAGS_RF);
    r->interrupt_shadow = false;
    return true;
}

/* What the guest gets when `second` happens while `first` is delivered. */
static struct event combine(const struct event *first, const struct event *second)
{
    enum exception_class a = exception_class(first->vector), b = exception_class(second->vector);

    if (first->type == EVENT_EXCEPTION && ((a == EXCEPTION_CONTRIBUTORY && b == EXCEPTION_CONTRIBUTORY) ||
                                           (a == EXCEPTION_PAGE_FAULT && b != EXCEPTION_BENIGN)))
        return (struct event){.type = EVENT_EXCEPTION, .vector = VECTOR_DF, .has_error_code = true};
    return *second;
}

enum delivery_result delivery_enter(struct memory *mem, struct vcpu_regs *r, const struct event *event,
                                    struct event *delivered, const char **why)
{
    struct event now = *event;

    for (;;) {
        struct attempt a = {.mem = mem, .r = *r, .event = &now};
        bool ok;

        a.paging = (struct paging){.cr0 = r->cr0, .cr3 = r->cr3, .cr4 = r->cr4, .efer = r->efer};
        if (!(r->cr0 & CR0_PE)) {
            now.has_error_code = false;
            ok = attempt_real(&a);
        } else if (r->efer & EFER_LMA) {
            ok = attempt_64(&a);
        } else {
            ok = attempt_32(&a);
        }
        if (a.unmodelled) {
            *why = a.unmodelled;
            return DELIVERY_UNMODELLED;
        }
        if (ok) {
            *r = a.r;
            *delivered = now;
            return DELIVERY_DONE;
        }
        r->cr2 = a.r.cr2;
        r->rip -= now.insn_bytes;
        if (now.type == EVENT_EXCEPTION && now.vector == VECTOR_DF) {
            *delivered = now;
            return DELIVERY_SHUTDOWN;
        }
        now = combine(&now, &a.fault);
    }
}

static struct segment flat_segment(uint16_t selector, bool code, bool code64, unsigned dpl)
{
    uint32_t type = code ? 0xb : 0x3;

    return (struct segment){.selector = selector,
                            .limit = UINT32_MAX,
                            .attributes = type << SEG_ATTR_TYPE_SHIFT | SEG_ATTR_S | dpl << SEG_ATTR_DPL_SHIFT |
                                          SEG_ATTR_P | SEG_ATTR_G | (code && code64 ? SEG_ATTR_L : SEG_ATTR_DB)};
}

bool transition_syscall(struct vcpu_regs *r, struct event *fault)
{
    uint16_t selector = (uint16_t)(r->star >> 32 & 0xfffc);

    /* On Intel processors SYSCALL exists in 64-bit mode only; SDM Vol. 2B, "SYSCALL". */
    if (!(r->efer & EFER_SCE) || regs_code_bits(r) != 64) {
        *fault = (struct event){.type = EVENT_EXCEPTION, .vector = 6};
        return false;
    }
    r->gpr[GPR_RCX] = r->rip;
    r->gpr[GPR_R11] = r->rflags & ~RFLAGS_RF;
    r->rip = r->lstar;
    r->rflags = (r->rflags & ~r->fmask & ~RFLAGS_RF) | RFLAGS_FIXED;
    r->seg[SEG_CS] = flat_segment(selector, true, true, 0);
    r->seg[SEG_SS] = flat_segment((uint16_t)(selector + 8), false, false, 0);
    r->interrupt_shadow = false;
    return true;
}

bool transition_sysenter(struct vcpu_regs *r, struct event *fault)
{
    uint16_t selector = (uint16_t)(r->sysenter_cs & 0xfffc);
    bool long_mode = r->efer & EFER_LMA;

    if (!(r->cr0 & CR0_PE) || !selector) {
        *fault = (struct event){.type = EVENT_EXCEPTION, .vector = VECTOR_GP, .has_error_code = true};
        return false;
    }
    r->rflags &= ~(RFLAGS_VM | RFLAGS_IF | RFLAGS_RF);
    r->rip = long_mode ? r->sysenter_eip : (uint32_t)r->sysenter_eip;
    r->gpr[GPR_RSP] = long_mode ? r->sysenter_esp : (uint32_t)r->sysenter_esp;
    r->seg[SEG_CS] = flat_segment(selector, true, long_mode, 0);
    r->seg[SEG_SS] = flat_segment((uint16_t)(selector + 8), false, false, 0);
    r->interrupt_shadow = false;
    return true;
}
