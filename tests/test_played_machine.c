/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/cmocka_tap.h"
#include "tests/played_machine.h"

#include <string.h>

/* A model with one timer and one port, to show what the fake promises to the models' tests. */
struct toy_state {
    uint64_t expired_at_ns[4];
    unsigned expired;
};
static const struct model toy_model;

static enum model_answer toy_port_read(struct machine *m, unsigned vcpu, uint16_t port, unsigned bytes, uint32_t *value)
{
    if (port != 0x10)
        return MODEL_NOT_MINE;
    *value = vcpu;
    return MODEL_DONE;
}

static void toy_timer_expired(struct machine *m, unsigned kind, unsigned vcpu)
{
    struct toy_state *s = machine_model_state(m, &toy_model);

    s->expired_at_ns[s->expired++ & 3] = clock_now_ns(m);
}

static const struct model toy_model = {.name = "toy",
                                       .state_bytes = sizeof(struct toy_state),
                                       .port_read = toy_port_read,
                                       .timer_expired = toy_timer_expired};

static void timers_expire_in_order_at_their_own_time(void **state)
{
    const struct model *models[] = {&toy_model};
    struct machine *m = played_machine_new(2, models, 1);
    struct toy_state *s = machine_model_state(m, &toy_model);

    timer_arm(m, &toy_model, 0, 1, 20);
    timer_arm(m, &toy_model, 0, 0, 10);
    played_advance_to(m, 9);
    assert_int_equal(s->expired, 0);
    played_advance_to(m, 100);
    assert_int_equal(s->expired, 2);
    assert_int_equal(s->expired_at_ns[0], 10);
    assert_int_equal(s->expired_at_ns[1], 20);
    assert_int_equal(clock_now_ns(m), 100);
    machine_free(m);
}

static void the_current_vcpu_asks_and_what_nobody_knows_is_not_mine(void **state)
{
    const struct model *models[] = {&toy_model};
    struct machine *m = played_machine_new(2, models, 1);
    uint32_t value = 7;

    played_set_current(m, 1);
    assert_int_equal(played_port_read(m, 0x10, 1, &value), MODEL_DONE);
    assert_int_equal(value, 1);
    assert_int_equal(played_port_read(m, 0x11, 1, &value), MODEL_NOT_MINE);
    machine_free(m);
}

static void memory_outside_ram_is_refused(void **state)
{
    struct machine *m = played_machine_new(1, NULL, 0);
    uint8_t byte = 5;

    assert_true(memory_write(machine_memory(m), PLAYED_RAM_BYTES - 1, &byte, 1));
    assert_false(memory_write(machine_memory(m), PLAYED_RAM_BYTES, &byte, 1));
    assert_false(memory_read(machine_memory(m), UINT64_MAX, &byte, 1));
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_expire_in_order_at_their_own_time),
        cmocka_unit_test(the_current_vcpu_asks_and_what_nobody_knows_is_not_mine),
        cmocka_unit_test(memory_outside_ram_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
