/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bootrace patches: which tables of code to patch a kernel has, and which of its instructions they name. */
#include "cli/patches.h"

#include "cli/command.h"
#include "cli/image_argument.h"
#include "cli/run/json_text.h"
#include "cli/run/kernel.h"

#include <argp.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

#define TEXT_BYTES 4352 /* a longest name and its offset */

struct options {
    const char *image, *function;
    enum patch_kind table; /* PATCH_KINDS: all */
    bool json, list;
};

static const struct argp_option argp_options[] = {
    {"table", 't', "NAME", 0, "List the sites of this table", 0},
    {"function", 'f', "NAME", 0, "List the sites in this function", 0},
    {"json", 'j', NULL, 0, "Print one JSON object", 0},
    {0},
};

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct options *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->image;
        return 0;
    case 't':
        o->table = patch_kind_parse(value);
        o->list = true;
        if (o->table == PATCH_KINDS)
            argp_error(state, "there is no table '%s'", value);
        return 0;
    case 'f':
        o->function = value;
        o->list = true;
        return 0;
    case 'j':
        o->json = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&image_argument_argp, 0, NULL, 0}, {0}};

static const struct argp argp = {
    argp_options,
    parse_option,
    "IMAGE",
    "List the tables by which a Linux kernel patches its own code: alternatives, paravirt, "
    "jump_labels, static_calls, smp_locks, retpolines, returns, calls, endbr, fentry. With "
    "--table or --function, list each site too.\v"
    "Examples:\n"
    "  bootrace patches vmlinuz\n"
    "  bootrace patches vmlinuz --table paravirt\n"
    "  bootrace patches vmlinuz --function _raw_spin_lock --json\n"
    "\n"
    "Exit status: 0 listed, 2 wrong input, no tables, or no site there, 5 bootrace or the "
    "host failed.",
    children,
    NULL,
    NULL,
};

static json_t *hex_json(uint64_t value)
{
    char text[32];
    snprintf(text, sizeof(text), "0x%" PRIx64, value);
    return json_text(text);
}

static json_t *entry_json(const struct kernel *k, const struct patch_entry *e)
{
    char place[TEXT_BYTES];
    json_t *object;

    symbols_print(k->symbols, e->site_gva, place, sizeof(place));
    object = json_pack("{s:o, s:o, s:o, s:I, s:o, s:I}", "table", json_text(patch_kind_name(e->kind)), "site",
                       hex_json(e->site_gva), "place", json_text(place), "bytes", (json_int_t)e->site_bytes, "entry",
                       hex_json(e->entry_gva), "index", (json_int_t)e->index);
    if (e->kind == PATCH_ALTERNATIVE || e->kind == PATCH_PARAVIRT)
        json_object_set_new(object, "feature", json_integer(e->feature));
    if (e->kind == PATCH_ALTERNATIVE) {
        json_object_set_new(object, "inverted", json_boolean(e->inverted));
        json_object_set_new(object, "flags", json_integer(e->flags));
        json_object_set_new(object, "replacement", hex_json(e->replacement_gva));
        json_object_set_new(object, "replacement_bytes", json_integer(e->replacement_bytes));
    }
    if (e->target_gva)
        json_object_set_new(object, "target", hex_json(e->target_gva));
    if (e->key_gva) {
        symbols_print(k->symbols, e->key_gva, place, sizeof(place));
        json_object_set_new(object, "key", json_text(place));
    }
    return object;
}

static void print_code(const char *title, const struct kernel *k, uint64_t gva, unsigned bytes)
{
    uint8_t code[PATCH_SITE_BYTES_MAX];
    if (!bytes || !kernel_view_read(&k->view, gva, code, bytes))
        return;
    printf("%s", title);
    for (unsigned i = 0; i < bytes; i++)
        printf("%02x", code[i]);
}

static void print_entry(const struct kernel *k, const struct patch_entry *e)
{
    char place[TEXT_BYTES];
    symbols_print(k->symbols, e->site_gva, place, sizeof(place));
    printf("%s[%u] 0x%" PRIx64 " %s", patch_kind_name(e->kind), e->index, e->site_gva, place);
    print_code(" ", k, e->site_gva, e->site_bytes);
    if (e->kind == PATCH_ALTERNATIVE) {
        printf(" if %s%u*32+%u", e->inverted ? "not " : "", e->feature / 32, e->feature % 32);
        print_code(" -> ", k, e->replacement_gva, e->replacement_bytes);
    }
    if (e->kind == PATCH_PARAVIRT)
        printf(" operation %u", e->feature);
    if (e->key_gva) {
        symbols_print(k->symbols, e->key_gva, place, sizeof(place));
        printf(" key %s", place);
    }
    if (e->target_gva) {
        symbols_print(k->symbols, e->target_gva, place, sizeof(place));
        printf(" -> %s", place);
    }
    printf("\n");
}

