/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/xen_guest.h"

#include "emu/base/count.h"

static void binding_answers_as_xen_does(void **state)
{
    static const struct {
        unsigned virq, vcpu;
        int64_t answer;
    } rows[] = {
        {24, 0, XEN_EINVAL},         {UINT32_MAX, 0, XEN_EINVAL}, {VIRQ_CONSOLE, 1, XEN_EINVAL},
        {VIRQ_TIMER, 2, XEN_ENOENT}, {VIRQ_TIMER, 1, 0},          {VIRQ_TIMER, 1, XEN_EEXIST},
        {VIRQ_DEBUG, 0, 0},          {VIRQ_DOM_EXC, 0, 0},        {VIRQ_DOM_EXC, 0, XEN_EEXIST},
    };
    struct machine *m = guest_new(XEN_VERSION(4, 17), 2);
    uint32_t port, second;

    for (unsigned i = 0; i < COUNT(rows); i++)
        assert_int_equal(bind_virq(m, rows[i].virq, rows[i].vcpu, &port), rows[i].answer);
    assert_int_equal(bind_ipi(m, 2, &port), XEN_ENOENT);
    assert_int_equal(bind_ipi(m, 1, &port), 0);
    assert_int_equal(bind_ipi(m, 1, &second), 0);
    assert_int_not_equal(port, second);
    assert_int_equal(call(m, __HYPERVISOR_event_channel_op, EVTCHNOP_bind_ipi, BAD_GVA, 0), XEN_EFAULT);
    machine_free(m);
}

static void ports_end_at_the_toolstacks_limit(void **state)
{
    static const struct {
        unsigned version, highest;
    } rows[] = {{XEN_VERSION(4, 1), 4095}, {XEN_VERSION(4, 17), 1023}};

    for (unsigned i = 0; i < 2; i++) {
        struct machine *m = guest_new(rows[i].version, 1);
        uint32_t port = 0, last = 0;

        while (bind_ipi(m, 0, &port) == 0)
            last = port;
        assert_int_equal(last, rows[i].highest);
        assert_int_equal(bind_ipi(m, 0, &port), XEN_ENOSPC);
        machine_free(m);
    }
}

static void bad_ports_are_refused(void **state)
{
    static const struct {
        unsigned op;
        uint32_t port;
        int64_t answer;
    } rows[] = {
        {EVTCHNOP_close, 0, XEN_EINVAL},
        {EVTCHNOP_close, 30, XEN_EINVAL},
        {EVTCHNOP_close, 1u << 20, XEN_EINVAL},
        {EVTCHNOP_send, 30, XEN_EINVAL},
        {EVTCHNOP_send, 1u << 20, XEN_EINVAL},
        {EVTCHNOP_unmask, 1u << 20, XEN_EINVAL},
        {EVTCHNOP_unmask, 30, 0},
        {11 + 32, 0, XEN_ENOSYS},
    };
    struct machine *m = guest_new(XEN_VERSION(4, 17), 1);

    for (unsigned i = 0; i < COUNT(rows); i++)
        assert_int_equal(port_op(m, rows[i].op, rows[i].port), rows[i].answer);
    machine_free(m);
}

static void binding_to_a_vcpu_depends_on_the_kind(void **state)
{
    struct machine *m = guest_new(XEN_VERSION(4, 17), 2);
    struct evtchn_bind_vcpu b;
    uint32_t ipi, timer, global;

    assert_int_equal(bind_ipi(m, 0, &ipi), 0);
    assert_int_equal(bind_virq(m, VIRQ_TIMER, 0, &timer), 0);
    assert_int_equal(bind_virq(m, VIRQ_DOM_EXC, 0, &global), 0);
    b = (struct evtchn_bind_vcpu){.port = global, .vcpu = 7};
    assert_int_equal(CALL(m, __HYPERVISOR_event_channel_op, EVTCHNOP_bind_vcpu, &b), XEN_ENOENT);
    b = (struct evtchn_bind_vcpu){.port = ipi, .vcpu = 1};
    assert_int_equal(CALL(m, __HYPERVISOR_event_channel_op, EVTCHNOP_bind_vcpu, &b), XEN_EINVAL);
    b = (struct evtchn_bind_vcpu){.port = timer, .vcpu = 1};
    assert_int_equal(CALL(m, __HYPERVISOR_event_channel_op, EVTCHNOP_bind_vcpu, &b), XEN_EINVAL);
    b = (struct evtchn_bind_vcpu){.port = global, .vcpu = 1};
    assert_int_equal(CALL(m, __HYPERVISOR_event_channel_op, EVTCHNOP_bind_vcpu, &b), 0);
    machine_free(m);
}

