/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/xen_guest.h"

#include "emu/base/count.h"

#define PORTS_GVA 0x210000ull

static int64_t sched_op(struct machine *m, uint64_t op, uint64_t gva)
{
    return call(m, __HYPERVISOR_sched_op, op, gva, 0);
}

static int64_t shut_down(struct machine *m, uint64_t op, unsigned reason)
{
    struct sched_shutdown s = {.reason = reason};

    return CALL(m, __HYPERVISOR_sched_op, op, &s);
}

static void every_row_answers_without_its_structure(void **state)
{
    static const struct bare_row rows[] = {
        {V(17), SCHEDOP_yield, 0},
        {V(17), SCHEDOP_block, 0},
        {V(17), SCHEDOP_shutdown, XEN_EFAULT},
        {V(17), SCHEDOP_poll, XEN_EFAULT},
        {V(17), SCHEDOP_remote_shutdown, XEN_EFAULT},
        {V(17), SCHEDOP_shutdown_code, XEN_EFAULT},
        {V(17), SCHEDOP_watchdog, XEN_EFAULT},
        {V(17), SCHEDOP_pin_override, XEN_EPERM},
        {V(4), SCHEDOP_pin_override, XEN_ENOSYS},
        {V(17), 8, XEN_ENOSYS},
        {V(17), UINT32_MAX, XEN_ENOSYS},
    };

    check_bare_rows(__HYPERVISOR_sched_op, 0, rows, COUNT(rows));
}

static void a_yield_ends_the_turn_and_a_block_halts(void **state)
{
    struct machine *m = guest_new(V(17), 2);

    assert_false(played_turn_is_over(m));
    assert_int_equal(sched_op(m, SCHEDOP_yield, 0), 0);
    assert_true(played_turn_is_over(m));
    assert_int_equal(vcpu_state(m, 0), VCPU_RUNNABLE);
    assert_int_equal(sched_op(m, SCHEDOP_block, 0), 0);
    assert_int_equal(vcpu_state(m, 0), VCPU_HALTED);
    machine_free(m);
}

static void a_shutdown_gives_its_verdict(void **state)
{
    static const struct {
        unsigned version, reason;
        enum verdict_kind kind;
        const char *detector;
    } rows[] = {
        {V(17), SHUTDOWN_poweroff, VERDICT_PASS, NULL},
        {V(17), SHUTDOWN_reboot, VERDICT_PASS, NULL},
        {V(17), SHUTDOWN_suspend, VERDICT_UNMODELLED, NULL},
        {V(17), SHUTDOWN_crash, VERDICT_FAIL, "crash"},
        {V(17), SHUTDOWN_watchdog, VERDICT_FAIL, "crash"},
        {V(17), SHUTDOWN_soft_reset, VERDICT_NONE, NULL},
        {V(7), SHUTDOWN_soft_reset, VERDICT_NONE, NULL},
        {V(4), SHUTDOWN_soft_reset, VERDICT_FAIL, "crash"},
        {V(17), 77, VERDICT_FAIL, "crash"},
    };

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct machine *m = guest_new(rows[i].version, 1);
        const struct verdict *v = machine_verdict(m);

        assert_int_equal(xen_shutdown_reason(m), -1);
        assert_int_equal(shut_down(m, SCHEDOP_shutdown, rows[i].reason), 0);
        if (v->kind != rows[i].kind)
            print_message("row %u: %s\n", i, v->text);
        assert_int_equal(v->kind, rows[i].kind);
        if (rows[i].detector)
            assert_string_equal(v->detector, rows[i].detector);
        else
            assert_null(v->detector);
        assert_int_equal(xen_shutdown_reason(m), v->kind == VERDICT_NONE ? -1 : (int)rows[i].reason);
        machine_free(m);
    }
}

static void the_first_reason_counts(void **state)
{
    struct machine *m = guest_new(V(17), 1);

    assert_int_equal(shut_down(m, SCHEDOP_shutdown_code, SHUTDOWN_crash), 0);
    assert_int_equal(machine_verdict(m)->kind, VERDICT_NONE);
    assert_int_equal(shut_down(m, SCHEDOP_shutdown_code, SHUTDOWN_poweroff), 0);
    assert_int_equal(shut_down(m, SCHEDOP_shutdown, SHUTDOWN_poweroff), 0);
    assert_int_equal(machine_verdict(m)->kind, VERDICT_FAIL);
    assert_int_equal(xen_shutdown_reason(m), SHUTDOWN_crash);
    machine_free(m);
}

