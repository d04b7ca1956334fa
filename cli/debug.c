/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/debug.h"

#include <argp.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cli/case/case.h"
#include "cli/case/case_guest.h"
#include "cli/case/case_search.h"
#include "cli/command.h"
#include "cli/debugger/gdb_link.h"
#include "cli/debugger/gdb_server.h"
#include "cli/run/attach.h"
#include "cli/run/guest.h"
#include "cli/run/parse.h"
#include "cli/run/post_mortem.h"
#include "emu/base/plural.h"
#include "emu/player.h"
#include "emu/schedule.h"
#include "emu/snapshot_file.h"

#define GDB_ADDRESS_DEFAULT "127.0.0.1:0"

static const char doc[] = "Attach gdb to a run: breakpoints, watchpoints and steps, forwards and backwards. The "
                          "guest waits for gdb before its first instruction. Nothing that gdb does changes the "
                          "run, except what it writes.\v"
                          "vCPUs are gdb's threads. Breakpoints are never written into the guest's memory. "
                          "`reverse-stepi` and `reverse-continue` go back by executing the run again. `monitor "
                          "help` in gdb lists what the host knows: event channels, timers, hypercalls, the "
                          "position and digest of the run.\n"
                          "\n"
                          "CASE is a file (*.yaml) as `bootrace boot --record` and `bootrace fuzz --out` write it; "
                          "it describes the guest, its machine and its schedule. If the case is a search, the "
                          "search is made first, and the run is one of the failures that it finds.\n"
                          "\n"
                          "Examples:\n"
                          "  bootrace symbols vmlinuz --elf vmlinux.symbols\n"
                          "  bootrace debug vmlinuz --gdb 127.0.0.1:1234\n"
                          "  gdb vmlinux.symbols -ex 'target remote :1234'\n"
                          "  bootrace debug guest.elf --mode hvm --vcpus 4 --gdb /tmp/gdb.socket\n"
                          "  bootrace debug corpus/s0-late-module.yaml --gdb :1234\n"
                          "  bootrace debug corpus/s1-timer-byte.yaml --failure 2 --gdb :1234\n"
                          "\n"
                          "Exit status: 0 when gdb kills the guest or quits. After `detach` the guest runs on to "
                          "its end, and the status is that of `bootrace boot`. If the connection breaks, another "
                          "gdb may connect.";

enum { KEY_GDB = 256, KEY_SCHEDULE, KEY_FROM, KEY_FAILURE, KEY_GUESTS };

static const struct argp_option options[] = {
    {"gdb", KEY_GDB, "ADDRESS", 0,
     "Where to wait for gdb: 127.0.0.1:PORT, :PORT (the same, port 0 for a free one), or the path of a Unix socket "
     "(default: " GDB_ADDRESS_DEFAULT ")",
     0},
    {"failure", KEY_FAILURE, "N", 0, "If CASE is a search: take its N-th failure (default: the first)", 0},
    {"guests", KEY_GUESTS, "FOLDER", 0, "Where a case's free-standing guests are (default: beside this program)", 0},
    {"schedule", KEY_SCHEDULE, "FILE", 0,
     "Read the decisions that differ from the default from FILE, one on each line "
     "(docs/schedule.md)",
     0},
    {"from", KEY_FROM, "FILE", 0,
     "Start from a snapshot file (`bootrace boot --snapshot-at`). IMAGE then only gives the "
     "symbols and may be omitted",
     0},
    {0},
};

