/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/case/case.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "cli/case/case_fields.h"
#include "cli/run/parse.h"
#include "cli/run/pattern.h"
#include "cli/run/utf8.h"
#include "emu/base/count.h"
#include "models/processor.h"

#define LINE_WIDTH 110

static const enum verdict_kind verdicts[] = {VERDICT_PASS, VERDICT_FAIL, VERDICT_UNMODELLED, VERDICT_BUDGET,
                                             VERDICT_ERROR};

static void clear_numbers(struct test_case *c, const struct case_field *fields)
{
    for (const struct case_field *f = fields; f->name; f++) {
        if (f->type == CASE_FIELD_SECTION)
            clear_numbers(c, f->section);
        else if (case_field_is_number(f->type))
            *(uint64_t *)case_field_member(c, f) = CASE_NONE;
    }
}

void case_init(struct test_case *c)
{
    memset(c, 0, sizeof(*c));
    c->path = "";
    clear_numbers(c, case_fields);
}

void case_fini(struct test_case *c)
{
    if (c->document) {
        yaml_document_delete(c->document);
        free(c->document);
    }
    case_init(c);
}

bool case_is_named(const char *path)
{
    size_t length = strlen(path);

    return length > 5 && !strcmp(path + length - 5, ".yaml");
}

/* ---- reading ---- */

struct reader {
    struct test_case *c;
    yaml_document_t *document;
    struct diag *d;
};

static unsigned line_of(const yaml_node_t *n)
{
    return (unsigned)n->start_mark.line + 1;
}

static const char *kind_of(const yaml_node_t *n)
{
    return n->type == YAML_MAPPING_NODE ? "a mapping" : n->type == YAML_SEQUENCE_NODE ? "a list" : "text";
}

static const char *scalar_of(const yaml_node_t *n)
{
    return (const char *)n->data.scalar.value;
}

static enum emu_err read_place(const char *text, const char *what, struct diag *d)
{
    struct case_place place;

    return case_parse_place(text, &place, d) == EMU_OK
               ? EMU_OK
               : diag_set(d, EMU_EINPUT, "%s is like symbol, symbol+0x1c or 0xaddress, not '%s'", what, text);
}

static enum emu_err read_regex(const char *text, const char *what, struct diag *d)
{
    char why[PATTERN_WHY_BYTES];
    regex_t re;

    if (!pattern_compile(&re, text, 0, why))
        return diag_set(d, EMU_EINPUT, "%s is not a regular expression: %s: '%s'", what, why, text);
    regfree(&re);
    return EMU_OK;
}

static enum emu_err read_hex(const char *text, const char *what, uint64_t *value, struct diag *d)
{
    char *end;

    if (strspn(text, "0123456789abcdef") != 16 || strlen(text) != 16)
        return diag_set(d, EMU_EINPUT, "%s is 16 hexadecimal digits, not '%s'", what, text);
    *value = strtoull(text, &end, 16);
    if (*value == CASE_NONE)
        return diag_set(d, EMU_EINPUT, "%s can't be '%s'", what, text);
    return EMU_OK;
}

static enum emu_err read_list(struct reader *r, const struct case_field *f, const yaml_node_t *n)
{
    const char **text = (const char **)((char *)r->c + f->offset);
    unsigned *count = (unsigned *)((char *)r->c + f->count_offset);

    if (n->type != YAML_SEQUENCE_NODE)
        return diag_set_at(r->d, EMU_EINPUT, r->c->path, line_of(n), "%s is a list, not %s", f->name, kind_of(n));
    for (yaml_node_item_t *i = n->data.sequence.items.start; i < n->data.sequence.items.top; i++) {
        const yaml_node_t *item = yaml_document_get_node(r->document, *i);

        if (item->type != YAML_SCALAR_NODE)
            return diag_set_at(r->d, EMU_EINPUT, r->c->path, line_of(item), "an item of %s is text, not %s", f->name,
                               kind_of(item));
        if (*count == f->max)
            return diag_set_at(r->d, EMU_EINPUT, r->c->path, line_of(item), "more than %" PRIu64 " %s", f->max,
                               f->name);
        text[(*count)++] = scalar_of(item);
    }
    return EMU_OK;
}

