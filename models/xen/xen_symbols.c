/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/xen/xen_symbols.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emu/base/count.h"

#define TOKENS          256u
#define TOKEN_BYTES_MAX 64u    /* 127 in theory; they are a few characters long */
#define NAMES_MAX       65536u /* a Xen has some 3,000 */
#define NAMES_BYTES_MAX (1u << 21)
#define MARKED          256u /* every so many names a marker */
#define NAME_BYTES_MAX  256u /* KSYM_NAME_LEN is 127 */
#define XEN_SPAN_BYTES  (UINT64_C(1) << 30)

/* XEN_VIRT_START: up to 4.14, and later. */
static const uint64_t starts_gva[] = {0xffff82d080000000, 0xffff82d040000000};

struct tables {
    const uint8_t *bytes;
    size_t size;
    size_t token_table, token_index, markers, names, offsets;
    uint32_t count, marker_count;
};

static uint16_t read_u16(const uint8_t *at)
{
    uint16_t value;

    memcpy(&value, at, sizeof(value));
    return value;
}

static uint32_t read_u32(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof(value));
    return value;
}

static uint64_t read_u64(const uint8_t *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof(value));
    return value;
}

/* ---- where they are ---- */

/* Whether the index names 256 strings that stand back to back from `table` on. */
static bool is_token_table(const struct tables *t, size_t table, size_t index)
{
    uint32_t at = 0;

    for (unsigned i = 0; i < TOKENS; i++) {
        size_t length;

        if (read_u16(t->bytes + index + 2 * i) != at || table + at >= index)
            return false;
        length = strnlen((const char *)t->bytes + table + at, TOKEN_BYTES_MAX);
        if (!length || length == TOKEN_BYTES_MAX)
            return false;
        at += (uint32_t)length + 1;
    }
    return table + at <= index && index - (table + at) < 8;
}

/* The tokens of the digits are themselves in every table that a compiler's names make. */
static bool find_tokens(struct tables *t)
{
    static const char digits[20] = "0\0001\0002\0003\0004\0005\0006\0007\0008\0009";

    for (size_t at = 0; at < t->size;) {
        const uint8_t *found = memmem(t->bytes + at, t->size - at, digits, sizeof(digits));
        size_t table_end;

        if (!found)
            return false;
        at = (size_t)(found - t->bytes);
        table_end = at + TOKENS * TOKEN_BYTES_MAX;
        for (size_t index = (at + sizeof(digits) + 3) & ~(size_t)3;
             index < table_end && index <= t->size && t->size - index >= 2 * TOKENS; index += 4) {
            size_t before = read_u16(t->bytes + index + 2 * '0');

            if (read_u16(t->bytes + index) == 0 && before <= at && is_token_table(t, at - before, index)) {
                t->token_table = at - before;
                t->token_index = index;
                return true;
            }
        }
        at += sizeof(digits);
    }
    return false;
}

/* The markers ascend from 0 up to the token table. */
static bool find_markers(struct tables *t)
{
    size_t end = t->token_table & ~(size_t)3, at;

    while (end >= 8 && !read_u32(t->bytes + end - 4) && t->token_table - end < 8)
        end -= 4;
    for (at = end; at >= 8 && read_u32(t->bytes + at - 8) < read_u32(t->bytes + at - 4);)
        at -= 4;
    if (at < 4 || read_u32(t->bytes + at - 4))
        return false;
    t->markers = at - 4;
    t->marker_count = (uint32_t)((end - t->markers) / 4);
    return t->marker_count <= NAMES_MAX / MARKED;
}

/* Whether `count` names from here on reach up to the markers, which name every 256th of them. */
static bool are_names(const struct tables *t, size_t names, uint32_t count)
{
    size_t at = names;

    for (uint32_t i = 0; i < count; i++) {
        if (at >= t->markers || (i % MARKED == 0 && at - names != read_u32(t->bytes + t->markers + i / MARKED * 4)))
            return false;
        at += t->bytes[at] + 1u;
    }
    return at <= t->markers;
}

