/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/linux/kallsyms.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TOKENS           256u
#define TOKEN_BYTES_MAX  512u        /* a token is part of a name */
#define NAME_BYTES_MAX   1024u       /* KSYM_NAME_LEN is 512 since 6.1 */
#define MARKER_EVERY     256u        /* names between two markers */
#define COUNT_MIN        32u         /* fewer symbols than any kernel has: not a table */
#define SEQ_BYTES        3u          /* one of seqs_of_names: 24 bits, highest byte first */
#define INDEX_GAP_MAX    64u         /* padding between the tokens and their index */
#define LOOK_BACK_BYTES  (64u << 20) /* how far before the tokens num_syms may stand */
#define NAME_STEPS_MAX   (48u << 20) /* names looked at in all: bounds the work on a hostile image */
#define TOKEN_TABLES_MAX 64u         /* places that may look like the digits of a token table */

static const char kinds[] = "AaBbCcDdGgIiNnpRrSsTtUuVvWw?-";

/* The digits are in every kernel's names, so each stands for itself in the table: the anchor to look for. */
static const char digits[] = "0\0"
                             "1\0"
                             "2\0"
                             "3\0"
                             "4\0"
                             "5\0"
                             "6\0"
                             "7\0"
                             "8\0"
                             "9";

struct token {
    const char *text;
    uint16_t bytes;    /* without the NUL */
    bool is_printable; /* every byte; an unused token is empty and so */
    bool begins_kind;  /* its first byte is a kind letter */
};

struct finder {
    const struct kernel_view *v;
    struct kallsyms_tables *t;
    struct token tokens[TOKENS];
    uint64_t steps; /* names looked at */
};

/* Little-endian reads; `at` was checked by the caller. */
static uint64_t get_unsigned(const struct kernel_view *v, uint64_t at, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)v->bytes[at + i] << (8 * i);
    return value;
}

static bool is_inside(const struct kernel_view *v, uint64_t at, uint64_t bytes)
{
    return at <= v->size && bytes <= v->size - at;
}

static uint64_t align_up(uint64_t at, unsigned to)
{
    return (at + to - 1) / to * to;
}

/* --- the tokens --- */

/* Is this a token_index whose 48th entry, '0', stands at `zero_at`? Then fill the tokens. */
static bool read_tokens(struct finder *f, uint64_t index_at, uint64_t zero_at)
{
    const struct kernel_view *v = f->v;
    uint64_t table_at, at, zero_offset;

    if (!is_inside(v, index_at, 2 * TOKENS) || get_unsigned(v, index_at, 2) != 0)
        return false;
    zero_offset = get_unsigned(v, index_at + 2 * '0', 2);
    if (zero_offset > zero_at)
        return false;
    table_at = zero_at - zero_offset;
    at = table_at;
    for (unsigned i = 0; i < TOKENS; i++) {
        struct token *token;

        if (table_at + get_unsigned(v, index_at + 2 * i, 2) != at || at >= index_at)
            return false;
        token = &f->tokens[i];
        token->text = (const char *)v->bytes + at;
        token->bytes = (uint16_t)strnlen(token->text, index_at - at);
        if (token->bytes > TOKEN_BYTES_MAX || at + token->bytes >= index_at)
            return false;
        token->is_printable = true;
        for (unsigned k = 0; k < token->bytes; k++)
            token->is_printable &= token->text[k] > ' ' && token->text[k] < 0x7f;
        token->begins_kind = token->bytes && strchr(kinds, token->text[0]);
        if (!token->is_printable)
            return false;
        at += token->bytes + 1;
    }
    f->t->token_table_at = table_at;
    f->t->token_index_at = index_at;
    return true;
}

/* The tokens around the digits at `zero_at`: their index follows the last of them. */
static bool find_tokens(struct finder *f, uint64_t zero_at)
{
    const struct kernel_view *v = f->v;
    uint64_t at = zero_at;
    for (unsigned i = '0'; i < TOKENS; i++) {
        uint64_t left = v->size - at;
        uint64_t bytes = strnlen((const char *)v->bytes + at, left < TOKEN_BYTES_MAX ? left : TOKEN_BYTES_MAX);
        if (bytes == left || bytes == TOKEN_BYTES_MAX)
            return false;
        at += bytes + 1;
    }
    for (unsigned gap = 0; gap < INDEX_GAP_MAX; gap++)
        if (read_tokens(f, at + gap, zero_at))
            return true;
    return false;
}

