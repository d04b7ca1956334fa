/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/linux/edit.h"

#include "emu/base/ensure.h"
#include "emu/base/plural.h"
#include "models/linux/call_site.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FUNCTION_BYTES_MAX (1u << 20) /* a longer one is a gap between symbols */
#define NOP_BYTES_MAX      9u
#define JUMP_BYTES         5u /* E8 or E9, and the distance */
#define TRAMPOLINE_BYTES   16u
#define PADDED_BYTES_MAX   2048u /* of a function in whose padding code may stand */

/* Bytes that the kernel must not patch any more. */
struct range {
    uint64_t gva;
    unsigned bytes;
    bool dropped; /* they become a NOP; else only the entries are to go */
};

/* All that one edit takes from the patch tables and writes; written only when all is known. */
struct plan {
    const struct edit_kernel *k;
    const struct edit_memory *memory;
    struct diag *d;
    unsigned range_count;
    struct range ranges[EDIT_CHANGES_MAX];
    unsigned count;
    struct edit_change changes[EDIT_CHANGES_MAX];
    uint64_t new_callee_gva; /* call-after */
};

/* One instruction of a function. */
struct place {
    uint64_t gva;
    unsigned bytes;
    uint8_t code[INSN_BYTES_MAX];
};

void edit_nop(uint8_t *dst, unsigned bytes)
{
    static const uint8_t nops[NOP_BYTES_MAX][NOP_BYTES_MAX] = {
        {0x90},
        {0x66, 0x90},
        {0x0f, 0x1f, 0x00},
        {0x0f, 0x1f, 0x40, 0x00},
        {0x0f, 0x1f, 0x44, 0x00, 0x00},
        {0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00},
        {0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00},
        {0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00},
        {0x66, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00},
    };
    ensure(bytes >= 1);
    ensure(bytes <= NOP_BYTES_MAX);
    memcpy(dst, nops[bytes - 1], bytes);
}

/* ---- finding places ---- */

static enum emu_err find_symbol(struct plan *p, const char *name, struct symbol *out)
{
    size_t count = symbols_find_name(p->k->symbols, name, out);
    if (!count && *name == '@')
        return symbols_resolve(p->k->symbols, name, 0, &out->start_gva, p->d);
    if (!count)
        return diag_set(p->d, EMU_EINPUT, "the kernel has no symbol %s", name);
    if (count > 1)
        return diag_set(p->d, EMU_EINPUT, "%s is ambiguous: %zu symbols have this name; write the address", name,
                        count);
    return EMU_OK;
}

static enum emu_err find_place(struct plan *p, const struct edit_place *place, uint64_t *gva)
{
    struct symbol s;
    enum emu_err err;

    *gva = place->offset;
    if (!place->name[0])
        return EMU_OK;
    err = find_symbol(p, place->name, &s);
    if (err != EMU_OK)
        return err;
    if (place->offset >= s.bytes && s.bytes)
        return diag_set(p->d, EMU_EINPUT, "%s has only 0x%" PRIx64 " bytes, so no +0x%" PRIx64, place->name, s.bytes,
                        place->offset);
    *gva = s.start_gva + place->offset;
    return EMU_OK;
}

/* The extent of the function that is named, or that holds the address. */
static enum emu_err find_function(struct plan *p, const struct edit_place *place, struct symbol *s)
{
    if (place->name[0]) {
        enum emu_err err = find_symbol(p, place->name, s);
        if (err != EMU_OK)
            return err;
    } else if (!symbols_find_address(p->k->symbols, place->offset, s)) {
        return diag_set(p->d, EMU_EINPUT, "no function is at 0x%" PRIx64, place->offset);
    }
    if (!s->bytes || s->bytes > FUNCTION_BYTES_MAX || !patch_tables_is_code(p->k->view, s->start_gva, s->bytes))
        return diag_set(p->d, EMU_EINPUT, "%s is not a function with an end", s->name);
    return EMU_OK;
}

/* ---- planning ---- */

