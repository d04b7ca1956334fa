#include "models/pc/acpi.h"

#include "emu/ensure.h"
#include "emu/machine.h"
#include "models/pc/ioapic.h"
#include "models/pc/lapic.h"
#include "models/pc/pc.h"

#include <assert.h>
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

struct header { /* "System Description Table Header" */
    char signature[4];
    uint32_t bytes;
    uint8_t revision;
    uint8_t checksum;
    char oem_id[6];
    char oem_table_id[8];
    uint32_t oem_revision;
    char creator_id[4];
    uint32_t creator_revision;
} PACKED;
static_assert(sizeof(struct header) == 36, "table header");

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
    struct header header;
    uint64_t entries_gpa[XSDT_ENTRIES];
} PACKED;

struct fadt { /* "Fixed ACPI Description Table (FADT)", revision 5 */
    struct header header;
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
    struct header header;
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

/* ---- a bounded writer ---- */

struct image {
    uint8_t bytes[ACPI_BYTES_MAX];
    size_t used;
};

static size_t put(struct image *im, const void *data, size_t bytes)
{
    size_t at = im->used;

    ensure(bytes <= sizeof(im->bytes) - im->used); /* ACPI_BYTES_MAX holds VCPUS_MAX processors */
    memcpy(im->bytes + at, data, bytes);
    im->used += bytes;
    return at;
}

static void put_byte(struct image *im, uint8_t byte)
{
    put(im, &byte, 1);
}

static void align(struct image *im, size_t alignment)
{
    while (im->used % alignment)
        put_byte(im, 0);
}

/* What makes the sum of all bytes 0. */
static uint8_t checksum(const uint8_t *bytes, size_t count)
{
    uint8_t sum = 0;

    while (count--)
        sum += *bytes++;
    return (uint8_t)-sum;
}

static struct header header(const char *signature, uint8_t revision)
{
    struct header h = {.revision = revision, .oem_revision = 0, .creator_revision = 0};

