/*
 * physdev_op: PHYSDEVOP_*, of which an HVM guest with pirqs has a few and a PVH guest none.
 *
 * Source: Xen public/physdev.h; arch/x86/hvm/hypercall.c, hvm_physdev_op(); arch/x86/physdev.c; arch/x86/irq.c,
 * allocate_and_map_gsi_pirq() and map_domain_emuirq_pirq().
 */
#include "models/xen/state.h"

#include "models/platform.h"

#define EMULATED_GSIS   48u
#define ISA_GSIS        16  /* edge-triggered */
#define PIRQ_FIRST_FREE 16u /* the ISA range keeps its numbers */

static bool has_pirqs(const struct xen_call *c)
{
    return platform_config(c->m)->mode == PLATFORM_HVM;
}

/* Xen hands pirqs out from the top down, above the ISA range. */
static int64_t free_pirq(const struct xen_state *x)
{
    for (unsigned pirq = PIRQS - 1; pirq >= PIRQ_FIRST_FREE; pirq--) {
        if (!x->pirq_used[pirq])
            return pirq;
    }
    return XEN_ENOSPC;
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

static int64_t op_map_pirq(struct xen_call *c)
{
    struct physdev_map_pirq a;
    int64_t pirq;

    if (!has_pirqs(c))
        return XEN_ENOSYS;
    if (!xen_copy_in(c, c->arg[1], &a, sizeof(a)))
        return XEN_EFAULT;
    if (a.domid == 0)
        return XEN_EPERM;
    if (!xen_is_self(a.domid))
        return XEN_ESRCH;
    if (a.type != MAP_PIRQ_TYPE_GSI) {
        machine_unmodelled(c->m, "physdev_op(map_pirq) of type %d", a.type);
        return XEN_EINVAL;
    }
    if (a.index < 0 || a.index >= (int)EMULATED_GSIS || a.pirq >= (int)PIRQS)
        return XEN_EINVAL;
    pirq = a.pirq < 0 ? free_pirq(c->x) : a.pirq;
    if (pirq < 0)
        return pirq;
    /* An emulated GSI that has a pirq keeps it, and the caller is told that all is well. */
    for (unsigned i = 0; i < PIRQS; i++) {
        if (c->x->pirq_used[i] && c->x->pirq_gsi[i] == a.index) {
            a.pirq = (int)pirq;
            return xen_copy_out(c, c->arg[1], &a, sizeof(a)) ? 0 : XEN_EFAULT;
        }
    }
    if (!c->x->pirq_used[pirq] || c->x->pirq_gsi[pirq] < 0) {
        c->x->pirq_used[pirq] = 1;
        c->x->pirq_gsi[pirq] = a.index;
    }
    a.pirq = (int)pirq;
    return xen_copy_out(c, c->arg[1], &a, sizeof(a)) ? 0 : XEN_EFAULT;
}

static int64_t op_unmap_pirq(struct xen_call *c)
{
    struct physdev_unmap_pirq a;

    if (!has_pirqs(c))
        return XEN_ENOSYS;
    if (!xen_copy_in(c, c->arg[1], &a, sizeof(a)))
        return XEN_EFAULT;
    if (a.domid == 0)
        return XEN_EPERM;
    if (!xen_is_self(a.domid))
        return XEN_ESRCH;
    if (a.pirq < 0 || a.pirq >= (int)PIRQS || !c->x->pirq_used[a.pirq])
        return XEN_EINVAL;
    c->x->pirq_used[a.pirq] = 0;
    c->x->pirq_gsi[a.pirq] = -1;
    return 0;
}

static int64_t op_eoi(struct xen_call *c)
{
    struct physdev_eoi a;
    int32_t gsi;

    if (!has_pirqs(c))
        return XEN_ENOSYS;
    if (!xen_copy_in(c, c->arg[1], &a, sizeof(a)))
        return XEN_EFAULT;
    if (a.irq >= PIRQS)
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

    if (!has_pirqs(c))
        return XEN_ENOSYS;
    if (!xen_copy_in(c, c->arg[1], &a, sizeof(a)))
        return XEN_EFAULT;
    if (a.irq >= PIRQS)
        return XEN_EINVAL;
    a.flags = 0;
    return xen_copy_out(c, c->arg[1], &a, sizeof(a)) ? 0 : XEN_EFAULT;
}

static int64_t op_get_free_pirq(struct xen_call *c)
{
    struct physdev_get_free_pirq a;
    int64_t pirq;

    if (!has_pirqs(c))
        return XEN_ENOSYS;
    if (!xen_copy_in(c, c->arg[1], &a, sizeof(a)))
        return XEN_EFAULT;
    pirq = free_pirq(c->x);
    if (pirq < 0)
        return pirq;
    c->x->pirq_used[pirq] = 1;
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
const unsigned xen_physdev_op_count = sizeof(xen_physdev_ops) / sizeof(xen_physdev_ops[0]);