static enum emu_err read_verdict(const char *text, enum verdict_kind *kind, struct diag *d)
{
    for (unsigned i = 0; i < COUNT(verdicts); i++) {
        if (!strcmp(text, verdict_kind_name(verdicts[i]))) {
            *kind = verdicts[i];
            return EMU_OK;
        }
    }
    return diag_set(d, EMU_EINPUT, "a verdict is PASS, FAIL, UNMODELLED, BUDGET or ERROR, not '%s'", text);
}

/* NOLINTNEXTLINE(readability-function-size): a case for each kind of value */
static enum emu_err read_value(struct reader *r, const struct case_field *f, const yaml_node_t *n, void *to)
{
    const char *text = scalar_of(n);
    uint64_t *number = to;
    const char **string = to;
    struct processor processor;

    switch (f->type) {
    case CASE_FIELD_WORD:
    case CASE_FIELD_INITRD:
        if (strchr(text, '\n'))
            return diag_set(r->d, EMU_EINPUT, "%s is one line", f->name);
        *string = text;
        return EMU_OK;
    case CASE_FIELD_DETECTOR:
        if (text[strspn(text, "abcdefghijklmnopqrstuvwxyz-_ ")])
            return diag_set(r->d, EMU_EINPUT, "a detector is a word like crash or hang, not '%s'", text);
        *string = text;
        return EMU_OK;
    case CASE_FIELD_TEXT:
        *string = text;
        return EMU_OK;
    case CASE_FIELD_BLOCK:
        /* In quotes libyaml writes what it can't write as a block: an empty one, blanks at the end of a line. */
        if (n->data.scalar.style != YAML_LITERAL_SCALAR_STYLE &&
            n->data.scalar.style != YAML_DOUBLE_QUOTED_SCALAR_STYLE)
            return diag_set(r->d, EMU_EINPUT, "%s is a block of lines: write `%s: |`", f->name, f->name);
        *string = text;
        r->c->schedule_line = line_of(n) + (n->data.scalar.style == YAML_LITERAL_SCALAR_STYLE);
        return EMU_OK;
    case CASE_FIELD_REGEX:
        *string = text;
        return read_regex(text, f->name, r->d);
    case CASE_FIELD_PLACE:
        *string = text;
        return read_place(text, f->name, r->d);
    case CASE_FIELD_NUMBER:
        return parse_number(f->name, text, f->min, f->max, number, r->d);
    case CASE_FIELD_HEX:
        return read_hex(text, f->name, number, r->d);
    case CASE_FIELD_BYTES:
        return parse_bytes(text, number, r->d);
    case CASE_FIELD_MODE:
        return parse_mode(text, to, r->d);
    case CASE_FIELD_LOAD:
        if (strcmp(text, "pv") && strcmp(text, "pvh"))
            return diag_set(r->d, EMU_EINPUT, "a guest is loaded as pv or pvh, not '%s'", text);
        *string = text;
        return EMU_OK;
    case CASE_FIELD_CPU:
        *string = text;
        return processor_parse(text, &processor, r->d);
    case CASE_FIELD_XEN:
        return parse_xen_version(text, to, r->d);
    case CASE_FIELD_VERDICT:
        return read_verdict(text, to, r->d);
    case CASE_FIELD_YES:
        if (strcmp(text, "yes") && strcmp(text, "no"))
            return diag_set(r->d, EMU_EINPUT, "%s is yes or no, not '%s'", f->name, text);
        *(bool *)to = !strcmp(text, "yes");
        return EMU_OK;
    case CASE_FIELD_SECTION:
    case CASE_FIELD_LIST:
        break;
    }
    return diag_set(r->d, EMU_EINPUT, "%s can't be text", f->name);
}

