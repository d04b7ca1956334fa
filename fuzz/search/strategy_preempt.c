/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * preempt: every interleaving of the vCPUs in the window with at most `depth` preemptions, up to the order of what does
 * not conflict.
 *
 * A vCPU runs until it waits; then another one does. A preemption takes it away earlier. It is enough to preempt right
 * before an access to a shared place: one that another vCPU accesses too, and at least one of them writes. For take a
 * preemption anywhere else, and let the vCPU first go on to its next shared access, or to where it waits: the steps
 * moved touch nothing that the others touch meanwhile, so the run is the same, with no more preemptions. Which places
 * are shared is what all runs so far have shown; when a round of the whole search has shown new ones, it is done again
 * with them, until nothing new comes. What a vCPU that has not run yet would touch is not known, so it is let in as
 * soon as it can run, whatever the access there. At a wait, every vCPU that can run is tried, and that counts as no
 * preemption.
 *
 * ASSUMES: vCPUs meet only in memory that they read and write (by eight bytes; fetching code that another one changes
 * is no access) and through the hypervisor, all whose calls conflict with each other and with every delivery; a vCPU
 * that has touched no more than SPIN_PLACES places in SPIN_STEPS steps spins, and gives way; the time that guests read,
 * and at which timers expire, makes no difference. Source: Musuvathi, Qadeer, "Iterative Context Bounding for
 * Systematic Testing of Multithreaded Programs", PLDI 2007; Coons, Musuvathi, McKinley, "Bounded Partial-Order
 * Reduction", OOPSLA 2013, on why reducing further than to shared accesses loses schedules under a bound.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emu/base/ensure.h"
#include "emu/base/plural.h"
#include "emu/engine.h"
#include "emu/trace.h"
#include "emu/vcpu.h"
#include "fuzz/search/search.h"
#include "fuzz/search/strategy.h"

#define DEPTH_MAX        4
#define SWITCHES_MAX     12 /* of a plan, those at waits included */
#define PLACE_SHIFT      3
#define PLACE_HYPERVISOR (UINT64_MAX - 1)
#define PLANS_MAX        (8u << 20)
#define ACCESSES_MAX     (16u << 20)
#define TABLE_BITS_FIRST 16
#define SPIN_STEPS       1000u
#define SPIN_PLACES      16u

struct switch_to {
    uint64_t position; /* of `from`: before this step it gives way to `to` */
    uint8_t from, to;
    bool at_wait; /* `from` waits or spins there: no preemption */
};

struct plan {
    uint8_t switches, preemptions;
    struct switch_to at[SWITCHES_MAX];
};

struct access { /* after the plan's last switch */
    uint64_t place, position, runnable;
    uint8_t vcpu;
    bool waits; /* no access: it waits or spins here */
};

struct place {
    uint64_t place; /* UINT64_MAX: free */
    uint64_t readers, writers;
};

struct preempt {
    struct strategy_options o;
    uint64_t start_steps;

    struct plan *plan; /* a queue: [next, plans) are to be run */
    size_t plans, plan_room, next;
    struct plan now;
    unsigned done; /* switches of `now` that were made */
    int running;
    bool in_window;
    uint64_t spin_place[SPIN_PLACES]; /* what the running one has touched since spin_since, if that is so little */
    unsigned spin_places;
    uint64_t spin_since; /* its position */

    struct access *access;
    size_t accesses, access_room;
    struct place *table;
    unsigned table_bits;
    size_t places;
    size_t shared, shared_at_round;
    uint64_t ran; /* vCPUs of which some run has shown what they do in the window */
    unsigned rounds;
    bool overflow; /* the host's memory, or our bounds, were not enough: nothing complete can be said */
    uint64_t begun, runs, failing;
    uint64_t astray;  /* runs that did not go as planned: a switch was not come to, or refused */
    uint64_t longer;  /* runs at whose end more switches than SWITCHES_MAX would have been possible */
    uint64_t unended; /* runs that left the model, or came to no end in their budget */
};

