/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rows_x2apic: the local APIC in x2APIC mode: how one comes into it and out of it, what each of its MSRs takes and
 * refuses, and whom an interprocessor interrupt reaches that is sent by MSR. A row's result is the vector of the
 * exception, or 0.
 *
 * Source: SDM Vol. 3A, "Extended XAPIC (x2APIC)"; Xen 4.17 arch/x86/hvm/vlapic.c.
 */
#include "rows.h"

#define MSR_APIC_BASE 0x1bu
#define BASE_BITS     0xfee00000u
#define BASE_BSP      0x100u
#define BASE_X2APIC   0x400u
#define BASE_ENABLE   0x800u
#define MSR_OF(reg)   (0x800u + ((reg) >> 4))
#define IPI_VECTOR    0x61
#define SELF_VECTOR   0x62
#define SIPI_PAGE     8u /* lib/pc.c: the trampoline */
#define SPINS         20000000u

uintptr_t row_resume; /* where a trapped row goes on */
static volatile unsigned long trap_vector;
static volatile unsigned taken[2];
static volatile bool other_in_x2apic, other_runs;

static void on_trap(struct trap_regs *regs)
{
    trap_vector = regs->vector;
    regs->ip = row_resume;
}

static long try_write(uint32_t msr, uint64_t value)
{
    trap_vector = 0;
    __asm__ volatile("movl $771f, row_resume\n wrmsr\n 771:"
                     :
                     : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
                     : "memory");
    return (long)trap_vector;
}

static long try_read(uint32_t msr, uint64_t *value)
{
    uint32_t low = 0, high = 0;
    trap_vector = 0;
    __asm__ volatile("movl $771f, row_resume\n rdmsr\n 771:" : "+a"(low), "+d"(high) : "c"(msr) : "memory");
    *value = (uint64_t)high << 32 | low;
    return (long)trap_vector;
}

static bool in_x2apic(void)
{
    return rdmsr(MSR_APIC_BASE) & BASE_X2APIC;
}

static unsigned current(void)
{
    uint32_t a, b, c, d;
    cpuid(1, &a, &b, &c, &d);
    return b >> 24 == cpu_ids(0).apic_id ? 0 : 1;
}

static void eoi(void)
{
    if (in_x2apic())
        wrmsr(MSR_OF(LAPIC_EOI), 0);
    else
        lapic_write(LAPIC_EOI, 0);
}

static void on_ipi(struct trap_regs *regs)
{
    taken[current()]++;
    eoi();
}

/* --- coming and going ------------------------------------------------------------------------------------------- */

static void row_base(const char *name, uint32_t bits)
{
    uint64_t before = rdmsr(MSR_APIC_BASE);
    long vector = try_write(MSR_APIC_BASE, BASE_BITS | (before & BASE_BSP) | bits);
    ROW_EFFECT(name, vector, "%x", (unsigned)rdmsr(MSR_APIC_BASE) & (BASE_X2APIC | BASE_ENABLE));
}

static void rows_transitions(void)
{
    uint64_t value;
    uint32_t a, b, c, d;
    cpuid(1, &a, &b, &c, &d);
    ROW_EFFECT("x2apic.cpuid", 0, "%s", c >> 21 & 1 ? "offered" : "not offered");
    ROW("x2apic.id.read_in_xapic_mode", try_read(MSR_OF(LAPIC_ID), &value));
    ROW("x2apic.eoi.write_in_xapic_mode", try_write(MSR_OF(LAPIC_EOI), 0));
    row_base("x2apic.base.bit_9", BASE_ENABLE | 0x200);
    ROW("x2apic.base.moved", try_write(MSR_APIC_BASE, 0xfec80000u | BASE_BSP | BASE_ENABLE));
    row_base("x2apic.base.x2apic_without_enable", BASE_X2APIC);
    row_base("x2apic.base.xapic_to_disabled", 0);
    row_base("x2apic.base.disabled_to_x2apic", BASE_ENABLE | BASE_X2APIC);
    row_base("x2apic.base.disabled_to_half", BASE_X2APIC);
    row_base("x2apic.base.disabled_to_xapic", BASE_ENABLE);
    row_base("x2apic.base.xapic_to_x2apic", BASE_ENABLE | BASE_X2APIC);
    row_base("x2apic.base.x2apic_again", BASE_ENABLE | BASE_X2APIC);
    row_base("x2apic.base.x2apic_to_xapic", BASE_ENABLE);
    row_base("x2apic.base.x2apic_to_half", BASE_X2APIC);
    row_base("x2apic.base.x2apic_to_disabled", 0);
    ROW("x2apic.id.read_while_disabled", try_read(MSR_OF(LAPIC_ID), &value));
    row_base("x2apic.base.then_xapic", BASE_ENABLE);
    ROW_EFFECT("x2apic.after.svr", 0, "%x", lapic_read(LAPIC_SVR));
    row_base("x2apic.base.then_x2apic", BASE_ENABLE | BASE_X2APIC);
}

/* --- registers -------------------------------------------------------------------------------------------------- */

