/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * detect: the detectors that a user asks for by name (fuzz/detect/detector.h), attached to a guest with what they have
 * to know of its kernel. Crash and hang are always looked for; the machine does that itself.
 */
#ifndef BOOTRACE_CLI_RUN_DETECT_H
#define BOOTRACE_CLI_RUN_DETECT_H

#include <stdio.h>

#include "emu/base/diag.h"

struct detect;
struct guest;

/*
 * Attach the detectors that `g->options` names (detect, op_table, torn_site) to the guest, which is loaded and has not
 * run. *out is NULL if it names none. EMU_EINPUT: a name is unknown, or a detector can't find in this guest what it has
 * to watch.
 */
enum emu_err detect_new(const struct guest *g, struct detect **out, struct diag *d) EMU_MUST_CHECK;
void detect_free(struct detect *x);

/* Print some lines, or nothing: what the detectors found beyond the verdict, or that they had nothing to look at. */
void detect_print(const struct detect *x, FILE *to);
/* The details of the finding, as lines; "" if there are none. */
const char *detect_report(const struct detect *x);

#endif