static void another_domain_is_out_of_reach(void **state)
{
    static const struct {
        uint16_t domid;
        int64_t answer;
    } rows[] = {{0, XEN_EPERM}, {5, XEN_ESRCH}, {DOMID_SELF, XEN_ESRCH}};
    struct machine *m = guest_new(V(17), 1);

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct sched_remote_shutdown s = {.domain_id = rows[i].domid, .reason = SHUTDOWN_crash};

        assert_int_equal(CALL(m, __HYPERVISOR_sched_op, SCHEDOP_remote_shutdown, &s), rows[i].answer);
    }
    assert_int_equal(machine_verdict(m)->kind, VERDICT_NONE);
    machine_free(m);
}

/* ---- poll ---- */

static uint32_t ipi_port(struct machine *m, unsigned vcpu)
{
    struct evtchn_bind_ipi b = {.vcpu = vcpu};

    assert_int_equal(CALL(m, __HYPERVISOR_event_channel_op, EVTCHNOP_bind_ipi, &b), 0);
    return b.port;
}

static int64_t send(struct machine *m, uint32_t port)
{
    struct evtchn_send s = {.port = port};

    return CALL(m, __HYPERVISOR_event_channel_op, EVTCHNOP_send, &s);
}

static int64_t poll_ports(struct machine *m, const uint32_t *ports, unsigned count, uint64_t timeout_ns)
{
    struct sched_poll p = {.nr_ports = count, .timeout = timeout_ns};
    uint64_t gva = PORTS_GVA;

    memcpy(&p.ports, &gva, sizeof(gva));
    put(m, PORTS_GVA, ports, count * sizeof(*ports));
    return CALL(m, __HYPERVISOR_sched_op, SCHEDOP_poll, &p);
}

static void mask(struct machine *m, uint32_t port)
{
    uint8_t byte = (uint8_t)(1u << port % 8);

    put(m, (SHARED_GFN << PAGE_SHIFT) + 0xa00 + port / 8, &byte, 1);
}

static void a_poll_waits_for_its_port_even_when_it_is_masked(void **state)
{
    struct machine *m = guest_new(V(17), 2);
    uint32_t port, other;

    assert_int_equal(map_shared_info(m, SHARED_GFN), 0);
    port = ipi_port(m, 0);
    other = ipi_port(m, 0);
    mask(m, port);
    assert_int_equal(poll_ports(m, &port, 1, 0), 0);
    assert_int_equal(vcpu_state(m, 0), VCPU_POLLING);
    assert_true(timer_next_ns(m) == TIMER_NEVER);
    played_set_state(m, 1, VCPU_RUNNABLE);
    played_set_current(m, 1);
    mask(m, other); /* both are in the same byte: so this unmasks the port, which changes nothing for a poller */
    assert_int_equal(send(m, other), 0);
    assert_int_equal(vcpu_state(m, 0), VCPU_POLLING);
    mask(m, port);
    assert_int_equal(send(m, port), 0);
    assert_int_equal(vcpu_state(m, 0), VCPU_RUNNABLE);
    played_set_current(m, 0);
    assert_int_equal(poll_ports(m, &port, 1, 0), 0); /* it is pending still */
    assert_int_equal(vcpu_state(m, 0), VCPU_RUNNABLE);
    machine_free(m);
}

static void a_poll_of_many_ports_wakes_by_any(void **state)
{
    struct machine *m = guest_new(V(17), 2);
    uint32_t ports[2];

    assert_int_equal(map_shared_info(m, SHARED_GFN), 0);
    ports[0] = ipi_port(m, 0);
    ports[1] = ipi_port(m, 0);
    assert_int_equal(poll_ports(m, ports, 2, 0), 0);
    assert_int_equal(vcpu_state(m, 0), VCPU_POLLING);
    played_set_current(m, 1);
    assert_int_equal(send(m, ports[1]), 0);
    assert_int_equal(vcpu_state(m, 0), VCPU_RUNNABLE);
    machine_free(m);
}

