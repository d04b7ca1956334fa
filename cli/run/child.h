/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * child: this program, run again in a process of its own, with what it prints kept. How cases run in parallel, and how
 * a case runs a search, without threads and without one crash taking the others along.
 */
#ifndef BOOTRACE_CLI_RUN_CHILD_H
#define BOOTRACE_CLI_RUN_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "emu/base/diag.h"

#define CHILD_TEXT_BYTES_MAX (64u << 20) /* of each stream; what comes after it is dropped */

struct child {
    pid_t pid; /* 0: never started, or reaped */
    int fd[2]; /* of its standard output and standard error; -1 when closed */
    char *text[2];
    size_t bytes[2], room[2];
    int status; /* when it has ended: exit status, or 128 + signal */
};

/* Run `program` (NULL: this one) with argv, of which argv[0] is its name. On failure nothing is held. */
enum emu_err child_start(struct child *c, const char *program, char *const *argv, struct diag *d) EMU_MUST_CHECK;
/* Wait until one of `count` children has ended (then its index), or until `timeout_ms` (then -1). Those with pid 0 are
   left out. A signal ends the wait too. */
int child_wait_any(struct child *children, unsigned count, int timeout_ms);
/* Wait until the child has ended. On a terminal a line shows `what` is being waited for, and for how long. */
void child_wait_showing(struct child *c, const char *what);
/* Ask the child to end. */
void child_stop(struct child *c);
void child_fini(struct child *c);

/* What the child wrote, as text; never NULL. */
const char *child_output(const struct child *c);
const char *child_errors(const struct child *c);

#endif
