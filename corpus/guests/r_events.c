/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * r_events: later bugs of event channels, timers and vCPU ids, each as it was and repaired; where Xen was repaired, the
 * case chooses Xen's version.
 *
 * Parameters:
 *   bug=bound      Xen binds a new port to vCPU 0, but the kernel's own table of which vCPU looks at which port starts
 *                  empty: an event that comes before the kernel has bound it is taken off the first level, found
 *                  nowhere, and stays pending in the second, so that no later one is delivered. Repaired (fixed=1): the
 *                  table starts with all ports at vCPU 0. Linux b0097adeec27 "xen: ensure that all event channels start
 *                  off bound to VCPU 0".
 *      =find-virq  a VIRQ is bound already, and the search for its port answers success although it found none, since
 *                  the result of the last status call is left in the variable. Repaired: not found is an error. Linux
 *                  08df2d7dd4ab "xen/events: Cleanup find_virq() return codes" (after 62cc5fc7b2e0).
 *      =busy-port  a port is closed while it is linked into the queue of a vCPU that does not drain it; Xen hands the
 *                  number out again, for another vCPU, and the first event of the new port finds the old link and is
 *                  never queued. Repaired in Xen 4.7: 78e24c269b "evtchn: don't reuse ports that are still "busy"".
 *      =sshottmr   a one-shot timer with VCPU_SSHOTTMR_future and a deadline that is always a little past is refused
 *                  with -ETIME each time, and the kernel gives up. Repaired in Xen 4.18: 19c6cbd909 "xen/vcpu: ignore
 *                  VCPU_SSHOTTMR_future".
 *      =vcpu32     the clock is read on a vCPU whose number is 32 or more before its vcpu_info is registered: there is
 *                  no place for it in shared_info, and the pointer is NULL. Repaired (fixed=1): registered first. Linux
 *                  "x86/xen: delay time ops" for vCPUs beyond MAX_VIRT_CPUS; compare Xen b67f09721f. Needs 33 vCPUs.
 *   fixed=0|1      (default 0)
 *   wait=N         rounds of PAUSE before an event counts as lost (default 20000)
 *
 * Ends: PASS; FAIL 0x641 (an event was lost), 0x642 (a port was invented), 0x643 (Xen refuses every deadline), an
 * exception (vcpu32), 0x644 (something else was refused).
 */
#include "hypercall.h"

#define UPCALL_VECTOR 0xf3
#define PORTS_MAX     1024

#define FAIL_LOST      0x641
#define FAIL_PORT      0x642
#define FAIL_ETIME     0x643
#define FAIL_REFUSED   0x644
#define FAIL_PARAMETER 0x645

#define ETIME_OF_XEN  62
#define EEXIST_OF_XEN 17
#define ENOENT_OF_XEN 2

static bool fixed;
static unsigned wait_rounds;
static volatile uint32_t events[PORTS_MAX];
static unsigned long looks_at[PORTS_MAX / 64]; /* the kernel's table: ports that vCPU 0 looks at */
static struct vcpu_info infos[2] __attribute__((aligned(4096)));
static uint8_t controls[2 * 4096] __attribute__((aligned(4096)));
static uint32_t event_words[PORTS_MAX] __attribute__((aligned(4096)));

static void must(long result, const char *what)
{
    if (result == 0)
        return;
    printk("%s: %ld\n", what, result);
    guest_fail(FAIL_REFUSED, what);
}

static void callback_init(trap_fn *handler)
{
    struct xen_hvm_param callback = {
        .domid = DOMID_SELF, .index = HVM_PARAM_CALLBACK_IRQ, .value = 2ull << 56 | UPCALL_VECTOR};
    trap_set(UPCALL_VECTOR, handler);
    lapic_enable(false);
    must(hvm_op(HVMOP_set_param, &callback), "callback vector");
}

static evtchn_port_t ipi_bind(unsigned vcpu)
{
    struct evtchn_bind_ipi bind = {.vcpu = vcpu};
    must(evtchn_op(EVTCHNOP_bind_ipi, &bind), "bind_ipi");
    return bind.port;
}

static void event_send(evtchn_port_t port)
{
    struct evtchn_send send = {.port = port};
    must(evtchn_op(EVTCHNOP_send, &send), "send");
}

static bool event_arrives(evtchn_port_t port, uint32_t count)
{
    for (unsigned round = 0; round < wait_rounds && events[port] < count; round++)
        cpu_relax();
    return events[port] >= count;
}

/* --- bound ------------------------------------------------------------------------------------------------------ */