struct debug {
    struct guest_options guest;
    const char *address;
    const char *schedule_path; /* NULL if there is none */
    const char *from_path;
    const char *guests; /* where free-standing guests are; NULL: beside this program */
    struct snapshot_file *from;
    struct schedule schedule;
    uint64_t failure; /* of a search, from 1; 0: not given */
    struct test_case c;
    struct case_guest case_guest;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct debug *b = state->input;
    struct diag d;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &b->guest;
        return 0;
    case KEY_GDB:
        b->address = arg;
        return 0;
    case KEY_SCHEDULE:
        b->schedule_path = arg;
        return 0;
    case KEY_FAILURE:
        if (parse_number("the number of the failure", arg, 1, UINT32_MAX, &b->failure, &d) != EMU_OK)
            argp_error(state, "%s", d.text);
        return 0;
    case KEY_GUESTS:
        b->guests = arg;
        return 0;
    case KEY_FROM:
        b->from_path = arg;
        return 0;
    case ARGP_KEY_END:
        if (b->from_path && (b->schedule_path || (b->guest.kernel && case_is_named(b->guest.kernel))))
            argp_error(state, "--from can't be combined with a schedule or a case, which begin with the boot");
        if (!b->guest.kernel && !b->from_path)
            argp_error(state, "which IMAGE or CASE? For example: bootrace debug vmlinuz --gdb :1234");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    stop = 1;
}

static void tell_finding(const struct debug *b, const struct case_search_failure *f)
{
    char decision[DECISION_TEXT_BYTES] = "";

    if (b->schedule.count)
        decision_print(&b->schedule.decision[0], decision, sizeof(decision));
    fprintf(stderr, "failure %" PRIu64 " of %" PRIu64 " that the search finds: %s\nits schedule: %s%s\n", f->number,
            f->count, f->text, decision, b->schedule.count > 1 ? " ..." : "");
}

static enum emu_err take_case(struct debug *b, struct diag *d)
{
    struct case_search_failure finding;
    enum emu_err err;

    if (b->schedule_path)
        return diag_set(d, EMU_EINPUT, "--schedule %s: a case has its own schedule", b->schedule_path);
    err = case_read(&b->c, b->guest.kernel, d);
    if (err == EMU_OK && b->guest.option_given)
        err = diag_set(d, EMU_EINPUT, "--%s: a case describes its whole guest and machine; change the case instead",
                       b->guest.option_given);
    if (err == EMU_OK)
        err = case_prepare(&b->c, b->guests, &b->case_guest, &b->schedule, d);
    if (err == EMU_OK)
        err = case_check_image(&b->c, &b->case_guest, d);
    if (err == EMU_OK && b->c.schedule)
        b->schedule_path = b->guest.kernel;
    if (err == EMU_OK && b->c.load.as)
        err = diag_set_at(d, EMU_EINPUT, b->c.path, 0, CASE_WITHOUT_RUN);
    if (err == EMU_OK && b->failure && !b->c.search.window)
        err = diag_set(d, EMU_EINPUT, "--failure is for a case with a search; this case is one run");
    if (err == EMU_OK && b->c.search.window) {
        err = case_search_take(&b->c, &b->case_guest, b->failure ? b->failure : 1, &b->schedule, &finding, d);
        b->schedule_path = b->guest.kernel;
        if (err == EMU_OK)
            tell_finding(b, &finding);
    }
    if (err == EMU_OK)
        b->guest = b->case_guest.options;
    return err;
}

/* The guest and the schedule. Digests that the schedule notes are not checked: the user may change the run. */
static enum emu_err prepare(struct debug *b, struct guest *g, struct diag *d)
{
    enum emu_err err = EMU_OK;

    if (b->failure && (b->from_path || !case_is_named(b->guest.kernel)))
        err = diag_set(d, EMU_EINPUT, "--failure is for a case with a search");
    else if (b->from_path)
        err = snapshot_file_open(b->from_path, &b->from, d);
    else if (case_is_named(b->guest.kernel))
        err = take_case(b, d);
    else if (b->schedule_path)
        err = schedule_read(b->schedule_path, &b->schedule, d);
    b->guest.snapshot = b->from;
    schedule_forget_checks(&b->schedule);
    return err == EMU_OK ? attach_guest_init(g, &b->guest, d) : err;
}

