/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sched_op: SCHEDOP_*, and the end of a domain.
 *
 * Source: Xen public/sched.h; common/sched/core.c, do_sched_op(), do_poll(), domain_watchdog(); common/domain.c,
 * domain_shutdown().
 */
#include "models/xen/state.h"

#include "emu/base/count.h"
#include "emu/timer.h"
#include "emu/trace.h"
#include "models/platform_config.h"

#define POLL_PORTS_MAX 128u
#define NS_PER_S       1000000000ull

/* What an upcall that IF lets through, or that SCHEDOP_block takes as a reason not to sleep. The LAPIC's vectors are
   the machine's business: it does not let a vCPU sleep that has one. */
static bool needs_delivery(struct xen_call *c)
{
    return (vcpu_rflags(c->m) & RFLAGS_IF) && xen_pending_vector(c->m, c->vcpu) != MODEL_NO_VECTOR;
}

static int64_t op_yield(struct xen_call *c)
{
    vcpu_yield(c->m, c->vcpu);
    return 0;
}

static int64_t op_block(struct xen_call *c)
{
    static const uint8_t unmasked = 0;

    xen_info_write(c->m, c->vcpu, VCPU_INFO_MASK_OFFSET, &unmasked, 1, XEN_WRITE_EVENT);
    if (!needs_delivery(c))
        vcpu_halt(c->m, c->vcpu, "SCHEDOP_block");
    return 0;
}

static int64_t op_poll(struct xen_call *c)
{
    struct {
        uint64_t ports_gva;
        uint32_t count;
        uint64_t timeout_ns;
    } p = {0};
    struct sched_poll p64;
    uint32_t p32[4]; /* ports, nr_ports, timeout */
    uint32_t port = 0;
    int64_t answer;

    if (c->compat) {
        if (!xen_copy_in(c, c->arg[1], p32, sizeof(p32)))
            return XEN_EFAULT;
        p.ports_gva = p32[0];
        p.count = p32[1];
        p.timeout_ns = p32[2] | (uint64_t)p32[3] << 32;
    } else {
        if (!xen_copy_in(c, c->arg[1], &p64, sizeof(p64)))
            return XEN_EFAULT;
        memcpy(&p.ports_gva, &p64.ports, sizeof(p.ports_gva));
        p.count = p64.nr_ports;
        p.timeout_ns = p64.timeout;
    }
    if (p.count > POLL_PORTS_MAX)
        return XEN_EINVAL;
    if (needs_delivery(c))
        return 0;
    for (uint32_t i = 0; i < p.count; i++) {
        if (!xen_copy_in(c, p.ports_gva + i * sizeof(port), &port, sizeof(port)))
            return XEN_EFAULT;
        answer = xen_port_poll(c->m, port);
        if (answer)
            return answer > 0 ? 0 : answer;
    }
    /* Port 0 alone, which before 4.10 may be polled, is to Xen as if there were several: any event wakes
       (evtchn_check_pollers(), poll_evtchn <= 0). */
    c->x->vcpu[c->vcpu].poll_port = p.count == 1 && port ? port : POLL_MANY;
    if (p.timeout_ns)
        timer_arm(c->m, &xen_model, TIMER_POLL, c->vcpu, p.timeout_ns);
    else /* of an earlier one, which an interrupt has ended */
        timer_disarm(c->m, &xen_model, TIMER_POLL, c->vcpu);
    vcpu_poll(c->m, c->vcpu, "SCHEDOP_poll");
    return 0;
}

/* ---- shutdown ---- */

static const char *const reason_names[] = {
    [SHUTDOWN_poweroff] = "poweroff", [SHUTDOWN_reboot] = "reboot",     [SHUTDOWN_suspend] = "suspend",
    [SHUTDOWN_crash] = "crash",       [SHUTDOWN_watchdog] = "watchdog", [SHUTDOWN_soft_reset] = "soft_reset",
};

void xen_domain_shutdown(struct machine *m, unsigned reason)
{
    struct xen_state *x = xen_state(m);

    if (!x->shutdown_reason_known) {
        x->shutdown_reason_known = 1;
        x->shutdown_reason = (uint8_t)reason;
    }
    reason = x->shutdown_reason;
    if (x->shutting_down)
        return;
    x->shutting_down = 1;
    trace_add(m, TRACE_SHUTDOWN, machine_current(m), reason, 0, 0);
    switch (reason) {
    case SHUTDOWN_poweroff:
    case SHUTDOWN_reboot:
        machine_set_verdict(m, VERDICT_PASS, NULL, "the guest asked for %s", reason_names[reason]);
        break;
    case SHUTDOWN_crash:
    case SHUTDOWN_watchdog:
        machine_set_verdict(m, VERDICT_FAIL, "crash", "the guest was shut down with reason %s", reason_names[reason]);
        break;
    case SHUTDOWN_soft_reset:
        if (xen_traits(x)->soft_reset && xen_soft_reset(m))
            break;
        machine_set_verdict(
            m, VERDICT_FAIL, "crash",
            "the guest asked for a soft reset (SHUTDOWN_soft_reset), as Linux does before kexec; Xen %u.%u "
            "does not know that reason (4.7 is the first that does), and its toolstack destroys the domain",
            machine_config(m)->xen_version >> 16, machine_config(m)->xen_version & 0xffff);
        break;
    default:
        if (reason < COUNT(reason_names))
            machine_unmodelled(m, "SCHEDOP_shutdown(%s)", reason_names[reason]);
        else
            machine_set_verdict(m, VERDICT_FAIL, "crash", "the guest was shut down with the unknown reason %u", reason);
    }
}

