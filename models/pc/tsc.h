/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tsc: the guest's time-stamp counters: one tick per virtual nanosecond, from 0 when the machine is built, and for each
 * vCPU from what it has written to its own.
 *
 * The machine's RDTSC, the MSRs, the LAPIC's TSC-deadline mode and Xen's time records must agree on it.
 */
#ifndef BOOTRACE_MODELS_PC_TSC_H
#define BOOTRACE_MODELS_PC_TSC_H

#include "emu/machine.h"
#include "emu/vcpu.h"

#define TSC_HZ 1000000000ull

/* What `vcpu` reads there: the guest asks what time it is. */
static inline uint64_t tsc_now(struct machine *m, unsigned vcpu)
{
    return clock_read_ns(m) + (vcpu_tsc(m, vcpu) - clock_now_ns(m));
}

/* The virtual time at which the counter reaches `tsc`, which it has not reached. */
static inline uint64_t tsc_to_ns(const struct machine *m, unsigned vcpu, uint64_t tsc)
{
    return clock_now_ns(m) + (tsc - vcpu_tsc(m, vcpu));
}

#endif
