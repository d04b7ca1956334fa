/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * s1: a timer interrupt, or an NMI, during alternative_instructions (Linux 2.6.18, i386). Seed S1.
 *
 * The boot order of 2.6.18: interrupts are on and a tick arrives while the one vCPU patches its own code, site by
 * site. A handler that executes a half-patched site runs bytes that nobody wrote. The patcher, the tables
 * (.altinstructions, .smp_altinstructions, .smp_locks), the copy loops and the NOP fill have the shape of 2.6.18's; the
 * copy itself is not a patched site.
 *
 * Parameters (lists are joined by '+'; a site is named as in `sites` below, `all` are those that ever run):
 *   variant=buggy           interrupts stay on (default)
 *          =fixed2006       interrupts off around it all
 *          =fixed-nmi       also NMIs held off, see nmihold
 *          =buffered        one aligned write of at most 8 bytes makes each site valid
 *          =int3            breakpoint first, tail next, first byte last
 *          =int3-nohandler  the same before the #BP handler exists
 *          =no-replacement  patches nothing
 *   memcpy=byte|movsb|movsl how bytes are copied (default movsl: rep movsl, then rep movsb for the rest)
 *   nops=intel|k8           the NOP table
 *   sites=LIST              what the tick handler executes (default all)
 *   nmi=LIST                what the NMI handler executes (default nothing)
 *   patch=LIST              sites that are in the tables (default everything, the two that never run included)
 *   hotplug=0|1             1: the SMP half runs under a lock with interrupts off, as with CPU hot-plug (default 0)
 *   nmihold=self|source     fixed-nmi by patching inside an NMI sent to oneself, which blocks others until IRET
 *                           (default), or by a flag that the handler obeys, as a stopped NMI source would
 *   tick=pit|lapic|none     source of the tick (default pit, through the PIC's IRQ 0); hz=N (default 1000, PIT);
 *                           lapic: ticks each period=N counts (default 100000)
 *   delay=N                 rounds of calibrate_delay before (default 20000); after=N rounds after it (default 20000)
 *   list=1                  prints the table of sites
 *   step=K                  an oracle that needs no search tool: single-steps alternative_instructions by TF and, at
 *                           its K-th boundary, runs the tick's sites in the trap handler (with IF=0: at the next
 *                           boundary with IF=1, as a pending interrupt would); stepas=nmi: the NMI's, whatever IF is
 *
 * Expected: `state` is one number for every place of an interrupt that does no harm, and the last line is PASS.
 * Harm ends in PANIC (#UD, #PF, #GP, #BP told apart), or in an endless loop, or in FAIL with code 0x201 (a site left
 * wrong registers), 0x202 (wrong memory), 0x203 (the patched code is not what the tables say).
 */
#include "guest.h"

#define FEATURE_XMM    25
#define FEATURE_XMM2   26
#define FEATURE_UP     104
#define NOP_BYTES_MAX  8
#define SITE_BYTES_MAX 16
#define RW_BIAS        0x01000000u

#define FAIL_REGISTERS 0x201
#define FAIL_MEMORY    0x202
#define FAIL_TEXT      0x203
#define FAIL_PARAMETER 0x204

/* Source: Linux 2.6.18, include/asm-i386/alternative.h, struct alt_instr. */
struct alt_instr {
    uint8_t *instr;
    uint8_t *replacement;
    uint8_t cpuid;
    uint8_t instrlen;
    uint8_t replacementlen;
    uint8_t pad;
};
_Static_assert(sizeof(struct alt_instr) == 12, "2.6.18 layout");

extern struct alt_instr __alt_instructions[], __alt_instructions_end[];
extern struct alt_instr __smp_alt_instructions[], __smp_alt_instructions_end[];
extern uint8_t *__smp_locks[], *__smp_locks_end[];

/* A site is the start of a function of its own, on a 16-byte boundary; `tail` follows it. Old and new code are both
 * correct, byte for byte as in 2.6.18. SMP entries keep room for the original behind the replacement. */
#define SITE_BEGIN(name)     ".balign 16, 0x90\n.globl " name "\n.type " name ", @function\n" name ":\n661:\n"
#define SITE_END(name, tail) tail "\nret\n.size " name ", . - " name "\n"
#define TABLE(section, feature, room)                                                                                  \
    ".pushsection " section ", \"a\"\n.long 661b, 663f\n.byte " #feature ", 662b-661b, 664f-663f, 0\n.popsection\n"    \
    ".pushsection .altinstr_replacement, \"aw\"\n663:\n" room
