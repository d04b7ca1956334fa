/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/image/symbol_file.h"

#include <ctype.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>

#include "emu/base/ensure.h"

/* A run of symbols of one sort, by address: one section. */
struct run {
    uint64_t start_gva, end_gva;
    bool code;
};

struct file {
    const struct symbols *s;
    Elf *elf;
    unsigned bits;
    struct run *runs;
    unsigned count;
    char *names; /* a string table: a zero, then each name with its zero */
    size_t names_bytes, names_room;
    void *table;
};

static bool is_absolute(char kind)
{
    return kind == 'A' || kind == 'a' || kind == '?';
}

/* Weak symbols are mostly functions. */
static bool is_code(char kind)
{
    return kind == 'T' || kind == 't' || kind == 'W' || kind == 'w';
}

static bool is_global(char kind)
{
    return isupper((unsigned char)kind);
}

static void find_runs(struct file *f)
{
    struct symbol symbol;

    for (size_t i = 0; i < symbols_count(f->s); i++) {
        struct run *last = f->count ? &f->runs[f->count - 1] : NULL;

        symbols_get(f->s, i, &symbol);
        if (is_absolute(symbol.kind))
            continue;
        if (!last || (last->code != is_code(symbol.kind) && symbol.start_gva > last->start_gva)) {
            if (f->count == SYMBOL_FILE_SECTIONS_MAX)
                return;
            if (last) /* what begins here ends what was before */
                last->end_gva = symbol.start_gva;
            last = &f->runs[f->count++];
            *last = (struct run){symbol.start_gva, symbol.start_gva, is_code(symbol.kind)};
        }
        if (symbol.start_gva + symbol.bytes > last->end_gva)
            last->end_gva = symbol.start_gva + symbol.bytes;
    }
}

/* The section of a symbol: its index among all sections, of which the first is the empty one. */
static GElf_Section section_of(const struct file *f, const struct symbol *symbol)
{
    unsigned low = 0, high = f->count;

    if (is_absolute(symbol->kind))
        return SHN_ABS;
    while (low < high) { /* the last run that does not begin behind it */
        unsigned middle = low + (high - low) / 2;

        if (f->runs[middle].start_gva <= symbol->start_gva)
            low = middle + 1;
        else
            high = middle;
    }
    return low && symbol->start_gva <= f->runs[low - 1].end_gva ? (GElf_Section)low : SHN_ABS;
}

static enum emu_err fail(struct diag *d)
{
    return diag_set(d, EMU_EHOST, "the symbol file can't be written: %s", elf_errmsg(-1));
}

/* Append a name; 0 if there is no memory (the empty name is there already). */
static GElf_Word add_name(struct file *f, const char *name)
{
    size_t length = strlen(name) + 1, at = f->names_bytes;

    if (at + length > f->names_room) {
        size_t more = 2 * (at + length);
        char *names = realloc(f->names, more);

        if (!names)
            return 0;
        f->names = names;
        f->names_room = more;
    }
    memcpy(f->names + at, name, length);
    f->names_bytes += length;
    return (GElf_Word)at;
}

/* A section with its bytes, or, if there are none, only its size. */
static Elf_Data *add_section(struct file *f, const GElf_Shdr *wanted, void *bytes, size_t count)
{
    Elf_Scn *section = elf_newscn(f->elf);
    Elf_Data *data = section ? elf_newdata(section) : NULL;
    GElf_Shdr header;

    if (!data || !gelf_getshdr(section, &header))
        return NULL;
    data->d_buf = bytes;
    data->d_size = count;
    data->d_align = wanted->sh_addralign;
    data->d_type = wanted->sh_type == SHT_SYMTAB ? ELF_T_SYM : ELF_T_BYTE;
    header.sh_name = wanted->sh_name;
    header.sh_type = wanted->sh_type;
    header.sh_flags = wanted->sh_flags;
    header.sh_addr = wanted->sh_addr;
    header.sh_link = wanted->sh_link;
    header.sh_info = wanted->sh_info;
    header.sh_addralign = wanted->sh_addralign;
    header.sh_entsize = wanted->sh_entsize;
    return gelf_update_shdr(section, &header) ? data : NULL;
}

/* Local symbols come first, as the ABI wants it. */
static enum emu_err fill_table(struct file *f, Elf_Data *table, struct diag *d)
{
    size_t n = 1;

