/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * s0_module: the module of s0: linked by itself against the core's symbols, with a patch table of its own. What is
 * inlined here by the kernel's configuration is a call site of the module's; the rest are calls into core text.
 */
#include "s0.h"

extern struct paravirt_patch_site __parainstructions[], __parainstructions_end[];

void module_work(struct spinlock *lock, unsigned cpu);
void module_work_inline_unlock(struct spinlock *lock, unsigned cpu);
void module_work_inline_lock(struct spinlock *lock, unsigned cpu);
void module_work_inline_both(struct spinlock *lock, unsigned cpu);
void module_unlock_inline(struct spinlock *lock);

void module_work(struct spinlock *lock, unsigned cpu)
{
    _raw_spin_lock(lock);
    critical_section(cpu);
    _raw_spin_unlock(lock);
}

void module_work_inline_unlock(struct spinlock *lock, unsigned cpu)
{
    _raw_spin_lock(lock);
    critical_section(cpu);
    PV_CALL(spin_unlock, lock, 0);
}

void module_work_inline_lock(struct spinlock *lock, unsigned cpu)
{
    PV_CALL(spin_lock, lock, 0);
    critical_section(cpu);
    _raw_spin_unlock(lock);
}

void module_work_inline_both(struct spinlock *lock, unsigned cpu)
{
    PV_CALL(spin_lock, lock, 0);
    critical_section(cpu);
    PV_CALL(spin_unlock, lock, 0);
}

void module_unlock_inline(struct spinlock *lock)
{
    PV_CALL(spin_unlock, lock, 0);
}

__attribute__((section(".module_header"), used)) const struct module_header module_header = {
    .magic = MODULE_MAGIC,
    .ops = &pv_lock_ops,
    .sites = __parainstructions,
    .sites_end = __parainstructions_end,
    .work = module_work,
    .work_inline_unlock = module_work_inline_unlock,
    .work_inline_lock = module_work_inline_lock,
    .work_inline_both = module_work_inline_both,
    .unlock_inline = module_unlock_inline,
};