static enum emu_err read_section(struct reader *r, const char *name, const struct case_field *fields,
                                 const yaml_node_t *n);

static enum emu_err read_field(struct reader *r, const struct case_field *f, const yaml_node_t *n)
{
    enum emu_err err;

    if (f->type == CASE_FIELD_SECTION)
        return read_section(r, f->name, f->section, n);
    if (f->type == CASE_FIELD_LIST)
        return read_list(r, f, n);
    if (n->type != YAML_SCALAR_NODE)
        return diag_set_at(r->d, EMU_EINPUT, r->c->path, line_of(n), "%s is text, not %s", f->name, kind_of(n));
    if (strlen(scalar_of(n)) != n->data.scalar.length)
        return diag_set_at(r->d, EMU_EINPUT, r->c->path, line_of(n), "%s contains a zero character", f->name);
    if (!n->data.scalar.length && n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        return diag_set_at(r->d, EMU_EINPUT, r->c->path, line_of(n), "%s has no value", f->name);
    err = read_value(r, f, n, case_field_member(r->c, f));
    if (err != EMU_OK)
        diag_add_place(r->d, r->c->path, line_of(n));
    return err;
}

static const struct case_field *find_field(const struct case_field *fields, const char *name)
{
    for (const struct case_field *f = fields; f->name; f++) {
        if (!strcmp(f->name, name))
            return f;
    }
    return NULL;
}

static enum emu_err unknown_key(struct reader *r, const char *section, const struct case_field *fields,
                                const yaml_node_t *key)
{
    char known[512] = "";

    for (const struct case_field *f = fields; f->name; f++) {
        size_t used = strlen(known); /* what does not fit is cut */

        snprintf(known + used, sizeof(known) - used, "%s%s", f == fields ? "" : ", ", f->name);
    }
    return diag_set_at(r->d, EMU_EINPUT, r->c->path, line_of(key), "%s has no key '%s'; its keys are %s", section,
                       scalar_of(key), known);
}

static enum emu_err read_section(struct reader *r, const char *name, const struct case_field *fields,
                                 const yaml_node_t *n)
{
    bool seen[CASE_FIELDS_MAX] = {false};

    if (n->type != YAML_MAPPING_NODE)
        return diag_set_at(r->d, EMU_EINPUT, r->c->path, line_of(n), "%s is a mapping of keys, not %s", name,
                           kind_of(n));
    for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++) {
        const yaml_node_t *key = yaml_document_get_node(r->document, p->key);
        const yaml_node_t *value = yaml_document_get_node(r->document, p->value);
        const struct case_field *f;
        enum emu_err err;

        if (key->type != YAML_SCALAR_NODE)
            return diag_set_at(r->d, EMU_EINPUT, r->c->path, line_of(key), "a key is text, not %s", kind_of(key));
        f = find_field(fields, scalar_of(key));
        if (!f)
            return unknown_key(r, name, fields, key);
        if (seen[f - fields])
            return diag_set_at(r->d, EMU_EINPUT, r->c->path, line_of(key), "%s is given twice", f->name);
        seen[f - fields] = true;
        err = read_field(r, f, value);
        if (err != EMU_OK)
            return err;
    }
    for (const struct case_field *f = fields; f->name; f++) {
        if (f->required && !seen[f - fields])
            return diag_set_at(r->d, EMU_EINPUT, r->c->path, line_of(n), "%s needs the key '%s'", name, f->name);
    }
    return EMU_OK;
}

/* The line of a top-level key; the file's first if it is not there. */
static unsigned line_of_key(struct reader *r, const yaml_node_t *root, const char *name)
{
    for (yaml_node_pair_t *p = root->data.mapping.pairs.start; p < root->data.mapping.pairs.top; p++) {
        const yaml_node_t *key = yaml_document_get_node(r->document, p->key);

        if (key->type == YAML_SCALAR_NODE && !strcmp(scalar_of(key), name))
            return line_of(key);
    }
    return 1;
}