static void say_where(const struct debug *b, const struct guest *g, const struct gdb_link *l)
{
    fprintf(stderr, "waiting for gdb at %s\n", gdb_link_address(l));
    if (!g->image)
        fprintf(stderr, "type: gdb -ex 'target remote %s'\n", gdb_link_address(l));
    else if (g->image->kind == IMAGE_ELF)
        fprintf(stderr, "type: gdb %s -ex 'target remote %s'\n", b->guest.kernel, gdb_link_address(l));
    else
        fprintf(stderr,
                "type: bootrace symbols %s --elf vmlinux.symbols\n"
                "      gdb vmlinux.symbols -ex 'target remote %s'\n",
                b->guest.kernel, gdb_link_address(l));
}

static int run_on(struct guest *g, struct gdb_server *s)
{
    const struct verdict *v;

    fprintf(stderr, "gdb is gone; the guest runs on to its end\n");
    if (!gdb_server_run_on(s))
        return COMMAND_INTERRUPTED;
    v = machine_verdict(g->machine);
    if (v->kind != VERDICT_PASS)
        post_mortem_print(g->machine, g->symbols, stdout);
    printf("%s: %s\n%" PRIu64 " step%s, digest %016" PRIx64 "\n", verdict_kind_name(v->kind), v->text,
           machine_steps(g->machine), plural(machine_steps(g->machine)), machine_digest(g->machine));
    return verdict_exit_status(v->kind);
}

static int serve(const struct debug *b, struct guest *g, struct gdb_link *l, struct gdb_server *s)
{
    for (;;) {
        enum gdb_link_event event;

        say_where(b, g, l);
        do {
            event = gdb_link_accept(l);
        } while (event == GDB_LINK_PAUSE && !stop);
        if (event != GDB_LINK_PACKET)
            return stop ? COMMAND_INTERRUPTED : COMMAND_ERROR;
        switch (gdb_server_run(s)) {
        case GDB_SERVER_KILLED:
            return COMMAND_PASS;
        case GDB_SERVER_DETACHED:
            return run_on(g, s);
        case GDB_SERVER_SIGNAL:
            return COMMAND_INTERRUPTED;
        case GDB_SERVER_CLOSED:
            break;
        }
    }
}

static void debug_fini(struct debug *b)
{
    snapshot_file_close(b->from);
    schedule_fini(&b->schedule);
    case_fini(&b->c);
}

int debug_run(int argc, char **argv)
{
    static const struct argp_child children[] = {{&guest_argp, 0, "The guest and its machine:", 1}, {0}};
    static const struct argp argp = {options, parse, "IMAGE|CASE", doc, children, NULL, NULL};
    struct debug b = {.address = GDB_ADDRESS_DEFAULT};
    struct player player;
    struct sigaction action = {.sa_handler = on_signal};
    struct gdb_server *s = NULL;
    struct gdb_link *l = NULL;
    struct guest g;
    struct diag d;
    enum emu_err err;
    int status;

    argp_err_exit_status = COMMAND_INPUT;
    argp_parse(&argp, argc, argv, 0, NULL, &b);
    diag_init(&d);
    case_init(&b.c);
    schedule_init(&b.schedule);
    err = prepare(&b, &g, &d);
    if (err != EMU_OK) {
        debug_fini(&b);
        return command_fail("bootrace debug", err, &d);
    }
    player_init(&player, g.machine, &b.schedule, symbols_resolve, g.symbols, b.schedule_path);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    err = gdb_link_new(b.address, &l, &d);
    if (err == EMU_OK)
        err = gdb_server_new(&g, b.schedule_path ? &player : NULL, l, &stop, &s, &d);
    status = err == EMU_OK ? serve(&b, &g, l, s) : command_fail("bootrace debug", err, &d);
    gdb_server_free(s);
    gdb_link_free(l);
    guest_fini(&g);
    debug_fini(&b);
    return status;
}