static enum emu_err add_change(struct plan *p, uint64_t gva, const uint8_t *old_bytes, const uint8_t *new_bytes,
                               size_t bytes, enum patch_kind table, uint64_t site_gva)
{
    struct edit_change *c;

    ensure(bytes <= EDIT_BYTES_MAX);
    if (p->count == EDIT_CHANGES_MAX)
        return diag_set(p->d, EMU_EINPUT, "one edit makes at most %u changes", EDIT_CHANGES_MAX);
    c = &p->changes[p->count++];
    *c = (struct edit_change){.gva = gva, .bytes = bytes, .table = table, .site_gva = site_gva};
    memcpy(c->old_bytes, old_bytes, bytes);
    memcpy(c->new_bytes, new_bytes, bytes);
    return EMU_OK;
}

/* The first of the ranges that an entry patches, NULL if none. */
static const struct range *find_range(const struct plan *p, const struct patch_entry *e)
{
    for (unsigned i = 0; e->site_bytes && i < p->range_count; i++) {
        const struct range *r = &p->ranges[i];
        if (e->site_gva < r->gva + r->bytes && r->gva < e->site_gva + e->site_bytes)
            return r;
    }
    return NULL;
}

static enum emu_err read_entry(struct plan *p, enum patch_kind kind, uint32_t i, uint8_t *raw, struct patch_entry *e)
{
    const struct patch_table *t = &p->k->tables->tables[kind];
    uint64_t gva = t->start_gva + (uint64_t)i * t->entry_bytes;
    if (!p->memory->read(p->memory->context, gva, raw, patch_tables_entry_bytes(p->k->tables, kind)))
        return diag_set(p->d, EMU_EINPUT, "the table %s at 0x%" PRIx64 " is not in memory", patch_kind_name(kind), gva);
    if (!patch_tables_decode(p->k->tables, kind, i, raw, e))
        return diag_set(p->d, EMU_EINPUT, "entry %u of the table %s no longer makes sense in memory", i,
                        patch_kind_name(kind));
    return EMU_OK;
}

/* An entry's site may be longer than what is dropped only by padding, else the entry does more than the call. */
static enum emu_err check_remainder(struct plan *p, const struct range *r, const struct patch_entry *e)
{
    for (uint64_t gva = e->site_gva; r->dropped && gva < e->site_gva + e->site_bytes; gva++) {
        uint8_t byte = 0;
        if (gva >= r->gva && gva < r->gva + r->bytes)
            continue;
        if (!p->memory->read(p->memory->context, gva, &byte, 1) || byte != 0x90)
            return diag_set(p->d, EMU_EINPUT,
                            "the %s entry for 0x%" PRIx64 " patches %u bytes, more than the instruction at 0x%" PRIx64,
                            patch_kind_name(e->kind), e->site_gva, e->site_bytes, r->gva);
    }
    return EMU_OK;
}

/* Another entry of the table, as memory has it now, that has nothing to do with this edit. */
static enum emu_err find_donor(struct plan *p, enum patch_kind kind, uint8_t *raw, struct patch_entry *donor)
{
    for (uint32_t i = 0; i < p->k->tables->tables[kind].count; i++) {
        enum emu_err err = read_entry(p, kind, i, raw, donor);
        if (err != EMU_OK || !find_range(p, donor))
            return err;
    }
    return diag_set(p->d, EMU_EINPUT, "the table %s has no other entry to put in place", patch_kind_name(kind));
}

static enum emu_err neutralise(struct plan *p, const struct range *r, const struct patch_entry *e, const uint8_t *raw)
{
    uint8_t changed[PATCH_ENTRY_BYTES_MAX], donor_raw[PATCH_ENTRY_BYTES_MAX];
    unsigned bytes = patch_tables_entry_bytes(p->k->tables, e->kind);
    struct patch_entry donor;
    enum emu_err err = check_remainder(p, r, e);
    memcpy(changed, raw, bytes);
    if (err != EMU_OK)
        return err;
    if (!patch_tables_blank(p->k->tables, e->kind, e->index, changed)) {
        if (e->kind != PATCH_PARAVIRT)
            return diag_set(p->d, EMU_EINPUT,
                            "0x%" PRIx64 " is a site of the table %s, whose entries can't be taken away unnoticed",
                            e->site_gva, patch_kind_name(e->kind));
        err = find_donor(p, e->kind, donor_raw, &donor);
        if (err != EMU_OK)
            return err;
        ensure(patch_tables_copy(p->k->tables, e->kind, e->index, &donor, donor_raw, changed));
    }
    return add_change(p, e->entry_gva, raw, changed, bytes, e->kind, e->site_gva);
}

