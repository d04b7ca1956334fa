/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/pc_machine.h"

#include "emu/base/count.h"
#include "models/pc/ioapic.h"
#include "models/pc/lapic.h"
#include "models/pc/pic.h"
#include "models/pc/pit.h"

static const struct model *const models[] = {&pic_model, &lapic_model, &ioapic_model, &pit_model};

static struct machine *machine(void)
{
    struct machine *m = pc_machine_new(1, models, 4);

    pc_program_pics(m, 0);
    return m;
}

static void program(struct machine *m, unsigned channel, unsigned mode, unsigned bcd, uint16_t count)
{
    out(m, 0x43, (uint8_t)(channel << 6 | 3 << 4 | mode << 1 | bcd));
    out(m, (uint16_t)(0x40 + channel), (uint8_t)count);
    out(m, (uint16_t)(0x40 + channel), (uint8_t)(count >> 8));
}

static uint16_t read_latched(struct machine *m, unsigned channel)
{
    uint16_t low;

    out(m, 0x43, (uint8_t)(channel << 6));
    low = in(m, (uint16_t)(0x40 + channel));
    return (uint16_t)(low | in(m, (uint16_t)(0x40 + channel)) << 8);
}

static uint64_t tick_ns(uint64_t tick)
{
    return (tick * 1000000000ull + 1193181) / 1193182;
}

static void mode_2_ticks_at_its_rate_and_does_not_drift(void **state)
{
    struct machine *m = machine();
    uint64_t start = 1000000;

    played_advance_to(m, start);
    program(m, 0, 2, 0, 1193); /* HZ = 1000 */
    start = start * 1193182 / 1000000000;
    for (unsigned i = 1; i <= 1000; i++) {
        played_advance_to(m, tick_ns(start + i * 1193ull) - 1);
        assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR);
        played_advance_to(m, tick_ns(start + i * 1193ull));
        assert_int_equal(played_accept(m, 0), 0x30);
        out(m, 0x20, 0x20);
    }
    machine_free(m);
}

/* What is counted and put out after some ticks, channel 2 with its gate high. */
static void each_mode_counts_as_the_datasheet_says(void **state)
{
    static const struct {
        unsigned mode, bcd;
        uint16_t count;
        unsigned ticks;
        uint16_t reads;
        unsigned output;
    } rows[] = {
        {0, 0, 100, 0, 100, 0},
        {0, 0, 100, 99, 1, 0},
        {0, 0, 100, 100, 0, 1},
        {0, 0, 100, 101, 0xffff, 1},
        {2, 0, 100, 0, 100, 1},
        {2, 0, 100, 99, 1, 0},
        {2, 0, 100, 100, 100, 1},
        {2, 0, 100, 250, 50, 1},
        {3, 0, 100, 10, 80, 1},
        {3, 0, 100, 50, 100, 0},
        {3, 0, 100, 60, 80, 0},
        {3, 0, 100, 100, 100, 1},
        {4, 0, 100, 99, 1, 1},
        {4, 0, 100, 100, 0, 0},
        {4, 0, 100, 101, 0xffff, 1},
        {0, 1, 0x100, 1, 0x99, 0},
        {0, 1, 0x100, 101, 0x9999, 1},
        {2, 1, 0x1000, 1, 0x999, 1},
        {0, 1, 0, 1, 0x9999, 0},
        {0, 0, 0, 1, 0xffff, 0},
        {6, 0, 100, 250, 50, 1},
        {7, 0, 100, 60, 80, 0},
        {2, 0, 1, 5, 1, 0},
    };

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct machine *m = machine();

        out(m, 0x61, 1);
        program(m, 2, rows[i].mode, rows[i].bcd, rows[i].count);
        played_advance_to(m, tick_ns(rows[i].ticks));
        if (read_latched(m, 2) != rows[i].reads || (in(m, 0x61) >> 5 & 1) != rows[i].output)
            fail_msg("row %u: counts 0x%x, puts out %u", i, read_latched(m, 2), in(m, 0x61) >> 5 & 1);
        machine_free(m);
    }
}

