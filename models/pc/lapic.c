/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/pc/lapic.h"

#include "emu/base/ensure.h"
#include "emu/machine.h"
#include "emu/schedule.h"
#include "emu/vcpu.h"
#include "models/pc/bus.h"
#include "models/pc/lapic_state.h"
#include "models/pc/pc.h"

#include <string.h>

/* Integrated APIC, highest LVT entry 5, no suppression of EOI broadcasts: Xen's VLAPIC_VERSION. */
#define VERSION 0x00050014u

/* The bits that software can write in each entry. SDM Vol. 3A, "Local Vector Table"; Xen's vlapic_lvt_mask keeps the
   delivery status and the remote IRR too. */
static const uint32_t lvt_writable[LVT_COUNT] = {
    [LVT_TIMER] = LVT_VECTOR | LVT_STATUS | LVT_MASKED | LVT_TIMER_MODE,
    [LVT_THERMAL] = LVT_VECTOR | LVT_STATUS | LVT_MODE | LVT_MASKED,
    [LVT_PERFORMANCE] = LVT_VECTOR | LVT_STATUS | LVT_MODE | LVT_MASKED,
    [LVT_LINT0] = LVT_VECTOR | LVT_MODE | LVT_STATUS | LVT_POLARITY | LVT_REMOTE_IRR | LVT_LEVEL | LVT_MASKED,
    [LVT_LINT1] = LVT_VECTOR | LVT_MODE | LVT_STATUS | LVT_POLARITY | LVT_REMOTE_IRR | LVT_LEVEL | LVT_MASKED,
    [LVT_ERROR] = LVT_VECTOR | LVT_STATUS | LVT_MASKED,
};

#define SVR_ENABLED  (1u << 8)
#define SVR_WRITABLE 0x3ffu
#define LDR_WRITABLE 0xff000000u
#define DFR_FIXED    0x0fffffffu /* read as ones */
#define ESR_KNOWN    (ESR_SEND_ILLEGAL_VECTOR | ESR_RECEIVE_ILLEGAL_VECTOR | ESR_ILLEGAL_REGISTER)

struct lapic_state {
    struct lapic lapics[VCPUS_MAX];
};

struct lapic *lapic_of(struct machine *m, unsigned vcpu)
{
    struct lapic_state *s = machine_model_state(m, &lapic_model);

    ensure(vcpu < machine_vcpus(m));
    return &s->lapics[vcpu];
}

static bool is_enabled(const struct lapic *l)
{
    return (l->base_msr & APIC_BASE_ENABLE) && (l->svr & SVR_ENABLED);
}

bool lapic_is_enabled(struct machine *m, unsigned vcpu)
{
    return is_enabled(lapic_of(m, vcpu));
}

bool lapic_is_globally_enabled(struct machine *m, unsigned vcpu)
{
    return lapic_of(m, vcpu)->base_msr & APIC_BASE_ENABLE;
}

static bool bit_test(const uint32_t bits[8], unsigned vector)
{
    return bits[vector / 32] >> (vector % 32) & 1;
}

static void bit_set(uint32_t bits[8], unsigned vector, bool on)
{
    if (on)
        bits[vector / 32] |= 1u << (vector % 32);
    else
        bits[vector / 32] &= ~(1u << (vector % 32));
}

/* The highest vector of a 256-bit register, or -1. */
static int bit_highest(const uint32_t bits[8])
{
    for (int i = 7; i >= 0; i--)
        if (bits[i])
            return i * 32 + 31 - __builtin_clz(bits[i]);
    return -1;
}

uint32_t lapic_processor_priority(const struct lapic *l)
{
    int in_service = bit_highest(l->isr);
    uint32_t isr_class = in_service < 0 ? 0 : (uint32_t)in_service & 0xf0;

    return (l->tpr & 0xf0) >= isr_class ? l->tpr : isr_class;
}

