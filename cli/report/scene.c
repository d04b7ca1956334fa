/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/report/scene.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/report/code_map.h"
#include "emu/base/ensure.h"
#include "emu/delivery.h"
#include "emu/engine.h"
#include "emu/exception.h"
#include "emu/image/symbols.h"

#define CHUNK_STEPS    256u /* spinning or not is decided for so many */
#define SPIN_STEPS     64u  /* fewer say nothing */
#define SPIN_BLOCKS    8u
#define SPIN_READS     6u
#define KEPT_BEFORE_NS 3000u
#define KEPT_BEHIND_NS 20000u
#define NONE           SCENE_NONE
#define FUNCTION_BYTES 0x8000u /* instructions are found by decoding from a function's start, if it is this near */
#define MARGIN_BYTES   INSN_BYTES_MAX

#define PF_ERROR_USER     4u
#define SELECTOR_RPL_MASK 3u

struct chunk { /* what a vCPU has done since the last time that spinning was looked for */
    uint64_t from_position;
    uint64_t block[SPIN_BLOCKS], read[SPIN_READS];
    unsigned blocks, reads;
    bool busy; /* too many of them, or it wrote memory */
    size_t first_span;
};

struct lane {
    size_t span; /* the open one */
    struct chunk chunk;
    size_t frame[SCENE_DEPTH_MAX]; /* handlers that run */
    unsigned depth;
    unsigned torn;                   /* + 1; not yet known whether it was executed */
    uint64_t symbol_from, symbol_to; /* the last function found */
};

struct scene_inside {
    struct lane lane[VCPUS_MAX];
    unsigned last_vcpu;
    struct code_map code;
    size_t pending_write;
    struct decoder *decoder;
    bool freeze; /* armed */
    uint64_t armed_ns;
    size_t frozen_handler;
    struct scene_block *frozen;
    uint64_t frozen_blocks;
    struct {
        bool known;
        /* Where instructions begin, from MARGIN_BYTES before the site on, in the code before and after the change. */
        bool begins[2][SCENE_SITE_BYTES + 2 * MARGIN_BYTES];
    } site[SCENE_SITES_MAX];
};

const char *scene_symbol_name(const struct symbols *s, uint64_t gva, char *text, size_t bytes)
{
    struct symbol found;

    if (s && symbols_find_address(s, gva, &found))
        snprintf(text, bytes, "%s", found.name);
    else
        snprintf(text, bytes, "0x%" PRIx64, gva);
    return text;
}

uint64_t scene_interrupted_gva(struct machine *m, const struct trace_fact *fact, uint64_t *rsp)
{
    unsigned bits = vcpu_code_bits(m), width = bits == 64 ? 8 : bits == 32 ? 4 : 2;
    bool error = fact->kind == TRACE_EXCEPTION && bits != 16 && exception_has_error_code(fact->a);
    uint64_t frame[5] = {0}, sp = vcpu_gpr(m, GPR_RSP);
    uint8_t raw[5 * 8] = {0};
    struct vcpu_regs r;

    *rsp = 0;
    if (bits == 16) {
        vcpu_get_regs(m, fact->vcpu, &r);
        sp = r.seg[SEG_SS].base + (sp & 0xffff);
    }
    sp += error ? width : 0;
    if (!vcpu_read_gva(m, fact->vcpu, sp, raw, 3 * width, NULL))
        return 0;
    if (!vcpu_read_gva(m, fact->vcpu, sp, raw, 5 * width, NULL))
        memset(raw + 3 * width, 0, 2 * width);
    for (unsigned i = 0; i < 5; i++)
        memcpy(&frame[i], raw + i * width, width);
    if (bits == 64 || (bits == 32 && (frame[1] & SELECTOR_RPL_MASK) == 3))
        *rsp = frame[3];
    else
        *rsp = vcpu_gpr(m, GPR_RSP) + (error ? width : 0) + 3 * width;
    return bits == 16 ? frame[1] * 16 + frame[0] : frame[0];
}

/* ---- who executes what ---- */

static bool spans_touch(const struct scene_span *a, const struct scene_span *b, uint64_t slack_ns)
{
    return b->from_ns <= a->to_ns + slack_ns;
}

/* Near the place that matters spans stay as they are. */
static bool is_kept(const struct scene *sc, const struct scene_span *s)
{
    const struct scene_inside *in = sc->inside;
    uint64_t cause = in->frozen_handler == NONE ? 0 : sc->handler[in->frozen_handler].from_ns;

    return (in->freeze && s->to_ns + KEPT_BEFORE_NS > in->armed_ns && s->from_ns < in->armed_ns + KEPT_BEHIND_NS) ||
           (cause && s->to_ns + KEPT_BEFORE_NS > cause && s->from_ns < cause + KEPT_BEFORE_NS);
}

