/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * disturb: a host that is not fair: at random boundaries it gives the turn to another vCPU, lets time pass, or lets a
 * timer expire early or late. All of this is legal and must not harm a correct guest; it can be recorded as a schedule
 * that replays the run.
 */
#ifndef BOOTRACE_FUZZ_SEARCH_DISTURB_H
#define BOOTRACE_FUZZ_SEARCH_DISTURB_H

#include <stdint.h>

#include "emu/base/diag.h"

struct machine;
struct schedule;

struct disturb {
    uint64_t random;
    uint64_t every_steps; /* on average */
    uint64_t next_steps;  /* of all vCPUs: when it acts next */
    uint64_t acted;
};

/* `every_steps` is 1 at least. */
void disturb_init(struct disturb *s, struct machine *m, uint64_t seed, uint64_t every_steps);
/* Act where the machine stands, and add what was done to `record` if that is not NULL. */
enum emu_err disturb_act(struct disturb *s, struct machine *m, struct schedule *record, struct diag *d) EMU_MUST_CHECK;

#endif
