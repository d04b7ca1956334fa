/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/run/approach.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/run/console.h"
#include "cli/run/host_time.h"
#include "cli/run/post_mortem.h"
#include "emu/machine.h"
#include "emu/vcpu.h"

#define SLICE_STEPS 20000000ull /* between two looks */

static uint64_t most_times(const struct approach_place *p)
{
    uint64_t most = 0;

    for (unsigned v = 0; v < VCPUS_MAX; v++)
        most = p->times[v] > most ? p->times[v] : most;
    return most;
}

static void show(struct console *c, const struct approach *a, const struct guest *g,
                 const struct approach_place *wanted, double started_s)
{
    char place[120], line[256], times[64] = "";

    post_mortem_place(g->symbols, vcpu_rip(g->machine), place, sizeof(place));
    if (wanted && wanted->wanted > 1)
        snprintf(times, sizeof(times), "time %" PRIu64 " of %" PRIu64 ", ", most_times(wanted), wanted->wanted);
    snprintf(line, sizeof(line), "[%.1f s] %s: %s%.0f M steps, %.3f s virtual, at %s", host_time_s() - started_s,
             a->what ? a->what : "on the way to the window", times, (double)machine_steps(g->machine) / 1e6,
             (double)clock_now_ns(g->machine) / 1e9, place);
    console_progress(c, line);
}

bool approach_is_over(const struct approach *a)
{
    return (a->interrupted && *a->interrupted) || (a->stop_at_s > 0 && host_time_s() >= a->stop_at_s);
}

/* Whether the machine, which stands before the place's instruction, is to go on. */
static bool is_too_early(const struct guest *g, struct approach_place *p)
{
    return p && ++p->times[machine_current(g->machine)] < p->wanted;
}

static enum machine_stop_reason run(const struct approach *a, struct guest *g, const struct machine_limits *limits,
                                    struct approach_place *place)
{
    struct console console = {.to = NULL};
    struct machine_limits slice = *limits;
    double started_s = host_time_s();
    enum machine_stop_reason why;
    bool goes_on;

    do {
        slice.steps_max = limits->steps_max - machine_steps(g->machine) > SLICE_STEPS
                              ? machine_steps(g->machine) + SLICE_STEPS
                              : limits->steps_max;
        do {
            why = machine_run(g->machine, &slice);
        } while (why == MACHINE_STOPPED_RIP && is_too_early(g, place));
        goes_on = why == MACHINE_STOPPED_ASKED ||
                  (why == MACHINE_STOPPED_STEPS && machine_steps(g->machine) < limits->steps_max);
        if (goes_on)
            show(&console, a, g, place, started_s);
    } while (goes_on && !approach_is_over(a));
    console_progress(&console, NULL);
    return goes_on ? MACHINE_STOPPED_ASKED : why;
}

enum machine_stop_reason approach_run(const struct approach *a, struct guest *g, const struct machine_limits *limits)
{
    return run(a, g, limits, NULL);
}

enum machine_stop_reason approach_run_to(const struct approach *a, struct guest *g, struct approach_place *place)
{
    struct machine_limits limits = {.steps_max = UINT64_MAX, .until_rip_gva = place->gva};

    memset(place->times, 0, sizeof(place->times));
    return run(a, g, &limits, place);
}
