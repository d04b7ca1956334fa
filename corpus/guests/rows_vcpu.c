/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rows_vcpu: VCPUOP_*. Run with two vCPUs for the rows about another one; it is started by VCPUOP_initialise and _up.
 * Source: Xen public/vcpu.h, public/hvm/hvm_vcpu.h; seed facts M.3.
 */
#include "rows.h"
#include <xen/hvm/hvm_vcpu.h>

#define OTHER   1
#define AR_CODE 0xc9b
#define AR_DATA 0xc93
#define AR_TSS  0x08b

static uint8_t info_page[4096] __attribute__((aligned(4096)));
static volatile uint32_t other_ran, other_may_halt, nmis;

static void other_main(void *arg)
{
    other_ran = 1;
    while (!other_may_halt)
        cpu_relax();
}

static void on_nmi(struct trap_regs *regs)
{
    nmis++;
}

static struct vcpu_hvm_context context_flat(void)
{
    struct vcpu_hvm_context context = {.mode = VCPU_HVM_MODE_32B};
    context.cpu_regs.x86_32 = (struct vcpu_hvm_x86_32){.eip = cpu_prepare(OTHER, other_main, NULL),
                                                       .cr0 = 1,
                                                       .cs_limit = ~0u,
                                                       .ds_limit = ~0u,
                                                       .ss_limit = ~0u,
                                                       .es_limit = ~0u,
                                                       .tr_limit = 0x67,
                                                       .cs_ar = AR_CODE,
                                                       .ds_ar = AR_DATA,
                                                       .ss_ar = AR_DATA,
                                                       .es_ar = AR_DATA,
                                                       .tr_ar = AR_TSS};
    return context;
}

static long initialise(struct vcpu_hvm_context context)
{
    return vcpu_op(VCPUOP_initialise, OTHER, &context);
}

static void rows_numbers(void)
{
    ROW("vcpu.is_up.bad_vcpu", vcpu_op(VCPUOP_is_up, BAD_VCPU, NULL));
    ROW("vcpu.is_up.vcpu_32", vcpu_op(VCPUOP_is_up, 32, NULL));
    ROW("vcpu.is_up.vcpu_minus_1", vcpu_op(VCPUOP_is_up, ~0u, NULL));
    ROW("vcpu.unknown_op", vcpu_op(99, 0, NULL));
    ROW("vcpu.unknown_op.bad_vcpu", vcpu_op(99, BAD_VCPU, NULL));
    ROW("vcpu.is_up.self", vcpu_op(VCPUOP_is_up, 0, NULL));
    ROW("vcpu.up.self", vcpu_op(VCPUOP_up, 0, NULL));
    ROW("vcpu.op_16", vcpu_op(16, 0, BAD_POINTER));
    ROW("vcpu.up.bad_vcpu", vcpu_op(VCPUOP_up, BAD_VCPU, NULL));
    ROW("vcpu.down.bad_vcpu", vcpu_op(VCPUOP_down, BAD_VCPU, NULL));
    ROW("vcpu.initialise.bad_vcpu", vcpu_op(VCPUOP_initialise, BAD_VCPU, BAD_POINTER));
    ROW("vcpu.set_singleshot_timer.bad_vcpu", vcpu_op(VCPUOP_set_singleshot_timer, BAD_VCPU, BAD_POINTER));
    ROW("vcpu.stop_periodic_timer.bad_vcpu", vcpu_op(VCPUOP_stop_periodic_timer, BAD_VCPU, NULL));
    ROW("vcpu.send_nmi.bad_vcpu", vcpu_op(VCPUOP_send_nmi, BAD_VCPU, NULL));
    ROW("vcpu.get_physid", vcpu_op(VCPUOP_get_physid, 0, BAD_POINTER) == 0);
}

