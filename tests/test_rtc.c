/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/pc_machine.h"

#include "emu/base/count.h"
#include "models/pc/ioapic.h"
#include "models/pc/lapic.h"
#include "models/pc/pic.h"
#include "models/pc/rtc.h"

#define S 1000000000ull

static const struct model *const models[] = {&pic_model, &lapic_model, &ioapic_model, &rtc_model};

static uint8_t get(struct machine *m, uint8_t reg)
{
    out(m, 0x70, reg);
    return in(m, 0x71);
}

static void set(struct machine *m, uint8_t reg, uint8_t value)
{
    out(m, 0x70, reg);
    out(m, 0x71, value);
}

static struct machine *machine_at(const struct platform_config *platform)
{
    struct machine *m = pc_machine_new_platform(1, models, 4, platform);

    pc_program_pics(m, 0);
    return m;
}

static const struct platform_config hvm = {.mode = PLATFORM_HVM};

static void eoi(struct machine *m)
{
    out(m, 0xa0, 0x20);
    out(m, 0x20, 0x20);
}

static void assert_shows(struct machine *m, const uint8_t expected[8])
{
    static const uint8_t regs[8] = {0x32, 0x09, 0x08, 0x07, 0x06, 0x04, 0x02, 0x00};

    for (unsigned i = 0; i < 8; i++)
        if (get(m, regs[i]) != expected[i])
            fail_msg("register 0x%x: 0x%x, expected 0x%x", regs[i], get(m, regs[i]), expected[i]);
}

static void it_shows_the_wall_clock_and_runs(void **state)
{
    /* century, year, month, day, weekday, hours, minutes, seconds in BCD */
    static const struct {
        uint64_t wallclock_s, later_s;
        uint8_t shows[8];
    } rows[] = {
        {0, 0, {0x20, 0x24, 0x01, 0x01, 0x02, 0x00, 0x00, 0x00}}, /* the default */
        {0, 86399, {0x20, 0x24, 0x01, 0x01, 0x02, 0x23, 0x59, 0x59}},
        {0, 86400, {0x20, 0x24, 0x01, 0x02, 0x03, 0x00, 0x00, 0x00}},
        {1709164799, 0, {0x20, 0x24, 0x02, 0x28, 0x04, 0x23, 0x59, 0x59}},
        {1709164799, 1, {0x20, 0x24, 0x02, 0x29, 0x05, 0x00, 0x00, 0x00}},
        {951782400, 0, {0x20, 0x00, 0x02, 0x29, 0x03, 0x00, 0x00, 0x00}},
        {1161216000, 3661, {0x20, 0x06, 0x10, 0x19, 0x05, 0x01, 0x01, 0x01}},
        {4107542400, 0, {0x21, 0x00, 0x03, 0x01, 0x02, 0x00, 0x00, 0x00}},
        {1, 0, {0x19, 0x70, 0x01, 0x01, 0x05, 0x00, 0x00, 0x01}},
    };

    for (unsigned i = 0; i < COUNT(rows); i++) {
        const struct platform_config platform = {.mode = PLATFORM_HVM, .wallclock_s = rows[i].wallclock_s};
        struct machine *m = machine_at(&platform);

        played_advance(m, rows[i].later_s * S);
        assert_shows(m, rows[i].shows);
        machine_free(m);
    }
}

