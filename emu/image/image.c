/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/image/image.h"

#include "emu/base/count.h"
#include "emu/base/plural.h"
#include "emu/image/unpack.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct machine_name {
    uint16_t machine;
    const char *name;
} machine_names[] = {
    {EM_SPARC, "SPARC"},
    {EM_386, "x86 (32-bit)"},
    {EM_68K, "m68k"},
    {EM_MIPS, "MIPS"},
    {EM_PARISC, "PA-RISC"},
    {EM_PPC, "PowerPC (32-bit)"},
    {EM_PPC64, "PowerPC (64-bit)"},
    {EM_S390, "s390"},
    {EM_ARM, "ARM (32-bit)"},
    {EM_SH, "SuperH"},
    {EM_SPARCV9, "SPARC (64-bit)"},
    {EM_IA_64, "Itanium"},
    {EM_X86_64, "x86-64"},
    {EM_AARCH64, "arm64"},
    {EM_RISCV, "RISC-V"},
    {258, "LoongArch"}, /* EM_LOONGARCH: newer than the <elf.h> of Debian 12 */
};

const char *image_machine_name(uint16_t machine)
{
    for (size_t i = 0; i < COUNT(machine_names); i++)
        if (machine_names[i].machine == machine)
            return machine_names[i].name;
    return NULL;
}

static bool in_file(const struct image *img, uint64_t offset, uint64_t bytes)
{
    return offset <= img->size && bytes <= img->size - offset;
}

static enum emu_err check_header(struct image *img, const GElf_Ehdr *eh, struct diag *d)
{
    const char *machine = image_machine_name(eh->e_machine);

    if (eh->e_machine != EM_386 && eh->e_machine != EM_X86_64) {
        if (machine)
            return diag_set(d, EMU_EINPUT, "this is an ELF file for %s; only x86 and x86-64 guests can be booted",
                            machine);
        return diag_set(d, EMU_EINPUT,
                        "this is an ELF file for machine number %u; only x86 and x86-64 guests can be booted",
                        eh->e_machine);
    }
    if (eh->e_ident[EI_DATA] != ELFDATA2LSB)
        return diag_set(d, EMU_EINPUT, "this ELF file says that it is for %s and big-endian; it is damaged", machine);
    if (eh->e_type != ET_EXEC && eh->e_type != ET_DYN)
        return diag_set(d, EMU_EINPUT, "this ELF file is %s, not a linked image; give a kernel's vmlinux or vmlinuz",
                        eh->e_type == ET_REL    ? "an object file or a kernel module"
                        : eh->e_type == ET_CORE ? "a core dump"
                                                : "of an unknown type");
    if (!in_file(img, eh->e_phoff, (uint64_t)eh->e_phnum * eh->e_phentsize))
        return diag_set(d, EMU_EINPUT,
                        "the ELF file is cut short: its program headers end at byte %" PRIu64 " of %zu; fetch it again",
                        eh->e_phoff + (uint64_t)eh->e_phnum * eh->e_phentsize, img->size);
    if (!in_file(img, eh->e_shoff, (uint64_t)eh->e_shnum * eh->e_shentsize))
        return diag_set(d, EMU_EINPUT,
                        "the ELF file is cut short: its section headers end at byte %" PRIu64 " of %zu; fetch it again",
                        eh->e_shoff + (uint64_t)eh->e_shnum * eh->e_shentsize, img->size);
    img->machine = eh->e_machine;
    img->entry = eh->e_entry;
    return EMU_OK;
}

static bool overlaps(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes)
{
    return a_bytes && b_bytes && a < b + b_bytes && b < a + a_bytes;
}

/* What lies in one segment's file bytes must not be written, or zeroed, by another. Zeroes over zeroes don't matter. */
static enum emu_err check_overlaps(const struct image *img, struct diag *d)
{
    for (size_t i = 0; i < img->segments_count; i++) {
        const struct image_segment *a = &img->segments[i];

        for (size_t j = 0; j < img->segments_count; j++) {
            const struct image_segment *b = &img->segments[j];

            if (i != j && overlaps(a->paddr, a->file_bytes, b->paddr, b->memory_bytes))
                return diag_set(d, EMU_EINPUT,
                                "the ELF file's loadable segments overlap at physical address 0x%" PRIx64
                                "; it is damaged or badly linked",
                                a->paddr > b->paddr ? a->paddr : b->paddr);
        }
    }
    return EMU_OK;
}

