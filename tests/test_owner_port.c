/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/base/count.h"
#include "tests/cmocka_tap.h"
#include "tests/played_machine.h"

#include "models/pc/owner_port.h"

static const struct model *const models[] = {&owner_port_model};

static void a_write_says_what_has_another_owner(void **state)
{
    static const struct {
        uint32_t value;
        unsigned facts;
        uint64_t gpa, bytes;
        enum trace_owner what;
    } rows[] = {
        {OWNER_UNIT_COPIED << OWNER_WHAT_SHIFT | 0xa01140 >> OWNER_UNIT_BYTES_SHIFT, 1, 0xa01140, 64, OWNER_NEXT},
        {OWNER_UNIT_DIGESTED << OWNER_WHAT_SHIFT | 0xa01140 >> OWNER_UNIT_BYTES_SHIFT, 1, 0xa01140, 64, OWNER_CHECKED},
        {OWNER_ALL << OWNER_WHAT_SHIFT, 1, 0, UINT64_MAX, OWNER_NEXT},
        {OWNER_UNIT_COPIED << OWNER_WHAT_SHIFT | 0x3ffffff, 1, 0xffffffc0, 64, OWNER_NEXT},
        {0, 0, 0, 0, 0},
        {0xffffffff, 0, 0, 0, 0},
    };

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct machine *m = played_machine_new(1, models, 1);
        unsigned before = played_fact_count(m);

        assert_int_equal(played_port_write(m, PORT_OWNER, 4, rows[i].value), MODEL_DONE);
        assert_int_equal(played_fact_count(m) - before, rows[i].facts);
        if (rows[i].facts) {
            const struct trace_fact *fact = played_fact(m, before);

            assert_int_equal(fact->kind, TRACE_OWNER);
            assert_int_equal(fact->a, rows[i].gpa);
            assert_true(fact->b == rows[i].bytes);
            assert_int_equal(fact->c, rows[i].what);
        }
        machine_free(m);
    }
}

static void other_accesses_are_not_its_own(void **state)
{
    struct machine *m = played_machine_new(1, models, 1);
    uint32_t value;

    assert_int_equal(played_port_write(m, PORT_OWNER, 1, 4), MODEL_NOT_MINE);
    assert_int_equal(played_port_write(m, PORT_OWNER + 1, 4, 4), MODEL_NOT_MINE);
    assert_int_equal(played_port_read(m, PORT_OWNER, 4, &value), MODEL_NOT_MINE);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_write_says_what_has_another_owner),
        cmocka_unit_test(other_accesses_are_not_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
