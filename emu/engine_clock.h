/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * engine_clock: the host's time as the library sees it. It stands still: gettimeofday() of the whole program always
 * says the same, and the library uses no other clock.
 *
 * The library asks for the time whenever it empties its TLB: if more than a tenth of a second of the host's time has
 * passed since the last resize, it may make the TLB smaller. The host's time would then decide which translations are
 * forgotten early, and a guest that relies on a translation that it has not flushed could tell. With a time that stands
 * still, the size depends on the guest alone.
 *
 * Nothing else in the program wants gettimeofday(); what measures the host's time uses clock_gettime().
 */
#ifndef BOOTRACE_EMU_ENGINE_CLOCK_H
#define BOOTRACE_EMU_ENGINE_CLOCK_H

#include <stdbool.h>

/* True if the libraries of this process call this gettimeofday(). */
bool engine_clock_is_ours(void);

#endif
