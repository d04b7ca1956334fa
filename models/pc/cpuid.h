/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cpuid: what the processor says about itself: the basic and extended leaves.
 *
 * The table is what Unicorn 2.1.4's own CPUID answers for its Haswell model, so that the guest is told of nothing the
 * engine can't execute; a second table hides more, bit by bit with its reason, and a third adds what the machine
 * itself provides. Not here: the hypervisor's leaves, 0x40000000 to 0x400000ff (models/xen).
 *
 * Source: SDM Vol. 2A, "CPUID—CPU Identification"; Xen 4.17 xen/arch/x86/cpuid.c, guest_cpuid, and
 * tools/libs/guest/xg_cpuid_x86.c, xc_cpuid_apply_policy, for the topology leaves.
 */
#ifndef BOOTRACE_MODELS_PC_CPUID_H
#define BOOTRACE_MODELS_PC_CPUID_H

#include "emu/model.h"

extern const struct model cpuid_model;

#define CPUID_HYPERVISOR_FIRST 0x40000000u
#define CPUID_HYPERVISOR_LAST  0x400000ffu

#define CPUID_PHYSICAL_ADDRESS_BITS 40

#endif
