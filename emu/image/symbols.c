/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/image/symbols.h"

#include "emu/base/ensure.h"
#include "emu/base/vec.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* How many addresses a lookup goes back to find an extent that holds it: ELF extents may nest (a local entry point
 * inside a function), three deep in practice. */
#define ENCLOSING_STEPS_MAX 32

#define ALIAS_BYTES 32

/* How many names of one address are compared to find a repeated one: bounds the work on a hostile table. */
#define REPETITION_STEPS_MAX 256

struct entry {
    uint64_t start_gva; /* link address */
    uint64_t bytes;     /* 0 unknown */
    uint32_t name_at;   /* into names */
    uint32_t sequence;  /* order of adding; unused once sealed */
    char kind;
};

struct range {
    uint64_t start_gva, end_gva;
};

struct line {
    uint64_t start_gva;
    uint32_t file_at;  /* into names */
    uint32_t line;     /* 0: nothing is known from here on */
    uint32_t sequence; /* order of adding */
};

struct symbols {
    bool sealed;
    uint64_t slide, moving_from_gva;
    char *names; /* NUL-terminated, back to back */
    size_t names_bytes, names_room;
    struct entry *entries; /* while filling */
    size_t count, entries_room;
    struct range *ranges;
    size_t range_count, range_room;
    struct line *lines;
    size_t line_count, line_room;
    uint32_t last_file_at; /* DWARF says the same file thousands of times in a row */
    bool has_last_file;
    /* Sealed: columns, so that a search touches only what it compares. */
    uint64_t *start_gva;
    uint32_t *bytes; /* extents above 4 GiB are kept as UINT32_MAX */
    uint32_t *name_at;
    char *kind;
    uint32_t *by_name; /* indices into the columns, sorted by name, then address */
    struct alias {
        char name[ALIAS_BYTES];
        uint32_t index; /* into the columns */
    } aliases[SYMBOLS_ALIASES_MAX];
    unsigned alias_count;
};

struct symbols *symbols_new(void)
{
    return calloc(1, sizeof(struct symbols));
}

void symbols_free(struct symbols *s)
{
    if (!s)
        return;
    free(s->names);
    free(s->entries);
    free(s->ranges);
    free(s->lines);
    free(s->start_gva);
    free(s->bytes);
    free(s->name_at);
    free(s->kind);
    free(s->by_name);
    free(s);
}

static enum emu_err no_memory(struct diag *d)
{
    return diag_set(d, EMU_EHOST, "there is not enough memory for the symbol table");
}

static enum emu_err add_text(struct symbols *s, const char *text, uint32_t *at, struct diag *d)
{
    size_t bytes = strnlen(text, SYMBOLS_NAME_BYTES_MAX + 1);
    if (bytes == 0)
        return diag_set(d, EMU_EINPUT, "a symbol has an empty name");
    if (bytes > SYMBOLS_NAME_BYTES_MAX)
        return diag_set(d, EMU_EINPUT, "a symbol has a name of more than %u bytes", SYMBOLS_NAME_BYTES_MAX);
    if (s->names_bytes + bytes + 1 > SYMBOLS_ARENA_BYTES_MAX)
        return diag_set(d, EMU_EINPUT, "the symbols' names take more than %u bytes", SYMBOLS_ARENA_BYTES_MAX);
    if (!vec_reserve(&s->names, &s->names_room, s->names_bytes + bytes + 1, 1024, 1))
        return no_memory(d);
    *at = (uint32_t)s->names_bytes;
    memcpy(s->names + s->names_bytes, text, bytes + 1);
    s->names_bytes += bytes + 1;
    return EMU_OK;
}

enum emu_err symbols_add(struct symbols *s, uint64_t start_gva, uint64_t bytes, char kind, const char *name,
                         struct diag *d)
{
    enum emu_err err;
    struct entry *e;

