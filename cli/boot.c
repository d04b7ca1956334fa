/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/boot.h"

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli/case/record.h"
#include "cli/command.h"
#include "cli/run/guest.h"
#include "cli/run/json_text.h"
#include "cli/run/parse.h"
#include "cli/run/session.h"
#include "cli/run/snapshot_plan.h"
#include "emu/engine.h"
#include "emu/snapshot_file.h"

static const char doc[] = "Boot a guest kernel on the modelled Xen host, deterministically.\v"
                          "IMAGE is a bzImage, an ELF vmlinux or a free-standing ELF guest with a Xen PVH entry.\n"
                          "\n"
                          "Examples:\n"
                          "  bootrace boot vmlinuz --initrd initrd.img\n"
                          "  bootrace boot vmlinuz --vcpus 4 --cmdline 'console=hvc0 nokaslr' --digest\n"
                          "  bootrace boot vmlinuz --mode hvm --vcpus 3 --online 2 --hotplug script\n"
                          "  bootrace boot vmlinuz --until start_kernel\n"
                          "  bootrace boot vmlinuz --until 'console:Run /init' --json\n"
                          "  bootrace boot vmlinuz --record boot.yaml && bootrace replay boot.yaml\n"
                          "  bootrace boot vmlinuz --vcpus 4 --disturb 7 --record boot.yaml\n"
                          "  bootrace boot vmlinuz --snapshot-at 1000000000 here.snap\n"
                          "  bootrace boot --from here.snap\n"
                          "  bootrace boot vmlinuz --detect op-table\n"
                          "  bootrace boot vmlinuz --vcpus 4 --detect unsynchronised-code\n"
                          "\n"
                          "Exit status: 0 PASS, 1 FAIL (crash, hang, or what --detect names), 2 wrong input, 3 "
                          "UNMODELLED (the guest left the model), 4 BUDGET (--steps-max), 5 ERROR (bootrace or the "
                          "host failed), 130 interrupted.";

enum {
    KEY_UNTIL = 256,
    KEY_STEPS_MAX,
    KEY_DIGEST,
    KEY_JSON,
    KEY_CONSOLE,
    KEY_CONSOLE_STREAM,
    KEY_STATS,
    KEY_STOPS,
    KEY_RECORD,
    KEY_SCHEDULE,
    KEY_DISTURB,
    KEY_CALLS,
    KEY_FROM,
    KEY_SNAPSHOT_AT,
    KEY_HOTPLUG
};

static const struct argp_option options[] = {
    {"until", KEY_UNTIL, "PLACE", 0,
     "Stop with PASS at a symbol, after a number of steps, or when a line of the console "
     "matches (console:REGEX)",
     0},
    {"steps-max", KEY_STEPS_MAX, "N", 0, "Stop with BUDGET after N guest steps (default: no limit)", 0},
    {"digest", KEY_DIGEST, NULL, 0, "Print only the digest of the final state on standard output", 0},
    {"json", KEY_JSON, NULL, 0,
     "Print one JSON object on standard output at the end; the console goes to standard error", 0},
    {"console", KEY_CONSOLE, "FILE", 0, "Write the guest's console to FILE instead", 0},
    {"console-stream", KEY_CONSOLE_STREAM, "auto|ring|io|both", 0,
     "Which of the guest's consoles to show: its console ring, the hypercall console_io "
     "(Xen's own console), both as they come, or (auto, the default) the ring once it is in "
     "use",
     0},
    {"record", KEY_RECORD, "FILE", 0,
     "Write the run to FILE as a case, with digests of its state at intervals; `bootrace "
     "replay FILE` runs and checks it",
     0},
    {"schedule", KEY_SCHEDULE, "FILE", 0,
     "Read the decisions that differ from the default from FILE, one on each line "
     "(docs/schedule.md)",
     0},
    {"hotplug", KEY_HOTPLUG, "SCRIPT", 0,
     "Plug and unplug vCPUs as the toolstack does: SCRIPT has lines 'STEPS plug N' and 'STEPS "
     "unplug N' (steps of all vCPUs)",
     0},
    {"disturb", KEY_DISTURB, "SEED[:N]", 0,
     "Make the host unfair: about every N steps (default: 1000000) it preempts a vCPU, lets "
     "time pass, or lets a timer expire early or late",
     0},
    {"extra-stops", KEY_STOPS, "N", 0,
     "Stop and resume the engine about every N steps, at arbitrary places; the run must stay "
     "the same",
     0},
    {"calls", KEY_CALLS, "FILE", 0, "Write every hypercall with its answer to FILE", 0},
    {"snapshot-at", KEY_SNAPSHOT_AT, "POSITION FILE", 0,
     "Write a snapshot of the machine to FILE after N steps of all vCPUs, or after N steps of "
     "one (VCPU:N); may be repeated",
     0},
    {"from", KEY_FROM, "FILE", 0,
     "Continue from a snapshot file. IMAGE then only gives the symbols; it may be omitted, "
     "and so may all options of the guest",
     0},
    {"stats", KEY_STATS, NULL, 0, "Print the engine's counters at the end", 0},
    {0},
};