static enum emu_err read_segments(struct image *img, Elf *elf, size_t count, struct diag *d)
{
    const uint64_t space_max = img->elf_class == 32 ? UINT64_C(1) << 32 : UINT64_MAX;

    for (size_t i = 0; i < count; i++) {
        GElf_Phdr ph;

        if (!gelf_getphdr(elf, (int)i, &ph))
            return diag_set(d, EMU_EINPUT, "the ELF file's program header %zu can't be read (%s); it is damaged", i,
                            elf_errmsg(-1));
        if (ph.p_type != PT_LOAD || ph.p_memsz == 0)
            continue;
        if (img->segments_count == IMAGE_SEGMENTS_MAX)
            return diag_set(d, EMU_EINPUT, "the ELF file has more than %d loadable segments; no guest has so many",
                            IMAGE_SEGMENTS_MAX);
        if (ph.p_filesz > ph.p_memsz)
            return diag_set(d, EMU_EINPUT,
                            "segment %zu of the ELF file is larger in the file than in memory; the file "
                            "is damaged",
                            i);
        if (!in_file(img, ph.p_offset, ph.p_filesz))
            return diag_set(d, EMU_EINPUT,
                            "the ELF file is cut short: segment %zu has %" PRIu64 " bytes at %" PRIu64
                            ", the file has %zu; fetch it again",
                            i, ph.p_filesz, ph.p_offset, img->size);
        if (ph.p_memsz > space_max || ph.p_paddr > space_max - ph.p_memsz)
            return diag_set(d, EMU_EINPUT,
                            "segment %zu of the ELF file (0x%" PRIx64 " bytes at physical address 0x%" PRIx64
                            ") goes beyond the address space; the file is damaged",
                            i, ph.p_memsz, ph.p_paddr);
        if (ph.p_vaddr > UINT64_MAX - (ph.p_memsz - 1))
            return diag_set(d, EMU_EINPUT,
                            "segment %zu of the ELF file (0x%" PRIx64 " bytes at virtual address 0x%" PRIx64
                            ") goes beyond the address space; the file is damaged",
                            i, ph.p_memsz, ph.p_vaddr);
        img->segments[img->segments_count++] = (struct image_segment){
            .paddr = ph.p_paddr,
            .vaddr = ph.p_vaddr,
            .memory_bytes = ph.p_memsz,
            .offset = (size_t)ph.p_offset,
            .file_bytes = (size_t)ph.p_filesz,
            .flags = ph.p_flags,
        };
    }
    if (img->segments_count == 0)
        return diag_set(d, EMU_EINPUT,
                        "the ELF file has no loadable segment, so there is nothing to boot; give a linked vmlinux");
    return check_overlaps(img, d);
}

/*
 * Notes have 4-byte alignment here whatever p_align says: that is what hypervisors and Linux assume for the notes that
 * matter to a boot. Eight-byte aligned notes (.note.gnu.property) read the same way up to their first padding.
 */
static enum emu_err read_notes_at(struct image *img, Elf *elf, uint64_t offset, uint64_t bytes,
                                  enum image_note_source source, struct diag *d)
{
    Elf_Data *data;

    if (!in_file(img, offset, bytes)) {
        img->notes_damaged = true;
        return EMU_OK;
    }
    if (bytes == 0)
        return EMU_OK;

    data = elf_getdata_rawchunk(elf, (int64_t)offset, (size_t)bytes, ELF_T_NHDR);
    if (!data || data->d_size != bytes)
        return diag_set(d, EMU_EHOST, "the notes of the ELF file can't be read (%s)", elf_errmsg(-1));