    ensure(!s->sealed);
    if (s->count >= SYMBOLS_MAX)
        return diag_set(d, EMU_EINPUT, "there are more than %u symbols", SYMBOLS_MAX);
    if (!vec_reserve(&s->entries, &s->entries_room, s->count + 1, 1024, sizeof(*s->entries)))
        return no_memory(d);
    e = &s->entries[s->count];
    *e = (struct entry){.start_gva = start_gva, .bytes = bytes, .sequence = (uint32_t)s->count, .kind = kind};
    err = add_text(s, name, &e->name_at, d);
    if (err != EMU_OK)
        return err;
    s->count++;
    return EMU_OK;
}

enum emu_err symbols_add_range(struct symbols *s, uint64_t start_gva, uint64_t bytes, struct diag *d)
{
    uint64_t end_gva;

    ensure(!s->sealed);
    if (bytes == 0)
        return EMU_OK;
    if (start_gva + (bytes - 1) < start_gva)
        return diag_set(d, EMU_EINPUT, "a section of 0x%" PRIx64 " bytes at 0x%" PRIx64 " wraps around", bytes,
                        start_gva);
    if (s->range_count >= SYMBOLS_MAX)
        return diag_set(d, EMU_EINPUT, "there are more than %u sections", SYMBOLS_MAX);
    if (!vec_reserve(&s->ranges, &s->range_room, s->range_count + 1, 1024, sizeof(*s->ranges)))
        return no_memory(d);
    /* A range that ends at 2^64 has the end 0 by arithmetic; say 2^64 - 1, no symbol is that close to it. */
    end_gva = start_gva + bytes;
    s->ranges[s->range_count++] = (struct range){start_gva, end_gva ? end_gva : UINT64_MAX};
    return EMU_OK;
}

enum emu_err symbols_add_line(struct symbols *s, uint64_t start_gva, const char *file, unsigned line, struct diag *d)
{
    ensure(!s->sealed);
    if (s->line_count >= 8 * (size_t)SYMBOLS_MAX)
        return diag_set(d, EMU_EINPUT, "there are more than %zu line records", s->line_count);
    if (!vec_reserve(&s->lines, &s->line_room, s->line_count + 1, 1024, sizeof(*s->lines)))
        return no_memory(d);
    if (!s->has_last_file || strcmp(s->names + s->last_file_at, file)) {
        enum emu_err err = add_text(s, file, &s->last_file_at, d);
        if (err != EMU_OK)
            return err;
        s->has_last_file = true;
    }
    s->lines[s->line_count] = (struct line){start_gva, s->last_file_at, line, (uint32_t)s->line_count};
    s->line_count++;
    return EMU_OK;
}

void symbols_set_moving_from(struct symbols *s, uint64_t link_gva)
{
    s->moving_from_gva = link_gva;
}

static bool is_weak(char kind)
{
    return kind == 'w' || kind == 'W' || kind == 'v' || kind == 'V';
}

static size_t leading_underscores(const char *name)
{
    return strspn(name, "_");
}

#define COMPARE(a, b)                                                                                                  \
    if ((a) != (b))                                                                                                    \
    return (a) < (b) ? -1 : 1

static int compare_entries(const void *left, const void *right, void *table)
{
    const struct entry *a = left, *b = right;
    const struct symbols *s = table;
    size_t a_underscores, b_underscores;

    COMPARE(a->start_gva, b->start_gva);
    COMPARE(is_weak(a->kind), is_weak(b->kind));
    a_underscores = leading_underscores(s->names + a->name_at);
    b_underscores = leading_underscores(s->names + b->name_at);
    COMPARE(a_underscores, b_underscores);
    COMPARE(a->sequence, b->sequence);
    return 0;
}

static int compare_names(const void *left, const void *right, void *table)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    const struct symbols *s = table;
    int order = strcmp(s->names + s->name_at[a], s->names + s->name_at[b]);
    if (order)
        return order;
    COMPARE(a, b);
    return 0;
}

static int compare_ranges(const void *left, const void *right)
{
    const struct range *a = left, *b = right;
    COMPARE(a->start_gva, b->start_gva);
    COMPARE(a->end_gva, b->end_gva);
    return 0;
}

