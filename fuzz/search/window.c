/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz/search/window.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "emu/base/analyzer.h"
#include "emu/base/ensure.h"
#include "emu/base/plural.h"
#include "emu/base/vec.h"
#include "emu/engine.h"
#include "emu/image/symbols.h"
#include "emu/machine.h"
#include "emu/memory.h"
#include "emu/regs.h"
#include "emu/trace.h"
#include "emu/vcpu.h"
#include "fuzz/search/code_symbols.h"
#include "fuzz/search/footprint.h"

/*
 * An access is one word:
 *
 *     63       24 23       12 11   10 9                         0
 *     |   gpa    | bytes - 1 | kind  | steps since the previous |
 *
 * SKIP in the last field says that the word is not an access, and that its gpa is such a distance.
 */
#define GPA_BITS  40u
#define GPA_MASK  ((1ull << GPA_BITS) - 1)
#define SKIP      1023u
#define BYTES_MAX 4096u

#define CHUNK_WORDS 65536u

struct chunk {
    uint64_t first_position; /* before its first word */
    uint64_t words;
    uint64_t word[CHUNK_WORDS];
};

/* From `position` on, until the next one. */
struct openness {
    uint64_t position;
    bool maskable, nmi;
};

/* Where code lies. */
struct code_range {
    uint64_t gpa, to_gpa, gva;
};

/* A list that grows; `room` in elements. */
struct list {
    void *at;
    size_t count, room;
};

struct window {
    struct machine *m;
    const struct window_options *o;
    uint64_t first, last;
    struct list chunk;    /* struct chunk * */
    struct list openness; /* struct openness */
    struct list code;     /* struct code_range, ascending by gpa */
    struct list write;    /* struct window_write */
    struct list leave;    /* uint64_t: positions */
    uint8_t *code_page;   /* one bit a page of low RAM */
    uint64_t code_pages;
    uint64_t position; /* of the last word */
    bool no_memory, pending;
    bool in_listener; /* set while an access is recorded, so that our own reads are not recorded */
    bool stopped;
    struct window_report report;
};

static bool grow(struct list *l, size_t element)
{
    return vec_reserve(&l->at, &l->room, l->count + 1, 64, element);
}

static void push_word(struct window *w, uint64_t word)
{
    struct chunk **chunk = w->chunk.at, *last = w->chunk.count ? chunk[w->chunk.count - 1] : NULL;

    if (w->no_memory)
        return;
    if (!last || last->words == CHUNK_WORDS) {
        last = malloc(sizeof(*last));
        /* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers */
        if (!last || !grow(&w->chunk, sizeof(last))) {
            free(last);
            w->no_memory = true;
            return;
        }
        last->first_position = w->position;
        last->words = 0;
        ((struct chunk **)w->chunk.at)[w->chunk.count++] = last;
    }
    last->word[last->words++] = word;
}

static void push_access(struct window *w, enum engine_access kind, uint64_t gpa, unsigned bytes, uint64_t position)
{
    uint64_t distance = position - w->position;

    if (distance >= SKIP) {
        push_word(w, (distance & GPA_MASK) | (uint64_t)SKIP << 54);
        w->position = position;
        distance = 0;
    }
    push_word(w, (gpa & GPA_MASK) | (uint64_t)((bytes ? bytes - 1 : 0) & (BYTES_MAX - 1)) << GPA_BITS |
                     (uint64_t)kind << 52 | distance << 54);
    w->position = position;
}

/* ---- code ---- */

static bool add_code_page(void *context, uint64_t gva, uint64_t gpa, uint64_t bytes)
{
    struct window *w = context;
    struct code_range *r = w->code.at;

    if (w->code.count) {
        r += w->code.count - 1;
        if (r->to_gpa == gpa && r->gva + (r->to_gpa - r->gpa) == gva) {
            r->to_gpa += bytes;
            return true;
        }
    }
    if (!grow(&w->code, sizeof(*r)))
        return false;
    r = w->code.at;
    r[w->code.count++] = (struct code_range){gpa, gpa + bytes, gva};
    return true;
}

static int compare_ranges(const void *a, const void *b)
{
    const struct code_range *x = a, *y = b;

    return x->gpa < y->gpa ? -1 : x->gpa > y->gpa;
}

