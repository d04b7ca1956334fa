/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/linux/patch_tables.h"

#include "emu/base/count.h"
#include "emu/base/ensure.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FEATURES_MAX  1024u   /* words of features and bugs times 32; Linux 7.0 has 24 words */
#define ALT_INVERTED  0x8000u /* ALTINSTR_FLAG_INV, in the feature, 5.12 … 6.2 */
#define ALT_FLAG_NOT  1u      /* in the flags, from 6.3 */
#define KEY_FLAG_BITS 3u      /* low bits of a key */

/* A number in an entry; no such thing if `bytes` is 0. */
struct field {
    uint8_t at, bytes;
};

struct patch_layout {
    enum patch_kind kind;
    const char *title;
    unsigned bits;        /* 32, 64, 0 for both */
    unsigned entry_bytes; /* from one entry to the next; the last may lack what follows its last field */
    bool relative;        /* addresses count from the place where they stand */
    struct field site, replacement, target, key, feature, flags, site_bytes, replacement_bytes, padding_bytes, zero;
};

static const struct patch_layout layouts[] = {
    {PATCH_ALTERNATIVE, "pointers, one byte of feature (up to 2.6.35)", 32, 12, false, .site = {0, 4},
     .replacement = {4, 4}, .feature = {8, 1}, .site_bytes = {9, 1}, .replacement_bytes = {10, 1}, .zero = {11, 1}},
    {PATCH_ALTERNATIVE, "pointers, one byte of feature (up to 2.6.35)", 64, 24, false, .site = {0, 8},
     .replacement = {8, 8}, .feature = {16, 1}, .site_bytes = {17, 1}, .replacement_bytes = {18, 1}, .zero = {19, 5}},
    {PATCH_ALTERNATIVE, "pointers (2.6.36 … 3.0)", 32, 12, false, .site = {0, 4}, .replacement = {4, 4},
     .feature = {8, 2}, .site_bytes = {10, 1}, .replacement_bytes = {11, 1}},
    {PATCH_ALTERNATIVE, "pointers (2.6.36 … 3.0)", 64, 24, false, .site = {0, 8}, .replacement = {8, 8},
     .feature = {16, 2}, .site_bytes = {18, 1}, .replacement_bytes = {19, 1}, .zero = {20, 4}},
    {PATCH_ALTERNATIVE, "relative, 12 bytes (3.1 … 4.0, 5.13 … 6.2)", 0, 12, true, .site = {0, 4},
     .replacement = {4, 4}, .feature = {8, 2}, .site_bytes = {10, 1}, .replacement_bytes = {11, 1}},
    {PATCH_ALTERNATIVE, "relative, 13 bytes with padding length (4.1 … 5.12)", 0, 13, true, .site = {0, 4},
     .replacement = {4, 4}, .feature = {8, 2}, .site_bytes = {10, 1}, .replacement_bytes = {11, 1},
     .padding_bytes = {12, 1}},
    {PATCH_ALTERNATIVE, "relative, 14 bytes with flags (from 6.3)", 0, 14, true, .site = {0, 4}, .replacement = {4, 4},
     .feature = {8, 2}, .flags = {10, 2}, .site_bytes = {12, 1}, .replacement_bytes = {13, 1}},
    {PATCH_PARAVIRT, "pointers, 8 bytes", 32, 8, false, .site = {0, 4}, .feature = {4, 1}, .site_bytes = {5, 1}},
    {PATCH_PARAVIRT, "pointers, 16 bytes", 64, 16, false, .site = {0, 8}, .feature = {8, 1}, .site_bytes = {9, 1}},
    {PATCH_JUMP_LABEL, "pointers, 12 bytes (up to 4.18)", 32, 12, false, .site = {0, 4}, .target = {4, 4},
     .key = {8, 4}},
    {PATCH_JUMP_LABEL, "pointers, 24 bytes (up to 4.18)", 64, 24, false, .site = {0, 8}, .target = {8, 8},
     .key = {16, 8}},
    {PATCH_JUMP_LABEL, "relative, 12 bytes (from 4.19)", 32, 12, true, .site = {0, 4}, .target = {4, 4}, .key = {8, 4}},
    {PATCH_JUMP_LABEL, "relative, 16 bytes (from 4.19)", 64, 16, true, .site = {0, 4}, .target = {4, 4}, .key = {8, 8}},
    {PATCH_STATIC_CALL, "relative, 8 bytes", 0, 8, true, .site = {0, 4}, .key = {4, 4}},
    {PATCH_SMP_LOCK, "pointers, 4 bytes (up to 2.6.34)", 32, 4, false, .site = {0, 4}},
    {PATCH_SMP_LOCK, "pointers, 8 bytes (up to 2.6.34)", 64, 8, false, .site = {0, 8}},
    {PATCH_SMP_LOCK, "relative, 4 bytes", 0, 4, true, .site = {0, 4}},
    {PATCH_RETPOLINE, "relative, 4 bytes", 0, 4, true, .site = {0, 4}},
    {PATCH_RETURN, "relative, 4 bytes", 0, 4, true, .site = {0, 4}},
    {PATCH_CALL, "relative, 4 bytes", 0, 4, true, .site = {0, 4}},
    {PATCH_ENDBR, "relative, 4 bytes", 0, 4, true, .site = {0, 4}},
    {PATCH_FENTRY, "pointers, 4 bytes", 32, 4, false, .site = {0, 4}},
    {PATCH_FENTRY, "pointers, 8 bytes", 64, 8, false, .site = {0, 8}},
};
#define LAYOUTS COUNT(layouts)