    memcpy(h.signature, signature, sizeof(h.signature));
    memcpy(h.oem_id, "Xen\0\0\0", sizeof(h.oem_id));
    memcpy(h.oem_table_id, "HVM\0\0\0\0", sizeof(h.oem_table_id));
    memcpy(h.creator_id, "HVML", sizeof(h.creator_id));
    return h;
}

/* Set length and checksum of the table from `at` to here. */
static void finish_table(struct image *im, size_t at)
{
    struct header h;

    memcpy(&h, im->bytes + at, sizeof(h));
    h.bytes = (uint32_t)(im->used - at);
    h.checksum = 0;
    memcpy(im->bytes + at, &h, sizeof(h));
    h.checksum = checksum(im->bytes + at, im->used - at);
    memcpy(im->bytes + at, &h, sizeof(h));
}

/* ---- AML: ACPI 6.4, "AML Grammar Definition" ---- */

#define AML_ZERO    0x00
#define AML_NAME    0x08
#define AML_BYTE    0x0a
#define AML_STRING  0x0d
#define AML_SCOPE   0x10
#define AML_BUFFER  0x11
#define AML_PACKAGE 0x12
#define AML_EXT     0x5b
#define AML_DEVICE  0x82 /* after AML_EXT */

/* A package length is written in its three-byte form, which reaches 1 MiB, once its end is known. It counts itself. */
static size_t aml_begin(struct image *im)
{
    static const uint8_t room[3];

    return put(im, room, sizeof(room));
}

static void aml_end(struct image *im, size_t at)
{
    size_t length = im->used - at;

    im->bytes[at] = 0x80 | (length & 0xf);
    im->bytes[at + 1] = length >> 4 & 0xff;
    im->bytes[at + 2] = length >> 12 & 0xff;
}

static void aml_byte(struct image *im, uint8_t value)
{
    put_byte(im, AML_BYTE);
    put_byte(im, value);
}

/* NameOp with a name of four characters, or a backslash and four; the object follows. */
static void aml_name(struct image *im, const char *name)
{
    put_byte(im, AML_NAME);
    put(im, name, strlen(name));
}

static void aml_string(struct image *im, const char *text)
{
    put_byte(im, AML_STRING);
    put(im, text, strlen(text) + 1);
}

static void aml_buffer(struct image *im, const void *data, uint8_t bytes)
{
    size_t at;

    put_byte(im, AML_BUFFER);
    at = aml_begin(im);
    aml_byte(im, bytes);
    put(im, data, bytes);
    aml_end(im, at);
}

/* ---- tables ---- */

static struct madt_lapic madt_lapic(unsigned vcpu)
{
    return (struct madt_lapic){.type = 0,
                               .bytes = sizeof(struct madt_lapic),
                               .processor_id = (uint8_t)vcpu,
                               .apic_id = lapic_id(vcpu),
                               .flags = MADT_LAPIC_ENABLED};
}

/* Device (PRxx) { _HID "ACPI0007", _UID, _STA 0xf, _MAT: its MADT entry }: "Processor Device". */
static void put_processor(struct image *im, unsigned vcpu)
{
    static const char digits[] = "0123456789ABCDEF";
    const char name[4] = {'P', 'R', digits[vcpu >> 4 & 0xf], digits[vcpu & 0xf]};
    const struct madt_lapic entry = madt_lapic(vcpu);
    size_t at;

    put_byte(im, AML_EXT);
    put_byte(im, AML_DEVICE);
    at = aml_begin(im);
    put(im, name, sizeof(name));
    aml_name(im, "_HID");
    aml_string(im, "ACPI0007");
    aml_name(im, "_UID");
    aml_byte(im, (uint8_t)vcpu);
    aml_name(im, "_STA");
    aml_byte(im, 0xf);
    aml_name(im, "_MAT");
    aml_buffer(im, &entry, sizeof(entry));
    aml_end(im, at);
}

static size_t put_dsdt(struct image *im, const struct machine *m, bool hvm)
{
    const struct header h = header("DSDT", 2);
    size_t at, scope;

    align(im, 16);
    at = put(im, &h, sizeof(h));
    if (hvm) {
        size_t package;

        aml_name(im, "\\_S5_");
        put_byte(im, AML_PACKAGE);
        package = aml_begin(im);
        put_byte(im, 4);
        for (unsigned i = 0; i < 4; i++)
            aml_byte(im, i < 2 ? ACPI_S5_SLEEP_TYPE : 0);
        aml_end(im, package);
    }
    put_byte(im, AML_SCOPE);
    scope = aml_begin(im);
    put(im, "\\_SB_", 5);
    for (unsigned v = 0; v < machine_vcpus(m); v++)
        put_processor(im, v);
    aml_end(im, scope);
    finish_table(im, at);
    return at;
}

static size_t put_madt(struct image *im, const struct machine *m, bool hvm)
{
    struct madt t = {.header = header("APIC", 4), .lapic_gpa = LAPIC_GPA, .flags = hvm ? MADT_PCAT_COMPAT : 0};
    size_t at;

    align(im, 16);
    at = put(im, &t, sizeof(t));
    for (unsigned irq = 0; hvm && irq < 16; irq++) {
        struct madt_override entry = {.type = 2, .bytes = sizeof(entry), .irq = (uint8_t)irq};

        if (irq == 0)
            entry.gsi = 2; /* the PIT is wired to pin 2 */
        else if (PCI_ISA_IRQ_MASK >> irq & 1)
            entry.gsi = irq, entry.flags = MADT_LEVEL_LOW;
        else
            continue;
        put(im, &entry, sizeof(entry));
    }
    if (hvm) {
        const struct madt_ioapic entry = {.type = 1, .bytes = sizeof(entry), .id = IOAPIC_ID, .gpa = IOAPIC_GPA};

        put(im, &entry, sizeof(entry));
    }
    for (unsigned v = 0; v < machine_vcpus(m); v++) {
        const struct madt_lapic entry = madt_lapic(v);

        put(im, &entry, sizeof(entry));
    }
    finish_table(im, at);
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

static size_t put_fadt(struct image *im, uint64_t gpa, size_t dsdt, size_t facs, bool hvm)
{
    struct fadt t = {.header = header("FACP", 5), .dsdt_gpa = (uint32_t)(gpa + dsdt), .x_dsdt_gpa = gpa + dsdt};
    size_t at;

    if (hvm) {
        fill_fixed_hardware(&t, gpa + facs);
    } else {
        t.flags = FADT_HW_REDUCED | FADT_PROC_C1 | FADT_WBINVD | FADT_PWR_BUTTON | FADT_SLP_BUTTON;
        t.boot_flags = FADT_BOOT_NO_VGA | FADT_BOOT_NO_CMOS_RTC;
    }
    align(im, 16);
    at = put(im, &t, sizeof(t));
    finish_table(im, at);
    return at;
}

enum emu_err acpi_build(struct machine *m, uint64_t gpa, uint64_t bytes_max, uint64_t *rsdp_gpa, struct diag *d)
{
    struct image im = {.used = 0};
    struct rsdp rsdp = {.signature = "RSD PTR ", .oem_id = "Xen", .revision = 2, .bytes = sizeof(rsdp)};
    struct xsdt xsdt = {.header = header("XSDT", 1)};
    bool hvm = pc_is_present(m);
    size_t facs = 0, dsdt, at;

    if (gpa % 16 || gpa > UINT32_MAX - ACPI_BYTES_MAX)
        return diag_set(d, EMU_EINPUT, "ACPI tables can't be at 0x%llx: not 16-byte aligned below 4 GiB",
                        (unsigned long long)gpa);
    put(&im, &rsdp, sizeof(rsdp));
    if (hvm) {
        const struct facs f = {.signature = "FACS", .bytes = sizeof(f), .version = 1};

        while ((gpa + im.used) % 64)
            put_byte(&im, 0);
        facs = put(&im, &f, sizeof(f));
    }
    dsdt = put_dsdt(&im, m, hvm);
    xsdt.entries_gpa[0] = gpa + put_fadt(&im, gpa, dsdt, facs, hvm);
    xsdt.entries_gpa[1] = gpa + put_madt(&im, m, hvm);
    align(&im, 16);
    at = put(&im, &xsdt, sizeof(xsdt));
    finish_table(&im, at);
    rsdp.xsdt_gpa = gpa + at;
    rsdp.checksum = checksum((const uint8_t *)&rsdp, 20);
    rsdp.extended_checksum = checksum((const uint8_t *)&rsdp, sizeof(rsdp));
    memcpy(im.bytes, &rsdp, sizeof(rsdp));
    if (im.used > bytes_max)
        return diag_set(d, EMU_EINPUT, "the ACPI tables of %u vCPUs need %zu bytes, there is room for %llu",
                        machine_vcpus(m), im.used, (unsigned long long)bytes_max);
    if (!memory_write(machine_memory(m), gpa, im.bytes, im.used))
        return diag_set(d, EMU_EINPUT, "the guest has no memory for ACPI tables at 0x%llx", (unsigned long long)gpa);
    *rsdp_gpa = gpa;
    return EMU_OK;
}
