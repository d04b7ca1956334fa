/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/vcpu.h"

#include <string.h>

#include "emu/base/ensure.h"
#include "emu/machine_state.h"

static struct vcpu *at(const struct machine *m, unsigned vcpu)
{
    ensure(vcpu < m->config.vcpus);
    return &m->vcpu[vcpu];
}

static void set_state(struct machine *m, unsigned vcpu, enum vcpu_state state)
{
    if (at(m, vcpu)->state == state)
        return;
    at(m, vcpu)->state = state;
    trace_add(m, TRACE_VCPU_STATE, vcpu, state, 0, 0);
    engine_ask_attention(m->engine);
}

enum vcpu_state vcpu_state(const struct machine *m, unsigned vcpu)
{
    return at(m, vcpu)->state;
}

const char *vcpu_wait_reason(const struct machine *m, unsigned vcpu)
{
    enum vcpu_state state = at(m, vcpu)->state;

    return state == VCPU_HALTED || state == VCPU_POLLING ? m->run.wait_reason[vcpu] : NULL;
}

const char *vcpu_state_name(enum vcpu_state state)
{
    static const char *const names[] = {
        [VCPU_OFFLINE] = "offline", [VCPU_RUNNABLE] = "runnable", [VCPU_HALTED] = "halted", [VCPU_POLLING] = "polling"};

    return names[state];
}

uint64_t vcpu_position(const struct machine *m, unsigned vcpu)
{
    return engine_steps(m->engine, vcpu);
}

uint64_t vcpu_gpr(const struct machine *m, enum gpr reg)
{
    return engine_gpr(m->engine, reg);
}

void vcpu_set_gpr(struct machine *m, enum gpr reg, uint64_t value)
{
    engine_set_gpr(m->engine, reg, value);
}

uint64_t vcpu_rip(const struct machine *m)
{
    return engine_rip(m->engine);
}

uint64_t vcpu_rflags(const struct machine *m)
{
    return engine_rflags(m->engine);
}

unsigned vcpu_cpl(const struct machine *m)
{
    struct vcpu_regs r;

    engine_get_event_regs(m->engine, &r);
    return regs_cpl(&r);
}

unsigned vcpu_code_bits(const struct machine *m)
{
    struct vcpu_regs r;

    engine_get_event_regs(m->engine, &r);
    return regs_code_bits(&r);
}

uint64_t vcpu_tsc(const struct machine *m, unsigned vcpu)
{
    return clock_now_ns(m) + at(m, vcpu)->tsc_offset;
}

void vcpu_set_tsc(struct machine *m, unsigned vcpu, uint64_t value)
{
    at(m, vcpu)->tsc_offset = value - clock_now_ns(m);
}

uint64_t vcpu_engine_msr(const struct machine *m, enum engine_msr msr)
{
    return engine_msr(m->engine, msr);
}

void vcpu_set_engine_msr(struct machine *m, enum engine_msr msr, uint64_t value)
{
    engine_set_msr(m->engine, msr, value);
}

void machine_switch(struct machine *m, unsigned vcpu)
{
    struct vcpu *v = at(m, vcpu);

    ensure(!m->in_engine);
    if (m->run.current != vcpu)
        engine_get_paging(m->engine, &m->run.paging[m->run.current]);
    engine_switch(m->engine, vcpu);
    m->run.current = vcpu;
    if (v->regs_waiting) {
        engine_set_regs(m->engine, &v->regs);
        v->regs_waiting = 0;
        memset(&v->regs, 0, sizeof(v->regs));
    }
}

void vcpu_get_regs(const struct machine *cm, unsigned vcpu, struct vcpu_regs *r)
{
    /* Looking at another vCPU loads it and puts the current one back: the machine is as before. */
    struct machine *m = (struct machine *)(uintptr_t)cm;
    unsigned current = m->run.current;

    if (at(m, vcpu)->regs_waiting) {
        *r = at(m, vcpu)->regs;
        return;
    }
    ensure(vcpu == current || !m->in_engine);
    engine_switch(m->engine, vcpu);
    engine_get_regs(m->engine, r);
    engine_switch(m->engine, current);
}

