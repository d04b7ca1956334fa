/* SPDX-License-Identifier: GPL-2.0-or-later */
/* trap: the IDT, dispatch, and the panic that says what happened. */
#include "guest.h"

#define TRAP_STUB_BYTES 16
#define CODE_SELECTOR   (sizeof(void *) == 8 ? 0x18 : 0x08)

struct gate {
    uint16_t offset_lo;
    uint16_t selector;
    uint16_t type; /* present, DPL 0, interrupt gate */
    uint16_t offset_hi;
#ifdef __x86_64__
    uint32_t offset_top;
    uint32_t reserved;
#endif
};

static struct gate idt[256];
static trap_fn *handlers[256];
extern const char trap_stubs[];

void trap_dispatch(struct trap_regs *regs);

static const char *const names[32] = {
    [0] = "#DE",  [1] = "#DB",  [2] = "NMI",  [3] = "#BP",  [4] = "#OF",  [5] = "#BR",
    [6] = "#UD",  [7] = "#NM",  [8] = "#DF",  [10] = "#TS", [11] = "#NP", [12] = "#SS",
    [13] = "#GP", [14] = "#PF", [16] = "#MF", [17] = "#AC", [18] = "#MC", [19] = "#XM",
};

void trap_set(unsigned vector, trap_fn *handler)
{
    handlers[vector & 255] = handler;
}

void trap_load(void)
{
    struct __attribute__((packed)) {
        uint16_t limit;
        uintptr_t base;
    } descriptor = {.limit = sizeof idt - 1, .base = (uintptr_t)idt};
    for (unsigned vector = 0; vector < 256; vector++) {
        uintptr_t stub = (uintptr_t)trap_stubs + vector * TRAP_STUB_BYTES;
        idt[vector].offset_lo = (uint16_t)stub;
        idt[vector].selector = CODE_SELECTOR;
        idt[vector].type = 0x8e00;
        idt[vector].offset_hi = (uint16_t)(stub >> 16);
    }
    __asm__ volatile("lidt %0" : : "m"(descriptor));
}

void trap_dispatch(struct trap_regs *regs)
{
    trap_fn *handler = handlers[regs->vector & 255];
    if (!handler)
        panic_trap(regs);
    handler(regs);
}

void panic_trap(struct trap_regs *regs)
{
    unsigned vector = (unsigned)regs->vector & 255;
    const char *name = vector < 32 && names[vector] ? names[vector] : "interrupt";
    unsigned long cr2 = 0;
    __asm__ volatile("mov %%cr2, %0" : "=r"(cr2));
    printk("PANIC: vector %u %s error %lx ip %lx flags %lx\n", vector, name, (unsigned long)regs->error,
           (unsigned long)regs->ip, (unsigned long)regs->flags);
    if (vector == 14)
        printk("PANIC: cr2 %lx\n", cr2);
    printk("PANIC: ax %lx bx %lx cx %lx dx %lx si %lx di %lx bp %lx\n", (unsigned long)regs->ax,
           (unsigned long)regs->bx, (unsigned long)regs->cx, (unsigned long)regs->dx, (unsigned long)regs->si,
           (unsigned long)regs->di, (unsigned long)regs->bp);
    guest_fail(0x100 + vector, name);
}
