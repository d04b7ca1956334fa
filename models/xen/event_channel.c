/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * event_channel: ports, their operations, and delivery by the 2-level ABI. FIFO delivery is in event_fifo.c.
 *
 * The other end of an interdomain port is in domain 0 (console and xenstore, which the host serves at once), or in the
 * guest itself. A port that the guest offers to another domain stays unbound.
 *
 * Source: Xen public/event_channel.h; common/event_channel.c, event_2l.c.
 */
#include "models/xen/state.h"

#include "emu/base/count.h"
#include "emu/trace.h"
#include "models/platform_config.h"

void xen_ports_init(struct machine *m)
{
    struct xen_state *x = xen_state(m);

    x->port_max = xen_traits(x)->port_limit ? PORTS_TOOLSTACK_MAX : PORTS_MAX - 1;
    x->ports_valid = PORTS_BUCKET;
    x->port[0].state = PORT_RESERVED;
}

bool xen_port_is_valid(const struct xen_state *x, uint64_t port)
{
    return port < x->ports_valid;
}

bool xen_virq_is_global(const struct xen_traits *t, unsigned virq)
{
    return virq != VIRQ_TIMER && virq != VIRQ_DEBUG && virq != VIRQ_XENOPROF &&
           !(virq == VIRQ_XENPMU && t->virq_xenpmu);
}

int64_t xen_port_allocate(struct machine *m)
{
    struct xen_state *x = xen_state(m);
    uint32_t limit = xen_layout(x)->shared_ports - 1;

    if (x->fifo || limit > x->port_max)
        limit = x->port_max;
    for (uint32_t port = 1; port <= limit; port++) {
        if (x->port[port].state != PORT_FREE)
            continue;
        /* Xen asks this of ports that exist already (get_free_port()). */
        if (port < x->ports_valid && x->fifo && xen_traits(x)->fifo_busy_ports && xen_fifo_is_busy(m, port))
            continue;
        if (port >= x->ports_valid)
            x->ports_valid += PORTS_BUCKET;
        x->port[port].priority = FIFO_PRIORITY_DEFAULT;
        return port;
    }
    return XEN_ENOSPC;
}

uint32_t xen_port_backend(struct machine *m)
{
    struct xen_state *x = xen_state(m);
    uint32_t port = (uint32_t)xen_port_allocate(m);

    x->port[port].state = PORT_INTERDOMAIN;
    x->port[port].remote_domid = 0;
    x->port[port].remote_port = port;
    return port;
}

/* ---- delivery ---- */

static bool shared_bit(struct machine *m, unsigned base, uint32_t port)
{
    uint8_t byte;

    xen_page_read(m, PAGE_SHARED_INFO, base + port / 8, &byte, 1);
    return byte >> port % 8 & 1;
}

static void shared_bit_set(struct machine *m, unsigned base, uint32_t port, bool value)
{
    uint8_t byte, bit = (uint8_t)(1u << port % 8);

    xen_page_read(m, PAGE_SHARED_INFO, base + port / 8, &byte, 1);
    byte = value ? byte | bit : byte & (uint8_t)~bit;
    xen_page_write(m, PAGE_SHARED_INFO, base + port / 8, &byte, 1, XEN_WRITE_EVENT);
}

void xen_check_pollers(struct machine *m, uint32_t port)
{
    struct xen_state *x = xen_state(m);

    for (unsigned v = 0; v < machine_vcpus(m); v++) {
        if (vcpu_state(m, v) == VCPU_POLLING &&
            (x->vcpu[v].poll_port == POLL_MANY || (port && x->vcpu[v].poll_port == port)))
            xen_kick(m, v);
    }
}

/* In strict order: pending; selector if unmasked; upcall; then the pollers, also when masked. */
static void raise_2l(struct machine *m, unsigned vcpu, uint32_t port)
{
    const struct xen_layout *l = xen_layout(xen_state(m));

    if (port >= l->shared_ports || shared_bit(m, l->shared_pending, port))
        return;
    shared_bit_set(m, l->shared_pending, port, true);
    if (!shared_bit(m, l->shared_mask, port) && !xen_test_and_set_selector(m, vcpu, port / (l->word_bytes * 8)))
        xen_mark_events_pending(m, vcpu);
    xen_check_pollers(m, port);
}

static void unmask_2l(struct machine *m, uint32_t port)
{
    struct xen_state *x = xen_state(m);
    const struct xen_layout *l = xen_layout(x);
    unsigned vcpu = x->port[port].vcpu;

    if (port >= l->shared_ports || !shared_bit(m, l->shared_mask, port))
        return;
    shared_bit_set(m, l->shared_mask, port, false);
    if (shared_bit(m, l->shared_pending, port) && !xen_test_and_set_selector(m, vcpu, port / (l->word_bytes * 8)))
        xen_mark_events_pending(m, vcpu);
}