static void rows_runstate(void)
{
    static struct vcpu_runstate_info state, area;
    ROW("vcpu.get_runstate_info.efault", vcpu_op(VCPUOP_get_runstate_info, 0, BAD_POINTER));
    ROW("vcpu.get_runstate_info.bad_vcpu", vcpu_op(VCPUOP_get_runstate_info, BAD_VCPU, &state));
    ROW("vcpu.get_runstate_info.vcpu_32", vcpu_op(VCPUOP_get_runstate_info, 32, &state));
    ROW("vcpu.get_runstate_info.vcpu_8192", vcpu_op(VCPUOP_get_runstate_info, 8192, &state));
    ROW("vcpu.get_runstate_info.vcpu_minus_1", vcpu_op(VCPUOP_get_runstate_info, ~0u, &state));
    ROW_EFFECT("vcpu.get_runstate_info.self", vcpu_op(VCPUOP_get_runstate_info, 0, &state), "state %d", state.state);
    if (cpu_count() > 1)
        ROW_EFFECT("vcpu.get_runstate_info.other_down", vcpu_op(VCPUOP_get_runstate_info, OTHER, &state), "state %d",
                   state.state);

    struct vcpu_register_runstate_memory_area where = {.addr.v = &area};
    ROW("vcpu.register_runstate_memory_area.efault", vcpu_op(VCPUOP_register_runstate_memory_area, 0, BAD_POINTER));
    memset(&area, 0xff, sizeof area);
    ROW_EFFECT("vcpu.register_runstate_memory_area", vcpu_op(VCPUOP_register_runstate_memory_area, 0, &where),
               "state %d, entered %s, last 4 bytes %s", area.state, area.state_entry_time ? "set" : "0",
               ((uint8_t *)&area)[sizeof area - 1] == 0xff ? "untouched" : "written");
    ROW("vcpu.register_runstate_memory_area.again", vcpu_op(VCPUOP_register_runstate_memory_area, 0, &where));
    /* The width of the record as Xen writes it: 44 bytes for a 32-bit guest, 48 for a 64-bit one. */
    ROW_EFFECT("vcpu.runstate.layout", 0, "%u bytes, entry at %u", (unsigned)sizeof area,
               (unsigned)offsetof(struct vcpu_runstate_info, state_entry_time));
    where.addr.v = BAD_POINTER;
    ROW("vcpu.register_runstate_memory_area.bad_address", vcpu_op(VCPUOP_register_runstate_memory_area, 0, &where));

    ROW_EFFECT("vcpu.get_runstate_info.times", vcpu_op(VCPUOP_get_runstate_info, 0, &state), "running %s",
               state.time[0] ? "set" : "0");
    static struct vcpu_time_info time;
    struct vcpu_register_time_memory_area time_where = {.addr.v = &time};
    ROW("vcpu.register_vcpu_time_memory_area.efault", vcpu_op(VCPUOP_register_vcpu_time_memory_area, 0, BAD_POINTER));
    memset(&time, 0, sizeof time);
    ROW_EFFECT("vcpu.register_vcpu_time_memory_area", vcpu_op(VCPUOP_register_vcpu_time_memory_area, 0, &time_where),
               "version %s, time %s, scale %s", time.version & 1 ? "odd" : "even", time.system_time ? "set" : "0",
               time.tsc_to_system_mul ? "set" : "0");
}

static long phys_area(unsigned op, uint64_t gpa)
{
    return vcpu_op(op, 0, &gpa);
}

