#include "cli/approach.h"

#include <stdio.h>

#include "cli/console.h"
#include "cli/host_time.h"
#include "cli/post_mortem.h"
#include "emu/machine.h"
#include "emu/vcpu.h"

#define SLICE_STEPS 20000000ull /* between two looks */

static void show(struct console *c, const struct guest *g, double started_s)
{
    char place[120], line[256];

    post_mortem_place(g->symbols, vcpu_rip(g->machine), place, sizeof(place));
    snprintf(line, sizeof(line), "[%.1f s] on the way to the window: %.0f M steps, %.3f s virtual, at %s",
             host_time_s() - started_s, (double)machine_steps(g->machine) / 1e6, (double)clock_now_ns(g->machine) / 1e9,
             place);
    console_progress(c, line);
}

bool approach_is_over(const struct approach *a)
{
    return *a->interrupted || (a->stop_at_s > 0 && host_time_s() >= a->stop_at_s);
}

enum machine_stop_reason approach_run(const struct approach *a, struct guest *g, const struct machine_limits *limits)
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
        why = machine_run(g->machine, &slice);
        goes_on = why == MACHINE_STOPPED_ASKED ||
                  (why == MACHINE_STOPPED_STEPS && machine_steps(g->machine) < limits->steps_max);
        if (goes_on)
            show(&console, g, started_s);
    } while (goes_on && !approach_is_over(a));
    console_progress(&console, NULL);
    return goes_on ? MACHINE_STOPPED_ASKED : why;
}
