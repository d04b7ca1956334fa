/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * search_part: the result of one part of an exhaustive search: a range of boundaries of one window times one source. A
 * part is a JSON object and a file; parts of the same search join to what one run would have said.
 *
 * The keys: `search` (text: what was searched, by what build; parts with the same text belong together), `window` (what
 * the undisturbed run shows, the same in all parts), `source`, `first` and `last` (the window's boundaries, [first,
 * last)), `from`, `to` (the part), `next` (what lies before it is done), `boundaries`, `runs`, `handler_steps_max`,
 * `failing`, `cases` (each `first`, `last`, `delivered`, `place`, `verdict`, `detector`, `reason`, `at`, `schedule`:
 * the decision that makes it fail).
 */
#ifndef BOOTRACE_CLI_CAMPAIGN_SEARCH_PART_H
#define BOOTRACE_CLI_CAMPAIGN_SEARCH_PART_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "emu/base/diag.h"

struct exhaustive_report;
struct symbols;
struct window;

/* The value of one of the keys above; 0 or "" if it is not there. */
uint64_t search_part_number(const json_t *o, const char *key);
const char *search_part_text(const json_t *o, const char *key);

json_t *search_part_window(const struct window *w);

/* The result `r` as a part; the caller frees it. */
json_t *search_part_new(const char *search, const char *source, uint64_t from, uint64_t to, json_t *window,
                        const struct exhaustive_report *r, const struct symbols *symbols);

/* Write it whole or not at all, under a name made of source and range. */
enum emu_err search_part_save(const json_t *part, const char *folder, struct diag *d) EMU_MUST_CHECK;
/* All parts in a folder, as an array, sorted by source and range; an empty one if there is no folder. EMU_EINPUT: a
   file is no part. */
enum emu_err search_parts_load(const char *folder, json_t *parts, struct diag *d) EMU_MUST_CHECK;

void search_parts_sort(json_t *parts);

/* Whether all belong to one search; the sentence says what is different. */
enum emu_err search_parts_check(const json_t *parts, const char *search, struct diag *d) EMU_MUST_CHECK;

/* The boundaries of a source in [from, to) that are not done yet, as an array of [from, to] pairs. */
json_t *search_parts_missing(const json_t *parts, const char *source, uint64_t from, uint64_t to);

/* The parts of one source joined: sums, cases in the order of boundaries, neighbours with the same outcome as one; plus
   `complete`. NULL if there are none. Parts must not overlap in what is done. */
json_t *search_parts_join(const json_t *parts, const char *source);

#endif
