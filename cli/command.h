/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * command: one sub-command of the program `bootrace`. A sub-command is one file; the list is in cli/main.c.
 */
#ifndef BOOTRACE_CLI_COMMAND_H
#define BOOTRACE_CLI_COMMAND_H

#include <stdbool.h>
#include <stdio.h>

#include "cli/run/status.h"
#include "emu/base/diag.h"

struct command {
    const char *name;
    const char *summary;               /* one line for `bootrace --help` */
    int (*run)(int argc, char **argv); /* argv[0] is "bootrace NAME"; returns an enum command_status */
};

/* Print `d` on standard error as `name` ("bootrace NAME"). Returns COMMAND_INPUT for EMU_EINPUT, else COMMAND_ERROR. */
int command_fail(const char *name, enum emu_err err, const struct diag *d);

/* Check before a long run that `path` can be written after it: EMU_EINPUT with a sentence if not. `is_replaced`:
   another file will take its name, which must not be a device's. Changes nothing. */
enum emu_err command_check_output(const char *path, bool is_replaced, struct diag *d) EMU_MUST_CHECK;
/* Close what was opened for `path` (NULL: standard output, which stays open): EMU_EHOST if not all of it was written.
 */
enum emu_err command_close_output(FILE *f, const char *path, struct diag *d) EMU_MUST_CHECK;

#endif