static void modes_0_and_4_interrupt_once(void **state)
{
    static const unsigned modes[] = {0, 4};

    for (unsigned i = 0; i < 2; i++) {
        struct machine *m = machine();

        program(m, 0, modes[i], 0, 1000);
        played_advance_to(m, tick_ns(1000) - 1);
        assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR);
        played_advance_to(m, tick_ns(1001));
        assert_int_equal(played_accept(m, 0), 0x30);
        out(m, 0x20, 0x20);
        assert_int_equal(timer_next_ns(m), TIMER_NEVER);
        machine_free(m);
    }
}

static void modes_1_and_5_wait_for_the_gate(void **state)
{
    static const unsigned modes[] = {1, 5};

    for (unsigned i = 0; i < 2; i++) {
        struct machine *m = machine();

        program(m, 0, modes[i], 0, 1000); /* channel 0's gate never rises */
        assert_int_equal(timer_next_ns(m), TIMER_NEVER);
        program(m, 2, modes[i], 0, 1000);
        played_advance_to(m, tick_ns(5000));
        assert_int_equal(read_latched(m, 2), 1000);
        assert_int_equal(in(m, 0x61) & 0x20, 0x20);
        out(m, 0x61, 1);
        played_advance_to(m, tick_ns(5600));
        assert_int_equal(read_latched(m, 2), 400);
        out(m, 0x61, 0); /* a low gate doesn't matter, a new edge starts over */
        out(m, 0x61, 1);
        assert_int_equal(read_latched(m, 2), 1000);
        machine_free(m);
    }
}

static void a_low_gate_holds_the_count(void **state)
{
    struct machine *m = machine();

    out(m, 0x61, 1);
    program(m, 2, 0, 0, 1000);
    played_advance_to(m, tick_ns(300));
    out(m, 0x61, 0);
    played_advance_to(m, tick_ns(5000));
    assert_int_equal(read_latched(m, 2), 700);
    out(m, 0x61, 1);
    played_advance_to(m, tick_ns(5100));
    assert_int_equal(read_latched(m, 2), 600);
    program(m, 2, 2, 0, 1000); /* periodic modes start over */
    played_advance_to(m, tick_ns(5400));
    out(m, 0x61, 0);
    assert_int_equal(in(m, 0x61) & 0x20, 0x20);
    out(m, 0x61, 1);
    assert_int_equal(read_latched(m, 2), 1000);
    machine_free(m);
}

static void a_latch_holds_until_it_is_read(void **state)
{
    struct machine *m = machine();

    out(m, 0x61, 1);
    program(m, 2, 0, 0, 0x1234);
    out(m, 0x43, 0x80);
    played_advance_to(m, tick_ns(100));
    out(m, 0x43, 0x80); /* ignored while latched */
    assert_int_equal(in(m, 0x42), 0x34);
    assert_int_equal(in(m, 0x42), 0x12);
    assert_int_equal(in(m, 0x42), 0xd0); /* 0x1234 - 100, unlatched */
    assert_int_equal(in(m, 0x42), 0x11);
    machine_free(m);
}

static void read_back_gives_status_then_count(void **state)
{
    struct machine *m = machine();

    out(m, 0x61, 1);
    out(m, 0x43, 0xb0); /* channel 2, mode 0, no count yet */
    out(m, 0x43, 0xe8); /* status of channel 2 */
    assert_int_equal(in(m, 0x42), 0x70);
    program(m, 2, 0, 0, 500);
    played_advance_to(m, tick_ns(600));
    out(m, 0x43, 0xc8); /* count and status */
    assert_int_equal(in(m, 0x42), 0xb0);
    assert_int_equal(in(m, 0x42), 0x9c); /* 65536 - 100 */
    assert_int_equal(in(m, 0x42), 0xff);
    machine_free(m);
}

