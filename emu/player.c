/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/player.h"

#include <inttypes.h>
#include <string.h>

#include "emu/base/ensure.h"
#include "emu/base/plural.h"
#include "emu/decide.h"
#include "emu/vcpu.h"

#define NOT_KNOWN UINT64_MAX

void player_init(struct player *p, struct machine *m, const struct schedule *schedule, player_resolve_fn *resolve,
                 const void *resolve_context, const char *file)
{
    *p = (struct player){.machine = m,
                         .schedule = schedule,
                         .resolve = resolve,
                         .resolve_context = resolve_context,
                         .file = file,
                         .steps = NOT_KNOWN,
                         .here_steps = NOT_KNOWN};
}

bool player_is_done(const struct player *p)
{
    return p->next == p->schedule->count;
}

static const struct decision *next_decision(const struct player *p)
{
    return &p->schedule->decision[p->next];
}

static enum emu_err at_line(const struct player *p, enum emu_err err, struct diag *diag)
{
    const struct decision *d = next_decision(p);

    if (d->line)
        diag_add_place(diag, p->file ? p->file : "schedule", d->line);
    return err;
}

/* Begin to look for the place. */
static enum emu_err aim(struct player *p, const struct position *at, struct diag *diag)
{
    p->counting = true;
    p->anchor_gva = 0;
    p->seen = 0;
    p->steps = NOT_KNOWN;
    if (at->kind != POSITION_HERE && at->vcpu >= machine_vcpus(p->machine))
        return diag_set(diag, EMU_EINPUT, "there is no vCPU %u: the machine has %u", at->vcpu,
                        machine_vcpus(p->machine));
    if (at->kind == POSITION_STEPS)
        p->steps = at->steps;
    if (at->kind == POSITION_ANCHOR)
        return p->resolve(p->resolve_context, at->symbol, at->offset, &p->anchor_gva, diag);
    return EMU_OK;
}

/* The engine stands before an instruction with a breakpoint: is it the anchor's, and often enough? */
static bool pass_anchor(struct player *p, const struct position *at)
{
    struct machine *m = p->machine;

    if (vcpu_rip(m) != p->anchor_gva || machine_current(m) != at->vcpu || machine_steps(m) == p->here_steps)
        return false;
    if (++p->seen < at->occurrence)
        return false;
    p->anchor_gva = 0;
    p->steps = vcpu_position(m, at->vcpu) + at->steps;
    return true;
}

/* Whether the machine stands at the place; an error if it is behind it. */
static enum emu_err is_at(const struct player *p, const struct position *at, bool *there, struct diag *diag)
{
    uint64_t position;

    *there = at->kind == POSITION_HERE;
    if (*there || p->steps == NOT_KNOWN)
        return EMU_OK;
    position = vcpu_position(p->machine, at->vcpu);
    *there = position == p->steps;
    if (position <= p->steps)
        return EMU_OK;
    return diag_set(diag, EMU_EINPUT,
                    "vCPU %u has already made %" PRIu64 " step%s where the line before took place, so it can't be "
                    "stopped at %" PRIu64,
                    at->vcpu, position, plural(position), p->steps);
}

static enum emu_err carry_out(struct player *p, struct diag *diag)
{
    const struct decision *d = next_decision(p);
    enum emu_err err;

    if (p->reached)
        p->reached(p->machine, p->next, p->context);
    err = machine_decide(p->machine, d, diag);
    p->counting = false;
    p->here_steps = machine_steps(p->machine);
    if (err != EMU_OK)
        return at_line(p, err, diag);
    if (d->kind == DECISION_RUN_TO)
        p->on_the_way = true;
    else
        p->next++;
    return EMU_OK;
}

static bool is_the_callers(const struct machine_limits *limits, uint64_t rip_gva)
{
    if (limits->until_rip_gva && limits->until_rip_gva == rip_gva)
        return true;
    for (unsigned i = 0; i < limits->breaks; i++)
        if (limits->break_gva[i] == rip_gva)
            return true;
    return false;
}

/* Run towards the place, with what the caller asked for; *arrived says that the machine stopped for us. */
static enum emu_err approach(struct player *p, const struct position *at, const struct machine_limits *limits,
                             enum machine_stop_reason *why, bool *arrived, struct diag *diag)
{
    struct machine_limits l = *limits;
    uint64_t gva[MACHINE_BREAKS_MAX];