static void setting_it_stops_then_starts_from_there(void **state)
{
    static const uint8_t then[8] = {0x20, 0x06, 0x10, 0x19, 0x05, 0x12, 0x34, 0x56};
    static const uint8_t later[8] = {0x20, 0x06, 0x10, 0x19, 0x05, 0x12, 0x35, 0x06};
    struct machine *m = machine_at(&hvm);

    played_advance(m, 5 * S);
    set(m, 0x0b, 0x82);
    set(m, 0x32, 0x20);
    set(m, 0x09, 0x06);
    set(m, 0x08, 0x10);
    set(m, 0x07, 0x19);
    set(m, 0x04, 0x12);
    set(m, 0x02, 0x34);
    set(m, 0x00, 0x56);
    played_advance(m, 100 * S);
    assert_shows(m, then);
    set(m, 0x0b, 0x02);
    assert_shows(m, then);
    played_advance(m, 10 * S);
    assert_shows(m, later);
    set(m, 0x02, 0x00); /* also without stopping it */
    assert_int_equal(get(m, 0x02), 0x00);
    assert_int_equal(get(m, 0x00), 0x06);
    machine_free(m);
}

static void hours_and_numbers_have_two_forms(void **state)
{
    static const struct {
        uint8_t b;
        unsigned hour;
        uint8_t shows;
    } rows[] = {{0x02, 13, 0x13}, {0x06, 13, 13}, {0x00, 13, 0x81}, {0x04, 13, 0x81}, {0x00, 0, 0x12},
                {0x00, 12, 0x92}, {0x04, 0, 12},  {0x04, 23, 0x8b}, {0x00, 23, 0x91}, {0x06, 23, 23}};

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct machine *m = machine_at(&hvm);

        played_advance(m, rows[i].hour * 3600ull * S);
        set(m, 0x0b, rows[i].b);
        assert_int_equal(get(m, 0x04), rows[i].shows);
        set(m, 0x04, rows[i].shows);
        assert_int_equal(get(m, 0x04), rows[i].shows);
        set(m, 0x0b, 0x06);
        assert_int_equal(get(m, 0x04), rows[i].hour);
        machine_free(m);
    }
}

static void the_periodic_interrupt_comes_at_its_rate_until_acknowledged(void **state)
{
    struct machine *m = machine_at(&hvm);

    set(m, 0x0a, 0x26); /* 1024 Hz */
    set(m, 0x0b, 0x42);
    played_advance_to(m, S / 1024 - 1);
    assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR);
    for (unsigned i = 1; i <= 1024; i++) {
        played_advance_to(m, (i * S + 1023) / 1024);
        assert_int_equal(played_accept(m, 0), 0x38);
        assert_int_equal(get(m, 0x0c) & 0xc0, 0xc0);
        assert_int_equal(get(m, 0x0c) & 0xc0, 0);
        eoi(m);
    }
    played_advance(m, S / 512); /* unread: the line stays up, no new edge */
    assert_int_equal(played_accept(m, 0), 0x38);
    eoi(m);
    played_advance(m, S / 512);
    assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR);
    set(m, 0x0b, 0x02);
    assert_int_equal(timer_next_ns(m), TIMER_NEVER);
    machine_free(m);
}

static void the_update_interrupt_comes_each_second_after_the_busy_bit(void **state)
{
    struct machine *m = machine_at(&hvm);

    set(m, 0x0b, 0x12);
    assert_int_equal(get(m, 0x0a), 0x26);
    played_advance_to(m, S - 1000);
    assert_int_equal(get(m, 0x0a), 0xa6);
    played_advance_to(m, S);
    assert_int_equal(get(m, 0x0a), 0x26);
    assert_int_equal(played_accept(m, 0), 0x38);
    assert_int_equal(get(m, 0x0c), 0xd0); /* the periodic flag is set too, without its interrupt */
    eoi(m);
    played_advance_to(m, 2 * S);
    assert_int_equal(get(m, 0x0c) & 0x80, 0x80);
    set(m, 0x0b, 0x92); /* setting clears the enable */
    assert_int_equal(get(m, 0x0b), 0x82);
    machine_free(m);
}

