/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Instruction breakpoints of the guest's own, beside those of the one who watches it. What the registers keep and
 * refuse is in the rows of corpus/guests/rows_processor.c.
 */
#include "tests/toy_machine.h"

#define PLACE (CODE + 18)

/* mov eax, PLACE; mov dr0, eax; mov eax, 1; mov dr7, eax; nop; nop; PLACE: inc ecx; hlt */
#define BREAKING                                                                                                       \
    0xb8, PLACE & 0xff, PLACE >> 8 & 0xff, PLACE >> 16, 0, 0x0f, 0x23, 0xc0, 0xb8, 1, 0, 0, 0, 0x0f, 0x23, 0xf8, 0x90, \
        0x90, 0x41, 0xf4

static void a_breakpoint_is_a_fault_before_its_instruction(void **state)
{
    struct machine *m = MACHINE(BREAKING);
    struct vcpu_regs r;

    run(m);
    assert_int_equal(taken(m, 1), 1);
    assert_int_equal(interrupted_at(m), PLACE - CODE);
    vcpu_get_regs(m, 0, &r);
    assert_int_equal(r.gpr[GPR_RCX], 0);
    assert_int_equal(r.dr6 & 0xf, 1);
    machine_free(m);
}

static void a_handler_that_sets_rf_goes_on_behind_it(void **state)
{
    struct machine *m = MACHINE(BREAKING);

    /* #DB: inc [counter]; or dword [esp+8], 0x10000; iret */
    CODE_AT(m, HANDLERS + 64, 0xff, 0x05, 0x04, 0x00, 0x03, 0x00, 0x81, 0x4c, 0x24, 0x08, 0, 0, 1, 0, 0xcf);
    run(m);
    assert_int_equal(taken(m, 1), 1);
    assert_int_equal(gpr(m, GPR_RCX), 1);
    machine_free(m);
}

static void a_stop_of_ours_at_the_same_place_takes_nothing_away(void **state)
{
    struct machine *alone = MACHINE(BREAKING), *watched = MACHINE(BREAKING);

    run(alone);
    assert_int_equal(machine_run(watched, &(struct machine_limits){.steps_max = 1000, .until_rip_gva = PLACE}),
                     MACHINE_STOPPED_RIP);
    run(watched);
    assert_int_equal(taken(watched, 1), 1);
    assert_true(machine_digest(alone) == machine_digest(watched));
    machine_free(alone);
    machine_free(watched);
}

static void each_vcpu_has_its_own(void **state)
{
    struct machine *m = new_machine(2);

    /* vCPU 0 watches where vCPU 1 runs, starts it, and waits. */
    CODE_AT(m, CODE, 0xb8, 0, 0x10, 1, 0, 0x0f, 0x23, 0xc0, 0xb8, 1, 0, 0, 0, 0x0f, 0x23, 0xf8, 0xb0, 1, 0xe6,
            PORT_START, 0x83, 0x3d, 0, 0x05, 0x03, 0, 1, 0x75, 0xf7, 0xf4);
    CODE_AT(m, CODE + 0x1000, 0xc7, 0x05, 0, 0x05, 0x03, 0, 1, 0, 0, 0, 0xf4);
    run(m);
    assert_int_equal(word(m, DATA + 0x500), 1);
    assert_int_equal(taken(m, 1), 0);
    machine_free(m);
}

static void breakpoints_on_data_are_refused_by_name(void **state)
{
    /* mov eax, 0xd0001; mov dr7, eax */
    struct machine *m = MACHINE(0xb8, 1, 0, 0x0d, 0, 0x0f, 0x23, 0xf8, 0xf4);

    run(m);
    assert_verdict(m, VERDICT_UNMODELLED, "MOV of 0xd0001 to DR7, which enables a breakpoint on data or ports");
    assert_int_equal(machine_verdict(m)->rip_gva, CODE + 5);
    machine_free(m);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_breakpoint_is_a_fault_before_its_instruction),
        cmocka_unit_test(a_handler_that_sets_rf_goes_on_behind_it),
        cmocka_unit_test(a_stop_of_ours_at_the_same_place_takes_nothing_away),
        cmocka_unit_test(each_vcpu_has_its_own),
        cmocka_unit_test(breakpoints_on_data_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
