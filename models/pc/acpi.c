/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/pc/acpi.h"

#include "emu/machine.h"
#include "models/pc/acpi_image.h"
#include "models/pc/dsdt.h"
#include "models/pc/ioapic.h"
#include "models/pc/lapic.h"
#include "models/pc/pc.h"
#include "models/platform_config.h"

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define PACKED __attribute__((packed))

/* ---- structures: ACPI 6.4, "ACPI System Description Tables" ---- */

struct rsdp { /* "Root System Description Pointer (RSDP)" */
    char signature[8];
    uint8_t checksum; /* of the first 20 bytes */
    char oem_id[6];
    uint8_t revision;
    uint32_t rsdt_gpa;
    uint32_t bytes;
    uint64_t xsdt_gpa;
    uint8_t extended_checksum; /* of all */
    uint8_t reserved[3];
} PACKED;
static_assert(sizeof(struct rsdp) == 36, "RSDP");
static_assert(offsetof(struct rsdp, xsdt_gpa) == 24, "RSDP");

struct address {   /* "Generic Address Structure (GAS)" */
    uint8_t space; /* 1: ports */
    uint8_t bits;
    uint8_t bit_offset;
    uint8_t access_size;
    uint64_t address;
} PACKED;
static_assert(sizeof(struct address) == 12, "GAS");

#define XSDT_ENTRIES 2
struct xsdt {
    struct acpi_header header;
    uint64_t entries_gpa[XSDT_ENTRIES];
} PACKED;

struct fadt { /* "Fixed ACPI Description Table (FADT)", revision 5 */
    struct acpi_header header;
    uint32_t facs_gpa;
    uint32_t dsdt_gpa;
    uint8_t reserved1;
    uint8_t pm_profile;
    uint16_t sci_gsi;
    uint32_t smi_port;
    uint8_t acpi_enable, acpi_disable, s4bios, pstate;
    uint32_t pm1a_event, pm1b_event, pm1a_control, pm1b_control, pm2_control, pm_timer, gpe0, gpe1;
    uint8_t pm1_event_bytes, pm1_control_bytes, pm2_control_bytes, pm_timer_bytes, gpe0_bytes, gpe1_bytes, gpe1_base;
    uint8_t cst;
    uint16_t c2_latency_us, c3_latency_us, flush_size, flush_stride;
    uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
    uint16_t boot_flags;
    uint8_t reserved2;
    uint32_t flags;
    struct address reset;
    uint8_t reset_value;
    uint16_t arm_boot_flags;
    uint8_t minor_revision;
    uint64_t x_facs_gpa;
    uint64_t x_dsdt_gpa;
    struct address x_pm1a_event, x_pm1b_event, x_pm1a_control, x_pm1b_control, x_pm2_control, x_pm_timer, x_gpe0,
        x_gpe1, sleep_control, sleep_status;
} PACKED;
static_assert(offsetof(struct fadt, sci_gsi) == 46, "FADT");
static_assert(offsetof(struct fadt, pm1a_event) == 56, "FADT");
static_assert(offsetof(struct fadt, pm1_event_bytes) == 88, "FADT");
static_assert(offsetof(struct fadt, c2_latency_us) == 96, "FADT");
static_assert(offsetof(struct fadt, boot_flags) == 109, "FADT");
static_assert(offsetof(struct fadt, flags) == 112, "FADT");
static_assert(offsetof(struct fadt, reset) == 116, "FADT");
static_assert(offsetof(struct fadt, x_facs_gpa) == 132, "FADT");
static_assert(offsetof(struct fadt, x_pm1a_event) == 148, "FADT");
static_assert(offsetof(struct fadt, sleep_control) == 244, "FADT");
static_assert(sizeof(struct fadt) == 268, "FADT revision 5");

#define FADT_WBINVD           (1u << 0)
#define FADT_PROC_C1          (1u << 2)
#define FADT_PWR_BUTTON       (1u << 4) /* set: no fixed-hardware button */
#define FADT_SLP_BUTTON       (1u << 5)
#define FADT_FIX_RTC          (1u << 6)
#define FADT_TMR_VAL_EXT      (1u << 8) /* the PM timer has 32 bits */
#define FADT_HW_REDUCED       (1u << 20)
#define FADT_BOOT_NO_VGA      (1u << 2)
#define FADT_BOOT_NO_CMOS_RTC (1u << 5)