static void the_alarm_matches_what_is_not_dont_care(void **state)
{
    struct machine *m = machine_at(&hvm);

    set(m, 0x01, 0x30);
    set(m, 0x03, 0x01);
    set(m, 0x05, 0xff); /* each hour, at 1:30 */
    set(m, 0x0b, 0x22);
    played_advance_to(m, 89 * S);
    assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR);
    played_advance_to(m, 90 * S);
    assert_int_equal(played_accept(m, 0), 0x38);
    assert_int_equal(get(m, 0x0c) & 0xa0, 0xa0);
    eoi(m);
    played_advance_to(m, 3689 * S);
    assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR);
    played_advance_to(m, 3690 * S);
    assert_int_equal(played_accept(m, 0), 0x38);
    machine_free(m);
}

static void flags_are_set_without_interrupts_too(void **state)
{
    struct machine *m = machine_at(&hvm);

    (void)get(m, 0x0c);
    played_advance(m, 2 * S);
    assert_int_equal(get(m, 0x0c) & 0xd0, 0x50);
    assert_int_equal(get(m, 0x0c), 0);
    assert_int_equal(get(m, 0x0d), 0x80);
    machine_free(m);
}

static void memory_holds_what_is_written(void **state)
{
    struct machine *m = machine_at(&hvm);

    assert_int_equal(get(m, 0x15) | get(m, 0x16) << 8, 640);
    assert_int_equal(get(m, 0x17) | get(m, 0x18) << 8, 15 * 1024);
    set(m, 0x8f, 0x0a); /* bit 7 of the index is not part of it */
    assert_int_equal(get(m, 0x0f), 0x0a);
    assert_int_equal(get(m, 0x7f), 0);
    assert_int_equal(in(m, 0x70), 0xff);
    machine_free(m);
}

static uint64_t hostile_access(struct machine *m, uint64_t random)
{
    static const uint16_t ports[] = {0x70, 0x71, 0x71};

    return pc_hostile_port(m, random, ports, COUNT(ports));
}

static void hostile_end(struct machine *m)
{
    uint32_t value;

    assert_int_equal(get(m, 0x0d), 0x80);
    assert_int_equal(get(m, 0x0c) & 0x0f, 0);
    assert_int_equal(in(m, 0x70), 0xff);
    assert_int_equal(played_port_read(m, 0x70, 2, &value), MODEL_NOT_MINE);
    set(m, 0x0b, 0x02); /* 24 hours, BCD, running: a time again */
    assert_in_range(get(m, 0x00), 0, 0x59);
    assert_in_range(get(m, 0x04), 0, 0x23);
    assert_in_range(get(m, 0x07), 1, 0x31);
    assert_in_range(get(m, 0x08), 1, 0x12);
}

static struct machine *hostile_machine(void)
{
    return machine_at(&hvm);
}

static void hostile_settings_leave_the_host_alone(void **state)
{
    static const struct pc_hostile h = {hostile_machine, hostile_access, hostile_end, .time_mask = 0xffffff,
                                        .vector_min = 0x30};

    pc_hostile_accesses(&h);
}

static void a_pvh_guest_has_none(void **state)
{
    struct machine *pvh = played_machine_new(1, models, 4);
    uint32_t value;

    assert_int_equal(played_port_read(pvh, 0x71, 1, &value), MODEL_NOT_MINE);
    assert_int_equal(played_port_write(pvh, 0x70, 1, 0), MODEL_NOT_MINE);
    machine_free(pvh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_shows_the_wall_clock_and_runs),
        cmocka_unit_test(setting_it_stops_then_starts_from_there),
        cmocka_unit_test(hours_and_numbers_have_two_forms),
        cmocka_unit_test(the_periodic_interrupt_comes_at_its_rate_until_acknowledged),
        cmocka_unit_test(the_update_interrupt_comes_each_second_after_the_busy_bit),
        cmocka_unit_test(the_alarm_matches_what_is_not_dont_care),
        cmocka_unit_test(flags_are_set_without_interrupts_too),
        cmocka_unit_test(memory_holds_what_is_written),
        cmocka_unit_test(hostile_settings_leave_the_host_alone),
        cmocka_unit_test(a_pvh_guest_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
