/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/pc_machine.h"

#include "emu/base/count.h"
#include "models/pc/acpi.h"
#include "models/pc/ioapic.h"
#include "models/pc/lapic.h"
#include "models/pc/pic.h"
#include "models/pc/power.h"

#include <string.h>

static const struct model *const models[] = {&pic_model, &lapic_model, &ioapic_model, &power_model};

static struct machine *machine(void)
{
    return pc_machine_new(1, models, 4);
}

static void the_timer_counts_at_3579545_hz_in_any_access_size(void **state)
{
    struct machine *m = machine();

    played_advance(m, 1000000000);
    assert_int_equal(port_read(m, 0xb008, 4), 3579545);
    assert_int_equal(port_read(m, 0xb008, 2), 3579545 & 0xffff);
    assert_int_equal(in(m, 0xb00a), 3579545 >> 16);
    port_write(m, 0xb008, 4, 0);
    assert_int_equal(port_read(m, 0xb008, 4), 3579545);
    machine_free(m);
}

static void a_change_of_its_top_bit_is_an_event(void **state)
{
    struct machine *m = machine();
    uint64_t half_ns = (1ull << 31) * 1000000000 / 3579545 + 1;

    played_advance_to(m, half_ns - 1000);
    assert_int_equal(port_read(m, 0xb000, 2), 0);
    port_write(m, 0xb002, 2, 1);
    assert_int_equal(port_read(m, 0xb002, 2), 1);
    played_advance_to(m, half_ns);
    assert_int_equal(port_read(m, 0xb000, 2), 1);
    played_advance_to(m, 2 * half_ns);
    port_write(m, 0xb000, 2, 1); /* ones clear */
    assert_int_equal(port_read(m, 0xb000, 4), 0x10000);
    machine_free(m);
}

static void sleep_type_5_powers_off(void **state)
{
    struct machine *m = machine();

    assert_int_equal(port_read(m, 0xb004, 2), 1); /* ACPI mode */
    port_write(m, 0xb004, 2, ACPI_S5_SLEEP_TYPE << 10);
    assert_int_equal(machine_verdict(m)->kind, VERDICT_NONE);
    port_write(m, 0xb004, 2, ACPI_S5_SLEEP_TYPE << 10 | 0x2000);
    assert_int_equal(machine_verdict(m)->kind, VERDICT_PASS);
    assert_int_equal(played_fact(m, 0)->kind, TRACE_SHUTDOWN);
    assert_int_equal(played_fact(m, 0)->a, 0);
    machine_free(m);
}

static void a_sleep_that_the_dsdt_does_not_name_is_unmodelled(void **state)
{
    struct machine *m = machine();

    port_write(m, 0xb004, 2, 0x2000 | 3 << 10);
    assert_int_equal(machine_verdict(m)->kind, VERDICT_UNMODELLED);
    assert_non_null(strstr(machine_verdict(m)->text, "sleep type 3"));
    machine_free(m);
}

static void both_ways_to_reset_end_the_run(void **state)
{
    static const struct {
        uint16_t port;
        uint8_t value;
        bool resets;
    } rows[] = {
        {0xcf9, 0x02, false}, {0xcf9, 0x06, true}, {0xcf9, 0x0e, true}, {0x64, 0xfe, true}, {0x64, 0xd1, false}};

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct machine *m = machine();

        out(m, rows[i].port, rows[i].value);
        assert_int_equal(machine_verdict(m)->kind, rows[i].resets ? VERDICT_FAIL : VERDICT_NONE);
        if (rows[i].resets)
            assert_int_equal(played_fact(m, 0)->a, 1);
        machine_free(m);
    }
}

/* Whether the interrupt that the FADT names reaches the vCPU: SCI by the PIC's line 9, level-triggered. */
static bool sci_is_asserted(struct machine *m)
{
    return played_pending_vector(m, 0) != MODEL_NO_VECTOR;
}