/* What one key alone can't say. */
static enum emu_err check_whole(struct reader *r, const yaml_node_t *root)
{
    const struct test_case *c = r->c;
    unsigned guests = !!c->guest.kernel + !!c->guest.free_standing + !!c->guest.debian;

    if (guests != 1)
        return diag_set_at(r->d, EMU_EINPUT, c->path, line_of_key(r, root, "guest"),
                           "a guest is %sone of kernel, free-standing and debian", guests ? "only " : "");
    if (c->schedule && c->search.window)
        return diag_set_at(r->d, EMU_EINPUT, c->path, line_of_key(r, root, "search"),
                           "a case has a schedule or a search, not both");
    if (c->load.as && (c->schedule || c->search.window || c->detect || c->op_table || c->torn_site || c->same ||
                       c->limits.until || c->limits.steps_max != CASE_NONE))
        return diag_set_at(
            r->d, EMU_EINPUT, c->path, line_of_key(r, root, "load"),
            "a guest that is only loaded has no schedule, search, detect, op-table, torn-site, same or limits");
    if (c->load.as && !c->machine.xen_version)
        return diag_set_at(r->d, EMU_EINPUT, c->path, line_of_key(r, root, "load"),
                           "whether a guest is loaded depends on the Xen version: machine needs the key 'xen'");
    if (c->load.as && (c->expect.digest != CASE_NONE || c->expect.steps != CASE_NONE || c->expect.console))
        return diag_set_at(r->d, EMU_EINPUT, c->path, line_of_key(r, root, "expect"),
                           "digest, steps and console are those of a run, and this case only loads its guest");
    if (!c->search.window && (c->expect.failing != CASE_NONE || c->expect.covered != CASE_NONE))
        return diag_set_at(r->d, EMU_EINPUT, c->path, line_of_key(r, root, "expect"),
                           "failing and covered are numbers of a search, and this case has none");
    if (c->search.window && (c->expect.digest != CASE_NONE || c->expect.steps != CASE_NONE || c->expect.console))
        return diag_set_at(r->d, EMU_EINPUT, c->path, line_of_key(r, root, "expect"),
                           "digest, steps and console are those of one run, and this case is a search");
    if (c->same && !strchr(c->same, '@') && c->limits.until)
        return diag_set_at(r->d, EMU_EINPUT, c->path, line_of_key(r, root, "same"),
                           "the run is stopped before the guest ends, so say where to compare: same: %s@SYMBOL",
                           c->same);
    if (c->search.window && (c->limits.steps_max != CASE_NONE || c->limits.until))
        return diag_set_at(r->d, EMU_EINPUT, c->path, line_of_key(r, root, "limits"),
                           "limits are those of one run; a search has window-steps-max");
    return EMU_OK;
}

static enum emu_err parser_error(const yaml_parser_t *p, const char *path, struct diag *d)
{
    if (p->error == YAML_MEMORY_ERROR)
        return diag_no_memory(d);
    if (p->error == YAML_READER_ERROR)
        return diag_set_at(d, EMU_EINPUT, path, (unsigned)p->mark.line + 1, "not YAML: %s", p->problem);
    return diag_set_at(d, EMU_EINPUT, path, (unsigned)p->problem_mark.line + 1, "not YAML: %s%s%s%s",
                       p->context ? p->context : "", p->context ? ": " : "", p->problem,
                       strstr(p->problem, "mapping values") ? " (a text that contains ': ' must be quoted)" : "");
}

static enum emu_err load_document(const char *path, FILE *file, yaml_document_t **out, struct diag *d)
{
    yaml_document_t second;
    yaml_parser_t parser;
    enum emu_err err = EMU_OK;

