/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A refused decision leaves the machine as it was: every kind of decision, with values of all sorts, at random places
 * of the corpus' guests. "As it was" is the digest, every byte behind the RAM (what the digest leaves out too), what
 * the machine keeps of the run, and how the run goes on, beside a twin that was never asked.
 *
 *   test_refused FOLDER-OF-IMAGES
 *
 * Some of the decisions that were legal are kept, in both machines, so that the places are such as schedules make.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emu/base/count.h"
#include "emu/decide.h"
#include "emu/image/image.h"
#include "emu/machine_state.h"
#include "emu/schedule.h"
#include "emu/snapshot.h"
#include "models/image_formats.h"
#include "models/platform.h"
#include "models/xen/pvh_loader.h"

#define RAM_BYTES               (64ull << 20)
#define PLACES                  40
#define ROUNDS                  3 /* at one place, each behind a decision that was legal there */
#define TRIES                   2 /* of each kind and vCPU at a place */
#define STRIDE_BITS             15
#define KEPT_ONE_IN             12
#define INTERRUPTIBLE_STEPS_MAX 200000
#define RESTARTS_MAX            12

struct guest {
    const char *image;
    enum platform_mode mode;
    unsigned vcpus, online;
    const char *cmdline;
};

static const struct guest guests[] = {
    {"s1", PLATFORM_HVM, 1, 1, "variant=fixed2006 memcpy=byte delay=200 after=200"},
    {"s1", PLATFORM_HVM, 1, 1, "variant=fixed2006 memcpy=byte tick=lapic period=100000"},
    {"hvm-rows-64", PLATFORM_HVM, 2, 2, ""},
    {"s2-64", PLATFORM_HVM, 1, 1, "variant=soft_reset pirq=1 vcpu_info=0 wait=5000000"},
    {"smp64", PLATFORM_HVM, 4, 3, ""},
    {"s4-64", PLATFORM_PVH, 2, 1, "order=PVBIEU id=madt"},
    {"s0-64", PLATFORM_PVH, 2, 2, "order=late-ticketlock vcpus=2 spin=16"},
    {"r-locks", PLATFORM_PVH, 2, 2, "bug=nested fixed=1"},
    {"r-events", PLATFORM_PVH, 2, 2, "bug=bound fixed=1"},
};

struct rig {
    const struct guest *guest;
    struct image *image;
    struct platform_config platform;
    struct machine_config config;
    struct machine *m, *twin;
    uint64_t random;
};

/* All that a refused decision could have changed. */
struct looks {
    uint64_t digest, area, steps;
    struct machine_run run;
    uint8_t expired[MODELS_MAX * TIMER_KINDS_MAX * VCPUS_MAX];
    bool pinned_to_place, pinned_is_stuck;
};

static uint64_t refused[DECISION_KIND_COUNT], legal[DECISION_KIND_COUNT];
static unsigned tests, failures;

static void die(const struct diag *d)
{
    printf("Bail out! %s\n", d->text);
    exit(1);
}

static void point(bool ok, const char *what)
{
    printf("%s %u - %s\n", ok ? "ok" : "not ok", ++tests, what);
    failures += !ok;
}

static uint64_t below(struct rig *r, uint64_t n)
{
    r->random = r->random * 6364136223846793005ull + 1442695040888963407ull;
    return (r->random >> 33) % n;
}

static struct machine *new_machine(struct rig *r)
{
    struct machine *m;
    struct diag d;

    diag_init(&d);
    if (machine_new(&r->config, &m, &d) != EMU_OK || pvh_load(m, r->image, &d) != EMU_OK)
        die(&d);
    return m;
}

static void look(struct machine *m, struct looks *l)
{
    memset(l, 0, sizeof(*l));
    l->digest = machine_digest(m);
    l->area = memory_digest(m->mem);
    l->steps = machine_steps(m);
    memcpy(&l->run, &m->run, sizeof(m->run));
    memcpy(l->expired, m->expired, (size_t)m->config.model_count * TIMER_KINDS_MAX * m->config.vcpus);
    l->pinned_to_place = m->pinned_to_place;
    l->pinned_is_stuck = m->pinned_is_stuck;
}

