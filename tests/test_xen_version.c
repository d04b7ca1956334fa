/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/xen_guest.h"

#include "emu/base/count.h"
#include "models/xen/version.h"

static void a_version_has_the_traits_of_the_last_row_not_newer(void **state)
{
    const struct xen_traits *t;
    struct diag d;

    assert_int_equal(xen_traits_count, 20);
    for (unsigned minor = 1; minor <= 20; minor++) {
        assert_int_equal(xen_traits_find(V(minor), &t, &d), EMU_OK);
        assert_int_equal(t->version, V(minor));
        assert_ptr_equal(t, &xen_traits_rows[minor - 1]);
    }
    assert_int_equal(xen_traits_find(V(0), &t, &d), EMU_EINPUT);
    assert_int_equal(xen_traits_find(V(21), &t, &d), EMU_EINPUT);
    assert_int_equal(xen_traits_find(XEN_VERSION(5, 0), &t, &d), EMU_EINPUT);
}

/* 4.10 refuses to poll a port that is not bound; it was taken for 4.7, which does not. */
static void a_version_between_others_is_itself(void **state)
{
    const struct xen_traits *t;
    struct diag d;

    assert_int_equal(xen_traits_find(V(10), &t, &d), EMU_OK);
    assert_true(t->poll_usable);
    assert_string_equal(t->changeset, "stable-4.10");
    assert_int_equal(t->domctl_interface, 0xf);
    assert_int_equal(xen_traits_find(V(9), &t, &d), EMU_OK);
    assert_false(t->poll_usable);
}

/* The length comes back; without a buffer it is all that does. */
static void texts_with_a_length_came_with_4_20(void **state)
{
    static const char text[] = "stable-4.20";
    struct machine *m = guest_new(V(20), 1), *before = guest_new(V(19), 1);
    uint32_t room = sizeof(text) - 1;
    char got[sizeof(text)] = {0};

    assert_int_equal(call(before, __HYPERVISOR_xen_version, 13, 0, 0), XEN_ENOSYS);
    assert_int_equal(call(m, __HYPERVISOR_xen_version, 13, 0, 0), (int64_t)sizeof(text) - 1);
    put(m, ARG_GPA, &room, sizeof(room));
    assert_int_equal(call(m, __HYPERVISOR_xen_version, 13, ARG_GPA, 0), (int64_t)sizeof(text) - 1);
    get(m, ARG_GPA + 4, got, room);
    assert_string_equal(got, text);
    room--;
    put(m, ARG_GPA, &room, sizeof(room));
    assert_int_equal(call(m, __HYPERVISOR_xen_version, 13, ARG_GPA, 0), XEN_ENOBUFS);
    assert_int_equal(call(m, __HYPERVISOR_xen_version, 11, BAD_GVA, 0), XEN_EFAULT);
    assert_int_equal(call(m, __HYPERVISOR_xen_version, 14, 0, 0), XEN_EPERM); /* the command line */
    machine_free(m);
    machine_free(before);
}

static void every_row_answers_a_bad_pointer(void **state)
{
    static const struct {
        unsigned version, op;
        int64_t answer;
    } rows[] = {
        {V(17), XENVER_version, V(17)},
        {V(1), XENVER_version, V(1)},
        {V(17), XENVER_extraversion, XEN_EFAULT},
        {V(17), XENVER_compile_info, XEN_EFAULT},
        {V(17), XENVER_capabilities, XEN_EFAULT},
        {V(17), XENVER_changeset, XEN_EFAULT},
        {V(17), XENVER_platform_parameters, XEN_EFAULT},
        {V(17), XENVER_get_features, XEN_EFAULT},
        {V(17), XENVER_pagesize, XEN_EINVAL},
        {V(17), XENVER_guest_handle, XEN_EFAULT},
        {V(17), XENVER_commandline, XEN_EFAULT},
        {V(17), XENVER_build_id, XEN_EPERM},
        {V(4), XENVER_build_id, XEN_ENOSYS},
        {V(17), 99, XEN_ENOSYS},
    };

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct machine *m = guest_new(rows[i].version, 1);

        assert_int_equal(call(m, __HYPERVISOR_xen_version, rows[i].op, BAD_GVA, 0), rows[i].answer);
        machine_free(m);
    }
}

