/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/pc/lapic_state.h"

#include "emu/machine.h"
#include "emu/vcpu.h"
#include "models/platform_config.h"
#include "models/processor.h"

#define MSR_APIC_BASE    0x01bu
#define MSR_TSC_DEADLINE 0x6e0u
#define MSR_X2APIC_FIRST 0x800u
#define MSR_X2APIC_LAST  0x8ffu

#define X2APIC_LVT_VECTOR  (LVT_MASKED | LVT_STATUS | LVT_VECTOR)
#define X2APIC_LVT_LINT    (X2APIC_LVT_VECTOR | LVT_MODE | LVT_POLARITY | LVT_REMOTE_IRR | LVT_LEVEL)
#define X2APIC_ICR_TO_SELF 0x40000u

/* Since then the logical ID comes from the APIC ID; before, from the vCPU's number (Xen, "x86: In x2APIC mode, derive
   LDR from APIC ID", which 4.17 and 4.18 have in their stable releases). */
#define LDR_OF_APIC_ID XEN_VERSION(4, 17)

uint32_t lapic_x2apic_ldr(const struct machine *m, unsigned vcpu)
{
    uint32_t id = machine_config(m)->xen_version >= LDR_OF_APIC_ID ? lapic_id(vcpu) : vcpu;

    return (id & ~0xfu) << 12 | 1u << (id & 0xf);
}

bool lapic_base_is_sound(struct machine *m, unsigned vcpu)
{
    uint64_t mode = lapic_of(m, vcpu)->base_msr - LAPIC_GPA - (vcpu == 0 ? APIC_BASE_BSP : 0);

    return mode == 0 || mode == APIC_BASE_ENABLE ||
           (mode == (APIC_BASE_ENABLE | APIC_BASE_X2APIC) && processor_of(m)->x2apic);
}

/* SDM Vol. 3A, "x2APIC State Transitions"; Xen 4.17 guest_wrmsr_apic_base: the window can't be moved, x2APIC needs its
   CPUID bit and xAPIC mode before it, and only being disabled ends it. The BSP flag is the host's. */
static enum model_answer write_apic_base(struct machine *m, unsigned vcpu, uint64_t value)
{
    static const uint64_t mode = APIC_BASE_ENABLE | APIC_BASE_X2APIC;
    struct lapic *l = lapic_of(m, vcpu);
    uint64_t old = l->base_msr;

    if ((value & ~(mode | APIC_BASE_BSP)) != LAPIC_GPA || ((value & APIC_BASE_X2APIC) && !processor_of(m)->x2apic))
        return MODEL_FAULT_GP;
    if ((old ^ value) & APIC_BASE_ENABLE) {
        if (value & APIC_BASE_X2APIC)
            return MODEL_FAULT_GP;
    } else if (((old ^ value) & APIC_BASE_X2APIC) && (old & mode) != APIC_BASE_ENABLE) {
        return MODEL_FAULT_GP;
    }
    l->base_msr = LAPIC_GPA | (value & mode) | (old & APIC_BASE_BSP);
    /* SDM Vol. 3A, "Enabling or Disabling the Local APIC": disabling it by the MSR loses its state. */
    if ((old & APIC_BASE_ENABLE) && !(value & APIC_BASE_ENABLE))
        lapic_reset_registers(m, vcpu);
    vcpu_kick(m, vcpu);
    return MODEL_DONE;
}

/* Xen 4.17 guest_rdmsr_x2apic. */
static bool is_x2apic_readable(unsigned offset)
{
    switch (offset) {
    case REG_ID:
    case REG_VERSION:
    case REG_TPR:
    case REG_PPR:
    case REG_LDR:
    case REG_SVR:
    case REG_ISR ... REG_IRR + 0x7f:
    case REG_ESR:
    case REG_LVT_CMCI:
    case REG_ICR_LOW:
    case REG_LVT_TIMER ... REG_TIMER_CURRENT:
    case REG_TIMER_DIVIDE:
        return true;
    default:
        return false;
    }
}

