/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/corpus.h"

#include <argp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/case/case.h"
#include "cli/case/case_guest.h"
#include "cli/command.h"
#include "cli/corpus_add.h"
#include "cli/corpus_list.h"
#include "cli/corpus_report.h"
#include "cli/corpus_show.h"
#include "cli/run/child.h"
#include "cli/run/console.h"
#include "cli/run/host_time.h"
#include "cli/run/json_text.h"
#include "cli/run/parse.h"
#include "emu/base/count.h"
#include "emu/base/plural.h"

#define JOBS_MAX 64u

/* ---- run ---- */

static const char run_doc[] = "Run cases, several at a time, and say which do not end as they expect.\v"
                              "A FOLDER stands for all *.yaml below it; without any argument it is ./corpus, or the "
                              "one that was installed.\n"
                              "\n"
                              "Examples:\n"
                              "  bootrace corpus run\n"
                              "  bootrace corpus run corpus/s0-late-module.yaml --verbose\n"
                              "  bootrace corpus run --jobs 8 --junit junit.xml --sarif bootrace.sarif\n"
                              "\n"
                              "Cases about a Debian kernel that `scripts/kernel` has not fetched are skipped.\n"
                              "Exit status: 0 all as expected, 1 some are not, 2 wrong input, 5 some could not be run, "
                              "130 interrupted.";

enum { KEY_TAP = 256, KEY_JUNIT, KEY_SARIF, KEY_GUESTS, KEY_JSON };

static const struct argp_option run_options[] = {
    {"jobs", 'j', "N", 0, "How many cases run at a time (default: the number of processors)", 0},
    {"tap", KEY_TAP, NULL, 0, "Print TAP (Test Anything Protocol) on standard output", 0},
    {"junit", KEY_JUNIT, "FILE", 0, "Write JUnit XML to FILE", 0},
    {"sarif", KEY_SARIF, "FILE", 0, "Write SARIF 2.1.0 to FILE", 0},
    {"guests", KEY_GUESTS, "FOLDER", 0, "Where free-standing guests are (default: beside this program)", 0},
    {"verbose", 'v', NULL, 0, "Also say how those cases ended that are as expected", 0},
    {0},
};

struct run {
    struct corpus_list list;
    unsigned jobs;
    bool tap, verbose;
    const char *junit, *sarif, *guests;
    struct diag diag;
};

static error_t parse_run(int key, char *arg, struct argp_state *state)
{
    struct run *r = state->input;
    enum emu_err err = EMU_OK;
    uint64_t n;

    switch (key) {
    case ARGP_KEY_ARG:
        err = corpus_list_add(&r->list, arg, &r->diag);
        break;
    case 'j':
        err = parse_number("the number of jobs", arg, 1, JOBS_MAX, &n, &r->diag);
        r->jobs = (unsigned)n;
        break;
    case 'v':
        r->verbose = true;
        break;
    case KEY_TAP:
        r->tap = true;
        break;
    case KEY_JUNIT:
        r->junit = arg;
        break;
    case KEY_SARIF:
        r->sarif = arg;
        break;
    case KEY_GUESTS:
        r->guests = arg;
        break;
    case ARGP_KEY_END:
        if (!r->list.count)
            err = corpus_list_add_default(&r->list, &r->diag);
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    if (err != EMU_OK) {
        diag_print(&r->diag, state->name, stderr);
        exit(COMMAND_INPUT);
    }
    return 0;
}

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = 1;
}

static enum emu_err start(const struct run *r, const struct corpus_entry *e, struct child *c, struct diag *d)
{
    const char *argv[8] = {"bootrace", "replay", "--json", "--quiet", "--check"};
    unsigned n = 5;
    char guests[CASE_PATH_BYTES + 16];

    if (r->guests) {
        snprintf(guests, sizeof(guests), "--guests=%s", r->guests);
        argv[n++] = guests;
    }
    argv[n++] = e->path;
    argv[n] = NULL;
    return child_start(c, NULL, (char *const *)(uintptr_t)argv, d);
}

/* The differences in one sentence, or what the program said when it could not run the case. */
static char *message_of(const struct corpus_entry *e, const struct child *c)
{
    const json_t *differences = json_object_get(e->report, "differences"), *one;
    const char *errors = child_errors(c), *colon = strstr(errors, ": ");
    char text[4096] = "";
    size_t i, used = 0;

    json_array_foreach(differences, i, one)
    {
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", i ? "; " : "", json_string_value(one));
        if (used >= sizeof(text))
            break;
    }
    if (!e->report) {
        if (colon && !strncmp(errors, "bootrace", 8))
            errors = colon + 2;
        if (*errors)
            snprintf(text, sizeof(text), "%.*s", (int)strcspn(errors, "\n"), errors);
        else
            snprintf(text, sizeof(text), "the run ended with status %d and said nothing", c->status);
    }
    return corpus_must(strdup(text));
}