#define DISTURB_STEPS_DEFAULT 1000000u

struct boot {
    struct guest_options guest;
    struct session_options session;
    struct snapshot_plan snapshots;
    const char *from;
    bool digest, json, stats;
    const char *console_path, *calls_path, *hotplug_path;
    struct hotplug hotplug;
    const char *record_path, *schedule_path;
    struct schedule schedule, record;
    struct diag diag;
};

static enum emu_err parse_disturb(struct boot *b, const char *text, struct diag *d)
{
    const char *colon = strchr(text, ':');
    char seed[32];
    enum emu_err err;

    snprintf(seed, sizeof(seed), "%.*s", colon ? (int)(colon - text) : (int)sizeof(seed) - 1, text);
    b->session.disturb_steps = DISTURB_STEPS_DEFAULT;
    err = parse_number("the seed of --disturb", seed, 1, UINT64_MAX, &b->session.disturb_seed, d);
    if (err == EMU_OK && colon)
        err = parse_number("the distance of disturbances", colon + 1, 1, UINT64_MAX / 4, &b->session.disturb_steps, d);
    return err;
}

/* NOLINTNEXTLINE(readability-function-size): a case for each option */
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
        b->session.until = arg;
        break;
    case KEY_STEPS_MAX:
        err = parse_number("the budget of steps", arg, 1, UINT64_MAX - 1, &b->session.steps_max, d);
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
    case KEY_CONSOLE_STREAM:
        err = console_parse_stream(arg, &b->session.stream, d);
        break;
    case KEY_RECORD:
        b->record_path = arg;
        break;
    case KEY_SCHEDULE:
        b->schedule_path = arg;
        break;
    case KEY_DISTURB:
        err = parse_disturb(b, arg, d);
        break;
    case KEY_STOPS:
        err = parse_number("the distance of extra stops", arg, 1, UINT64_MAX / 4, &b->session.extra_stops, d);
        break;
    case KEY_CALLS:
        b->calls_path = arg;
        break;
    case KEY_HOTPLUG:
        b->hotplug_path = arg;
        break;
    case KEY_STATS:
        b->stats = true;
        break;
    case KEY_FROM:
        b->from = arg;
        break;
    case KEY_SNAPSHOT_AT:
        if (state->next >= state->argc)
            argp_error(state, "--snapshot-at %s: to which file? For example: --snapshot-at 1000000 here.snap", arg);
        err = snapshot_plan_add(&b->snapshots, arg, state->argv[state->next++], d);
        break;
    case ARGP_KEY_END:
        if (b->json && b->digest)
            argp_error(state, "give either --json or --digest: the JSON object contains the digest");
        if (b->schedule_path && b->session.disturb_seed)
            argp_error(state, "--disturb makes its own schedule and can't be combined with --schedule");
        if (!b->guest.kernel && !b->from)
            argp_error(state, "which IMAGE? For example: bootrace boot vmlinuz");
        if (b->from && (b->record_path || b->schedule_path || b->hotplug_path))
            argp_error(state, "--from can't be combined with --record, --schedule or --hotplug: these begin with the "
                              "boot");
        if (b->from && b->guest.detect)
            argp_error(state, "--from can't be combined with --detect: a detector has to see the boot from its start");
        if (b->snapshots.count && b->schedule_path)
            argp_error(state, "--snapshot-at can't be combined with --schedule: a snapshot holds no decisions");
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

static int finish(struct boot *b, struct session *s)
{
    struct machine *m = s->guest.machine;
    FILE *to = b->json || b->digest ? stderr : stdout;

    session_print(s, to);
    if (b->stats) {
        struct engine_stats e;

        engine_get_stats(machine_engine(m), &e);
        fprintf(to,
                "engine: %" PRIu64 " starts, %" PRIu64 " single steps, %" PRIu64 " blocks made, %" PRIu64
                " block misses, %" PRIu64 " vCPU switches, %" PRIu64 " device accesses\n",
                e.runs, e.single_steps, e.blocks_made, e.block_misses, e.switches, e.mmio);
    }
    if (b->digest)
        printf("%016" PRIx64 "\n", machine_digest(m));
    if (b->json) {
        json_t *o = session_json(s);

        json_show(o);
        json_decref(o);
    }
    return verdict_exit_status(machine_verdict(m)->kind);
}