/* Neutralise every entry of one table for the ranges; `found` counts them. */
static enum emu_err neutralise_table(struct plan *p, enum patch_kind kind, unsigned *found)
{
    const struct patch_table *t = &p->k->tables->tables[kind];
    if (t->refusal[0])
        return diag_set(p->d, EMU_EINPUT, "nothing can be edited safely, because %s", t->refusal);
    for (uint32_t i = 0; i < t->count; i++) {
        uint8_t raw[PATCH_ENTRY_BYTES_MAX];
        struct patch_entry e;
        enum emu_err err = read_entry(p, kind, i, raw, &e);
        const struct range *r = err != EMU_OK ? NULL : find_range(p, &e);
        if (r) {
            (*found)++;
            err = neutralise(p, r, &e, raw);
        }
        if (err != EMU_OK)
            return err;
    }
    return EMU_OK;
}

/* ---- instructions ---- */

/* The function that a call goes to: for one through memory, that whose address the image has there. 0 if unknown. */
struct call {
    bool direct;
    uint64_t target_gva;
};

static bool read_call(const struct plan *p, const struct place *place, struct call *c)
{
    const struct kernel_view *v = p->k->view;
    uint64_t target_gva, slot = 0;
    enum call_kind kind = call_site_decode(v->bits, place->gva, place->code, place->bytes, &target_gva);
    if (kind == CALL_SLOT)
        target_gva = kernel_view_read(v, target_gva, &slot, v->word_bytes) ? slot : 0;
    *c = (struct call){.direct = kind == CALL_DIRECT, .target_gva = target_gva};
    return kind != CALL_NONE;
}

/* An instruction becomes a NOP, a jump to a function a return. */
static enum emu_err drop(struct plan *p, const struct place *place)
{
    uint8_t nop[NOP_BYTES_MAX];
    bool is_jump = place->bytes == JUMP_BYTES && place->code[0] == 0xe9;
    enum emu_err err;
    struct call c;

    if (p->k->direct_calls_only && read_call(p, place, &c) && !c.direct)
        return diag_set(p->d, EMU_EINPUT,
                        "the call at 0x%" PRIx64
                        " is indirect, and an alternative may write it again: it can't be dropped",
                        place->gva);
    if (place->bytes > NOP_BYTES_MAX)
        return diag_set(p->d, EMU_EINPUT, "the instruction at 0x%" PRIx64 " has %u bytes, more than a NOP can have",
                        place->gva, place->bytes);
    edit_nop(nop, place->bytes);
    if (is_jump) {
        nop[0] = 0xc3;
        edit_nop(nop + 1, JUMP_BYTES - 1);
    }
    err = add_change(p, place->gva, place->code, nop, place->bytes, PATCH_KINDS, place->gva);
    if (err == EMU_OK)
        p->ranges[p->range_count++] = (struct range){.gva = place->gva, .bytes = place->bytes, .dropped = true};
    return err;
}

/* And stays one. Counted calls and ENDBRs need nothing: their patchers look at the code first. */
static enum emu_err keep_dropped(struct plan *p)
{
    enum emu_err err = EMU_OK;
    unsigned found = 0;
    for (unsigned kind = 0; err == EMU_OK && kind < PATCH_KINDS; kind++)
        if (kind != PATCH_CALL && kind != PATCH_ENDBR)
            err = neutralise_table(p, (enum patch_kind)kind, &found);
    return err;
}

static bool is_called(const struct plan *p, const struct call *c, const char *name)
{
    struct symbol s;
    for (size_t i = 0; c->target_gva && symbols_get_named(p->k->symbols, name, i, &s); i++)
        if (s.start_gva == c->target_gva)
            return true;
    return false;
}

/* Disables or enables interrupts: CLI, STI, or an operation whose native function says so in its name. */
static bool is_guard(const struct plan *p, const struct place *place)
{
    struct call c;
    size_t count = symbols_count(p->k->symbols);
    struct symbol s;
    if (place->bytes == 1 && (place->code[0] == 0xfa || place->code[0] == 0xfb))
        return true;
    if (!read_call(p, place, &c) || c.direct || !c.target_gva || !count ||
        !symbols_find_address(p->k->symbols, c.target_gva, &s) || s.start_gva != c.target_gva)
        return false;
    return strstr(s.name, "native_irq_disable") || strstr(s.name, "native_irq_enable");
}