/* SDM Vol. 3A, "Arbitration Priority" (P6 family; later processors don't arbitrate, but read something here). */
static uint32_t arbitration_priority(const struct lapic *l)
{
    int irr = bit_highest(l->irr), isr = bit_highest(l->isr);
    uint32_t irr_class = irr < 0 ? 0 : (uint32_t)irr & 0xf0, isr_class = isr < 0 ? 0 : (uint32_t)isr & 0xf0;
    uint32_t tpr_class = l->tpr & 0xf0, high;

    if (tpr_class >= irr_class && tpr_class > isr_class)
        return l->tpr;
    high = tpr_class > isr_class ? tpr_class : isr_class;
    return high > irr_class ? high : irr_class;
}

void lapic_raise_error(struct machine *m, unsigned vcpu, uint32_t esr_bit)
{
    struct lapic *l = lapic_of(m, vcpu);
    uint32_t lvt = l->lvt[LVT_ERROR];

    if (l->esr_latched & esr_bit)
        return;
    l->esr_latched |= esr_bit;
    if (lvt & LVT_MASKED)
        return;
    if ((lvt & LVT_VECTOR) < LAPIC_FIRST_LEGAL_VECTOR)
        l->esr_latched |= ESR_RECEIVE_ILLEGAL_VECTOR;
    else
        lapic_raise(m, vcpu, lvt & LVT_VECTOR, BUS_EDGE);
}

void lapic_raise(struct machine *m, unsigned vcpu, uint8_t vector, enum bus_trigger trigger)
{
    struct lapic *l = lapic_of(m, vcpu);

    if (!is_enabled(l))
        return;
    if (vector < LAPIC_FIRST_LEGAL_VECTOR) {
        lapic_raise_error(m, vcpu, ESR_RECEIVE_ILLEGAL_VECTOR);
        return;
    }
    bit_set(l->irr, vector, true);
    bit_set(l->tmr, vector, trigger == BUS_LEVEL);
    /* Xen's vcpu_kick() ends SCHEDOP_poll too, whatever IF and the priorities say. */
    if (vcpu_state(m, vcpu) == VCPU_POLLING)
        vcpu_wake(m, vcpu);
    vcpu_kick(m, vcpu);
}

void lapic_reset_registers(struct machine *m, unsigned vcpu)
{
    struct lapic *l = lapic_of(m, vcpu);
    const struct lapic old = *l;

    memset(l, 0, sizeof(*l));
    l->base_msr = old.base_msr;
    memcpy(l->lint_level, old.lint_level, sizeof(l->lint_level)); /* what drives the pins is outside */
    l->dfr = 0xffffffff;
    l->svr = 0xff;
    for (unsigned i = 0; i < LVT_COUNT; i++)
        l->lvt[i] = LVT_MASKED;
    lapic_timer_stop(m, vcpu);
}

/* ---- local interrupt pins ---- */

static void lint_fire(struct machine *m, unsigned vcpu, unsigned line)
{
    const struct lapic *l = lapic_of(m, vcpu);
    uint32_t lvt = l->lvt[LVT_LINT0 + line];

    if ((lvt & LVT_MASKED) || !(l->base_msr & APIC_BASE_ENABLE))
        return;
    switch ((lvt & LVT_MODE) >> LVT_MODE_SHIFT) {
    case BUS_FIXED:
        lapic_raise(m, vcpu, lvt & LVT_VECTOR, lvt & LVT_LEVEL ? BUS_LEVEL : BUS_EDGE);
        break;
    case BUS_NMI:
        vcpu_raise_nmi(m, vcpu);
        break;
    case BUS_EXTINT:
        vcpu_kick(m, vcpu);
        break;
    default: /* SMI is ignored as above; INIT by a pin is not wired on Xen */
        break;
    }
}

