/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest: what a free-standing guest of the corpus may use. No libc: gcc's own free-standing headers and Xen's
 * public ones only. One image serves all variants of its seed: the command line selects (`key=value`, separated by
 * blanks).
 *
 * Boot: PVH (ELF note PHYS32_ENTRY). The runtime reads hvm_start_info, takes a stack, a GDT and an IDT, switches to
 * long mode in 64-bit guests, maps memory, finds Xen by CPUID, and calls guest_main() on the boot vCPU.
 *
 * Memory: identity mapped, writable. Mapped: [4 KiB, GUEST_MAPPED_BYTES) and the device range from 0xFE000000; page 0
 * and all else fault, so that a wild jump or store becomes a #PF. A 32-bit guest uses two-level tables, no PAE.
 *
 * Console: the console_io hypercall where Xen takes it, else port 0xE9, a byte at a time.
 *
 * End: a last line `VERDICT: PASS` or `VERDICT: FAIL <code> <why>`, then SCHEDOP_shutdown with reason poweroff (pass)
 * or crash (fail). Without Xen: the value 0x00 (pass) or 0x01 (fail) to port 0xF4 when `exit=f4` is given (QEMU's
 * isa-debug-exit), then CLI; HLT for ever.
 *
 * Parameters that the runtime itself takes:
 *   hcall=page|vmcall|vmmcall   how to call Xen (default: the page written through Xen's MSR)
 *   con=xen|e9                  console (default: as above)
 *   exit=f4                     see above
 *   cpus=N                      use at most N vCPUs (default: all that the MADT names; without a MADT 1)
 *   apicstep=N                  LAPIC id of vCPU i is i * N where there is no MADT (default 2, as Xen's toolstack)
 *
 * Source: Xen public headers (xen/arch-x86/hvm/start_info.h, xen/elfnote.h); Xen docs, "x86/HVM direct boot ABI".
 */
#ifndef GUEST_H
#define GUEST_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUEST_MAPPED_BYTES (64u << 20)
#define GUEST_CPUS_MAX     64
#define GUEST_STACK_BYTES  16384

#define __maybe_unused __attribute__((unused))

/* --- the machine ------------------------------------------------------------------------------------------------ */

#ifdef __x86_64__
struct trap_regs {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, di, si, bp, bx, dx, cx, ax;
    uint64_t vector, error, ip, cs, flags, sp, ss;
};
#else
struct trap_regs {
    /* `sp` is the value after the CPU's own pushes began, as PUSHA saw it; the interrupted ESP is the address after
     * `flags` (the CPU pushes no ESP without a change of privilege). */
    uint32_t di, si, bp, sp, bx, dx, cx, ax;
    uint32_t vector, error, ip, cs, flags;
};
#endif

static inline void outb(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline uint8_t inb(uint16_t port)
{
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

static inline void outw(uint16_t port, uint16_t value)
{
    __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void outl(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void wrmsr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

static inline uint64_t rdmsr(uint32_t msr)
{
    uint32_t lo, hi;
    __asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
    return (uint64_t)hi << 32 | lo;
}

static inline void cpuid(uint32_t leaf, uint32_t *a, uint32_t *b, uint32_t *c, uint32_t *d)
{
    __asm__ volatile("cpuid" : "=a"(*a), "=b"(*b), "=c"(*c), "=d"(*d) : "0"(leaf), "2"(0));
}

static inline void irq_enable(void)
{
    __asm__ volatile("sti" : : : "memory");
}

static inline void irq_disable(void)
{
    __asm__ volatile("cli" : : : "memory");
}

static inline unsigned long irq_save(void)
{
    unsigned long flags;
    __asm__ volatile("pushf; pop %0; cli" : "=rm"(flags) : : "memory");
    return flags;
}

static inline void irq_restore(unsigned long flags)
{
    __asm__ volatile("push %0; popf" : : "rm"(flags) : "memory", "cc");
}

static inline void cpu_relax(void)
{
    __asm__ volatile("pause" : : : "memory");
}

static inline void barrier(void)
{
    __asm__ volatile("" : : : "memory");
}

static inline void mfence(void)
{
    __asm__ volatile("mfence" : : : "memory");
}

static inline void cpu_halt(void)
{
    __asm__ volatile("hlt" : : : "memory");
}

/* --- console, text, parameters ---------------------------------------------------------------------------------- */

/* %s %c %d %u %x %X %p %%, with 0 and a width, and l, ll, z; one call prints at most 255 bytes. A line is not torn by
 * other vCPUs. Not for NMI handlers (it takes a lock), except panic()'s own. */
void printk(const char *format, ...) __attribute__((format(printf, 1, 2)));
int format_text(char *out, size_t out_bytes, const char *format, va_list args);

/* The value of `key` on the command line, or `otherwise`. Valid for ever; ends at a blank or the end (see param_is). */
const char *param_find(const char *key);
bool param_is(const char *key, const char *value);
uint32_t param_u32(const char *key, uint32_t otherwise);
/* Copies the value into `out` (cut to fit); false and an empty string if absent. */
bool param_text(const char *key, char *out, size_t out_bytes);
/* Is `word` one of the value's parts, separated by '+'? */
bool param_has(const char *key, const char *word);

void *memcpy(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);
size_t strlen(const char *text);
int strcmp(const char *a, const char *b);
/* FNV-1a, to print "the final state" in one word. */
uint32_t checksum(uint32_t seed, const void *data, size_t bytes);
#define CHECKSUM_SEED 0x811c9dc5u

/* --- ends ------------------------------------------------------------------------------------------------------- */

void guest_pass(void) __attribute__((noreturn));
void guest_fail(uint32_t code, const char *why) __attribute__((noreturn));
/* Prints the vector's name, error code, CR2 for #PF and the registers, then fails with code 0x100 + vector. */
void panic_trap(struct trap_regs *regs) __attribute__((noreturn));

/* --- traps and interrupts --------------------------------------------------------------------------------------- */

typedef void(trap_fn)(struct trap_regs *regs);
/* An unset vector ends in panic_trap(). Shared by all vCPUs. Gates are interrupt gates: handlers run with IF=0. */
void trap_set(unsigned vector, trap_fn *handler);
/* Loads the IDT on the calling vCPU. */
void trap_load(void);

/* --- PIC, PIT, LAPIC, other vCPUs ------------------------------------------------------------------------------- */

#define PIC_VECTOR_BASE 0x20 /* IRQ n arrives at vector 0x20 + n */
void pic_init(void);         /* both 8259s, everything masked */
void pic_unmask(unsigned irq);
void pic_mask(unsigned irq);
void pic_eoi(unsigned irq);
void pit_start(unsigned hz); /* channel 0, mode 2 */

#define LAPIC_ID    0x020
#define LAPIC_EOI   0x0b0
#define LAPIC_SVR   0x0f0
#define LAPIC_ICRLO 0x300
#define LAPIC_ICRHI 0x310
#define LAPIC_LVTT  0x320
#define LAPIC_LVT0  0x350
#define LAPIC_TMICT 0x380
#define LAPIC_TDCR  0x3e0
void lapic_write(unsigned reg, uint32_t value);
uint32_t lapic_read(unsigned reg);
uint8_t lapic_id(void);
/* Software-enables the LAPIC; `extint`: LINT0 takes the PIC's interrupts (boot vCPU). */
void lapic_enable(bool extint);
void lapic_ipi(uint8_t apic_id, unsigned vector);
void lapic_nmi(uint8_t apic_id);

struct cpu_id {
    uint8_t apic_id;
    uint8_t processor_id; /* ACPI's; Xen's vCPU id on Xen */
};

/* Number of vCPUs in use (MADT order, boot vCPU included), 1..GUEST_CPUS_MAX, and their ids. */
unsigned cpu_count(void);
struct cpu_id cpu_ids(unsigned cpu);
/* Position in that list of the calling vCPU. */
unsigned cpu_current(void);
/* Starts a vCPU of the list by INIT and SIPI; it runs main(arg) on its own stack, IDT loaded, IF=0. Returns once it
 * runs. A main() that returns halts its vCPU with IF=0. */
void cpu_start(unsigned cpu, void (*main)(void *arg), void *arg);
/* The same in parts: readies everything and returns where the vCPU may also be started directly (flat 32-bit protected
 * mode, paging off); sends INIT and SIPI; says whether the vCPU readied last has reached its main(). */
uint32_t cpu_prepare(unsigned cpu, void (*main)(void *arg), void *arg);
void cpu_sipi(uint8_t apic_id);
bool cpu_is_running(void);

/* Maps [pa, pa + bytes) identically (in units of 2 MiB; 4 MiB in 32-bit guests). pa below 4 GiB. */
void map_range(uintptr_t pa, size_t bytes);
void map_load(void); /* loads the page tables on the calling vCPU */

/* --- boot facts ------------------------------------------------------------------------------------------------- */

struct guest_boot {
    uint64_t rsdp_pa;
    uint64_t memmap_pa;
    uint32_t memmap_entries;
    uint32_t version;
    char cmdline[1024];
};
extern struct guest_boot guest_boot;

/* The guest's own entry: boot vCPU, IF=0, IDT and map loaded; the PIC is masked without Xen, and not touched with it.
 * Returning is guest_pass(). */
void guest_main(void);

#endif
