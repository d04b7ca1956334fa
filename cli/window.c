#include "cli/window.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emu/delivery.h"
#include "emu/engine.h"
#include "emu/ensure.h"
#include "emu/symbols.h"

#define PAGES_MAX        32768u /* a power of two; half of them are used at most */
#define CHUNK_STEPS      256u   /* spinning or not is decided for so many */
#define SPIN_STEPS       64u    /* fewer say nothing */
#define SPIN_BLOCKS      8u
#define SPIN_READS       6u
#define KEPT_BEFORE_NS   3000u
#define KEPT_BEHIND_NS   20000u
#define NONE             WINDOW_NONE
#define FUNCTION_BYTES   0x8000u /* instructions are found by decoding from a function's start, if it is this near */
#define MARGIN_BYTES     INSN_BYTES_MAX
#define TEXT_GUESS_BYTES (256ull << 20)

#define VECTOR_PF         14
#define PF_ERROR_USER     4u
#define SELECTOR_RPL_MASK 3u

struct page {     /* of guest-physical memory, as the guest executes it */
    uint64_t ppn; /* + 1; 0 if free */
    uint64_t gva; /* of its first byte; UINT64_MAX if unknown */
    uint8_t *executed;
};

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
    size_t frame[WINDOW_DEPTH_MAX]; /* handlers that run */
    unsigned depth;
    unsigned torn;                   /* + 1; not yet known whether it was executed */
    uint64_t symbol_from, symbol_to; /* the last function found */
};

struct window_inside {
    struct lane lane[VCPUS_MAX];
    unsigned last_vcpu;
    struct page *page;
    size_t pages;
    uint64_t text_gva, text_gpa; /* of a place in the kernel's code; text_gva 0: none is known */
    size_t pending_write;
    struct decoder *decoder;
    bool freeze; /* armed */
    uint64_t armed_ns;
    size_t frozen_handler;
    struct window_block *frozen;
    uint64_t frozen_blocks;
    struct {
        bool known;
        /* Where instructions begin, from MARGIN_BYTES before the site on, in the code before and after the change. */
        bool begins[2][WINDOW_SITE_BYTES + 2 * MARGIN_BYTES];
    } site[WINDOW_SITES_MAX];
};

bool window_is_fatal(uint64_t vector)
{
    return vector == 0 || vector == 5 || vector == 6 || vector == 8 || (vector >= 10 && vector <= 13) || vector == 17;
}

const char *window_symbol_name(const struct symbols *s, uint64_t gva, char *text, size_t bytes)
{
    struct symbol found;

    if (s && symbols_find_address(s, gva, &found))
        snprintf(text, bytes, "%s", found.name);
    else
        snprintf(text, bytes, "0x%" PRIx64, gva);
    return text;
}

