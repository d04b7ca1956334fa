/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/report.h"

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/case/case_guest.h"
#include "cli/command.h"
#include "cli/report/story.h"
#include "cli/run/parse.h"

#define AROUND_NS_MAX 1000000000ull

static const char doc[] = "Tell what happened in a run: in sentences, on a timeline, with the bytes that were "
                          "changed.\v"
                          "CASE is a file as `bootrace boot --record` and `bootrace fuzz --out` write it (its name "
                          "ends in .yaml); or give a guest's IMAGE with the options of `bootrace boot`, and a "
                          "schedule. The run is made again two or three times: as a whole, and in detail around "
                          "the schedule's last decision and around its end. If CASE is a search, the search is "
                          "made first, and the report is about one of the failures that it finds.\n"
                          "\n"
                          "Examples:\n"
                          "  bootrace report corpus/s0-late-module.yaml\n"
                          "  bootrace report found.yaml -o report.html\n"
                          "  bootrace report corpus/s1-timer-byte.yaml --failure 2 -o race.html\n"
                          "  bootrace report found.yaml --format perfetto -o trace.json\n"
                          "  bootrace report guest.elf --mode hvm --vcpus 1 --schedule race.txt \\\n"
                          "      -o report.html --around 200000\n"
                          "\n"
                          "The format follows from FILE's name: .html is one file for a browser, .json a trace for "
                          "ui.perfetto.dev, all else text. Exit status: 0 the report is written (whatever the "
                          "verdict in it), 2 wrong input, 5 ERROR (bootrace or the host failed), 130 interrupted.";

enum { KEY_FORMAT = 256, KEY_AROUND, KEY_SCHEDULE, KEY_STEPS_MAX, KEY_UNTIL, KEY_GUESTS, KEY_FAILURE };

static const struct argp_option options[] = {
    {"output", 'o', "FILE", 0, "Write the report to FILE (default: text on standard output)", 0},
    {"format", KEY_FORMAT, "html|text|perfetto", 0, "The format (default: as FILE's name says)", 0},
    {"around", KEY_AROUND, "NS", 0, "How much virtual time to show in detail before and after (default: 1000000)", 0},
    {"failure", KEY_FAILURE, "N", 0, "If CASE is a search: take its N-th failure (default: the first)", 0},
    {"schedule", KEY_SCHEDULE, "FILE", 0,
     "Read the decisions that differ from the default from FILE, one on each line "
     "(docs/schedule.md)",
     0},
    {"steps-max", KEY_STEPS_MAX, "N", 0, "Stop after N guest steps (default: as the case says, or no limit)", 0},
    {"until", KEY_UNTIL, "PLACE", 0,
     "Stop with PASS at a symbol, after a number of steps, or when a line of the console "
     "matches (console:REGEX)",
     0},
    {"guests", KEY_GUESTS, "FOLDER", 0, "Where a case's free-standing guests are (default: beside this program)", 0},
    {0},
};

enum format { FORMAT_BY_NAME, FORMAT_HTML, FORMAT_TEXT, FORMAT_PERFETTO };

struct arguments {
    struct guest_options guest;
    struct session_options session;
    const char *output, *schedule, *guests;
    enum format format;
    uint64_t around_ns;

    struct test_case c;
    bool has_case;
    struct case_guest case_guest;
    struct schedule decisions;
    uint64_t failure; /* 0: not given */
    struct case_search_failure finding;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    static const char *const formats[] = {
        [FORMAT_HTML] = "html", [FORMAT_TEXT] = "text", [FORMAT_PERFETTO] = "perfetto"};
    struct arguments *a = state->input;
    enum emu_err err = EMU_OK;
    struct diag d;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &a->guest;
        break;
    case 'o':
        a->output = arg;
        break;
    case KEY_FORMAT:
        for (unsigned i = FORMAT_HTML; i <= FORMAT_PERFETTO; i++)
            if (!strcmp(arg, formats[i]))
                a->format = (enum format)i;
        if (!a->format)
            argp_error(state, "the format is html, text or perfetto, not '%s'", arg);
        break;
    case KEY_AROUND:
        err = parse_number("the time around", arg, 1000, AROUND_NS_MAX, &a->around_ns, &d);
        break;
    case KEY_FAILURE:
        err = parse_number("the number of the failure", arg, 1, UINT32_MAX, &a->failure, &d);
        break;
    case KEY_SCHEDULE:
        a->schedule = arg;
        break;
    case KEY_STEPS_MAX:
        err = parse_number("the budget of steps", arg, 1, UINT64_MAX - 1, &a->session.steps_max, &d);
        break;
    case KEY_UNTIL:
        a->session.until = arg;
        break;
    case KEY_GUESTS:
        a->guests = arg;
        break;
    case ARGP_KEY_END:
        if (!a->guest.kernel)
            argp_error(state, "which CASE or IMAGE? For example: bootrace report corpus/s0-late-module.yaml");
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    if (err != EMU_OK) {
        diag_print(&d, "bootrace report", stderr);
        exit(COMMAND_INPUT);
    }
    return 0;
}

