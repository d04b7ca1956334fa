/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/xen_guest.h"

#include "emu/base/count.h"

#define MS 1000000ull

static const unsigned versions[] = {XEN_VERSION(4, 1), XEN_VERSION(4, 2),  XEN_VERSION(4, 4),
                                    XEN_VERSION(4, 7), XEN_VERSION(4, 17), XEN_VERSION(4, 18)};
#define VERSIONS COUNT(versions)

/* M.3, "HVM whitelist": the answer to each operation with an argument that no operation can read. */
static void an_hvm_guest_may_use_what_its_version_allows(void **state)
{
    for (unsigned i = 0; i < VERSIONS; i++) {
        for (unsigned op = 0; op < 18; op++) {
            struct machine *m = guest_new(versions[i], 2);
            bool timers = op >= VCPUOP_get_runstate_info && op <= VCPUOP_register_vcpu_info;
            bool time_area = op == VCPUOP_register_vcpu_time_memory_area;
            bool known = timers || (time_area && versions[i] >= XEN_VERSION(4, 4)) ||
                         (versions[i] >= XEN_VERSION(4, 7) && op <= (versions[i] >= XEN_VERSION(4, 18) ? 15u : 13u));
            int64_t answer = call(m, __HYPERVISOR_vcpu_op, op, op == VCPUOP_down ? 1 : 0, BAD_GVA);

            assert_int_equal(answer != XEN_ENOSYS, known);
            machine_free(m);
        }
    }
}

static void bad_vcpu_ids_are_refused(void **state)
{
    for (unsigned i = 0; i < VERSIONS; i++) {
        struct machine *m = guest_new(versions[i], 2);

        assert_int_equal(call(m, __HYPERVISOR_vcpu_op, VCPUOP_stop_periodic_timer, 2, 0), XEN_ENOENT);
        assert_int_equal(call(m, __HYPERVISOR_vcpu_op, VCPUOP_stop_periodic_timer, UINT32_MAX, 0),
                         versions[i] <= XEN_VERSION(4, 4) ? XEN_EINVAL : XEN_ENOENT);
        machine_free(m);
    }
}

/* M.3, "register_vcpu_info order of checks". */
static void registering_vcpu_info_fails_as_the_version_does(void **state)
{
    static const struct {
        unsigned version;
        int64_t offset, misaligned, twice, running;
    } rows[] = {
        {XEN_VERSION(4, 1), XEN_EINVAL, 0, XEN_EINVAL, XEN_EINVAL},
        {XEN_VERSION(4, 4), XEN_EINVAL, 0, XEN_EINVAL, XEN_EINVAL},
        {XEN_VERSION(4, 7), XEN_EINVAL, 0, XEN_EINVAL, XEN_EINVAL},
        {XEN_VERSION(4, 17), XEN_ENXIO, XEN_ENXIO, XEN_EINVAL, XEN_EINVAL},
        {XEN_VERSION(4, 18), XEN_ENXIO, XEN_ENXIO, XEN_EBUSY, 0},
    };

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct machine *m = guest_new(rows[i].version, 3);
        struct vcpu_register_vcpu_info a = {.mfn = 0x50, .offset = 4096 - 60};

        assert_int_equal(CALL_VCPU(m, VCPUOP_register_vcpu_info, 0, &a), rows[i].offset);
        a.offset = 3;
        assert_int_equal(CALL_VCPU(m, VCPUOP_register_vcpu_info, 1, &a), rows[i].misaligned);
        a = (struct vcpu_register_vcpu_info){.mfn = 1ull << 40};
        assert_int_equal(CALL_VCPU(m, VCPUOP_register_vcpu_info, 0, &a), XEN_EINVAL);
        a = (struct vcpu_register_vcpu_info){.mfn = 0x50};
        assert_int_equal(CALL_VCPU(m, VCPUOP_register_vcpu_info, 0, &a), 0);
        assert_int_equal(CALL_VCPU(m, VCPUOP_register_vcpu_info, 0, &a), rows[i].twice);
        played_set_state(m, 2, VCPU_RUNNABLE);
        assert_int_equal(CALL_VCPU(m, VCPUOP_register_vcpu_info, 2, &a), rows[i].running);
        machine_free(m);
    }
}

