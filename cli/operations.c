/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/operations.h"

#include <argp.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/run/guest.h"
#include "cli/run/parse.h"
#include "models/xen/xen.h"

#define NAME_BYTES 80

static const char doc[] =
    "List the hypercall operations that the Xen model has: name, the versions that have it, and what it was written "
    "from.\v"
    "Examples:\n"
    "  bootrace operations\n"
    "  bootrace operations --xen 4.4\n\n"
    "scripts/rows --coverage prints the same list with the tests of each operation.\n\n"
    "Exit status: 0, 2 wrong input.";

enum { KEY_XEN = 256 };

static const struct argp_option options[] = {
    {"xen", KEY_XEN, "VERSION", 0, "Only what this version of Xen has", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    unsigned *version = state->input;
    struct diag d;

    switch (key) {
    case KEY_XEN:
        if (parse_xen_version(arg, version, &d) != EMU_OK) {
            diag_print(&d, state->name, stderr);
            exit(COMMAND_INPUT);
        }
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "this command takes only options, not '%s'", arg);
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

int operations_run(int argc, char **argv)
{
    static const struct argp argp = {options, parse, NULL, doc, NULL, NULL, NULL};
    struct xen_operation o;
    unsigned version = 0;
    char text[NAME_BYTES];

    argp_err_exit_status = COMMAND_INPUT;
    argp_parse(&argp, argc, argv, 0, NULL, &version);
    for (unsigned i = 0; xen_operation_at(i, &o); i++) {
        char versions[32];
        int used;

        if (version && (version < o.since || (o.before && version >= o.before)))
            continue;
        used = o.since ? snprintf(versions, sizeof(versions), "%u.%u+", o.since >> 16, o.since & 0xffff)
                       : snprintf(versions, sizeof(versions), "all");
        if (o.before)
            snprintf(versions + used, sizeof(versions) - (size_t)used, ",<%u.%u", o.before >> 16, o.before & 0xffff);
        printf("%-48s %-10s %s\n", xen_operation_name(o.number, o.operation, text, sizeof(text)), versions, o.source);
    }
    return COMMAND_PASS;
}
