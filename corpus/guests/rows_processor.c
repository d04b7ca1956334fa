/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rows_processor: what a processor refuses, and how: control and debug registers, single steps, priorities of faults,
 * canonical addresses, CPUID faulting, the time stamp counter, MSRs. A row's result is the vector of the exception, or
 * 0.
 *
 * Source: SDM Vol. 2, "MOV—Move to/from Control Registers", "MOV—Move to/from Debug Registers"; Vol. 3A, "Control
 * Registers", "Interrupt and Exception Handling"; Vol. 3B, "Debug Registers". What depends on the processor's features
 * is compared with CPUID by the guest itself.
 */
#include "rows.h"

#define CODE_SELECTOR (sizeof(void *) == 8 ? 0x18 : 0x08)
#define NONCANONICAL  0x800000000000ull
#define MSR_TSC       0x10u
#define MSR_PLATFORM  0xceu
#define MSR_FEATURES  0x140u
#define MSR_EFER      0xc0000080u
#define DR6_FIXED     0xffff0ff0ul

uintptr_t row_resume;        /* where a trapped row goes on */
uintptr_t row_place, row_sp; /* marks that its code leaves */
static volatile unsigned long trap_vector, trap_error, trap_ip, trap_sp, trap_dr6, trap_dr7;

static unsigned long read_dr6(void)
{
    unsigned long value;
    __asm__ volatile("mov %%dr6, %0" : "=r"(value));
    return value;
}

static unsigned long read_dr7(void)
{
    unsigned long value;
    __asm__ volatile("mov %%dr7, %0" : "=r"(value));
    return value;
}

static void on_trap(struct trap_regs *regs)
{
    trap_vector = regs->vector;
    trap_error = regs->error;
    trap_ip = regs->ip;
#ifdef __x86_64__
    trap_sp = regs->sp;
#endif
    if (regs->vector == 1) {
        trap_dr6 = read_dr6();
        trap_dr7 = read_dr7();
        regs->flags &= ~0x100ul;
    }
    regs->ip = row_resume;
}

/* Executes `code`, which may fault; row_place is its address. Gives the vector, or 0. */
#define TRY(code, ...)                                                                                                 \
    ({                                                                                                                 \
        trap_vector = trap_error = trap_ip = 0;                                                                        \
        __asm__ volatile("movl $771f, row_resume\n movl $770f, row_place\n 770: " code "\n 771:" __VA_ARGS__);         \
        (long)trap_vector;                                                                                             \
    })
/* The same with RFLAGS.TF, which counts from behind POPF. */
#define STEP(code, ...)                                                                                                \
    ({                                                                                                                 \
        trap_vector = trap_error = trap_ip = 0;                                                                        \
        write_dr6(DR6_FIXED);                                                                                          \
        __asm__ volatile("movl $771f, row_resume\n movl $771f, row_place\n" PUSH_TF code "\n 771: nop" __VA_ARGS__);   \
        (long)trap_vector;                                                                                             \
    })
#ifdef __x86_64__
#define PUSH_TF "pushf\n orl $0x100, (%%rsp)\n popf\n"
#define WIDE    "q"
#else
#define PUSH_TF "pushf\n orl $0x100, (%%esp)\n popf\n"
#define WIDE    "l"
#endif

#define ROW_FAULT(name, vector)                                                                                        \
    ROW_EFFECT(name, vector, "error %lx%s", trap_error, trap_ip == row_place ? "" : " behind")

static void write_dr6(unsigned long value)
{
    __asm__ volatile("mov %0, %%dr6" : : "r"(value));
}

