/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/xen_guest.h"

#include "emu/base/count.h"

static int64_t param(struct machine *m, uint64_t op, uint16_t domid, uint32_t index, uint64_t *value)
{
    struct xen_hvm_param p = {.domid = domid, .index = index, .value = *value};
    int64_t answer = CALL(m, __HYPERVISOR_hvm_op, op, &p);

    *value = p.value;
    return answer;
}

static void every_row_answers_without_its_structure(void **state)
{
    static const struct bare_row rows[] = {
        {V(17), HVMOP_set_param, XEN_EFAULT},
        {V(17), HVMOP_get_param, XEN_EFAULT},
        {V(17), 2, XEN_ENOSYS}, /* moved to dm_op */
        {V(4), 2, XEN_EFAULT},
        {V(4), 3, XEN_EFAULT},
        {V(4), 4, XEN_EFAULT},
        {V(17), HVMOP_flush_tlbs, XEN_EINVAL},
        {V(17), HVMOP_pagetable_dying, XEN_EFAULT},
        {V(17), HVMOP_get_time, XEN_EFAULT},
        {V(17), HVMOP_get_mem_type, XEN_EFAULT},
        {V(17), HVMOP_set_evtchn_upcall_vector, XEN_EFAULT},
        {V(4), HVMOP_set_evtchn_upcall_vector, XEN_ENOSYS},
        {V(17), HVMOP_guest_request_vm_event, XEN_EINVAL},
        {V(4), HVMOP_guest_request_vm_event, XEN_ENOSYS},
        {V(17), 99, XEN_ENOSYS},
    };

    check_bare_rows(__HYPERVISOR_hvm_op, 0, rows, COUNT(rows));
}

static void parameters_have_rules(void **state)
{
    static const struct {
        uint32_t index;
        int64_t set, get;
    } rows[] = {
        {HVM_PARAM_CALLBACK_IRQ, 0, 0},
        {HVM_PARAM_STORE_PFN, XEN_EPERM, 0},
        {HVM_PARAM_STORE_EVTCHN, 0, 0},
        {HVM_PARAM_PAE_ENABLED, XEN_EINVAL, XEN_EINVAL},
        {HVM_PARAM_IOREQ_PFN, XEN_EPERM, XEN_EPERM},
        {HVM_PARAM_VIRIDIAN, XEN_EPERM, XEN_EPERM},
        {HVM_PARAM_IDENT_PT, XEN_EPERM, XEN_EPERM},
        {HVM_PARAM_DM_DOMAIN, XEN_EINVAL, XEN_EINVAL},
        {HVM_PARAM_ACPI_S_STATE, XEN_EPERM, XEN_EPERM},
        {HVM_PARAM_CONSOLE_PFN, XEN_EPERM, 0},
        {HVM_PARAM_CONSOLE_EVTCHN, 0, 0},
        {HVM_PARAM_ALTP2M, XEN_EPERM, 0},
        {HVM_PARAM_X87_FIP_WIDTH, 0, 0},
        {HVM_NR_PARAMS, XEN_EINVAL, XEN_EINVAL},
        {UINT32_MAX, XEN_EINVAL, XEN_EINVAL},
    };
    struct machine *m = guest_new(V(17), 1);

    for (unsigned i = 0; i < COUNT(rows); i++) {
        uint64_t value = 4;

        if (rows[i].set != param(m, HVMOP_set_param, DOMID_SELF, rows[i].index, &value))
            print_message("parameter %u\n", rows[i].index);
        value = 4;
        assert_int_equal(param(m, HVMOP_set_param, DOMID_SELF, rows[i].index, &value), rows[i].set);
        value = 0;
        assert_int_equal(param(m, HVMOP_get_param, XEN_GUEST_DOMID, rows[i].index, &value), rows[i].get);
        if (!rows[i].set)
            assert_int_equal(value, 4);
    }
    assert_int_equal(machine_verdict(m)->kind, VERDICT_NONE);
    machine_free(m);
}

static void parameters_are_the_guests_own(void **state)
{
    static const struct {
        uint16_t domid;
        int64_t answer;
    } rows[] = {{DOMID_SELF, 0}, {XEN_GUEST_DOMID, 0}, {7, XEN_ESRCH}};
    struct machine *m = guest_new(V(17), 1);
    uint64_t value = 3;

    for (unsigned i = 0; i < COUNT(rows); i++)
        assert_int_equal(param(m, HVMOP_get_param, rows[i].domid, HVM_PARAM_STORE_PFN, &value), rows[i].answer);
    value = 3;
    assert_int_equal(param(m, HVMOP_set_param, DOMID_SELF, HVM_PARAM_X87_FIP_WIDTH, &value), XEN_EINVAL);
    machine_free(m);
}