uint64_t window_interrupted_gva(struct machine *m, const struct trace_fact *fact, uint64_t *rsp)
{
    unsigned bits = vcpu_code_bits(m), width = bits == 64 ? 8 : bits == 32 ? 4 : 2;
    bool error = fact->kind == TRACE_EXCEPTION && bits != 16 && exception_has_error_code((unsigned)fact->a);
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

/* ---- pages ---- */

static struct page *page_of(struct window *w, uint64_t ppn, bool make)
{
    struct window_inside *in = w->inside;

    for (uint64_t i = ppn * 0x9e3779b97f4a7c15ull >> 40;; i++) {
        struct page *p = &in->page[i % PAGES_MAX];

        if (p->ppn == ppn + 1)
            return p;
        if (p->ppn)
            continue;
        if (!make || in->pages == PAGES_MAX / 2)
            return NULL;
        *p = (struct page){.ppn = ppn + 1, .gva = UINT64_MAX};
        in->pages++;
        return p;
    }
}

/* The virtual address of code at `gpa`, as it was executed, or as the kernel's code elsewhere suggests. */
static uint64_t gva_of(struct window *w, uint64_t gpa)
{
    struct window_inside *in = w->inside;
    struct page *p = page_of(w, gpa / PAGE_BYTES, true);
    uint64_t guess, back;

    if (!p)
        return UINT64_MAX;
    if (p->gva == UINT64_MAX && in->text_gva) {
        guess = (gpa - in->text_gpa) + in->text_gva;
        if (guess - in->text_gva + TEXT_GUESS_BYTES < 2 * TEXT_GUESS_BYTES &&
            vcpu_translate(w->machine, machine_current(w->machine), guess, &back) && back == gpa)
            p->gva = guess & ~(uint64_t)(PAGE_BYTES - 1);
        else
            p->gva = UINT64_MAX - 1; /* not code of the kernel */
    }
    return p->gva >= UINT64_MAX - 1 ? UINT64_MAX : p->gva + gpa % PAGE_BYTES;
}

static bool is_code_symbol(const struct symbols *s, uint64_t gva)
{
    struct symbol found;

    return s && symbols_find_address(s, gva, &found) && (found.kind == 'T' || found.kind == 't' || found.kind == 'W');
}

static void note_executed(struct window *w, uint64_t gpa, unsigned bytes, uint64_t gva)
{
    struct window_inside *in = w->inside;
    struct page *p = page_of(w, gpa / PAGE_BYTES, true);

    if (!p)
        return;
    p->gva = gva - gpa % PAGE_BYTES;
    if (!in->text_gva && is_code_symbol(w->symbols, gva)) {
        in->text_gva = gva;
        in->text_gpa = gpa;
    }
    if (!p->executed)
        p->executed = calloc(PAGE_BYTES / 8, 1);
    if (!p->executed)
        return;
    for (unsigned i = gpa % PAGE_BYTES; i < gpa % PAGE_BYTES + bytes && i < PAGE_BYTES; i++)
        p->executed[i / 8] |= (uint8_t)(1u << i % 8);
}

static bool was_executed(struct window *w, uint64_t gpa, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        struct page *p = page_of(w, (gpa + i) / PAGE_BYTES, false);
        unsigned at = (gpa + i) % PAGE_BYTES;

        if (p && p->executed && (p->executed[at / 8] >> at % 8 & 1))
            return true;
    }
    return false;
}

/* ---- who executes what ---- */

static bool spans_touch(const struct window_span *a, const struct window_span *b, uint64_t slack_ns)
{
    return b->from_ns <= a->to_ns + slack_ns;
}

/* Near the place that matters spans stay as they are. */
static bool is_kept(const struct window *w, const struct window_span *s)
{
    const struct window_inside *in = w->inside;
    uint64_t cause = in->frozen_handler == NONE ? 0 : w->handler[in->frozen_handler].from_ns;

    return (in->freeze && s->to_ns + KEPT_BEFORE_NS > in->armed_ns && s->from_ns < in->armed_ns + KEPT_BEHIND_NS) ||
           (cause && s->to_ns + KEPT_BEFORE_NS > cause && s->from_ns < cause + KEPT_BEFORE_NS);
}

/* Join neighbours that are equal, and those shorter than `least_ns` with what is before them. */
static void join_spans(struct window *w, uint64_t least_ns)
{
    size_t last[VCPUS_MAX], out = 0;

    memset(last, 0xff, sizeof(last));
    for (size_t i = 0; i < w->spans; i++) {
        struct window_span s = w->span[i], *p = last[s.vcpu] == NONE ? NULL : &w->span[last[s.vcpu]];
        bool equal = p && p->kind == s.kind && p->symbol_gva == s.symbol_gva;

        if (p && spans_touch(p, &s, least_ns) && (equal || (s.to_ns - s.from_ns < least_ns && !is_kept(w, &s)))) {
            p->to_ns = s.to_ns;
            continue;
        }
        if (p && spans_touch(p, &s, least_ns) && p->to_ns - p->from_ns < least_ns && !is_kept(w, p) &&
            !is_kept(w, &s)) {
            s.from_ns = p->from_ns;
            *p = s;
            continue;
        }
        last[s.vcpu] = out;
        w->span[out++] = s;
    }
    w->spans = out;
    for (unsigned v = 0; v < VCPUS_MAX; v++) {
        w->inside->lane[v].span = last[v];
        w->inside->lane[v].chunk.first_span = last[v];
    }
}