typedef enum emu_err(visit_fn)(struct plan *p, const struct place *place);
typedef bool(wanted_fn)(const struct plan *p, const struct place *place, const void *what);

static bool want_guard(const struct plan *p, const struct place *place, const void *what)
{
    (void)what;
    return is_guard(p, place);
}

/* A call of the function, or a jump to it, which is the last call of its caller. */
static bool want_callee(const struct plan *p, const struct place *place, const void *what)
{
    struct place as_call = *place;
    struct call c;
    if (place->bytes == JUMP_BYTES && place->code[0] == 0xe9)
        as_call.code[0] = 0xe8;
    return read_call(p, &as_call, &c) && is_called(p, &c, what);
}

static bool want_direct_call(const struct plan *p, const struct place *place, const void *what)
{
    struct call c;
    return read_call(p, place, &c) && c.direct && place->bytes == JUMP_BYTES && is_called(p, &c, what);
}

/*
 * Walk a function's instructions in order and visit the ones wanted: all, or the n-th (from 1). *seen counts them. A
 * function of the kernel is code from start to end (tables are elsewhere), but bytes that decode to nothing are passed
 * over one by one.
 */
static enum emu_err walk(struct plan *p, const struct symbol *f, wanted_fn *wanted, const void *what, unsigned nth,
                         visit_fn *visit, unsigned *seen)
{
    uint8_t *code = malloc(f->bytes);
    enum emu_err err = EMU_OK;
    if (!code)
        return diag_no_memory(p->d);
    if (!p->memory->read(p->memory->context, f->start_gva, code, f->bytes))
        err = diag_set(p->d, EMU_EINPUT, "%s is not in memory", f->name);
    *seen = 0;
    for (uint64_t at = 0; err == EMU_OK && at < f->bytes;) {
        struct insn insn;
        struct place place = {.gva = f->start_gva + at};
        bool valid = decoder_decode(p->k->decoder, p->k->view->bits, code + at, f->bytes - at, &insn);
        place.bytes = valid ? insn.length : 1;
        memcpy(place.code, code + at, place.bytes);
        at += place.bytes;
        if (!valid || !wanted(p, &place, what))
            continue;
        (*seen)++;
        if (!nth || *seen == nth)
            err = visit(p, &place);
    }
    free(code);
    return err;
}

/* ---- the edits ---- */

static enum emu_err plan_unguard(struct plan *p, const struct edit *e)
{
    struct symbol f;
    unsigned seen;
    enum emu_err err = find_function(p, &e->place, &f);
    if (err == EMU_OK)
        err = walk(p, &f, want_guard, NULL, 0, drop, &seen);
    if (err == EMU_OK && !seen)
        err = diag_set(p->d, EMU_EINPUT, "%s neither disables nor enables interrupts", f.name);
    return err != EMU_OK ? err : keep_dropped(p);
}

static enum emu_err plan_drop_at(struct plan *p, const struct edit *e, const struct symbol *f)
{
    struct place place = {.gva = f->start_gva + e->call_offset};
    struct insn insn;
    struct call c;
    enum emu_err err;
    size_t left;

    if (e->call_offset >= f->bytes)
        return diag_set(p->d, EMU_EINPUT, "%s has only 0x%" PRIx64 " bytes", f->name, f->bytes);
    left = f->bytes - e->call_offset < INSN_BYTES_MAX ? f->bytes - e->call_offset : INSN_BYTES_MAX;
    if (!p->memory->read(p->memory->context, place.gva, place.code, left))
        return diag_set(p->d, EMU_EINPUT, "%s is not in memory", f->name);
    place.bytes = decoder_decode(p->k->decoder, p->k->view->bits, place.code, left, &insn) ? insn.length : 0;
    if (!place.bytes || !read_call(p, &place, &c))
        return diag_set(p->d, EMU_EINPUT, "%s+0x%" PRIx64 " is not a call", f->name, e->call_offset);
    err = drop(p, &place);
    return err != EMU_OK ? err : keep_dropped(p);
}

