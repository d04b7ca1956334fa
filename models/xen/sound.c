/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sound: whether a state that comes from a snapshot file can be one of this model's: whatever the files of this folder
 * use as an index, a length, a divisor or one of an enum's values without looking at it again.
 */
#include "models/xen/state.h"

#include "models/pc/ioapic.h"
#include "models/platform_config.h"

#define GFN_MAX (UINT64_MAX >> PAGE_SHIFT)

static bool flags_are_sound(const struct xen_state *x)
{
    return (x->compat | x->callback_asserted | x->shutting_down | x->shutdown_reason_known | x->fifo) <= 1 &&
           x->pod_zero == 0 && x->watchdogs_used < 1u << WATCHDOGS && !(x->vm_assist & ~VM_ASSIST_HVM);
}

static bool callback_is_sound(const struct xen_state *x)
{
    bool is_line = x->callback_type == CALLBACK_GSI || x->callback_type == CALLBACK_INTX;

    return x->callback_type <= CALLBACK_VECTOR && (!x->callback_asserted || is_line) &&
           (!is_line || (x->callback_gsi && x->callback_gsi < IOAPIC_PINS)) && !(x->gsi_levels >> IOAPIC_PINS);
}

/* ---- event channels ---- */

static bool port_is_sound(struct machine *m, const struct xen_state *x, const struct xen_port *p)
{
    if (p->state > PORT_IPI || p->priority >= FIFO_PRIORITIES || p->last_priority >= FIFO_PRIORITIES ||
        (p->pending | p->xen_consumer) > 1 || p->vcpu >= machine_vcpus(m) || p->last_vcpu >= machine_vcpus(m))
        return false;
    switch (p->state) {
    case PORT_VIRQ:
        return p->number < VIRQS;
    case PORT_PIRQ:
        return p->number < PIRQS;
    case PORT_INTERDOMAIN:
        return p->remote_port && xen_port_is_valid(x, p->remote_port);
    }
    return true;
}

static bool ports_are_sound(struct machine *m, const struct xen_state *x)
{
    if (x->port_max != (xen_traits(x)->port_limit ? PORTS_TOOLSTACK_MAX : PORTS_MAX - 1) ||
        x->ports_valid < PORTS_BUCKET || x->ports_valid > PORTS_MAX || x->ports_valid % PORTS_BUCKET ||
        !xen_port_is_valid(x, x->store_port) || !xen_port_is_valid(x, x->console_port))
        return false;
    for (uint32_t i = 0; i < PORTS_MAX; i++)
        if (!port_is_sound(m, x, &x->port[i]) || (!xen_port_is_valid(x, i) && x->port[i].state != PORT_FREE))
            return false;
    return x->port[0].state == PORT_RESERVED;
}

static bool pirqs_are_sound(const struct xen_state *x)
{
    for (unsigned i = 0; i < PIRQS; i++)
        if (!xen_port_is_valid(x, x->pirq_port[i]) || x->pirq_gsi[i] < -1 || x->pirq_gsi[i] >= (int32_t)IOAPIC_PINS ||
            (x->pirq_used[i] & ~(PIRQ_MAPPED | PIRQ_RESERVED)))
            return false;
    return true;
}

static bool fifo_is_sound(const struct xen_state *x)
{
    if ((x->fifo && !xen_traits(x)->fifo) || x->fifo_ports % FIFO_WORDS_PER_PAGE ||
        x->fifo_ports > FIFO_PAGES_MAX * FIFO_WORDS_PER_PAGE || (!x->fifo && x->fifo_ports))
        return false;
    for (unsigned i = 0; i < FIFO_PAGES_MAX; i++)
        if (x->fifo_gfn[i] > GFN_MAX)
            return false;
    return true;
}

/* ---- vCPUs ---- */

static bool area_is_sound(const struct xen_area *area, unsigned bytes)
{
    return area->kind <= AREA_PHYSICAL && area->compat <= 1 &&
           (area->kind != AREA_PHYSICAL || (area->address & (PAGE_BYTES - 1)) <= PAGE_BYTES - bytes);
}

static bool virqs_are_sound(const struct xen_state *x, const struct xen_vcpu *v)
{
    for (unsigned i = 0; i < VIRQS; i++)
        if (!xen_port_is_valid(x, v->virq_port[i]))
            return false;
    return true;
}

static bool times_are_sound(const struct xen_vcpu *v, uint64_t now_ns)
{
    return v->runstate <= RUNSTATE_offline && v->runstate_entry_ns <= now_ns && v->time_stamp_ns <= now_ns &&
           v->periodic_last_ns <= now_ns &&
           (!v->periodic_period_ns ||
            (v->periodic_period_ns >= XEN_PERIOD_MIN_NS && v->periodic_period_ns <= XEN_PERIOD_MAX_NS));
}

static bool vcpu_is_sound(struct machine *m, const struct xen_state *x, unsigned vcpu)
{
    const struct xen_vcpu *v = &x->vcpu[vcpu];

    return v->info_place <= INFO_DUMMY && (v->info_place != INFO_SLOT || vcpu < LEGACY_VCPUS) &&
           (v->info_place != INFO_GUEST || (v->info_gpa & (PAGE_BYTES - 1)) <= PAGE_BYTES - VCPU_INFO_BYTES) &&
           (v->initialised | v->up) <= 1 &&
           (v->upcall_vector == UPCALL_VECTOR_NONE || v->upcall_vector >= XEN_UPCALL_VECTOR_MIN) &&
           area_is_sound(&v->runstate_area, xen_layout_32.runstate_bytes) &&
           area_is_sound(&v->time_area, sizeof(struct vcpu_time_info)) && virqs_are_sound(x, v) &&
           times_are_sound(v, clock_now_ns(m)) && xen_fifo_control_is_sound(&v->fifo);
}

/* ---- pages ---- */

/* Each at a frame of its own, which is no hole. */
static bool pages_are_sound(const struct xen_state *x)
{
    for (unsigned i = 0; i < PAGE_COUNT; i++)
        if (x->page_gfn[i] != GFN_NONE && (x->page_gfn[i] > GFN_MAX || xen_gfn_is_hole(x, x->page_gfn[i]) ||
                                           xen_page_at(x, x->page_gfn[i]) != (int)i))
            return false;
    return true;
}

static bool grants_are_sound(const struct xen_state *x)
{
    uint32_t status = x->grant_version == 2 ? xen_grant_status_frames(x->grant_frames) : 0;

    return (x->grant_version == 1 || x->grant_version == 2) && x->grant_frames >= 1 &&
           x->grant_frames <= xen_traits(x)->grant_frames_max && x->status_frames == status;
}

bool xen_is_sound(struct machine *m)
{
    const struct xen_state *x = xen_state(m);
    const struct xen_traits *t;
    struct diag d;

    if (xen_traits_find(machine_config(m)->xen_version, &t, &d) != EMU_OK || x->traits != t - xen_traits_rows)
        return false;
    for (unsigned v = 0; v < machine_vcpus(m); v++)
        if (!vcpu_is_sound(m, x, v))
            return false;
    return flags_are_sound(x) && callback_is_sound(x) && ports_are_sound(m, x) && pirqs_are_sound(x) &&
           fifo_is_sound(x) && xen_p2m_is_sound(m) && pages_are_sound(x) && grants_are_sound(x) &&
           x->memory_map_is_set <= 1 && x->memory_map_entries <= xen_traits(x)->e820_max &&
           x->console_input_bytes <= CONSOLE_INPUT_BYTES && xen_store_is_sound(&x->store);
}
