/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which snapshots stay: when there are SNAPSHOTS_MAX, the one goes that leaves the smallest gap for how far away it is.
 * So distances grow with the age in both directions, and going back N steps costs running about N / 10 of them.
 */
#include "cli/debugger/history.h"

#include <stdlib.h>
#include <string.h>

#include "emu/base/vec.h"
#include "emu/player.h"
#include "emu/snapshot.h"
#include "emu/trace.h"
#include "emu/vcpu.h"

#define SNAPSHOTS_MAX  40u
#define SLICE_STEPS    2000000ull  /* between two questions whether to stop */
#define DISTANCE_STEPS 16000000ull /* between two snapshots on the way forwards */
#define NEAR_STEPS     100000ull   /* nearer than this to a place that was gone to, snapshots are not worth it */
#define CHANGES_MAX    65536u

struct log { /* goes back with the machine */
    uint64_t console_bytes;
    uint64_t hypercalls; /* that there were */
    struct history_hypercall hypercall[HISTORY_HYPERCALLS];
};

struct entry {
    uint64_t step;
    unsigned applied; /* changes up to here are in it */
    struct snapshot *snapshot;
    struct player player;
    uint64_t position[VCPUS_MAX];
    struct log log;
};

struct change {
    uint64_t step;
    bool is_regs;
    unsigned vcpu;
    struct vcpu_regs regs;
    uint64_t gpa;
    size_t bytes;
    uint8_t *content;
};

struct history {
    struct machine *m;
    bool has_player;
    struct player player;
    struct history_ops ops;
    struct entry *entry[SNAPSHOTS_MAX + 1]; /* ascending by step; the first is the beginning */
    unsigned entries;
    struct change *change; /* ascending by step */
    unsigned changes, applied;
    size_t changes_room;
    uint64_t console_seen; /* bytes that were told */
    struct log log;
    struct diag snapshot_diag;
    bool failed; /* `diag` says why */
    struct diag diag;
};

static uint64_t now(const struct history *h)
{
    return machine_steps(h->m);
}

static void on_fact(struct machine *m, const struct trace_fact *fact, void *context)
{
    struct history *h = context;

    if (fact->kind == TRACE_CONSOLE && h->log.console_bytes++ == h->console_seen) {
        h->console_seen++;
        h->ops.console(h->ops.context, (uint8_t)fact->a);
    }
    if (fact->kind == TRACE_HYPERCALL)
        h->log.hypercall[h->log.hypercalls++ % HISTORY_HYPERCALLS] =
            (struct history_hypercall){fact->vcpu, machine_steps(m), fact->rip_gva, fact->a, fact->b, fact->c};
}

unsigned history_hypercalls(const struct history *h)
{
    return h->log.hypercalls < HISTORY_HYPERCALLS ? (unsigned)h->log.hypercalls : HISTORY_HYPERCALLS;
}

const struct history_hypercall *history_hypercall(const struct history *h, unsigned i)
{
    return &h->log.hypercall[(h->log.hypercalls - history_hypercalls(h) + i) % HISTORY_HYPERCALLS];
}

unsigned history_snapshots(const struct history *h)
{
    return h->entries;
}

const struct player *history_player(const struct history *h)
{
    return h->has_player ? &h->player : NULL;
}

uint64_t history_begin(const struct history *h)
{
    return h->entry[0]->step;
}

/* ---- snapshots ---- */

/* The last entry at or before `step`. */
static unsigned entry_at(const struct history *h, uint64_t step)
{
    unsigned i = h->entries - 1;

    while (i && h->entry[i]->step > step)
        i--;
    return i;
}

static void forget(struct history *h, unsigned i)
{
    snapshot_free(h->m, h->entry[i]->snapshot);
    free(h->entry[i]);
    h->entries--;
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers */
    memmove(&h->entry[i], &h->entry[i + 1], (h->entries - i) * sizeof(h->entry[0]));
}

static void thin_out(struct history *h)
{
    unsigned worst = 0;
    double least = 0;

    for (unsigned i = 1; i + 1 < h->entries; i++) {
        uint64_t at = h->entry[i]->step, away = at > now(h) ? at - now(h) : now(h) - at;
        double worth = (double)(h->entry[i + 1]->step - h->entry[i - 1]->step) / ((double)away + 1);

        if (!worst || worth < least) {
            worst = i;
            least = worth;
        }
    }
    if (worst)
        forget(h, worst);
}

/* A snapshot that can't be taken only makes going back slower. */
static void keep(struct history *h)
{
    unsigned before = h->entries ? entry_at(h, now(h)) : 0;
    struct entry *e;

    if (h->entries && h->entry[before]->step == now(h))
        return;
    e = calloc(1, sizeof(*e));
    if (!e)
        return;
    if (snapshot_take(h->m, h->entries ? h->entry[before]->snapshot : NULL, &e->snapshot, &h->snapshot_diag) !=
        EMU_OK) {
        free(e);
        return;
    }
    e->step = now(h);
    e->applied = h->applied;
    e->player = h->player;
    e->log = h->log;
    for (unsigned v = 0; v < machine_vcpus(h->m); v++)
        e->position[v] = vcpu_position(h->m, v);
    if (h->entries)
        before++;
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers */
    memmove(&h->entry[before + 1], &h->entry[before], (h->entries - before) * sizeof(h->entry[0]));
    h->entry[before] = e;
    h->entries++;
    if (h->entries > SNAPSHOTS_MAX)
        thin_out(h);
}

static void restore(struct history *h, const struct entry *e)
{
    snapshot_restore(h->m, e->snapshot);
    h->applied = e->applied;
    h->player = e->player;
    h->log = e->log;
}

/* ---- what the user changed ---- */