/* The extents of the functions, as they are mapped now. */
static bool find_code(struct window *w)
{
    struct code_range *r;

    w->code_pages = memory_range(machine_memory(w->m), 0).bytes >> PAGE_SHIFT;
    w->code_page = calloc(w->code_pages / 8 + 1, 1);
    if (!w->code_page)
        return false;
    if (!code_symbols_each(w->m, w->o->vcpu, w->o->symbols, add_code_page, w))
        return false;
    if (w->code.count)
        qsort(w->code.at, w->code.count, sizeof(*r), compare_ranges);
    r = w->code.at;
    for (uint64_t i = 0; i < w->code.count; i++)
        for (uint64_t page = r[i].gpa >> PAGE_SHIFT; page <= (r[i].to_gpa - 1) >> PAGE_SHIFT; page++)
            if (page < w->code_pages)
                w->code_page[page >> 3] |= (uint8_t)(1u << (page & 7));
    return true;
}

/* The range of code that `gpa` is in; symbols may overlap, so the one before may hold it too. */
static const struct code_range *code_at(const struct window *w, uint64_t gpa)
{
    const struct code_range *r = w->code.at;
    uint64_t page = gpa >> PAGE_SHIFT, low = 0, high = w->code.count;

    if (page >= w->code_pages || !(w->code_page[page >> 3] >> (page & 7) & 1))
        return NULL;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;

        if (r[middle].gpa <= gpa)
            low = middle + 1;
        else
            high = middle;
    }
    for (unsigned back = 1; back <= 4 && back <= low; back++)
        if (gpa < r[low - back].to_gpa)
            return &r[low - back];
    return NULL;
}

static void settle_write(struct window *w)
{
    struct window_write *x = w->write.at;

    if (!w->pending)
        return;
    w->pending = false;
    x += w->write.count - 1;
    if (!memory_peek(machine_memory(w->m), x->gpa, x->after, x->bytes))
        memcpy(x->after, x->before, x->bytes);
}

static void push_write(struct window *w, uint64_t gpa, unsigned bytes, uint64_t position)
{
    while (bytes) {
        const struct code_range *r = code_at(w, gpa);
        unsigned chunk = bytes < WINDOW_WRITE_BYTES_MAX ? bytes : WINDOW_WRITE_BYTES_MAX;

        if (r) {
            struct window_write *x;

            if (chunk > r->to_gpa - gpa)
                chunk = (unsigned)(r->to_gpa - gpa);
            if (!grow(&w->write, sizeof(*x))) {
                w->no_memory = true;
                return;
            }
            settle_write(w);
            x = w->write.at;
            x += w->write.count;
            *x = (struct window_write){.position = position,
                                       .gva = r->gva + (gpa - r->gpa),
                                       .gpa = gpa,
                                       .rip_gva = vcpu_rip(w->m),
                                       .bytes = chunk};
            if (memory_peek(machine_memory(w->m), gpa, x->before, chunk)) {
                w->write.count++;
                w->pending = true;
            }
        } else if (bytes > 1) {
            chunk = 1;
        }
        gpa += chunk;
        bytes -= chunk;
    }
}

/* ---- recording ---- */

static void push_openness(struct window *w, uint64_t position, bool maskable, bool nmi)
{
    struct openness *last = w->openness.at;

    if (w->openness.count) {
        last += w->openness.count - 1;
        if (last->maskable == maskable && last->nmi == nmi)
            return;
        if (last->position == position) {
            last->maskable = maskable;
            last->nmi = nmi;
            return;
        }
    }
    if (!grow(&w->openness, sizeof(*last))) {
        w->no_memory = true;
        return;
    }
    last = w->openness.at;
    last[w->openness.count++] = (struct openness){position, maskable, nmi};
}

/* Only CLI changes IF within a block; all else that does ends one. */
static void note_openness(struct window *w, uint64_t gpa, unsigned bytes, uint64_t position)
{
    struct engine *e = machine_engine(w->m);
    bool flag = vcpu_rflags(w->m) & RFLAGS_IF, shadow = engine_interrupt_shadow(e);
    bool unblocked = !vcpu_nmi_blocked(w->m, w->o->vcpu);
    uint8_t code[BYTES_MAX];
    unsigned step = 0;

    push_openness(w, position, flag && !shadow, unblocked && !shadow);
    if (shadow)
        push_openness(w, position + 1, flag, unblocked);
    if (!flag || bytes > sizeof(code) || !memory_peek(machine_memory(w->m), gpa, code, bytes) ||
        !memchr(code, 0xfa, bytes))
        return;
    for (unsigned at = 0; at < bytes; step++) {
        struct insn insn;

        if (!decoder_decode(engine_decoder(e), vcpu_code_bits(w->m), code + at, bytes - at, &insn))
            return;
        if (insn.length == 1 && code[at] == 0xfa) {
            push_openness(w, position + step + 1, false, unblocked);
            return;
        }
        at += insn.length;
    }
}