/* --- the names --- */

/* Length in tokens of the name at *at, which moves to its first token; 0 if there is no name. */
static unsigned name_tokens(const struct finder *f, uint64_t *at, uint64_t end_at)
{
    const uint8_t *bytes = f->v->bytes;
    unsigned count;

    if (*at >= end_at)
        return 0;
    count = bytes[(*at)++];
    if (f->t->long_names && count & 0x80) {
        if (*at >= end_at)
            return 0;
        count = (count & 0x7f) | (unsigned)bytes[(*at)++] << 7;
    }
    return count <= end_at - *at ? count : 0;
}

/* Move over one name; false if it is none. */
static bool skip_name(struct finder *f, uint64_t *at, uint64_t end_at)
{
    const uint8_t *bytes = f->v->bytes;
    unsigned count = name_tokens(f, at, end_at), text_bytes = 0;

    f->steps++;
    if (!count || !f->tokens[bytes[*at]].begins_kind)
        return false;
    for (unsigned i = 0; i < count; i++) {
        const struct token *token = &f->tokens[bytes[*at + i]];
        if (!token->bytes)
            return false;
        text_bytes += token->bytes;
    }
    *at += count;
    return text_bytes >= 2 && text_bytes < NAME_BYTES_MAX;
}

/* Expand the name at *at, known to be one, and move over it. */
static void read_name(const struct finder *f, uint64_t *at, char text[NAME_BYTES_MAX])
{
    unsigned count = name_tokens(f, at, f->t->names_end_at);
    for (unsigned i = 0; i < count; i++) {
        const struct token *token = &f->tokens[f->v->bytes[*at + i]];
        memcpy(text, token->text, token->bytes);
        text += token->bytes;
    }
    *text = '\0';
    *at += count;
}

/* Do markers of this width at this place point at every 256th name? */
static bool markers_fit(struct finder *f, uint64_t markers_at, unsigned marker_bytes)
{
    struct kallsyms_tables *t = f->t;
    uint64_t markers = (t->count + MARKER_EVERY - 1) / MARKER_EVERY;
    uint64_t at = t->names_at, gap, seqs_bytes;

    if (markers_at > t->token_table_at || markers * marker_bytes > t->token_table_at - markers_at)
        return false;
    for (uint64_t i = 0; i < t->count; i++) {
        if (i % MARKER_EVERY == 0 &&
            get_unsigned(f->v, markers_at + i / MARKER_EVERY * marker_bytes, marker_bytes) != at - t->names_at)
            return false;
        at += name_tokens(f, &at, t->names_end_at);
    }
    /* Then come the tokens, or seqs_of_names and the tokens; each aligned to a word at most. */
    gap = t->token_table_at - markers_at - markers * marker_bytes;
    seqs_bytes = (uint64_t)t->count * SEQ_BYTES;
    if (gap >= 8 && (gap < seqs_bytes || gap - seqs_bytes >= 16))
        return false;
    t->markers_at = markers_at;
    t->marker_bytes = marker_bytes;
    return true;
}

/* Names that begin at `names_at`, `count` of them, with markers behind. */
static bool names_fit(struct finder *f, uint64_t num_syms_at, uint64_t names_at, uint32_t count)
{
    struct kallsyms_tables *t = f->t;
    uint64_t at = names_at;
    for (uint32_t i = 0; i < count; i++)
        if (f->steps >= NAME_STEPS_MAX || !skip_name(f, &at, t->token_table_at))
            return false;
    t->count = count;
    t->num_syms_at = num_syms_at;
    t->names_at = names_at;
    t->names_end_at = at;
    for (unsigned marker_bytes = 4; marker_bytes <= f->v->word_bytes; marker_bytes += 4)
        for (unsigned align = 4; align <= 8; align += 4)
            if (markers_fit(f, align_up(at, align), marker_bytes))
                return true;
    return false;
}

static bool find_names(struct finder *f)
{
    uint64_t token_table_at = f->t->token_table_at;
    uint64_t lowest_at = token_table_at > LOOK_BACK_BYTES ? token_table_at - LOOK_BACK_BYTES : 0;
    /* A multiple of 4: the file's segments are aligned to more than that, so its offsets are aligned as addresses. */
    for (uint64_t at = token_table_at / 4 * 4; at >= lowest_at + 4 && f->steps < NAME_STEPS_MAX;) {
        uint64_t count;

        at -= 4;
        count = get_unsigned(f->v, at, 4);
        if (count < COUNT_MIN || count > SYMBOLS_MAX || count > (token_table_at - at) / 3)
            continue;
        if (names_fit(f, at, at + 4, (uint32_t)count))
            return true;
        /* 64 bits wide, or 32 and then aligned to 64: the other half is zero. */
        if (f->v->bits == 64 && at + 8 < token_table_at && get_unsigned(f->v, at + 4, 4) == 0 &&
            names_fit(f, at, at + 8, (uint32_t)count))
            return true;
    }
    return false;
}