/* Join neighbours that are equal, and those shorter than `least_ns` with what is before them. */
static void join_spans(struct scene *sc, uint64_t least_ns)
{
    size_t last[VCPUS_MAX], out = 0;

    memset(last, 0xff, sizeof(last));
    for (size_t i = 0; i < sc->spans; i++) {
        struct scene_span s = sc->span[i], *p = last[s.vcpu] == NONE ? NULL : &sc->span[last[s.vcpu]];
        bool equal = p && p->kind == s.kind && p->symbol_gva == s.symbol_gva;

        if (p && spans_touch(p, &s, least_ns) && (equal || (s.to_ns - s.from_ns < least_ns && !is_kept(sc, &s)))) {
            p->to_ns = s.to_ns;
            continue;
        }
        if (p && spans_touch(p, &s, least_ns) && p->to_ns - p->from_ns < least_ns && !is_kept(sc, p) &&
            !is_kept(sc, &s)) {
            s.from_ns = p->from_ns;
            *p = s;
            continue;
        }
        last[s.vcpu] = out;
        sc->span[out++] = s;
    }
    sc->spans = out;
    for (unsigned v = 0; v < VCPUS_MAX; v++) {
        sc->inside->lane[v].span = last[v];
        sc->inside->lane[v].chunk.first_span = last[v];
    }
}

static void shorten_spans(struct scene *sc, size_t most)
{
    join_spans(sc, 0);
    for (uint64_t least_ns = 2; sc->spans > most && least_ns < sc->to_ns - sc->from_ns; least_ns *= 2)
        join_spans(sc, least_ns);
}

static void close_span(struct scene *sc, unsigned vcpu, uint64_t now_ns)
{
    struct lane *l = &sc->inside->lane[vcpu];

    if (l->span == NONE)
        return;
    sc->span[l->span].to_ns = now_ns;
    l->span = NONE;
}

static void open_span(struct scene *sc, unsigned vcpu, uint64_t now_ns, uint64_t gva)
{
    struct lane *l = &sc->inside->lane[vcpu];

    if (sc->spans == SCENE_SPANS_MAX) {
        sc->to_ns = now_ns;
        shorten_spans(sc, SCENE_SPANS_MAX / 2);
        if (sc->spans == SCENE_SPANS_MAX) {
            sc->dropped.spans++;
            l->span = NONE;
            return;
        }
    }
    sc->span[sc->spans] = (struct scene_span){now_ns, now_ns, vcpu, SCENE_RUNNING, gva};
    l->span = sc->spans++;
    if (l->chunk.first_span == NONE)
        l->chunk.first_span = l->span;
}

/* Waiting for something that does not come: the same few blocks, no write, the same few places read. */
static void end_chunk(struct scene *sc, unsigned vcpu, uint64_t position, uint64_t now_ns)
{
    struct lane *l = &sc->inside->lane[vcpu];
    bool spins = !l->chunk.busy && l->chunk.blocks && position - l->chunk.from_position >= SPIN_STEPS;

    if (l->span != NONE)
        sc->span[l->span].to_ns = now_ns;
    for (size_t i = l->chunk.first_span; spins && i < sc->spans; i++)
        if (sc->span[i].vcpu == vcpu)
            sc->span[i].kind = SCENE_SPINNING;
    l->span = NONE;
    l->chunk = (struct chunk){.from_position = position, .first_span = NONE};
}

static void note_in(uint64_t *set, unsigned *count, unsigned most, uint64_t value, bool *busy)
{
    for (unsigned i = 0; i < *count; i++)
        if (set[i] == value)
            return;
    if (*count == most)
        *busy = true;
    else
        set[(*count)++] = value;
}

