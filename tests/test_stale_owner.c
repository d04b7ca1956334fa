/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The detector of host writes into memory that changed owner, on facts made by hand. */
#include "fuzz/detect/stale_owner.h"

#include <string.h>

#include "emu/base/count.h"
#include "emu/machine.h"
#include "emu/memory.h"
#include "emu/trace.h"
#include "tests/cmocka_tap.h"

enum { KIND_INFO = 2, KIND_EVENT = 1 };

struct step {
    enum trace_kind kind;
    uint64_t a, b, c;
};

struct row {
    const char *name;
    struct step step[8];
    uint64_t count[STALE_WHENS], unchanged;
};

/* clang-format off */
static const struct row rows[] = {
    {"a write before the memory changes hands is none",
     {{TRACE_HOST_AREA, 0x5140, 64, KIND_INFO}, {TRACE_HOST_WRITE, 0x5140, 1, KIND_EVENT}, {TRACE_OWNER, 0x5000, 4096, OWNER_NEXT}},
     {0, 0, 0}, 0},
    {"a write behind the copy spoils the digest",
     {{TRACE_HOST_AREA, 0x5140, 64, KIND_INFO}, {TRACE_OWNER, 0x5000, 4096, OWNER_NEXT}, {TRACE_HOST_WRITE, 0x5140, 1, KIND_EVENT}},
     {1, 0, 0}, 0},
    {"a write behind the digest damages silently",
     {{TRACE_HOST_AREA, 0x5140, 64, KIND_INFO}, {TRACE_OWNER, 0x5000, 4096, OWNER_NEXT}, {TRACE_OWNER, 0x5140, 64, OWNER_CHECKED},
      {TRACE_HOST_WRITE, 0x5140, 1, KIND_EVENT}, {TRACE_HOST_WRITE, 0x5178, 8, KIND_EVENT}},
     {0, 2, 0}, 0},
    {"the same bytes again harm nobody",
     {{TRACE_HOST_AREA, 0x5140, 64, KIND_INFO}, {TRACE_OWNER, 0x5000, 4096, OWNER_NEXT},
      {TRACE_HOST_WRITE, 0x5140, 1, KIND_EVENT | TRACE_HOST_WRITE_SAME}},
     {0, 0, 0}, 1},
    {"what the next kernel asks for is no stale write",
     {{TRACE_HOST_AREA, 0x5000, 4096, KIND_INFO}, {TRACE_OWNER, 0, UINT64_MAX, OWNER_NEXT},
      {TRACE_HOST_WRITE, 0x5000, 4096, KIND_EVENT | TRACE_HOST_WRITE_ASKED}},
     {0, 0, 0}, 0},
    {"an area that was taken back is not written for anybody",
     {{TRACE_HOST_AREA, 0x5140, 64, KIND_INFO}, {TRACE_HOST_AREA, 0, 0, KIND_INFO}, {TRACE_OWNER, 0x5000, 4096, OWNER_NEXT},
      {TRACE_HOST_WRITE, 0x5140, 1, KIND_EVENT}},
     {0, 0, 0}, 0},
    {"the next kernel's own area is its own",
     {{TRACE_OWNER, 0x5000, 4096, OWNER_NEXT}, {TRACE_OWNER, 0, UINT64_MAX, OWNER_NEXT}, {TRACE_HOST_AREA, 0x5140, 64, KIND_INFO},
      {TRACE_HOST_WRITE, 0x5140, 1, KIND_EVENT}},
     {0, 0, 0}, 0},
    {"once the next kernel runs, all memory is its own",
     {{TRACE_HOST_AREA, 0x9140, 64, KIND_INFO}, {TRACE_OWNER, 0, UINT64_MAX, OWNER_NEXT}, {TRACE_HOST_WRITE, 0x9140, 1, KIND_EVENT}},
     {0, 0, 1}, 0},
    {"an area by a linear address is followed to where it is mapped now",
     {{TRACE_HOST_AREA, 0x5140, 48, KIND_INFO}, {TRACE_OWNER, 0x7000, 4096, OWNER_NEXT}, {TRACE_HOST_WRITE, 0x7140, 48, KIND_INFO}},
     {1, 0, 0}, 0},
};
/* clang-format on */

static struct machine *new_machine(void)
{
    struct machine_config config = {.ram_bytes = 1 << 20, .vcpus = 1};
    struct machine *m;
    struct diag d;

    assert_int_equal(machine_new(&config, &m, &d), EMU_OK);
    return m;
}

static struct machine *run_row(const struct row *row, struct stale_owner *s, bool is_verdict)
{
    struct stale_owner_options options = {.fail = is_verdict};
    struct machine *m = new_machine();
    struct diag d;

    assert_int_equal(stale_owner_attach(s, m, &options, &d), EMU_OK);
    for (unsigned i = 0; i < 8 && row->step[i].c; i++) {
        trace_add(m, row->step[i].kind, 0, row->step[i].a, row->step[i].b, row->step[i].c);
        clock_charge(m, 10);
    }
    return m;
}

static void stale_writes_are_told_by_when_they_come(void **state)
{
    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct stale_owner s;
        struct machine *m = run_row(&rows[i], &s, false);
        const struct stale_owner_report *r = stale_owner_report(&s, m);

        for (unsigned w = 0; w < STALE_WHENS; w++)
            if (r->count[w] != rows[i].count[w])
                fail_msg("%s: %u writes of kind %u, not %u", rows[i].name, (unsigned)r->count[w], w,
                         (unsigned)rows[i].count[w]);
        if (r->unchanged != rows[i].unchanged)
            fail_msg("%s: %u unchanged, not %u", rows[i].name, (unsigned)r->unchanged, (unsigned)rows[i].unchanged);
        assert_int_equal(machine_verdict(m)->kind, VERDICT_NONE);
        machine_free(m);
    }
}

static void the_first_stale_write_is_the_verdict(void **state)
{
    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct stale_owner s;
        struct machine *m = run_row(&rows[i], &s, true);
        bool any = rows[i].count[0] + rows[i].count[1] + rows[i].count[2] > 0;

        assert_int_equal(machine_verdict(m)->kind, any ? VERDICT_FAIL : VERDICT_NONE);
        if (any) {
            assert_string_equal(machine_verdict(m)->detector, "stale-owner");
            assert_non_null(strstr(machine_verdict(m)->text, "nobody took it back"));
        }
        machine_free(m);
    }
}

static void more_areas_than_it_follows_are_counted(void **state)
{
    struct stale_owner_options options = {0};
    struct stale_owner s;
    struct machine *m = new_machine();
    struct diag d;

    assert_int_equal(stale_owner_attach(&s, m, &options, &d), EMU_OK);
    for (unsigned i = 0; i < STALE_OWNER_AREAS_MAX + 3; i++)
        trace_add(m, TRACE_HOST_AREA, 0, 0x1000 + 64 * i, 64, KIND_INFO);
    assert_int_equal(stale_owner_report(&s, m)->too_many, 3);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stale_writes_are_told_by_when_they_come),
        cmocka_unit_test(the_first_stale_write_is_the_verdict),
        cmocka_unit_test(more_areas_than_it_follows_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
