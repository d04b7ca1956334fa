/* What the host knows of its guest, for a person who looks at it: nothing here changes anything. */
#include "models/xen/state.h"

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

    return kind < sizeof(names) / sizeof(names[0]) ? names[kind] : NULL;
}
