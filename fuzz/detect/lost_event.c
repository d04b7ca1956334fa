/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz/detect/lost_event.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "emu/machine.h"
#include "emu/model.h"
#include "emu/trace.h"
#include "emu/vcpu.h"
#include "fuzz/detect/detector.h"

struct state {
    struct lost_event_report report;
    uint64_t next_look_ns;
    uint64_t since_ns[VCPUS_MAX]; /* an upcall waits since then; 0: none does */
    uint8_t told[VCPUS_MAX];      /* … and was found to be overdue */
    uint64_t line_since_ns;       /* an interrupt line waits since it was looked at then; 0: none does */
    uint32_t line;                /* its number */
    uint32_t line_told;
};

static unsigned held_events(struct machine *m, struct held_event *held, unsigned max)
{
    const struct machine_config *config = machine_config(m);
    unsigned n = 0;

    for (unsigned i = 0; i < config->model_count && n < max; i++)
        if (config->models[i]->held_events)
            n += config->models[i]->held_events(m, held + n, max - n);
    return n;
}

static void print_held(const struct held_event *h, char *text, size_t bytes)
{
    char port[32] = "", vcpu[32] = "";

    if (h->port) {
        snprintf(port, sizeof(port), " on port %" PRIu32, h->port);
        snprintf(vcpu, sizeof(vcpu), " for vCPU %" PRIu32, h->vcpu);
    }
    if (strcmp(h->what, "ipi") && strcmp(h->what, "interdomain"))
        snprintf(text, bytes, "%s %" PRIu32 "%s%s: %s", h->what, h->number, port, vcpu, h->why);
    else
        snprintf(text, bytes, "%s%s%s: %s", h->what, port, vcpu, h->why);
}

/* ---- what is lost ---- */

static void note_first(struct lost_event_report *r, const struct trace_fact *fact, uint32_t port, uint32_t vcpu)
{
    if (r->dropped + r->overdue != 1)
        return;
    r->first_ns = fact->time_ns;
    r->first_port = port;
    r->first_vcpu = vcpu;
}

static void dropped(const struct lost_event *l, struct machine *m, struct state *s, const struct trace_fact *fact)
{
    s->report.dropped++;
    note_first(&s->report, fact, (uint32_t)fact->a, (uint32_t)fact->b);
    if (l->options.fail)
        machine_set_verdict(m, VERDICT_FAIL, "lost-event",
                            "the host drops the event of port %" PRIu64 ": its vCPU %" PRIu64
                            " has no FIFO control block yet (EVTCHNOP_init_control)",
                            fact->a, fact->b);
}

static void overdue(const struct lost_event *l, struct machine *m, struct state *s, const struct trace_fact *fact,
                    const struct held_event *held, uint64_t since_ns)
{
    char text[VERDICT_TEXT_BYTES - 100];

    s->report.overdue++;
    note_first(&s->report, fact, held->port, held->vcpu);
    print_held(held, text, sizeof(text));
    if (l->options.fail)
        machine_set_verdict(m, VERDICT_FAIL, "lost-event", "an event has waited for %" PRIu64 " ns: %s",
                            fact->time_ns - since_ns, text);
}

static void look_at_upcall(const struct lost_event *l, struct machine *m, struct state *s,
                           const struct trace_fact *fact, unsigned vcpu)
{
    struct held_event held[LOST_EVENT_HELD_MAX];
    unsigned n = held_events(m, held, LOST_EVENT_HELD_MAX), i = 0;

    while (i < n && (!held[i].port || held[i].vcpu != vcpu))
        i++;
    if (i == n) { /* it was taken without an interrupt, or waits for nothing but its turn */
        s->since_ns[vcpu] = 0;
        return;
    }
    s->told[vcpu] = 1;
    overdue(l, m, s, fact, &held[i], s->since_ns[vcpu]);
}