static const struct {
    const char *name, *section, *start, *end;
} places[PATCH_KINDS] = {
    [PATCH_ALTERNATIVE] = {"alternatives", ".altinstructions", "__alt_instructions", "__alt_instructions_end"},
    [PATCH_PARAVIRT] = {"paravirt", ".parainstructions", "__parainstructions", "__parainstructions_end"},
    [PATCH_JUMP_LABEL] = {"jump_labels", "__jump_table", "__start___jump_table", "__stop___jump_table"},
    [PATCH_STATIC_CALL] = {"static_calls", ".static_call_sites", "__start_static_call_sites",
                           "__stop_static_call_sites"},
    [PATCH_SMP_LOCK] = {"smp_locks", ".smp_locks", "__smp_locks", "__smp_locks_end"},
    [PATCH_RETPOLINE] = {"retpolines", ".retpoline_sites", "__retpoline_sites", "__retpoline_sites_end"},
    [PATCH_RETURN] = {"returns", ".return_sites", "__return_sites", "__return_sites_end"},
    [PATCH_CALL] = {"calls", ".call_sites", "__call_sites", "__call_sites_end"},
    [PATCH_ENDBR] = {"endbr", ".ibt_endbr_seal", "__ibt_endbr_seal", "__ibt_endbr_seal_end"},
    [PATCH_FENTRY] = {"fentry", "__mcount_loc", "__start_mcount_loc", "__stop_mcount_loc"},
};

const char *patch_kind_name(enum patch_kind kind)
{
    ensure(kind < PATCH_KINDS);
    return places[kind].name;
}

enum patch_kind patch_kind_parse(const char *name)
{
    for (unsigned kind = 0; kind < PATCH_KINDS; kind++)
        if (!strcmp(places[kind].name, name))
            return (enum patch_kind)kind;
    return PATCH_KINDS;
}

const char *patch_table_describe(const struct patch_table *table)
{
    return table->layout ? table->layout->title : "";
}

