/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * s4: the kernel's CPU number taken for Xen's vCPU id, and the order in which a CPU is brought up. Seed S4.
 *
 * The guest's kernel boots on vCPU `boot` of the machine (as a crash kernel does) and calls that CPU 0; the others it
 * numbers in the MADT's order. Every hypercall about a CPU goes through a table from number to Xen's id. CPUs are
 * then brought up by a list of steps in a chosen order:
 *   P  set the CPU's entry in the table
 *   I  EVTCHNOP_init_control (FIFO only; with 2-level events it does nothing)
 *   V  VCPUOP_register_vcpu_info
 *   B  bind VIRQ_TIMER and an IPI
 *   E  raise the IPI's event (a stimulus, not a step of the kernel's)
 *   U  start the vCPU
 *
 * Parameters:
 *   id=number|madt       the table holds the kernel's own number (default; the bug), or Xen's id: from CPUID for the
 *                        boot CPU, from the MADT's processor id for the others (4.8's fix)
 *   boot=B               vCPU that the kernel boots on (default 0); the others run, and are stopped by an NMI first
 *   others=spin|hlt      how a stopped vCPU waits (default spin; hlt with interrupts off is "down" to Xen)
 *   cpuid=0|1            0: do not use CPUID's vCPU id, as if Xen were older than 4.6 (default 1)
 *   default=umax|0       what the table holds before P (default umax)
 *   permute=0|1          list the MADT's other entries backwards (default 0; needs three vCPUs to matter)
 *   fifo=0|1             FIFO events (default 1)
 *   order=STEPS          default PVIBU
 *   bringup=N            how many CPUs to bring up (default all if boot=0, else 0, as a crash kernel has maxcpus=1)
 *   up=sipi|vcpuop       how U starts a vCPU (default sipi)
 *   wait=N               rounds of PAUSE before an event counts as lost (default 2000000)
 *
 * Prints a line `cpu N step X RESULT` for each step. An error in a step leaves the CPU offline, as a failed notifier
 * does. Ends: PASS, or FAIL 0x401 (a CPU stays offline), 0x402 (an event was lost), 0x403 (an event went to another
 * vCPU), 0x404 (no tick on the boot CPU), 0x405 (the boot CPU's registration or timer was refused).
 *
 * Source: Linux 4.7 and 4.8, arch/x86/xen/enlighten.c and smp.c, drivers/xen/events; Linux de75abbe0121.
 */
#include "hypercall.h"
#include <xen/hvm/hvm_vcpu.h>

#define UPCALL_VECTOR  0xf3
#define CPUS_MAX       GUEST_CPUS_MAX
#define PORTS_MAX      1024
#define ID_UNSET       (~0u)
#define FAIL_OFFLINE   0x401
#define FAIL_LOST      0x402
#define FAIL_WRONG_CPU 0x403
#define FAIL_TICK      0x404
#define FAIL_BOOT      0x405
#define FAIL_PARAMETER 0x406

static struct vcpu_info vcpu_infos[CPUS_MAX] __attribute__((aligned(4096)));
static uint8_t controls[2 * 4096] __attribute__((aligned(4096)));
static uint32_t event_words[PORTS_MAX] __attribute__((aligned(4096)));
_Static_assert(sizeof(struct vcpu_info) == 64, "vcpu_info never crosses a page");

/* By the kernel's CPU number. */
static uint32_t xen_vcpu_id[CPUS_MAX];
static struct vcpu_info *volatile xen_vcpu[CPUS_MAX];
static unsigned machine_cpu[CPUS_MAX]; /* position in the MADT */
static evtchn_port_t ipi_port[CPUS_MAX], timer_port[CPUS_MAX];
static volatile uint32_t ipis[CPUS_MAX], ticks[CPUS_MAX];
static volatile bool alive[CPUS_MAX];
static uint32_t control_offset[CPUS_MAX];

static unsigned cpus, boot, wait_rounds;
static bool fifo, array_is_there, id_by_madt, use_cpuid, park_by_hlt;
static volatile uint32_t wrong_cpu, parked;
static volatile bool kernel_done;

static unsigned kernel_cpu(void)
{
    unsigned machine = cpu_current();
    for (unsigned cpu = 0; cpu < cpus; cpu++)
        if (machine_cpu[cpu] == machine)
            return cpu;
    return 0;
}

/* --- events ----------------------------------------------------------------------------------------------------- */

static void handle_port(unsigned cpu, evtchn_port_t port)
{
    for (unsigned owner = 0; owner < cpus; owner++) {
        if (port == 0 || (port != ipi_port[owner] && port != timer_port[owner]))
            continue;
        if (owner != cpu)
            wrong_cpu++;
        else if (port == ipi_port[owner])
            ipis[owner]++;
        else
            ticks[owner]++;
    }
}

static void handle_2l(unsigned cpu, struct vcpu_info *info)
{
    struct shared_info *shared = xen_shared_info();
    const unsigned bits = 8 * sizeof(unsigned long);
    unsigned long words = __atomic_exchange_n(&info->evtchn_pending_sel, 0, __ATOMIC_SEQ_CST);
    for (unsigned w = 0; w < bits; w++) {
        if (!(words >> w & 1))
            continue;
        unsigned long ready = shared->evtchn_pending[w] & ~shared->evtchn_mask[w];
        for (unsigned b = 0; b < bits; b++)
            if (ready >> b & 1) {
                __atomic_and_fetch(&shared->evtchn_pending[w], ~(1ul << b), __ATOMIC_SEQ_CST);
                handle_port(cpu, w * bits + b);
            }
    }
}

/* One queue suffices: nothing changes a port's priority. */
static void handle_fifo(unsigned cpu)
{
    struct evtchn_fifo_control_block *control = (struct evtchn_fifo_control_block *)(controls + control_offset[cpu]);
    uint32_t ready = __atomic_exchange_n(&control->ready, 0, __ATOMIC_SEQ_CST);
    evtchn_port_t port = control->head[EVTCHN_FIFO_PRIORITY_DEFAULT];
    if (!(ready >> EVTCHN_FIFO_PRIORITY_DEFAULT & 1))
        return;
    while (port && port < PORTS_MAX) {
        uint32_t old = event_words[port], new;
        do
            new = old & ~(1u << EVTCHN_FIFO_LINKED | EVTCHN_FIFO_LINK_MASK);
        while (!__atomic_compare_exchange_n(&event_words[port], &old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
        if ((old >> EVTCHN_FIFO_PENDING & 1) && !(old >> EVTCHN_FIFO_MASKED & 1)) {
            __atomic_and_fetch(&event_words[port], ~(1u << EVTCHN_FIFO_PENDING), __ATOMIC_SEQ_CST);
            handle_port(cpu, port);
        }
        port = old & EVTCHN_FIFO_LINK_MASK;
        control->head[EVTCHN_FIFO_PRIORITY_DEFAULT] = port;
    }
}

static void on_upcall(struct trap_regs *regs)
{
    unsigned cpu = kernel_cpu();
    struct vcpu_info *info = xen_vcpu[cpu];
    if (!info)
        return; /* no page to look into: the event stays where it is */
    info->evtchn_upcall_pending = 0;
    barrier();
    if (fifo)
        handle_fifo(cpu);
    else
        handle_2l(cpu, info);
}

static void unmask(evtchn_port_t port)
{
    struct evtchn_unmask arg = {.port = port};
    evtchn_op(EVTCHNOP_unmask, &arg);
}

static void raise_event(unsigned cpu)
{
    struct evtchn_send arg = {.port = ipi_port[cpu]};
    printk("cpu %u step E %ld\n", cpu, ipi_port[cpu] ? evtchn_op(EVTCHNOP_send, &arg) : 0);
}

static bool wait_for(const volatile uint32_t *count, uint32_t target)
{
    for (unsigned round = 0; round < wait_rounds && *count < target; round++)
        cpu_relax();
    return *count >= target;
}

/* --- the steps -------------------------------------------------------------------------------------------------- */

static uint32_t id_of(unsigned cpu)
{
    uint32_t a, b, c, d;
    if (!id_by_madt)
        return cpu;
    if (cpu > 0)
        return cpu_ids(machine_cpu[cpu]).processor_id;
    cpuid(xen_cpuid_base(), &a, &b, &c, &d);
    if (!use_cpuid || a < xen_cpuid_base() + 4)
        return cpu;
    cpuid(xen_cpuid_base() + 4, &a, &b, &c, &d);
    return a & 8 ? b : cpu; /* XEN_HVM_CPUID_VCPU_ID_PRESENT */
}

static long step_control(unsigned cpu)
{
    if (!fifo)
        return 0;
    /* 48 control blocks of 80 bytes a page: none may cross one. */
    control_offset[cpu] = cpu / 48 * 4096 + cpu % 48 * 80;
    uintptr_t at = (uintptr_t)controls + control_offset[cpu];
    struct evtchn_init_control init = {
        .control_gfn = at >> 12, .offset = (uint32_t)(at & 4095), .vcpu = xen_vcpu_id[cpu]};
    long result = evtchn_op(EVTCHNOP_init_control, &init);
    if (result == 0 && !array_is_there) {
        /* Xen wants a control block before it takes the array of events. */
        struct evtchn_expand_array expand = {.array_gfn = (uintptr_t)event_words >> 12};
        result = evtchn_op(EVTCHNOP_expand_array, &expand);
        array_is_there = result == 0;
    }
    return result;
}

static long step_vcpu_info(unsigned cpu)
{
    uintptr_t at = (uintptr_t)&vcpu_infos[cpu];
    struct vcpu_register_vcpu_info reg = {.mfn = at >> 12, .offset = (uint32_t)(at & 4095)};
    long result = vcpu_op(VCPUOP_register_vcpu_info, xen_vcpu_id[cpu], &reg);
    if (result == 0)
        xen_vcpu[cpu] = &vcpu_infos[cpu];
    else if (xen_vcpu_id[cpu] < XEN_LEGACY_MAX_VCPUS)
        xen_vcpu[cpu] = &xen_shared_info()->vcpu_info[xen_vcpu_id[cpu]]; /* what Linux falls back to */
    return result;
}

static long step_bind(unsigned cpu)
{
    struct evtchn_bind_virq virq = {.virq = VIRQ_TIMER, .vcpu = xen_vcpu_id[cpu]};
    struct evtchn_bind_ipi ipi = {.vcpu = xen_vcpu_id[cpu]};
    long result = evtchn_op(EVTCHNOP_bind_virq, &virq);
    if (result == 0)
        result = evtchn_op(EVTCHNOP_bind_ipi, &ipi);
    if (result == 0) {
        timer_port[cpu] = virq.port;
        ipi_port[cpu] = ipi.port;
        unmask(virq.port);
        unmask(ipi.port);
    }
    return result;
}

static void secondary(void *arg)
{
    unsigned cpu = (unsigned)(uintptr_t)arg;
    lapic_enable(false);
    alive[cpu] = true;
    irq_enable();
    while (!kernel_done)
        cpu_relax();
    irq_disable();
}

static long step_start(unsigned cpu)
{
    uint32_t entry = cpu_prepare(machine_cpu[cpu], secondary, (void *)(uintptr_t)cpu);
    if (param_is("up", "vcpuop")) {
        struct vcpu_hvm_context context = {.mode = VCPU_HVM_MODE_32B};
        context.cpu_regs.x86_32 = (struct vcpu_hvm_x86_32){.eip = entry,
                                                           .cr0 = 1,
                                                           .cs_limit = ~0u,
                                                           .ds_limit = ~0u,
                                                           .ss_limit = ~0u,
                                                           .es_limit = ~0u,
                                                           .tr_limit = 0x67,
                                                           .cs_ar = 0xc9b,
                                                           .ds_ar = 0xc93,
                                                           .ss_ar = 0xc93,
                                                           .es_ar = 0xc93,
                                                           .tr_ar = 0x8b};
        long result = vcpu_op(VCPUOP_initialise, xen_vcpu_id[cpu], &context);
        if (result == 0)
            result = vcpu_op(VCPUOP_up, xen_vcpu_id[cpu], NULL);
        if (result)
            return result;
    } else {
        cpu_sipi(cpu_ids(machine_cpu[cpu]).apic_id);
    }
    for (unsigned round = 0; round < wait_rounds && !alive[cpu]; round++)
        cpu_relax();
    return alive[cpu] ? 0 : -110; /* ETIMEDOUT, as Linux says of a CPU that does not answer */
}

static long step(unsigned cpu, char name)
{
    switch (name) {
    case 'P':
        xen_vcpu_id[cpu] = id_of(cpu);
        return 0;
    case 'I':
        return step_control(cpu);
    case 'V':
        return step_vcpu_info(cpu);
    case 'B':
        return step_bind(cpu);
    case 'U':
        return step_start(cpu);
    }
    guest_fail(FAIL_PARAMETER, "order");
}

/* Returns 0, or the code of what went wrong. */
static uint32_t bring_up(unsigned cpu, const char *order)
{
    bool raised = false;
    for (; *order; order++) {
        if (*order == 'E') {
            raised = ipi_port[cpu] != 0;
            raise_event(cpu);
            continue;
        }
        long result = step(cpu, *order);
        printk("cpu %u step %c %ld\n", cpu, *order, result);
        if (result) {
            printk("cpu %u offline\n", cpu);
            return FAIL_OFFLINE;
        }
    }
    if (!alive[cpu] || !ipi_port[cpu])
        return FAIL_OFFLINE;
    uint32_t before = wrong_cpu;
    if (raised && !wait_for(&ipis[cpu], 1))
        return wrong_cpu != before ? FAIL_WRONG_CPU : FAIL_LOST;
    uint32_t count = ipis[cpu];
    raise_event(cpu);
    if (!wait_for(&ipis[cpu], count + 1))
        return wrong_cpu != before ? FAIL_WRONG_CPU : FAIL_LOST;
    printk("cpu %u online, vcpu %u, events %u\n", cpu, xen_vcpu_id[cpu], ipis[cpu]);
    return 0;
}

static uint64_t now_ns(void)
{
    struct xen_hvm_get_time get = {0};
    hvm_op(HVMOP_get_time, &get);
    return get.now;
}

/* Returns 0, or the code of what went wrong; goes on after an error as Linux does, to show the next one. */
static uint32_t boot_cpu_init(void)
{
    uint32_t code = 0;
    for (const char *order = fifo ? "PIVB" : "PVB"; *order; order++) {
        long result = step(0, *order);
        printk("cpu 0 step %c %ld\n", *order, result);
        if (result)
            code = FAIL_BOOT;
    }
    struct vcpu_set_singleshot_timer single = {.timeout_abs_ns = now_ns() + 100000};
    long result = vcpu_op(VCPUOP_set_singleshot_timer, xen_vcpu_id[0], &single);
    printk("cpu 0 single-shot timer %ld\n", result);
    if (result)
        return FAIL_BOOT;
    irq_enable();
    bool ticked = wait_for(&ticks[0], 1);
    printk("cpu 0 tick %s\n", ticked ? "arrives" : "missing");
    return code ? code : ticked ? 0 : FAIL_TICK;
}

/* --- two kernels ------------------------------------------------------------------------------------------------ */

static void on_nmi(struct trap_regs *regs)
{
    __atomic_add_fetch(&parked, 1, __ATOMIC_SEQ_CST);
    for (;;)
        if (park_by_hlt)
            cpu_halt();
        else
            cpu_relax();
}

static void kernel(void *arg)
{
    static char order[32];
    uint32_t code, first = 0;
    lapic_enable(false);
    printk("kernel on machine vCPU %u of %u\n", cpu_current(), cpus);

    machine_cpu[0] = cpu_current();
    for (unsigned machine = 0, cpu = 1; machine < cpus; machine++)
        if (machine != machine_cpu[0]) {
            machine_cpu[param_u32("permute", 0) ? cpus - cpu : cpu] = machine;
            cpu++;
        }
    uint32_t unset = param_is("default", "0") ? 0 : ID_UNSET;
    for (unsigned cpu = 0; cpu < cpus; cpu++)
        xen_vcpu_id[cpu] = unset;

    struct xen_hvm_param callback = {
        .domid = DOMID_SELF, .index = HVM_PARAM_CALLBACK_IRQ, .value = 2ull << 56 | UPCALL_VECTOR};
    trap_set(UPCALL_VECTOR, on_upcall);
    hvm_op(HVMOP_set_param, &callback);
    memset(xen_shared_info()->evtchn_mask, 0xff, sizeof xen_shared_info()->evtchn_mask);
    for (unsigned port = 0; port < PORTS_MAX; port++)
        event_words[port] = 1u << EVTCHN_FIFO_MASKED;

    /* The crashed kernel's vCPUs are stopped where they are. */
    for (unsigned cpu = 1; boot != 0 && cpu < cpus; cpu++) {
        uint32_t before = parked;
        lapic_nmi(cpu_ids(machine_cpu[cpu]).apic_id);
        while (parked == before)
            cpu_relax();
    }
    first = boot_cpu_init();

    if (!param_text("order", order, sizeof order))
        memcpy(order, "PVIBU", 6);
    unsigned bringup = param_u32("bringup", boot == 0 ? cpus - 1 : 0);
    for (unsigned cpu = 1; cpu < cpus && cpu <= bringup; cpu++) {
        code = bring_up(cpu, order);
        if (!first)
            first = code;
    }
    irq_disable();
    kernel_done = true;
    switch (first) {
    case 0:
        guest_pass();
    case FAIL_OFFLINE:
        guest_fail(first, "a CPU stays offline");
    case FAIL_LOST:
        guest_fail(first, "an event was lost");
    case FAIL_WRONG_CPU:
        guest_fail(first, "an event went to another vCPU");
    case FAIL_TICK:
        guest_fail(first, "no tick on the boot CPU");
    default:
        guest_fail(first, "the boot CPU was refused");
    }
}

static void first_kernels_cpu(void *arg)
{
    for (;;)
        cpu_relax();
}

void guest_main(void)
{
    if (!xen_present())
        guest_fail(FAIL_PARAMETER, "no Xen");
    cpus = cpu_count();
    boot = param_u32("boot", 0);
    id_by_madt = param_is("id", "madt");
    use_cpuid = param_u32("cpuid", 1) != 0;
    park_by_hlt = param_is("others", "hlt");
    fifo = param_u32("fifo", 1) != 0;
    wait_rounds = param_u32("wait", 2000000);
    if (boot >= cpus)
        guest_fail(FAIL_PARAMETER, "boot");
    xen_shared_info();
    if (boot == 0)
        kernel(NULL);

    /* The first kernel: all vCPUs run; the crash is on vCPU `boot`, which stops the others. */
    trap_set(2, on_nmi);
    for (unsigned machine = 1; machine < cpus; machine++)
        if (machine != boot)
            cpu_start(machine, first_kernels_cpu, NULL);
    cpu_start(boot, kernel, NULL);
    for (;;)
        cpu_relax();
}
