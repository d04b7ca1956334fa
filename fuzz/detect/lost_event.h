/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lost_event: finds interrupts and events that do not reach the guest: an event that the host dropped, since it had
 * nowhere to note it; an upcall that its vCPU has not taken for longer than `patience_ns`, for example because the
 * event is bound to a vCPU that the guest has stopped; and an interrupt line that has waited as long for a pirq to
 * which nobody listens. Other waiting events (masked events, events of a vCPU that is not up) are no failures by
 * themselves: the guest may intend them. They are listed with their reasons when the run has ended, as one wants to see
 * them after a hang.
 *
 * It can't see that an event reached another vCPU than the guest intended; the guest notices that itself.
 *
 * The models say what waits and why (model.h, held_events). Its state is the machine's (watch.h).
 */
#ifndef BOOTRACE_FUZZ_DETECT_LOST_EVENT_H
#define BOOTRACE_FUZZ_DETECT_LOST_EVENT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "emu/base/diag.h"
#include "emu/watch.h"

struct detector;
struct machine;

#define LOST_EVENT_HELD_MAX            64u
#define LOST_EVENT_PATIENCE_DEFAULT_NS 50000000ull /* ten times a tick of the slowest kernel */

struct lost_event_options {
    bool fail; /* the first lost event is the verdict, FAIL "lost-event" */
    uint64_t patience_ns;
};

struct lost_event {
    struct lost_event_options options;
    struct watcher watcher;
};

struct lost_event_report {
    uint64_t dropped; /* events that the host forgot */
    uint64_t overdue; /* upcalls that were not taken in time */
    uint64_t first_ns;
    uint32_t first_port; /* 0: an upcall of several */
    uint32_t first_vcpu; /* for which it was */
};

/* Attach it to a machine that has not run yet. `l` is the caller's, and must outlive the machine's running. EMU_EHOST:
   too many watchers. */
enum emu_err lost_event_attach(struct lost_event *l, struct machine *m, const struct lost_event_options *options,
                               struct diag *d) EMU_MUST_CHECK;
const struct lost_event_report *lost_event_report(const struct lost_event *l, struct machine *m);
/* Print what it found and what waits now, one line for each; nothing if there is nothing. */
void lost_event_print(const struct lost_event *l, struct machine *m, FILE *to);

extern const struct detector lost_event_detector; /* its row; detector.h */

#endif
