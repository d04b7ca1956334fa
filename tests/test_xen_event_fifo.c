/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/xen_guest.h"

#include <inttypes.h>

#include "emu/base/count.h"

#define CONTROL_GFN 0x110u /* one page a vCPU */
#define ARRAY_GFN   0x180u

#define PENDING (1u << EVTCHN_FIFO_PENDING)
#define MASKED  (1u << EVTCHN_FIFO_MASKED)
#define LINKED  (1u << EVTCHN_FIFO_LINKED)
#define BUSY    (1u << EVTCHN_FIFO_BUSY)

#define EVENT(m, op, arg) CALL(m, __HYPERVISOR_event_channel_op, op, arg)

static int64_t init_control(struct machine *m, uint64_t gfn, uint32_t offset, uint32_t vcpu)
{
    struct evtchn_init_control a = {.control_gfn = gfn, .offset = offset, .vcpu = vcpu};
    int64_t answer = EVENT(m, EVTCHNOP_init_control, &a);

    if (!answer)
        assert_int_equal(a.link_bits, EVTCHN_FIFO_LINK_BITS);
    return answer;
}

static int64_t expand_array(struct machine *m, uint64_t gfn)
{
    struct evtchn_expand_array a = {.array_gfn = gfn};

    return EVENT(m, EVTCHNOP_expand_array, &a);
}

/* A guest on which FIFO works on all vCPUs. */
static struct machine *fifo_new(unsigned vcpus)
{
    struct machine *m = guest_new(V(17), vcpus);

    assert_int_equal(map_shared_info(m, SHARED_GFN), 0);
    assert_int_equal(set_callback(m, CALLBACK_VECTOR_F3), 0);
    for (unsigned v = 0; v < vcpus; v++)
        assert_int_equal(init_control(m, CONTROL_GFN + v, 0, v), 0);
    assert_int_equal(expand_array(m, ARRAY_GFN), 0);
    return m;
}

/* Frame 0 is RAM as any other. */
static void a_control_block_may_be_at_address_0(void **state)
{
    struct machine *m = guest_new(V(17), 1);
    uint32_t port;

    assert_int_equal(map_shared_info(m, SHARED_GFN), 0);
    assert_int_equal(set_callback(m, CALLBACK_VECTOR_F3), 0);
    assert_int_equal(init_control(m, 0, 0, 0), 0);
    assert_int_equal(init_control(m, CONTROL_GFN, 0, 0), XEN_EINVAL); /* it has one */
    assert_int_equal(expand_array(m, ARRAY_GFN), 0);
    assert_int_equal(bind_ipi(m, 0, &port), 0);
    assert_int_equal(port_op(m, EVTCHNOP_send, port), 0);
    assert_int_equal(get_word(m, 0, 4), 1u << EVTCHN_FIFO_PRIORITY_DEFAULT);
    assert_int_equal(get_word(m, 8 + 4 * EVTCHN_FIFO_PRIORITY_DEFAULT, 4), port);
    machine_free(m);
}

static uint32_t ipi(struct machine *m, uint32_t vcpu)
{
    uint32_t port;

    assert_int_equal(bind_ipi(m, vcpu, &port), 0);
    return port;
}

/* The end of a port of the guest's own that can be bound to another vCPU; `*sender` raises it. */
static uint32_t movable(struct machine *m, uint32_t *sender)
{
    struct evtchn_alloc_unbound u = {.dom = DOMID_SELF, .remote_dom = DOMID_SELF};
    struct evtchn_bind_interdomain b = {.remote_dom = DOMID_SELF};

    assert_int_equal(EVENT(m, EVTCHNOP_alloc_unbound, &u), 0);
    b.remote_port = u.port;
    assert_int_equal(EVENT(m, EVTCHNOP_bind_interdomain, &b), 0);
    *sender = b.local_port;
    return u.port;
}

static void send(struct machine *m, uint32_t port)
{
    assert_int_equal(port_op(m, EVTCHNOP_send, port), 0);
}

static void unmask(struct machine *m, uint32_t port)
{
    assert_int_equal(port_op(m, EVTCHNOP_unmask, port), 0);
}

static void set_priority(struct machine *m, uint32_t port, uint32_t priority)
{
    struct evtchn_set_priority a = {.port = port, .priority = priority};

    assert_int_equal(EVENT(m, EVTCHNOP_set_priority, &a), 0);
}

static uint64_t word_gpa(uint32_t port)
{
    return ((uint64_t)ARRAY_GFN << PAGE_SHIFT) + port * 4;
}

static uint32_t word(struct machine *m, uint32_t port)
{
    uint32_t w;

    get(m, word_gpa(port), &w, sizeof(w));
    return w;
}

