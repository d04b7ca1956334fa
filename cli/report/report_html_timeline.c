/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The timelines: a figure each, a lane a vCPU, placed in percent, so that they fit any width without a script. What can
 * be zoomed has its place on the axis in data-a and data-b.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli/report/report_html.h"
#include "cli/report/timeline_axis.h"
#include "emu/base/count.h"
#include "emu/delivery.h"
#include "emu/exception.h"

#define BAR_PX         20u
#define HANDLER_PX     9u
#define HANDLERS_SHOWN 4u /* levels */
#define MARKS_PX       20u
#define MARKS_MAX      1500u /* of a figure */
#define TICKS          4u
#define NAMED_PERCENT  7u /* a bar so wide has its name in it, without a script */
#define COUNT_COLUMNS  160u
#define COUNT_PX       22u
#define COUNTED_VCPUS  16u /* more lanes have no bars of counts */

struct figure {
    struct html *h;
    const struct report *r;
    const struct scene *sc; /* NULL: the whole run */
    struct timeline_axis axis;
    uint64_t low, high; /* of the axis */
    uint64_t zero_ns;   /* labels count from here */
    unsigned vcpu, marks;
    unsigned lane_px;
};

/* "-1.25 µs", as the script says it. */
static const char *relative(const struct figure *f, uint64_t time_ns, char *text, size_t bytes)
{
    bool before = time_ns < f->zero_ns;
    uint64_t ns = before ? f->zero_ns - time_ns : time_ns - f->zero_ns;
    const char *sign = before ? "−" : "+";

    if (ns < 1000)
        snprintf(text, bytes, "%s%" PRIu64 " ns", sign, ns);
    else if (ns < 1000000)
        snprintf(text, bytes, "%s%.*f µs", sign, ns < 100000 ? 2 : 1, (double)ns / 1e3);
    else if (ns < 1000000000)
        snprintf(text, bytes, "%s%.*f ms", sign, ns < 100000000 ? 2 : 1, (double)ns / 1e6);
    else
        snprintf(text, bytes, "%s%.3f s", sign, (double)ns / 1e9);
    return text;
}

static double percent(const struct figure *f, uint64_t at)
{
    if (at <= f->low)
        return 0;
    return at >= f->high ? 100 : (double)(at - f->low) * 100.0 / (double)(f->high - f->low);
}

static bool is_shown(const struct figure *f, uint64_t from_ns, uint64_t to_ns, uint64_t *a, uint64_t *b)
{
    if (to_ns < f->axis.from_ns || from_ns > f->axis.to_ns)
        return false;
    *a = timeline_axis_at(&f->axis, from_ns);
    *b = timeline_axis_at(&f->axis, to_ns);
    return *b >= f->low && *a <= f->high;
}

static void place(struct figure *f, uint64_t a, uint64_t b)
{
    html_attribute(f->h, "data-a", "%" PRIu64, a);
    html_attribute(f->h, "data-b", "%" PRIu64, b);
}

static void title(struct figure *f, const char *text, uint64_t from_ns, uint64_t to_ns)
{
    char a[64], wide[64];

    html_open(f->h, "title", NULL);
    html_print(f->h, "%s: at %s, for %s", text, relative(f, from_ns, a, sizeof(a)),
               words_time(to_ns - from_ns, wide, sizeof(wide)));
    html_close(f->h);
}

static void bar(struct figure *f, const char *class, uint64_t from_ns, uint64_t to_ns, unsigned y, unsigned height,
                const char *name)
{
    uint64_t a, b;
    double x, wide;

    if (!is_shown(f, from_ns, to_ns, &a, &b))
        return;
    x = percent(f, a);
    wide = percent(f, b) - x;
    html_open(f->h, "rect", "class", class, NULL);
    html_attribute(f->h, "x", "%.4f%%", x);
    html_attribute(f->h, "width", "%.4f%%", wide < 0.08 ? 0.08 : wide);
    html_attribute(f->h, "y", "%u", y);
    html_attribute(f->h, "height", "%u", height);
    place(f, a, b);
    title(f, name, from_ns, to_ns);
    html_close(f->h);
}

