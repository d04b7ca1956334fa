/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz/detect/unsynchronised_code.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "emu/engine.h"
#include "emu/image/symbols.h"
#include "emu/insn.h"
#include "emu/machine.h"
#include "emu/memory.h"
#include "emu/trace.h"
#include "emu/vcpu.h"
#include "fuzz/detect/detector.h"

#define INT3        0xccu
#define PLACE_BYTES 96
#define CODE_BYTES  (3 * INSN_BYTES_MAX + 1)

struct change {
    uint64_t gpa;
    uint64_t stale; /* the vCPUs that have not serialised since, one bit each */
    uint64_t rip_gva, position;
    uint8_t vcpu, bytes; /* who wrote; from the first byte that is another to the last */
    uint8_t before[WATCH_WRITE_BYTES], after[WATCH_WRITE_BYTES];
};

struct state {
    struct unsynchronised_code_report report;
    uint64_t since[VCPUS_MAX]; /* position of a vCPU when the first of its changes was made */
    uint64_t changes;
    struct change change[UNSYNCHRONISED_CODE_CHANGES_MAX]; /* in the order in which they were made */
};
static_assert(sizeof(struct state) <= WATCH_STATE_BYTES, "the state of a watcher");
static_assert(VCPUS_MAX <= 64, "a bit each");

static struct state *state_of(const struct unsynchronised_code *u)
{
    return watch_state(u->machine, &u->watcher);
}

static uint64_t stale_vcpus(const struct state *s)
{
    uint64_t all = 0;

    for (uint64_t i = 0; i < s->changes; i++)
        all |= s->change[i].stale;
    return all;
}

/* ---- what was changed ---- */

static void on_write(struct machine *m, const struct watch_write *w, void *context)
{
    const struct unsynchronised_code *u = context;
    struct state *s = state_of(u);
    uint64_t others = 0, stale = stale_vcpus(s);
    unsigned first = 0, end = w->bytes;
    struct change *c;

    while (first < end && w->before[first] == w->after[first])
        first++;
    while (end > first && w->before[end - 1] == w->after[end - 1])
        end--;
    for (unsigned v = 0; v < machine_vcpus(m); v++)
        if (v != w->vcpu && vcpu_state(m, v) != VCPU_OFFLINE)
            others |= 1ull << v;
    if (first == end || !others)
        return;
    s->report.changes++;
    for (unsigned v = 0; v < machine_vcpus(m); v++)
        if ((others & ~stale) >> v & 1)
            s->since[v] = vcpu_position(m, v);
    if (s->changes == UNSYNCHRONISED_CODE_CHANGES_MAX) {
        s->report.forgotten++;
        memmove(&s->change[0], &s->change[1], --s->changes * sizeof(*s->change));
    }
    c = &s->change[s->changes++];
    *c = (struct change){.gpa = w->gpa + first,
                         .stale = others,
                         .rip_gva = w->rip_gva,
                         .position = w->position,
                         .vcpu = (uint8_t)w->vcpu,
                         .bytes = (uint8_t)(end - first)};
    memcpy(c->before, w->before + first, c->bytes);
    memcpy(c->after, w->after + first, c->bytes);
    watch_closely(m, &u->watcher, stale | others);
}

static void settle(const struct unsynchronised_code *u, unsigned vcpu)
{
    struct state *s = state_of(u);
    uint64_t kept = 0;

    if (!(stale_vcpus(s) >> vcpu & 1))
        return;
    for (uint64_t i = 0; i < s->changes; i++) {
        s->change[i].stale &= ~(1ull << vcpu);
        if (s->change[i].stale)
            s->change[kept++] = s->change[i];
    }
    s->changes = kept;
    watch_closely(u->machine, &u->watcher, stale_vcpus(s));
}

static void on_serialised(struct machine *m, void *context)
{
    settle(context, machine_current(m));
}

/* ---- what is executed ---- */

static bool on_wants(struct machine *m, uint64_t gpa, unsigned bytes, void *context)
{
    const struct state *s = state_of(context);
    unsigned vcpu = machine_current(m);

    for (uint64_t i = 0; i < s->changes; i++)
        if ((s->change[i].stale >> vcpu & 1) && s->change[i].gpa < gpa + bytes &&
            gpa < s->change[i].gpa + s->change[i].bytes)
            return true;
    return false;
}

/* The bytes at an address, as they are, and as they were when the vCPU had last serialised. */
struct code {
    unsigned bytes;
    uint64_t gpa[INSN_BYTES_MAX];
    uint8_t now[INSN_BYTES_MAX], old[INSN_BYTES_MAX];
};

static void read_code(struct machine *m, unsigned vcpu, uint64_t gva, struct code *code)
{
    for (code->bytes = 0; code->bytes < INSN_BYTES_MAX; code->bytes++) {
        unsigned i = code->bytes;

        if (!vcpu_translate(m, vcpu, gva + i, &code->gpa[i]) ||
            !memory_peek(machine_memory(m), code->gpa[i], &code->now[i], 1))
            return;
        code->old[i] = code->now[i];
    }
}