void vcpu_set_regs(struct machine *m, unsigned vcpu, const struct vcpu_regs *r)
{
    struct vcpu *v = at(m, vcpu);

    if (vcpu == m->run.current && !m->in_engine) {
        v->regs_waiting = 0;
        engine_set_regs(m->engine, r);
        return;
    }
    v->regs = *r;
    v->regs_waiting = 1;
    m->run.paging[vcpu] = (struct paging){.cr0 = r->cr0, .cr3 = r->cr3, .cr4 = r->cr4, .efer = r->efer};
}

static struct paging paging_of(struct machine *m, unsigned vcpu)
{
    struct paging p;

    if (vcpu != m->run.current || at(m, vcpu)->regs_waiting)
        return m->run.paging[vcpu];
    engine_get_paging(m->engine, &p);
    return p;
}

bool vcpu_translate(struct machine *m, unsigned vcpu, uint64_t gva, uint64_t *gpa)
{
    struct paging p = paging_of(m, vcpu);
    struct paging_result w = paging_walk(m->mem, &p, gva, 0);

    if (w.ok)
        *gpa = w.gpa;
    return w.ok;
}

static bool copy(struct machine *m, unsigned vcpu, uint64_t gva, void *data, size_t bytes, bool write,
                 uint64_t *fault_gva)
{
    struct paging p = paging_of(m, vcpu);
    uint8_t *bytes_at = data;

    while (bytes) {
        size_t chunk = PAGE_BYTES - (gva & (PAGE_BYTES - 1));
        struct paging_result w = paging_walk(m->mem, &p, gva, write ? PAGING_WRITE : 0);

        if (chunk > bytes)
            chunk = bytes;
        if (!w.ok ||
            !(write ? memory_write(m->mem, w.gpa, bytes_at, chunk) : memory_read(m->mem, w.gpa, bytes_at, chunk))) {
            if (fault_gva)
                *fault_gva = gva;
            return false;
        }
        gva += chunk;
        bytes_at += chunk;
        bytes -= chunk;
    }
    return true;
}

bool vcpu_read_gva(struct machine *m, unsigned vcpu, uint64_t gva, void *dst, size_t bytes, uint64_t *fault_gva)
{
    return copy(m, vcpu, gva, dst, bytes, false, fault_gva);
}

bool vcpu_write_gva(struct machine *m, unsigned vcpu, uint64_t gva, const void *src, size_t bytes, uint64_t *fault_gva)
{
    return copy(m, vcpu, gva, (void *)(uintptr_t)src, bytes, true, fault_gva);
}

void vcpu_kick(struct machine *m, unsigned vcpu)
{
    at(m, vcpu)->kicked = 1;
    if (vcpu == m->run.current || at(m, vcpu)->state == VCPU_HALTED)
        engine_ask_attention(m->engine);
}

bool vcpu_nmi_pending(const struct machine *m, unsigned vcpu)
{
    return at(m, vcpu)->nmi_pending;
}

bool vcpu_nmi_blocked(const struct machine *m, unsigned vcpu)
{
    ensure(vcpu < m->config.vcpus);
    return m->vcpu[vcpu].nmi_blocked;
}

void vcpu_raise_nmi(struct machine *m, unsigned vcpu)
{
    at(m, vcpu)->nmi_pending = 1;
    if (at(m, vcpu)->state == VCPU_HALTED || at(m, vcpu)->state == VCPU_POLLING)
        set_state(m, vcpu, VCPU_RUNNABLE);
    vcpu_kick(m, vcpu);
}

void vcpu_raise_vector(struct machine *m, unsigned vcpu, uint8_t vector)
{
    at(m, vcpu)->spurious_pending = 1;
    at(m, vcpu)->spurious_vector = vector;
    if (at(m, vcpu)->state == VCPU_POLLING)
        vcpu_wake(m, vcpu);
    vcpu_kick(m, vcpu);
}

void vcpu_halt(struct machine *m, unsigned vcpu, const char *reason)
{
    at(m, vcpu)->halt_masked = 0;
    at(m, vcpu)->kicked = 1;
    m->run.wait_reason[vcpu] = reason;
    set_state(m, vcpu, VCPU_HALTED);
}

