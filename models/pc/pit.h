/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pit: the 8254 timer of an HVM guest, and port 0x61 with the gate and the output of its channel 2.
 *
 * Channel 0 drives IRQ 0, channel 1 once refreshed memory, channel 2 drives the speaker. Counting is a function of
 * virtual time at 1193182 Hz; nothing moves between two reads but the clock.
 *
 * Source: Intel 8254 Programmable Interval Timer datasheet; Xen 4.17 xen/arch/x86/emul-i8254.c.
 */
#ifndef BOOTRACE_MODELS_PC_PIT_H
#define BOOTRACE_MODELS_PC_PIT_H

#include "emu/model.h"

#define PIT_HZ 1193182u

extern const struct model pit_model;

#endif
