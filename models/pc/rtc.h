/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rtc: the MC146818-compatible clock and CMOS memory of an HVM guest at ports 0x70 and 0x71, on IRQ 8.
 *
 * It shows the machine's wall clock (platform.h) plus virtual time, until the guest sets it.
 *
 * Source: Motorola MC146818A Real-Time Clock Plus RAM datasheet; Intel 8 Series PCH datasheet, "Real Time Clock
 * Registers"; Xen 4.17 xen/arch/x86/hvm/rtc.c.
 */
#ifndef BOOTRACE_MODELS_PC_RTC_H
#define BOOTRACE_MODELS_PC_RTC_H

#include "emu/model.h"

extern const struct model rtc_model;

#endif