/* Whether raise_2l() would make an upcall pending. */
static bool would_mark_2l(struct machine *m, unsigned vcpu, uint32_t port)
{
    const struct xen_layout *l = xen_layout(xen_state(m));

    return port < l->shared_ports && !shared_bit(m, l->shared_pending, port) && !shared_bit(m, l->shared_mask, port) &&
           !xen_selector_is_set(m, vcpu, port / (l->word_bytes * 8));
}

bool xen_port_would_interrupt(struct machine *m, uint32_t port)
{
    const struct xen_state *x = xen_state(m);
    unsigned vcpu = x->port[port].vcpu;

    if (vcpu_state(m, vcpu) == VCPU_OFFLINE || xen_upcall_pending(m, vcpu) || !xen_would_take_upcall(m, vcpu))
        return false;
    return x->fifo ? xen_fifo_would_mark(m, vcpu, port) : would_mark_2l(m, vcpu, port);
}

void xen_port_raise(struct machine *m, uint32_t port)
{
    struct xen_state *x = xen_state(m);
    unsigned vcpu = x->port[port].vcpu;
    bool before = xen_upcall_pending(m, vcpu), kept = true;

    if (x->fifo)
        kept = xen_fifo_raise(m, vcpu, port);
    else
        raise_2l(m, vcpu, port);
    trace_add(m, TRACE_EVENT, machine_current(m), port, vcpu,
              kept ? !before && xen_upcall_pending(m, vcpu) : TRACE_EVENT_DROPPED);
}

bool xen_port_is_pending(struct machine *m, uint32_t port)
{
    struct xen_state *x = xen_state(m);
    const struct xen_layout *l = xen_layout(x);

    return x->fifo ? xen_fifo_is_pending(m, port) : port < l->shared_ports && shared_bit(m, l->shared_pending, port);
}

/* Before 4.10 any number below the ABI's limit may be polled, also one that is not bound.
   Source: common/schedule.c, do_poll(); common/event_channel.c and xen/event.h, evtchn_port_poll(). */
int64_t xen_port_poll(struct machine *m, uint32_t port)
{
    struct xen_state *x = xen_state(m);
    uint32_t limit = x->fifo ? FIFO_PAGES_MAX * FIFO_WORDS_PER_PAGE : xen_layout(x)->shared_ports;

    if (!xen_traits(x)->poll_usable) {
        if (port >= limit)
            return XEN_EINVAL;
        return xen_port_is_pending(m, port);
    }
    if (!xen_port_is_valid(x, port) || x->port[port].xen_consumer || x->port[port].state <= PORT_RESERVED)
        return XEN_EINVAL;
    return xen_port_is_pending(m, port);
}

bool xen_port_is_masked(struct machine *m, uint32_t port)
{
    struct xen_state *x = xen_state(m);
    const struct xen_layout *l = xen_layout(x);

    return x->fifo ? xen_fifo_is_masked(m, port) : port < l->shared_ports && shared_bit(m, l->shared_mask, port);
}

void xen_virq_raise(struct machine *m, unsigned vcpu, unsigned virq)
{
    uint32_t port = xen_state(m)->vcpu[vcpu].virq_port[virq];

    if (port)
        xen_port_raise(m, port);
}

bool xen_pirq_raise(struct machine *m, unsigned pirq)
{
    uint32_t port = pirq < PIRQS ? xen_state(m)->pirq_port[pirq] : 0;

    if (port)
        xen_port_raise(m, port);
    return port != 0;
}

/* ---- operations ---- */

static int64_t op_alloc_unbound(struct xen_call *c)
{
    struct evtchn_alloc_unbound a;
    int64_t port;

    if (!xen_copy_in(c, c->arg[1], &a, sizeof(a)))
        return XEN_EFAULT;
    if (a.dom != 0 && !xen_is_self(a.dom)) /* no such domain; domain 0 is there, but not ours to act for */
        return XEN_ESRCH;
    if (a.dom == 0)
        return XEN_EPERM;
    port = xen_port_allocate(c->m);
    if (port < 0)
        return port;
    c->x->port[port].state = PORT_UNBOUND;
    c->x->port[port].remote_domid = a.remote_dom == DOMID_SELF ? XEN_GUEST_DOMID : a.remote_dom;
    a.port = (evtchn_port_t)port;
    return xen_copy_out(c, c->arg[1], &a, sizeof(a)) ? 0 : XEN_EFAULT;
}