    for (size_t at = 0, next; at < data->d_size; at = next) {
        GElf_Nhdr nh;
        size_t name_at, desc_at;
        const char *name;

        next = gelf_getnote(data, at, &nh, &name_at, &desc_at);
        if (next == 0) {
            img->notes_damaged = true;
            break;
        }
        if (img->notes_count == IMAGE_NOTES_MAX)
            return diag_set(d, EMU_EINPUT, "the ELF file has more than %d notes; no guest has so many",
                            IMAGE_NOTES_MAX);

        name = (const char *)img->bytes + offset + name_at;
        if (nh.n_namesz && name[nh.n_namesz - 1] != '\0')
            continue; /* not a string, so nobody's */
        img->notes[img->notes_count++] = (struct image_note){
            .name = nh.n_namesz ? name : "",
            .desc = img->bytes + offset + desc_at,
            .desc_bytes = nh.n_descsz,
            .type = nh.n_type,
            .source = source,
        };
    }
    return EMU_OK;
}

static enum emu_err read_notes(struct image *img, Elf *elf, size_t phdrs, struct diag *d)
{
    enum emu_err err = EMU_OK;

    for (size_t i = 0; i < phdrs && err == EMU_OK; i++) {
        GElf_Phdr ph;

        /* Some binutils left p_offset of note segments 0; the notes are then found through the sections. */
        if (gelf_getphdr(elf, (int)i, &ph) && ph.p_type == PT_NOTE && ph.p_offset != 0)
            err = read_notes_at(img, elf, ph.p_offset, ph.p_filesz, IMAGE_NOTE_SEGMENT, d);
    }
    for (Elf_Scn *scn = NULL; err == EMU_OK && (scn = elf_nextscn(elf, scn));) {
        GElf_Shdr sh;

        if (gelf_getshdr(scn, &sh) && sh.sh_type == SHT_NOTE)
            err = read_notes_at(img, elf, sh.sh_offset, sh.sh_size, IMAGE_NOTE_SECTION, d);
    }
    return err;
}

/* False if there is no room. */
static bool add_code(struct image *img, uint64_t vaddr, uint64_t bytes)
{
    for (size_t i = 0; i < img->segments_count && bytes; i++) {
        const struct image_segment *s = &img->segments[i];

        if (vaddr < s->vaddr || vaddr - s->vaddr >= s->memory_bytes || bytes > s->memory_bytes - (vaddr - s->vaddr))
            continue;
        if (img->code_count == IMAGE_CODE_MAX)
            return false;
        img->code[img->code_count++] = (struct image_code){.vaddr = vaddr, .bytes = bytes};
        break;
    }
    return true;
}

/* A damaged section header is passed over: nothing else of the image depends on it. */
static void read_code(struct image *img, Elf *elf)
{
    bool fits = true;

    for (Elf_Scn *scn = NULL; fits && (scn = elf_nextscn(elf, scn));) {
        GElf_Shdr sh;

        if (gelf_getshdr(scn, &sh) && (sh.sh_flags & SHF_EXECINSTR) && (sh.sh_flags & SHF_ALLOC))
            fits = add_code(img, sh.sh_addr, sh.sh_size);
    }
    if (fits && img->code_count)
        return;
    img->code_count = 0;
    for (size_t i = 0; i < img->segments_count; i++)
        if (img->segments[i].flags & PF_X)
            add_code(img, img->segments[i].vaddr, img->segments[i].memory_bytes);
}

static void *shrink(void *array, size_t bytes)
{
    void *moved = realloc(array, bytes ? bytes : 1);

    return moved ? moved : array;
}

static enum emu_err parse_elf(struct image *img, Elf *elf, struct diag *d)
{
    GElf_Ehdr eh;
    size_t phdrs;
    enum emu_err err;

    if (elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &eh))
        return diag_set(d, EMU_EINPUT, "the ELF header is damaged or cut short (%s)", elf_errmsg(-1));
    img->elf_class = gelf_getclass(elf) == ELFCLASS32 ? 32 : 64;
    err = check_header(img, &eh, d);
    if (err != EMU_OK)
        return err;
    if (elf_getphdrnum(elf, &phdrs) != 0)
        return diag_set(d, EMU_EINPUT, "the ELF file's program headers can't be read (%s); it is damaged",
                        elf_errmsg(-1));

    img->segments = calloc(IMAGE_SEGMENTS_MAX, sizeof(*img->segments));
    img->notes = calloc(IMAGE_NOTES_MAX, sizeof(*img->notes));
    if (!img->segments || !img->notes)
        return diag_set(d, EMU_EHOST, "no memory for the guest image");
    err = read_segments(img, elf, phdrs, d);
    if (err == EMU_OK)
        err = read_notes(img, elf, phdrs, d);
    if (err == EMU_OK)
        read_code(img, elf);
    img->segments = shrink(img->segments, img->segments_count * sizeof(*img->segments));
    img->notes = shrink(img->notes, img->notes_count * sizeof(*img->notes));
    return err;
}