/* Runstate and time areas by physical address: operations 14 and 15, from 4.18 on. */
static void rows_phys_areas(void)
{
    static uint8_t page[4096] __attribute__((aligned(4096)));
    struct vcpu_runstate_info *state = (void *)page;
    struct vcpu_time_info *time = (void *)(page + 256);
    uint64_t gpa = (uintptr_t)page;

    ROW("vcpu.op_14", vcpu_op(14, 0, BAD_POINTER));
    ROW("vcpu.op_15", vcpu_op(15, 0, BAD_POINTER));
    ROW("vcpu.op_14.bad_vcpu", vcpu_op(14, BAD_VCPU, &gpa));
    ROW("vcpu.op_14.crosses_page", phys_area(14, gpa + 4096 - 32));
    ROW("vcpu.op_14.misaligned", phys_area(14, gpa + 2));
    ROW("vcpu.op_14.bad_gfn", phys_area(14, (uint64_t)BAD_GFN << 12));
    ROW("vcpu.op_15.crosses_page", phys_area(15, gpa + 4096 - 16));
    ROW("vcpu.op_15.misaligned", phys_area(15, gpa + 4));
    memset(page, 0xff, sizeof page);
    long result = phys_area(14, gpa);
    ROW_EFFECT("vcpu.op_14.registered", result, "state %d", state->state);
    result = phys_area(15, gpa + 256);
    ROW_EFFECT("vcpu.op_15.registered", result, "scale %s", time->tsc_to_system_mul + 1 ? "set" : "untouched");
    ROW("vcpu.op_14.unregister", phys_area(14, ~0ull));
    ROW("vcpu.op_15.unregister", phys_area(15, ~0ull));
    memset(page, 0xff, sizeof page);
    sched_op(SCHEDOP_yield, NULL);
    ROW_EFFECT("vcpu.op_14.gone", 0, "state %d, scale %s", state->state,
               time->tsc_to_system_mul + 1 ? "set" : "untouched");
}

static bool timer_pending(evtchn_port_t port)
{
    volatile unsigned long *words = (volatile unsigned long *)xen_shared_info()->evtchn_pending;
    unsigned bits = 8 * sizeof(unsigned long);
    for (unsigned wait = 0; wait < 2000000; wait++)
        if (words[port / bits] >> port % bits & 1)
            return true;
    return false;
}

static void timer_clear(evtchn_port_t port)
{
    unsigned long *words = (unsigned long *)xen_shared_info()->evtchn_pending;
    unsigned bits = 8 * sizeof(unsigned long);
    __atomic_and_fetch(&words[port / bits], ~(1ul << port % bits), __ATOMIC_SEQ_CST);
}

static void rows_timers(void)
{
    struct evtchn_bind_virq bind = {.virq = VIRQ_TIMER, .vcpu = 0};
    struct vcpu_set_periodic_timer periodic = {.period_ns = 999999};
    struct vcpu_set_singleshot_timer single = {.timeout_abs_ns = 1};
    memset(xen_shared_info()->evtchn_mask, 0xff, sizeof xen_shared_info()->evtchn_mask);
    evtchn_op(EVTCHNOP_bind_virq, &bind);

    ROW("vcpu.set_periodic_timer.efault", vcpu_op(VCPUOP_set_periodic_timer, 0, BAD_POINTER));
    ROW("vcpu.set_periodic_timer.below_1ms", vcpu_op(VCPUOP_set_periodic_timer, 0, &periodic));
    periodic.period_ns = 1ull << 63;
    ROW("vcpu.set_periodic_timer.too_long", vcpu_op(VCPUOP_set_periodic_timer, 0, &periodic));
    periodic.period_ns = 0;
    ROW("vcpu.set_periodic_timer.0", vcpu_op(VCPUOP_set_periodic_timer, 0, &periodic));
    periodic.period_ns = 1ull << 62; /* one more than STIME_DELTA_MAX */
    ROW("vcpu.set_periodic_timer.2_to_62", vcpu_op(VCPUOP_set_periodic_timer, 0, &periodic));
    periodic.period_ns = (1ull << 62) - 1;
    ROW("vcpu.set_periodic_timer.2_to_62_minus_1", vcpu_op(VCPUOP_set_periodic_timer, 0, &periodic));
    periodic.period_ns = 1000000;
    ROW_EFFECT("vcpu.set_periodic_timer.1ms", vcpu_op(VCPUOP_set_periodic_timer, 0, &periodic), "tick %s",
               timer_pending(bind.port) ? "arrives" : "missing");
    ROW("vcpu.stop_periodic_timer", vcpu_op(VCPUOP_stop_periodic_timer, 0, NULL));
    timer_clear(bind.port);
    ROW_EFFECT("vcpu.stop_periodic_timer.again", vcpu_op(VCPUOP_stop_periodic_timer, 0, NULL), "tick %s",
               timer_pending(bind.port) ? "arrives" : "missing");

    ROW("vcpu.set_singleshot_timer.efault", vcpu_op(VCPUOP_set_singleshot_timer, 0, BAD_POINTER));
    ROW_EFFECT("vcpu.set_singleshot_timer.past", vcpu_op(VCPUOP_set_singleshot_timer, 0, &single), "event %s",
               timer_pending(bind.port) ? "arrives" : "missing");
    timer_clear(bind.port);
    single.flags = VCPU_SSHOTTMR_future;
    /* -ETIME before the flag came to be ignored (4.18, and 4.17's stable branch): then an event at once. */
    ROW_EFFECT("vcpu.set_singleshot_timer.past_future_flag", vcpu_op(VCPUOP_set_singleshot_timer, 0, &single),
               "event %s", timer_pending(bind.port) ? "arrives" : "missing");
    timer_clear(bind.port);
    ROW("vcpu.stop_singleshot_timer", vcpu_op(VCPUOP_stop_singleshot_timer, 0, NULL));
    if (cpu_count() > 1) {
        ROW("vcpu.set_singleshot_timer.other", vcpu_op(VCPUOP_set_singleshot_timer, OTHER, &single));
        ROW("vcpu.stop_singleshot_timer.other", vcpu_op(VCPUOP_stop_singleshot_timer, OTHER, NULL));
        ROW("vcpu.stop_periodic_timer.other", vcpu_op(VCPUOP_stop_periodic_timer, OTHER, NULL));
    }
    struct evtchn_close close = {.port = bind.port};
    evtchn_op(EVTCHNOP_close, &close);
}