static void registering_vcpu_info_moves_it_and_guarantees_an_upcall(void **state)
{
    struct machine *m = guest_new(XEN_VERSION(4, 17), 40);
    struct vcpu_register_vcpu_info a = {.mfn = 0x50, .offset = 64};
    struct vcpu_info info;

    assert_int_equal(set_callback(m, CALLBACK_VECTOR_F3), 0);
    assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR);
    assert_int_equal(CALL_VCPU(m, VCPUOP_register_vcpu_info, 0, &a), 0);
    get(m, 0x50040, &info, sizeof(info));
    assert_int_equal(info.evtchn_upcall_pending, 1);
    assert_true(info.evtchn_pending_sel == UINT64_MAX);
    assert_int_equal(info.time.tsc_to_system_mul, 0x80000000u);
    assert_int_equal(info.time.tsc_shift, 1);
    assert_int_equal(info.time.version % 2, 0);
    assert_int_equal(played_pending_vector(m, 0), 0xf3);
    a.offset = 128; /* no slot in shared_info: starts from zeroes, masked */
    assert_int_equal(CALL_VCPU(m, VCPUOP_register_vcpu_info, 33, &a), 0);
    get(m, 0x50080, &info, sizeof(info));
    assert_int_equal(info.evtchn_upcall_mask, 1);
    machine_free(m);
}

static void single_shot_timers_belong_to_the_caller(void **state)
{
    static const struct {
        unsigned version;
        int64_t past_future_flag;
    } rows[] = {{XEN_VERSION(4, 1), XEN_ETIME},
                {XEN_VERSION(4, 7), XEN_ETIME},
                {XEN_VERSION(4, 17), 0},
                {XEN_VERSION(4, 18), 0}};

    for (unsigned i = 0; i < 4; i++) {
        struct machine *m = guest_new(rows[i].version, 2);
        struct vcpu_set_singleshot_timer s = {.timeout_abs_ns = 1};
        uint32_t port;

        assert_int_equal(map_shared_info(m, SHARED_GFN), 0);
        assert_int_equal(bind_virq(m, VIRQ_TIMER, 0, &port), 0);
        played_advance_to(m, 5 * MS);
        assert_int_equal(CALL_VCPU(m, VCPUOP_set_singleshot_timer, 1, &s), XEN_EINVAL);
        assert_int_equal(call(m, __HYPERVISOR_vcpu_op, VCPUOP_stop_singleshot_timer, 1, 0), XEN_EINVAL);
        assert_int_equal(call(m, __HYPERVISOR_vcpu_op, VCPUOP_set_singleshot_timer, 0, BAD_GVA), XEN_EFAULT);
        s.flags = VCPU_SSHOTTMR_future;
        assert_int_equal(CALL_VCPU(m, VCPUOP_set_singleshot_timer, 0, &s), rows[i].past_future_flag);
        assert_int_equal(xen_port_is_pending(m, port), rows[i].past_future_flag == 0);
        assert_int_equal(port_op(m, EVTCHNOP_close, port), 0);
        assert_int_equal(bind_virq(m, VIRQ_TIMER, 0, &port), 0);
        s = (struct vcpu_set_singleshot_timer){.timeout_abs_ns = 9 * MS};
        assert_int_equal(CALL_VCPU(m, VCPUOP_set_singleshot_timer, 0, &s), 0);
        played_advance_to(m, 9 * MS - 1);
        assert_false(xen_port_is_pending(m, port));
        played_advance_to(m, 9 * MS);
        assert_true(xen_port_is_pending(m, port));
        machine_free(m);
    }
}

