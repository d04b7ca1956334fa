/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * delivery: how an interrupt or exception enters its handler: IVT, 32-bit and 64-bit IDT, stack switch by TSS or IST,
 * error codes, and what happens when delivery itself faults.
 *
 * Works on plain registers and memory; whether an interrupt may be delivered now is the machine's question.
 * Source: SDM Vol. 3A, "Interrupt and Exception Handling", "Interrupt 8 - Double Fault Exception", "Exception and
 * Interrupt Handling in 64-Bit Mode"; Vol. 2A, "INT n".
 * DEVIATION: accesses of the delivery set no accessed and dirty bits. No verdict depends on them.
 */
#ifndef BOOTRACE_EMU_DELIVERY_H
#define BOOTRACE_EMU_DELIVERY_H

#include <stdbool.h>
#include <stdint.h>

#include "emu/regs.h"

struct memory;

enum event_type { EVENT_EXTERNAL, EVENT_NMI, EVENT_EXCEPTION, EVENT_SOFTWARE };

struct event {
    enum event_type type;
    uint8_t vector;
    bool has_error_code;
    uint32_t error_code;
    bool debug_fault;   /* a #DB of general detection, which is a fault */
    uint8_t insn_bytes; /* EVENT_SOFTWARE, ICEBP: of the instruction, behind which RIP is; a fault of its delivery is
                           before it */
};

enum delivery_result {
    DELIVERY_DONE,       /* the registers are those of the handler's first instruction */
    DELIVERY_SHUTDOWN,   /* a fault while #DF was delivered: the processor shuts down */
    DELIVERY_UNMODELLED, /* *why is a static string */
};

/* On return `delivered` is the event whose handler was entered; after a fault of the delivery it is not the event asked
   for. */
enum delivery_result delivery_enter(struct memory *mem, struct vcpu_regs *r, const struct event *event,
                                    struct event *delivered, const char **why);

/* SYSCALL and SYSENTER: RIP is behind the instruction. False if the instruction is not allowed here: then the registers
   are unchanged and *fault is what the guest gets (with RIP to be set back by the instruction's two bytes). */
bool transition_syscall(struct vcpu_regs *r, struct event *fault);
bool transition_sysenter(struct vcpu_regs *r, struct event *fault);

#endif
