/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When the host's write into a page of the next kernel harms: every window of seed S2, measured on the guest pair s2 by
 * one write of the host's at each chosen boundary between `relocate` and kernel B's entry. Usage: test_kexec_windows
 * S2-64.ELF.
 *
 * What is expected is not taken from the guest: an undisturbed run says at which boundary each byte of the area is
 * copied to its place and at which the digest has read it. A byte that the host changes spoils the digest if and only
 * if the write comes between these two; before, it is overwritten; behind, nobody notices.
 */
#include "tests/cmocka_tap.h"

#include <stdlib.h>
#include <string.h>

#include "emu/base/count.h"
#include "emu/engine.h"
#include "emu/image/image.h"
#include "emu/image/symbols.h"
#include "emu/image/symbols_elf.h"
#include "emu/machine.h"
#include "emu/snapshot.h"
#include "emu/trace.h"
#include "emu/vcpu.h"
#include "fuzz/detect/stale_owner.h"
#include "models/image_formats.h"
#include "models/platform.h"
#include "models/xen/pvh_loader.h"
#include "models/xen/xen.h"

#define RAM_BYTES     (128ull << 20)
#define RAMDISK_GPA   0xa00000ull
#define RAMDISK_BYTES (12 * 4096u)
#define UNIT_BYTES    64u /* an area lies in one of these */
#define WORD_BYTES    4u
#define COPY_STEPS    24u /* of a unit, to where the guest says that it is copied */
#define NEAR_STEPS    4u  /* every boundary so near to a window's end */
#define SPREAD_POINTS 12u /* and so many others */
#define POINTS_MAX    512u
#define XEN_4_17      (4u << 16 | 17)
#define XEN_4_18      (4u << 16 | 18)
#define STEPS_MAX     400000000ull

static const char *image_path;

struct rig {
    struct image *image;
    struct symbols *symbols;
    struct platform_config platform;
    struct machine_config config;
    struct machine *m;
    struct stale_owner stale;
    struct diag d;
};

static uint64_t symbol_gva(const struct rig *r, const char *name)
{
    struct symbol s;

    assert_int_equal(symbols_find_name(r->symbols, name, &s), 1);
    return s.start_gva;
}

static void rig_init(struct rig *r, const char *cmdline, unsigned xen_version)
{
    struct stale_owner_options options = {.write_name = xen_host_write_name};
    size_t found;

    memset(r, 0, sizeof(*r));
    assert_int_equal(image_load_file(image_path, image_formats, &r->image, &r->d), EMU_OK);
    r->symbols = symbols_new();
    assert_non_null(r->symbols);
    assert_int_equal(symbols_elf_read(r->image->bytes, r->image->size, r->symbols, &found, &r->d), EMU_OK);
    assert_int_equal(symbols_seal(r->symbols, &r->d), EMU_OK);
    r->platform = (struct platform_config){.mode = PLATFORM_PVH, .cmdline = cmdline};
    r->config = (struct machine_config){.ram_bytes = RAM_BYTES,
                                        .vcpus = 1,
                                        .xen_version = xen_version,
                                        .models = platform_models,
                                        .model_count = platform_model_count,
                                        .platform = &r->platform};
    assert_int_equal(machine_new(&r->config, &r->m, &r->d), EMU_OK);
    assert_int_equal(pvh_load(r->m, r->image, &r->d), EMU_OK);
    assert_int_equal(stale_owner_attach(&r->stale, r->m, &options, &r->d), EMU_OK);
}

static void rig_fini(struct rig *r)
{
    machine_free(r->m);
    symbols_free(r->symbols);
    image_free(r->image);
}

static void run_to(struct rig *r, uint64_t gva)
{
    struct machine_limits limits = {.steps_max = STEPS_MAX, .until_rip_gva = gva};

    assert_int_equal(machine_run(r->m, &limits), MACHINE_STOPPED_RIP);
}