static void rows_vcpu_info(void)
{
    struct vcpu_register_vcpu_info reg = {.mfn = frame_of(info_page), .offset = 4096 - 63};
    ROW("vcpu.register_vcpu_info.efault", vcpu_op(VCPUOP_register_vcpu_info, 0, BAD_POINTER));
    ROW("vcpu.register_vcpu_info.crosses_page", vcpu_op(VCPUOP_register_vcpu_info, 0, &reg));
    reg.offset = 1;
    /* In the versions that do not look at the alignment this succeeds, and the good one below is the second. */
    ROW("vcpu.register_vcpu_info.misaligned", vcpu_op(VCPUOP_register_vcpu_info, 0, &reg));
    reg.offset = 4096 - 64 + 8;
    ROW("vcpu.register_vcpu_info.8_too_far", vcpu_op(VCPUOP_register_vcpu_info, 0, &reg));
    reg.offset = ~0u;
    ROW("vcpu.register_vcpu_info.offset_minus_1", vcpu_op(VCPUOP_register_vcpu_info, 0, &reg));
    reg.offset = 8;
    reg.mfn = ~0ull;
    ROW("vcpu.register_vcpu_info.gfn_minus_1", vcpu_op(VCPUOP_register_vcpu_info, 0, &reg));
    reg.offset = 8;
    reg.mfn = BAD_GFN;
    ROW("vcpu.register_vcpu_info.bad_gfn", vcpu_op(VCPUOP_register_vcpu_info, 0, &reg));
    reg.mfn = frame_of(info_page);
    reg.offset = 64;
    struct vcpu_info *info = (struct vcpu_info *)(info_page + reg.offset);
    memset(info_page, 0x55, sizeof info_page);
    long result = vcpu_op(VCPUOP_register_vcpu_info, 0, &reg);
    ROW_EFFECT("vcpu.register_vcpu_info", result, "pending %u, mask %u, selector %s, time %s, neighbour %02x",
               info->evtchn_upcall_pending, info->evtchn_upcall_mask,
               ~info->evtchn_pending_sel == 0 ? "all ones" : "other", info->time.version & 1 ? "odd" : "even",
               info_page[63]);
    ROW("vcpu.register_vcpu_info.again", vcpu_op(VCPUOP_register_vcpu_info, 0, &reg));
    ROW("vcpu.register_vcpu_info.bad_vcpu", vcpu_op(VCPUOP_register_vcpu_info, BAD_VCPU, &reg));
    if (cpu_count() > 1) {
        reg.offset = 128;
        info = (struct vcpu_info *)(info_page + reg.offset);
        result = vcpu_op(VCPUOP_register_vcpu_info, OTHER, &reg);
        ROW_EFFECT("vcpu.register_vcpu_info.other_down", result, "pending %u, mask %u", info->evtchn_upcall_pending,
                   info->evtchn_upcall_mask);
    }
}

