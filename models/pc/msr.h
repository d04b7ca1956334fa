/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * msr: the model-specific registers of a processor under Xen, as a table: number, name, what a read gives, what a write
 * may be. What is not in the table is #GP since Xen 4.15 and ends the run UNMODELLED before; a row that is "unmodelled"
 * is what Xen would answer and this model does not.
 *
 * Not here: IA32_APIC_BASE, the TSC deadline and x2APIC (lapic.h), Xen's own registers (models/xen).
 *
 * Source: SDM Vol. 4, "Architectural MSRs"; Xen 4.17 xen/arch/x86/msr.c, hvm/hvm.c, hvm/vmx/vmx.c, cpu/mcheck/vmce.c.
 */
#ifndef BOOTRACE_MODELS_PC_MSR_H
#define BOOTRACE_MODELS_PC_MSR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "emu/model.h"

extern const struct model msr_model;

/* Whether the guest has turned on CPUID faulting (MISC_FEATURES_ENABLES): CPUID at CPL > 0 gives #GP. */
bool msr_cpuid_faults(struct machine *m, unsigned vcpu);

/* The name of an MSR in the table, NULL if it is not there; for reports. */
const char *msr_name(uint32_t msr);
size_t msr_row_count(void);

#endif
