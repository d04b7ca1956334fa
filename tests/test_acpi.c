/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/base/count.h"
#include "tests/cmocka_tap.h"
#include "tests/played_machine.h"

#include "models/pc/acpi.h"
#include "models/platform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TABLES_GPA 0xe0010ull

struct tables {
    uint8_t bytes[ACPI_BYTES_MAX];
    uint64_t rsdp_gpa;
};

static struct machine *machine(unsigned vcpus, const struct platform_config *platform)
{
    const struct machine_config config = {.ram_bytes = PLAYED_RAM_BYTES, .vcpus = vcpus, .platform = platform};

    return played_machine_new_config(&config);
}

static void build(struct machine *m, struct tables *t)
{
    struct diag d;

    assert_int_equal(acpi_build(m, TABLES_GPA, ACPI_BYTES_MAX, &t->rsdp_gpa, &d), EMU_OK);
    assert_true(memory_read(machine_memory(m), TABLES_GPA, t->bytes, sizeof(t->bytes)));
}

static const uint8_t *at_gpa(const struct tables *t, uint64_t gpa)
{
    assert_true(gpa >= TABLES_GPA && gpa < TABLES_GPA + ACPI_BYTES_MAX);
    return t->bytes + (gpa - TABLES_GPA);
}

static uint32_t u32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

static uint64_t u64(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

static uint8_t sum(const uint8_t *p, size_t bytes)
{
    uint8_t s = 0;

    while (bytes--)
        s += *p++;
    return s;
}

/* The table of that signature by way of RSDP and XSDT (or FADT), its checksum right. */
static const uint8_t *find(const struct tables *t, const char *signature)
{
    const uint8_t *rsdp = at_gpa(t, t->rsdp_gpa), *xsdt = at_gpa(t, u64(rsdp + 24)), *found = NULL;

    assert_memory_equal(rsdp, "RSD PTR ", 8);
    assert_int_equal(sum(rsdp, 20), 0);
    assert_int_equal(sum(rsdp, u32(rsdp + 20)), 0);
    assert_int_equal(sum(xsdt, u32(xsdt + 4)), 0);
    if (memcmp(xsdt, signature, 4) == 0)
        return xsdt;
    for (uint32_t at = 36; at < u32(xsdt + 4); at += 8)
        if (memcmp(at_gpa(t, u64(xsdt + at)), signature, 4) == 0)
            found = at_gpa(t, u64(xsdt + at));
    if (memcmp("DSDT", signature, 4) == 0)
        found = at_gpa(t, u64(find(t, "FACP") + 140));
    assert_non_null(found);
    assert_memory_equal(found, signature, 4);
    assert_int_equal(sum(found, u32(found + 4)), 0);
    return found;
}

static void all_tables_are_reached_and_sum_to_zero(void **state)
{
    static const struct platform_config hvm = {.mode = PLATFORM_HVM};
    static const unsigned vcpus[] = {1, 2, 17, VCPUS_MAX};

    for (unsigned i = 0; i < 2 * COUNT(vcpus); i++) {
        struct machine *m = machine(vcpus[i / 2], i % 2 ? &hvm : NULL);
        struct tables t;

        build(m, &t);
        find(&t, "XSDT");
        find(&t, "FACP");
        find(&t, "APIC");
        find(&t, "DSDT");
        machine_free(m);
    }
}

static void a_pvh_guest_gets_reduced_hardware_and_only_local_apics(void **state)
{
    struct machine *m = machine(3, NULL);
    struct tables t;
    const uint8_t *fadt, *madt;

    build(m, &t);
    fadt = find(&t, "FACP");
    assert_int_equal(u32(fadt + 112) >> 20 & 1, 1);
    assert_int_equal(u32(fadt + 56) | u32(fadt + 64) | u32(fadt + 76), 0);
    madt = find(&t, "APIC");
    assert_int_equal(u32(madt + 36), 0xfee00000);
    assert_int_equal(u32(madt + 40), 0);
    assert_int_equal(u32(madt + 4), 44 + 3 * 8);
    for (unsigned v = 0; v < 3; v++) {
        const uint8_t expected[8] = {0, 8, (uint8_t)v, (uint8_t)(2 * v), 1, 0, 0, 0};

        assert_memory_equal(madt + 44 + 8 * v, expected, 8);
    }
    machine_free(m);
}

static void a_vcpu_that_is_not_available_is_listed_and_not_enabled(void **state)
{
    static const struct platform_config some[] = {{.vcpus_online = 2}, {.vcpus_online = 2, .mode = PLATFORM_HVM}};

    for (unsigned i = 0; i < 2; i++) {
        struct machine *m = machine(3, &some[i]);
        struct tables t;
        const uint8_t *madt;

        build(m, &t);
        madt = find(&t, "APIC");
        for (unsigned v = 0; v < 3; v++) {
            const uint8_t expected[8] = {0, 8, (uint8_t)v, (uint8_t)(2 * v), v < 2, 0, 0, 0};

            assert_memory_equal(madt + u32(madt + 4) - (3 - v) * 8, expected, sizeof(expected));
        }
        machine_free(m);
    }
}

static void an_hvm_guest_gets_the_fixed_hardware_and_the_io_apic(void **state)
{
    static const struct platform_config hvm = {.mode = PLATFORM_HVM};
    static const uint8_t entries[] = {
        2, 10, 0, 0,  2,    0,    0,    0,    0,   0,       /* IRQ 0 is pin 2 */
        2, 10, 0, 5,  5,    0,    0,    0,    0xf, 0,       /* PCI interrupts: level, low */
        2, 10, 0, 10, 10,   0,    0,    0,    0xf, 0,       /* … */
        2, 10, 0, 11, 11,   0,    0,    0,    0xf, 0,       /* … */
        1, 12, 1, 0,  0x00, 0x00, 0xc0, 0xfe, 0,   0, 0, 0, /* IO-APIC */
        0, 8,  0, 0,  1,    0,    0,    0,
    };
    struct machine *m = machine(1, &hvm);
    struct tables t;
    const uint8_t *fadt, *madt;

    build(m, &t);
    fadt = find(&t, "FACP");
    assert_int_equal(u32(fadt + 112) >> 20 & 1, 0);
    assert_int_equal(u32(fadt + 56), 0xb000);
    assert_int_equal(u32(fadt + 64), 0xb004);
    assert_int_equal(u32(fadt + 76), 0xb008);
    assert_memory_equal(at_gpa(&t, u64(fadt + 132)), "FACS", 4);
    assert_int_equal(u64(fadt + 132) % 64, 0);
    madt = find(&t, "APIC");
    assert_int_equal(u32(madt + 40), 1);
    assert_int_equal(u32(madt + 4), 44 + sizeof(entries));
    assert_memory_equal(madt + 44, entries, sizeof(entries));
    machine_free(m);
}

static void what_does_not_fit_is_said_in_a_sentence(void **state)
{
    static const struct {
        uint64_t gpa, bytes_max;
        const char *text;
    } rows[] = {
        {TABLES_GPA, 100, "there is room for 100"},
        {TABLES_GPA + 1, ACPI_BYTES_MAX, "not 16-byte aligned"},
        {0xfffffff0, ACPI_BYTES_MAX, "below 4 GiB"},
        {PLAYED_RAM_BYTES, ACPI_BYTES_MAX, "no memory"},
    };
    struct machine *m = machine(2, NULL);

    for (unsigned i = 0; i < COUNT(rows); i++) {
        uint64_t rsdp_gpa;
        struct diag d;

        diag_init(&d);
        assert_int_equal(acpi_build(m, rows[i].gpa, rows[i].bytes_max, &rsdp_gpa, &d), EMU_EINPUT);
        assert_non_null(strstr(d.text, rows[i].text));
    }
    machine_free(m);
}

static void write_file(const char *path, const uint8_t *bytes, size_t count)
{
    FILE *f = fopen(path, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, count, f), count);
    assert_int_equal(fclose(f), 0);
}