/* What differs between two looks, NULL if nothing does. */
static const char *difference(const struct looks *a, const struct looks *b)
{
    if (a->digest != b->digest)
        return "the digest";
    if (a->area != b->area)
        return "memory, vCPUs, timers or models, in what is no part of the digest";
    if (a->steps != b->steps)
        return "the steps";
    if (memcmp(&a->run, &b->run, sizeof(a->run)) != 0)
        return "what the machine keeps of the run";
    if (memcmp(a->expired, b->expired, sizeof(a->expired)) != 0)
        return "how often timers have expired";
    return a->pinned_to_place != b->pinned_to_place || a->pinned_is_stuck != b->pinned_is_stuck ? "the pinned vCPU"
                                                                                                : NULL;
}

/* Values that mean something, and some that mean nothing. */
static struct decision propose(struct rig *r, enum decision_kind kind)
{
    static const uint64_t vectors[] = {0x10, 0x20, 0x30, 0x31, 0x38, 0x40, 0x50, 0xe0, 0xf3, 0xff};
    struct decision d = {.kind = kind, .vcpu = (unsigned)below(r, r->guest->vcpus + 1)};

    switch (kind) {
    case DECISION_VECTOR:
    case DECISION_IPI:
        d.value = vectors[below(r, COUNT(vectors))];
        break;
    case DECISION_IRQ:
        d.value = below(r, 16);
        break;
    case DECISION_EVENT:
        d.value = 1 + below(r, below(r, 4) ? 12 : 200000);
        break;
    case DECISION_EXPIRE:
        if (!below(r, 3))
            d.vcpu = DECISION_ANY_VCPU;
        break;
    case DECISION_LATE:
    case DECISION_PASS:
        d.value = 1 + below(r, 2000000);
        break;
    case DECISION_CHECK:
        d.value = below(r, 2) ? below(r, UINT32_MAX) : machine_digest(r->m);
        break;
    default:
        break;
    }
    d.to.vcpu = d.vcpu;
    return d;
}

static bool is_anything_pending(struct machine *m)
{
    for (unsigned v = 0; v < m->config.vcpus; v++)
        if (m->vcpu[v].nmi_pending || machine_pending_vector(m, v) != MODEL_NO_VECTOR)
            return true;
    return false;
}

/* False, with words, if one was refused and the machine is another one. */
static bool try_one(struct rig *r, const struct decision *d, const struct looks *before, const struct snapshot *here,
                    bool *was_legal)
{
    struct looks after;
    struct diag diag;
    const char *what;
    char text[DECISION_TEXT_BYTES];

    diag_init(&diag);
    *was_legal = machine_decide(r->m, d, &diag) == EMU_OK;
    (*was_legal ? legal : refused)[d->kind]++;
    if (*was_legal) {
        bool arrived = d->kind != DECISION_IRQ || is_anything_pending(r->m);

        if (!arrived)
            printf("# step %" PRIu64 ": an edge on line %" PRIu64 " was legal and reached nobody\n",
                   machine_steps(r->m), d->value);
        snapshot_restore(r->m, here);
        return arrived;
    }
    look(r->m, &after);
    what = difference(before, &after);
    if (!what)
        return true;
    decision_print(d, text, sizeof(text));
    printf("# step %" PRIu64 ": '%s' was refused (%s) and has changed %s\n", machine_steps(r->m), text, diag.text,
           what);
    return false;
}

static bool keep(struct rig *r, const struct decision *d)
{
    struct diag diag;

    diag_init(&diag);
    if (machine_decide(r->m, d, &diag) == EMU_OK && machine_decide(r->twin, d, &diag) == EMU_OK)
        return true;
    printf("# a decision that was legal is not any more, or not in the twin: %s\n", diag.text);
    return false;
}