static void apply(struct history *h, const struct change *c)
{
    if (c->is_regs)
        vcpu_set_regs(h->m, c->vcpu, &c->regs);
    else if (!memory_write(machine_memory(h->m), c->gpa, c->content, c->bytes))
        return; /* it could when it was made */
}

static void apply_due(struct history *h)
{
    while (h->applied < h->changes && h->change[h->applied].step <= now(h))
        apply(h, &h->change[h->applied++]);
}

/* The run goes another way from here on. */
static bool add_change(struct history *h, const struct change *c)
{
    while (h->entry[h->entries - 1]->step > now(h))
        forget(h, h->entries - 1);
    while (h->changes > h->applied)
        free(h->change[--h->changes].content);
    if (h->changes == CHANGES_MAX || !vec_reserve(&h->change, &h->changes_room, h->changes + 1, 16, sizeof(*h->change)))
        return false;
    h->change[h->changes++] = *c;
    h->console_seen = h->log.console_bytes;
    apply_due(h);
    return true;
}

bool history_set_regs(struct history *h, unsigned vcpu, const struct vcpu_regs *r)
{
    struct change c = {.step = now(h), .is_regs = true, .vcpu = vcpu, .regs = *r};

    return add_change(h, &c);
}

bool history_write(struct history *h, uint64_t gpa, const void *src, size_t bytes)
{
    struct change c = {.step = now(h), .gpa = gpa, .bytes = bytes};

    if (!memory_is_ram(machine_memory(h->m), gpa, bytes))
        return false;
    c.content = malloc(bytes ? bytes : 1);
    if (!c.content)
        return false;
    memcpy(c.content, src, bytes);
    if (add_change(h, &c))
        return true;
    free(c.content);
    return false;
}

/* ---- going ---- */

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

const char *history_failure(struct history *h)
{
    bool failed = h->failed;

    h->failed = false;
    return failed ? h->diag.text : NULL;
}

static bool run(struct history *h, const struct machine_limits *limits, enum machine_stop_reason *why)
{
    if (h->has_player) {
        diag_init(&h->diag);
        h->failed = player_run(&h->player, limits, why, &h->diag) != EMU_OK;
    } else {
        *why = machine_run(h->m, limits);
    }
    return !h->failed;
}

bool history_advance(struct history *h, const struct machine_limits *limits, enum machine_stop_reason *why)
{
    apply_due(h);
    for (;;) {
        struct machine_limits l = *limits;

        l.steps_max = least(limits->steps_max, now(h) + SLICE_STEPS);
        if (h->applied < h->changes)
            l.steps_max = least(l.steps_max, h->change[h->applied].step);
        if (!run(h, &l, why))
            return false;
        apply_due(h);
        if (*why != MACHINE_STOPPED_STEPS || now(h) >= limits->steps_max)
            return true;
        if (now(h) - h->entry[entry_at(h, now(h))]->step >= DISTANCE_STEPS)
            keep(h);
        if (h->ops.interrupted(h->ops.context))
            return false;
    }
}

/* Forwards, without any other stop. */
static bool run_to(struct history *h, uint64_t step)
{
    struct machine_limits l = {.steps_max = step};
    enum machine_stop_reason why;

    do {
        if (!history_advance(h, &l, &why))
            return false;
    } while (why == MACHINE_STOPPED_ASKED);
    return true;
}

bool history_go(struct history *h, uint64_t step)
{
    unsigned i = entry_at(h, step);

    if (step < now(h) || h->entry[i]->step > now(h))
        restore(h, h->entry[i]);
    /* Whoever goes here looks around: snapshots at half the way, at half of the rest, and so on. */
    while (step - least(step, now(h)) > 2 * NEAR_STEPS) {
        uint64_t before = now(h);

        if (!run_to(h, now(h) + (step - now(h)) / 2))
            return false;
        if (now(h) == before) /* the run is over */
            return true;
        keep(h);
    }
    return run_to(h, step);
}

bool history_find_before(const struct history *h, uint64_t step, uint64_t *snapshot_step)
{
    if (step <= history_begin(h))
        return false;
    *snapshot_step = h->entry[entry_at(h, step - 1)]->step;
    return true;
}

bool history_find_position(const struct history *h, unsigned vcpu, uint64_t position, uint64_t *snapshot_step)
{
    unsigned i = entry_at(h, now(h));

    while (i && h->entry[i]->position[vcpu] > position)
        i--;
    *snapshot_step = h->entry[i]->step;
    return h->entry[i]->position[vcpu] <= position;
}

bool history_refine(struct history *h, uint64_t from, uint64_t to, uint64_t distance)
{
    while (to - from > distance) {
        if (!history_go(h, from) || !run_to(h, from + distance))
            return false;
        if (now(h) == from)
            return true;
        keep(h);
        from = now(h);
    }
    return true;
}

/* ---- life ---- */

enum emu_err history_new(struct machine *m, const struct player *player, const struct history_ops *ops,
                         struct history **out, struct diag *d)
{
    struct history *h = calloc(1, sizeof(*h));

    if (!h)
        return diag_no_memory(d);
    h->m = m;
    h->has_player = player != NULL;
    if (player)
        h->player = *player;
    h->ops = *ops;
    keep(h);
    if (!h->entries) {
        *d = h->snapshot_diag;
        if (!d->text[0])
            (void)diag_no_memory(d);
        free(h);
        return EMU_EHOST;
    }
    trace_listen(m, on_fact, h);
    *out = h;
    return EMU_OK;
}

void history_free(struct history *h)
{
    if (!h)
        return;
    trace_unlisten(h->m, on_fact, h);
    while (h->entries)
        forget(h, h->entries - 1);
    while (h->changes)
        free(h->change[--h->changes].content);
    free(h->change);
    free(h);
}