void lapic_set_lint(struct machine *m, unsigned vcpu, unsigned line, bool level)
{
    struct lapic *l = lapic_of(m, vcpu);
    bool was;

    ensure(line < 2);
    was = l->lint_level[line];
    l->lint_level[line] = level;
    if (level && !was)
        lint_fire(m, vcpu, line);
}

bool lapic_accepts_extint(struct machine *m, unsigned vcpu)
{
    const struct lapic *l = lapic_of(m, vcpu);

    if (vcpu != 0)
        return false;
    return !(l->base_msr & APIC_BASE_ENABLE) || (l->lvt[LVT_LINT0] & (LVT_MODE | LVT_MASKED)) == (uint32_t)BUS_EXTINT
                                                                                                     << LVT_MODE_SHIFT;
}

/* ---- registers ---- */

uint32_t lapic_reg_read(struct machine *m, unsigned vcpu, unsigned offset)
{
    const struct lapic *l = lapic_of(m, vcpu);

    switch (offset) {
    case REG_ID:
        return lapic_is_x2apic(l) ? lapic_id(vcpu) : (uint32_t)lapic_id(vcpu) << 24;
    case REG_VERSION:
        return VERSION;
    case REG_TPR:
        return l->tpr;
    case REG_APR:
        return arbitration_priority(l);
    case REG_PPR:
        return lapic_processor_priority(l);
    case REG_EOI: /* write-only, reads 0 in Xen */
    case REG_RRD: /* remote read is not supported since the Pentium 4 */
        return 0;
    case REG_LDR:
        return lapic_is_x2apic(l) ? lapic_x2apic_ldr(m, vcpu) : l->ldr;
    case REG_DFR:
        return l->dfr;
    case REG_SVR:
        return l->svr;
    case REG_ISR ... REG_ISR + 0x7f:
        return l->isr[(offset - REG_ISR) >> 4];
    case REG_TMR ... REG_TMR + 0x7f:
        return l->tmr[(offset - REG_TMR) >> 4];
    case REG_IRR ... REG_IRR + 0x7f:
        return l->irr[(offset - REG_IRR) >> 4];
    case REG_ESR:
        return l->esr;
    case REG_ICR_LOW:
        return l->icr_low;
    case REG_ICR_HIGH:
        return l->icr_high;
    case REG_LVT_TIMER ... REG_LVT_ERROR:
        return l->lvt[(offset - REG_LVT_TIMER) >> 4];
    case REG_TIMER_INITIAL:
        return l->timer_initial;
    case REG_TIMER_CURRENT:
        return lapic_timer_current(m, l);
    case REG_TIMER_DIVIDE:
        return l->timer_divide;
    default:
        lapic_raise_error(m, vcpu, ESR_ILLEGAL_REGISTER);
        return 0;
    }
}

/* SDM Vol. 3A, "Signaling Interrupt Servicing Completion". */
static void write_eoi(struct machine *m, unsigned vcpu)
{
    struct lapic *l = lapic_of(m, vcpu);
    int vector = bit_highest(l->isr);

    if (vector < 0)
        return;
    bit_set(l->isr, (unsigned)vector, false);
    if (bit_test(l->tmr, (unsigned)vector)) {
        bus_end_of_interrupt(m, (uint8_t)vector);
        for (unsigned line = 0; line < 2; line++) {
            uint32_t lvt = l->lvt[LVT_LINT0 + line];

            if (l->lint_level[line] && (lvt & LVT_LEVEL) && (lvt & LVT_VECTOR) == (unsigned)vector)
                lint_fire(m, vcpu, line);
        }
    }
    vcpu_kick(m, vcpu);
}

/* SDM Vol. 3A, "Spurious Interrupt" and "Local APIC State After It Has Been Software Disabled". */
static void write_svr(struct lapic *l, uint32_t value)
{
    l->svr = value & SVR_WRITABLE;
    if (!(l->svr & SVR_ENABLED))
        for (unsigned i = 0; i < LVT_COUNT; i++)
            l->lvt[i] |= LVT_MASKED;
}