static void on_upcall_2l(struct trap_regs *regs)
{
    struct shared_info *shared = xen_shared_info();
    struct vcpu_info *info = &shared->vcpu_info[0];
    info->evtchn_upcall_pending = 0;
    unsigned long words = __atomic_exchange_n(&info->evtchn_pending_sel, 0, __ATOMIC_SEQ_CST);
    for (unsigned w = 0; w < PORTS_MAX / 64; w++) {
        if (!(words >> w & 1))
            continue;
        unsigned long pending = shared->evtchn_pending[w] & ~shared->evtchn_mask[w] & looks_at[w];
        for (unsigned b = 0; b < 64; b++)
            if (pending >> b & 1) {
                __atomic_and_fetch(&shared->evtchn_pending[w], ~(1ul << b), __ATOMIC_SEQ_CST);
                events[w * 64 + b]++;
            }
    }
}

static void bound(void)
{
    callback_init(on_upcall_2l);
    memset(looks_at, fixed ? 0xff : 0, sizeof looks_at);
    evtchn_port_t port = ipi_bind(0);
    irq_enable();
    event_send(port); /* before the kernel says who looks at it */
    looks_at[port / 64] |= 1ul << port % 64;
    uint32_t seen = events[port];
    event_send(port);
    if (!event_arrives(port, seen + 1))
        guest_fail(FAIL_LOST, "an event was lost");
}

/* --- find-virq -------------------------------------------------------------------------------------------------- */

static long virq_find(unsigned virq, unsigned vcpu, evtchn_port_t *found)
{
    long rc = -ENOENT_OF_XEN;
    for (evtchn_port_t port = 0; port < 64; port++) {
        struct evtchn_status status = {.dom = DOMID_SELF, .port = port};
        long answer = evtchn_op(EVTCHNOP_status, &status);
        if (!fixed)
            rc = answer; /* the bug: the answer about the last port is the function's */
        if (answer || status.status != EVTCHNSTAT_virq || status.u.virq != virq || status.vcpu != vcpu)
            continue;
        *found = port;
        return 0;
    }
    return rc;
}

static void find_virq(void)
{
    struct evtchn_bind_virq bind = {.virq = VIRQ_CONSOLE, .vcpu = 0};
    evtchn_port_t first, port = ~0u;
    must(evtchn_op(EVTCHNOP_bind_virq, &bind), "bind_virq");
    first = bind.port;
    /* A global VIRQ may be moved; it stays bound, but not where it is looked for. */
    struct evtchn_bind_vcpu move = {.port = first, .vcpu = 1};
    must(evtchn_op(EVTCHNOP_bind_vcpu, &move), "bind_vcpu");
    long again = evtchn_op(EVTCHNOP_bind_virq, &bind);
    printk("bind again %ld\n", again);
    if (again != -EEXIST_OF_XEN)
        guest_fail(FAIL_REFUSED, "bind_virq again");
    long found = virq_find(VIRQ_CONSOLE, 0, &port);
    printk("found %ld port %d\n", found, (int)port);
    if (found == 0 && port != first)
        guest_fail(FAIL_PORT, "success, and no port");
    if (found != 0 && found != -ENOENT_OF_XEN)
        guest_fail(FAIL_REFUSED, "find_virq");
}

/* --- busy-port -------------------------------------------------------------------------------------------------- */

static void on_upcall_fifo(struct trap_regs *regs)
{
    struct vcpu_info *info = &xen_shared_info()->vcpu_info[0];
    struct evtchn_fifo_control_block *control = (struct evtchn_fifo_control_block *)controls;
    info->evtchn_upcall_pending = 0;
    barrier();
    if (!(__atomic_exchange_n(&control->ready, 0, __ATOMIC_SEQ_CST) >> EVTCHN_FIFO_PRIORITY_DEFAULT & 1))
        return;
    for (evtchn_port_t port = control->head[EVTCHN_FIFO_PRIORITY_DEFAULT]; port && port < PORTS_MAX;) {
        uint32_t old = __atomic_fetch_and(&event_words[port], ~(1u << EVTCHN_FIFO_LINKED | EVTCHN_FIFO_LINK_MASK),
                                          __ATOMIC_SEQ_CST);
        if (old >> EVTCHN_FIFO_PENDING & 1) {
            __atomic_and_fetch(&event_words[port], ~(1u << EVTCHN_FIFO_PENDING), __ATOMIC_SEQ_CST);
            events[port]++;
        }
        port = old & EVTCHN_FIFO_LINK_MASK;
        control->head[EVTCHN_FIFO_PRIORITY_DEFAULT] = port;
    }
}

