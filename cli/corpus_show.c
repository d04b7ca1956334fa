/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/corpus_show.h"

#include <argp.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/case/case.h"
#include "cli/case/case_guest.h"
#include "cli/command.h"
#include "emu/base/plural.h"

static const char doc[] = "Say what a case is: its prose, its run, what it expects, how to run it.\v"
                          "CASE is a file, or the name of one in the corpus.\n\n"
                          "Examples:\n"
                          "  bootrace corpus show s0-late-module\n"
                          "  bootrace corpus show found.yaml\n\n"
                          "Exit status: 0, or 2 if it is not a case.";

struct show {
    const char *name;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct show *s = state->input;

    if (key == ARGP_KEY_ARG && !s->name)
        s->name = arg;
    else if (key == ARGP_KEY_ARG)
        argp_error(state, "one CASE is enough: '%s' is too many", arg);
    else if (key == ARGP_KEY_END && !s->name)
        argp_error(state, "which CASE? `bootrace corpus list` lists them");
    else if (key != ARGP_KEY_END)
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static void find_case(const char *name, char path[CASE_PATH_BYTES])
{
    struct case_places places;

    snprintf(path, CASE_PATH_BYTES, "%s", name);
    if (access(path, F_OK) == 0 || strchr(name, '/'))
        return;
    case_places_init(&places, NULL);
    snprintf(path, CASE_PATH_BYTES, "%.3000s/%.1000s%s", places.corpus, name, case_is_named(name) ? "" : ".yaml");
}

/* Prose, indented, with its own line breaks. */
static void print_prose(const char *what, const char *text)
{
    printf("\n%s\n", what);
    while (*text) {
        size_t length = strcspn(text, "\n");

        printf("  %.*s\n", (int)length, text);
        text += length + (text[length] == '\n');
    }
}

static void print_machine(const struct test_case *c)
{
    printf("guest          %s%s\n",
           c->guest.free_standing ? "free-standing "
           : c->guest.debian      ? "Debian's kernel "
                                  : "",
           c->guest.free_standing ? c->guest.free_standing
           : c->guest.debian      ? c->guest.debian
                                  : c->guest.kernel);
    if (c->guest.initrd)
        printf("initrd         %s\n", c->guest.initrd);
    for (unsigned i = 0; i < c->guest.edits; i++)
        printf("edit           %s\n", c->guest.edit[i]);
    printf("machine        %s", platform_mode_name(c->machine.mode));
    if (c->machine.vcpus != CASE_NONE)
        printf(", %" PRIu64 " vCPU%s", c->machine.vcpus, plural(c->machine.vcpus));
    if (c->machine.memory_bytes != CASE_NONE)
        printf(", %" PRIu64 " MiB", c->machine.memory_bytes >> 20);
    if (c->machine.xen_version)
        printf(", Xen %u.%u", c->machine.xen_version >> 16, c->machine.xen_version & 0xffff);
    printf("\n");
    if (c->machine.cmdline)
        printf("command line   %s\n", c->machine.cmdline);
}

static void print_expectation(const struct test_case *c)
{
    printf("expected       %s", verdict_kind_name(c->expect.verdict));
    if (c->expect.detector)
        printf(", by the detector %s", c->expect.detector);
    if (c->expect.place)
        printf(", at %s", c->expect.place);
    if (c->expect.text)
        printf(", saying '%s'", c->expect.text);
    if (c->expect.console)
        printf(", with '%s' on the console", c->expect.console);
    if (c->expect.failing != CASE_NONE)
        printf(", %" PRIu64 " failing boundar%s", c->expect.failing, c->expect.failing == 1 ? "y" : "ies");
    if (c->expect.covered != CASE_NONE)
        printf(" of %" PRIu64, c->expect.covered);
    if (c->expect.steps != CASE_NONE)
        printf(", after %" PRIu64 " step%s", c->expect.steps, plural(c->expect.steps));
    if (c->expect.digest != CASE_NONE)
        printf(", with digest %016" PRIx64, c->expect.digest);
    printf("\n");
}

int corpus_show_run(int argc, char **argv)
{
    static const struct argp argp = {NULL, parse, "CASE", doc, NULL, NULL, NULL};
    struct show s = {NULL};
    char path[CASE_PATH_BYTES];
    struct test_case c;
    struct diag d;

    argp_parse(&argp, argc, argv, 0, NULL, &s);
    find_case(s.name, path);
    if (case_read(&c, path, &d) != EMU_OK) {
        diag_print(&d, "bootrace corpus show", stderr);
        return COMMAND_INPUT;
    }
    printf("%s\n", c.title);
    print_prose("Mechanism", c.prose.mechanism);
    print_prose("Source", c.prose.source);
    print_prose("Falsified by", c.prose.falsified_by);
    printf("\n");
    print_machine(&c);
    if (c.load.as)
        printf("load           as a %s domain%s%s\n", c.load.as, c.load.features ? " with features=" : "",
               c.load.features ? c.load.features : "");
    if (c.search.window)
        printf("search         every boundary of %s times %s\n", c.search.window,
               c.search.inject ? c.search.inject : "timer");
    print_expectation(&c);
    if (c.schedule)
        print_prose("Schedule", c.schedule);
    printf("\nRun it: bootrace replay %s\n", path);
    case_fini(&c);
    return COMMAND_PASS;
}