static void row_read(const char *name, uint32_t reg)
{
    uint64_t value;
    long vector = try_read(MSR_OF(reg), &value);
    ROW_EFFECT(name, vector, "%llx", (unsigned long long)(vector ? 0 : value));
}

static void row_write(const char *name, uint32_t reg, uint64_t write)
{
    uint64_t value;
    long vector = try_write(MSR_OF(reg), write);
    long read_vector = try_read(MSR_OF(reg), &value);
    if (read_vector)
        ROW_EFFECT(name, vector, "not readable");
    else
        ROW_EFFECT(name, vector, "%llx", (unsigned long long)value);
}

static void rows_registers(void)
{
    row_read("x2apic.id", LAPIC_ID);
    row_write("x2apic.id.write", LAPIC_ID, 0);
    row_read("x2apic.version", 0x30);
    row_write("x2apic.version.write", 0x30, 0);
    row_write("x2apic.svr.enable", LAPIC_SVR, 0x1ff);
    row_write("x2apic.svr.bit_9", LAPIC_SVR, 0x3ff);
    row_write("x2apic.svr.bit_10", LAPIC_SVR, 0x5ff);
    row_write("x2apic.svr.bit_12", LAPIC_SVR, 0x11ff);
    row_write("x2apic.svr.again", LAPIC_SVR, 0x1ff);
    row_write("x2apic.tpr", 0x80, 0x35);
    row_read("x2apic.ppr", 0xa0);
    row_write("x2apic.ppr.write", 0xa0, 0);
    row_write("x2apic.tpr.bit_8", 0x80, 0x100);
    row_write("x2apic.tpr.bit_32", 0x80, 1ull << 32);
    row_write("x2apic.tpr.again", 0x80, 0);
    row_read("x2apic.apr", 0x90);
    row_read("x2apic.eoi.read", LAPIC_EOI);
    row_write("x2apic.eoi", LAPIC_EOI, 0);
    row_write("x2apic.eoi.one", LAPIC_EOI, 1);
    row_read("x2apic.rrd", 0xc0);
    row_read("x2apic.ldr", 0xd0);
    row_write("x2apic.ldr.write", 0xd0, 1);
    row_read("x2apic.dfr", 0xe0);
    row_write("x2apic.dfr.write", 0xe0, 0xffffffff);
    row_read("x2apic.isr_0", 0x100);
    row_read("x2apic.isr_7", 0x170);
    row_read("x2apic.tmr_0", 0x180);
    row_read("x2apic.irr_7", 0x270);
    row_write("x2apic.irr.write", 0x200, 0);
    row_write("x2apic.esr", 0x280, 0);
    row_write("x2apic.esr.one", 0x280, 1);
    row_write("x2apic.cmci", 0x2f0, 0x10000);
    row_read("x2apic.icr_high", LAPIC_ICRHI);
    row_write("x2apic.icr_high.write", LAPIC_ICRHI, 0);
    row_write("x2apic.icr.bit_12", LAPIC_ICRLO, 0x41000 | SELF_VECTOR);
    row_write("x2apic.icr.bit_20", LAPIC_ICRLO, 0x140000 | SELF_VECTOR);
    row_write("x2apic.lvt_timer.mode", LAPIC_LVTT, 0x30040);
    row_write("x2apic.lvt_timer.again", LAPIC_LVTT, 0x10040);
    row_write("x2apic.lvt_timer.bit_12", LAPIC_LVTT, 0x11040);
    row_write("x2apic.lvt_timer.bit_8", LAPIC_LVTT, 0x10140);
    row_write("x2apic.lvt_thermal.mode", 0x330, 0x10440);
    row_write("x2apic.lvt_thermal.level", 0x330, 0x18040);
    row_write("x2apic.lvt_lint0.level", LAPIC_LVT0, 0x1a740);
    row_write("x2apic.lvt_lint0.bit_17", LAPIC_LVT0, 0x30040);
    row_write("x2apic.lvt_error.mode", 0x370, 0x10440);
    row_write("x2apic.initial", LAPIC_TMICT, 1000000);
    row_write("x2apic.initial.zero", LAPIC_TMICT, 0);
    row_write("x2apic.current.write", 0x390, 0);
    row_write("x2apic.divide", LAPIC_TDCR, 0xb);
    row_write("x2apic.divide.bit_2", LAPIC_TDCR, 0x4);
    row_read("x2apic.self_ipi.read", 0x3f0);
    row_write("x2apic.self_ipi.bit_8", 0x3f0, 0x100 | SELF_VECTOR);
    uint64_t value;
    ROW("x2apic.msr_841", try_read(0x841, &value));
    ROW("x2apic.msr_8ff", try_read(0x8ff, &value));
    ROW("x2apic.msr_8ff.write", try_write(0x8ff, 0));
    ROW_EFFECT("x2apic.window", 0, "%x", lapic_read(LAPIC_SVR));
}

/* --- interrupts ------------------------------------------------------------------------------------------------- */

