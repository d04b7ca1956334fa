/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * timer: deadlines of the models in virtual time. A timer is named by (model, kind, vCPU); arming it again moves it.
 * Simultaneous deadlines expire in the order of (time, model, kind, vCPU).
 */
#ifndef BOOTRACE_EMU_TIMER_H
#define BOOTRACE_EMU_TIMER_H

#include <stdbool.h>
#include <stdint.h>

struct machine;
struct model;

#define TIMER_KINDS_MAX 8 /* kinds of one model, 0 to 7 */
#define TIMER_NEVER     UINT64_MAX

void timer_arm(struct machine *m, const struct model *model, unsigned kind, unsigned vcpu, uint64_t deadline_ns);
void timer_disarm(struct machine *m, const struct model *model, unsigned kind, unsigned vcpu);
/* TIMER_NEVER if it is not armed. */
uint64_t timer_deadline_ns(const struct machine *m, const struct model *model, unsigned kind, unsigned vcpu);

/* The earliest deadline of all, TIMER_NEVER if there is none; and expire the timers that are due at `now_ns`, in order.
 */
uint64_t timer_next_ns(const struct machine *m);
/* The earliest of one vCPU's timers. */
uint64_t timer_next_of_vcpu_ns(const struct machine *m, unsigned vcpu);
/* Let the timer that expires next do so `delay_ns` later. False if none is armed. */
bool timer_delay_next(struct machine *m, uint64_t delay_ns);
void timer_expire_due(struct machine *m, uint64_t now_ns);

/* For proofs that timers do nothing (hang.c); host's knowledge, no part of any state. From here on expirations are
   counted; and whether each timer that is armed has expired at least twice since. True if none is armed. */
void timer_count_anew(struct machine *m);
bool timer_all_have_expired_twice(const struct machine *m);

#endif
