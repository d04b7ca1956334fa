/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * preempt: every run of the window with at most `depth` moves (course.h), up to the order of what does not conflict. A
 * move takes a vCPU away at a boundary and lets another one go on (a preemption), or delivers an interrupt of one of
 * the sources to a vCPU that would take it there, whether it runs, waits, or was taken away.
 *
 * A move is made at the first boundary at which it can be, and what it starts is run until it gives way: its reach
 * (reach.h). Up to the next step of the undisturbed course that conflicts with that reach, each boundary has the same
 * outcome: the steps between could as well be made before as after. (An act of the hypervisor conflicts with all: it
 * may send an interrupt. One that is pending for the interrupted vCPU when it goes on belongs to the move, if it is
 * taken at once; else each boundary counts.) So the next boundary at which the move is made is the one behind that
 * step. With more than one move, the run with the first one made is the course for the second: a handler held in the
 * middle while another vCPU goes on is an interrupt and a preemption. Where more than one vCPU could go on at a wait,
 * each is tried, and that is no move.
 *
 * Runs begin at their last move, from a snapshot. First all with no move are made, then all with one, and so on.
 *
 * What a stretch wrote and put back counts as not written only for the last move, where nobody can interfere within.
 *
 * ASSUMES: vCPUs meet only in memory that they read, write and fetch, in page tables, by the order of changes of code
 * and serialising instructions, and through the hypervisor, all of whose acts conflict with everything; the time that
 * guests read, and at which timers expire, makes no difference; a handler puts back the registers of the vCPU that it
 * interrupts, and memory below that one's stack pointer is dead; memory is sequentially consistent. Source: Musuvathi,
 * Qadeer, "Iterative Context Bounding for Systematic Testing of Multithreaded Programs", PLDI 2007.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emu/base/plural.h"
#include "emu/snapshot.h"
#include "emu/vcpu.h"
#include "fuzz/search/course.h"
#include "fuzz/search/dead_stack.h"
#include "fuzz/search/footprint.h"
#include "fuzz/search/search.h"
#include "fuzz/search/strategy.h"
#include "fuzz/search/translations.h"

#define DEPTH_MAX   4
#define CHOICES_MAX 8u /* of a run, at waits */
#define LEVELS_MAX  (DEPTH_MAX + CHOICES_MAX + 1)
#define MOVES_MAX   (VCPUS_MAX * (STRATEGY_SOURCES_MAX + 1))
#define NO_STEP     UINT64_MAX

struct move_kind {
    bool preempts; /* else `decision` is carried out */
    unsigned vcpu;
    struct decision decision;
};

/* One course, and the moves that are made along it. */
struct level {
    struct course_record record;
    struct reach_set reach; /* of the move that is being made, */
    int moved;              /* … and its vCPU, if another one ran; -1: none did */
    struct snapshot *start, *at;
    struct course_mark start_mark, at_mark;
    uint64_t end_steps;         /* of the window, on this course */
    uint64_t cursor;            /* accesses before are behind us */
    uint64_t block, block_more; /* the fetches of the block in which the boundary lies; block_more of them */
};

struct preempt {
    const struct search_options *o;
    struct strategy_options so;
    struct search_report *r;
    struct diag *d;
    struct course c;
    struct move_kind move[MOVES_MAX];
    unsigned moves;
    struct level level[LEVELS_MAX];
    unsigned depth, done_depth; /* moves of the runs that are made now; of those that all were made, plus one */
    uint64_t made[DEPTH_MAX + 1], failing[DEPTH_MAX + 1]; /* runs by their moves */
    uint64_t window_steps;                                /* of the undisturbed course */
    bool over;                                            /* the search is ended from outside */
    bool leaves_window;                                   /* the undisturbed course does */
    uint64_t longer, unended, astray, overflowed;
};

/* ---- one run ---- */

static bool is_over(void *context)
{
    struct preempt *s = context;

    s->over = s->over || search_is_over(s->o);
    return s->over;
}