#define PENDING_GPA(port, bits) ((SHARED_GFN << 12) + 0x800 + (port) / 8)
#define INFO_GPA(vcpu)          ((SHARED_GFN << 12) + 64 * (vcpu))

/* 64-bit and 32-bit layouts: selector at 8 or 4, mask at 0xa00 or 0x880. */
static void two_level_delivery_sets_pending_selector_and_upcall(void **state)
{
    for (unsigned bits = 32; bits <= 64; bits += 32) {
        struct machine *m = guest_new_mode(XEN_VERSION(4, 17), 2, bits, NULL);
        unsigned mask = bits == 64 ? 0xa00 : 0x880, selector = bits / 8;
        uint8_t byte;
        uint32_t port;
        struct evtchn_bind_ipi b = {.vcpu = 0};

        assert_int_equal(set_callback(m, CALLBACK_VECTOR_F3), 0);
        if (bits == 64) {
            assert_int_equal(map_shared_info(m, SHARED_GFN), 0);
        } else {
            uint32_t physmap[4] = {DOMID_SELF, XENMAPSPACE_shared_info, 0, SHARED_GFN};

            assert_int_equal(CALL(m, __HYPERVISOR_memory_op, XENMEM_add_to_physmap, &physmap), 0);
        }
        assert_int_equal(CALL(m, __HYPERVISOR_event_channel_op, EVTCHNOP_bind_ipi, &b), 0);
        port = b.port;
        assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR);
        assert_int_equal(port_op(m, EVTCHNOP_send, port), 0);
        assert_int_equal(get_word(m, PENDING_GPA(port, bits), 1) >> port % 8 & 1, 1);
        assert_int_equal(get_word(m, INFO_GPA(0) + selector, bits / 8), 1ull << port / bits);
        assert_int_equal(get_word(m, INFO_GPA(0), 1), 1);
        assert_int_equal(played_pending_vector(m, 0), 0xf3);
        /* Level-like: taking the vector does not end it, clearing the byte does. */
        assert_int_equal(played_accept(m, 0), 0xf3);
        assert_int_equal(played_pending_vector(m, 0), 0xf3);
        byte = 0;
        put(m, INFO_GPA(0), &byte, 1);
        assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR);
        /* Already pending: nothing happens. */
        assert_int_equal(port_op(m, EVTCHNOP_send, port), 0);
        assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR);

        /* Masked: pending only; unmasking delivers. */
        put(m, PENDING_GPA(port, bits), &(uint8_t){0}, 1);
        put(m, INFO_GPA(0) + selector, &(uint64_t){0}, bits / 8);
        byte = (uint8_t)(1u << port % 8);
        put(m, (SHARED_GFN << 12) + mask + port / 8, &byte, 1);
        assert_int_equal(port_op(m, EVTCHNOP_send, port), 0);
        assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR);
        assert_int_equal(port_op(m, EVTCHNOP_unmask, port), 0);
        assert_int_equal(played_pending_vector(m, 0), 0xf3);
        machine_free(m);
    }
}

static void a_poller_is_woken_by_a_masked_port(void **state)
{
    struct machine *m = guest_new(XEN_VERSION(4, 17), 2);
    struct sched_poll poll;
    uint32_t port;
    uint8_t all = 0xff;

    assert_int_equal(map_shared_info(m, SHARED_GFN), 0);
    assert_int_equal(bind_ipi(m, 0, &port), 0);
    put(m, (SHARED_GFN << 12) + 0xa00 + port / 8, &all, 1);
    put(m, 0x12000, &port, sizeof(port));
    memset(&poll, 0, sizeof(poll));
    set_xen_guest_handle(poll.ports, (evtchn_port_t *)0x12000);
    poll.nr_ports = 1;
    assert_int_equal(CALL(m, __HYPERVISOR_sched_op, SCHEDOP_poll, &poll), 0);
    assert_int_equal(vcpu_state(m, 0), VCPU_POLLING);
    assert_int_equal(port_op(m, EVTCHNOP_send, port), 0);
    assert_int_equal(vcpu_state(m, 0), VCPU_RUNNABLE);
    machine_free(m);
}

