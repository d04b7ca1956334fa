/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lapic_state: the insides of the local APIC's model, for models/pc/lapic*.c alone: the state of one LAPIC, and what
 * its files (lapic.c: registers and priorities; lapic_msr.c: its MSRs, and with them x2APIC mode; lapic_message.c:
 * messages, the ICR, INIT and SIPI; lapic_timer.c: the timer) do for each other.
 *
 * Source: SDM Vol. 3A, "Advanced Programmable Interrupt Controller (APIC)".
 */
#ifndef BOOTRACE_MODELS_PC_LAPIC_STATE_H
#define BOOTRACE_MODELS_PC_LAPIC_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "models/pc/lapic.h"

/* Register offsets. SDM Vol. 3A, "Local APIC Register Address Map". */
enum lapic_reg {
    REG_ID = 0x020,
    REG_VERSION = 0x030,
    REG_TPR = 0x080,
    REG_APR = 0x090,
    REG_PPR = 0x0a0,
    REG_EOI = 0x0b0,
    REG_RRD = 0x0c0,
    REG_LDR = 0x0d0,
    REG_DFR = 0x0e0,
    REG_SVR = 0x0f0,
    REG_ISR = 0x100,
    REG_TMR = 0x180,
    REG_IRR = 0x200,
    REG_ESR = 0x280,
    REG_LVT_CMCI = 0x2f0, /* in x2APIC mode only: Xen has none, and lets it be read and written */
    REG_ICR_LOW = 0x300,
    REG_ICR_HIGH = 0x310,
    REG_LVT_TIMER = 0x320, /* the six LVT entries follow each other, 0x10 apart */
    REG_LVT_THERMAL = 0x330,
    REG_LVT_PERFORMANCE = 0x340,
    REG_LVT_LINT0 = 0x350,
    REG_LVT_LINT1 = 0x360,
    REG_LVT_ERROR = 0x370,
    REG_TIMER_INITIAL = 0x380,
    REG_TIMER_CURRENT = 0x390,
    REG_TIMER_DIVIDE = 0x3e0,
    REG_SELF_IPI = 0x3f0, /* in x2APIC mode only */
};

enum lvt { LVT_TIMER, LVT_THERMAL, LVT_PERFORMANCE, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };

#define LVT_VECTOR      0xffu
#define LVT_MODE_SHIFT  8
#define LVT_MODE        (7u << LVT_MODE_SHIFT)
#define LVT_STATUS      (1u << 12)
#define LVT_POLARITY    (1u << 13)
#define LVT_REMOTE_IRR  (1u << 14)
#define LVT_LEVEL       (1u << 15)
#define LVT_MASKED      (1u << 16)
#define LVT_TIMER_SHIFT 17
#define LVT_TIMER_MODE  (3u << LVT_TIMER_SHIFT)

/* Error status bits. SDM Vol. 3A, "Error Handling". */
#define ESR_SEND_ILLEGAL_VECTOR    (1u << 5)
#define ESR_RECEIVE_ILLEGAL_VECTOR (1u << 6)
#define ESR_ILLEGAL_REGISTER       (1u << 7)

#define LAPIC_FIRST_LEGAL_VECTOR 16

#define ICR_WRITABLE    0x000ccfffu /* delivery status (12) reads as idle */
#define ICR_DESTINATION 0xff000000u /* of the high half */
#define DIVIDE_WRITABLE 0xbu

/* IA32_APIC_BASE. */
#define APIC_BASE_BSP    (1u << 8)
#define APIC_BASE_X2APIC (1u << 10)
#define APIC_BASE_ENABLE (1u << 11)

/* Plain data in the machine's area; registers as a guest reads them unless said otherwise. */
struct lapic {
    uint64_t base_msr;
    uint64_t timer_start_ns; /* when the count began at timer_initial */
    uint64_t tsc_deadline;   /* the MSR; 0 when disarmed */
    uint32_t isr[8], tmr[8], irr[8];
    uint32_t tpr, ldr, dfr, svr, esr, icr_low, icr_high;
    uint32_t esr_latched; /* errors since ESR was last written */
    uint32_t lvt[LVT_COUNT];
    uint32_t timer_initial, timer_divide;
    uint32_t lint_level[2]; /* of the pins, which no reset changes */
    uint32_t wait_for_sipi;
};

