/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/timer.h"

#include "tests/cmocka_tap.h"
#include "tests/played_machine.h"

#define VCPUS    3u
#define LOG_MAX  16u
#define KINDS_AT 2u /* kinds of a model that the tests use */

/* Two models that note who expired when; state is zero at first. */
struct log {
    uint64_t at_ns[LOG_MAX], again_ns; /* again_ns: arm kind 0 of vCPU 0 again, once, for then */
    uint32_t kind[LOG_MAX], vcpu[LOG_MAX], order[LOG_MAX];
};
static uint32_t expirations;

static const struct model first, second;

static void note(struct machine *m, const struct model *model, unsigned kind, unsigned vcpu)
{
    struct log *log = machine_model_state(m, model);
    unsigned n = expirations++ % LOG_MAX;

    log->at_ns[n] = clock_now_ns(m);
    log->kind[n] = kind;
    log->vcpu[n] = vcpu;
    log->order[n] = expirations;
    if (log->again_ns) {
        timer_arm(m, model, 0, 0, log->again_ns);
        log->again_ns = 0;
    }
}

static void first_expired(struct machine *m, unsigned kind, unsigned vcpu)
{
    note(m, &first, kind, vcpu);
}

static void second_expired(struct machine *m, unsigned kind, unsigned vcpu)
{
    note(m, &second, kind, vcpu);
}

static const struct model first = {.name = "first", .state_bytes = sizeof(struct log), .timer_expired = first_expired};
static const struct model second = {
    .name = "second", .state_bytes = sizeof(struct log), .timer_expired = second_expired};
static const struct model *const models[] = {&first, &second};

static struct machine *new_machine(void)
{
    expirations = 0;
    return played_machine_new(VCPUS, models, 2);
}

static const struct log *log_of(struct machine *m, const struct model *model)
{
    return machine_model_state(m, model);
}

static void simultaneous_deadlines_expire_by_model_kind_and_vcpu(void **state)
{
    struct machine *m = new_machine();
    unsigned n = 0;

    for (unsigned v = VCPUS; v-- > 0;) /* armed in another order */
        for (unsigned k = KINDS_AT; k-- > 0;) {
            timer_arm(m, &second, k, v, 100);
            timer_arm(m, &first, k, v, 100);
        }
    timer_arm(m, &second, 7, 2, 99); /* but time comes first */
    timer_expire_due(m, 98);
    assert_int_equal(expirations, 0);
    timer_expire_due(m, 100);
    assert_int_equal(expirations, 1 + 2 * KINDS_AT * VCPUS);
    assert_int_equal(log_of(m, &second)->kind[n], 7);
    for (unsigned i = 0; i < 2; i++)
        for (unsigned k = 0; k < KINDS_AT; k++)
            for (unsigned v = 0; v < VCPUS; v++) {
                const struct log *log = log_of(m, models[i]);

                n++;
                assert_int_equal(log->order[n], n + 1);
                assert_int_equal(log->kind[n], k);
                assert_int_equal(log->vcpu[n], v);
            }
    assert_true(timer_next_ns(m) == TIMER_NEVER);
    machine_free(m);
}

static void arming_again_moves_and_disarming_forgets(void **state)
{
    struct machine *m = new_machine();

    assert_true(timer_deadline_ns(m, &first, 0, 1) == TIMER_NEVER);
    timer_arm(m, &first, 0, 1, 50);
    timer_arm(m, &first, 0, 1, 70);
    timer_arm(m, &second, 0, 1, 60);
    assert_int_equal(timer_deadline_ns(m, &first, 0, 1), 70);
    assert_int_equal(timer_next_ns(m), 60);
    timer_disarm(m, &second, 0, 1);
    assert_int_equal(timer_next_ns(m), 70);
    timer_expire_due(m, 69);
    assert_int_equal(expirations, 0);
    timer_expire_due(m, 70);
    assert_int_equal(expirations, 1);
    timer_expire_due(m, 1000);
    assert_int_equal(expirations, 1);
    machine_free(m);
}

static void what_expires_may_be_armed_again_and_is_due_at_once(void **state)
{
    struct machine *m = new_machine();
    struct log *log = machine_model_state(m, &first);

    log->again_ns = 15;
    timer_arm(m, &first, 0, 0, 10);
    played_advance_to(m, 20);
    assert_int_equal(expirations, 2);
    assert_int_equal(log->at_ns[0], 10);
    assert_int_equal(log->at_ns[1], 15);
    machine_free(m);
}

static void each_vcpu_has_an_earliest_deadline(void **state)
{
    struct machine *m = new_machine();

    timer_arm(m, &first, 0, 0, 30);
    timer_arm(m, &second, 1, 0, 20);
    timer_arm(m, &first, 1, 2, 10);
    assert_int_equal(timer_next_of_vcpu_ns(m, 0), 20);
    assert_true(timer_next_of_vcpu_ns(m, 1) == TIMER_NEVER);
    assert_int_equal(timer_next_of_vcpu_ns(m, 2), 10);
    machine_free(m);
}

static void only_the_next_timer_is_delayed(void **state)
{
    struct machine *m = new_machine();

    assert_false(timer_delay_next(m, 5));
    timer_arm(m, &first, 0, 0, 10);
    timer_arm(m, &first, 0, 1, 12);
    assert_true(timer_delay_next(m, 5));
    assert_int_equal(timer_deadline_ns(m, &first, 0, 0), 15);
    assert_int_equal(timer_deadline_ns(m, &first, 0, 1), 12);
    assert_false(timer_delay_next(m, TIMER_NEVER - 12)); /* that would be never */
    assert_false(timer_delay_next(m, UINT64_MAX));
    assert_int_equal(timer_deadline_ns(m, &first, 0, 1), 12);
    machine_free(m);
}

static void a_proof_knows_which_timers_have_expired_twice(void **state)
{
    struct machine *m = new_machine();

    timer_count_anew(m);
    assert_true(timer_all_have_expired_twice(m));
    for (unsigned i = 1; i <= 3; i++) {
        timer_arm(m, &first, 0, 0, 10 * i);
        assert_int_equal(timer_all_have_expired_twice(m), i > 2);
        timer_expire_due(m, 10 * i);
    }
    timer_arm(m, &first, 0, 0, 40);
    timer_arm(m, &first, 0, 1, 50);
    assert_false(timer_all_have_expired_twice(m));
    timer_disarm(m, &first, 0, 1);
    assert_true(timer_all_have_expired_twice(m));
    timer_count_anew(m);
    assert_false(timer_all_have_expired_twice(m));
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(simultaneous_deadlines_expire_by_model_kind_and_vcpu),
        cmocka_unit_test(arming_again_moves_and_disarming_forgets),
        cmocka_unit_test(what_expires_may_be_armed_again_and_is_due_at_once),
        cmocka_unit_test(each_vcpu_has_an_earliest_deadline),
        cmocka_unit_test(only_the_next_timer_is_delayed),
        cmocka_unit_test(a_proof_knows_which_timers_have_expired_twice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
