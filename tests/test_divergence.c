/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What must stay the same: declarations, what differs, and whole runs that are compared with the first one. */
#include "tests/toy_machine.h"

#include "emu/base/count.h"
#include "emu/image/symbols.h"
#include "emu/snapshot.h"
#include "fuzz/detect/divergence.h"

#define COUNTER (DATA + 0x500)

static struct symbols *new_symbols(void)
{
    struct symbols *s = symbols_new();
    struct diag d;

    assert_non_null(s);
    assert_int_equal(symbols_add(s, COUNTER, 4, 'B', "counter", &d), EMU_OK);
    assert_int_equal(symbols_add(s, COUNTER + 16, 32, 'B', "table", &d), EMU_OK);
    assert_int_equal(symbols_add(s, COUNTER + 64, 4, 'b', "twice", &d), EMU_OK);
    assert_int_equal(symbols_add(s, COUNTER + 68, 4, 'b', "twice", &d), EMU_OK);
    assert_int_equal(symbols_add(s, CODE + 6, 1, 'T', "place", &d), EMU_OK);
    assert_int_equal(symbols_add(s, DATA + 0x10000, 0x8000, 'B', "large", &d), EMU_OK);
    assert_int_equal(symbols_seal(s, &d), EMU_OK);
    return s;
}

/* clang-format off */
static const struct {
    const char *text;
    const char *wrong; /* in the sentence; NULL: it is a declaration */
    unsigned ranges, bytes;
    bool registers, cr2, has_place;
} declarations[] = {
    {"counter", NULL, 1, 4, false, false, false},
    {"counter:2", NULL, 1, 2, false, false, false},
    {"table+4:8,registers", NULL, 1, 8, true, false, false},
    {"registers,cr2", NULL, 0, 0, true, true, false},
    {"counter,table@place", NULL, 2, 4, false, false, true},
    {"table+4", "how many bytes? For example table+4:4", 0, 0, false, false, false},
    {"nobody", "no symbol has this name", 0, 0, false, false, false},
    {"twice", "2 symbols have this name", 0, 0, false, false, false},
    {"counter@nobody", "--same nobody: no symbol", 0, 0, false, false, false},
    {"large", "more than 16384 bytes", 0, 0, false, false, false},
    {"counter:0", "how many bytes", 0, 0, false, false, false},
    {"counter:-1", "a number of bytes is a number up to 16384", 0, 0, false, false, false},
    {"table+x:4", "an offset is a number", 0, 0, false, false, false},
    {"", "no symbol has this name", 0, 0, false, false, false},
    {"counter,,table", "no symbol has this name", 0, 0, false, false, false},
};
/* clang-format on */

static void a_declaration_is_understood_or_refused_with_its_reason(void **state)
{
    struct symbols *s = new_symbols();

    for (unsigned i = 0; i < COUNT(declarations); i++) {
        struct divergence_list list;
        struct diag d;
        enum emu_err err = divergence_parse(declarations[i].text, s, &list, &d);

        if ((err == EMU_EINPUT) != !!declarations[i].wrong ||
            (declarations[i].wrong && !strstr(d.text, declarations[i].wrong)))
            fail_msg("'%s': %s", declarations[i].text, err == EMU_OK ? "taken" : d.text);
        if (err != EMU_OK)
            continue;
        assert_int_equal(list.ranges, declarations[i].ranges);
        assert_int_equal(list.ranges ? list.range[0].bytes : 0, declarations[i].bytes);
        assert_int_equal(list.registers, declarations[i].registers);
        assert_int_equal(list.cr2, declarations[i].cr2);
        assert_int_equal(list.at_gva, declarations[i].has_place ? CODE + 6 : 0);
    }
    symbols_free(s);
}

static void a_long_list_and_a_guest_without_symbols_are_refused(void **state)
{
    struct divergence_list list;
    char text[2000], *end = text;
    struct symbols *s = new_symbols();
    struct diag d;

    assert_int_equal(divergence_parse("registers", NULL, &list, &d), EMU_OK);
    assert_int_equal(divergence_parse("counter", NULL, &list, &d), EMU_EINPUT);
    for (unsigned i = 0; i <= DIVERGENCE_RANGES_MAX; i++)
        end += sprintf(end, "%scounter", i ? "," : "");
    assert_int_equal(divergence_parse(text, s, &list, &d), EMU_EINPUT);
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(divergence_parse(text, s, &list, &d), EMU_EINPUT);
    symbols_free(s);
}