/* Changes that the vCPU may not have seen and that changed this byte: the next one from *at on; NULL if there is none.
 */
static const struct change *next_change(const struct state *s, unsigned vcpu, uint64_t gpa, uint64_t *at)
{
    while (*at < s->changes) {
        const struct change *c = &s->change[(*at)++];

        if ((c->stale >> vcpu & 1) && gpa >= c->gpa && gpa - c->gpa < c->bytes &&
            c->before[gpa - c->gpa] != c->after[gpa - c->gpa])
            return c;
    }
    return NULL;
}

/* The change for which this byte may not be executed, NULL if it may. `other` is set to what the first byte of an
   instruction may be besides, if that may be executed. */
static const struct change *unsettled(const struct state *s, unsigned vcpu, const struct code *code, unsigned i,
                                      uint8_t *other)
{
    const struct change *c;
    uint64_t at = 0;
    int value = code->now[i] == INT3 && i == 0 ? -1 : code->now[i]; /* the one that is no breakpoint */

    while ((c = next_change(s, vcpu, code->gpa[i], &at))) {
        uint8_t before = c->before[code->gpa[i] - c->gpa];

        if (i || c->bytes > 1)
            return c;
        if (before == INT3)
            continue;
        if (value >= 0 && value != before)
            return c;
        value = before;
    }
    if (value >= 0 && other)
        *other = (uint8_t)value;
    return NULL;
}

struct place_text {
    char text[PLACE_BYTES];
};

static struct place_text name(const struct unsynchronised_code *u, uint64_t gva)
{
    struct place_text p;
    struct symbol s;

    if (!u->options.symbols || !symbols_find_address(u->options.symbols, gva, &s))
        snprintf(p.text, sizeof(p.text), "0x%" PRIx64, gva);
    else
        snprintf(p.text, sizeof(p.text), "%.70s+0x%" PRIx64, s.name, gva - s.start_gva);
    return p;
}

static void print_bytes(const uint8_t *bytes, unsigned count, char *text, size_t text_bytes)
{
    size_t used = 0;

    text[0] = '\0';
    for (unsigned i = 0; i < count && used < text_bytes; i++)
        used += (size_t)snprintf(text + used, text_bytes - used, i ? " %02x" : "%02x", bytes[i]);
}

static void found(const struct unsynchronised_code *u, uint64_t gva, struct code *code, unsigned bytes,
                  const struct change *c)
{
    struct machine *m = u->machine;
    const struct state *s = state_of(u);
    unsigned vcpu = machine_current(m);
    char old[CODE_BYTES], now[CODE_BYTES];
    struct insn was;

    for (unsigned i = 0; i < code->bytes; i++) {
        uint64_t at = 0;
        const struct change *first = next_change(s, vcpu, code->gpa[i], &at);

        if (first)
            code->old[i] = first->before[code->gpa[i] - first->gpa];
    }
    if (decoder_decode(engine_decoder(machine_engine(m)), vcpu_code_bits(m), code->old, code->bytes, &was) &&
        was.length > bytes)
        bytes = was.length;
    print_bytes(code->old, bytes, old, sizeof(old));
    print_bytes(code->now, bytes, now, sizeof(now));
    machine_set_verdict(m, VERDICT_FAIL, "unsynchronised-code",
                        "vCPU %u executes %s, which vCPU %u has changed: %s to %s, last by %s at its step %" PRIu64
                        "; vCPU %u has not serialised since its step %" PRIu64,
                        vcpu, name(u, gva).text, c->vcpu, old, now, name(u, c->rip_gva).text, c->position, vcpu,
                        s->since[vcpu]);
}

static void on_executes(struct machine *m, uint64_t gva, const struct insn *insn, void *context)
{
    const struct unsynchronised_code *u = context;
    const struct state *s = state_of(u);
    unsigned vcpu = machine_current(m), bytes = insn->length ? insn->length : INSN_BYTES_MAX;
    const struct change *c;
    struct code code;
    uint8_t first;

    if (!(stale_vcpus(s) >> vcpu & 1))
        return;
    read_code(m, vcpu, gva, &code);
    if (!code.bytes)
        return;
    first = code.now[0];
    c = unsettled(s, vcpu, &code, 0, &first);
    if (!c && first != code.now[0]) {
        uint8_t other[INSN_BYTES_MAX];
        struct insn begun;

        memcpy(other, code.now, code.bytes);
        other[0] = first;
        if (!decoder_decode(engine_decoder(machine_engine(m)), vcpu_code_bits(m), other, code.bytes, &begun))
            begun.length = (uint8_t)code.bytes;
        if (begun.length > bytes)
            bytes = begun.length;
    }
    if (bytes > code.bytes)
        bytes = code.bytes;
    for (unsigned i = 1; !c && i < bytes; i++)
        c = unsettled(s, vcpu, &code, i, NULL);
    if (c)
        found(u, gva, &code, bytes, c);
}

