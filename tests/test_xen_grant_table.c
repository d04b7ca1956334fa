/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/xen_guest.h"

#include "emu/base/count.h"

#define LIST_GPA 0x12000ull

static int64_t grant(struct machine *m, unsigned op, void *arg, size_t bytes, uint64_t count)
{
    int64_t answer;

    put(m, ARG_GPA, arg, bytes);
    answer = call(m, __HYPERVISOR_grant_table_op, op, ARG_GPA, count);
    get(m, ARG_GPA, arg, bytes);
    return answer;
}

static void every_row_answers_without_its_structure(void **state)
{
    static const struct bare_row rows[] = {
        {V(17), GNTTABOP_map_grant_ref, XEN_EFAULT},
        {V(17), GNTTABOP_unmap_grant_ref, XEN_EFAULT},
        {V(17), GNTTABOP_setup_table, XEN_EFAULT},
        {V(17), GNTTABOP_dump_table, XEN_ENOSYS},
        {V(17), GNTTABOP_transfer, XEN_ENOSYS},
        {V(17), GNTTABOP_copy, XEN_EFAULT},
        {V(17), GNTTABOP_query_size, XEN_EFAULT},
        {V(17), GNTTABOP_unmap_and_replace, XEN_ENOSYS},
        {V(17), GNTTABOP_set_version, XEN_EFAULT},
        {V(17), GNTTABOP_get_version, XEN_EFAULT},
        {V(17), GNTTABOP_swap_grant_ref, XEN_EFAULT},
        {V(1), GNTTABOP_swap_grant_ref, XEN_ENOSYS},
        {V(17), 99, XEN_ENOSYS},
    };

    check_bare_rows(__HYPERVISOR_grant_table_op, 1, rows, COUNT(rows));
}

static void a_table_is_set_up_within_its_limit(void **state)
{
    static const struct {
        unsigned version;
        uint16_t domid;
        uint32_t frames;
        int16_t status;
    } rows[] = {
        {V(17), DOMID_SELF, 1, GNTST_okay},
        {V(17), DOMID_SELF, 64, GNTST_okay},
        {V(17), DOMID_SELF, 65, GNTST_general_error},
        {V(4), DOMID_SELF, 32, GNTST_okay},
        {V(4), DOMID_SELF, 33, GNTST_general_error},
        {V(17), 9, 1, GNTST_bad_domain},
        {V(17), DOMID_SELF, UINT32_MAX, GNTST_general_error},
    };

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct machine *m = guest_new(rows[i].version, 1);
        struct gnttab_setup_table s = {.dom = rows[i].domid, .nr_frames = rows[i].frames, .status = 77};
        struct gnttab_query_size q = {.dom = DOMID_SELF};

        set_xen_guest_handle(s.frame_list, (xen_pfn_t *)LIST_GPA);
        assert_int_equal(grant(m, GNTTABOP_setup_table, &s, sizeof(s), 2), XEN_EINVAL);
        assert_int_equal(s.status, 77);
        assert_int_equal(grant(m, GNTTABOP_setup_table, &s, sizeof(s), 1), 0);
        assert_int_equal(s.status, rows[i].status);
        assert_int_equal(grant(m, GNTTABOP_query_size, &q, sizeof(q), 1), 0);
        assert_int_equal(q.nr_frames, rows[i].status == GNTST_okay ? rows[i].frames : 1);
        machine_free(m);
    }
}

static void a_table_only_grows(void **state)
{
    struct machine *m = guest_new(V(17), 1);
    struct gnttab_query_size q = {.dom = DOMID_SELF};
    static const uint32_t frames[] = {4, 2};

    for (unsigned i = 0; i < COUNT(frames); i++) {
        struct gnttab_setup_table s = {.dom = DOMID_SELF, .nr_frames = frames[i]};

        set_xen_guest_handle(s.frame_list, (xen_pfn_t *)LIST_GPA);
        assert_int_equal(grant(m, GNTTABOP_setup_table, &s, sizeof(s), 1), 0);
        assert_int_equal(grant(m, GNTTABOP_query_size, &q, sizeof(q), 1), 0);
        assert_int_equal(q.nr_frames, 4);
    }
    machine_free(m);
}

static void a_change_of_version_clears_the_entries(void **state)
{
    struct machine *m = guest_new(V(17), 1);
    struct xen_add_to_physmap a = {.domid = DOMID_SELF, .space = XENMAPSPACE_grant_table, .gpfn = 0x80};
    struct gnttab_set_version v = {.version = 1};
    struct gnttab_get_version g = {.dom = DOMID_SELF};

    assert_int_equal(CALL(m, __HYPERVISOR_memory_op, XENMEM_add_to_physmap, &a), 0);
    put(m, 0x80000 + 0x800, &(uint64_t){0x1234}, 8);
    assert_int_equal(grant(m, GNTTABOP_set_version, &v, sizeof(v), 1), 0); /* the same: nothing happens */
    assert_int_equal(get_word(m, 0x80000 + 0x800, 8), 0x1234);
    v.version = 2;
    assert_int_equal(grant(m, GNTTABOP_set_version, &v, sizeof(v), 1), 0);
    assert_int_equal(get_word(m, 0x80000 + 0x800, 8), 0);
    assert_int_equal(grant(m, GNTTABOP_get_version, &g, sizeof(g), 1), 0);
    assert_int_equal(g.version, 2);
    v.version = 3;
    assert_int_equal(grant(m, GNTTABOP_set_version, &v, sizeof(v), 1), XEN_EINVAL);
    machine_free(m);
}

