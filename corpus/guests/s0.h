/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * s0: what the core and its separately linked module share: the operations table, the patch table's layout, the call
 * sites, and the core's exported lock functions.
 *
 * Source: Linux 3.0, arch/x86/include/asm/paravirt_types.h (pv_lock_ops, paravirt_patch_site, PVOP_CALL).
 */
#ifndef S0_H
#define S0_H

#include "guest.h"

/* 8-bit halves of a 16-bit word (NR_CPUS < 256). The byte lock lies over the ticket lock. */
struct spinlock {
    union {
        uint32_t word;
        struct {
            uint8_t head, tail;
        } ticket;
        struct {
            uint8_t lock, spinners;
        } byte;
    };
};

#ifdef __x86_64__
#define LOCK_CALL
#define PV_ARG1          "rdi"
#define PV_POINTER       ".quad"
#define PV_ALIGN         ".balign 8"
#define PV_SITE_BYTES    7 /* FF 14 25 imm32 */
#define PV_CALL_CLOBBERS "memory", "cc", "rcx", "r8", "r9", "r10", "r11"
#else
#define LOCK_CALL        __attribute__((regparm(3)))
#define PV_POINTER       ".long"
#define PV_ALIGN         ".balign 4"
#define PV_SITE_BYTES    6 /* FF 15 imm32 */
#define PV_CALL_CLOBBERS "memory", "cc", "ecx"
#endif

struct pv_lock_ops {
    int(LOCK_CALL *spin_is_locked)(struct spinlock *lock);
    int(LOCK_CALL *spin_is_contended)(struct spinlock *lock);
    void(LOCK_CALL *spin_lock)(struct spinlock *lock);
    void(LOCK_CALL *spin_lock_flags)(struct spinlock *lock, unsigned long flags);
    int(LOCK_CALL *spin_trylock)(struct spinlock *lock);
    void(LOCK_CALL *spin_unlock)(struct spinlock *lock);
};
extern struct pv_lock_ops pv_lock_ops;

struct paravirt_patch_site {
    uint8_t *instr;
    uint8_t instrtype; /* index of the operation */
    uint8_t len;
    uint16_t clobbers;
};

#define PV_OP(name) (offsetof(struct pv_lock_ops, name) / sizeof(void *))

/* A call through the table, recorded in .parainstructions. Result in the accumulator. */
#ifdef __x86_64__
#define PV_CALL(name, lock, second)                                                                                    \
    ({                                                                                                                 \
        unsigned long result_, first_ = (unsigned long)(lock), second_ = (unsigned long)(second);                      \
        __asm__ volatile("771: call *%c[op]\n772:\n.pushsection .parainstructions, \"a\"\n" PV_ALIGN "\n" PV_POINTER   \
                         " 771b\n.byte %c[type], 772b-771b\n.short 0\n" PV_ALIGN "\n.popsection"                       \
                         : "=a"(result_), "+D"(first_), "+S"(second_)                                                  \
                         : [op] "i"(&pv_lock_ops.name), [type] "i"(PV_OP(name))                                        \
                         : PV_CALL_CLOBBERS, "rdx");                                                                   \
        result_;                                                                                                       \
    })
#else
#define PV_CALL(name, lock, second)                                                                                    \
    ({                                                                                                                 \
        unsigned long result_, second_ = (unsigned long)(second);                                                      \
        __asm__ volatile("771: call *%c[op]\n772:\n.pushsection .parainstructions, \"a\"\n" PV_ALIGN "\n" PV_POINTER   \
                         " 771b\n.byte %c[type], 772b-771b\n.short 0\n" PV_ALIGN "\n.popsection"                       \
                         : "=a"(result_), "+d"(second_)                                                                \
                         : "0"(lock), [op] "i"(&pv_lock_ops.name), [type] "i"(PV_OP(name))                             \
                         : PV_CALL_CLOBBERS);                                                                          \
        result_;                                                                                                       \
    })
#endif

/* Exported by the core: out-of-line lock functions, each with its own call site. */
void _raw_spin_lock(struct spinlock *lock);
unsigned long _raw_spin_lock_irqsave(struct spinlock *lock);
int _raw_spin_trylock(struct spinlock *lock);
void _raw_spin_unlock(struct spinlock *lock);
void _raw_spin_unlock_irqrestore(struct spinlock *lock, unsigned long flags);
int _raw_spin_is_locked(struct spinlock *lock);
int _raw_spin_is_contended(struct spinlock *lock);

/* The critical section of every test, in the core. */
void critical_section(unsigned cpu);

#define MODULE_MAGIC 0x30534d42u
#define MODULE_BASE  0x380000u

/* First thing in the module's image, which is linked to run at MODULE_BASE. */
struct module_header {
    uint32_t magic;
    struct pv_lock_ops *ops; /* the table that it was linked against */
    struct paravirt_patch_site *sites, *sites_end;
    void (*work)(struct spinlock *lock, unsigned cpu);               /* core's lock, core's unlock */
    void (*work_inline_unlock)(struct spinlock *lock, unsigned cpu); /* core's lock, inlined unlock */
    void (*work_inline_lock)(struct spinlock *lock, unsigned cpu);   /* inlined lock, core's unlock */
    void (*work_inline_both)(struct spinlock *lock, unsigned cpu);
    void (*unlock_inline)(struct spinlock *lock);
};

#endif