/* Where one sequence of lines ends and another begins at the same address, the end must not hide the beginning. */
static int compare_lines(const void *left, const void *right)
{
    const struct line *a = left, *b = right;
    COMPARE(a->start_gva, b->start_gva);
    COMPARE(a->line != 0, b->line != 0);
    COMPARE(a->sequence, b->sequence);
    return 0;
}

/* The same name at the same address: keep one, with a known extent if any has one. Entries are sorted. */
static void drop_repetitions(struct symbols *s)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->count; i++) {
        struct entry *e = &s->entries[i];
        bool repeated = false;
        for (size_t steps = 0; steps < REPETITION_STEPS_MAX && steps < kept && !repeated; steps++) {
            struct entry *other = &s->entries[kept - 1 - steps];
            if (other->start_gva != e->start_gva)
                break;
            if (strcmp(s->names + other->name_at, s->names + e->name_at))
                continue;
            repeated = true;
            if (!other->bytes)
                other->bytes = e->bytes;
        }
        if (!repeated)
            s->entries[kept++] = *e;
    }
    s->count = kept;
}

/* End of the section that holds the address, 0 if none is known. */
static uint64_t range_end(const struct symbols *s, uint64_t gva)
{
    size_t low = 0, high = s->range_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->ranges[middle].start_gva <= gva)
            low = middle + 1;
        else
            high = middle;
    }
    for (size_t steps = 0; low > 0 && steps < ENCLOSING_STEPS_MAX; low--, steps++)
        if (gva < s->ranges[low - 1].end_gva)
            return s->ranges[low - 1].end_gva;
    return 0;
}

/* Whether a section ends there, and none holds it: what is named so (_end, say) holds nothing. */
static bool is_end(const struct symbols *s, uint64_t gva)
{
    if (range_end(s, gva))
        return false;
    for (size_t i = 0; i < s->range_count; i++)
        if (s->ranges[i].end_gva == gva)
            return true;
    return false;
}

static void fill_extents(struct symbols *s)
{
    uint64_t next_gva = 0;
    bool has_next = false;
    for (size_t i = s->count; i > 0; i--) {
        struct entry *e = &s->entries[i - 1];
        uint64_t end_gva;

        if (i < s->count && s->entries[i].start_gva != e->start_gva) {
            next_gva = s->entries[i].start_gva;
            has_next = true;
        }
        if (e->bytes || is_end(s, e->start_gva))
            continue;
        end_gva = range_end(s, e->start_gva);
        if (has_next && (!end_gva || next_gva < end_gva))
            end_gva = next_gva;
        e->bytes = end_gva ? end_gva - e->start_gva : 0;
    }
}

static bool make_columns(struct symbols *s)
{
    size_t room = s->count ? s->count : 1;
    s->start_gva = calloc(room, sizeof(*s->start_gva));
    s->bytes = calloc(room, sizeof(*s->bytes));
    s->name_at = calloc(room, sizeof(*s->name_at));
    s->kind = calloc(room, sizeof(*s->kind));
    s->by_name = calloc(room, sizeof(*s->by_name));
    if (!s->start_gva || !s->bytes || !s->name_at || !s->kind || !s->by_name)
        return false;
    for (size_t i = 0; i < s->count; i++) {
        const struct entry *e = &s->entries[i];
        s->start_gva[i] = e->start_gva;
        s->bytes[i] = e->bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)e->bytes;
        s->name_at[i] = e->name_at;
        s->kind[i] = e->kind;
        s->by_name[i] = (uint32_t)i;
    }
    free(s->entries);
    s->entries = NULL;
    s->entries_room = 0;
    return true;
}

enum emu_err symbols_seal(struct symbols *s, struct diag *d)
{
    ensure(!s->sealed);
    if (s->count)
        qsort_r(s->entries, s->count, sizeof(*s->entries), compare_entries, s);
    if (s->range_count)
        qsort(s->ranges, s->range_count, sizeof(*s->ranges), compare_ranges);
    if (s->line_count)
        qsort(s->lines, s->line_count, sizeof(*s->lines), compare_lines);
    drop_repetitions(s);
    fill_extents(s);
    if (!make_columns(s))
        return no_memory(d);
    if (s->count)
        qsort_r(s->by_name, s->count, sizeof(*s->by_name), compare_names, s);
    s->sealed = true;
    ensure(symbols_is_valid(s));
    return EMU_OK;
}

