/*
 * rows_event: EVTCHNOP_* and the delivery of events, 2-level first, then FIFO, then reset.
 * Source: Xen public/event_channel.h; seed facts M.4.
 */
#include "rows.h"

static uint8_t control_page[4096] __attribute__((aligned(4096)));
static uint32_t event_page[1024] __attribute__((aligned(4096)));

#define UPCALL_VECTOR 0xf3
#define WORD_BITS     (8 * sizeof(unsigned long))

static bool bit_of(const volatile void *words, evtchn_port_t port)
{
    return ((const volatile unsigned long *)words)[port / WORD_BITS] >> port % WORD_BITS & 1;
}

static void bit_change(void *words, evtchn_port_t port, bool set)
{
    unsigned long *word = &((unsigned long *)words)[port / WORD_BITS], mask = 1ul << port % WORD_BITS;
    if (set)
        __atomic_or_fetch(word, mask, __ATOMIC_SEQ_CST);
    else
        __atomic_and_fetch(word, ~mask, __ATOMIC_SEQ_CST);
}

static struct vcpu_info *info(void)
{
    return &xen_shared_info()->vcpu_info[0];
}

static void upcall_clear(void)
{
    info()->evtchn_upcall_pending = 0;
    info()->evtchn_pending_sel = 0;
}

static void row_delivery(const char *name, long result, evtchn_port_t port)
{
    ROW_EFFECT(name, result, "pending %u, selector %u, upcall %u", bit_of(xen_shared_info()->evtchn_pending, port),
               (unsigned)(info()->evtchn_pending_sel >> port / WORD_BITS & 1), info()->evtchn_upcall_pending);
}

static evtchn_port_t ipi(void)
{
    struct evtchn_bind_ipi bind = {.vcpu = 0};
    return evtchn_op(EVTCHNOP_bind_ipi, &bind) == 0 ? bind.port : 0;
}

static long close(evtchn_port_t port)
{
    struct evtchn_close arg = {.port = port};
    return evtchn_op(EVTCHNOP_close, &arg);
}

static long send(evtchn_port_t port)
{
    struct evtchn_send arg = {.port = port};
    return evtchn_op(EVTCHNOP_send, &arg);
}

static long unmask(evtchn_port_t port)
{
    struct evtchn_unmask arg = {.port = port};
    return evtchn_op(EVTCHNOP_unmask, &arg);
}

static long bind_virq(uint32_t virq, uint32_t vcpu)
{
    struct evtchn_bind_virq arg = {.virq = virq, .vcpu = vcpu};
    long result = evtchn_op(EVTCHNOP_bind_virq, &arg);
    return result == 0 ? (long)arg.port : result;
}

static long bind_vcpu(evtchn_port_t port, uint32_t vcpu)
{
    struct evtchn_bind_vcpu arg = {.port = port, .vcpu = vcpu};
    return evtchn_op(EVTCHNOP_bind_vcpu, &arg);
}

static void row_status(const char *name, evtchn_port_t port)
{
    struct evtchn_status arg = {.dom = DOMID_SELF, .port = port};
    long result = evtchn_op(EVTCHNOP_status, &arg);
    ROW_EFFECT(name, result, "status %u, vcpu %u", result ? 0 : arg.status, result ? 0 : arg.vcpu);
}

/* A port as a row: which one it is says nothing, whether there is one does. */
static long sign(long port)
{
    return port > 0 ? 0 : port;
}

