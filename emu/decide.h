/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * decide: a decision of a schedule, carried out at the boundary where the machine stands, or refused with the reason.
 *
 * Legality lives here and in the models (model->host_act): a schedule can't make the machine do what hardware and
 * hypervisor could not. An interrupt that a line wants to be taken here must be takeable here: the vCPU runs or waits
 * for it, IF is set, no interrupt shadow, no higher priority.
 */
#ifndef BOOTRACE_EMU_DECIDE_H
#define BOOTRACE_EMU_DECIDE_H

#include "emu/base/diag.h"

struct decision;
struct machine;

/* EMU_EINPUT and one sentence if it is illegal here: the machine is unchanged then, so that a run in which some were
   refused is the run of those that were not. `at`, and how DECISION_RUN_TO gets to its end, are the player's job. */
enum emu_err machine_decide(struct machine *m, const struct decision *d, struct diag *diag) EMU_MUST_CHECK;

#endif