static void note_running(struct scene *sc, unsigned vcpu, uint64_t position, uint64_t now_ns, uint64_t gva)
{
    struct scene_inside *in = sc->inside;
    struct lane *l = &in->lane[vcpu];
    uint64_t start = gva & ~(uint64_t)(PAGE_BYTES - 1);
    struct symbol s;

    if (in->last_vcpu != vcpu)
        close_span(sc, in->last_vcpu, now_ns);
    in->last_vcpu = vcpu;
    if (position - l->chunk.from_position >= CHUNK_STEPS)
        end_chunk(sc, vcpu, position, now_ns);
    note_in(l->chunk.block, &l->chunk.blocks, SPIN_BLOCKS, gva, &l->chunk.busy);
    if (gva - l->symbol_from < l->symbol_to - l->symbol_from) {
        start = l->symbol_from;
    } else if (sc->symbols && symbols_find_address(sc->symbols, gva, &s)) {
        start = l->symbol_from = s.start_gva;
        l->symbol_to = s.start_gva + s.bytes;
    }
    if (l->span != NONE && sc->span[l->span].symbol_gva == start) {
        sc->span[l->span].to_ns = now_ns;
        return;
    }
    close_span(sc, vcpu, now_ns);
    open_span(sc, vcpu, now_ns, start);
}

/* ---- handlers ---- */

static void end_handler(struct scene *sc, struct lane *l, bool returned, uint64_t position, uint64_t now_ns)
{
    struct scene_handler *h = &sc->handler[l->frame[--l->depth]];

    h->returned = returned;
    h->to_ns = now_ns;
    h->to_position = position;
    if (returned && l->frame[l->depth] == sc->inside->frozen_handler) /* it survived that one */
        sc->inside->frozen_handler = NONE;
}

static void note_return(struct scene *sc, unsigned vcpu, uint64_t position, uint64_t now_ns)
{
    struct lane *l = &sc->inside->lane[vcpu];
    uint64_t rsp;

    if (!l->depth)
        return;
    rsp = vcpu_gpr(sc->machine, GPR_RSP);
    for (unsigned i = l->depth; i-- > 0;) {
        const struct scene_handler *h = &sc->handler[l->frame[i]];

        if (h->interrupted_rsp != rsp || position <= h->from_position)
            continue;
        while (l->depth > i + 1)
            end_handler(sc, l, false, position, now_ns);
        end_handler(sc, l, true, position, now_ns);
        return;
    }
}

static void freeze(struct scene *sc)
{
    struct scene_inside *in = sc->inside;

    in->frozen_handler = sc->handlers - 1;
    in->frozen_blocks = sc->blocks;
    memcpy(in->frozen, sc->block, SCENE_BLOCKS * sizeof(*sc->block));
}

static void note_handler(struct scene *sc, const struct scene_fact *f, uint64_t rsp)
{
    struct lane *l = &sc->inside->lane[f->fact.vcpu];
    bool fatal = f->fact.kind == TRACE_EXCEPTION &&
                 (exception_is_fatal(f->fact.a) || (f->fact.a == VECTOR_PF && !(f->fact.b & PF_ERROR_USER)));

    if (sc->handlers == SCENE_HANDLERS_MAX) {
        sc->dropped.handlers++;
        return;
    }
    if (l->depth == SCENE_DEPTH_MAX) {
        memmove(l->frame, l->frame + 1, (SCENE_DEPTH_MAX - 1) * sizeof(*l->frame));
        l->depth--;
    }
    sc->handler[sc->handlers] = (struct scene_handler){
        .from_ns = f->fact.time_ns,
        .from_position = f->fact.position,
        .vcpu = f->fact.vcpu,
        .depth = l->depth,
        .kind = f->fact.kind,
        .vector = f->fact.a,
        .interrupted_gva = f->interrupted_gva,
        .interrupted_rsp = rsp,
        .handler_gva = f->fact.rip_gva,
    };
    l->frame[l->depth++] = sc->handlers++;
    if (fatal && sc->inside->freeze && sc->inside->frozen_handler == NONE)
        freeze(sc);
}

/* ---- code that is changed ---- */

static void finish_write(struct scene *sc)
{
    struct scene_inside *in = sc->inside;
    struct scene_write *x;

    if (in->pending_write == NONE)
        return;
    x = &sc->write[in->pending_write];
    in->pending_write = NONE;
    if (!memory_read(machine_memory(sc->machine), x->gpa, x->after, x->bytes))
        sc->writes--;
}

static uint64_t writer_gva(struct scene *sc, unsigned vcpu, uint64_t position)
{
    const struct scene_block *b = sc->blocks ? &sc->block[(sc->blocks - 1) % SCENE_BLOCKS] : NULL;
    uint64_t at = 0;

    if (!b || b->vcpu != vcpu || position < b->position)
        return vcpu_rip(sc->machine);
    for (uint64_t p = b->position; p < position; p++) {
        struct insn insn;

        if (at >= b->bytes || !decoder_decode(sc->inside->decoder, b->bits, b->code + at, b->bytes - at, &insn) ||
            insn.kind == INSN_REP)
            break;
        at += insn.length;
    }
    return b->gva + at;
}