static void look_at_lines(const struct lost_event *l, struct machine *m, struct state *s, const struct trace_fact *fact)
{
    struct held_event held[LOST_EVENT_HELD_MAX];
    unsigned n = held_events(m, held, LOST_EVENT_HELD_MAX), i = 0;

    while (i < n && held[i].port)
        i++;
    if (i == n) {
        s->line_since_ns = 0;
    } else if (!s->line_since_ns || s->line != held[i].number) {
        s->line_since_ns = fact->time_ns;
        s->line = held[i].number;
        s->line_told = 0;
    } else if (!s->line_told && fact->time_ns - s->line_since_ns >= l->options.patience_ns) {
        s->line_told = 1;
        overdue(l, m, s, fact, &held[i], s->line_since_ns);
    }
}

static void look_for_overdue(const struct lost_event *l, struct machine *m, struct state *s,
                             const struct trace_fact *fact)
{
    if (fact->time_ns < s->next_look_ns)
        return;
    s->next_look_ns = fact->time_ns + l->options.patience_ns / 4;
    for (unsigned v = 0; v < machine_vcpus(m); v++)
        if (s->since_ns[v] && !s->told[v] && fact->time_ns - s->since_ns[v] >= l->options.patience_ns)
            look_at_upcall(l, m, s, fact, v);
    look_at_lines(l, m, s, fact);
}

static void listen(struct machine *m, const struct trace_fact *fact, void *context)
{
    const struct lost_event *l = context;
    struct state *s = watch_state(m, &l->watcher);

    switch (fact->kind) {
    case TRACE_EVENT:
        if (fact->c == TRACE_EVENT_DROPPED)
            dropped(l, m, s, fact);
        else if (fact->b < VCPUS_MAX && fact->c && !s->since_ns[fact->b])
            s->since_ns[fact->b] = fact->time_ns;
        break;
    case TRACE_INTERRUPT:
        s->since_ns[fact->vcpu] = 0;
        s->told[fact->vcpu] = 0;
        break;
    default:
        break;
    }
    look_for_overdue(l, m, s, fact);
}

enum emu_err lost_event_attach(struct lost_event *l, struct machine *m, const struct lost_event_options *options,
                               struct diag *d)
{
    enum emu_err err;

    *l = (struct lost_event){.options = *options, .watcher = {.context = l, .state_bytes = sizeof(struct state)}};
    err = watch_add(m, &l->watcher, d);
    if (err == EMU_OK)
        trace_listen(m, listen, l);
    return err;
}

const struct lost_event_report *lost_event_report(const struct lost_event *l, struct machine *m)
{
    const struct state *s = watch_state(m, &l->watcher);

    return &s->report;
}

void lost_event_print(const struct lost_event *l, struct machine *m, FILE *to)
{
    const struct lost_event_report *r = lost_event_report(l, m);
    struct held_event held[LOST_EVENT_HELD_MAX];
    unsigned n = held_events(m, held, LOST_EVENT_HELD_MAX);

    if (r->dropped + r->overdue)
        fprintf(to,
                "lost-event: %" PRIu64 " events dropped, %" PRIu64 " upcalls overdue; the first after %" PRIu64
                " ns, for vCPU %" PRIu32 "\n",
                r->dropped, r->overdue, r->first_ns, r->first_vcpu);
    for (unsigned i = 0; i < n; i++) {
        char text[256];

        print_held(&held[i], text, sizeof(text));
        fprintf(to, "lost-event: waits: %s\n", text);
    }
}

/* ---- the row ---- */

static enum emu_err attach(struct machine *m, const struct detect_input *input, unsigned parts, void **state,
                           struct diag *d)
{
    struct lost_event_options options = {.fail = true, .patience_ns = LOST_EVENT_PATIENCE_DEFAULT_NS};
    struct lost_event *x = calloc(1, sizeof(*x));
    enum emu_err err;

    if (!x)
        return diag_no_memory(d);
    err = lost_event_attach(x, m, &options, d);
    if (err != EMU_OK) {
        free(x);
        return err;
    }
    *state = x;
    return EMU_OK;
}

static void print(void *state, struct machine *m, FILE *to)
{
    lost_event_print(state, m, to);
}

const struct detector lost_event_detector = {
    .name = "lost-event",
    .what = "events that the host drops, or that a vCPU never takes",
    .attach = attach,
    .print = print,
    .free = free,
};