/* Visit the call that the edit means. */
static enum emu_err visit_call(struct plan *p, const struct edit *e, wanted_fn *wanted, visit_fn *visit)
{
    struct symbol f;
    unsigned seen;
    enum emu_err err = find_function(p, &e->place, &f);
    if (err == EMU_OK)
        err = walk(p, &f, wanted, e->callee, e->occurrence ? e->occurrence : 1, visit, &seen);
    if (err != EMU_OK)
        return err;
    if (!seen)
        return diag_set(p->d, EMU_EINPUT, "%s does not call %s", f.name, e->callee);
    if (seen < e->occurrence)
        return diag_set(p->d, EMU_EINPUT, "%s calls %s only %u time%s", f.name, e->callee, seen, plural(seen));
    if (seen > 1 && !e->occurrence)
        return diag_set(p->d, EMU_EINPUT, "%s calls %s %u times: say which occurrence", f.name, e->callee, seen);
    return EMU_OK;
}

static enum emu_err plan_drop_call(struct plan *p, const struct edit *e)
{
    struct symbol f;
    enum emu_err err = e->callee[0] ? EMU_OK : find_function(p, &e->place, &f);
    if (err == EMU_OK && !e->callee[0])
        return plan_drop_at(p, e, &f);
    if (err == EMU_OK)
        err = visit_call(p, e, want_callee, drop);
    return err != EMU_OK ? err : keep_dropped(p);
}

/* ---- adding a call ---- */

static bool is_padding(const uint8_t *code, unsigned bytes)
{
    unsigned at = 0;
    while (at + 1 < bytes && (code[at] == 0x66 || code[at] == 0x2e))
        at++;
    return code[at] == 0x90 || code[at] == 0xcc || (at + 1 < bytes && code[at] == 0x0f && code[at + 1] == 0x1f);
}

static bool is_end(const uint8_t *code)
{
    return code[0] == 0xc3 || code[0] == 0xe9 || code[0] == 0xeb || code[0] == 0xcc;
}

/* Where a function's code has ended and only padding is left, TRAMPOLINE_BYTES of it or more. */
static bool find_padding_of(const struct plan *p, const struct symbol *f, uint64_t *gva)
{
    uint8_t code[PADDED_BYTES_MAX];
    uint64_t padding = 0;
    bool has_ended = false, is_behind_end = false;
    if (f->bytes > sizeof(code) || f->bytes < TRAMPOLINE_BYTES ||
        !p->memory->read(p->memory->context, f->start_gva, code, f->bytes))
        return false;
    for (uint64_t at = 0; at < f->bytes;) {
        struct insn insn;
        if (!decoder_decode(p->k->decoder, p->k->view->bits, code + at, f->bytes - at, &insn))
            return false;
        if (!is_padding(code + at, insn.length)) {
            has_ended = is_end(code + at);
            is_behind_end = false;
        } else if (has_ended && !is_behind_end) {
            is_behind_end = true;
            padding = at;
        }
        at += insn.length;
    }
    *gva = f->start_gva + padding;
    return is_behind_end && f->bytes - padding >= TRAMPOLINE_BYTES;
}

/* In the text proper, which stays when the kernel frees what was for its start. */
static enum emu_err find_padding(struct plan *p, uint64_t *gva)
{
    struct symbol f, first, end;
    bool is_bounded = symbols_find_name(p->k->symbols, "_stext", &first) == 1 &&
                      symbols_find_name(p->k->symbols, "_etext", &end) == 1;
    for (size_t i = 0; i < symbols_count(p->k->symbols); i++) {
        symbols_get(p->k->symbols, i, &f);
        if ((f.kind != 't' && f.kind != 'T') || !patch_tables_is_code(p->k->view, f.start_gva, f.bytes) ||
            (is_bounded && (f.start_gva < first.start_gva || f.start_gva >= end.start_gva)))
            continue;
        if (find_padding_of(p, &f, gva))
            return EMU_OK;
    }
    return diag_set(p->d, EMU_EINPUT, "no function has %u bytes of padding behind it, to add a call in",
                    TRAMPOLINE_BYTES);
}

