/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bootrace symbols: what names an image, a System.map and a vmlinux give, and which of them an address or name is. */
#include "cli/symbols.h"

#include "cli/command.h"
#include "cli/image_argument.h"
#include "cli/run/json_text.h"
#include "cli/run/kernel.h"
#include "emu/base/plural.h"
#include "emu/image/image.h"
#include "emu/image/symbol_file.h"
#include "emu/image/symbols.h"
#include "emu/image/symbols_elf.h"
#include "models/image_formats.h"
#include "models/linux/kallsyms.h"
#include "models/linux/system_map.h"
#include "models/linux/window_names.h"
#include "models/xen/xen_symbols.h"
#include "models/xen/xen_words.h"

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SOURCES_MAX 4
#define TEXT_BYTES  4352 /* a longest name and its offset */

struct options {
    const char *image, *system_map, *vmlinux, *find, *elf;
    bool json;
};

struct source {
    const char *name; /* kallsyms, System.map, ELF symbols, DWARF */
    const char *file;
    const char *detail; /* "" or how its tables are arranged */
    size_t symbols, lines;
};

struct report {
    struct source sources[SOURCES_MAX];
    unsigned count;
    unsigned bits; /* of the image: 32 or 64 */
};

static const struct argp_option argp_options[] = {
    {"system-map", 'm', "FILE", 0, "Add the symbols of this System.map", 0},
    {"vmlinux", 'v', "FILE", 0, "Add the symbols and source lines of this vmlinux with debug data", 0},
    {"find", 'f', "NAME|ADDRESS", 0, "Say where this name is, or what is at this address (0x…)", 0},
    {"elf", 'e', "OUT", 0, "Write them all to OUT, a symbol file for gdb", 0},
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
    case 'm':
        o->system_map = value;
        return 0;
    case 'v':
        o->vmlinux = value;
        return 0;
    case 'f':
        o->find = value;
        return 0;
    case 'e':
        o->elf = value;
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
    "List where the symbols of a guest image come from: the kernel's own kallsyms tables, "
    "its ELF symbol table, a System.map, a vmlinux with debug data.\v"
    "Examples:\n"
    "  bootrace symbols vmlinuz --find start_kernel\n"
    "  bootrace symbols vmlinuz --elf vmlinux.symbols && gdb vmlinux.symbols\n"
    "\n"
    "Exit status: 0 found, 2 wrong input, no symbols, or nothing found, 5 bootrace or the "
    "host failed.",
    children,
    NULL,
    NULL,
};

static void add_source(struct report *r, const char *name, const char *file, const char *detail, size_t symbols,
                       size_t lines)
{
    if (symbols || lines)
        r->sources[r->count++] = (struct source){name, file, detail, symbols, lines};
}

/* Either the kernel's own tables or the ELF symbols; the tables' complaint is kept for when there is nothing at all. */
static enum emu_err read_image(const struct image *img, const char *file, struct symbols *s, struct report *r,
                               struct diag *complaint, struct diag *d)
{
    struct kernel_view v;
    struct kallsyms_tables t;
    uint64_t start_gva;
    size_t found;
    enum emu_err err;
    if (xen_words_are_of(img->bytes, img->size) &&
        xen_symbols_read(img, "", s, &found, &start_gva, complaint) == EMU_OK) {
        add_source(r, "Xen's own table", file, "", found, 0);
        r->bits = 64; /* though its file is one of 32 bits, for the loader */
        return EMU_OK;
    }
    err = symbols_elf_read(img->bytes, img->size, s, &found, d);
    if (err != EMU_OK)
        return err;
    add_source(r, "ELF symbols", file, "", found, 0);
    if (found)
        return EMU_OK;
    err = kernel_view_init(&v, img->bytes, img->size, complaint);
    if (err == EMU_OK)
        err = kallsyms_read(&v, s, &t, complaint);
    if (err == EMU_OK)
        add_source(r, "kallsyms", file, kallsyms_describe(&t), t.count, 0);
    if (err != EMU_EHOST)
        return EMU_OK;
    *d = *complaint;
    return err;
}

static enum emu_err read_vmlinux(const char *path, struct symbols *s, struct report *r, struct diag *d)
{
    struct kernel_vmlinux has;
    enum emu_err err = kernel_read_vmlinux(path, s, &has, d);

    if (err != EMU_OK)
        return err;
    add_source(r, "ELF symbols", path, "", has.symbols, 0);
    add_source(r, "DWARF", path, "", has.functions, has.lines);
    return EMU_OK;
}

static enum emu_err read_all(const struct options *o, struct symbols *s, struct report *r, struct diag *d)
{
    struct diag complaint;
    struct image *img;
    enum emu_err err;

    diag_init(&complaint);
    err = image_load_file(o->image, image_formats, &img, d);
    if (err != EMU_OK)
        return err;
    r->bits = img->elf_class;
    err = read_image(img, o->image, s, r, &complaint, d);
    image_free(img);
    if (err != EMU_OK)
        return err;
    if (o->system_map) {
        size_t before = symbols_count(s);
        err = system_map_read(o->system_map, s, d);
        if (err != EMU_OK)
            return err;
        add_source(r, "System.map", o->system_map, "", symbols_count(s) - before, 0);
    }
    if (o->vmlinux)
        err = read_vmlinux(o->vmlinux, s, r, d);
    if (err == EMU_OK && !r->count)
        err = diag_set_at(d, EMU_EINPUT, o->image, 0, "there are no symbols: %s",
                          complaint.text[0] ? complaint.text : "no ELF symbol table");
    if (err == EMU_OK)
        err = symbols_seal(s, d);
    if (err == EMU_OK)
        window_names_add(s);
    return err;
}

