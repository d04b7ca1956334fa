/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/xen_guest.h"

#include <inttypes.h>

#include "emu/base/count.h"
#include "models/xen/pvh_loader.h"

#define EXTENTS_GVA 0x210000ull
#define END_GFN     (PLAYED_RAM_BYTES >> PAGE_SHIFT)

static void every_row_answers_without_its_structure(void **state)
{
    static const struct bare_row rows[] = {
        {V(17), XENMEM_increase_reservation, 0},
        {V(17), XENMEM_decrease_reservation, 0},
        {V(17), XENMEM_populate_physmap, 0},
        {V(17), XENMEM_current_reservation, XEN_EFAULT},
        {V(17), XENMEM_maximum_reservation, XEN_EFAULT},
        {V(17), XENMEM_maximum_gpfn, XEN_EFAULT},
        {V(17), XENMEM_machphys_mfn_list, XEN_EFAULT},
        {V(17), XENMEM_machine_memory_map, XEN_ENOSYS},
        {V(17), XENMEM_machphys_mapping, XEN_ENOSYS},
        {V(17), XENMEM_add_to_physmap, XEN_EFAULT},
        {V(17), XENMEM_remove_from_physmap, XEN_EFAULT},
        {V(1), XENMEM_remove_from_physmap, XEN_ENOSYS},
        {V(17), XENMEM_memory_map, XEN_EFAULT},
        {V(4), XENMEM_memory_map, XEN_ENOSYS},
        {V(17), XENMEM_set_memory_map, XEN_EFAULT},
        {V(17), XENMEM_claim_pages, XEN_EFAULT},
        {V(2), XENMEM_claim_pages, XEN_ENOSYS},
        {V(17), XENMEM_add_to_physmap_batch, XEN_EFAULT},
        {V(2), XENMEM_add_to_physmap_batch, XEN_ENOSYS},
        {V(17), 60, XEN_ENOSYS},
    };

    check_bare_rows(__HYPERVISOR_memory_op, 0, rows, COUNT(rows));
}

static void a_mapping_is_checked(void **state)
{
    static const struct {
        uint16_t domid;
        unsigned space;
        uint64_t index, gfn;
        int64_t answer;
    } rows[] = {
        {DOMID_SELF, XENMAPSPACE_shared_info, 0, 0x300, 0},
        {DOMID_SELF, XENMAPSPACE_shared_info, 1, 0x300, XEN_EINVAL},
        {XEN_GUEST_DOMID, XENMAPSPACE_shared_info, 0, 0x301, 0},
        {9, XENMAPSPACE_shared_info, 0, 0x300, XEN_ESRCH},
        {DOMID_SELF, XENMAPSPACE_grant_table, 0, 0x302, 0},
        {DOMID_SELF, XENMAPSPACE_grant_table, 63, 0x303, 0},
        {DOMID_SELF, XENMAPSPACE_grant_table, 64, 0x304, XEN_EINVAL},
        {DOMID_SELF, XENMAPSPACE_gmfn_foreign, 0, 0x304, XEN_ENOSYS},
        {DOMID_SELF, XENMAPSPACE_gmfn, 0x305, 0x306, 0},
        {DOMID_SELF, XENMAPSPACE_gmfn, END_GFN, 0x306, XEN_EINVAL},
        {DOMID_SELF, 99, 0, 0x307, XEN_EINVAL},
    };
    struct machine *m = guest_new(V(17), 1);

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct xen_add_to_physmap a = {
            .domid = rows[i].domid, .space = rows[i].space, .idx = rows[i].index, .gpfn = rows[i].gfn};
        int64_t answer = CALL(m, __HYPERVISOR_memory_op, XENMEM_add_to_physmap, &a);

        if (answer != rows[i].answer)
            print_message("row %u: answer %" PRId64 "\n", i, answer);
        assert_int_equal(answer, rows[i].answer);
    }
    assert_int_equal(machine_verdict(m)->kind, VERDICT_NONE);
    machine_free(m);
}