/* --- the addresses --- */

static uint64_t mask_address(const struct kernel_view *v, uint64_t gva)
{
    return v->bits == 32 ? (uint32_t)gva : gva;
}

static uint64_t get_address(const struct kernel_view *v, const struct kallsyms_tables *t, uint64_t i,
                            uint64_t place_gva)
{
    uint32_t raw;
    int64_t offset;

    if (t->addressing == KALLSYMS_ABSOLUTE)
        return get_unsigned(v, t->addresses_at + i * v->word_bytes, v->word_bytes);
    raw = (uint32_t)get_unsigned(v, t->addresses_at + i * 4, 4);
    offset = (int32_t)raw;
    switch (t->addressing) {
    case KALLSYMS_BASE:
        return mask_address(v, t->relative_base_gva + raw);
    case KALLSYMS_BASE_OR_PERCPU:
        return mask_address(v, offset >= 0 ? (uint64_t)offset : t->relative_base_gva - 1 - (uint64_t)offset);
    default:
        return mask_address(v, place_gva + i * 4 + (uint64_t)offset);
    }
}

/*
 * Do the addresses make sense? They ascend; of the code, 99 in 100 is in a segment (the kernel's linker script makes a
 * few code symbols outside); and the base is what scripts/kallsyms makes it, the lowest address it is used for.
 */
static bool addresses_fit(struct finder *f)
{
    const struct kernel_view *v = f->v;
    struct kallsyms_tables *t = f->t;
    unsigned entry_bytes = t->addressing == KALLSYMS_ABSOLUTE ? v->word_bytes : 4;
    uint64_t place_gva = 0, previous_gva = 0, code = 0, code_inside = 0;
    bool base_used = false, has_base;
    uint64_t name_at = t->names_at;

    if (!is_inside(v, t->addresses_at, (uint64_t)t->count * entry_bytes))
        return false;
    if (t->addressing == KALLSYMS_PLACE && !kernel_view_find_gva(v, t->addresses_at, &place_gva))
        return false;
    for (uint32_t i = 0; i < t->count; i++) {
        uint64_t gva = get_address(v, t, i, place_gva);
        unsigned tokens;
        char kind;

        if (gva < previous_gva)
            return false;
        previous_gva = gva;
        base_used |= gva == t->relative_base_gva;
        tokens = name_tokens(f, &name_at, t->names_end_at);
        kind = f->tokens[v->bytes[name_at]].text[0];
        name_at += tokens;
        if (kind != 't' && kind != 'T')
            continue;
        code++;
        code_inside += kernel_view_holds(v, gva, false);
    }
    has_base = t->addressing == KALLSYMS_BASE || t->addressing == KALLSYMS_BASE_OR_PERCPU;
    return code && code_inside * 100 >= code * 99 && (!has_base || base_used);
}

/* The addresses stand before num_syms. Fills where, for this addressing; false if they would begin before the file. */
static bool place_before(const struct kernel_view *v, struct kallsyms_tables *t, unsigned align)
{
    uint64_t word_bytes = v->word_bytes;
    uint64_t needed = t->addressing == KALLSYMS_ABSOLUTE ? t->count * word_bytes
                                                         : align_up((uint64_t)t->count * 4, align) + word_bytes;
    if (t->num_syms_at < needed)
        return false;
    t->addresses_at = t->num_syms_at - needed;
    if (t->addressing != KALLSYMS_ABSOLUTE)
        t->relative_base_gva = get_unsigned(v, t->num_syms_at - word_bytes, v->word_bytes);
    return true;
}