/* A run that ends behind the window is not the guest's end: what waits there may still come. */
static void conclude(struct preempt *s, struct trial *t)
{
    trial_conclude(s->o->machine, s->c.start_steps, s->c.reached || machine_steps(s->o->machine) < s->c.end_steps,
                   &s->o->end, t);
}

/* The machine stands behind the last move. Go on to the end, and say how it was: TRIAL_KINDS if the search was ended
   meanwhile. The schedule stays the course's. */
static enum emu_err finish_run(struct preempt *s, struct trial *t)
{
    enum course_stop stop = course_run(&s->c, NO_STEP);

    *t = (struct trial){.kind = TRIAL_KINDS};
    if (stop == COURSE_FAILED)
        return s->c.err;
    if (stop == COURSE_ABANDONED)
        return EMU_OK;
    conclude(s, t);
    if (t->kind == TRIAL_PASS && t->verdict.kind == VERDICT_NONE && !s->c.state.left && s->leaves_window)
        t->kind = TRIAL_BUDGET;
    t->schedule = s->c.schedule;
    t->refused = s->c.refused;
    return EMU_OK;
}

/* Count the run that is over. */
static enum emu_err note_run(struct preempt *s, const struct trial *t)
{
    enum emu_err err;

    s->made[s->depth]++;
    s->failing[s->depth] += t->kind == TRIAL_FAIL;
    s->unended += t->kind == TRIAL_UNMODELLED || t->kind == TRIAL_BUDGET;
    s->r->decisions = s->c.decided;
    s->r->refused = s->c.refused;
    err = search_note(s->o, s->r, t, s->d);
    s->over = s->over || search_is_enough(s->o, s->r);
    return err;
}

/* ---- where a move is made next ---- */

/* Go on over the accesses before this step; remember the block that is begun last. */
static void move_cursor(struct level *l, uint64_t step)
{
    const struct course_record *r = &l->record;

    for (; l->cursor < r->accesses && r->access[l->cursor].step < step; l->cursor++) {
        if (r->access[l->cursor].kind != ACCESS_FETCH)
            continue;
        if (l->block_more && l->block + l->block_more == l->cursor &&
            r->access[l->block].step == r->access[l->cursor].step) {
            l->block_more++;
        } else {
            l->block = l->cursor;
            l->block_more = 1;
        }
    }
}

/* A step of the vCPU that was moved changes what it would do. */
static bool conflicts(const struct level *l, const struct access *a)
{
    return (int)a->vcpu == l->moved || reach_set_conflicts(&l->reach, a);
}

/* The first step at or behind `step` over which the move can't be made without a difference; NO_STEP if none. */
static uint64_t next_conflict(const struct preempt *s, struct level *l, uint64_t step)
{
    const struct course_record *r = &l->record;

    if (s->so.every_boundary)
        return step;
    move_cursor(l, step);
    for (uint64_t i = l->block; i < l->block + l->block_more; i++)
        if (conflicts(l, &r->access[i]) && !(l->cursor < r->accesses && r->access[l->cursor].kind == ACCESS_FETCH &&
                                             r->access[l->cursor].step == step))
            return step;
    for (uint64_t i = l->cursor; i < r->accesses; i++)
        if (conflicts(l, &r->access[i]))
            return r->access[i].step;
    return NO_STEP;
}

/* The first boundary behind `step` at which something may have become possible for a vCPU that does not run. */
static uint64_t next_change(const struct preempt *s, struct level *l, uint64_t step)
{
    const struct course_record *r = &l->record;
    uint64_t at = NO_STEP;

    if (s->so.every_boundary)
        return step + 1;
    move_cursor(l, step);
    for (uint64_t i = l->cursor; i < r->accesses && at == NO_STEP; i++)
        if (r->access[i].kind == ACCESS_LEAVE)
            at = r->access[i].step + 1;
    for (uint64_t i = 0; i < r->segments; i++)
        if (r->segment[i].step > step) {
            if (r->segment[i].step < at)
                at = r->segment[i].step;
            break;
        }
    return at;
}

