/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fake_machine: the services that emu/machine.h, vcpu.h, timer.h, trace.h and memory.h offer to models, without a CPU.
 *
 * A model's unit test builds one with the models under test, plays the vCPU (asks for ports, MSRs, vectors), moves
 * time, and looks at what the models asked for. It executes nothing. All symbols of those headers are defined here, so
 * that the linker takes none of them from the library.
 */
#ifndef BOOTRACE_TESTS_FAKE_MACHINE_H
#define BOOTRACE_TESTS_FAKE_MACHINE_H

#include "emu/machine.h"
#include "emu/memory.h"
#include "emu/model.h"
#include "emu/timer.h"
#include "emu/trace.h"
#include "emu/vcpu.h"

#define FAKE_RAM_BYTES     (16u << 20)
#define FAKE_CONSOLE_BYTES 4096
#define FAKE_FACTS_MAX     4096

/* What a test sees of one vCPU. */
struct fake_vcpu {
    enum vcpu_state state;
    struct vcpu_regs regs;
    unsigned kicks, nmis, resets, yields;
    int sipi_vector; /* of the last vcpu_start_sipi(), or -1 */
    const char *wait_reason;
};

/* Build with the default configuration (FAKE_RAM_BYTES, Xen 4.17) or the caller's; the models' init functions have run.
   A failure aborts the test. */
struct machine *fake_machine_new(unsigned vcpus, const struct model *const *models, unsigned model_count);
struct machine *fake_machine_new_config(const struct machine_config *config);

struct fake_vcpu *fake_vcpu(struct machine *m, unsigned vcpu);
/* Which vCPU the callbacks below speak for. */
void fake_set_current(struct machine *m, unsigned vcpu);
/* Move virtual time on, expiring every timer on the way at its own deadline. */
void fake_advance_to(struct machine *m, uint64_t now_ns);
void fake_advance(struct machine *m, uint64_t ns);

/* Ask the models in order, as the current vCPU. */
enum model_answer fake_port_read(struct machine *m, uint16_t port, unsigned bytes, uint32_t *value);
enum model_answer fake_port_write(struct machine *m, uint16_t port, unsigned bytes, uint32_t value);
enum model_answer fake_mmio_read(struct machine *m, uint64_t gpa, unsigned bytes, uint64_t *value);
enum model_answer fake_mmio_write(struct machine *m, uint64_t gpa, unsigned bytes, uint64_t value);
enum model_answer fake_msr_read(struct machine *m, uint32_t msr, uint64_t *value);
enum model_answer fake_msr_write(struct machine *m, uint32_t msr, uint64_t value);
enum model_answer fake_cpuid(struct machine *m, uint32_t leaf, uint32_t subleaf, struct cpuid_regs *r);
enum model_answer fake_hypercall(struct machine *m);
/* The vector that would be delivered to `vcpu` now, and delivering it (MODEL_NO_VECTOR if there is none). */
int fake_pending_vector(struct machine *m, unsigned vcpu);
int fake_accept(struct machine *m, unsigned vcpu);

const char *fake_console(const struct machine *m);
unsigned fake_fact_count(const struct machine *m);
const struct trace_fact *fake_fact(const struct machine *m, unsigned index);

#endif
