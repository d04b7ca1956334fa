/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/xen_guest.h"

#include "emu/base/count.h"

static const struct platform_config hvm = {.mode = PLATFORM_HVM};

/* What real Xen 4.17 was recorded to answer a PVH guest, and what an HVM guest with pirqs gets. */
static void every_row_answers_by_mode(void **state)
{
    static const struct {
        unsigned op;
        int64_t pvh, hvm;
    } rows[] = {
        {PHYSDEVOP_irq_status_query, XEN_ENOSYS, XEN_EFAULT}, {PHYSDEVOP_eoi, XEN_ENOSYS, XEN_EFAULT},
        {PHYSDEVOP_map_pirq, XEN_ENOSYS, XEN_EFAULT},         {PHYSDEVOP_unmap_pirq, XEN_ENOSYS, XEN_EFAULT},
        {PHYSDEVOP_get_free_pirq, XEN_ENOSYS, XEN_EFAULT},    {PHYSDEVOP_set_iopl, XEN_ENOSYS, XEN_ENOSYS},
        {PHYSDEVOP_apic_read, XEN_ENOSYS, XEN_ENOSYS},        {99, XEN_ENOSYS, XEN_ENOSYS},
    };

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct machine *p = guest_new(V(17), 1), *h = guest_new_mode(V(17), 1, 64, &hvm);

        assert_int_equal(call(p, __HYPERVISOR_physdev_op, rows[i].op, BAD_GVA, 0), rows[i].pvh);
        assert_int_equal(call(h, __HYPERVISOR_physdev_op, rows[i].op, BAD_GVA, 0), rows[i].hvm);
        assert_int_equal(machine_verdict(h)->kind, VERDICT_NONE);
        machine_free(p);
        machine_free(h);
    }
}

/* An HVM guest of that version whose events come by vector. */
static struct machine *guest_with_vector(unsigned version)
{
    struct machine *m = guest_new_mode(version, 1, 64, &hvm);

    assert_int_equal(set_callback(m, CALLBACK_VECTOR_F3), 0);
    return m;
}

static int64_t map(struct machine *m, struct physdev_map_pirq *a)
{
    return CALL(m, __HYPERVISOR_physdev_op, PHYSDEVOP_map_pirq, a);
}

static void mapping_is_checked(void **state)
{
    static const struct {
        uint16_t domid;
        int index, pirq;
        int64_t answer;
    } rows[] = {
        {DOMID_SELF, -1, -1, XEN_EINVAL},        {DOMID_SELF, 48, -1, XEN_EINVAL}, {DOMID_SELF, 20, 256, XEN_EINVAL},
        {DOMID_SELF, 20, INT32_MAX, XEN_EINVAL}, {9, 20, -1, XEN_ESRCH},           {0, 20, -1, XEN_EPERM},
        {XEN_GUEST_DOMID, 20, -1, XEN_EPERM},    {DOMID_SELF, 20, 40, 0},          {DOMID_SELF, 47, -1, 0},
    };
    struct machine *m = guest_with_vector(V(17));

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct physdev_map_pirq a = {
            .domid = rows[i].domid, .type = MAP_PIRQ_TYPE_GSI, .index = rows[i].index, .pirq = rows[i].pirq};

        assert_int_equal(map(m, &a), rows[i].answer);
    }
    machine_free(m);
}

static void lines_are_mapped_only_where_events_come_by_vector(void **state)
{
    struct machine *m = guest_new_mode(V(17), 1, 64, &hvm);
    struct physdev_map_pirq a = {.domid = DOMID_SELF, .type = MAP_PIRQ_TYPE_GSI, .index = 4, .pirq = -1};

    assert_int_equal(map(m, &a), XEN_EINVAL);
    assert_int_equal(set_callback(m, CALLBACK_VECTOR_F3), 0);
    assert_int_equal(map(m, &a), 0);
    machine_free(m);
}

/* A guest without a passed-through device has no message to map; the call changes nothing but the type it names. */
static void messages_are_refused(void **state)
{
    static const struct {
        unsigned version;
        int type, type_after;
        uint64_t table_base;
    } rows[] = {
        {V(1), MAP_PIRQ_TYPE_MSI, MAP_PIRQ_TYPE_MSI, 0},
        {V(17), MAP_PIRQ_TYPE_MSI, MAP_PIRQ_TYPE_MSI, 0xfe000000},
        {V(1), MAP_PIRQ_TYPE_MSI_SEG, MAP_PIRQ_TYPE_MSI_SEG, 0},
        {V(2), MAP_PIRQ_TYPE_MSI_SEG, MAP_PIRQ_TYPE_MSI, 0},
        {V(17), MAP_PIRQ_TYPE_MSI_SEG, MAP_PIRQ_TYPE_MSI, 0},
        {V(17), MAP_PIRQ_TYPE_MULTI_MSI, MAP_PIRQ_TYPE_MULTI_MSI, 0},
        {V(17), MAP_PIRQ_TYPE_MULTI_MSI, MAP_PIRQ_TYPE_MULTI_MSI, 0xfe000000},
        {V(17), MAP_PIRQ_TYPE_UNKNOWN, MAP_PIRQ_TYPE_UNKNOWN, 0},
        {V(17), 99, 99, 0},
    };

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct machine *m = guest_with_vector(rows[i].version);
        struct physdev_map_pirq a = {
            .domid = DOMID_SELF, .type = rows[i].type, .index = -1, .pirq = -1, .table_base = rows[i].table_base};

        assert_int_equal(map(m, &a), XEN_EINVAL);
        assert_int_equal(a.type, rows[i].type_after);
        assert_int_equal(a.pirq, -1);
        assert_int_equal(machine_verdict(m)->kind, VERDICT_NONE);
        machine_free(m);
    }
}