    *arrived = false;
    l.also.vcpu = at->vcpu;
    l.also.position_max = p->steps == NOT_KNOWN ? 0 : p->steps;
    if (p->on_the_way) { /* l.vcpu must name the pinned vCPU, so the caller's limit goes to l.also */
        l.pinned = true;
        l.vcpu = at->vcpu;
        l.position_max = l.also.position_max;
        l.also.vcpu = limits->vcpu;
        l.also.position_max = limits->position_max;
    }
    if (p->anchor_gva) {
        ensure(limits->breaks < MACHINE_BREAKS_MAX);
        if (limits->breaks)
            memcpy(gva, limits->break_gva, limits->breaks * sizeof(*gva));
        gva[l.breaks++] = p->anchor_gva;
        l.break_gva = gva;
    }
    *why = machine_run(p->machine, &l);
    switch (*why) {
    case MACHINE_STOPPED_RIP:
        *arrived = (p->anchor_gva && (pass_anchor(p, at), true)) && !is_the_callers(limits, vcpu_rip(p->machine));
        return EMU_OK;
    case MACHINE_STOPPED_POSITION:
        *arrived = p->steps != NOT_KNOWN && vcpu_position(p->machine, at->vcpu) == p->steps;
        return EMU_OK;
    case MACHINE_STOPPED_NOT_RUNNABLE: {
        const char *reason = vcpu_wait_reason(p->machine, at->vcpu);
        char text[POSITION_TEXT_BYTES];

        position_print(at, text, sizeof(text));
        if (vcpu_state(p->machine, at->vcpu) == VCPU_RUNNABLE)
            return at_line(
                p,
                diag_set(diag, EMU_EINPUT,
                         "vCPU %u alone does not get to %s: it repeats itself, and only another vCPU's turn could "
                         "change that",
                         at->vcpu, text),
                diag);
        return at_line(p,
                       diag_set(diag, EMU_EINPUT,
                                "vCPU %u does not get to %s: it is %s (%s) at %" PRIu64
                                ", and no timer is armed that would wake it",
                                at->vcpu, text, vcpu_state_name(vcpu_state(p->machine, at->vcpu)),
                                reason ? reason : "nothing wakes it", vcpu_position(p->machine, at->vcpu)),
                       diag);
    }
    case MACHINE_STOPPED_VERDICT:
    case MACHINE_STOPPED_STEPS:
    case MACHINE_STOPPED_ASKED:
    case MACHINE_STOPPED_INTERRUPTIBLE:
    case MACHINE_STOPPED_RUNNABLE:
        break;
    }
    return EMU_OK;
}

/* Towards the last decision; *stopped says that it was not reached, for the reason *why. */
static enum emu_err advance(struct player *p, const struct machine_limits *limits, enum machine_stop_reason *why,
                            bool *stopped, struct diag *diag)
{
    *stopped = true;
    while (!player_is_done(p)) {
        const struct decision *d = next_decision(p);
        const struct position *at = p->on_the_way ? &d->to : &d->at;
        enum emu_err err = p->counting ? EMU_OK : aim(p, at, diag);
        bool there, arrived;

        if (err == EMU_OK)
            err = is_at(p, at, &there, diag);
        if (err != EMU_OK)
            return at_line(p, err, diag);
        if (there && p->on_the_way) {
            p->on_the_way = p->counting = false;
            p->here_steps = machine_steps(p->machine);
            p->next++;
            continue;
        }
        if (machine_verdict(p->machine)->kind != VERDICT_NONE) {
            *why = MACHINE_STOPPED_VERDICT;
            return EMU_OK;
        }
        if (there)
            err = carry_out(p, diag);
        else
            err = approach(p, at, limits, why, &arrived, diag);
        if (err != EMU_OK)
            return err;
        if (!there && !arrived)
            return EMU_OK;
    }
    *stopped = false;
    return EMU_OK;
}

/* Those carried out, and the one that has begun. */
static void print_last_words(int fd, const void *context)
{
    const struct player *p = context;

    schedule_print_last_words(p->schedule, p->next + p->on_the_way, fd);
}

enum emu_err player_run(struct player *p, const struct machine_limits *limits, enum machine_stop_reason *why,
                        struct diag *diag)
{
    struct ensure_reporter before = ensure_set_reporter((struct ensure_reporter){print_last_words, p});
    enum emu_err err;
    bool stopped;

    ensure(!limits->pinned);
    err = advance(p, limits, why, &stopped, diag);
    if (err == EMU_OK && !stopped)
        *why = machine_run(p->machine, limits);
    ensure_set_reporter(before);
    return err;
}

enum emu_err player_run_decisions(struct player *p, struct diag *diag)
{
    struct ensure_reporter before = ensure_set_reporter((struct ensure_reporter){print_last_words, p});
    enum machine_stop_reason why;
    bool stopped;
    enum emu_err err = advance(p, &(struct machine_limits){.steps_max = UINT64_MAX}, &why, &stopped, diag);

    ensure_set_reporter(before);
    return err;
}

enum emu_err player_finish(const struct player *p, struct diag *diag)
{
    char text[DECISION_TEXT_BYTES];

    if (player_is_done(p))
        return EMU_OK;
    decision_print(next_decision(p), text, sizeof(text));
    return at_line(p,
                   diag_set(diag, EMU_EINPUT, "the run ended before this decision: %s%s", text,
                            p->on_the_way ? " (it had begun)" : ""),
                   diag);
}
