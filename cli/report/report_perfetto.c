/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The trace-event format is described by its authors as "Trace Event Format" (JSON Object Format); ui.perfetto.dev and
   chrome://tracing read it. Times are microseconds, and fractions are allowed. */
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "cli/report/story.h"
#include "cli/run/json_text.h"
#include "emu/delivery.h"
#include "emu/exception.h"

#define PROCESS_WINDOW 1 /* what is known in detail */
#define PROCESS_WHOLE  2 /* sums over the whole run */

/* Tracks of a vCPU in PROCESS_WINDOW: slices of one track must nest. */
enum track { TRACK_CODE, TRACK_HANDLERS, TRACK_COUNT };

struct writer {
    json_t *events;
    bool failed;
};

static double us(uint64_t ns)
{
    return (double)ns / 1000.0;
}

static void add(struct writer *w, json_t *event)
{
    if (!event || json_array_append_new(w->events, event))
        w->failed = true;
}

static int thread_of(unsigned vcpu, enum track track)
{
    return (int)(vcpu * TRACK_COUNT + track);
}

static void name_track(struct writer *w, int process, int thread, const char *what, const char *name)
{
    add(w, json_pack("{s:o, s:o, s:i, s:i, s:{s:o}}", "ph", json_text("M"), "name", json_text(what), "pid", process,
                     "tid", thread, "args", "name", json_text(name)));
}

static void add_slice(struct writer *w, int process, int thread, const char *name, const char *category,
                      uint64_t from_ns, uint64_t to_ns, json_t *args)
{
    add(w, json_pack("{s:o, s:o, s:o, s:i, s:i, s:f, s:f, s:o}", "ph", json_text("X"), "name", json_text(name), "cat",
                     json_text(category), "pid", process, "tid", thread, "ts", us(from_ns), "dur", us(to_ns - from_ns),
                     "args", args));
}

static void add_instant(struct writer *w, int thread, const char *name, const char *category, uint64_t at_ns,
                        json_t *args)
{
    add(w, json_pack("{s:o, s:o, s:o, s:o, s:i, s:i, s:f, s:o}", "ph", json_text("i"), "s", json_text("t"), "name",
                     json_text(name), "cat", json_text(category), "pid", PROCESS_WINDOW, "tid", thread, "ts", us(at_ns),
                     "args", args));
}

struct waits {
    struct writer *w;
};

static void add_wait(void *context, unsigned vcpu, uint64_t from_ns, uint64_t to_ns, enum timeline_state state)
{
    struct waits *x = context;

    add_slice(x->w, PROCESS_WINDOW, thread_of(vcpu, TRACK_CODE), timeline_state_name(state), "state", from_ns, to_ns,
              json_object());
}

static void add_handlers(struct writer *w, const struct report *r, const struct scene *x)
{
    for (size_t i = 0; i < x->handlers; i++) {
        const struct scene_handler *h = &x->handler[i];
        char name[96], at[160];

        if (h->kind == TRACE_INTERRUPT)
            snprintf(name, sizeof(name), "interrupt 0x%" PRIx64, h->vector);
        else
            snprintf(name, sizeof(name), "%s", h->kind == TRACE_NMI ? "NMI" : exception_name(h->vector));
        words_place(x->symbols, h->interrupted_gva, at, sizeof(at));
        add_slice(w, PROCESS_WINDOW, thread_of(h->vcpu, TRACK_HANDLERS), name, "handler", h->from_ns, h->to_ns,
                  json_pack("{s:o, s:I, s:I, s:b}", "interrupted", json_text(at), "from_step",
                            (json_int_t)h->from_position, "to_step", (json_int_t)h->to_position, "returned",
                            h->returned));
    }
    (void)r;
}

static void add_scene(struct writer *w, const struct report *r, const struct scene *x)
{
    struct waits waits = {w};
    char text[WORDS_BYTES];

    for (unsigned v = 0; v < machine_vcpus(x->machine); v++)
        timeline_each_wait(x, v, add_wait, &waits);
    for (size_t i = 0; i < x->spans; i++) {
        const struct scene_span *s = &x->span[i];

        add_slice(w, PROCESS_WINDOW, thread_of(s->vcpu, TRACK_CODE),
                  scene_symbol_name(x->symbols, s->symbol_gva, text, sizeof(text)),
                  s->kind == SCENE_SPINNING ? "spinning" : "running", s->from_ns, s->to_ns, json_object());
    }
    add_handlers(w, r, x);
    for (size_t i = 0; i < x->facts; i++) {
        const struct trace_fact *f = &x->fact[i].fact;

        add_instant(w, thread_of(f->vcpu, TRACK_CODE), words_fact(x->symbols, &x->fact[i], text, sizeof(text)),
                    trace_kind_name(f->kind), f->time_ns, json_pack("{s:I}", "step", (json_int_t)f->position));
    }
    for (size_t i = 0; i < x->writes; i++) {
        const struct scene_write *c = &x->write[i];
        char before[64], after[64], place[160], by[160];

        snprintf(text, sizeof(text), "code changed at %s", words_place(x->symbols, c->gva, place, sizeof(place)));
        add_instant(w, thread_of(c->vcpu, TRACK_CODE), text, "code", c->time_ns,
                    json_pack("{s:I, s:o, s:o, s:o}", "step", (json_int_t)c->position, "before",
                              json_text(words_bytes(c->before, c->bytes, before, sizeof(before))), "after",
                              json_text(words_bytes(c->after, c->bytes, after, sizeof(after))), "by",
                              json_text(words_place(x->symbols, c->rip_gva, by, sizeof(by)))));
    }
}