bool patch_tables_is_code(const struct kernel_view *v, uint64_t gva, uint64_t bytes)
{
    uint64_t file_at;

    if (!bytes || gva + (bytes - 1) < gva)
        return false;
    if (kernel_view_holds(v, gva, true) && kernel_view_holds(v, gva + bytes - 1, true))
        return true;
    for (unsigned i = 0; i < v->section_count; i++) {
        const struct kernel_view_section *s = &v->sections[i];
        if (s->executable && s->has_bytes && s->start_gva && gva >= s->start_gva && bytes <= s->bytes &&
            gva - s->start_gva <= s->bytes - bytes)
            return true;
    }
    return !v->section_count && kernel_view_find_file(v, gva, bytes, &file_at);
}

static uint64_t get(const uint8_t *raw, struct field f)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < f.bytes; i++)
        value |= (uint64_t)raw[f.at + i] << (8 * i);
    return value;
}

static void put(uint8_t *raw, struct field f, uint64_t value)
{
    for (unsigned i = 0; i < f.bytes; i++)
        raw[f.at + i] = (uint8_t)(value >> (8 * i));
}

/* The address that a field says, without the flag bits of keys. */
static uint64_t get_gva(const struct kernel_view *v, const struct patch_layout *l, uint64_t entry_gva,
                        const uint8_t *raw, struct field f, uint64_t flag_bits)
{
    uint64_t value = get(raw, f), gva;
    if (l->relative && f.bytes == 4)
        value = (uint64_t)(int64_t)(int32_t)(uint32_t)value;
    gva = (value & ~flag_bits) + (l->relative ? entry_gva + f.at : 0);
    return v->bits == 32 ? (uint32_t)gva : gva;
}

/* Length of the branch (or of the NOP in its place) at a site: 0 if there is none. */
static unsigned branch_bytes(const struct kernel_view *v, uint64_t gva)
{
    uint8_t code[3];
    unsigned prefixes = 0;
    for (; prefixes < 4; prefixes++, gva++) {
        if (!kernel_view_read(v, gva, code, 1))
            return 0;
        if (code[0] != 0x2e && code[0] != 0x3e && code[0] != 0xf2)
            break;
    }
    if (code[0] == 0xe8 || code[0] == 0xe9)
        return prefixes + 5;
    if (code[0] == 0xeb || (code[0] & 0xf0) == 0x70)
        return prefixes + 2;
    if (!kernel_view_read(v, gva, code, 2))
        return 0;
    return code[0] == 0x0f && (code[1] & 0xf0) == 0x80 ? prefixes + 6 : 0;
}

static unsigned site_bytes_of(const struct kernel_view *v, enum patch_kind kind, uint64_t gva)
{
    uint8_t code[4];
    switch (kind) {
    case PATCH_JUMP_LABEL: /* short forms from 5.14 on; everything else is five bytes long */
        if (!kernel_view_read(v, gva, code, 2))
            return 0;
        return code[0] == 0xeb || (code[0] == 0x66 && code[1] == 0x90) ? 2 : 5;
    case PATCH_SMP_LOCK: /* LOCK, or DS in its place; newer assemblers put the operand-size prefix in front of it */
        if (!kernel_view_read(v, gva, code, 2))
            return 0;
        if (code[0] == 0x66)
            code[0] = code[1];
        return code[0] == 0xf0 || code[0] == 0x3e ? 1 : 0;
    case PATCH_RETURN: /* jump to the thunk, or the space for it */
        return 5;
    case PATCH_ENDBR:
        return 4;
    case PATCH_FENTRY: /* a call, or the NOP that the compiler left already */
        if (!kernel_view_read(v, gva, code, 4))
            return 0;
        return code[0] == 0xe8 || !memcmp(code, "\x0f\x1f\x44\x00", 4) ? 5 : 0;
    default:
        return branch_bytes(v, gva);
    }
}

static EMU_PRINTF(3, 4) bool problem(char *text, size_t bytes, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, bytes, fmt, args);
    va_end(args);
    return false;
}

/* The LOCK prefixes fill a page; traced functions that linking left out are zero. */
static bool is_padding(const struct patch_layout *l, const uint8_t *raw)
{
    return (l->kind == PATCH_SMP_LOCK || l->kind == PATCH_FENTRY) && !get(raw, l->site);
}

