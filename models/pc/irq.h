/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * irq: a PC's interrupt lines: a line goes to the 8259 pair and to the IO-APIC at the same time.
 *
 * The PC's devices call it. It is implemented in models/irq.c, since a line may be a Xen event instead of a pin of the
 * IO-APIC.
 *
 * Lines 0 to 15 are ISA's, with line 0 (the PIT) on IO-APIC pin 2; higher ones exist only at the IO-APIC.
 * Source: Xen 4.17 xen/arch/x86/hvm/irq.c, hvm_isa_irq_assert.
 */
#ifndef BOOTRACE_MODELS_PC_IRQ_H
#define BOOTRACE_MODELS_PC_IRQ_H

#include <stdbool.h>

struct machine;

/* Assert or release a line, `irq` below IOAPIC_PINS. */
void irq_set_level(struct machine *m, unsigned irq, bool level);
/* Release it and assert it: an edge, whatever the level was. */
void irq_pulse(struct machine *m, unsigned irq);
/* Whether irq_pulse() would make this line's interrupt pending at a vCPU, by way of the 8259 pair, the IO-APIC or an
   event channel, so that the vCPU takes it once its IF and what is pending before let it. Not if it is pending there
   already, or held back by what is in service. Changes nothing. */
bool irq_would_reach(struct machine *m, unsigned irq);

#endif