static void set_word(struct machine *m, uint32_t port, uint32_t w)
{
    put(m, word_gpa(port), &w, sizeof(w));
}

static struct evtchn_fifo_control_block control(struct machine *m, unsigned vcpu)
{
    struct evtchn_fifo_control_block b;

    get(m, (uint64_t)(CONTROL_GFN + vcpu) << PAGE_SHIFT, &b, sizeof(b));
    return b;
}

/* The guest takes what is ready, and the upcall byte with it. */
static void clear_ready(struct machine *m, unsigned vcpu)
{
    static const uint32_t zero;

    put(m, (uint64_t)(CONTROL_GFN + vcpu) << PAGE_SHIFT, &zero, sizeof(zero));
    put(m, (SHARED_GFN << PAGE_SHIFT) + vcpu * VCPU_INFO_BYTES, &zero, 1);
}

static void the_operations_answer_by_version(void **state)
{
    static const struct {
        unsigned version;
        int64_t init, expand, priority;
    } rows[] = {
        {V(1), XEN_ENOSYS, XEN_ENOSYS, XEN_ENOSYS}, {V(2), XEN_ENOSYS, XEN_ENOSYS, XEN_ENOSYS},
        {V(4), 0, XEN_ENOSYS, XEN_ENOSYS},          {V(7), 0, XEN_ENOSYS, XEN_ENOSYS},
        {V(17), 0, XEN_EOPNOTSUPP, XEN_ENOSYS},     {V(18), 0, XEN_EOPNOTSUPP, XEN_ENOSYS},
    };

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct machine *m = guest_new(rows[i].version, 1);
        struct evtchn_set_priority p = {.port = ipi(m, 0)};

        assert_int_equal(expand_array(m, ARRAY_GFN), rows[i].expand);
        assert_int_equal(EVENT(m, EVTCHNOP_set_priority, &p), rows[i].priority);
        assert_int_equal(init_control(m, CONTROL_GFN, 0, 0), rows[i].init);
        assert_int_equal(machine_verdict(m)->kind, VERDICT_NONE);
        machine_free(m);
    }
}

static void a_control_block_is_checked_in_order(void **state)
{
    static const struct {
        uint64_t gfn;
        uint32_t offset, vcpu;
        int64_t answer;
    } rows[] = {
        {CONTROL_GFN, 4092, 2, XEN_ENOENT}, /* the vCPU comes first */
        {CONTROL_GFN, 4096 - 64, 0, XEN_EINVAL},
        {CONTROL_GFN, UINT32_MAX, 0, XEN_EINVAL},
        {CONTROL_GFN, 4, 0, XEN_EINVAL},
        {PLAYED_RAM_BYTES >> PAGE_SHIFT, 0, 0, XEN_EINVAL},
        {UINT64_MAX, 0, 0, XEN_EINVAL},
        {1ull << 52, 0, 0, XEN_EINVAL},
        {CONTROL_GFN, 4096 - 72, 0, 0},
        {CONTROL_GFN, 0, 0, XEN_EINVAL}, /* the second time */
        {CONTROL_GFN, 0, 1, 0},
    };
    struct machine *m = guest_new(V(17), 2);

    for (unsigned i = 0; i < COUNT(rows); i++) {
        int64_t answer = init_control(m, rows[i].gfn, rows[i].offset, rows[i].vcpu);

        if (answer != rows[i].answer)
            print_message("row %u: answer %" PRId64 "\n", i, answer);
        assert_int_equal(answer, rows[i].answer);
        if (i < 7) /* a failed first call leaves the domain without FIFO */
            assert_int_equal(expand_array(m, ARRAY_GFN), XEN_EOPNOTSUPP);
    }
    machine_free(m);
}

static void the_array_grows_to_128_pages_of_memory(void **state)
{
    struct machine *m = guest_new(V(17), 1);

    assert_int_equal(init_control(m, CONTROL_GFN, 0, 0), 0);
    assert_int_equal(expand_array(m, PLAYED_RAM_BYTES >> PAGE_SHIFT), XEN_EINVAL);
    assert_int_equal(expand_array(m, UINT64_MAX), XEN_EINVAL);
    for (unsigned i = 0; i < 128; i++)
        assert_int_equal(expand_array(m, ARRAY_GFN + i), 0);
    assert_int_equal(expand_array(m, ARRAY_GFN + 128), XEN_ENOSPC);
    machine_free(m);
}