/* 2^52 + 5 is no frame number, and not frame 5. */
static void a_range_of_frames_does_not_wrap(void **state)
{
    struct machine *m = guest_new(V(17), 1);
    struct xen_add_to_physmap a = {
        .domid = DOMID_SELF, .size = 1, .space = XENMAPSPACE_gmfn_range, .idx = 0x305, .gpfn = (1ull << 52) + 5};

    put(m, 0x5000, &(uint64_t){0x1122}, 8);
    put(m, 0x305000, &(uint64_t){0x3344}, 8);
    assert_int_equal(CALL(m, __HYPERVISOR_memory_op, XENMEM_add_to_physmap, &a), XEN_EINVAL);
    assert_int_equal(get_word(m, 0x5000, 8), 0x1122);
    assert_int_equal(get_word(m, 0x305000, 8), 0x3344);
    assert_false(xen_gfn_is_hole(xen_state(m), 0x305));
    machine_free(m);
}

static void shared_info_moves_with_its_content_and_leaves_a_hole(void **state)
{
    struct machine *m = guest_new(V(17), 1);
    struct xen_add_to_physmap a = {.domid = DOMID_SELF, .space = XENMAPSPACE_shared_info};
    static const uint64_t mark = 0x1122334455667788ull;
    uint64_t seen;

    assert_int_equal(map_shared_info(m, 0x300), 0);
    put(m, 0x300000 + 0xa00, &mark, sizeof(mark));
    assert_int_equal(map_shared_info(m, 0x310), 0);
    get(m, 0x310000 + 0xa00, &seen, sizeof(seen));
    assert_true(seen == mark);
    assert_true(memory_is_hole(machine_memory(m), 0x300000));
    assert_true(peek_word(m, 0x300000 + 0xa00, 8) == UINT64_MAX);
    a.gpfn = 0x400000; /* outside RAM it is reached through the model */
    assert_int_equal(CALL(m, __HYPERVISOR_memory_op, XENMEM_add_to_physmap, &a), 0);
    assert_int_equal(played_mmio_read(m, (0x400000ull << PAGE_SHIFT) + 0xa00, 8, &seen), MODEL_DONE);
    assert_true(seen == mark);
    assert_int_equal(played_mmio_write(m, (0x400000ull << PAGE_SHIFT) + 0xa00, 4, 0), MODEL_DONE);
    assert_int_equal(played_mmio_read(m, (0x400000ull << PAGE_SHIFT) + 0xa00, 8, &seen), MODEL_DONE);
    assert_true(seen == 0x1122334400000000ull);
    machine_free(m);
}

static int64_t reservation(struct machine *m, uint64_t op, const uint64_t *gfns, unsigned count, unsigned order)
{
    struct xen_memory_reservation r = {.nr_extents = count, .extent_order = order, .domid = DOMID_SELF};
    uint64_t gva = EXTENTS_GVA;

    memcpy(&r.extent_start, &gva, sizeof(gva));
    put(m, EXTENTS_GVA, gfns, count * sizeof(*gfns));
    return CALL(m, __HYPERVISOR_memory_op, op, &r);
}

static int64_t pages(struct machine *m, uint64_t op)
{
    uint16_t domid = DOMID_SELF;

    return CALL(m, __HYPERVISOR_memory_op, op, &domid);
}

static void balloon_pages_go_and_come_back_as_zeros(void **state)
{
    static const uint64_t gfns[] = {0x300, 0x301, 0x305};
    struct machine *m = guest_new(V(17), 1);
    uint64_t mark = 1, seen;

    put(m, 0x301000, &mark, sizeof(mark));
    assert_int_equal(reservation(m, XENMEM_decrease_reservation, gfns, 3, 0), 3);
    assert_int_equal(pages(m, XENMEM_current_reservation), END_GFN - 3);
    assert_int_equal(pages(m, XENMEM_maximum_reservation), END_GFN);
    assert_int_equal(reservation(m, XENMEM_decrease_reservation, gfns, 3, 0), 0); /* they are holes already */
    assert_int_equal(reservation(m, XENMEM_populate_physmap, gfns, 3, 0), 3);
    assert_int_equal(pages(m, XENMEM_current_reservation), END_GFN);
    get(m, 0x301000, &seen, sizeof(seen));
    assert_int_equal(seen, 0);
    put(m, 0x301000, &mark, sizeof(mark));
    assert_int_equal(reservation(m, XENMEM_populate_physmap, gfns, 3, 0), 3); /* what is there is replaced */
    get(m, 0x301000, &seen, sizeof(seen));
    assert_int_equal(seen, 0);
    assert_int_equal(pages(m, XENMEM_current_reservation), END_GFN);
    machine_free(m);
}