/* ---- places ---- */

static struct place *find(const struct place *table, unsigned bits, uint64_t place)
{
    size_t mask = ((size_t)1 << bits) - 1, i = (size_t)(place * 0x9e3779b97f4a7c15ull >> (64 - bits));

    while (table[i].place != UINT64_MAX && table[i].place != place)
        i = (i + 1) & mask;
    return (struct place *)(uintptr_t)&table[i];
}

static struct place *new_table(unsigned bits)
{
    struct place *table = malloc(sizeof(*table) << bits);

    for (size_t i = 0; table && i < (size_t)1 << bits; i++)
        table[i] = (struct place){.place = UINT64_MAX};
    return table;
}

static bool grow_table(struct preempt *s)
{
    struct place *bigger = new_table(s->table_bits + 1);

    if (!bigger)
        return false;
    for (size_t i = 0; i < (size_t)1 << s->table_bits; i++)
        if (s->table[i].place != UINT64_MAX)
            *find(bigger, s->table_bits + 1, s->table[i].place) = s->table[i];
    free(s->table);
    s->table = bigger;
    s->table_bits++;
    return true;
}

static bool is_shared(const struct place *p)
{
    uint64_t all = p->readers | p->writers;

    return p->writers && (all & (all - 1));
}

static void restart_spin(struct preempt *s, uint64_t position)
{
    s->spin_places = 0;
    s->spin_since = position;
}

static void note_spin(struct preempt *s, uint64_t place, uint64_t position)
{
    for (unsigned i = 0; i < s->spin_places; i++)
        if (s->spin_place[i] == place)
            return;
    if (s->spin_places == SPIN_PLACES)
        restart_spin(s, position);
    s->spin_place[s->spin_places++] = place;
}

static bool spins(const struct preempt *s, const struct machine *m)
{
    return vcpu_position(m, (unsigned)s->running) - s->spin_since >= SPIN_STEPS;
}

static void note_access(struct preempt *s, uint64_t number, bool writes, uint64_t position)
{
    struct machine *m = s->o.machine;
    unsigned vcpu = machine_current(m);
    uint64_t runnable = 0;
    struct place *p;
    bool before;

    if (!s->in_window || s->overflow)
        return;
    note_spin(s, number, position);
    s->ran |= 1ull << vcpu;
    if (s->places * 2 >= (size_t)1 << s->table_bits && !grow_table(s)) {
        s->overflow = true;
        return;
    }
    p = find(s->table, s->table_bits, number);
    if (p->place == UINT64_MAX) {
        p->place = number;
        s->places++;
    }
    before = is_shared(p);
    if (writes)
        p->writers |= 1ull << vcpu;
    else
        p->readers |= 1ull << vcpu;
    s->shared += is_shared(p) && !before;
    if (s->done < s->now.switches)
        return;
    if (s->accesses == s->access_room) {
        size_t room = s->access_room ? s->access_room * 2 : 4096;
        struct access *more = room > ACCESSES_MAX ? NULL : realloc(s->access, room * sizeof(*more));

        if (!more) {
            s->overflow = true;
            return;
        }
        s->access = more;
        s->access_room = room;
    }
    for (unsigned v = 0; v < s->o.vcpus; v++)
        if (v != vcpu && vcpu_state(m, v) == VCPU_RUNNABLE)
            runnable |= 1ull << v;
    s->access[s->accesses++] =
        (struct access){.place = number, .position = position, .vcpu = (uint8_t)vcpu, .runnable = runnable};
}

static void on_access(void *context, enum engine_access kind, uint64_t gpa, unsigned bytes)
{
    struct preempt *s = context;
    uint64_t position;

    if (!s->in_window)
        return;
    position = engine_access_position(machine_engine(s->o.machine));
    if (kind == ENGINE_LEAVE) {
        note_access(s, PLACE_HYPERVISOR, true, position);
        return;
    }
    for (uint64_t place = gpa >> PLACE_SHIFT; place <= (gpa + bytes - 1) >> PLACE_SHIFT; place++)
        note_access(context, place, kind == ENGINE_WRITE, position);
}

