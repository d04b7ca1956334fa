/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/linux/kernel_view.h"

#include <gelf.h>
#include <inttypes.h>
#include <string.h>

static bool is_inside(size_t size, uint64_t at, uint64_t bytes)
{
    return at <= size && bytes <= size - at;
}

static enum emu_err read_segments(struct kernel_view *v, Elf *elf, struct diag *d)
{
    size_t count;
    if (elf_getphdrnum(elf, &count))
        return diag_set(d, EMU_EINPUT, "the kernel's program headers can't be read: %s", elf_errmsg(-1));
    for (size_t i = 0; i < count; i++) {
        GElf_Phdr header;
        if (!gelf_getphdr(elf, (int)i, &header))
            return diag_set(d, EMU_EINPUT, "the kernel's program header %zu can't be read: %s", i, elf_errmsg(-1));
        if (header.p_type != PT_LOAD || header.p_memsz == 0)
            continue;
        if (!is_inside(v->size, header.p_offset, header.p_filesz) || header.p_filesz > header.p_memsz)
            return diag_set(d, EMU_EINPUT, "the kernel's load segment %zu reaches out of its file", i);
        if (header.p_vaddr + (header.p_memsz - 1) < header.p_vaddr)
            return diag_set(d, EMU_EINPUT, "the kernel's load segment %zu wraps around the address space", i);
        if (v->segment_count == KERNEL_VIEW_SEGMENTS_MAX)
            return diag_set(d, EMU_EINPUT, "the kernel has more than %u load segments", KERNEL_VIEW_SEGMENTS_MAX);
        v->segments[v->segment_count++] = (struct kernel_view_segment){
            .start_gva = header.p_vaddr,
            .file_at = header.p_offset,
            .file_bytes = header.p_filesz,
            .memory_bytes = header.p_memsz,
            .executable = header.p_flags & PF_X,
        };
    }
    if (!v->segment_count)
        return diag_set(d, EMU_EINPUT, "the kernel has no load segment");
    return EMU_OK;
}

/* Section headers are a convenience: one that makes no sense is left out, and the file is read without it. */
static void read_sections(struct kernel_view *v, Elf *elf)
{
    size_t names_index;
    Elf_Scn *section = NULL;

    if (elf_getshdrstrndx(elf, &names_index))
        return;
    while ((section = elf_nextscn(elf, section)) && v->section_count < KERNEL_VIEW_SECTIONS_MAX) {
        GElf_Shdr header;
        struct kernel_view_section *s;
        const char *name;
        bool has_bytes;

        if (!gelf_getshdr(section, &header))
            continue;
        name = elf_strptr(elf, names_index, header.sh_name);
        has_bytes = header.sh_type != SHT_NOBITS;
        if (!name || !*name || (has_bytes && !is_inside(v->size, header.sh_offset, header.sh_size)))
            continue;
        s = &v->sections[v->section_count++];
        *s = (struct kernel_view_section){
            .start_gva = header.sh_flags & SHF_ALLOC ? header.sh_addr : 0,
            .bytes = header.sh_size,
            .file_at = header.sh_offset,
            .has_bytes = has_bytes,
            .executable = header.sh_flags & SHF_EXECINSTR,
            .writable = header.sh_flags & SHF_WRITE,
        };
        snprintf(s->name, sizeof(s->name), "%s", name);
    }
}

enum emu_err kernel_view_init(struct kernel_view *v, const void *bytes, size_t size, struct diag *d)
{
    enum emu_err err = EMU_OK;
    GElf_Ehdr header;
    Elf *elf;

    *v = (struct kernel_view){.bytes = bytes, .size = size};
    if (size < EI_NIDENT || memcmp(bytes, ELFMAG, SELFMAG))
        return diag_set(d, EMU_EINPUT, "the kernel is not an ELF file");
    if (v->bytes[EI_DATA] != ELFDATA2LSB)
        return diag_set(d, EMU_EINPUT, "the kernel is not little-endian, so not one for x86");
    if (elf_version(EV_CURRENT) == EV_NONE)
        return diag_set(d, EMU_EHOST, "libelf does not know the current ELF version");
    /* libelf takes a pointer to writable bytes, and writes only when asked to update; it never is. */
    elf = elf_memory((char *)(uintptr_t)bytes, size);
    if (!elf || !gelf_getehdr(elf, &header)) {
        elf_end(elf);
        return diag_set(d, EMU_EINPUT, "the kernel's ELF header can't be read: %s", elf_errmsg(-1));
    }
    if (header.e_machine != EM_X86_64 && header.e_machine != EM_386)
        err = diag_set(d, EMU_EINPUT, "the kernel is for another processor (ELF machine %u), not for x86",
                       header.e_machine);
    v->bits = gelf_getclass(elf) == ELFCLASS64 ? 64 : 32;
    v->word_bytes = v->bits / 8;
    if (err == EMU_OK)
        err = read_segments(v, elf, d);
    if (err == EMU_OK)
        read_sections(v, elf);
    elf_end(elf);
    return err;
}

bool kernel_view_find_file(const struct kernel_view *v, uint64_t gva, uint64_t bytes, uint64_t *file_at)
{
    for (unsigned i = 0; i < v->segment_count; i++) {
        const struct kernel_view_segment *s = &v->segments[i];
        uint64_t offset = gva - s->start_gva;
        if (gva < s->start_gva || offset > s->file_bytes || bytes > s->file_bytes - offset)
            continue;
        *file_at = s->file_at + offset;
        return true;
    }
    return false;
}

bool kernel_view_find_gva(const struct kernel_view *v, uint64_t file_at, uint64_t *gva)
{
    for (unsigned i = 0; i < v->segment_count; i++) {
        const struct kernel_view_segment *s = &v->segments[i];
        if (file_at < s->file_at || file_at - s->file_at >= s->file_bytes)
            continue;
        *gva = s->start_gva + (file_at - s->file_at);
        return true;
    }
    return false;
}

bool kernel_view_holds(const struct kernel_view *v, uint64_t gva, bool executable_only)
{
    for (unsigned i = 0; i < v->segment_count; i++) {
        const struct kernel_view_segment *s = &v->segments[i];
        if (gva >= s->start_gva && gva - s->start_gva < s->memory_bytes && (s->executable || !executable_only))
            return true;
    }
    return false;
}

const struct kernel_view_section *kernel_view_find_section(const struct kernel_view *v, const char *name)
{
    for (unsigned i = 0; i < v->section_count; i++)
        if (!strcmp(v->sections[i].name, name))
            return &v->sections[i];
    return NULL;
}

bool kernel_view_read(const struct kernel_view *v, uint64_t gva, void *dst, size_t bytes)
{
    uint64_t file_at;
    if (!kernel_view_find_file(v, gva, bytes, &file_at))
        return false;
    memcpy(dst, v->bytes + file_at, bytes);
    return true;
}
