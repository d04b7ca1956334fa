/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * record: a run that was made, written as a case: what `boot --record` and `fuzz --out` do.
 */
#ifndef BOOTRACE_CLI_CASE_RECORD_H
#define BOOTRACE_CLI_CASE_RECORD_H

#include "cli/case/case.h"
#include "cli/case/case_guest.h"
#include "cli/case/outcome.h"
#include "emu/schedule.h"

struct record {
    const char *title;     /* NULL: the verdict's sentence */
    const char *mechanism; /* NULL: that nobody has said it yet */
    const char *source;    /* NULL: this program */
    const struct guest_options *guest;
    const struct schedule *schedule; /* NULL for none */
    const struct outcome *outcome;   /* becomes the expectation */
    const char *until;               /* where the run was stopped; NULL for none */
    uint64_t steps_max;              /* its budget; 0 for none */
};

/* Paths in the case are relative to its folder. An existing file is replaced as a whole, or stays. */
enum emu_err record_write(const struct record *r, const char *path, struct diag *d) EMU_MUST_CHECK;

/* `path` as seen from the folder in which `file` lies; both are resolved. EMU_EINPUT: one of them is not there. */
enum emu_err record_relative_path(const char *path, const char *file, char relative[CASE_PATH_BYTES],
                                  struct diag *d) EMU_MUST_CHECK;
/* Check before a long run that the case of `o` can be written to `path`: EMU_EINPUT if a file's path from there is too
   long or not text. */
enum emu_err record_check(const struct guest_options *o, const char *path, struct diag *d) EMU_MUST_CHECK;
/* Write a case, by way of a file beside it. */
enum emu_err record_save(const struct test_case *c, const char *path, struct diag *d) EMU_MUST_CHECK;

#endif