static uint64_t kernel_b_entry(struct rig *r)
{
    uint64_t entry = 0;

    assert_true(vcpu_read_gva(r->m, 0, symbol_gva(r, "kernel_b_entry"), &entry, r->image->elf_class / 8, NULL));
    return entry;
}

/* ---- where the bytes of an area are copied and read ---- */

struct copy_times {
    struct engine *engine;
    uint64_t area_gpa;
    /* The first boundary at which a write of the host's stays, and the first at which the digest does not see it. */
    uint64_t copied[UNIT_BYTES], read[UNIT_BYTES];
};

/* The digest reads words; the host, which looks at a pending byte now and then, does not. */
static void on_access(void *context, enum engine_access kind, uint64_t gpa, unsigned bytes)
{
    struct copy_times *t = context;
    uint64_t position = engine_access_position(t->engine);

    for (unsigned i = 0; i < bytes; i++) {
        uint64_t at = gpa + i - t->area_gpa;

        if (at >= UNIT_BYTES)
            continue;
        if (kind == ENGINE_WRITE) {
            t->copied[at] = position + 1;
            t->read[at] = 0;
        } else if (kind == ENGINE_READ && bytes == WORD_BYTES && !t->read[at]) {
            t->read[at] = position + 1;
        }
    }
}

/* ---- one write of the host's ---- */

enum outcome { OUTCOME_PASS, OUTCOME_DIGEST, OUTCOME_DAMAGE, OUTCOMES };
static const char *const outcome_names[OUTCOMES] = {"pass", "digest", "damage"};

static void host_preempts(struct machine *m)
{
    machine_take_away(m, 5000);
}

static void host_raises_event(struct machine *m)
{
    assert_true(machine_pass_time(m));
}

struct row {
    const char *name, *cmdline;
    uint64_t area_gpa;
    void (*act)(struct machine *m);
};

#define PARAMETERS " mismatch=fail period=40000000 wait=10000000"
static const struct row rows[] = {
    {"vcpu_info, by an event", "in=vcpu_info fifo=0" PARAMETERS, RAMDISK_GPA + 1 * 4096 + 0x140, host_raises_event},
    {"vcpu_info, by a preemption", "in=vcpu_info fifo=0" PARAMETERS, RAMDISK_GPA + 1 * 4096 + 0x140, host_preempts},
    {"runstate, by a preemption", "in=runstate" PARAMETERS, RAMDISK_GPA + 3 * 4096 + 0x240, host_preempts},
    {"time record, by a preemption", "in=time" PARAMETERS, RAMDISK_GPA + 5 * 4096 + 0x340, host_preempts},
};

static bool ramdisk_is_whole(struct rig *r)
{
    static uint8_t disk[RAMDISK_BYTES];

    assert_true(memory_read(machine_memory(r->m), RAMDISK_GPA, disk, sizeof(disk)));
    for (unsigned i = 0; i < RAMDISK_BYTES; i++)
        if (disk[i] != (uint8_t)(i * 7 + (i >> 8) * 13 + 1))
            return false;
    return true;
}

/* What the rule says of a write behind `point` steps that changed these bytes. */
static enum outcome expected(const struct copy_times *t, uint64_t point, const uint8_t *before, const uint8_t *after)
{
    enum outcome worst = OUTCOME_PASS;

    for (unsigned i = 0; i < UNIT_BYTES; i++) {
        if (before[i] == after[i] || point < t->copied[i])
            continue;
        if (point < t->read[i])
            return OUTCOME_DIGEST;
        worst = OUTCOME_DAMAGE;
    }
    return worst;
}

struct table {
    unsigned points, changing, in_window, outcome[OUTCOMES], wrong, missed;
};

static void try_point(struct rig *r, const struct row *row, const struct copy_times *times, uint64_t point,
                      struct table *t)
{
    uint64_t ends[] = {symbol_gva(r, "purgatory_mismatch"), kernel_b_entry(r)};
    struct machine_limits to_point = {.steps_max = STEPS_MAX, .position_max = point};
    struct machine_limits to_end = {.steps_max = STEPS_MAX, .break_gva = ends, .breaks = 2};
    uint8_t before[UNIT_BYTES], after[UNIT_BYTES];
    const struct stale_owner_report *report;
    enum outcome should, is;
    uint64_t told;

