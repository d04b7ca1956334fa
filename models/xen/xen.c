/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/xen/xen.h"

#include "emu/base/count.h"
#include "emu/trace.h"
#include "models/platform_config.h"
#include "models/xen/state.h"

int64_t xen_vm_assist(struct xen_call *c)
{
    uint64_t type = c->arg[1];

    if (type >= 32 || !(VM_ASSIST_HVM >> type & 1))
        return XEN_EINVAL;
    if ((uint32_t)c->arg[0] == VMASST_CMD_enable)
        c->x->vm_assist |= 1u << type;
    else if ((uint32_t)c->arg[0] == VMASST_CMD_disable)
        c->x->vm_assist &= ~(1u << type);
    else
        return XEN_ENOSYS;
    return 0;
}

const char *xen_host_write_name(uint64_t what)
{
    static const char *const names[] = {
        [XEN_WRITE_EVENT] = "event bits",
        [XEN_WRITE_VCPU_INFO] = "vcpu_info",
        [XEN_WRITE_TIME] = "time record",
        [XEN_WRITE_RUNSTATE] = "runstate",
        [XEN_WRITE_FIFO] = "FIFO event words",
        [XEN_WRITE_CONSOLE] = "console ring",
        [XEN_WRITE_XENSTORE] = "xenstore ring",
        [XEN_WRITE_HYPERCALL_PAGE] = "hypercall page",
        [XEN_WRITE_PAGE] = "page",
        [XEN_WRITE_SHARED_INFO] = "shared_info",
        [XEN_WRITE_FIFO_CONTROL] = "FIFO control block",
    };

    what &= TRACE_HOST_WRITE_WHAT;
    return what < COUNT(names) && names[what] ? names[what] : "memory";
}

static enum emu_err xen_init(struct machine *m, struct diag *d)
{
    struct xen_state *x = xen_state(m);
    const struct xen_traits *t;
    enum emu_err err = xen_traits_find(machine_config(m)->xen_version, &t, d);

    if (err != EMU_OK)
        return err;
    x->traits = (uint32_t)(t - xen_traits_rows);
    xen_p2m_init(x);
    for (unsigned i = 0; i < PIRQS; i++)
        x->pirq_gsi[i] = -1;
    for (unsigned v = 0; v < machine_vcpus(m); v++) {
        x->vcpu[v].info_place = v < LEGACY_VCPUS ? INFO_SLOT : INFO_DUMMY;
        x->vcpu[v].up = x->vcpu[v].initialised = v == 0;
    }
    xen_fifo_init(m);
    xen_ports_init(m);
    xen_hvm_params_init(m);
    xen_store_init(m);
    xen_console_init(m);
    xen_grant_init(m);
    xen_time_init(m);
    return EMU_OK;
}

const struct model xen_model = {
    .name = "xen",
    .state_bytes = sizeof(struct xen_state),
    .init = xen_init,
    .mmio_read = xen_mmio_read,
    .mmio_write = xen_mmio_write,
    .msr_read = xen_msr_read,
    .msr_write = xen_msr_write,
    .cpuid = xen_cpuid,
    .hypercall = xen_hypercall,
    .pending_vector = xen_pending_vector,
    .accept_vector = xen_accept_vector,
    .halted_masked = xen_halted_masked,
    .host_act = xen_host_act,
    .held_events = xen_held_events,
    .is_sound = xen_is_sound,
    .restored = xen_p2m_restored,
    .timer_expired = xen_timer_expired,
    .tells_time = xen_tells_time,
    .vcpu_switched_in = xen_vcpu_switched_in,
    .vcpu_switched_out = xen_vcpu_switched_out,
};
