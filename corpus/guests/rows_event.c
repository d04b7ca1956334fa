/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rows_event: EVTCHNOP_* and the delivery of events, 2-level first, then FIFO, then reset.
 * Source: Xen public/event_channel.h; seed facts M.4.
 */
#include "rows.h"

static uint8_t control_page[4096] __attribute__((aligned(4096)));
static uint8_t control_page_1[4096] __attribute__((aligned(4096)));
static uint32_t event_page[1024] __attribute__((aligned(4096)));

#define UPCALL_VECTOR       0xf3
#define LAPIC_UPCALL_VECTOR 0x51
#define WORD_BITS           (8 * sizeof(unsigned long))

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

static evtchn_port_t ipi_of(uint32_t vcpu)
{
    struct evtchn_bind_ipi bind = {.vcpu = vcpu};
    return evtchn_op(EVTCHNOP_bind_ipi, &bind) == 0 ? bind.port : 0;
}

static struct evtchn_status status_of(evtchn_port_t port)
{
    struct evtchn_status arg = {.dom = DOMID_SELF, .port = port};
    evtchn_op(EVTCHNOP_status, &arg);
    return arg;
}

/* Each virq on vCPU 1: -EINVAL for those that are the whole domain's. */
static void row_global_virqs(void)
{
    uint32_t global = 0;
    for (uint32_t virq = 0; virq < 24; virq++) {
        long port = bind_virq(virq, 1);
        if (port == -22)
            global |= 1u << virq;
        else if (port > 0)
            close((evtchn_port_t)port);
    }
    ROW_EFFECT("event.bind_virq.which_are_global", 0, "%x", global);
}