static void name_in_bar(struct figure *f, const char *name, uint64_t from_ns, uint64_t to_ns, unsigned y,
                        const char *class)
{
    uint64_t a, b;
    double wide;

    if (!is_shown(f, from_ns, to_ns, &a, &b))
        return;
    wide = percent(f, b) - percent(f, a);
    if ((double)(b - a) * 400.0 < (double)(f->high - f->low))
        return;
    html_open(f->h, "text", "class", class, "dx", "4", NULL);
    html_attribute(f->h, "x", "%.4f%%", percent(f, a));
    html_attribute(f->h, "y", "%u", y);
    place(f, a, b);
    if (wide < NAMED_PERCENT || wide < (double)strlen(name) * 0.9)
        html_attribute(f->h, "style", "display:none");
    html_text(f->h, name);
    html_close(f->h);
}

static void upright(struct figure *f, const char *class, uint64_t time_ns, const char *text)
{
    uint64_t a, b;

    if (!is_shown(f, time_ns, time_ns, &a, &b))
        return;
    html_open(f->h, "line", "class", class, "y1", "0", NULL);
    html_attribute(f->h, "x1", "%.4f%%", percent(f, a));
    html_attribute(f->h, "x2", "%.4f%%", percent(f, a));
    html_attribute(f->h, "y2", "%u", f->lane_px);
    html_attribute(f->h, "data-a", "%" PRIu64, a);
    html_element(f->h, "title", NULL, text);
    html_close(f->h);
}

static void mark(struct figure *f, const char *shape, uint64_t time_ns, const char *text)
{
    char at[64];
    uint64_t a, b;

    if (!is_shown(f, time_ns, time_ns, &a, &b) || f->marks >= MARKS_MAX)
        return;
    f->marks++;
    html_open(f->h, "use", NULL);
    html_attribute(f->h, "class", "m m-%s", shape);
    html_attribute(f->h, "href", "#m-%s", shape);
    html_attribute(f->h, "x", "%.4f%%", percent(f, a));
    html_attribute(f->h, "y", "%u", f->lane_px - MARKS_PX / 2);
    html_attribute(f->h, "data-a", "%" PRIu64, a);
    html_open(f->h, "title", NULL);
    html_print(f->h, "%s: %s", relative(f, time_ns, at, sizeof(at)), text);
    html_close(f->h);
    html_close(f->h);
}

static const char *const state_class[TIMELINE_STATE_COUNT] = {
    [TIMELINE_OFFLINE] = "s-offline", [TIMELINE_RUNNING] = "s-running", [TIMELINE_READY] = "s-ready",
    [TIMELINE_BLOCKED] = "s-blocked", [TIMELINE_POLLING] = "s-polling",
};

static void draw_wait(void *context, unsigned vcpu, uint64_t from_ns, uint64_t to_ns, enum timeline_state state)
{
    bar(context, state_class[state], from_ns, to_ns, 0, BAR_PX, timeline_state_name(state));
}

static const char *shape_of(const struct trace_fact *f)
{
    switch (f->kind) {
    case TRACE_INTERRUPT:
        return "interrupt";
    case TRACE_NMI:
        return "nmi";
    case TRACE_EXCEPTION:
        return "exception";
    case TRACE_HYPERCALL:
        return "hypercall";
    default:
        return "other";
    }
}

static void draw_facts(struct figure *f, bool important)
{
    for (size_t i = 0; i < f->sc->facts; i++) {
        const struct scene_fact *x = &f->sc->fact[i];
        bool is = x->fact.kind == TRACE_INTERRUPT || x->fact.kind == TRACE_NMI || x->fact.kind == TRACE_EXCEPTION;
        char text[WORDS_BYTES];

        if (x->fact.vcpu == f->vcpu && is == important)
            mark(f, shape_of(&x->fact), x->fact.time_ns, words_fact(f->sc->symbols, x, text, sizeof(text)));
    }
}

