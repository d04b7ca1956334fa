/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/corpus_add.h"

#include <argp.h>
#include <jansson.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/case/case.h"
#include "cli/case/case_guest.h"
#include "cli/case/record.h"
#include "cli/command.h"
#include "cli/run/child.h"
#include "emu/base/count.h"
#include "emu/schedule.h"

#define NAME_PATTERN "^[a-z][0-9]+-[a-z0-9]+(-[a-z0-9]+)*$"

static const char doc[] = "Put a found failure into a corpus: check it, run it twice, and write it there under a "
                          "good name.\v"
                          "FOUND is a case as `bootrace fuzz --out` and `bootrace boot --record` write it. It is "
                          "run twice, and must end as it says, in the same state both times. NAME begins with the "
                          "id of the seed or bug, like s1-timer-in-memcpy. The digests and the number of steps, "
                          "which change with the model, are left out; so is the image's digest where no line of "
                          "the schedule depends on it. --exact keeps them.\n"
                          "\n"
                          "Examples:\n"
                          "  bootrace corpus add found/0001.yaml --as s1-timer-in-memcpy \\\n"
                          "      --title 'A tick inside memcpy'\n"
                          "  bootrace corpus add boot.yaml --as b7-boot-hang --to regressions --exact\n"
                          "\n"
                          "Exit status: 0 added, 1 it does not end as it says, 2 wrong input, 5 it does not fit "
                          "its guest.";

enum { KEY_AS = 256, KEY_TO, KEY_TITLE, KEY_MECHANISM, KEY_SOURCE, KEY_FALSIFIED, KEY_FORCE, KEY_EXACT };

static const struct argp_option options[] = {
    {"as", KEY_AS, "NAME", 0, "The case's name in the corpus, without .yaml", 0},
    {"to", KEY_TO, "FOLDER", 0, "The corpus (default: corpus)", 0},
    {"title", KEY_TITLE, "TEXT", 0, "One line that replaces the title of FOUND", 0},
    {"mechanism", KEY_MECHANISM, "TEXT", 0, "What happens, step by step", 0},
    {"source", KEY_SOURCE, "TEXT", 0, "Commit, report, version", 0},
    {"falsified-by", KEY_FALSIFIED, "TEXT", 0, "What would show that the mechanism is another one", 0},
    {"force", KEY_FORCE, NULL, 0, "Replace a case of that name", 0},
    {"exact", KEY_EXACT, NULL, 0, "Keep digests and the number of steps", 0},
    {0},
};

struct add {
    const char *found, *name, *to;
    const char *title, *mechanism, *source, *falsified_by;
    bool force, exact;
    struct test_case c;
    struct schedule schedule;
    char path[CASE_PATH_BYTES];
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct add *a = state->input;

