/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cpuid: Xen's CPUID leaves as an HVM guest without Viridian extensions sees them.
 *
 * Source: Xen public/arch-x86/cpuid.h; arch/x86/traps.c, cpuid_hypervisor_leaves().
 */
#include "models/xen/state.h"

#include "models/platform_config.h"

#define LEAVES_MAX 5u
/* Virtual nanoseconds are the time stamp counter's ticks. */
#define TSC_KHZ 1000000u

static void leaf_hvm(const struct xen_traits *t, unsigned vcpu, struct cpuid_regs *r)
{
    if (!t->cpuid_hvm_leaf)
        return;
    r->eax = XEN_HVM_CPUID_IOMMU_MAPPINGS;
    if (t->cpuid_vcpu_id) {
        r->eax |= XEN_HVM_CPUID_VCPU_ID_PRESENT;
        r->ebx = vcpu;
    }
    if (t->cpuid_domid) {
        r->eax |= XEN_HVM_CPUID_DOMID_PRESENT;
        r->ecx = XEN_GUEST_DOMID;
    }
    if (t->cpuid_upcall_vector)
        r->eax |= XEN_HVM_CPUID_UPCALL_VECTOR;
}

static void leaf_time(uint32_t subleaf, struct cpuid_regs *r)
{
    if (subleaf == 0) { /* TSC native and safe, RDTSCP there; tsc_mode "default"; the first incarnation */
        r->eax = 1u << 1 | 1u << 2;
        r->ecx = TSC_KHZ;
        r->edx = 1;            /* arch/x86/time.c, tsc_set_info(): one more than the toolstack says */
    } else if (subleaf == 1) { /* offset 0; the scale of a 1 GHz counter */
        r->ecx = 0x80000000u;
        r->edx = 1;
    } else if (subleaf == 2) {
        r->eax = TSC_KHZ;
    }
}

enum model_answer xen_cpuid(struct machine *m, unsigned vcpu, uint32_t leaf, uint32_t subleaf, struct cpuid_regs *r)
{
    const struct xen_traits *t = xen_traits(xen_state(m));
    unsigned version = machine_config(m)->xen_version;
    unsigned limit = version >= XEN_VERSION(4, 10) ? LEAVES_MAX : t->cpuid_hvm_leaf ? 4 : 2;

    if (leaf - XEN_CPUID_BASE > 0xff)
        return MODEL_NOT_MINE;
    *r = (struct cpuid_regs){0};
    if (leaf - XEN_CPUID_BASE > limit)
        return MODEL_DONE;
    switch (leaf - XEN_CPUID_BASE) {
    case 0:
        r->eax = XEN_CPUID_BASE + limit;
        r->ebx = XEN_CPUID_SIGNATURE_EBX;
        r->ecx = XEN_CPUID_SIGNATURE_ECX;
        r->edx = XEN_CPUID_SIGNATURE_EDX;
        break;
    case 1:
        r->eax = version;
        break;
    case 2:
        r->eax = 1;
        r->ebx = XEN_HYPERCALL_MSR;
        break;
    case 3:
        leaf_time(subleaf, r);
        break;
    case 4:
        if (subleaf == 0)
            leaf_hvm(t, vcpu, r);
        break;
    default: /* PV only: zero */
        break;
    }
    return MODEL_DONE;
}