/* A case on a kernel of Debian's that nobody has fetched is no failure. */
static bool skip(const struct run *r, struct corpus_entry *e)
{
    struct case_places places;
    struct case_guest guest;
    struct test_case c;
    struct diag d;
    bool skipped;

    diag_init(&d);
    if (case_read(&c, e->path, &d) != EMU_OK)
        return false;
    case_places_init(&places, r->guests);
    skipped = c.guest.debian && case_find_guest(&c, &places, &guest, &d) != EMU_OK;
    case_fini(&c);
    if (!skipped)
        return false;
    e->state = CORPUS_SKIPPED;
    e->message = corpus_must(strdup(d.text));
    return true;
}

static void take_result(struct corpus_entry *e, struct child *c, double started)
{
    e->report = json_loads(child_output(c), 0, NULL);
    e->host_s = host_time_s() - started;
    e->state = !e->report || c->status == COMMAND_ERROR || c->status == COMMAND_INPUT ? CORPUS_ERROR
               : c->status == COMMAND_PASS                                            ? CORPUS_EXPECTED
                                                                                      : CORPUS_DIFFERENT;
    e->message = message_of(e, c);
}

static void print_line(const struct run *r, const struct corpus_entry *e, size_t number)
{
    static const char *const words[] = {"", "ok", "DIFFERENT", "skipped", "ERROR"};
    bool names_file = e->message && !strncmp(e->message, e->path, strlen(e->path));

    if (r->tap) {
        corpus_print_tap(e, number, stdout);
        return;
    }
    printf("%-9s %-44s %s", words[e->state], e->id, corpus_report_text(e, "verdict"));
    if (*corpus_report_text(e, "detector"))
        printf(" (%s)", corpus_report_text(e, "detector"));
    printf("  %.1f s\n", e->host_s);
    if (e->state != CORPUS_EXPECTED)
        printf("          %s%s%s\n", names_file ? "" : e->path, names_file ? "" : ": ", e->message);
    else if (r->verbose)
        printf("          %s%s%s\n", corpus_report_text(e, "reason"), *corpus_report_text(e, "place") ? ", at " : "",
               corpus_report_text(e, "place"));
    fflush(stdout);
}

/* Runs all; prints each line as soon as all lines before it are printed. */
static void run_all(struct run *r)
{
    struct child children[JOBS_MAX] = {{.pid = 0}};
    size_t case_of[JOBS_MAX], next = 0, printed = 0, done = 0;
    double started_s[JOBS_MAX];
    struct console progress = {.to = NULL};
    unsigned running = 0;

    for (;;) {
        char line[160];
        int ended;

        for (unsigned i = 0; i < r->jobs && next < r->list.count && !interrupted; i++) {
            while (next < r->list.count && skip(r, &r->list.entry[next])) {
                next++;
                done++;
            }
            if (children[i].pid || next == r->list.count)
                continue;
            case_of[i] = next++;
            started_s[i] = host_time_s();
            if (start(r, &r->list.entry[case_of[i]], &children[i], &r->diag) != EMU_OK) {
                diag_print(&r->diag, "bootrace corpus run", stderr);
                exit(COMMAND_ERROR);
            }
            running++;
        }
        for (; printed < r->list.count && r->list.entry[printed].state != CORPUS_WAITS; printed++)
            print_line(r, &r->list.entry[printed], printed + 1);
        if (!running)
            break;
        snprintf(line, sizeof(line), "%zu of %zu cases done, %u running: %s", done, r->list.count, running,
                 r->list.entry[printed].id);
        console_progress(&progress, line);
        ended = child_wait_any(children, r->jobs, 200);
        if (interrupted) {
            for (unsigned i = 0; i < r->jobs; i++)
                child_fini(&children[i]);
            break;
        }
        if (ended < 0)
            continue;
        take_result(&r->list.entry[case_of[ended]], &children[ended], started_s[ended]);
        child_fini(&children[ended]);
        running--;
        done++;
        console_progress(&progress, NULL);
        for (; printed < r->list.count && r->list.entry[printed].state != CORPUS_WAITS; printed++)
            print_line(r, &r->list.entry[printed], printed + 1);
    }
    console_progress(&progress, NULL);
}

static int summarise(struct run *r, double seconds)
{
    size_t count[5] = {0};
    char skipped[40] = "";

    for (size_t i = 0; i < r->list.count; i++)
        count[r->list.entry[i].state]++;
    if (count[CORPUS_SKIPPED])
        snprintf(skipped, sizeof(skipped), ", %zu skipped", count[CORPUS_SKIPPED]);
    fprintf(r->tap ? stderr : stdout, "%zu case%s: %zu as expected, %zu different, %zu error%s%s%s; %.1f s\n",
            r->list.count, plural(r->list.count), count[CORPUS_EXPECTED], count[CORPUS_DIFFERENT], count[CORPUS_ERROR],
            plural(count[CORPUS_ERROR]), skipped, interrupted ? ", interrupted" : "", seconds);
    if ((r->junit && corpus_write_junit(r->junit, r->list.entry, r->list.count, &r->diag) != EMU_OK) ||
        (r->sarif && corpus_write_sarif(r->sarif, r->list.entry, r->list.count, &r->diag) != EMU_OK)) {
        diag_print(&r->diag, "bootrace corpus run", stderr);
        return COMMAND_INPUT;
    }
    if (interrupted)
        return COMMAND_INTERRUPTED;
    return count[CORPUS_DIFFERENT] ? COMMAND_FAIL : count[CORPUS_ERROR] ? COMMAND_ERROR : COMMAND_PASS;
}