    switch (key) {
    case ARGP_KEY_ARG:
        if (a->found)
            argp_error(state, "one case at a time: '%s' is too many", arg);
        a->found = arg;
        break;
    case KEY_AS:
        a->name = arg;
        break;
    case KEY_TO:
        a->to = arg;
        break;
    case KEY_TITLE:
        a->title = arg;
        break;
    case KEY_MECHANISM:
        a->mechanism = arg;
        break;
    case KEY_SOURCE:
        a->source = arg;
        break;
    case KEY_FALSIFIED:
        a->falsified_by = arg;
        break;
    case KEY_FORCE:
        a->force = true;
        break;
    case KEY_EXACT:
        a->exact = true;
        break;
    case ARGP_KEY_END:
        if (!a->found)
            argp_error(state, "which case? For example: bootrace corpus add found/0001.yaml --as s1-timer-in-memcpy");
        if (!a->name)
            argp_error(state, "under which name? For example: --as s1-timer-in-memcpy");
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static enum emu_err check_name(struct add *a, struct diag *d)
{
    regex_t re;
    bool good = !regcomp(&re, NAME_PATTERN, REG_EXTENDED | REG_NOSUB) && !regexec(&re, a->name, 0, NULL, 0);

    regfree(&re);
    if (!good)
        return diag_set(d, EMU_EINPUT,
                        "a case's name is the id of its seed or bug and what it is about, like s1-timer-in-memcpy, not "
                        "'%s'",
                        a->name);
    if (snprintf(a->path, sizeof(a->path), "%s/%s.yaml", a->to, a->name) >= (int)sizeof(a->path))
        return diag_set(d, EMU_EINPUT, "the path of the case is too long");
    if (access(a->to, W_OK | X_OK))
        return diag_set_at(d, EMU_EINPUT, a->to, 0,
                           "is not a folder that can be written to; --to FOLDER names another");
    if (!a->force && !access(a->path, F_OK))
        return diag_set_at(d, EMU_EINPUT, a->path, 0, "is there already; --force replaces it");
    return EMU_OK;
}

/* Run a case; its report, or NULL and a sentence. The status is the program's. */
static json_t *replay(const char *path, int *status, struct diag *d)
{
    const char *argv[] = {"bootrace", "replay", "--json", "--quiet", "--check", path, NULL};
    struct child child;
    json_t *report;

    *status = COMMAND_ERROR;
    if (child_start(&child, NULL, (char *const *)(uintptr_t)argv, d) != EMU_OK)
        return NULL;
    child_wait_showing(&child, "running the case");
    *status = child.status;
    report = json_loads(child_output(&child), 0, NULL);
    if (!report || child.status != COMMAND_PASS) {
        const json_t *difference = json_array_get(json_object_get(report, "differences"), 0);
        const char *errors = child_errors(&child), *why = json_string_value(difference);

        (void)diag_set_at(d, EMU_EINPUT, path, 0, "does not end as it says: %.*s",
                          why ? 600 : (int)strcspn(errors, "\n"), why ? why : errors);
        json_decref(report);
        report = NULL;
    }
    child_fini(&child);
    return report;
}

/* Twice, to the same state. */
static json_t *confirm(const char *path, int *status, struct diag *d)
{
    json_t *first = replay(path, status, d), *second = first ? replay(path, status, d) : NULL;
    static const char *const same[] = {"verdict", "digest", "steps", "place", "failing", "covered"};

    for (unsigned i = 0; second && i < COUNT(same); i++) {
        if (json_equal(json_object_get(first, same[i]), json_object_get(second, same[i])) ||
            json_object_get(first, same[i]) == json_object_get(second, same[i]))
            continue;
        (void)diag_set_at(d, EMU_EINPUT, path, 0, "two runs differ in %s: this is a bug of bootrace; please report it",
                          same[i]);
        json_decref(second);
        second = NULL;
        *status = COMMAND_ERROR;
    }
    json_decref(first);
    return second;
}

/* Whether a place of the schedule is a bare number of steps, which another image would not have. */
static bool depends_on_image(const struct schedule *s)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->decision[i].at.kind == POSITION_STEPS || s->decision[i].to.kind == POSITION_STEPS)
            return true;
    }
    return false;
}

static enum emu_err without_checks(struct add *a, char **text, struct diag *d)
{
    struct schedule kept;
    enum emu_err err;
    size_t bytes;
    FILE *f;

    schedule_init(&kept);
    err = schedule_parse(a->c.schedule, strlen(a->c.schedule), a->found, a->c.schedule_line, &a->schedule, d);
    for (size_t i = 0; err == EMU_OK && i < a->schedule.count; i++) {
        struct decision *one = &a->schedule.decision[i];
        bool next_counts_from_it = i + 1 < a->schedule.count && a->schedule.decision[i + 1].at.kind != POSITION_STEPS;

        if (one->kind == DECISION_CHECK && next_counts_from_it)
            one->kind = DECISION_MARK;
        if (one->kind != DECISION_CHECK)
            err = schedule_append(&kept, one, d);
    }
    f = err == EMU_OK ? open_memstream(text, &bytes) : NULL;
    if (f) {
        schedule_print(&kept, f);
        if (fclose(f))
            err = diag_no_memory(d);
    }
    a->c.schedule = kept.count ? *text : NULL;
    if (!a->exact && !depends_on_image(&kept))
        a->c.guest.image_xxh3 = CASE_NONE;
    schedule_fini(&kept);
    return err;
}

