/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stops: what makes a debugged run stop, and running to the next or the last such place: breakpoints, watchpoints, a
 * step of one vCPU, the run's end and its beginning. Nothing of it is in guest memory, and no stop changes the run.
 *
 * Forwards, a breakpoint stops before its instruction and a watchpoint behind the one that made the access. Backwards,
 * both stop before it: that is where a debugger finds what it goes back to.
 *
 * A watchpoint watches the bytes of RAM that its address meant when it was set. It sees what instructions do, the
 * frames of events, and what the modelled host writes by itself.
 */
#ifndef BOOTRACE_CLI_DEBUGGER_STOPS_H
#define BOOTRACE_CLI_DEBUGGER_STOPS_H

#include <stdbool.h>
#include <stdint.h>

#include "emu/base/diag.h"
#include "emu/machine.h"

struct history;
struct stops;

#define STOPS_WATCHES_MAX     16u
#define STOPS_WATCH_BYTES_MAX 4096u

enum stops_point { /* as gdb numbers them */
                   STOPS_BREAK_SOFTWARE,
                   STOPS_BREAK_HARDWARE,
                   STOPS_WATCH_WRITE,
                   STOPS_WATCH_READ,
                   STOPS_WATCH_ACCESS,
                   STOPS_POINT_COUNT,
};

enum stop_kind {
    STOP_DONE,   /* the step that was asked for is made */
    STOP_POINT,  /* `point` at `gva` */
    STOP_END,    /* the machine has a verdict */
    STOP_BEGIN,  /* there is nothing before this: of the run, or of the vCPU that was to step back */
    STOP_ASKED,  /* the user interrupted */
    STOP_FAILED, /* the host refused, or the schedule does not fit; `why` says it, until the next run */
};

struct stop {
    enum stop_kind kind;
    unsigned vcpu;
    enum stops_point point;
    uint64_t gva;
    const char *why;
};

/* Free it before the history and the machine. NULL if the host has no memory. */
struct stops *stops_new(struct machine *m, struct history *h);
void stops_free(struct stops *s);

/* Set a point; setting one again is no error. False if there are too many, or, for a watchpoint, if the vCPU does not
   have RAM there or it is too long. */
bool stops_set(struct stops *s, enum stops_point point, unsigned vcpu, uint64_t gva, uint64_t bytes);
/* Nothing if it is not set. */
void stops_remove(struct stops *s, enum stops_point point, uint64_t gva, uint64_t bytes);
void stops_remove_all(struct stops *s);

/* `vcpu` is the one that the user was told of last: the breakpoint at which it stands is not met again. */
struct stop stops_continue(struct stops *s, unsigned vcpu);
/* One step of this vCPU; the others run as the schedule has it. */
struct stop stops_step(struct stops *s, unsigned vcpu);
struct stop stops_continue_back(struct stops *s, unsigned vcpu);
struct stop stops_step_back(struct stops *s, unsigned vcpu);

#endif
