/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * case_search: the search of a case is `bootrace fuzz` with the case's options, in a process of its own; and one run of
 * those that it found to fail, as a schedule.
 */
#ifndef BOOTRACE_CLI_CASE_CASE_SEARCH_H
#define BOOTRACE_CLI_CASE_CASE_SEARCH_H

#include <stdint.h>

#include "cli/case/case.h"
#include "cli/case/case_guest.h"
#include "cli/run/child.h"
#include "emu/schedule.h"

/* Run it to its end; `child` then holds what it said, and is the caller's. */
enum emu_err case_search_run(const struct test_case *c, const struct case_guest *g, struct child *child,
                             struct diag *d) EMU_MUST_CHECK;
/* The sentence of a search that refused, as EMU_EINPUT of the case. */
enum emu_err case_search_refused(const struct test_case *c, const struct child *child, struct diag *d) EMU_MUST_CHECK;

struct case_search_failure {
    uint64_t number, count; /* the how many-th of how many, from 1 */
    char text[512];         /* how it fails, a line */
};

/* Run the search and take a failure of it: failing boundaries with one outcome in a row count as one, at the first of
   them; of a strategy, the minimised runs. EMU_EINPUT: it finds none, or not so many. */
enum emu_err case_search_take(const struct test_case *c, const struct case_guest *g, uint64_t number,
                              struct schedule *schedule, struct case_search_failure *failure,
                              struct diag *d) EMU_MUST_CHECK;

#endif