static bool try_all(struct rig *r)
{
    struct snapshot *here = NULL;
    struct decision kept = {.kind = DECISION_MARK};
    struct looks before;
    struct diag diag;
    bool good = true, was_legal;

    diag_init(&diag);
    if (snapshot_take(r->m, NULL, &here, &diag) != EMU_OK)
        die(&diag);
    look(r->m, &before);
    for (unsigned k = 0; good && k < DECISION_KIND_COUNT; k++)
        for (unsigned i = 0; good && i < TRIES * (r->guest->vcpus + 1); i++) {
            struct decision d = propose(r, (enum decision_kind)k);

            good = try_one(r, &d, &before, here, &was_legal);
            if (was_legal) {
                look(r->m, &before); /* to have gone back is not for the digest to see, but for us */
                if (!below(r, KEPT_ONE_IN))
                    kept = d;
            }
        }
    snapshot_free(r->m, here);
    return good && keep(r, &kept);
}

/* Half of the places are such that an interrupt would be taken there. */
static bool run_both(struct rig *r, uint64_t steps)
{
    struct machine_limits l = {.steps_max = machine_steps(r->m) + steps};

    if (below(r, 2)) {
        (void)machine_run(r->m, &l);
        (void)machine_run(r->twin, &l);
        l.until_interruptible = true;
        l.steps_max += INTERRUPTIBLE_STEPS_MAX;
    }
    (void)machine_run(r->m, &l);
    (void)machine_run(r->twin, &l);
    if (machine_digest(r->m) == machine_digest(r->twin))
        return true;
    printf("# at step %" PRIu64 " the run is not that of the twin that was never asked\n", machine_steps(r->m));
    return false;
}

static void start(struct rig *r)
{
    if (r->m) {
        machine_free(r->m);
        machine_free(r->twin);
    }
    r->m = new_machine(r);
    r->twin = new_machine(r);
}

static void test_guest(const struct guest *g, const char *folder, uint64_t seed)
{
    struct rig r = {.guest = g, .random = seed};
    char path[512], name[160];
    bool good = true;
    unsigned restarts = 0;
    struct diag d;

    diag_init(&d);
    snprintf(path, sizeof(path), "%s/%s.elf", folder, g->image);
    if (image_load_file(path, image_formats, &r.image, &d) != EMU_OK)
        die(&d);
    r.platform = (struct platform_config){.mode = g->mode, .cmdline = g->cmdline, .vcpus_online = g->online};
    r.config = (struct machine_config){.ram_bytes = RAM_BYTES,
                                       .vcpus = g->vcpus,
                                       .xen_version = XEN_VERSION(4, 17),
                                       .models = platform_models,
                                       .model_count = platform_model_count,
                                       .platform = &r.platform};
    start(&r);
    for (unsigned i = 0; good && i < PLACES; i++) {
        good = run_both(&r, 1 + below(&r, 1ull << below(&r, STRIDE_BITS + 1)));
        if (good && machine_verdict(r.m)->kind != VERDICT_NONE) {
            if (++restarts > RESTARTS_MAX)
                break;
            start(&r);
            continue;
        }
        for (unsigned k = 0; good && k < ROUNDS && machine_verdict(r.m)->kind == VERDICT_NONE; k++)
            good = try_all(&r);
    }
    snprintf(name, sizeof(name), "%s %s: what is refused changes nothing", g->image, g->cmdline);
    point(good, name);
    machine_free(r.m);
    machine_free(r.twin);
    image_free(r.image);
}

int main(int argc, char **argv)
{
    unsigned one_sided = 0;

    if (argc != 2) {
        fprintf(stderr, "usage: test_refused FOLDER-OF-IMAGES\n");
        return 2;
    }
    for (size_t i = 0; i < COUNT(guests); i++)
        test_guest(&guests[i], argv[1], i + 1);
    for (unsigned k = 0; k < DECISION_KIND_COUNT; k++) {
        bool may_be_refused = k != DECISION_MARK && k != DECISION_PASS;

        printf("# %s: %" PRIu64 " legal, %" PRIu64 " refused\n", decision_kind_name((enum decision_kind)k), legal[k],
               refused[k]);
        one_sided += !legal[k] || (may_be_refused && !refused[k]);
    }
    point(!one_sided, "each kind was legal somewhere and, if it ever is, refused somewhere");
    printf("1..%u\n", tests);
    return failures != 0;
}