    *out = NULL;
    if (!yaml_parser_initialize(&parser))
        return diag_no_memory(d);
    yaml_parser_set_input_file(&parser, file);
    *out = malloc(sizeof(**out));
    if (!*out) {
        err = diag_no_memory(d);
    } else if (!yaml_parser_load(&parser, *out)) {
        err = parser_error(&parser, path, d);
        free(*out);
        *out = NULL;
    } else if (!yaml_parser_load(&parser, &second)) {
        err = parser_error(&parser, path, d);
    } else {
        const yaml_node_t *root = yaml_document_get_root_node(&second);

        if (root)
            err = diag_set_at(d, EMU_EINPUT, path, line_of(root), "a file is one case; here a second one begins");
        yaml_document_delete(&second);
    }
    yaml_parser_delete(&parser);
    if (err != EMU_OK && *out) {
        yaml_document_delete(*out);
        free(*out);
        *out = NULL;
    }
    return err;
}

enum emu_err case_read_from(struct test_case *c, FILE *file, const char *path, struct diag *d)
{
    struct reader r = {c, NULL, d};
    const yaml_node_t *root;
    enum emu_err err;
    long bytes = -1;

    case_init(c);
    if (!fseek(file, 0, SEEK_END))
        bytes = ftell(file);
    rewind(file);
    if (bytes < 0 || bytes > (long)CASE_FILE_BYTES_MAX)
        return diag_set_at(d, EMU_EINPUT, path, 0, "is not a file of at most %u MiB", CASE_FILE_BYTES_MAX >> 20);
    err = load_document(path, file, &r.document, d);
    if (err != EMU_OK)
        return err;
    c->document = r.document;
    c->path = path;
    root = yaml_document_get_root_node(r.document);
    err = root ? read_section(&r, "a case", case_fields, root)
               : diag_set_at(d, EMU_EINPUT, path, 1, "is empty; docs/case.md describes a case");
    if (err == EMU_OK)
        err = check_whole(&r, root);
    if (err != EMU_OK)
        case_fini(c);
    return err;
}

enum emu_err case_read(struct test_case *c, const char *path, struct diag *d)
{
    FILE *file = fopen(path, "rb");
    enum emu_err err;

    case_init(c);
    if (!file)
        return diag_set_at(d, EMU_EINPUT, path, 0, "can't be opened: %s", strerror(errno));
    err = case_read_from(c, file, path, d);
    fclose(file);
    return err;
}

/* ---- writing ---- */

/* A value is given (its node), not given (0), or can't be written: then the case is not written at all. */
#define NODE_NOT_GIVEN 0

struct writer {
    const struct test_case *c;
    yaml_document_t *doc;
    const char *section, *key; /* that is written now, for messages */
    struct diag *d;
};

static enum emu_err no_memory(struct writer *w)
{
    return diag_no_memory(w->d);
}

static enum emu_err write_text(struct writer *w, const char *text, yaml_scalar_style_t style, int *node)
{
    char what[96];
    enum emu_err err;

    snprintf(what, sizeof(what), "%s%s%s", w->section, *w->section ? "." : "", w->key);
    err = utf8_check(what, text, w->d);
    if (err != EMU_OK)
        return err;
    *node = yaml_document_add_scalar(w->doc, NULL, (const yaml_char_t *)text, -1, style);
    return *node ? EMU_OK : no_memory(w);
}

/* Whether the field's value is a string, so that a pointer is what lies there. */
static bool is_text(enum case_field_type type)
{
    switch (type) {
    case CASE_FIELD_TEXT:
    case CASE_FIELD_BLOCK:
    case CASE_FIELD_WORD:
    case CASE_FIELD_REGEX:
    case CASE_FIELD_PLACE:
    case CASE_FIELD_INITRD:
    case CASE_FIELD_DETECTOR:
    case CASE_FIELD_LOAD:
    case CASE_FIELD_CPU:
        return true;
    case CASE_FIELD_SECTION:
    case CASE_FIELD_NUMBER:
    case CASE_FIELD_HEX:
    case CASE_FIELD_BYTES:
    case CASE_FIELD_MODE:
    case CASE_FIELD_XEN:
    case CASE_FIELD_VERDICT:
    case CASE_FIELD_YES:
    case CASE_FIELD_LIST:
        break;
    }
    return false;
}