/* The machine or a model does something at this step, or by itself before it. */
static void push_leave(struct window *w, uint64_t position)
{
    w->report.leaves++;
    if (!grow(&w->leave, sizeof(position))) {
        w->no_memory = true;
        return;
    }
    ((uint64_t *)w->leave.at)[w->leave.count++] = position;
}
ANALYZER_LOSES_ELEMENTS_END

static void on_access(void *context, enum engine_access kind, uint64_t gpa, unsigned bytes)
{
    struct window *w = context;
    uint64_t position = engine_access_position(machine_engine(w->m));

    if (w->in_listener)
        return;
    w->in_listener = true;
    settle_write(w);
    if (position < w->position) /* a block that was left early and begun again */
        position = w->position;
    push_access(w, kind, gpa, bytes, position);
    switch (kind) {
    case ENGINE_FETCH:
        w->report.blocks++;
        note_openness(w, gpa, bytes, position);
        break;
    case ENGINE_WRITE:
        w->report.writes++;
        if (w->code.count)
            push_write(w, gpa, bytes, position);
        break;
    case ENGINE_READ:
        w->report.reads++;
        break;
    case ENGINE_LEAVE:
        push_leave(w, position);
        break;
    }
    w->in_listener = false;
    if (w->o->progress && (w->report.blocks & 0xffff) == 0 && kind == ENGINE_FETCH &&
        w->o->progress(w->o->context, position)) {
        w->stopped = true;
        machine_stop(w->m);
    }
}

static void ignore_access(void *context, enum engine_access kind, uint64_t gpa, unsigned bytes)
{
}

static void on_fact(struct machine *m, const struct trace_fact *fact, void *context)
{
    struct window *w = context;

    if (fact->kind == TRACE_INTERRUPT || fact->kind == TRACE_NMI || fact->kind == TRACE_EVENT ||
        fact->kind == TRACE_HOST_WRITE) {
        uint64_t position = vcpu_position(m, w->o->vcpu);

        if (position < w->position)
            position = w->position;
        push_access(w, ENGINE_LEAVE, 0, 0, position);
        push_leave(w, position);
    }
    switch (fact->kind) {
    case TRACE_HYPERCALL:
        w->report.hypercalls++;
        w->report.hypercall[fact->a < WINDOW_CALLS_MAX ? fact->a : WINDOW_CALLS_MAX - 1]++;
        break;
    case TRACE_INTERRUPT:
    case TRACE_NMI:
        w->report.interrupts++;
        break;
    case TRACE_EXCEPTION:
        w->report.exceptions++;
        break;
    default:
        break;
    }
}

static enum emu_err run(struct window *w, struct diag *d)
{
    uint64_t sp = vcpu_gpr(w->m, GPR_RSP);
    struct machine_limits l = {.steps_max = UINT64_MAX,
                               .pinned = true,
                               .vcpu = w->o->vcpu,
                               .until_rip_gva = w->o->end_rip_gva,
                               .position_max = w->first + w->o->steps_max};

    for (;;) {
        enum machine_stop_reason why = machine_run(w->m, &l);

        if (w->no_memory)
            return diag_set(d, EMU_EHOST, "the host has no memory for the record of the window");
        if (w->stopped)
            return diag_set(d, EMU_EINPUT, "stopped while the window was recorded");
        if (why == MACHINE_STOPPED_ASKED || (why == MACHINE_STOPPED_RIP && vcpu_gpr(w->m, GPR_RSP) < sp))
            continue;
        if (why == MACHINE_STOPPED_RIP || why == MACHINE_STOPPED_POSITION)
            return EMU_OK;
        return diag_set(d, EMU_EINPUT, "the undisturbed run does not reach the end of the window: %s",
                        why == MACHINE_STOPPED_VERDICT ? machine_verdict(w->m)->text : "the vCPU waits");
    }
}

/* ---- what it says of itself ---- */

static void count_writer(struct window *w, const struct window_write *x, unsigned changed)
{
    struct window_report *r = &w->report;
    struct window_writer *writer = NULL;
    struct symbol s;
    char name[WINDOW_NAME_BYTES];

    if (w->o->symbols && symbols_find_address(w->o->symbols, x->rip_gva, &s))
        snprintf(name, sizeof(name), "%.*s", WINDOW_NAME_BYTES - 1, s.name);
    else
        snprintf(name, sizeof(name), "0x%" PRIx64, x->rip_gva);
    for (unsigned i = 0; i < r->writers && !writer; i++)
        if (!strcmp(r->writer[i].name, name))
            writer = &r->writer[i];
    if (!writer && r->writers < WINDOW_WRITERS_MAX) {
        writer = &r->writer[r->writers++];
        snprintf(writer->name, sizeof(writer->name), "%s", r->writers < WINDOW_WRITERS_MAX ? name : "others");
    }
    if (!writer)
        writer = &r->writer[WINDOW_WRITERS_MAX - 1];
    writer->writes++;
    writer->bytes += changed;
}