/* Binding to a port of domain 0 fails: nothing there is offered to the guest but what the toolstack has bound. */
static int64_t op_bind_interdomain(struct xen_call *c)
{
    struct evtchn_bind_interdomain b;
    struct xen_port *remote;
    int64_t port;

    if (!xen_copy_in(c, c->arg[1], &b, sizeof(b)))
        return XEN_EFAULT;
    if (b.remote_dom == 0)
        return XEN_EINVAL;
    if (!xen_is_self(b.remote_dom))
        return XEN_ESRCH;
    port = xen_port_allocate(c->m);
    if (port < 0)
        return port;
    if (!xen_port_is_valid(c->x, b.remote_port))
        return XEN_EINVAL;
    remote = &c->x->port[b.remote_port];
    if (remote->state != PORT_UNBOUND || remote->remote_domid != XEN_GUEST_DOMID)
        return XEN_EINVAL;
    c->x->port[port].state = PORT_INTERDOMAIN;
    c->x->port[port].remote_domid = XEN_GUEST_DOMID;
    c->x->port[port].remote_port = b.remote_port;
    remote->state = PORT_INTERDOMAIN;
    remote->remote_port = (uint32_t)port;
    xen_port_raise(c->m, (uint32_t)port);
    b.local_port = (evtchn_port_t)port;
    return xen_copy_out(c, c->arg[1], &b, sizeof(b)) ? 0 : XEN_EFAULT;
}

static int64_t op_bind_virq(struct xen_call *c)
{
    struct evtchn_bind_virq b;
    int64_t port;

    if (!xen_copy_in(c, c->arg[1], &b, sizeof(b)))
        return XEN_EFAULT;
    if (b.virq >= VIRQS || (xen_virq_is_global(c->t, b.virq) && b.vcpu != 0))
        return XEN_EINVAL;
    if (b.vcpu >= machine_vcpus(c->m))
        return XEN_ENOENT;
    if (c->x->vcpu[b.vcpu].virq_port[b.virq])
        return XEN_EEXIST;
    port = xen_port_allocate(c->m);
    if (port < 0)
        return port;
    c->x->port[port].state = PORT_VIRQ;
    c->x->port[port].vcpu = (uint16_t)b.vcpu;
    c->x->port[port].number = (uint16_t)b.virq;
    c->x->vcpu[b.vcpu].virq_port[b.virq] = (uint32_t)port;
    b.port = (evtchn_port_t)port;
    return xen_copy_out(c, c->arg[1], &b, sizeof(b)) ? 0 : XEN_EFAULT;
}

static int64_t op_bind_ipi(struct xen_call *c)
{
    struct evtchn_bind_ipi b;
    int64_t port;

    if (!xen_copy_in(c, c->arg[1], &b, sizeof(b)))
        return XEN_EFAULT;
    if (b.vcpu >= machine_vcpus(c->m))
        return XEN_ENOENT;
    port = xen_port_allocate(c->m);
    if (port < 0)
        return port;
    c->x->port[port].state = PORT_IPI;
    c->x->port[port].vcpu = (uint16_t)b.vcpu;
    b.port = (evtchn_port_t)port;
    return xen_copy_out(c, c->arg[1], &b, sizeof(b)) ? 0 : XEN_EFAULT;
}

static int64_t op_bind_pirq(struct xen_call *c)
{
    struct evtchn_bind_pirq b;
    int64_t port;

    if (!xen_copy_in(c, c->arg[1], &b, sizeof(b)))
        return XEN_EFAULT;
    if (b.pirq >= PIRQS)
        return XEN_EINVAL;
    if (c->x->pirq_port[b.pirq])
        return XEN_EEXIST;
    port = xen_port_allocate(c->m);
    if (port < 0)
        return port;
    c->x->port[port].state = PORT_PIRQ;
    c->x->port[port].number = (uint16_t)b.pirq;
    c->x->pirq_port[b.pirq] = (uint32_t)port;
    b.port = (evtchn_port_t)port;
    return xen_copy_out(c, c->arg[1], &b, sizeof(b)) ? 0 : XEN_EFAULT;
}

static void port_clear_pending(struct machine *m, uint32_t port)
{
    struct xen_state *x = xen_state(m);
    const struct xen_layout *l = xen_layout(x);

    if (x->fifo)
        xen_fifo_clear_pending(m, port);
    else if (port < l->shared_ports)
        shared_bit_set(m, l->shared_pending, port, false);
}

