/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/replay.h"

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/case/case.h"
#include "cli/case/case_guest.h"
#include "cli/case/case_search.h"
#include "cli/case/load.h"
#include "cli/case/outcome.h"
#include "cli/command.h"
#include "cli/run/diverge.h"
#include "cli/run/json_text.h"
#include "cli/run/parse.h"
#include "cli/run/session.h"

#define CONSOLE_BYTES_MAX (8u << 20) /* of what a pattern is looked for in */

static const char doc[] = "Run a case again: its guest, its machine, its schedule or search.\v"
                          "CASE is a file as `bootrace boot --record` and `bootrace fuzz --out` write it, and as "
                          "corpus/ holds them; docs/case.md describes it. The run is checked against what the case "
                          "expects, and against the digests in its schedule.\n"
                          "\n"
                          "Examples:\n"
                          "  bootrace replay corpus/s0-late-module.yaml\n"
                          "  bootrace replay found.yaml --json --console console.txt\n"
                          "  bootrace replay old.yaml --check && echo still the same\n"
                          "  bootrace replay old.yaml --against ../bootrace-0.1/bootrace\n"
                          "\n"
                          "Exit status: that of the run: 0 PASS, 1 FAIL, 3 UNMODELLED, 4 BUDGET; 2 wrong input "
                          "(the case file), 5 ERROR (the case does not fit its guest), 130 interrupted. With "
                          "--check: 0 as expected, 1 not.";

enum { KEY_JSON = 256, KEY_CHECK, KEY_CONSOLE, KEY_GUESTS, KEY_QUIET, KEY_DIGESTS, KEY_AGAINST };

static const struct argp_option options[] = {
    {"against", KEY_AGAINST, "PROGRAM", 0,
     "Name the first step at which the run differs from one by PROGRAM: the bootrace that "
     "recorded the case, or this one again",
     0},
    {"digests", KEY_DIGESTS, "FIRST,EVERY,LAST", 0,
     "Print the state's digest at these steps of all vCPUs, one on each line; digests in the "
     "schedule are not checked",
     0},
    {"check", KEY_CHECK, NULL, 0, "Exit with 0 if the run ends as the case expects, and with 1 if not", 0},
    {"console", KEY_CONSOLE, "FILE", 0, "Write the guest's console to FILE instead", 0},
    {"guests", KEY_GUESTS, "FOLDER", 0, "Where free-standing guests are (default: beside this program)", 0},
    {"json", KEY_JSON, NULL, 0,
     "Print one JSON object on standard output at the end; the console goes to standard error", 0},
    {"quiet", KEY_QUIET, NULL, 0, "Show no console and no post mortem", 0},
    {0},
};

struct replay {
    const char *path;
    const char *console_path;
    const char *guests;
    const char *against;
    bool check, json, quiet, digests;
    uint64_t digest_at[3]; /* first, every, last */
    struct test_case c;
    struct case_guest guest;
    struct outcome outcome;
    struct schedule schedule;
    FILE *console_file;
    char *console; /* what the guest wrote, if the case expects something of it */
    size_t console_bytes;
};

