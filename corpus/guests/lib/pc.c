/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pc: the 8259 pair, the 8254, the local APIC by MMIO, the vCPUs that the MADT names, and starting them.
 * Source: Intel 8259A and 8254 data sheets; SDM Vol. 3A, "Advanced Programmable Interrupt Controller (APIC)"; ACPI
 * specification 6.x, "Multiple APIC Description Table (MADT)".
 */
#include "guest.h"

#define PIC1_COMMAND 0x20
#define PIC1_DATA    0x21
#define PIC2_COMMAND 0xa0
#define PIC2_DATA    0xa1
#define PIT_CHANNEL0 0x40
#define PIT_COMMAND  0x43
#define PIT_HZ       1193182u

#define LAPIC_BASE     0xfee00000u
#define TRAMPOLINE_PA  0x8000u
#define ICR_LEVEL      0x4000u
#define ICR_NMI        0x0400u
#define ICR_INIT       0x0500u
#define ICR_STARTUP    0x0600u
#define ICR_PENDING    0x1000u
#define MADT_BYTES_MAX 65536u
#define MADT_LAPIC     0
#define MADT_X2APIC    9
#define MADT_ENABLED   1

static struct cpu_id cpus[GUEST_CPUS_MAX];
static unsigned cpus_found;

static uint8_t ap_stacks[GUEST_CPUS_MAX][GUEST_STACK_BYTES] __attribute__((aligned(16)));
extern uint8_t ap_trampoline[], ap_trampoline_end[], ap_start32[];
uintptr_t ap_stack_top;
static void (*ap_entry)(void *arg);
static void *ap_arg;
static volatile uint32_t ap_running;

void ap_main(void);

void pic_init(void)
{
    outb(PIC1_COMMAND, 0x11); /* ICW1: edge, cascade, ICW4 follows */
    outb(PIC2_COMMAND, 0x11);
    outb(PIC1_DATA, PIC_VECTOR_BASE);
    outb(PIC2_DATA, PIC_VECTOR_BASE + 8);
    outb(PIC1_DATA, 0x04); /* ICW3: the second one hangs on IRQ 2 */
    outb(PIC2_DATA, 0x02);
    outb(PIC1_DATA, 0x01); /* ICW4: 8086 mode, explicit EOI */
    outb(PIC2_DATA, 0x01);
    outb(PIC1_DATA, 0xff);
    outb(PIC2_DATA, 0xff);
}

void pic_unmask(unsigned irq)
{
    uint16_t port = irq < 8 ? PIC1_DATA : PIC2_DATA;
    outb(port, (uint8_t)(inb(port) & ~(1u << (irq & 7))));
    if (irq >= 8)
        outb(PIC1_DATA, (uint8_t)(inb(PIC1_DATA) & ~4u));
}

void pic_mask(unsigned irq)
{
    uint16_t port = irq < 8 ? PIC1_DATA : PIC2_DATA;
    outb(port, (uint8_t)(inb(port) | 1u << (irq & 7)));
}

void pic_eoi(unsigned irq)
{
    if (irq >= 8)
        outb(PIC2_COMMAND, 0x20);
    outb(PIC1_COMMAND, 0x20);
}

void pit_start(unsigned hz)
{
    uint32_t count = PIT_HZ / hz;
    outb(PIT_COMMAND, 0x34); /* channel 0, low then high byte, mode 2 */
    outb(PIT_CHANNEL0, (uint8_t)count);
    outb(PIT_CHANNEL0, (uint8_t)(count >> 8));
}

void lapic_write(unsigned reg, uint32_t value)
{
    *(volatile uint32_t *)(uintptr_t)(LAPIC_BASE + reg) = value;
}

uint32_t lapic_read(unsigned reg)
{
    return *(volatile uint32_t *)(uintptr_t)(LAPIC_BASE + reg);
}

uint8_t lapic_id(void)
{
    return (uint8_t)(lapic_read(LAPIC_ID) >> 24);
}

void lapic_enable(bool extint)
{
    lapic_write(LAPIC_LVT0, extint ? 0x00700 : 0x10000);
    lapic_write(LAPIC_SVR, 0x1ff);
}

static void lapic_command(uint8_t apic_id, uint32_t command)
{
    lapic_write(LAPIC_ICRHI, (uint32_t)apic_id << 24);
    lapic_write(LAPIC_ICRLO, command);
    while (lapic_read(LAPIC_ICRLO) & ICR_PENDING)
        cpu_relax();
}

void lapic_ipi(uint8_t apic_id, unsigned vector)
{
    lapic_command(apic_id, ICR_LEVEL | vector);
}

void lapic_nmi(uint8_t apic_id)
{
    lapic_command(apic_id, ICR_LEVEL | ICR_NMI);
}