/* The addresses stand behind the tokens. */
static bool place_after(const struct kernel_view *v, struct kallsyms_tables *t, unsigned align)
{
    uint64_t entry_bytes, end_at;
    bool has_base = t->addressing == KALLSYMS_BASE || t->addressing == KALLSYMS_BASE_OR_PERCPU;

    t->addresses_at = align_up(t->token_index_at + 2 * TOKENS, align);
    entry_bytes = t->addressing == KALLSYMS_ABSOLUTE ? v->word_bytes : 4;
    end_at = t->addresses_at + t->count * entry_bytes;
    if (has_base) {
        uint64_t base_at = align_up(end_at, align);
        if (!is_inside(v, base_at, v->word_bytes))
            return false;
        t->relative_base_gva = get_unsigned(v, base_at, v->word_bytes);
        end_at = base_at + v->word_bytes;
    }
    t->seqs_at = align_up(end_at, align);
    return true;
}

/* seqs_of_names: is there, at t->seqs_at, every number below the count just once? `seen` has `count` bytes. */
static bool seqs_fit(const struct kernel_view *v, const struct kallsyms_tables *t, uint8_t *seen)
{
    if (!is_inside(v, t->seqs_at, (uint64_t)t->count * SEQ_BYTES))
        return false;
    memset(seen, 0, t->count);
    for (uint32_t i = 0; i < t->count; i++) {
        const uint8_t *seq = v->bytes + t->seqs_at + (uint64_t)i * SEQ_BYTES;
        uint32_t position = (uint32_t)seq[0] << 16 | (uint32_t)seq[1] << 8 | seq[2];
        if (position >= t->count || seen[position])
            return false;
        seen[position] = 1;
    }
    return true;
}

/* Before the names the table may have no seqs_of_names (up to 6.1); if it has, they are between markers and tokens. */
static bool seqs_before_fit(const struct kernel_view *v, struct kallsyms_tables *t, uint8_t *seen)
{
    uint64_t markers_end_at = t->markers_at + (t->count + MARKER_EVERY - 1) / MARKER_EVERY * t->marker_bytes;
    t->seqs_at = align_up(markers_end_at, v->word_bytes);
    t->has_seqs = t->token_table_at - markers_end_at >= (uint64_t)t->count * SEQ_BYTES;
    return !t->has_seqs || seqs_fit(v, t, seen);
}

/*
 * Behind the tokens it always has them, and they tell the arrangements apart: offsets from a base, taken as offsets
 * from their place, ascend too and may well fall inside the kernel.
 */
static bool seqs_after_fit(const struct kernel_view *v, struct kallsyms_tables *t, uint8_t *seen)
{
    t->has_seqs = seqs_fit(v, t, seen);
    return t->has_seqs;
}

/* One place, addressing and alignment: fill it in, and say whether all of it fits. */
static bool arrangement_fits(struct finder *f, bool first, enum kallsyms_addressing addressing, unsigned align,
                             uint8_t *seen)
{
    struct kallsyms_tables *t = f->t;
    t->addresses_first = first;
    t->addressing = addressing;
    t->relative_base_gva = 0;
    if (first)
        return addressing != KALLSYMS_PLACE && place_before(f->v, t, align) && addresses_fit(f) &&
               seqs_before_fit(f->v, t, seen);
    return place_after(f->v, t, align) && addresses_fit(f) && seqs_after_fit(f->v, t, seen);
}

/* Every way of saying addresses, in each place and alignment; one must fit, and two that differ are a refusal. */
static enum emu_err find_addresses(struct finder *f, struct diag *d)
{
    struct kallsyms_tables *t = f->t, found = *t;
    bool has_found = false, is_ambiguous = false;
    uint8_t *seen = malloc(t->count);
    if (!seen)
        return diag_set(d, EMU_EHOST, "there is not enough memory to check the kernel's symbols");
    for (int first = 0; first < 2; first++)
        for (enum kallsyms_addressing addressing = KALLSYMS_ABSOLUTE; addressing <= KALLSYMS_PLACE; addressing++)
            for (unsigned align = 4; align <= f->v->word_bytes; align += 4) {
                if (!arrangement_fits(f, first, addressing, align, seen))
                    continue;
                is_ambiguous |= has_found && (found.addresses_at != t->addresses_at || found.addressing != addressing ||
                                              found.relative_base_gva != t->relative_base_gva);
                found = *t;
                has_found = true;
            }
    free(seen);
    *t = found;
    if (is_ambiguous)
        return diag_set(d, EMU_EINPUT, "the kernel's %u kallsyms names have addresses that can be read in two ways",
                        t->count);
    if (!has_found)
        return diag_set(d, EMU_EINPUT,
                        "the kernel has %u kallsyms names, but no addresses for them in any known arrangement",
                        t->count);
    return EMU_OK;
}

