#include "cli/boot.h"

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/command.h"
#include "cli/console.h"
#include "cli/guest.h"
#include "cli/post_mortem.h"
#include "emu/engine.h"
#include "emu/vcpu.h"

#define SLICE_STEPS 50000000ull /* between two looks at the progress line */

static const char doc[] =
    "Boot a guest kernel on the modelled Xen host, deterministically.\v"
    "IMAGE is a bzImage, an ELF vmlinux or a free-standing ELF guest with a Xen PVH entry.\n\n"
    "Examples:\n"
    "  bootrace boot vmlinuz --initrd initrd.img\n"
    "  bootrace boot vmlinuz --vcpus 4 --cmdline 'console=hvc0 nokaslr' --digest\n"
    "  bootrace boot vmlinuz --until start_kernel\n"
    "  bootrace boot vmlinuz --until 'console:Run /init' --json\n\n"
    "Exit status: 0 PASS, 1 FAIL (crash, hang), 2 wrong input, 3 UNMODELLED (the guest left the model), 4 BUDGET "
    "(--steps-max), 5 ERROR (ours), 130 interrupted.";

enum { KEY_UNTIL = 256, KEY_STEPS_MAX, KEY_DIGEST, KEY_JSON, KEY_CONSOLE, KEY_STATS, KEY_STOPS };

static const struct argp_option options[] = {
    {"until", KEY_UNTIL, "PLACE", 0, "Stop with PASS at a symbol, at a step count, or at console:REGEX", 0},
    {"steps-max", KEY_STEPS_MAX, "N", 0, "Budget of guest steps; then the verdict is BUDGET (default: none)", 0},
    {"digest", KEY_DIGEST, NULL, 0, "Print the digest of the final state alone on standard output", 0},
    {"json", KEY_JSON, NULL, 0, "End with one JSON object on standard output; the console goes to standard error", 0},
    {"console", KEY_CONSOLE, "FILE", 0, "Write the guest's console to FILE instead", 0},
    {"extra-stops", KEY_STOPS, "N", 0, "Stop and go on at arbitrary places, about every N steps: must change nothing",
     0},
    {"stats", KEY_STATS, NULL, 0, "Print the engine's counters at the end", 0},
    {0},
};

struct boot {
    struct guest_options guest;
    const char *until;
    uint64_t steps_max;
    uint64_t extra_stops; /* 0 for none */
    bool digest, json, stats;
    const char *console_path;
    struct diag diag;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct boot *b = state->input;
    struct diag *d = &b->diag;
    enum emu_err err = EMU_OK;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &b->guest;
        break;
    case KEY_UNTIL:
        b->until = arg;
        break;
    case KEY_STEPS_MAX:
        err = guest_parse_number("the budget of steps", arg, 1, UINT64_MAX - 1, &b->steps_max, d);
        break;
    case KEY_DIGEST:
        b->digest = true;
        break;
    case KEY_JSON:
        b->json = true;
        break;
    case KEY_CONSOLE:
        b->console_path = arg;
        break;
    case KEY_STOPS:
        err = guest_parse_number("the distance of extra stops", arg, 1, UINT64_MAX / 4, &b->extra_stops, d);
        break;
    case KEY_STATS:
        b->stats = true;
        break;
    case ARGP_KEY_END:
        if (!b->guest.kernel)
            argp_error(state, "which IMAGE? For example: bootrace boot vmlinuz");
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    if (err != EMU_OK) {
        diag_print(d, "bootrace boot", stderr);
        exit(COMMAND_INPUT);
    }
    return 0;
}

static struct machine *volatile interrupted_machine;
static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = 1;
    if (interrupted_machine)
        machine_stop(interrupted_machine);
}

struct target { /* --until */
    uint64_t rip_gva, steps;
};

static enum emu_err find_target(struct boot *b, struct guest *g, struct console *c, struct target *t, struct diag *d)
{
    struct symbol s;
    size_t n;
    char *end;

