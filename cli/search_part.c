#include "cli/search_part.h"

#include <argp.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/post_mortem.h"
#include "fuzz/exhaustive.h"
#include "fuzz/window.h"

#define PATH_BYTES 4096
#define SUFFIX     ".part.json"

static uint64_t number(const json_t *o, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(o, key));
}

static const char *text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s ? s : "";
}

json_t *search_part_window(const struct window *w)
{
    const struct window_report *r = window_report(w);
    json_t *writers = json_array(), *calls = json_object();

    for (unsigned i = 0; i < r->writers; i++)
        json_array_append_new(writers,
                              json_pack("{s:s, s:I, s:I}", "function", r->writer[i].name, "writes",
                                        (json_int_t)r->writer[i].writes, "bytes", (json_int_t)r->writer[i].bytes));
    for (unsigned i = 0; i < WINDOW_CALLS_MAX; i++) {
        char name[16];

        snprintf(name, sizeof(name), "%u", i);
        if (r->hypercall[i])
            json_object_set_new(calls, name, json_integer((json_int_t)r->hypercall[i]));
    }
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "first", (json_int_t)window_first(w),
                     "steps", (json_int_t)r->steps, "open", (json_int_t)r->open, "closed", (json_int_t)r->closed,
                     "interrupts", (json_int_t)r->interrupts, "exceptions", (json_int_t)r->exceptions, "leaves",
                     (json_int_t)r->leaves, "code_bytes", (json_int_t)r->code_bytes, "code_writes",
                     (json_int_t)r->code_writes, "writers", writers, "hypercalls", calls);
}

json_t *search_part_new(const char *search, const char *source, uint64_t from, uint64_t to, json_t *window,
                        const struct exhaustive_report *r, const struct symbols *symbols)
{
    json_t *cases = json_array();

    for (unsigned i = 0; i < r->failures; i++) {
        const struct exhaustive_failure *x = &r->failure[i];
        char place[160], at[160], torn[TORN_SITE_TEXT_BYTES];
        json_t *one;

        post_mortem_place(symbols, x->rip_gva, place, sizeof(place));
        post_mortem_place(symbols, x->verdict.rip_gva, at, sizeof(at));
        one = json_pack("{s:I, s:I, s:I, s:s, s:s, s:s, s:s, s:s}", "first", (json_int_t)x->first_position, "last",
                        (json_int_t)x->last_position, "delivered", (json_int_t)x->delivered_position, "place", place,
                        "verdict", verdict_kind_name(x->verdict.kind), "reason", x->verdict.text, "detector",
                        x->verdict.detector ? x->verdict.detector : "", "at", at);
        if (x->torn.versions) {
            torn_site_print(&x->torn, symbols, torn, sizeof(torn));
            json_object_set_new(one, "torn", json_string(torn));
        }
        json_array_append_new(cases, one);
    }
    return json_pack("{s:s, s:O, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "search", search, "window",
                     window, "source", source, "first", (json_int_t)r->first_position, "last",
                     (json_int_t)r->last_position, "from", (json_int_t)from, "to", (json_int_t)to, "next",
                     (json_int_t)(r->complete ? to : r->next_position), "boundaries", (json_int_t)r->boundaries, "runs",
                     (json_int_t)r->runs, "handler_steps_max", (json_int_t)r->handler_steps_max, "failing",
                     (json_int_t)r->failing, "cases", cases);
}

enum emu_err search_part_save(const json_t *part, const char *folder, struct diag *d)
{
    char path[PATH_BYTES], beside[PATH_BYTES + 32];

    if (mkdir(folder, 0777) && errno != EEXIST)
        return diag_set_at(d, EMU_EINPUT, folder, 0, "can't be made: %s", strerror(errno));
    snprintf(path, sizeof(path), "%s/%s-%012" PRIu64 "-%012" PRIu64 SUFFIX, folder, text(part, "source"),
             number(part, "from"), number(part, "to"));
    snprintf(beside, sizeof(beside), "%s.%ld", path, (long)getpid());
    if (json_dump_file(part, beside, JSON_INDENT(1) | JSON_SORT_KEYS) || rename(beside, path)) {
        int why = errno;

        unlink(beside);
        return diag_set_at(d, EMU_EINPUT, path, 0, "can't be written: %s", strerror(why));
    }
    return EMU_OK;
}