struct facs { /* "Firmware ACPI Control Structure (FACS)" */
    char signature[4];
    uint32_t bytes;
    uint32_t hardware_signature, waking_vector, global_lock, flags;
    uint64_t x_waking_vector;
    uint8_t version;
    uint8_t reserved[31];
} PACKED;
static_assert(sizeof(struct facs) == 64, "FACS");

struct madt { /* "Multiple APIC Description Table (MADT)"; entries follow */
    struct acpi_header header;
    uint32_t lapic_gpa;
    uint32_t flags;
} PACKED;
static_assert(sizeof(struct madt) == 44, "MADT");

#define MADT_PCAT_COMPAT 1u /* there is an 8259 pair too */

struct madt_lapic {
    uint8_t type, bytes, processor_id, apic_id;
    uint32_t flags;
} PACKED;
static_assert(sizeof(struct madt_lapic) == 8, "Processor Local APIC Structure");
#define MADT_LAPIC_ENABLED 1u

struct madt_ioapic {
    uint8_t type, bytes, id, reserved;
    uint32_t gpa, gsi_base;
} PACKED;
static_assert(sizeof(struct madt_ioapic) == 12, "I/O APIC Structure");

struct madt_override {
    uint8_t type, bytes, bus, irq;
    uint32_t gsi;
    uint16_t flags;
} PACKED;
static_assert(sizeof(struct madt_override) == 10, "Interrupt Source Override Structure");
#define MADT_LEVEL_LOW 0xfu /* active low, level-triggered */

/* ISA interrupts that PCI devices share in Xen's HVM guests: 5, 10, 11 (hvmloader's PCI_ISA_IRQ_MASK). */
#define PCI_ISA_IRQ_MASK 0x0c20u

/* ---- tables ---- */

/* A vCPU that is not available yet is listed, and not enabled. */
static struct madt_lapic madt_lapic(const struct machine *m, unsigned vcpu)
{
    return (struct madt_lapic){.type = 0,
                               .bytes = sizeof(struct madt_lapic),
                               .processor_id = (uint8_t)vcpu,
                               .apic_id = lapic_id(vcpu),
                               .flags = vcpu < platform_vcpus_online(m) ? MADT_LAPIC_ENABLED : 0};
}

static size_t put_madt(struct acpi_image *im, const struct machine *m, bool hvm, size_t *lapics)
{
    struct madt t = {.header = acpi_header("APIC", 4), .lapic_gpa = LAPIC_GPA, .flags = hvm ? MADT_PCAT_COMPAT : 0};
    size_t at;

    acpi_align(im, 16);
    at = acpi_put(im, &t, sizeof(t));
    for (unsigned irq = 0; hvm && irq < 16; irq++) {
        struct madt_override entry = {.type = 2, .bytes = sizeof(entry), .irq = (uint8_t)irq};

        if (irq == 0)
            entry.gsi = 2; /* the PIT is wired to pin 2 */
        else if (PCI_ISA_IRQ_MASK >> irq & 1)
            entry.gsi = irq, entry.flags = MADT_LEVEL_LOW;
        else
            continue;
        acpi_put(im, &entry, sizeof(entry));
    }
    if (hvm) {
        const struct madt_ioapic entry = {.type = 1, .bytes = sizeof(entry), .id = IOAPIC_ID, .gpa = IOAPIC_GPA};

        acpi_put(im, &entry, sizeof(entry));
    }
    *lapics = im->used;
    for (unsigned v = 0; v < machine_vcpus(m); v++) {
        const struct madt_lapic entry = madt_lapic(m, v);

        acpi_put(im, &entry, sizeof(entry));
    }
    acpi_finish_table(im, at);
    return at;
}

static struct address port_address(uint16_t port, uint8_t bytes)
{
    return (struct address){.space = 1, .bits = (uint8_t)(bytes * 8), .address = port};
}