static int64_t port_close(struct machine *m, uint32_t port)
{
    struct xen_state *x = xen_state(m);
    struct xen_port *p;

    if (!xen_port_is_valid(x, port))
        return XEN_EINVAL;
    p = &x->port[port];
    if (p->xen_consumer || p->state == PORT_FREE || p->state == PORT_RESERVED)
        return XEN_EINVAL;
    if (p->state == PORT_VIRQ)
        x->vcpu[xen_virq_is_global(xen_traits(x), p->number) ? 0 : p->vcpu].virq_port[p->number] = 0;
    else if (p->state == PORT_PIRQ)
        x->pirq_port[p->number] = 0;
    else if (p->state == PORT_INTERDOMAIN && p->remote_domid == XEN_GUEST_DOMID)
        x->port[p->remote_port].state = PORT_UNBOUND;
    port_clear_pending(m, port);
    p->state = PORT_FREE;
    p->vcpu = 0;
    return 0;
}

static int64_t op_close(struct xen_call *c)
{
    struct evtchn_close a;

    return xen_copy_in(c, c->arg[1], &a, sizeof(a)) ? port_close(c->m, a.port) : XEN_EFAULT;
}

static int64_t op_send(struct xen_call *c)
{
    struct evtchn_send a;
    const struct xen_port *p;

    if (!xen_copy_in(c, c->arg[1], &a, sizeof(a)))
        return XEN_EFAULT;
    if (!xen_port_is_valid(c->x, a.port))
        return XEN_EINVAL;
    p = &c->x->port[a.port];
    if (p->xen_consumer)
        return XEN_EINVAL;
    switch (p->state) {
    case PORT_INTERDOMAIN:
        if (p->remote_domid == XEN_GUEST_DOMID)
            xen_port_raise(c->m, p->remote_port);
        else if (a.port == c->x->console_port)
            xen_console_notified(c->m);
        else if (a.port == c->x->store_port)
            xen_store_notified(c->m);
        return 0;
    case PORT_IPI:
        xen_port_raise(c->m, a.port);
        return 0;
    case PORT_UNBOUND:
        return 0;
    }
    return XEN_EINVAL;
}

static int64_t op_status(struct xen_call *c)
{
    struct evtchn_status s;
    const struct xen_port *p;

    if (!xen_copy_in(c, c->arg[1], &s, sizeof(s)))
        return XEN_EFAULT;
    if (s.dom == 0)
        return XEN_EPERM;
    if (!xen_is_self(s.dom))
        return XEN_ESRCH;
    if (!xen_port_is_valid(c->x, s.port))
        return XEN_EINVAL;
    p = &c->x->port[s.port];
    if (p->xen_consumer)
        return XEN_EACCES;
    switch (p->state) {
    case PORT_UNBOUND:
        s.status = EVTCHNSTAT_unbound;
        s.u.unbound.dom = p->remote_domid;
        break;
    case PORT_INTERDOMAIN:
        s.status = EVTCHNSTAT_interdomain;
        s.u.interdomain.dom = p->remote_domid;
        s.u.interdomain.port = p->remote_port;
        break;
    case PORT_PIRQ:
        s.status = EVTCHNSTAT_pirq;
        s.u.pirq = p->number;
        break;
    case PORT_VIRQ:
        s.status = EVTCHNSTAT_virq;
        s.u.virq = p->number;
        break;
    case PORT_IPI:
        s.status = EVTCHNSTAT_ipi;
        break;
    default:
        s.status = EVTCHNSTAT_closed;
    }
    s.vcpu = p->vcpu;
    return xen_copy_out(c, c->arg[1], &s, sizeof(s)) ? 0 : XEN_EFAULT;
}

static int64_t op_bind_vcpu(struct xen_call *c)
{
    struct evtchn_bind_vcpu b;
    struct xen_port *p;

    if (!xen_copy_in(c, c->arg[1], &b, sizeof(b)))
        return XEN_EFAULT;
    if (b.vcpu >= machine_vcpus(c->m))
        return XEN_ENOENT;
    if (!xen_port_is_valid(c->x, b.port))
        return XEN_EINVAL;
    p = &c->x->port[b.port];
    if (p->xen_consumer)
        return XEN_EINVAL;
    if (p->state != PORT_UNBOUND && p->state != PORT_INTERDOMAIN && p->state != PORT_PIRQ &&
        !(p->state == PORT_VIRQ && xen_virq_is_global(c->t, p->number)))
        return XEN_EINVAL;
    p->vcpu = (uint16_t)b.vcpu;
    return 0;
}

