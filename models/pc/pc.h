/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pc: which machines have a PC's devices at all: HVM guests do, and bare PCs; PVH guests have only their local APICs.
 *
 * Every device model asks before it answers, so that one list of models serves both.
 */
#ifndef BOOTRACE_MODELS_PC_PC_H
#define BOOTRACE_MODELS_PC_PC_H

#include <stdbool.h>
#include <stdint.h>

#include "emu/machine.h"
#include "models/platform_config.h"

static inline bool pc_is_present(const struct machine *m)
{
    const struct platform_config *c = machine_config(m)->platform;

    return c && (c->mode == PLATFORM_HVM || c->mode == PLATFORM_MULTIBOOT);
}

/* A timer of Xen's virtual platform never ticks faster than this, so that no guest can drown in its own ticks.
   Source: Xen 4.17 xen/arch/x86/hvm/vpt.c, create_periodic_time. */
#define PC_PERIOD_MIN_NS 100000u

#define NS_PER_S 1000000000ull

/* `count` periods of a clock of `hz`, in nanoseconds, rounded up; and whole periods in `ns`. */
static inline uint64_t pc_ticks_to_ns(uint64_t count, uint64_t hz)
{
    return (uint64_t)(((unsigned __int128)count * NS_PER_S + hz - 1) / hz);
}

static inline uint64_t pc_ns_to_ticks(uint64_t ns, uint64_t hz)
{
    return (uint64_t)((unsigned __int128)ns * hz / NS_PER_S);
}

#endif
