/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/pc/dsdt.h"

#include <stdio.h>

#define MADT_LAPIC_BYTES    8u
#define MADT_LAPIC_FLAGS    32u /* from this bit on; the first says that it is enabled */
#define STATUS_ALL          0x0f
#define NOTIFY_DEVICE_CHECK 1
#define NOTIFY_EJECT        3
#define EJECT_WAIT_MS       200

#define LOCAL(n) ((enum aml)(AML_LOCAL0 + (n)))

static void processor_path(char *path, size_t bytes, const char *before, unsigned vcpu, const char *behind)
{
    snprintf(path, bytes, "%sPR%02X%s", before, vcpu, behind);
}

/* _MAT and _STA come from the processor's MADT entry, which is in memory and may change. */
static void put_processor(struct acpi_image *im, unsigned vcpu, const struct dsdt_madt *madt)
{
    char name[16];
    size_t device, method, condition;

    processor_path(name, sizeof(name), "", vcpu, "");
    aml_ext(im, AML_EXT_DEVICE);
    device = aml_begin(im);
    aml_path(im, name);
    aml_name(im, "_HID");
    aml_string(im, "ACPI0007");
    aml_name(im, "_UID");
    aml_byte(im, (uint8_t)vcpu);
    aml_region(im, "MATR", AML_SPACE_MEMORY, madt->lapics_gpa + vcpu * MADT_LAPIC_BYTES, MADT_LAPIC_BYTES);
    aml_field(im, "MATR", "MAT", 0, MADT_LAPIC_BYTES * 8);
    aml_field(im, "MATR", "FLG", MADT_LAPIC_FLAGS, 1);

    method = aml_method(im, "_MAT", 0);
    aml_op(im, AML_RETURN);
    aml_op(im, AML_TO_BUFFER);
    aml_path(im, "MAT");
    aml_op(im, AML_ZERO); /* no target */
    aml_end(im, method);

    method = aml_method(im, "_STA", 0);
    aml_op(im, AML_IF);
    condition = aml_begin(im);
    aml_path(im, "FLG");
    aml_op(im, AML_RETURN);
    aml_byte(im, STATUS_ALL);
    aml_end(im, condition);
    aml_op(im, AML_RETURN);
    aml_op(im, AML_ZERO);
    aml_end(im, method);

    method = aml_method(im, "_EJ0", 1);
    aml_ext(im, AML_EXT_SLEEP);
    aml_byte(im, EJECT_WAIT_MS);
    aml_end(im, method);
    aml_end(im, device);
}

/* Notify(PRxx, value) and set the MADT's checksum right: by `how` one. */
static void put_notify(struct acpi_image *im, unsigned vcpu, uint8_t value, enum aml how)
{
    char path[16];

    processor_path(path, sizeof(path), "", vcpu, "");
    aml_op(im, AML_NOTIFY);
    aml_path(im, path);
    aml_byte(im, value);
    aml_op(im, how);
    aml_path(im, "\\_SB.MSU");
    aml_op(im, AML_ONE);
    aml_path(im, "\\_SB.MSU");
}

/* One processor's part of PRSC: Local1 is the byte of the map with its bit lowest. */
static void put_check(struct acpi_image *im, unsigned vcpu)
{
    char flag[24];
    size_t changed, block;

    processor_path(flag, sizeof(flag), "\\_SB.", vcpu, ".FLG");
    if (vcpu % 8 == 0) {
        aml_op(im, AML_STORE);
        aml_op(im, AML_DEREF);
        aml_op(im, AML_INDEX);
        aml_op(im, LOCAL(0));
        aml_byte(im, (uint8_t)(vcpu / 8));
        aml_op(im, AML_ZERO);
    } else {
        aml_op(im, AML_SHIFT_RIGHT);
        aml_op(im, LOCAL(1));
        aml_op(im, AML_ONE);
    }
    aml_op(im, LOCAL(1));
    aml_op(im, AML_AND);
    aml_op(im, LOCAL(1));
    aml_op(im, AML_ONE);
    aml_op(im, LOCAL(2));
    aml_op(im, AML_IF);
    changed = aml_begin(im);
    aml_op(im, AML_LNOT);
    aml_op(im, AML_LEQUAL);
    aml_op(im, LOCAL(2));
    aml_path(im, flag);
    aml_op(im, AML_STORE);
    aml_op(im, LOCAL(2));
    aml_path(im, flag);
    aml_op(im, AML_IF);
    block = aml_begin(im);
    aml_op(im, AML_LEQUAL);
    aml_op(im, LOCAL(2));
    aml_op(im, AML_ONE);
    put_notify(im, vcpu, NOTIFY_DEVICE_CHECK, AML_SUBTRACT);
    aml_end(im, block);
    aml_op(im, AML_ELSE);
    block = aml_begin(im);
    put_notify(im, vcpu, NOTIFY_EJECT, AML_ADD);
    aml_end(im, block);
    aml_end(im, changed);
}

/* The map of processors, and the method that compares it with the MADT. */
static void put_hotplug(struct acpi_image *im, unsigned vcpus)
{
    size_t method;

    aml_region(im, "PRST", AML_SPACE_IO, ACPI_CPU_MAP_PORT, ACPI_CPU_MAP_BYTES);
    aml_field(im, "PRST", "PRS", 0, ACPI_CPU_MAP_BYTES * 8);
    method = aml_method(im, "PRSC", 0);
    aml_op(im, AML_STORE);
    aml_op(im, AML_TO_BUFFER);
    aml_path(im, "PRS");
    aml_op(im, AML_ZERO);
    aml_op(im, LOCAL(0));
    for (unsigned v = 0; v < vcpus; v++)
        put_check(im, v);
    aml_end(im, method);
}

static void put_s5(struct acpi_image *im)
{
    size_t package;

    aml_name(im, "\\_S5");
    aml_op(im, AML_PACKAGE);
    package = aml_begin(im);
    acpi_put_byte(im, 4);
    for (unsigned i = 0; i < 4; i++)
        /* NOLINTNEXTLINE(bugprone-branch-clone): two cases with one outcome */
        aml_byte(im, i < 2 ? ACPI_S5_SLEEP_TYPE : 0);
    aml_end(im, package);
}

size_t dsdt_put(struct acpi_image *im, unsigned vcpus, bool hvm, const struct dsdt_madt *madt)
{
    const struct acpi_header h = acpi_header("DSDT", 2);
    size_t at, scope, method;

    acpi_align(im, 16);
    at = acpi_put(im, &h, sizeof(h));
    if (hvm)
        put_s5(im);
    aml_op(im, AML_SCOPE);
    scope = aml_begin(im);
    aml_path(im, "\\_SB");
    if (hvm) {
        aml_region(im, "MSUM", AML_SPACE_MEMORY, madt->checksum_gpa, 1);
        aml_field(im, "MSUM", "MSU", 0, 8);
    }
    for (unsigned v = 0; v < vcpus; v++)
        put_processor(im, v, madt);
    if (hvm)
        put_hotplug(im, vcpus);
    aml_end(im, scope);
    if (hvm) { /* an edge of the event ACPI_GPE_CPUS */
        aml_op(im, AML_SCOPE);
        scope = aml_begin(im);
        aml_path(im, "\\_GPE");
        method = aml_method(im, "_E02", 0);
        aml_path(im, "\\_SB.PRSC");
        aml_end(im, method);
        aml_end(im, scope);
    }
    acpi_finish_table(im, at);
    return at;
}
