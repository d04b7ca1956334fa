/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * model: what the machine asks of the world around its vCPUs. A model is a hypervisor, or a device, or a group of
 * devices; models/ implements this interface, and models/platform.c lists the models of a machine in order.
 *
 * The machine asks the models in that order and takes the first answer. When none answers, the run ends UNMODELLED:
 * so a model answers for everything that it knows to be absent, by an explicit table, and for nothing else.
 *
 * A model's state is plain data in the machine's arena (machine_model_state()): no pointers, so that saving it is a
 * copy and digesting it is a hash. Padding bytes must stay zero.
 *
 * All callbacks run at an exact instruction boundary with `vcpu` loaded: clock_now_ns() is exact, the registers can be
 * read and written. Instructions that reach a callback are complete afterwards, unless the answer is MODEL_FAULT_GP.
 */
#ifndef BOOTRACE_EMU_MODEL_H
#define BOOTRACE_EMU_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "emu/base/diag.h"

struct decision;
struct machine;

enum model_answer {
    MODEL_NOT_MINE, /* ask the next model */
    MODEL_DONE,
    MODEL_FAULT_GP, /* MSR access: the guest gets #GP(0) */
    MODEL_FAULT_UD, /* hypercall: the guest gets #UD */
    MODEL_REFUSED,  /* host_act only: illegal here, and nothing has changed; the diag says why */
};

struct cpuid_regs {
    uint32_t eax, ebx, ecx, edx;
};

#define MODEL_NO_VECTOR (-1)

/* An interrupt or event that waits for the guest. */
struct held_event {
    const char *what; /* "virq", "ipi", …, static */
    uint32_t number;  /* of the virq, pirq, … */
    uint32_t port;    /* event channel; 0 if the event has no channel */
    uint32_t vcpu;    /* that is to take it */
    const char *why;  /* … and does not: a static clause */
};

struct model {
    const char *name;
    size_t state_bytes;

    /* Build the initial state and whatever the guest finds in memory. Called once, in list order, after RAM exists and
       before the image is loaded. */
    enum emu_err (*init)(struct machine *m, struct diag *d);

    /* Port space: `bytes` is 1, 2 or 4; the value is zero-extended. */
    enum model_answer (*port_read)(struct machine *m, unsigned vcpu, uint16_t port, unsigned bytes, uint32_t *value);
    enum model_answer (*port_write)(struct machine *m, unsigned vcpu, uint16_t port, unsigned bytes, uint32_t value);
    /* Guest-physical addresses outside RAM: `bytes` is 1, 2, 4 or 8. */
    enum model_answer (*mmio_read)(struct machine *m, unsigned vcpu, uint64_t gpa, unsigned bytes, uint64_t *value);
    enum model_answer (*mmio_write)(struct machine *m, unsigned vcpu, uint64_t gpa, unsigned bytes, uint64_t value);
    /* CR8, the task priority of 0 to 15. NULL if the model has none. */
    unsigned (*read_cr8)(struct machine *m, unsigned vcpu);
    void (*write_cr8)(struct machine *m, unsigned vcpu, unsigned priority);
    enum model_answer (*msr_read)(struct machine *m, unsigned vcpu, uint32_t msr, uint64_t *value);
    enum model_answer (*msr_write)(struct machine *m, unsigned vcpu, uint32_t msr, uint64_t value);
    enum model_answer (*cpuid)(struct machine *m, unsigned vcpu, uint32_t leaf, uint32_t subleaf, struct cpuid_regs *r);
    /* VMCALL or VMMCALL. Registers by vcpu_gpr()/vcpu_set_gpr(); the machine moves RIP on. */
    enum model_answer (*hypercall)(struct machine *m, unsigned vcpu);

    /* The maskable vector this model would inject into `vcpu` now if IF and the shadow allowed it, or
       MODEL_NO_VECTOR. No side effect. The first model with a vector wins. */
    int (*pending_vector)(struct machine *m, unsigned vcpu);
    /* The vCPU has accepted it (INTA). */
    void (*accept_vector)(struct machine *m, unsigned vcpu, int vector);

    /* The machine's state was put back to a snapshot's: tell the machine again what is not part of the state
       (memory_set_holes()). NULL if there is nothing. */
    void (*restored)(struct machine *m);

    /* Whether a state that comes from a snapshot file can be one of this model's: false if anything in it that is used
       unchecked (an index, a length, a divisor, a value of an enum, a time that can't be yet) is out of bounds. It
       stays true whatever the guest does. Every model with a state has one. Called before restored(). */
    bool (*is_sound)(struct machine *m);

    /* `vcpu` has executed HLT with interrupts masked and is halted. A hypervisor may take that for going down; NULL or
       a plain return leaves it halted until an NMI. */
    void (*halted_masked)(struct machine *m, unsigned vcpu);

    /* What a schedule lets the world outside do at a boundary (schedule.h): the kinds of decision that are not the
       machine's own. MODEL_DONE, MODEL_NOT_MINE, or MODEL_REFUSED and one sentence in `diag`. */
    enum model_answer (*host_act)(struct machine *m, const struct decision *d, struct diag *diag);

    /* List what waits for the guest and is not taken, and why, at most `max` entries; returns their number. For
     * reports: changes nothing.
     */
    unsigned (*held_events)(struct machine *m, struct held_event *out, unsigned max);

    /* A timer of this model (timer.h) has reached its deadline. */
    void (*timer_expired)(struct machine *m, unsigned timer_kind, unsigned vcpu);

    /* Whether the host changes any of these bytes of guest memory as time passes, so that reading them is reading the
       time. NULL if it changes none. */
    bool (*tells_time)(struct machine *m, uint64_t gpa, unsigned bytes);

    /* The machine switches this vCPU in, or out (a run of the schedule; time records and runstate depend on it). */
    void (*vcpu_switched_in)(struct machine *m, unsigned vcpu);
    void (*vcpu_switched_out)(struct machine *m, unsigned vcpu);
};

#endif
