/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * search_report: what an exhaustive search has found, source by source, for people and as one JSON object. Merged
 * shards and a search in one piece say it with the same words.
 *
 * The keys: `window` (as the user named it), `boundaries`, `runs` and `failing` (sums over the sources), `complete`,
 * `assumptions`, `cases` (the failures, each with its `source` beside the keys of search_part.h; with `file` if it was
 * kept as a case), `sources` (search_part.h, joined; without their cases).
 */
#ifndef BOOTRACE_CLI_CAMPAIGN_SEARCH_REPORT_H
#define BOOTRACE_CLI_CAMPAIGN_SEARCH_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define SEARCH_ASSUMPTIONS                                                                                             \
    "the handler's course does not depend on the interrupted registers beyond putting them back, nor on the time it "  \
    "reads; memory below the interrupted stack pointer is dead; one vCPU runs"

/* Print one source's result for people. */
void search_report_print(const json_t *joined, FILE *to);

/* The sum of one of their numbers over all sources. */
uint64_t search_report_sum(const json_t *sources, const char *key);

/* The report on joined parts (search_parts_join()), one for each source. Their cases move into the report; the caller
   frees it. */
json_t *search_report_new(const char *window, json_t *sources, bool complete);

#endif