void symbols_set_slide(struct symbols *s, uint64_t slide)
{
    s->slide = slide;
}

uint64_t symbols_slide(const struct symbols *s)
{
    return s->slide;
}

size_t symbols_count(const struct symbols *s)
{
    return s->count;
}

size_t symbols_line_count(const struct symbols *s)
{
    return s->line_count;
}

size_t symbols_host_bytes(const struct symbols *s)
{
    size_t column_bytes =
        sizeof(*s->start_gva) + sizeof(*s->bytes) + sizeof(*s->name_at) + sizeof(*s->kind) + sizeof(*s->by_name);
    return sizeof(*s) + s->names_room + s->entries_room * sizeof(*s->entries) + s->range_room * sizeof(*s->ranges) +
           s->line_room * sizeof(*s->lines) + (s->sealed ? s->count * column_bytes : 0);
}

static bool moves(const struct symbols *s, size_t i)
{
    return s->start_gva[i] >= s->moving_from_gva;
}

void symbols_get(const struct symbols *s, size_t i, struct symbol *out)
{
    ensure(s->sealed);
    ensure(i < s->count);
    *out = (struct symbol){
        .start_gva = s->start_gva[i] + (moves(s, i) ? s->slide : 0),
        .bytes = s->bytes[i],
        .kind = s->kind[i],
        .name = s->names + s->name_at[i],
    };
}

/* Number of symbols that begin at or before this link address. */
static size_t upper_bound(const struct symbols *s, uint64_t link_gva)
{
    size_t low = 0, high = s->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->start_gva[middle] <= link_gva)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Nearest preceding symbol whose extent holds the link address, of those that move or of those that do not. */
static bool find_linked(const struct symbols *s, uint64_t link_gva, bool moving, struct symbol *out)
{
    size_t end = upper_bound(s, link_gva);
    for (unsigned steps = 0; end > 0 && steps < ENCLOSING_STEPS_MAX; steps++) {
        size_t first = end - 1;
        while (first > 0 && s->start_gva[first - 1] == s->start_gva[end - 1])
            first--;
        for (size_t i = first; i < end; i++) {
            uint64_t offset = link_gva - s->start_gva[i];
            if (moves(s, i) != moving || (offset > 0 && offset >= s->bytes[i]))
                continue;
            symbols_get(s, i, out);
            return true;
        }
        end = first;
    }
    return false;
}

bool symbols_find_address(const struct symbols *s, uint64_t gva, struct symbol *out)
{
    ensure(s->sealed);
    return find_linked(s, gva - s->slide, true, out) || find_linked(s, gva, false, out);
}