/* ---- lapic.c ---- */

/* `vcpu` is one of the machine's. */
struct lapic *lapic_of(struct machine *m, unsigned vcpu);

/* SDM Vol. 3A, "Task and Processor Priorities": the PPR. */
uint32_t lapic_processor_priority(const struct lapic *l);

/* Whether the interrupt would become pending there: the vCPU is not offline, the LAPIC enabled, the vector legal, not
   pending yet, and of a higher class than what is in service. For NMIs: none is pending yet. */
bool lapic_would_latch(struct machine *m, unsigned vcpu, enum bus_delivery delivery, uint8_t vector);

/* Latch an error, and raise its interrupt if the LVT has one. */
void lapic_raise_error(struct machine *m, unsigned vcpu, uint32_t esr_bit);

/* SDM Vol. 3A, "Local APIC State After an INIT Reset": all but the ID and IA32_APIC_BASE. */
void lapic_reset_registers(struct machine *m, unsigned vcpu);

/* A register as the guest reads and writes it; what none is, is an error there (ESR_ILLEGAL_REGISTER). */
uint32_t lapic_reg_read(struct machine *m, unsigned vcpu, unsigned offset);
void lapic_reg_write(struct machine *m, unsigned vcpu, unsigned offset, uint32_t value);

/* ---- lapic_msr.c ---- */

static inline bool lapic_is_x2apic(const struct lapic *l)
{
    return l->base_msr & APIC_BASE_X2APIC;
}

/* The logical APIC ID in x2APIC mode, which no software chooses. */
uint32_t lapic_x2apic_ldr(const struct machine *m, unsigned vcpu);

/* IA32_APIC_BASE is one that a guest can make. */
bool lapic_base_is_sound(struct machine *m, unsigned vcpu);

/* As a model's. */
enum model_answer lapic_msr_read(struct machine *m, unsigned vcpu, uint32_t msr, uint64_t *value);
enum model_answer lapic_msr_write(struct machine *m, unsigned vcpu, uint32_t msr, uint64_t value);

/* ---- lapic_message.c ---- */

/* A write to the low half of the ICR sends, to where icr_high says. SDM Vol. 3A, "Issuing Interprocessor Interrupts".
 */
void lapic_write_icr_low(struct machine *m, unsigned vcpu, uint32_t value);

/* ---- lapic_timer.c ---- */

/* What the current-count register reads. */
uint32_t lapic_timer_current(struct machine *m, const struct lapic *l);

/* The timer's LVT entry has changed from `old`: another mode starts the count anew, into or out of TSC-deadline mode
   stops it. */
void lapic_timer_lvt_written(struct machine *m, unsigned vcpu, uint32_t old);

/* Writes to the initial count (ignored in TSC-deadline mode) and the divide configuration (the count goes on). */
void lapic_timer_write_initial(struct machine *m, unsigned vcpu, uint32_t value);
void lapic_timer_write_divide(struct machine *m, unsigned vcpu, uint32_t value);

/* IA32_TSC_DEADLINE. SDM Vol. 3A, "TSC-Deadline Mode": 0 disarms, the past expires at once; in other modes it reads 0
   and ignores writes. */
uint64_t lapic_timer_read_deadline(const struct lapic *l);
void lapic_timer_write_deadline(struct machine *m, unsigned vcpu, uint64_t value);

/* Its start is no further back than time could have been lost (see PERIODS_BEHIND_MAX). */
bool lapic_timer_is_sound(const struct machine *m, const struct lapic *l);

void lapic_timer_stop(struct machine *m, unsigned vcpu);
void lapic_timer_expired(struct machine *m, unsigned kind, unsigned vcpu);

#endif
