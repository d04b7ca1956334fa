/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/linux/edit_text.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emu/base/count.h"

#define WORDS_MAX      6u
#define OCCURRENCE_MAX (1u << 20)

static const char *const kind_names[] = {
    [EDIT_DROP_CALL] = "drop-call", [EDIT_CALL_AFTER] = "call-after", [EDIT_UNGUARD] = "unguard",
    [EDIT_REPLACE] = "replace",     [EDIT_SKIP_ENTRY] = "skip-entry",
};

static bool parse_number(const char *text, uint64_t *value)
{
    char *end;
    errno = 0;
    *value = strtoull(text, &end, 0);
    return isdigit((unsigned char)*text) && !*end && !errno;
}

static enum emu_err parse_place(const char *word, struct edit_place *p, struct diag *d)
{
    const char *plus;
    size_t length;

    *p = (struct edit_place){.offset = 0};
    if (parse_number(word, &p->offset))
        return EMU_OK;
    plus = strchr(word, '+');
    length = plus ? (size_t)(plus - word) : strlen(word);
    if (!length || length >= sizeof(p->name) || isdigit((unsigned char)*word))
        return diag_set(d, EMU_EINPUT, "'%.80s' is not a place: write FUNCTION, FUNCTION+OFFSET or 0xADDRESS", word);
    memcpy(p->name, word, length);
    if (plus && !parse_number(plus + 1, &p->offset))
        return diag_set(d, EMU_EINPUT, "'%.80s' is not an offset", plus + 1);
    return EMU_OK;
}