static void note_write(struct scene *sc, unsigned vcpu, uint64_t gpa, unsigned bytes)
{
    uint64_t gva = code_map_gva(&sc->inside->code, gpa), position;
    struct scene_write *x;

    if (!code_map_was_executed(&sc->inside->code, gpa, bytes) &&
        (gva == UINT64_MAX || !code_map_is_code(&sc->inside->code, gva)))
        return;
    if (sc->writes == SCENE_WRITES_MAX) {
        sc->dropped.writes++;
        return;
    }
    position = engine_access_position(machine_engine(sc->machine));
    x = &sc->write[sc->writes];
    *x = (struct scene_write){
        .time_ns = clock_now_ns(sc->machine),
        .position = position,
        .vcpu = vcpu,
        .bytes = bytes > sizeof(x->before) ? (unsigned)sizeof(x->before) : bytes,
        .rip_gva = writer_gva(sc, vcpu, position),
        .gpa = gpa,
        .gva = gva,
    };
    if (memory_read(machine_memory(sc->machine), gpa, x->before, x->bytes))
        sc->inside->pending_write = sc->writes++;
}

/* Mark where the instructions of the site's function begin, with the site's bytes as given. */
static void find_begins(struct scene *sc, const struct scene_site *s, unsigned bits, const uint8_t *bytes, bool *begins)
{
    uint64_t from = s->gva, low = s->gva - MARGIN_BYTES, high = s->gva + s->bytes + MARGIN_BYTES;
    struct symbol symbol;

    if (sc->symbols && symbols_find_address(sc->symbols, s->gva, &symbol) && s->gva - symbol.start_gva < FUNCTION_BYTES)
        from = symbol.start_gva;
    for (uint64_t at = from; at < high;) {
        uint8_t code[INSN_BYTES_MAX];
        struct insn insn;

        if (at >= low)
            begins[at - low] = true;
        if (!vcpu_read_gva(sc->machine, machine_current(sc->machine), at, code, sizeof(code), NULL))
            return;
        for (unsigned i = 0; i < sizeof(code); i++)
            if (at + i - s->gva < s->bytes)
                code[i] = bytes[at + i - s->gva];
        if (!decoder_decode(sc->inside->decoder, bits, code, sizeof(code), &insn))
            return;
        at += insn.length;
    }
}

/* Whether an instruction at `gva` is one of the code in which the site has these bytes. */
static bool is_of(const struct scene_site *s, const bool *begins, const uint8_t *bytes, uint64_t gva,
                  const uint8_t *code, unsigned length)
{
    if (!begins[gva - (s->gva - MARGIN_BYTES)])
        return false;
    for (unsigned i = 0; i < length; i++)
        if (gva + i - s->gva < s->bytes && code[i] != bytes[gva + i - s->gva])
            return false;
    return true;
}

static bool is_known_torn(const struct scene *sc, unsigned site, uint64_t gva, const uint8_t *code, unsigned length)
{
    for (unsigned i = 0; i < sc->torns; i++)
        if (sc->torn[i].site == site && sc->torn[i].gva == gva && !memcmp(sc->torn[i].code, code, length))
            return true;
    return false;
}

/* A block is about to be executed that holds bytes of a site. */
static void look_for_torn(struct scene *sc, unsigned site, const struct scene_block *b)
{
    const struct scene_site *s = &sc->site[site];
    struct lane *l = &sc->inside->lane[b->vcpu];
    uint64_t position = b->position;

    if (!sc->inside->site[site].known) {
        find_begins(sc, s, b->bits, s->before, sc->inside->site[site].begins[0]);
        find_begins(sc, s, b->bits, s->after, sc->inside->site[site].begins[1]);
        sc->inside->site[site].known = true;
    }
    for (unsigned at = 0; at < b->bytes; position++) {
        uint64_t gva = b->gva + at;
        struct insn insn;

        if (!decoder_decode(sc->inside->decoder, b->bits, b->code + at, b->bytes - at, &insn))
            insn.length = (uint8_t)(b->bytes - at < INSN_BYTES_MAX ? b->bytes - at : INSN_BYTES_MAX);
        if (gva < s->gva + s->bytes && s->gva < gva + insn.length &&
            !is_of(s, sc->inside->site[site].begins[0], s->before, gva, b->code + at, insn.length) &&
            !is_of(s, sc->inside->site[site].begins[1], s->after, gva, b->code + at, insn.length)) {
            if (sc->torns == SCENE_TORN_MAX || is_known_torn(sc, site, gva, b->code + at, insn.length))
                return;
            sc->torn[sc->torns] =
                (struct scene_torn){site, b->vcpu, b->bits, insn.length, position, b->time_ns, gva, {0}, false};
            memcpy(sc->torn[sc->torns].code, b->code + at, insn.length);
            l->torn = ++sc->torns;
            return;
        }
        at += insn.length;
    }
}