static void on_fact(struct machine *m, const struct trace_fact *fact, void *context)
{
    switch (fact->kind) {
    case TRACE_INTERRUPT:
    case TRACE_NMI:
    case TRACE_HYPERCALL:
    case TRACE_VCPU_STATE:
    case TRACE_EVENT:
    case TRACE_MSR_WRITE:
    case TRACE_HOST_WRITE:
    case TRACE_HOST_AREA:
        note_access(context, PLACE_HYPERVISOR, true, vcpu_position(m, machine_current(m)));
        return;
    case TRACE_CONSOLE:
    case TRACE_EXCEPTION:
    case TRACE_SHUTDOWN:
    case TRACE_OWNER:
    case TRACE_KIND_COUNT:
        return;
    }
}

/* ---- plans ---- */

static void add_plan(struct preempt *s, const struct plan *plan)
{
    if (s->plans == s->plan_room) {
        size_t room = s->plan_room ? s->plan_room * 2 : 1024;
        struct plan *more = room > PLANS_MAX ? NULL : realloc(s->plan, room * sizeof(*more));

        if (!more) {
            s->overflow = true;
            return;
        }
        s->plan = more;
        s->plan_room = room;
    }
    s->plan[s->plans++] = *plan;
}

static enum emu_err preempt_init(const struct strategy_options *o, void **state, struct diag *d)
{
    struct preempt *s;
    enum emu_err err;

    if (o->sources)
        return diag_set(d, EMU_EINPUT, "preempt searches the interleaving alone: it takes no --inject");
    if (o->vcpus < 2)
        return diag_set(d, EMU_EINPUT, "preempt searches the interleaving of two or more vCPUs; give --vcpus");
    if (o->depth > DEPTH_MAX)
        return diag_set(d, EMU_EINPUT, "preempt takes at most %d preemptions, not %u", DEPTH_MAX, o->depth);
    s = calloc(1, sizeof(*s));
    if (!s)
        return diag_set(d, EMU_EHOST, "the host has no memory left");
    s->o = *o;
    s->start_steps = machine_steps(o->machine);
    s->table_bits = TABLE_BITS_FIRST;
    s->table = new_table(s->table_bits);
    if (!s->table) {
        free(s);
        return diag_set(d, EMU_EHOST, "the host has no memory left");
    }
    trace_listen(o->machine, on_fact, s);
    err = engine_watch_accesses(machine_engine(o->machine), on_access, s, d);
    add_plan(s, &(struct plan){0});
    s->rounds = 1;
    *state = s;
    return err;
}

static void preempt_fini(void *state)
{
    struct preempt *s = state;
    struct diag ignored;

    trace_unlisten(s->o.machine, on_fact, s);
    (void)!engine_watch_accesses(machine_engine(s->o.machine), NULL, NULL, &ignored);
    free(s->plan);
    free(s->access);
    free(s->table);
    free(s);
}

static bool preempt_begin(void *state)
{
    struct preempt *s = state;

    if (s->next == s->plans) {
        if (s->overflow || s->shared == s->shared_at_round)
            return false;
        s->next = s->plans = 0;
        add_plan(s, &(struct plan){0});
        s->rounds++;
        s->astray = s->longer = s->unended = 0; /* this round covers all again */
        s->shared_at_round = s->shared;
    }
    if (s->rounds == 1 && !s->next)
        s->shared_at_round = 0;
    s->now = s->plan[s->next++];
    s->begun++;
    s->done = 0;
    s->running = -1;
    s->accesses = 0;
    s->in_window = true;
    return true;
}

