/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/case/outcome.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "cli/run/json_text.h"
#include "cli/run/pattern.h"
#include "cli/run/post_mortem.h"
#include "cli/run/status.h"

void outcome_init(struct outcome *o)
{
    memset(o, 0, sizeof(*o));
    o->digest = o->steps = o->failing = o->covered = CASE_NONE;
}

void outcome_set_unfit(struct outcome *o, const struct diag *d)
{
    o->verdict = VERDICT_ERROR;
    o->unfit = true;
    if (d->file[0] && d->line)
        snprintf(o->text, sizeof(o->text), "%s:%u: %s", d->file, d->line, d->text);
    else
        snprintf(o->text, sizeof(o->text), "%s%s%s", d->file, d->file[0] ? ": " : "", d->text);
}

void outcome_clean(char *text)
{
    for (; *text; text++) {
        if (*text < ' ' || *text > '~')
            *text = '?';
    }
}

void outcome_of_session(struct outcome *o, struct session *s)
{
    const struct verdict *v = machine_verdict(s->guest.machine);

    o->verdict = v->kind;
    snprintf(o->detector, sizeof(o->detector), "%s", v->detector ? v->detector : "");
    snprintf(o->text, sizeof(o->text), "%s", v->text);
    o->rip_gva = v->rip_gva;
    o->is_quote = v->is_quote;
    if (session_has_place(v))
        post_mortem_place(s->guest.symbols, v->rip_gva, o->place, sizeof(o->place));
    outcome_clean(o->text);
    outcome_clean(o->place);
    o->digest = machine_digest(s->guest.machine);
    o->steps = machine_steps(s->guest.machine);
    o->host_s = s->host_s;
}

void outcome_of_load(struct outcome *o, bool accepted, const char *why)
{
    o->verdict = accepted ? VERDICT_PASS : VERDICT_FAIL;
    snprintf(o->detector, sizeof(o->detector), "%s", accepted ? "" : "elf-notes");
    snprintf(o->text, sizeof(o->text), "%s", why);
    outcome_clean(o->text);
}

/* All failures of a search: their sentences and places, a line each. */
static void add_failures(struct outcome *o, const json_t *report)
{
    const json_t *failure;
    size_t i;

    json_array_foreach(json_object_get(report, "cases"), i, failure)
    {
        const char *reason = json_string_value(json_object_get(failure, "reason"));
        const char *place = json_string_value(json_object_get(failure, "place"));
        size_t used = strlen(o->text);

        if (reason && !strstr(o->text, reason))
            snprintf(o->text + used, sizeof(o->text) - used, "%s%s", used ? "; " : "", reason);
        if (place && !o->place[0])
            snprintf(o->place, sizeof(o->place), "%s", place);
    }
}

bool outcome_of_search(struct outcome *o, const char *report, int status)
{
    json_t *root = json_loads(report, 0, NULL);
    const json_t *source;
    json_int_t failing, covered;
    bool complete;
    size_t i;

    if (json_unpack(root, "{s:I, s:I}", "failing", &failing, "boundaries", &covered) &&
        json_unpack(root, "{s:I, s:I}", "failing", &failing, "runs", &covered)) {
        json_decref(root);
        return false;
    }
    /* What a strategy leaves out it says itself; only the exhaustive search knows when it has covered all. */
    complete = !json_is_false(json_object_get(root, "complete"));
    o->failing = (uint64_t)failing;
    o->covered = (uint64_t)covered;
    o->verdict = failing                              ? VERDICT_FAIL
                 : status == COMMAND_INTERRUPTED      ? VERDICT_INTERRUPTED
                 : status == COMMAND_PASS && complete ? VERDICT_PASS
                                                      : VERDICT_BUDGET;
    o->host_s = json_number_value(json_object_get(root, "host_s"));
    json_array_foreach(json_object_get(root, "sources"), i, source) o->host_s +=
        json_number_value(json_object_get(source, "host_s"));
    add_failures(o, root);
    if (!o->text[0])
        snprintf(o->text, sizeof(o->text), "none of %" PRIu64 " %s fails", o->covered,
                 json_object_get(root, "sources") ? "boundaries" : "runs");
    json_decref(root);
    return true;
}

static void differ(struct outcome *o, const char *fmt, ...) EMU_PRINTF(2, 3);
static void differ(struct outcome *o, const char *fmt, ...)
{
    va_list ap;

    if (o->differences == OUTCOME_DIFFERENCES_MAX)
        return;
    va_start(ap, fmt);
    vsnprintf(o->difference[o->differences++], sizeof(o->difference[0]), fmt, ap);
    va_end(ap);
}