static void single_bytes_set_and_show_half_a_count(void **state)
{
    struct machine *m = machine();

    out(m, 0x61, 1);
    out(m, 0x43, 0x90); /* low byte only */
    out(m, 0x42, 0x40);
    assert_int_equal(in(m, 0x42), 0x40);
    assert_int_equal(in(m, 0x42), 0x40);
    out(m, 0x43, 0xa0); /* high byte only */
    out(m, 0x42, 0x40);
    assert_int_equal(in(m, 0x42), 0x40);
    machine_free(m);
}

static void a_period_of_nanoseconds_is_lengthened(void **state)
{
    struct machine *m = machine();

    program(m, 0, 2, 0, 1);
    assert_true(timer_next_ns(m) >= 100000);
    assert_true(timer_next_ns(m) < 102000);
    machine_free(m);
}

static void reprogramming_stops_the_ticks(void **state)
{
    struct machine *m = machine();

    program(m, 0, 2, 0, 1193);
    out(m, 0x43, 0x30); /* mode 0, no count */
    assert_int_equal(timer_next_ns(m), TIMER_NEVER);
    out(m, 0x40, 0x00);
    assert_int_equal(timer_next_ns(m), TIMER_NEVER);
    out(m, 0x40, 0x10);
    assert_true(timer_next_ns(m) != TIMER_NEVER);
    out(m, 0x40, 0x00); /* the first byte of the next count stops mode 0 */
    played_advance(m, 10000000);
    out(m, 0x43, 0xe2);
    assert_int_equal(in(m, 0x40) & 0x80, 0);
    machine_free(m);
}

static uint64_t hostile_access(struct machine *m, uint64_t random)
{
    static const uint16_t ports[] = {0x40, 0x41, 0x42, 0x43, 0x61};

    return pc_hostile_port(m, random, ports, COUNT(ports));
}

static void hostile_end(struct machine *m)
{
    uint32_t value;

    out(m, 0x61, 0xff);
    assert_int_equal(in(m, 0x61) & 0xc0, 0);
    assert_int_equal(in(m, 0x43), 0xff);
    assert_int_equal(played_port_read(m, 0x40, 2, &value), MODEL_NOT_MINE);
    assert_int_equal(played_port_read(m, 0x44, 1, &value), MODEL_NOT_MINE);
}

static void hostile_accesses_leave_the_host_alone(void **state)
{
    static const struct pc_hostile h = {machine, hostile_access, hostile_end, .time_mask = 0xffff, .vector_min = 0x30};

    pc_hostile_accesses(&h);
}

static void a_pvh_guest_has_none(void **state)
{
    struct machine *pvh = played_machine_new(1, models, 4);
    uint32_t value;

    assert_int_equal(played_port_write(pvh, 0x43, 1, 0x34), MODEL_NOT_MINE);
    assert_int_equal(played_port_read(pvh, 0x61, 1, &value), MODEL_NOT_MINE);
    machine_free(pvh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mode_2_ticks_at_its_rate_and_does_not_drift),
        cmocka_unit_test(each_mode_counts_as_the_datasheet_says),
        cmocka_unit_test(modes_0_and_4_interrupt_once),
        cmocka_unit_test(modes_1_and_5_wait_for_the_gate),
        cmocka_unit_test(a_low_gate_holds_the_count),
        cmocka_unit_test(a_latch_holds_until_it_is_read),
        cmocka_unit_test(read_back_gives_status_then_count),
        cmocka_unit_test(single_bytes_set_and_show_half_a_count),
        cmocka_unit_test(a_period_of_nanoseconds_is_lengthened),
        cmocka_unit_test(reprogramming_stops_the_ticks),
        cmocka_unit_test(hostile_accesses_leave_the_host_alone),
        cmocka_unit_test(a_pvh_guest_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