static bool ends_in(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);

    return n >= m && !strcmp(text + n - m, end);
}

static enum format format_of(const struct arguments *a)
{
    if (a->format)
        return a->format;
    if (a->output && (ends_in(a->output, ".html") || ends_in(a->output, ".htm")))
        return FORMAT_HTML;
    return a->output && ends_in(a->output, ".json") ? FORMAT_PERFETTO : FORMAT_TEXT;
}

/* ---- the command that does it again ---- */

static void add_word(FILE *to, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%";

    putc(' ', to);
    if (*word && strspn(word, plain) == strlen(word)) {
        fputs(word, to);
        return;
    }
    putc('\'', to);
    for (; *word; word++) {
        if (*word == '\'')
            fputs("'\\''", to);
        else
            putc(*word, to);
    }
    putc('\'', to);
}

static void add_option(void *to, const char *option, const char *value)
{
    if (!value)
        return;
    add_word(to, option);
    add_word(to, value);
}

/* Everything that makes the run what it is; defaults are said, too, so that a later default changes nothing. */
static char *command_of(const struct arguments *a, const struct guest_options *o, const char *command)
{
    char *text = NULL, number[64];
    size_t bytes;
    FILE *to = open_memstream(&text, &bytes);

    if (!to)
        return NULL;
    /* A replay of a search is the search, and not the run. */
    fprintf(to, "bootrace %s", a->finding.number ? "report" : command);
    add_word(to, a->has_case ? a->c.path : o->kernel);
    if (a->has_case) {
        add_option(to, "--guests", a->guests);
        snprintf(number, sizeof(number), "%" PRIu64, a->finding.number);
        add_option(to, "--failure", a->finding.number ? number : NULL);
    } else {
        guest_options_each(o, add_option, to);
        add_option(to, "--schedule", a->schedule);
        add_option(to, "--until", a->session.until);
        snprintf(number, sizeof(number), "%" PRIu64, a->session.steps_max);
        add_option(to, "--steps-max", a->session.steps_max ? number : NULL);
    }
    if (!strcmp(command, "report"))
        add_option(to, "-o", a->output ? a->output : "report.html");
    if (fclose(to)) {
        free(text);
        return NULL;
    }
    return text;
}

static char *schedule_text(const struct arguments *a)
{
    char *text = NULL;
    size_t bytes;
    FILE *to = open_memstream(&text, &bytes);

    if (!to)
        return NULL;
    schedule_print(&a->decisions, to);
    if (fclose(to)) {
        free(text);
        return NULL;
    }
    return text;
}

/* ---- the run ---- */

static enum emu_err prepare_case(struct arguments *a, struct diag *d)
{
    enum emu_err err = case_read(&a->c, a->guest.kernel, d);

    a->has_case = err == EMU_OK;
    if (err == EMU_OK && a->schedule)
        err = diag_set(d, EMU_EINPUT, "a case contains its schedule; to use another one, give the guest by options");
    if (err == EMU_OK && a->guest.option_given)
        err = diag_set(d, EMU_EINPUT, "--%s: a case describes its whole guest and machine; change the case instead",
                       a->guest.option_given);
    if (err == EMU_OK && a->c.load.as)
        err = diag_set_at(d, EMU_EINPUT, a->c.path, 0, CASE_WITHOUT_RUN);
    if (err == EMU_OK && a->failure && !a->c.search.window)
        err = diag_set(d, EMU_EINPUT, "--failure is for a case with a search; this case is one run");
    if (err == EMU_OK)
        err = case_prepare(&a->c, a->guests, &a->case_guest, &a->decisions, d);
    if (err == EMU_OK)
        err = case_check_image(&a->c, &a->case_guest, d);
    if (err == EMU_OK && a->c.search.window)
        err = case_search_take(&a->c, &a->case_guest, a->failure ? a->failure : 1, &a->decisions, &a->finding, d);
    if (err != EMU_OK)
        return err;
    if (!a->session.until)
        a->session.until = a->c.limits.until;
    if (!a->session.steps_max && a->c.limits.steps_max != CASE_NONE)
        a->session.steps_max = a->c.limits.steps_max;
    return EMU_OK;
}

