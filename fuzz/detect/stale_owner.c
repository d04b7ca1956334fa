/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz/detect/stale_owner.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "emu/base/plural.h"
#include "emu/machine.h"
#include "emu/trace.h"
#include "fuzz/detect/detector.h"

/* Bytes that changed hands at a time. */
struct range {
    uint64_t from_gpa, to_gpa;
    uint64_t time_ns;
};

struct ranges {
    struct range range[STALE_OWNER_RANGES_MAX];
    uint32_t count;
    uint32_t zero;
};

struct state {
    struct stale_owner_report report;
    struct stale_owner_area area[STALE_OWNER_AREAS_MAX];
    uint32_t areas;
    uint32_t in_use;       /* the next kernel runs: all memory is its own */
    uint64_t in_use_ns;    /* since when */
    struct ranges next;    /* holds what the next kernel is to find */
    struct ranges checked; /* … and the digest has been taken */
};

/* Merged ranges keep the later timestamp: from then on all of the range belongs to the next kernel. */
static void ranges_add(struct ranges *r, uint64_t from_gpa, uint64_t bytes, uint64_t time_ns, uint64_t *too_many)
{
    uint64_t to_gpa = bytes > UINT64_MAX - from_gpa ? UINT64_MAX : from_gpa + bytes;

    for (uint32_t i = 0; i < r->count; i++) {
        struct range *old = &r->range[i];

        if (from_gpa > old->to_gpa || to_gpa < old->from_gpa)
            continue;
        if (from_gpa < old->from_gpa)
            old->from_gpa = from_gpa;
        if (to_gpa > old->to_gpa)
            old->to_gpa = to_gpa;
        old->time_ns = time_ns;
        return;
    }
    if (r->count == STALE_OWNER_RANGES_MAX)
        ++*too_many;
    else
        r->range[r->count++] = (struct range){from_gpa, to_gpa, time_ns};
}

static const struct range *ranges_find(const struct ranges *r, uint64_t from_gpa, uint64_t bytes)
{
    for (uint32_t i = 0; i < r->count; i++)
        if (from_gpa < r->range[i].to_gpa && r->range[i].from_gpa < from_gpa + bytes)
            return &r->range[i];
    return NULL;
}

/* ---- areas ---- */

static void areas_forget(struct state *s, unsigned vcpu, uint64_t what)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < s->areas; i++)
        if (s->area[i].vcpu != vcpu || s->area[i].what != what)
            s->area[kept++] = s->area[i];
    memset(&s->area[kept], 0, (s->areas - kept) * sizeof(s->area[0]));
    s->areas = kept;
}

static void areas_add(struct state *s, const struct trace_fact *fact)
{
    if (s->areas == STALE_OWNER_AREAS_MAX) {
        s->report.too_many++;
        return;
    }
    s->area[s->areas++] = (struct stale_owner_area){.gpa = fact->a,
                                                    .bytes = (uint32_t)fact->b,
                                                    .what = (uint16_t)fact->c,
                                                    .vcpu = (uint16_t)fact->vcpu,
                                                    .position = fact->position,
                                                    .time_ns = fact->time_ns};
}

/* Whose area a write goes to: the one that it hits; or, for an area given by a linear address that is mapped elsewhere
   by now, the vCPU's of that kind. */
static const struct stale_owner_area *areas_find(const struct state *s, const struct trace_fact *fact, uint64_t what)
{
    for (uint32_t i = s->areas; i-- > 0;)
        if (fact->a < s->area[i].gpa + s->area[i].bytes && s->area[i].gpa < fact->a + fact->b)
            return &s->area[i];
    for (uint32_t i = s->areas; i-- > 0;)
        if (s->area[i].vcpu == fact->vcpu && s->area[i].what == what)
            return &s->area[i];
    return NULL;
}

/* ---- writes ---- */

static const char *const when_text[STALE_WHENS] = {
    [STALE_BEFORE_DIGEST] = "its digest has not been taken and will not match",
    [STALE_AFTER_DIGEST] = "its digest has been taken: the damage is silent",
    [STALE_IN_USE] = "all memory is that kernel's",
};