static void rows_bind(void)
{
    ROW("event.unknown_op", evtchn_op(99, BAD_POINTER));
    ROW("event.bind_virq.efault", evtchn_op(EVTCHNOP_bind_virq, BAD_POINTER));
    ROW("event.bind_virq.virq_24", bind_virq(24, 0));
    ROW("event.bind_virq.virq_minus_1", bind_virq(~0u, 0));
    ROW("event.bind_virq.bad_vcpu", bind_virq(VIRQ_TIMER, BAD_VCPU));
    ROW("event.bind_virq.global_on_vcpu_1", bind_virq(VIRQ_CONSOLE, 1));
    ROW("event.bind_virq.unset", bind_virq(5, 0) >= 0);
    long timer = bind_virq(VIRQ_TIMER, 0);
    ROW("event.bind_virq.timer", sign(timer));
    ROW("event.bind_virq.timer_again", bind_virq(VIRQ_TIMER, 0));
    long debug = bind_virq(VIRQ_DEBUG, 0);
    ROW("event.bind_virq.debug", sign(debug));
    row_status("event.status.virq", (evtchn_port_t)timer);
    ROW("event.send.virq", send((evtchn_port_t)timer));
    ROW("event.bind_vcpu.virq_timer", bind_vcpu((evtchn_port_t)timer, 0));

    struct evtchn_bind_ipi bind = {.vcpu = BAD_VCPU};
    ROW("event.bind_ipi.bad_vcpu", evtchn_op(EVTCHNOP_bind_ipi, &bind));
    evtchn_port_t first = ipi(), second = ipi();
    ROW_EFFECT("event.bind_ipi.twice", first && second ? 0 : -1, "%s", first != second ? "two ports" : "one port");
    row_status("event.status.ipi", first);
    ROW("event.bind_vcpu.ipi", bind_vcpu(first, 0));
    ROW("event.bind_vcpu.bad_vcpu", bind_vcpu(first, BAD_VCPU));
    ROW("event.bind_vcpu.bad_port", bind_vcpu(BAD_PORT, 0));
    ROW("event.close.ipi", close(second));
    row_status("event.status.closed", second);
    ROW("event.close.again", close(second));
    ROW_EFFECT("event.bind_ipi.reuse", 0, "%s", ipi() == second ? "lowest free port" : "another port");

    struct evtchn_bind_pirq pirq = {.pirq = 100000};
    ROW("event.bind_pirq.bad", evtchn_op(EVTCHNOP_bind_pirq, &pirq));
    struct evtchn_alloc_unbound unbound = {.dom = BAD_DOMAIN, .remote_dom = 0};
    ROW("event.alloc_unbound.bad_domain", evtchn_op(EVTCHNOP_alloc_unbound, &unbound));
    unbound = (struct evtchn_alloc_unbound){.dom = DOMID_SELF, .remote_dom = DOMID_SELF};
    ROW("event.alloc_unbound", evtchn_op(EVTCHNOP_alloc_unbound, &unbound));
    row_status("event.status.unbound", unbound.port);
    ROW("event.send.unbound", send(unbound.port));
    ROW("event.bind_vcpu.unbound", bind_vcpu(unbound.port, 0));
    struct evtchn_bind_interdomain inter = {.remote_dom = BAD_DOMAIN, .remote_port = unbound.port};
    ROW("event.bind_interdomain.bad_domain", evtchn_op(EVTCHNOP_bind_interdomain, &inter));
    inter.remote_dom = DOMID_SELF;
    inter.remote_port = BAD_PORT;
    ROW("event.bind_interdomain.bad_port", evtchn_op(EVTCHNOP_bind_interdomain, &inter));
    inter.remote_port = unbound.port;
    ROW_EFFECT("event.bind_interdomain.self", evtchn_op(EVTCHNOP_bind_interdomain, &inter), "local %s",
               bit_of(xen_shared_info()->evtchn_pending, inter.local_port) ? "pending at once" : "quiet");
    row_status("event.status.interdomain", unbound.port);
    row_delivery("event.send.interdomain", send(inter.local_port), unbound.port);
    ROW("event.close.interdomain", close(inter.local_port));
    row_status("event.status.other_end", unbound.port);
    close(unbound.port);

    ROW("event.close.port_0", close(0));
    ROW("event.close.bad_port", close(BAD_PORT));
    ROW("event.send.bad_port", send(BAD_PORT));
    ROW("event.send.free_port", send(second + 40));
    ROW("event.send.port_0", send(0));
    ROW("event.unmask.bad_port", unmask(BAD_PORT));
    ROW("event.unmask.free_port", unmask(second + 40));
    struct evtchn_status status = {.dom = BAD_DOMAIN, .port = first};
    ROW("event.status.bad_domain", evtchn_op(EVTCHNOP_status, &status));
    status.dom = DOMID_SELF;
    status.port = BAD_PORT;
    ROW("event.status.bad_port", evtchn_op(EVTCHNOP_status, &status));
    close((evtchn_port_t)timer);
    close((evtchn_port_t)debug);
}