static bool is_part(const json_t *o)
{
    static const char *const numbers[] = {"first", "last", "from", "to", "next", "boundaries", "runs", "failing"};

    for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (!json_is_integer(json_object_get(o, numbers[i])) || json_integer_value(json_object_get(o, numbers[i])) < 0)
            return false;
    return json_is_string(json_object_get(o, "search")) && json_is_string(json_object_get(o, "source")) &&
           json_is_array(json_object_get(o, "cases")) && number(o, "from") <= number(o, "next") &&
           number(o, "next") <= number(o, "to");
}

static int by_place(const void *a, const void *b)
{
    const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
    int sources = strcmp(text(x, "source"), text(y, "source"));

    if (sources)
        return sources;
    return number(x, "from") < number(y, "from") ? -1 : number(x, "from") > number(y, "from");
}

static void sort(json_t *parts)
{
    size_t n = json_array_size(parts);
    json_t **all = calloc(n ? n : 1, sizeof(*all));

    if (!all)
        return;
    for (size_t i = 0; i < n; i++)
        all[i] = json_incref(json_array_get(parts, i));
    qsort(all, n, sizeof(*all), by_place);
    json_array_clear(parts);
    for (size_t i = 0; i < n; i++)
        json_array_append_new(parts, all[i]);
    free(all);
}

enum emu_err search_parts_load(const char *folder, json_t *parts, struct diag *d)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    enum emu_err err = EMU_OK;

    if (!dir)
        return errno == ENOENT ? EMU_OK : diag_set_at(d, EMU_EINPUT, folder, 0, "can't be read: %s", strerror(errno));
    while (err == EMU_OK && (entry = readdir(dir))) {
        size_t n = strlen(entry->d_name);
        char path[PATH_BYTES];
        json_error_t where;
        json_t *part;

        if (n < strlen(SUFFIX) || strcmp(entry->d_name + n - strlen(SUFFIX), SUFFIX) != 0)
            continue;
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        part = json_load_file(path, 0, &where);
        if (!part)
            err = diag_set_at(d, EMU_EINPUT, path, where.line > 0 ? (unsigned)where.line : 0, "%s", where.text);
        else if (!is_part(part))
            err = diag_set_at(d, EMU_EINPUT, path, 0, "this is no part of a search");
        else
            json_array_append(parts, part);
        json_decref(part);
    }
    closedir(dir);
    sort(parts);
    return err;
}

/* The first key in which two searches differ. */
static void tell_difference(const char *a, const char *b, char *out, size_t bytes)
{
    json_t *x = json_loads(a, 0, NULL), *y = json_loads(b, 0, NULL);
    const char *key;
    json_t *value;

    snprintf(out, bytes, "another search");
    json_object_foreach(x, key, value)
    {
        if (!json_equal(value, json_object_get(y, key))) {
            char *one = json_dumps(value, JSON_ENCODE_ANY),
                 *other = json_dumps(json_object_get(y, key), JSON_ENCODE_ANY);

            snprintf(out, bytes, "%s is %s there and %s here", key, one ? one : "missing", other ? other : "missing");
            free(one);
            free(other);
            break;
        }
    }
    json_decref(x);
    json_decref(y);
}

enum emu_err search_parts_check(const json_t *parts, const char *search, struct diag *d)
{
    size_t i;
    json_t *part;

    json_array_foreach(parts, i, part)
    {
        char difference[512];

        if (!strcmp(text(part, "search"), search))
            continue;
        tell_difference(text(part, "search"), search, difference, sizeof(difference));
        return diag_set(d, EMU_EINPUT, "the parts are of different searches: %s", difference);
    }
    return EMU_OK;
}

json_t *search_parts_missing(const json_t *parts, const char *source, uint64_t from, uint64_t to)
{
    json_t *missing = json_array(), *part;
    uint64_t at = from;
    size_t i;

    json_array_foreach(parts, i, part) /* in order */
    {
        uint64_t begin = number(part, "from"), end = number(part, "next");

        if (strcmp(text(part, "source"), source) != 0 || end <= at || begin == end)
            continue;
        if (begin > at && at < to)
            json_array_append_new(missing, json_pack("[I, I]", (json_int_t)at, (json_int_t)(begin < to ? begin : to)));
        at = end;
    }
    if (at < to)
        json_array_append_new(missing, json_pack("[I, I]", (json_int_t)at, (json_int_t)to));
    return missing;
}

