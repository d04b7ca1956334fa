/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * diverge: the first step at which two runs of one case differ: a run by this program, and one by another (an older
 * build, or this one again). Both runs are repeated from the start as often as needed, each time with digests at fewer
 * and closer steps, as `bootrace replay --digests` prints them: a line is "STEP DIGEST VCPU:POSITION PLACE".
 */
#ifndef BOOTRACE_CLI_RUN_DIVERGE_H
#define BOOTRACE_CLI_RUN_DIVERGE_H

#include <stdbool.h>
#include <stdint.h>

#include "emu/base/diag.h"

struct first_difference {
    bool found;
    uint64_t step;         /* of all vCPUs: the first after which the states differ; 0: they differ from the start */
    uint64_t ours, theirs; /* the digests there */
    /* "VCPU:POSITION PLACE" of the last equal boundary: what is executed there makes the difference. */
    char before[512];
};

/* `arguments` are those of replay, without --digests and --against; NULL at the end. `last_step` bounds the search. */
enum emu_err diverge_find(const char *const *arguments, const char *program, uint64_t last_step,
                          struct first_difference *found, struct diag *d) EMU_MUST_CHECK;

#endif