    t->steps = UINT64_MAX;
    if (!b->until)
        return EMU_OK;
    if (!strncmp(b->until, "console:", 8)) {
        int bad = regcomp(&c->pattern, b->until + 8, REG_EXTENDED | REG_NOSUB);

        if (bad) {
            char text[128];

            regerror(bad, &c->pattern, text, sizeof(text));
            return diag_set(d, EMU_EINPUT, "--until %s: %s", b->until, text);
        }
        c->has_pattern = true;
        return EMU_OK;
    }
    t->steps = strtoull(b->until, &end, 0);
    if (!*end && end != b->until)
        return EMU_OK;
    t->steps = UINT64_MAX;
    if (!g->symbols)
        return diag_set(d, EMU_EINPUT, "--until %s: the image has no symbols; give --system-map or --vmlinux",
                        b->until);
    n = symbols_find_name(g->symbols, b->until, &s);
    if (n != 1)
        return diag_set(d, EMU_EINPUT,
                        n ? "--until %s: %zu symbols have this name" : "--until %s: no symbol has this name", b->until,
                        n);
    t->rip_gva = s.start_gva;
    return EMU_OK;
}

static double host_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void show_progress(struct guest *g, struct console *c, double started)
{
    char place[120], line[256];
    double s = host_seconds() - started;

    post_mortem_place(g->symbols, vcpu_rip(g->machine), place, sizeof(place));
    snprintf(line, sizeof(line), "[%.1f s] %.0f M steps, %.3f s virtual, vCPU %u at %s", s,
             (double)machine_steps(g->machine) / 1e6, (double)clock_now_ns(g->machine) / 1e9,
             machine_current(g->machine), place);
    console_progress(c, line);
}

static void run_to_the_end(struct boot *b, struct guest *g, struct console *c, const struct target *t, double started)
{
    struct machine *m = g->machine;
    uint64_t budget = b->steps_max ? b->steps_max : UINT64_MAX, random = 1;

    for (;;) {
        uint64_t slice = machine_steps(m) + SLICE_STEPS;

        if (b->extra_stops) {
            random = random * 6364136223846793005ull + 1442695040888963407ull;
            slice = machine_steps(m) + 1 + (random >> 20) % (2 * b->extra_stops);
        }
        struct machine_limits limits = {.steps_max = slice, .until_rip_gva = t->rip_gva};

        if (limits.steps_max > budget)
            limits.steps_max = budget;
        if (limits.steps_max > t->steps)
            limits.steps_max = t->steps;
        switch (machine_run(m, &limits)) {
        case MACHINE_STOPPED_VERDICT:
            return;
        case MACHINE_STOPPED_RIP:
            machine_set_verdict(m, VERDICT_PASS, NULL, "reached %s", b->until);
            return;
        case MACHINE_STOPPED_ASKED:
            if (c->matched)
                machine_set_verdict(m, VERDICT_PASS, NULL, "the console says what %s asks for", b->until);
            if (interrupted)
                machine_set_verdict(m, VERDICT_INTERRUPTED, NULL, "interrupted");
            break;
        case MACHINE_STOPPED_POSITION:
        case MACHINE_STOPPED_INTERRUPTIBLE:
        case MACHINE_STOPPED_NOT_RUNNABLE: /* not asked for */
            break;
        case MACHINE_STOPPED_STEPS:
            if (machine_steps(m) >= t->steps)
                machine_set_verdict(m, VERDICT_PASS, NULL, "reached step %" PRIu64, t->steps);
            else if (machine_steps(m) >= budget)
                machine_set_verdict(m, VERDICT_BUDGET, NULL, "the budget of %" PRIu64 " steps is used up", budget);
            break;
        }
        show_progress(g, c, started);
    }
}