/* clang-format off */
static const struct {
    const char *declared;
    int gpr;           /* changed; -1: none is */
    uint64_t flags;    /* of RFLAGS, turned round */
    uint64_t cr2;      /* to be added */
    uint32_t gpa;      /* of a byte that becomes 0x77; 0: none does */
    const char *says;  /* NULL: nothing differs */
} changes[] = {
    {"registers,cr2,counter,table", -1, 0, 0, 0, NULL},
    {"registers", GPR_RSI, 0, 0, 0, "rsi is 0x00000001, and 0x00000000 in the undisturbed run"},
    {"cr2", GPR_RSI, 1, 0, 0, NULL},
    {"registers", -1, RFLAGS_CF, 0, 0, "rflags is 0x00000003, and 0x00000002"},
    {"registers", -1, 0, 0xeee, 0, NULL},
    {"cr2", -1, 0, 0xeee, 0, "cr2 is 0x00000eee, and 0x00000000"},
    {"counter", -1, 0, 0, COUNTER + 1, "counter (0x30500) is 0x00007700, and 0x00000000"},
    {"table", -1, 0, 0, COUNTER + 16 + 21, "table, at its byte 0x14 (0x30524), is 0x00007700, and 0x00000000"},
    {"table:31", -1, 0, 0, COUNTER + 16 + 30, "table, at its byte 0x1c (0x3052c), is 0x770000, and 0x000000"},
    {"counter,table", -1, 0, 0, COUNTER + 4, NULL},
};
/* clang-format on */

static void the_first_difference_is_named_with_both_values(void **state)
{
    struct symbols *s = new_symbols();
    struct machine *m = MACHINE(0xf4);

    for (unsigned i = 0; i < COUNT(changes); i++) {
        static struct divergence_values before;
        struct divergence_list list;
        char text[DIVERGENCE_TEXT_BYTES] = "nothing";
        struct vcpu_regs kept, r;
        uint8_t byte = 0x77, zero = 0;
        struct diag d;
        bool differs;

        assert_int_equal(divergence_parse(changes[i].declared, s, &list, &d), EMU_OK);
        assert_int_equal(divergence_read(&list, m, &before, &d), EMU_OK);
        vcpu_get_regs(m, 0, &kept);
        r = kept;
        if (changes[i].gpr >= 0)
            r.gpr[changes[i].gpr]++;
        r.rflags ^= changes[i].flags;
        r.cr2 += changes[i].cr2;
        vcpu_set_regs(m, 0, &r);
        if (changes[i].gpa)
            put(m, changes[i].gpa, &byte, 1);
        differs = divergence_differs(&list, &before, m, text);
        if (differs != !!changes[i].says || (differs && !strstr(text, changes[i].says)))
            fail_msg("row %u: %s", i, text);
        vcpu_set_regs(m, 0, &kept);
        if (changes[i].gpa)
            put(m, changes[i].gpa, &zero, 1);
    }
    machine_free(m);
    symbols_free(s);
}

static void what_is_not_mapped_is_refused(void **state)
{
    struct divergence_list list = {.ranges = 1, .range = {{.name = "far", .gva = 0xf0000000, .bytes = 4}}};
    static struct divergence_values values;
    struct machine *m = MACHINE(0xf4);
    struct diag d;

    assert_int_equal(divergence_read(&list, m, &values, &d), EMU_EINPUT);
    assert_non_null(strstr(d.text, "far: nothing is mapped at 0xf0000000"));
    machine_free(m);
}