static bool arrives(unsigned cpu)
{
    irq_enable();
    for (unsigned i = 0; i < (cpu ? SPINS : 100) && !taken[cpu]; i++)
        cpu_relax();
    irq_disable();
    return taken[cpu];
}

static void row_self(const char *name, uint32_t msr, uint64_t command)
{
    uint64_t icr;
    taken[0] = 0;
    long vector = try_write(msr, command);
    bool arrived = arrives(0);
    try_read(MSR_OF(LAPIC_ICRLO), &icr);
    ROW_EFFECT(name, vector, "%s, icr %llx", arrived ? "arrives" : "does not arrive", (unsigned long long)icr);
}

static void rows_self(void)
{
    uint64_t ldr;
    trap_set(SELF_VECTOR, on_ipi);
    trap_set(IPI_VECTOR, on_ipi);
    try_read(MSR_OF(0xd0), &ldr);
    row_self("x2apic.self_ipi", MSR_OF(0x3f0), SELF_VECTOR);
    row_self("x2apic.icr.self", MSR_OF(LAPIC_ICRLO), 0x40000 | SELF_VECTOR);
    row_self("x2apic.icr.physical", MSR_OF(LAPIC_ICRLO), SELF_VECTOR);
    row_self("x2apic.icr.physical.all", MSR_OF(LAPIC_ICRLO), 0xffffffffull << 32 | IPI_VECTOR);
    row_self("x2apic.icr.physical.8_bits", MSR_OF(LAPIC_ICRLO), 0xffull << 32 | SELF_VECTOR);
    row_self("x2apic.icr.physical.other", MSR_OF(LAPIC_ICRLO), 0x12345678ull << 32 | SELF_VECTOR);
    row_self("x2apic.icr.logical", MSR_OF(LAPIC_ICRLO), ldr << 32 | 0x800 | SELF_VECTOR);
    row_self("x2apic.icr.logical.cluster", MSR_OF(LAPIC_ICRLO), 0xffffull << 32 | 0x800 | IPI_VECTOR);
    row_self("x2apic.icr.logical.other", MSR_OF(LAPIC_ICRLO), 0x10001ull << 32 | 0x800 | SELF_VECTOR);
    row_self("x2apic.icr.lowest", MSR_OF(LAPIC_ICRLO), 0x100 | SELF_VECTOR);
}

static void other_main(void *arg)
{
    lapic_enable(false);
    if (arg) {
        wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | BASE_X2APIC);
        other_in_x2apic = true;
    }
    other_runs = true;
    irq_enable();
    for (;;)
        cpu_relax();
}

static void row_other(const char *name, uint64_t command)
{
    taken[1] = 0;
    long vector = try_write(MSR_OF(LAPIC_ICRLO), command);
    ROW_EFFECT(name, vector, "%s", arrives(1) ? "arrives" : "does not arrive");
}

/* The other vCPU's MADT entry and LDR are the second ones. */
static void rows_others(void)
{
    uint64_t id = cpu_ids(1).apic_id, ldr = (id & ~0xfull) << 12 | 1ull << (id & 0xf);
    cpu_prepare(1, other_main, NULL);
    wrmsr(MSR_OF(LAPIC_ICRLO), id << 32 | 0x4500);
    wrmsr(MSR_OF(LAPIC_ICRLO), id << 32 | 0x4600 | SIPI_PAGE);
    for (unsigned i = 0; i < SPINS && !other_runs; i++)
        cpu_relax();
    ROW_EFFECT("x2apic.icr.startup", 0, "%s", other_runs ? "runs" : "does not run");
    row_other("x2apic.xapic_other.physical", id << 32 | IPI_VECTOR);
    row_other("x2apic.xapic_other.others", 0xc0000 | IPI_VECTOR);
    row_other("x2apic.xapic_other.all", 0x80000 | IPI_VECTOR);
    other_runs = false;
    cpu_prepare(1, other_main, (void *)1);
    wrmsr(MSR_OF(LAPIC_ICRLO), id << 32 | 0x4500);
    wrmsr(MSR_OF(LAPIC_ICRLO), id << 32 | 0x4600 | SIPI_PAGE);
    for (unsigned i = 0; i < SPINS && !other_runs; i++)
        cpu_relax();
    ROW_EFFECT("x2apic.icr.init_startup", 0, "%s", other_in_x2apic ? "runs" : "does not run");
    row_other("x2apic.other.physical", id << 32 | IPI_VECTOR);
    row_other("x2apic.other.broadcast", 0xffffffffull << 32 | IPI_VECTOR);
    row_other("x2apic.other.logical", ldr << 32 | 0x800 | IPI_VECTOR);
    row_other("x2apic.other.others", 0xc0000 | IPI_VECTOR);
}

void guest_main(void)
{
    rows_begin("x2apic");
    trap_set(13, on_trap);
    lapic_enable(false);
    rows_transitions();
    if (!in_x2apic())
        guest_fail(2, "no x2APIC mode");
    rows_registers();
    rows_self();
    if (cpu_count() > 1)
        rows_others();
}