static void print_json(struct guest *g, double host_s, uint64_t digest, const char *place)
{
    const struct verdict *v = machine_verdict(g->machine);
    char text[32];
    json_t *o;

    snprintf(text, sizeof(text), "%016" PRIx64, digest);
    o = json_pack("{s:s, s:s, s:I, s:I, s:f, s:i, s:s}", "verdict", verdict_kind_name(v->kind), "digest", text, "steps",
                  (json_int_t)machine_steps(g->machine), "virtual_ns", (json_int_t)clock_now_ns(g->machine), "host_s",
                  host_s, "vcpus", (int)machine_vcpus(g->machine), "reason", v->text);
    if (v->kind == VERDICT_FAIL || v->kind == VERDICT_UNMODELLED || v->kind == VERDICT_ERROR)
        json_object_set_new(o, "place",
                            json_pack("{s:i, s:I, s:I, s:s, s:s?}", "vcpu", (int)v->vcpu, "rip", (json_int_t)v->rip_gva,
                                      "position", (json_int_t)v->position, "symbol", place, "detector", v->detector));
    json_dumpf(o, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(o);
}

static int finish(struct boot *b, struct guest *g, double host_s)
{
    const struct verdict *v = machine_verdict(g->machine);
    bool about_place = v->kind == VERDICT_FAIL || v->kind == VERDICT_UNMODELLED || v->kind == VERDICT_ERROR;
    uint64_t digest = machine_digest(g->machine);
    FILE *to = b->json || b->digest ? stderr : stdout;
    char place[160];

    post_mortem_place(g->symbols, v->rip_gva, place, sizeof(place));
    if (about_place || v->kind == VERDICT_INTERRUPTED || v->kind == VERDICT_BUDGET)
        post_mortem_print(g->machine, g->symbols, to);
    fprintf(to, "%s: %s", verdict_kind_name(v->kind), v->text);
    if (about_place)
        fprintf(to, "; vCPU %u, step %" PRIu64 ", at %s", v->vcpu, v->position, place);
    fprintf(to, "\n%" PRIu64 " steps, %.6f s virtual, digest %016" PRIx64 ", %.2f s\n", machine_steps(g->machine),
            (double)clock_now_ns(g->machine) / 1e9, digest, host_s);
    if (b->stats) {
        struct engine_stats e;

        engine_get_stats(machine_engine(g->machine), &e);
        fprintf(to,
                "engine: %" PRIu64 " starts, %" PRIu64 " single steps, %" PRIu64 " blocks made, %" PRIu64
                " block misses, %" PRIu64 " vCPU switches, %" PRIu64 " device accesses\n",
                e.runs, e.single_steps, e.blocks_made, e.block_misses, e.switches, e.mmio);
    }
    if (b->digest)
        printf("%016" PRIx64 "\n", digest);
    if (b->json)
        print_json(g, host_s, digest, place);
    return verdict_exit_status(v->kind);
}

int boot_run(int argc, char **argv)
{
    static const struct argp_child children[] = {{&guest_argp, 0, "The guest and its machine:", 1}, {0}};
    static const struct argp argp = {options, parse, "IMAGE", doc, children, NULL, NULL};
    struct boot b = {0};
    struct guest g;
    struct console console = {0};
    struct target target = {0};
    struct sigaction action = {.sa_handler = on_signal};
    double started = host_seconds();
    int status;

    argp_err_exit_status = COMMAND_INPUT;
    argp_parse(&argp, argc, argv, 0, NULL, &b);
    console.to = b.json || b.digest ? stderr : stdout;
    if (b.console_path) {
        console.to = fopen(b.console_path, "w");
        if (!console.to) {
            (void)diag_set_at(&b.diag, EMU_EINPUT, b.console_path, 0, "can't be written: %s", strerror(errno));
            diag_print(&b.diag, "bootrace boot", stderr);
            return COMMAND_INPUT;
        }
    }
    if (guest_init(&g, &b.guest, &b.diag) != EMU_OK) {
        diag_print(&b.diag, "bootrace boot", stderr);
        return b.diag.text[0] ? COMMAND_INPUT : COMMAND_ERROR;
    }
    if (find_target(&b, &g, &console, &target, &b.diag) != EMU_OK) {
        diag_print(&b.diag, "bootrace boot", stderr);
        guest_fini(&g);
        return COMMAND_INPUT;
    }
    interrupted_machine = g.machine;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    trace_listen(g.machine, console_listen, &console);
    run_to_the_end(&b, &g, &console, &target, started);
    interrupted_machine = NULL;
    console_progress(&console, NULL);
    if (console.length && console.to)
        putc('\n', console.to);
    if (console.to)
        fflush(console.to);
    status = finish(&b, &g, host_seconds() - started);
    if (console.has_pattern)
        regfree(&console.pattern);
    if (b.console_path)
        fclose(console.to);
    guest_fini(&g);
    return status;
}
