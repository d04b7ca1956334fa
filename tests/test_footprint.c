/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/cmocka_tap.h"

#include "emu/base/count.h"
#include "emu/memory.h"
#include "fuzz/search/footprint.h"

static struct footprint *new_footprint(void)
{
    struct footprint *f;
    struct diag d;

    assert_int_equal(footprint_new(NULL, &f, &d), EMU_OK);
    return f;
}

static void what_conflicts_is_a_write_to_what_was_read_or_any_access_to_what_was_written(void **state)
{
    static const struct {
        bool mine_writes, other_writes, conflict;
    } rows[] = {{false, false, false}, {false, true, true}, {true, false, true}, {true, true, true}};

    for (unsigned i = 0; i < 4; i++) {
        struct footprint *f = new_footprint();

        assert_true(footprint_add(f, rows[i].mine_writes, 0x1000, 8));
        assert_int_equal(footprint_conflicts(f, rows[i].other_writes, 0x1007, 1), rows[i].conflict);
        assert_int_equal(footprint_conflicts(f, rows[i].other_writes, 0xff8, 9), rows[i].conflict);
        assert_false(footprint_conflicts(f, rows[i].other_writes, 0x1008, 8));
        assert_false(footprint_conflicts(f, rows[i].other_writes, 0xff8, 8));
        footprint_free(f);
    }
}

static void what_is_read_after_it_was_written_is_no_input(void **state)
{
    struct footprint *f = new_footprint();

    footprint_add(f, true, 0x2000, 4);
    footprint_add(f, false, 0x2000, 8);
    assert_int_equal(footprint_reads(f), 4);
    assert_int_equal(footprint_writes(f), 4);
    footprint_free(f);
}

static void writes_to_the_dead_stack_count_nothing_and_reads_of_what_was_there_do(void **state)
{
    struct footprint *f = new_footprint();

    footprint_add_dead(f, 0x3000, 0x4000);
    footprint_add(f, true, 0x3ff8, 8);
    assert_false(footprint_conflicts(f, true, 0x3ff8, 8));
    footprint_add(f, false, 0x3ff8, 8); /* what it wrote itself */
    assert_false(footprint_conflicts(f, true, 0x3ff8, 8));
    footprint_add(f, false, 0x3ff0, 8);
    assert_true(footprint_conflicts(f, true, 0x3ff0, 8));
    footprint_add(f, true, 0x4000, 8);
    assert_true(footprint_conflicts(f, false, 0x4000, 8));
    footprint_free(f);
}

static void a_write_across_the_end_of_the_dead_stack_counts_outside_it_byte_by_byte(void **state)
{
    static const struct {
        uint64_t gpa;
        unsigned bytes;
        uint64_t dead_gpa, live_gpa; /* a byte of each that is written */
    } rows[] = {
        {0x3ffc, 8, 0x3fff, 0x4000}, /* above: the interrupted stack's live part */
        {0x3a3c, 8, 0x3a40, 0x3a3f}, /* below, in another line */
        {0x3a3f, 2, 0x3a40, 0x3a3f},
        {0x3fc0, 128, 0x3fff, 0x403f},
    };

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct footprint *f = new_footprint();

        footprint_add_dead(f, 0x3a40, 0x4000);
        footprint_add(f, true, rows[i].gpa, rows[i].bytes);
        assert_false(footprint_conflicts(f, true, rows[i].dead_gpa, 1));
        assert_true(footprint_conflicts(f, false, rows[i].live_gpa, 1));
        footprint_add(f, false, rows[i].dead_gpa, 1); /* what it wrote itself */
        assert_int_equal(footprint_reads(f), 0);
        footprint_free(f);
    }
}

static void a_footprint_of_many_lines_forgets_none_of_them(void **state)
{
    struct footprint *f = new_footprint();

    for (uint64_t i = 0; i < 20000; i++)
        assert_true(footprint_add(f, i & 1, i * 4096 + i % 60, 3));
    for (uint64_t i = 0; i < 20000; i++) {
        assert_true(footprint_conflicts(f, true, i * 4096 + i % 60 + 2, 1));
        assert_false(footprint_conflicts(f, true, i * 4096 + i % 60 + 3, 1));
    }
    footprint_clear(f);
    assert_false(footprint_conflicts(f, true, 0, 4096));
    footprint_free(f);
}

static void what_was_left_as_it_was_found_may_be_read_by_others_and_not_written(void **state)
{
    struct memory *mem;
    struct footprint *f;
    struct diag d;
    uint64_t one = 1, zero = 0;

    assert_int_equal(memory_new(1 << 20, &mem, &d), EMU_OK);
    assert_int_equal(footprint_new(mem, &f, &d), EMU_OK);
    assert_true(footprint_add(f, true, 0x5000, 8));
    assert_true(memory_write(mem, 0x5000, &one, 8));
    assert_true(footprint_add(f, true, 0x5000, 8));
    assert_true(memory_write(mem, 0x5000, &zero, 8));
    assert_true(footprint_add(f, true, 0x5008, 8));
    assert_true(memory_write(mem, 0x5008, &one, 8));
    footprint_settle(f);
    assert_int_equal(footprint_writes(f), 16);
    assert_int_equal(footprint_changes(f), 1);
    assert_false(footprint_conflicts(f, false, 0x5000, 8));
    assert_true(footprint_conflicts(f, true, 0x5000, 8));
    assert_true(footprint_conflicts(f, false, 0x5008, 8));
    footprint_free(f);
    memory_free(mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_conflicts_is_a_write_to_what_was_read_or_any_access_to_what_was_written),
        cmocka_unit_test(what_is_read_after_it_was_written_is_no_input),
        cmocka_unit_test(writes_to_the_dead_stack_count_nothing_and_reads_of_what_was_there_do),
        cmocka_unit_test(a_write_across_the_end_of_the_dead_stack_counts_outside_it_byte_by_byte),
        cmocka_unit_test(what_was_left_as_it_was_found_may_be_read_by_others_and_not_written),
        cmocka_unit_test(a_footprint_of_many_lines_forgets_none_of_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