static void add_decisions(struct writer *w, const struct timeline *t)
{
    for (unsigned i = 0; i < t->decisions; i++) {
        const struct timeline_decision *d = &t->decision[i];
        char text[DECISION_TEXT_BYTES];

        decision_print(&t->session->options.schedule->decision[d->number], text, sizeof(text));
        add_instant(w, thread_of(d->vcpu, TRACK_CODE), text, "decision", d->time_ns,
                    json_pack("{s:I}", "step", (json_int_t)d->position));
    }
}

/* The whole run: what each vCPU mostly did, and how much happened, by bins. */
static void add_whole(struct writer *w, const struct timeline *t)
{
    for (unsigned v = 0; v < machine_vcpus(t->session->guest.machine); v++) {
        char name[64];

        snprintf(name, sizeof(name), "vCPU %u, mostly", v);
        name_track(w, PROCESS_WHOLE, (int)v, "thread_name", name);
        for (unsigned from = 0, i = 1; i <= t->bins; i++) {
            if (i < t->bins && timeline_bin_state(t, i, v) == timeline_bin_state(t, from, v))
                continue;
            add_slice(w, PROCESS_WHOLE, (int)v, timeline_state_name(timeline_bin_state(t, from, v)), "state",
                      from * t->bin_ns, i * t->bin_ns > t->end_ns ? t->end_ns : i * t->bin_ns, json_object());
            from = i;
        }
        snprintf(name, sizeof(name), "events of vCPU %u", v);
        for (unsigned i = 0; i < t->bins; i++)
            add(w, json_pack("{s:o, s:o, s:i, s:f, s:{s:I, s:I, s:I}}", "ph", json_text("C"), "name", json_text(name),
                             "pid", PROCESS_WHOLE, "ts", us(i * t->bin_ns), "args", "interrupts",
                             (json_int_t)t->bin[i].interrupts[v], "exceptions", (json_int_t)t->bin[i].exceptions[v],
                             "hypercalls", (json_int_t)t->bin[i].hypercalls[v]));
    }
}

enum emu_err report_write_perfetto(const struct report *r, FILE *to, struct diag *d)
{
    const struct timeline *t = r->timeline;
    struct writer w = {json_array(), false};
    char digest[32];
    json_t *all;

    name_track(&w, PROCESS_WINDOW, 0, "process_name", "in detail");
    name_track(&w, PROCESS_WHOLE, 0, "process_name", "the whole run");
    for (unsigned v = 0; v < machine_vcpus(t->session->guest.machine); v++) {
        char name[64];

        snprintf(name, sizeof(name), "vCPU %u", v);
        name_track(&w, PROCESS_WINDOW, thread_of(v, TRACK_CODE), "thread_name", name);
        snprintf(name, sizeof(name), "vCPU %u handlers", v);
        name_track(&w, PROCESS_WINDOW, thread_of(v, TRACK_HANDLERS), "thread_name", name);
    }
    for (unsigned i = 0; i < t->scenes; i++)
        add_scene(&w, r, &t->scene[i]);
    add_decisions(&w, t);
    add_whole(&w, t);
    if (session_has_place(&t->verdict))
        add_instant(&w, thread_of(t->verdict.vcpu, TRACK_CODE), t->verdict.text, "verdict", t->end_ns, json_object());
    snprintf(digest, sizeof(digest), "%016" PRIx64, t->digest);
    all = json_pack("{s:o, s:o, s:{s:o, s:o, s:o, s:o, s:o}}", "displayTimeUnit", json_text("ns"), "traceEvents",
                    w.events, "otherData", "verdict", json_text(verdict_kind_name(t->verdict.kind)), "text",
                    json_text(t->verdict.text), "command", json_text(r->command), "digest", json_text(digest),
                    "bootrace", json_text(BOOTRACE_VERSION));
    if (!all || w.failed || json_dumpf(all, to, JSON_COMPACT))
        w.failed = true;
    putc('\n', to);
    json_decref(all);
    return w.failed ? diag_set(d, EMU_EHOST, "the trace can't be written as JSON") : EMU_OK;
}