static void write_lvt(struct machine *m, unsigned vcpu, enum lvt entry, uint32_t value)
{
    struct lapic *l = lapic_of(m, vcpu);
    uint32_t old = l->lvt[entry];

    value &= lvt_writable[entry];
    if (!(l->svr & SVR_ENABLED))
        value |= LVT_MASKED;
    l->lvt[entry] = value;
    if (entry == LVT_TIMER)
        lapic_timer_lvt_written(m, vcpu, old);
    if (entry == LVT_LINT0 || entry == LVT_LINT1) {
        unsigned line = entry - LVT_LINT0;

        if (l->lint_level[line] && (value & LVT_LEVEL))
            lint_fire(m, vcpu, line);
        vcpu_kick(m, vcpu); /* the 8259 pair may have been waiting for an ExtINT pin */
    }
}

void lapic_reg_write(struct machine *m, unsigned vcpu, unsigned offset, uint32_t value)
{
    struct lapic *l = lapic_of(m, vcpu);

    switch (offset) {
    case REG_TPR:
        l->tpr = value & 0xff;
        vcpu_kick(m, vcpu);
        break;
    case REG_EOI:
        write_eoi(m, vcpu);
        break;
    case REG_LDR:
        l->ldr = value & LDR_WRITABLE;
        break;
    case REG_DFR:
        l->dfr = value | DFR_FIXED;
        break;
    case REG_SVR:
        write_svr(l, value);
        vcpu_kick(m, vcpu);
        break;
    case REG_ESR: /* a write makes what was latched readable, and starts anew */
        l->esr = l->esr_latched;
        l->esr_latched = 0;
        break;
    case REG_ICR_LOW:
        lapic_write_icr_low(m, vcpu, value);
        break;
    case REG_ICR_HIGH:
        l->icr_high = value & ICR_DESTINATION;
        break;
    case REG_LVT_TIMER ... REG_LVT_ERROR:
        write_lvt(m, vcpu, (offset - REG_LVT_TIMER) >> 4, value);
        break;
    case REG_TIMER_INITIAL:
        lapic_timer_write_initial(m, vcpu, value);
        break;
    case REG_TIMER_DIVIDE:
        lapic_timer_write_divide(m, vcpu, value);
        break;
    case REG_ID: /* read-only in Xen, as on current processors */
    case REG_VERSION:
    case REG_APR:
    case REG_PPR:
    case REG_RRD:
    case REG_ISR ... REG_IRR + 0x7f:
    case REG_TIMER_CURRENT:
        break;
    default:
        lapic_raise_error(m, vcpu, ESR_ILLEGAL_REGISTER);
        break;
    }
}

static bool has_window(const struct lapic *l)
{
    return (l->base_msr & APIC_BASE_ENABLE) && !lapic_is_x2apic(l);
}

/* The manual promises nothing but aligned 32-bit accesses. Smaller ones inside one register act on its bytes as in
   Xen's vlapic_mmio_read and vlapic_mmio_write; larger and straddling ones are left to nobody, so they end the run. */
static enum model_answer lapic_mmio_read(struct machine *m, unsigned vcpu, uint64_t gpa, unsigned bytes,
                                         uint64_t *value)
{
    unsigned offset = (unsigned)(gpa - LAPIC_GPA), byte = offset & 3;
    uint32_t reg;

    if (gpa < LAPIC_GPA || gpa - LAPIC_GPA >= LAPIC_WINDOW_BYTES || byte + bytes > 4)
        return MODEL_NOT_MINE;
    if (!has_window(lapic_of(m, vcpu))) {
        *value = UINT64_MAX >> (64 - 8 * bytes); /* nothing claims the address then */
        return MODEL_DONE;
    }
    /* Registers are 16 bytes apart, the 12 bytes behind each are reserved. */
    reg = offset & 0xc ? 0 : lapic_reg_read(m, vcpu, offset & ~3u);
    *value = reg >> (8 * byte) & (UINT32_MAX >> (32 - 8 * bytes));
    return MODEL_DONE;
}