static void draw_writes(struct figure *f)
{
    for (size_t i = 0; i < f->sc->writes; i++) {
        const struct scene_write *x = &f->sc->write[i];
        char text[WORDS_BYTES], before[64], after[64], at[160];

        if (x->vcpu != f->vcpu || !memcmp(x->before, x->after, x->bytes))
            continue;
        snprintf(text, sizeof(text), "code changed at %s: %s becomes %s",
                 words_place(f->sc->symbols, x->gva, at, sizeof(at)),
                 words_bytes(x->before, x->bytes, before, sizeof(before)),
                 words_bytes(x->after, x->bytes, after, sizeof(after)));
        mark(f, "code", x->time_ns, text);
    }
}

static unsigned handler_y(unsigned depth)
{
    return BAR_PX + 2 + depth * (HANDLER_PX + 1);
}

static unsigned handler_levels(const struct scene *sc)
{
    unsigned levels = 0;

    for (size_t i = 0; i < sc->handlers; i++)
        if (sc->handler[i].depth + 1 > levels)
            levels = sc->handler[i].depth + 1;
    return levels < HANDLERS_SHOWN ? levels : HANDLERS_SHOWN;
}

static void handler_name(const struct figure *f, const struct scene_handler *x, char *text, size_t bytes)
{
    char handler[128];

    scene_symbol_name(f->sc->symbols, x->handler_gva, handler, sizeof(handler));
    if (x->kind == TRACE_INTERRUPT)
        snprintf(text, bytes, "interrupt 0x%" PRIx64 " in %s", x->vector, handler);
    else
        snprintf(text, bytes, "%s in %s", x->kind == TRACE_NMI ? "NMI" : exception_name(x->vector), handler);
}

static void draw_handlers(struct figure *f)
{
    for (size_t i = 0; i < f->sc->handlers; i++) {
        const struct scene_handler *x = &f->sc->handler[i];
        char text[256];

        if (x->vcpu != f->vcpu || x->depth >= HANDLERS_SHOWN)
            continue;
        handler_name(f, x, text, sizeof(text) - 32);
        if (!x->returned)
            strcat(text, ", not returned");
        bar(f, x->returned ? "handler" : "handler lost", x->from_ns, x->to_ns, handler_y(x->depth), HANDLER_PX, text);
    }
}

/* Lines through the lane: decisions, the exception that was the cause, the end. */
static void draw_uprights(struct figure *f)
{
    const struct timeline *t = f->r->timeline;
    char text[WORDS_BYTES];

    for (unsigned i = 0; i < t->decisions; i++) {
        char line[DECISION_TEXT_BYTES];

        if (t->decision[i].vcpu != f->vcpu)
            continue;
        decision_print(&t->session->options.schedule->decision[t->decision[i].number], line, sizeof(line));
        upright(f, "v-decision", t->decision[i].time_ns, line);
        mark(f, "decision", t->decision[i].time_ns, line);
    }
    if (f->sc && f->sc->cause != SCENE_NONE && f->sc->handler[f->sc->cause].vcpu == f->vcpu) {
        handler_name(f, &f->sc->handler[f->sc->cause], text, sizeof(text));
        upright(f, "v-cause", f->sc->handler[f->sc->cause].from_ns, text);
    }
    if (session_has_place(&t->verdict) && t->verdict.vcpu == f->vcpu) {
        upright(f, "v-end", t->end_ns, t->verdict.text);
        mark(f, "end", t->end_ns, t->verdict.text);
    }
}

static void draw_lane(struct figure *f)
{
    const struct scene *sc = f->sc;

    timeline_each_wait(sc, f->vcpu, draw_wait, f);
    for (size_t i = 0; i < sc->spans; i++) {
        char name[160];

        if (sc->span[i].vcpu == f->vcpu)
            bar(f, sc->span[i].kind == SCENE_SPINNING ? "s-spinning" : "s-running", sc->span[i].from_ns,
                sc->span[i].to_ns, 0, BAR_PX,
                scene_symbol_name(sc->symbols, sc->span[i].symbol_gva, name, sizeof(name)));
    }
    for (size_t i = 0; i < sc->spans; i++) {
        char name[160];

        if (sc->span[i].vcpu == f->vcpu)
            name_in_bar(f, scene_symbol_name(sc->symbols, sc->span[i].symbol_gva, name, sizeof(name)),
                        sc->span[i].from_ns, sc->span[i].to_ns, 14, "in");
    }
    for (unsigned i = 0; i < f->axis.gaps; i++)
        bar(f, "s-gap", f->axis.gap[i].from_ns, f->axis.gap[i].to_ns, 0, BAR_PX, "cut short here, no vCPU ran");
    draw_handlers(f);
    draw_uprights(f);
    draw_facts(f, true);
    draw_writes(f);
    draw_facts(f, false);
}