#define ALTERNATIVE(name, feature, old, new, tail)                                                                     \
    SITE_BEGIN(name)                                                                                                   \
    old "\n662:\n" TABLE(".altinstructions", feature, new "\n664:\n.popsection\n") SITE_END(name, tail)
#define ALTERNATIVE_SMP(name, smp, up, tail)                                                                           \
    SITE_BEGIN(name)                                                                                                   \
    smp "\n662:\n" TABLE(".smp_altinstructions", 104, up "\n664:\n.skip 662b-661b, 0x42\n.popsection\n")               \
        SITE_END(name, tail)
#define LOCK_ONLY(name, insn)                                                                                          \
    SITE_BEGIN(name)                                                                                                   \
    "lock " insn "\n662:\n.pushsection .smp_locks, \"a\"\n.long 661b\n.popsection\n" SITE_END(name, "")

#define SPIN_LOCK  "1: lock decb (%eax)\njns 3f\n2: rep nop\ncmpb $0, (%eax)\njle 2b\njmp 1b\n3:"
#define READ_LOCK  "lock subl $1, (%eax)\njns 1f\ncall read_lock_failed\n1:"
#define WRITE_LOCK ".byte 0xf0, 0x81, 0x28, 0, 0, 0, 1\njz 1f\ncall write_lock_failed\n1:"

__asm__(".text\n" ALTERNATIVE("site_mb", 26, "lock addl $0, (%esp)", "mfence",
                              "") ALTERNATIVE("site_mb2", 26, "lock addl $0, (%esp)", "mfence", "orl $0, 32(%ecx)")
            ALTERNATIVE("site_rmb", 26, "lock addl $0, (%esp)", "lfence", "")
                ALTERNATIVE("site_wmb", 25, "lock addl $0, (%esp)", "sfence", "")
                    ALTERNATIVE("site_prefetch", 25, ".byte 0x8d, 0x74, 0x26, 0x00", "prefetchnta (%eax)", "")
                        ALTERNATIVE("site_prefetch2", 25, ".byte 0x8d, 0x74, 0x26, 0x00", "prefetchnta (%eax)",
                                    "orl $0, 32(%ecx)") ALTERNATIVE_SMP("site_spin_lock", SPIN_LOCK, "decb (%eax)", "")
                            ALTERNATIVE_SMP("site_spin_lock2", SPIN_LOCK, "decb (%eax)", "orl $0, 32(%ecx)")
                                ALTERNATIVE_SMP("site_read_lock", READ_LOCK, "subl $1, (%eax)", "")
                                    ALTERNATIVE_SMP("site_write_lock", WRITE_LOCK, ".byte 0x81, 0x28, 0, 0, 0, 1", "")
                                        LOCK_ONLY("site_read_unlock", "incl (%eax)")
                                            LOCK_ONLY("site_write_unlock", "addl $0x01000000, (%eax)")
                                                LOCK_ONLY("site_atomic_inc", "incl (%eax)")
                                                    LOCK_ONLY("site_atomic_dec", "decl (%eax)")
                                                        LOCK_ONLY("site_set_bit", "btsl $5, (%eax)")
                                                            LOCK_ONLY("site_xadd", "xaddl %edx, (%eax)")
                                                                LOCK_ONLY("site_cmpxchg", "cmpxchgl %edx, (%esi)")
                                                                    ALTERNATIVE("site_cold_mb", 26,
                                                                                "lock addl $0, (%esp)", "mfence", "")
                                                                        ALTERNATIVE_SMP("site_cold_spin_lock",
                                                                                        SPIN_LOCK, "decb (%eax)", "")
        /* The slow halves of 2.6.18's rwlocks; never needed on one vCPU. */
        ".globl read_lock_failed\nread_lock_failed:\n"
        "lock incl (%eax)\n1: rep nop\ncmpl $1, (%eax)\njs 1b\nlock decl (%eax)\njs read_lock_failed\nret\n"
        ".globl write_lock_failed\nwrite_lock_failed:\n"
        "lock addl $0x01000000, (%eax)\n1: rep nop\ncmpl $0x01000000, (%eax)\njne 1b\n"
        "lock subl $0x01000000, (%eax)\njnz write_lock_failed\nret\n"

        /* site_call(site, in, out, aligned): runs a site with all registers known, CF as bit 0 of in[3], and ESP at the
         * site 16-byte aligned or not. Trusts only ESP on the way back. in and out are in PUSHA's order. */
        ".globl site_call\n.type site_call, @function\nsite_call:\n"
        "push %ebp\npush %ebx\npush %esi\npush %edi\nmov %esp, %ebp\n"
        "mov 20(%ebp), %eax\nand $~15, %esp\npush %ebp\npush %ebp\npush %ebp\n"
        "cmpl $0, 32(%ebp)\njne 1f\npush %ebp\n"
        "1: push %eax\nmov 24(%ebp), %esi\nbtl $0, 12(%esi)\n"
        "mov 28(%esi), %eax\nmov 24(%esi), %ecx\nmov 20(%esi), %edx\nmov 16(%esi), %ebx\n"
        "mov 8(%esi), %ebp\nmov 0(%esi), %edi\nmov 4(%esi), %esi\n"
        "jc 2f\nadd $4, %esp\nclc\ncall *-4(%esp)\njmp 3f\n2: add $4, %esp\nstc\ncall *-4(%esp)\n"
        "3: cld\npusha\nmov 32(%esp), %ebp\nmov 28(%ebp), %edi\nmov %esp, %esi\nmov $8, %ecx\nrep movsl\n"
        "mov %ebp, %esp\npop %edi\npop %esi\npop %ebx\npop %ebp\nret\n"
        ".size site_call, . - site_call\n");

