/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/image_builder.h"

#include "emu/base/ensure.h"

#include <archive.h>
#include <archive_entry.h>
#include <asm/bootparam.h>
#include <elf.h>
#include <stdlib.h>
#include <string.h>

void built_append(struct built *b, const void *bytes, size_t size)
{
    b->bytes = realloc(b->bytes, b->size + size + 1);
    ensure(b->bytes);
    if (bytes)
        memcpy(b->bytes + b->size, bytes, size);
    else
        memset(b->bytes + b->size, 0, size);
    b->size += size;
}

void built_free(struct built *b)
{
    free(b->bytes);
    *b = (struct built){0};
}

static void align(struct built *b, size_t to)
{
    built_append(b, NULL, (to - b->size % to) % to);
}

void build_note(struct built *notes, const char *name, uint32_t type, const void *desc, size_t desc_bytes)
{
    Elf64_Nhdr nh = {.n_namesz = (uint32_t)strlen(name) + 1, .n_descsz = (uint32_t)desc_bytes, .n_type = type};

    built_append(notes, &nh, sizeof(nh));
    built_append(notes, name, nh.n_namesz);
    align(notes, 4);
    built_append(notes, desc, desc_bytes);
    align(notes, 4);
}

void build_note_string(struct built *notes, uint32_t type, const char *text)
{
    build_note(notes, "Xen", type, text, strlen(text) + 1);
}

void build_note_u32(struct built *notes, uint32_t type, uint32_t value)
{
    build_note(notes, "Xen", type, &value, sizeof(value));
}

static void put_phdr(struct built *b, unsigned elf_class, const Elf64_Phdr *p)
{
    Elf32_Phdr p32 = {.p_type = p->p_type,
                      .p_offset = (uint32_t)p->p_offset,
                      .p_vaddr = (uint32_t)p->p_vaddr,
                      .p_paddr = (uint32_t)p->p_paddr,
                      .p_filesz = (uint32_t)p->p_filesz,
                      .p_memsz = (uint32_t)p->p_memsz,
                      .p_flags = p->p_flags};

    if (elf_class == 64)
        built_append(b, p, sizeof(*p));
    else
        built_append(b, &p32, sizeof(p32));
}

static void put_shdr(struct built *b, unsigned elf_class, const Elf64_Shdr *s)
{
    Elf32_Shdr s32 = {.sh_type = s->sh_type, .sh_offset = (uint32_t)s->sh_offset, .sh_size = (uint32_t)s->sh_size};

    if (elf_class == 64)
        built_append(b, s, sizeof(*s));
    else
        built_append(b, &s32, sizeof(s32));
}

static void put_header(struct built *b, const struct elf_recipe *r, uint16_t phdrs, size_t sections_at)
{
    uint16_t machine = r->machine ? r->machine : r->elf_class == 64 ? EM_X86_64 : EM_386;
    uint16_t type = r->type ? r->type : ET_EXEC;
    Elf64_Ehdr e64 = {.e_type = type,
                      .e_machine = machine,
                      .e_version = EV_CURRENT,
                      .e_entry = r->entry,
                      .e_phoff = sizeof(e64),
                      .e_shoff = sections_at,
                      .e_ehsize = sizeof(e64),
                      .e_phentsize = sizeof(Elf64_Phdr),
                      .e_phnum = phdrs,
                      .e_shentsize = sizeof(Elf64_Shdr),
                      .e_shnum = 2};
    Elf32_Ehdr e32 = {.e_type = type,
                      .e_machine = machine,
                      .e_version = EV_CURRENT,
                      .e_entry = (uint32_t)r->entry,
                      .e_phoff = sizeof(e32),
                      .e_shoff = (uint32_t)sections_at,
                      .e_ehsize = sizeof(e32),
                      .e_phentsize = sizeof(Elf32_Phdr),
                      .e_phnum = phdrs,
                      .e_shentsize = sizeof(Elf32_Shdr),
                      .e_shnum = 2};
    uint8_t *ident = r->elf_class == 64 ? e64.e_ident : e32.e_ident;

    memcpy(ident, ELFMAG, SELFMAG);
    ident[EI_CLASS] = r->elf_class == 64 ? ELFCLASS64 : ELFCLASS32;
    ident[EI_DATA] = ELFDATA2LSB;
    ident[EI_VERSION] = EV_CURRENT;
    if (r->elf_class == 64)
        built_append(b, &e64, sizeof(e64));
    else
        built_append(b, &e32, sizeof(e32));
}

