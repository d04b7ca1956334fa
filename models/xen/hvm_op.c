/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hvm_op: HVMOP_* and the HVM parameters with their rules.
 *
 * Source: Xen public/hvm/hvm_op.h, public/hvm/params.h; arch/x86/hvm/hvm.c.
 */
#include "models/xen/state.h"

#include "emu/base/count.h"
#include "models/platform_config.h"

#define SHUTDOWN_MAX_44 4u /* SHUTDOWN_watchdog, the last reason then */

/* The last pages below 0xff000000 belong to the toolstack; tools/libs/guest, SPECIALPAGE_*. */
#define SPECIAL_FIRST_GFN 0xfeff8ull
#define SPECIAL_XENSTORE  4u
#define SPECIAL_IDENT_PT  6u
#define SPECIAL_CONSOLE   7u

enum param_rule {
    PARAM_HOST,       /* neither set nor read by the guest: -EPERM */
    PARAM_READ,       /* read only */
    PARAM_WRITE,      /* read and write */
    PARAM_DEPRECATED, /* -EINVAL */
};

static const uint8_t param_rules[HVM_NR_PARAMS] = {
    [HVM_PARAM_CALLBACK_IRQ] = PARAM_WRITE,
    [HVM_PARAM_STORE_PFN] = PARAM_READ,
    [HVM_PARAM_STORE_EVTCHN] = PARAM_WRITE,
    [HVM_PARAM_PAE_ENABLED] = PARAM_DEPRECATED,
    [HVM_PARAM_DM_DOMAIN] = PARAM_DEPRECATED,
    [HVM_PARAM_VM86_TSS] = PARAM_WRITE,
    [HVM_PARAM_CONSOLE_PFN] = PARAM_READ,
    [HVM_PARAM_CONSOLE_EVTCHN] = PARAM_WRITE,
    [HVM_PARAM_ACPI_IOPORTS_LOCATION] = PARAM_WRITE,
    [HVM_PARAM_MEMORY_EVENT_CR0] = PARAM_DEPRECATED,
    [HVM_PARAM_MEMORY_EVENT_CR3] = PARAM_DEPRECATED,
    [HVM_PARAM_MEMORY_EVENT_CR4] = PARAM_DEPRECATED,
    [HVM_PARAM_MEMORY_EVENT_INT3] = PARAM_DEPRECATED,
    [HVM_PARAM_NESTEDHVM] = PARAM_DEPRECATED,
    [HVM_PARAM_MEMORY_EVENT_SINGLE_STEP] = PARAM_DEPRECATED,
    [HVM_PARAM_BUFIOREQ_EVTCHN] = PARAM_DEPRECATED,
    [HVM_PARAM_MEMORY_EVENT_MSR] = PARAM_DEPRECATED,
    [HVM_PARAM_VM_GENERATION_ID_ADDR] = PARAM_WRITE,
    [HVM_PARAM_ALTP2M] = PARAM_READ,
    [HVM_PARAM_X87_FIP_WIDTH] = PARAM_WRITE,
    [HVM_PARAM_VM86_TSS_SIZED] = PARAM_WRITE,
};

void xen_hvm_params_init(struct machine *m)
{
    struct xen_state *x = xen_state(m);

    x->hvm_param[HVM_PARAM_STORE_PFN] = SPECIAL_FIRST_GFN + SPECIAL_XENSTORE;
    x->hvm_param[HVM_PARAM_CONSOLE_PFN] = SPECIAL_FIRST_GFN + SPECIAL_CONSOLE;
    x->hvm_param[HVM_PARAM_IDENT_PT] = (SPECIAL_FIRST_GFN + SPECIAL_IDENT_PT) << PAGE_SHIFT;
    x->page_gfn[PAGE_STORE] = x->hvm_param[HVM_PARAM_STORE_PFN];
    x->page_gfn[PAGE_CONSOLE] = x->hvm_param[HVM_PARAM_CONSOLE_PFN];
}