static void put_branch(uint8_t *code, uint8_t opcode, uint64_t gva, uint64_t target_gva)
{
    uint32_t distance = (uint32_t)(target_gva - (gva + JUMP_BYTES));
    code[0] = opcode;
    memcpy(code + 1, &distance, sizeof(distance));
}

/* The first argument is in RDI, or in EAX where the result is, too. */
static unsigned make_trampoline(const struct plan *p, uint64_t gva, uint64_t callee_gva, uint64_t new_gva,
                                uint8_t code[TRAMPOLINE_BYTES])
{
    uint8_t *at = code;
    *at++ = p->k->view->bits == 64 ? 0x57 : 0x50; /* push rdi, eax */
    put_branch(at, 0xe8, gva + (uint64_t)(at - code), callee_gva);
    at += JUMP_BYTES;
    if (p->k->view->bits == 64) {
        *at++ = 0x5f; /* pop rdi */
        *at++ = 0x50; /* push rax */
    } else {
        *at++ = 0x87, *at++ = 0x04, *at++ = 0x24; /* xchg [esp], eax */
    }
    put_branch(at, 0xe8, gva + (uint64_t)(at - code), new_gva);
    at += JUMP_BYTES;
    *at++ = 0x58; /* pop rax, eax */
    *at++ = 0xc3;
    ensure(at - code <= (ptrdiff_t)TRAMPOLINE_BYTES);
    return (unsigned)(at - code);
}

static enum emu_err add_call(struct plan *p, const struct place *place)
{
    uint8_t code[TRAMPOLINE_BYTES], before[TRAMPOLINE_BYTES], call[JUMP_BYTES];
    struct call c;
    uint64_t gva;
    enum emu_err err = find_padding(p, &gva);
    unsigned bytes;

    if (err != EMU_OK)
        return err;
    ensure(read_call(p, place, &c));
    bytes = make_trampoline(p, gva, c.target_gva, p->new_callee_gva, code);
    if (!p->memory->read(p->memory->context, gva, before, bytes))
        return diag_set(p->d, EMU_EINPUT, "the padding at 0x%" PRIx64 " is not in memory", gva);
    put_branch(call, 0xe8, place->gva, gva);
    err = add_change(p, gva, before, code, bytes, PATCH_KINDS, gva);
    if (err == EMU_OK)
        err = add_change(p, place->gva, place->code, call, JUMP_BYTES, PATCH_KINDS, place->gva);
    if (err == EMU_OK)
        p->ranges[p->range_count++] = (struct range){.gva = place->gva, .bytes = JUMP_BYTES, .dropped = true};
    return err;
}

static enum emu_err plan_call_after(struct plan *p, const struct edit *e)
{
    struct symbol new_callee;
    enum emu_err err = find_symbol(p, e->new_callee, &new_callee);
    if (err != EMU_OK)
        return err;
    p->new_callee_gva = new_callee.start_gva;
    if (!patch_tables_is_code(p->k->view, new_callee.start_gva, 1))
        return diag_set(p->d, EMU_EINPUT, "%s is not a function", e->new_callee);
    err = visit_call(p, e, want_direct_call, add_call);
    return err != EMU_OK ? err : keep_dropped(p);
}

static enum emu_err plan_replace(struct plan *p, const struct edit *e)
{
    uint8_t now[EDIT_BYTES_MAX];
    uint64_t gva;
    enum emu_err err = find_place(p, &e->place, &gva);
    if (err != EMU_OK)
        return err;
    if (!p->memory->read(p->memory->context, gva, now, e->pattern_bytes))
        return diag_set(p->d, EMU_EINPUT, "the %u bytes at 0x%" PRIx64 " are not in memory", e->pattern_bytes, gva);
    for (unsigned i = 0; i < e->pattern_bytes; i++)
        if ((now[i] ^ e->pattern[i]) & e->mask[i])
            return diag_set(p->d, EMU_EINPUT, "the pattern does not match: byte %u at 0x%" PRIx64 " is %02x, not %02x",
                            i, gva + i, now[i], e->pattern[i]);
    return add_change(p, gva, now, e->bytes, e->pattern_bytes, PATCH_KINDS, gva);
}