static void the_toolstack_leaves_console_and_store(void **state)
{
    static const uint32_t pages[] = {HVM_PARAM_STORE_PFN, HVM_PARAM_CONSOLE_PFN};
    static const uint32_t ports[] = {HVM_PARAM_STORE_EVTCHN, HVM_PARAM_CONSOLE_EVTCHN};
    struct machine *m = guest_new(V(17), 1);

    for (unsigned i = 0; i < 2; i++) {
        struct evtchn_status s = {.dom = DOMID_SELF};
        uint64_t gfn = 0, port = 0, word = 0;

        assert_int_equal(param(m, HVMOP_get_param, DOMID_SELF, pages[i], &gfn), 0);
        assert_int_equal(param(m, HVMOP_get_param, DOMID_SELF, ports[i], &port), 0);
        assert_int_equal(played_mmio_read(m, gfn << PAGE_SHIFT, 8, &word), MODEL_DONE);
        s.port = (evtchn_port_t)port;
        assert_int_equal(CALL(m, __HYPERVISOR_event_channel_op, EVTCHNOP_status, &s), 0);
        assert_int_equal(s.status, EVTCHNSTAT_interdomain);
        assert_int_equal(s.u.interdomain.dom, 0);
    }
    machine_free(m);
}

static void upcall_vectors_are_checked(void **state)
{
    static const struct {
        uint32_t vcpu;
        uint8_t vector;
        int64_t answer;
    } rows[] = {{0, 0x0f, XEN_EINVAL}, {0, 0x10, 0},          {1, 0xff, 0},
                {2, 0x40, XEN_ENOENT}, {2, 0x01, XEN_EINVAL}, {UINT32_MAX, 0x40, XEN_ENOENT}};
    struct machine *m = guest_new(V(17), 2);

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct xen_hvm_evtchn_upcall_vector a = {.vcpu = rows[i].vcpu, .vector = rows[i].vector};

        assert_int_equal(CALL(m, __HYPERVISOR_hvm_op, HVMOP_set_evtchn_upcall_vector, &a), rows[i].answer);
    }
    machine_free(m);
}

/* Through the LAPIC: an edge, lost while that is off, given again when it is switched on with the byte still set. */
static void an_upcall_vector_comes_by_the_lapic(void **state)
{
    struct xen_hvm_evtchn_upcall_vector a = {.vcpu = 0, .vector = 0x41};
    struct machine *m = guest_new(V(17), 1);
    struct evtchn_bind_ipi ipi = {.vcpu = 0};
    struct evtchn_send send;

    assert_int_equal(CALL(m, __HYPERVISOR_hvm_op, HVMOP_set_evtchn_upcall_vector, &a), 0);
    assert_int_equal(CALL(m, __HYPERVISOR_event_channel_op, EVTCHNOP_bind_ipi, &ipi), 0);
    send.port = ipi.port;
    assert_int_equal(CALL(m, __HYPERVISOR_event_channel_op, EVTCHNOP_send, &send), 0);
    assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR);
    assert_int_equal(played_mmio_write(m, LAPIC_GPA + 0xf0, 4, 0x1ff), MODEL_DONE);
    assert_int_equal(played_pending_vector(m, 0), 0x41);
    assert_int_equal(played_accept(m, 0), 0x41);
    assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR); /* in service, though the byte is set */
    machine_free(m);
}

static void time_and_memory_types_are_told(void **state)
{
    static const struct {
        uint16_t domid;
        uint64_t pfn;
        int64_t answer;
        uint16_t type;
    } rows[] = {
        {DOMID_SELF, 5, 0, HVMMEM_ram_rw},
        {DOMID_SELF, PLAYED_RAM_BYTES >> PAGE_SHIFT, 0, HVMMEM_mmio_dm},
        {9, 5, XEN_ESRCH, 0},
    };
    struct machine *m = guest_new(V(17), 1);
    uint64_t now = 0;

    played_advance(m, 12345);
    assert_int_equal(CALL(m, __HYPERVISOR_hvm_op, HVMOP_get_time, &now), 0);
    assert_int_equal(now, 12345);
    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct xen_hvm_get_mem_type a = {.domid = rows[i].domid, .pfn = rows[i].pfn};

        assert_int_equal(CALL(m, __HYPERVISOR_hvm_op, HVMOP_get_mem_type, &a), rows[i].answer);
        assert_int_equal(a.mem_type, rows[i].type);
    }
    assert_int_equal(call(m, __HYPERVISOR_hvm_op, HVMOP_flush_tlbs, 0, 0), 0);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_answers_without_its_structure),
        cmocka_unit_test(parameters_have_rules),
        cmocka_unit_test(parameters_are_the_guests_own),
        cmocka_unit_test(the_toolstack_leaves_console_and_store),
        cmocka_unit_test(upcall_vectors_are_checked),
        cmocka_unit_test(an_upcall_vector_comes_by_the_lapic),
        cmocka_unit_test(time_and_memory_types_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