static int64_t op_unmask(struct xen_call *c)
{
    struct evtchn_unmask a;

    if (!xen_copy_in(c, c->arg[1], &a, sizeof(a)))
        return XEN_EFAULT;
    if (!xen_port_is_valid(c->x, a.port))
        return XEN_EINVAL;
    if (c->x->fifo)
        xen_fifo_unmask(c->m, a.port);
    else
        unmask_2l(c->m, a.port);
    return 0;
}

int64_t xen_event_channel_reset(struct machine *m)
{
    struct xen_state *x = xen_state(m);

    for (uint32_t port = 0; port < x->ports_valid; port++)
        (void)port_close(m, port);
    if (xen_traits(x)->reset_fifo)
        xen_fifo_destroy(m);
    return 0;
}

static int64_t copy_in_reset(struct xen_call *c)
{
    struct evtchn_reset r;

    if (!xen_copy_in(c, c->arg[1], &r, sizeof(r)))
        return XEN_EFAULT;
    if (r.dom == 0)
        return XEN_EPERM;
    return xen_is_self(r.dom) ? 0 : XEN_ESRCH;
}

static int64_t op_reset(struct xen_call *c)
{
    int64_t answer = copy_in_reset(c);

    return answer ? answer : xen_event_channel_reset(c->m);
}

/* Goes on with a reset that Xen interrupted: here none ever is. Source: evtchn_reset(), resuming. */
static int64_t op_reset_cont(struct xen_call *c)
{
    int64_t answer = copy_in_reset(c);

    return answer ? answer : XEN_EBUSY;
}

/* 2-level ports have no priority. */
static int64_t op_set_priority(struct xen_call *c)
{
    struct evtchn_set_priority s;

    if (!xen_copy_in(c, c->arg[1], &s, sizeof(s)))
        return XEN_EFAULT;
    if (!xen_port_is_valid(c->x, s.port))
        return XEN_EINVAL;
    if (!c->x->fifo)
        return XEN_ENOSYS;
    if (s.priority >= FIFO_PRIORITIES)
        return XEN_EINVAL;
    c->x->port[s.port].priority = (uint8_t)s.priority;
    return 0;
}

#define RESET_CONT 14u /* EVTCHNOP_reset_cont is not for guests, and not in their header */
#define V44        XEN_VERSION(4, 4)
/* clang-format off */
const struct xen_op xen_event_channel_ops[] = {
    {.number = EVTCHNOP_bind_interdomain, .name = "bind_interdomain", .handler = op_bind_interdomain, .source = "evtchn_bind_interdomain"},
    {.number = EVTCHNOP_bind_virq, .name = "bind_virq", .handler = op_bind_virq, .source = "evtchn_bind_virq"},
    {.number = EVTCHNOP_bind_pirq, .name = "bind_pirq", .handler = op_bind_pirq, .source = "evtchn_bind_pirq"},
    {.number = EVTCHNOP_close, .name = "close", .handler = op_close, .source = "evtchn_close"},
    {.number = EVTCHNOP_send, .name = "send", .handler = op_send, .source = "evtchn_send"},
    {.number = EVTCHNOP_status, .name = "status", .handler = op_status, .source = "evtchn_status"},
    {.number = EVTCHNOP_alloc_unbound, .name = "alloc_unbound", .handler = op_alloc_unbound, .source = "evtchn_alloc_unbound"},
    {.number = EVTCHNOP_bind_ipi, .name = "bind_ipi", .handler = op_bind_ipi, .source = "evtchn_bind_ipi"},
    {.number = EVTCHNOP_bind_vcpu, .name = "bind_vcpu", .handler = op_bind_vcpu, .source = "evtchn_bind_vcpu"},
    {.number = EVTCHNOP_unmask, .name = "unmask", .handler = op_unmask, .source = "evtchn_unmask"},
    {.number = EVTCHNOP_reset, .name = "reset", .handler = op_reset, .source = "evtchn_reset"},
    {.number = EVTCHNOP_init_control, .name = "init_control", .handler = xen_fifo_init_control, .since = V44, .source = "evtchn_fifo_init_control"},
    {.number = EVTCHNOP_expand_array, .name = "expand_array", .handler = xen_fifo_expand_array, .since = V44, .source = "evtchn_fifo_expand_array"},
    {.number = EVTCHNOP_set_priority, .name = "set_priority", .handler = op_set_priority, .since = V44, .source = "evtchn_set_priority"},
    {.number = RESET_CONT, .name = "reset_cont", .handler = op_reset_cont, .since = XEN_VERSION(4, 15), .source = "evtchn_reset"},
};
/* clang-format on */
const unsigned xen_event_channel_op_count = COUNT(xen_event_channel_ops);