static enum emu_err write_record(struct boot *b, struct session *s, struct diag *d)
{
    struct outcome outcome;
    struct record r = {
        .guest = &s->guest.options,
        .schedule = &b->record,
        .outcome = &outcome,
        .until = b->session.until,
        .steps_max = b->session.steps_max,
    };

    outcome_init(&outcome);
    outcome_of_session(&outcome, s);
    return record_write(&r, b->record_path, d);
}

static int run(struct boot *b)
{
    struct session s;
    enum emu_err err;
    int status;

    if (session_init(&s, &b->guest, &b->session, &b->diag) != EMU_OK) {
        diag_print(&b->diag, "bootrace boot", stderr);
        return b->diag.text[0] ? COMMAND_INPUT : COMMAND_ERROR;
    }
    err = session_run(&s, &b->diag);
    if (err == EMU_OK) {
        status = finish(b, &s);
        if (b->record_path && status != COMMAND_INTERRUPTED)
            err = write_record(b, &s, &b->diag);
    }
    if (err != EMU_OK) {
        diag_print(&b->diag, "bootrace boot", stderr);
        status = COMMAND_INPUT;
    }
    session_fini(&s);
    if (!snapshot_plan_finish(&b->snapshots) && status == COMMAND_PASS)
        status = COMMAND_INPUT;
    return status;
}

/* All that is written when the run is over. */
static enum emu_err check_outputs(const struct boot *b, struct diag *d)
{
    enum emu_err err = b->record_path ? command_check_output(b->record_path, true, d) : EMU_OK;

    if (err == EMU_OK && b->record_path)
        err = record_check(&b->guest, b->record_path, d);

    for (unsigned i = 0; err == EMU_OK && i < b->snapshots.count; i++)
        err = command_check_output(b->snapshots.at[i].path, true, d);
    return err;
}

static int close_output(FILE *f, const char *path, int status)
{
    struct diag d;
    enum emu_err err = f ? command_close_output(f, path, &d) : EMU_OK;

    return err == EMU_OK ? status : command_fail("bootrace boot", err, &d);
}

static bool open_output(const char *path, FILE **out)
{
    struct diag d;

    *out = fopen(path, "w");
    if (*out)
        return true;
    (void)diag_set_at(&d, EMU_EINPUT, path, 0, "can't be written: %s", strerror(errno));
    diag_print(&d, "bootrace boot", stderr);
    return false;
}

int boot_run(int argc, char **argv)
{
    static const struct argp_child children[] = {{&guest_argp, 0, "The guest and its machine:", 1}, {0}};
    static const struct argp argp = {options, parse, "IMAGE", doc, children, NULL, NULL};
    struct boot b = {0};
    struct snapshot_file *from = NULL;
    FILE *console = NULL;
    FILE *calls = NULL;
    int status;

    argp_err_exit_status = COMMAND_INPUT;
    argp_parse(&argp, argc, argv, 0, NULL, &b);
    b.session.console = b.json || b.digest ? stderr : stdout;
    b.session.snapshots = b.snapshots.count ? &b.snapshots : NULL;
    if (check_outputs(&b, &b.diag) != EMU_OK) {
        diag_print(&b.diag, "bootrace boot", stderr);
        return COMMAND_INPUT;
    }
    if ((b.console_path && !open_output(b.console_path, &console)) ||
        (b.calls_path && !open_output(b.calls_path, &calls)))
        return COMMAND_INPUT;
    if (console)
        b.session.console = console;
    b.session.calls = calls;
    schedule_init(&b.schedule);
    schedule_init(&b.record);
    if ((b.from && snapshot_file_open(b.from, &from, &b.diag) != EMU_OK) ||
        (b.schedule_path && schedule_read(b.schedule_path, &b.schedule, &b.diag) != EMU_OK) ||
        (b.hotplug_path && hotplug_read(b.hotplug_path, &b.hotplug, &b.diag) != EMU_OK)) {
        diag_print(&b.diag, "bootrace boot", stderr);
        status = COMMAND_INPUT;
    } else {
        b.guest.snapshot = from;
        b.session.schedule = b.schedule_path ? &b.schedule : NULL;
        b.session.schedule_file = b.schedule_path;
        b.session.hotplug = b.hotplug_path ? &b.hotplug : NULL;
        b.session.record = b.record_path ? &b.record : NULL;
        status = run(&b);
    }
    snapshot_file_close(from);
    schedule_fini(&b.schedule);
    schedule_fini(&b.record);
    status = close_output(console, b.console_path, status);
    return close_output(calls, b.calls_path, status);
}
