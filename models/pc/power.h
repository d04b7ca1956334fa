/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * power: the ports by which an HVM guest sleeps, measures time and ends: ACPI's PM1 event and control blocks, the PM
 * timer, the general-purpose events with the map of processors, and the two ways to reset a PC.
 *
 * Source: ACPI Specification 6.4, "ACPI Hardware Specification"; Xen 4.17 xen/arch/x86/hvm/pmtimer.c for the timer;
 * Intel 8 Series PCH datasheet, "Reset Control Register".
 */
#ifndef BOOTRACE_MODELS_PC_POWER_H
#define BOOTRACE_MODELS_PC_POWER_H

#include <stdbool.h>

#include "emu/model.h"

#define PM_TIMER_HZ 3579545u

extern const struct model power_model;

/* The device model plugs or unplugs a processor: the map changes, and the event for it is raised. Nothing on a machine
   without a PC. */
void power_set_cpu(struct machine *m, unsigned vcpu, bool online);

#endif