static void decode_lengths(const struct kernel_view *v, const struct patch_layout *l, const uint8_t *raw,
                           struct patch_entry *e)
{
    if (l->site_bytes.bytes) {
        e->site_bytes = (unsigned)get(raw, l->site_bytes);
        e->replacement_bytes = (unsigned)get(raw, l->replacement_bytes);
    } else if (!is_padding(l, raw)) {
        e->site_bytes = site_bytes_of(v, l->kind, e->site_gva);
    }
}

static void decode_feature(const struct patch_layout *l, const uint8_t *raw, struct patch_entry *e)
{
    e->feature = (uint32_t)get(raw, l->feature);
    e->flags = (uint32_t)get(raw, l->flags);
    if (l->kind == PATCH_ALTERNATIVE && l->flags.bytes) {
        e->inverted = e->flags & ALT_FLAG_NOT;
        e->flags &= ~ALT_FLAG_NOT;
    } else if (l->kind == PATCH_ALTERNATIVE && l->relative) {
        e->inverted = e->feature & ALT_INVERTED;
        e->feature &= ~ALT_INVERTED;
    }
    if (l->key.bytes)
        e->flags = (uint32_t)get(raw, l->key) & KEY_FLAG_BITS;
}

/* Whether padding that is there is not zero. */
static bool has_dirt(const struct patch_layout *l, const uint8_t *raw, uint64_t raw_bytes)
{
    for (uint64_t i = l->zero.at; i < raw_bytes && i < (uint64_t)l->zero.at + l->zero.bytes; i++)
        if (raw[i])
            return true;
    return false;
}

/* Everything that must be true of an entry; `why` gets the end of a sentence that begins with the entry. */
static bool check(const struct kernel_view *v, const struct patch_layout *l, const uint8_t *raw, uint64_t raw_bytes,
                  const struct patch_entry *e, char *why, size_t why_bytes)
{
    uint64_t file_at;
    if (is_padding(l, raw))
        return true;
    if (has_dirt(l, raw, raw_bytes))
        return problem(why, why_bytes, "has padding that is not zero");
    if (!e->site_bytes && !l->site_bytes.bytes)
        return problem(why, why_bytes, "has the site 0x%" PRIx64 ", where nothing of its kind is", e->site_gva);
    if (!patch_tables_is_code(v, e->site_gva, e->site_bytes ? e->site_bytes : 1))
        return problem(why, why_bytes, "has the site 0x%" PRIx64 ", which is not code", e->site_gva);
    if (!kernel_view_find_file(v, e->site_gva, e->site_bytes, &file_at))
        return problem(why, why_bytes, "has the site 0x%" PRIx64 ", which is not in the file", e->site_gva);
    if (e->replacement_bytes > e->site_bytes)
        return problem(why, why_bytes, "replaces %u bytes by %u", e->site_bytes, e->replacement_bytes);
    if (get(raw, l->padding_bytes) > e->site_bytes)
        return problem(why, why_bytes, "has more padding than its %u bytes", e->site_bytes);
    if (l->kind == PATCH_ALTERNATIVE && e->feature >= FEATURES_MAX)
        return problem(why, why_bytes, "needs the feature %u, and there are not so many", e->feature);
    if (l->kind == PATCH_PARAVIRT && !e->site_bytes)
        return problem(why, why_bytes, "patches no bytes");
    if (e->replacement_bytes && !kernel_view_find_file(v, e->replacement_gva, e->replacement_bytes, &file_at))
        return problem(why, why_bytes, "takes its bytes from 0x%" PRIx64 ", which is not in the file",
                       e->replacement_gva);
    if (l->target.bytes && !patch_tables_is_code(v, e->target_gva, 1))
        return problem(why, why_bytes, "jumps to 0x%" PRIx64 ", which is not code", e->target_gva);
    if (l->key.bytes && !kernel_view_holds(v, e->key_gva, false))
        return problem(why, why_bytes, "has the key 0x%" PRIx64 ", which is not in the kernel", e->key_gva);
    return true;
}

