/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * case_search: makes the search of a case, which is `bootrace fuzz` with the case's options in a process of its own,
 * and gives one of the failing runs that it found, as a schedule.
 */
#ifndef BOOTRACE_CLI_CASE_CASE_SEARCH_H
#define BOOTRACE_CLI_CASE_CASE_SEARCH_H

#include <stdint.h>

#include "cli/case/case.h"
#include "cli/case/case_guest.h"
#include "cli/run/child.h"
#include "emu/schedule.h"

/* Run the search to its end; `child` then holds its output, and is the caller's. */
enum emu_err case_search_run(const struct test_case *c, const struct case_guest *g, struct child *child,
                             struct diag *d) EMU_MUST_CHECK;
/* The sentence of a search that refused, as EMU_EINPUT of the case. */
enum emu_err case_search_refused(const struct test_case *c, const struct child *child, struct diag *d) EMU_MUST_CHECK;

struct case_search_failure {
    uint64_t number, count; /* which failure, from 1, and how many there are */
    char text[512];         /* how it fails, a line */
};

/* Run the search and take one of its failures. Of an exhaustive search, neighbouring boundaries with the same outcome
   are one failure, at the first of them; of a strategy, each minimised run is one. EMU_EINPUT: the search finds no
   failure, or not so many. */
enum emu_err case_search_take(const struct test_case *c, const struct case_guest *g, uint64_t number,
                              struct schedule *schedule, struct case_search_failure *failure,
                              struct diag *d) EMU_MUST_CHECK;

#endif