static enum emu_err write_report(const struct arguments *a, const struct report *r, struct diag *d)
{
    FILE *to = a->output ? fopen(a->output, "w") : stdout;
    enum emu_err err = EMU_OK;

    if (!to)
        return diag_set_at(d, EMU_EINPUT, a->output, 0, "can't be written: %s", strerror(errno));
    switch (format_of(a)) {
    case FORMAT_HTML:
        err = report_write_html(r, to, d);
        break;
    case FORMAT_PERFETTO:
        err = report_write_perfetto(r, to, d);
        break;
    case FORMAT_BY_NAME:
    case FORMAT_TEXT:
        err = report_write_text(r, to, d);
        break;
    }
    if ((a->output ? fclose(to) : fflush(to)) && err == EMU_OK)
        err = diag_set_at(d, EMU_EHOST, a->output ? a->output : "standard output", 0, "can't be written: %s",
                          strerror(errno));
    return err;
}

static enum emu_err tell(struct arguments *a, const struct timeline *t, struct diag *d)
{
    const struct guest_options *o = &t->session->guest.options;
    char *schedule = schedule_text(a), *again = command_of(a, o, a->has_case ? "replay" : "boot"),
         *report = command_of(a, o, "report");
    struct report r = {
        .timeline = t,
        .test_case = a->has_case ? &a->c : NULL,
        .finding = a->finding.number ? &a->finding : NULL,
        .image = o->kernel,
        .schedule = schedule,
        .command = again,
        .command_report = report,
    };
    enum emu_err err = EMU_OK;

    if (!schedule || !again || !report)
        err = diag_no_memory(d);
    if (err == EMU_OK)
        err = story_tell(&r.story, &r, d);
    if (err == EMU_OK)
        err = write_report(a, &r, d);
    story_fini(&r.story);
    free(schedule);
    free(again);
    free(report);
    return err;
}

static enum emu_err run(struct arguments *a, bool *interrupted, struct diag *d)
{
    struct session s;
    struct timeline t;
    enum emu_err err = a->output ? command_check_output(a->output, false, d) : EMU_OK;

    if (err != EMU_OK)
        return err;
    if (case_is_named(a->guest.kernel) || ends_in(a->guest.kernel, ".yml"))
        err = prepare_case(a, d);
    else if (a->failure)
        err = diag_set(d, EMU_EINPUT, "--failure is for a case with a search");
    else if (a->schedule)
        err = schedule_read(a->schedule, &a->decisions, d);
    if (err != EMU_OK)
        return err;
    a->session.schedule = &a->decisions;
    a->session.schedule_file = a->has_case ? a->c.path : a->schedule;
    err = session_init(&s, a->has_case ? &a->case_guest.options : &a->guest, &a->session, d);
    if (err != EMU_OK)
        return err;
    err = timeline_collect(&t, &s, a->around_ns, d);
    if (err == EMU_OK) {
        *interrupted = t.verdict.kind == VERDICT_INTERRUPTED;
        err = tell(a, &t, d);
        timeline_fini(&t);
    }
    session_fini(&s);
    return err;
}

int report_run(int argc, char **argv)
{
    static const struct argp_child children[] = {{&guest_argp, 0, "The guest and its machine:", 1}, {0}};
    static const struct argp argp = {options, parse, "CASE|IMAGE", doc, children, NULL, NULL};
    struct arguments a = {.around_ns = TIMELINE_AROUND_NS};
    bool interrupted = false;
    enum emu_err err;
    struct diag d;

    argp_err_exit_status = COMMAND_INPUT;
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    case_init(&a.c);
    schedule_init(&a.decisions);
    diag_init(&d);
    err = run(&a, &interrupted, &d);
    schedule_fini(&a.decisions);
    case_fini(&a.c);
    if (err != EMU_OK)
        return command_fail("bootrace report", err, &d);
    return interrupted ? COMMAND_INTERRUPTED : COMMAND_PASS;
}