static void rows_delivery(void)
{
    evtchn_port_t port = ipi();
    struct shared_info *shared = xen_shared_info();
    upcall_clear();
    bit_change(shared->evtchn_mask, port, true);
    row_delivery("event.2l.send.masked", send(port), port);
    row_delivery("event.2l.unmask.pending", unmask(port), port);
    row_delivery("event.2l.send.pending_already", send(port), port);
    upcall_clear();
    row_delivery("event.2l.send.pending_already_quiet", send(port), port);
    bit_change(shared->evtchn_pending, port, false);
    row_delivery("event.2l.send.unmasked", send(port), port);
    upcall_clear();
    row_delivery("event.2l.unmask.unmasked_pending", unmask(port), port);
    row_delivery("event.2l.close", close(port), port);
    upcall_clear();

    evtchn_port_t ports[1] = {ipi()};
    port = ports[0];
    struct sched_poll poll = {.nr_ports = 129};
    set_xen_guest_handle(poll.ports, ports);
    ROW("sched.poll.129_ports", sched_op(SCHEDOP_poll, &poll));
    poll.nr_ports = 1;
    set_xen_guest_handle(poll.ports, (evtchn_port_t *)BAD_POINTER);
    ROW("sched.poll.efault", sched_op(SCHEDOP_poll, &poll));
    set_xen_guest_handle(poll.ports, ports);
    ports[0] = 60;
    poll.timeout = 1;
    ROW("sched.poll.free_port", sched_op(SCHEDOP_poll, &poll));
    poll.timeout = 0;
    ports[0] = BAD_PORT;
    ROW("sched.poll.bad_port", sched_op(SCHEDOP_poll, &poll));
    ports[0] = port;
    poll.timeout = 1;
    bit_change(shared->evtchn_mask, port, true);
    ROW("sched.poll.past_timeout", sched_op(SCHEDOP_poll, &poll));
    poll.timeout = 0;
    send(port);
    ROW("sched.poll.pending_masked", sched_op(SCHEDOP_poll, &poll));
    ROW("sched.poll.no_struct", sched_op(SCHEDOP_poll, BAD_POINTER));
    bit_change(shared->evtchn_pending, port, false);
    close(port);
}

static volatile uint32_t upcalls;

static void on_upcall(struct trap_regs *regs)
{
    info()->evtchn_upcall_pending = 0;
    info()->evtchn_pending_sel = 0;
    upcalls++;
}

/* Xen's time now; the record in vcpu_info may be old. */
static uint64_t now_ns(void)
{
    struct xen_hvm_get_time get = {0};
    hvm_op(HVMOP_get_time, &get);
    return get.now;
}

/* Waiting, with the callback as a vector, interrupts on, and the timer's event some milliseconds ahead. */
static void rows_wait(void)
{
    struct xen_hvm_param callback = {
        .domid = DOMID_SELF, .index = HVM_PARAM_CALLBACK_IRQ, .value = 2ull << 56 | UPCALL_VECTOR};
    struct vcpu_set_singleshot_timer single = {0};
    struct shared_info *shared = xen_shared_info();
    evtchn_port_t port = (evtchn_port_t)bind_virq(VIRQ_TIMER, 0);
    struct sched_poll poll = {.nr_ports = 1};
    set_xen_guest_handle(poll.ports, &port);
    trap_set(UPCALL_VECTOR, on_upcall);
    ROW("hvm.set_param.callback_vector", hvm_op(HVMOP_set_param, &callback));

    bit_change(shared->evtchn_pending, port, false);
    bit_change(shared->evtchn_mask, port, true);
    upcall_clear();
    single.timeout_abs_ns = now_ns() + 1000000;
    long result = vcpu_op(VCPUOP_set_singleshot_timer, 0, &single);
    ROW("sched.poll.event_comes_masked", result == 0 ? sched_op(SCHEDOP_poll, &poll) : result);
    ROW_EFFECT("sched.poll.event_came", 0, "pending %u, upcalls %u", bit_of(shared->evtchn_pending, port), upcalls);

    bit_change(shared->evtchn_pending, port, false);
    poll.timeout = now_ns() + 1000000;
    ROW("sched.poll.timeout_comes", sched_op(SCHEDOP_poll, &poll));

    bit_change(shared->evtchn_mask, port, false);
    irq_enable();
    single.timeout_abs_ns = now_ns() + 50000000; /* not before the vCPU blocks */
    result = vcpu_op(VCPUOP_set_singleshot_timer, 0, &single);
    if (result == 0)
        result = sched_op(SCHEDOP_block, NULL);
    irq_disable();
    ROW_EFFECT("sched.block.event_comes", result, "pending %u, upcalls %u", bit_of(shared->evtchn_pending, port),
               upcalls);
    bit_change(shared->evtchn_pending, port, false);

    /* A vector that stays requested as long as upcall_pending is set: the handler alone ends it. */
    upcalls = 0;
    info()->evtchn_upcall_pending = 1;
    irq_enable();
    sched_op(SCHEDOP_yield, NULL);
    irq_disable();
    ROW_EFFECT("upcall.by_own_store", 0, "upcalls %u", upcalls);
    close(port);
}

