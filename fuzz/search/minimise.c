/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz/search/minimise.h"

#include <string.h>

struct attempt {
    const struct minimise_oracle *o;
    uint64_t runs;
    struct diag *d;
};

static enum emu_err ask(struct attempt *a, const struct schedule *s, bool *fails)
{
    a->runs++;
    return a->o->fails(a->o->context, s, fails, a->d);
}

static bool has_time(const struct attempt *a)
{
    return a->runs < a->o->runs_max && !(a->o->is_over && a->o->is_over(a->o->context));
}

/* Take `candidate` if it fails, and free the other. */
static enum emu_err take_if_failing(struct attempt *a, struct schedule *s, struct schedule *candidate, bool *taken)
{
    enum emu_err err = ask(a, candidate, taken);

    *taken = *taken && err == EMU_OK;
    if (*taken) {
        schedule_fini(s);
        *s = *candidate;
    } else {
        schedule_fini(candidate);
    }
    return err;
}

/* Delta debugging (Zeller, Hildebrandt 2002) over the decisions: drop ever smaller runs of them. */
static enum emu_err drop_decisions(struct attempt *a, struct schedule *s)
{
    for (size_t chunk = s->count; chunk; chunk /= 2) {
        for (size_t at = 0; at < s->count && has_time(a);) {
            struct schedule candidate;
            size_t end = at + chunk < s->count ? at + chunk : s->count;
            enum emu_err err = EMU_OK;
            bool taken;

            schedule_init(&candidate);
            for (size_t i = 0; err == EMU_OK && i < s->count; i++)
                if (i < at || i >= end)
                    err = schedule_append(&candidate, &s->decision[i], a->d);
            if (err != EMU_OK) {
                schedule_fini(&candidate);
                return err;
            }
            err = take_if_failing(a, s, &candidate, &taken);
            if (err != EMU_OK)
                return err;
            if (!taken)
                at = end;
        }
    }
    return EMU_OK;
}

static enum emu_err try_with(struct attempt *a, struct schedule *s, size_t i, const struct decision *d, bool *taken)
{
    struct schedule candidate;
    enum emu_err err = schedule_copy(&candidate, s, a->d);

    *taken = false;
    if (err != EMU_OK)
        return err;
    candidate.decision[i] = *d;
    return take_if_failing(a, s, &candidate, taken);
}

/* A turn that ends by itself is simpler than one that ends at a position. */
static enum emu_err simplify_kinds(struct attempt *a, struct schedule *s)
{
    enum emu_err err = EMU_OK;

    for (size_t i = 0; err == EMU_OK && i < s->count && has_time(a); i++) {
        struct decision d = s->decision[i];
        bool taken;

        if (d.kind != DECISION_RUN_TO)
            continue;
        d.kind = DECISION_RUN;
        memset(&d.to, 0, sizeof(d.to));
        err = try_with(a, s, i, &d, &taken);
    }
    return err;
}

/* The lowest position that a search downwards finds: failing positions need not be an interval, so steps are halved
   from the whole distance down, and each success starts again from there. */
static enum emu_err lower(struct attempt *a, struct schedule *s, size_t i, bool of_to)
{
    uint64_t low = 0;
    enum emu_err err = EMU_OK;

    for (size_t k = 0; k < i; k++) /* not before its predecessors on that vCPU */
        if (s->decision[k].at.kind == POSITION_STEPS && s->decision[k].at.vcpu == s->decision[i].at.vcpu)
            low = s->decision[k].at.steps;
    if (i == 0 && s->decision[0].at.vcpu < a->o->vcpus)
        low = a->o->first_position[s->decision[0].at.vcpu];
    for (uint64_t step = (of_to ? s->decision[i].to.steps : s->decision[i].at.steps) - low; step && has_time(a);) {
        struct decision d = s->decision[i];
        uint64_t *steps = of_to ? &d.to.steps : &d.at.steps;
        bool taken = false;

        if (*steps < low || *steps - low < step) {
            step /= 2;
            continue;
        }
        *steps -= step;
        err = try_with(a, s, i, &d, &taken);
        if (err != EMU_OK)
            return err;
        if (!taken)
            step /= 2;
    }
    return EMU_OK;
}

enum emu_err minimise(const struct minimise_oracle *o, struct schedule *schedule, struct minimised *how, struct diag *d)
{
    struct attempt a = {.o = o, .d = d};
    enum emu_err err;
    bool again;

    memset(how, 0, sizeof(*how));
    err = ask(&a, schedule, &how->confirmed);
    if (err == EMU_OK && how->confirmed)
        err = drop_decisions(&a, schedule);
    if (err == EMU_OK && how->confirmed)
        err = simplify_kinds(&a, schedule);
    for (size_t i = 0; err == EMU_OK && how->confirmed && i < schedule->count; i++) {
        if (schedule->decision[i].at.kind == POSITION_STEPS)
            err = lower(&a, schedule, i, false);
        if (err == EMU_OK && schedule->decision[i].kind == DECISION_RUN_TO)
            err = lower(&a, schedule, i, true);
    }
    how->finished = err == EMU_OK && how->confirmed && has_time(&a);
    if (how->finished) {
        err = ask(&a, schedule, &again);
        if (err == EMU_OK && !again && has_time(&a))
            err = diag_set(d, EMU_EHOST, "a minimised run does not fail again: the machine is not deterministic");
    }
    how->runs = a.runs;
    return err;
}