/* The vCPU has made `position` steps, and an exception stopped it at `stopped_gva` (or none, 0). */
static void settle_torn(struct scene *sc, unsigned vcpu, uint64_t position, uint64_t stopped_gva)
{
    struct lane *l = &sc->inside->lane[vcpu];
    struct scene_torn *t;

    if (!l->torn)
        return;
    t = &sc->torn[l->torn - 1];
    if (position > t->position || stopped_gva == t->gva)
        t->executed = true;
    else if (l->torn == sc->torns)
        sc->torns--;
    l->torn = 0;
}

/* ---- what the machine tells ---- */

static void note_fetch(struct scene *sc, unsigned vcpu, uint64_t gpa, unsigned bytes, uint64_t position)
{
    uint64_t now = clock_now_ns(sc->machine), gva = engine_access_block_gva(machine_engine(sc->machine));
    struct scene_block *b = sc->blocks ? &sc->block[(sc->blocks - 1) % SCENE_BLOCKS] : NULL;

    if (b && b->vcpu == vcpu && b->position == position && gpa % PAGE_BYTES == 0 &&
        (b->gva + b->bytes) % PAGE_BYTES == 0 && b->bytes) { /* the second page of the same block */
        gva = b->gva + b->bytes;
        if (bytes > SCENE_BLOCK_BYTES - b->bytes)
            bytes = SCENE_BLOCK_BYTES - b->bytes;
        if (memory_read(machine_memory(sc->machine), gpa, b->code + b->bytes, bytes))
            b->bytes += bytes;
        code_map_add(&sc->inside->code, gpa, bytes, gva);
    } else {
        settle_torn(sc, vcpu, position, 0);
        note_return(sc, vcpu, position, now);
        code_map_add(&sc->inside->code, gpa, bytes, gva);
        note_running(sc, vcpu, position, now, gva);
        b = &sc->block[sc->blocks++ % SCENE_BLOCKS];
        *b = (struct scene_block){.position = position,
                                  .time_ns = now,
                                  .gva = gva,
                                  .vcpu = vcpu,
                                  .bits = vcpu_code_bits(sc->machine),
                                  .bytes = bytes > SCENE_BLOCK_BYTES ? SCENE_BLOCK_BYTES : bytes};
        if (!memory_read(machine_memory(sc->machine), gpa, b->code, b->bytes))
            b->bytes = 0;
    }
    for (unsigned i = 0; i < sc->sites; i++)
        if (gpa < sc->site[i].gpa + sc->site[i].bytes && sc->site[i].gpa < gpa + bytes)
            look_for_torn(sc, i, b);
}

static void on_access(void *context, enum engine_access kind, uint64_t gpa, unsigned bytes)
{
    struct scene *sc = context;
    unsigned vcpu = machine_current(sc->machine);
    struct chunk *c = &sc->inside->lane[vcpu].chunk;

    switch (kind) {
    case ENGINE_FETCH:
        finish_write(sc);
        note_fetch(sc, vcpu, gpa, bytes, engine_access_position(machine_engine(sc->machine)));
        break;
    case ENGINE_WRITE:
        finish_write(sc);
        c->busy = true;
        note_write(sc, vcpu, gpa, bytes);
        break;
    case ENGINE_READ:
        note_in(c->read, &c->reads, SPIN_READS, gpa, &c->busy);
        break;
    case ENGINE_LEAVE:
        break;
    }
}

static void on_fact(struct machine *m, const struct trace_fact *fact, void *context)
{
    struct scene *sc = context;
    struct scene_fact f = {*fact, fact->rip_gva};
    uint64_t rsp = 0;

    finish_write(sc);
    switch (fact->kind) {
    case TRACE_CONSOLE:
        return;
    case TRACE_INTERRUPT:
    case TRACE_NMI:
    case TRACE_EXCEPTION:
        f.interrupted_gva = scene_interrupted_gva(m, fact, &rsp);
        settle_torn(sc, fact->vcpu, fact->position - 1, f.interrupted_gva);
        note_handler(sc, &f, rsp);
        break;
    case TRACE_VCPU_STATE:
        if (fact->a != VCPU_RUNNABLE)
            close_span(sc, fact->vcpu, fact->time_ns);
        break;
    default:
        break;
    }
    if (sc->facts == SCENE_FACTS_MAX) {
        sc->dropped.facts++;
        return;
    }
    sc->fact[sc->facts++] = f;
}

