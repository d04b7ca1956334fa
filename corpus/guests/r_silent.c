/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * r_silent: bugs that crash nothing. The guest ends with PASS, and what it has done is wrong; only a comparison with
 * the run that nobody disturbed shows it. What must be as there is in the symbol `seen` (bug=cr2) or `total`
 * (bug=count).
 *
 * Parameters:
 *   bug=cr2      the NMI handler takes a page fault of its own and does not put CR2 back. An NMI that comes after a
 * page fault was delivered and before its handler has read CR2 makes that handler work on the NMI's address. Repaired:
 * CR2 is saved and put back. FreeBSD d39f7430a6e1 "amd64: preserve %cr2 in NMI/MCE/DBG handlers"; Linux a0d14b8909de
 * "x86/mm, tracing: Fix CR2 corruption" is the same within one handler. The window is touch_all. =count    two vCPUs
 * add to one counter by load, add and store. Repaired: by one locked instruction. The window is count_up of either
 * vCPU. fixed=0|1    (default 0) rounds=N     faults, or additions of each vCPU (default 4, 32 at most)
 */
#include "guest.h"

#define ROUNDS_MAX     32u
#define NMI_ADDRESS    0xeeeu /* page 0 is not mapped */
#define FAIL_PARAMETER 0x631

uint32_t seen[ROUNDS_MAX]; /* the addresses that the page-fault handler worked on */
volatile uint32_t total;

static bool fixed;
static uint32_t rounds, faults;
static volatile bool in_nmi;
static volatile uint32_t ready, done;

void touch(uintptr_t address);
void touch_all(void);
void count_up(uint32_t n);

static unsigned long cr2_read(void)
{
    unsigned long address;
    __asm__ volatile("mov %%cr2, %0" : "=r"(address));
    return address;
}

/* One load; what faults there is skipped by the handler, which knows its length. */
__attribute__((noinline)) void touch(uintptr_t address)
{
    __asm__ volatile("movb (%0), %%al" : : "r"(address) : "rax", "memory");
}
#define TOUCH_BYTES 2

static void page_fault_handler(struct trap_regs *regs)
{
    unsigned long address = cr2_read();
    if (!in_nmi && faults < ROUNDS_MAX)
        seen[faults++] = (uint32_t)address;
    regs->ip += TOUCH_BYTES;
}

static void nmi_handler(struct trap_regs *regs)
{
    unsigned long address = cr2_read();
    in_nmi = true;
    touch(NMI_ADDRESS);
    in_nmi = false;
    if (fixed)
        __asm__ volatile("mov %0, %%cr2" : : "r"(address) : "memory");
}

__attribute__((noinline)) void touch_all(void)
{
    for (uint32_t i = 0; i < rounds; i++)
        touch(0x100 + i);
}

__attribute__((noinline)) void count_up(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (fixed)
            __asm__ volatile("lock incl %0" : "+m"(total));
        else
            total = total + 1;
    }
}

static void secondary(void *arg)
{
    ready = 1;
    count_up(rounds);
    done = 1;
}

void guest_main(void)
{
    fixed = param_u32("fixed", 0) != 0;
    rounds = param_u32("rounds", 4);
    if (rounds > ROUNDS_MAX)
        guest_fail(FAIL_PARAMETER, "rounds");
    if (param_is("bug", "cr2")) {
        trap_set(2, nmi_handler);
        trap_set(14, page_fault_handler);
        touch_all();
    } else if (param_is("bug", "count") && cpu_count() == 2) {
        cpu_start(1 - cpu_current(), secondary, NULL);
        while (!ready)
            cpu_relax();
        count_up(rounds);
        while (!done)
            cpu_relax();
    } else {
        guest_fail(FAIL_PARAMETER, "bug");
    }
    printk("done\n");
}