static bool is_possible(struct preempt *s, const struct move_kind *move)
{
    if (!vcpu_position(s->o->machine, machine_current(s->o->machine)))
        return false;
    if (move->preempts)
        return course_can_preempt(&s->c, move->vcpu);
    return course_is_open(&s->c, move->vcpu, move->decision.kind != DECISION_NMI);
}

/* False if the course has no such boundary in the window. It may stop behind the step: an exception that an instruction
   asks for is one with it. */
static bool go_to(struct preempt *s, const struct level *l, uint64_t step, bool open)
{
    enum course_stop stop;

    if (step >= l->end_steps)
        return false;
    stop = open ? course_run_to_open(&s->c, step) : course_run(&s->c, step);
    s->astray += s->c.strayed;
    return stop == COURSE_THERE && !s->c.strayed;
}

/* From here to the first boundary at which the move is possible. False if there is none in the window. */
static bool find_boundary(struct preempt *s, struct level *l, const struct move_kind *move)
{
    while (machine_steps(s->o->machine) < l->end_steps && !s->over) {
        uint64_t now = machine_steps(s->o->machine);

        if (is_possible(s, move))
            return true;
        if (move->preempts || course_running(&s->c) != (int)move->vcpu) {
            if (!go_to(s, l, next_change(s, l, now), false))
                return false;
            continue;
        }
        if (move->decision.kind != DECISION_NMI && !go_to(s, l, l->end_steps - 1, true))
            return false;
        if (machine_steps(s->o->machine) == now && !go_to(s, l, now + 1, false))
            return false;
    }
    return false;
}

/* ---- all runs ---- */

static enum emu_err explore(struct preempt *s, unsigned depth, unsigned moves_left, unsigned choices_left);

static void go_back(struct preempt *s, struct level *l, const struct snapshot *to, const struct course_mark *mark)
{
    snapshot_restore(s->o->machine, to);
    course_reset(&s->c, mark);
    course_begin_follow(&s->c, &l->record);
}

static enum emu_err make(struct preempt *s, unsigned depth, const struct move_kind *move, unsigned moves_left,
                         bool *made)
{
    struct level *l = &s->level[depth];
    bool self = course_running(&s->c) == (int)move->vcpu;

    l->moved = self ? -1 : (int)move->vcpu;
    course_note_reach(&s->c, depth, &l->reach, move->vcpu, moves_left == 1 && s->so.vcpus <= 2);
    if (self)
        dead_stack_note(l->reach.handlers.bytes, s->o->machine, move->vcpu);
    return move->preempts ? course_preempt(&s->c, move->vcpu, made)
                          : course_interrupt(&s->c, &move->decision, move->vcpu, made);
}

/* Make the move wherever on the level's course it matters. */
static enum emu_err sweep(struct preempt *s, unsigned depth, const struct move_kind *move, unsigned moves_left,
                          unsigned choices_left)
{
    struct level *l = &s->level[depth];
    enum emu_err err = EMU_OK;

    go_back(s, l, l->start, &l->start_mark);
    l->cursor = l->block = l->block_more = 0;
    while (err == EMU_OK && !s->over && find_boundary(s, l, move)) {
        uint64_t step = machine_steps(s->o->machine), next;
        bool made;

        err =
            l->at ? snapshot_update(s->o->machine, l->at, s->d) : snapshot_take(s->o->machine, l->start, &l->at, s->d);
        course_mark(&s->c, &l->at_mark);
        if (err == EMU_OK)
            err = make(s, depth, move, moves_left, &made);
        if (err == EMU_OK && made)
            err = explore(s, depth + 1, moves_left - 1, choices_left);
        if (err != EMU_OK || s->over)
            break;
        go_back(s, l, l->at, &l->at_mark);
        next = made ? next_conflict(s, l, step) : next_change(s, l, step);
        if (next == NO_STEP)
            break;
        if (!go_to(s, l, made ? next + 1 : next, false))
            break;
    }
    return err == EMU_OK ? s->c.err : err;
}