static int run_cases(int argc, char **argv)
{
    static const struct argp argp = {run_options, parse_run, "[FOLDER|FILE...]", run_doc, NULL, NULL, NULL};
    struct sigaction action = {.sa_handler = on_signal};
    struct run r = {.jobs = 0};
    double started = host_time_s();
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    int status;

    argp_parse(&argp, argc, argv, 0, NULL, &r);
    if (!r.jobs)
        r.jobs = processors < 1 ? 1 : (processors > (long)JOBS_MAX ? JOBS_MAX : (unsigned)processors);
    if ((r.junit && command_check_output(r.junit, false, &r.diag) != EMU_OK) ||
        (r.sarif && command_check_output(r.sarif, false, &r.diag) != EMU_OK)) {
        diag_print(&r.diag, "bootrace corpus run", stderr);
        corpus_list_fini(&r.list);
        return COMMAND_INPUT;
    }
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (r.tap)
        corpus_print_tap_plan(r.list.count, stdout);
    run_all(&r);
    status = summarise(&r, host_time_s() - started);
    corpus_list_fini(&r.list);
    return status;
}

/* ---- list ---- */

static const char list_doc[] = "List cases: name, what is expected, title.\v"
                               "Examples:\n"
                               "  bootrace corpus list\n"
                               "  bootrace corpus list corpus --json\n\n"
                               "Exit status: 0, or 2 if a file is not a case.";

static const struct argp_option list_options[] = {
    {"json", KEY_JSON, NULL, 0, "Print one JSON array", 0},
    {0},
};

struct listing {
    struct corpus_list list;
    bool json;
    struct diag diag;
};

static error_t parse_list(int key, char *arg, struct argp_state *state)
{
    struct listing *l = state->input;
    enum emu_err err = EMU_OK;

    if (key == ARGP_KEY_ARG)
        err = corpus_list_add(&l->list, arg, &l->diag);
    else if (key == KEY_JSON)
        l->json = true;
    else if (key == ARGP_KEY_END && !l->list.count)
        err = corpus_list_add_default(&l->list, &l->diag);
    else if (key != ARGP_KEY_END)
        return ARGP_ERR_UNKNOWN;
    if (err != EMU_OK) {
        diag_print(&l->diag, state->name, stderr);
        exit(COMMAND_INPUT);
    }
    return 0;
}

static int list_cases(int argc, char **argv)
{
    static const struct argp argp = {list_options, parse_list, "[FOLDER|FILE...]", list_doc, NULL, NULL, NULL};
    struct listing l = {.json = false};
    json_t *all = json_array();
    int status = COMMAND_PASS;

    argp_parse(&argp, argc, argv, 0, NULL, &l);
    for (size_t i = 0; i < l.list.count; i++) {
        struct test_case c;

        if (case_read(&c, l.list.entry[i].path, &l.diag) != EMU_OK) {
            diag_print(&l.diag, "bootrace corpus list", stderr);
            status = COMMAND_INPUT;
            continue;
        }
        if (l.json)
            json_array_append_new(
                all, json_pack("{s:o, s:o, s:o, s:o}", "id", json_text(l.list.entry[i].id), "file", json_text(c.path),
                               "expect", json_text(verdict_kind_name(c.expect.verdict)), "title", json_text(c.title)));
        else
            printf("%-44s %-5s %s\n", l.list.entry[i].id, verdict_kind_name(c.expect.verdict), c.title);
        case_fini(&c);
    }
    if (l.json) {
        json_show(all);
    }
    json_decref(all);
    corpus_list_fini(&l.list);
    return status;
}

int corpus_run(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } actions[] = {{"run", run_cases}, {"list", list_cases}, {"show", corpus_show_run}, {"add", corpus_add_run}};
    char name[64];

    argp_err_exit_status = COMMAND_INPUT;
    for (unsigned i = 0; argc > 1 && i < COUNT(actions); i++) {
        if (strcmp(argv[1], actions[i].name))
            continue;
        snprintf(name, sizeof(name), "bootrace corpus %s", actions[i].name);
        argv[1] = name;
        return actions[i].run(argc - 1, argv + 1);
    }
    if (argc > 1 && strcmp(argv[1], "--help") && strcmp(argv[1], "-?")) {
        fprintf(stderr, "bootrace corpus: there is no '%s'; `bootrace corpus --help` says what there is\n", argv[1]);
        return COMMAND_INPUT;
    }
    fprintf(argc > 1 ? stdout : stderr, "Usage: bootrace corpus run|list|show|add [OPTION...] [ARGUMENT...]\n\n"
                                        "  run    run cases and say which do not end as they expect\n"
                                        "  list   list cases\n"
                                        "  show   say what a case is\n"
                                        "  add    put a found failure into a corpus\n\n"
                                        "`bootrace corpus run --help` explains one.\n");
    return argc > 1 ? COMMAND_PASS : COMMAND_INPUT;
}