static void disturbed_registers_are_others_but_the_stack_and_the_place_stay(void **state)
{
    struct machine *m = MACHINE(0xf4);
    struct vcpu_regs before, after;

    vcpu_get_regs(m, 0, &before);
    divergence_disturb_registers(m);
    vcpu_get_regs(m, 0, &after);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(after.gpr[i], i == GPR_RSP ? before.gpr[i] : before.gpr[i] ^ UINT32_MAX);
    assert_int_equal(after.rip, before.rip);
    assert_int_equal((before.rflags ^ after.rflags) & (RFLAGS_CF | RFLAGS_IF | RFLAGS_DF), RFLAGS_CF);
    assert_int_not_equal(memcmp(before.xmm[7], after.xmm[7], 16), 0);
    machine_free(m);
}

/* A run of: mov [counter], eax; place: hlt, that ends by the guest's will if `reason` is not negative. */
static void run_with(struct machine *m, uint32_t eax, int reason)
{
    struct vcpu_regs r;

    vcpu_get_regs(m, 0, &r);
    r.gpr[GPR_RAX] = eax;
    vcpu_set_regs(m, 0, &r);
    run_to(m, 1);
    run_to(m, 2); /* not beyond: nothing wakes it */
    if (reason >= 0)
        trace_add(m, TRACE_SHUTDOWN, 0, (uint64_t)reason, 0, 0);
}

static void a_run_that_ends_otherwise_than_the_first_one_fails(void **state)
{
    static const struct {
        const char *declared;
        int reason; /* of the guest's end */
        uint32_t eax;
        bool is_compared;
        const char *says;
    } rows[] = {
        {"counter", 0, 5, true, NULL},
        {"counter", 1, 5, true, NULL},
        {"counter", 0, 6, true, "divergence at the guest's end: counter (0x30500) is 0x00000006, and 0x00000005"},
        {"counter", 3, 6, false, NULL}, /* a crash says so itself */
        {"counter", -1, 6, false, NULL},
        {"counter@place", -1, 6, true, "divergence at place: counter"},
        {"counter@place", -1, 5, true, NULL},
        {"table@place", -1, 6, true, NULL},
    };
    struct symbols *s = new_symbols();

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct machine *m = MACHINE(0x89, 0x05, 0x00, 0x05, 0x03, 0x00, 0x90, 0x90, 0xf4);
        static struct divergence x;
        struct divergence_list list;
        struct snapshot *start;
        struct diag d;

        assert_int_equal(divergence_parse(rows[i].declared, s, &list, &d), EMU_OK);
        assert_int_equal(divergence_attach(&x, m, &list, &d), EMU_OK);
        assert_int_equal(snapshot_take(m, NULL, &start, &d), EMU_OK);
        run_with(m, 5, 0);
        assert_true(x.is_known);
        snapshot_restore(m, start);
        assert_false(divergence_was_compared(&x));
        run_with(m, rows[i].eax, rows[i].reason);
        assert_int_equal(divergence_was_compared(&x), rows[i].is_compared);
        if (rows[i].says) {
            assert_verdict(m, VERDICT_FAIL, rows[i].says);
            assert_string_equal(machine_verdict(m)->detector, "divergence");
        } else {
            assert_int_equal(machine_verdict(m)->kind, VERDICT_NONE);
        }
        divergence_detach(&x);
        snapshot_free(m, start);
        machine_free(m);
    }
    symbols_free(s);
}

static void whole_runs_compare_no_registers(void **state)
{
    static struct divergence x;
    const struct divergence_list lists[] = {{.registers = true}, {.cr2 = true}, {.ranges = 0}};
    struct machine *m = MACHINE(0xf4);
    struct diag d;

    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(divergence_attach(&x, m, &lists[i], &d), EMU_EINPUT);
    assert_non_null(strstr(d.text, "declare memory"));
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_declaration_is_understood_or_refused_with_its_reason),
        cmocka_unit_test(a_long_list_and_a_guest_without_symbols_are_refused),
        cmocka_unit_test(the_first_difference_is_named_with_both_values),
        cmocka_unit_test(what_is_not_mapped_is_refused),
        cmocka_unit_test(disturbed_registers_are_others_but_the_stack_and_the_place_stay),
        cmocka_unit_test(a_run_that_ends_otherwise_than_the_first_one_fails),
        cmocka_unit_test(whole_runs_compare_no_registers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
