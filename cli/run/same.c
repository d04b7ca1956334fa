/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/run/same.h"

#include <inttypes.h>
#include <stdlib.h>

#include "cli/run/approach.h"
#include "cli/run/guest.h"
#include "emu/snapshot.h"
#include "fuzz/detect/divergence.h"

static enum emu_err learn(struct guest *g, struct divergence *x, uint64_t steps_max, const struct approach *a,
                          struct diag *d)
{
    struct machine_limits limits = {.steps_max = machine_steps(g->machine) + steps_max};
    struct approach mine = {.what = "learning from the undisturbed run what must stay the same"};
    enum machine_stop_reason why;

    if (a) {
        mine.interrupted = a->interrupted;
        mine.stop_at_s = a->stop_at_s;
    }
    why = approach_run(&mine, g, &limits);
    if (why == MACHINE_STOPPED_ASKED)
        return diag_set(d, EMU_EINPUT, "--same: stopped before the undisturbed run was made");
    if (why == MACHINE_STOPPED_VERDICT && machine_verdict(g->machine)->kind != VERDICT_PASS)
        return diag_set(d, EMU_EINPUT,
                        "--same compares with the undisturbed run, which must end well, and this one ends with "
                        "%s: %s",
                        verdict_kind_name(machine_verdict(g->machine)->kind), machine_verdict(g->machine)->text);
    if (x->is_known)
        return EMU_OK;
    if (x->list.at_gva)
        return diag_set(d, EMU_EINPUT, "--same: the undisturbed run does not come to %s within %" PRIu64 " steps",
                        x->list.at, steps_max);
    return diag_set(d, EMU_EINPUT,
                    "--same: the undisturbed run does not end within %" PRIu64
                    " steps; say where to compare, like --same LIST@SYMBOL",
                    steps_max);
}

enum emu_err same_new(struct guest *g, const char *list, uint64_t steps_max, const struct approach *a,
                      struct divergence **out, struct diag *d)
{
    struct divergence *x = calloc(1, sizeof(*x));
    struct divergence_list parsed;
    struct snapshot *start = NULL;
    enum emu_err err = EMU_OK;

    *out = NULL;
    if (!x)
        return diag_no_memory(d);
    err = divergence_parse(list, g->symbols, &parsed, d);
    if (err == EMU_OK)
        err = divergence_attach(x, g->machine, &parsed, d);
    if (err == EMU_OK)
        err = snapshot_take(g->machine, NULL, &start, d);
    if (err == EMU_OK)
        err = learn(g, x, steps_max, a, d);
    if (start) {
        snapshot_restore(g->machine, start);
        snapshot_free(g->machine, start);
    }
    *out = x;
    return err;
}

void same_free(struct divergence *x)
{
    if (!x)
        return;
    divergence_detach(x);
    free(x);
}
