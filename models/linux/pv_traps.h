/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv_traps: where a PV kernel of Linux lets Xen enter it for an exception after which no kernel goes on.
 *
 * Source: Linux 6.1, arch/x86/xen/enlighten_pv.c, "trap_array"; arch/x86/xen/xen-asm.S, "xen_pv_trap". They were named
 * so in 5.8.
 */
#ifndef BOOTRACE_MODELS_LINUX_PV_TRAPS_H
#define BOOTRACE_MODELS_LINUX_PV_TRAPS_H

struct pv_trap {
    const char *entry;
    unsigned vector;
};

#define PV_TRAPS 8u
extern const struct pv_trap pv_traps[PV_TRAPS];

#endif
