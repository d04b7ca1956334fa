/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cross: one vCPU changes code that another one executes. vCPU 0 makes a jump of a five-byte NOP in the function
 * place(), vCPU 1 calls it. A processor may execute the old bytes, or a mixture, until it has executed a serialising
 * instruction; the machine always executes the new ones, so that only a detector sees what is wrong.
 *
 * Parameters:
 *   way=flag    vCPU 0 writes the new instruction and raises a flag, vCPU 1 sees the flag and calls place().
 *      =early   the same, but vCPU 1 is started after the change.
 *      =int3    vCPU 1 calls place() all the time, and vCPU 0 uses the protocol of the breakpoint: INT3, all
 *               synchronise, the bytes behind it, all synchronise, the first byte, all synchronise. vCPU 0 asks by an
 *               interrupt between processors, whose handler executes CPUID.
 *   sync=no|cpuid|iret   how vCPU 1 serialises between flag and call (way=flag; default no)
 *   skip=N               leave out the N-th synchronisation of way=int3 (1 to 3; default 0: none)
 *   rounds=N             there and back again, way=int3 (default 1)
 *
 * The places tail_next, tail_written and first_written are where a schedule interferes; patch_by_breakpoint is a window
 * for a search. Ends: PASS, or FAIL 0x701 (place() went the wrong way), 0x702 (a wrong parameter); or an exception.
 *
 * Source: SDM Vol. 3A, "Handling Self- and Cross-Modifying Code"; Linux, text_poke_bp_batch().
 */
#include "guest.h"

#define SYNC_VECTOR 0x40
#define PLACE_BYTES 5

#define FAIL_WAY       0x701
#define FAIL_PARAMETER 0x702

__asm__(".text\n"
        ".balign 16, 0x90\n.globl place\n.type place, @function\nplace:\n"
        ".byte 0x0f, 0x1f, 0x44, 0x00, 0x00\n"
        "xorl %eax, %eax\nret\n1: movl $1, %eax\nret\n.size place, . - place\n"
        ".section .rodata\nplace_jump: .byte 0xe9\n.long 3\nplace_nop: .byte 0x0f, 0x1f, 0x44, 0x00, 0x00\n.text\n");

extern const uint8_t place_jump[], place_nop[];
uint32_t place(void);
void tail_next(void);
void tail_written(void);
void first_written(void);
void patch_by_breakpoint(const uint8_t *new);

static enum { FLAG, EARLY, INT3 } way;
static enum { NO, CPUID, IRET } synchronise;
static uint32_t skip;
static volatile uint32_t waits, changed, done, synchronised, calls;

static uint8_t *place_bytes(void)
{
    return (uint8_t *)(uintptr_t)place;
}

__attribute__((noinline)) void tail_next(void)
{
    barrier();
}

__attribute__((noinline)) void tail_written(void)
{
    barrier();
}

__attribute__((noinline)) void first_written(void)
{
    barrier();
}

static void by_cpuid(void)
{
    uint32_t a, b, c, d;
    cpuid(0, &a, &b, &c, &d);
}

static void by_iret(void)
{
#ifdef __x86_64__
    unsigned long kept;
    __asm__ volatile(
        "movq %%ss, %0\n\tpushq %0\n\tleaq 8(%%rsp), %0\n\tpushq %0\n\tpushfq\n\tmovq %%cs, %0\n\tpushq %0\n\t"
        "leaq 1f(%%rip), %0\n\tpushq %0\n\tiretq\n1:"
        : "=&r"(kept)
        :
        : "memory", "cc");
#else
    __asm__ volatile("pushfl\n\tpushl %%cs\n\tpushl $1f\n\tiret\n1:" : : : "memory", "cc");
#endif
}

/* --- vCPU 1 ----------------------------------------------------------------------------------------------------- */

static void wait_and_call(void *arg)
{
    waits = 1;
    while (!changed)
        cpu_relax();
    if (synchronise == CPUID)
        by_cpuid();
    if (synchronise == IRET)
        by_iret();
    if (place() != 1)
        guest_fail(FAIL_WAY, "the new instruction is a jump");
    done = 1;
}

static void call_all_the_time(void *arg)
{
    lapic_enable(false);
    irq_enable();
    while (!done) {
        if (place() > 1)
            guest_fail(FAIL_WAY, "neither the old nor the new instruction");
        calls++;
    }
    irq_disable();
    done = 2;
}

static void on_sync(struct trap_regs *regs)
{
    by_cpuid();
    lapic_write(LAPIC_EOI, 0);
    synchronised++;
}

/* Whichever of the two it is going to be: as if it were the NOP. */
static void on_breakpoint(struct trap_regs *regs)
{
    if (regs->ip != (uintptr_t)place + 1)
        panic_trap(regs);
    regs->ip = (uintptr_t)place + PLACE_BYTES;
}

/* --- vCPU 0 ----------------------------------------------------------------------------------------------------- */

static void synchronise_all(uint32_t step)
{
    uint32_t before = synchronised;

    by_cpuid();
    if (skip == step)
        return;
    lapic_ipi(cpu_ids(1).apic_id, SYNC_VECTOR);
    while (synchronised == before)
        cpu_relax();
}

__attribute__((noinline)) void patch_by_breakpoint(const uint8_t *new)
{
    uint32_t tail;

    memcpy(&tail, new + 1, sizeof tail);
    *(volatile uint8_t *)place_bytes() = 0xcc;
    synchronise_all(1);
    tail_next();
    *(volatile uint32_t *)(place_bytes() + 1) = tail;
    tail_written();
    synchronise_all(2);
    *(volatile uint8_t *)place_bytes() = new[0];
    first_written();
    synchronise_all(3);
}

static void patch_at_once(void)
{
    memcpy(place_bytes(), place_jump, PLACE_BYTES);
}

static void run_flag(void)
{
    if (way == EARLY)
        patch_at_once();
    cpu_start(1, wait_and_call, NULL);
    while (!waits)
        cpu_relax();
    if (way == FLAG)
        patch_at_once();
    changed = 1;
    while (!done)
        cpu_relax();
}

static void run_int3(void)
{
    trap_set(SYNC_VECTOR, on_sync);
    trap_set(3, on_breakpoint);
    lapic_enable(false);
    cpu_start(1, call_all_the_time, NULL);
    while (calls < 10)
        cpu_relax();
    for (uint32_t round = param_u32("rounds", 1); round; round--) {
        patch_by_breakpoint(place_jump);
        patch_by_breakpoint(place_nop);
    }
    done = 1;
    while (done == 1)
        cpu_relax();
}

void guest_main(void)
{
    way = param_is("way", "early") ? EARLY : param_is("way", "int3") ? INT3 : FLAG;
    synchronise = param_is("sync", "cpuid") ? CPUID : param_is("sync", "iret") ? IRET : NO;
    skip = param_u32("skip", 0);
    if (cpu_count() < 2 || skip > 3)
        guest_fail(FAIL_PARAMETER, "two vCPUs are needed, and skip= is at most 3");
    if (way == INT3)
        run_int3();
    else
        run_flag();
    printk("changed, %u synchronisations\n", synchronised);
}
