/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_case: a failure that a search has found, as a case in a folder: with its prose, its schedule, and what it ends
 * with, so that `bootrace replay` says whether it still does.
 */
#ifndef BOOTRACE_CLI_CAMPAIGN_FUZZ_CASE_H
#define BOOTRACE_CLI_CAMPAIGN_FUZZ_CASE_H

#include <stdint.h>
#include <stdio.h>

#include "cli/run/guest.h"
#include "emu/schedule.h"
#include "emu/verdict.h"

#define FUZZ_CASE_PATH_BYTES 4096

/* Written as FOLDER/WINDOW-DETECTOR-DIGEST.yaml ('#' as '-'), which `path` then is. `mechanism` is one paragraph. */
enum emu_err fuzz_case_write(const char *folder, const char *window, const char *mechanism, struct guest *g,
                             const struct schedule *s, const struct verdict *v, uint64_t digest,
                             char path[FUZZ_CASE_PATH_BYTES], struct diag *d) EMU_MUST_CHECK;

/* The decisions, some of them if they are many. */
void fuzz_case_print_schedule(const struct schedule *s, FILE *to);

#endif