static enum model_answer read_x2apic(struct machine *m, unsigned vcpu, unsigned offset, uint64_t *value)
{
    if (!lapic_is_x2apic(lapic_of(m, vcpu)) || !is_x2apic_readable(offset))
        return MODEL_FAULT_GP;
    *value = offset == REG_LVT_CMCI ? 0 : lapic_reg_read(m, vcpu, offset);
    if (offset == REG_ICR_LOW)
        *value |= (uint64_t)lapic_of(m, vcpu)->icr_high << 32;
    return MODEL_DONE;
}

/* The bits that software may set; false if it may not write there. Xen 4.17 guest_wrmsr_x2apic. */
static bool x2apic_writable(unsigned offset, uint64_t *bits)
{
    switch (offset) {
    case REG_TPR:
    case REG_SELF_IPI:
        *bits = 0xff;
        return true;
    case REG_EOI:
    case REG_ESR:
        *bits = 0;
        return true;
    case REG_SVR:
        *bits = 0x3ff;
        return true;
    case REG_ICR_LOW:
        *bits = (uint64_t)UINT32_MAX << 32 | ICR_WRITABLE;
        return true;
    case REG_LVT_TIMER:
        *bits = X2APIC_LVT_VECTOR | LVT_TIMER_MODE;
        return true;
    case REG_LVT_CMCI:
    case REG_LVT_THERMAL:
    case REG_LVT_PERFORMANCE:
        *bits = X2APIC_LVT_VECTOR | LVT_MODE;
        return true;
    case REG_LVT_LINT0:
    case REG_LVT_LINT1:
        *bits = X2APIC_LVT_LINT;
        return true;
    case REG_LVT_ERROR:
        *bits = X2APIC_LVT_VECTOR;
        return true;
    case REG_TIMER_INITIAL:
        *bits = UINT64_MAX;
        return true;
    case REG_TIMER_DIVIDE:
        *bits = DIVIDE_WRITABLE;
        return true;
    default:
        return false;
    }
}

static enum model_answer write_x2apic(struct machine *m, unsigned vcpu, unsigned offset, uint64_t value)
{
    struct lapic *l = lapic_of(m, vcpu);
    uint64_t writable;

    if (!lapic_is_x2apic(l) || !x2apic_writable(offset, &writable) || (value & ~writable))
        return MODEL_FAULT_GP;
    switch (offset) {
    case REG_LVT_CMCI: /* Xen keeps nothing of it */
        break;
    case REG_SELF_IPI:
        lapic_write_icr_low(m, vcpu, X2APIC_ICR_TO_SELF | (uint32_t)value);
        break;
    case REG_ICR_LOW:
        l->icr_high = (uint32_t)(value >> 32);
        lapic_write_icr_low(m, vcpu, (uint32_t)value);
        break;
    default:
        lapic_reg_write(m, vcpu, offset, (uint32_t)value);
        break;
    }
    return MODEL_DONE;
}

enum model_answer lapic_msr_read(struct machine *m, unsigned vcpu, uint32_t msr, uint64_t *value)
{
    if (msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST)
        return read_x2apic(m, vcpu, (msr - MSR_X2APIC_FIRST) << 4, value);
    switch (msr) {
    case MSR_APIC_BASE:
        *value = lapic_of(m, vcpu)->base_msr;
        return MODEL_DONE;
    case MSR_TSC_DEADLINE:
        *value = lapic_timer_read_deadline(lapic_of(m, vcpu));
        return MODEL_DONE;
    default:
        return MODEL_NOT_MINE;
    }
}

enum model_answer lapic_msr_write(struct machine *m, unsigned vcpu, uint32_t msr, uint64_t value)
{
    if (msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST)
        return write_x2apic(m, vcpu, (msr - MSR_X2APIC_FIRST) << 4, value);
    switch (msr) {
    case MSR_APIC_BASE:
        return write_apic_base(m, vcpu, value);
    case MSR_TSC_DEADLINE:
        lapic_timer_write_deadline(m, vcpu, value);
        return MODEL_DONE;
    default:
        return MODEL_NOT_MINE;
    }
}