/* What happened, as bars of counts below the lane of the whole run. */
static void draw_counts(struct figure *f)
{
    const struct timeline *t = f->r->timeline;
    uint64_t count[COUNT_COLUMNS] = {0}, most = 1;

    for (unsigned i = 0; i < t->bins; i++) {
        const struct timeline_bin *b = &t->bin[i];
        unsigned c = (unsigned)((uint64_t)i * COUNT_COLUMNS / t->bins);

        count[c] += b->interrupts[f->vcpu] + b->exceptions[f->vcpu] + b->hypercalls[f->vcpu];
        if (count[c] > most)
            most = count[c];
    }
    for (unsigned c = 0; c < COUNT_COLUMNS; c++) {
        uint64_t from = t->end_ns / COUNT_COLUMNS * c, to = t->end_ns / COUNT_COLUMNS * (c + 1);
        unsigned height = 1;
        char text[96];

        if (!count[c])
            continue;
        for (uint64_t n = count[c]; n > 1; n >>= 1) /* logarithmic */
            height += 2;
        if (height > COUNT_PX)
            height = COUNT_PX;
        snprintf(text, sizeof(text),
                 count[c] == 1 ? "%" PRIu64 " interrupt, exception or hypercall"
                               : "%" PRIu64 " interrupts, exceptions and hypercalls",
                 count[c]);
        bar(f, "m m-other", from, to, BAR_PX + COUNT_PX - height, height, text);
    }
}

static void draw_whole_lane(struct figure *f)
{
    const struct timeline *t = f->r->timeline;

    for (unsigned from = 0, i = 1; i <= t->bins; i++) {
        enum timeline_state s = timeline_bin_state(t, from, f->vcpu);
        uint64_t to = i * t->bin_ns < t->end_ns ? i * t->bin_ns : t->end_ns;

        if (i < t->bins && timeline_bin_state(t, i, f->vcpu) == s)
            continue;
        bar(f, state_class[s], from * t->bin_ns, to, 0, BAR_PX, timeline_state_name(s));
        from = i;
    }
    if (machine_vcpus(t->session->guest.machine) <= COUNTED_VCPUS)
        draw_counts(f);
    for (unsigned i = 0; i < t->scenes; i++)
        bar(f, "shown", t->scene[i].from_ns, t->scene[i].to_ns, 1, BAR_PX - 2, "shown in detail above");
    draw_uprights(f);
}

static void draw_axis(struct figure *f)
{
    html_open(f->h, "div", "class", "name soft axisname", NULL);
    html_text(f->h, "time");
    html_close(f->h);
    html_open(f->h, "svg", "class", "axis", "height", "24", "aria-hidden", "true", NULL);
    for (unsigned i = 0; i <= TICKS; i++) {
        uint64_t at = f->low + (f->high - f->low) * i / TICKS;
        char text[64];

        html_open(f->h, "line", "y1", "0", "y2", "6", NULL);
        html_attribute(f->h, "x1", "%u%%", i * 100 / TICKS);
        html_attribute(f->h, "x2", "%u%%", i * 100 / TICKS);
        html_close(f->h);
        if (i % 2) /* labels at the begin, the middle and the end */
            continue;
        html_open(f->h, "text", "y", "19", "text-anchor", i == 0 ? "start" : i == TICKS ? "end" : "middle", NULL);
        html_attribute(f->h, "x", "%u%%", i * 100 / TICKS);
        html_attribute(f->h, "data-tick", "%g", (double)i / TICKS);
        html_text(f->h, relative(f, timeline_axis_time(&f->axis, at), text, sizeof(text)));
        html_close(f->h);
    }
    html_close(f->h);
}

