/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/pc_machine.h"

#include "emu/base/count.h"
#include "models/pc/ioapic.h"
#include "models/pc/lapic.h"
#include "models/pc/pic.h"
#include "models/pc/serial.h"

#define COM1 0x3f8

static const struct model *const models[] = {&pic_model, &lapic_model, &ioapic_model, &serial_model};

/* OUT2 lets its interrupts out. */
static struct machine *machine(void)
{
    struct machine *m = pc_machine_new(1, models, 4);

    pc_program_pics(m, 0);
    out(m, COM1 + 4, 0x0b);
    return m;
}

static void what_is_sent_is_the_console(void **state)
{
    struct machine *m = machine();

    assert_int_equal(in(m, COM1 + 5), 0x60);
    out(m, COM1, 'h');
    assert_int_equal(in(m, COM1 + 5), 0x60);
    out(m, COM1, 'i');
    assert_string_equal(played_console(m), "hi");
    machine_free(m);
}

static void the_divisor_hides_behind_its_latch(void **state)
{
    struct machine *m = machine();

    out(m, COM1 + 3, 0x83);
    out(m, COM1, 0x01);
    out(m, COM1 + 1, 0x02);
    assert_int_equal(in(m, COM1), 0x01);
    assert_int_equal(in(m, COM1 + 1), 0x02);
    out(m, COM1 + 3, 0x03);
    assert_int_equal(in(m, COM1 + 3), 0x03);
    assert_int_equal(in(m, COM1 + 1), 0x00);
    assert_string_equal(played_console(m), "");
    out(m, COM1 + 7, 0xa5);
    assert_int_equal(in(m, COM1 + 7), 0xa5);
    machine_free(m);
}

static void an_empty_transmitter_interrupts_after_each_byte(void **state)
{
    struct machine *m = machine();

    assert_int_equal(in(m, COM1 + 2), 0x01);
    out(m, COM1 + 1, 0x02);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(played_accept(m, 0), 0x34);
        assert_int_equal(in(m, COM1 + 2), 0x02);
        assert_int_equal(in(m, COM1 + 2), 0x01); /* reading it acknowledged it */
        out(m, COM1, 'x');                       /* and sending makes it empty anew, while in service */
        out(m, 0x20, 0x20);
    }
    assert_int_equal(played_pending_vector(m, 0), 0x34);
    out(m, COM1 + 1, 0x00);
    assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR);
    machine_free(m);
}

static void a_received_byte_interrupts_until_it_is_read(void **state)
{
    struct machine *m = machine();

    out(m, COM1 + 1, 0x01);
    serial_receive(m, 'a');
    assert_int_equal(played_accept(m, 0), 0x34);
    assert_int_equal(in(m, COM1 + 2), 0x04);
    assert_int_equal(in(m, COM1 + 5), 0x61);
    assert_int_equal(in(m, COM1), 'a');
    assert_int_equal(in(m, COM1 + 2), 0x01);
    assert_int_equal(in(m, COM1 + 5), 0x60);
    machine_free(m);
}

static void the_fifo_announces_at_its_level_or_after_a_while(void **state)
{
    struct machine *m = machine();

    out(m, COM1 + 3, 0x80);
    out(m, COM1, 1); /* 115200 baud */
    out(m, COM1 + 1, 0);
    out(m, COM1 + 3, 0x03);
    out(m, COM1 + 2, 0x41); /* level 4 */
    out(m, COM1 + 1, 0x01);
    for (char c = 'a'; c < 'd'; c++)
        serial_receive(m, (uint8_t)c);
    assert_int_equal(in(m, COM1 + 2), 0xc1);
    played_advance(m, 347223);
    assert_int_equal(in(m, COM1 + 2), 0xcc);
    assert_int_equal(in(m, COM1), 'a');
    assert_int_equal(in(m, COM1 + 2), 0xc1);
    serial_receive(m, 'd');
    serial_receive(m, 'e');
    assert_int_equal(in(m, COM1 + 2), 0xc4);
    for (char c = 'b'; c <= 'e'; c++)
        assert_int_equal(in(m, COM1), c);
    assert_int_equal(timer_next_ns(m), TIMER_NEVER);
    machine_free(m);
}

