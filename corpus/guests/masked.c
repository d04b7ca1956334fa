/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * masked: an interrupt waits while IF is 0, and the guest reads a device in the same piece of code without a branch in
 * which POPF then sets IF. It must be taken once, right behind POPF.
 *
 * Parameters:
 *   rounds=N   so often (default 100)
 *
 * Expected: PASS.
 */
#include "guest.h"

#define VECTOR 0x40

static volatile uint32_t taken;

static void on_vector(struct trap_regs *regs)
{
    taken++;
    lapic_write(LAPIC_EOI, 0);
}

static void read_and_popf(unsigned long flags)
{
    volatile uint32_t *id = (volatile uint32_t *)0xfee00020ul;

    __asm__ volatile("push %1; mov (%0), %%eax; popf; cli" : : "r"(id), "r"(flags) : "eax", "memory", "cc");
}

void guest_main(void)
{
    uint32_t rounds = param_u32("rounds", 100);

    lapic_enable(false);
    trap_set(VECTOR, on_vector);
    for (uint32_t i = 0; i < rounds; i++) {
        unsigned long flags = irq_save() | 0x200;

        lapic_ipi(lapic_id(), VECTOR);
        if (taken != i)
            guest_fail(1, "the interrupt is taken while it is masked");
        read_and_popf(flags);
        if (taken != i + 1)
            guest_fail(2, "what waited is not taken at once");
    }
    printk("taken %u times\n", taken);
}