/* What there is to know of a port of each kind, and which kinds may move to another vCPU. */
static void rows_kinds(void)
{
    long virq = bind_virq(VIRQ_DEBUG, 1), global = bind_virq(VIRQ_CONSOLE, 0);
    evtchn_port_t ipi_1 = ipi_of(1);
    struct evtchn_status status = status_of((evtchn_port_t)virq);
    ROW_EFFECT("event.status.fields.virq", sign(virq), "status %u, vcpu %u, virq %u", status.status, status.vcpu,
               status.u.virq);
    ROW("event.bind_virq.same_on_other_vcpu", sign(bind_virq(VIRQ_DEBUG, 0)));
    ROW("event.bind_vcpu.virq_per_vcpu", bind_vcpu((evtchn_port_t)virq, 0));
    ROW("event.bind_virq.global", sign(global));
    ROW("event.bind_virq.global_again", bind_virq(VIRQ_CONSOLE, 0));
    ROW("event.bind_vcpu.virq_global", bind_vcpu((evtchn_port_t)global, 1));
    status = status_of((evtchn_port_t)global);
    ROW_EFFECT("event.status.fields.virq_global", 0, "status %u, vcpu %u, virq %u", status.status, status.vcpu,
               status.u.virq);
    ROW("event.close.virq_global", close((evtchn_port_t)global));
    global = bind_virq(VIRQ_CONSOLE, 0);
    status = status_of((evtchn_port_t)global);
    ROW_EFFECT("event.bind_virq.global_after_close", sign(global), "vcpu %u", status.vcpu);
    close((evtchn_port_t)global);
    close((evtchn_port_t)virq);
    ROW("event.bind_virq.after_close", sign(bind_virq(VIRQ_DEBUG, 1)));

    status = status_of(ipi_1);
    ROW_EFFECT("event.bind_ipi.other_vcpu", ipi_1 ? 0 : -1, "status %u, vcpu %u", status.status, status.vcpu);
    ROW("event.bind_vcpu.ipi_of_vcpu_1", bind_vcpu(ipi_1, 0));
    close(ipi_1);
    struct evtchn_alloc_unbound unbound = {.dom = DOMID_SELF, .remote_dom = BAD_DOMAIN};
    long result = evtchn_op(EVTCHNOP_alloc_unbound, &unbound);
    status = status_of(unbound.port);
    ROW_EFFECT("event.alloc_unbound.for_another", result, "%s, status %u, vcpu %u, for %x",
               unbound.port == ipi_1 ? "the closed port" : "another port", status.status, status.vcpu,
               status.u.unbound.dom);
    struct evtchn_bind_interdomain inter = {.remote_dom = DOMID_SELF, .remote_port = unbound.port};
    ROW("event.bind_interdomain.not_for_us", evtchn_op(EVTCHNOP_bind_interdomain, &inter));
    close(unbound.port);
    unbound = (struct evtchn_alloc_unbound){.dom = DOMID_SELF, .remote_dom = DOMID_SELF};
    evtchn_op(EVTCHNOP_alloc_unbound, &unbound);
    domid_t self = status_of(unbound.port).u.unbound.dom;
    inter = (struct evtchn_bind_interdomain){.remote_dom = DOMID_SELF, .remote_port = unbound.port};
    evtchn_op(EVTCHNOP_bind_interdomain, &inter);
    status = status_of(inter.local_port);
    ROW_EFFECT("event.status.fields.interdomain", 0, "status %u, vcpu %u, %s domain, %s port", status.status,
               status.vcpu, status.u.interdomain.dom == self ? "own" : "another",
               status.u.interdomain.port == unbound.port ? "other" : "wrong");
    ROW("event.bind_vcpu.interdomain", bind_vcpu(inter.local_port, 1));
    ROW_EFFECT("event.status.fields.moved", 0, "vcpu %u", status_of(inter.local_port).vcpu);
    close(inter.local_port);
    status = status_of(unbound.port);
    ROW_EFFECT("event.status.fields.other_end", 0, "status %u, %s domain", status.status,
               status.u.unbound.dom == self ? "own" : "another");
    close(unbound.port);
    ROW("event.bind_vcpu.bad_vcpu_and_port", bind_vcpu(BAD_PORT, BAD_VCPU));
    ROW("event.bind_vcpu.free_port", bind_vcpu(unbound.port + 40, 0));

    struct evtchn_bind_pirq pirq = {.pirq = 5};
    result = evtchn_op(EVTCHNOP_bind_pirq, &pirq);
    status = status_of(pirq.port);
    ROW_EFFECT("event.bind_pirq", result, "status %u, vcpu %u, pirq %u", status.status, status.vcpu, status.u.pirq);
    evtchn_port_t pirq_port = pirq.port;
    ROW("event.bind_pirq.again", evtchn_op(EVTCHNOP_bind_pirq, &pirq));
    ROW("event.bind_pirq.efault", evtchn_op(EVTCHNOP_bind_pirq, BAD_POINTER));
    ROW("event.send.pirq", send(pirq_port));
    ROW("event.bind_vcpu.pirq", bind_vcpu(pirq_port, 1));
    ROW("event.close.pirq", close(pirq_port));
    result = evtchn_op(EVTCHNOP_bind_pirq, &pirq);
    ROW_EFFECT("event.bind_pirq.after_close", result, "vcpu %u", status_of(pirq.port).vcpu);
    close(pirq.port);
    evtchn_op(EVTCHNOP_reset, &(struct evtchn_reset){.dom = DOMID_SELF});
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

    evtchn_port_t same_word = ipi();
    port = ipi();
    bit_change(shared->evtchn_mask, port, false);
    bit_change(shared->evtchn_mask, same_word, false);
    send(port);
    info()->evtchn_upcall_pending = 0;
    row_delivery("event.2l.send.selector_set", send(same_word), same_word);
    info()->evtchn_pending_sel = 0;
    info()->evtchn_upcall_pending = 1;
    bit_change(shared->evtchn_pending, same_word, false);
    row_delivery("event.2l.send.upcall_set", send(same_word), same_word);
    close(same_word);
    close(port);
    upcall_clear();

    struct vcpu_info *other = &shared->vcpu_info[1];
    other->evtchn_pending_sel = 0;
    other->evtchn_upcall_pending = 0;
    port = ipi_of(1);
    bit_change(shared->evtchn_mask, port, false);
    row_delivery("event.2l.send.other_vcpu", send(port), port);
    ROW_EFFECT("event.2l.other_vcpu", 0, "selector %u, upcall %u", (unsigned)(other->evtchn_pending_sel & 1),
               other->evtchn_upcall_pending);
    close(port);
    other->evtchn_pending_sel = 0;
    other->evtchn_upcall_pending = 0;

    /* A port of vCPU 1 that moves takes its next event along, not the last one. */
    struct evtchn_alloc_unbound unbound = {.dom = DOMID_SELF, .remote_dom = DOMID_SELF};
    evtchn_op(EVTCHNOP_alloc_unbound, &unbound);
    struct evtchn_bind_interdomain inter = {.remote_dom = DOMID_SELF, .remote_port = unbound.port};
    evtchn_op(EVTCHNOP_bind_interdomain, &inter);
    upcall_clear();
    bit_change(shared->evtchn_pending, inter.local_port, false);
    bit_change(shared->evtchn_mask, inter.local_port, false);
    bind_vcpu(inter.local_port, 1);
    send(unbound.port);
    ROW_EFFECT("event.2l.send.moved", 0, "selector %u, upcall %u, of vcpu 1 %u, %u",
               (unsigned)(info()->evtchn_pending_sel & 1), info()->evtchn_upcall_pending,
               (unsigned)(other->evtchn_pending_sel & 1), other->evtchn_upcall_pending);
    close(inter.local_port);
    close(unbound.port);
    other->evtchn_pending_sel = 0;
    other->evtchn_upcall_pending = 0;
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
    ports[0] = 0;
    ROW("sched.poll.port_0", sched_op(SCHEDOP_poll, &poll));
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

static volatile uint32_t upcalls, upcalls_to_keep;

/* Leaves the byte set for the first `upcalls_to_keep`. */
static void on_upcall(struct trap_regs *regs)
{
    upcalls++;
    if (upcalls <= upcalls_to_keep)
        return;
    info()->evtchn_upcall_pending = 0;
    info()->evtchn_pending_sel = 0;
}

static volatile uint32_t lapic_upcalls;
static volatile bool lapic_upcall_acknowledges;

static void on_lapic_upcall(struct trap_regs *regs)
{
    lapic_upcalls++;
    if (lapic_upcall_acknowledges)
        lapic_write(LAPIC_EOI, 0);
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
    upcalls = 0;
    upcalls_to_keep = 3;
    info()->evtchn_upcall_pending = 1;
    irq_enable();
    sched_op(SCHEDOP_yield, NULL);
    irq_disable();
    upcalls_to_keep = 0;
    ROW_EFFECT("upcall.again_while_pending", 0, "upcalls %u", upcalls);
    /* The mask byte of vcpu_info is for PV guests. */
    upcalls = 0;
    info()->evtchn_upcall_mask = 1;
    info()->evtchn_upcall_pending = 1;
    irq_enable();
    sched_op(SCHEDOP_yield, NULL);
    irq_disable();
    info()->evtchn_upcall_mask = 0;
    ROW_EFFECT("upcall.mask_is_ignored", 0, "upcalls %u", upcalls);

    /* The other way to the same timer, and what both do when the time is past or 0. */
    bit_change(shared->evtchn_pending, port, false);
    bit_change(shared->evtchn_mask, port, true);
    upcall_clear();
    poll.timeout = 0;
    uint64_t when = now_ns() + 1000000;
    result = hypercall(__HYPERVISOR_set_timer_op, (unsigned long)when, sizeof(long) == 4 ? when >> 32 : 0, 0, 0, 0);
    long polled = sched_op(SCHEDOP_poll, &poll);
    ROW_EFFECT("set_timer_op.event_comes", result, "poll %ld, pending %u", polled,
               bit_of(shared->evtchn_pending, port));
    bit_change(shared->evtchn_pending, port, false);
    result = hypercall(__HYPERVISOR_set_timer_op, 1, 0, 0, 0, 0);
    polled = sched_op(SCHEDOP_poll, &poll);
    ROW_EFFECT("set_timer_op.past", result, "poll %ld, pending %u", polled, bit_of(shared->evtchn_pending, port));
    bit_change(shared->evtchn_pending, port, false);
    when = now_ns() + 100000000;
    hypercall(__HYPERVISOR_set_timer_op, (unsigned long)when, sizeof(long) == 4 ? when >> 32 : 0, 0, 0, 0);
    result = hypercall(__HYPERVISOR_set_timer_op, 0, 0, 0, 0, 0);
    poll.timeout = when + 20000000;
    polled = sched_op(SCHEDOP_poll, &poll);
    ROW_EFFECT("set_timer_op.stopped", result, "poll %ld, pending %u", polled, bit_of(shared->evtchn_pending, port));

    /* The periodic timer stops while its vCPU waits: not a tick but the end of the wait wakes it, and then one comes.
     */
    bit_change(shared->evtchn_pending, port, false);
    struct vcpu_set_periodic_timer periodic = {.period_ns = 20000000};
    vcpu_op(VCPUOP_set_periodic_timer, 0, &periodic);
    bit_change(shared->evtchn_pending, port, false);
    when = now_ns();
    poll.timeout = when + 100000000;
    polled = sched_op(SCHEDOP_poll, &poll);
    ROW_EFFECT("sched.poll.periodic_timer", polled, "woken %s, pending %u",
               now_ns() >= when + 60000000 ? "not by a tick" : "by a tick", bit_of(shared->evtchn_pending, port));
    vcpu_op(VCPUOP_stop_periodic_timer, 0, NULL);
    struct vcpu_runstate_info state = {0};
    result = vcpu_op(VCPUOP_get_runstate_info, 0, &state);
    ROW_EFFECT("runstate.after_waiting", result, "state %d, running %s, blocked %s", state.state,
               state.time[RUNSTATE_running] ? "set" : "0", state.time[RUNSTATE_blocked] ? "set" : "0");
    close(port);
}

static uint32_t lapic_upcalls_after(evtchn_port_t port)
{
    bit_change(xen_shared_info()->evtchn_pending, port, false);
    upcall_clear();
    lapic_upcalls = 0;
    send(port);
    irq_enable();
    sched_op(SCHEDOP_yield, NULL);
    irq_disable();
    return lapic_upcalls;
}

/* The vector of one vCPU: an edge to its local APIC, which wants an EOI. The domain's vector comes too. */
static void rows_lapic_upcall(void)
{
    struct xen_hvm_evtchn_upcall_vector vector = {.vcpu = 0, .vector = LAPIC_UPCALL_VECTOR};
    evtchn_port_t port = ipi();
    uint32_t spurious = lapic_read(LAPIC_SVR);
    trap_set(LAPIC_UPCALL_VECTOR, on_lapic_upcall);
    bit_change(xen_shared_info()->evtchn_mask, port, false);
    upcall_clear();
    lapic_write(LAPIC_SVR, spurious | 0x100);
    long result = hvm_op(HVMOP_set_evtchn_upcall_vector, &vector);
    ROW("upcall.lapic.set", result);
    if (result)
        goto out;
    lapic_upcall_acknowledges = true;
    ROW_EFFECT("upcall.lapic", 0, "upcalls %u", lapic_upcalls_after(port));
    lapic_upcall_acknowledges = false;
    ROW_EFFECT("upcall.lapic.without_eoi", 0, "upcalls %u", lapic_upcalls_after(port));
    ROW_EFFECT("upcall.lapic.still_in_service", 0, "upcalls %u", lapic_upcalls_after(port));
    lapic_upcalls = 0;
    lapic_upcall_acknowledges = true;
    lapic_write(LAPIC_EOI, 0);
    irq_enable();
    sched_op(SCHEDOP_yield, NULL);
    irq_disable();
    ROW_EFFECT("upcall.lapic.after_eoi", 0, "upcalls %u", lapic_upcalls);
    lapic_write(LAPIC_SVR, spurious & ~0x100u);
    ROW_EFFECT("upcall.lapic.disabled", 0, "upcalls %u", lapic_upcalls_after(port));
out:
    lapic_write(LAPIC_SVR, spurious);
    close(port);
    upcall_clear();
}

static void row_word(const char *name, long result, evtchn_port_t port)
{
    struct evtchn_fifo_control_block *control = (void *)control_page;
    uint32_t word = event_page[port];
    ROW_EFFECT(name, result, "pending %u, masked %u, linked %u, ready %s, head %s, upcall %u", word >> 31 & 1,
               word >> 30 & 1, word >> 29 & 1, control->ready ? "set" : "0",
               control->head[EVTCHN_FIFO_PRIORITY_DEFAULT] == port ? "this" : "other", info()->evtchn_upcall_pending);
}

#define EVTCHN_FIFO_BLOCK_BYTES 72

static void row_link(const char *name, long result, evtchn_port_t first, evtchn_port_t second)
{
    struct evtchn_fifo_control_block *control = (void *)control_page;
    evtchn_port_t head = control->head[EVTCHN_FIFO_PRIORITY_DEFAULT], link = event_page[first] & 0x1ffff;
    ROW_EFFECT(name, result, "ready %x, head %s, first links %s, upcall %u", control->ready,
               head == first    ? "first"
               : head == second ? "second"
                                : "other",
               link == second ? "to second"
               : link         ? "elsewhere"
                              : "nowhere",
               info()->evtchn_upcall_pending);
}

/* Two events of one queue, as the guest takes neither, one, or both; then one of another queue. */
static void rows_fifo_queues(void)
{
    struct evtchn_fifo_control_block *control = (void *)control_page;
    evtchn_port_t first = ipi(), second = ipi();
    struct evtchn_set_priority priority = {.port = second, .priority = 0};
    event_page[first] = event_page[second] = 0;
    control->ready = 0;
    upcall_clear();
    row_link("event.fifo.queue.first", send(first), first, second);
    upcall_clear();
    row_link("event.fifo.queue.second", send(second), first, second);
    /* The guest takes the first: its word loses LINK and LINKED, and then PENDING when it is handled. */
    event_page[first] = 0;
    upcall_clear();
    row_link("event.fifo.queue.first_again", send(first), second, first);
    event_page[first] = event_page[second] = 0;
    control->ready = 0;
    upcall_clear();
    row_link("event.fifo.queue.empty_again", send(second), second, first);
    upcall_clear();
    row_link("event.fifo.queue.head_while_not_ready", send(first), second, first);
    event_page[first] = event_page[second] = 0;
    control->ready = 0;
    upcall_clear();
    long result = evtchn_op(EVTCHNOP_set_priority, &priority);
    send(second);
    ROW_EFFECT("event.fifo.priority_0", result, "ready %x, head %s", control->ready,
               control->head[0] == second ? "this" : "other");
    priority.priority = 15;
    event_page[second] = 0;
    control->ready = 0;
    result = evtchn_op(EVTCHNOP_set_priority, &priority);
    send(second);
    ROW_EFFECT("event.fifo.priority_15", result, "ready %x, head %s", control->ready,
               control->head[15] == second ? "this" : "other");

    /* A masked event wakes a poller, and is not linked. */
    event_page[first] = 1u << EVTCHN_FIFO_MASKED;
    send(first);
    struct sched_poll poll = {.nr_ports = 1};
    set_xen_guest_handle(poll.ports, &first);
    poll.timeout = 0;
    row_word("event.fifo.poll.pending_masked", sched_op(SCHEDOP_poll, &poll), first);
    row_word("event.fifo.unmask.not_pending", (event_page[first] = 1u << EVTCHN_FIFO_MASKED, unmask(first)), first);

    /* A port that is still linked when it is closed is busy until the guest has taken it from its queue. */
    event_page[first] = 0;
    send(first);
    close(first);
    evtchn_port_t next = ipi();
    ROW_EFFECT("event.fifo.reuse.linked", 0, "%s", next == first ? "the same port" : "another port");
    close(next);
    event_page[first] = 0;
    evtchn_port_t then = ipi();
    ROW_EFFECT("event.fifo.reuse.unlinked", 0, "%s", then == first ? "the same port" : "another port");
    close(then);
    close(second);
    event_page[second] = event_page[next] = event_page[then] = 0;
    control->ready = 0;
    upcall_clear();
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
    static const struct {
        uint32_t offset;
        const char *name;
    } offsets[] = {{1, "event.init_control.offset_1"},
                   {4096 - 72 + 4, "event.init_control.offset_4028"},
                   {4096, "event.init_control.offset_4096"},
                   {~0u, "event.init_control.offset_minus_1"}};
    for (unsigned i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        init.offset = offsets[i].offset;
        ROW(offsets[i].name, evtchn_op(EVTCHNOP_init_control, &init));
    }
    ROW("event.init_control.efault", evtchn_op(EVTCHNOP_init_control, BAD_POINTER));
    init.offset = 0;
    init.control_gfn = BAD_GFN;
    ROW("event.init_control.bad_gfn", evtchn_op(EVTCHNOP_init_control, &init));
    ROW("event.expand_array.still_2l", evtchn_op(EVTCHNOP_expand_array, &expand));
    evtchn_port_t before = ipi();
    bit_change(xen_shared_info()->evtchn_mask, before, true);
    send(before);
    init.control_gfn = frame_of(control_page);
    long result = evtchn_op(EVTCHNOP_init_control, &init);
    ROW_EFFECT("event.init_control", result, "link bits %u", init.link_bits);
    ROW("event.init_control.again", evtchn_op(EVTCHNOP_init_control, &init));
    expand.array_gfn = BAD_GFN;
    ROW("event.expand_array.bad_gfn", evtchn_op(EVTCHNOP_expand_array, &expand));
    expand.array_gfn = frame_of(event_page);
    ROW("event.expand_array", evtchn_op(EVTCHNOP_expand_array, &expand));
    /* An event from before the change comes with the array. */
    row_word("event.fifo.pending_before", 0, before);
    close(before);
    event_page[before] = 0;
    memset(control_page, 0, sizeof control_page);
    upcall_clear();

    evtchn_port_t port = ipi_of(1);
    event_page[port] = 0;
    row_word("event.fifo.send.no_control_block", send(port), port);
    struct evtchn_init_control init_1 = {
        .control_gfn = frame_of(control_page_1), .offset = 4096 - EVTCHN_FIFO_BLOCK_BYTES, .vcpu = 1};
    ROW("event.init_control.vcpu_1_last_offset", evtchn_op(EVTCHNOP_init_control, &init_1));
    row_word("event.fifo.send.after_control_block", send(port), port);
    struct evtchn_fifo_control_block *control_1 = (void *)(control_page_1 + 4096 - EVTCHN_FIFO_BLOCK_BYTES);
    ROW_EFFECT("event.fifo.other_vcpu", 0, "ready %x, head %s", control_1->ready,
               control_1->head[EVTCHN_FIFO_PRIORITY_DEFAULT] == port ? "this" : "other");
    close(port);
    event_page[port] = 0;
    upcall_clear();

    rows_fifo_queues();
    port = ipi();
    event_page[port] = 0;
    memset(control_page, 0, sizeof control_page);
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
    unsigned pages = 1;
    do
        result = evtchn_op(EVTCHNOP_expand_array, &expand);
    while (result == 0 && ++pages < 200);
    ROW_EFFECT("event.expand_array.until_full", result, "pages %u", pages);
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
    ROW("event.reset.again", evtchn_op(EVTCHNOP_reset, &reset));
    ROW("event.reset.efault", evtchn_op(EVTCHNOP_reset, BAD_POINTER));
    /* Xen's own way to go on with a reset that it has interrupted: there is none. */
    ROW("event.op_14", evtchn_op(14, &reset));
    ROW("event.op_14.bad_domain", evtchn_op(14, &(struct evtchn_reset){.dom = BAD_DOMAIN}));
    port = ipi();
    bit_change(xen_shared_info()->evtchn_mask, port, false);
    bit_change(xen_shared_info()->evtchn_pending, port, false);
    upcall_clear();
    row_delivery("event.2l.send.after_reset", send(port), port);
    close(port);
    upcall_clear();
    unsigned count = 0;
    while (ipi() && count < 10000)
        count++;
    struct evtchn_bind_ipi bind = {.vcpu = 0};
    ROW_EFFECT("event.bind_ipi.until_full", evtchn_op(EVTCHNOP_bind_ipi, &bind), "ports %u", count);
    ROW("event.bind_virq.full", bind_virq(VIRQ_TIMER, 0));
    struct evtchn_alloc_unbound unbound = {.dom = DOMID_SELF, .remote_dom = DOMID_SELF};
    ROW("event.alloc_unbound.full", evtchn_op(EVTCHNOP_alloc_unbound, &unbound));
}

void guest_main(void)
{
    rows_begin("event");
    memset(xen_shared_info()->evtchn_mask, 0xff, sizeof xen_shared_info()->evtchn_mask);
    memset(xen_shared_info()->evtchn_pending, 0, sizeof xen_shared_info()->evtchn_pending);
    rows_bind();
    if (cpu_count() > 1) {
        row_global_virqs();
        rows_kinds();
    }
    rows_delivery();
    rows_wait();
    rows_lapic_upcall();
    rows_fifo();
    rows_reset();
}