static void reserved_entries_outlive_a_change_of_version(void **state)
{
    struct machine *m = guest_new(V(17), 1);
    struct xen_add_to_physmap a = {.domid = DOMID_SELF, .space = XENMAPSPACE_grant_table, .gpfn = 0x80};
    struct gnttab_set_version v = {.version = 2};
    struct grant_entry_v1 one = {.flags = GTF_permit_access | GTF_reading, .domid = 7, .frame = 0x1234};
    union grant_entry_v2 two;

    assert_int_equal(CALL(m, __HYPERVISOR_memory_op, XENMEM_add_to_physmap, &a), 0);
    put(m, 0x80000 + 3 * sizeof(one), &one, sizeof(one));
    assert_int_equal(grant(m, GNTTABOP_set_version, &v, sizeof(v), 1), 0);
    get(m, 0x80000 + 3 * sizeof(two), &two, sizeof(two));
    assert_int_equal(two.hdr.flags, GTF_permit_access);
    assert_int_equal(two.hdr.domid, 7);
    assert_int_equal(two.full_page.frame, 0x1234);
    v.version = 1;
    two.full_page.frame = 1ull << 32;
    put(m, 0x80000 + 3 * sizeof(two), &two, sizeof(two));
    assert_int_equal(grant(m, GNTTABOP_set_version, &v, sizeof(v), 1), XEN_ERANGE);
    assert_int_equal(v.version, 2);
    two.full_page.frame = 0x4321;
    put(m, 0x80000 + 3 * sizeof(two), &two, sizeof(two));
    v.version = 1;
    assert_int_equal(grant(m, GNTTABOP_set_version, &v, sizeof(v), 1), 0);
    get(m, 0x80000 + 3 * sizeof(one), &one, sizeof(one));
    assert_int_equal(one.flags, GTF_permit_access | GTF_reading);
    assert_int_equal(one.domid, 7);
    assert_int_equal(one.frame, 0x4321);
    machine_free(m);
}

static void grants_of_others_lead_nowhere(void **state)
{
    struct machine *m = guest_new(V(17), 1);
    struct gnttab_map_grant_ref map = {.flags = GNTMAP_host_map, .dom = 9};
    struct gnttab_unmap_grant_ref unmap = {.handle = 5};

    assert_int_equal(grant(m, GNTTABOP_map_grant_ref, &map, sizeof(map), 1), 0);
    assert_int_equal(map.status, GNTST_bad_domain);
    map.dom = 0;
    assert_int_equal(grant(m, GNTTABOP_map_grant_ref, &map, sizeof(map), 1), 0);
    assert_int_equal(map.status, GNTST_bad_gntref);
    assert_int_equal(grant(m, GNTTABOP_unmap_grant_ref, &unmap, sizeof(unmap), 1), 0);
    assert_int_equal(unmap.status, GNTST_bad_handle);
    machine_free(m);
}

static void copies_between_own_frames_are_checked(void **state)
{
    static const struct {
        uint16_t source_offset, dest_offset, len, flags, domid;
        uint64_t dest_gfn;
        int16_t status;
    } rows[] = {
        {16, 32, 8, 0, DOMID_SELF, 0x91, GNTST_okay},
        {0, 0, 4096, 0, DOMID_SELF, 0x91, GNTST_okay},
        {4089, 0, 8, 0, DOMID_SELF, 0x91, GNTST_bad_copy_arg},
        {0, 4089, 8, 0, DOMID_SELF, 0x91, GNTST_bad_copy_arg},
        {0, 0, 4097, 0, DOMID_SELF, 0x91, GNTST_bad_copy_arg},
        {0, 0, 8, GNTCOPY_source_gref, DOMID_SELF, 0x91, GNTST_bad_gntref},
        {0, 0, 8, 0, 0, 0x91, GNTST_permission_denied},
        {0, 0, 8, 0, DOMID_SELF, PLAYED_RAM_BYTES >> PAGE_SHIFT, GNTST_bad_page},
        {0, 0, 8, 0, DOMID_SELF, (1ull << 52) + 0x91, GNTST_bad_page}, /* is not frame 0x91 */
    };
    struct machine *m = guest_new(V(17), 1);

    put(m, 0x90010, &(uint64_t){0x5566}, 8);
    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct gnttab_copy c = {.len = rows[i].len, .flags = rows[i].flags};

        c.source.u.gmfn = 0x90;
        c.source.domid = rows[i].domid;
        c.source.offset = rows[i].source_offset;
        c.dest.u.gmfn = rows[i].dest_gfn;
        c.dest.domid = DOMID_SELF;
        c.dest.offset = rows[i].dest_offset;
        assert_int_equal(grant(m, GNTTABOP_copy, &c, sizeof(c), 1), 0);
        if (c.status != rows[i].status)
            print_message("row %u: status %d\n", i, c.status);
        assert_int_equal(c.status, rows[i].status);
        if (i == 0)
            assert_int_equal(get_word(m, 0x91020, 8), 0x5566);
    }
    machine_free(m);
}

