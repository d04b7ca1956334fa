/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * timeline: all facts of a report on a run. The same run is made two or three times: once as a whole, of which only
 * sums over time and the last events are kept, and again with one or two scenes in detail (scene.h), around the last
 * decision (or the exception that ends the run) and before its end. If code was being changed when the last decision
 * interfered, one more run follows the change without that decision, to know what it would have led to.
 *
 * Bounded: how much is kept does not depend on how long the run is.
 */
#ifndef BOOTRACE_CLI_REPORT_TIMELINE_H
#define BOOTRACE_CLI_REPORT_TIMELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/report/scene.h"
#include "cli/run/session.h"
#include "emu/trace.h"

#define TIMELINE_BINS          1024u
#define TIMELINE_SAMPLES       4096u
#define TIMELINE_EVENTS        200u
#define TIMELINE_HYPERCALLS    40u
#define TIMELINE_DECISIONS     256u
#define TIMELINE_CONSOLE_BYTES 65536u
#define TIMELINE_SCENES        2u
#define TIMELINE_AROUND_NS     1000000u

enum timeline_state { /* of a vCPU over a stretch of time */
                      TIMELINE_OFFLINE,
                      TIMELINE_RUNNING,
                      TIMELINE_READY, /* could run, and does not: another vCPU has its turn, or the host lets time pass
                                       */
                      TIMELINE_BLOCKED, /* halted */
                      TIMELINE_POLLING,
                      TIMELINE_STATE_COUNT,
};

struct timeline_bin {
    uint64_t state_ns[VCPUS_MAX][TIMELINE_STATE_COUNT];
    uint32_t interrupts[VCPUS_MAX], exceptions[VCPUS_MAX], hypercalls[VCPUS_MAX];
};

struct timeline_decision {
    size_t number; /* in the schedule */
    unsigned vcpu; /* the current one */
    uint64_t position, steps, time_ns, rip_gva;
};

/* Why a scene is where it is. */
enum timeline_focus { TIMELINE_AT_DECISION, TIMELINE_AT_EXCEPTION, TIMELINE_AT_END };

struct timeline {
    struct session *session;
    uint64_t around_ns;

    /* The end. */
    struct verdict verdict;
    uint64_t end_ns, end_steps, digest;

    /* The whole. Bin i is [i, i + 1) * bin_ns. */
    struct timeline_bin *bin;
    unsigned bins;
    uint64_t bin_ns;
    uint64_t count[TRACE_KIND_COUNT];
    uint64_t bytes_of_console;
    char *detectors; /* what they say beyond the verdict; "" if nothing */
    char *console;   /* the last TIMELINE_CONSOLE_BYTES at most, terminated */

    /* The last of each, in order. */
    struct scene_fact *event, *hypercall;
    struct scene_fact refused; /* the last hypercall with an error for its result, if there were `refusals` */
    uint64_t refusals;
    unsigned events, hypercalls;
    struct timeline_decision *decision;
    unsigned decisions;
    uint64_t decisions_made;

    /* In detail. The one with the cause comes first. */
    struct scene scene[TIMELINE_SCENES];
    enum timeline_focus focus[TIMELINE_SCENES];
    unsigned scenes;
    const struct timeline_decision *anchor; /* the decision that the first scene is around; NULL if none */
    struct scene_site site[SCENE_SITES_MAX];
    unsigned sites;

    struct timeline_inside *inside;
};

/* Run `s`, which was initialised with a schedule (an empty one too) and not yet run. On return the machine stands at
   the run's end. EMU_EINPUT as session_run(). Nothing is held on failure. */
enum emu_err timeline_collect(struct timeline *t, struct session *s, uint64_t around_ns, struct diag *d) EMU_MUST_CHECK;
void timeline_fini(struct timeline *t);

const char *timeline_state_name(enum timeline_state state);
/* What a vCPU did for most of a bin. */
enum timeline_state timeline_bin_state(const struct timeline *t, unsigned bin, unsigned vcpu);
/* How its state was in a scene: the spans from state_at_start and the facts, for what is not running. Calls `each` in
   the order of time for every stretch that is not covered by a span of the scene. */
typedef void(timeline_stretch_fn)(void *context, unsigned vcpu, uint64_t from_ns, uint64_t to_ns,
                                  enum timeline_state state);
void timeline_each_wait(const struct scene *sc, unsigned vcpu, timeline_stretch_fn *each, void *context);

/* The scene whose last blocks are those that a reader wants: with the cause, else that at the end. */
const struct scene *timeline_last_insns(const struct timeline *t);

#endif