/* A guest of the build is named, and not where it lies. */
static void name_free_standing(struct test_case *c, char name[CASE_PATH_BYTES])
{
    struct case_places places;
    char folder[CASE_PATH_BYTES], kernel[CASE_PATH_BYTES], *slash;
    struct case_guest guest;
    struct diag ignored;
    size_t length;

    case_places_init(&places, NULL);
    if (!c->guest.kernel || case_find_guest(c, &places, &guest, &ignored) != EMU_OK ||
        !realpath(places.guests, folder) || !realpath(guest.kernel, kernel))
        return;
    slash = strrchr(kernel, '/');
    length = strlen(kernel);
    *slash = '\0';
    if (strcmp(kernel, folder) || length < 5 || strcmp(slash + 1 + strlen(slash + 1) - 4, ".elf"))
        return;
    slash[1 + strlen(slash + 1) - 4] = '\0';
    strcpy(name, slash + 1);
    c->guest.kernel = NULL;
    c->guest.free_standing = name;
}

static enum emu_err move_path(const struct add *a, const char **path, const char *found, char to[CASE_PATH_BYTES],
                              struct diag *d)
{
    if (!*path || !strcmp(*path, "cached"))
        return EMU_OK;
    *path = to;
    return record_relative_path(found, a->path, to, d);
}

static enum emu_err write_case(struct add *a, const json_t *report, struct diag *d)
{
    char name[CASE_PATH_BYTES], paths[4][CASE_PATH_BYTES], place[320] = "", *text = NULL;
    const char *detector = json_string_value(json_object_get(report, "detector"));
    const char *is_at = json_string_value(json_object_get(report, "place"));
    struct test_case *c = &a->c;
    struct case_places places;
    struct case_guest guest;
    enum emu_err err = EMU_OK;

    case_places_init(&places, NULL);
    if (c->schedule && !a->exact)
        err = without_checks(a, &text, d);
    else if (!c->schedule && !a->exact)
        c->guest.image_xxh3 = CASE_NONE;
    if (err == EMU_OK)
        err = case_find_guest(c, &places, &guest, d);
    name_free_standing(c, name);
    if (err == EMU_OK)
        err = move_path(a, &c->guest.kernel, guest.kernel, paths[0], d);
    if (err == EMU_OK)
        err = move_path(a, &c->guest.initrd, guest.initrd, paths[1], d);
    if (err == EMU_OK)
        err = move_path(a, &c->guest.system_map, guest.system_map, paths[2], d);
    if (err == EMU_OK)
        err = move_path(a, &c->guest.vmlinux, guest.vmlinux, paths[3], d);
    if (is_at && !c->search.window) {
        snprintf(place, sizeof(place), "%.*s", (int)strcspn(is_at, a->exact ? "/" : "+/"), is_at);
        c->expect.place = place;
    }
    if (detector && !c->search.window)
        c->expect.detector = detector;
    if (!a->exact)
        c->expect.digest = c->expect.steps = CASE_NONE;
    c->title = a->title ? a->title : c->title;
    c->prose.mechanism = a->mechanism ? a->mechanism : c->prose.mechanism;
    c->prose.source = a->source ? a->source : c->prose.source;
    c->prose.falsified_by = a->falsified_by ? a->falsified_by : c->prose.falsified_by;
    if (err == EMU_OK)
        err = record_save(c, a->path, d);
    free(text);
    return err;
}

int corpus_add_run(int argc, char **argv)
{
    static const struct argp argp = {options, parse, "FOUND", doc, NULL, NULL, NULL};
    struct add a = {.to = "corpus"};
    json_t *report = NULL, *again;
    int status = COMMAND_INPUT;
    enum emu_err err;
    struct diag d;

    argp_parse(&argp, argc, argv, 0, NULL, &a);
    schedule_init(&a.schedule);
    case_init(&a.c);
    err = case_read(&a.c, a.found, &d);
    if (err == EMU_OK)
        err = check_name(&a, &d);
    if (err == EMU_OK) {
        report = confirm(a.found, &status, &d);
        err = report ? write_case(&a, report, &d) : EMU_EINPUT;
        if (report && err != EMU_OK)
            status = COMMAND_INPUT;
    }
    if (err == EMU_OK) {
        again = replay(a.path, &status, &d);
        err = again ? EMU_OK : EMU_EINPUT;
        if (!again)
            unlink(a.path);
        json_decref(again);
    }
    if (err != EMU_OK)
        diag_print(&d, "bootrace corpus add", stderr);
    else
        printf("%s: %s, as expected; `bootrace corpus show %s` shows it\n", a.path,
               json_string_value(json_object_get(report, "verdict")), a.path);
    json_decref(report);
    schedule_fini(&a.schedule);
    case_fini(&a.c);
    return err == EMU_OK ? COMMAND_PASS : status;
}
