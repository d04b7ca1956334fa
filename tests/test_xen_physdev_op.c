#include "tests/xen_guest.h"

#define V(minor) XEN_VERSION(4, minor)
#define ROWS(a)  (sizeof(a) / sizeof((a)[0]))

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

    for (unsigned i = 0; i < ROWS(rows); i++) {
        struct machine *p = guest_new(V(17), 1), *h = guest_new_mode(V(17), 1, 64, &hvm);

        assert_int_equal(call(p, __HYPERVISOR_physdev_op, rows[i].op, BAD_GVA, 0), rows[i].pvh);
        assert_int_equal(call(h, __HYPERVISOR_physdev_op, rows[i].op, BAD_GVA, 0), rows[i].hvm);
        assert_int_equal(machine_verdict(h)->kind, VERDICT_NONE);
        machine_free(p);
        machine_free(h);
    }
}

static void mapping_is_checked(void **state)
{
    static const struct {
        uint16_t domid;
        int index, pirq;
        int64_t answer;
    } rows[] = {
        {DOMID_SELF, -1, -1, XEN_EINVAL},
        {DOMID_SELF, 1000, -1, XEN_EINVAL},
        {DOMID_SELF, 20, 256, XEN_EINVAL},
        {DOMID_SELF, 20, INT32_MAX, XEN_EINVAL},
        {9, 20, -1, XEN_ESRCH},
        {0, 20, -1, XEN_EPERM},
        {DOMID_SELF, 20, 40, 0},
    };
    struct machine *m = guest_new_mode(V(17), 1, 64, &hvm);

    for (unsigned i = 0; i < ROWS(rows); i++) {
        struct physdev_map_pirq a = {
            .domid = rows[i].domid, .type = MAP_PIRQ_TYPE_GSI, .index = rows[i].index, .pirq = rows[i].pirq};

        assert_int_equal(CALL(m, __HYPERVISOR_physdev_op, PHYSDEVOP_map_pirq, &a), rows[i].answer);
    }
    machine_free(m);
}

static void a_pirq_is_unmapped_once(void **state)
{
    struct machine *m = guest_new_mode(V(17), 1, 64, &hvm);
    struct physdev_map_pirq a = {.domid = DOMID_SELF, .type = MAP_PIRQ_TYPE_GSI, .index = 20, .pirq = 40};
    struct physdev_unmap_pirq u = {.domid = DOMID_SELF, .pirq = 40};

    assert_int_equal(CALL(m, __HYPERVISOR_physdev_op, PHYSDEVOP_unmap_pirq, &u), XEN_EINVAL);
    assert_int_equal(CALL(m, __HYPERVISOR_physdev_op, PHYSDEVOP_map_pirq, &a), 0);
    assert_int_equal(CALL(m, __HYPERVISOR_physdev_op, PHYSDEVOP_unmap_pirq, &u), 0);
    assert_int_equal(CALL(m, __HYPERVISOR_physdev_op, PHYSDEVOP_unmap_pirq, &u), XEN_EINVAL);
    u.pirq = 100000;
    assert_int_equal(CALL(m, __HYPERVISOR_physdev_op, PHYSDEVOP_unmap_pirq, &u), XEN_EINVAL);
    machine_free(m);
}

static void free_pirqs_are_different_and_run_out(void **state)
{
    struct machine *m = guest_new_mode(V(17), 1, 64, &hvm);
    struct physdev_get_free_pirq a = {0};
    uint8_t seen[PIRQS] = {0};
    unsigned count = 0;
    int64_t answer;

    while (!(answer = CALL(m, __HYPERVISOR_physdev_op, PHYSDEVOP_get_free_pirq, &a))) {
        assert_in_range(a.pirq, 16, PIRQS - 1);
        assert_int_equal(seen[a.pirq], 0);
        seen[a.pirq] = 1;
        count++;
    }
    assert_int_equal(answer, XEN_ENOSPC);
    assert_int_equal(count, PIRQS - 16);
    machine_free(m);
}

static void eoi_and_status_want_a_pirq_that_exists(void **state)
{
    static const struct {
        uint32_t irq;
        int64_t answer;
    } rows[] = {{0, 0}, {PIRQS - 1, 0}, {PIRQS, XEN_EINVAL}, {UINT32_MAX, XEN_EINVAL}};
    struct machine *m = guest_new_mode(V(17), 1, 64, &hvm);

    for (unsigned i = 0; i < ROWS(rows); i++) {
        struct physdev_eoi e = {.irq = rows[i].irq};
        struct physdev_irq_status_query q = {.irq = rows[i].irq};

        assert_int_equal(CALL(m, __HYPERVISOR_physdev_op, PHYSDEVOP_eoi, &e), rows[i].answer);
        assert_int_equal(CALL(m, __HYPERVISOR_physdev_op, PHYSDEVOP_irq_status_query, &q), rows[i].answer);
    }
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_answers_by_mode),
        cmocka_unit_test(mapping_is_checked),
        cmocka_unit_test(a_pirq_is_unmapped_once),
        cmocka_unit_test(free_pirqs_are_different_and_run_out),
        cmocka_unit_test(eoi_and_status_want_a_pirq_that_exists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
