/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the host knows of its guest, for a person who looks at it: nothing here changes anything. */
#include "models/xen/state.h"

#include "emu/base/count.h"

bool xen_describe_port(struct machine *m, uint32_t port, struct xen_port_description *d)
{
    static const char *const states[] = {
        [PORT_RESERVED] = "reserved", [PORT_UNBOUND] = "unbound", [PORT_INTERDOMAIN] = "interdomain",
        [PORT_PIRQ] = "pirq",         [PORT_VIRQ] = "virq",       [PORT_IPI] = "ipi"};
    const struct xen_state *x = xen_state(m);
    const struct xen_port *p = &x->port[port];

    if (!xen_port_is_valid(x, port))
        return false;
    *d = (struct xen_port_description){
        .state = states[p->state],
        .vcpu = p->vcpu,
        .has_number = p->state == PORT_VIRQ || p->state == PORT_PIRQ,
        .number = p->number,
        .has_remote = p->state == PORT_INTERDOMAIN || p->state == PORT_UNBOUND,
        .remote_domid = p->remote_domid,
        .remote_port = p->remote_port,
        .pending = xen_port_is_pending(m, port),
        .masked = xen_port_is_masked(m, port),
    };
    return true;
}

bool xen_describe_upcall(struct machine *m, unsigned vcpu)
{
    return xen_upcall_pending(m, vcpu);
}

const char *xen_describe_timer(unsigned kind)
{
    static const char *const names[] = {[TIMER_SINGLESHOT] = "singleshot",
                                        [TIMER_PERIODIC] = "periodic",
                                        [TIMER_POLL] = "poll timeout",
                                        [TIMER_WATCHDOG0] = "watchdog 0",
                                        [TIMER_WATCHDOG1] = "watchdog 1"};

    return kind < COUNT(names) ? names[kind] : NULL;
}

/* Why the vCPU does not take the upcall that is pending for it; NULL if it will. */
static const char *upcall_obstacle(struct machine *m, unsigned vcpu)
{
    const struct xen_state *x = xen_state(m);
    struct vcpu_regs r;

    if (vcpu_state(m, vcpu) == VCPU_OFFLINE)
        return "that vCPU is not up";
    if (!x->vcpu[vcpu].upcall_vector && x->callback_type == CALLBACK_NONE)
        return "the guest has set no callback for upcalls";
    if (!x->vcpu[vcpu].upcall_vector && x->callback_type != CALLBACK_VECTOR && vcpu)
        return "the callback is a line, which follows vCPU 0 alone";
    vcpu_get_regs(m, vcpu, &r);
    if (!(r.rflags & RFLAGS_IF))
        return "that vCPU runs with interrupts disabled";
    return x->vcpu[vcpu].upcall_vector ? "the upcall is with that vCPU's LAPIC" : NULL;
}

static const char *port_obstacle(struct machine *m, uint32_t port)
{
    const struct xen_state *x = xen_state(m);
    unsigned vcpu = x->port[port].vcpu;

    if (x->fifo && port >= x->fifo_ports)
        return "it has no event word yet (EVTCHNOP_expand_array)";
    if (xen_port_is_masked(m, port))
        return vcpu_state(m, vcpu) == VCPU_OFFLINE ? "it is masked, and that vCPU is not up" : "it is masked";
    if (x->fifo && x->vcpu[vcpu].fifo.control_gpa == FIFO_CONTROL_NONE)
        return "that vCPU has no FIFO control block";
    if (xen_upcall_pending(m, vcpu))
        return upcall_obstacle(m, vcpu);
    return "the guest has taken the upcall, and left it";
}

/* A line that is asserted while its pirq has no event channel: in a second kernel, which was given another pirq. */
static unsigned held_gsis(struct machine *m, struct held_event *out, unsigned max)
{
    const struct xen_state *x = xen_state(m);
    unsigned n = 0;

    for (unsigned gsi = 0; gsi < 64 && n < max; gsi++) {
        int pirq = x->gsi_levels >> gsi & 1 ? xen_gsi_pirq(x, gsi) : -1;

        if (pirq >= 0 && !x->pirq_port[pirq])
            out[n++] = (struct held_event){
                .what = "GSI", .number = gsi, .why = "the pirq that it is mapped to has no event channel"};
    }
    return n;
}

unsigned xen_held_events(struct machine *m, struct held_event *out, unsigned max)
{
    static const char *const kinds[] = {
        [PORT_RESERVED] = "reserved", [PORT_UNBOUND] = "unbound", [PORT_INTERDOMAIN] = "interdomain",
        [PORT_PIRQ] = "pirq",         [PORT_VIRQ] = "virq",       [PORT_IPI] = "ipi"};
    const struct xen_state *x = xen_state(m);
    unsigned n = held_gsis(m, out, max);

    for (uint32_t port = 1; xen_port_is_valid(x, port) && n < max; port++) {
        const struct xen_port *p = &x->port[port];
        const char *why;

        if (p->state <= PORT_RESERVED || p->xen_consumer || (!p->pending && !xen_port_is_pending(m, port)))
            continue;
        why = port_obstacle(m, port);
        if (why)
            out[n++] = (struct held_event){
                .what = kinds[p->state], .number = p->number, .port = port, .vcpu = p->vcpu, .why = why};
    }
    return n;
}