static void shorten_spans(struct window *w, size_t most)
{
    join_spans(w, 0);
    for (uint64_t least_ns = 2; w->spans > most && least_ns < w->to_ns - w->from_ns; least_ns *= 2)
        join_spans(w, least_ns);
}

static void close_span(struct window *w, unsigned vcpu, uint64_t now_ns)
{
    struct lane *l = &w->inside->lane[vcpu];

    if (l->span == NONE)
        return;
    w->span[l->span].to_ns = now_ns;
    l->span = NONE;
}

static void open_span(struct window *w, unsigned vcpu, uint64_t now_ns, uint64_t gva)
{
    struct lane *l = &w->inside->lane[vcpu];

    if (w->spans == WINDOW_SPANS_MAX) {
        w->to_ns = now_ns;
        shorten_spans(w, WINDOW_SPANS_MAX / 2);
        if (w->spans == WINDOW_SPANS_MAX) {
            w->dropped.spans++;
            l->span = NONE;
            return;
        }
    }
    w->span[w->spans] = (struct window_span){now_ns, now_ns, vcpu, WINDOW_RUNNING, gva};
    l->span = w->spans++;
    if (l->chunk.first_span == NONE)
        l->chunk.first_span = l->span;
}

/* Waiting for something that does not come: the same few blocks, no write, the same few places read. */
static void end_chunk(struct window *w, unsigned vcpu, uint64_t position, uint64_t now_ns)
{
    struct lane *l = &w->inside->lane[vcpu];
    bool spins = !l->chunk.busy && l->chunk.blocks && position - l->chunk.from_position >= SPIN_STEPS;

    if (l->span != NONE)
        w->span[l->span].to_ns = now_ns;
    for (size_t i = l->chunk.first_span; spins && i < w->spans; i++)
        if (w->span[i].vcpu == vcpu)
            w->span[i].kind = WINDOW_SPINNING;
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

static void note_running(struct window *w, unsigned vcpu, uint64_t position, uint64_t now_ns, uint64_t gva)
{
    struct window_inside *in = w->inside;
    struct lane *l = &in->lane[vcpu];
    uint64_t start = gva & ~(uint64_t)(PAGE_BYTES - 1);
    struct symbol s;

    if (in->last_vcpu != vcpu)
        close_span(w, in->last_vcpu, now_ns);
    in->last_vcpu = vcpu;
    if (position - l->chunk.from_position >= CHUNK_STEPS)
        end_chunk(w, vcpu, position, now_ns);
    note_in(l->chunk.block, &l->chunk.blocks, SPIN_BLOCKS, gva, &l->chunk.busy);
    if (gva - l->symbol_from < l->symbol_to - l->symbol_from) {
        start = l->symbol_from;
    } else if (w->symbols && symbols_find_address(w->symbols, gva, &s)) {
        start = l->symbol_from = s.start_gva;
        l->symbol_to = s.start_gva + s.bytes;
    }
    if (l->span != NONE && w->span[l->span].symbol_gva == start) {
        w->span[l->span].to_ns = now_ns;
        return;
    }
    close_span(w, vcpu, now_ns);
    open_span(w, vcpu, now_ns, start);
}

/* ---- handlers ---- */

static void end_handler(struct window *w, struct lane *l, bool returned, uint64_t position, uint64_t now_ns)
{
    struct window_handler *h = &w->handler[l->frame[--l->depth]];

    h->returned = returned;
    h->to_ns = now_ns;
    h->to_position = position;
    if (returned && l->frame[l->depth] == w->inside->frozen_handler) /* it survived that one */
        w->inside->frozen_handler = NONE;
}

static void note_return(struct window *w, unsigned vcpu, uint64_t position, uint64_t now_ns)
{
    struct lane *l = &w->inside->lane[vcpu];
    uint64_t rsp;

    if (!l->depth)
        return;
    rsp = vcpu_gpr(w->machine, GPR_RSP);
    for (unsigned i = l->depth; i-- > 0;) {
        const struct window_handler *h = &w->handler[l->frame[i]];

        if (h->interrupted_rsp != rsp || position <= h->from_position)
            continue;
        while (l->depth > i + 1)
            end_handler(w, l, false, position, now_ns);
        end_handler(w, l, true, position, now_ns);
        return;
    }
}

static void freeze(struct window *w)
{
    struct window_inside *in = w->inside;

    in->frozen_handler = w->handlers - 1;
    in->frozen_blocks = w->blocks;
    memcpy(in->frozen, w->block, WINDOW_BLOCKS * sizeof(*w->block));
}

static void note_handler(struct window *w, const struct window_fact *f, uint64_t rsp)
{
    struct lane *l = &w->inside->lane[f->fact.vcpu];
    bool fatal = f->fact.kind == TRACE_EXCEPTION &&
                 (window_is_fatal(f->fact.a) || (f->fact.a == VECTOR_PF && !(f->fact.b & PF_ERROR_USER)));

    if (w->handlers == WINDOW_HANDLERS_MAX) {
        w->dropped.handlers++;
        return;
    }
    if (l->depth == WINDOW_DEPTH_MAX) {
        memmove(l->frame, l->frame + 1, (WINDOW_DEPTH_MAX - 1) * sizeof(*l->frame));
        l->depth--;
    }
    w->handler[w->handlers] = (struct window_handler){
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
    l->frame[l->depth++] = w->handlers++;
    if (fatal && w->inside->freeze && w->inside->frozen_handler == NONE)
        freeze(w);
}

/* ---- code that is changed ---- */

static void finish_write(struct window *w)
{
    struct window_inside *in = w->inside;
    struct window_write *x;

    if (in->pending_write == NONE)
        return;
    x = &w->write[in->pending_write];
    in->pending_write = NONE;
    if (!memory_read(machine_memory(w->machine), x->gpa, x->after, x->bytes))
        w->writes--;
}

static uint64_t writer_gva(struct window *w, unsigned vcpu, uint64_t position)
{
    const struct window_block *b = w->blocks ? &w->block[(w->blocks - 1) % WINDOW_BLOCKS] : NULL;
    uint64_t at = 0;

    if (!b || b->vcpu != vcpu || position < b->position)
        return vcpu_rip(w->machine);
    for (uint64_t p = b->position; p < position; p++) {
        struct insn insn;

        if (at >= b->bytes || !decoder_decode(w->inside->decoder, b->bits, b->code + at, b->bytes - at, &insn) ||
            insn.kind == INSN_REP)
            break;
        at += insn.length;
    }
    return b->gva + at;
}

static void note_write(struct window *w, unsigned vcpu, uint64_t gpa, unsigned bytes)
{
    uint64_t gva = gva_of(w, gpa), position;
    struct window_write *x;

    if (!was_executed(w, gpa, bytes) && (gva == UINT64_MAX || !is_code_symbol(w->symbols, gva)))
        return;
    if (w->writes == WINDOW_WRITES_MAX) {
        w->dropped.writes++;
        return;
    }
    position = engine_access_position(machine_engine(w->machine));
    x = &w->write[w->writes];
    *x = (struct window_write){
        .time_ns = clock_now_ns(w->machine),
        .position = position,
        .vcpu = vcpu,
        .bytes = bytes > sizeof(x->before) ? (unsigned)sizeof(x->before) : bytes,
        .rip_gva = writer_gva(w, vcpu, position),
        .gpa = gpa,
        .gva = gva,
    };
    if (memory_read(machine_memory(w->machine), gpa, x->before, x->bytes))
        w->inside->pending_write = w->writes++;
}

/* Mark where the instructions of the site's function begin, with the site's bytes as given. */
static void find_begins(struct window *w, const struct window_site *s, unsigned bits, const uint8_t *bytes,
                        bool *begins)
{
    uint64_t from = s->gva, low = s->gva - MARGIN_BYTES, high = s->gva + s->bytes + MARGIN_BYTES;
    struct symbol symbol;

    if (w->symbols && symbols_find_address(w->symbols, s->gva, &symbol) && s->gva - symbol.start_gva < FUNCTION_BYTES)
        from = symbol.start_gva;
    for (uint64_t at = from; at < high;) {
        uint8_t code[INSN_BYTES_MAX];
        struct insn insn;

        if (at >= low)
            begins[at - low] = true;
        if (!vcpu_read_gva(w->machine, machine_current(w->machine), at, code, sizeof(code), NULL))
            return;
        for (unsigned i = 0; i < sizeof(code); i++)
            if (at + i - s->gva < s->bytes)
                code[i] = bytes[at + i - s->gva];
        if (!decoder_decode(w->inside->decoder, bits, code, sizeof(code), &insn))
            return;
        at += insn.length;
    }
}

/* Whether an instruction at `gva` is one of the code in which the site has these bytes. */
static bool is_of(const struct window_site *s, const bool *begins, const uint8_t *bytes, uint64_t gva,
                  const uint8_t *code, unsigned length)
{
    if (!begins[gva - (s->gva - MARGIN_BYTES)])
        return false;
    for (unsigned i = 0; i < length; i++)
        if (gva + i - s->gva < s->bytes && code[i] != bytes[gva + i - s->gva])
            return false;
    return true;
}

static bool is_known_torn(const struct window *w, unsigned site, uint64_t gva, const uint8_t *code, unsigned length)
{
    for (unsigned i = 0; i < w->torns; i++)
        if (w->torn[i].site == site && w->torn[i].gva == gva && !memcmp(w->torn[i].code, code, length))
            return true;
    return false;
}

/* A block is about to be executed that holds bytes of a site. */
static void look_for_torn(struct window *w, unsigned site, const struct window_block *b)
{
    const struct window_site *s = &w->site[site];
    struct lane *l = &w->inside->lane[b->vcpu];
    uint64_t position = b->position;

    if (!w->inside->site[site].known) {
        find_begins(w, s, b->bits, s->before, w->inside->site[site].begins[0]);
        find_begins(w, s, b->bits, s->after, w->inside->site[site].begins[1]);
        w->inside->site[site].known = true;
    }
    for (unsigned at = 0; at < b->bytes; position++) {
        uint64_t gva = b->gva + at;
        struct insn insn;

        if (!decoder_decode(w->inside->decoder, b->bits, b->code + at, b->bytes - at, &insn))
            insn.length = (uint8_t)(b->bytes - at < INSN_BYTES_MAX ? b->bytes - at : INSN_BYTES_MAX);
        if (gva < s->gva + s->bytes && s->gva < gva + insn.length &&
            !is_of(s, w->inside->site[site].begins[0], s->before, gva, b->code + at, insn.length) &&
            !is_of(s, w->inside->site[site].begins[1], s->after, gva, b->code + at, insn.length)) {
            if (w->torns == WINDOW_TORN_MAX || is_known_torn(w, site, gva, b->code + at, insn.length))
                return;
            w->torn[w->torns] =
                (struct window_torn){site, b->vcpu, b->bits, insn.length, position, b->time_ns, gva, {0}, false};
            memcpy(w->torn[w->torns].code, b->code + at, insn.length);
            l->torn = ++w->torns;
            return;
        }
        at += insn.length;
    }
}

/* The vCPU has made `position` steps, and an exception stopped it at `stopped_gva` (or none, 0). */
static void settle_torn(struct window *w, unsigned vcpu, uint64_t position, uint64_t stopped_gva)
{
    struct lane *l = &w->inside->lane[vcpu];
    struct window_torn *t;

    if (!l->torn)
        return;
    t = &w->torn[l->torn - 1];
    if (position > t->position || stopped_gva == t->gva)
        t->executed = true;
    else if (l->torn == w->torns)
        w->torns--;
    l->torn = 0;
}

/* ---- what the machine tells ---- */

static void note_fetch(struct window *w, unsigned vcpu, uint64_t gpa, unsigned bytes, uint64_t position)
{
    uint64_t now = clock_now_ns(w->machine), gva = engine_access_block_gva(machine_engine(w->machine));
    struct window_block *b = w->blocks ? &w->block[(w->blocks - 1) % WINDOW_BLOCKS] : NULL;

    if (b && b->vcpu == vcpu && b->position == position && gpa % PAGE_BYTES == 0 &&
        (b->gva + b->bytes) % PAGE_BYTES == 0 && b->bytes) { /* the second page of the same block */
        gva = b->gva + b->bytes;
        if (bytes > WINDOW_BLOCK_BYTES - b->bytes)
            bytes = WINDOW_BLOCK_BYTES - b->bytes;
        if (memory_read(machine_memory(w->machine), gpa, b->code + b->bytes, bytes))
            b->bytes += bytes;
        note_executed(w, gpa, bytes, gva);
    } else {
        settle_torn(w, vcpu, position, 0);
        note_return(w, vcpu, position, now);
        note_executed(w, gpa, bytes, gva);
        note_running(w, vcpu, position, now, gva);
        b = &w->block[w->blocks++ % WINDOW_BLOCKS];
        *b = (struct window_block){.position = position,
                                   .time_ns = now,
                                   .gva = gva,
                                   .vcpu = vcpu,
                                   .bits = vcpu_code_bits(w->machine),
                                   .bytes = bytes > WINDOW_BLOCK_BYTES ? WINDOW_BLOCK_BYTES : bytes};
        if (!memory_read(machine_memory(w->machine), gpa, b->code, b->bytes))
            b->bytes = 0;
    }
    for (unsigned i = 0; i < w->sites; i++)
        if (gpa < w->site[i].gpa + w->site[i].bytes && w->site[i].gpa < gpa + bytes)
            look_for_torn(w, i, b);
}

static void on_access(void *context, enum engine_access kind, uint64_t gpa, unsigned bytes)
{
    struct window *w = context;
    unsigned vcpu = machine_current(w->machine);
    struct chunk *c = &w->inside->lane[vcpu].chunk;

    switch (kind) {
    case ENGINE_FETCH:
        finish_write(w);
        note_fetch(w, vcpu, gpa, bytes, engine_access_position(machine_engine(w->machine)));
        break;
    case ENGINE_WRITE:
        finish_write(w);
        c->busy = true;
        note_write(w, vcpu, gpa, bytes);
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
    struct window *w = context;
    struct window_fact f = {*fact, fact->rip_gva};
    uint64_t rsp = 0;

    finish_write(w);
    switch (fact->kind) {
    case TRACE_CONSOLE:
        return;
    case TRACE_INTERRUPT:
    case TRACE_NMI:
    case TRACE_EXCEPTION:
        f.interrupted_gva = window_interrupted_gva(m, fact, &rsp);
        settle_torn(w, fact->vcpu, fact->position - 1, f.interrupted_gva);
        note_handler(w, &f, rsp);
        break;
    case TRACE_VCPU_STATE:
        if (fact->a != VCPU_RUNNABLE)
            close_span(w, fact->vcpu, fact->time_ns);
        break;
    default:
        break;
    }
    if (w->facts == WINDOW_FACTS_MAX) {
        w->dropped.facts++;
        return;
    }
    w->fact[w->facts++] = f;
}

/* ---- its life ---- */

static bool allocate(struct window *w)
{
    w->fact = calloc(WINDOW_FACTS_MAX, sizeof(*w->fact));
    w->span = calloc(WINDOW_SPANS_MAX, sizeof(*w->span));
    w->write = calloc(WINDOW_WRITES_MAX, sizeof(*w->write));
    w->handler = calloc(WINDOW_HANDLERS_MAX, sizeof(*w->handler));
    w->block = calloc(WINDOW_BLOCKS, sizeof(*w->block));
    w->inside = calloc(1, sizeof(*w->inside));
    if (w->inside) {
        w->inside->page = calloc(PAGES_MAX, sizeof(*w->inside->page));
        w->inside->frozen = calloc(WINDOW_BLOCKS, sizeof(*w->inside->frozen));
    }
    return w->fact && w->span && w->write && w->handler && w->block && w->inside && w->inside->page &&
           w->inside->frozen;
}

enum emu_err window_start(struct window *w, struct machine *m, const struct symbols *symbols,
                          const struct window_site *site, unsigned sites, struct diag *d)
{
    enum emu_err err = EMU_OK;

    ensure(sites <= WINDOW_SITES_MAX);
    *w = (struct window){.machine = m, .symbols = symbols, .site = site, .sites = sites, .from_ns = clock_now_ns(m)};
    if (!allocate(w))
        err = diag_set(d, EMU_EHOST, "the host has no memory left");
    if (err == EMU_OK)
        err = decoder_new(&w->inside->decoder, d);
    if (err == EMU_OK)
        err = engine_watch_accesses(machine_engine(m), on_access, w, d);
    if (err != EMU_OK) {
        window_fini(w);
        return err;
    }
    for (unsigned v = 0; v < VCPUS_MAX; v++) {
        w->inside->lane[v].span = w->inside->lane[v].chunk.first_span = NONE;
        if (v < machine_vcpus(m)) {
            w->inside->lane[v].chunk.from_position = vcpu_position(m, v);
            w->state_at_start[v] = vcpu_state(m, v);
        }
    }
    w->inside->pending_write = w->inside->frozen_handler = NONE;
    w->cause = NONE;
    trace_listen(m, on_fact, w);
    return EMU_OK;
}

void window_freeze_at_exception(struct window *w)
{
    w->inside->freeze = true;
    w->inside->armed_ns = clock_now_ns(w->machine);
}

void window_pause(struct window *w)
{
    close_span(w, w->inside->last_vcpu, clock_now_ns(w->machine));
}

enum emu_err window_stop(struct window *w, struct diag *d)
{
    struct window_inside *in = w->inside;

    w->to_ns = clock_now_ns(w->machine);
    finish_write(w);
    close_span(w, in->last_vcpu, w->to_ns);
    for (unsigned v = 0; v < machine_vcpus(w->machine); v++) {
        settle_torn(w, v, vcpu_position(w->machine, v), 0);
        end_chunk(w, v, vcpu_position(w->machine, v), w->to_ns);
        while (in->lane[v].depth)
            end_handler(w, &in->lane[v], false, vcpu_position(w->machine, v), w->to_ns);
    }
    shorten_spans(w, WINDOW_SPANS_SHOWN);
    if (in->frozen_handler != NONE) {
        struct window_block *spare = w->block;

        w->block = in->frozen;
        in->frozen = spare;
        w->blocks = in->frozen_blocks;
        w->cause = in->frozen_handler;
    }
    trace_unlisten(w->machine, on_fact, w);
    return engine_watch_accesses(machine_engine(w->machine), NULL, NULL, d);
}

void window_fini(struct window *w)
{
    if (w->inside) {
        for (unsigned i = 0; w->inside->page && i < PAGES_MAX; i++)
            free(w->inside->page[i].executed);
        decoder_free(w->inside->decoder);
        free(w->inside->page);
        free(w->inside->frozen);
    }
    free(w->inside);
    free(w->fact);
    free(w->span);
    free(w->write);
    free(w->handler);
    free(w->block);
    memset(w, 0, sizeof(*w));
}