/* Before 4.10 nothing keeps a guest from polling port 0: any event ends it. Since then the port is refused. */
static void a_poll_of_port_0_wakes_by_any(void **state)
{
    const uint32_t none = 0;
    uint32_t port;
    struct machine *m = guest_new(V(7), 2), *later = guest_new(V(17), 2);

    assert_int_equal(map_shared_info(m, SHARED_GFN), 0);
    port = ipi_port(m, 1);
    assert_int_equal(poll_ports(m, &none, 1, 0), 0);
    assert_int_equal(vcpu_state(m, 0), VCPU_POLLING);
    played_set_current(m, 1);
    assert_int_equal(send(m, port), 0);
    assert_int_equal(vcpu_state(m, 0), VCPU_RUNNABLE);
    assert_int_equal(poll_ports(later, &none, 1, 0), XEN_EINVAL);
    machine_free(m);
    machine_free(later);
}

static void a_poll_ends_at_its_timeout(void **state)
{
    struct machine *m = guest_new(V(17), 1);
    uint32_t port = ipi_port(m, 0);

    assert_int_equal(poll_ports(m, &port, 1, 7000), 0);
    played_advance_to(m, 6999);
    assert_int_equal(vcpu_state(m, 0), VCPU_POLLING);
    played_advance_to(m, 7000);
    assert_int_equal(vcpu_state(m, 0), VCPU_RUNNABLE);
    machine_free(m);
}

/* An interrupt has ended the poll; the vCPU then halts. Neither the port nor the timeout is a poll's any longer. */
static void a_poll_that_was_ended_wakes_nobody_later(void **state)
{
    struct machine *m = guest_new(V(17), 2);
    uint32_t port;

    assert_int_equal(map_shared_info(m, SHARED_GFN), 0);
    port = ipi_port(m, 0);
    mask(m, port);
    assert_int_equal(poll_ports(m, &port, 1, 7000), 0);
    vcpu_wake(m, 0);
    vcpu_halt(m, 0, "HLT");
    played_set_current(m, 1);
    assert_int_equal(send(m, port), 0);
    assert_int_equal(vcpu_state(m, 0), VCPU_HALTED);
    played_advance_to(m, 8000);
    assert_int_equal(vcpu_state(m, 0), VCPU_HALTED);
    machine_free(m);
}

static void a_poll_checks_its_ports(void **state)
{
    static const uint32_t bad = 1u << 20;
    struct machine *m = guest_new(V(17), 1);
    struct sched_poll p = {.nr_ports = 129};
    uint64_t gva = BAD_GVA;

    assert_int_equal(poll_ports(m, &bad, 1, 0), XEN_EINVAL);
    assert_int_equal(CALL(m, __HYPERVISOR_sched_op, SCHEDOP_poll, &p), XEN_EINVAL);
    p.nr_ports = 1;
    memcpy(&p.ports, &gva, sizeof(gva));
    assert_int_equal(CALL(m, __HYPERVISOR_sched_op, SCHEDOP_poll, &p), XEN_EFAULT);
    assert_int_equal(vcpu_state(m, 0), VCPU_RUNNABLE);
    machine_free(m);
}

static void neither_block_nor_poll_sleeps_over_an_upcall(void **state)
{
    struct machine *m = guest_new(V(17), 1);
    uint32_t port = ipi_port(m, 0), quiet = ipi_port(m, 0);

    assert_int_equal(set_callback(m, CALLBACK_VECTOR_F3), 0);
    assert_int_equal(send(m, port), 0);
    assert_int_equal(played_pending_vector(m, 0), 0xf3);
    assert_int_equal(sched_op(m, SCHEDOP_block, 0), 0);
    assert_int_equal(vcpu_state(m, 0), VCPU_RUNNABLE);
    assert_int_equal(poll_ports(m, &quiet, 1, 0), 0);
    assert_int_equal(vcpu_state(m, 0), VCPU_RUNNABLE);
    played_regs(m, 0)->rflags &= ~RFLAGS_IF; /* with interrupts off it sleeps all the same */
    assert_int_equal(poll_ports(m, &quiet, 1, 0), 0);
    assert_int_equal(vcpu_state(m, 0), VCPU_POLLING);
    machine_free(m);
}

/* ---- watchdog ---- */

static int64_t watchdog(struct machine *m, uint32_t id, uint32_t timeout_s)
{
    struct sched_watchdog w = {.id = id, .timeout = timeout_s};

    return CALL(m, __HYPERVISOR_sched_op, SCHEDOP_watchdog, &w);
}