static bool is_same_outcome(const json_t *a, const json_t *b)
{
    static const char *const keys[] = {"verdict", "detector", "reason", "at"};

    for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (strcmp(text(a, keys[i]), text(b, keys[i])) != 0)
            return false;
    return number(a, "last") + 1 == number(b, "first");
}

json_t *search_parts_join(const json_t *parts, const char *source)
{
    json_t *joined = NULL, *cases = json_array(), *part, *one, *before = NULL;
    uint64_t boundaries = 0, runs = 0, failing = 0, handler_steps_max = 0;
    size_t i, k;

    json_array_foreach(parts, i, part)
    {
        if (strcmp(text(part, "source"), source) != 0)
            continue;
        if (!joined)
            joined = json_deep_copy(part);
        boundaries += number(part, "boundaries");
        runs += number(part, "runs");
        failing += number(part, "failing");
        if (number(part, "handler_steps_max") > handler_steps_max)
            handler_steps_max = number(part, "handler_steps_max");
        json_array_foreach(json_object_get(part, "cases"), k, one)
        {
            if (before && is_same_outcome(before, one)) {
                json_object_set(before, "last", json_object_get(one, "last"));
                continue;
            }
            before = json_deep_copy(one);
            json_array_append_new(cases, before);
        }
    }
    if (!joined) {
        json_decref(cases);
        return NULL;
    }
    json_object_del(joined, "from");
    json_object_del(joined, "to");
    json_object_del(joined, "next");
    json_object_set_new(joined, "boundaries", json_integer((json_int_t)boundaries));
    json_object_set_new(joined, "runs", json_integer((json_int_t)runs));
    json_object_set_new(joined, "failing", json_integer((json_int_t)failing));
    json_object_set_new(joined, "handler_steps_max", json_integer((json_int_t)handler_steps_max));
    json_object_set_new(joined, "cases", cases);
    one = search_parts_missing(parts, source, number(joined, "first"), number(joined, "last"));
    json_object_set_new(joined, "complete", json_boolean(json_array_size(one) == 0));
    json_decref(one);
    return joined;
}

void search_part_print(const json_t *joined, FILE *to)
{
    bool complete = json_is_true(json_object_get(joined, "complete"));
    json_t *one;
    size_t i;

    fprintf(to,
            "%s: %" PRIu64 " boundaries %s, %" PRIu64 " runs of the handler (%" PRIu64 " steps at most), %" PRIu64
            " failing boundaries\n",
            text(joined, "source"), number(joined, "boundaries"), complete ? "covered" : "covered so far",
            number(joined, "runs"), number(joined, "handler_steps_max"), number(joined, "failing"));
    json_array_foreach(json_object_get(joined, "cases"), i, one)
        fprintf(to, "  steps %" PRIu64 " to %" PRIu64 ", delivered at %s: %s: %s, at %s\n", number(one, "first"),
                number(one, "last"), text(one, "place"), text(one, "verdict"), text(one, "reason"), text(one, "at"));
}

/* ---- bootrace merge ---- */

static const char merge_doc[] =
    "Join the parts of an exhaustive search.\v"
    "DIR is what `bootrace fuzz --out DIR` wrote, by one shard or several. Parts of different searches are refused. "
    "What no part covers is named, and a DIR without parts too: run the commands of these shards again.\n\n"
    "Examples:\n"
    "  bootrace fuzz vmlinuz --window alternative_instructions \\\n"
    "      --shard 1/2 --out one\n"
    "  bootrace fuzz vmlinuz --window alternative_instructions \\\n"
    "      --shard 2/2 --out two\n"
    "  bootrace merge one two --json\n\n"
    "Exit status: as of `bootrace fuzz`; 4 if parts are missing.";

enum { KEY_JSON = 256 };

static const struct argp_option merge_options[] = {
    {"json", KEY_JSON, NULL, 0, "End with one JSON object on standard output", 0},
    {0},
};

struct merge {
    bool json;
    json_t *parts;
    unsigned folders;
    struct diag diag;
};