static enum emu_err plan_skip_entry(struct plan *p, const struct edit *e)
{
    struct range *r = &p->ranges[0];
    unsigned found = 0;
    enum emu_err err = find_place(p, &e->place, &r->gva);
    r->bytes = 1;
    p->range_count = 1;
    if (err == EMU_OK)
        err = neutralise_table(p, e->table, &found);
    if (err == EMU_OK && !found)
        err = diag_set(p->d, EMU_EINPUT, "the table %s has no entry for 0x%" PRIx64, patch_kind_name(e->table), r->gva);
    return err;
}

static enum emu_err make_plan(struct plan *p, const struct edit *e)
{
    switch (e->kind) {
    case EDIT_DROP_CALL:
        return plan_drop_call(p, e);
    case EDIT_CALL_AFTER:
        return plan_call_after(p, e);
    case EDIT_UNGUARD:
        return plan_unguard(p, e);
    case EDIT_REPLACE:
        return plan_replace(p, e);
    case EDIT_SKIP_ENTRY:
        return plan_skip_entry(p, e);
    }
    return diag_set(p->d, EMU_EINPUT, "there is no such edit");
}

static enum emu_err write_plan(struct plan *p, edit_report_fn *report, void *context)
{
    for (unsigned i = 0; i < p->count; i++) {
        const struct edit_change *c = &p->changes[i];
        /* All of it was read, so a refusal here is the memory's: what it gives it must take. */
        if (!p->memory->write(p->memory->context, c->gva, c->new_bytes, c->bytes))
            return diag_set(p->d, EMU_EHOST, "the memory at 0x%" PRIx64 " can't be written", c->gva);
        if (report)
            report(context, c);
    }
    return EMU_OK;
}

enum emu_err edit_apply(const struct edit *e, const struct edit_kernel *k, const struct edit_memory *memory,
                        edit_report_fn *report, void *context, struct diag *d)
{
    struct plan *p = calloc(1, sizeof(*p));
    enum emu_err err;

    if (!p)
        return diag_no_memory(d);
    *p = (struct plan){.k = k, .memory = memory, .d = d};
    err = make_plan(p, e);
    if (err == EMU_OK)
        err = write_plan(p, report, context);
    if (err != EMU_OK && e->line)
        d->line = e->line;
    free(p);
    return err;
}

/* ---- memories ---- */

static bool copy_read(void *context, uint64_t gva, void *dst, size_t bytes)
{
    const struct edit_copy *c = context;
    uint64_t at;
    if (!kernel_view_find_file(c->view, gva, bytes, &at))
        return false;
    memcpy(dst, c->bytes + at, bytes);
    return true;
}

static bool copy_write(void *context, uint64_t gva, const void *src, size_t bytes)
{
    struct edit_copy *c = context;
    uint64_t at;
    if (!kernel_view_find_file(c->view, gva, bytes, &at))
        return false;
    memcpy(c->bytes + at, src, bytes);
    return true;
}

struct edit_memory edit_memory_copy(struct edit_copy *copy)
{
    return (struct edit_memory){.context = copy, .read = copy_read, .write = copy_write};
}

static bool find_gpa(const struct image *img, uint64_t gva, size_t bytes, uint64_t *gpa)
{
    for (size_t i = 0; i < img->segments_count; i++) {
        const struct image_segment *s = &img->segments[i];
        if (gva < s->vaddr || gva - s->vaddr > s->memory_bytes || bytes > s->memory_bytes - (gva - s->vaddr))
            continue;
        *gpa = s->paddr + (gva - s->vaddr);
        return true;
    }
    return false;
}

static bool guest_read(void *context, uint64_t gva, void *dst, size_t bytes)
{
    const struct edit_guest *g = context;
    uint64_t gpa;
    return find_gpa(g->image, gva, bytes, &gpa) && memory_read(g->memory, gpa, dst, bytes);
}

static bool guest_write(void *context, uint64_t gva, const void *src, size_t bytes)
{
    const struct edit_guest *g = context;
    uint64_t gpa;
    return find_gpa(g->image, gva, bytes, &gpa) && memory_write(g->memory, gpa, src, bytes);
}

struct edit_memory edit_memory_guest(struct edit_guest *guest)
{
    return (struct edit_memory){.context = guest, .read = guest_read, .write = guest_write};
}