static void there_are_two_watchdogs(void **state)
{
    struct machine *m = guest_new(V(17), 1);

    assert_int_equal(watchdog(m, 1, 5), XEN_EINVAL); /* not in use */
    assert_int_equal(watchdog(m, 3, 5), XEN_EINVAL);
    assert_int_equal(watchdog(m, 0, 5), 1);
    assert_int_equal(watchdog(m, 0, 5), 2);
    assert_int_equal(watchdog(m, 0, 5), (uint32_t)XEN_ENOSPC); /* real Xen computes it without a sign */
    assert_int_equal(watchdog(m, 1, 0), 0);
    assert_int_equal(watchdog(m, 1, 5), XEN_EINVAL);
    assert_int_equal(watchdog(m, 0, 5), 1);
    machine_free(m);
}

static void a_watchdog_that_is_not_patted_ends_the_domain(void **state)
{
    struct machine *m = guest_new(V(17), 1);

    assert_int_equal(watchdog(m, 0, 2), 1);
    played_advance(m, 1900000000);
    assert_int_equal(watchdog(m, 1, 2), 0);
    played_advance(m, 1900000000);
    assert_int_equal(machine_verdict(m)->kind, VERDICT_NONE);
    played_advance(m, 200000000);
    assert_int_equal(machine_verdict(m)->kind, VERDICT_FAIL);
    assert_int_equal(xen_shutdown_reason(m), SHUTDOWN_watchdog);
    machine_free(m);
}

/* ---- soft reset ---- */

static void a_soft_reset_takes_back_what_the_guest_has_set_up(void **state)
{
    struct machine *m = guest_new(V(17), 1);
    struct vcpu_register_vcpu_info info = {.mfn = 0x320};
    struct xen_hvm_param p = {.domid = DOMID_SELF, .index = HVM_PARAM_STORE_EVTCHN};
    struct evtchn_status status = {.dom = DOMID_SELF};
    uint8_t page[PAGE_BYTES], zero[PAGE_BYTES] = {0};
    uint32_t port;

    assert_int_equal(map_shared_info(m, SHARED_GFN), 0);
    assert_int_equal(bind_virq(m, VIRQ_TIMER, 0, &port), 0);
    assert_int_equal(CALL_VCPU(m, VCPUOP_register_vcpu_info, 0, &info), 0);
    assert_int_equal(shut_down(m, SCHEDOP_shutdown, SHUTDOWN_soft_reset), 0);

    assert_int_equal(machine_verdict(m)->kind, VERDICT_NONE);
    get(m, SHARED_GFN << PAGE_SHIFT, page, sizeof(page)); /* ordinary memory now */
    assert_memory_equal(page, zero, sizeof(page));
    assert_int_equal(CALL_VCPU(m, VCPUOP_register_vcpu_info, 0, &info), 0);
    assert_int_equal(bind_virq(m, VIRQ_TIMER, 0, &port), 0);
    assert_int_equal(CALL(m, __HYPERVISOR_hvm_op, HVMOP_get_param, &p), 0);
    status.port = (evtchn_port_t)p.value;
    assert_int_equal(CALL(m, __HYPERVISOR_event_channel_op, EVTCHNOP_status, &status), 0);
    assert_int_equal(status.status, EVTCHNSTAT_interdomain);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_answers_without_its_structure),
        cmocka_unit_test(a_yield_ends_the_turn_and_a_block_halts),
        cmocka_unit_test(a_shutdown_gives_its_verdict),
        cmocka_unit_test(the_first_reason_counts),
        cmocka_unit_test(another_domain_is_out_of_reach),
        cmocka_unit_test(a_poll_waits_for_its_port_even_when_it_is_masked),
        cmocka_unit_test(a_poll_of_many_ports_wakes_by_any),
        cmocka_unit_test(a_poll_of_port_0_wakes_by_any),
        cmocka_unit_test(a_poll_ends_at_its_timeout),
        cmocka_unit_test(a_poll_that_was_ended_wakes_nobody_later),
        cmocka_unit_test(a_poll_checks_its_ports),
        cmocka_unit_test(neither_block_nor_poll_sleeps_over_an_upcall),
        cmocka_unit_test(there_are_two_watchdogs),
        cmocka_unit_test(a_watchdog_that_is_not_patted_ends_the_domain),
        cmocka_unit_test(a_soft_reset_takes_back_what_the_guest_has_set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
