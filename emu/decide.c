/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/decide.h"

#include <inttypes.h>

#include "emu/base/ensure.h"
#include "emu/machine_state.h"
#include "emu/schedule.h"

/* ---- legal or not: words about a view, and nothing else ---- */

static enum emu_err check_exists(const struct decide_view *w, unsigned vcpu, struct diag *diag)
{
    if (vcpu >= w->vcpus)
        return diag_set(diag, EMU_EINPUT, "there is no vCPU %u: the machine has %u", vcpu, w->vcpus);
    return EMU_OK;
}

static enum emu_err check_online(const struct decide_view *w, unsigned vcpu, struct diag *diag)
{
    enum emu_err err = check_exists(w, vcpu, diag);

    if (err == EMU_OK && w->vcpu.state == VCPU_OFFLINE)
        err = diag_set(diag, EMU_EINPUT, "vCPU %u is offline here", vcpu);
    return err;
}

static enum emu_err check_shadow(const struct vcpu_view *v, unsigned vcpu, struct diag *diag)
{
    if (v->interrupt_shadow)
        return diag_set(diag, EMU_EINPUT, "vCPU %u is in an interrupt shadow here (behind STI or MOV SS)", vcpu);
    return EMU_OK;
}

/* An external interrupt is taken by `vcpu` at its next boundary, which a halted or polling one comes to. */
static enum emu_err check_open(const struct decide_view *w, unsigned vcpu, struct diag *diag)
{
    const struct vcpu_view *v = &w->vcpu;
    enum emu_err err = check_online(w, vcpu, diag);

    if (err != EMU_OK)
        return err;
    if (v->pending_vector != MODEL_NO_VECTOR)
        return diag_set(diag, EMU_EINPUT, "vCPU %u takes vector 0x%x first, which is pending here already", vcpu,
                        (unsigned)v->pending_vector);
    if (!(v->rflags & RFLAGS_IF))
        return diag_set(diag, EMU_EINPUT, "vCPU %u has IF=0 here, at RIP 0x%" PRIx64, vcpu, v->rip);
    return check_shadow(v, vcpu, diag);
}

static enum emu_err check_nmi(const struct decide_view *w, unsigned vcpu, struct diag *diag)
{
    enum emu_err err = check_online(w, vcpu, diag);

    if (err != EMU_OK)
        return err;
    if (w->vcpu.nmi_blocked)
        return diag_set(diag, EMU_EINPUT, "NMIs are blocked on vCPU %u until the IRET of the one it handles", vcpu);
    if (w->vcpu.nmi_pending)
        return diag_set(diag, EMU_EINPUT, "an NMI is pending on vCPU %u already", vcpu);
    return check_shadow(&w->vcpu, vcpu, diag);
}

static enum emu_err check_turn(const struct decide_view *w, unsigned vcpu, struct diag *diag)
{
    const struct vcpu_view *v = &w->vcpu;
    enum emu_err err = check_online(w, vcpu, diag);

    if (err == EMU_OK && !v->can_run)
        err = diag_set(diag, EMU_EINPUT, "vCPU %u can't run here: it is %s (%s)", vcpu, vcpu_state_name(v->state),
                       v->wait_reason ? v->wait_reason : "nothing pending");
    return err;
}

static enum emu_err check_timer(const struct decide_view *w, unsigned vcpu, struct diag *diag)
{
    enum emu_err err = vcpu == DECISION_ANY_VCPU ? EMU_OK : check_exists(w, vcpu, diag);

    if (err != EMU_OK || w->deadline_ns != TIMER_NEVER)
        return err;
    if (vcpu == DECISION_ANY_VCPU)
        return diag_set(diag, EMU_EINPUT, "no timer is armed here");
    return diag_set(diag, EMU_EINPUT, "no timer of vCPU %u is armed here", vcpu);
}

static enum emu_err check_late(const struct decide_view *w, uint64_t delay_ns, struct diag *diag)
{
    enum emu_err err = check_timer(w, DECISION_ANY_VCPU, diag);

    if (err == EMU_OK && delay_ns >= TIMER_NEVER - w->deadline_ns)
        err = diag_set(diag, EMU_EINPUT, "%" PRIu64 " ns later, the next timer would never expire", delay_ns);
    return err;
}

