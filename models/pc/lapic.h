/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lapic: the local APIC of every vCPU, in xAPIC mode at 0xfee00000, in x2APIC mode by MSRs if the processor has it.
 *
 * It holds what is pending and in service per vCPU, sends interprocessor interrupts, keeps the APIC timer, and tells
 * the machine the vector to deliver. Starting vCPUs by INIT and SIPI is here too. Not here: the IO-APIC and the 8259
 * pair, which call in.
 *
 * Source: SDM Vol. 3A, "Advanced Programmable Interrupt Controller (APIC)"; Xen 4.17 xen/arch/x86/hvm/vlapic.c for what
 * the manual leaves open (ID = 2 * vCPU, six LVT entries, 100 MHz timer clock, INIT and SIPI rules).
 */
#ifndef BOOTRACE_MODELS_PC_LAPIC_H
#define BOOTRACE_MODELS_PC_LAPIC_H

#include <stdbool.h>
#include <stdint.h>

#include "emu/model.h"
#include "models/pc/bus.h"

#define LAPIC_GPA          0xfee00000ull
#define LAPIC_WINDOW_BYTES 0x1000u
#define LAPIC_MSR_SVR      0x80fu /* in x2APIC mode */

extern const struct model lapic_model;

/* The APIC ID of `vcpu`. */
static inline uint8_t lapic_id(unsigned vcpu)
{
    return (uint8_t)(vcpu * 2);
}

/* Make `vector` pending in `vcpu`'s LAPIC; lost if that LAPIC is disabled, an error there if `vector` < 16. */
void lapic_raise(struct machine *m, unsigned vcpu, uint8_t vector, enum bus_trigger trigger);

/* Whether `vcpu` would take `vector` at once if it arrived now: enabled, and of a higher class than what is pending or
   in service. */
bool lapic_would_take(struct machine *m, unsigned vcpu, uint8_t vector);

/* Whether a message, or a pin (LINT0 or LINT1) that is asserted, would make an interrupt pending at a vCPU that is not
   offline, where it is not pending yet and nothing in service holds it back. False for a pin that is an ExtINT
   (lapic_accepts_extint). They change nothing. */
bool lapic_would_reach(struct machine *m, const struct bus_message *message);
bool lapic_lint_would_reach(struct machine *m, unsigned vcpu, unsigned line);

/* Deliver a message from the IO-APIC or a device. */
void lapic_deliver(struct machine *m, const struct bus_message *message);

/* Drive LINT0 (line 0) or LINT1 (line 1) of `vcpu`. */
void lapic_set_lint(struct machine *m, unsigned vcpu, unsigned line, bool level);

/* Whether `vcpu` takes interrupts from the 8259 pair: LINT0 as ExtINT, or the LAPIC globally disabled. Only vCPU 0 is
   wired to it. */
bool lapic_accepts_extint(struct machine *m, unsigned vcpu);

/* Whether the LAPIC is enabled both globally and in its spurious-interrupt register. */
bool lapic_is_enabled(struct machine *m, unsigned vcpu);

/* Whether IA32_APIC_BASE enables it; CPUID shows an APIC only then. */
bool lapic_is_globally_enabled(struct machine *m, unsigned vcpu);

/* `vcpu` was given a context by a hypercall (VCPUOP_initialise): a SIPI no longer starts it. */
void lapic_set_initialised(struct machine *m, unsigned vcpu);
/* Whether `vcpu` waits for a SIPI: it was never started, or was reset by INIT. */
bool lapic_waits_for_sipi(struct machine *m, unsigned vcpu);

#endif
