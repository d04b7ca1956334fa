/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/pc_machine.h"

#include "emu/base/count.h"
#include "models/pc/ioapic.h"
#include "models/pc/lapic.h"
#include "models/pc/pic.h"

static const struct model *const models[] = {&pic_model, &lapic_model, &ioapic_model};

static struct machine *programmed(uint8_t icw4)
{
    struct machine *m = pc_machine_new(1, models, 3);

    pc_program_pics(m, icw4);
    return m;
}

static void an_edge_interrupts_once_and_falls_away_with_its_line(void **state)
{
    struct machine *m = programmed(0);

    pic_set_line(m, 4, true);
    assert_int_equal(played_accept(m, 0), 0x34);
    assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR);
    out(m, 0x20, 0x20);
    assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR);
    pic_set_line(m, 4, false);
    pic_set_line(m, 4, true);
    assert_int_equal(played_pending_vector(m, 0), 0x34);
    pic_set_line(m, 4, false);
    assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR);
    machine_free(m);
}

static void priorities_nest_across_the_cascade(void **state)
{
    struct machine *m = programmed(0);

    pic_set_line(m, 5, true);
    assert_int_equal(played_accept(m, 0), 0x35);
    pic_set_line(m, 6, true); /* lower: waits */
    assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR);
    pic_set_line(m, 12, true); /* behind input 2: higher than 5 */
    assert_int_equal(played_accept(m, 0), 0x3c);
    pic_set_line(m, 9, true); /* higher on the second chip, but the first doesn't see through its input 2 */
    assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR);
    pic_set_line(m, 1, true);
    assert_int_equal(played_accept(m, 0), 0x31);
    out(m, 0x20, 0x20); /* 1 */
    out(m, 0xa0, 0x20); /* 12: the second chip requests again */
    out(m, 0x20, 0x20);
    assert_int_equal(played_accept(m, 0), 0x39);
    out(m, 0xa0, 0x20);
    out(m, 0x20, 0x20);
    assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR); /* 5 is still in service */
    out(m, 0x20, 0x65);                                             /* specific */
    assert_int_equal(played_accept(m, 0), 0x36);
    machine_free(m);
}

static void special_fully_nested_mode_sees_through_the_cascade(void **state)
{
    struct machine *m = programmed(0x10);

    pic_set_line(m, 12, true);
    assert_int_equal(played_accept(m, 0), 0x3c);
    pic_set_line(m, 9, true);
    assert_int_equal(played_accept(m, 0), 0x39);
    pic_set_line(m, 5, true); /* lower than the cascade */
    assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR);
    machine_free(m);
}

static void a_level_asks_again_until_it_falls(void **state)
{
    struct machine *m = programmed(0);

    out(m, 0x4d1, 0xff);
    assert_int_equal(in(m, 0x4d1), 0xde); /* 8 and 13 stay edges */
    out(m, 0x4d0, 0xff);
    assert_int_equal(in(m, 0x4d0), 0xf8);
    pic_set_line(m, 11, true);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(played_accept(m, 0), 0x3b);
        assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR);
        out(m, 0xa0, 0x20);
        out(m, 0x20, 0x20);
    }
    pic_set_line(m, 11, false);
    assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR);
    machine_free(m);
}

static void masks_hold_back_and_registers_show_it(void **state)
{
    struct machine *m = programmed(0);

    out(m, 0x21, 0x10);
    assert_int_equal(in(m, 0x21), 0x10);
    pic_set_line(m, 4, true);
    pic_set_line(m, 3, true);
    assert_int_equal(in(m, 0x20), 0x18);
    assert_int_equal(played_accept(m, 0), 0x33);
    out(m, 0x20, 0x0b); /* read ISR */
    assert_int_equal(in(m, 0x20), 0x08);
    out(m, 0x20, 0x0a); /* read IRR */
    assert_int_equal(in(m, 0x20), 0x10);
    out(m, 0x21, 0x00);
    out(m, 0x20, 0x20);
    assert_int_equal(played_accept(m, 0), 0x34);
    machine_free(m);
}

