/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * r_patching: later bugs of code patching, each as it was and repaired.
 *
 * Parameters:
 *   bug=nested      two alternatives of one place are patched one after the other, with interrupts on between them: the
 *                   first says that a feature is absent which the second says is there. Repaired: only the last one
 * that applies is patched. Linux a4233c21e773 "x86/alternative: Patch a single alternative location only once". =nops
 * single-byte NOPs are made long ones in place, byte after byte, with interrupts on. Repaired: built in a buffer, put
 * in place with interrupts off. Linux 6778977590da "x86/alternatives: Disable interrupts and sync when optimizing NOPs
 * in place", f796c7583762 "x86/alternatives: Use a temporary buffer when optimizing NOPs". =selfpatch   the patcher's
 * own write goes through a place that it patches. Repaired: one write of the whole place. Linux ab144f5ec64c "i386:
 * Make patching more robust, fix paravirt issue" (after 19d36ccdc34f). =polarity    a branch that is likely by its
 * macro, on a key that is false: until somebody flips the key the code does what only a true key should do. Repaired:
 * the macro that fits the key. Linux a833581e372a "x86, perf: Fix static_key bug in load_mm_cr4()". fixed=0|1 (default
 * 0) delay=N         rounds before patching (default 200)
 *
 * nested and nops need an interrupt in the function patch_all(): its handler runs the place. The others need none.
 * Ends: PASS, or FAIL 0x601 (a feature that is there was said to be absent), 0x602 (a place left wrong
 * registers), 0x603 (the branch goes against its key); or an exception.
 */
#include "guest.h"

#define TICK_VECTOR 0x40
#define PLACE_BYTES 9

#define FAIL_FEATURE   0x601
#define FAIL_PLACE     0x602
#define FAIL_BRANCH    0x603
#define FAIL_PARAMETER 0x604

/* Five bytes each; the table below says what may come in their place. `place_dynamic` asks the CPU's features. */
__asm__(".text\n"
        ".balign 16, 0x90\n.globl place_feature\n.type place_feature, @function\nplace_feature:\n"
        ".byte 0xe9\n.long 1f - . - 4\n"
        "1: movl features(%rip), %eax\nret\n"
        "place_no: xorl %eax, %eax\nret\n"
        "place_yes: movl $1, %eax\nret\n"
        ".size place_feature, . - place_feature\n"
        ".section .rodata\nnew_no: .byte 0xe9\n.long place_no - place_feature - 5\n"
        "new_yes: .byte 0xe9\n.long place_yes - place_feature - 5\n.text\n"

        /* Registers as a wrong decoding would show: RAX points nowhere. */
        ".balign 16, 0x90\n.globl place_nops\n.type place_nops, @function\nplace_nops:\n"
        "movl $0x10, %eax\nmovl $0x5a5a5a5a, %ecx\n"
        ".globl nops\nnops: .fill 9, 1, 0x90\n"
        "addl $0x20, %eax\nret\n.size place_nops, . - place_nops\n"

        ".balign 16, 0x90\n.globl place_barrier\n.type place_barrier, @function\nplace_barrier:\n"
        "lock addl $0, (%rsp)\n.fill 3, 1, 0x90\nret\n.size place_barrier, . - place_barrier\n"

        ".balign 16, 0x90\n.globl place_branch\n.type place_branch, @function\nplace_branch:\n"
        ".byte 0x0f, 0x1f, 0x44, 0x00, 0x00\n"
        "xorl %eax, %eax\nret\n1: movl $1, %eax\nret\n.size place_branch, . - place_branch\n"
        ".section .rodata\nbranch_nop: .byte 0x0f, 0x1f, 0x44, 0x00, 0x00\n"
        "branch_jump: .byte 0xe9\n.long 3\n.text\n");

extern uint8_t place_nops[], nops[], place_barrier[], new_no[], new_yes[], branch_nop[], branch_jump[];
uint32_t place_feature(void);
uint32_t place_branch(void);
void patch_all(void);

volatile uint32_t features = 1; /* the CPU has it */
static enum { NESTED, NOPS, SELFPATCH, POLARITY } bug;
static bool fixed;
static volatile uint32_t ticks;

static void sync_core(void)
{
    uint32_t a, b, c, d;
    cpuid(0, &a, &b, &c, &d);
}

static uint32_t call_place_nops(void)
{
    uint32_t result;
    __asm__ volatile("call place_nops" : "=a"(result) : : "rcx", "memory", "cc");
    return result;
}

static void probe(void)
{
    if (bug == NESTED && place_feature() != 1)
        guest_fail(FAIL_FEATURE, "a feature that is there was said to be absent");
    if (bug == NOPS && call_place_nops() != 0x30)
        guest_fail(FAIL_PLACE, "NOPs changed a register");
}

static void on_tick(struct trap_regs *regs)
{
    ticks++;
    probe();
    lapic_write(LAPIC_EOI, 0);
}

/* With interrupts off, as text_poke_early(). */
static void poke(uint8_t *to, const uint8_t *from, size_t bytes)
{
    unsigned long flags = irq_save();
    memcpy(to, from, bytes);
    sync_core();
    irq_restore(flags);
}

