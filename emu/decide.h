/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * decide: a decision of a schedule, carried out at the boundary where the machine stands, or refused with the reason.
 *
 * Legality lives here and in the models (model->host_act): a schedule can't make the machine do what hardware and
 * hypervisor could not. An interrupt that a line wants to be taken here must be takeable here: the vCPU runs, or waits
 * (an interrupt ends HLT, and SCHEDOP_poll too, as Xen's vcpu_kick() does), IF is set, no interrupt shadow, no higher
 * priority. What is legal is a function of a view of the machine, so that it can be asked, and tested, without one.
 */
#ifndef BOOTRACE_EMU_DECIDE_H
#define BOOTRACE_EMU_DECIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "emu/base/diag.h"
#include "emu/vcpu.h"

struct decision;
struct machine;

/* What decides which decisions about a vCPU are legal. */
struct vcpu_view {
    enum vcpu_state state;
    const char *wait_reason; /* vcpu_wait_reason(); NULL if it does not wait */
    bool can_run;            /* it is runnable, or halted and what wakes it has come */
    bool nmi_pending, nmi_blocked, interrupt_shadow;
    int pending_vector; /* machine_pending_vector(); MODEL_NO_VECTOR if none */
    uint64_t rip, rflags;
};

/* What one decision looks at. */
struct decide_view {
    unsigned vcpus;        /* of the machine */
    struct vcpu_view vcpu; /* the vCPU that the decision names, if it names one that the machine has */
    uint64_t deadline_ns;  /* of the timer that the decision is about: for `expire V` the next one of that vCPU, for
                              others the next of all */
};

/* Look at the machine, which stays as it is; the same vCPU stays loaded. */
void decide_view(struct machine *m, const struct decision *d, struct decide_view *view);
/* Whether the decision is legal by this view; EMU_EINPUT and one sentence if not. What only a model knows, and the
   digest of `check`, is not asked here. */
enum emu_err decide_check(const struct decision *d, const struct decide_view *view, struct diag *diag) EMU_MUST_CHECK;

/* Carry out a decision. EMU_EINPUT and one sentence if it is illegal here; the machine is unchanged then, so that
   refused decisions need not be recorded. The player's job are `at`, and how DECISION_RUN_TO gets to its end. */
enum emu_err machine_decide(struct machine *m, const struct decision *d, struct diag *diag) EMU_MUST_CHECK;

#endif