/* At each wait of the level's course, let each go on that could have. */
static enum emu_err choose(struct preempt *s, unsigned depth, unsigned moves_left, unsigned choices_left)
{
    struct level *l = &s->level[depth];
    enum emu_err err = EMU_OK;

    s->longer += l->record.choices && !choices_left;
    for (uint64_t i = 0; choices_left && i < l->record.choices && err == EMU_OK && !s->over; i++)
        for (unsigned v = 0; v < s->so.vcpus && err == EMU_OK && !s->over; v++)
            if (l->record.choice[i].others >> v & 1) {
                go_back(s, l, l->start, &l->start_mark);
                if (!go_to(s, l, l->record.choice[i].step, false))
                    break;
                course_choose(&s->c, &l->record.choice[i], v);
                err = explore(s, depth + 1, moves_left, choices_left - 1);
            }
    return err;
}

/* The run that goes on from here, and all that differ from it by what is left. The machine is left anywhere. */
static enum emu_err explore(struct preempt *s, unsigned depth, unsigned moves_left, unsigned choices_left)
{
    struct level *l = &s->level[depth];
    struct trial t = {.kind = TRIAL_KINDS};
    bool goes_on = moves_left || choices_left;
    enum emu_err err = EMU_OK;

    if (goes_on) {
        err = snapshot_take(s->o->machine, depth ? s->level[depth - 1].at : NULL, &l->start, s->d);
        course_mark(&s->c, &l->start_mark);
        course_begin_record(&s->c, &l->record, moves_left);
    }
    if (err == EMU_OK)
        err = finish_run(s, &t);
    l->end_steps = s->c.state.left ? s->c.state.left_steps : machine_steps(s->o->machine);
    if (err == EMU_OK && t.kind != TRIAL_KINDS && !moves_left)
        err = note_run(s, &t);
    if (!depth && !s->depth) {
        s->leaves_window = s->c.state.left;
        s->window_steps = l->end_steps - s->c.start_steps;
    }
    if (err == EMU_OK && goes_on && t.kind != TRIAL_FAIL && t.kind != TRIAL_KINDS) {
        s->overflowed += l->record.overflow;
        for (unsigned i = 0; moves_left && i < s->moves && err == EMU_OK && !s->over; i++)
            err = sweep(s, depth, &s->move[i], moves_left, choices_left);
        if (err == EMU_OK && !s->over)
            err = choose(s, depth, moves_left, choices_left);
    }
    if (goes_on) {
        snapshot_free(s->o->machine, l->at);
        snapshot_free(s->o->machine, l->start);
        l->at = l->start = NULL;
    }
    return err;
}

/* ---- what it is asked for, and what it says ---- */

static bool interrupts(const struct source *source)
{
    switch (source->kind) {
    case DECISION_EXPIRE:
    case DECISION_NMI:
    case DECISION_VECTOR:
    case DECISION_IPI:
    case DECISION_IRQ:
    case DECISION_UPCALL:
    case DECISION_EVENT:
        return true;
    default:
        return false;
    }
}

static enum emu_err check(const struct strategy_options *o, struct diag *d)
{
    if (o->vcpus < 2 && !o->sources)
        return diag_set(d, EMU_EINPUT,
                        "preempt searches the interleaving of two or more vCPUs; give --vcpus, or --inject");
    if (o->depth > DEPTH_MAX)
        return diag_set(d, EMU_EINPUT, "preempt takes at most %d moves, not %u", DEPTH_MAX, o->depth);
    for (unsigned i = 0; i < o->sources; i++)
        if (!interrupts(&o->source[i]))
            return diag_set(d, EMU_EINPUT,
                            "preempt takes sources that interrupt a vCPU: timer, nmi, vector:N, ipi:N, irq:N, upcall, "
                            "event:N; not %s",
                            source_at(source_index(o->source[i].kind))->name);
    return EMU_OK;
}