/* FIRST,EVERY,LAST. */
static bool parse_digests(const char *text, uint64_t at[3])
{
    return parse_take_number(&text, UINT64_MAX / 2, &at[0]) && *text++ == ',' &&
           parse_take_number(&text, UINT64_MAX / 2, &at[1]) && *text++ == ',' &&
           parse_take_number(&text, UINT64_MAX / 2, &at[2]) && !*text && at[1] && at[0] <= at[2];
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct replay *r = state->input;

    switch (key) {
    case ARGP_KEY_ARG:
        if (r->path)
            argp_error(state, "one CASE is enough: '%s' is too many; `bootrace corpus run` takes several", arg);
        r->path = arg;
        break;
    case KEY_CHECK:
        r->check = true;
        break;
    case KEY_CONSOLE:
        r->console_path = arg;
        break;
    case KEY_GUESTS:
        r->guests = arg;
        break;
    case KEY_JSON:
        r->json = true;
        break;
    case KEY_QUIET:
        r->quiet = true;
        break;
    case KEY_AGAINST:
        r->against = arg;
        break;
    case KEY_DIGESTS:
        r->digests = true;
        if (!parse_digests(arg, r->digest_at))
            argp_error(state, "--digests takes three numbers, like 0,1000,50000, not '%s'", arg);
        break;
    case ARGP_KEY_END:
        if (!r->path)
            argp_error(state, "which CASE? For example: bootrace replay corpus/s0-late-module.yaml");
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static void keep_console(struct machine *m, const struct trace_fact *fact, void *context)
{
    struct replay *r = context;

    if (fact->kind != TRACE_CONSOLE || r->console_bytes + 1 >= CONSOLE_BYTES_MAX)
        return;
    if (fact->a != '\r' && fact->a != '\0')
        r->console[r->console_bytes++] = (char)fact->a;
    r->console[r->console_bytes] = '\0';
}

/* The run differs from the recorded one at a checkpoint: between which, and, if asked for, at which step. */
static enum emu_err explain_difference(struct replay *r, struct session *s, struct diag *d)
{
    const char *arguments[4] = {r->path};
    char at[2][DECISION_TEXT_BYTES], guests[CASE_PATH_BYTES + 16];
    const struct decision *good, *failed = session_failed_check(s, &good);
    struct first_difference part;
    enum emu_err err;

    if (!failed)
        return EMU_EINPUT;
    decision_print(failed, at[0], sizeof(at[0]));
    if (good)
        decision_print(good, at[1], sizeof(at[1]));
    if (!r->against)
        return diag_set_at(d, EMU_EINPUT, r->path, failed->line,
                           "the run is not the recorded one any more: here its digest is %016" PRIx64 ", not "
                           "%016" PRIx64
                           "; %s%.100s%s. --against PROGRAM, with the bootrace that recorded it, names the "
                           "first step",
                           machine_digest(s->guest.machine), failed->value, good ? "at the check before ('" : "",
                           good ? at[1] : "no check came before", good ? "') it still was" : "");
    if (r->guests) {
        snprintf(guests, sizeof(guests), "--guests=%s", r->guests);
        arguments[1] = guests;
    }
    err = diverge_find(arguments, r->against, machine_steps(s->guest.machine), &part, d);
    if (err != EMU_OK)
        return err;
    if (!part.found)
        return diag_set_at(
            d, EMU_EINPUT, r->path, failed->line,
            "the run is not the recorded one any more ('%.100s'), but %.200s runs it as this program does", at[0],
            r->against);
    return diag_set_at(d, EMU_EINPUT, r->path, failed->line,
                       "the run is not the recorded one any more: step %" PRIu64 " is the first to differ from %.200s: "
                       "made from %s, it leads to %016" PRIx64 " here and to %016" PRIx64 " there",
                       part.step, r->against, part.before[0] ? part.before : "the start", part.ours, part.theirs);
}

/* What a user sees of the run itself. */
static FILE *reports_to(const struct replay *r)
{
    return r->json ? stderr : stdout;
}

static enum emu_err run_once(struct replay *r, struct diag *d)
{
    struct session_options o = {
        .until = r->c.limits.until,
        .steps_max = r->c.limits.steps_max == CASE_NONE ? 0 : r->c.limits.steps_max,
        .console = r->console_file ? r->console_file
                   : r->quiet      ? NULL
                                   : reports_to(r),
    };
    struct session s;
    enum emu_err err;

    o.schedule = r->c.schedule ? &r->schedule : NULL;
    o.schedule_file = r->path;
    if (r->digests) {
        schedule_forget_checks(&r->schedule);
        o.digests.first = r->digest_at[0];
        o.digests.every = r->digest_at[1];
        o.digests.last = r->digest_at[2];
        o.digests.to = stdout;
        o.console = NULL;
    }
    if (r->c.expect.console) {
        r->console = calloc(1, CONSOLE_BYTES_MAX);
        if (!r->console)
            return diag_no_memory(d);
    }
    err = session_init(&s, &r->guest.options, &o, d);
    if (err != EMU_OK)
        return err;
    if (r->console)
        trace_listen(s.guest.machine, keep_console, r);
    err = session_run(&s, d);
    if (err == EMU_OK) {
        if (!r->quiet && !r->digests)
            session_print(&s, reports_to(r));
        outcome_of_session(&r->outcome, &s);
    } else {
        err = explain_difference(r, &s, d);
    }
    session_fini(&s);
    return err;
}

static enum emu_err run_search(struct replay *r, struct diag *d)
{
    struct child child;
    enum emu_err err = case_search_run(&r->c, &r->guest, &child, d);

    if (err != EMU_OK)
        return err;
    if (!r->quiet)
        fputs(child_errors(&child), reports_to(r));
    if (child.status == COMMAND_INPUT || child.status == COMMAND_ERROR ||
        !outcome_of_search(&r->outcome, child_output(&child), child.status))
        err = case_search_refused(&r->c, &child, d);
    child_fini(&child);
    return err;
}

static enum emu_err run_load(struct replay *r, struct diag *d)
{
    enum emu_err err = load_check(&r->c, &r->guest.options, &r->outcome, d);

    if (err == EMU_OK && !r->quiet)
        fprintf(reports_to(r), "%s: %s\n", verdict_kind_name(r->outcome.verdict), r->outcome.text);
    return err;
}

static void print_outcome(const struct replay *r)
{
    FILE *to = reports_to(r);

    if (r->outcome.unfit)
        fprintf(stderr, "bootrace replay: ERROR: %s\n", r->outcome.text);
    else if (outcome_is_expected(&r->outcome))
        fprintf(to, "as the case expects: %s\n", r->c.title);
    for (unsigned i = 0; i < r->outcome.differences && !r->outcome.unfit; i++)
        fprintf(to, "not as the case expects: %s\n", r->outcome.difference[i]);
    if (r->json) {
        json_t *o = outcome_json(&r->outcome, &r->c);

        json_show(o);
        json_decref(o);
    }
}

static int status_of(const struct replay *r)
{
    if (r->outcome.verdict == VERDICT_INTERRUPTED)
        return COMMAND_INTERRUPTED;
    if (r->check && !r->outcome.unfit)
        return outcome_is_expected(&r->outcome) ? COMMAND_PASS : COMMAND_FAIL;
    return verdict_exit_status(r->outcome.verdict);
}

static enum emu_err prepare(struct replay *r, struct diag *d)
{
    enum emu_err err = case_read(&r->c, r->path, d);

    if (err == EMU_OK && r->against && strchr(r->against, '/') && access(r->against, X_OK))
        err = diag_set_at(d, EMU_EINPUT, r->against, 0, "can't be run: %s", strerror(errno));
    if (err == EMU_OK)
        err = case_prepare(&r->c, r->guests, &r->guest, &r->schedule, d);
    if (err == EMU_OK && r->console_path) {
        r->console_file = fopen(r->console_path, "w");
        if (!r->console_file)
            err = diag_set_at(d, EMU_EINPUT, r->console_path, 0, "can't be written: %s", strerror(errno));
    }
    return err;
}

int replay_run(int argc, char **argv)
{
    static const struct argp argp = {options, parse, "CASE", doc, NULL, NULL, NULL};
    struct replay r = {.path = NULL};
    enum emu_err err;
    struct diag d;
    int status = COMMAND_INPUT;

    argp_err_exit_status = COMMAND_INPUT;
    argp_parse(&argp, argc, argv, 0, NULL, &r);
    outcome_init(&r.outcome);
    case_init(&r.c);
    schedule_init(&r.schedule);
    if (prepare(&r, &d) != EMU_OK) {
        diag_print(&d, "bootrace replay", stderr);
    } else {
        err = case_check_image(&r.c, &r.guest, &d);
        if (err == EMU_OK)
            err = r.c.load.as ? run_load(&r, &d) : r.c.search.window ? run_search(&r, &d) : run_once(&r, &d);
        if (err != EMU_OK)
            outcome_set_unfit(&r.outcome, &d);
        if (!r.digests || r.outcome.unfit) {
            outcome_compare(&r.outcome, &r.c, r.console);
            print_outcome(&r);
        }
        status = r.digests && !r.outcome.unfit ? COMMAND_PASS : status_of(&r);
    }
    if (r.console_file) {
        err = command_close_output(r.console_file, r.console_path, &d);
        if (err != EMU_OK)
            status = command_fail("bootrace replay", err, &d);
    }
    free(r.console);
    schedule_fini(&r.schedule);
    case_fini(&r.c);
    return status;
}