static void texts_are_ended(void **state)
{
    static const struct {
        unsigned op;
        size_t bytes;
        const char *text;
    } rows[] = {
        {XENVER_extraversion, sizeof(xen_extraversion_t), ".7"},
        {XENVER_capabilities, sizeof(xen_capabilities_info_t),
         "xen-3.0-x86_64 hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 "},
        {XENVER_commandline, sizeof(xen_commandline_t), "<denied>"},
    };
    struct machine *m = guest_new(V(17), 1);

    for (unsigned i = 0; i < COUNT(rows); i++) {
        char text[2048];

        memset(text, 'x', sizeof(text));
        assert_int_equal(CALL(m, __HYPERVISOR_xen_version, rows[i].op, &text), 0);
        assert_string_equal(text, rows[i].text);
        assert_int_equal(text[rows[i].bytes], 'x'); /* and nothing behind the structure */
    }
    machine_free(m);
}

static void features_are_those_of_version_and_mode(void **state)
{
    static const struct platform_config hvm = {.mode = PLATFORM_HVM}, pvh = {.mode = PLATFORM_PVH};
    static const struct {
        unsigned version;
        const struct platform_config *platform;
        unsigned feature;
        bool there;
    } rows[] = {
        {V(17), &pvh, XENFEAT_writable_page_tables, true},
        {V(17), &pvh, XENFEAT_auto_translated_physmap, true},
        {V(17), &pvh, XENFEAT_hvm_callback_vector, true},
        {V(17), &pvh, XENFEAT_hvm_safe_pvclock, true},
        {V(17), &pvh, XENFEAT_hvm_pirqs, false},
        {V(17), &hvm, XENFEAT_hvm_pirqs, true},
        {V(17), &pvh, XENFEAT_memory_op_vnode_supported, true},
        {V(4), &hvm, XENFEAT_memory_op_vnode_supported, false},
        {V(17), &pvh, XENFEAT_not_direct_mapped, true},
        {V(7), &hvm, XENFEAT_not_direct_mapped, false},
        {V(17), &pvh, XENFEAT_dom0, false},
        {V(1), &hvm, XENFEAT_hvm_callback_vector, true},
    };

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct machine *m = guest_new_mode(rows[i].version, 1, 64, rows[i].platform);
        struct xen_feature_info f = {.submap_idx = 0};

        assert_int_equal(CALL(m, __HYPERVISOR_xen_version, XENVER_get_features, &f), 0);
        if ((f.submap >> rows[i].feature & 1) != rows[i].there)
            print_message("row %u: 0x%x\n", i, f.submap);
        assert_int_equal(f.submap >> rows[i].feature & 1, rows[i].there);
        f.submap_idx = 1;
        assert_int_equal(CALL(m, __HYPERVISOR_xen_version, XENVER_get_features, &f), XEN_EINVAL);
        machine_free(m);
    }
}

static void page_size_and_handle_are_told(void **state)
{
    struct machine *m = guest_new(V(17), 1);

    assert_int_equal(call(m, __HYPERVISOR_xen_version, XENVER_pagesize, 0, 0), PAGE_BYTES);
    assert_int_equal(call(m, __HYPERVISOR_xen_version, XENVER_guest_handle, ARG_GPA, 0), 0);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_version_has_the_traits_of_the_last_row_not_newer),
        cmocka_unit_test(a_version_between_others_is_itself),
        cmocka_unit_test(texts_with_a_length_came_with_4_20),
        cmocka_unit_test(every_row_answers_a_bad_pointer),
        cmocka_unit_test(texts_are_ended),
        cmocka_unit_test(features_are_those_of_version_and_mode),
        cmocka_unit_test(page_size_and_handle_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
