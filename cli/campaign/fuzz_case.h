/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_case: writes a failure that a search has found as a case into a folder: prose, schedule, and how the run ends,
 * so that `bootrace replay` can say whether it still ends so.
 */
#ifndef BOOTRACE_CLI_CAMPAIGN_FUZZ_CASE_H
#define BOOTRACE_CLI_CAMPAIGN_FUZZ_CASE_H

#include <stdint.h>
#include <stdio.h>

#include "cli/run/guest.h"
#include "emu/schedule.h"
#include "emu/verdict.h"

#define FUZZ_CASE_PATH_BYTES 4096

struct fuzz_case {
    const char *folder, *window;
    const char *mechanism; /* one paragraph */
    bool as_found;         /* not minimised */
    const struct schedule *schedule;
    const struct verdict *verdict;
    uint64_t digest;
};

/* Written whole or not at all, as FOLDER/WINDOW-DETECTOR-DIGEST.yaml ('#' as '-'), or …-as-found.yaml, which `path`
   then is; it is empty if nothing was written. */
enum emu_err fuzz_case_write(const struct fuzz_case *c, struct guest *g, char path[FUZZ_CASE_PATH_BYTES],
                             struct diag *d) EMU_MUST_CHECK;

/* The decisions, some of them if they are many. */
void fuzz_case_print_schedule(const struct schedule *s, FILE *to);

#endif