/* Where blanks stand together or begin a line, the lines that libyaml makes of a text are not read as the same. */
static bool is_foldable(const char *text)
{
    return !isblank((unsigned char)text[0]) && !strstr(text, "  ") && !strstr(text, "\n ") && !strchr(text, '\t');
}

static enum emu_err write_list(struct writer *w, const struct case_field *f, int *node)
{
    const char *const *text = (const char *const *)((const char *)w->c + f->offset);
    const unsigned count = *(const unsigned *)((const char *)w->c + f->count_offset);
    enum emu_err err = EMU_OK;

    if (!count)
        return EMU_OK;
    *node = yaml_document_add_sequence(w->doc, NULL, YAML_BLOCK_SEQUENCE_STYLE);
    if (!*node)
        return no_memory(w);
    for (unsigned i = 0; err == EMU_OK && i < count; i++) {
        int item;

        err = write_text(w, text[i], YAML_ANY_SCALAR_STYLE, &item);
        if (err == EMU_OK && !yaml_document_append_sequence_item(w->doc, *node, item))
            err = no_memory(w);
    }
    return err;
}

static yaml_scalar_style_t style_of(enum case_field_type type, const char *text)
{
    switch (type) {
    case CASE_FIELD_TEXT:
        return is_foldable(text) ? YAML_FOLDED_SCALAR_STYLE : YAML_LITERAL_SCALAR_STYLE;
    case CASE_FIELD_BLOCK:
        return YAML_LITERAL_SCALAR_STYLE;
    default:
        return *text ? YAML_ANY_SCALAR_STYLE : YAML_SINGLE_QUOTED_SCALAR_STYLE;
    }
}

/* *node is the field's value, and stays NODE_NOT_GIVEN if the case does not give it. */
static enum emu_err write_value(struct writer *w, const struct case_field *f, int *node)
{
    const void *from = case_field_member(w->c, f);
    const char *string = is_text(f->type) ? *(const char *const *)from : NULL;
    uint64_t number = case_field_is_number(f->type) ? *(const uint64_t *)from : 0;
    char text[32];

    if (is_text(f->type))
        return string ? write_text(w, string, style_of(f->type, string), node) : EMU_OK;
    if (case_field_is_number(f->type) && number == CASE_NONE)
        return EMU_OK;
    switch (f->type) {
    case CASE_FIELD_NUMBER:
        snprintf(text, sizeof(text), "%" PRIu64, number);
        return write_text(w, text, YAML_PLAIN_SCALAR_STYLE, node);
    case CASE_FIELD_HEX: /* quoted, since other readers take digits and an e for a number */
        snprintf(text, sizeof(text), "%016" PRIx64, number);
        return write_text(w, text, YAML_SINGLE_QUOTED_SCALAR_STYLE, node);
    case CASE_FIELD_BYTES:
        snprintf(text, sizeof(text), "%" PRIu64 "%s", number % (1 << 20) ? number >> 10 : number >> 20,
                 number % (1 << 20) ? "K" : "M");
        return write_text(w, text, YAML_PLAIN_SCALAR_STYLE, node);
    case CASE_FIELD_MODE:
        return write_text(w, platform_mode_name(*(const enum platform_mode *)from), YAML_PLAIN_SCALAR_STYLE, node);
    case CASE_FIELD_XEN:
        if (!*(const unsigned *)from)
            return EMU_OK;
        snprintf(text, sizeof(text), "%u.%u", *(const unsigned *)from >> 16, *(const unsigned *)from & 0xffff);
        return write_text(w, text, YAML_SINGLE_QUOTED_SCALAR_STYLE, node);
    case CASE_FIELD_VERDICT:
        return write_text(w, verdict_kind_name(*(const enum verdict_kind *)from), YAML_PLAIN_SCALAR_STYLE, node);
    case CASE_FIELD_YES:
        return *(const bool *)from ? write_text(w, "yes", YAML_PLAIN_SCALAR_STYLE, node) : EMU_OK;
    case CASE_FIELD_LIST:
        return write_list(w, f, node);
    default:
        break;
    }
    return EMU_OK;
}

