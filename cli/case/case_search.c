/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/case/case_search.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli/run/status.h"
#include "emu/base/analyzer.h"
#include "emu/base/vec.h"

struct arguments {
    char **argv; /* and what it points to, on the heap; NULL behind the last one */
    size_t count, room;
    bool no_memory;
};

ANALYZER_LOSES_ELEMENTS_BEGIN
static void add_word(struct arguments *a, const char *word)
{
    if (!vec_reserve(&a->argv, &a->room, a->count + 2, 32, sizeof(*a->argv)))
        a->no_memory = true;
    if (a->no_memory)
        return;
    a->argv[a->count] = strdup(word);
    if (!a->argv[a->count])
        a->no_memory = true;
    else
        a->argv[++a->count] = NULL;
}
ANALYZER_LOSES_ELEMENTS_END

static void add(void *arguments, const char *option, const char *value)
{
    if (!value)
        return;
    add_word(arguments, option);
    add_word(arguments, value);
}

static void add_number(struct arguments *a, const char *option, uint64_t value)
{
    char text[24];

    if (value == CASE_NONE)
        return;
    snprintf(text, sizeof(text), "%" PRIu64, value);
    add(a, option, text);
}

static void add_all(struct arguments *a, const struct test_case *c, const struct case_guest *g)
{
    add_word(a, "bootrace");
    add_word(a, "fuzz");
    add_word(a, "--json");
    add(a, "--kernel", g->options.kernel);
    guest_options_each(&g->options, add, a);
    add(a, "--window", c->search.window);
    add(a, "--inject", c->search.inject);
    add(a, "--strategy", c->search.strategy);
    add(a, "--reach", c->search.reach);
    add_number(a, "--runs", c->search.runs);
    add_number(a, "--depth", c->search.depth);
    add_number(a, "--search-seed", c->search.search_seed);
    add_number(a, "--run-steps-max", c->search.run_steps_max);
    add_number(a, "--failures", c->search.failures);
    add_number(a, "--window-steps-max", c->search.window_steps_max);
    if (c->search.every_boundary)
        add_word(a, "--every-boundary");
}

enum emu_err case_search_run(const struct test_case *c, const struct case_guest *g, struct child *child, struct diag *d)
{
    struct arguments a = {.argv = NULL};
    char what[128];
    enum emu_err err;

    add_all(&a, c, g);
    err = a.no_memory ? diag_no_memory(d) : child_start(child, NULL, a.argv, d);
    for (size_t i = 0; i < a.count; i++)
        free(a.argv[i]);
    free(a.argv);
    if (err != EMU_OK)
        return err;
    snprintf(what, sizeof(what), "searching %s", c->search.window);
    child_wait_showing(child, what);
    return EMU_OK;
}

/* Its first line, without the program's name. */
enum emu_err case_search_refused(const struct test_case *c, const struct child *child, struct diag *d)
{
    const char *errors = child_errors(child), *sentence = strstr(errors, ": ");
    size_t length;

    sentence = sentence ? sentence + 2 : errors;
    length = strcspn(sentence, "\n");
    return diag_set_at(d, EMU_EINPUT, c->path, 0, "%.*s", length > 900 ? 900 : (int)length,
                       length ? sentence : "the search ended without a report");
}

static enum emu_err take(const struct test_case *c, const json_t *all, struct schedule *schedule,
                         struct case_search_failure *failure, struct diag *d)
{
    const json_t *one = json_array_get(all, failure->number - 1);
    const char *text = json_string_value(json_object_get(one, "schedule")),
               *reason = json_string_value(json_object_get(one, "reason")),
               *at = json_string_value(json_object_get(one, "at"));

    failure->count = json_array_size(all);
    if (!failure->count)
        return diag_set_at(d, EMU_EINPUT, c->path, 0,
                           "this case is a search, and it finds no failure: there is no run to show; `bootrace replay` "
                           "says what it covers");
    if (!one)
        return diag_set_at(d, EMU_EINPUT, c->path, 0, "--failure %" PRIu64 ": the search finds only %" PRIu64,
                           failure->number, failure->count);
    if (!text || !reason)
        return diag_set_at(d, EMU_EHOST, c->path, 0, "the search's report gives no schedule");
    if (!at)
        at = json_string_value(json_object_get(one, "place"));
    snprintf(failure->text, sizeof(failure->text), "%s%s%s", reason, at && *at ? ", at " : "", at ? at : "");
    return schedule_parse(text, strlen(text), c->path, 1, schedule, d);
}

enum emu_err case_search_take(const struct test_case *c, const struct case_guest *g, uint64_t number,
                              struct schedule *schedule, struct case_search_failure *failure, struct diag *d)
{
    struct child child;
    json_t *report;
    enum emu_err err = case_search_run(c, g, &child, d);

    if (err != EMU_OK)
        return err;
    *failure = (struct case_search_failure){.number = number};
    report = json_loads(child_output(&child), 0, NULL);
    if (child.status == COMMAND_INTERRUPTED)
        err = diag_set_at(d, EMU_EINPUT, c->path, 0, "its search was interrupted");
    else if (!report || child.status == COMMAND_INPUT || child.status == COMMAND_ERROR)
        err = case_search_refused(c, &child, d);
    else
        err = take(c, json_object_get(report, "cases"), schedule, failure, d);
    json_decref(report);
    child_fini(&child);
    return err;
}
