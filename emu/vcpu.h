/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vcpu: one virtual processor as models and schedules see it: its state, what it waits for, what is pending.
 */
#ifndef BOOTRACE_EMU_VCPU_H
#define BOOTRACE_EMU_VCPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "emu/base/diag.h"
#include "emu/regs.h"

struct machine;

enum vcpu_state {
    VCPU_OFFLINE, /* never started, or taken down (VCPUOP_down, INIT) */
    VCPU_RUNNABLE,
    VCPU_HALTED,  /* HLT or SCHEDOP_block: an interrupt (or NMI) wakes it */
    VCPU_POLLING, /* SCHEDOP_poll: what the model decides wakes it */
};

enum vcpu_state vcpu_state(const struct machine *m, unsigned vcpu);
uint64_t vcpu_position(const struct machine *m, unsigned vcpu); /* steps it has made */

/* What a halted or polling vCPU waits for, a static string; NULL if it does not wait. */
const char *vcpu_wait_reason(const struct machine *m, unsigned vcpu);
/* "offline", "runnable", … */
const char *vcpu_state_name(enum vcpu_state state);

/* Registers of the *current* vCPU. */
uint64_t vcpu_gpr(const struct machine *m, enum gpr reg);
void vcpu_set_gpr(struct machine *m, enum gpr reg, uint64_t value);
uint64_t vcpu_rip(const struct machine *m);
uint64_t vcpu_rflags(const struct machine *m);
unsigned vcpu_cpl(const struct machine *m);
unsigned vcpu_code_bits(const struct machine *m); /* 64, 32 or 16 */
/* The time stamp counter of any vCPU: the machine's time, and what was written to it. */
uint64_t vcpu_tsc(const struct machine *m, unsigned vcpu);
void vcpu_set_tsc(struct machine *m, unsigned vcpu, uint64_t value);
/* MSRs that the engine keeps (enum engine_msr). */
uint64_t vcpu_engine_msr(const struct machine *m, enum engine_msr msr);
void vcpu_set_engine_msr(struct machine *m, enum engine_msr msr, uint64_t value);

/* All registers of any vCPU, loaded or not. */
void vcpu_get_regs(const struct machine *m, unsigned vcpu, struct vcpu_regs *r);
void vcpu_set_regs(struct machine *m, unsigned vcpu, const struct vcpu_regs *r);

/* Guest-virtual memory through that vCPU's page tables, with supervisor rights. False, and `*fault_gva` set if not
   NULL, if a byte is not mapped (or, for writes, not writable) RAM; what comes before it may have been copied. */
bool vcpu_read_gva(struct machine *m, unsigned vcpu, uint64_t gva, void *dst, size_t bytes,
                   uint64_t *fault_gva) EMU_MUST_CHECK;
bool vcpu_write_gva(struct machine *m, unsigned vcpu, uint64_t gva, const void *src, size_t bytes,
                    uint64_t *fault_gva) EMU_MUST_CHECK;
/* False if `gva` is not mapped. */
bool vcpu_translate(struct machine *m, unsigned vcpu, uint64_t gva, uint64_t *gpa) EMU_MUST_CHECK;

/* What is pending for `vcpu` may have changed (a vector became pending, a priority fell): the machine asks
   model->pending_vector() again, wakes a halted vCPU if there is a vector, and delivers at the first legal boundary.
   Cheap; call it after every change. */
void vcpu_kick(struct machine *m, unsigned vcpu);
/* Make an NMI pending (one is remembered while NMIs are blocked). */
void vcpu_raise_nmi(struct machine *m, unsigned vcpu);
bool vcpu_nmi_pending(const struct machine *m, unsigned vcpu);
/* An NMI has been delivered and no IRET executed since. */
bool vcpu_nmi_blocked(const struct machine *m, unsigned vcpu);

/* Make one external interrupt with this vector pending, in addition to those of the models: a spurious interrupt, as a
   host may send one at any time. It is delivered once, before any other, and ends polling, as an interrupt through the
   local APIC does. */
void vcpu_raise_vector(struct machine *m, unsigned vcpu, uint8_t vector);

/* Let the current vCPU wait. A halted vCPU runs on when a vector (IF and priorities allowing the wake: HLT rules) or
   NMI is there; a polling one only by vcpu_wake(). `reason` is a static string for the hang report. */
void vcpu_halt(struct machine *m, unsigned vcpu, const char *reason);
void vcpu_poll(struct machine *m, unsigned vcpu, const char *reason);
void vcpu_wake(struct machine *m, unsigned vcpu);
/* End the current vCPU's turn in the default schedule. */
void vcpu_yield(struct machine *m, unsigned vcpu);

/* Take the vCPU down: it stops after this instruction and stays off until it is started. */
void vcpu_stop(struct machine *m, unsigned vcpu);
/* The state after INIT (SDM Vol. 3A, "Processor State After Reset"): offline, waiting for a SIPI. */
void vcpu_reset(struct machine *m, unsigned vcpu);
/* Start a reset vCPU in real mode at vector << 12. */
void vcpu_start_sipi(struct machine *m, unsigned vcpu, uint8_t vector);
/* Start an offline vCPU with the registers it has (VCPUOP_up). */
void vcpu_start(struct machine *m, unsigned vcpu);

/* Register templates: flat 32-bit protected mode without paging (PVH entry), real mode after INIT, and flat 64-bit
   (with the caller's CR3). All other fields as after reset. */
void regs_init_protected32(struct vcpu_regs *r, uint64_t rip);
void regs_init_reset(struct vcpu_regs *r);

#endif