struct built build_elf(const struct elf_recipe *r)
{
    size_t header_bytes = r->elf_class == 64 ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr);
    size_t phdr_bytes = r->elf_class == 64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
    uint16_t segments = 0;
    struct built b = {0};
    size_t section_notes_at, sections_at, data_at, notes_at;
    uint16_t phdrs;

    while (segments < 4 && r->segments[segments].memory_bytes)
        segments++;
    phdrs = (uint16_t)(segments + (r->segment_notes ? 1 : 0));
    data_at = header_bytes + phdrs * phdr_bytes;
    notes_at = data_at;
    for (uint16_t i = 0; i < segments; i++)
        notes_at += r->segments[i].file_bytes;
    notes_at = (notes_at + 7) / 8 * 8;
    section_notes_at = notes_at + (r->segment_notes ? r->segment_notes->size : 0);
    sections_at = (section_notes_at + (r->section_notes ? r->section_notes->size : 0) + 7) / 8 * 8;

    put_header(&b, r, phdrs, sections_at);
    for (uint16_t i = 0; i < segments; i++) {
        const struct elf_segment *s = &r->segments[i];

        put_phdr(&b, r->elf_class,
                 &(Elf64_Phdr){.p_type = PT_LOAD,
                               .p_flags = PF_R | PF_X,
                               .p_offset = data_at,
                               .p_vaddr = s->vaddr,
                               .p_paddr = s->paddr,
                               .p_filesz = s->file_bytes,
                               .p_memsz = s->memory_bytes});
        data_at += s->file_bytes;
    }
    if (r->segment_notes)
        put_phdr(&b, r->elf_class,
                 &(Elf64_Phdr){.p_type = PT_NOTE,
                               .p_offset = r->note_offset_is_zero ? 0 : notes_at,
                               .p_filesz = r->segment_notes->size});
    for (uint16_t i = 0; i < segments; i++)
        for (size_t at = 0; at < r->segments[i].file_bytes; at++)
            built_append(&b, &(uint8_t){(uint8_t)(i + 1)}, 1);
    align(&b, 8);
    if (r->segment_notes)
        built_append(&b, r->segment_notes->bytes, r->segment_notes->size);
    if (r->section_notes)
        built_append(&b, r->section_notes->bytes, r->section_notes->size);
    align(&b, 8);
    put_shdr(&b, r->elf_class, &(Elf64_Shdr){.sh_type = SHT_NULL});
    put_shdr(&b, r->elf_class,
             &(Elf64_Shdr){.sh_type = r->section_notes ? SHT_NOTE : SHT_NULL,
                           .sh_offset = section_notes_at,
                           .sh_size = r->section_notes ? r->section_notes->size : 0});
    return b;
}

/* libarchive writes only lz4 frames; kernels use the legacy format, which a block of one literal run is enough for. */
static void put_lz4_legacy(struct built *b, const uint8_t *bytes, size_t size)
{
    struct built block = {0};
    size_t left = size;

    built_append(&block, &(uint8_t){(uint8_t)((size < 15 ? size : 15) << 4)}, 1);
    if (size >= 15) {
        for (left = size - 15; left >= 255; left -= 255)
            built_append(&block, &(uint8_t){255}, 1);
        built_append(&block, &(uint8_t){(uint8_t)left}, 1);
    }
    built_append(&block, bytes, size);
    built_append(b, "\x02\x21\x4c\x18", 4);
    built_append(b, &(uint32_t){(uint32_t)block.size}, 4);
    built_append(b, block.bytes, block.size);
    built_free(&block);
}

static void put_filtered(struct built *b, enum unpack_kind kind, const uint8_t *bytes, size_t size)
{
    static int (*const filters[])(struct archive *) = {
        [UNPACK_GZIP] = archive_write_add_filter_gzip, [UNPACK_BZIP2] = archive_write_add_filter_bzip2,
        [UNPACK_LZMA] = archive_write_add_filter_lzma, [UNPACK_XZ] = archive_write_add_filter_xz,
        [UNPACK_ZSTD] = archive_write_add_filter_zstd,
    };
    size_t room = 2 * size + 65536, used = 0;
    uint8_t *out = malloc(room);
    struct archive *a = archive_write_new();
    struct archive_entry *entry = archive_entry_new();

    ensure(out && a && entry);
    ensure(archive_write_set_format_raw(a) == ARCHIVE_OK);
    ensure(filters[kind](a) == ARCHIVE_OK);
    ensure(archive_write_set_bytes_in_last_block(a, 1) == ARCHIVE_OK);
    if (kind != UNPACK_ZSTD) /* the level the kernel build uses; it sets the dictionary's size */
        ensure(archive_write_set_filter_option(a, NULL, "compression-level", "9") == ARCHIVE_OK);
    ensure(archive_write_open_memory(a, out, room, &used) == ARCHIVE_OK);
    archive_entry_set_filetype(entry, AE_IFREG);
    ensure(archive_write_header(a, entry) == ARCHIVE_OK);
    ensure(archive_write_data(a, bytes, size) == (la_ssize_t)size);
    ensure(archive_write_close(a) == ARCHIVE_OK);
    archive_entry_free(entry);
    archive_write_free(a);
    built_append(b, out, used);
    free(out);
}

struct built build_payload(enum unpack_kind kind, const uint8_t *bytes, size_t size)
{
    struct built b = {0};

    if (kind == UNPACK_LZ4)
        put_lz4_legacy(&b, bytes, size);
    else
        put_filtered(&b, kind, bytes, size);
    if (kind != UNPACK_GZIP)
        built_append(&b, &(uint32_t){(uint32_t)size}, 4);
    return b;
}

struct built build_bzimage(const struct built *payload)
{
    struct built b = {0};
    const size_t setup_bytes = 1024, stub_bytes = 64;
    struct setup_header h;

    built_append(&b, NULL, setup_bytes + stub_bytes);
    built_append(&b, payload->bytes, payload->size);
    align(&b, 16);

    h = (struct setup_header){.setup_sects = 1,
                              .boot_flag = 0xaa55,
                              .jump = 0x6aeb,
                              .header = 0x53726448,
                              .version = 0x020f,
                              .loadflags = LOADED_HIGH,
                              .payload_offset = (uint32_t)stub_bytes,
                              .payload_length = (uint32_t)payload->size,
                              .syssize = (uint32_t)((b.size - setup_bytes) / 16)};
    memcpy(b.bytes + 0x1f1, &h, sizeof(h));
    return b;
}
