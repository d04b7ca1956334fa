/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ioapic: the IO-APIC of an HVM guest at 0xfec00000: 48 pins that turn interrupt lines into messages to local APICs.
 *
 * Source: Intel 82093AA I/O Advanced Programmable Interrupt Controller datasheet; Xen 4.17
 * xen/arch/x86/hvm/vioapic.c for the number of pins and the version.
 */
#ifndef BOOTRACE_MODELS_PC_IOAPIC_H
#define BOOTRACE_MODELS_PC_IOAPIC_H

#include <stdbool.h>
#include <stdint.h>

#include "emu/model.h"

#define IOAPIC_GPA          0xfec00000ull
#define IOAPIC_WINDOW_BYTES 0x1000u
#define IOAPIC_ID           1
#define IOAPIC_PINS         48

extern const struct model ioapic_model;

/* Drive a pin. */
void ioapic_set_pin(struct machine *m, unsigned pin, bool level);
/* Whether an edge on the pin would make its interrupt pending at a local APIC, where it is not yet
   (lapic_would_reach). Changes nothing. */
bool ioapic_would_reach(struct machine *m, unsigned pin);
/* A local APIC has ended the service of a level-triggered vector. */
void ioapic_end_of_interrupt(struct machine *m, uint8_t vector);

#endif