extern uint8_t site_mb[], site_mb2[], site_rmb[], site_wmb[], site_prefetch[], site_prefetch2[], site_spin_lock[],
    site_spin_lock2[], site_read_lock[], site_write_lock[], site_read_unlock[], site_write_unlock[], site_atomic_inc[],
    site_atomic_dec[], site_set_bit[], site_xadd[], site_cmpxchg[], site_cold_mb[], site_cold_spin_lock[];
void site_call(const uint8_t *site, const uint32_t in[8], uint32_t out[8], uint32_t aligned);

enum { EDI, ESI, EBP, ESP, EBX, EDX, ECX, EAX }; /* PUSHA's order */

struct site {
    const char *name;
    uint8_t *code;
    uint32_t before, after; /* the word at EAX before and after a correct run */
    bool eax_unmapped;      /* EAX points into page 0 instead of at the word */
    bool aligned;           /* ESP at the site is a multiple of 16 */
    bool carry;             /* CF at the site */
    bool cold;              /* never runs */
    bool word_at_esi;       /* cmpxchg: EAX is the comparand */
    bool edx_old;           /* EDX returns the old word (xadd) */
};

static const struct site sites[] = {
    {.name = "mb", .code = site_mb, .before = 0x5a5a5a5a, .after = 0x5a5a5a5a},
    {.name = "mb2", .code = site_mb2, .before = 1, .after = 1, .eax_unmapped = true, .aligned = true, .carry = true},
    {.name = "rmb", .code = site_rmb, .before = 0x5a5a5a5a, .after = 0x5a5a5a5a},
    {.name = "wmb", .code = site_wmb, .before = 0x5a5a5a5a, .after = 0x5a5a5a5a, .aligned = true},
    {.name = "prefetch", .code = site_prefetch, .before = 2, .after = 2},
    {.name = "prefetch2", .code = site_prefetch2, .before = 2, .after = 2},
    {.name = "spin_lock", .code = site_spin_lock, .before = 1, .after = 0},
    {.name = "spin_lock2", .code = site_spin_lock2, .before = 1, .after = 0},
    {.name = "read_lock", .code = site_read_lock, .before = RW_BIAS, .after = RW_BIAS - 1},
    {.name = "write_lock", .code = site_write_lock, .before = RW_BIAS, .after = 0},
    {.name = "read_unlock", .code = site_read_unlock, .before = RW_BIAS - 1, .after = RW_BIAS},
    {.name = "write_unlock", .code = site_write_unlock, .before = 0, .after = RW_BIAS},
    {.name = "atomic_inc", .code = site_atomic_inc, .before = 7, .after = 8},
    {.name = "atomic_dec", .code = site_atomic_dec, .before = 7, .after = 6},
    {.name = "set_bit", .code = site_set_bit, .before = 0, .after = 32},
    {.name = "xadd", .code = site_xadd, .before = 3, .after = 3 + 0xd0d1d2d3, .edx_old = true},
    {.name = "cmpxchg", .code = site_cmpxchg, .before = 9, .after = 0xd0d1d2d3, .word_at_esi = true},
    {.name = "cold_mb", .code = site_cold_mb, .cold = true},
    {.name = "cold_spin_lock", .code = site_cold_spin_lock, .cold = true},
};
#define SITES (sizeof sites / sizeof *sites)