/* ACPICA's own disassembler takes the tables and finds every processor. */
static void acpica_disassembles_them(void **state)
{
    static const struct platform_config hvm = {.mode = PLATFORM_HVM};
    static const char *const signatures[] = {"DSDT", "FACP", "APIC"};

    if (system("command -v iasl >/dev/null 2>&1") != 0)
        skip();
    for (unsigned mode = 0; mode < 2; mode++) {
        struct machine *m = machine(VCPUS_MAX, mode ? &hvm : NULL);
        char folder[] = "/tmp/bootrace-acpi-XXXXXX", command[512];
        struct tables t;

        assert_non_null(mkdtemp(folder));
        build(m, &t);
        for (unsigned i = 0; i < 3; i++) {
            const uint8_t *table = find(&t, signatures[i]);

            snprintf(command, sizeof(command), "%s/%s.dat", folder, signatures[i]);
            write_file(command, table, u32(table + 4));
        }
        snprintf(command, sizeof(command),
                 "cd %s && iasl -d DSDT.dat FACP.dat APIC.dat >out 2>&1 && ! grep -iE 'error|invalid|warning' out && "
                 "test $(grep -c 'Device (PR' DSDT.dsl) = %u && ! grep -i 'invalid\\|bad' FACP.dsl APIC.dsl && "
                 "iasl -p again DSDT.dsl >out 2>&1",
                 folder, VCPUS_MAX);
        if (system(command) != 0)
            fail_msg("iasl does not like the tables in %s", folder);
        snprintf(command, sizeof(command), "rm -r %s", folder);
        assert_int_equal(system(command), 0);
        machine_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_tables_are_reached_and_sum_to_zero),
        cmocka_unit_test(a_pvh_guest_gets_reduced_hardware_and_only_local_apics),
        cmocka_unit_test(a_vcpu_that_is_not_available_is_listed_and_not_enabled),
        cmocka_unit_test(an_hvm_guest_gets_the_fixed_hardware_and_the_io_apic),
        cmocka_unit_test(what_does_not_fit_is_said_in_a_sentence),
        cmocka_unit_test(acpica_disassembles_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