/* Copies from anywhere below 4 GiB, mapped or not. */
static void read_physical(uint64_t pa, void *to, size_t bytes)
{
    map_range((uintptr_t)pa, bytes);
    memcpy(to, (const void *)(uintptr_t)pa, bytes);
}

static uint64_t read_field(uint64_t pa, size_t bytes)
{
    uint64_t value = 0;
    read_physical(pa, &value, bytes);
    return value;
}

static uint64_t madt_find(void)
{
    uint64_t rsdp = guest_boot.rsdp_pa;
    if (!rsdp)
        return 0;
    bool extended = read_field(rsdp + 15, 1) >= 2;
    uint64_t root = extended ? read_field(rsdp + 24, 8) : read_field(rsdp + 16, 4);
    unsigned entry_bytes = extended ? 8 : 4;
    uint32_t root_bytes = (uint32_t)read_field(root + 4, 4);
    for (uint32_t at = 36; at + entry_bytes <= root_bytes && at < 4096; at += entry_bytes) {
        uint64_t table = read_field(root + at, entry_bytes);
        if (read_field(table, 4) == 0x43495041) /* "APIC" */
            return table;
    }
    return 0;
}

static void cpus_find(void)
{
    uint32_t max = param_u32("cpus", GUEST_CPUS_MAX);
    uint64_t madt = madt_find();
    if (max > GUEST_CPUS_MAX)
        max = GUEST_CPUS_MAX;
    if (!madt) {
        uint32_t step = param_u32("apicstep", 2);
        cpus_found = param_find("cpus") ? max : 1;
        for (unsigned i = 0; i < cpus_found; i++)
            cpus[i] = (struct cpu_id){.apic_id = (uint8_t)(i * step), .processor_id = (uint8_t)i};
        return;
    }
    uint32_t bytes = (uint32_t)read_field(madt + 4, 4);
    for (uint32_t at = 44; at + 2 <= bytes && bytes <= MADT_BYTES_MAX && cpus_found < max;) {
        uint8_t entry[16] = {0};
        read_physical(madt + at, entry, 2);
        read_physical(madt + at, entry, entry[1] < sizeof entry ? entry[1] : sizeof entry);
        if (entry[0] == MADT_LAPIC && (entry[4] & MADT_ENABLED))
            cpus[cpus_found++] = (struct cpu_id){.apic_id = entry[3], .processor_id = entry[2]};
        else if (entry[0] == MADT_X2APIC && (entry[8] & MADT_ENABLED)) /* a PVH dom0's; ids below 255 here */
            cpus[cpus_found++] = (struct cpu_id){.apic_id = entry[4], .processor_id = entry[12]};
        if (entry[1] < 2)
            break;
        at += entry[1];
    }
    if (!cpus_found)
        cpus[cpus_found++] = (struct cpu_id){.apic_id = lapic_id()};
}

unsigned cpu_count(void)
{
    if (!cpus_found)
        cpus_find();
    return cpus_found;
}

struct cpu_id cpu_ids(unsigned cpu)
{
    return cpu < cpu_count() ? cpus[cpu] : (struct cpu_id){0};
}

unsigned cpu_current(void)
{
    uint8_t id = lapic_id();
    for (unsigned cpu = 0; cpu < cpu_count(); cpu++)
        if (cpus[cpu].apic_id == id)
            return cpu;
    return 0;
}

void ap_main(void)
{
    map_load();
    trap_load();
    void (*entry)(void *arg) = ap_entry;
    void *arg = ap_arg;
    ap_running = 1;
    entry(arg);
}

uint32_t cpu_prepare(unsigned cpu, void (*main)(void *arg), void *arg)
{
    memcpy((void *)(uintptr_t)TRAMPOLINE_PA, ap_trampoline, (size_t)(ap_trampoline_end - ap_trampoline));
    ap_stack_top = (uintptr_t)ap_stacks[cpu % GUEST_CPUS_MAX] + GUEST_STACK_BYTES;
    ap_entry = main;
    ap_arg = arg;
    ap_running = 0;
    return (uint32_t)(uintptr_t)ap_start32;
}

bool cpu_is_running(void)
{
    return ap_running != 0;
}

void cpu_sipi(uint8_t apic_id)
{
    lapic_command(apic_id, ICR_LEVEL | ICR_INIT);
    lapic_command(apic_id, ICR_LEVEL | ICR_STARTUP | TRAMPOLINE_PA >> 12);
}

void cpu_start(unsigned cpu, void (*main)(void *arg), void *arg)
{
    cpu_prepare(cpu, main, arg);
    cpu_sipi(cpu_ids(cpu).apic_id);
    while (!cpu_is_running())
        cpu_relax();
}