void vcpu_poll(struct machine *m, unsigned vcpu, const char *reason)
{
    m->run.wait_reason[vcpu] = reason;
    set_state(m, vcpu, VCPU_POLLING);
}

void vcpu_wake(struct machine *m, unsigned vcpu)
{
    if (at(m, vcpu)->state == VCPU_HALTED || at(m, vcpu)->state == VCPU_POLLING)
        set_state(m, vcpu, VCPU_RUNNABLE);
}

void vcpu_yield(struct machine *m, unsigned vcpu)
{
    if (vcpu == m->run.current) {
        m->run.yielded = true;
        engine_ask_attention(m->engine);
    }
}

void vcpu_stop(struct machine *m, unsigned vcpu)
{
    set_state(m, vcpu, VCPU_OFFLINE);
}

void vcpu_start(struct machine *m, unsigned vcpu)
{
    if (at(m, vcpu)->state == VCPU_OFFLINE)
        set_state(m, vcpu, VCPU_RUNNABLE);
    at(m, vcpu)->kicked = 1;
}

void vcpu_reset(struct machine *m, unsigned vcpu)
{
    struct vcpu *v = at(m, vcpu);
    struct vcpu_regs r;

    regs_init_reset(&r);
    v->nmi_pending = v->nmi_blocked = 0;
    vcpu_set_regs(m, vcpu, &r);
    set_state(m, vcpu, VCPU_OFFLINE);
}

void vcpu_start_sipi(struct machine *m, unsigned vcpu, uint8_t vector)
{
    struct vcpu_regs r;

    regs_init_reset(&r);
    r.seg[SEG_CS].selector = (uint16_t)(vector << 8);
    r.seg[SEG_CS].base = (uint64_t)vector << 12;
    r.rip = 0;
    vcpu_set_regs(m, vcpu, &r);
    vcpu_start(m, vcpu);
}

/* SDM Vol. 3A, "Processor State After Reset", for INIT. */
void regs_init_reset(struct vcpu_regs *r)
{
    static const uint32_t data = SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_WRITABLE | (1u << SEG_ATTR_TYPE_SHIFT);

    memset(r, 0, sizeof(*r));
    r->rip = 0xfff0;
    r->rflags = RFLAGS_FIXED;
    r->cr0 = 0x60000010;
    r->gpr[GPR_RDX] = 0x600;
    for (unsigned s = 0; s < SEG_COUNT; s++)
        r->seg[s] = (struct segment){.limit = 0xffff, .attributes = data};
    r->seg[SEG_CS] =
        (struct segment){.selector = 0xf000, .base = 0xffff0000, .limit = 0xffff, .attributes = data | SEG_ATTR_CODE};
    r->ldtr = (struct segment){.limit = 0xffff, .attributes = SEG_ATTR_P | 2u << SEG_ATTR_TYPE_SHIFT};
    r->tr = (struct segment){.limit = 0xffff, .attributes = SEG_ATTR_P | 0xbu << SEG_ATTR_TYPE_SHIFT};
    r->gdtr.limit = r->idtr.limit = 0xffff;
    r->dr6 = 0xffff0ff0;
    r->dr7 = 0x400;
    r->fpcw = 0x37f;
    r->fptag = 0xffff;
    r->mxcsr = 0x1f80;
}

void regs_init_protected32(struct vcpu_regs *r, uint64_t rip)
{
    static const uint32_t flat = SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_DB | SEG_ATTR_G;

    regs_init_reset(r);
    r->cr0 = CR0_PE | CR0_ET;
    r->rip = rip;
    for (unsigned s = 0; s < SEG_COUNT; s++)
        r->seg[s] = (struct segment){.limit = UINT32_MAX, .attributes = flat | 0x3u << SEG_ATTR_TYPE_SHIFT};
    r->seg[SEG_CS].attributes = flat | 0xbu << SEG_ATTR_TYPE_SHIFT;
    r->tr = (struct segment){.limit = 0x67, .attributes = SEG_ATTR_P | 0xbu << SEG_ATTR_TYPE_SHIFT};
    r->gdtr.limit = r->idtr.limit = 0;
}
