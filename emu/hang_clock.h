/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hang_clock: while it is on, a read of guest memory in which the host says the time (model.h, tells_time) counts as a
 * time read (clock_read_ns). A repeated state proves a hang only if the guest reads no clock meanwhile, and a record in
 * memory is the only clock whose reading nobody else notices. It slows the guest down, so it is on only for a period
 * that may complete a proof.
 */
#ifndef BOOTRACE_EMU_HANG_CLOCK_H
#define BOOTRACE_EMU_HANG_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct machine;
struct hang_clock; /* no part of any state; whether it is on is (machine_state.h) */

/* False if the accesses can't be watched. */
bool hang_clock_begin(struct machine *m);
void hang_clock_end(struct machine *m);
bool hang_clock_is_on(const struct machine *m);
void hang_clock_free(struct machine *m);

/* Whether any model's host says the time there. */
bool hang_clock_is_told_at(struct machine *m, uint64_t gpa, unsigned bytes);

#endif
