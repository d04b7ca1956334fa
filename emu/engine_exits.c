/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the library leaves to others while it runs. */
#include "emu/engine_state.h"

static void on_interrupt(uc_engine *uc, uint32_t vector, void *user)
{
    struct engine *e = user;

    e->stop = STOP_EXCEPTION;
    e->vector = vector;
    e->hot_limit_ns = 0;
    uc_emu_stop(uc);
}

static bool on_invalid(uc_engine *uc, void *user)
{
    struct engine *e = user;

    e->stop = STOP_INVALID;
    e->hot_limit_ns = 0;
    uc_emu_stop(uc);
    return true;
}

static void on_syscall(uc_engine *uc, void *user)
{
    struct engine *e = user;

    e->stop = STOP_SYSCALL;
    e->hot_limit_ns = 0;
    uc_emu_stop(uc);
}

static void on_sysenter(uc_engine *uc, void *user)
{
    struct engine *e = user;

    e->stop = STOP_SYSENTER;
    e->hot_limit_ns = 0;
    uc_emu_stop(uc);
}

static bool on_unmapped(uc_engine *uc, uc_mem_type type, uint64_t gpa, int bytes, int64_t value, void *user)
{
    struct engine *e = user;

    e->stop = STOP_NO_MEMORY;
    e->gpa = gpa;
    return false;
}

static int on_rdtsc(uc_engine *uc, void *user)
{
    struct engine *e = user;
    uint64_t tsc;

    e->extra_ns = engine_time_in_block(e);
    tsc = e->ops.rdtsc(e->ops_context);
    e->extra_ns = 0;
    write_reg(uc, UC_X86_REG_RAX, tsc & UINT32_MAX);
    write_reg(uc, UC_X86_REG_RDX, tsc >> 32);
    return 1;
}

static int on_rdtscp(uc_engine *uc, void *user)
{
    struct engine *e = user;

    on_rdtsc(uc, user);
    write_reg(uc, UC_X86_REG_RCX, engine_msr(e, MSR_ID_TSC_AUX) & UINT32_MAX);
    return 1;
}

/* True if the access may happen now. */
static bool device_access(struct engine *e)
{
    if (e->stop) /* rewound already; what the translator still does does not happen */
        return false;
    if (e->step == STEP_RUNNING && e->alone) {
        e->device_done = true;
        e->stats.mmio++;
        engine_report_leave(e);
        return true;
    }
    if (e->step == STEP_RUNNING || e->pend_steps) {
        e->stop = STOP_DEVICE;
        e->hot_limit_ns = 0;
        uc_emu_stop(e->uc);
    }
    return false;
}

uint64_t engine_device_read(uc_engine *uc, uint64_t offset, unsigned bytes, void *user)
{
    struct engine *e = *(struct engine **)user;
    uint64_t base_gpa = user == &e->window[0] ? e->window[0].base_gpa : e->window[1].base_gpa, value = 0;

    if (device_access(e) && !e->ops.mmio_read(e->ops_context, base_gpa + offset, bytes, &value)) {
        e->device_refused = true;
        return 0;
    }
    return value;
}

void engine_device_write(uc_engine *uc, uint64_t offset, unsigned bytes, uint64_t value, void *user)
{
    struct engine *e = *(struct engine **)user;
    uint64_t base_gpa = user == &e->window[0] ? e->window[0].base_gpa : e->window[1].base_gpa;

    if (device_access(e) && !e->ops.mmio_write(e->ops_context, base_gpa + offset, bytes, value))
        e->device_refused = true;
}

bool engine_add_exit_hooks(struct engine *e)
{
    uc_hook h;
    uc_engine *uc = e->uc;

    return uc_hook_add(uc, &h, UC_HOOK_INTR, (void *)on_interrupt, e, 1, 0) == UC_ERR_OK &&
           uc_hook_add(uc, &h, UC_HOOK_INSN_INVALID, (void *)on_invalid, e, 1, 0) == UC_ERR_OK &&
           uc_hook_add(uc, &h, UC_HOOK_MEM_UNMAPPED, (void *)on_unmapped, e, 1, 0) == UC_ERR_OK &&
           uc_hook_add(uc, &h, UC_HOOK_INSN, (void *)on_syscall, e, 1, 0, UC_X86_INS_SYSCALL) == UC_ERR_OK &&
           uc_hook_add(uc, &h, UC_HOOK_INSN, (void *)on_sysenter, e, 1, 0, UC_X86_INS_SYSENTER) == UC_ERR_OK &&
           uc_hook_add(uc, &h, UC_HOOK_INSN, (void *)on_rdtsc, e, 1, 0, UC_X86_INS_RDTSC) == UC_ERR_OK &&
           uc_hook_add(uc, &h, UC_HOOK_INSN, (void *)on_rdtscp, e, 1, 0, UC_X86_INS_RDTSCP) == UC_ERR_OK;
}