/* The sites asked for; into `list` if there is one, else printed. Their number. */
static size_t list_sites(const struct options *o, const struct kernel *k, const struct symbol *function, json_t *list)
{
    size_t count = 0;
    for (unsigned kind = 0; kind < PATCH_KINDS; kind++) {
        if (o->table != PATCH_KINDS && o->table != kind)
            continue;
        for (uint32_t i = 0; i < k->tables.tables[kind].count; i++) {
            struct patch_entry e;
            patch_tables_get(&k->tables, (enum patch_kind)kind, i, &e);
            if (!e.site_bytes ||
                (function && (e.site_gva < function->start_gva || e.site_gva - function->start_gva >= function->bytes)))
                continue;
            count++;
            if (list)
                json_array_append_new(list, entry_json(k, &e));
            else
                print_entry(k, &e);
        }
    }
    return count;
}

/* Entries that patch something. */
static uint32_t count_sites(const struct kernel *k, enum patch_kind kind)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < k->tables.tables[kind].count; i++) {
        struct patch_entry e;
        patch_tables_get(&k->tables, kind, i, &e);
        count += e.site_bytes != 0;
    }
    return count;
}

/* A kernel without CONFIG_KALLSYMS_ALL has tables that nothing in its image names. */
static void print_absent(const struct kernel *k)
{
    const char *before = "named by no section or symbol of the image: ";

    for (unsigned kind = 0; kind < PATCH_KINDS; kind++) {
        if (k->tables.tables[kind].is_present)
            continue;
        printf("%s%s", before, patch_kind_name((enum patch_kind)kind));
        before = ", ";
    }
    if (before[0] == ',')
        putchar('\n');
}

static void print_tables(const struct kernel *k)
{
    for (unsigned kind = 0; kind < PATCH_KINDS; kind++) {
        const struct patch_table *t = &k->tables.tables[kind];
        if (!t->is_present)
            continue;
        if (t->refusal[0])
            printf("%-13s refused: %s\n", patch_kind_name((enum patch_kind)kind), t->refusal);
        else
            printf("%-13s %7u sites at 0x%" PRIx64 " (%s)%s%s\n", patch_kind_name((enum patch_kind)kind),
                   count_sites(k, (enum patch_kind)kind), t->start_gva, t->from_section ? "section" : "symbols",
                   *patch_table_describe(t) ? ", " : "", patch_table_describe(t));
    }
    print_absent(k);
}

static json_t *tables_json(const struct kernel *k)
{
    json_t *list = json_array();
    for (unsigned kind = 0; kind < PATCH_KINDS; kind++) {
        const struct patch_table *t = &k->tables.tables[kind];
        if (t->is_present)
            json_array_append_new(list,
                                  json_pack("{s:o, s:o, s:I, s:I, s:o, s:o, s:o}", "table",
                                            json_text(patch_kind_name((enum patch_kind)kind)), "start",
                                            hex_json(t->start_gva), "bytes", (json_int_t)t->bytes, "sites",
                                            (json_int_t)count_sites(k, (enum patch_kind)kind), "found_by",
                                            json_text(t->from_section ? "section" : "symbols"), "layout",
                                            json_text(patch_table_describe(t)), "refusal", json_text(t->refusal)));
    }
    return list;
}

static size_t print_all(const struct options *o, const struct kernel *k, const struct symbol *function)
{
    size_t count = 1;
    json_t *object;

    if (!o->json) {
        if (!o->list)
            print_tables(k);
        return o->list ? list_sites(o, k, function, NULL) : count;
    }
    object = json_pack("{s:o}", "tables", tables_json(k));
    if (o->list) {
        json_t *sites = json_array();
        count = list_sites(o, k, function, sites);
        json_object_set_new(object, "sites", sites);
    }
    json_dumpf(object, stdout, JSON_INDENT(2));
    printf("\n");
    json_decref(object);
    return count;
}

int patches_run(int argc, char **argv)
{
    struct options o = {.table = PATCH_KINDS};
    struct symbol function;
    struct kernel k;
    struct diag d;
    int status = COMMAND_PASS;
    enum emu_err err;
    size_t named;

    diag_init(&d);
    argp_err_exit_status = COMMAND_INPUT;
    if (argp_parse(&argp, argc, argv, 0, NULL, &o))
        return COMMAND_INPUT;
    err = kernel_init(&k, o.image, &d);
    if (err != EMU_OK)
        return command_fail(argv[0], err, &d);
    named = o.function ? symbols_find_name(k.symbols, o.function, &function) : 1;
    if (!named) {
        fprintf(stderr, "%s: no symbol is called '%s'\n", argv[0], o.function);
        status = COMMAND_INPUT;
    } else if (named != 1) {
        fprintf(stderr, "%s: %zu symbols are called '%s'\n", argv[0], named, o.function);
        status = COMMAND_INPUT;
    } else if (!print_all(&o, &k, o.function ? &function : NULL)) {
        fprintf(stderr, "%s: there is no site to patch%s%s%s%s\n", argv[0], o.function ? " in " : "",
                o.function ? o.function : "", o.table != PATCH_KINDS ? " by the table " : "",
                o.table != PATCH_KINDS ? patch_kind_name(o.table) : "");
        status = COMMAND_INPUT;
    }
    kernel_fini(&k);
    return status;
}
