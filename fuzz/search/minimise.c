/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz/search/minimise.h"

#include <stdlib.h>
#include <string.h>

#include "emu/base/ensure.h"
#include "emu/player.h"
#include "emu/snapshot.h"
#include "emu/image/symbols.h"
#include "emu/vcpu.h"

#define ANCHOR_OCCURRENCES_MAX 1000000u

struct attempt {
    const struct minimise_options *o;
    struct verdict wanted, verdict;
    uint64_t digest, runs;
    struct diag *d;
};

/* Whether this schedule fails in the wanted way; an illegal one does not. */
static bool fails(struct attempt *a, const struct schedule *s)
{
    struct trial t;
    struct diag ignored;

    snapshot_restore(a->o->machine, a->o->start);
    a->runs++;
    if (trial_play(a->o->machine, s, a->o->symbols, &a->o->end, &t, &ignored) != EMU_OK || t.kind != TRIAL_FAIL ||
        !trial_is_same_failure(&a->wanted, &t.verdict, a->o->symbols))
        return false;
    a->verdict = t.verdict;
    a->digest = t.digest;
    return true;
}

static bool has_time(const struct attempt *a)
{
    return a->runs < a->o->runs_max;
}

/* Take `candidate` if it fails, and free the other. */
static bool take_if_failing(struct attempt *a, struct schedule *s, struct schedule *candidate)
{
    if (fails(a, candidate)) {
        schedule_fini(s);
        *s = *candidate;
        return true;
    }
    schedule_fini(candidate);
    return false;
}

