/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/base/count.h"
#include "tests/cmocka_tap.h"
#include "tests/played_machine.h"

#include "models/pc/cpuid.h"
#include "models/pc/lapic.h"
#include "models/pc/msr.h"

#include <string.h>

static const struct model *const models[] = {&cpuid_model, &lapic_model, &msr_model};

static struct cpuid_regs ask(struct machine *m, unsigned vcpu, uint32_t leaf, uint32_t subleaf)
{
    struct cpuid_regs r = {0};

    played_set_current(m, vcpu);
    assert_int_equal(played_cpuid(m, leaf, subleaf, &r), MODEL_DONE);
    return r;
}

static void features_that_the_engine_can_not_execute_are_hidden(void **state)
{
    static const struct {
        uint32_t leaf;
        char reg;
        unsigned bit;
        bool on;
        const char *name;
    } rows[] = {
        {1, 'c', 3, false, "MONITOR"},
        {1, 'c', 12, false, "FMA"},
        {1, 'c', 17, false, "PCID"},
        {1, 'c', 21, true, "x2APIC"},
        {1, 'c', 24, true, "TSC deadline"},
        {1, 'c', 26, false, "XSAVE"},
        {1, 'c', 27, false, "OSXSAVE"},
        {1, 'c', 28, false, "AVX"},
        {1, 'c', 30, false, "RDRAND"},
        {1, 'c', 31, true, "hypervisor"},
        {1, 'd', 4, true, "TSC"},
        {1, 'd', 9, true, "APIC"},
        {1, 'd', 25, true, "SSE"},
        {1, 'd', 26, true, "SSE2"},
        {1, 'd', 28, true, "HTT"},
        {7, 'b', 0, true, "FSGSBASE"},
        {7, 'b', 1, false, "TSC_ADJUST"},
        {7, 'b', 4, false, "HLE"},
        {7, 'b', 5, false, "AVX2"},
        {7, 'b', 9, false, "ERMS"},
        {7, 'b', 10, false, "INVPCID"},
        {7, 'b', 11, false, "RTM"},
        {7, 'b', 18, false, "RDSEED"},
        {7, 'b', 20, false, "SMAP"},
        {7, 'c', 22, false, "RDPID"},
        {7, 'd', 4, false, "FSRM"},
        {7, 'd', 29, false, "ARCH_CAPS"},
        {0x80000001, 'd', 11, true, "SYSCALL"},
        {0x80000001, 'd', 20, true, "NX"},
        {0x80000001, 'd', 27, true, "RDTSCP"},
        {0x80000001, 'd', 29, true, "long mode"},
    };
    struct machine *m = played_machine_new(1, models, 3);

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct cpuid_regs r = ask(m, 0, rows[i].leaf, 0);
        uint32_t reg = rows[i].reg == 'b' ? r.ebx : rows[i].reg == 'c' ? r.ecx : r.edx;

        if ((reg >> rows[i].bit & 1) != rows[i].on)
            fail_msg("%s: leaf 0x%x bit %u is %u", rows[i].name, rows[i].leaf, rows[i].bit, reg >> rows[i].bit & 1);
    }
    machine_free(m);
}

static void the_vendor_and_the_brand_are_readable(void **state)
{
    struct machine *m = played_machine_new(1, models, 3);
    struct cpuid_regs r = ask(m, 0, 0, 0);
    uint32_t vendor[3] = {r.ebx, r.edx, r.ecx}, brand[12];

    assert_memory_equal(vendor, "GenuineIntel", 12);
    for (unsigned i = 0; i < 3; i++) {
        r = ask(m, 0, 0x80000002 + i, 0);
        memcpy(&brand[i * 4], &r, sizeof(r));
    }
    assert_string_equal((const char *)brand, "Intel Core Processor (Haswell)");
    machine_free(m);
}

/* Linux: package = APIC ID >> order(logical processors), threads per core = logical processors / cores. */
static void all_vcpus_are_single_threaded_cores_of_one_package(void **state)
{
    static const struct {
        unsigned vcpus, logical, cores;
    } rows[] = {{1, 2, 2}, {2, 4, 4}, {3, 8, 8}, {8, 16, 16}, {32, 64, 64}, {64, 128, 64}};

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct machine *m = played_machine_new(rows[i].vcpus, models, 3);

        for (unsigned v = 0; v < rows[i].vcpus; v++) {
            struct cpuid_regs r1 = ask(m, v, 1, 0), r4 = ask(m, v, 4, 0), rb = ask(m, v, 0xb, 1);

            assert_int_equal(r1.ebx >> 24, 2 * v);
            assert_int_equal(r1.ebx >> 16 & 0xff, rows[i].logical);
            assert_int_equal(r1.ebx >> 8 & 0xff, 8);
            assert_int_equal((r4.eax >> 26) + 1, rows[i].cores);
            assert_true(2 * v < rows[i].logical);
            assert_int_equal(rb.ebx, 0);
            assert_int_equal(rb.ecx, 1);
            assert_int_equal(rb.edx, 2 * v);
        }
        machine_free(m);
    }
}

static void a_disabled_apic_is_not_shown(void **state)
{
    struct machine *m = played_machine_new(1, models, 3);

    assert_int_equal(played_msr_write(m, 0x1b, 0xfee00100), MODEL_DONE);
    assert_int_equal(ask(m, 0, 1, 0).edx >> 9 & 1, 0);
    machine_free(m);
}

static void what_is_out_of_range_is_zero_and_xens_leaves_are_xens(void **state)
{
    static const uint32_t zero_leaves[] = {3, 6, 0xd, 0xe, 0x3fffffff, 0x40000100, 0x80000009, 0x8fffffff, UINT32_MAX};
    struct machine *m = played_machine_new(1, models, 3);
    struct cpuid_regs r;

    for (unsigned i = 0; i < COUNT(zero_leaves); i++) {
        r = ask(m, 0, zero_leaves[i], 0);
        assert_int_equal(r.eax | r.ebx | r.ecx | r.edx, 0);
    }
    r = ask(m, 0, 4, 3);
    assert_int_equal(r.eax | r.ebx | r.ecx | r.edx, 0);
    r = ask(m, 0, 7, UINT32_MAX);
    assert_int_equal(r.eax | r.ebx | r.ecx | r.edx, 0);
    assert_int_equal(played_cpuid(m, 0x40000000, 0, &r), MODEL_NOT_MINE);
    assert_int_equal(played_cpuid(m, 0x400000ff, 0, &r), MODEL_NOT_MINE);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(features_that_the_engine_can_not_execute_are_hidden),
        cmocka_unit_test(the_vendor_and_the_brand_are_readable),
        cmocka_unit_test(all_vcpus_are_single_threaded_cores_of_one_package),
        cmocka_unit_test(a_disabled_apic_is_not_shown),
        cmocka_unit_test(what_is_out_of_range_is_zero_and_xens_leaves_are_xens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