static bool ascend(const struct tables *t, size_t offsets, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++)
        if (read_u32(t->bytes + offsets + 4 * i) < read_u32(t->bytes + offsets + 4 * i - 4))
            return false;
    return read_u32(t->bytes + offsets + 4 * count - 4) < XEN_SPAN_BYTES;
}

/* Each label is aligned to 4 bytes or to 8. */
static bool find_names(struct tables *t)
{
    for (size_t at = t->markers & ~(size_t)3; at >= 4 && t->markers - at < NAMES_BYTES_MAX; at -= 4) {
        uint32_t count = read_u32(t->bytes + at);

        if (count <= (t->marker_count - 1) * MARKED || count > t->marker_count * MARKED || at < 4 * (size_t)count + 4)
            continue;
        for (size_t pad = 4; pad <= 16; pad += 4)
            for (size_t before = 0; are_names(t, at + pad, count) && before <= 4; before += 4)
                if (ascend(t, at - before - 4 * (size_t)count, count)) {
                    t->names = at + pad;
                    t->offsets = at - before - 4 * (size_t)count;
                    t->count = count;
                    return true;
                }
    }
    return false;
}

/* ---- what they say ---- */

/* The name at `at`, without the letter of its kind: "file.c:name". False if a character makes no sense. */
static bool expand(const struct tables *t, size_t at, char *kind, char name[NAME_BYTES_MAX])
{
    unsigned length = t->bytes[at], used = 0;

    *kind = '\0';
    for (unsigned i = 0; i < length; i++) {
        uint8_t token = t->bytes[at + 1 + i];

        for (const char *c = (const char *)t->bytes + t->token_table + read_u16(t->bytes + t->token_index + 2 * token);
             *c; c++) {
            if (*c <= ' ' || *c > '~')
                return false;
            if (!*kind) {
                *kind = *c;
                continue;
            }
            if (used + 1 == NAME_BYTES_MAX)
                return false;
            name[used++] = *c == '#' ? ':' : *c;
        }
    }
    name[used] = '\0';
    return used > 0 && strchr("TtDdBbRrWwVvAa", *kind);
}

struct name {
    char *text;       /* behind the prefix */
    const char *last; /* without its file */
    uint32_t offset;
    char kind;
};

static int compare_last(const void *left, const void *right)
{
    const struct name *a = *(const struct name *const *)left, *b = *(const struct name *const *)right;

    return strcmp(a->last, b->last);
}

static enum emu_err read_names(const struct tables *t, const char *prefix, struct name *to, struct diag *d)
{
    size_t at = t->names;

    for (uint32_t i = 0; i < t->count; i++) {
        char name[NAME_BYTES_MAX];

        if (!expand(t, at, &to[i].kind, name))
            return diag_set(d, EMU_EINPUT, "its symbol %u has a name that makes no sense", i);
        if (asprintf(&to[i].text, "%s%s", prefix, name) < 0) {
            to[i].text = NULL;
            return diag_no_memory(d);
        }
        to[i].last = strrchr(to[i].text + strlen(prefix), ':');
        to[i].last = to[i].last ? to[i].last + 1 : to[i].text + strlen(prefix);
        to[i].offset = read_u32(t->bytes + t->offsets + 4 * i);
        at += t->bytes[at] + 1u;
    }
    return EMU_OK;
}

/* The short name of one that has a file before it, first: what is printed. */
static enum emu_err add_short(const char *prefix, const struct name *n, uint64_t start_gva, struct symbols *s,
                              struct diag *d)
{
    char name[NAME_BYTES_MAX + sizeof(XEN_SYMBOLS_PREFIX)];