/* Takes `bytes` in every case. */
static enum emu_err load_elf(struct image *img, uint8_t *bytes, size_t size, struct diag *d)
{
    enum emu_err err;
    Elf *elf;

    img->bytes = bytes;
    img->size = size;
    if (elf_version(EV_CURRENT) == EV_NONE)
        return diag_set(d, EMU_EHOST, "libelf is too old");

    elf = elf_memory((char *)bytes, size);
    if (!elf)
        return diag_set(d, EMU_EINPUT, "the ELF file can't be read (%s); it is damaged or cut short", elf_errmsg(-1));
    err = parse_elf(img, elf, d);
    elf_end(elf);
    return err;
}

static enum emu_err refuse(const uint8_t *bytes, size_t size, struct diag *d)
{
    if (size == 0)
        return diag_set(d, EMU_EINPUT, "the file is empty; give a kernel image (vmlinuz, vmlinux or a bare ELF guest)");
    if (size < 1024)
        return diag_set(d, EMU_EINPUT,
                        "not a kernel image: the file has only %zu byte%s and begins with no magic number that is "
                        "known; it may be cut short",
                        size, plural(size));
    return diag_set(d, EMU_EINPUT,
                    "not a kernel image: it begins with %02x %02x %02x %02x, which is neither a bzImage nor an ELF "
                    "file; give a vmlinuz, a vmlinux or a bare ELF guest",
                    bytes[0], bytes[1], bytes[2], bytes[3]);
}

/* Takes `file` in every case. `may_unpack`: one layer of compression around the image is allowed. */
static enum emu_err load(struct image *img, uint8_t *file, size_t file_bytes, const struct image_format *const *all,
                         bool may_unpack, struct diag *d)
{
    enum emu_err err;
    uint8_t *inner;
    size_t inner_bytes;

    for (const struct image_format *const *format = all; *format; format++) {
        if (!(*format)->recognise(file, file_bytes))
            continue;
        img->file = file;
        img->file_bytes = file_bytes;
        err = (*format)->unpack(file, file_bytes, &inner, &inner_bytes, &img->kind, &img->linux_boot, d);
        return err == EMU_OK ? load_elf(img, inner, inner_bytes, d) : err;
    }
    if (file_bytes >= SELFMAG && !memcmp(file, ELFMAG, SELFMAG)) {
        img->kind = IMAGE_ELF;
        return load_elf(img, file, file_bytes, d);
    }
    if (!may_unpack || unpack_kind_find(file, file_bytes) == UNPACK_NONE) {
        err = refuse(file, file_bytes, d);
        free(file);
        return err;
    }
    err = unpack_bytes("the file", file, file_bytes, IMAGE_BYTES_MAX, &inner, &inner_bytes, d);
    free(file);
    return err == EMU_OK ? load(img, inner, inner_bytes, all, false, d) : err;
}

static enum emu_err load_owned(uint8_t *file, size_t file_bytes, const struct image_format *const *formats,
                               struct image **out, struct diag *d)
{
    struct image *img = calloc(1, sizeof(*img));
    enum emu_err err;

    *out = NULL;
    if (!img) {
        free(file);
        return diag_set(d, EMU_EHOST, "no memory for the guest image");
    }
    err = load(img, file, file_bytes, formats, true, d);
    if (err != EMU_OK) {
        image_free(img);
        return err;
    }
    *out = img;
    return EMU_OK;
}

enum emu_err image_load_bytes(const uint8_t *bytes, size_t size, const struct image_format *const *formats,
                              struct image **out, struct diag *d)
{
    uint8_t *copy;

