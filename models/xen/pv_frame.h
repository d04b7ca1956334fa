/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv_frame: where a PV guest stands while the Xen that runs it has the vCPU. Both share one virtual processor: Xen is
 * what executes at CPL 0 in the part of the address space that a 64-bit PV guest leaves to it, and at the top of its
 * stack it keeps the registers of its guest, where the processor's own task state says that stack begins. When Xen
 * idles they are those of the guest's vCPU that ran last.
 *
 * ASSUMES: a Xen of 4.5 to 4.20, whose stacks begin at `es` of its struct cpu_user_regs.
 *
 * Source: Xen 4.17, arch/x86/include/asm/current.h, struct cpu_info; public/arch-x86/xen-x86_64.h, struct
 * cpu_user_regs.
 */
#ifndef BOOTRACE_MODELS_XEN_PV_FRAME_H
#define BOOTRACE_MODELS_XEN_PV_FRAME_H

#include <stdbool.h>

#include "emu/machine.h"
#include "emu/regs.h"

/* Whether this is Xen's own code. */
bool pv_frame_is_xen(const struct vcpu_regs *r);

/* The guest's registers, if `r`, which this vCPU has, are Xen's and a guest is under it: general registers, RIP,
   RFLAGS, and the selector and privilege of CS; the rest is Xen's. */
bool pv_frame_read(struct machine *m, unsigned vcpu, const struct vcpu_regs *r, struct vcpu_regs *guest);

#endif