    assert_int_equal(machine_run(r->m, &to_point), MACHINE_STOPPED_POSITION);
    assert_true(memory_read(machine_memory(r->m), row->area_gpa, before, sizeof(before)));
    row->act(r->m);
    assert_true(memory_read(machine_memory(r->m), row->area_gpa, after, sizeof(after)));
    should = expected(times, point, before, after);
    assert_int_equal(machine_run(r->m, &to_end), MACHINE_STOPPED_RIP);
    is = vcpu_rip(r->m) == ends[0] ? OUTCOME_DIGEST : ramdisk_is_whole(r) ? OUTCOME_PASS : OUTCOME_DAMAGE;
    report = stale_owner_report(&r->stale, r->m);
    told = report->count[STALE_BEFORE_DIGEST] + report->count[STALE_AFTER_DIGEST];
    t->points++;
    t->changing += memcmp(before, after, sizeof(before)) != 0;
    t->in_window += should == OUTCOME_DIGEST;
    t->outcome[is]++;
    t->wrong += is != should;
    if (is == OUTCOME_PASS)
        assert_int_equal(told, 0);
    else
        t->missed += !told;
}

static unsigned add_near(uint64_t *point, unsigned count, uint64_t first, uint64_t last, uint64_t at)
{
    for (uint64_t p = at - NEAR_STEPS; p < at + NEAR_STEPS && count < POINTS_MAX; p++)
        if (p > first && p < last)
            point[count++] = p;
    return count;
}

static void run_row(const struct row *row, struct table *t)
{
    struct rig r;
    struct snapshot *start;
    struct copy_times times = {.area_gpa = row->area_gpa};
    uint64_t point[POINTS_MAX], first, last;
    unsigned count = 0;

    rig_init(&r, row->cmdline, XEN_4_17);
    times.engine = machine_engine(r.m);
    run_to(&r, symbol_gva(&r, "relocate"));
    first = vcpu_position(r.m, 0);
    assert_int_equal(snapshot_take(r.m, NULL, &start, &r.d), EMU_OK);
    assert_int_equal(engine_watch_accesses(machine_engine(r.m), on_access, &times, &r.d), EMU_OK);
    run_to(&r, kernel_b_entry(&r));
    assert_int_equal(engine_watch_accesses(machine_engine(r.m), NULL, NULL, &r.d), EMU_OK);
    last = vcpu_position(r.m, 0);
    assert_true(ramdisk_is_whole(&r));
    count = add_near(point, count, first, last, times.copied[0]);
    count = add_near(point, count, first, last, times.read[0]);
    for (unsigned i = 1; i < SPREAD_POINTS; i++)
        point[count++] = first + (last - first) * i / SPREAD_POINTS;
    for (unsigned i = 0; i < count; i++) {
        snapshot_restore(r.m, start);
        try_point(&r, row, &times, point[i], t);
    }
    snapshot_free(r.m, start);
    rig_fini(&r);
}

static void a_changing_write_between_copy_and_digest_and_no_other_spoils_the_digest(void **state)
{
    printf("# %-28s %6s %8s %12s | %6s %6s %6s\n", "one write by the host", "points", "changing", "in [tc, th)",
           outcome_names[0], outcome_names[1], outcome_names[2]);
    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct table t = {0};

        run_row(&rows[i], &t);
        printf("# %-28s %6u %8u %12u | %6u %6u %6u\n", rows[i].name, t.points, t.changing, t.in_window, t.outcome[0],
               t.outcome[1], t.outcome[2]);
        assert_int_equal(t.wrong, 0);
        assert_int_equal(t.outcome[OUTCOME_DIGEST], t.in_window);
        assert_true(t.outcome[OUTCOME_PASS] && t.outcome[OUTCOME_DIGEST] && t.outcome[OUTCOME_DAMAGE]);
        /* The guest says that a unit was copied a few instructions behind its last byte; a write in between is spoilt
           memory that the detector can't know of. */
        assert_true(t.missed <= COPY_STEPS);
    }
}