static void write_axis_data(struct figure *f)
{
    json_t *gaps = json_array(), *all;
    char *text;

    for (unsigned i = 0; i < f->axis.gaps; i++)
        json_array_append_new(
            gaps, json_pack("[I, I]", (json_int_t)f->axis.gap[i].from_ns, (json_int_t)f->axis.gap[i].to_ns));
    all = json_pack("{s:I, s:I, s:I, s:I, s:I, s:o}", "low", (json_int_t)f->low, "high", (json_int_t)f->high, "from",
                    (json_int_t)f->axis.from_ns, "zero", (json_int_t)f->zero_ns, "shown",
                    (json_int_t)f->axis.gap_shown_ns, "gaps", gaps);
    text = all ? json_dumps(all, JSON_COMPACT) : NULL;
    html_open(f->h, "script", "type", "application/json", NULL);
    html_raw(f->h, text ? text : "{}"); /* numbers only: nothing to escape */
    html_close(f->h);
    f->h->failed = f->h->failed || !text;
    free(text);
    json_decref(all);
}

static void write_controls(struct figure *f)
{
    static const char *const act[][3] = {{"in", "+ Zoom in", "Zoom in"},
                                         {"out", "− Zoom out", "Zoom out"},
                                         {"left", "◀", "Earlier"},
                                         {"right", "▶", "Later"},
                                         {"all", "All", "Show all"}};

    html_open(f->h, "div", "class", "controls", NULL);
    for (unsigned i = 0; i < COUNT(act); i++) {
        html_open(f->h, "button", "type", "button", "data-act", act[i][0], "aria-label", act[i][2], NULL);
        html_text(f->h, act[i][1]);
        html_close(f->h);
    }
    html_open(f->h, "span", "class", "range", "aria-live", "polite", NULL);
    html_close(f->h);
    html_close(f->h);
}

static void write_figure(struct figure *f, const char *name, const char *caption)
{
    unsigned vcpus = machine_vcpus(f->r->timeline->session->guest.machine);

    f->lane_px = f->sc ? BAR_PX + handler_levels(f->sc) * (HANDLER_PX + 1) + 2 + MARKS_PX : BAR_PX + COUNT_PX + 2;
    html_open(f->h, "figure", "class", "tl", NULL);
    html_element(f->h, "h3", NULL, name);
    html_element(f->h, "figcaption", NULL, caption);
    write_controls(f);
    html_open(f->h, "div", "class", "lanes", "tabindex", "0", "role", "group", NULL);
    html_attribute(f->h, "aria-label",
                   "%s: a lane for each vCPU. Keys: plus and minus zoom, arrows move, Home shows all.", name);
    for (f->vcpu = 0; f->vcpu < vcpus; f->vcpu++) {
        html_open(f->h, "div", "class", "name", NULL);
        html_print(f->h, "vCPU %u", f->vcpu);
        html_close(f->h);
        html_open(f->h, "svg", "class", "lane", "role", "img", NULL);
        html_attribute(f->h, "height", "%u", f->lane_px);
        html_attribute(f->h, "aria-label", "vCPU %u", f->vcpu);
        if (f->sc)
            draw_lane(f);
        else
            draw_whole_lane(f);
        html_close(f->h);
    }
    draw_axis(f);
    html_close(f->h);
    write_axis_data(f);
    if (f->marks >= MARKS_MAX)
        html_element(f->h, "p", "soft", "There are more marks than can be shown; these matter most.");
    html_close(f->h);
}

static void legend_bar(struct html *h, const char *class, const char *text)
{
    html_open(h, "li", NULL);
    html_open(h, "svg", "aria-hidden", "true", NULL);
    html_open(h, "rect", "width", "24", "height", "14", "class", class, NULL);
    html_close(h);
    html_close(h);
    html_text(h, text);
    html_close(h);
}

static void legend_mark(struct html *h, const char *shape, const char *text)
{
    html_open(h, "li", NULL);
    html_open(h, "svg", "aria-hidden", "true", NULL);
    html_open(h, "use", "x", "12", "y", "7", NULL);
    html_attribute(h, "href", "#m-%s", shape);
    html_attribute(h, "class", "m m-%s", shape);
    html_close(h);
    html_close(h);
    html_text(h, text);
    html_close(h);
}

