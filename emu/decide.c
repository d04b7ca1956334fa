/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/decide.h"

#include <inttypes.h>

#include "emu/base/ensure.h"
#include "emu/machine_state.h"
#include "emu/schedule.h"

static bool has_shadow(struct machine *m, unsigned vcpu)
{
    bool shadow;

    if (m->vcpu[vcpu].regs_waiting)
        return false;
    engine_switch(m->engine, vcpu);
    shadow = engine_interrupt_shadow(m->engine);
    engine_switch(m->engine, m->run.current);
    return shadow;
}

static enum emu_err refuse_offline(struct machine *m, unsigned vcpu, struct diag *diag)
{
    if (vcpu >= m->config.vcpus)
        return diag_set(diag, EMU_EINPUT, "there is no vCPU %u: the machine has %u", vcpu, m->config.vcpus);
    if (m->vcpu[vcpu].state == VCPU_OFFLINE)
        return diag_set(diag, EMU_EINPUT, "vCPU %u is offline here", vcpu);
    return EMU_OK;
}

/* An external interrupt is taken by `vcpu` at its next boundary. */
static enum emu_err check_open(struct machine *m, unsigned vcpu, struct diag *diag)
{
    struct vcpu_regs r;
    enum emu_err err = refuse_offline(m, vcpu, diag);
    int pending;

    if (err != EMU_OK)
        return err;
    if (m->vcpu[vcpu].state == VCPU_POLLING)
        return diag_set(diag, EMU_EINPUT, "vCPU %u polls for an event here; an interrupt does not wake it", vcpu);
    pending = machine_pending_vector(m, vcpu);
    if (pending != MODEL_NO_VECTOR)
        return diag_set(diag, EMU_EINPUT, "vCPU %u takes vector 0x%x first, which is pending here already", vcpu,
                        (unsigned)pending);
    vcpu_get_regs(m, vcpu, &r);
    if (!(r.rflags & RFLAGS_IF))
        return diag_set(diag, EMU_EINPUT, "vCPU %u has IF=0 here, at RIP 0x%" PRIx64, vcpu, r.rip);
    if (has_shadow(m, vcpu))
        return diag_set(diag, EMU_EINPUT, "vCPU %u is in an interrupt shadow here (behind STI or MOV SS)", vcpu);
    return EMU_OK;
}

static enum emu_err take_nmi(struct machine *m, unsigned vcpu, struct diag *diag)
{
    enum emu_err err = refuse_offline(m, vcpu, diag);

    if (err != EMU_OK)
        return err;
    if (m->vcpu[vcpu].nmi_blocked)
        return diag_set(diag, EMU_EINPUT, "NMIs are blocked on vCPU %u until the IRET of the one it handles", vcpu);
    if (m->vcpu[vcpu].nmi_pending)
        return diag_set(diag, EMU_EINPUT, "an NMI is pending on vCPU %u already", vcpu);
    if (has_shadow(m, vcpu))
        return diag_set(diag, EMU_EINPUT, "vCPU %u is in an interrupt shadow here (behind STI or MOV SS)", vcpu);
    vcpu_raise_nmi(m, vcpu);
    return EMU_OK;
}

/* Ask the models, in order. */
static enum emu_err host_act(struct machine *m, const struct decision *d, struct diag *diag)
{
    for (unsigned i = 0; i < m->config.model_count; i++) {
        const struct model *model = m->config.models[i];

        switch (model->host_act ? model->host_act(m, d, diag) : MODEL_NOT_MINE) {
        case MODEL_NOT_MINE:
            break;
        case MODEL_DONE:
            return EMU_OK;
        case MODEL_REFUSED:
        case MODEL_FAULT_GP:
        case MODEL_FAULT_UD:
            return EMU_EINPUT;
        }
    }
    return diag_set(diag, EMU_EINPUT, "nothing in this machine takes '%s'", decision_kind_name(d->kind));
}

static enum emu_err expire(struct machine *m, unsigned vcpu, struct diag *diag)
{
    uint64_t deadline = vcpu == DECISION_ANY_VCPU ? timer_next_ns(m) : timer_next_of_vcpu_ns(m, vcpu);

    if (deadline == TIMER_NEVER && vcpu != DECISION_ANY_VCPU)
        return diag_set(diag, EMU_EINPUT, "no timer of vCPU %u is armed here", vcpu);
    if (deadline == TIMER_NEVER)
        return diag_set(diag, EMU_EINPUT, "no timer is armed here");
    machine_pass_time_to(m, deadline);
    return EMU_OK;
}

static enum emu_err turn(struct machine *m, unsigned vcpu, struct diag *diag)
{
    enum emu_err err = refuse_offline(m, vcpu, diag);

    if (err == EMU_OK && !machine_give_turn(m, vcpu)) {
        const char *reason = vcpu_wait_reason(m, vcpu);

        err = diag_set(diag, EMU_EINPUT, "vCPU %u can't run here: it is %s (%s)", vcpu,
                       vcpu_state_name(vcpu_state(m, vcpu)), reason ? reason : "nothing pending");
    }
    return err;
}

static enum emu_err check_digest(struct machine *m, uint64_t expected, struct diag *diag)
{
    uint64_t digest = machine_digest(m);

    if (digest == expected)
        return EMU_OK;
    return diag_set(diag, EMU_EINPUT,
                    "the state's digest is %016" PRIx64 " here, %016" PRIx64
                    " was recorded: the runs have parted before this step",
                    digest, expected);
}

enum emu_err machine_decide(struct machine *m, const struct decision *d, struct diag *diag)
{
    enum emu_err err;

    switch (d->kind) {
    case DECISION_MARK:
        return EMU_OK;
    case DECISION_RUN:
    case DECISION_RUN_TO:
        return turn(m, d->vcpu, diag);
    case DECISION_NMI:
        return take_nmi(m, d->vcpu, diag);
    case DECISION_VECTOR:
        err = check_open(m, d->vcpu, diag);
        if (err == EMU_OK)
            vcpu_raise_vector(m, d->vcpu, (uint8_t)d->value);
        return err;
    case DECISION_IPI:
    case DECISION_UPCALL:
        err = check_open(m, d->vcpu, diag);
        return err == EMU_OK ? host_act(m, d, diag) : err;
    case DECISION_PLUG:
    case DECISION_UNPLUG:
        if (d->vcpu >= m->config.vcpus)
            return refuse_offline(m, d->vcpu, diag);
        return host_act(m, d, diag);
    case DECISION_IRQ:
    case DECISION_EVENT:
        return host_act(m, d, diag);
    case DECISION_EXPIRE:
        if (d->vcpu != DECISION_ANY_VCPU && d->vcpu >= m->config.vcpus)
            return refuse_offline(m, d->vcpu, diag);
        return expire(m, d->vcpu, diag);
    case DECISION_LATE:
        if (timer_delay_next(m, d->value))
            return EMU_OK;
        return diag_set(diag, EMU_EINPUT, "no timer is armed here");
    case DECISION_PASS:
        machine_pass_time_to(m, engine_now_ns(m->engine) + d->value);
        return EMU_OK;
    case DECISION_CHOOSE:
        if (m->run.has_choice)
            return diag_set(diag, EMU_EINPUT, "the host has not made the choice that an earlier line has fixed");
        m->run.has_choice = true;
        m->run.choice = d->value;
        return EMU_OK;
    case DECISION_CHECK:
        return check_digest(m, d->value, diag);
    case DECISION_KIND_COUNT:
        break;
    }
    ensure(!"a decision has a kind");
    return EMU_EINPUT;
}