static void a_masked_event_is_linked_when_it_is_unmasked(void **state)
{
    struct machine *m = fifo_new(1);
    uint32_t port = ipi(m, 0);

    set_word(m, port, MASKED);
    send(m, port);
    assert_int_equal(word(m, port), PENDING | MASKED);
    assert_int_equal(control(m, 0).ready, 0);
    assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR);
    unmask(m, port);
    assert_int_equal(word(m, port), PENDING | LINKED);
    assert_int_equal(control(m, 0).head[7], port);
    assert_int_equal(control(m, 0).ready, 1u << 7);
    assert_int_equal(played_pending_vector(m, 0), 0xf3);
    machine_free(m);
}

static void unmasking_what_is_not_pending_links_nothing(void **state)
{
    struct machine *m = fifo_new(1);
    uint32_t port = ipi(m, 0);

    set_word(m, port, MASKED);
    unmask(m, port);
    assert_int_equal(word(m, port), 0);
    assert_int_equal(control(m, 0).ready, 0);
    machine_free(m);
}

static void an_event_that_is_linked_already_is_not_linked_twice(void **state)
{
    struct machine *m = fifo_new(1);
    uint32_t a = ipi(m, 0), b = ipi(m, 0);

    send(m, a);
    send(m, b);
    clear_ready(m, 0);
    send(m, a);
    assert_int_equal(word(m, a), PENDING | LINKED | b);
    assert_int_equal(word(m, b), PENDING | LINKED);
    assert_int_equal(control(m, 0).ready, 0); /* the guest is on its way there */
    assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR);
    machine_free(m);
}

static void a_tail_that_the_guest_has_taken_makes_a_new_head(void **state)
{
    struct machine *m = fifo_new(1);
    uint32_t a = ipi(m, 0), b = ipi(m, 0);

    send(m, a);
    clear_ready(m, 0);
    set_word(m, a, 0); /* handled */
    send(m, b);
    assert_int_equal(word(m, a), 0);
    assert_int_equal(control(m, 0).head[7], b);
    assert_int_equal(control(m, 0).ready, 1u << 7);
    assert_int_equal(played_pending_vector(m, 0), 0xf3);
    machine_free(m);
}

static void the_same_event_again_makes_a_new_head(void **state)
{
    struct machine *m = fifo_new(1);
    uint32_t port = ipi(m, 0);

    for (unsigned i = 0; i < 2; i++) {
        send(m, port);
        assert_int_equal(word(m, port), PENDING | LINKED); /* not linked to itself */
        assert_int_equal(control(m, 0).head[7], port);
        assert_int_equal(control(m, 0).ready, 1u << 7);
        set_word(m, port, 0);
        clear_ready(m, 0);
    }
    machine_free(m);
}

/* The queue is ready already: the guest has not looked since. */
static void a_new_head_of_a_ready_queue_is_no_second_upcall(void **state)
{
    struct machine *m = fifo_new(1);
    uint32_t a = ipi(m, 0), b = ipi(m, 0);
    static const uint8_t zero;

    send(m, a);
    set_word(m, a, 0);
    put(m, SHARED_GFN << PAGE_SHIFT, &zero, 1);
    send(m, b);
    assert_int_equal(control(m, 0).head[7], b);
    assert_int_equal(control(m, 0).ready, 1u << 7);
    assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR);
    machine_free(m);
}

static void linking_clears_busy_and_an_old_link(void **state)
{
    struct machine *m = fifo_new(1);
    uint32_t a = ipi(m, 0), b = ipi(m, 0);

    send(m, a);
    set_word(m, a, PENDING | MASKED | LINKED | BUSY | 0x1ffff); /* the guest may write what it likes */
    send(m, b);
    assert_int_equal(word(m, a), PENDING | MASKED | LINKED | b);
    machine_free(m);
}

static void a_changed_priority_counts_from_the_next_link(void **state)
{
    struct machine *m = fifo_new(1);
    uint32_t a = ipi(m, 0), b = ipi(m, 0);

    send(m, a);
    set_priority(m, a, 0);
    set_word(m, a, 0);
    clear_ready(m, 0);
    send(m, a); /* from the tail of queue 7 to queue 0 */
    assert_int_equal(control(m, 0).head[0], a);
    assert_int_equal(control(m, 0).ready, 1u << 0);
    send(m, b); /* must not be linked behind it */
    assert_int_equal(word(m, a), PENDING | LINKED);
    assert_int_equal(control(m, 0).head[7], b);
    assert_int_equal(control(m, 0).ready, 1u << 0 | 1u << 7);
    machine_free(m);
}