static void write_legend(struct html *h)
{
    html_open(h, "ul", "class", "legend", "aria-label", "Legend", NULL);
    legend_bar(h, "s-running", "running");
    legend_bar(h, "s-spinning", "spinning");
    legend_bar(h, "s-ready", timeline_state_name(TIMELINE_READY));
    legend_bar(h, "s-blocked", timeline_state_name(TIMELINE_BLOCKED));
    legend_bar(h, "s-polling", timeline_state_name(TIMELINE_POLLING));
    legend_bar(h, "s-offline", timeline_state_name(TIMELINE_OFFLINE));
    legend_bar(h, "handler", "a handler runs");
    legend_bar(h, "handler lost", "a handler that did not return");
    legend_bar(h, "s-gap", "cut short: no vCPU ran");
    legend_mark(h, "decision", "decision of the schedule");
    legend_mark(h, "interrupt", "interrupt");
    legend_mark(h, "nmi", "NMI");
    legend_mark(h, "exception", "exception");
    legend_mark(h, "code", "code changed");
    legend_mark(h, "hypercall", "hypercall");
    legend_mark(h, "other", "other event");
    legend_mark(h, "end", "the failing step");
    html_close(h);
}

static void caption_of(const struct figure *f, const char *zero, uint64_t from_ns, uint64_t to_ns, char *text,
                       size_t bytes)
{
    char from[64], wide[64], at[64];

    snprintf(text, bytes, "%s of virtual time from %s on. Times count from %s, at %s.",
             words_time(to_ns - from_ns, wide, sizeof(wide)), words_time(from_ns, from, sizeof(from)), zero,
             words_time(f->zero_ns, at, sizeof(at)));
}

static void write_scenes(struct figure *f)
{
    static const char *const names[] = {"Around the last decision", "Around the exception", "Before the end"};
    static const char *const zeros[] = {"the last decision", "the exception", "the end"};
    const struct timeline *t = f->r->timeline;
    char caption[256];

    for (unsigned i = 0; i < t->scenes; i++) {
        uint64_t from, to;

        f->sc = &t->scene[i];
        timeline_axis_init(&f->axis, f->sc);
        f->zero_ns = t->focus[i] == TIMELINE_AT_DECISION ? t->anchor->time_ns
                     : t->focus[i] == TIMELINE_AT_EXCEPTION && f->sc->cause != SCENE_NONE
                         ? f->sc->handler[f->sc->cause].from_ns
                         : t->end_ns;
        if (!i && timeline_close_up(t, &f->axis, &from, &to)) {
            f->low = timeline_axis_at(&f->axis, from);
            f->high = timeline_axis_at(&f->axis, to);
            f->marks = 0;
            caption_of(f, zeros[t->focus[i]], from, to, caption, sizeof(caption));
            write_figure(f, f->sc->cause != SCENE_NONE || f->sc->torns ? "Where it went wrong" : "At the last decision",
                         caption);
        }
        f->low = 0;
        f->high = f->axis.length ? f->axis.length : 1;
        f->marks = 0;
        caption_of(f, zeros[t->focus[i]], f->sc->from_ns, f->sc->to_ns, caption, sizeof(caption));
        write_figure(f, names[t->focus[i]], caption);
    }
}

void html_timelines(struct html *h, const struct report *r)
{
    const struct timeline *t = r->timeline;
    struct figure f = {.h = h, .r = r};
    char caption[256], bin[64];

    write_legend(h);
    write_scenes(&f);
    f.sc = NULL;
    f.axis = (struct timeline_axis){.to_ns = t->end_ns, .length = t->end_ns};
    f.low = 0;
    f.high = t->end_ns ? t->end_ns : 1;
    f.zero_ns = f.marks = 0;
    snprintf(caption, sizeof(caption),
             "What each vCPU did for most of every %s; below that, how many interrupts, exceptions "
             "and hypercalls there were (logarithmic). The frames mark what is shown in detail.",
             words_time(t->bin_ns, bin, sizeof(bin)));
    write_figure(&f, "The whole run", caption);
}
