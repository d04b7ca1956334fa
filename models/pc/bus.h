/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bus: what the interrupt controllers of a PC say to each other: messages to local APICs, the end of an interrupt that
 * comes back from one, and the 8259 pair's line. The I/O APIC, the 8259 pair and the local APICs know this header and
 * not one another; bus.c knows them all.
 *
 * Source: SDM Vol. 3A, "System Bus and APIC Bus"; Xen 4.17 xen/arch/x86/hvm/vioapic.c and vlapic.c.
 */
#ifndef BOOTRACE_MODELS_PC_BUS_H
#define BOOTRACE_MODELS_PC_BUS_H

#include <stdbool.h>
#include <stdint.h>

struct machine;

enum bus_trigger { BUS_EDGE, BUS_LEVEL };

/* Delivery modes, as the ICR, the LVT and IO-APIC entries encode them. */
enum bus_delivery {
    BUS_FIXED = 0,
    BUS_LOWEST = 1,
    BUS_SMI = 2,
    BUS_NMI = 4,
    BUS_INIT = 5,
    BUS_STARTUP = 6,
    BUS_EXTINT = 7,
};

/* An interrupt message on its way to one or more local APICs. */
struct bus_message {
    uint32_t destination; /* 8 bits, but for who sends in x2APIC mode */
    bool logical; /* destination is a logical one, else an APIC ID (all ones, of as many bits as the LAPIC that it
                     reaches knows: all) */
    enum bus_delivery delivery;
    uint8_t vector;
    enum bus_trigger trigger;
};

/* Deliver a message from the I/O APIC or a device. */
void bus_send(struct machine *m, const struct bus_message *message);
/* Whether it would make an interrupt pending at a vCPU (lapic_would_reach). Changes nothing. */
bool bus_would_reach(struct machine *m, const struct bus_message *message);

/* A local APIC has ended the service of a level-triggered vector: the I/O APIC hears of it. */
void bus_end_of_interrupt(struct machine *m, uint8_t vector);

/* The output of the 8259 pair, which is wired to LINT0 of vCPU 0; whether that vCPU takes it as ExtINT
   (lapic_accepts_extint), and whether raising it would make another interrupt pending (lapic_lint_would_reach). */
void bus_set_pic_output(struct machine *m, bool level);
bool bus_accepts_extint(struct machine *m);
bool bus_pic_would_reach(struct machine *m);

#endif
