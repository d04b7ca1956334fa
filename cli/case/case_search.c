/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/case/case_search.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "cli/run/status.h"

#define SEARCH_ARGUMENTS (68 + 2 * GUEST_EDITS_MAX + 2 * PLATFORM_MODULES_MAX)
#define NUMBERS_MAX      16

struct arguments {
    const char *argv[SEARCH_ARGUMENTS];
    unsigned count;
    char number[NUMBERS_MAX][24];
    unsigned numbers;
};

static void add(struct arguments *a, const char *option, const char *value)
{
    if (!value || a->count + 3 > SEARCH_ARGUMENTS)
        return;
    a->argv[a->count++] = option;
    a->argv[a->count++] = value;
}

static void add_number(struct arguments *a, const char *option, uint64_t value)
{
    char *text = a->number[a->numbers < NUMBERS_MAX ? a->numbers : 0];

    if (value == CASE_NONE || a->numbers == NUMBERS_MAX - 1)
        return;
    a->numbers++;
    snprintf(text, sizeof(a->number[0]), "%" PRIu64, value);
    add(a, option, text);
}

static void add_all(struct arguments *a, const struct test_case *c, const struct case_guest *g)
{
    const struct guest_options *o = &g->options;
    char *xen = a->number[NUMBERS_MAX - 1];

    a->argv[a->count++] = "bootrace";
    a->argv[a->count++] = "fuzz";
    a->argv[a->count++] = "--json";
    add(a, "--kernel", o->kernel);
    add(a, "--initrd", o->initrd);
    add(a, "--system-map", o->system_map);
    add(a, "--vmlinux", o->vmlinux);
    add(a, "--cmdline", o->cmdline);
    add(a, "--detect", o->detect);
    add(a, "--op-table", o->op_table);
    add(a, "--torn-site", o->torn_site);
    add(a, "--same", o->same);
    add(a, "--mode", platform_mode_name(o->mode));
    if (o->xen_version) {
        snprintf(xen, sizeof(a->number[0]), "%u.%u", o->xen_version >> 16, o->xen_version & 0xffff);
        add(a, "--xen", xen);
    }
    add_number(a, "--vcpus", c->machine.vcpus);
    add_number(a, "--online", c->machine.online);
    add_number(a, "--memory", c->machine.memory_bytes);
    for (unsigned i = 0; i < o->edits; i++)
        add(a, "--edit", o->edit[i]);
    for (unsigned i = 0; i < o->modules; i++)
        add(a, "--module", o->module[i]);
    add(a, "--xen-image", o->xen_image);
    add(a, "--xen-cmdline", o->xen_cmdline);
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
        a->argv[a->count++] = "--every-boundary";
    a->argv[a->count] = NULL;
}

enum emu_err case_search_run(const struct test_case *c, const struct case_guest *g, struct child *child, struct diag *d)
{
    struct arguments a = {.count = 0};
    char what[128];
    enum emu_err err;

    add_all(&a, c, g);
    err = child_start(child, NULL, (char *const *)(uintptr_t)a.argv, d);
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
