/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * physdev_op: PHYSDEVOP_*, of which an HVM guest with pirqs has a few and a PVH guest none.
 *
 * Source: Xen public/physdev.h; arch/x86/hvm/hypercall.c, hvm_physdev_op(); arch/x86/physdev.c; arch/x86/irq.c,
 * allocate_and_map_gsi_pirq() and map_domain_emuirq_pirq().
 */
#include "models/xen/state.h"

#include "emu/base/count.h"
#include "models/platform_config.h"

#define EMULATED_GSIS   48
#define ISA_GSIS        16  /* edge-triggered */
#define PIRQ_FIRST_FREE 16u /* the ISA range keeps its numbers */
/* ASSUMES: the host has as many interrupt lines as the guest; only the numbers of new pirqs depend on it. */
#define HOST_GSIS 48u

int64_t xen_physdev_op_check(struct xen_call *c)
{
    return platform_config(c->m)->mode == PLATFORM_HVM ? 0 : XEN_ENOSYS;
}

/* For a line from the ISA range up, for messages, and when the lines have run out, from the top down. */
static int64_t free_pirq(const struct xen_state *x, int type)
{
    for (unsigned pirq = PIRQ_FIRST_FREE; type == MAP_PIRQ_TYPE_GSI && pirq < HOST_GSIS; pirq++) {
        if (!x->pirq_used[pirq])
            return pirq;
    }
    for (unsigned pirq = PIRQS - 1; pirq >= HOST_GSIS; pirq--) {
        if (!x->pirq_used[pirq])
            return pirq;
    }
    return XEN_ENOSPC;
}

/* Here DOMID_SELF alone means the guest before 4.19; its own number is a domain that it has no power over. */
static int64_t domain_check(const struct xen_call *c, unsigned domid)
{
    if (domid == DOMID_SELF || (domid == XEN_GUEST_DOMID && c->t->pirq_own_number))
        return 0;
    return domid == 0 || domid == XEN_GUEST_DOMID ? XEN_EPERM : XEN_ESRCH;
}

/* Whether Xen has a record of that pirq. */
static bool pirq_is_known(const struct xen_state *x, uint32_t pirq)
{
    return pirq < PIRQS && (x->pirq_used[pirq] || x->pirq_port[pirq]);
}

/* Source: Xen asm/domain.h, is_hvm_pv_evtchn_domain(). */
static bool events_come_by_vector(const struct xen_call *c)
{
    return c->x->callback_type == CALLBACK_VECTOR ||
           (c->t->pirq_upcall_vector && c->x->vcpu[0].upcall_vector != UPCALL_VECTOR_NONE);
}

static bool model_is_present(const struct machine *m)
{
    const struct machine_config *config = machine_config(m);

    for (unsigned i = 0; i < config->model_count; i++) {
        if (config->models[i] == &xen_model)
            return true;
    }
    return false;
}

int xen_gsi_pirq(const struct xen_state *x, unsigned gsi)
{
    for (unsigned i = 0; i < PIRQS; i++) {
        if (x->pirq_used[i] && x->pirq_gsi[i] == (int32_t)gsi)
            return (int)i;
    }
    return -1;
}

/* Source: Xen arch/x86/hvm/irq.c, assert_gsi(). */
bool xen_gsi_is_event(struct machine *m, unsigned gsi, bool level)
{
    struct xen_state *x;
    bool before;
    int pirq;

    if (!model_is_present(m))
        return false;
    x = xen_state(m);
    before = x->gsi_levels >> gsi & 1;
    x->gsi_levels = (x->gsi_levels & ~(1ull << gsi)) | (uint64_t)level << gsi;
    pirq = xen_gsi_pirq(x, gsi);
    if (!level || pirq < 0 || !x->pirq_port[pirq])
        return false;
    if (!before)
        xen_pirq_raise(m, (unsigned)pirq);
    return true;
}

bool xen_gsi_has_event(struct machine *m, unsigned gsi)
{
    const struct xen_state *x = model_is_present(m) ? xen_state(m) : NULL;
    int pirq = x ? xen_gsi_pirq(x, gsi) : -1;

    return pirq >= 0 && x->pirq_port[pirq];
}

bool xen_gsi_would_reach(struct machine *m, unsigned gsi)
{
    const struct xen_state *x = xen_state(m);

    return xen_gsi_has_event(m, gsi) && xen_port_would_interrupt(m, x->pirq_port[xen_gsi_pirq(x, gsi)]);
}

/* There is no device whose messages could be mapped: what is no line is refused.
   Source: Xen arch/x86/physdev.c, physdev_map_pirq() and physdev_hvm_map_pirq(). */