/* Up to 4.5 a guest may read all and set almost all. Source: Xen 4.4 and 4.5 arch/x86/hvm/hvm.c, do_hvm_op(). */
static int64_t check_open(const struct xen_call *c, const struct xen_hvm_param *p)
{
    switch (p->index) {
    case HVM_PARAM_IDENT_PT:
    case HVM_PARAM_DM_DOMAIN:
    case HVM_PARAM_ACPI_S_STATE:
    case HVM_PARAM_MEMORY_EVENT_CR0:
    case HVM_PARAM_MEMORY_EVENT_CR3:
    case HVM_PARAM_MEMORY_EVENT_CR4:
    case HVM_PARAM_MEMORY_EVENT_INT3:
    case HVM_PARAM_MEMORY_EVENT_SINGLE_STEP:
    case HVM_PARAM_MEMORY_EVENT_MSR:
        return XEN_EPERM;
    case HVM_PARAM_NESTEDHVM:
        return c->t->nested_hvm ? XEN_EPERM : 0;
    case HVM_PARAM_IOREQ_PFN: /* the device model has its pages already */
    case HVM_PARAM_BUFIOREQ_PFN:
        return c->t->params_ioreq_servers ? 0 : XEN_EINVAL;
    case HVM_PARAM_BUFIOREQ_EVTCHN:
        return XEN_EINVAL;
    case HVM_PARAM_IOREQ_SERVER_PFN:
    case HVM_PARAM_NR_IOREQ_SERVER_PAGES:
        return XEN_EPERM;
    case HVM_PARAM_TIMER_MODE:
        return p->value > HVMPTM_one_missed_tick_pending ? XEN_EINVAL : 0;
    case HVM_PARAM_VIRIDIAN:
        return c->t->params_ioreq_servers ? XEN_EPERM : p->value > 1 ? XEN_EINVAL : 0;
    case HVM_PARAM_TRIPLE_FAULT_REASON:
        return p->value > SHUTDOWN_MAX_44 ? XEN_EINVAL : 0;
    }
    return 0;
}

/* Reads the argument; 0 if the guest may do that to the parameter. Once-only ones can't be set by a guest at all. */
static int64_t copy_in_param(struct xen_call *c, struct xen_hvm_param *p, bool set)
{
    if (!xen_copy_in(c, c->arg[1], p, sizeof(*p)))
        return XEN_EFAULT;
    if (p->index >= c->t->hvm_params)
        return XEN_EINVAL;
    if (p->domid == 0) /* not an HVM domain; xsm_hvm_param() would refuse it anyway */
        return XEN_EINVAL;
    if (!xen_is_self(p->domid))
        return XEN_ESRCH;
    if (c->t->params_open)
        return set ? check_open(c, p) : 0;
    switch (param_rules[p->index]) {
    case PARAM_WRITE:
        return 0;
    case PARAM_READ:
        return set ? XEN_EPERM : 0;
    case PARAM_DEPRECATED:
        return c->t->params_deprecated ? XEN_EINVAL : XEN_EPERM;
    }
    return XEN_EPERM;
}

static int64_t op_set_param(struct xen_call *c)
{
    struct xen_hvm_param p;
    int64_t answer = copy_in_param(c, &p, true);

    if (answer)
        return answer;
    switch (p.index) {
    case HVM_PARAM_CALLBACK_IRQ:
        xen_set_callback_via(c->m, p.value);
        xen_latch_layout(c->m, c->compat);
        break;
    case HVM_PARAM_X87_FIP_WIDTH:
        if (p.value != 0 && p.value != 4 && p.value != 8)
            return XEN_EINVAL;
        break;
    case HVM_PARAM_VM86_TSS:
        if (p.value > UINT32_MAX) {
            xen_domain_shutdown(c->m, SHUTDOWN_crash);
            return XEN_EINVAL;
        }
        p.index = HVM_PARAM_VM86_TSS_SIZED;
        break;
    case HVM_PARAM_ACPI_IOPORTS_LOCATION:
        if (platform_is_pvh(c->m)) /* no PM timer */
            return XEN_ENODEV;
        if (p.value > 1)
            return XEN_EINVAL;
        if (p.value != 1)
            machine_unmodelled(c->m, "the old place of the ACPI ports");
        break;
    }
    c->x->hvm_param[p.index] = p.value;
    return 0;
}

static int64_t op_get_param(struct xen_call *c)
{
    struct xen_hvm_param p;
    int64_t answer = copy_in_param(c, &p, false);

    if (answer)
        return answer;
    p.value = c->x->hvm_param[p.index];
    return xen_copy_out(c, c->arg[1], &p, sizeof(p)) ? 0 : XEN_EFAULT;
}

/* TLBs are the engine's; a guest can't tell one that was flushed too often. */
static int64_t op_flush_tlbs(struct xen_call *c)
{
    return c->arg[1] ? XEN_EINVAL : 0;
}