    if (n->last == n->text + strlen(prefix) || !*n->last)
        return EMU_OK;
    snprintf(name, sizeof(name), "%s%s", prefix, n->last);
    return symbols_add(s, start_gva + n->offset, 0, n->kind, name, d);
}

/* The text and, behind the data, the text for the start: what "_etext" names holds nothing. */
static enum emu_err add_sections(const struct tables *t, const struct name *names, uint64_t start_gva,
                                 struct symbols *s, struct diag *d)
{
    uint32_t from = names[0].offset;
    enum emu_err err = EMU_OK;

    for (uint32_t i = 0; err == EMU_OK && i < t->count; i++) {
        if (!strcmp(names[i].last, "_etext") || !strcmp(names[i].last, "_einittext")) {
            if (names[i].offset > from)
                err = symbols_add_range(s, start_gva + from, names[i].offset - from, d);
            from = UINT32_MAX;
        } else if (from == UINT32_MAX) {
            from = names[i].offset;
        }
    }
    return err;
}

static enum emu_err add_names(const struct tables *t, const char *prefix, const struct name *names,
                              const struct name **by_last, uint64_t start_gva, struct symbols *s, struct diag *d)
{
    enum emu_err err = EMU_OK;

    for (uint32_t i = 0; i < t->count; i++)
        by_last[i] = &names[i];
    qsort(by_last, t->count, sizeof(*by_last), compare_last);
    for (uint32_t i = 0; err == EMU_OK && i < t->count; i++)
        if ((i == 0 || compare_last(&by_last[i - 1], &by_last[i]) != 0) &&
            (i + 1 == t->count || compare_last(&by_last[i], &by_last[i + 1]) != 0))
            err = add_short(prefix, by_last[i], start_gva, s, d);
    for (uint32_t i = 0; err == EMU_OK && i < t->count; i++)
        err = symbols_add(s, start_gva + names[i].offset, 0, names[i].kind, names[i].text, d);
    return err == EMU_OK ? add_sections(t, names, start_gva, s, d) : err;
}

/* Where Xen is linked: its data points into its functions. */
static uint64_t find_start(const struct tables *t)
{
    uint32_t first = read_u32(t->bytes + t->offsets), last = read_u32(t->bytes + t->offsets + 4 * t->count - 4);
    size_t pointers[COUNT(starts_gva)] = {0}, best = 0;

    for (size_t at = 0; t->size - at >= 8; at += 8)
        for (size_t i = 0; i < COUNT(starts_gva); i++)
            if (read_u64(t->bytes + at) - starts_gva[i] >= first && read_u64(t->bytes + at) - starts_gva[i] <= last)
                pointers[i]++;
    for (size_t i = 1; i < COUNT(starts_gva); i++)
        if (pointers[i] > pointers[best])
            best = i;
    return pointers[best] ? starts_gva[best] : 0;
}

enum emu_err xen_symbols_read(const struct image *img, const char *prefix, struct symbols *s, size_t *found,
                              uint64_t *start_gva, struct diag *d)
{
    struct tables t = {.bytes = img->bytes, .size = img->size};
    const struct name **by_last = NULL;
    struct name *names = NULL;
    enum emu_err err = EMU_OK;

    *found = 0;
    if (!find_tokens(&t) || !find_markers(&t) || !find_names(&t) || !(*start_gva = find_start(&t)))
        return diag_set(d, EMU_EINPUT, "it has no symbol table of Xen's");
    names = calloc(t.count, sizeof(*names));
    by_last = calloc(t.count, sizeof(*by_last));
    if (!names || !by_last)
        err = diag_no_memory(d);
    if (err == EMU_OK)
        err = read_names(&t, prefix, names, d);
    if (err == EMU_OK)
        err = add_names(&t, prefix, names, by_last, *start_gva, s, d);
    if (err == EMU_OK)
        *found = t.count;
    for (uint32_t i = 0; names && i < t.count; i++)
        free(names[i].text);
    free(names);
    free(by_last);
    return err;
}