enum emu_err decide_check(const struct decision *d, const struct decide_view *w, struct diag *diag)
{
    switch (d->kind) {
    case DECISION_RUN:
    case DECISION_RUN_TO:
        return check_turn(w, d->vcpu, diag);
    case DECISION_NMI:
        return check_nmi(w, d->vcpu, diag);
    case DECISION_VECTOR:
    case DECISION_IPI:
    case DECISION_UPCALL:
        return check_open(w, d->vcpu, diag);
    case DECISION_PLUG:
    case DECISION_UNPLUG:
        return check_exists(w, d->vcpu, diag);
    case DECISION_EXPIRE:
        return check_timer(w, d->vcpu, diag);
    case DECISION_LATE:
        return check_late(w, d->value, diag);
    case DECISION_MARK:
    case DECISION_PASS:
    case DECISION_IRQ:
    case DECISION_EVENT:
    case DECISION_CHECK:
        return EMU_OK;
    case DECISION_KIND_COUNT:
        break;
    }
    ensure(!"a decision has a kind");
    return EMU_EINPUT;
}

/* ---- the machine's view ---- */

static void view_vcpu(struct machine *m, unsigned vcpu, struct vcpu_view *v)
{
    const struct vcpu *state = &m->vcpu[vcpu];

    v->state = (enum vcpu_state)state->state;
    v->wait_reason = vcpu_wait_reason(m, vcpu);
    v->can_run = machine_can_run(m, vcpu);
    v->nmi_pending = state->nmi_pending;
    v->nmi_blocked = state->nmi_blocked;
    v->pending_vector = machine_pending_vector(m, vcpu);
    if (state->regs_waiting) {
        v->rip = state->regs.rip;
        v->rflags = state->regs.rflags;
        v->interrupt_shadow = state->regs.interrupt_shadow;
    } else {
        engine_glance(m->engine, vcpu, &v->rip, &v->rflags, &v->interrupt_shadow);
    }
}

void decide_view(struct machine *m, const struct decision *d, struct decide_view *w)
{
    bool of_vcpu = decision_names_vcpu(d) && d->vcpu < m->config.vcpus;

    *w = (struct decide_view){.vcpus = m->config.vcpus};
    w->deadline_ns = of_vcpu && d->kind == DECISION_EXPIRE ? timer_next_of_vcpu_ns(m, d->vcpu) : timer_next_ns(m);
    if (of_vcpu)
        view_vcpu(m, d->vcpu, &w->vcpu);
}

/* ---- carrying out ---- */

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
    struct decide_view view;
    enum emu_err err;
    bool done;

    decide_view(m, d, &view);
    err = decide_check(d, &view, diag);
    if (err != EMU_OK)
        return err;
    switch (d->kind) {
    case DECISION_MARK:
        return EMU_OK;
    case DECISION_RUN:
    case DECISION_RUN_TO:
        done = machine_give_turn(m, d->vcpu);
        ensure(done);
        return EMU_OK;
    case DECISION_NMI:
        vcpu_raise_nmi(m, d->vcpu);
        return EMU_OK;
    case DECISION_VECTOR:
        vcpu_raise_vector(m, d->vcpu, (uint8_t)d->value);
        return EMU_OK;
    case DECISION_IPI:
    case DECISION_UPCALL:
    case DECISION_PLUG:
    case DECISION_UNPLUG:
    case DECISION_IRQ:
    case DECISION_EVENT:
        return host_act(m, d, diag);
    case DECISION_EXPIRE:
        machine_pass_time_to(m, view.deadline_ns);
        return EMU_OK;
    case DECISION_LATE:
        done = timer_delay_next(m, d->value);
        ensure(done);
        return EMU_OK;
    case DECISION_PASS:
        machine_pass_time_to(m, engine_now_ns(m->engine) + d->value);
        return EMU_OK;
    case DECISION_CHECK:
        return check_digest(m, d->value, diag);
    case DECISION_KIND_COUNT:
        break;
    }
    ensure(!"a decision has a kind");
    return EMU_EINPUT;
}