/* First and past-the-last position in by_name of the entries with this name. */
static size_t name_bound(const struct symbols *s, const char *name, bool past)
{
    size_t low = 0, high = s->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(s->names + s->name_at[s->by_name[middle]], name);
        if (order < 0 || (past && order == 0))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static const struct alias *find_alias(const struct symbols *s, const char *name)
{
    for (unsigned i = 0; *name == '@' && i < s->alias_count; i++)
        if (!strcmp(s->aliases[i].name, name))
            return &s->aliases[i];
    return NULL;
}

bool symbols_add_alias(struct symbols *s, const char *alias, const char *name)
{
    struct alias *a;
    size_t begin, end;

    ensure(s->sealed);
    ensure(*alias == '@');
    ensure(strlen(alias) < ALIAS_BYTES);
    begin = name_bound(s, name, false);
    end = name_bound(s, name, true);
    if (end - begin != 1 || s->alias_count == SYMBOLS_ALIASES_MAX)
        return false;
    a = &s->aliases[s->alias_count++];
    strcpy(a->name, alias);
    a->index = s->by_name[begin];
    return true;
}

void symbols_print_aliases(const struct symbols *s, char *text, size_t bytes)
{
    size_t used = 0;
    struct symbol symbol;

    snprintf(text, bytes, "none");
    for (unsigned i = 0; i < s->alias_count && used < bytes; i++) {
        symbols_get(s, s->aliases[i].index, &symbol);
        used +=
            (size_t)snprintf(text + used, bytes - used, "%s%s (%s)", i ? ", " : "", s->aliases[i].name, symbol.name);
    }
}

size_t symbols_find_name(const struct symbols *s, const char *name, struct symbol *first)
{
    const struct alias *alias = find_alias(s, name);
    size_t begin, end;

    ensure(s->sealed);
    if (alias) {
        symbols_get(s, alias->index, first);
        return 1;
    }
    begin = name_bound(s, name, false);
    end = name_bound(s, name, true);
    if (begin < end)
        symbols_get(s, s->by_name[begin], first);
    return end - begin;
}

enum emu_err symbols_resolve(const void *context, const char *name, uint64_t offset, uint64_t *gva, struct diag *d)
{
    const struct symbols *s = context;
    char aliases[SYMBOLS_ALIASES_BYTES];
    struct symbol found;
    size_t n;

    if (!s)
        return diag_set(d, EMU_EINPUT, "the guest has no symbols, so '%s' can't be found", name);
    n = symbols_find_name(s, name, &found);
    if (!n && *name == '@') {
        symbols_print_aliases(s, aliases, sizeof(aliases));
        return diag_set(d, EMU_EINPUT, "the guest has nothing that is called '%s'; of such names it has %s", name,
                        aliases);
    }
    if (!n)
        return diag_set(d, EMU_EINPUT, "the guest has no symbol named '%s'", name);
    if (n > 1)
        return diag_set(d, EMU_EINPUT, "%zu symbols of the guest are named '%s'", n, name);
    if (found.bytes && offset >= found.bytes)
        return diag_set(d, EMU_EINPUT, "'%s' has 0x%" PRIx64 " bytes, so that +0x%" PRIx64 " is outside of it", name,
                        found.bytes, offset);
    *gva = found.start_gva + offset;
    return EMU_OK;
}

bool symbols_get_named(const struct symbols *s, const char *name, size_t n, struct symbol *out)
{
    const struct alias *alias = find_alias(s, name);
    size_t begin, end;

    ensure(s->sealed);
    if (alias && !n)
        symbols_get(s, alias->index, out);
    if (alias)
        return !n;
    begin = name_bound(s, name, false);
    end = name_bound(s, name, true);
    if (n >= end - begin)
        return false;
    symbols_get(s, s->by_name[begin + n], out);
    return true;
}

bool symbols_find_line(const struct symbols *s, uint64_t gva, const char **file, unsigned *line)
{
    uint64_t link_gva;
    size_t low = 0, high = s->line_count;

    ensure(s->sealed);
    link_gva = gva - s->slide;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->lines[middle].start_gva <= link_gva)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 || s->lines[low - 1].line == 0)
        return false;
    *file = s->names + s->lines[low - 1].file_at;
    *line = s->lines[low - 1].line;
    return true;
}

int symbols_print(const struct symbols *s, uint64_t gva, char *text, size_t bytes)
{
    struct symbol symbol;
    if (!symbols_find_address(s, gva, &symbol))
        return snprintf(text, bytes, "0x%" PRIx64, gva);
    return snprintf(text, bytes, "%s+0x%" PRIx64 "/0x%" PRIx64, symbol.name, gva - symbol.start_gva, symbol.bytes);
}

bool symbols_is_valid(const struct symbols *s)
{
    if (!s->sealed)
        return s->count <= s->entries_room && s->names_bytes <= s->names_room;
    if (s->entries || (s->names_bytes && s->names[s->names_bytes - 1]))
        return false;
    for (size_t i = 0; i < s->count; i++) {
        if (s->name_at[i] >= s->names_bytes || s->by_name[i] >= s->count)
            return false;
        if (i > 0 && s->start_gva[i - 1] > s->start_gva[i])
            return false;
    }
    return true;
}