static void rows_nmi(void)
{
    trap_set(2, on_nmi);
    ROW("vcpu.send_nmi.arg", vcpu_op(VCPUOP_send_nmi, 0, info_page));
    long result = vcpu_op(VCPUOP_send_nmi, 0, NULL);
    ROW_EFFECT("vcpu.send_nmi.self", result, "NMIs %u", nmis);
}

/* One bad thing at a time, in an otherwise good context. */
#define ROW_CONTEXT_32(name, change)                                                                                   \
    do {                                                                                                               \
        struct vcpu_hvm_context context = context_flat();                                                              \
        struct vcpu_hvm_x86_32 *r = &context.cpu_regs.x86_32;                                                          \
        change;                                                                                                        \
        (void)r;                                                                                                       \
        ROW(name, initialise(context));                                                                                \
    } while (0)
#define ROW_CONTEXT_64(name, change)                                                                                   \
    do {                                                                                                               \
        struct vcpu_hvm_context context = {.mode = VCPU_HVM_MODE_64B};                                                 \
        struct vcpu_hvm_x86_64 *r = &context.cpu_regs.x86_64;                                                          \
        *r = (struct vcpu_hvm_x86_64){.rip = 0x100000, .cr0 = 0x80000001, .cr4 = 0x20, .efer = 0x500};                 \
        change;                                                                                                        \
        ROW(name, initialise(context));                                                                                \
    } while (0)

static void rows_contexts(void)
{
    ROW_CONTEXT_32("vcpu.initialise.bad_mode", context.mode = 2);
    ROW_CONTEXT_32("vcpu.initialise.pad", context.pad = 1);
    ROW_CONTEXT_32("vcpu.initialise.pad1", r->pad1 = 1);
    ROW_CONTEXT_32("vcpu.initialise.pad2", r->pad2[2] = 1);
    ROW_CONTEXT_32("vcpu.initialise.eip_over_limit", (r->cs_limit = 0xfff, r->cs_ar &= (uint16_t)~0x800));
    ROW_CONTEXT_32("vcpu.initialise.cs_is_data", r->cs_ar = AR_DATA);
    ROW_CONTEXT_32("vcpu.initialise.cs_not_present", r->cs_ar &= (uint16_t)~0x80);
    ROW_CONTEXT_32("vcpu.initialise.cs_null", r->cs_ar = 0);
    ROW_CONTEXT_32("vcpu.initialise.cs_is_system", r->cs_ar &= (uint16_t)~0x10);
    ROW_CONTEXT_32("vcpu.initialise.cs_bit_12", r->cs_ar |= 0x1000);
    ROW_CONTEXT_32("vcpu.initialise.ss_dpl_3", r->ss_ar |= 0x60);
    ROW_CONTEXT_32("vcpu.initialise.ss_null", r->ss_ar = 0);
    ROW_CONTEXT_32("vcpu.initialise.ss_is_code", r->ss_ar = AR_CODE);
    ROW_CONTEXT_32("vcpu.initialise.ss_read_only", r->ss_ar &= (uint16_t)~0x2);
    ROW_CONTEXT_32("vcpu.initialise.ds_dpl_3", r->ds_ar |= 0x60);
    ROW_CONTEXT_32("vcpu.initialise.ds_execute_only", r->ds_ar = AR_CODE & ~0x2);
    ROW_CONTEXT_32("vcpu.initialise.ds_not_present", r->ds_ar &= (uint16_t)~0x80);
    ROW_CONTEXT_32("vcpu.initialise.es_dpl_3", r->es_ar |= 0x60);
    ROW_CONTEXT_32("vcpu.initialise.es_is_system", r->es_ar &= (uint16_t)~0x10);
    ROW_CONTEXT_32("vcpu.initialise.tr_not_tss", r->tr_ar = AR_DATA);
    ROW_CONTEXT_32("vcpu.initialise.tr_null", r->tr_ar = 0);
    ROW_CONTEXT_32("vcpu.initialise.tr_not_present", r->tr_ar &= (uint16_t)~0x80);
    ROW_CONTEXT_32("vcpu.initialise.tr_16_bit", r->tr_ar = 0x83);
    ROW_CONTEXT_32("vcpu.initialise.lma_without_lme", r->efer = 0x400);
    ROW_CONTEXT_32("vcpu.initialise.efer_bit_1", r->efer = 0x2);
    ROW_CONTEXT_32("vcpu.initialise.cr4_bit_31", r->cr4 = 1u << 31);
    ROW_CONTEXT_64("vcpu.initialise.64.rip_not_canonical", r->rip = 1ull << 60);
    ROW_CONTEXT_64("vcpu.initialise.64.no_paging", r->cr0 = 1);
    ROW_CONTEXT_64("vcpu.initialise.64.no_pae", r->cr4 = 0);
    ROW_CONTEXT_64("vcpu.initialise.64.no_lme", r->efer = 0x400);
    ROW_CONTEXT_64("vcpu.initialise.64.efer_bit_1", r->efer |= 2);
    ROW_CONTEXT_64("vcpu.initialise.64.cr4_bit_31", r->cr4 |= 1u << 31);
    ROW_CONTEXT_64("vcpu.initialise.64.pad", context.pad = 1);
}