static void rotation_makes_the_served_input_the_lowest(void **state)
{
    struct machine *m = programmed(0);

    pic_set_line(m, 3, true);
    assert_int_equal(played_accept(m, 0), 0x33);
    out(m, 0x20, 0xa0); /* rotate on non-specific EOI */
    pic_set_line(m, 3, false);
    pic_set_line(m, 3, true);
    pic_set_line(m, 4, true);
    assert_int_equal(played_accept(m, 0), 0x34);
    out(m, 0x20, 0x64);
    out(m, 0x20, 0xc6); /* 6 is the lowest, so 7 the highest */
    pic_set_line(m, 7, true);
    assert_int_equal(played_accept(m, 0), 0x37);
    out(m, 0x20, 0xe7); /* rotate on specific EOI */
    assert_int_equal(played_accept(m, 0), 0x33);
    machine_free(m);
}

static void automatic_eoi_leaves_nothing_in_service(void **state)
{
    struct machine *m = programmed(0x02);

    pic_set_line(m, 14, true);
    pic_set_line(m, 15, true);
    assert_int_equal(played_accept(m, 0), 0x3e);
    assert_int_equal(played_accept(m, 0), 0x3f);
    assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR);
    out(m, 0x20, 0x80); /* rotate in automatic EOI mode */
    pic_set_line(m, 3, true);
    assert_int_equal(played_accept(m, 0), 0x33);
    pic_set_line(m, 3, false);
    pic_set_line(m, 3, true);
    pic_set_line(m, 4, true);
    assert_int_equal(played_accept(m, 0), 0x34);
    machine_free(m);
}

static void the_special_mask_lets_lower_priorities_through(void **state)
{
    struct machine *m = programmed(0);

    pic_set_line(m, 1, true);
    assert_int_equal(played_accept(m, 0), 0x31);
    pic_set_line(m, 6, true);
    assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR);
    out(m, 0x21, 0x02);
    out(m, 0x20, 0x68); /* set special mask mode */
    assert_int_equal(played_accept(m, 0), 0x36);
    out(m, 0x20, 0x20); /* ends 6, since the masked 1 is not seen */
    out(m, 0x20, 0x0b);
    assert_int_equal(in(m, 0x20), 0x02);
    out(m, 0x20, 0x48); /* and back */
    out(m, 0x20, 0x20);
    assert_int_equal(in(m, 0x20), 0x00);
    machine_free(m);
}

static void polling_acknowledges(void **state)
{
    struct machine *m = programmed(0);

    out(m, 0x20, 0x0c);
    assert_int_equal(in(m, 0x20), 0);
    pic_set_line(m, 10, true);
    out(m, 0x20, 0x0c);
    assert_int_equal(in(m, 0x20), 0x82);
    out(m, 0xa0, 0x0c);
    assert_int_equal(in(m, 0xa1), 0x82);
    assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR);
    machine_free(m);
}

static void a_request_that_went_away_is_a_spurious_seven(void **state)
{
    struct machine *m = programmed(0);

    pic_set_line(m, 4, true);
    pic_set_line(m, 4, false);
    assert_int_equal(pic_acknowledge(m), 0x37);
    out(m, 0x20, 0x0b);
    assert_int_equal(in(m, 0x20), 0); /* not in service: needs no EOI */
    machine_free(m);
}

static void without_an_extint_pin_nothing_is_delivered(void **state)
{
    struct machine *m = programmed(0);

    assert_int_equal(played_mmio_write(m, LAPIC_GPA + 0x350, 4, 0x10700), MODEL_DONE);
    pic_set_line(m, 0, true);
    assert_true(pic_output(m));
    assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR);
    assert_int_equal(played_mmio_write(m, LAPIC_GPA + 0x350, 4, 0x00700), MODEL_DONE);
    assert_int_equal(played_pending_vector(m, 0), 0x30);
    machine_free(m);
}

