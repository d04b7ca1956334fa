/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The sites of a module whose table ends with its last entry's last field, without padding. */
#include "tests/toy_machine.h"

#include "fuzz/detect/op_table.h"

#define PATCHER 0x1000u /* of CODE; patches nothing: the sites are as they are to become */
#define CORE    0x2000u /* call first */
#define MODULE  0x2010u /* call another */
#define FIRST   0x3000u
#define ANOTHER 0x3010u
#define SLOT    0x60000u
#define TABLE   0x61000u /* the core's, one entry */
#define CUT     0x61800u /* the module's, one entry without what follows its last field */
#define ENTRY   8u
#define USED    6u

static void call(struct machine *m, uint32_t from, uint32_t to)
{
    uint32_t distance = to - (from + 5);
    uint8_t code[5] = {0xe8};

    memcpy(code + 1, &distance, 4);
    put(m, CODE + from, code, sizeof(code));
}

static void put_entry(struct machine *m, uint32_t table, uint32_t site)
{
    const uint8_t numbers[2] = {0, 5}; /* slot, bytes */
    uint32_t site_gva = CODE + site;

    put(m, table, &site_gva, 4);
    put(m, table + 4, numbers, 2);
}

/* mov eax, first; mov edx, end; call PATCHER */
static uint32_t put_patching(struct machine *m, uint32_t at, uint32_t first, uint32_t end)
{
    uint8_t moves[10] = {0xb8, [5] = 0xba};

    memcpy(moves + 1, &first, 4);
    memcpy(moves + 6, &end, 4);
    put(m, CODE + at, moves, sizeof(moves));
    call(m, at + 10, PATCHER);
    return at + 15;
}

static struct op_table *set_up(struct machine **m, uint32_t module_calls, unsigned module_bytes)
{
    struct op_table_config c = {.bits = 32,
                                .slot_count = 1,
                                .patcher_gva = CODE + PATCHER,
                                .wait_slot = 1,
                                .release_slot = 1,
                                .slots = {{.slot_gva = SLOT, .slot_gpa = SLOT}}};
    uint32_t at, slot = CODE + FIRST;
    struct op_table *o;
    struct diag d;

    strcpy(c.slots[0].table, "ops");
    strcpy(c.slots[0].name, "one");
    *m = new_machine(1);
    put(*m, SLOT, &slot, 4);
    call(*m, CORE, FIRST);
    call(*m, MODULE, module_calls);
    put_entry(*m, TABLE, CORE);
    put_entry(*m, CUT, MODULE);
    at = put_patching(*m, 0, TABLE, TABLE + ENTRY);
    at = put_patching(*m, at, CUT, CUT + module_bytes);
    CODE_AT(*m, CODE + PATCHER, 0xc3);
    put(*m, CODE + at, (const uint8_t[]){0xfa, 0xf4}, 2);
    if (op_table_new(*m, &c, NULL, OP_TABLE_SITES, &o, &d) != EMU_OK)
        fail_msg("%s", d.text);
    return o;
}

static void a_site_in_an_entry_without_padding_is_checked(void **state)
{
    for (unsigned bytes = USED; bytes <= ENTRY; bytes++) {
        struct machine *m;
        struct op_table *o = set_up(&m, ANOTHER, bytes);

        assert_string_equal(run(m)->detector, "op-table");
        assert_non_null(strstr(machine_verdict(m)->text, "disagree"));
        machine_free(m);
        op_table_free(o);
    }
}

static void a_site_that_agrees_is_left_alone(void **state)
{
    struct machine *m;
    struct op_table *o = set_up(&m, FIRST, USED);

    assert_string_equal(run(m)->detector, "hang");
    machine_free(m);
    op_table_free(o);
}

static void a_piece_of_an_entry_is_none(void **state)
{
    struct machine *m;
    struct op_table *o = set_up(&m, ANOTHER, USED - 1);

    assert_string_equal(run(m)->detector, "hang");
    machine_free(m);
    op_table_free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_site_in_an_entry_without_padding_is_checked),
        cmocka_unit_test(a_site_that_agrees_is_left_alone),
        cmocka_unit_test(a_piece_of_an_entry_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
