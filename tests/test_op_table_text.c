/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The declaration of an operations table: what is read, and what is refused with which sentence. */
#include "tests/cmocka_tap.h"

#include <string.h>

#include "emu/base/count.h"
#include "fuzz/detect/op_table_text.h"

static struct symbols *make_symbols(void)
{
    static const char *const names[] = {"ops", "patch", "lock_a", "lock_b", "unlock_a", "twice"};
    struct symbols *s = symbols_new();
    struct diag d;

    for (unsigned i = 0; i < COUNT(names); i++)
        assert_int_equal(symbols_add(s, 0x1000 + 0x100 * i, 16, 'T', names[i], &d), EMU_OK);
    assert_int_equal(symbols_add(s, 0x9000, 16, 'T', "twice", &d), EMU_OK);
    assert_int_equal(symbols_seal(s, &d), EMU_OK);
    return s;
}

static void a_declaration_is_read_word_by_word(void **state)
{
    struct symbols *s = make_symbols();
    struct op_table_config c;
    struct diag d;

    diag_init(&d);
    if (op_table_parse(
            "# a comment, table=no\n table=ops slots=first,second\n\tpatcher=patch/stack lock=p:lock_a,lock_b "
            "unlock=q:unlock_a # the end",
            s, 32, &c, &d))
        fail_msg("%s", d.text);
    assert_int_equal(c.bits, 32);
    assert_int_equal(c.slot_count, 2);
    assert_int_equal(c.slots[1].slot_gva, 0x1004);
    assert_string_equal(c.slots[1].table, "ops");
    assert_string_equal(c.slots[1].name, "second");
    assert_int_equal(c.patcher_gva, 0x1100);
    assert_true(c.patcher_on_stack);
    assert_int_equal(c.function_count, 3);
    assert_int_equal(c.functions[1].function_gva, 0x1300);
    assert_int_equal(c.functions[1].protocol, c.functions[0].protocol);
    assert_false(c.functions[1].releases);
    assert_true(c.functions[2].releases);
    assert_string_equal(c.protocols[c.functions[2].protocol], "q");
    assert_int_equal(op_table_parse("table=ops slots=a patcher=patch/stack", s, 64, &c, &d), EMU_OK);
    assert_false(c.patcher_on_stack); /* arguments are in registers there */
    symbols_free(s);
}

static void what_is_no_declaration_is_refused_with_a_sentence(void **state)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"", "table= is missing"},
        {"table=ops", "slots= is missing"},
        {"table=ops slots=a", "patcher= is missing"},
        {"table=ops table=ops", "table= is given twice"},
        {"slots=a slots=b", "slots= is given twice"},
        {"slots=a,,b", "is not a name"},
        {"table=none", "the guest has no symbol none"},
        {"table=twice", "twice is ambiguous"},
        {"patcher=patch/heap", "FUNCTION or FUNCTION/stack"},
        {"lock=lock_a", "write lock=PROTOCOL:FUNCTION"},
        {"lock=:lock_a", "is not a name"},
        {"lock=p:", "the guest has no symbol"},
        {"tables=ops", "'tables' is none of"},
        {"table", "'table' is none of"},
    };
    struct symbols *s = make_symbols();

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct op_table_config c;
        struct diag d;

        diag_init(&d);
        if (op_table_parse(rows[i].text, s, 64, &c, &d) != EMU_EINPUT || !strstr(d.text, rows[i].says))
            fail_msg("'%s': '%s' does not say '%s'", rows[i].text, d.text, rows[i].says);
    }
    symbols_free(s);
}

static void more_than_there_is_room_for_is_refused(void **state)
{
    struct symbols *s = make_symbols();
    char text[4096] = "table=ops patcher=patch slots=a";
    struct op_table_config c;
    struct diag d;

    for (unsigned i = 0; i < OP_TABLE_SLOTS_MAX; i++)
        strcat(text, ",a");
    assert_int_equal(op_table_parse(text, s, 64, &c, &d), EMU_EINPUT);
    strcpy(text, "table=ops patcher=patch slots=a lock=p:lock_a");
    for (unsigned i = 0; i < OP_TABLE_FUNCTIONS_MAX; i++)
        strcat(text, ",lock_a");
    assert_int_equal(op_table_parse(text, s, 64, &c, &d), EMU_EINPUT);
    strcpy(text, "table=ops patcher=patch slots=a");
    for (unsigned i = 0; i <= OP_TABLE_PROTOCOLS_MAX; i++)
        sprintf(text + strlen(text), " lock=p%u:lock_a", i);
    assert_int_equal(op_table_parse(text, s, 64, &c, &d), EMU_EINPUT);
    symbols_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_declaration_is_read_word_by_word),
        cmocka_unit_test(what_is_no_declaration_is_refused_with_a_sentence),
        cmocka_unit_test(more_than_there_is_room_for_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