static bool decode(const struct kernel_view *v, const struct patch_layout *l, uint64_t start_gva, uint32_t i,
                   const uint8_t *raw, uint64_t raw_bytes, struct patch_entry *e, char *why, size_t why_bytes)
{
    uint64_t entry_gva = start_gva + (uint64_t)i * l->entry_bytes;
    *e = (struct patch_entry){.kind = l->kind, .index = i, .entry_gva = entry_gva};
    e->site_gva = get_gva(v, l, entry_gva, raw, l->site, 0);
    if (l->replacement.bytes)
        e->replacement_gva = get_gva(v, l, entry_gva, raw, l->replacement, 0);
    if (l->target.bytes)
        e->target_gva = get_gva(v, l, entry_gva, raw, l->target, 0);
    if (l->key.bytes)
        e->key_gva = get_gva(v, l, entry_gva, raw, l->key, KEY_FLAG_BITS);
    decode_lengths(v, l, raw, e);
    decode_feature(l, raw, e);
    return check(v, l, raw, raw_bytes, e, why, why_bytes);
}

/* Bytes up to the end of the last field that says something; the padding behind it is not everywhere. */
static unsigned used_bytes(const struct patch_layout *l)
{
    const struct field fields[] = {l->site,       l->replacement,       l->target,       l->key, l->feature, l->flags,
                                   l->site_bytes, l->replacement_bytes, l->padding_bytes};
    unsigned used = 0;
    for (unsigned i = 0; i < COUNT(fields); i++)
        if (fields[i].bytes && fields[i].at + fields[i].bytes > used)
            used = fields[i].at + fields[i].bytes;
    return used;
}

/* How far this layout fits: the number of the first entry that makes no sense, or the number of all. */
static uint32_t try_layout(const struct kernel_view *v, const struct patch_layout *l, const struct patch_table *t,
                           const uint8_t *raw, char *why, size_t why_bytes)
{
    uint32_t count = (uint32_t)((t->bytes + l->entry_bytes - 1) / l->entry_bytes);
    uint64_t rest = t->bytes % l->entry_bytes;
    struct patch_entry e;
    if (rest && rest < used_bytes(l)) {
        problem(why, why_bytes, "its %" PRIu64 " bytes are no multiple of %u", t->bytes, l->entry_bytes);
        return 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        char reason[160];
        uint64_t at = (uint64_t)i * l->entry_bytes;
        if (decode(v, l, t->start_gva, i, raw + at, t->bytes - at, &e, reason, sizeof(reason)))
            continue;
        problem(why, why_bytes, "entry %u %s", i, reason);
        return i;
    }
    *why = '\0';
    return count;
}

static bool find_place(const struct kernel_view *v, const struct symbols *s, enum patch_kind kind,
                       struct patch_table *t)
{
    const struct kernel_view_section *section = kernel_view_find_section(v, places[kind].section);
    struct symbol start, end;
    if (section && section->has_bytes && section->start_gva) {
        *t = (struct patch_table){
            .is_present = true, .from_section = true, .start_gva = section->start_gva, .bytes = section->bytes};
        return true;
    }
    if (!s || symbols_find_name(s, places[kind].start, &start) != 1 ||
        symbols_find_name(s, places[kind].end, &end) != 1)
        return false;
    *t = (struct patch_table){
        .is_present = true, .start_gva = start.start_gva, .bytes = end.start_gva - start.start_gva};
    return true;
}