static int64_t op_get_time(struct xen_call *c)
{
    uint64_t now = clock_read_ns(c->m);

    return xen_copy_out(c, c->arg[1], &now, sizeof(now)) ? 0 : XEN_EFAULT;
}

static int64_t op_get_mem_type(struct xen_call *c)
{
    struct xen_hvm_get_mem_type a;

    if (!xen_copy_in(c, c->arg[1], &a, sizeof(a)))
        return XEN_EFAULT;
    if (a.domid == 0)
        return XEN_EPERM;
    if (!xen_is_self(a.domid))
        return XEN_ESRCH;
    a.mem_type = xen_gfn_is_backed(c->m, a.pfn) ? HVMMEM_ram_rw : HVMMEM_mmio_dm;
    return xen_copy_out(c, c->arg[1], &a, sizeof(a)) ? 0 : XEN_EFAULT;
}

static int64_t op_set_upcall_vector(struct xen_call *c)
{
    struct xen_hvm_evtchn_upcall_vector a;

    if (!xen_copy_in(c, c->arg[1], &a, sizeof(a)))
        return XEN_EFAULT;
    if (a.vector < XEN_UPCALL_VECTOR_MIN)
        return XEN_EINVAL;
    if (a.vcpu >= machine_vcpus(c->m))
        return XEN_ENOENT;
    c->x->vcpu[a.vcpu].upcall_vector = a.vector;
    xen_assert_upcall(c->m, a.vcpu);
    return 0;
}

/* A hint for shadow paging, which is not in use. */
static int64_t op_pagetable_dying(struct xen_call *c)
{
    struct xen_hvm_pagetable_dying a;

    if (!xen_copy_in(c, c->arg[1], &a, sizeof(a)))
        return XEN_EFAULT;
    if (a.domid == 0)
        return XEN_EOPNOTSUPP;
    return xen_is_self(a.domid) ? 0 : XEN_ESRCH;
}

static int64_t op_guest_request(struct xen_call *c)
{
    return c->arg[1] ? XEN_EINVAL : 0;
}

/* Device models raise the lines of other domains with these. */
static int64_t refused_device_model(struct xen_call *c)
{
    uint32_t domid_and_line;

    return xen_copy_in(c, c->arg[1], &domid_and_line, sizeof(domid_and_line)) ? XEN_EPERM : XEN_EFAULT;
}

/* clang-format off */
const struct xen_op xen_hvm_ops[] = {
    {.number = HVMOP_set_param, .name = "set_param", .handler = op_set_param, .source = "hvmop_set_param"},
    {.number = HVMOP_get_param, .name = "get_param", .handler = op_get_param, .source = "hvmop_get_param"},
    {.number = 2, .name = "set_pci_intx_level", .handler = refused_device_model, .before = XEN_VERSION(4, 9), .source = "hvm.c of 4.7, rcu_lock_remote_domain_by_id"},
    {.number = 3, .name = "set_isa_irq_level", .handler = refused_device_model, .before = XEN_VERSION(4, 9), .source = "hvm.c of 4.7, rcu_lock_remote_domain_by_id"},
    {.number = 4, .name = "set_pci_link_route", .handler = refused_device_model, .before = XEN_VERSION(4, 9), .source = "hvm.c of 4.7, rcu_lock_remote_domain_by_id"},
    {.number = HVMOP_flush_tlbs, .name = "flush_tlbs", .handler = op_flush_tlbs, .source = "hvmop_flush_tlb_all"},
    {.number = HVMOP_pagetable_dying, .name = "pagetable_dying", .handler = op_pagetable_dying, .source = "HVMOP_pagetable_dying"},
    {.number = HVMOP_get_time, .name = "get_time", .handler = op_get_time, .source = "HVMOP_get_time"},
    {.number = HVMOP_get_mem_type, .name = "get_mem_type", .handler = op_get_mem_type, .source = "hvmop_get_mem_type"},
    {.number = HVMOP_set_evtchn_upcall_vector, .name = "set_evtchn_upcall_vector", .handler = op_set_upcall_vector, .since = XEN_VERSION(4, 6), .source = "hvmop_set_evtchn_upcall_vector"},
    {.number = HVMOP_guest_request_vm_event, .name = "guest_request_vm_event", .handler = op_guest_request, .since = XEN_VERSION(4, 6), .source = "monitor_guest_request"},
};
/* clang-format on */
const unsigned xen_hvm_op_count = COUNT(xen_hvm_ops);