static int compare_addresses(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static bool make_report(struct window *w)
{
    const struct window_write *x = w->write.at;
    const struct openness *o = w->openness.at;
    struct list changed = {0};

    w->report.steps = w->last - w->first;
    for (uint64_t i = 0; i < w->openness.count; i++) {
        uint64_t from = o[i].position > w->first ? o[i].position : w->first;
        uint64_t to = i + 1 < w->openness.count ? o[i + 1].position : w->last;

        if (to > w->last)
            to = w->last;
        if (to <= from)
            continue;
        *(o[i].maskable ? &w->report.open : &w->report.closed) += to - from;
        if (!o[i].nmi)
            w->report.nmi_closed += to - from;
    }
    w->report.code_writes = w->write.count;
    for (uint64_t i = 0; i < w->write.count; i++) {
        unsigned n = 0;

        for (unsigned b = 0; b < x[i].bytes; b++) {
            if (x[i].before[b] == x[i].after[b])
                continue;
            if (!grow(&changed, sizeof(uint64_t))) {
                free(changed.at);
                return false;
            }
            ((uint64_t *)changed.at)[changed.count++] = x[i].gpa + b;
            n++;
        }
        count_writer(w, &x[i], n);
    }
    if (changed.count)
        qsort(changed.at, changed.count, sizeof(uint64_t), compare_addresses);
    for (uint64_t i = 0; i < changed.count; i++)
        if (!i || ((uint64_t *)changed.at)[i] != ((uint64_t *)changed.at)[i - 1])
            w->report.code_bytes++;
    free(changed.at);
    w->report.record_bytes = w->chunk.count * sizeof(struct chunk) + w->openness.room * sizeof(struct openness) +
                             w->write.room * sizeof(struct window_write);
    return true;
}

const struct window_report *window_report(const struct window *w)
{
    return &w->report;
}

void window_print(const struct window *w, FILE *to)
{
    const struct window_report *r = &w->report;
    char nmi[64] = "";

    if (r->nmi_closed)
        snprintf(nmi, sizeof(nmi), ", an NMI not at %" PRIu64, r->nmi_closed);
    fprintf(to,
            "window: %" PRIu64 " step%s; interrupts would be taken at %" PRIu64 " boundar%s and not at %" PRIu64
            "%s; by itself %" PRIu64 " interrupt%s, %" PRIu64 " exception%s, %" PRIu64 " hypercall%s, and %" PRIu64
            " step%s in which the machine takes part\n",
            r->steps, plural(r->steps), r->open, r->open == 1 ? "y" : "ies", r->closed, nmi, r->interrupts,
            plural(r->interrupts), r->exceptions, plural(r->exceptions), r->hypercalls, plural(r->hypercalls),
            r->leaves, plural(r->leaves));
    fprintf(to, "code changed: %" PRIu64 " byte%s in %" PRIu64 " write%s%s", r->code_bytes, plural(r->code_bytes),
            r->code_writes, plural(r->code_writes), r->writers ? ", by" : "");
    for (unsigned i = 0; i < r->writers; i++)
        fprintf(to, "%s %s (%" PRIu64 ")", i ? "," : "", r->writer[i].name, r->writer[i].writes);
    fputc('\n', to);
}

/* ---- life ---- */

enum emu_err window_record(struct machine *m, const struct window_options *o, struct window **out, struct diag *d)
{
    struct window *w = calloc(1, sizeof(*w));
    struct window_options kept = *o;
    enum emu_err err = EMU_OK;

    if (!w)
        return diag_no_memory(d);
    w->m = m;
    w->o = &kept;
    w->first = w->position = vcpu_position(m, o->vcpu);
    if (!find_code(w))
        err = diag_no_memory(d);
    if (err == EMU_OK)
        err = engine_watch_accesses(machine_engine(m), on_access, w, d);
    if (err == EMU_OK) {
        enum emu_err off;

        trace_listen(m, on_fact, w);
        push_openness(w, w->first, (vcpu_rflags(m) & RFLAGS_IF) && !engine_interrupt_shadow(machine_engine(m)),
                      !vcpu_nmi_blocked(m, o->vcpu) && !engine_interrupt_shadow(machine_engine(m)));
        err = run(w, d);
        trace_unlisten(m, on_fact, w);
        settle_write(w);
        off = engine_watch_accesses(machine_engine(m), ignore_access, NULL, d);
        if (err == EMU_OK)
            err = off;
    }
    w->last = vcpu_position(m, o->vcpu);
    if (err == EMU_OK && !make_report(w))
        err = diag_no_memory(d);
    w->o = NULL;
    if (err != EMU_OK) {
        window_free(w);
        return err;
    }
    *out = w;
    return EMU_OK;
}

void window_free(struct window *w)
{
    if (!w)
        return;
    for (uint64_t i = 0; i < w->chunk.count; i++)
        free(((struct chunk **)w->chunk.at)[i]);
    free(w->chunk.at);
    free(w->openness.at);
    free(w->code.at);
    free(w->write.at);
    free(w->leave.at);
    free(w->code_page);
    free(w);
}

uint64_t window_first(const struct window *w)
{
    return w->first;
}

uint64_t window_last(const struct window *w)
{
    return w->last;
}

uint64_t window_writes(const struct window *w)
{
    return w->write.count;
}

const struct window_write *window_write(const struct window *w, uint64_t i)
{
    ensure(i < w->write.count);
    return &((const struct window_write *)w->write.at)[i];
}

/* ---- questions ---- */

uint64_t window_next_open(const struct window *w, uint64_t from, bool maskable)
{
    const struct openness *o = w->openness.at;
    uint64_t low = 0, high = w->openness.count;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;

        if (o[middle].position <= from)
            low = middle + 1;
        else
            high = middle;
    }
    for (uint64_t i = low ? low - 1 : 0; i < w->openness.count; i++)
        if (maskable ? o[i].maskable : o[i].nmi) {
            uint64_t at = o[i].position > from ? o[i].position : from;

            return at < w->last ? at : w->last;
        }
    return w->last;
}