static void row_word(const char *name, long result, evtchn_port_t port)
{
    struct evtchn_fifo_control_block *control = (void *)control_page;
    uint32_t word = event_page[port];
    ROW_EFFECT(name, result, "pending %u, masked %u, linked %u, ready %s, head %s, upcall %u", word >> 31 & 1,
               word >> 30 & 1, word >> 29 & 1, control->ready ? "set" : "0",
               control->head[EVTCHN_FIFO_PRIORITY_DEFAULT] == port ? "this" : "other", info()->evtchn_upcall_pending);
}

static void rows_fifo(void)
{
    struct evtchn_expand_array expand = {.array_gfn = frame_of(event_page)};
    struct evtchn_init_control init = {.control_gfn = frame_of(control_page), .vcpu = BAD_VCPU};
    struct evtchn_set_priority priority = {.port = 1, .priority = 3};
    ROW("event.expand_array.2l", evtchn_op(EVTCHNOP_expand_array, &expand));
    ROW("event.set_priority.2l", evtchn_op(EVTCHNOP_set_priority, &priority));
    ROW("event.init_control.bad_vcpu", evtchn_op(EVTCHNOP_init_control, &init));
    init.vcpu = 0;
    init.offset = 4;
    ROW("event.init_control.misaligned", evtchn_op(EVTCHNOP_init_control, &init));
    init.offset = 4096 - 64;
    ROW("event.init_control.crosses_page", evtchn_op(EVTCHNOP_init_control, &init));
    init.offset = 0;
    init.control_gfn = BAD_GFN;
    ROW("event.init_control.bad_gfn", evtchn_op(EVTCHNOP_init_control, &init));
    ROW("event.expand_array.still_2l", evtchn_op(EVTCHNOP_expand_array, &expand));
    init.control_gfn = frame_of(control_page);
    long result = evtchn_op(EVTCHNOP_init_control, &init);
    ROW_EFFECT("event.init_control", result, "link bits %u", init.link_bits);
    ROW("event.init_control.again", evtchn_op(EVTCHNOP_init_control, &init));
    expand.array_gfn = BAD_GFN;
    ROW("event.expand_array.bad_gfn", evtchn_op(EVTCHNOP_expand_array, &expand));
    expand.array_gfn = frame_of(event_page);
    ROW("event.expand_array", evtchn_op(EVTCHNOP_expand_array, &expand));

    evtchn_port_t port = ipi();
    priority.port = port;
    priority.priority = 16;
    ROW("event.set_priority.16", evtchn_op(EVTCHNOP_set_priority, &priority));
    priority.priority = EVTCHN_FIFO_PRIORITY_DEFAULT;
    ROW("event.set_priority.7", evtchn_op(EVTCHNOP_set_priority, &priority));
    priority.port = BAD_PORT;
    ROW("event.set_priority.bad_port", evtchn_op(EVTCHNOP_set_priority, &priority));
    upcall_clear();
    event_page[port] = 1u << EVTCHN_FIFO_MASKED;
    row_word("event.fifo.send.masked", send(port), port);
    row_word("event.fifo.unmask.pending", unmask(port), port);
    row_word("event.fifo.send.pending_already", send(port), port);
    row_word("event.fifo.close", close(port), port);
    upcall_clear();
}

static void rows_reset(void)
{
    struct evtchn_expand_array expand = {.array_gfn = frame_of(event_page)};
    struct evtchn_reset reset = {.dom = BAD_DOMAIN};
    evtchn_port_t port = ipi();
    ROW("event.reset.bad_domain", evtchn_op(EVTCHNOP_reset, &reset));
    reset.dom = DOMID_SELF;
    ROW("event.reset", evtchn_op(EVTCHNOP_reset, &reset));
    row_status("event.status.after_reset", port);
    ROW("event.expand_array.after_reset", evtchn_op(EVTCHNOP_expand_array, &expand));
    long timer = bind_virq(VIRQ_TIMER, 0);
    ROW("event.bind_virq.after_reset", sign(timer));
}

void guest_main(void)
{
    rows_begin("event");
    memset(xen_shared_info()->evtchn_mask, 0xff, sizeof xen_shared_info()->evtchn_mask);
    memset(xen_shared_info()->evtchn_pending, 0, sizeof xen_shared_info()->evtchn_pending);
    rows_bind();
    rows_delivery();
    rows_wait();
    rows_fifo();
    rows_reset();
}
