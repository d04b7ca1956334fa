/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/xen_guest.h"

#include "emu/base/count.h"

#define BASE XEN_CPUID_BASE

static void leaves_are_those_of_the_version(void **state)
{
    static const struct {
        unsigned version;
        uint32_t leaf, subleaf;
        struct cpuid_regs r;
    } rows[] = {
        {V(17), BASE, 0, {BASE + 5, 0x566e6558, 0x65584d4d, 0x4d4d566e}},
        {V(7), BASE, 0, {BASE + 4, 0x566e6558, 0x65584d4d, 0x4d4d566e}},
        {V(1), BASE, 0, {BASE + 2, 0x566e6558, 0x65584d4d, 0x4d4d566e}},
        {V(17), BASE + 1, 0, {4u << 16 | 17, 0, 0, 0}},
        {V(1), BASE + 1, 0, {4u << 16 | 1, 0, 0, 0}},
        {V(17), BASE + 2, 0, {1, XEN_HYPERCALL_MSR, 0, 0}},
        {V(17), BASE + 3, 0, {6, 0, 1000000, 1}}, /* 1 GHz; incarnation 1 */
        {V(17), BASE + 3, 1, {0, 0, 0x80000000, 1}},
        {V(17), BASE + 3, 2, {1000000, 0, 0, 0}},
        {V(17), BASE + 3, 3, {0}},
        {V(1), BASE + 3, 0, {0}},
        {V(17), BASE + 4, 0, {1 << 2 | 1 << 3 | 1 << 4 | 1 << 6, 1, XEN_GUEST_DOMID, 0}},
        {V(7), BASE + 4, 0, {1 << 2 | 1 << 3, 1, 0, 0}},
        {V(4), BASE + 4, 0, {0}},
        {V(17), BASE + 4, 1, {0}},
        {V(17), BASE + 5, 0, {0}}, /* for PV guests */
        {V(17), BASE + 6, 0, {0}},
        {V(17), BASE + 0xff, 0, {0}},
    };

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct machine *m = guest_new(rows[i].version, 2);
        struct cpuid_regs r = {1, 2, 3, 4};

        played_set_current(m, 1);
        assert_int_equal(played_cpuid(m, rows[i].leaf, rows[i].subleaf, &r), MODEL_DONE);
        if (memcmp(&r, &rows[i].r, sizeof(r)))
            print_message("row %u: %x %x %x %x\n", i, r.eax, r.ebx, r.ecx, r.edx);
        assert_memory_equal(&r, &rows[i].r, sizeof(r));
        machine_free(m);
    }
}

static void other_leaves_are_not_xens(void **state)
{
    static const uint32_t leaves[] = {0, 1, BASE - 1, BASE + 0x100, 0x80000000, UINT32_MAX};
    struct machine *m = guest_new(V(17), 1);
    struct cpuid_regs r;

    for (unsigned i = 0; i < COUNT(leaves); i++)
        assert_int_equal(played_cpuid(m, leaves[i], 0, &r), MODEL_NOT_MINE);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaves_are_those_of_the_version),
        cmocka_unit_test(other_leaves_are_not_xens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