/* What a wrong decoding may write to: each site's word with a neighbourhood of zeros. */
static uint32_t words[SITES][64] __attribute__((aligned(64)));
#define WORD 16
static uint8_t original[SITES][SITE_BYTES_MAX];
static uint8_t detour[SITES][SITE_BYTES_MAX + 8];

static volatile uint32_t ticks, nmis;
static uint32_t tick_sites, nmi_sites, patch_sites;
static uint32_t wrong_registers, wrong_memory;
static const char *wrong_site;

static enum { BUGGY, FIXED2006, FIXED_NMI, BUFFERED, INT3, INT3_NOHANDLER, NO_REPLACEMENT } variant;
static void (*patch_copy)(uint8_t *to, const uint8_t *from, size_t bytes);
static const uint8_t (*nop_table)[NOP_BYTES_MAX];
static bool hotplug, tick_by_lapic, nmi_source_stopped, patch_in_nmi;
static volatile bool nmi_sent_to_self;

/* Source: Linux 2.6.18, include/asm-i386/processor.h, GENERIC_NOP1.. and K8_NOP1... */
static const uint8_t intel_nops[][NOP_BYTES_MAX] = {
    {0},
    {0x90},
    {0x89, 0xf6},
    {0x8d, 0x76, 0x00},
    {0x8d, 0x74, 0x26, 0x00},
    {0x90, 0x8d, 0x74, 0x26, 0x00},
    {0x8d, 0xb6, 0x00, 0x00, 0x00, 0x00},
    {0x8d, 0xb4, 0x26, 0x00, 0x00, 0x00, 0x00},
    {0x90, 0x8d, 0xb4, 0x26, 0x00, 0x00, 0x00, 0x00},
};
static const uint8_t k8_nops[][NOP_BYTES_MAX] = {
    {0},
    {0x90},
    {0x66, 0x90},
    {0x66, 0x66, 0x90},
    {0x66, 0x66, 0x66, 0x90},
    {0x66, 0x66, 0x90, 0x66, 0x90},
    {0x66, 0x66, 0x90, 0x66, 0x66, 0x90},
    {0x66, 0x66, 0x66, 0x90, 0x66, 0x66, 0x90},
    {0x66, 0x66, 0x66, 0x90, 0x66, 0x66, 0x66, 0x90},
};

void alternative_instructions(void);
void apply_alternatives(struct alt_instr *start, struct alt_instr *end);
void alternatives_smp_save(struct alt_instr *start, struct alt_instr *end);
void alternatives_smp_unlock(uint8_t **start, uint8_t **end);
void calibrate_delay(uint32_t rounds);
void tick_handler(struct trap_regs *regs);
void nmi_handler(struct trap_regs *regs);
void int3_handler(struct trap_regs *regs);
void step_handler(struct trap_regs *regs);
void run_sites(uint32_t mask);
void patch_copy_byte(uint8_t *to, const uint8_t *from, size_t bytes);
void patch_copy_movsb(uint8_t *to, const uint8_t *from, size_t bytes);
void patch_copy_movsl(uint8_t *to, const uint8_t *from, size_t bytes);
void patch_write8(uint8_t *to, const uint8_t from[8]);
void patch_int3(uint8_t *to, const uint8_t *from, size_t bytes);

/* --- the handlers' side ----------------------------------------------------------------------------------------- */

static void site_prepare(unsigned n)
{
    memset(words[n], 0, sizeof words[n]);
    words[n][WORD] = sites[n].before;
}

static bool site_memory_is_right(unsigned n)
{
    for (unsigned i = 0; i < 64; i++)
        if (words[n][i] != (i == WORD ? sites[n].after : 0))
            return false;
    return true;
}

