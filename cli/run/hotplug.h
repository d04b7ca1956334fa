/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hotplug: a script of what the toolstack asks of the guest's vCPUs, at steps of the whole machine: a line is
 *
 *   STEPS plug VCPU | STEPS unplug VCPU
 *
 * Blank lines and what follows a '#' do not count; the steps never go down. Steps count all vCPUs' together, so that
 * one need not know which of them runs then; a schedule's `plug` (docs/schedule.md) is at a place of one vCPU instead.
 */
#ifndef BOOTRACE_CLI_RUN_HOTPLUG_H
#define BOOTRACE_CLI_RUN_HOTPLUG_H

#include <stdint.h>

#include "emu/base/diag.h"
#include "emu/schedule.h"

#define HOTPLUG_MAX 1024u

struct hotplug {
    const char *path; /* the caller's */
    unsigned count;
    struct hotplug_line {
        uint64_t steps;
        enum decision_kind kind; /* DECISION_PLUG or DECISION_UNPLUG */
        unsigned vcpu, line;
    } at[HOTPLUG_MAX];
};

/* EMU_EINPUT with file and line. */
enum emu_err hotplug_read(const char *path, struct hotplug *h, struct diag *d) EMU_MUST_CHECK;

#endif