static enum model_answer lapic_mmio_write(struct machine *m, unsigned vcpu, uint64_t gpa, unsigned bytes,
                                          uint64_t value)
{
    unsigned offset = (unsigned)(gpa - LAPIC_GPA), byte = offset & 3;
    uint32_t mask, reg;

    if (gpa < LAPIC_GPA || gpa - LAPIC_GPA >= LAPIC_WINDOW_BYTES || byte + bytes > 4)
        return MODEL_NOT_MINE;
    if (!has_window(lapic_of(m, vcpu)) || (offset & 0xc))
        return MODEL_DONE;
    mask = UINT32_MAX >> (32 - 8 * bytes) << (8 * byte);
    reg = bytes == 4 ? 0 : lapic_reg_read(m, vcpu, offset & ~3u) & ~mask;
    lapic_reg_write(m, vcpu, offset & ~3u, reg | ((uint32_t)value << (8 * byte) & mask));
    return MODEL_DONE;
}

/* SDM Vol. 3A, "Interaction of Task Priorities between CR8 and APIC". */
static unsigned lapic_read_cr8(struct machine *m, unsigned vcpu)
{
    return lapic_of(m, vcpu)->tpr >> 4;
}

static void lapic_write_cr8(struct machine *m, unsigned vcpu, unsigned priority)
{
    lapic_reg_write(m, vcpu, REG_TPR, priority << 4);
}

static int lapic_pending_vector(struct machine *m, unsigned vcpu)
{
    const struct lapic *l = lapic_of(m, vcpu);
    int vector = bit_highest(l->irr);

    if (vector < 0 || !is_enabled(l) || ((uint32_t)vector & 0xf0) <= (lapic_processor_priority(l) & 0xf0))
        return MODEL_NO_VECTOR;
    return vector;
}

bool lapic_would_take(struct machine *m, unsigned vcpu, uint8_t vector)
{
    const struct lapic *l = lapic_of(m, vcpu);

    return is_enabled(l) && (vector & 0xf0u) > (lapic_processor_priority(l) & 0xf0) && bit_highest(l->irr) < vector;
}

bool lapic_would_latch(struct machine *m, unsigned vcpu, enum bus_delivery delivery, uint8_t vector)
{
    const struct lapic *l = lapic_of(m, vcpu);

    if (vcpu_state(m, vcpu) == VCPU_OFFLINE)
        return false;
    if (delivery == BUS_NMI)
        return !vcpu_nmi_pending(m, vcpu);
    return (delivery == BUS_FIXED || delivery == BUS_LOWEST) && is_enabled(l) && vector >= LAPIC_FIRST_LEGAL_VECTOR &&
           !bit_test(l->irr, vector) && (vector & 0xf0u) > (lapic_processor_priority(l) & 0xf0);
}

bool lapic_lint_would_reach(struct machine *m, unsigned vcpu, unsigned line)
{
    const struct lapic *l = lapic_of(m, vcpu);
    uint32_t lvt;

    ensure(line < 2);
    lvt = l->lvt[LVT_LINT0 + line];
    return !(lvt & LVT_MASKED) && (l->base_msr & APIC_BASE_ENABLE) &&
           lapic_would_latch(m, vcpu, (lvt & LVT_MODE) >> LVT_MODE_SHIFT, lvt & LVT_VECTOR);
}

static void lapic_accept_vector(struct machine *m, unsigned vcpu, int vector)
{
    struct lapic *l = lapic_of(m, vcpu);

    bit_set(l->irr, (unsigned)vector & 0xff, false);
    bit_set(l->isr, (unsigned)vector & 0xff, true);
}