/* ---- its life ---- */

static bool allocate(struct scene *sc)
{
    sc->fact = calloc(SCENE_FACTS_MAX, sizeof(*sc->fact));
    sc->span = calloc(SCENE_SPANS_MAX, sizeof(*sc->span));
    sc->write = calloc(SCENE_WRITES_MAX, sizeof(*sc->write));
    sc->handler = calloc(SCENE_HANDLERS_MAX, sizeof(*sc->handler));
    sc->block = calloc(SCENE_BLOCKS, sizeof(*sc->block));
    sc->inside = calloc(1, sizeof(*sc->inside));
    if (sc->inside)
        sc->inside->frozen = calloc(SCENE_BLOCKS, sizeof(*sc->inside->frozen));
    return sc->fact && sc->span && sc->write && sc->handler && sc->block && sc->inside && sc->inside->frozen &&
           code_map_init(&sc->inside->code, sc->machine, sc->symbols);
}

enum emu_err scene_start(struct scene *sc, struct machine *m, const struct symbols *symbols,
                         const struct scene_site *site, unsigned sites, struct diag *d)
{
    enum emu_err err = EMU_OK;

    ensure(sites <= SCENE_SITES_MAX);
    *sc = (struct scene){.machine = m, .symbols = symbols, .site = site, .sites = sites, .from_ns = clock_now_ns(m)};
    if (!allocate(sc))
        err = diag_no_memory(d);
    if (err == EMU_OK)
        err = decoder_new(&sc->inside->decoder, d);
    if (err == EMU_OK)
        err = engine_watch_accesses(machine_engine(m), on_access, sc, d);
    if (err != EMU_OK) {
        scene_fini(sc);
        return err;
    }
    for (unsigned v = 0; v < VCPUS_MAX; v++) {
        sc->inside->lane[v].span = sc->inside->lane[v].chunk.first_span = NONE;
        if (v < machine_vcpus(m)) {
            sc->inside->lane[v].chunk.from_position = vcpu_position(m, v);
            sc->state_at_start[v] = vcpu_state(m, v);
        }
    }
    sc->inside->pending_write = sc->inside->frozen_handler = NONE;
    sc->cause = NONE;
    trace_listen(m, on_fact, sc);
    return EMU_OK;
}

void scene_freeze_at_exception(struct scene *sc)
{
    sc->inside->freeze = true;
    sc->inside->armed_ns = clock_now_ns(sc->machine);
}

void scene_pause(struct scene *sc)
{
    close_span(sc, sc->inside->last_vcpu, clock_now_ns(sc->machine));
}

enum emu_err scene_stop(struct scene *sc, struct diag *d)
{
    struct scene_inside *in = sc->inside;

    sc->to_ns = clock_now_ns(sc->machine);
    finish_write(sc);
    close_span(sc, in->last_vcpu, sc->to_ns);
    for (unsigned v = 0; v < machine_vcpus(sc->machine); v++) {
        settle_torn(sc, v, vcpu_position(sc->machine, v), 0);
        end_chunk(sc, v, vcpu_position(sc->machine, v), sc->to_ns);
        while (in->lane[v].depth)
            end_handler(sc, &in->lane[v], false, vcpu_position(sc->machine, v), sc->to_ns);
    }
    shorten_spans(sc, SCENE_SPANS_SHOWN);
    if (in->frozen_handler != NONE) {
        struct scene_block *spare = sc->block;

        sc->block = in->frozen;
        in->frozen = spare;
        sc->blocks = in->frozen_blocks;
        sc->cause = in->frozen_handler;
    }
    trace_unlisten(sc->machine, on_fact, sc);
    return engine_watch_accesses(machine_engine(sc->machine), NULL, NULL, d);
}

void scene_fini(struct scene *sc)
{
    if (sc->inside) {
        code_map_fini(&sc->inside->code);
        decoder_free(sc->inside->decoder);
        free(sc->inside->frozen);
    }
    free(sc->inside);
    free(sc->fact);
    free(sc->span);
    free(sc->write);
    free(sc->handler);
    free(sc->block);
    memset(sc, 0, sizeof(*sc));
}
