/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * smp: starts every vCPU that the MADT names, one after the other, by INIT and SIPI. Each says its number in the
 * list, its LAPIC id and its ACPI processor id; the boot vCPU then counts them.
 */
#include "hypercall.h"

static volatile uint32_t arrived;

static void secondary(void *arg)
{
    unsigned cpu = (unsigned)(uintptr_t)arg;
    printk("cpu %u: apic id %u, processor id %u\n", cpu, lapic_id(), cpu_ids(cpu).processor_id);
    __atomic_add_fetch(&arrived, 1, __ATOMIC_SEQ_CST);
}

void guest_main(void)
{
    unsigned count = cpu_count();
    printk("cpu %u: apic id %u, processor id %u, of %u\n", cpu_current(), lapic_id(),
           cpu_ids(cpu_current()).processor_id, count);
    for (unsigned cpu = 0; cpu < count; cpu++) {
        if (cpu == cpu_current())
            continue;
        uint32_t before = arrived;
        cpu_start(cpu, secondary, (void *)(uintptr_t)cpu);
        while (arrived == before)
            cpu_relax();
    }
    printk("%u vCPUs run\n", arrived + 1);
}