#define READ_CR(n)                                                                                                     \
    ({                                                                                                                 \
        unsigned long value_;                                                                                          \
        __asm__ volatile("mov %%cr" #n ", %0" : "=r"(value_));                                                         \
        value_;                                                                                                        \
    })
#define WRITE_CR(n, value) TRY("mov %0, %%cr" #n, : : "r"((unsigned long)(value)) : "memory")

static bool has(uint32_t leaf, unsigned reg, unsigned bit)
{
    uint32_t r[4], max, ignored;
    cpuid(0, &max, &ignored, &ignored, &ignored);
    if (leaf > max)
        return false;
    cpuid(leaf, &r[0], &r[1], &r[2], &r[3]);
    return r[reg] >> bit & 1;
}

/* --- control registers ------------------------------------------------------------------------------------------ */

static void row_cr4(const char *name, unsigned bit, bool offered)
{
    unsigned long before = READ_CR(4), bit_mask = 1ul << bit;
    long vector = WRITE_CR(4, before | bit_mask);
    bool is_set = READ_CR(4) >> bit & 1;
    bool good = offered ? vector == 0 && is_set : vector == 13 && trap_error == 0 && READ_CR(4) == before;
    WRITE_CR(4, before);
    ROW_EFFECT(name, 0, "%s", good ? "as CPUID says" : offered ? "refused though CPUID offers it" : "taken");
}

static void rows_cr4(void)
{
    row_cr4("cr4.pse", 4, has(1, 3, 3));
    row_cr4("cr4.pce", 8, true);
    row_cr4("cr4.umip", 11, has(7, 2, 2));
    row_cr4("cr4.vmxe", 13, has(1, 2, 5));
    row_cr4("cr4.smxe", 14, has(1, 2, 6));
    row_cr4("cr4.bit_15", 15, false);
    row_cr4("cr4.fsgsbase", 16, has(7, 1, 0));
    row_cr4("cr4.osxsave", 18, has(1, 2, 26));
    row_cr4("cr4.bit_19", 19, has(7, 2, 23));
    row_cr4("cr4.smep", 20, has(7, 1, 7));
    row_cr4("cr4.smap", 21, has(7, 1, 20));
    row_cr4("cr4.pke", 22, has(7, 2, 3));
    row_cr4("cr4.bit_26", 26, false);
    row_cr4("cr4.bit_30", 30, false);
    row_cr4("cr4.bit_31", 31, false);
#ifdef __x86_64__
    row_cr4("cr4.bit_63", 63, false);
    /* Not to be changed in long mode, whoever offers it. */
    unsigned long before = READ_CR(4);
    ROW_FAULT("cr4.la57_in_long_mode", WRITE_CR(4, before | 1ul << 12));
    ROW_FAULT("cr4.pae_clear_in_long_mode", WRITE_CR(4, before & ~0x20ul));
#else
    ROW_FAULT("cr4.pcide_without_long_mode", WRITE_CR(4, READ_CR(4) | 1ul << 17));
#endif
}

static void rows_cr0(void)
{
    unsigned long before = READ_CR(0);
    ROW_FAULT("cr0.pg_without_pe", WRITE_CR(0, before & ~1ul));
    ROW_FAULT("cr0.nw_without_cd", WRITE_CR(0, before | 1ul << 29));
    long vector = WRITE_CR(0, before | 1ul << 6 | 1ul << 17 | 1ul << 28);
    ROW_EFFECT("cr0.reserved_bits", vector, "%s", READ_CR(0) == before ? "ignored" : "taken");
    vector = WRITE_CR(0, before & ~0x10ul);
    ROW_EFFECT("cr0.et_clear", vector, "%s", READ_CR(0) == before ? "ignored" : "taken");
    vector = TRY("lmsw %w0", : : "r"(before & 0xfffe) : "memory");
    ROW_EFFECT("cr0.lmsw_pe_clear", vector, "%s", READ_CR(0) == before ? "ignored" : "taken");
    TRY("lmsw %w0", : : "r"((before & 0xffff) | 8) : "memory");
    unsigned long with_ts = READ_CR(0);
    vector = TRY("clts", : : : "memory");
    ROW_EFFECT("cr0.lmsw_clts", vector, "ts %lu, %lu", with_ts >> 3 & 1, READ_CR(0) >> 3 & 1);
#ifdef __x86_64__
    ROW_FAULT("cr0.bit_32", WRITE_CR(0, before | 1ul << 32));
    ROW_FAULT("cr0.pg_clear_in_64_bit_code", WRITE_CR(0, before & ~(1ul << 31)));
#endif
    ROW_EFFECT("cr0.after", 0, "%s", READ_CR(0) == before ? "unchanged" : "changed");
}

static void rows_others(void)
{
    uint64_t efer = rdmsr(MSR_EFER);
    uint32_t low = (uint32_t)efer, high = (uint32_t)(efer >> 32);
#define WRMSR(number, lo, hi) TRY("wrmsr", : : "c"(number), "a"(lo), "d"(hi) : "memory")
    ROW_FAULT("efer.bit_1", WRMSR(MSR_EFER, low | 2, high));
    ROW_FAULT("efer.bit_32", WRMSR(MSR_EFER, low, high | 1));
    /* 0F 22 C8: CR1. */
    ROW_FAULT("cr1.write", TRY(".byte 0x0f, 0x22, 0xc8", : : : "memory"));
    ROW_FAULT("cr5.read", TRY(".byte 0x0f, 0x20, 0xe8", : : : "eax", "memory"));
    ROW_FAULT("cr0.lock", TRY(".byte 0xf0, 0x0f, 0x22, 0xc0", : : "a"(READ_CR(0)) : "memory"));
    ROW_FAULT("xsetbv.without_osxsave", TRY("xsetbv", : : "a"(1), "d"(0), "c"(0)));
    ROW_FAULT("xgetbv.without_osxsave", TRY("xgetbv", : : "c"(0) : "eax", "edx"));
#ifdef __x86_64__
    ROW_FAULT("efer.lme_clear_with_paging", WRMSR(MSR_EFER, low & ~0x100u, high));
    unsigned long cr3 = READ_CR(3);
    ROW_FAULT("cr3.bit_51", WRITE_CR(3, cr3 | 1ul << 51));
    ROW_FAULT("cr3.bit_63", WRITE_CR(3, cr3 | 1ul << 63));
    ROW_EFFECT("cr3.after", 0, "%s", READ_CR(3) == cr3 ? "unchanged" : "changed");
    ROW_FAULT("cr9.write", TRY(".byte 0x44, 0x0f, 0x22, 0xc8", : : : "memory"));
    long vector = WRITE_CR(8, 5);
    ROW_EFFECT("cr8.write", vector, "cr8 %lx, tpr %x", READ_CR(8), lapic_read(0x80));
    lapic_write(0x80, 0x73);
    ROW_EFFECT("cr8.tpr", 0, "cr8 %lx", READ_CR(8));
    ROW_FAULT("cr8.bit_4", WRITE_CR(8, 16));
    WRITE_CR(8, 0);
    ROW_EFFECT("cr8.after", 0, "tpr %x", lapic_read(0x80));
#endif
}

/* --- debug registers and traps ---------------------------------------------------------------------------------- */

static unsigned long cr4_with_de(bool on)
{
    unsigned long cr4 = READ_CR(4);
    WRITE_CR(4, on ? cr4 | 8 : cr4 & ~8ul);
    return cr4;
}

static void rows_debug_registers(void)
{
    unsigned long value = 0, cr4 = cr4_with_de(false);
    long vector = TRY(".byte 0x0f, 0x21, 0xe0", : "=a"(value)); /* mov eax, dr4 */
    ROW_EFFECT("dr4.without_de", vector, "%s", value == read_dr6() ? "dr6" : "not dr6");
    cr4_with_de(true);
    ROW_FAULT("dr4.with_de", TRY(".byte 0x0f, 0x21, 0xe0", : "=a"(value)));
    ROW_FAULT("dr5.with_de", TRY(".byte 0x0f, 0x23, 0xe8", : : "a"(0x400ul)));
    WRITE_CR(4, cr4);
    vector = TRY("mov %0, %%dr6", : : "r"(0ul));
    ROW_EFFECT("dr6.zero", vector, "%lx", read_dr6());
    vector = TRY("mov %0, %%dr6", : : "r"(0xfffffffful));
    ROW_EFFECT("dr6.ones", vector, "%lx", read_dr6() & ~0x10800ul); /* without RTM and bus lock */
    write_dr6(DR6_FIXED);
    vector = TRY("mov %0, %%dr7", : : "r"(0x0000d000ul));
    ROW_EFFECT("dr7.reserved", vector, "%lx", read_dr7() & ~0x2000ul);
    TRY("mov %0, %%dr7", : : "r"(0x400ul));
#ifdef __x86_64__
    ROW_FAULT("dr6.bit_32", TRY("mov %0, %%dr6", : : "r"(1ul << 32)));
    ROW_FAULT("dr7.bit_32", TRY("mov %0, %%dr7", : : "r"(1ul << 32 | 0x400)));
    ROW_FAULT("dr8.write", TRY(".byte 0x44, 0x0f, 0x23, 0xc0", : : "a"(0)));
#endif
    TRY("mov %0, %%dr7", : : "r"(0x2400ul));
    vector = TRY("mov %0, %%dr0", : : "r"(0x1234ul));
    ROW_EFFECT("dr7.general_detect", vector, "dr6 %lx, dr7 %lx%s", trap_dr6, trap_dr7,
               trap_ip == row_place ? "" : ", behind");
    TRY("mov %0, %%dr7", : : "r"(0x400ul));
    write_dr6(DR6_FIXED);
    uintptr_t at;
    __asm__ volatile("mov $773f, %0" : "=r"(at)); /* the instruction below */
    TRY("mov %0, %%dr1\n mov %1, %%dr7", : : "r"(at), "r"(0x404ul));
    trap_vector = trap_ip = 0;
    unsigned long executed = 0;
    __asm__ volatile("movl $772f, row_resume\n nop\n773: mov $1, %0\n772:" : "+r"(executed));
    ROW_EFFECT("dr1.execution", (long)trap_vector, "dr6 %lx, %s, executed %lu", trap_dr6,
               trap_ip == at ? "before" : "elsewhere", executed);
    TRY("mov %0, %%dr7", : : "r"(0x400ul));
    write_dr6(DR6_FIXED);
    long icebp = TRY(".byte 0xf1", : : : "memory");
    ROW_EFFECT("icebp", icebp, "error %lx, %s", trap_error, trap_ip == row_resume ? "right behind" : "elsewhere");
    ROW_EFFECT("icebp.dr6", 0, "%lx", trap_dr6);
}

#define ROW_STEP(name, vector)                                                                                         \
    ROW_EFFECT(name, vector, "dr6 %lx, %s", trap_dr6, trap_ip == row_place ? "right behind" : "elsewhere")

static void rows_steps(void)
{
    unsigned long cr0 = READ_CR(0), dr7 = 0x400;
    ROW_STEP("step.nop", STEP("nop", : : : "memory"));
    ROW_STEP("step.cpuid", STEP("cpuid", : : "a"(0), "c"(0) : "ebx", "edx", "memory"));
    ROW_STEP("step.rdtsc", STEP("rdtsc", : : : "eax", "edx", "memory"));
    ROW_STEP("step.rdmsr", STEP("rdmsr", : : "c"(MSR_EFER) : "eax", "edx", "memory"));
    ROW_STEP("step.wrmsr", STEP("wrmsr", : : "c"(0x277), "a"(0x00070406), "d"(0x00070406) : "memory"));
    ROW_STEP("step.mov_to_cr0", STEP("mov %0, %%cr0", : : "r"(cr0) : "memory"));
    ROW_STEP("step.mov_from_cr0", STEP("mov %%cr0, %0", : "=r"(cr0) : : "memory"));
    ROW_STEP("step.mov_to_dr7", STEP("mov %0, %%dr7", : : "r"(dr7) : "memory"));
    ROW_STEP("step.mov_from_dr7", STEP("mov %%dr7, %0", : "=r"(dr7) : : "memory"));
    ROW_STEP("step.out", STEP("outb %%al, $0x80", : : "a"(0) : "memory"));
    ROW_STEP("step.in", STEP("inb $0x80, %%al", : : : "eax", "memory"));
    ROW_STEP("step.hlt", STEP("hlt", : : : "memory"));
    ROW_STEP("step.mov_ss", STEP("mov %w0, %%ss\n nop", : : "a"(0x10) : "memory"));
#ifdef __x86_64__
    ROW_STEP("step.mov_from_cr8", STEP("mov %%cr8, %%rax", : : : "eax", "memory"));
#endif
}

/* --- priorities, addresses -------------------------------------------------------------------------------------- */

static void row_fpu(const char *name, unsigned em, unsigned ts, unsigned osfxsr, unsigned which)
{
    static uint8_t area[512] __attribute__((aligned(16)));
    unsigned long cr0 = READ_CR(0), cr4 = READ_CR(4);
    long vector = 0;
    WRITE_CR(4, osfxsr ? cr4 | 0x200 : cr4 & ~0x200ul);
    WRITE_CR(0, (cr0 & ~0xcul) | em << 2 | ts << 3);
    switch (which) {
    case 0:
        vector = TRY(".byte 0x0f, 0x28, 0xc1", : : : "memory"); /* movaps xmm0, xmm1 */
        break;
    case 1:
        vector = TRY(".byte 0x0f, 0x6f, 0xc1", : : : "memory"); /* movq mm0, mm1 */
        break;
    case 2:
        vector = TRY("fninit", : : : "memory");
        break;
    default:
        vector = TRY("fxsave %0", : "=m"(area));
        break;
    }
    unsigned long error = trap_error;
    WRITE_CR(0, cr0);
    WRITE_CR(4, cr4);
    ROW_EFFECT(name, vector, "error %lx", error);
}

static void rows_fpu(void)
{
    row_fpu("sse.ts", 0, 1, 1, 0);
    row_fpu("sse.no_osfxsr", 0, 0, 0, 0);
    row_fpu("sse.ts.no_osfxsr", 0, 1, 0, 0);
    row_fpu("sse.em", 1, 0, 1, 0);
    row_fpu("sse.em.ts", 1, 1, 1, 0);
    row_fpu("mmx.ts", 0, 1, 1, 1);
    row_fpu("mmx.ts.no_osfxsr", 0, 1, 0, 1);
    row_fpu("mmx.em", 1, 0, 1, 1);
    row_fpu("mmx.em.ts", 1, 1, 1, 1);
    row_fpu("x87.em", 1, 0, 1, 2);
    row_fpu("x87.ts", 0, 1, 1, 2);
    row_fpu("fxsave.ts", 0, 1, 1, 3);
    row_fpu("fxsave.em", 1, 0, 1, 3);
}

static void rows_addresses(void)
{
#ifdef __x86_64__
    unsigned long bad = NONCANONICAL, value = 0;
    ROW_FAULT("canonical.data", TRY("mov (%0), %%eax", : : "r"(bad) : "eax"));
    trap_vector = trap_error = trap_ip = 0;
    __asm__ volatile("movl $771f, row_resume\n movl $770f, row_place\n push %%rbp\n mov %0, %%rbp\n"
                     "770: mov 8(%%rbp), %%eax\n 771: pop %%rbp"
                     :
                     : "r"(bad)
                     : "eax", "memory");
    ROW_FAULT("canonical.rbp", (long)trap_vector);
    ROW_FAULT("canonical.jmp", TRY("jmp *%0", : : "r"(NONCANONICAL)));
    __asm__ volatile("mov %%rsp, %0" : "=r"(row_sp));
    ROW_FAULT("canonical.call", TRY("call *%0", : : "r"(NONCANONICAL) : "memory"));
    ROW_EFFECT("canonical.call.stack", 0, "%s", trap_sp == row_sp ? "as before" : "moved");
    if (READ_CR(4) & 1ul << 16 || has(7, 1, 0)) {
        unsigned long cr4 = READ_CR(4);
        WRITE_CR(4, cr4 | 1ul << 16);
        ROW_FAULT("canonical.wrfsbase", TRY("wrfsbase %0", : : "r"(NONCANONICAL)));
        ROW_FAULT("canonical.wrgsbase", TRY("wrgsbase %0", : : "r"(NONCANONICAL)));
        long vector = TRY("wrfsbase %1\n rdfsbase %0", : "=&r"(value) : "r"(0x7fff12345678ul));
        ROW_EFFECT("wrfsbase", vector, "%lx", value);
        TRY("wrfsbase %0", : : "r"(0ul));
        WRITE_CR(4, cr4);
    }
#endif
}

/* --- the user's mode, for CPUID faulting ------------------------------------------------------------------------ */

extern uintptr_t page_root[], page_low[];
#ifdef __x86_64__
extern uintptr_t page_directories[], page_pointers[];
#define TABLE_WORDS 512u
#else
#define TABLE_WORDS 1024u
#endif
extern uint64_t gdt[];

static uint64_t user_gdt[8];
static uint32_t tss[26];
static uint8_t ring_0_stack[4096] __attribute__((aligned(16)));
static uint8_t ring_3_stack[4096] __attribute__((aligned(16)));
uintptr_t user_sp;

static void let_user_in(uintptr_t *table, unsigned words)
{
    for (unsigned i = 0; i < words; i++)
        if (table[i] & 1)
            table[i] |= 4;
}

static void user_init(void)
{
    struct __attribute__((packed)) {
        uint16_t limit;
        uintptr_t base;
    } descriptor = {.limit = sizeof user_gdt - 1, .base = (uintptr_t)user_gdt};
    uint64_t base = (uintptr_t)tss;
    memcpy(user_gdt, gdt, 4 * sizeof *user_gdt);
    user_gdt[4] = sizeof(void *) == 8 ? 0x00affb000000ffff : 0x00cffb000000ffff;
    user_gdt[5] = 0x00cff3000000ffff;
    user_gdt[6] = (sizeof tss - 1) | (base & 0xffffff) << 16 | 0x89ull << 40 | (base >> 24 & 0xff) << 56;
    user_gdt[7] = base >> 32;
    tss[1] = (uint32_t)(uintptr_t)(ring_0_stack + sizeof ring_0_stack);
    tss[2] = sizeof(void *) == 8 ? 0 : 0x10;
    tss[25] = 0x680000;
    __asm__ volatile("lgdt %0\n ltr %w1" : : "m"(descriptor), "r"(0x30));
    let_user_in(page_root, TABLE_WORDS);
    let_user_in(page_low, TABLE_WORDS);
#ifdef __x86_64__
    let_user_in(page_pointers, 4);
    let_user_in(page_directories, 4 * TABLE_WORDS);
#endif
    map_load();
}

/* HLT ends the user's code by #GP. */
static void on_user_trap(struct trap_regs *regs)
{
    trap_vector = regs->vector;
    trap_ip = regs->ip;
    regs->ip = row_resume;
    regs->cs = CODE_SELECTOR;
#ifdef __x86_64__
    regs->sp = user_sp;
    regs->ss = 0x10;
#endif
}

/* Where CPUID of the user ends: 13 at itself; 0 if the HLT behind it is reached. */
static long user_cpuid(void)
{
    trap_set(13, on_user_trap);
#ifdef __x86_64__
    __asm__ volatile("movl $771f, row_resume\n movl $770f, row_place\n mov %%rsp, user_sp\n"
                     "push $0x2b\n push %0\n push $2\n push $0x23\n push $770f\n iretq\n"
                     "770: cpuid\n hlt\n 771:"
                     :
                     : "r"(ring_3_stack + sizeof ring_3_stack), "a"(0), "c"(0)
                     : "rbx", "rdx", "memory");
#else
    __asm__ volatile("movl $771f, row_resume\n movl $770f, row_place\n mov %%esp, user_sp\n"
                     "push $0x2b\n push %0\n push $2\n push $0x23\n push $770f\n iret\n"
                     "770: cpuid\n hlt\n 771: mov user_sp, %%esp"
                     :
                     : "S"(ring_3_stack + sizeof ring_3_stack), "a"(0), "c"(0)
                     : "ebx", "edx", "memory");
    __asm__ volatile("mov %0, %%ds\n mov %0, %%es" : : "r"(0x10) : "memory");
#endif
    trap_set(13, on_trap);
    return trap_ip == row_place ? (long)trap_vector : 0;
}

static void rows_cpuid_faulting(void)
{
    bool offered = TRY("rdmsr", : : "c"(MSR_PLATFORM) : "eax", "edx") == 0 && rdmsr(MSR_PLATFORM) >> 31 & 1;
    user_init();
    ROW("cpuid_faulting.user_before", user_cpuid());
    long vector = WRMSR(MSR_FEATURES, offered, 0);
    ROW_EFFECT("cpuid_faulting.on", vector, "%s", offered ? "offered" : "not offered");
    uint32_t ignored;
    cpuid(0, &ignored, &ignored, &ignored, &ignored);
    ROW("cpuid_faulting.kernel", 0);
    ROW_EFFECT("cpuid_faulting.user", 0, "%s", user_cpuid() == (offered ? 13 : 0) ? "as offered" : "not as offered");
    WRMSR(MSR_FEATURES, 0, 0);
    ROW("cpuid_faulting.user_after", user_cpuid());
}

/* --- the time stamp counter ------------------------------------------------------------------------------------- */

static uint64_t rdtsc(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

static void rows_tsc(void)
{
    uint64_t target = 0x123400000000ull, before = rdtsc();
    long vector = WRMSR(MSR_TSC, (uint32_t)target, (uint32_t)(target >> 32));
    uint64_t now = rdtsc();
    ROW_EFFECT("tsc.write", vector, "%s", now >= target && now - target < 1ull << 32 ? "moved" : "not moved");
    now = rdmsr(MSR_TSC);
    ROW_EFFECT("tsc.read", 0, "%s", now >= target && now - target < 1ull << 32 ? "the same counter" : "another");
    vector = WRMSR(MSR_TSC, (uint32_t)before, (uint32_t)(before >> 32));
    now = rdtsc();
    ROW_EFFECT("tsc.back", vector, "%s", now >= before && now - before < 1ull << 32 ? "moved" : "not moved");
}

/* --- model-specific registers, as a guest of Xen sees them ------------------------------------------------------- */

static uint64_t msr_value;

static long read_msr(uint32_t msr)
{
    uint32_t low = 0, high = 0;
    long vector = TRY("rdmsr", : "=a"(low), "=d"(high) : "c"(msr));
    msr_value = vector ? 0 : (uint64_t)high << 32 | low;
    return vector;
}

static void rows_msrs(void)
{
    static const struct {
        uint32_t msr;
        const char *name;
    } zero[] = {{0x17b, "msr.mcg_ctl"}, {0x282, "msr.mc2_ctl2"},  {0x29f, "msr.mc31_ctl2"},
                {0x408, "msr.mc2_ctl"}, {0x47f, "msr.mc31_misc"}, {0x38f, "msr.perf_global_ctrl"},
                {0x600, "msr.ds_area"}},
      refused[] = {{0x40000021, "msr.viridian_tsc"},
                   {0x400000b1, "msr.viridian_timer"},
                   {0x210, "msr.mtrr_8"},
                   {0xc0010117, "msr.vm_hsave"},
                   {0x12345, "msr.unknown"}};
    for (unsigned i = 0; i < sizeof zero / sizeof zero[0]; i++) {
        long result = read_msr(zero[i].msr);
        ROW_EFFECT(zero[i].name, result, "%lx, written %ld", (unsigned long)msr_value, WRMSR(zero[i].msr, 0, 0));
    }
    WRMSR(0x280, 7, 0);
    long vector = read_msr(0x280);
    ROW_EFFECT("msr.mc0_ctl2", vector, "%lx", (unsigned long)msr_value);
    ROW("msr.debugctl.lbr", WRMSR(0x1d9, 1, 0));
    vector = read_msr(0x1d9);
    ROW_EFFECT("msr.debugctl", vector, "%lx", (unsigned long)msr_value);
    ROW("msr.debugctl.bts", WRMSR(0x1d9, 0x80, 0));
    WRMSR(0x1d9, 0, 0);
    uint64_t before = rdtsc();
    vector = WRMSR(0x3b, 0, 0x1000);
    ROW_EFFECT("msr.tsc_adjust", vector, "%s", (rdtsc() - before) >> 44 == 1 ? "moved" : "not moved");
    WRMSR(0x3b, 0, 0);
    for (unsigned i = 0; i < sizeof refused / sizeof refused[0]; i++) { /* the end of the run before Xen 4.15 */
        long result = read_msr(refused[i].msr);
        ROW_EFFECT(refused[i].name, result, "written %ld", WRMSR(refused[i].msr, 0, 0));
    }
}

void guest_main(void)
{
    static const uint8_t vectors[] = {1, 6, 7, 12, 13, 16};
    rows_begin("processor");
    for (unsigned i = 0; i < sizeof vectors; i++)
        trap_set(vectors[i], on_trap);
    rows_cr4();
    rows_cr0();
    rows_others();
    rows_debug_registers();
    rows_steps();
    rows_fpu();
    rows_addresses();
    rows_tsc();
    rows_cpuid_faulting();
    rows_msrs();
}
