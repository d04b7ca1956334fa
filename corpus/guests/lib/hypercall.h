/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hypercall: calls into Xen from a free-standing guest, by the hypercall page or by the instruction itself.
 * Needs xen_present(). Results are Xen's: 0 or more, or a negative errno.
 *
 * Source: Xen public/arch-x86/xen.h and arch-x86/cpuid.h (leaf base + 2: number and MSR of hypercall pages).
 */
#ifndef HYPERCALL_H
#define HYPERCALL_H

#include "guest.h"
#include <xen/xen.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include <xen/event_channel.h>
#include <xen/memory.h>
#include <xen/version.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>

/* Finds Xen by CPUID and readies the way of calling it. Once, on the boot vCPU. */
void xen_init(void);
bool xen_present(void);
uint32_t xen_cpuid_base(void);
uint32_t xen_version_word(void); /* major << 16 | minor */
/* Writes the hypercall page's address into Xen's MSR again (this latches the guest's width). */
void xen_hypercall_page_init(void);

/* Xen's page of shared information, brought into the guest's memory by the first call. */
struct shared_info *xen_shared_info(void);

long hypercall(unsigned number, unsigned long a, unsigned long b, unsigned long c, unsigned long d, unsigned long e);

static inline long hypercall2(unsigned number, unsigned long a, const void *b)
{
    return hypercall(number, a, (unsigned long)b, 0, 0, 0);
}

static inline long hypercall3(unsigned number, unsigned long a, unsigned long b, const void *c)
{
    return hypercall(number, a, b, (unsigned long)c, 0, 0);
}

static inline long sched_op(unsigned op, const void *arg)
{
    return hypercall2(__HYPERVISOR_sched_op, op, arg);
}

static inline long evtchn_op(unsigned op, const void *arg)
{
    return hypercall2(__HYPERVISOR_event_channel_op, op, arg);
}

static inline long memory_op(unsigned op, const void *arg)
{
    return hypercall2(__HYPERVISOR_memory_op, op, arg);
}

static inline long vcpu_op(unsigned op, unsigned vcpu, const void *arg)
{
    return hypercall3(__HYPERVISOR_vcpu_op, op, vcpu, arg);
}

static inline long hvm_op(unsigned op, const void *arg)
{
    return hypercall2(__HYPERVISOR_hvm_op, op, arg);
}

#endif
