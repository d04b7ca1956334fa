/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * same: `--same LIST` for whole runs. One undisturbed run from where the machine stands shows what the declared memory
 * must hold; every later run from there is compared with it (fuzz/detect/divergence.h).
 */
#ifndef BOOTRACE_CLI_RUN_SAME_H
#define BOOTRACE_CLI_RUN_SAME_H

#include <stdint.h>

#include "emu/base/diag.h"

#define SAME_STEPS_MAX 20000000000ull /* of the undisturbed run, where nothing else bounds it */

struct approach;
struct divergence;
struct guest;

/* The machine of `g` stands where it stood on return. EMU_EINPUT: the list is wrong, or the undisturbed run does not
   come to the comparison within `steps_max` steps, or is ended before by `a` (NULL: never). A progress line tells of
   it. *out is the caller's, and outlives the machine's running. */
enum emu_err same_new(struct guest *g, const char *list, uint64_t steps_max, const struct approach *a,
                      struct divergence **out, struct diag *d) EMU_MUST_CHECK;
void same_free(struct divergence *x);

#endif
