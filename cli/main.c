/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/boot.h"
#include "cli/cache.h"
#include "cli/command.h"
#include "cli/corpus.h"
#include "cli/debug.h"
#include "cli/doctor.h"
#include "cli/edit.h"
#include "cli/elfnotes.h"
#include "cli/fuzz.h"
#include "cli/merge.h"
#include "cli/operations.h"
#include "cli/patches.h"
#include "cli/replay.h"
#include "cli/report.h"
#include "cli/run/json_text.h"
#include "cli/run/utf8.h"
#include "cli/snapshot.h"
#include "cli/symbols.h"

#include <stdio.h>
#include <string.h>

static const struct command commands[] = {
    {"boot", "boot a guest kernel and say how it ended", boot_run},
    {"cache", "show, or empty, the folder of snapshots that searches keep", cache_run},
    {"corpus", "run, list, show and add cases: every bug ever found, and its repair", corpus_run},
    {"debug", "attach gdb to a boot, forwards and backwards", debug_run},
    {"doctor", "check what bootrace needs on this machine", doctor_run},
    {"edit", "say what an edit would change in a kernel", edit_run},
    {"elfnotes", "say which Xen versions would load an image, and why not", elfnotes_run},
    {"merge", "join the parts of an exhaustive search", merge_run},
    {"patches", "list the instructions that a kernel patches, and its tables of them", patches_run},
    {"fuzz", "search a window of a boot for the interrupt that breaks it", fuzz_run},
    {"replay", "run a case again and say whether it ends as it should", replay_run},
    {"operations", "list the hypercall operations of the Xen model and their versions", operations_run},
    {"report", "tell what happened in a run: story, timeline, bytes; HTML, text or trace", report_run},
    {"snapshot", "say what a snapshot file contains", snapshot_run},
    {"symbols", "say where an image's symbols come from; look up a name or an address", symbols_run},
    {NULL, NULL, NULL},
};

static void print_help(FILE *to)
{
    fprintf(to, "Usage: bootrace COMMAND [OPTION...] [ARGUMENT...]\n\n"
                "Boots guest kernels instruction by instruction on a modelled Xen host, deterministically.\n\n");
    for (const struct command *c = commands; c->name; c++)
        fprintf(to, "  %-12s %s\n", c->name, c->summary);
    fprintf(to, "\n"
                "`bootrace COMMAND --help` explains one. Exit status: 0 PASS, 1 FAIL, 2 wrong input, 3 "
                "UNMODELLED,\n"
                "4 BUDGET, 5 ERROR (bootrace or the host failed), 130 interrupted.\n");
}

/* What is lost on its way to a full disk is no success. */
static int finish(const char *name, int status)
{
    struct diag d;
    enum emu_err err = command_close_output(stdout, NULL, &d);

    return err == EMU_OK ? status : command_fail(name, err, &d);
}

/* What a command is told may end up in a case, and a case is text. */
static enum emu_err check_arguments(int argc, char **argv, struct diag *d)
{
    enum emu_err err = EMU_OK;
    char what[32];

    for (int i = 1; err == EMU_OK && i < argc; i++) {
        snprintf(what, sizeof(what), "argument %d", i);
        err = utf8_check(what, argv[i], d);
    }
    return err;
}

int main(int argc, char **argv)
{
    struct diag d;

    json_check_memory();
    if (check_arguments(argc, argv, &d) != EMU_OK)
        return command_fail("bootrace", EMU_EINPUT, &d);
    if (argc < 2) {
        print_help(stderr);
        return COMMAND_INPUT;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
        print_help(stdout);
        return COMMAND_PASS;
    }
    if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
        printf("bootrace %s\n", BOOTRACE_VERSION);
        return COMMAND_PASS;
    }
    for (const struct command *c = commands; c->name; c++) {
        char name[64];

        if (strcmp(argv[1], c->name))
            continue;
        snprintf(name, sizeof(name), "bootrace %s", c->name);
        argv[1] = name;
        return finish(name, c->run(argc - 1, argv + 1));
    }
    fprintf(stderr, "bootrace: there is no command '%s'; `bootrace --help` lists them\n", argv[1]);
    return COMMAND_INPUT;
}
