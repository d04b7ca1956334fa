/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/trace.h"

#include <string.h>

#include "emu/base/count.h"
#include "emu/machine_state.h"
#include "tests/cmocka_tap.h"
#include "tests/played_machine.h"

struct seen {
    struct trace_fact last;
    unsigned count;
};

static void listen(struct machine *m, const struct trace_fact *fact, void *context)
{
    struct seen *s = context;

    s->last = *fact;
    s->count++;
}

static void every_listener_sees_each_fact_with_its_place(void **state)
{
    struct machine *m = played_machine_new(2, NULL, 0);
    struct seen a = {0}, b = {0};

    trace_listen(m, listen, &a);
    trace_listen(m, listen, &b);
    played_advance(m, 700);
    played_set_current(m, 1);
    played_regs(m, 1)->rip = 0x1234;
    played_regs(m, 0)->rip = 0x5678;
    trace_add(m, TRACE_MSR_WRITE, 1, 10, 11, 12);
    assert_int_equal(a.count, 1);
    assert_memory_equal(&a.last, &b.last, sizeof(a.last));
    assert_int_equal(a.last.kind, TRACE_MSR_WRITE);
    assert_int_equal(a.last.vcpu, 1);
    assert_int_equal(a.last.time_ns, 700);
    assert_int_equal(a.last.rip_gva, 0x1234);
    assert_int_equal(a.last.a, 10);
    assert_int_equal(a.last.b, 11);
    assert_int_equal(a.last.c, 12);
    trace_add(m, TRACE_VCPU_STATE, 0, 1, 0, 0); /* of one that is not loaded: its RIP is not at hand */
    assert_int_equal(a.last.rip_gva, 0);
    machine_free(m);
}

static void who_stops_listening_hears_no_more_and_the_others_do(void **state)
{
    struct machine *m = played_machine_new(1, NULL, 0);
    struct seen a = {0}, b = {0}, c = {0};

    trace_listen(m, listen, &a);
    trace_listen(m, listen, &b);
    trace_listen(m, listen, &c);
    trace_unlisten(m, listen, &a);
    trace_unlisten(m, listen, &a); /* it does not listen */
    trace_add(m, TRACE_NMI, 0, 0, 0, 0);
    assert_int_equal(a.count, 0);
    assert_int_equal(b.count, 1);
    assert_int_equal(c.count, 1);
    machine_free(m);
}

/* The digest of a machine to which these two facts happened. */
static uint64_t digest_of(const struct trace_fact *one, const struct trace_fact *two)
{
    struct machine *m = played_machine_new(2, NULL, 0);
    uint64_t digest;

    trace_add(m, one->kind, one->vcpu, one->a, one->b, one->c);
    trace_add(m, two->kind, two->vcpu, two->a, two->b, two->c);
    digest = machine_digest(m);
    machine_free(m);
    return digest;
}

static void the_digest_knows_every_field_and_the_order(void **state)
{
    const struct trace_fact one = {TRACE_EVENT, 0, .a = 1, .b = 2, .c = 3};
    const struct trace_fact rows[] = {
        {TRACE_HYPERCALL, 0, .a = 4, .b = 5, .c = 6}, {TRACE_EVENT, 0, .a = 4, .b = 5, .c = 6},
        {TRACE_HYPERCALL, 1, .a = 4, .b = 5, .c = 6}, {TRACE_HYPERCALL, 0, .a = 5, .b = 5, .c = 6},
        {TRACE_HYPERCALL, 0, .a = 4, .b = 6, .c = 6}, {TRACE_HYPERCALL, 0, .a = 4, .b = 5, .c = 7},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_true(digest_of(&one, &rows[i]) == digest_of(&one, &rows[i]));
        assert_true(digest_of(&one, &rows[i]) != digest_of(&rows[i], &one));
        for (size_t k = 0; k < i; k++)
            assert_true(digest_of(&one, &rows[i]) != digest_of(&one, &rows[k]));
    }
}

static void what_the_host_writes_by_itself_is_no_progress_of_the_guest(void **state)
{
    struct machine *m = played_machine_new(1, NULL, 0);
    uint64_t facts = m->run.hang.facts, all = m->run.trace_count;

    trace_add(m, TRACE_HOST_WRITE, 0, 0x1000, 8, 1);
    assert_true(m->run.hang.facts == facts);
    trace_add(m, TRACE_HOST_WRITE, 0, 0x1000, 8, 1 | TRACE_HOST_WRITE_ASKED);
    assert_true(m->run.hang.facts == facts + 1);
    trace_add(m, TRACE_CONSOLE, 0, 'x', 0, 0);
    assert_true(m->run.hang.facts == facts + 2);
    assert_true(m->run.trace_count == all + 3);
    machine_free(m);
}

static void every_kind_has_a_name_of_its_own(void **state)
{
    for (unsigned i = 0; i < TRACE_KIND_COUNT; i++) {
        assert_non_null(trace_kind_name(i));
        for (unsigned k = 0; k < i; k++)
            assert_string_not_equal(trace_kind_name(i), trace_kind_name(k));
    }
    assert_string_equal(trace_kind_name(TRACE_KIND_COUNT), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_listener_sees_each_fact_with_its_place),
        cmocka_unit_test(who_stops_listening_hears_no_more_and_the_others_do),
        cmocka_unit_test(the_digest_knows_every_field_and_the_order),
        cmocka_unit_test(what_the_host_writes_by_itself_is_no_progress_of_the_guest),
        cmocka_unit_test(every_kind_has_a_name_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
