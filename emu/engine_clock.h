/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * engine_clock: the host's time as the library sees it. It stands still: gettimeofday() of the whole program always
 * says the same, and the library uses no other clock.
 *
 * The library asks for the time whenever it empties its TLB: if more than a tenth of a second of the host has passed
 * since it last resized it, it may make it smaller. Which translations are forgotten early would follow from that, and
 * a guest that relies on one that it has not flushed can tell. Now the size follows from what the guest uses alone.
 *
 * Nothing else in the program wants gettimeofday(); what measures the host's time uses clock_gettime().
 */
#ifndef BOOTRACE_EMU_ENGINE_CLOCK_H
#define BOOTRACE_EMU_ENGINE_CLOCK_H

#include <stdbool.h>

/* True if the libraries of this process get that gettimeofday(). */
bool engine_clock_is_ours(void);

#endif
