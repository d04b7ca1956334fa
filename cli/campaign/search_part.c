/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/campaign/search_part.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/run/json_text.h"
#include "cli/run/post_mortem.h"
#include "emu/base/count.h"
#include "fuzz/search/exhaustive.h"
#include "fuzz/search/window.h"

#define PATH_BYTES 4096
#define SUFFIX     ".part.json"

uint64_t search_part_number(const json_t *o, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(o, key));
}

const char *search_part_text(const json_t *o, const char *key)
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
                              json_pack("{s:o, s:I, s:I}", "function", json_text(r->writer[i].name), "writes",
                                        (json_int_t)r->writer[i].writes, "bytes", (json_int_t)r->writer[i].bytes));
    for (unsigned i = 0; i < WINDOW_CALLS_MAX; i++) {
        char name[16];

        snprintf(name, sizeof(name), "%u", i);
        if (r->hypercall[i])
            json_object_set_new(calls, name, json_integer((json_int_t)r->hypercall[i]));
    }
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "first",
                     (json_int_t)window_first(w), "steps", (json_int_t)r->steps, "open", (json_int_t)r->open, "closed",
                     (json_int_t)r->closed, "nmi_closed", (json_int_t)r->nmi_closed, "interrupts",
                     (json_int_t)r->interrupts, "exceptions", (json_int_t)r->exceptions, "leaves",
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
        one = json_pack("{s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "first", (json_int_t)x->first_position, "last",
                        (json_int_t)x->last_position, "delivered", (json_int_t)x->delivered_position, "place",
                        json_text(place), "verdict", json_text(verdict_kind_name(x->verdict.kind)), "reason",
                        json_text(x->verdict.text), "detector",
                        json_text(x->verdict.detector ? x->verdict.detector : ""), "at", json_text(at));
        if (x->torn.versions) {
            torn_site_print(&x->torn, symbols, torn, sizeof(torn));
            json_object_set_new(one, "torn", json_text(torn));
        }
        json_array_append_new(cases, one);
    }
    return json_pack("{s:o, s:O, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "search", json_text(search),
                     "window", window, "source", json_text(source), "first", (json_int_t)r->first_position, "last",
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
    snprintf(path, sizeof(path), "%s/%s-%012" PRIu64 "-%012" PRIu64 SUFFIX, folder, search_part_text(part, "source"),
             search_part_number(part, "from"), search_part_number(part, "to"));
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

    for (unsigned i = 0; i < COUNT(numbers); i++)
        if (!json_is_integer(json_object_get(o, numbers[i])) || json_integer_value(json_object_get(o, numbers[i])) < 0)
            return false;
    return json_is_string(json_object_get(o, "search")) && json_is_string(json_object_get(o, "source")) &&
           json_is_array(json_object_get(o, "cases")) &&
           search_part_number(o, "from") <= search_part_number(o, "next") &&
           search_part_number(o, "next") <= search_part_number(o, "to");
}

static int by_place(const void *a, const void *b)
{
    const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
    int sources = strcmp(search_part_text(x, "source"), search_part_text(y, "source"));

    if (sources)
        return sources;
    return search_part_number(x, "from") < search_part_number(y, "from")
               ? -1
               : search_part_number(x, "from") > search_part_number(y, "from");
}

void search_parts_sort(json_t *parts)
{
    size_t n = json_array_size(parts);
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers */
    json_t **all = calloc(n ? n : 1, sizeof(*all));

    if (!all)
        return;
    for (size_t i = 0; i < n; i++)
        all[i] = json_incref(json_array_get(parts, i));
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers */
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
            err = diag_set_at(d, EMU_EINPUT, path, 0, "this is not a part of a search");
        else
            json_array_append(parts, part);
        json_decref(part);
    }
    closedir(dir);
    search_parts_sort(parts);
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

        if (!strcmp(search_part_text(part, "search"), search))
            continue;
        tell_difference(search_part_text(part, "search"), search, difference, sizeof(difference));
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
        uint64_t begin = search_part_number(part, "from"), end = search_part_number(part, "next");

        if (strcmp(search_part_text(part, "source"), source) != 0 || end <= at || begin == end)
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

    for (unsigned i = 0; i < COUNT(keys); i++)
        if (strcmp(search_part_text(a, keys[i]), search_part_text(b, keys[i])) != 0)
            return false;
    return search_part_number(a, "last") + 1 == search_part_number(b, "first");
}

json_t *search_parts_join(const json_t *parts, const char *source)
{
    json_t *joined = NULL, *cases = json_array(), *part, *one, *before = NULL;
    uint64_t boundaries = 0, runs = 0, failing = 0, handler_steps_max = 0;
    size_t i, k;

    json_array_foreach(parts, i, part)
    {
        if (strcmp(search_part_text(part, "source"), source) != 0)
            continue;
        if (!joined)
            joined = json_deep_copy(part);
        boundaries += search_part_number(part, "boundaries");
        runs += search_part_number(part, "runs");
        failing += search_part_number(part, "failing");
        if (search_part_number(part, "handler_steps_max") > handler_steps_max)
            handler_steps_max = search_part_number(part, "handler_steps_max");
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
    one = search_parts_missing(parts, source, search_part_number(joined, "first"), search_part_number(joined, "last"));
    json_object_set_new(joined, "complete", json_boolean(json_array_size(one) == 0));
    json_decref(one);
    return joined;
}