static const char *name_of(const struct stale_owner *s, uint64_t what)
{
    return s->options.write_name ? s->options.write_name(what) : "memory";
}

static void describe(const struct stale_owner *s, const struct stale_owner_report *r, char *text, size_t bytes)
{
    char now[3 * STALE_OWNER_SHOWN + 1] = "";
    size_t used = 0;

    for (uint32_t i = 0; i < r->first.now_bytes; i++)
        used += (size_t)snprintf(now + used, sizeof(now) - used, " %02x", r->first.now[i]);
    snprintf(text, bytes,
             "the host writes %s (%" PRIu64 " byte%s) to 0x%" PRIx64
             ", which has belonged to the next kernel for %" PRIu64
             " ns; %s. vCPU %u gave it as %s (%u byte%s at 0x%" PRIx64 ") at its step %" PRIu64
             " and nobody took it back. There lie now%s",
             name_of(s, r->first.what), r->first.bytes, plural(r->first.bytes), r->first.gpa,
             r->first.time_ns - r->first.owner_time_ns, when_text[r->first.when], r->first.area.vcpu,
             name_of(s, r->first.area.what), r->first.area.bytes, plural(r->first.area.bytes), r->first.area.gpa,
             r->first.area.position, now);
}

static void found(const struct stale_owner *s, struct machine *m, struct state *state, const struct trace_fact *fact,
                  const struct stale_owner_area *area, enum stale_owner_when when, uint64_t owner_time_ns)
{
    struct stale_owner_report *r = &state->report;
    bool is_first = !(r->count[STALE_BEFORE_DIGEST] + r->count[STALE_AFTER_DIGEST] + r->count[STALE_IN_USE]);
    char text[VERDICT_TEXT_BYTES];

    r->count[when]++;
    if (!is_first)
        return;
    r->first.gpa = fact->a;
    r->first.bytes = fact->b;
    r->first.what = fact->c;
    r->first.time_ns = fact->time_ns;
    r->first.owner_time_ns = owner_time_ns;
    r->first.when = when;
    r->first.vcpu = fact->vcpu;
    r->first.area = *area;
    r->first.now_bytes = fact->b < STALE_OWNER_SHOWN ? (uint32_t)fact->b : STALE_OWNER_SHOWN;
    if (!memory_read(machine_memory(m), fact->a, r->first.now, r->first.now_bytes))
        r->first.now_bytes = 0;
    if (!s->options.fail)
        return;
    describe(s, r, text, sizeof(text));
    machine_set_verdict(m, VERDICT_FAIL, "stale-owner", "%s", text);
}

static void look_at_write(const struct stale_owner *s, struct machine *m, struct state *state,
                          const struct trace_fact *fact)
{
    const struct stale_owner_area *area = areas_find(state, fact, fact->c & TRACE_HOST_WRITE_WHAT);
    const struct range *next = ranges_find(&state->next, fact->a, fact->b);
    enum stale_owner_when when;
    uint64_t owner_time_ns;

    if (!area || (fact->c & TRACE_HOST_WRITE_ASKED) || !memory_is_ram(machine_memory(m), fact->a, 1))
        return;
    if (state->in_use && area->time_ns < state->in_use_ns) {
        when = STALE_IN_USE;
        owner_time_ns = state->in_use_ns;
    } else if (next && area->time_ns < next->time_ns) {
        when = ranges_find(&state->checked, fact->a, fact->b) ? STALE_AFTER_DIGEST : STALE_BEFORE_DIGEST;
        owner_time_ns = next->time_ns;
    } else {
        return;
    }
    if (fact->c & TRACE_HOST_WRITE_SAME)
        state->report.unchanged++;
    else
        found(s, m, state, fact, area, when, owner_time_ns);
}

static void all_is_the_next_kernels(struct state *state, uint64_t time_ns)
{
    state->in_use = 1;
    state->in_use_ns = time_ns;
}

