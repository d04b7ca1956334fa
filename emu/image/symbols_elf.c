/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/image/symbols_elf.h"

#include <ctype.h>
#include <gelf.h>
#include <string.h>

/* The letter nm(1) prints, as far as the kinds that matter here go. */
static char symbol_kind(Elf *elf, const GElf_Sym *symbol)
{
    GElf_Shdr header;
    unsigned binding = GELF_ST_BIND(symbol->st_info);
    char kind = '?';
    Elf_Scn *section = symbol->st_shndx < SHN_LORESERVE ? elf_getscn(elf, symbol->st_shndx) : NULL;
    if (symbol->st_shndx == SHN_ABS)
        kind = 'a';
    else if (section && gelf_getshdr(section, &header)) {
        if (header.sh_flags & SHF_EXECINSTR)
            kind = 't';
        else if (header.sh_type == SHT_NOBITS)
            kind = 'b';
        else
            kind = header.sh_flags & SHF_WRITE ? 'd' : 'r';
    }
    if (binding == STB_WEAK)
        return 'W';
    /* NOLINTNEXTLINE(bugprone-narrowing-conversions): the value fits: it was checked or is a character */
    return binding == STB_LOCAL ? kind : (char)toupper((unsigned char)kind);
}

static bool is_wanted(const GElf_Sym *symbol, const char *name)
{
    unsigned type = GELF_ST_TYPE(symbol->st_info);
    return name && *name && symbol->st_shndx != SHN_UNDEF && type != STT_SECTION && type != STT_FILE && type != STT_TLS;
}

static enum emu_err read_table(Elf *elf, Elf_Scn *section, const GElf_Shdr *header, struct symbols *s, size_t *found,
                               struct diag *d)
{
    Elf_Data *data = elf_getdata(section, NULL);
    uint64_t count;

    if (!data || !header->sh_entsize)
        return diag_set(d, EMU_EINPUT, "the ELF symbol table can't be read: %s", elf_errmsg(-1));
    count = data->d_size / header->sh_entsize;
    for (uint64_t i = 1; i < count && i < SYMBOLS_MAX; i++) {
        GElf_Sym symbol;
        enum emu_err err;
        const char *name;

        if (!gelf_getsym(data, (int)i, &symbol))
            break;
        name = elf_strptr(elf, header->sh_link, symbol.st_name);
        if (!is_wanted(&symbol, name))
            continue;
        if (!strcmp(name, "_text"))
            symbols_set_moving_from(s, symbol.st_value);
        err = symbols_add(s, symbol.st_value, symbol.st_size, symbol_kind(elf, &symbol), name, d);
        if (err != EMU_OK)
            return err;
        ++*found;
    }
    return EMU_OK;
}

static enum emu_err read_sections(Elf *elf, GElf_Word type, struct symbols *s, size_t *found, struct diag *d)
{
    Elf_Scn *section = NULL;
    enum emu_err err = EMU_OK;
    while (err == EMU_OK && (section = elf_nextscn(elf, section))) {
        GElf_Shdr header;
        if (gelf_getshdr(section, &header) && header.sh_type == type)
            err = read_table(elf, section, &header, s, found, d);
    }
    return err;
}

static enum emu_err add_ranges(Elf *elf, struct symbols *s, struct diag *d)
{
    Elf_Scn *section = NULL;
    enum emu_err err = EMU_OK;
    while (err == EMU_OK && (section = elf_nextscn(elf, section))) {
        GElf_Shdr header;
        if (gelf_getshdr(section, &header) && header.sh_flags & SHF_ALLOC)
            err = symbols_add_range(s, header.sh_addr, header.sh_size, d);
    }
    return err;
}

enum emu_err symbols_elf_read(const void *bytes, size_t size, struct symbols *s, size_t *found, struct diag *d)
{
    enum emu_err err;
    Elf *elf;

    *found = 0;
    if (size < SELFMAG || memcmp(bytes, ELFMAG, SELFMAG))
        return diag_set(d, EMU_EINPUT, "this is not an ELF file");
    if (elf_version(EV_CURRENT) == EV_NONE)
        return diag_set(d, EMU_EHOST, "libelf does not know the current ELF version");
    /* libelf takes a pointer to writable bytes, and writes only when asked to update; it never is. */
    elf = elf_memory((char *)(uintptr_t)bytes, size);
    if (!elf || elf_kind(elf) != ELF_K_ELF) {
        elf_end(elf);
        return diag_set(d, EMU_EINPUT, "this is not an ELF file that can be read");
    }
    err = read_sections(elf, SHT_SYMTAB, s, found, d);
    if (err == EMU_OK && !*found)
        err = read_sections(elf, SHT_DYNSYM, s, found, d);
    if (err == EMU_OK && *found)
        err = add_ranges(elf, s, d);
    elf_end(elf);
    return err;
}