/* The next vCPU that can run, in the order of numbers behind `from`; -1 if none. */
static int next_runnable(const struct preempt *s, const struct machine *m, unsigned from)
{
    for (unsigned i = 1; i <= s->o.vcpus; i++) {
        unsigned v = (from + i) % s->o.vcpus;

        if (v != from && vcpu_state(m, v) == VCPU_RUNNABLE)
            return (int)v;
    }
    return -1;
}

/* The running one waits or spins: who goes on? */
static int choose_at_wait(struct preempt *s, struct machine *m, unsigned from)
{
    int to = next_runnable(s, m, from);

    if (s->done < s->now.switches) {
        const struct switch_to *w = &s->now.at[s->done];

        if (w->at_wait && w->from == from && w->position == vcpu_position(m, from)) {
            s->done++;
            return w->to;
        }
    } else if (to >= 0) {
        note_access(s, PLACE_HYPERVISOR, true, vcpu_position(m, from));
        if (s->accesses) {
            struct access *a = &s->access[s->accesses - 1];

            a->waits = true;
            a->vcpu = (uint8_t)from;
            a->runnable &= ~(1ull << to); /* that one is this run */
        }
    }
    return to;
}

static void preempt_move(void *state, struct machine *m, bool refused, struct move *move)
{
    struct preempt *s = state;
    uint64_t done = machine_steps(m) - s->start_steps;
    const struct switch_to *w;
    int to;

    if (done >= s->o.window_steps) {
        s->in_window = false;
        return;
    }
    if (s->running < 0) {
        s->running = (int)machine_current(m);
        restart_spin(s, vcpu_position(m, (unsigned)s->running));
    }
    w = s->done < s->now.switches ? &s->now.at[s->done] : NULL;
    to = s->running;
    if (w && !w->at_wait && vcpu_position(m, w->from) == w->position && s->running == w->from) {
        to = w->to;
        s->done++;
    } else if (vcpu_state(m, (unsigned)s->running) != VCPU_RUNNABLE || spins(s, m)) {
        to = choose_at_wait(s, m, (unsigned)s->running);
        if (to < 0 && vcpu_state(m, (unsigned)s->running) == VCPU_RUNNABLE)
            to = s->running;
        if (to >= 0)
            restart_spin(s, vcpu_position(m, (unsigned)to));
    }
    if (to < 0) { /* nobody: time passes */
        s->running = -1;
        move->steps = 1;
        return;
    }
    if (to != s->running)
        restart_spin(s, vcpu_position(m, (unsigned)to));
    s->running = to;
    move->only = to;
    move->steps = s->o.window_steps - done;
    if (move->steps > SPIN_STEPS)
        move->steps = SPIN_STEPS;
    w = s->done < s->now.switches ? &s->now.at[s->done] : NULL;
    if (w && !w->at_wait) {
        move->until_vcpu = w->from;
        move->until_position = w->position;
    }
}

/* The vCPUs that can run from the i-th access on, not before, and have never run. */
static uint64_t newcomers(const struct preempt *s, size_t i)
{
    return s->access[i].runnable & ~(i ? s->access[i - 1].runnable : 0) & ~s->ran;
}

/* Whether it is worth while to preempt right before the i-th access. */
static bool meets_others(const struct preempt *s, size_t i)
{
    const struct access *a = &s->access[i], *before = i ? a - 1 : NULL;

    return is_shared(find(s->table, s->table_bits, a->place)) &&
           !(before && before->position == a->position && before->vcpu == a->vcpu &&
             is_shared(find(s->table, s->table_bits, before->place)));
}