static void a_plugged_processor_is_in_the_map_and_an_event(void **state)
{
    struct platform_config some = {.mode = PLATFORM_HVM, .vcpus_online = 2};
    struct machine *m = pc_machine_new_platform(10, models, 4, &some);

    assert_int_equal(port_read(m, 0xaf00, 4), 3);
    assert_int_equal(port_read(m, 0xafe0, 4), 0);
    power_set_cpu(m, 1, true); /* it is there */
    assert_int_equal(port_read(m, 0xafe0, 4), 0);
    power_set_cpu(m, 9, true);
    assert_int_equal(in(m, 0xaf00), 3);
    assert_int_equal(in(m, 0xaf01), 2);
    assert_int_equal(in(m, 0xaf1f), 0);
    assert_int_equal(in(m, 0xafe0), 1 << 2);
    assert_false(sci_is_asserted(m));
    pc_program_pics(m, 0);
    out(m, 0x21, 0xfb); /* only line 9 open */
    out(m, 0xa1, 0xfd);
    out(m, 0xafe2, 1 << 2); /* enable the event */
    assert_true(sci_is_asserted(m));
    out(m, 0xafe0, 1 << 2);
    assert_int_equal(in(m, 0xafe0), 0);
    power_set_cpu(m, 0, false);
    assert_int_equal(port_read(m, 0xaf00, 2), 0x202);
    assert_int_equal(in(m, 0xafe0), 1 << 2);
    machine_free(m);
}

static void what_is_not_there_is_not_answered(void **state)
{
    struct machine *m = machine(), *pvh = played_machine_new(1, models, 4);
    uint32_t value;

    assert_int_equal(port_read(m, 0xb006, 2), 0xffff); /* the gap before the timer */
    assert_int_equal(in(m, 0xcf9), 0);
    port_write(m, 0xafe0, 4, 0xffff0000);
    assert_int_equal(port_read(m, 0xafe0, 4), 0xffff0000);
    assert_int_equal(played_port_read(m, 0xb00a, 4, &value), MODEL_NOT_MINE);
    assert_int_equal(played_port_read(m, 0xafe2, 4, &value), MODEL_NOT_MINE);
    assert_int_equal(played_port_read(m, 0x64, 1, &value), MODEL_NOT_MINE);
    assert_int_equal(played_port_write(m, 0xcf8, 4, 6 << 8), MODEL_NOT_MINE);
    assert_int_equal(played_port_write(pvh, 0xcf9, 1, 6), MODEL_NOT_MINE);
    assert_int_equal(played_port_read(pvh, 0xb008, 4, &value), MODEL_NOT_MINE);
    machine_free(m);
    machine_free(pvh);
}

static uint64_t hostile_access(struct machine *m, uint64_t random)
{
    static const uint16_t ports[] = {0xb000, 0xb001, 0xb002, 0xb003, 0xb004, 0xb005, 0xb008,
                                     0xb00b, 0xafe0, 0xafe3, 0xaf00, 0xaf1f, 0xcf9,  0x64};

    return pc_hostile_port(m, random, ports, COUNT(ports));
}

static void hostile_end(struct machine *m)
{
    assert_int_equal(port_read(m, 0xb000, 2) & ~0x0001u, 0); /* only the timer has a status */
    assert_int_equal(port_read(m, 0xb002, 2) & ~0x0721u, 0);
    assert_int_equal(port_read(m, 0xb004, 2) & ~0x1c06u, 1); /* in ACPI mode for ever; SLP_EN reads as 0 */
    assert_int_equal(in(m, 0xcf9) & ~0x0e, 0);
    assert_int_equal(port_read(m, 0xaf00, 4), 1); /* the processor is still there */
}

static void hostile_accesses_leave_the_host_alone(void **state)
{
    static const struct pc_hostile h = {machine, hostile_access, hostile_end, .time_mask = 0xffff, .may_end = true};

    pc_hostile_accesses(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_timer_counts_at_3579545_hz_in_any_access_size),
        cmocka_unit_test(a_change_of_its_top_bit_is_an_event),
        cmocka_unit_test(sleep_type_5_powers_off),
        cmocka_unit_test(a_sleep_that_the_dsdt_does_not_name_is_unmodelled),
        cmocka_unit_test(both_ways_to_reset_end_the_run),
        cmocka_unit_test(a_plugged_processor_is_in_the_map_and_an_event),
        cmocka_unit_test(what_is_not_there_is_not_answered),
        cmocka_unit_test(hostile_accesses_leave_the_host_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