#define TABLE_GPA 0x50000ull
#define FRAME_GPA 0x60000ull
#define ALIAS_GPA 0x70000ull

/* A guest that maps its own entry: it is pinned, and a pinned one keeps the table's version. */
static void a_pinned_entry_keeps_the_version(void **state)
{
    static const struct {
        unsigned ref;
        uint16_t flags, domid;
        int16_t status;
    } rows[] = {
        {8, GTF_permit_access, XEN_GUEST_DOMID, GNTST_okay},
        {9, GTF_invalid, XEN_GUEST_DOMID, GNTST_bad_gntref},
        {9, GTF_permit_access, 7, GNTST_bad_gntref},
        {511, GTF_permit_access | GTF_readonly, XEN_GUEST_DOMID, GNTST_okay},
        {512, GTF_permit_access, XEN_GUEST_DOMID, GNTST_bad_gntref},
        {UINT32_MAX, GTF_permit_access, XEN_GUEST_DOMID, GNTST_bad_gntref},
    };

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct machine *m = guest_new(V(17), 1);
        struct xen_add_to_physmap map = {
            .domid = DOMID_SELF, .space = XENMAPSPACE_grant_table, .gpfn = TABLE_GPA >> PAGE_SHIFT};
        struct grant_entry_v1 entry = {
            .flags = rows[i].flags, .domid = rows[i].domid, .frame = FRAME_GPA >> PAGE_SHIFT};
        struct gnttab_map_grant_ref ref = {
            .host_addr = ALIAS_GPA, .flags = GNTMAP_host_map, .ref = rows[i].ref, .dom = XEN_GUEST_DOMID};
        struct gnttab_set_version two = {.version = 2};
        bool mapped = rows[i].status == GNTST_okay;

        put(m, ARG_GPA, &map, sizeof(map));
        assert_int_equal(call(m, __HYPERVISOR_memory_op, XENMEM_add_to_physmap, ARG_GPA, 0), 0);
        if (rows[i].ref < 512)
            put(m, TABLE_GPA + rows[i].ref * sizeof(entry), &entry, sizeof(entry));
        put(m, FRAME_GPA, &(uint64_t){0x1122}, 8);
        assert_int_equal(grant(m, GNTTABOP_map_grant_ref, &ref, sizeof(ref), 1), 0);
        assert_int_equal(ref.status, rows[i].status);
        assert_int_equal(get_word(m, ALIAS_GPA, 8), mapped ? 0x1122 : 0);
        assert_int_equal(grant(m, GNTTABOP_set_version, &two, sizeof(two), 1), mapped ? XEN_EBUSY : 0);
        if (mapped) {
            struct gnttab_unmap_grant_ref unmap = {.host_addr = ALIAS_GPA, .handle = ref.handle};

            assert_int_equal(get_word(m, TABLE_GPA + rows[i].ref * sizeof(entry), 2) & (GTF_reading | GTF_writing),
                             GTF_reading | GTF_writing);
            assert_int_equal(grant(m, GNTTABOP_unmap_grant_ref, &unmap, sizeof(unmap), 1), 0);
            assert_int_equal(unmap.status, GNTST_okay);
            assert_int_equal(get_word(m, TABLE_GPA + rows[i].ref * sizeof(entry), 2), rows[i].flags);
            assert_int_equal(grant(m, GNTTABOP_unmap_grant_ref, &unmap, sizeof(unmap), 1), 0);
            assert_int_equal(unmap.status, GNTST_bad_handle);
            assert_int_equal(grant(m, GNTTABOP_set_version, &two, sizeof(two), 1), 0);
        }
        machine_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_answers_without_its_structure),
        cmocka_unit_test(a_table_is_set_up_within_its_limit),
        cmocka_unit_test(a_table_only_grows),
        cmocka_unit_test(a_change_of_version_clears_the_entries),
        cmocka_unit_test(reserved_entries_outlive_a_change_of_version),
        cmocka_unit_test(grants_of_others_lead_nowhere),
        cmocka_unit_test(copies_between_own_frames_are_checked),
        cmocka_unit_test(a_pinned_entry_keeps_the_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
