#include "cli/debug.h"

#include <argp.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/gdb_link.h"
#include "cli/gdb_server.h"
#include "cli/guest.h"
#include "cli/post_mortem.h"

#define GDB_ADDRESS_DEFAULT "127.0.0.1:0"

static const char doc[] =
    "Let gdb look at a boot: breakpoints, watchpoints, steps, and the same backwards. The guest waits for gdb before "
    "its "
    "first instruction; nothing that gdb does changes the run, but what it writes.\v"
    "vCPUs are gdb's threads. Breakpoints are never written into the guest's memory. `reverse-stepi` and "
    "`reverse-continue` go back by executing the run again. `monitor help` in gdb lists what the host knows: event "
    "channels, timers, hypercalls, the position and digest of the run.\n\n"
    "Examples:\n"
    "  bootrace symbols vmlinuz --elf vmlinux.symbols\n"
    "  bootrace debug vmlinuz --gdb 127.0.0.1:1234\n"
    "  gdb vmlinux.symbols -ex 'target remote 127.0.0.1:1234' -ex 'hbreak start_kernel' -ex continue\n"
    "  bootrace debug guest.elf --mode hvm --vcpus 4 --gdb /tmp/bootrace.gdb\n\n"
    "It ends when gdb kills the guest (or quits), with status 0; after `detach` the guest runs on to its end, whose "
    "status `bootrace boot --help` explains. If the connection breaks, another gdb may come.";

enum { KEY_GDB = 256 };

static const struct argp_option options[] = {
    {"gdb", KEY_GDB, "ADDRESS", 0,
     "Where to wait for gdb: 127.0.0.1:PORT, :PORT (the same, port 0 for a free one), or the path of a Unix socket "
     "(default: " GDB_ADDRESS_DEFAULT ")",
     0},
    {0},
};

struct debug {
    struct guest_options guest;
    const char *address;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct debug *b = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &b->guest;
        return 0;
    case KEY_GDB:
        b->address = arg;
        return 0;
    case ARGP_KEY_END:
        if (!b->guest.kernel)
            argp_error(state, "which IMAGE? For example: bootrace debug vmlinuz --gdb :1234");
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

static void say_where(const struct debug *b, const struct guest *g, const struct gdb_link *l)
{
    bool bare = g->image->kind == IMAGE_ELF;

    fprintf(stderr, "waiting for gdb at %s\n", gdb_link_address(l));
    if (bare)
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
    printf("%s: %s\n%" PRIu64 " steps, digest %016" PRIx64 "\n", verdict_kind_name(v->kind), v->text,
           machine_steps(g->machine), machine_digest(g->machine));
    return verdict_exit_status(v->kind);
}

static int serve(const struct debug *b, struct guest *g, struct gdb_link *l, struct gdb_server *s)
{
    for (;;) {
        say_where(b, g, l);
        if (!gdb_link_accept(l))
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

int debug_run(int argc, char **argv)
{
    static const struct argp_child children[] = {{&guest_argp, 0, "The guest and its machine:", 1}, {0}};
    static const struct argp argp = {options, parse, "IMAGE", doc, children, NULL, NULL};
    struct debug b = {.address = GDB_ADDRESS_DEFAULT};
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
    err = guest_init(&g, &b.guest, &d);
    if (err != EMU_OK) {
        diag_print(&d, "bootrace debug", stderr);
        return err == EMU_EINPUT ? COMMAND_INPUT : COMMAND_ERROR;
    }
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    err = gdb_link_new(b.address, &l, &d);
    if (err == EMU_OK)
        err = gdb_server_new(&g, l, &stop, &s, &d);
    if (err == EMU_OK) {
        status = serve(&b, &g, l, s);
    } else {
        diag_print(&d, "bootrace debug", stderr);
        status = err == EMU_EINPUT ? COMMAND_INPUT : COMMAND_ERROR;
    }
    gdb_server_free(s);
    gdb_link_free(l);
    guest_fini(&g);
    return status;
}
