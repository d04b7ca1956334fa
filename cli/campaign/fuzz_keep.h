/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_keep: failing boundaries of an exhaustive search, as cases of one decision: each is played once more as a whole
 * run. Torn code is a verdict of its own there, by the site that the search has found (fuzz/detect/torn_site.h);
 * everything else is followed to the guest's own end, and kept if that is a failure.
 */
#ifndef BOOTRACE_CLI_CAMPAIGN_FUZZ_KEEP_H
#define BOOTRACE_CLI_CAMPAIGN_FUZZ_KEEP_H

#include <jansson.h>
#include <stdio.h>

#include "cli/campaign/fuzz_exhaustive.h"
#include "cli/run/guest.h"
#include "emu/schedule.h"

struct fuzz_keep;

/* For the search `f` of `g`, whose machine stands at the window's start; `start_anchor` is that in a run from the
   beginning. fuzz_keep_free() comes after the machine's last run. */
enum emu_err fuzz_keep_new(const struct fuzz_exhaustive *f, struct guest *g, const struct position *start_anchor,
                           struct fuzz_keep **out, struct diag *d) EMU_MUST_CHECK;
/* Write some failing boundaries of `joined` (search_part.h), one of each outcome, into f->out. What g->same declares is
   compared at the end (same.h). What is kept gets the key `file`. */
enum emu_err fuzz_keep_failures(struct fuzz_keep *k, const struct source *source, json_t *joined, FILE *to,
                                struct diag *d) EMU_MUST_CHECK;
void fuzz_keep_free(struct fuzz_keep *k);

#endif