static int64_t map_pirq(struct xen_call *c, struct physdev_map_pirq *a)
{
    int64_t answer = domain_check(c, a->domid);

    if (answer)
        return answer;
    if (!events_come_by_vector(c) || a->type != MAP_PIRQ_TYPE_GSI || a->index < 0 || a->index >= EMULATED_GSIS)
        return XEN_EINVAL;
    if (a->pirq < 0)
        a->pirq = (int)free_pirq(c->x, a->type);
    if (a->pirq < 0 || a->pirq >= (int)PIRQS)
        return XEN_EINVAL;
    /* An emulated line that has a pirq keeps it, as does a pirq that has a line; the caller is told that all is well.
     */
    if (xen_gsi_pirq(c->x, (unsigned)a->index) >= 0 || (c->x->pirq_used[a->pirq] && c->x->pirq_gsi[a->pirq] >= 0))
        return 0;
    c->x->pirq_used[a->pirq] |= PIRQ_MAPPED;
    c->x->pirq_gsi[a->pirq] = a->index;
    return 0;
}

static int64_t op_map_pirq(struct xen_call *c)
{
    struct physdev_map_pirq a;
    int64_t answer;

    if (!xen_copy_in(c, c->arg[1], &a, sizeof(a)))
        return XEN_EFAULT;
    if (a.type == MAP_PIRQ_TYPE_MULTI_MSI && a.table_base && c->t->pirq_multi_msi)
        return XEN_EINVAL;
    if (a.type == MAP_PIRQ_TYPE_MSI_SEG && c->t->pirq_msi_seg) /* which the caller sees */
        a.type = MAP_PIRQ_TYPE_MSI;
    answer = map_pirq(c, &a);
    return xen_copy_out(c, c->arg[1], &a, sizeof(a)) ? answer : XEN_EFAULT;
}

/* A pirq that has no emulated line is left alone, and that is success; 4.1 looks at the number before. */
static int64_t op_unmap_pirq(struct xen_call *c)
{
    struct physdev_unmap_pirq a;
    bool exists;
    int64_t answer;

    if (!xen_copy_in(c, c->arg[1], &a, sizeof(a)))
        return XEN_EFAULT;
    answer = domain_check(c, a.domid);
    exists = a.pirq >= 0 && a.pirq < (int)PIRQS;
    if (answer == XEN_ESRCH)
        return answer;
    if (c->t->pirq_range_first && !exists)
        return XEN_EINVAL;
    if (!answer && exists && c->x->pirq_used[a.pirq] && c->x->pirq_gsi[a.pirq] >= 0) {
        c->x->pirq_used[a.pirq] &= PIRQ_RESERVED;
        c->x->pirq_gsi[a.pirq] = -1;
    }
    return answer;
}

static int64_t op_eoi(struct xen_call *c)
{
    struct physdev_eoi a;
    int32_t gsi;

    if (!xen_copy_in(c, c->arg[1], &a, sizeof(a)))
        return XEN_EFAULT;
    if (a.irq >= PIRQS || (!pirq_is_known(c->x, a.irq) && !c->t->pirq_range_first))
        return XEN_EINVAL;
    /* A level-triggered line that is still asserted raises the event again. */
    gsi = c->x->pirq_used[a.irq] ? c->x->pirq_gsi[a.irq] : -1;
    if (gsi >= ISA_GSIS && (c->x->gsi_levels >> gsi & 1))
        xen_pirq_raise(c->m, a.irq);
    return 0;
}

static int64_t op_irq_status_query(struct xen_call *c)
{
    struct physdev_irq_status_query a;

    if (!xen_copy_in(c, c->arg[1], &a, sizeof(a)))
        return XEN_EFAULT;
    if (a.irq >= PIRQS || !c->x->pirq_used[a.irq] || c->x->pirq_gsi[a.irq] < 0)
        return XEN_EINVAL;
    a.flags = XENIRQSTAT_needs_eoi;
    return xen_copy_out(c, c->arg[1], &a, sizeof(a)) ? 0 : XEN_EFAULT;
}

static int64_t op_get_free_pirq(struct xen_call *c)
{
    struct physdev_get_free_pirq a;
    int64_t pirq;

    if (!xen_copy_in(c, c->arg[1], &a, sizeof(a)))
        return XEN_EFAULT;
    pirq = free_pirq(c->x, a.type);
    if (pirq < 0)
        return pirq;
    c->x->pirq_used[pirq] |= PIRQ_RESERVED;
    a.pirq = (uint32_t)pirq;
    return xen_copy_out(c, c->arg[1], &a, sizeof(a)) ? 0 : XEN_EFAULT;
}

/* clang-format off */
const struct xen_op xen_physdev_ops[] = {
    {.number = PHYSDEVOP_irq_status_query, .name = "irq_status_query", .handler = op_irq_status_query, .source = "PHYSDEVOP_irq_status_query"},
    {.number = PHYSDEVOP_eoi, .name = "eoi", .handler = op_eoi, .source = "PHYSDEVOP_eoi"},
    {.number = PHYSDEVOP_map_pirq, .name = "map_pirq", .handler = op_map_pirq, .source = "physdev_map_pirq"},
    {.number = PHYSDEVOP_unmap_pirq, .name = "unmap_pirq", .handler = op_unmap_pirq, .source = "physdev_unmap_pirq"},
    {.number = PHYSDEVOP_get_free_pirq, .name = "get_free_pirq", .handler = op_get_free_pirq, .source = "PHYSDEVOP_get_free_pirq"},
};
/* clang-format on */
const unsigned xen_physdev_op_count = COUNT(xen_physdev_ops);