static void what_finds_no_room_is_an_overrun(void **state)
{
    struct machine *m = machine();

    out(m, COM1 + 1, 0x04);
    serial_receive(m, 'a');
    serial_receive(m, 'b');
    assert_int_equal(in(m, COM1 + 2), 0x06);
    assert_int_equal(in(m, COM1 + 5), 0x63);
    assert_int_equal(in(m, COM1 + 5), 0x61); /* reading clears the error */
    assert_int_equal(in(m, COM1), 'b');
    out(m, COM1 + 2, 0x01);
    for (unsigned i = 0; i < 17; i++)
        serial_receive(m, (uint8_t)i);
    assert_int_equal(in(m, COM1 + 5) & 0x02, 0x02);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(in(m, COM1), i);
    out(m, COM1 + 2, 0x01);
    serial_receive(m, 'z');
    out(m, COM1 + 2, 0x03); /* cleared */
    assert_int_equal(in(m, COM1 + 5), 0x60);
    machine_free(m);
}

static void loop_back_connects_its_ends(void **state)
{
    struct machine *m = machine();

    assert_int_equal(in(m, COM1 + 6), 0xb0);
    out(m, COM1 + 4, 0x1a); /* loop, OUT2, RTS: what Linux tests */
    assert_int_equal(in(m, COM1 + 6), 0x92);
    assert_int_equal(in(m, COM1 + 6), 0x90);
    out(m, COM1 + 1, 0x08);
    out(m, COM1 + 4, 0x1f);
    assert_int_equal(in(m, COM1 + 2), 0x00);
    assert_int_equal(in(m, COM1 + 6), 0xf2); /* a ring that begins is no change */
    out(m, COM1 + 4, 0x1b);
    assert_int_equal(in(m, COM1 + 6), 0xb4);
    out(m, COM1, 'q');
    assert_int_equal(in(m, COM1), 'q');
    assert_string_equal(played_console(m), "");
    assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR); /* the interrupt is cut off */
    machine_free(m);
}

static void it_is_absent_under_pvh_and_for_wide_accesses(void **state)
{
    struct machine *m = machine(), *pvh = played_machine_new(1, models, 4);
    uint32_t value;

    assert_int_equal(played_port_write(m, COM1, 2, 0), MODEL_NOT_MINE);
    assert_int_equal(played_port_read(m, COM1 - 1, 1, &value), MODEL_NOT_MINE);
    assert_int_equal(played_port_read(pvh, COM1 + 5, 1, &value), MODEL_NOT_MINE);
    assert_int_equal(played_port_write(pvh, COM1, 1, 'x'), MODEL_NOT_MINE);
    machine_free(m);
    machine_free(pvh);
}

static uint64_t hostile_access(struct machine *m, uint64_t random)
{
    static const uint16_t ports[] = {COM1, COM1 + 1, COM1 + 2, COM1 + 3, COM1 + 4, COM1 + 5, COM1 + 6, COM1 + 7};
    uint64_t saw = pc_hostile_port(m, random, ports, COUNT(ports));

    if (random & 0x80)
        serial_receive(m, (uint8_t)random);
    return saw;
}

static void hostile_end(struct machine *m)
{
    out(m, COM1 + 3, 0x03); /* the divisor's latch is closed */
    assert_int_equal(in(m, COM1 + 1) & 0xf0, 0);
    assert_int_equal(in(m, COM1 + 2) & 0x30, 0);
    assert_int_equal(in(m, COM1 + 4) & 0xe0, 0);
    assert_int_equal(in(m, COM1 + 5) & 0x9c, 0); /* no errors but overruns */
}

static void hostile_accesses_leave_the_host_alone(void **state)
{
    static const struct pc_hostile h = {machine, hostile_access, hostile_end, .time_mask = 0xffff, .vector_min = 0x30};

    pc_hostile_accesses(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sent_is_the_console),
        cmocka_unit_test(the_divisor_hides_behind_its_latch),
        cmocka_unit_test(an_empty_transmitter_interrupts_after_each_byte),
        cmocka_unit_test(a_received_byte_interrupts_until_it_is_read),
        cmocka_unit_test(the_fifo_announces_at_its_level_or_after_a_while),
        cmocka_unit_test(what_finds_no_room_is_an_overrun),
        cmocka_unit_test(loop_back_connects_its_ends),
        cmocka_unit_test(it_is_absent_under_pvh_and_for_wide_accesses),
        cmocka_unit_test(hostile_accesses_leave_the_host_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
