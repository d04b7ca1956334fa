/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * timeline_axis: a scene's time as it is drawn: long stretches in which no vCPU ran are cut short.
 */
#ifndef BOOTRACE_CLI_REPORT_TIMELINE_AXIS_H
#define BOOTRACE_CLI_REPORT_TIMELINE_AXIS_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/report/timeline.h"

#define TIMELINE_GAPS_MAX 64u
struct timeline_gap {
    uint64_t from_ns, to_ns;
};

struct timeline_axis {
    uint64_t from_ns, to_ns;
    uint64_t length; /* in the axis' units: nanoseconds that are not cut */
    uint64_t gap_shown_ns;
    struct timeline_gap gap[TIMELINE_GAPS_MAX];
    unsigned gaps;
};

void timeline_axis_init(struct timeline_axis *a, const struct scene *sc);
/* The position of a time on the axis, from 0 to `length`, and the time at a position. */
uint64_t timeline_axis_at(const struct timeline_axis *a, uint64_t time_ns);
uint64_t timeline_axis_time(const struct timeline_axis *a, uint64_t at);

/* The part of the first scene that matters most: from the last decision, or the begin of the change that it
   interrupted, to the exception; with a margin. False if that is the whole scene. */
bool timeline_close_up(const struct timeline *t, const struct timeline_axis *a, uint64_t *from_ns, uint64_t *to_ns);

#endif