/* Hexadecimal bytes without spaces; "??" only if there is a mask. */
static enum emu_err parse_bytes(const char *word, uint8_t *bytes, uint8_t *mask, unsigned *count, struct diag *d)
{
    size_t length = strlen(word);
    if (!length || length % 2 || length / 2 > EDIT_BYTES_MAX)
        return diag_set(d, EMU_EINPUT, "'%.80s' is not 1 to %u bytes in hexadecimal", word, EDIT_BYTES_MAX);
    for (unsigned i = 0; i < length / 2; i++) {
        const char pair[3] = {word[2 * i], word[2 * i + 1], 0};
        if (mask)
            mask[i] = strcmp(pair, "??") ? 0xff : 0;
        if (mask && !mask[i]) {
            bytes[i] = 0;
            continue;
        }
        if (!isxdigit((unsigned char)pair[0]) || !isxdigit((unsigned char)pair[1]))
            return diag_set(d, EMU_EINPUT, "'%s' in '%.80s' is not a byte in hexadecimal", pair, word);
        bytes[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    *count = (unsigned)length / 2;
    return EMU_OK;
}

static enum emu_err parse_occurrence(const char *word, struct edit *e, struct diag *d)
{
    uint64_t occurrence = 0;
    if (!parse_number(word, &occurrence) || !occurrence || occurrence > OCCURRENCE_MAX)
        return diag_set(d, EMU_EINPUT, "'%.80s' is not an occurrence: they count from 1", word);
    e->occurrence = (unsigned)occurrence;
    return EMU_OK;
}

static enum emu_err parse_drop_call(char **words, unsigned count, struct edit *e, struct diag *d)
{
    if (count < 3)
        return diag_set(d, EMU_EINPUT, "drop-call needs a FUNCTION and a CALLEE or +OFFSET");
    if (words[2][0] == '+') {
        if (!parse_number(words[2] + 1, &e->call_offset))
            return diag_set(d, EMU_EINPUT, "'%.80s' is not an offset", words[2]);
        if (count > 3)
            return diag_set(d, EMU_EINPUT, "a call at an offset has no other occurrences");
    } else if (strlen(words[2]) >= sizeof(e->callee)) {
        return diag_set(d, EMU_EINPUT, "the name '%.80s…' is too long", words[2]);
    } else {
        strcpy(e->callee, words[2]);
    }
    if (count > 4)
        return diag_set(d, EMU_EINPUT, "drop-call has the wrong number of words");
    return count > 3 ? parse_occurrence(words[3], e, d) : EMU_OK;
}

static enum emu_err parse_call_after(char **words, unsigned count, struct edit *e, struct diag *d)
{
    if (count < 4)
        return diag_set(d, EMU_EINPUT, "call-after needs a FUNCTION, the CALLEE after whose call, and the NEW callee");
    for (unsigned i = 2; i < 4; i++)
        if (strlen(words[i]) >= EDIT_NAME_BYTES)
            return diag_set(d, EMU_EINPUT, "the name '%.80s…' is too long", words[i]);
    strcpy(e->callee, words[2]);
    strcpy(e->new_callee, words[3]);
    return count > 4 ? parse_occurrence(words[4], e, d) : EMU_OK;
}

static enum emu_err parse_replace(char **words, unsigned count, struct edit *e, struct diag *d)
{
    unsigned bytes = 0;
    enum emu_err err;

    if (count != 4)
        return diag_set(d, EMU_EINPUT, "replace needs a FUNCTION+OFFSET, a PATTERN and BYTES");
    err = parse_bytes(words[2], e->pattern, e->mask, &e->pattern_bytes, d);
    if (err == EMU_OK)
        err = parse_bytes(words[3], e->bytes, NULL, &bytes, d);
    if (err == EMU_OK && bytes != e->pattern_bytes)
        err = diag_set(d, EMU_EINPUT, "%u bytes can't replace %u: the lengths must agree", bytes, e->pattern_bytes);
    return err;
}

static enum emu_err parse_words(char **words, unsigned count, struct edit *e, struct diag *d)
{
    const char *place = words[1];
    enum emu_err err;

    switch (e->kind) {
    case EDIT_SKIP_ENTRY:
        if (count != 3)
            return diag_set(d, EMU_EINPUT, "skip-entry needs a TABLE and a place");
        e->table = patch_kind_parse(words[1]);
        if (e->table == PATCH_KINDS)
            return diag_set(d, EMU_EINPUT, "there is no table '%.80s'; `bootrace patches` lists them", words[1]);
        place = words[2];
        break;
    case EDIT_UNGUARD:
        if (count != 2)
            return diag_set(d, EMU_EINPUT, "unguard needs one FUNCTION");
        break;
    case EDIT_DROP_CALL:
        err = parse_drop_call(words, count, e, d);
        if (err != EMU_OK)
            return err;
        break;
    case EDIT_CALL_AFTER:
        err = parse_call_after(words, count, e, d);
        if (err != EMU_OK)
            return err;
        break;
    case EDIT_REPLACE:
        err = parse_replace(words, count, e, d);
        if (err != EMU_OK)
            return err;
        break;
    }
    err = parse_place(place, &e->place, d);
    if (err == EMU_OK && e->place.name[0] && e->place.offset && e->kind != EDIT_REPLACE && e->kind != EDIT_SKIP_ENTRY)
        err = diag_set(d, EMU_EINPUT, "%s takes a whole function, without an offset", kind_names[e->kind]);
    return err;
}

enum emu_err edit_parse(const char *text, unsigned line, struct edit *e, struct diag *d)
{
    char copy[EDIT_LINE_BYTES], *words[WORDS_MAX], *rest = copy;
    unsigned count = 0, kind = 0, kinds = COUNT(kind_names);
    enum emu_err err = EMU_OK;

    *e = (struct edit){.line = line};
    if (strlen(text) >= sizeof(copy))
        err = diag_set(d, EMU_EINPUT, "an edit has less than %u characters", EDIT_LINE_BYTES);
    else
        strcpy(copy, text);
    while (err == EMU_OK && count < WORDS_MAX && (words[count] = strtok_r(rest, " \t\n", &rest)))
        count++;
    while (err == EMU_OK && count && kind < kinds && strcmp(kind_names[kind], words[0]))
        kind++;
    e->kind = (enum edit_kind)kind;
    if (err == EMU_OK && !count)
        err = diag_set(d, EMU_EINPUT, "there is no edit");
    if (err == EMU_OK && kind == kinds)
        err = diag_set(d, EMU_EINPUT, "there is no edit '%.80s': drop-call, call-after, unguard, replace, skip-entry",
                       words[0]);
    if (err == EMU_OK && (count < 2 || count == WORDS_MAX))
        err = diag_set(d, EMU_EINPUT, "%s has the wrong number of words", words[0]);
    if (err == EMU_OK)
        err = parse_words(words, count, e, d);
    if (err != EMU_OK && line)
        d->line = line;
    return err;
}

static void print_place(const struct edit_place *p, char *text, size_t bytes)
{
    if (!p->name[0])
        snprintf(text, bytes, "0x%" PRIx64, p->offset);
    else if (p->offset)
        snprintf(text, bytes, "%s+0x%" PRIx64, p->name, p->offset);
    else
        snprintf(text, bytes, "%s", p->name);
}

int edit_print(const struct edit *e, char *text, size_t bytes)
{
    char place[EDIT_NAME_BYTES + 32], pattern[2 * EDIT_BYTES_MAX + 1] = "", new_bytes[2 * EDIT_BYTES_MAX + 1] = "";
    char tail[32] = "";
    print_place(&e->place, place, sizeof(place));
    switch (e->kind) {
    case EDIT_DROP_CALL:
        if (!e->callee[0])
            return snprintf(text, bytes, "drop-call %s +0x%" PRIx64, place, e->call_offset);
        if (e->occurrence)
            snprintf(tail, sizeof(tail), " %u", e->occurrence);
        return snprintf(text, bytes, "drop-call %s %s%s", place, e->callee, tail);
    case EDIT_CALL_AFTER:
        if (e->occurrence)
            snprintf(tail, sizeof(tail), " %u", e->occurrence);
        return snprintf(text, bytes, "call-after %s %s %s%s", place, e->callee, e->new_callee, tail);
    case EDIT_UNGUARD:
        return snprintf(text, bytes, "unguard %s", place);
    case EDIT_SKIP_ENTRY:
        return snprintf(text, bytes, "skip-entry %s %s", patch_kind_name(e->table), place);
    case EDIT_REPLACE:
        for (unsigned i = 0; i < e->pattern_bytes; i++) {
            if (e->mask[i])
                snprintf(pattern + 2 * i, 3, "%02x", e->pattern[i]);
            else
                snprintf(pattern + 2 * i, 3, "??");
            snprintf(new_bytes + 2 * i, 3, "%02x", e->bytes[i]);
        }
        return snprintf(text, bytes, "replace %s %s %s", place, pattern, new_bytes);
    }
    return snprintf(text, bytes, "%s", "");
}