void run_sites(uint32_t mask)
{
    for (unsigned n = 0; n < SITES; n++) {
        const struct site *site = &sites[n];
        if (!(mask >> n & 1))
            continue;
        uint32_t word = (uint32_t)&words[n][WORD];
        uint32_t in[8] = {[EDI] = (uint32_t)&words[n][40],
                          [ESI] = (uint32_t)&words[n][48],
                          [EBP] = 0xe0e1e2e3,
                          [ESP] = site->carry,
                          [EBX] = 0xb0b1b2b3,
                          [EDX] = 0xd0d1d2d3,
                          [ECX] = (uint32_t)&words[n][24],
                          [EAX] = site->eax_unmapped ? 0x10 : word};
        uint32_t out[8];
        if (site->word_at_esi) {
            in[ESI] = word;
            in[EAX] = site->before;
        }
        site_call(site->code, in, out, site->aligned);
        in[ESP] = out[ESP];
        if (site->edx_old)
            in[EDX] = site->before;
        if (memcmp(in, out, sizeof in) != 0) {
            wrong_registers++;
            wrong_site = site->name;
        }
        if (!site_memory_is_right(n)) {
            wrong_memory++;
            wrong_site = site->name;
        }
        site_prepare(n);
    }
}

void tick_handler(struct trap_regs *regs)
{
    ticks++;
    run_sites(tick_sites);
    if (tick_by_lapic)
        lapic_write(LAPIC_EOI, 0);
    else
        pic_eoi(0);
}

void nmi_handler(struct trap_regs *regs)
{
    if (nmi_sent_to_self) {
        nmi_sent_to_self = false;
        alternative_instructions();
        return;
    }
    nmis++;
    if (!nmi_source_stopped)
        run_sites(nmi_sites);
}

/* --- the patcher's side ----------------------------------------------------------------------------------------- */

void patch_copy_byte(uint8_t *to, const uint8_t *from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        ((volatile uint8_t *)to)[i] = from[i];
}

void patch_copy_movsb(uint8_t *to, const uint8_t *from, size_t bytes)
{
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}

void patch_copy_movsl(uint8_t *to, const uint8_t *from, size_t bytes)
{
    size_t dwords = bytes / 4, rest = bytes & 3;
    __asm__ volatile("rep movsl\n\tmov %3, %2\n\trep movsb"
                     : "+D"(to), "+S"(from), "+c"(dwords)
                     : "r"(rest)
                     : "memory");
}

/* One instruction stores all eight bytes. */
void patch_write8(uint8_t *to, const uint8_t from[8])
{
    uint32_t lo, hi, old_lo, old_hi;
    memcpy(&lo, from, 4);
    memcpy(&hi, from + 4, 4);
    memcpy(&old_lo, to, 4);
    memcpy(&old_hi, to + 4, 4);
    __asm__ volatile("lock cmpxchg8b (%2)" : "+a"(old_lo), "+d"(old_hi) : "r"(to), "b"(lo), "c"(hi) : "memory", "cc");
}

static void sync_core(void)
{
    uint32_t a, b, c, d;
    cpuid(0, &a, &b, &c, &d);
}

static struct {
    volatile uint32_t refs;
    uint8_t *site;
    uint8_t *to;
} int3_now;

void int3_handler(struct trap_regs *regs)
{
    uint8_t *at = (uint8_t *)regs->ip - 1;
    if (!int3_now.refs || at != int3_now.site)
        panic_trap(regs);
    regs->ip = (uint32_t)int3_now.to;
}

static int site_find(const uint8_t *code)
{
    for (unsigned n = 0; n < SITES; n++)
        if (sites[n].code == code)
            return (int)n;
    return -1;
}

/* What the site will hold, in `code`: replacement, then NOPs. */
static void final_bytes(const struct alt_instr *alt, uint8_t *code)
{
    unsigned done = alt->replacementlen;
    memcpy(code, alt->replacement, done);
    while (done < alt->instrlen) {
        unsigned bytes = alt->instrlen - done > NOP_BYTES_MAX ? NOP_BYTES_MAX : alt->instrlen - done;
        memcpy(code + done, nop_table[bytes], bytes);
        done += bytes;
    }
}