static void fill_fixed_hardware(struct fadt *t, uint64_t facs_gpa)
{
    t->facs_gpa = (uint32_t)facs_gpa;
    t->x_facs_gpa = facs_gpa;
    t->sci_gsi = ACPI_SCI_GSI;
    t->pm1a_event = ACPI_PM1A_EVENT_PORT;
    t->pm1_event_bytes = 4;
    t->x_pm1a_event = port_address(ACPI_PM1A_EVENT_PORT, 4);
    t->pm1a_control = ACPI_PM1A_CONTROL_PORT;
    t->pm1_control_bytes = 2;
    t->x_pm1a_control = port_address(ACPI_PM1A_CONTROL_PORT, 2);
    t->pm_timer = ACPI_PM_TIMER_PORT;
    t->pm_timer_bytes = 4;
    t->x_pm_timer = port_address(ACPI_PM_TIMER_PORT, 4);
    t->gpe0 = ACPI_GPE0_PORT;
    t->gpe0_bytes = 4;
    t->x_gpe0 = port_address(ACPI_GPE0_PORT, 4);
    /* C2 and C3 are not there: latencies above the specified limits. */
    t->c2_latency_us = 0xfff;
    t->c3_latency_us = 0xfff;
    t->flags = FADT_PROC_C1 | FADT_WBINVD | FADT_FIX_RTC | FADT_TMR_VAL_EXT | FADT_PWR_BUTTON | FADT_SLP_BUTTON;
    t->boot_flags = FADT_BOOT_NO_VGA;
}

static size_t put_fadt(struct acpi_image *im, uint64_t gpa, size_t dsdt, size_t facs, bool hvm)
{
    struct fadt t = {.header = acpi_header("FACP", 5), .dsdt_gpa = (uint32_t)(gpa + dsdt), .x_dsdt_gpa = gpa + dsdt};
    size_t at;

    if (hvm) {
        fill_fixed_hardware(&t, gpa + facs);
    } else {
        t.flags = FADT_HW_REDUCED | FADT_PROC_C1 | FADT_WBINVD | FADT_PWR_BUTTON | FADT_SLP_BUTTON;
        t.boot_flags = FADT_BOOT_NO_VGA | FADT_BOOT_NO_CMOS_RTC;
    }
    acpi_align(im, 16);
    at = acpi_put(im, &t, sizeof(t));
    acpi_finish_table(im, at);
    return at;
}

enum emu_err acpi_build(struct machine *m, uint64_t gpa, uint64_t bytes_max, uint64_t *rsdp_gpa, struct diag *d)
{
    struct acpi_image im = {.used = 0};
    struct rsdp rsdp = {.signature = "RSD PTR ", .oem_id = "Xen", .revision = 2, .bytes = sizeof(rsdp)};
    struct xsdt xsdt = {.header = acpi_header("XSDT", 1)};
    bool hvm = pc_is_present(m);
    size_t facs = 0, madt, lapics, dsdt, at;
    struct dsdt_madt places;

    if (gpa % 16 || gpa > UINT32_MAX - ACPI_BYTES_MAX)
        return diag_set(d, EMU_EINPUT, "ACPI tables can't be at 0x%" PRIx64 ": not 16-byte aligned below 4 GiB", gpa);
    acpi_put(&im, &rsdp, sizeof(rsdp));
    if (hvm) {
        const struct facs f = {.signature = "FACS", .bytes = sizeof(f), .version = 1};

        while ((gpa + im.used) % 64)
            acpi_put_byte(&im, 0);
        facs = acpi_put(&im, &f, sizeof(f));
    }
    madt = put_madt(&im, m, hvm, &lapics);
    places.checksum_gpa = (uint32_t)(gpa + madt + offsetof(struct acpi_header, checksum));
    places.lapics_gpa = (uint32_t)(gpa + lapics);
    dsdt = dsdt_put(&im, machine_vcpus(m), hvm, &places);
    xsdt.entries_gpa[0] = gpa + put_fadt(&im, gpa, dsdt, facs, hvm);
    xsdt.entries_gpa[1] = gpa + madt;
    acpi_align(&im, 16);
    at = acpi_put(&im, &xsdt, sizeof(xsdt));
    acpi_finish_table(&im, at);
    rsdp.xsdt_gpa = gpa + at;
    rsdp.checksum = acpi_checksum((const uint8_t *)&rsdp, 20);
    rsdp.extended_checksum = acpi_checksum((const uint8_t *)&rsdp, sizeof(rsdp));
    memcpy(im.bytes, &rsdp, sizeof(rsdp));
    if (im.used > bytes_max)
        return diag_set(d, EMU_EINPUT, "the ACPI tables of %u vCPUs need %zu bytes, there is room for %" PRIu64,
                        machine_vcpus(m), im.used, bytes_max);
    if (!memory_write(machine_memory(m), gpa, im.bytes, im.used))
        return diag_set(d, EMU_EINPUT, "the guest has no memory for ACPI tables at 0x%" PRIx64, gpa);
    *rsdp_gpa = gpa;
    return EMU_OK;
}