/* --- nested ----------------------------------------------------------------------------------------------------- */

struct alternative {
    uint8_t *place;
    const uint8_t *new;
    bool applies;
};

static void patch_nested(void)
{
    /* The ternary alternative: always `no`, then `yes` if the CPU has the feature. */
    const struct alternative table[] = {
        {(uint8_t *)(uintptr_t)place_feature, new_no, true},
        {(uint8_t *)(uintptr_t)place_feature, new_yes, features != 0},
    };
    for (unsigned i = 0; i < 2; i++) {
        bool again = i + 1 < 2 && table[i + 1].place == table[i].place && table[i + 1].applies;
        if (!table[i].applies || (fixed && again))
            continue;
        poke(table[i].place, table[i].new, 5);
    }
}

/* --- nops ------------------------------------------------------------------------------------------------------- */

/* Source: SDM Vol. 2B, "NOP", recommended multi-byte sequence of nine bytes. */
static const uint8_t long_nop[PLACE_BYTES] = {0x66, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00};

static void patch_nops(void)
{
    uint8_t buffer[PLACE_BYTES];
    if (!fixed) {
        for (unsigned i = 0; i < PLACE_BYTES; i++)
            ((volatile uint8_t *)nops)[i] = long_nop[i];
        return;
    }
    memcpy(buffer, long_nop, sizeof buffer);
    poke(nops, buffer, sizeof buffer);
}

/* --- selfpatch -------------------------------------------------------------------------------------------------- */

static const uint8_t new_barrier[8] = {0x0f, 0xae, 0xf0, 0x0f, 0x1f, 0x44, 0x00, 0x00}; /* mfence, NOP of 5 */

static void call_place_barrier(void)
{
    __asm__ volatile("clc\n\tcall place_barrier" : : : "memory", "cc");
}

/* Each byte is written, and made to be seen before the next: by the place that is being written. */
static void write_with_barriers(uint8_t *to, const uint8_t *from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        ((volatile uint8_t *)to)[i] = from[i];
        call_place_barrier();
    }
}

static void patch_selfpatch(void)
{
    uint64_t all;
    if (!fixed) {
        write_with_barriers(place_barrier, new_barrier, sizeof new_barrier);
        return;
    }
    memcpy(&all, new_barrier, sizeof all);
    *(volatile uint64_t *)place_barrier = all;
    sync_core();
    call_place_barrier();
}

/* --- polarity --------------------------------------------------------------------------------------------------- */

/* The code of both macros is the same NOP or jump; which one stands there follows from the key alone. */
struct static_key {
    bool enabled;
    bool true_branch; /* how the key was initialised: which of the two is the NOP's */
};
static struct static_key rdpmc_always = {false, false};

static void static_key_update(struct static_key *key, bool enabled)
{
    key->enabled = enabled;
    poke((uint8_t *)(uintptr_t)place_branch, key->enabled == key->true_branch ? branch_nop : branch_jump, 5);
}

/* What load_mm_cr4() decides: may user space read the counters? */
static bool rdpmc_allowed(void)
{
    return fixed ? place_branch() : !place_branch(); /* static_key_false() and static_key_true() */
}

static void check_branch(void)
{
    if (rdpmc_allowed() != rdpmc_always.enabled)
        guest_fail(FAIL_BRANCH, rdpmc_always.enabled ? "the key is true, and the branch not taken"
                                                     : "the key is false, and the branch taken");
}

/* ---------------------------------------------------------------------------------------------------------------- */

__attribute__((noinline)) void patch_all(void)
{
    switch (bug) {
    case NESTED:
        patch_nested();
        break;
    case NOPS:
        patch_nops();
        break;
    case SELFPATCH:
        patch_selfpatch();
        break;
    case POLARITY:
        static_key_update(&rdpmc_always, false); /* jump_label_init() */
        break;
    }
}

static void tick_start(void)
{
    trap_set(TICK_VECTOR, on_tick);
    lapic_enable(false);
    lapic_write(LAPIC_TDCR, 0xb);
    lapic_write(LAPIC_LVTT, 0x20000 | TICK_VECTOR);
    lapic_write(LAPIC_TMICT, 10000000);
}

void guest_main(void)
{
    static const char *const bugs[] = {
        [NESTED] = "nested", [NOPS] = "nops", [SELFPATCH] = "selfpatch", [POLARITY] = "polarity"};
    unsigned n = sizeof bugs / sizeof *bugs;
    for (unsigned i = 0; i < sizeof bugs / sizeof *bugs; i++)
        if (param_is("bug", bugs[i]))
            n = i;
    if (n == sizeof bugs / sizeof *bugs)
        guest_fail(FAIL_PARAMETER, "unknown bug");
    bug = n;
    fixed = param_u32("fixed", 0);
    tick_start();
    irq_enable();
    for (uint32_t round = param_u32("delay", 200); round; round--)
        cpu_relax();
    patch_all();
    irq_disable();
    probe();
    if (bug == POLARITY) {
        check_branch();
        static_key_update(&rdpmc_always, true);
        check_branch();
    }
    printk("patched, %u ticks\n", ticks);
}
