/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * host_act: what a schedule may have the hypervisor and the toolstack do at a boundary: raise an event, make an upcall
 * pending that nothing asked for (guests must bear it: public/xen.h, evtchn_upcall_pending), and ask for vCPUs to be
 * plugged and unplugged as `xl vcpu-set` does.
 */
#include <inttypes.h>
#include <string.h>

#include "emu/schedule.h"
#include "emu/vcpu.h"
#include "models/pc/power.h"
#include "models/xen/state.h"

static enum model_answer refused(enum emu_err err)
{
    (void)err;
    return MODEL_REFUSED;
}

static enum model_answer raise_event(struct machine *m, uint64_t port, struct diag *diag)
{
    const struct xen_state *x = xen_state(m);

    if (!xen_port_is_valid(x, port) || x->port[port].state == PORT_FREE)
        return refused(diag_set(diag, EMU_EINPUT, "event-channel port %" PRIu64 " is not bound here", port));
    xen_port_raise(m, (uint32_t)port);
    return MODEL_DONE;
}

static enum model_answer raise_upcall(struct machine *m, unsigned vcpu, struct diag *diag)
{
    if (!xen_would_take_upcall(m, vcpu))
        return refused(diag_set(diag, EMU_EINPUT,
                                "vCPU %u would not take an upcall here: the guest has not told Xen a vector for them "
                                "yet, or its local APIC holds it back",
                                vcpu));
    if (xen_upcall_pending(m, vcpu))
        return refused(diag_set(diag, EMU_EINPUT, "an upcall is pending on vCPU %u already", vcpu));
    xen_mark_events_pending(m, vcpu);
    return MODEL_DONE;
}

static enum model_answer set_availability(struct machine *m, unsigned vcpu, bool online, struct diag *diag)
{
    const char *wanted = online ? "online" : "offline";
    char path[64], present[16];

    snprintf(path, sizeof(path), "cpu/%u/availability", vcpu);
    if (xenstore_host_read(m, path, present, sizeof(present)) && !strcmp(present, wanted))
        return refused(diag_set(diag, EMU_EINPUT, "vCPU %u's availability is %s already", vcpu, wanted));
    if (!xenstore_host_write(m, path, wanted))
        return refused(diag_set(diag, EMU_EINPUT, "xenstore has no room for %s", path));
    power_set_cpu(m, vcpu, online);
    return MODEL_DONE;
}

enum model_answer xen_host_act(struct machine *m, const struct decision *d, struct diag *diag)
{
    switch (d->kind) {
    case DECISION_EVENT:
        return raise_event(m, d->value, diag);
    case DECISION_UPCALL:
        return raise_upcall(m, d->vcpu, diag);
    case DECISION_PLUG:
    case DECISION_UNPLUG:
        return set_availability(m, d->vcpu, d->kind == DECISION_PLUG, diag);
    default:
        return MODEL_NOT_MINE;
    }
}