static json_t *symbol_json(const struct symbols *s, const struct symbol *symbol, uint64_t gva)
{
    char address[32], text[TEXT_BYTES], kind[2] = {symbol->kind, 0};
    const char *file;
    unsigned line;
    json_t *object;

    snprintf(address, sizeof(address), "0x%" PRIx64, symbol->start_gva);
    symbols_print(s, gva, text, sizeof(text));
    object = json_pack("{s:o, s:o, s:o, s:I, s:o}", "name", json_text(symbol->name), "address", json_text(address),
                       "kind", json_text(kind), "bytes", (json_int_t)symbol->bytes, "place", json_text(text));
    if (object && symbols_find_line(s, gva, &file, &line)) {
        json_object_set_new(object, "file", json_text(file));
        json_object_set_new(object, "line", json_integer(line));
    }
    return object;
}

static void print_symbol(const struct symbols *s, const struct symbol *symbol, uint64_t gva)
{
    const char *file;
    unsigned line;
    printf("0x%" PRIx64 " %c %s+0x%" PRIx64 "/0x%" PRIx64, gva, symbol->kind, symbol->name, gva - symbol->start_gva,
           symbol->bytes);
    if (symbols_find_line(s, gva, &file, &line))
        printf(" %s:%u", file, line);
    printf("\n");
}

/* All symbols of a name, or the one that holds an address; into `found` if there is one, else printed. Their number. */
static size_t find(const struct symbols *s, const char *what, json_t *found)
{
    struct symbol symbol;
    char *end;
    uint64_t gva;
    size_t count;

    errno = 0;
    gva = strtoull(what, &end, 16);
    count = symbols_find_name(s, what, &symbol);
    for (size_t i = 0; i < count; i++) {
        symbols_get_named(s, what, i, &symbol);
        if (found)
            json_array_append_new(found, symbol_json(s, &symbol, symbol.start_gva));
        else
            print_symbol(s, &symbol, symbol.start_gva);
    }
    if (count > 1 && !found)
        printf("%s is ambiguous: %zu symbols have this name\n", what, count);
    if (count || *end || end == what || errno || !symbols_find_address(s, gva, &symbol))
        return count;
    if (found)
        json_array_append_new(found, symbol_json(s, &symbol, gva));
    else
        print_symbol(s, &symbol, gva);
    return 1;
}

static size_t print_json(const struct options *o, const struct symbols *s, const struct report *r)
{
    json_t *sources = json_array(), *found = o->find ? json_array() : NULL;
    size_t count;
    json_t *object;

    for (unsigned i = 0; i < r->count; i++) {
        const struct source *source = &r->sources[i];
        json_array_append_new(sources,
                              json_pack("{s:o, s:o, s:o, s:I, s:I}", "source", json_text(source->name), "file",
                                        json_text(source->file), "detail", json_text(source->detail), "symbols",
                                        (json_int_t)source->symbols, "lines", (json_int_t)source->lines));
    }
    count = o->find ? find(s, o->find, found) : 1;
    object = json_pack("{s:I, s:I, s:o}", "symbols", (json_int_t)symbols_count(s), "lines",
                       (json_int_t)symbols_line_count(s), "sources", sources);
    if (found)
        json_object_set_new(object, "found", found);
    json_dumpf(object, stdout, JSON_INDENT(2));
    printf("\n");
    json_decref(object);
    return count;
}

static size_t print_text(const struct options *o, const struct symbols *s, const struct report *r)
{
    if (o->find)
        return find(s, o->find, NULL);
    for (unsigned i = 0; i < r->count; i++) {
        const struct source *source = &r->sources[i];
        printf("%s: %zu symbol%s", source->name, source->symbols, plural(source->symbols));
        if (source->lines)
            printf(", %zu line%s", source->lines, plural(source->lines));
        printf(" from %s%s%s%s\n", source->file, *source->detail ? " (" : "", source->detail,
               *source->detail ? ")" : "");
    }
    printf("together %zu different symbol%s\n", symbols_count(s), plural(symbols_count(s)));
    return 1;
}

static enum emu_err write_elf(const struct options *o, const struct symbols *s, const struct report *r, struct diag *d)
{
    int fd = open(o->elf, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    enum emu_err err;
    if (fd < 0)
        return diag_set_at(d, EMU_EINPUT, o->elf, 0, "can't be written: %s", strerror(errno));
    err = symbol_file_write(s, r->bits, fd, d);
    if (close(fd) && err == EMU_OK)
        err = diag_set(d, EMU_EHOST, "can't be written: %s", strerror(errno));
    if (err != EMU_OK)
        diag_add_place(d, o->elf, 0);
    return err;
}

int symbols_run(int argc, char **argv)
{
    struct options o = {0};
    struct report r = {.count = 0};
    struct diag d;
    int status = COMMAND_PASS;
    enum emu_err err;
    struct symbols *s;

    diag_init(&d);
    argp_err_exit_status = COMMAND_INPUT;
    if (argp_parse(&argp, argc, argv, 0, NULL, &o))
        return COMMAND_INPUT;
    s = symbols_new();
    if (!s) {
        fprintf(stderr, "%s: there is not enough memory\n", argv[0]);
        return COMMAND_ERROR;
    }
    err = read_all(&o, s, &r, &d);
    if (err == EMU_OK && o.elf)
        err = write_elf(&o, s, &r, &d);
    if (err != EMU_OK) {
        status = command_fail(argv[0], err, &d);
    } else if (!(o.json ? print_json(&o, s, &r) : print_text(&o, s, &r))) {
        fprintf(stderr, "%s: no symbol is called, or is at, '%s'\n", argv[0], o.find);
        status = COMMAND_INPUT;
    }
    symbols_free(s);
    return status;
}