static void fifo_is_there_from_4_4(void **state)
{
    static const struct {
        unsigned version;
        int64_t init, expand_before;
    } rows[] = {
        {XEN_VERSION(4, 2), XEN_ENOSYS, XEN_ENOSYS},
        {XEN_VERSION(4, 4), 0, XEN_ENOSYS},
        {XEN_VERSION(4, 7), 0, XEN_ENOSYS},
        {XEN_VERSION(4, 17), 0, XEN_EOPNOTSUPP},
    };

    for (unsigned i = 0; i < 4; i++) {
        struct machine *m = guest_new(rows[i].version, 1);
        struct evtchn_expand_array e = {.array_gfn = 0x31};
        struct evtchn_init_control c = {.control_gfn = 0x30, .offset = 0, .vcpu = 0};

        assert_int_equal(CALL(m, __HYPERVISOR_event_channel_op, EVTCHNOP_expand_array, &e), rows[i].expand_before);
        assert_int_equal(CALL(m, __HYPERVISOR_event_channel_op, EVTCHNOP_init_control, &c), rows[i].init);
        if (!rows[i].init)
            assert_int_equal(c.link_bits, 17);
        machine_free(m);
    }
}

static void a_control_block_must_be_placed_well_and_once(void **state)
{
    static const struct {
        uint64_t gfn;
        uint32_t offset, vcpu;
        int64_t answer;
    } rows[] = {
        {0x30, 0, 2, XEN_ENOENT}, {0x30, 4096 - 64, 0, XEN_EINVAL},
        {0x30, 4, 0, XEN_EINVAL}, {1ull << 40, 0, 0, XEN_EINVAL},
        {0x30, 0, 0, 0},          {0x30, 0, 0, XEN_EINVAL},
        {0x30, 4096 - 72, 1, 0},
    };
    struct machine *m = guest_new(XEN_VERSION(4, 17), 2);

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct evtchn_init_control c = {.control_gfn = rows[i].gfn, .offset = rows[i].offset, .vcpu = rows[i].vcpu};

        assert_int_equal(CALL(m, __HYPERVISOR_event_channel_op, EVTCHNOP_init_control, &c), rows[i].answer);
    }
    machine_free(m);
}

static void start_fifo(struct machine *m, unsigned vcpus)
{
    struct evtchn_expand_array e = {.array_gfn = 0x40};

    for (unsigned v = 0; v < vcpus; v++) {
        struct evtchn_init_control c = {.control_gfn = 0x30 + v, .offset = 0, .vcpu = v};

        assert_int_equal(CALL(m, __HYPERVISOR_event_channel_op, EVTCHNOP_init_control, &c), 0);
    }
    assert_int_equal(CALL(m, __HYPERVISOR_event_channel_op, EVTCHNOP_expand_array, &e), 0);
}

#define WORD(m, port) ((uint32_t)get_word(m, 0x40000 + (port) * 4, 4))

static void fifo_links_events_in_order(void **state)
{
    struct machine *m = guest_new(XEN_VERSION(4, 17), 1);
    struct evtchn_set_priority p;
    uint32_t a, b, c;

    assert_int_equal(map_shared_info(m, SHARED_GFN), 0);
    assert_int_equal(set_callback(m, CALLBACK_VECTOR_F3), 0);
    start_fifo(m, 1);
    assert_int_equal(bind_ipi(m, 0, &a), 0);
    assert_int_equal(bind_ipi(m, 0, &b), 0);
    assert_int_equal(bind_ipi(m, 0, &c), 0);
    p = (struct evtchn_set_priority){.port = c, .priority = 16};
    assert_int_equal(CALL(m, __HYPERVISOR_event_channel_op, EVTCHNOP_set_priority, &p), XEN_EINVAL);
    p.priority = 2;
    assert_int_equal(CALL(m, __HYPERVISOR_event_channel_op, EVTCHNOP_set_priority, &p), 0);
    port_op(m, EVTCHNOP_send, a);
    port_op(m, EVTCHNOP_send, b);
    port_op(m, EVTCHNOP_send, c);
    assert_int_equal(get_word(m, 0x30000, 4), 1u << 7 | 1u << 2);
    assert_int_equal(get_word(m, 0x30000 + 8 + 7 * 4, 4), a);
    assert_int_equal(get_word(m, 0x30000 + 8 + 2 * 4, 4), c);
    assert_int_equal(WORD(m, a), 1u << 31 | 1u << 29 | b);
    assert_int_equal(WORD(m, b), 1u << 31 | 1u << 29);
    assert_int_equal(played_pending_vector(m, 0), 0xf3);
    machine_free(m);
}