/* As final_bytes(), but a site of more than 8 bytes jumps over its old rest, so that its first 8 bytes decide all. */
static void buffered_bytes(const struct alt_instr *alt, uint8_t *code)
{
    final_bytes(alt, code);
    if (alt->instrlen > 8 && alt->replacementlen + 2u <= 8) {
        code[alt->replacementlen] = 0xeb;
        code[alt->replacementlen + 1] = (uint8_t)(alt->instrlen - alt->replacementlen - 2);
    }
}

/* Breakpoint in, rest, first byte. A vCPU that meets the breakpoint continues in a copy of the new code. */
static void patch_site_int3(const struct alt_instr *alt)
{
    uint8_t code[SITE_BYTES_MAX];
    int n = site_find(alt->instr);
    uint8_t *copy = detour[n < 0 ? 0 : n];
    uint32_t back = (uint32_t)(alt->instr + alt->instrlen) - (uint32_t)(copy + alt->replacementlen + 5);
    uint8_t breakpoint = 0xcc;
    final_bytes(alt, code);
    memcpy(copy, alt->replacement, alt->replacementlen);
    copy[alt->replacementlen] = 0xe9;
    memcpy(copy + alt->replacementlen + 1, &back, 4);
    int3_now.site = alt->instr;
    int3_now.to = copy;
    int3_now.refs = 1;
    patch_copy(alt->instr, &breakpoint, 1);
    sync_core();
    patch_copy(alt->instr + 1, code + 1, alt->instrlen - 1u);
    sync_core();
    patch_copy(alt->instr, code, 1);
    sync_core();
    int3_now.refs = 0;
}

static void patch_site_buffered(const struct alt_instr *alt)
{
    uint8_t code[SITE_BYTES_MAX];
    memcpy(code, alt->instr, sizeof code);
    buffered_bytes(alt, code);
    patch_write8(alt->instr, code);
    if (alt->instrlen > 8)
        patch_copy(alt->instr + 8, code + 8, alt->instrlen - 8u);
}

static bool has_feature(unsigned feature)
{
    uint32_t a, b, c, d;
    if (feature == FEATURE_UP)
        return true;
    cpuid(1, &a, &b, &c, &d);
    return feature < 32 && (d >> feature & 1);
}

static bool is_in_tables(const uint8_t *code)
{
    int n = site_find(code);
    return n >= 0 && (patch_sites >> n & 1);
}

void apply_alternatives(struct alt_instr *start, struct alt_instr *end)
{
    for (struct alt_instr *alt = start; alt < end; alt++) {
        if (!has_feature(alt->cpuid) || !is_in_tables(alt->instr))
            continue;
        if (variant == INT3 || variant == INT3_NOHANDLER) {
            patch_site_int3(alt);
            continue;
        }
        if (variant == BUFFERED) {
            patch_site_buffered(alt);
            continue;
        }
        patch_copy(alt->instr, alt->replacement, alt->replacementlen);
        unsigned rest = (unsigned)(alt->instrlen - alt->replacementlen), at = alt->replacementlen, bytes;
        for (; rest > 0; rest -= bytes, at += bytes) {
            bytes = rest > NOP_BYTES_MAX ? NOP_BYTES_MAX : rest;
            patch_copy(alt->instr + at, nop_table[bytes], bytes);
        }
    }
}

void alternatives_smp_save(struct alt_instr *start, struct alt_instr *end)
{
    for (struct alt_instr *alt = start; alt < end; alt++)
        patch_copy(alt->replacement + alt->replacementlen, alt->instr, alt->instrlen);
}

/* One byte, F0 to 90: valid before and after on one vCPU. */
void alternatives_smp_unlock(uint8_t **start, uint8_t **end)
{
    for (uint8_t **at = start; at < end; at++) {
        uint8_t nop = 0x90;
        if (is_in_tables(*at))
            patch_copy(*at, &nop, 1);
    }
}