/* *node stays NODE_NOT_GIVEN if nothing of the section is given. */
static enum emu_err write_section(struct writer *w, const char *name, const struct case_field *fields, int *node)
{
    int section = yaml_document_add_mapping(w->doc, NULL, YAML_BLOCK_MAPPING_STYLE), written = 0;

    if (!section)
        return no_memory(w);
    for (const struct case_field *f = fields; f->name; f++) {
        int value = NODE_NOT_GIVEN, key;
        enum emu_err err;

        w->section = name;
        w->key = f->name;
        err = f->type == CASE_FIELD_SECTION ? write_section(w, f->name, f->section, &value) : write_value(w, f, &value);
        if (err != EMU_OK)
            return err;
        if (value == NODE_NOT_GIVEN)
            continue;
        err = write_text(w, f->name, YAML_PLAIN_SCALAR_STYLE, &key);
        if (err != EMU_OK)
            return err;
        if (!yaml_document_append_mapping_pair(w->doc, section, key, value))
            return no_memory(w);
        written++;
    }
    *node = written ? section : NODE_NOT_GIVEN;
    return EMU_OK;
}

enum emu_err case_write(const struct test_case *c, FILE *to, struct diag *d)
{
    yaml_emitter_t emitter;
    yaml_document_t doc;
    struct writer w = {.c = c, .doc = &doc, .d = d};
    int root = NODE_NOT_GIVEN;
    enum emu_err err;
    bool ok;

    if (!yaml_emitter_initialize(&emitter))
        return diag_no_memory(d);
    yaml_emitter_set_output_file(&emitter, to);
    yaml_emitter_set_width(&emitter, LINE_WIDTH);
    yaml_emitter_set_unicode(&emitter, 1);
    err = yaml_document_initialize(&doc, NULL, NULL, NULL, 1, 1) ? EMU_OK : no_memory(&w);
    if (err != EMU_OK) {
        yaml_emitter_delete(&emitter);
        return err;
    }
    err = write_section(&w, "", case_fields, &root);
    if (err != EMU_OK) {
        yaml_document_delete(&doc);
        yaml_emitter_delete(&emitter);
        return err;
    }
    /* The emitter frees the document, whatever comes of it. */
    errno = 0;
    ok = yaml_emitter_open(&emitter) && yaml_emitter_dump(&emitter, &doc) && yaml_emitter_close(&emitter);
    yaml_emitter_delete(&emitter);
    if (!ok || fflush(to) || ferror(to))
        return diag_set(d, EMU_EHOST, "the case can't be written: %s", errno ? strerror(errno) : "no memory");
    return EMU_OK;
}

enum emu_err case_parse_place(const char *text, struct case_place *place, struct diag *d)
{
    const char *plus = strrchr(text, '+');
    size_t length = plus ? (size_t)(plus - text) : strlen(text);
    char *end = NULL;

    memset(place, 0, sizeof(*place));
    place->offset = CASE_NONE;
    if (!strncmp(text, "0x", 2)) {
        errno = 0;
        place->offset = strtoull(text, &end, 16);
    } else if (length && length < sizeof(place->symbol) && !isdigit((unsigned char)text[0]) &&
               !text[strcspn(text, " \t\n/")]) {
        memcpy(place->symbol, text, length);
        errno = 0;
        if (plus)
            place->offset = strtoull(plus + 1, &end, 0);
    } else {
        return diag_set(d, EMU_EINPUT, "'%s' is not a place", text);
    }
    if (end && (*end || (plus && end == plus + 1) || errno))
        return diag_set(d, EMU_EINPUT, "'%s' is not a place", text);
    return EMU_OK;
}