    for (unsigned global = 0; global < 2; global++)
        for (size_t i = 0; i < symbols_count(f->s); i++) {
            struct symbol symbol;
            GElf_Sym out = {0};

            symbols_get(f->s, i, &symbol);
            if (is_global(symbol.kind) != global)
                continue;
            out.st_name = add_name(f, symbol.name);
            if (!out.st_name)
                return diag_no_memory(d);
            out.st_info =
                (unsigned char)GELF_ST_INFO(global ? STB_GLOBAL : STB_LOCAL, is_code(symbol.kind)       ? STT_FUNC
                                                                             : is_absolute(symbol.kind) ? STT_NOTYPE
                                                                                                        : STT_OBJECT);
            out.st_shndx = section_of(f, &symbol);
            out.st_value = symbol.start_gva;
            out.st_size = symbol.bytes;
            if (!gelf_update_sym(table, (int)n++, &out))
                return fail(d);
        }
    return EMU_OK;
}

/* How many symbols are local, with the empty one. */
static GElf_Word count_locals(const struct file *f)
{
    GElf_Word n = 1;

    for (size_t i = 0; i < symbols_count(f->s); i++) {
        struct symbol symbol;

        symbols_get(f->s, i, &symbol);
        n += !is_global(symbol.kind);
    }
    return n;
}

static enum emu_err write_header(struct file *f, struct diag *d)
{
    GElf_Ehdr header;

    if (!gelf_newehdr(f->elf, f->bits == 64 ? ELFCLASS64 : ELFCLASS32) || !gelf_getehdr(f->elf, &header))
        return fail(d);
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_type = ET_EXEC;
    header.e_machine = f->bits == 64 ? EM_X86_64 : EM_386;
    header.e_version = EV_CURRENT;
    header.e_shstrndx = (GElf_Half)(f->count + 2);
    return gelf_update_ehdr(f->elf, &header) ? EMU_OK : fail(d);
}

static enum emu_err write_sections(struct file *f, struct diag *d)
{
    GElf_Word text = add_name(f, ".text"), data = add_name(f, ".data");
    size_t entry = gelf_fsize(f->elf, ELF_T_SYM, 1, EV_CURRENT), bytes = (symbols_count(f->s) + 1) * entry;
    GElf_Shdr symtab = {.sh_name = add_name(f, ".symtab"),
                        .sh_type = SHT_SYMTAB,
                        .sh_link = f->count + 2,
                        .sh_info = count_locals(f),
                        .sh_addralign = f->bits / 8,
                        .sh_entsize = entry};
    GElf_Shdr strtab = {.sh_name = add_name(f, ".strtab"), .sh_type = SHT_STRTAB, .sh_addralign = 1};
    Elf_Data *table;
    enum emu_err err;

    f->table = calloc(1, bytes);
    if (!f->table || !strtab.sh_name)
        return diag_no_memory(d);
    for (unsigned i = 0; i < f->count; i++) {
        const struct run *run = &f->runs[i];
        GElf_Shdr section = {.sh_name = run->code ? text : data,
                             .sh_type = SHT_NOBITS,
                             .sh_flags = SHF_ALLOC | (run->code ? SHF_EXECINSTR : SHF_WRITE),
                             .sh_addr = run->start_gva,
                             .sh_addralign = 1};

        if (!add_section(f, &section, NULL, run->end_gva - run->start_gva))
            return fail(d);
    }
    table = add_section(f, &symtab, f->table, bytes);
    if (!table)
        return fail(d);
    err = fill_table(f, table, d);
    if (err == EMU_OK && (!add_section(f, &strtab, f->names, f->names_bytes) || elf_update(f->elf, ELF_C_WRITE) < 0))
        err = fail(d);
    return err;
}

enum emu_err symbol_file_write(const struct symbols *s, unsigned bits, int fd, struct diag *d)
{
    struct file f = {.s = s, .bits = bits, .names_bytes = 1, .names_room = 1};
    enum emu_err err;

    ensure(bits == 32 || bits == 64);
    if (elf_version(EV_CURRENT) == EV_NONE)
        return diag_set(d, EMU_EHOST, "libelf does not know the current ELF version");
    f.runs = calloc(SYMBOL_FILE_SECTIONS_MAX, sizeof(*f.runs));
    f.names = calloc(1, f.names_room);
    f.elf = elf_begin(fd, ELF_C_WRITE, NULL);
    if (!f.runs || !f.names)
        err = diag_no_memory(d);
    else if (!f.elf)
        err = fail(d);
    else {
        find_runs(&f);
        err = write_header(&f, d);
    }
    if (err == EMU_OK)
        err = write_sections(&f, d);
    elf_end(f.elf);
    free(f.runs);
    free(f.names);
    free(f.table);
    return err;
}
