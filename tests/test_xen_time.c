/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/xen_guest.h"

#include "emu/base/count.h"

#define SHARED_GPA 0x310000ull

static void the_wall_clock_is_that_of_virtual_time_zero(void **state)
{
    static const struct platform_config platform = {.wallclock_s = 0x123456789ull};
    struct machine *m = guest_new_mode(V(17), 1, 64, &platform);
    struct shared_info s;

    played_advance(m, 5000000000ull);
    assert_int_equal(map_shared_info(m, SHARED_GPA >> PAGE_SHIFT), 0);
    get(m, SHARED_GPA, &s, sizeof(s));
    assert_int_equal(s.wc_version & 1, 0);
    assert_int_not_equal(s.wc_version, 0);
    assert_int_equal(s.wc_sec, 0x23456789);
    assert_int_equal(s.wc_sec_hi, 1);
    assert_int_equal(s.wc_nsec, 0);
    machine_free(m);
}

/* (tsc - tsc_timestamp) << shift, times mul, >> 32, plus system_time: public/xen.h. */
static uint64_t pvclock(const struct vcpu_time_info *t, uint64_t tsc)
{
    unsigned __int128 delta = (tsc - t->tsc_timestamp) << t->tsc_shift;

    return t->system_time + (uint64_t)(delta * t->tsc_to_system_mul >> 32);
}

static void a_time_record_gives_the_time_at_any_tsc(void **state)
{
    struct machine *m = guest_new(V(17), 2);
    struct shared_info s;
    uint32_t before;

    assert_int_equal(map_shared_info(m, SHARED_GPA >> PAGE_SHIFT), 0);
    played_advance(m, 777);
    get(m, SHARED_GPA, &s, sizeof(s));
    before = s.vcpu_info[1].time.version;
    played_set_state(m, 1, VCPU_RUNNABLE);
    played_set_current(m, 1);
    xen_model.vcpu_switched_in(m, 1);
    get(m, SHARED_GPA, &s, sizeof(s));
    assert_int_equal(s.vcpu_info[1].time.system_time, 777);
    assert_int_equal(s.vcpu_info[1].time.version, before + 2);
    assert_int_equal(s.vcpu_info[1].time.version & 1, 0);
    assert_true(pvclock(&s.vcpu_info[1].time, 777) == 777);
    assert_true(pvclock(&s.vcpu_info[1].time, 123456789) == 123456789);
    assert_int_equal(s.vcpu_info[1].time.flags, XEN_PVCLOCK_TSC_STABLE_BIT);
    assert_int_equal(s.vcpu_info[0].time.system_time, 0); /* the other's is its own */
    machine_free(m);
}

static void set_timer_op_arms_and_disarms(void **state)
{
    static const struct {
        uint64_t timeout_ns, deadline_ns;
    } rows[] = {
        {5000, 5000},
        {0, TIMER_NEVER},
        {100, 100},                     /* past: at once */
        {1ull << 63, 1000 + 100000000}, /* negative: taken for a wrapped one */
        {1ull << 60, 1000 + 100000000}, /* 13 days ahead at least */
        {1ull << 49, 1ull << 49},
    };
    struct machine *m = guest_new(V(17), 1);

    played_advance(m, 1000);
    for (unsigned i = 0; i < COUNT(rows); i++) {
        assert_int_equal(call(m, __HYPERVISOR_set_timer_op, rows[i].timeout_ns, 0, 0), 0);
        assert_true(timer_next_ns(m) == rows[i].deadline_ns);
    }
    machine_free(m);
}

static void a_32_bit_guest_gives_the_timeout_in_halves(void **state)
{
    struct machine *m = guest_new(V(17), 1);

    guest_bits(m, 32);
    vcpu_set_gpr(m, GPR_RAX, __HYPERVISOR_set_timer_op);
    vcpu_set_gpr(m, GPR_RBX, 0x10);
    vcpu_set_gpr(m, GPR_RCX, 0x2);
    assert_int_equal(played_hypercall(m), MODEL_DONE);
    assert_int_equal(vcpu_gpr(m, GPR_RAX), 0);
    assert_true(timer_next_ns(m) == 0x200000010ull);
    machine_free(m);
}

static void vm_assist_knows_the_runstate_flag(void **state)
{
    static const struct {
        uint64_t command, type;
        int64_t answer;
    } rows[] = {
        {VMASST_CMD_enable, VMASST_TYPE_runstate_update_flag, 0},
        {VMASST_CMD_disable, VMASST_TYPE_runstate_update_flag, 0},
        {2, VMASST_TYPE_runstate_update_flag, XEN_ENOSYS},
        {VMASST_CMD_enable, VMASST_TYPE_4gb_segments, XEN_EINVAL},
        {VMASST_CMD_enable, 32, XEN_EINVAL},
        {VMASST_CMD_enable, UINT64_MAX, XEN_EINVAL},
    };
    struct machine *m = guest_new(V(17), 1);

    for (unsigned i = 0; i < COUNT(rows); i++)
        assert_int_equal(call(m, __HYPERVISOR_vm_assist, rows[i].command, rows[i].type, 0), rows[i].answer);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_wall_clock_is_that_of_virtual_time_zero),
        cmocka_unit_test(a_time_record_gives_the_time_at_any_tsc),
        cmocka_unit_test(set_timer_op_arms_and_disarms),
        cmocka_unit_test(a_32_bit_guest_gives_the_timeout_in_halves),
        cmocka_unit_test(vm_assist_knows_the_runstate_flag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