static void fifo_init(unsigned vcpu)
{
    struct evtchn_init_control init = {.control_gfn = ((uintptr_t)controls >> 12) + vcpu, .offset = 0, .vcpu = vcpu};
    must(evtchn_op(EVTCHNOP_init_control, &init), "init_control");
}

static void busy_port(void)
{
    struct evtchn_expand_array expand = {.array_gfn = (uintptr_t)event_words >> 12};
    callback_init(on_upcall_fifo);
    fifo_init(0);
    fifo_init(1);
    must(evtchn_op(EVTCHNOP_expand_array, &expand), "expand_array");
    irq_enable();
    /* vCPU 1 never runs: what is queued for it stays queued. */
    evtchn_port_t old = ipi_bind(1);
    event_send(old);
    struct evtchn_close close = {.port = old};
    must(evtchn_op(EVTCHNOP_close, &close), "close");
    evtchn_port_t new = ipi_bind(0);
    printk("port %u, then port %u\n", old, new);
    event_send(new);
    if (!event_arrives(new, 1))
        guest_fail(FAIL_LOST, "an event was lost");
}

/* --- sshottmr --------------------------------------------------------------------------------------------------- */

static uint64_t now_ns(void)
{
    struct xen_hvm_get_time get = {0};
    must(hvm_op(HVMOP_get_time, &get), "get_time");
    return get.now;
}

/* As clockevents_program_min_delta(): ten times, then never again. */
static void sshottmr(void)
{
    struct evtchn_bind_virq virq = {.virq = VIRQ_TIMER, .vcpu = 0};
    callback_init(on_upcall_2l);
    memset(looks_at, 0xff, sizeof looks_at);
    must(evtchn_op(EVTCHNOP_bind_virq, &virq), "bind_virq");
    irq_enable();
    for (unsigned attempt = 0; attempt < 10; attempt++) {
        struct vcpu_set_singleshot_timer single = {.timeout_abs_ns = now_ns() + 1, .flags = VCPU_SSHOTTMR_future};
        long result = vcpu_op(VCPUOP_set_singleshot_timer, 0, &single);
        if (result == 0) {
            if (!event_arrives(virq.port, 1))
                guest_fail(FAIL_LOST, "the timer's event was lost");
            printk("armed at attempt %u\n", attempt + 1);
            return;
        }
        if (result != -ETIME_OF_XEN)
            must(result, "set_singleshot_timer");
    }
    guest_fail(FAIL_ETIME, "Reprogramming failure. Giving up");
}

/* --- vcpu32 ----------------------------------------------------------------------------------------------------- */

#define MAX_VIRT_CPUS 32

static volatile uint32_t crash_kernel_done;

static void crash_kernel(void *arg)
{
    uint32_t id = cpu_ids(cpu_current()).processor_id;
    struct vcpu_info *info = id < MAX_VIRT_CPUS ? &xen_shared_info()->vcpu_info[id] : NULL;
    struct vcpu_register_vcpu_info reg = {.mfn = (uintptr_t)infos >> 12, .offset = 0};
    printk("kernel on vCPU %u\n", id);
    if (fixed) {
        must(vcpu_op(VCPUOP_register_vcpu_info, id, &reg), "register_vcpu_info");
        info = &infos[0];
    }
    /* What sched_clock() does; the compiler may not know that the pointer can't be used. */
    __asm__ volatile("" : "+r"(info));
    uint64_t time = info->time.system_time;
    printk("time %s\n", time ? "goes" : "stands");
    crash_kernel_done = 1;
}

static void vcpu32(void)
{
    if (cpu_count() <= MAX_VIRT_CPUS)
        guest_fail(FAIL_PARAMETER, "needs 33 vCPUs");
    xen_shared_info();
    cpu_start(MAX_VIRT_CPUS, crash_kernel, NULL);
    while (!crash_kernel_done)
        cpu_relax();
}

/* ---------------------------------------------------------------------------------------------------------------- */

void guest_main(void)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } bugs[] = {{"bound", bound},
                {"find-virq", find_virq},
                {"busy-port", busy_port},
                {"sshottmr", sshottmr},
                {"vcpu32", vcpu32}};
    fixed = param_u32("fixed", 0);
    wait_rounds = param_u32("wait", 20000);
    for (unsigned i = 0; i < sizeof bugs / sizeof *bugs; i++)
        if (param_is("bug", bugs[i].name)) {
            bugs[i].run();
            irq_disable();
            return;
        }
    guest_fail(FAIL_PARAMETER, "unknown bug");
}