static void look_at_owner(struct state *state, const struct trace_fact *fact)
{
    if (fact->c == OWNER_CHECKED)
        ranges_add(&state->checked, fact->a, fact->b, fact->time_ns, &state->report.too_many);
    else if (fact->b == UINT64_MAX)
        all_is_the_next_kernels(state, fact->time_ns);
    else
        ranges_add(&state->next, fact->a, fact->b, fact->time_ns, &state->report.too_many);
}

static void listen(struct machine *m, const struct trace_fact *fact, void *context)
{
    const struct stale_owner *s = context;
    struct state *state = watch_state(m, &s->watcher);

    switch (fact->kind) {
    case TRACE_HOST_AREA:
        if (fact->b)
            areas_add(state, fact);
        else
            areas_forget(state, fact->vcpu, fact->c);
        break;
    case TRACE_OWNER:
        look_at_owner(state, fact);
        break;
    case TRACE_HOST_WRITE:
        look_at_write(s, m, state, fact);
        break;
    default:
        break;
    }
}

static void leaves(struct machine *m, uint64_t rip_gva, void *context)
{
    const struct stale_owner *s = context;

    all_is_the_next_kernels(watch_state(m, &s->watcher), clock_now_ns(m));
}

enum emu_err stale_owner_attach(struct stale_owner *s, struct machine *m, const struct stale_owner_options *options,
                                struct diag *d)
{
    enum emu_err err;

    *s = (struct stale_owner){.options = *options,
                              .watcher = {.reached = leaves, .context = s, .state_bytes = sizeof(struct state)}};
    err = watch_add(m, &s->watcher, d);
    if (err == EMU_OK && options->leave_gva)
        err = watch_set_places(m, &s->watcher, &options->leave_gva, 1, d);
    if (err == EMU_OK)
        trace_listen(m, listen, s);
    return err;
}

const struct stale_owner_report *stale_owner_report(const struct stale_owner *s, struct machine *m)
{
    const struct state *state = watch_state(m, &s->watcher);

    return &state->report;
}

void stale_owner_print(const struct stale_owner *s, struct machine *m, FILE *to)
{
    const struct stale_owner_report *r = stale_owner_report(s, m);
    uint64_t changed = r->count[STALE_BEFORE_DIGEST] + r->count[STALE_AFTER_DIGEST] + r->count[STALE_IN_USE];
    char text[VERDICT_TEXT_BYTES];

    if (r->too_many)
        fprintf(to, "stale-owner: %" PRIu64 " areas or ranges were too many to follow\n", r->too_many);
    if (!changed)
        return;
    describe(s, r, text, sizeof(text));
    fprintf(to,
            "stale-owner: %" PRIu64 " write%s into memory of the next kernel changed something: %" PRIu64
            " before its digest, %" PRIu64 " after it, %" PRIu64 " while it ran; %" PRIu64
            " more changed nothing. The first: %s\n",
            changed, plural(changed), r->count[STALE_BEFORE_DIGEST], r->count[STALE_AFTER_DIGEST],
            r->count[STALE_IN_USE], r->unchanged, text);
}

/* ---- the row ---- */

static enum emu_err attach(struct machine *m, const struct detect_input *input, unsigned parts, void **state,
                           struct diag *d)
{
    struct stale_owner_options options = {.fail = true, .leave_gva = input->leave_gva, .write_name = input->write_name};
    struct stale_owner *x = calloc(1, sizeof(*x));
    enum emu_err err;

    if (!x)
        return diag_no_memory(d);
    err = stale_owner_attach(x, m, &options, d);
    if (err != EMU_OK) {
        free(x);
        return err;
    }
    *state = x;
    return EMU_OK;
}

static void print(void *state, struct machine *m, FILE *to)
{
    stale_owner_print(state, m, to);
}

const struct detector stale_owner_detector = {
    .name = "stale-owner",
    .what = "the host writes memory that kexec has given to the next kernel",
    .attach = attach,
    .print = print,
    .free = free,
};
