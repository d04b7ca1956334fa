/* SPDX-License-Identifier: GPL-2.0-or-later */
/* start: from the first C instruction to guest_main(), the memory map, the console, and the ways to end. */
#include "hypercall.h"
#include <xen/arch-x86/hvm/start_info.h>

#define DEVICE_RANGE_PA 0xfe000000u
#define DEBUG_PORT      0xe9
#define EXIT_PORT       0xf4

struct guest_boot guest_boot;
static bool console_is_xen;
static uint32_t console_lock;

extern uintptr_t page_root[], page_low[];
#ifdef __x86_64__
extern uintptr_t page_directories[], page_pointers[];
#define LARGE_PAGE_BYTES (2u << 20)
#else
#define page_directories page_root
#define LARGE_PAGE_BYTES (4u << 20)
#endif
#define LARGE_PAGES (size_t)((1ull << 32) / LARGE_PAGE_BYTES)

void guest_start(uintptr_t start_info_pa);

void map_load(void)
{
    __asm__ volatile("mov %0, %%cr3" : : "r"(page_root) : "memory");
#ifndef __x86_64__
    unsigned long cr0, cr4;
    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    __asm__ volatile("mov %0, %%cr4" : : "r"(cr4 | 0x10) : "memory"); /* PSE */
    __asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
    __asm__ volatile("mov %0, %%cr0" : : "r"((cr0 & ~4ul) | 0x80010002) : "memory"); /* PG, WP, MP; not EM */
#endif
}

/* Present, writable, and accessed and dirty from the start: or what is in memory would depend on when the processor
   happens to walk the tables, which its TLB decides. */
#define TABLE_ENTRY 0x23
#define PAGE_ENTRY  0x63
#define LARGE_ENTRY 0xe3

void map_range(uintptr_t pa, size_t bytes)
{
    uint64_t end = (uint64_t)pa + bytes;
    for (size_t i = pa / LARGE_PAGE_BYTES; i < LARGE_PAGES && (uint64_t)i * LARGE_PAGE_BYTES < end; i++)
        if (i > 0)
            page_directories[i] = (uintptr_t)i * LARGE_PAGE_BYTES | LARGE_ENTRY;
    map_load();
}

static void map_init(void)
{
#ifdef __x86_64__
    page_root[0] = (uintptr_t)page_pointers | TABLE_ENTRY;
    for (size_t i = 0; i < 4; i++)
        page_pointers[i] = (uintptr_t)(page_directories + 512 * i) | TABLE_ENTRY;
#endif
    for (size_t i = 1; i < LARGE_PAGE_BYTES / 4096; i++)
        if (i < 4096 / sizeof *page_low)
            page_low[i] = i << 12 | PAGE_ENTRY;
    for (size_t i = GUEST_MAPPED_BYTES / LARGE_PAGE_BYTES; i < DEVICE_RANGE_PA / LARGE_PAGE_BYTES; i++)
        page_directories[i] = 0;
    page_directories[0] = (uintptr_t)page_low | TABLE_ENTRY;
    map_range(LARGE_PAGE_BYTES, GUEST_MAPPED_BYTES - LARGE_PAGE_BYTES);
    map_range(DEVICE_RANGE_PA, 0u - DEVICE_RANGE_PA);
}

static void console_write(const char *text, size_t bytes)
{
    if (console_is_xen) {
        if (hypercall3(__HYPERVISOR_console_io, CONSOLEIO_write, bytes, text) >= 0)
            return;
        console_is_xen = false; /* an unprivileged domain of a release build */
    }
    for (size_t i = 0; i < bytes; i++)
        outb(DEBUG_PORT, (uint8_t)text[i]);
}

void printk(const char *format, ...)
{
    char line[256];
    va_list args;
    va_start(args, format);
    int bytes = format_text(line, sizeof line, format, args);
    va_end(args);
    unsigned long flags = irq_save();
    while (__atomic_exchange_n(&console_lock, 1, __ATOMIC_ACQUIRE))
        cpu_relax();
    console_write(line, (size_t)bytes);
    __atomic_store_n(&console_lock, 0, __ATOMIC_RELEASE);
    irq_restore(flags);
}

static void end(unsigned reason, uint8_t exit_value) __attribute__((noreturn));
static void end(unsigned reason, uint8_t exit_value)
{
    if (xen_present()) {
        struct sched_shutdown shutdown = {.reason = reason};
        sched_op(SCHEDOP_shutdown, &shutdown);
    }
    if (param_is("exit", "f4"))
        outb(EXIT_PORT, exit_value);
    for (;;)
        __asm__ volatile("cli; hlt");
}

void guest_pass(void)
{
    printk("VERDICT: PASS\n");
    end(SHUTDOWN_poweroff, 0);
}

void guest_fail(uint32_t code, const char *why)
{
    irq_disable();
    console_lock = 0; /* whoever held it never runs again */
    printk("VERDICT: FAIL %x %s\n", code, why);
    end(SHUTDOWN_crash, 1);
}

void guest_start(uintptr_t start_info_pa)
{
    const struct hvm_start_info *info = (const void *)start_info_pa;
    if (info->magic == XEN_HVM_START_MAGIC_VALUE) {
        guest_boot.version = info->version;
        guest_boot.rsdp_pa = info->rsdp_paddr;
        if (info->version >= 1) {
            guest_boot.memmap_pa = info->memmap_paddr;
            guest_boot.memmap_entries = info->memmap_entries;
        }
        const char *from = (const void *)(uintptr_t)info->cmdline_paddr;
        if (from)
            for (size_t i = 0; i + 1 < sizeof guest_boot.cmdline && from[i]; i++)
                guest_boot.cmdline[i] = from[i];
    }
    map_init();
    trap_load();
    xen_init();
    console_is_xen = xen_present() && !param_is("con", "e9");
    if (!xen_present())
        pic_init(); /* the firmware's vectors would look like exceptions */
    guest_main();
    guest_pass();
}
