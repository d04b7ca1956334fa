/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * played_machine: a machine over the null engine, whose vCPUs the test plays.
 *
 * A model's unit test builds one with the models under test, does what a guest would do (asks for ports, MSRs,
 * vectors), moves time, and looks at what the models asked for. It executes nothing.
 */
#ifndef BOOTRACE_TESTS_PLAYED_MACHINE_H
#define BOOTRACE_TESTS_PLAYED_MACHINE_H

#include "emu/machine.h"
#include "emu/memory.h"
#include "emu/model.h"
#include "emu/timer.h"
#include "emu/trace.h"
#include "emu/vcpu.h"

#define PLAYED_RAM_BYTES     (16u << 20)
#define PLAYED_CONSOLE_BYTES 4096
#define PLAYED_FACTS_MAX     4096

/* Build with the default configuration (PLAYED_RAM_BYTES, Xen 4.17) or the caller's; every vCPU has
   IF set. A failure aborts the test. */
struct machine *played_machine_new(unsigned vcpus, const struct model *const *models, unsigned model_count);
struct machine *played_machine_new_config(const struct machine_config *config);

/* The registers of a vCPU, to be looked at and changed. */
struct vcpu_regs *played_regs(struct machine *m, unsigned vcpu);
/* The current vCPU has yielded. */
bool played_turn_is_over(const struct machine *m);
/* As if it had come to it by itself. */
void played_set_state(struct machine *m, unsigned vcpu, enum vcpu_state state);
/* Whose turn it is: the callbacks below speak for this vCPU. */
void played_set_current(struct machine *m, unsigned vcpu);
/* A test's own numbers (SplitMix64). */
uint64_t played_random(uint64_t *state);
/* Move virtual time on, expiring every timer on the way at its own deadline. */
void played_advance_to(struct machine *m, uint64_t now_ns);
void played_advance(struct machine *m, uint64_t ns);

/* Ask the models in order, as the current vCPU. */
enum model_answer played_port_read(struct machine *m, uint16_t port, unsigned bytes, uint32_t *value);
enum model_answer played_port_write(struct machine *m, uint16_t port, unsigned bytes, uint32_t value);
enum model_answer played_mmio_read(struct machine *m, uint64_t gpa, unsigned bytes, uint64_t *value);
enum model_answer played_mmio_write(struct machine *m, uint64_t gpa, unsigned bytes, uint64_t value);
enum model_answer played_msr_read(struct machine *m, uint32_t msr, uint64_t *value);
enum model_answer played_msr_write(struct machine *m, uint32_t msr, uint64_t value);
enum model_answer played_cpuid(struct machine *m, uint32_t leaf, uint32_t subleaf, struct cpuid_regs *r);
enum model_answer played_hypercall(struct machine *m);
/* The vector that would be delivered to `vcpu` now, and delivering it (MODEL_NO_VECTOR if there is none). */
int played_pending_vector(struct machine *m, unsigned vcpu);
int played_accept(struct machine *m, unsigned vcpu);

/* What the guest has written, and the other facts, since the machine was made. */
const char *played_console(const struct machine *m);
unsigned played_fact_count(const struct machine *m);
const struct trace_fact *played_fact(const struct machine *m, unsigned index);

#endif