/* --- all of it --- */

static enum emu_err find_tables(struct finder *f, struct diag *d)
{
    const struct kernel_view *v = f->v;
    bool has_tokens = false;
    uint64_t at = 0;
    for (unsigned i = 0; i < TOKEN_TABLES_MAX && at < v->size; i++) {
        const uint8_t *zero = memmem(v->bytes + at, v->size - at, digits, sizeof(digits));
        bool has_names;
        uint64_t zero_at;

        if (!zero)
            break;
        zero_at = (uint64_t)(zero - v->bytes);
        at = zero_at + 1;
        if (!find_tokens(f, zero_at))
            continue;
        has_tokens = true;
        f->t->long_names = true;
        has_names = find_names(f);
        if (!has_names) {
            /* Before 6.1 the length is one byte; only a name of 128 tokens would show the difference. */
            f->t->long_names = false;
            has_names = find_names(f);
        }
        if (!has_names)
            continue;
        return find_addresses(f, d);
    }
    if (has_tokens)
        return diag_set(d, EMU_EINPUT,
                        "the kernel has a kallsyms token table, but no names and markers that agree with it");
    return diag_set(d, EMU_EINPUT, "the kernel has no kallsyms tables (it was built without CONFIG_KALLSYMS)");
}

enum emu_err kallsyms_find(const struct kernel_view *v, struct kallsyms_tables *t, struct diag *d)
{
    struct finder f = {.v = v, .t = t};

    *t = (struct kallsyms_tables){0};
    return find_tables(&f, d);
}

/* nm(1) says T of all that lies in an executable section or behind the end of one: of .data too where a linker script
   has made it executable (7.2), and of _etext with all up to the next symbol. */
static char kind_at(const struct kernel_view *v, uint64_t gva, char kind)
{
    if (!strchr("tTwW", kind) || !v->section_count)
        return kind;
    for (unsigned i = 0; i < v->section_count; i++) {
        const struct kernel_view_section *x = &v->sections[i];

        if (x->executable && !x->writable && x->start_gva && gva >= x->start_gva && gva - x->start_gva < x->bytes)
            return kind;
    }
    return islower((unsigned char)kind) ? 'd' : 'D';
}

enum emu_err kallsyms_read(const struct kernel_view *v, struct symbols *s, struct kallsyms_tables *t, struct diag *d)
{
    struct kallsyms_tables own;
    struct finder f = {.v = v, .t = t ? t : &own};
    enum emu_err err;
    uint64_t place_gva = 0, name_at;

    *f.t = (struct kallsyms_tables){0};
    err = find_tables(&f, d);
    name_at = f.t->names_at;
    if (err == EMU_OK && f.t->addressing == KALLSYMS_PLACE)
        kernel_view_find_gva(v, f.t->addresses_at, &place_gva);
    for (uint32_t i = 0; err == EMU_OK && i < f.t->count; i++) {
        char text[NAME_BYTES_MAX];
        uint64_t gva;

        read_name(&f, &name_at, text);
        gva = get_address(v, f.t, i, place_gva);
        if (!strcmp(text + 1, "_text"))
            symbols_set_moving_from(s, gva);
        err = symbols_add(s, gva, 0, kind_at(v, gva, text[0]), text + 1, d);
    }
    for (unsigned i = 0; err == EMU_OK && i < v->section_count; i++)
        if (v->sections[i].start_gva)
            err = symbols_add_range(s, v->sections[i].start_gva, v->sections[i].bytes, d);
    for (unsigned i = 0; err == EMU_OK && !v->section_count && i < v->segment_count; i++)
        err = symbols_add_range(s, v->segments[i].start_gva, v->segments[i].memory_bytes, d);
    return err;
}

const char *kallsyms_describe(const struct kallsyms_tables *t)
{
    static const char *const phrases[][2] = {
        [KALLSYMS_ABSOLUTE] = {"absolute addresses behind the tokens", "absolute addresses before the names"},
        [KALLSYMS_BASE] = {"offsets from a base, behind the tokens", "offsets from a base, before the names"},
        [KALLSYMS_BASE_OR_PERCPU] = {"offsets from a base and per-CPU addresses, behind the tokens",
                                     "offsets from a base and per-CPU addresses, before the names"},
        [KALLSYMS_PLACE] = {"offsets from their own place, behind the tokens",
                            "offsets from their own place, before the names"},
    };
    return phrases[t->addressing][t->addresses_first];
}
