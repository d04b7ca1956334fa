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

    static struct vcpu_time_info time;
    struct vcpu_register_time_memory_area time_where = {.addr.v = &time};
    ROW("vcpu.register_vcpu_time_memory_area.efault", vcpu_op(VCPUOP_register_vcpu_time_memory_area, 0, BAD_POINTER));
    memset(&time, 0, sizeof time);
    ROW_EFFECT("vcpu.register_vcpu_time_memory_area", vcpu_op(VCPUOP_register_vcpu_time_memory_area, 0, &time_where),
               "version %s, time %s, scale %s", time.version & 1 ? "odd" : "even", time.system_time ? "set" : "0",
               time.tsc_to_system_mul ? "set" : "0");
    ROW("vcpu.op_14", vcpu_op(14, 0, BAD_POINTER));
    ROW("vcpu.op_15", vcpu_op(15, 0, BAD_POINTER));
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
    periodic.period_ns = 1000000;
    ROW_EFFECT("vcpu.set_periodic_timer.1ms", vcpu_op(VCPUOP_set_periodic_timer, 0, &periodic), "tick %s",
               timer_pending(bind.port) ? "arrives" : "missing");
    ROW("vcpu.stop_periodic_timer", vcpu_op(VCPUOP_stop_periodic_timer, 0, NULL));
    timer_clear(bind.port);

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
    ROW("vcpu.register_vcpu_info.misaligned", vcpu_op(VCPUOP_register_vcpu_info, 0, &reg));
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

static void rows_bring_up(void)
{
    struct vcpu_hvm_context context = context_flat();
    ROW("vcpu.initialise.self", vcpu_op(VCPUOP_initialise, 0, &context));
    if (cpu_count() < 2)
        return;
    ROW("vcpu.is_up.other_down", vcpu_op(VCPUOP_is_up, OTHER, NULL));
    ROW("vcpu.up.not_initialised", vcpu_op(VCPUOP_up, OTHER, NULL));
    ROW("vcpu.initialise.efault", vcpu_op(VCPUOP_initialise, OTHER, BAD_POINTER));
    context.mode = 2;
    ROW("vcpu.initialise.bad_mode", initialise(context));
    context = context_flat();
    context.pad = 1;
    ROW("vcpu.initialise.pad", initialise(context));
    context = context_flat();
    context.cpu_regs.x86_32.pad1 = 1;
    ROW("vcpu.initialise.pad1", initialise(context));
    context = context_flat();
    context.cpu_regs.x86_32.cs_limit = 0xfff;
    context.cpu_regs.x86_32.cs_ar &= (uint16_t)~0x800;
    ROW("vcpu.initialise.eip_over_limit", initialise(context));
    context = context_flat();
    context.cpu_regs.x86_32.ss_ar |= 0x60;
    ROW("vcpu.initialise.ss_dpl_3", initialise(context));
    context = context_flat();
    context.cpu_regs.x86_32.cs_ar = AR_DATA;
    ROW("vcpu.initialise.cs_is_data", initialise(context));
    context = context_flat();
    context.cpu_regs.x86_32.cs_ar &= (uint16_t)~0x80;
    ROW("vcpu.initialise.cs_not_present", initialise(context));
    context = context_flat();
    context.cpu_regs.x86_32.tr_ar = AR_DATA;
    ROW("vcpu.initialise.tr_not_tss", initialise(context));
    context = context_flat();
    context.cpu_regs.x86_32.efer = 0x400; /* LMA without LME */
    ROW("vcpu.initialise.lma_without_lme", initialise(context));
    context = (struct vcpu_hvm_context){.mode = VCPU_HVM_MODE_64B};
    context.cpu_regs.x86_64 =
        (struct vcpu_hvm_x86_64){.rip = 1ull << 60, .cr0 = 0x80000001, .cr4 = 0x20, .efer = 0x500};
    ROW("vcpu.initialise.64.rip_not_canonical", initialise(context));
    context.cpu_regs.x86_64.rip = 0x100000;
    context.cpu_regs.x86_64.cr0 = 1;
    ROW("vcpu.initialise.64.no_paging", initialise(context));
    context.cpu_regs.x86_64.cr0 = 0x80000001;
    context.cpu_regs.x86_64.cr4 = 0;
    ROW("vcpu.initialise.64.no_pae", initialise(context));
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
    rows_timers();
    rows_vcpu_info();
    rows_nmi();
    rows_bring_up();
}