static void periodic_timers_have_limits_and_merge_missed_ticks(void **state)
{
    struct machine *m = guest_new(XEN_VERSION(4, 17), 1);
    struct vcpu_set_periodic_timer p = {.period_ns = MS - 1};
    uint32_t port;

    assert_int_equal(bind_virq(m, VIRQ_TIMER, 0, &port), 0);
    assert_int_equal(CALL_VCPU(m, VCPUOP_set_periodic_timer, 0, &p), XEN_EINVAL);
    p.period_ns = UINT64_MAX;
    assert_int_equal(CALL_VCPU(m, VCPUOP_set_periodic_timer, 0, &p), XEN_EINVAL);
    p.period_ns = 4 * MS;
    assert_int_equal(CALL_VCPU(m, VCPUOP_set_periodic_timer, 0, &p), 0);
    played_advance_to(m, 4 * MS);
    assert_true(xen_port_is_pending(m, port));
    xen_model.vcpu_switched_out(m, 0);
    assert_true(timer_deadline_ns(m, &xen_model, TIMER_PERIODIC, 0) == TIMER_NEVER);
    played_advance_to(m, 30 * MS);
    xen_model.vcpu_switched_in(m, 0);
    assert_true(timer_deadline_ns(m, &xen_model, TIMER_PERIODIC, 0) == 34 * MS);
    assert_int_equal(call(m, __HYPERVISOR_vcpu_op, VCPUOP_stop_periodic_timer, 0, 0), 0);
    assert_true(timer_deadline_ns(m, &xen_model, TIMER_PERIODIC, 0) == TIMER_NEVER);
    machine_free(m);
}

static void runstate_and_time_areas_are_written_on_every_switch(void **state)
{
    struct machine *m = guest_new(XEN_VERSION(4, 17), 1);
    uint64_t address = 0x13000;
    struct vcpu_runstate_info r;
    struct vcpu_time_info t;
    uint32_t version;

    assert_int_equal(CALL_VCPU(m, VCPUOP_register_runstate_memory_area, 0, &address), 0);
    address = 0x13100;
    assert_int_equal(CALL_VCPU(m, VCPUOP_register_vcpu_time_memory_area, 0, &address), 0);
    get(m, 0x13100, &t, sizeof(t));
    version = t.version;
    played_advance_to(m, 3 * MS);
    xen_model.vcpu_switched_out(m, 0);
    get(m, 0x13000, &r, sizeof(r));
    assert_int_equal(r.state, RUNSTATE_runnable);
    assert_true(r.state_entry_time == 3 * MS && r.time[RUNSTATE_running] == 3 * MS);
    played_advance_to(m, 5 * MS);
    xen_model.vcpu_switched_in(m, 0);
    get(m, 0x13000, &r, sizeof(r));
    assert_int_equal(r.state, RUNSTATE_running);
    assert_true(r.time[RUNSTATE_runnable] == 2 * MS);
    get(m, 0x13100, &t, sizeof(t));
    assert_int_equal(t.version, version + 2);
    assert_true(t.system_time == 5 * MS && t.tsc_timestamp == 5 * MS);
    machine_free(m);
}

static void physical_areas_are_checked_and_can_be_taken_away(void **state)
{
    static const struct {
        uint64_t gpa;
        int64_t answer;
    } rows[] = {{0x13fe0, XEN_ENXIO}, {0x13004, XEN_ENXIO}, {0x13000, 0}, {UINT64_MAX, 0}};
    struct machine *m = guest_new(XEN_VERSION(4, 18), 1);

    for (unsigned i = 0; i < 4; i++) {
        uint64_t gpa = rows[i].gpa;

        assert_int_equal(CALL_VCPU(m, VCPUOP_register_runstate_phys_area, 0, &gpa), rows[i].answer);
    }
    put(m, 0x13000, &(uint32_t){77}, 4);
    xen_model.vcpu_switched_out(m, 0);
    assert_int_equal(get_word(m, 0x13000, 4), 77);
    machine_free(m);
}

static struct vcpu_hvm_context context_32(void)
{
    struct vcpu_hvm_context c;

    memset(&c, 0, sizeof(c));
    c.mode = VCPU_HVM_MODE_32B;
    c.cpu_regs.x86_32.eip = 0x100000;
    c.cpu_regs.x86_32.cr0 = 1;
    c.cpu_regs.x86_32.cs_limit = c.cpu_regs.x86_32.ds_limit = c.cpu_regs.x86_32.ss_limit = UINT32_MAX;
    c.cpu_regs.x86_32.cs_ar = 0xc9b;
    c.cpu_regs.x86_32.ds_ar = c.cpu_regs.x86_32.ss_ar = c.cpu_regs.x86_32.es_ar = 0xc93;
    c.cpu_regs.x86_32.tr_ar = 0x8b;
    return c;
}