/* An interprocessor interrupt arrives that no vCPU has sent, as from a guest's own earlier mistake. */
static enum model_answer lapic_host_act(struct machine *m, const struct decision *d, struct diag *diag)
{
    if (d->kind != DECISION_IPI)
        return MODEL_NOT_MINE;
    if (!lapic_would_take(m, d->vcpu, (uint8_t)d->value)) {
        (void)!diag_set(diag, EMU_EINPUT,
                        "vCPU %u's local APIC is disabled, or something of the same or a higher priority than vector "
                        "0x%x is pending or in service there",
                        d->vcpu, (unsigned)d->value);
        return MODEL_REFUSED;
    }
    lapic_raise(m, d->vcpu, (uint8_t)d->value, BUS_EDGE);
    return MODEL_DONE;
}

/* What a PC's firmware leaves: LINT0 of the first processor takes the 8259 pair's interrupts, LINT1 is NMI. */
static void set_virtual_wire(struct machine *m)
{
    struct lapic *l = lapic_of(m, 0);

    l->svr |= SVR_ENABLED;
    l->lvt[LVT_LINT0] = (uint32_t)BUS_EXTINT << LVT_MODE_SHIFT;
    l->lvt[LVT_LINT1] = (uint32_t)BUS_NMI << LVT_MODE_SHIFT;
}

static enum emu_err lapic_init(struct machine *m, struct diag *d)
{
    for (unsigned v = 0; v < machine_vcpus(m); v++) {
        struct lapic *l = lapic_of(m, v);

        l->base_msr = LAPIC_GPA | APIC_BASE_ENABLE | (v == 0 ? APIC_BASE_BSP : 0);
        lapic_reset_registers(m, v);
        l->wait_for_sipi = v != 0;
    }
    if (pc_is_present(m))
        set_virtual_wire(m);
    return EMU_OK;
}

static bool vectors_are_sound(const struct lapic *l)
{
    static const uint32_t illegal = (1u << LAPIC_FIRST_LEGAL_VECTOR) - 1;

    return !((l->irr[0] | l->isr[0] | l->tmr[0]) & illegal);
}

static bool registers_are_sound(const struct lapic *l)
{
    for (unsigned i = 0; i < LVT_COUNT; i++)
        if ((l->lvt[i] & ~lvt_writable[i]) || (!(l->svr & SVR_ENABLED) && !(l->lvt[i] & LVT_MASKED)))
            return false;
    return l->tpr <= 0xff && !(l->ldr & ~LDR_WRITABLE) && (l->dfr & DFR_FIXED) == DFR_FIXED &&
           !(l->svr & ~SVR_WRITABLE) && !((l->esr | l->esr_latched) & ~ESR_KNOWN) && !(l->icr_low & ~ICR_WRITABLE) &&
           (lapic_is_x2apic(l) || !(l->icr_high & ~ICR_DESTINATION)) && !(l->timer_divide & ~DIVIDE_WRITABLE);
}

static bool lapic_is_sound(struct machine *m)
{
    for (unsigned v = 0; v < machine_vcpus(m); v++) {
        const struct lapic *l = lapic_of(m, v);

        if (!lapic_base_is_sound(m, v) || (l->lint_level[0] | l->lint_level[1] | l->wait_for_sipi) > 1 ||
            !vectors_are_sound(l) || !registers_are_sound(l) || !lapic_timer_is_sound(m, l))
            return false;
    }
    return true;
}

const struct model lapic_model = {
    .name = "lapic",
    .state_bytes = sizeof(struct lapic_state),
    .is_sound = lapic_is_sound,
    .init = lapic_init,
    .mmio_read = lapic_mmio_read,
    .mmio_write = lapic_mmio_write,
    .read_cr8 = lapic_read_cr8,
    .write_cr8 = lapic_write_cr8,
    .msr_read = lapic_msr_read,
    .msr_write = lapic_msr_write,
    .pending_vector = lapic_pending_vector,
    .accept_vector = lapic_accept_vector,
    .host_act = lapic_host_act,
    .timer_expired = lapic_timer_expired,
};