/* Seed S2.1(6): the second mapping of an emulated line answers 0, names a new pirq, and stores nothing. */
static void a_line_that_has_a_pirq_keeps_it(void **state)
{
    struct machine *m = guest_with_vector(V(17));
    struct physdev_map_pirq first = {.domid = DOMID_SELF, .type = MAP_PIRQ_TYPE_GSI, .index = 4, .pirq = -1};
    struct physdev_map_pirq second = first, taken = first;

    assert_int_equal(map(m, &first), 0);
    assert_int_equal(first.pirq, 16);
    assert_int_equal(map(m, &second), 0);
    assert_int_equal(second.pirq, 17);
    taken.index = 5;
    taken.pirq = 16;
    assert_int_equal(map(m, &taken), 0);
    assert_int_equal(xen_gsi_pirq(xen_state(m), 4), 16);
    assert_int_equal(xen_gsi_pirq(xen_state(m), 5), -1);
    machine_free(m);
}

static void unmapping_is_checked(void **state)
{
    static const struct {
        unsigned version;
        uint16_t domid;
        int pirq;
        int64_t answer;
    } rows[] = {
        {V(17), DOMID_SELF, 40, 0},
        {V(17), DOMID_SELF, 41, 0},
        {V(17), DOMID_SELF, 100000, 0},
        {V(17), DOMID_SELF, -1, 0},
        {V(1), DOMID_SELF, 100000, XEN_EINVAL},
        {V(1), DOMID_SELF, -1, XEN_EINVAL},
        {V(1), DOMID_SELF, 41, 0},
        {V(2), DOMID_SELF, 100000, 0},
        {V(17), 9, 40, XEN_ESRCH},
        {V(1), 9, 100000, XEN_ESRCH},
        {V(17), 0, 40, XEN_EPERM},
        {V(17), XEN_GUEST_DOMID, 40, XEN_EPERM},
    };

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct machine *m = guest_with_vector(rows[i].version);
        struct physdev_map_pirq a = {.domid = DOMID_SELF, .type = MAP_PIRQ_TYPE_GSI, .index = 20, .pirq = 40};
        struct physdev_unmap_pirq u = {.domid = rows[i].domid, .pirq = rows[i].pirq};

        assert_int_equal(map(m, &a), 0);
        assert_int_equal(CALL(m, __HYPERVISOR_physdev_op, PHYSDEVOP_unmap_pirq, &u), rows[i].answer);
        assert_int_equal(xen_gsi_pirq(xen_state(m), 20), !rows[i].answer && rows[i].pirq == 40 ? -1 : 40);
        machine_free(m);
    }
}

static void free_pirqs_are_different_and_run_out(void **state)
{
    static const struct {
        int type;
        unsigned first, second, count;
    } rows[] = {{MAP_PIRQ_TYPE_GSI, 16, 17, PIRQS - 16}, {MAP_PIRQ_TYPE_MSI, PIRQS - 1, PIRQS - 2, PIRQS - 48}};

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct machine *m = guest_new_mode(V(17), 1, 64, &hvm);
        struct physdev_get_free_pirq a = {.type = rows[i].type};
        uint8_t seen[PIRQS] = {0};
        unsigned count = 0;
        int64_t answer;

        while (!(answer = CALL(m, __HYPERVISOR_physdev_op, PHYSDEVOP_get_free_pirq, &a))) {
            assert_in_range(a.pirq, 16, PIRQS - 1);
            assert_int_equal(seen[a.pirq], 0);
            seen[a.pirq] = 1;
            if (count < 2)
                assert_int_equal(a.pirq, count ? rows[i].second : rows[i].first);
            count++;
        }
        assert_int_equal(answer, XEN_ENOSPC);
        assert_int_equal(count, rows[i].count);
        machine_free(m);
    }
}

static void eoi_and_status_want_a_pirq_that_is_known(void **state)
{
    static const struct {
        unsigned version;
        uint32_t irq;
        int64_t eoi, status;
    } rows[] = {
        {V(17), 40, 0, 0},
        {V(17), 41, XEN_EINVAL, XEN_EINVAL},
        {V(1), 41, 0, XEN_EINVAL},
        {V(2), 41, XEN_EINVAL, XEN_EINVAL},
        {V(17), PIRQS, XEN_EINVAL, XEN_EINVAL},
        {V(1), UINT32_MAX, XEN_EINVAL, XEN_EINVAL},
    };

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct machine *m = guest_with_vector(rows[i].version);
        struct physdev_map_pirq a = {.domid = DOMID_SELF, .type = MAP_PIRQ_TYPE_GSI, .index = 20, .pirq = 40};
        struct physdev_eoi e = {.irq = rows[i].irq};
        struct physdev_irq_status_query q = {.irq = rows[i].irq};

        assert_int_equal(map(m, &a), 0);
        assert_int_equal(CALL(m, __HYPERVISOR_physdev_op, PHYSDEVOP_eoi, &e), rows[i].eoi);
        assert_int_equal(CALL(m, __HYPERVISOR_physdev_op, PHYSDEVOP_irq_status_query, &q), rows[i].status);
        assert_int_equal(q.flags, rows[i].status ? 0 : XENIRQSTAT_needs_eoi);
        machine_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_answers_by_mode),
        cmocka_unit_test(mapping_is_checked),
        cmocka_unit_test(lines_are_mapped_only_where_events_come_by_vector),
        cmocka_unit_test(messages_are_refused),
        cmocka_unit_test(a_line_that_has_a_pirq_keeps_it),
        cmocka_unit_test(unmapping_is_checked),
        cmocka_unit_test(free_pirqs_are_different_and_run_out),
        cmocka_unit_test(eoi_and_status_want_a_pirq_that_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