/* The steps of domain_soft_reset() and arch_domain_soft_reset(), then what the toolstack does before it resumes the
   domain. Registers and RAM stay; so do holes, the grant table, HVM params, upcall vectors and timers.
   DEVIATION: a PVH domain gets it as well. Xen does it, but xl destroys such a domain (libxl_domain_soft_reset: HVM
   only). */
bool xen_soft_reset(struct machine *m)
{
    struct xen_state *x = xen_state(m);

    xen_event_channel_reset(m);
    for (unsigned v = 0; v < machine_vcpus(m); v++) {
        xen_area_gone(m, v, &x->vcpu[v].runstate_area, XEN_WRITE_RUNSTATE);
        xen_area_gone(m, v, &x->vcpu[v].time_area, XEN_WRITE_TIME);
        xen_unregister_vcpu_info(m, v);
    }
    for (unsigned i = 0; i < PIRQS; i++)
        x->pirq_gsi[i] = -1;
    xen_page_unmap(m, PAGE_SHARED_INFO, true);
    xen_area_is(m, 0, 0, 0, XEN_WRITE_SHARED_INFO);
    xen_store_init(m);
    xen_console_init(m);
    x->shutting_down = 0;
    x->shutdown_reason_known = 0;
    return true;
}

int xen_shutdown_reason(struct machine *m)
{
    const struct xen_state *x = xen_state(m);

    return x->shutdown_reason_known ? x->shutdown_reason : -1;
}

static int64_t op_shutdown(struct xen_call *c)
{
    struct sched_shutdown s;

    if (!xen_copy_in(c, c->arg[1], &s, sizeof(s)))
        return XEN_EFAULT;
    xen_domain_shutdown(c->m, s.reason & 0xff);
    return 0;
}

static int64_t op_shutdown_code(struct xen_call *c)
{
    struct sched_shutdown s;

    if (!xen_copy_in(c, c->arg[1], &s, sizeof(s)))
        return XEN_EFAULT;
    if (!c->x->shutdown_reason_known) {
        c->x->shutdown_reason_known = 1;
        c->x->shutdown_reason = (uint8_t)s.reason;
    }
    return 0;
}

/* Only for privileged callers; a domain can't be its own target (rcu_lock_remote_domain_by_id in old versions). */
static int64_t op_remote_shutdown(struct xen_call *c)
{
    struct sched_remote_shutdown s;

    if (!xen_copy_in(c, c->arg[1], &s, sizeof(s)))
        return XEN_EFAULT;
    return s.domain_id == 0 || s.domain_id == XEN_GUEST_DOMID ? XEN_EPERM : XEN_ESRCH;
}

static int64_t op_watchdog(struct xen_call *c)
{
    struct sched_watchdog w;
    uint64_t deadline;
    unsigned id;

    if (!xen_copy_in(c, c->arg[1], &w, sizeof(w)))
        return XEN_EFAULT;
    if (w.id > WATCHDOGS)
        return XEN_EINVAL;
    deadline = clock_now_ns(c->m) + w.timeout * NS_PER_S;
    if (w.id == 0) {
        for (id = 0; id < WATCHDOGS && (c->x->watchdogs_used >> id & 1); id++)
            continue;
        if (id == WATCHDOGS)
            return (uint32_t)XEN_ENOSPC; /* Xen computes it without a sign */
        c->x->watchdogs_used |= (uint8_t)(1u << id);
        timer_arm(c->m, &xen_model, TIMER_WATCHDOG0 + id, 0, deadline);
        return id + 1;
    }
    id = w.id - 1;
    if (!(c->x->watchdogs_used >> id & 1))
        return XEN_EINVAL;
    if (w.timeout) {
        timer_arm(c->m, &xen_model, TIMER_WATCHDOG0 + id, 0, deadline);
    } else {
        timer_disarm(c->m, &xen_model, TIMER_WATCHDOG0 + id, 0);
        c->x->watchdogs_used &= (uint8_t)~(1u << id);
    }
    return 0;
}

/* Only for the hardware domain. */
static int64_t op_pin_override(struct xen_call *c)
{
    return XEN_EPERM;
}

/* clang-format off */
const struct xen_op xen_sched_ops[] = {
    {.number = SCHEDOP_yield, .name = "yield", .handler = op_yield, .source = "vcpu_yield"},
    {.number = SCHEDOP_block, .name = "block", .handler = op_block, .source = "vcpu_block_enable_events"},
    {.number = SCHEDOP_shutdown, .name = "shutdown", .handler = op_shutdown, .source = "domain_shutdown"},
    {.number = SCHEDOP_poll, .name = "poll", .handler = op_poll, .source = "do_poll"},
    {.number = SCHEDOP_remote_shutdown, .name = "remote_shutdown", .handler = op_remote_shutdown, .source = "SCHEDOP_remote_shutdown"},
    {.number = SCHEDOP_shutdown_code, .name = "shutdown_code", .handler = op_shutdown_code, .source = "SCHEDOP_shutdown_code"},
    {.number = SCHEDOP_watchdog, .name = "watchdog", .handler = op_watchdog, .source = "domain_watchdog"},
    {.number = SCHEDOP_pin_override, .name = "pin_override", .handler = op_pin_override, .since = XEN_VERSION(4, 7), .source = "SCHEDOP_pin_override"},
};
/* clang-format on */
const unsigned xen_sched_op_count = COUNT(xen_sched_ops);