static void add_moves(struct preempt *s)
{
    unsigned first = machine_current(s->o->machine); /* who comes into the window is taken away first */

    for (unsigned i = 1; i <= s->so.vcpus && s->so.vcpus > 1 && s->so.depth; i++)
        s->move[s->moves++] = (struct move_kind){.preempts = true, .vcpu = (first + i) % s->so.vcpus};
    for (unsigned i = 0; i < s->so.sources; i++)
        for (unsigned v = 0; v < s->so.vcpus; v++) {
            struct decision d = strategy_action(&s->so.source[i], v);

            if (d.kind == DECISION_EXPIRE)
                d.vcpu = v;
            s->move[s->moves++] = (struct move_kind){.vcpu = v, .decision = d};
        }
}

/* "at most 2 preemptions and interrupts (timer, nmi)" */
static void print_moves(const struct preempt *s, unsigned depth, char *text, size_t bytes)
{
    size_t used = (size_t)snprintf(text, bytes, "at most %u ", depth);

    if (!s->so.sources) {
        snprintf(text + used, bytes - used, "preemption%s", plural(depth));
        return;
    }
    used += (size_t)snprintf(text + used, bytes - used, "%sinterrupt%s (",
                             s->so.vcpus < 2 ? ""
                             : depth == 1    ? "preemption or "
                                             : "preemptions and ",
                             plural(depth));
    for (unsigned i = 0; i < s->so.sources && used < bytes; i++) {
        const struct source_kind *kind = source_at(source_index(s->so.source[i].kind));

        used += (size_t)snprintf(text + used, bytes - used, "%s%s", i ? ", " : "", kind->name);
        if (kind->value != SOURCE_VALUE_NONE && used < bytes)
            used += (size_t)snprintf(text + used, bytes - used, ":%" PRIu64, s->so.source[i].value);
    }
    if (used < bytes)
        snprintf(text + used, bytes - used, ")");
}

/* What keeps the finished search from being one of everything; each a clause. */
static void print_gaps(const struct preempt *s, char *text, size_t bytes)
{
    size_t used = 0;

    text[0] = '\0';
    if (s->longer)
        used += (size_t)snprintf(text + used, bytes - used,
                                 ", and with at most %u choices at waits (%" PRIu64 " run%s could have had more)",
                                 CHOICES_MAX, s->longer, plural(s->longer));
    if (s->unended)
        used += (size_t)snprintf(text + used, bytes - used,
                                 ", but for what follows where %" PRIu64 " run%s left the model or the budget",
                                 s->unended, plural(s->unended));
    if (s->astray)
        snprintf(text + used, bytes - used, ", but for %" PRIu64 " place%s where a run did not go as before", s->astray,
                 plural(s->astray));
}

static void print_end(const struct preempt *s, char *text, size_t bytes)
{
    if (s->o->end.reach_rip_gva)
        snprintf(text, bytes, "to the place that they are to reach, or for %" PRIu64 " steps", s->so.run_steps_max);
    else if (s->so.settle_steps)
        snprintf(text, bytes, "for %" PRIu64 " step%s of all vCPUs behind the window's end", s->so.settle_steps,
                 plural(s->so.settle_steps));
    else
        snprintf(text, bytes, "for %" PRIu64 " step%s of all vCPUs from the window's start", s->so.run_steps_max,
                 plural(s->so.run_steps_max));
}

