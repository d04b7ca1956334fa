/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/merge.h"

#include <argp.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/campaign/search_part.h"
#include "cli/campaign/search_report.h"
#include "cli/command.h"
#include "cli/run/json_text.h"
#include "fuzz/search/source.h"

static const char doc[] = "Join the parts of an exhaustive search.\v"
                          "DIR is what `bootrace fuzz --out DIR` wrote, by one shard or several. Parts of "
                          "different searches are refused. Boundaries that no part covers are named, and so is a "
                          "DIR without parts: run the commands of those shards again.\n"
                          "\n"
                          "Examples:\n"
                          "  bootrace fuzz vmlinuz --window alternative_instructions \\\n"
                          "      --shard 1/2 --out one\n"
                          "  bootrace fuzz vmlinuz --window alternative_instructions \\\n"
                          "      --shard 2/2 --out two\n"
                          "  bootrace merge one two --json\n"
                          "\n"
                          "Exit status: that of `bootrace fuzz`; 4 if parts are missing.";

enum { KEY_JSON = 256 };

static const struct argp_option options[] = {
    {"json", KEY_JSON, NULL, 0, "Print one JSON object on standard output at the end", 0},
    {0},
};

struct merge {
    bool json;
    json_t *parts;
    unsigned folders;
    struct diag diag;
};

static void tell_nothing_in(const char *folder)
{
    fprintf(stderr,
            "bootrace merge: %s: there is no part of a search: its shard was not started, or was "
            "killed before the first part was written; run its command again\n",
            folder);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct merge *m = state->input;
    json_t *parts;
    enum emu_err err;

    switch (key) {
    case KEY_JSON:
        m->json = true;
        return 0;
    case ARGP_KEY_ARG:
        parts = json_array();
        err = search_parts_load(arg, parts, &m->diag);
        if (err != EMU_OK) {
            diag_print(&m->diag, "bootrace merge", stderr);
            json_decref(parts);
            json_decref(m->parts);
            exit(COMMAND_INPUT);
        }
        if (!json_array_size(parts))
            tell_nothing_in(arg);
        json_array_extend(m->parts, parts);
        json_decref(parts);
        m->folders++;
        return 0;
    case ARGP_KEY_END:
        if (!m->folders)
            argp_error(state, "which folders? For example: bootrace merge one two");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* What is done twice would be counted twice. */
static enum emu_err check_overlap(const json_t *parts, struct diag *d)
{
    const json_t *before = NULL;
    size_t i;
    json_t *part;

    json_array_foreach(parts, i, part)
    {
        if (search_part_number(part, "from") == search_part_number(part, "next"))
            continue;
        if (before && !strcmp(search_part_text(before, "source"), search_part_text(part, "source")) &&
            search_part_number(part, "from") < search_part_number(before, "next"))
            return diag_set(d, EMU_EINPUT, "boundaries %" PRIu64 " to %" PRIu64 " were done twice: give each part once",
                            search_part_number(part, "from"), search_part_number(before, "next"));
        before = part;
    }
    return EMU_OK;
}

/* The boundaries that no part covers; the caller's. */
static json_t *missing_of(const json_t *parts, const json_t *joined)
{
    json_t *missing = search_parts_missing(parts, search_part_text(joined, "source"),
                                           search_part_number(joined, "first"), search_part_number(joined, "last"));
    json_t *range;
    size_t i;

    json_array_foreach(missing, i, range)
    {
        fprintf(stderr, "bootrace merge: %s: boundaries %" PRIu64 " to %" PRIu64 " are in no part\n",
                search_part_text(joined, "source"), (uint64_t)json_integer_value(json_array_get(range, 0)),
                (uint64_t)json_integer_value(json_array_get(range, 1)) - 1);
    }
    return missing;
}

int merge_run(int argc, char **argv)
{
    static const struct argp argp = {options, parse, "DIR...", doc, NULL, NULL, NULL};
    struct merge m = {.parts = json_array()};
    json_t *joined = json_array(), *search;
    FILE *to;
    uint64_t failing;
    bool complete = true;
    enum emu_err err;

    argp_err_exit_status = COMMAND_INPUT;
    argp_parse(&argp, argc, argv, 0, NULL, &m);
    to = m.json ? stderr : stdout;
    search_parts_sort(m.parts);
    search = json_loads(search_part_text(json_array_get(m.parts, 0), "search"), 0, NULL);
    err = search_parts_check(m.parts, search_part_text(json_array_get(m.parts, 0), "search"), &m.diag);
    if (err == EMU_OK)
        err = check_overlap(m.parts, &m.diag);
    for (unsigned i = 0; err == EMU_OK && source_at(i); i++) {
        json_t *one = search_parts_join(m.parts, source_at(i)->name);

        if (!one)
            continue;
        search_report_print(one, to);
        complete = complete && json_is_true(json_object_get(one, "complete"));
        json_object_set_new(one, "missing", missing_of(m.parts, one));
        json_array_append_new(joined, one);
    }
    complete = complete && json_array_size(joined) > 0;
    json_decref(m.parts);
    if (err != EMU_OK) {
        diag_print(&m.diag, "bootrace merge", stderr);
        json_decref(search);
        json_decref(joined);
        return COMMAND_INPUT;
    }
    failing = search_report_sum(joined, "failing");
    fprintf(to,
            "each run ends where the handler returns, and says nothing of what the guest does then; assuming that %s\n",
            SEARCH_ASSUMPTIONS);
    if (m.json) {
        json_t *o = search_report_new(search_part_text(search, "window"), joined, complete);

        json_show(o);
        json_decref(o);
    }
    json_decref(search);
    json_decref(joined);
    return failing ? COMMAND_FAIL : complete ? COMMAND_PASS : COMMAND_BUDGET;
}