__attribute__((noinline)) void alternative_instructions(void)
{
    unsigned long flags = 0;
    if (variant == NO_REPLACEMENT)
        return;
    if (variant == FIXED2006 || variant == FIXED_NMI)
        flags = irq_save();
    apply_alternatives(__alt_instructions, __alt_instructions_end);
    if (hotplug) {
        alternatives_smp_save(__smp_alt_instructions, __smp_alt_instructions_end);
        unsigned long lock_flags = irq_save(); /* spin_lock_irqsave(&smp_alt) */
        apply_alternatives(__smp_alt_instructions, __smp_alt_instructions_end);
        alternatives_smp_unlock(__smp_locks, __smp_locks_end);
        irq_restore(lock_flags);
    } else {
        apply_alternatives(__smp_alt_instructions, __smp_alt_instructions_end);
        alternatives_smp_unlock(__smp_locks, __smp_locks_end);
    }
    if (variant == FIXED2006 || variant == FIXED_NMI)
        irq_restore(flags);
}

/* --- the oracle by single steps --------------------------------------------------------------------------------- */

#define FLAG_TF 0x100u
#define FLAG_IF 0x200u
static uint32_t step_at, steps;
static bool step_as_nmi, step_done;

void step_handler(struct trap_regs *regs)
{
    bool open = step_as_nmi || (regs->flags & FLAG_IF);
    steps++;
    if (steps < step_at || step_done || !open)
        return;
    step_done = true;
    run_sites(step_as_nmi ? nmi_sites : tick_sites);
}

static void set_single_step(bool on)
{
    unsigned long flags;
    __asm__ volatile("pushf; pop %0" : "=r"(flags));
    flags = on ? flags | FLAG_TF : flags & ~FLAG_TF;
    __asm__ volatile("push %0; popf" : : "r"(flags) : "memory", "cc");
}

/* --- the boot --------------------------------------------------------------------------------------------------- */

__attribute__((noinline)) void calibrate_delay(uint32_t rounds)
{
    __asm__ volatile("1: dec %0\n\tjnz 1b" : "+r"(rounds) : : "cc");
}

static uint32_t site_mask(const char *key, uint32_t otherwise)
{
    if (!param_find(key))
        return otherwise;
    uint32_t mask = 0, hot = 0;
    for (unsigned n = 0; n < SITES; n++) {
        mask |= (uint32_t)param_has(key, sites[n].name) << n;
        hot |= (uint32_t)!sites[n].cold << n;
    }
    return param_has(key, "all") ? mask | hot : mask;
}

static void parameters_read(void)
{
    static const char *const variants[] = {[BUGGY] = "buggy",
                                           [FIXED2006] = "fixed2006",
                                           [FIXED_NMI] = "fixed-nmi",
                                           [BUFFERED] = "buffered",
                                           [INT3] = "int3",
                                           [INT3_NOHANDLER] = "int3-nohandler",
                                           [NO_REPLACEMENT] = "no-replacement"};
    bool known = !param_find("variant");
    for (unsigned i = 0; i < sizeof variants / sizeof *variants; i++)
        if (param_is("variant", variants[i])) {
            variant = i;
            known = true;
        }
    uint32_t hot = 0, all = 0;
    for (unsigned n = 0; n < SITES; n++) {
        hot |= (uint32_t)!sites[n].cold << n;
        all |= 1u << n;
    }
    if (!known)
        guest_fail(FAIL_PARAMETER, "unknown variant");
    tick_sites = site_mask("sites", hot);
    nmi_sites = site_mask("nmi", 0);
    patch_sites = site_mask("patch", all);
    patch_copy = param_is("memcpy", "byte")    ? patch_copy_byte
                 : param_is("memcpy", "movsb") ? patch_copy_movsb
                                               : patch_copy_movsl;
    nop_table = param_is("nops", "k8") ? k8_nops : intel_nops;
    hotplug = param_u32("hotplug", 0) != 0;
    tick_by_lapic = param_is("tick", "lapic");
    nmi_source_stopped = variant == FIXED_NMI && param_is("nmihold", "source");
    patch_in_nmi = variant == FIXED_NMI && !nmi_source_stopped;
}

static void tick_start(void)
{
    if (param_is("tick", "none"))
        return;
    if (tick_by_lapic) {
        lapic_enable(false);
        lapic_write(LAPIC_TDCR, 0xb);                       /* divide by 1 */
        lapic_write(LAPIC_LVTT, 0x20000 | PIC_VECTOR_BASE); /* periodic */
        lapic_write(LAPIC_TMICT, param_u32("period", 100000));
        return;
    }
    lapic_enable(true);
    pic_init();
    pit_start(param_u32("hz", 1000));
    pic_unmask(0);
}