static void print_statement(const struct preempt *s, char *text, size_t bytes)
{
    struct strategy_options extent_of = s->so;
    char extent[STRATEGY_EXTENT_BYTES], gaps[320], moves[200], end[120];
    bool broken = s->overflowed || translations_is_broken(s->c.translations);
    uint64_t runs = 0, failing = 0;

    if (s->leaves_window || s->window_steps < s->so.run_steps_max) /* left, or the guest ends before */
        extent_of.window_steps = s->window_steps;
    strategy_print_extent(&extent_of, extent);
    for (unsigned i = 0; i <= DEPTH_MAX; i++) {
        runs += s->made[i];
        failing += s->failing[i];
    }
    print_gaps(s, gaps, sizeof(gaps));
    print_end(s, end, sizeof(end));
    if (s->done_depth <= s->so.depth || broken) {
        size_t used = (size_t)snprintf(text, bytes, "not finished: %" PRIu64 " run%s, %" PRIu64 " of them failing",
                                       runs, plural(runs), failing);

        print_moves(s, s->so.depth, moves, sizeof(moves));
        if (broken)
            snprintf(text + used, bytes - used, "; there was no room to record all of %s", extent);
        else if (s->done_depth)
            snprintf(text + used, bytes - used,
                     "; of those with %s in %s all with at most %u were made, and %" PRIu64 " with %u", moves, extent,
                     s->done_depth - 1, s->made[s->depth], s->depth);
        else
            snprintf(text + used, bytes - used, "; not even the undisturbed run of %s was made", extent);
        return;
    }
    print_moves(s, s->so.depth, moves, sizeof(moves));
    snprintf(
        text, bytes,
        "every interleaving of %u vCPU%s with %s in %s, up to the order of what does not conflict%s: %" PRIu64
        " run%s, %" PRIu64 " failing; runs are followed %s, and behind a failure nothing more is tried. Memory is "
        "sequentially consistent; vCPUs meet in memory that they read, write and fetch, in page tables and through "
        "the hypervisor; one goes on until it waits or spins (its registers and what it reads repeat), for %u steps "
        "behind a write that ends another one's spinning, or for %u (%u if it has once gone on so long). Assumes that "
        "time plays no part%s",
        s->so.vcpus, plural(s->so.vcpus), moves, extent, gaps, runs, plural(runs), failing, end, COURSE_WOKEN_STEPS,
        STRATEGY_FAIR_STEPS, COURSE_RESTLESS_STEPS,
        s->so.sources ? ", and that a handler puts back the registers that it finds" : "");
}

/* All runs with no move, then all with one, … */
static enum emu_err explore_all(struct preempt *s, const struct snapshot *start)
{
    struct course_mark mark;

    course_mark(&s->c, &mark);
    s->over = search_is_enough(s->o, s->r);
    while (!s->over && s->depth <= s->so.depth) {
        enum emu_err err;

        snapshot_restore(s->o->machine, start);
        course_reset(&s->c, &mark);
        err = explore(s, 0, s->depth, CHOICES_MAX);
        if (err != EMU_OK)
            return err;
        if (!s->over)
            s->done_depth = ++s->depth;
    }
    return EMU_OK;
}

static enum emu_err preempt_search(const struct search_options *o, const struct strategy_options *so,
                                   const struct snapshot *start, struct search_report *r, struct diag *d)
{
    struct preempt *s;
    enum emu_err err = check(so, d);

    if (err != EMU_OK)
        return err;
    s = calloc(1, sizeof(*s));
    if (!s)
        return diag_no_memory(d);
    s->o = o;
    s->so = *so;
    s->r = r;
    s->d = d;
    for (unsigned i = 0; err == EMU_OK && i < LEVELS_MAX; i++)
        if (!reach_set_init(&s->level[i].reach, machine_memory(o->machine), so->vcpus))
            err = diag_no_memory(d);
    if (err == EMU_OK) {
        err = course_init(&s->c, o->machine, &s->so, o->symbols, d);
        s->c.is_over = is_over;
        s->c.context = s;
        s->c.reach_rip_gva = o->end.reach_rip_gva;
        add_moves(s);
        if (err == EMU_OK)
            err = explore_all(s, start);
        if (err == EMU_OK) {
            r->exhausted = s->done_depth > so->depth;
            print_statement(s, r->statement, sizeof(r->statement));
        }
        course_fini(&s->c);
    }
    for (unsigned i = 0; i < LEVELS_MAX; i++) {
        reach_set_fini(&s->level[i].reach);
        course_record_fini(&s->level[i].record);
    }
    free(s);
    return err;
}

const struct strategy strategy_preempt = {
    .name = "preempt",
    .what = "every interleaving of the vCPUs with at most so many preemptions and interrupts",
    .covers = true,
    .search = preempt_search,
};