bool window_leaves_between(const struct window *w, uint64_t from, uint64_t to)
{
    const uint64_t *position = w->leave.at;
    uint64_t low = 0, high = w->leave.count;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;

        if (position[middle] < from)
            low = middle + 1;
        else
            high = middle;
    }
    return low < w->leave.count && position[low] < to;
}

static bool conflicts(const struct footprint *f, bool leaves, uint64_t word)
{
    enum engine_access kind = word >> 52 & 3;

    if (kind == ENGINE_LEAVE)
        return leaves;
    return footprint_conflicts(f, kind == ENGINE_WRITE, word & GPA_MASK,
                               (unsigned)(word >> GPA_BITS & (BYTES_MAX - 1)) + 1);
}

/* The word at the cursor, and the position of its step; false at the end. */
static bool look(const struct window *w, struct window_cursor *c, uint64_t *word, uint64_t *position)
{
    while (c->chunk < w->chunk.count) {
        const struct chunk *chunk = ((struct chunk *const *)w->chunk.at)[c->chunk];

        if (c->entry < chunk->words) {
            uint64_t distance;

            *word = chunk->word[c->entry];
            distance = *word >> 54;
            *position = c->position + (distance == SKIP ? *word & GPA_MASK : distance);
            return true;
        }
        c->chunk++;
        c->entry = 0;
    }
    return false;
}

uint64_t window_next_conflict(const struct window *w, struct window_cursor *c, const struct footprint *f, bool leaves,
                              uint64_t from)
{
    uint64_t word, position;

    if (!c->position)
        c->position = w->first;
    /* Up to the first access at or after `from`; the block that is begun before may reach beyond it. */
    while (look(w, c, &word, &position) && position < from) {
        if (word >> 54 != SKIP && (word >> 52 & 3) == ENGINE_FETCH &&
            (!c->block_known || c->block_position != position)) {
            c->block_known = true;
            c->block_chunk = c->chunk;
            c->block_entry = c->entry;
            c->block_position = position;
        }
        c->position = position;
        c->entry++;
    }
    if (c->block_known &&
        !(look(w, c, &word, &position) && position == from && word >> 54 != SKIP && (word >> 52 & 3) == ENGINE_FETCH)) {
        struct window_cursor b = {.chunk = c->block_chunk, .entry = c->block_entry, .position = c->block_position};
        bool first = true;

        while (look(w, &b, &word, &position)) {
            if (!first && (word >> 54)) /* a later step */
                break;
            first = false;
            if ((word >> 52 & 3) == ENGINE_FETCH && conflicts(f, leaves, word))
                return from < w->last ? from : w->last;
            b.entry++;
        }
    }
    for (struct window_cursor at = *c; look(w, &at, &word, &position) && position < w->last; at.entry++) {
        at.position = position;
        if (word >> 54 != SKIP && conflicts(f, leaves, word))
            return position;
    }
    return w->last;
}