static void preempt_end(void *state, const struct trial *trial)
{
    struct preempt *s = state;

    s->runs++;
    s->failing += trial->kind == TRIAL_FAIL;
    s->in_window = false;
    s->unended += trial->kind == TRIAL_UNMODELLED || trial->kind == TRIAL_BUDGET;
    s->astray += trial->refused || s->done < s->now.switches;
    if (s->done < s->now.switches) /* the course was another one before it came to the last switch */
        return;
    for (size_t i = 0; i < s->accesses; i++) {
        const struct access *a = &s->access[i];
        uint64_t to = a->waits || meets_others(s, i) ? a->runnable : newcomers(s, i);
        struct plan child = s->now;

        if (!a->waits && (child.preemptions == s->o.depth || !a->position))
            continue;
        if (child.switches == SWITCHES_MAX) {
            s->longer += to != 0;
            if (to)
                break;
            continue;
        }
        child.preemptions += !a->waits;
        for (unsigned v = 0; v < s->o.vcpus; v++)
            if (to >> v & 1) {
                child.at[child.switches] =
                    (struct switch_to){.position = a->position, .from = a->vcpu, .to = (uint8_t)v, .at_wait = a->waits};
                child.switches++;
                add_plan(s, &child);
                child.switches--;
            }
    }
}

/* What keeps the finished search from being one of everything; each a clause. */
static void print_gaps(const struct preempt *s, char *text, size_t bytes)
{
    size_t used = 0;

    text[0] = '\0';
    if (s->longer)
        used +=
            (size_t)snprintf(text + used, bytes - used,
                             ", and with at most %u switches, waits included (%" PRIu64 " run%s could have had more)",
                             SWITCHES_MAX, s->longer, plural(s->longer));
    if (s->unended)
        used += (size_t)snprintf(text + used, bytes - used,
                                 ", but for what follows where %" PRIu64 " run%s left the model or the budget",
                                 s->unended, plural(s->unended));
    if (s->astray)
        snprintf(text + used, bytes - used, ", but for %" PRIu64 " run%s that did not go as planned", s->astray,
                 plural(s->astray));
}

static void preempt_statement(void *state, char *text, size_t bytes)
{
    const struct preempt *s = state;
    bool complete = s->next == s->plans && s->begun == s->runs && !s->overflow && s->shared == s->shared_at_round;
    uint64_t left = s->plans - s->next + (s->begun - s->runs);
    char extent[STRATEGY_EXTENT_BYTES], gaps[320];

    strategy_print_extent(&s->o, extent);
    if (!complete) {
        snprintf(text, bytes,
                 "not finished: %" PRIu64 " run%s, %" PRIu64 " of them failing, %" PRIu64
                 " plan%s with at most %u preemption%s in %s %s left%s%s",
                 s->runs, plural(s->runs), s->failing, left, plural(left), s->o.depth, plural(s->o.depth), extent,
                 left == 1 ? "is" : "are",
                 left ? "" : ", and the round in which new shared places came is to be made again",
                 s->overflow ? "; there was no room for all plans" : "");
        return;
    }
    print_gaps(s, gaps, sizeof(gaps));
    snprintf(
        text, bytes,
        "every interleaving of %u vCPU%s with at most %u preemption%s in %s, up to the order of accesses that "
        "do not conflict%s: %" PRIu64 " run%s, %" PRIu64 " failing, %zu shared place%s, %u round%s. Assumes that "
        "vCPUs meet only in memory that they read and write (not in code that one changes and another executes) "
        "and through the hypervisor, that one that touches no more than %u places in %u steps spins, and that time "
        "plays no part",
        s->o.vcpus, plural(s->o.vcpus), s->o.depth, plural(s->o.depth), extent, gaps, s->runs, plural(s->runs),
        s->failing, s->shared, plural(s->shared), s->rounds, plural(s->rounds), SPIN_PLACES, SPIN_STEPS);
}

const struct strategy strategy_preempt = {
    .name = "preempt",
    .what = "every interleaving of the vCPUs with at most --depth preemptions",
    .covers = true,
    .init = preempt_init,
    .fini = preempt_fini,
    .begin = preempt_begin,
    .move = preempt_move,
    .end = preempt_end,
    .statement = preempt_statement,
};