/* ---- the repaired ones ---- */

/* Of the host by itself; a page that the guest asks for is not one. Nor is what it writes to A's shared_info, if there
   is still one: that page is Xen's own until B asks for it elsewhere. */
struct writes {
    uint64_t shared_info_gpa;
    uint64_t count;
    bool over; /* kernel B has registered something */
};

static void count_writes(struct machine *m, const struct trace_fact *fact, void *context)
{
    struct writes *w = context;

    if (fact->kind == TRACE_HOST_AREA && fact->b)
        w->over = true;
    if (fact->kind == TRACE_HOST_WRITE && !w->over && !(fact->c & TRACE_HOST_WRITE_ASKED) &&
        memory_is_ram(machine_memory(m), fact->a, 1) && fact->a - w->shared_info_gpa >= PAGE_BYTES)
        w->count++;
}

static const struct {
    const char *cmdline;
    unsigned xen_version;
} repaired[] = {
    {"variant=soft_reset in=vcpu_info+runstate+time" PARAMETERS, XEN_4_17},
    {"variant=soft_reset in=vcpu_info+runstate+time+shared_info fifo=0" PARAMETERS, XEN_4_17},
    {"variant=phys_area_unregister areas=phys in=runstate+time" PARAMETERS, XEN_4_18},
};

static void a_repaired_kernel_passes_whenever_the_host_takes_the_processor_away(void **state)
{
    for (unsigned i = 0; i < COUNT(repaired); i++) {
        struct rig r;
        struct snapshot *start;
        uint64_t first, last;

        rig_init(&r, repaired[i].cmdline, repaired[i].xen_version);
        run_to(&r, symbol_gva(&r, "relocate"));
        first = vcpu_position(r.m, 0);
        assert_int_equal(snapshot_take(r.m, NULL, &start, &r.d), EMU_OK);
        run_to(&r, kernel_b_entry(&r));
        last = vcpu_position(r.m, 0);
        for (unsigned p = 1; p < SPREAD_POINTS; p++) {
            struct machine_limits to_point = {.steps_max = STEPS_MAX,
                                              .position_max = first + (last - first) * p / SPREAD_POINTS};
            struct machine_limits to_end = {.steps_max = STEPS_MAX};
            struct writes w = {.shared_info_gpa = symbol_gva(&r, "own_shared_info")};

            snapshot_restore(r.m, start);
            trace_listen(r.m, count_writes, &w);
            assert_int_equal(machine_run(r.m, &to_point), MACHINE_STOPPED_POSITION);
            host_preempts(r.m);
            assert_int_equal(machine_run(r.m, &to_end), MACHINE_STOPPED_VERDICT);
            trace_unlisten(r.m, count_writes, &w);
            if (machine_verdict(r.m)->kind != VERDICT_PASS)
                fail_msg("%s: %s", repaired[i].cmdline, machine_verdict(r.m)->text);
            assert_true(w.over);
            assert_int_equal(w.count, 0);
            if (stale_owner_report(&r.stale, r.m)->count[STALE_IN_USE]) {
                stale_owner_print(&r.stale, r.m, stderr);
                fail_msg("%s: the next kernel's memory is written", repaired[i].cmdline);
            }
        }
        printf("# %-76s %u points, 0 writes, all pass\n", repaired[i].cmdline, SPREAD_POINTS - 1);
        snapshot_free(r.m, start);
        rig_fini(&r);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_changing_write_between_copy_and_digest_and_no_other_spoils_the_digest),
        cmocka_unit_test(a_repaired_kernel_passes_whenever_the_host_takes_the_processor_away),
    };

    if (argc != 2)
        return 2;
    image_path = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