static void reprogramming_starts_over(void **state)
{
    struct machine *m = programmed(0);

    pic_set_line(m, 4, true);
    assert_int_equal(played_accept(m, 0), 0x34);
    pic_set_line(m, 5, true);
    out(m, 0x20, 0x13); /* single, with ICW4: no ICW3 */
    out(m, 0x21, 0x47); /* the low three bits of ICW2 are the input's */
    out(m, 0x21, 0x01);
    assert_int_equal(in(m, 0x21), 0);
    assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR);
    pic_set_line(m, 5, false);
    pic_set_line(m, 5, true);
    assert_int_equal(played_accept(m, 0), 0x45);
    machine_free(m);
}

static void it_is_absent_under_pvh_and_for_wide_accesses(void **state)
{
    struct machine *m = programmed(0), *pvh = played_machine_new(1, models, 3);
    uint32_t value;

    assert_int_equal(played_port_read(m, 0x20, 2, &value), MODEL_NOT_MINE);
    assert_int_equal(played_port_write(m, 0xa1, 4, 0), MODEL_NOT_MINE);
    assert_int_equal(played_port_read(m, 0x22, 1, &value), MODEL_NOT_MINE);
    assert_int_equal(played_port_read(pvh, 0x20, 1, &value), MODEL_NOT_MINE);
    assert_int_equal(played_port_write(pvh, 0x20, 1, 0x11), MODEL_NOT_MINE);
    machine_free(m);
    machine_free(pvh);
}

static uint64_t hostile_access(struct machine *m, uint64_t random)
{
    static const uint16_t ports[] = {0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1};
    uint64_t saw = pc_hostile_port(m, random, ports, COUNT(ports));

    pic_set_line(m, random >> 16 & 15, random & 0x80);
    return saw;
}

static struct machine *hostile_machine(void)
{
    return programmed(0);
}

/* Lines 0 to 2, 8 and 13 can't be level-triggered; the pair still works when it is programmed. */
static void hostile_end(struct machine *m)
{
    assert_int_equal(in(m, 0x4d0) & 0x07, 0);
    assert_int_equal(in(m, 0x4d1) & 0x21, 0);
    out(m, 0x4d0, 0);
    out(m, 0x4d1, 0);
    for (unsigned line = 0; line < 16; line++)
        pic_set_line(m, line, false);
    pc_program_pics(m, 0);
    assert_int_equal(played_accept(m, 0), MODEL_NO_VECTOR);
    pic_set_line(m, 3, true);
    assert_int_equal(played_accept(m, 0), 0x33);
}

/* The vectors are the guest's to choose; also those below 16. */
static void hostile_accesses_leave_the_host_alone(void **state)
{
    static const struct pc_hostile h = {hostile_machine, hostile_access, hostile_end, .time_mask = 0xffff};

    pc_hostile_accesses(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_edge_interrupts_once_and_falls_away_with_its_line),
        cmocka_unit_test(priorities_nest_across_the_cascade),
        cmocka_unit_test(special_fully_nested_mode_sees_through_the_cascade),
        cmocka_unit_test(a_level_asks_again_until_it_falls),
        cmocka_unit_test(masks_hold_back_and_registers_show_it),
        cmocka_unit_test(rotation_makes_the_served_input_the_lowest),
        cmocka_unit_test(automatic_eoi_leaves_nothing_in_service),
        cmocka_unit_test(the_special_mask_lets_lower_priorities_through),
        cmocka_unit_test(polling_acknowledges),
        cmocka_unit_test(a_request_that_went_away_is_a_spurious_seven),
        cmocka_unit_test(without_an_extint_pin_nothing_is_delivered),
        cmocka_unit_test(reprogramming_starts_over),
        cmocka_unit_test(it_is_absent_under_pvh_and_for_wide_accesses),
        cmocka_unit_test(hostile_accesses_leave_the_host_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