static void tick_stop(void)
{
    if (tick_by_lapic)
        lapic_write(LAPIC_LVTT, 0x10000);
    else if (!param_is("tick", "none"))
        pic_mask(0);
}

/* Every site holds its new bytes where the tables have it, its old ones where not. */
static const char *text_find_wrong(void)
{
    for (unsigned n = 0; n < SITES; n++) {
        uint8_t code[SITE_BYTES_MAX];
        memcpy(code, original[n], sizeof code);
        for (unsigned table = 0; table < 2; table++) {
            struct alt_instr *alt = table ? __smp_alt_instructions : __alt_instructions;
            struct alt_instr *last = table ? __smp_alt_instructions_end : __alt_instructions_end;
            for (; alt < last; alt++)
                if (alt->instr == sites[n].code && has_feature(alt->cpuid) && variant != NO_REPLACEMENT &&
                    is_in_tables(alt->instr)) {
                    if (variant == BUFFERED)
                        buffered_bytes(alt, code);
                    else
                        final_bytes(alt, code);
                }
        }
        for (uint8_t **at = __smp_locks; at < __smp_locks_end; at++)
            if (*at == sites[n].code && variant != NO_REPLACEMENT && is_in_tables(*at))
                code[0] = 0x90;
        if (memcmp(code, sites[n].code, sizeof code) != 0)
            return sites[n].name;
    }
    return NULL;
}

static void list_sites(void)
{
    for (unsigned n = 0; n < SITES; n++)
        for (unsigned table = 0; table < 2; table++) {
            struct alt_instr *alt = table ? __smp_alt_instructions : __alt_instructions;
            struct alt_instr *last = table ? __smp_alt_instructions_end : __alt_instructions_end;
            for (; alt < last; alt++)
                if (alt->instr == sites[n].code)
                    printk("site %u %s at %p: %u bytes, replacement %u\n", n, sites[n].name, (void *)sites[n].code,
                           alt->instrlen, alt->replacementlen);
        }
    for (uint8_t **at = __smp_locks; at < __smp_locks_end; at++) {
        int n = site_find(*at);
        printk("site %d %s at %p: lock prefix\n", n, n < 0 ? "?" : sites[n].name, (void *)*at);
    }
}

void guest_main(void)
{
    parameters_read();
    step_at = param_u32("step", 0);
    step_as_nmi = param_is("stepas", "nmi");
    for (unsigned n = 0; n < SITES; n++) {
        memcpy(original[n], sites[n].code, SITE_BYTES_MAX);
        site_prepare(n);
    }
    if (param_u32("list", 0))
        list_sites();
    trap_set(1, step_handler);
    trap_set(2, nmi_handler);
    if (variant != INT3_NOHANDLER)
        trap_set(3, int3_handler);
    trap_set(PIC_VECTOR_BASE, tick_handler);

    tick_start();
    irq_enable();
    calibrate_delay(param_u32("delay", 20000));
    printk("alternatives begin\n");
    if (patch_in_nmi) {
        nmi_sent_to_self = true;
        lapic_enable(!tick_by_lapic && !param_is("tick", "none"));
        lapic_nmi(lapic_id());
        while (nmi_sent_to_self)
            cpu_relax();
    } else {
        if (step_at)
            set_single_step(true);
        alternative_instructions();
        if (step_at)
            set_single_step(false);
    }
    printk("alternatives end\n");
    calibrate_delay(param_u32("after", 20000));
    irq_disable();
    tick_stop();

    run_sites(tick_sites | nmi_sites); /* the finished code must work, too */
    uint32_t state = CHECKSUM_SEED;
    for (unsigned n = 0; n < SITES; n++) {
        state = checksum(state, sites[n].code, SITE_BYTES_MAX);
        state = checksum(state, words[n], sizeof words[n]);
    }
    const char *wrong_text = text_find_wrong();
    printk("ticks %u, NMIs %u\n", ticks, nmis);
    if (step_at)
        printk("steps %u\n", steps);
    printk("state %08x\n", state);
    if (wrong_registers)
        guest_fail(FAIL_REGISTERS, wrong_site);
    if (wrong_memory)
        guest_fail(FAIL_MEMORY, wrong_site);
    if (wrong_text)
        guest_fail(FAIL_TEXT, wrong_text);
}