static void tell_nothing_in(const char *folder)
{
    fprintf(stderr,
            "bootrace merge: %s: there is no part of a search: its shard was not begun, or was killed before the first "
            "part was written; run its command again\n",
            folder);
}

static error_t merge_parse(int key, char *arg, struct argp_state *state)
{
    struct merge *m = state->input;
    json_t *parts;
    enum emu_err err;

    switch (key) {
    case KEY_JSON:
        m->json = true;
        return 0;
    case ARGP_KEY_ARG:
        parts = json_array();
        err = search_parts_load(arg, parts, &m->diag);
        if (err != EMU_OK) {
            diag_print(&m->diag, "bootrace merge", stderr);
            json_decref(parts);
            json_decref(m->parts);
            exit(COMMAND_INPUT);
        }
        if (!json_array_size(parts))
            tell_nothing_in(arg);
        json_array_extend(m->parts, parts);
        json_decref(parts);
        m->folders++;
        return 0;
    case ARGP_KEY_END:
        if (!m->folders)
            argp_error(state, "which folders? For example: bootrace merge one two");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* What is done twice would be counted twice. */
static enum emu_err check_overlap(const json_t *parts, struct diag *d)
{
    const json_t *before = NULL;
    size_t i;
    json_t *part;

    json_array_foreach(parts, i, part)
    {
        if (number(part, "from") == number(part, "next"))
            continue;
        if (before && !strcmp(text(before, "source"), text(part, "source")) &&
            number(part, "from") < number(before, "next"))
            return diag_set(d, EMU_EINPUT, "boundaries %" PRIu64 " to %" PRIu64 " were done twice: give each part once",
                            number(part, "from"), number(before, "next"));
        before = part;
    }
    return EMU_OK;
}

/* The boundaries that no part covers; the caller's. */
static json_t *missing_of(const json_t *parts, const json_t *joined)
{
    json_t *missing =
        search_parts_missing(parts, text(joined, "source"), number(joined, "first"), number(joined, "last"));
    json_t *range;
    size_t i;

    json_array_foreach(missing, i, range)
    {
        fprintf(stderr, "bootrace merge: %s: boundaries %" PRIu64 " to %" PRIu64 " are in no part\n",
                text(joined, "source"), (uint64_t)json_integer_value(json_array_get(range, 0)),
                (uint64_t)json_integer_value(json_array_get(range, 1)) - 1);
    }
    return missing;
}

int merge_run(int argc, char **argv)
{
    static const struct argp argp = {merge_options, merge_parse, "DIR...", merge_doc, NULL, NULL, NULL};
    static const char *const sources[] = {"timer", "nmi", "vector", "irq", "ipi"};
    struct merge m = {.parts = json_array()};
    json_t *joined = json_array();
    uint64_t failing = 0;
    bool complete = true;
    enum emu_err err;

    argp_err_exit_status = COMMAND_INPUT;
    argp_parse(&argp, argc, argv, 0, NULL, &m);
    sort(m.parts);
    err = search_parts_check(m.parts, text(json_array_get(m.parts, 0), "search"), &m.diag);
    if (err == EMU_OK)
        err = check_overlap(m.parts, &m.diag);
    for (unsigned i = 0; err == EMU_OK && i < sizeof(sources) / sizeof(sources[0]); i++) {
        json_t *one = search_parts_join(m.parts, sources[i]);

        if (!one)
            continue;
        search_part_print(one, m.json ? stderr : stdout);
        failing += number(one, "failing");
        complete = complete && json_is_true(json_object_get(one, "complete"));
        json_object_set_new(one, "missing", missing_of(m.parts, one));
        json_array_append_new(joined, one);
    }
    complete = complete && json_array_size(joined) > 0;
    json_decref(m.parts);
    if (err != EMU_OK) {
        diag_print(&m.diag, "bootrace merge", stderr);
        json_decref(joined);
        return COMMAND_INPUT;
    }
    if (m.json) {
        json_t *o =
            json_pack("{s:I, s:b, s:O}", "failing", (json_int_t)failing, "complete", complete, "sources", joined);

        json_dumpf(o, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(o);
    }
    json_decref(joined);
    return failing ? COMMAND_FAIL : complete ? COMMAND_PASS : COMMAND_BUDGET;
}