static void a_bad_frame_stops_at_the_extents_done(void **state)
{
    static const uint64_t gfns[] = {0x300, 0x301, END_GFN, 0x302}, big[] = {0x400}, next[] = {0x800};
    struct machine *m = guest_new(V(17), 1);

    assert_int_equal(reservation(m, XENMEM_decrease_reservation, gfns, 4, 0), 2);
    assert_int_equal(pages(m, XENMEM_current_reservation), END_GFN - 2);
    assert_int_equal(reservation(m, XENMEM_decrease_reservation, big, 1, 9), 1);
    assert_int_equal(pages(m, XENMEM_current_reservation), END_GFN - 2 - 512);
    assert_int_equal(reservation(m, XENMEM_decrease_reservation, next, 1, 10), 0); /* too large for a guest */
    machine_free(m);
}

static void a_removed_frame_is_a_hole(void **state)
{
    static const struct {
        uint16_t domid;
        uint64_t gfn;
        int64_t answer;
    } rows[] = {
        {DOMID_SELF, 0x320, 0},
        {DOMID_SELF, 0x320, XEN_ENOENT},
        {DOMID_SELF, 0x310, 0}, /* shared_info */
        {DOMID_SELF, END_GFN, XEN_ENOENT},
        {9, 0x321, XEN_ESRCH},
    };
    struct machine *m = guest_new(V(17), 1);

    assert_int_equal(map_shared_info(m, 0x310), 0);
    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct xen_remove_from_physmap r = {.domid = rows[i].domid, .gpfn = rows[i].gfn};

        assert_int_equal(CALL(m, __HYPERVISOR_memory_op, XENMEM_remove_from_physmap, &r), rows[i].answer);
    }
    assert_int_equal(pages(m, XENMEM_current_reservation), END_GFN - 2);
    machine_free(m);
}

static void a_batch_tells_each_entrys_error(void **state)
{
    static const uint64_t indices[] = {0, 64, 1}, gfns[] = {0x330, 0x331, 0x332};
    struct machine *m = guest_new(V(17), 1);
    struct xen_add_to_physmap_batch b = {.domid = DOMID_SELF, .space = XENMAPSPACE_grant_table, .size = 3};
    uint64_t gva[] = {EXTENTS_GVA, EXTENTS_GVA + 0x100, EXTENTS_GVA + 0x200};
    int32_t errors[3];

    put(m, gva[0], indices, sizeof(indices));
    put(m, gva[1], gfns, sizeof(gfns));
    memcpy(&b.idxs, &gva[0], 8);
    memcpy(&b.gpfns, &gva[1], 8);
    memcpy(&b.errs, &gva[2], 8);
    assert_int_equal(CALL(m, __HYPERVISOR_memory_op, XENMEM_add_to_physmap_batch, &b), 0);
    get(m, gva[2], errors, sizeof(errors));
    assert_int_equal(errors[0], 0);
    assert_int_equal(errors[1], XEN_EINVAL);
    assert_int_equal(errors[2], 0);
    machine_free(m);
}

static void the_memory_map_covers_the_ram(void **state)
{
    struct {
        uint32_t entries, zero;
        uint64_t gva;
    } a = {.entries = 1, .gva = EXTENTS_GVA};
    struct {
        uint64_t gpa, bytes;
        uint32_t type;
    } __attribute__((packed)) e[16];
    struct machine *m = guest_new(V(17), 1);
    uint64_t end = 0;

    assert_int_equal(pages(m, XENMEM_maximum_gpfn) >= (int64_t)END_GFN - 1, 1);
    assert_int_equal(CALL(m, __HYPERVISOR_memory_op, XENMEM_memory_map, &a), 0);
    assert_int_equal(a.entries, 1);
    a.entries = COUNT(e);
    assert_int_equal(CALL(m, __HYPERVISOR_memory_op, XENMEM_memory_map, &a), 0);
    assert_in_range(a.entries, 2, COUNT(e));
    get(m, EXTENTS_GVA, e, sizeof(e));
    for (unsigned i = 0; i < a.entries; i++) {
        assert_true(e[i].gpa >= end); /* sorted, no overlap */
        end = e[i].gpa + e[i].bytes;
        if (e[i].type == XEN_HVM_MEMMAP_TYPE_RAM)
            assert_true(end <= PLAYED_RAM_BYTES);
    }
    /* The ACPI tables lie in RAM's first MiB, as start_info says too. */
    assert_int_equal(e[1].gpa, PVH_ACPI_GPA);
    assert_int_equal(e[1].bytes, PVH_ACPI_BYTES);
    assert_int_equal(e[1].type, XEN_HVM_MEMMAP_TYPE_ACPI);
    machine_free(m);
}

