/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/report/timeline_axis.h"

#include <stdlib.h>

static int by_time(const void *a, const void *b)
{
    const struct scene_span *x = a, *y = b;

    return x->from_ns < y->from_ns ? -1 : x->from_ns > y->from_ns;
}

void timeline_axis_init(struct timeline_axis *a, const struct scene *sc)
{
    uint64_t busy = 0, at = sc->from_ns;

    *a = (struct timeline_axis){.from_ns = sc->from_ns, .to_ns = sc->to_ns};
    qsort(sc->span, sc->spans, sizeof(*sc->span), by_time);
    for (size_t i = 0; i < sc->spans; i++) {
        const struct scene_span *s = &sc->span[i];

        if (s->to_ns > at)
            busy += s->to_ns - (s->from_ns > at ? s->from_ns : at);
        at = s->to_ns > at ? s->to_ns : at;
    }
    a->gap_shown_ns = 1 + busy / 200;
    at = sc->from_ns;
    for (size_t i = 0; i <= sc->spans && a->gaps < TIMELINE_GAPS_MAX; i++) {
        uint64_t next = i < sc->spans ? sc->span[i].from_ns : sc->to_ns;

        if (busy && next > at && next - at > 16 * a->gap_shown_ns)
            a->gap[a->gaps++] = (struct timeline_gap){at, next};
        if (i < sc->spans && sc->span[i].to_ns > at)
            at = sc->span[i].to_ns;
    }
    a->length = timeline_axis_at(a, sc->to_ns);
}

uint64_t timeline_axis_at(const struct timeline_axis *a, uint64_t time_ns)
{
    uint64_t at = 0, from = a->from_ns;

    if (time_ns < a->from_ns)
        time_ns = a->from_ns;
    if (time_ns > a->to_ns)
        time_ns = a->to_ns;
    for (unsigned i = 0; i < a->gaps && a->gap[i].from_ns < time_ns; i++) {
        const struct timeline_gap *g = &a->gap[i];

        at += g->from_ns - from;
        if (time_ns < g->to_ns)
            return at + (uint64_t)((__uint128_t)(time_ns - g->from_ns) * a->gap_shown_ns / (g->to_ns - g->from_ns));
        at += a->gap_shown_ns;
        from = g->to_ns;
    }
    return at + time_ns - from;
}

uint64_t timeline_axis_time(const struct timeline_axis *a, uint64_t at)
{
    uint64_t time_ns = a->from_ns;

    for (unsigned i = 0; i < a->gaps; i++) {
        const struct timeline_gap *g = &a->gap[i];

        if (at <= g->from_ns - time_ns)
            break;
        at -= g->from_ns - time_ns;
        if (at < a->gap_shown_ns)
            return g->from_ns + (uint64_t)((__uint128_t)at * (g->to_ns - g->from_ns) / a->gap_shown_ns);
        at -= a->gap_shown_ns;
        time_ns = g->to_ns;
    }
    return time_ns + at;
}

bool timeline_close_up(const struct timeline *t, const struct timeline_axis *a, uint64_t *from_ns, uint64_t *to_ns)
{
    const struct scene *sc = &t->scene[0];
    uint64_t from = UINT64_MAX, to = 0, margin;

    if (sc->cause != SCENE_NONE)
        from = to = sc->handler[sc->cause].from_ns;
    if (t->anchor && t->anchor->time_ns < from)
        from = t->anchor->time_ns;
    for (unsigned i = 0; i < sc->torns; i++)
        if (sc->torn[i].executed && sc->torn[i].time_ns > to)
            to = sc->torn[i].time_ns;
    for (size_t i = 0; t->sites && i < sc->writes; i++) {
        const struct scene_write *x = &sc->write[i];

        if (x->gpa >= t->site[0].gpa && x->gpa < t->site[0].gpa + t->site[0].bytes &&
            x->position >= t->site[0].first_position && x->time_ns < from)
            from = x->time_ns;
    }
    if (from == UINT64_MAX)
        return false;
    from = timeline_axis_at(a, from);
    to = timeline_axis_at(a, to);
    if (to < from)
        to = from;
    margin = 300 + (to - from) / 4;
    *from_ns = timeline_axis_time(a, from > margin ? from - margin : 0);
    *to_ns = timeline_axis_time(a, to + margin < a->length ? to + margin : a->length);
    return *from_ns < *to_ns && (*from_ns > sc->from_ns || *to_ns < sc->to_ns);
}