    *out = NULL;
    if (size > IMAGE_BYTES_MAX)
        return diag_set(d, EMU_EINPUT, "the image has %zu bytes; no kernel is that large", size);
    copy = malloc(size ? size : 1);
    if (!copy)
        return diag_set(d, EMU_EHOST, "no memory for the guest image (%zu bytes)", size);
    if (size)
        memcpy(copy, bytes, size);
    return load_owned(copy, size, formats, out, d);
}

static enum emu_err read_file(int fd, uint8_t **out, size_t *out_size, struct diag *d)
{
    struct stat st;
    size_t size;
    uint8_t *bytes;

    if (fstat(fd, &st) != 0)
        return diag_set(d, EMU_EHOST, "can't be read: %s", strerror(errno));
    if (!S_ISREG(st.st_mode))
        return diag_set(d, EMU_EINPUT, "not a file but %s; give a kernel image",
                        S_ISDIR(st.st_mode) ? "a directory" : "a device, a pipe or a socket");
    if ((uintmax_t)st.st_size > IMAGE_BYTES_MAX)
        return diag_set(d, EMU_EINPUT, "the file has %ju bytes; no kernel is that large", (uintmax_t)st.st_size);

    size = (size_t)st.st_size;
    bytes = malloc(size ? size : 1);
    if (!bytes)
        return diag_set(d, EMU_EHOST, "no memory for the guest image (%zu bytes)", size);
    for (size_t at = 0; at < size;) {
        ssize_t got = read(fd, bytes + at, size - at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            free(bytes);
            return diag_set(d, EMU_EHOST, "can't be read: %s",
                            got < 0 ? strerror(errno) : "it shrank while being read");
        }
        at += (size_t)got;
    }
    *out = bytes;
    *out_size = size;
    return EMU_OK;
}

enum emu_err image_load_file(const char *path, const struct image_format *const *formats, struct image **out,
                             struct diag *d)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    enum emu_err err;
    int fd;

    *out = NULL;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return diag_set_at(d, EMU_EINPUT, path, 0, "can't be opened: %s", strerror(errno));
    err = read_file(fd, &bytes, &size, d);
    close(fd);
    if (err == EMU_OK)
        err = load_owned(bytes, size, formats, out, d);
    if (err != EMU_OK)
        diag_add_place(d, path, 0);
    return err;
}

void image_free(struct image *img)
{
    if (!img)
        return;
    free((void *)(uintptr_t)img->bytes);
    free((void *)(uintptr_t)img->file);
    free(img->segments);
    free(img->notes);
    free(img);
}

bool image_find_vaddr(const struct image *img, uint64_t vaddr, size_t bytes, size_t *offset)
{
    for (size_t i = 0; i < img->segments_count; i++) {
        const struct image_segment *s = &img->segments[i];

        if (vaddr >= s->vaddr && vaddr - s->vaddr <= s->file_bytes && bytes <= s->file_bytes - (vaddr - s->vaddr)) {
            *offset = s->offset + (size_t)(vaddr - s->vaddr);
            return true;
        }
    }
    return false;
}

bool image_find_paddr(const struct image *img, uint64_t paddr, size_t bytes, size_t *offset)
{
    for (size_t i = 0; i < img->segments_count; i++) {
        const struct image_segment *s = &img->segments[i];

        if (paddr >= s->paddr && paddr - s->paddr <= s->file_bytes && bytes <= s->file_bytes - (paddr - s->paddr)) {
            *offset = s->offset + (size_t)(paddr - s->paddr);
            return true;
        }
    }
    return false;
}

static bool is_of(const struct image_note *n, const char *owner, enum image_note_source source)
{
    return n->source == source && !strcmp(n->name, owner);
}

struct image_note_cursor image_notes_of(const struct image *img, const char *owner)
{
    struct image_note_cursor c = {.img = img, .owner = owner, .source = IMAGE_NOTE_SECTION};

    for (size_t i = 0; i < img->notes_count; i++)
        if (is_of(&img->notes[i], owner, IMAGE_NOTE_SEGMENT))
            c.source = IMAGE_NOTE_SEGMENT;
    return c;
}

const struct image_note *image_note_next(struct image_note_cursor *c)
{
    while (c->next < c->img->notes_count) {
        const struct image_note *n = &c->img->notes[c->next++];

        if (is_of(n, c->owner, c->source))
            return n;
    }
    return NULL;
}