/* GRUB's PVH image does this first. */
static void a_guest_may_set_its_own_map(void **state)
{
    static const struct xen_e820_entry map[] = {{0, 0x9f000, 1}, {0x100000, 0x700000, 1}, {0xfee00000, 0x1000, 2}};
    struct {
        uint16_t domid, zero[3];
        uint32_t entries, zero1;
        uint64_t buffer;
    } set = {.domid = DOMID_SELF, .entries = COUNT(map), .buffer = EXTENTS_GVA};
    struct {
        uint32_t entries, zero;
        uint64_t gva;
    } a = {.entries = 16, .gva = EXTENTS_GVA + 0x800};
    struct xen_e820_entry got[COUNT(map)];
    struct machine *m = guest_new(V(17), 1);

    put(m, EXTENTS_GVA, map, sizeof(map));
    assert_int_equal(CALL(m, __HYPERVISOR_memory_op, XENMEM_set_memory_map, &set), 0);
    assert_int_equal(CALL(m, __HYPERVISOR_memory_op, XENMEM_memory_map, &a), 0);
    assert_int_equal(a.entries, COUNT(map));
    get(m, EXTENTS_GVA + 0x800, got, sizeof(got));
    assert_memory_equal(got, map, sizeof(map));
    set.entries = 1025; /* too many; what was set stays */
    assert_int_equal(CALL(m, __HYPERVISOR_memory_op, XENMEM_set_memory_map, &set), XEN_EINVAL);
    set.entries = 1;
    set.domid = 9;
    assert_int_equal(CALL(m, __HYPERVISOR_memory_op, XENMEM_set_memory_map, &set), XEN_ESRCH);
    set.domid = DOMID_SELF;
    set.buffer = BAD_GVA;
    assert_int_equal(CALL(m, __HYPERVISOR_memory_op, XENMEM_set_memory_map, &set), XEN_EFAULT);
    assert_int_equal(CALL(m, __HYPERVISOR_memory_op, XENMEM_memory_map, &a), 0);
    assert_int_equal(a.entries, COUNT(map));
    set.entries = 0; /* none at all */
    set.buffer = EXTENTS_GVA;
    assert_int_equal(CALL(m, __HYPERVISOR_memory_op, XENMEM_set_memory_map, &set), 0);
    assert_int_equal(CALL(m, __HYPERVISOR_memory_op, XENMEM_memory_map, &a), XEN_ENOSYS);
    assert_int_equal(machine_verdict(m)->kind, VERDICT_NONE);
    machine_free(m);
}

static void an_hvm_guests_map_is_of_ram_above_the_first_mib(void **state)
{
    static const struct platform_config hvm = {.mode = PLATFORM_HVM};
    struct {
        uint32_t entries, zero;
        uint64_t gva;
    } a = {.entries = 16, .gva = EXTENTS_GVA};
    struct {
        uint64_t gpa, bytes;
        uint32_t type;
    } __attribute__((packed)) e;
    struct machine *m = guest_new_mode(V(17), 1, 64, &hvm);

    assert_int_equal(CALL(m, __HYPERVISOR_memory_op, XENMEM_memory_map, &a), 0);
    assert_int_equal(a.entries, 1);
    get(m, EXTENTS_GVA, &e, sizeof(e));
    assert_int_equal(e.gpa, 1 << 20);
    assert_int_equal(e.bytes, PLAYED_RAM_BYTES - (1 << 20));
    assert_int_equal(e.type, XEN_HVM_MEMMAP_TYPE_RAM);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_answers_without_its_structure),
        cmocka_unit_test(a_mapping_is_checked),
        cmocka_unit_test(a_range_of_frames_does_not_wrap),
        cmocka_unit_test(shared_info_moves_with_its_content_and_leaves_a_hole),
        cmocka_unit_test(balloon_pages_go_and_come_back_as_zeros),
        cmocka_unit_test(a_bad_frame_stops_at_the_extents_done),
        cmocka_unit_test(a_removed_frame_is_a_hole),
        cmocka_unit_test(a_batch_tells_each_entrys_error),
        cmocka_unit_test(the_memory_map_covers_the_ram),
        cmocka_unit_test(a_guest_may_set_its_own_map),
        cmocka_unit_test(an_hvm_guests_map_is_of_ram_above_the_first_mib),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