static void choose_layout(const struct kernel_view *v, enum patch_kind kind, struct patch_table *t)
{
    uint64_t file_at;
    uint32_t furthest = 0, fit = 0;
    const char *title = places[kind].section;
    if (!t->bytes)
        return;
    if (!kernel_view_find_file(v, t->start_gva, t->bytes, &file_at)) {
        problem(t->refusal, sizeof(t->refusal), "the table %s is not in the file", title);
        return;
    }
    for (unsigned i = 0; i < LAYOUTS; i++) {
        const struct patch_layout *l = &layouts[i];
        char why[200];
        uint32_t reached;

        if (l->kind != kind || (l->bits && l->bits != v->bits))
            continue;
        reached = try_layout(v, l, t, v->bytes + file_at, why, sizeof(why));
        if (!*why) {
            fit++;
            t->layout = l;
            t->entry_bytes = l->entry_bytes;
            t->count = reached;
        } else if (reached > furthest || !t->refusal[0]) {
            furthest = reached;
            problem(t->refusal, sizeof(t->refusal), "the table %s makes no sense: %s", title, why);
        }
    }
    if (fit == 1) {
        t->refusal[0] = '\0';
        return;
    }
    t->layout = NULL;
    t->entry_bytes = 0;
    t->count = 0;
    if (fit)
        problem(t->refusal, sizeof(t->refusal), "the table %s fits more than one arrangement", title);
}

enum emu_err patch_tables_find(const struct kernel_view *v, const struct symbols *s, struct patch_tables *t,
                               struct diag *d)
{
    unsigned found = 0;
    *t = (struct patch_tables){.view = v};
    for (unsigned kind = 0; kind < PATCH_KINDS; kind++) {
        if (!find_place(v, s, (enum patch_kind)kind, &t->tables[kind]))
            continue;
        found++;
        choose_layout(v, (enum patch_kind)kind, &t->tables[kind]);
    }
    if (!found)
        return diag_set(d, EMU_EINPUT,
                        "the image has no tables of code to patch: neither sections nor symbols name any");
    return EMU_OK;
}

unsigned patch_tables_entry_bytes(const struct patch_tables *t, enum patch_kind kind)
{
    return t->tables[kind].layout ? used_bytes(t->tables[kind].layout) : 0;
}

bool patch_tables_decode(const struct patch_tables *t, enum patch_kind kind, uint32_t i, const uint8_t *raw,
                         struct patch_entry *out)
{
    const struct patch_table *table = &t->tables[kind];
    char why[160];
    ensure(table->layout != NULL);
    ensure(i < table->count);
    return decode(t->view, table->layout, table->start_gva, i, raw, used_bytes(table->layout), out, why, sizeof(why));
}

void patch_tables_get(const struct patch_tables *t, enum patch_kind kind, uint32_t i, struct patch_entry *out)
{
    const struct patch_table *table = &t->tables[kind];
    uint64_t file_at;
    ensure(i < table->count);
    ensure(kernel_view_find_file(t->view, table->start_gva, table->bytes, &file_at));
    ensure(patch_tables_decode(t, kind, i, t->view->bytes + file_at + (size_t)i * table->layout->entry_bytes, out));
}

bool patch_tables_blank(const struct patch_tables *t, enum patch_kind kind, uint32_t i, uint8_t *raw)
{
    const struct patch_layout *l = t->tables[kind].layout;
    ensure(l != NULL);
    ensure(i < t->tables[kind].count);
    if (kind == PATCH_SMP_LOCK) {
        put(raw, l->site, 0);
        return true;
    }
    if (kind != PATCH_ALTERNATIVE)
        return false;
    put(raw, l->site_bytes, 0);
    put(raw, l->replacement_bytes, 0);
    put(raw, l->padding_bytes, 0);
    put(raw, l->flags, 0);
    return true;
}

bool patch_tables_copy(const struct patch_tables *t, enum patch_kind kind, uint32_t i, const struct patch_entry *donor,
                       const uint8_t *donor_raw, uint8_t *raw)
{
    const struct patch_layout *l = t->tables[kind].layout;
    ensure(l != NULL);
    ensure(i < t->tables[kind].count);
    if (kind != PATCH_PARAVIRT || donor->kind != kind)
        return false; /* for these the copy of a site is harmless: it makes the same direct call once more */
    memcpy(raw, donor_raw, used_bytes(l));
    return true;
}