static void an_event_moves_to_the_queue_of_its_new_vcpu(void **state)
{
    struct machine *m = fifo_new(2);
    uint32_t sender, port = movable(m, &sender), other = ipi(m, 0), second = ipi(m, 1);
    struct evtchn_bind_vcpu b = {.port = port, .vcpu = 1};

    set_word(m, sender, 0); /* bind_interdomain raised it */
    clear_ready(m, 0);
    send(m, sender);
    assert_int_equal(control(m, 0).head[7], port);
    set_word(m, port, 0);
    clear_ready(m, 0);
    assert_int_equal(EVENT(m, EVTCHNOP_bind_vcpu, &b), 0);
    send(m, sender);
    assert_int_equal(control(m, 1).head[7], port);
    assert_int_equal(control(m, 1).ready, 1u << 7);
    assert_int_equal(control(m, 0).ready, 0);
    assert_int_equal(played_pending_vector(m, 1), 0xf3);
    send(m, other); /* not behind an event of the other vCPU */
    assert_int_equal(word(m, port), PENDING | LINKED);
    assert_int_equal(control(m, 0).head[7], other);
    set_word(m, port, 0);
    clear_ready(m, 1);
    b.vcpu = 0;
    assert_int_equal(EVENT(m, EVTCHNOP_bind_vcpu, &b), 0);
    send(m, sender); /* and back */
    assert_int_equal(word(m, other), PENDING | LINKED | port);
    send(m, second);
    assert_int_equal(word(m, port), PENDING | LINKED);
    assert_int_equal(control(m, 1).head[7], second);
    machine_free(m);
}

static void events_before_the_array_come_with_it(void **state)
{
    struct machine *m = guest_new(V(17), 1);
    uint32_t early, late;

    assert_int_equal(map_shared_info(m, SHARED_GFN), 0);
    assert_int_equal(set_callback(m, CALLBACK_VECTOR_F3), 0);
    early = ipi(m, 0);
    late = ipi(m, 0);
    send(m, early); /* by the 2-level ABI, and not handled */
    assert_int_equal(init_control(m, CONTROL_GFN, 0, 0), 0);
    send(m, late); /* by FIFO, without an event word */
    assert_int_equal(control(m, 0).ready, 0);
    assert_int_equal(expand_array(m, ARRAY_GFN), 0);
    assert_int_equal(control(m, 0).head[7], early);
    assert_int_equal(word(m, early), PENDING | LINKED | late);
    assert_int_equal(word(m, late), PENDING | LINKED);
    machine_free(m);
}

static void closing_clears_pending_and_leaves_the_link_to_the_guest(void **state)
{
    struct machine *m = fifo_new(1);
    uint32_t port = ipi(m, 0);
    struct evtchn_close c = {.port = port};

    send(m, port);
    assert_int_equal(EVENT(m, EVTCHNOP_close, &c), 0);
    assert_int_equal(word(m, port), LINKED);
    assert_int_not_equal(ipi(m, 0), port); /* busy */
    set_word(m, port, 0);
    assert_int_equal(ipi(m, 0), port);
    machine_free(m);
}

/* What the guest gives away is written to no more. */
static void words_in_memory_that_is_gone_are_dropped(void **state)
{
    struct machine *m = fifo_new(1);
    uint32_t port = ipi(m, 0);
    uint64_t gfn = ARRAY_GFN;
    struct xen_memory_reservation r = {.nr_extents = 1, .domid = DOMID_SELF};

    put(m, ARG_GPA + 0x100, &gfn, sizeof(gfn));
    set_xen_guest_handle(r.extent_start, (xen_pfn_t *)(ARG_GPA + 0x100));
    assert_int_equal(CALL(m, __HYPERVISOR_memory_op, XENMEM_decrease_reservation, &r), 1);
    send(m, port);
    assert_int_equal(machine_verdict(m)->kind, VERDICT_NONE);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_control_block_may_be_at_address_0),
        cmocka_unit_test(the_operations_answer_by_version),
        cmocka_unit_test(a_control_block_is_checked_in_order),
        cmocka_unit_test(the_array_grows_to_128_pages_of_memory),
        cmocka_unit_test(a_masked_event_is_linked_when_it_is_unmasked),
        cmocka_unit_test(unmasking_what_is_not_pending_links_nothing),
        cmocka_unit_test(an_event_that_is_linked_already_is_not_linked_twice),
        cmocka_unit_test(a_tail_that_the_guest_has_taken_makes_a_new_head),
        cmocka_unit_test(the_same_event_again_makes_a_new_head),
        cmocka_unit_test(a_new_head_of_a_ready_queue_is_no_second_upcall),
        cmocka_unit_test(linking_clears_busy_and_an_old_link),
        cmocka_unit_test(a_changed_priority_counts_from_the_next_link),
        cmocka_unit_test(an_event_moves_to_the_queue_of_its_new_vcpu),
        cmocka_unit_test(events_before_the_array_come_with_it),
        cmocka_unit_test(closing_clears_pending_and_leaves_the_link_to_the_guest),
        cmocka_unit_test(words_in_memory_that_is_gone_are_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