static bool matches(const char *pattern, const char *text)
{
    char why[PATTERN_WHY_BYTES];
    regex_t re;
    bool found;

    if (!pattern_compile(&re, pattern, REG_NEWLINE, why))
        return false;
    found = regexec(&re, text, 0, NULL, 0) == 0;
    regfree(&re);
    return found;
}

/* "name+0x24/0x2a" is at "name", and at "name+0x24". */
static bool is_at(const struct outcome *o, const char *expected)
{
    struct case_place want, is;
    struct diag ignored;
    char place[sizeof(o->place)];

    snprintf(place, sizeof(place), "%s", o->place);
    if (strchr(place, '/'))
        *strchr(place, '/') = '\0';
    if (case_parse_place(expected, &want, &ignored) != EMU_OK)
        return false;
    if (!want.symbol[0])
        return want.offset == o->rip_gva;
    if (case_parse_place(place, &is, &ignored) != EMU_OK || strcmp(want.symbol, is.symbol))
        return false;
    return want.offset == CASE_NONE || want.offset == (is.offset == CASE_NONE ? 0 : is.offset);
}

static void compare_number(struct outcome *o, const char *what, uint64_t is, uint64_t expected)
{
    if (expected != CASE_NONE && is != expected)
        differ(o, "%s is %" PRIu64 ", not %" PRIu64, what, is, expected);
}

void outcome_compare(struct outcome *o, const struct test_case *c, const char *console)
{
    if (o->unfit) {
        differ(o, "%.600s", o->text);
        return;
    }
    if (o->verdict != c->expect.verdict)
        differ(o, "the verdict is %s (%.400s), not %s", verdict_kind_name(o->verdict), o->text,
               verdict_kind_name(c->expect.verdict));
    if (c->expect.detector && strcmp(o->detector, c->expect.detector) && !c->search.window)
        differ(o, "the detector is %s, not %s", o->detector[0] ? o->detector : "none", c->expect.detector);
    if (c->expect.place && !is_at(o, c->expect.place))
        differ(o, "the place is %.250s, not %.250s", o->place[0] ? o->place : "none", c->expect.place);
    if (c->expect.text && !matches(c->expect.text, o->text))
        differ(o, "the sentence '%.250s' does not match '%.250s'", o->text, c->expect.text);
    if (c->expect.console && !matches(c->expect.console, console ? console : ""))
        differ(o, "no line of the console matches '%.500s'", c->expect.console);
    if (c->expect.digest != CASE_NONE && o->digest != c->expect.digest)
        differ(o, "the digest is %016" PRIx64 ", not %016" PRIx64, o->digest, c->expect.digest);
    compare_number(o, "the number of steps", o->steps, c->expect.steps);
    compare_number(o, "the number of failing boundaries", o->failing, c->expect.failing);
    compare_number(o, "the number of boundaries covered", o->covered, c->expect.covered);
}

bool outcome_is_expected(const struct outcome *o)
{
    return !o->differences;
}

static void set_number(json_t *o, const char *key, uint64_t value)
{
    if (value != CASE_NONE)
        json_object_set_new(o, key, json_integer((json_int_t)value));
}

json_t *outcome_json(const struct outcome *o, const struct test_case *c)
{
    json_t *j = json_pack("{s:o, s:o, s:o, s:o, s:b, s:f}", "case", json_text(c->path), "title",
                          json_text(c->title ? c->title : ""), "verdict", json_text(verdict_kind_name(o->verdict)),
                          "reason", json_text(o->text), "expected", outcome_is_expected(o), "host_s", o->host_s);
    json_t *differences = json_array();
    char digest[20];

    if (!j) { /* the host has no memory left */
        json_decref(differences);
        return NULL;
    }
    if (o->detector[0])
        json_object_set_new(j, "detector", json_text(o->detector));
    if (o->place[0])
        json_object_set_new(j, "place", json_text(o->place));
    if (o->digest != CASE_NONE) {
        snprintf(digest, sizeof(digest), "%016" PRIx64, o->digest);
        json_object_set_new(j, "digest", json_text(digest));
    }
    set_number(j, "steps", o->steps);
    set_number(j, "failing", o->failing);
    set_number(j, "covered", o->covered);
    for (unsigned i = 0; i < o->differences; i++)
        json_array_append_new(differences, json_text(o->difference[i]));
    json_object_set_new(j, "differences", differences);
    return j;
}
