/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/campaign/search_report.h"

#include <inttypes.h>
#include <string.h>

#include "cli/campaign/search_part.h"
#include "cli/run/json_text.h"
#include "emu/base/plural.h"
#include "fuzz/search/exhaustive.h"

/* Of a part, which another program may have written. */
static const char *why_nothing(const json_t *joined)
{
    const struct source_kind *source = source_at(source_index_named(search_part_text(joined, "source")));
    const json_t *open = json_object_get(json_object_get(joined, "window"), "open");

    if (!source || !source->why_nothing)
        return "it would be taken at no boundary of the window";
    if (source->decision != DECISION_NMI && json_is_integer(open) && !json_integer_value(open))
        return "no boundary of the window takes interrupts, which keeps out everything but --inject nmi";
    return source->why_nothing;
}

void search_report_print(const json_t *joined, FILE *to)
{
    bool complete = json_is_true(json_object_get(joined, "complete"));
    uint64_t boundaries = search_part_number(joined, "boundaries"), runs = search_part_number(joined, "runs"),
             steps = search_part_number(joined, "handler_steps_max"), failing = search_part_number(joined, "failing");
    uint64_t listed = 0;
    json_t *one;
    size_t i;

    fprintf(to,
            "%s: %" PRIu64 " boundar%s %s, %" PRIu64 " run%s of the handler (%" PRIu64 " step%s at most), %" PRIu64
            " failing boundar%s\n",
            search_part_text(joined, "source"), boundaries, boundaries == 1 ? "y" : "ies",
            complete ? "covered" : "covered so far", runs, plural(runs), steps, plural(steps), failing,
            failing == 1 ? "y" : "ies");
    if (boundaries && !runs)
        fprintf(to, "  nothing can be delivered %s: %s\n", complete ? "in the window" : "so far", why_nothing(joined));
    json_array_foreach(json_object_get(joined, "cases"), i, one)
    {
        listed += search_part_number(one, "last") + 1 - search_part_number(one, "first");
        fprintf(to, "  steps %" PRIu64 " to %" PRIu64 ", delivered at %s: %s: %s, at %s\n",
                search_part_number(one, "first"), search_part_number(one, "last"), search_part_text(one, "place"),
                search_part_text(one, "verdict"), search_part_text(one, "reason"), search_part_text(one, "at"));
    }
    if (listed < failing)
        fprintf(to, "  %" PRIu64 " more failing boundar%s not listed: a part lists %u kinds in a row at most\n",
                failing - listed, failing - listed == 1 ? "y is" : "ies are", EXHAUSTIVE_FAILURES_MAX);
}

uint64_t search_report_sum(const json_t *sources, const char *key)
{
    uint64_t sum = 0;
    json_t *source;
    size_t i;

    json_array_foreach(sources, i, source) sum += search_part_number(source, key);
    return sum;
}

json_t *search_report_new(const char *window, json_t *sources, bool complete)
{
    json_t *cases = json_array(), *source, *one, *report;
    size_t i, k;

    json_array_foreach(sources, i, source)
    {
        json_array_foreach(json_object_get(source, "cases"), k, one)
        {
            json_object_set(one, "source", json_object_get(source, "source"));
            json_array_append(cases, one);
        }
        json_object_del(source, "cases");
    }
    report = json_pack("{s:o, s:I, s:I, s:I, s:b, s:o, s:o, s:O}", "window", json_text(window), "boundaries",
                       (json_int_t)search_report_sum(sources, "boundaries"), "runs",
                       (json_int_t)search_report_sum(sources, "runs"), "failing",
                       (json_int_t)search_report_sum(sources, "failing"), "complete", complete, "assumptions",
                       json_text(SEARCH_ASSUMPTIONS), "cases", cases, "sources", sources);
    return report;
}