static void fifo_saves_what_was_pending_before_and_drops_without_a_control_block(void **state)
{
    struct machine *m = guest_new(XEN_VERSION(4, 17), 2);
    struct evtchn_init_control init = {.control_gfn = 0x30};
    struct evtchn_expand_array expand = {.array_gfn = 0x40};
    uint32_t before, other;

    assert_int_equal(bind_ipi(m, 0, &before), 0);
    assert_int_equal(bind_ipi(m, 1, &other), 0);
    port_op(m, EVTCHNOP_send, before);
    assert_int_equal(CALL(m, __HYPERVISOR_event_channel_op, EVTCHNOP_init_control, &init), 0);
    assert_int_equal(CALL(m, __HYPERVISOR_event_channel_op, EVTCHNOP_expand_array, &expand), 0);
    assert_int_equal(WORD(m, before) >> 29 & 5, 5);
    port_op(m, EVTCHNOP_send, other); /* vCPU 1 has no control block */
    assert_int_equal(WORD(m, other), 0);
    machine_free(m);
}

static void a_linked_port_is_not_handed_out_again_from_4_7(void **state)
{
    static const struct {
        unsigned version;
        bool reused;
    } rows[] = {{XEN_VERSION(4, 4), true}, {XEN_VERSION(4, 7), false}, {XEN_VERSION(4, 17), false}};

    for (unsigned i = 0; i < 3; i++) {
        struct machine *m = guest_new(rows[i].version, 1);
        uint32_t port, again;

        start_fifo(m, 1);
        assert_int_equal(bind_ipi(m, 0, &port), 0);
        port_op(m, EVTCHNOP_send, port);
        assert_int_equal(port_op(m, EVTCHNOP_close, port), 0);
        assert_int_equal(bind_ipi(m, 0, &again), 0);
        assert_int_equal(again == port, rows[i].reused);
        machine_free(m);
    }
}

static void reset_ends_fifo_from_4_5(void **state)
{
    static const struct {
        unsigned version;
        int64_t init_again;
    } rows[] = {{XEN_VERSION(4, 4), XEN_EINVAL}, {XEN_VERSION(4, 7), 0}, {XEN_VERSION(4, 17), 0}};

    for (unsigned i = 0; i < 3; i++) {
        struct machine *m = guest_new(rows[i].version, 1);
        struct evtchn_reset r = {.dom = DOMID_SELF};
        struct evtchn_init_control c = {.control_gfn = 0x30};
        struct evtchn_status s;
        uint32_t port;

        start_fifo(m, 1);
        assert_int_equal(bind_virq(m, VIRQ_TIMER, 0, &port), 0);
        assert_int_equal(CALL(m, __HYPERVISOR_event_channel_op, EVTCHNOP_reset, &r), 0);
        s = (struct evtchn_status){.dom = DOMID_SELF, .port = port};
        assert_int_equal(CALL(m, __HYPERVISOR_event_channel_op, EVTCHNOP_status, &s), 0);
        assert_int_equal(s.status, EVTCHNSTAT_closed);
        assert_int_equal(CALL(m, __HYPERVISOR_event_channel_op, EVTCHNOP_init_control, &c), rows[i].init_again);
        assert_int_equal(bind_virq(m, VIRQ_TIMER, 0, &port), 0);
        machine_free(m);
    }
}

static void an_upcall_lost_while_the_lapic_is_off_comes_when_it_is_on(void **state)
{
    struct machine *m = guest_new(XEN_VERSION(4, 17), 1);
    struct xen_hvm_evtchn_upcall_vector v = {.vcpu = 0, .vector = 0xf3};
    uint32_t port;

    assert_int_equal(CALL(m, __HYPERVISOR_hvm_op, HVMOP_set_evtchn_upcall_vector, &v), 0);
    assert_int_equal(bind_ipi(m, 0, &port), 0);
    port_op(m, EVTCHNOP_send, port);
    assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR);
    assert_int_equal(played_mmio_write(m, LAPIC_GPA + 0xf0, 4, 0x1ff), MODEL_DONE);
    assert_int_equal(played_pending_vector(m, 0), 0xf3);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(binding_answers_as_xen_does),
        cmocka_unit_test(ports_end_at_the_toolstacks_limit),
        cmocka_unit_test(bad_ports_are_refused),
        cmocka_unit_test(binding_to_a_vcpu_depends_on_the_kind),
        cmocka_unit_test(two_level_delivery_sets_pending_selector_and_upcall),
        cmocka_unit_test(a_poller_is_woken_by_a_masked_port),
        cmocka_unit_test(fifo_is_there_from_4_4),
        cmocka_unit_test(a_control_block_must_be_placed_well_and_once),
        cmocka_unit_test(fifo_links_events_in_order),
        cmocka_unit_test(fifo_saves_what_was_pending_before_and_drops_without_a_control_block),
        cmocka_unit_test(a_linked_port_is_not_handed_out_again_from_4_7),
        cmocka_unit_test(reset_ends_fifo_from_4_5),
        cmocka_unit_test(an_upcall_lost_while_the_lapic_is_off_comes_when_it_is_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