/* ---- life ---- */

static void watch_if_needed(struct unsynchronised_code *u)
{
    unsigned running = 0;

    for (unsigned v = 0; v < machine_vcpus(u->machine); v++)
        running += vcpu_state(u->machine, v) != VCPU_OFFLINE;
    if (running > 1 && !u->is_watching)
        watch_ask(u->machine, &u->watcher);
}

static void on_asked(struct machine *m, void *context)
{
    struct unsynchronised_code *u = context;
    struct diag d;

    for (unsigned i = 0; i < u->options.ranges && !u->is_watching; i++)
        if (watch_memory(m, u->options.range[i].gpa, u->options.range[i].bytes, &d) != EMU_OK) {
            machine_set_verdict(m, VERDICT_ERROR, NULL, "unsynchronised-code: %s", d.text);
            return;
        }
    u->is_watching = true;
}

static void on_restored(struct machine *m, void *context)
{
    struct unsynchronised_code *u = context;

    watch_closely(m, &u->watcher, stale_vcpus(state_of(u)));
    watch_if_needed(u);
}

static void on_fact(struct machine *m, const struct trace_fact *fact, void *context)
{
    struct unsynchronised_code *u = context;

    if (fact->kind != TRACE_VCPU_STATE)
        return;
    if (fact->a == VCPU_OFFLINE)
        settle(u, fact->vcpu);
    else
        watch_if_needed(u);
}

enum emu_err unsynchronised_code_attach(struct unsynchronised_code *u, struct machine *m,
                                        const struct unsynchronised_code_options *options, struct diag *d)
{
    enum emu_err err;

    for (unsigned i = 0; i < options->ranges; i++)
        if (!options->range[i].bytes ||
            !memory_is_ram(machine_memory(m), options->range[i].gpa, options->range[i].bytes))
            return diag_set(d, EMU_EINPUT, "the guest's code at guest-physical 0x%" PRIx64 " is not in its memory",
                            options->range[i].gpa);
    *u = (struct unsynchronised_code){.options = *options,
                                      .machine = m,
                                      .watcher = {.write = on_write,
                                                  .wants = on_wants,
                                                  .executes = on_executes,
                                                  .serialised = on_serialised,
                                                  .asked = on_asked,
                                                  .restored = on_restored,
                                                  .context = u,
                                                  .state_bytes = sizeof(struct state)}};
    err = watch_add(m, &u->watcher, d);
    if (err != EMU_OK)
        return err;
    trace_listen(m, on_fact, u);
    watch_if_needed(u);
    return EMU_OK;
}

const struct unsynchronised_code_report *unsynchronised_code_report(const struct unsynchronised_code *u)
{
    return &state_of(u)->report;
}

void unsynchronised_code_print(const struct unsynchronised_code *u, FILE *to)
{
    const struct unsynchronised_code_report *r = unsynchronised_code_report(u);

    if (!u->is_watching) {
        fprintf(to, "unsynchronised-code: no second vCPU ever ran\n");
        return;
    }
    fprintf(to, "unsynchronised-code: %" PRIu64 " changes of code by one vCPU while another was up\n", r->changes);
    if (r->forgotten)
        fprintf(to,
                "unsynchronised-code: %" PRIu64 " of them were forgotten before every vCPU had serialised, since more "
                "than %u waited at once\n",
                r->forgotten, UNSYNCHRONISED_CODE_CHANGES_MAX);
}

/* ---- the row ---- */

static enum emu_err attach(struct machine *m, const struct detect_input *input, unsigned parts, void **state,
                           struct diag *d)
{
    struct unsynchronised_code_options options = {.symbols = input->symbols, .ranges = input->code_ranges};
    struct unsynchronised_code *x = calloc(1, sizeof(*x));
    enum emu_err err;

    if (!x)
        return diag_no_memory(d);
    for (unsigned i = 0; i < input->code_ranges; i++) {
        options.range[i].gpa = input->code[i].gpa;
        options.range[i].bytes = input->code[i].bytes;
    }
    err = unsynchronised_code_attach(x, m, &options, d);
    if (err != EMU_OK) {
        free(x);
        return err;
    }
    *state = x;
    return EMU_OK;
}

static void print(void *state, struct machine *m, FILE *to)
{
    unsynchronised_code_print(state, to);
}

static_assert(DETECT_CODE_RANGES_MAX <= UNSYNCHRONISED_CODE_RANGES_MAX, "every range has room");

const struct detector unsynchronised_code_detector = {
    .name = "unsynchronised-code",
    .what = "a vCPU executes code that another one has changed since it last serialised",
    .needs = DETECTOR_NEEDS_CODE,
    .attach = attach,
    .print = print,
    .free = free,
};
