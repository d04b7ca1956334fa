/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz/search/failing_run.h"

#include <string.h>

#include "emu/image/symbols.h"
#include "emu/player.h"
#include "emu/snapshot.h"
#include "emu/vcpu.h"

#define ANCHOR_OCCURRENCES_MAX 1000000u

/* ---- the machine as the oracle ---- */

struct attempt {
    const struct failing_run_options *o;
    struct verdict wanted, verdict; /* verdict and digest: of the last run that failed so */
    uint64_t digest;
};

static enum emu_err fails(void *context, const struct schedule *s, bool *does, struct diag *d)
{
    struct attempt *a = context;
    struct diag why;
    struct trial t;
    enum emu_err err;

    *does = false;
    snapshot_restore(a->o->machine, a->o->start);
    err = trial_play(a->o->machine, s, a->o->symbols, &a->o->end, &t, &why);
    if (err == EMU_EINPUT) /* a decision is illegal */
        return EMU_OK;
    if (err != EMU_OK) {
        *d = why;
        return err;
    }
    if (t.kind != TRIAL_FAIL || !trial_is_same_failure(&a->wanted, &t.verdict, a->o->symbols))
        return EMU_OK;
    *does = true;
    a->verdict = t.verdict;
    a->digest = t.digest;
    return EMU_OK;
}

static bool is_over(void *context)
{
    const struct attempt *a = context;

    return a->o->end.interrupted && *a->o->end.interrupted;
}

enum emu_err failing_run_minimise(const struct failing_run_options *o, struct schedule *schedule,
                                  struct verdict *verdict, uint64_t *digest, struct minimised *how, struct diag *d)
{
    struct attempt a = {.o = o, .wanted = *verdict, .verdict = *verdict, .digest = *digest};
    struct minimise_oracle oracle = {
        .fails = fails, .is_over = is_over, .context = &a, .vcpus = machine_vcpus(o->machine), .runs_max = o->runs_max};
    enum emu_err err;

    snapshot_restore(o->machine, o->start);
    for (unsigned v = 0; v < oracle.vcpus; v++)
        oracle.first_position[v] = vcpu_position(o->machine, v);
    err = minimise(&oracle, schedule, how, d);
    *verdict = a.verdict;
    *digest = a.digest;
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
static bool carry_out(const struct failing_run_options *o, const struct decision *d)
{
    struct decision copy = *d;
    const struct schedule one = {.decision = &copy, .count = 1};
    struct player player;
    struct diag ignored;

    player_init(&player, o->machine, &one, symbols_resolve, o->symbols, NULL);
    return player_run_decisions(&player, &ignored) == EMU_OK && player_is_done(&player);
}

static enum emu_err anchor_all(const struct failing_run_options *o, const struct schedule *s, struct schedule *anchored,
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

enum emu_err failing_run_anchor(const struct failing_run_options *o, struct schedule *schedule, uint64_t digest,
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