/* Delta debugging (Zeller, Hildebrandt 2002) over the decisions: drop ever smaller runs of them. */
static enum emu_err drop_decisions(struct attempt *a, struct schedule *s)
{
    for (size_t chunk = s->count; chunk; chunk /= 2) {
        for (size_t at = 0; at < s->count && has_time(a);) {
            struct schedule candidate;
            size_t end = at + chunk < s->count ? at + chunk : s->count;
            enum emu_err err = EMU_OK;

            schedule_init(&candidate);
            for (size_t i = 0; err == EMU_OK && i < s->count; i++)
                if (i < at || i >= end)
                    err = schedule_append(&candidate, &s->decision[i], a->d);
            if (err != EMU_OK) {
                schedule_fini(&candidate);
                return err;
            }
            if (!take_if_failing(a, s, &candidate))
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
    *taken = take_if_failing(a, s, &candidate);
    return EMU_OK;
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
    if (i == 0 && s->decision[0].at.vcpu < machine_vcpus(a->o->machine)) {
        snapshot_restore(a->o->machine, a->o->start);
        low = vcpu_position(a->o->machine, s->decision[0].at.vcpu);
    }
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

enum emu_err minimise(const struct minimise_options *o, struct schedule *schedule, struct verdict *verdict,
                      uint64_t *digest, uint64_t *runs, struct diag *d)
{
    struct attempt a = {.o = o, .wanted = *verdict, .d = d};
    enum emu_err err;

    if (!fails(&a, schedule)) {
        *runs = a.runs;
        return diag_set(d, EMU_EINPUT, "the failing run was not confirmed: played again, it does not fail in this way");
    }
    err = drop_decisions(&a, schedule);
    if (err == EMU_OK)
        err = simplify_kinds(&a, schedule);
    for (size_t i = 0; err == EMU_OK && i < schedule->count; i++) {
        if (schedule->decision[i].at.kind == POSITION_STEPS)
            err = lower(&a, schedule, i, false);
        if (err == EMU_OK && schedule->decision[i].kind == DECISION_RUN_TO)
            err = lower(&a, schedule, i, true);
    }
    if (err == EMU_OK && !fails(&a, schedule))
        err = diag_set(d, EMU_EHOST, "a minimised run does not fail again: the machine is not deterministic");
    *verdict = a.verdict;
    *digest = a.digest;
    *runs = a.runs;
    return err;
}

/* ---- anchors ---- */

/* Go on by the default until `rip_gva` was next on `vcpu` for the nth time (0: as often as may be), but not behind
   `position`. Returns how often; *last is the vCPU's position then. */
static uint64_t count_hits(struct machine *m, unsigned vcpu, uint64_t rip_gva, uint64_t n, uint64_t position,
                           uint64_t *last)
{
    struct machine_limits limits = {
        .steps_max = UINT64_MAX, .vcpu = vcpu, .position_max = position, .until_rip_gva = rip_gva};
    uint64_t first_steps = machine_steps(m), count = 0;
    enum machine_stop_reason why;

    do {
        why = machine_run(m, &limits);
        if (why == MACHINE_STOPPED_RIP && machine_current(m) == vcpu && machine_steps(m) != first_steps) {
            *last = vcpu_position(m, vcpu);
            count++;
        }
    } while ((why == MACHINE_STOPPED_RIP && count != n && count < ANCHOR_OCCURRENCES_MAX) ||
             why == MACHINE_STOPPED_ASKED);
    return count;
}

/* The anchor of `p`, a boundary that the machine comes to from here by the default: which symbol's instruction is next
   there, and the how many-th time since here; `then` if it is here. The machine is left at `p`. False if there is
   none. */
static bool find_anchor(struct machine *m, const struct symbols *symbols, const struct snapshot *here,
                        const struct position *p, struct position *anchor)
{
    struct machine_limits limits = {.steps_max = UINT64_MAX, .vcpu = p->vcpu, .position_max = p->steps};
    uint64_t rip, count, last = 0;
    enum machine_stop_reason why;
    struct symbol s, other;

    if (!p->steps || vcpu_position(m, p->vcpu) > p->steps)
        return false;
    if (vcpu_position(m, p->vcpu) == p->steps) {
        *anchor = (struct position){.kind = POSITION_HERE};
        return true;
    }
    do {
        why = machine_run(m, &limits);
    } while (why == MACHINE_STOPPED_ASKED);
    if (why != MACHINE_STOPPED_POSITION || machine_current(m) != p->vcpu)
        return false;
    rip = vcpu_rip(m);
    if (!symbols_find_address(symbols, rip, &s) || symbols_find_name(symbols, s.name, &other) != 1 ||
        strlen(s.name) >= sizeof(anchor->symbol))
        return false;
    *anchor = (struct position){.kind = POSITION_ANCHOR, .vcpu = p->vcpu, .offset = rip - s.start_gva};
    strcpy(anchor->symbol, s.name);
    snapshot_restore(m, here);
    count = count_hits(m, p->vcpu, rip, 0, p->steps, &last);
    /* At the position the machine has stopped before it could be said that the instruction is next. It is the next
       occurrence, unless the place is within a repeated instruction, or an event is delivered there first. */
    anchor->occurrence = count + 1;
    snapshot_restore(m, here);
    if (count_hits(m, p->vcpu, rip, count + 1, 0, &last) != count + 1 || last != p->steps) {
        snapshot_restore(m, here);
        count = count_hits(m, p->vcpu, rip, 0, p->steps, &last);
        if (!count)
            return false;
        anchor->occurrence = count;
        anchor->steps = p->steps - last;
    }
    snapshot_restore(m, here);
    do {
        why = machine_run(m,
                          &(struct machine_limits){.steps_max = UINT64_MAX, .vcpu = p->vcpu, .position_max = p->steps});
    } while (why == MACHINE_STOPPED_ASKED);
    return why == MACHINE_STOPPED_POSITION;
}

/* Carry out one decision, and go where it leads. */
static bool carry_out(const struct minimise_options *o, const struct decision *d)
{
    struct decision copy = *d;
    const struct schedule one = {.decision = &copy, .count = 1};
    struct player player;
    struct diag ignored;

    player_init(&player, o->machine, &one, symbols_resolve, o->symbols, NULL);
    return player_run_decisions(&player, &ignored) == EMU_OK && player_is_done(&player);
}

static enum emu_err anchor_all(const struct minimise_options *o, const struct schedule *s, struct schedule *anchored,
                               bool *found, struct diag *d)
{
    struct decision mark = {.kind = DECISION_MARK, .at = o->start_anchor};
    enum emu_err err = schedule_append(anchored, &mark, d);

    snapshot_restore(o->machine, o->start);
    *found = true;
    for (size_t i = 0; err == EMU_OK && *found && i < s->count; i++) {
        struct decision decision = s->decision[i];
        struct snapshot *here;

        err = snapshot_take(o->machine, NULL, &here, d);
        if (err != EMU_OK)
            break;
        if (decision.at.kind == POSITION_STEPS)
            *found = find_anchor(o->machine, o->symbols, here, &s->decision[i].at, &decision.at);
        *found = *found && carry_out(o, &s->decision[i]);
        snapshot_free(o->machine, here);
        err = schedule_append(anchored, &decision, d);
    }
    return err;
}

enum emu_err anchor_schedule(const struct minimise_options *o, struct schedule *schedule, uint64_t digest,
                             bool *anchored, struct diag *d)
{
    struct schedule candidate;
    struct diag ignored;
    struct trial t;
    enum emu_err err;

    *anchored = false;
    if (!o->symbols || o->start_anchor.kind != POSITION_ANCHOR)
        return EMU_OK;
    schedule_init(&candidate);
    err = anchor_all(o, schedule, &candidate, anchored, d);
    if (err == EMU_OK && *anchored) {
        snapshot_restore(o->machine, o->start);
        candidate.decision[0].at.occurrence = 1; /* from the start, where the machine stands at the mark */
        *anchored =
            trial_play(o->machine, &candidate, o->symbols, &o->end, &t, &ignored) == EMU_OK && t.digest == digest;
    }
    if (err == EMU_OK && *anchored) {
        candidate.decision[0].at.occurrence = o->start_anchor.occurrence;
        schedule_fini(schedule);
        *schedule = candidate;
    } else {
        schedule_fini(&candidate);
    }
    return err;
}