static void rows_bring_up(void)
{
    struct vcpu_hvm_context context = context_flat();
    ROW("vcpu.initialise.self", vcpu_op(VCPUOP_initialise, 0, &context));
    if (cpu_count() < 2)
        return;
    ROW("vcpu.is_up.other_down", vcpu_op(VCPUOP_is_up, OTHER, NULL));
    ROW("vcpu.up.not_initialised", vcpu_op(VCPUOP_up, OTHER, NULL));
    ROW("vcpu.initialise.efault", vcpu_op(VCPUOP_initialise, OTHER, BAD_POINTER));
    rows_contexts();
    ROW("vcpu.is_up.after_errors", vcpu_op(VCPUOP_is_up, OTHER, NULL));

    context = context_flat();
    ROW_EFFECT("vcpu.initialise", initialise(context), "up %ld", vcpu_op(VCPUOP_is_up, OTHER, NULL));
    ROW("vcpu.initialise.again", initialise(context));
    long result = vcpu_op(VCPUOP_up, OTHER, NULL);
    for (unsigned wait = 0; wait < 5000000 && !other_ran; wait++)
        cpu_relax();
    ROW_EFFECT("vcpu.up", result, "%s", other_ran ? "runs" : "does not run");
    ROW("vcpu.up.again", vcpu_op(VCPUOP_up, OTHER, NULL));
    ROW("vcpu.is_up.other_up", vcpu_op(VCPUOP_is_up, OTHER, NULL));
    struct vcpu_register_vcpu_info reg = {.mfn = frame_of(info_page), .offset = 192};
    ROW("vcpu.register_vcpu_info.other_again", vcpu_op(VCPUOP_register_vcpu_info, OTHER, &reg));
    other_may_halt = 1; /* its main() returns, and the runtime halts it with IF=0: to Xen that is VCPUOP_down */
    long up = 1;
    for (unsigned wait = 0; wait < 200000 && up == 1; wait++)
        up = vcpu_op(VCPUOP_is_up, OTHER, NULL);
    ROW("vcpu.is_up.other_halted_if_0", up);
    ROW("vcpu.up.other_halted_if_0", vcpu_op(VCPUOP_up, OTHER, NULL));
    ROW_EFFECT("vcpu.down.other", vcpu_op(VCPUOP_down, OTHER, NULL), "up %ld", vcpu_op(VCPUOP_is_up, OTHER, NULL));
}

void guest_main(void)
{
    rows_begin("vcpu");
    xen_shared_info();
    rows_numbers();
    rows_runstate();
    rows_phys_areas();
    rows_timers();
    rows_vcpu_info();
    rows_nmi();
    rows_bring_up();
}