static void a_vcpu_is_initialised_then_up_then_down(void **state)
{
    struct machine *m = guest_new(XEN_VERSION(4, 17), 2);
    struct vcpu_hvm_context c = context_32();

    assert_int_equal(call(m, __HYPERVISOR_vcpu_op, VCPUOP_is_up, 1, 0), 0);
    assert_int_equal(call(m, __HYPERVISOR_vcpu_op, VCPUOP_up, 1, 0), XEN_EINVAL);
    c.pad = 1;
    assert_int_equal(CALL_VCPU(m, VCPUOP_initialise, 1, &c), XEN_EINVAL);
    c = context_32();
    c.mode = 9;
    assert_int_equal(CALL_VCPU(m, VCPUOP_initialise, 1, &c), XEN_EINVAL);
    c = context_32();
    c.cpu_regs.x86_32.cs_limit = 0xff; /* in pages: EIP over the limit */
    assert_int_equal(CALL_VCPU(m, VCPUOP_initialise, 1, &c), XEN_EINVAL);
    c = context_32();
    assert_int_equal(CALL_VCPU(m, VCPUOP_initialise, 1, &c), 0);
    assert_int_equal(vcpu_state(m, 1), VCPU_OFFLINE);
    assert_int_equal(CALL_VCPU(m, VCPUOP_initialise, 1, &c), XEN_EEXIST);
    assert_int_equal(call(m, __HYPERVISOR_vcpu_op, VCPUOP_up, 1, 0), 0);
    assert_int_equal(vcpu_state(m, 1), VCPU_RUNNABLE);
    assert_int_equal(played_regs(m, 1)->rip, 0x100000);
    assert_int_equal(call(m, __HYPERVISOR_vcpu_op, VCPUOP_up, 1, 0), 0);
    assert_int_equal(call(m, __HYPERVISOR_vcpu_op, VCPUOP_is_up, 1, 0), 1);
    assert_int_equal(call(m, __HYPERVISOR_vcpu_op, VCPUOP_down, 1, 0), 0);
    assert_int_equal(vcpu_state(m, 1), VCPU_OFFLINE);
    machine_free(m);
}

static void the_last_vcpu_to_go_down_powers_off(void **state)
{
    static const struct {
        unsigned version;
        enum verdict_kind verdict;
    } rows[] = {{XEN_VERSION(4, 7), VERDICT_NONE}, {XEN_VERSION(4, 17), VERDICT_PASS}};

    for (unsigned i = 0; i < 2; i++) {
        struct machine *m = guest_new(rows[i].version, 2);

        assert_int_equal(call(m, __HYPERVISOR_vcpu_op, VCPUOP_down, 0, 0), 0);
        assert_int_equal(machine_verdict(m)->kind, rows[i].verdict);
        machine_free(m);
    }
}

static void an_nmi_takes_no_argument(void **state)
{
    struct machine *m = guest_new(XEN_VERSION(4, 17), 2);

    assert_int_equal(call(m, __HYPERVISOR_vcpu_op, VCPUOP_send_nmi, 1, 1), XEN_EINVAL);
    assert_int_equal(call(m, __HYPERVISOR_vcpu_op, VCPUOP_send_nmi, 1, 0), 0);
    assert_true(vcpu_nmi_pending(m, 1));
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_hvm_guest_may_use_what_its_version_allows),
        cmocka_unit_test(bad_vcpu_ids_are_refused),
        cmocka_unit_test(registering_vcpu_info_fails_as_the_version_does),
        cmocka_unit_test(registering_vcpu_info_moves_it_and_guarantees_an_upcall),
        cmocka_unit_test(single_shot_timers_belong_to_the_caller),
        cmocka_unit_test(periodic_timers_have_limits_and_merge_missed_ticks),
        cmocka_unit_test(runstate_and_time_areas_are_written_on_every_switch),
        cmocka_unit_test(physical_areas_are_checked_and_can_be_taken_away),
        cmocka_unit_test(a_vcpu_is_initialised_then_up_then_down),
        cmocka_unit_test(the_last_vcpu_to_go_down_powers_off),
        cmocka_unit_test(an_nmi_takes_no_argument),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
