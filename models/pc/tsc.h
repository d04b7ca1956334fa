/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tsc: the rate of the guest's time-stamp counter: one tick per virtual nanosecond, from 0 when the machine is built.
 *
 * The machine's RDTSC, the MSRs, the LAPIC's TSC-deadline mode and Xen's time records must agree on it.
 */
#ifndef BOOTRACE_MODELS_PC_TSC_H
#define BOOTRACE_MODELS_PC_TSC_H

#include "emu/machine.h"

#define TSC_HZ 1000000000ull

static inline uint64_t tsc_now(struct machine *m)
{
    return clock_read_ns(m);
}

/* The virtual time at which the counter reaches `tsc`. */
static inline uint64_t tsc_to_ns(uint64_t tsc)
{
    return tsc;
}

#endif
