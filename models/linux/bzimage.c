/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/linux/bzimage.h"

#include "emu/base/ensure.h"
#include "emu/image/unpack.h"

#include <assert.h>
#include <elf.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR_BYTES         512
#define SETUP_HEADER_OFFSET  0x1f1
#define SETUP_MAGIC          0x53726448u /* "HdrS" */
#define SETUP_MAGIC_OFFSET   0x202
#define PROTOCOL_SYSSIZE     0x0204 /* since then in 32 bits */
#define PROTOCOL_PAYLOAD     0x0208 /* the first with payload_offset and payload_length: Linux 2.6.26 */
#define PROTOCOL_INIT_SIZE   0x020a
#define FLAT_GPA             0x100000u /* where a kernel that is no ELF file is linked to run, and begins */
#define GZIP_STREAMS_MAX     16u       /* places that look like one */
#define SETUP_SECTS_DEFAULT  4         /* what 0 means */
#define PARAGRAPH_BYTES      16        /* unit of syssize */
#define PAYLOAD_SIZE_TRAILER 4         /* the last bytes of every payload are its decompressed size, little-endian */

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "struct setup_header is read as it is in the file");
static_assert(offsetof(struct setup_header, header) == SETUP_MAGIC_OFFSET - SETUP_HEADER_OFFSET, "boot.rst: 0202/4");
static_assert(offsetof(struct setup_header, payload_offset) == 0x248 - SETUP_HEADER_OFFSET, "boot.rst: 0248/4");

/*
 * The header ends where the jump at 0x200 goes to (its second byte is the distance from 0x202); what is behind that is
 * code, not fields.
 */
static void read_header(const uint8_t *file, size_t file_bytes, struct setup_header *h)
{
    size_t end = SETUP_MAGIC_OFFSET + (size_t)file[0x201];

    memset(h, 0, sizeof(*h));
    if (end > file_bytes)
        end = file_bytes;
    if (end > SETUP_HEADER_OFFSET + sizeof(*h))
        end = SETUP_HEADER_OFFSET + sizeof(*h);
    memcpy(h, file + SETUP_HEADER_OFFSET, end - SETUP_HEADER_OFFSET);
}

static bool recognise(const uint8_t *file, size_t file_bytes)
{
    uint32_t magic;

    if (file_bytes < SETUP_MAGIC_OFFSET + sizeof(magic))
        return false;
    memcpy(&magic, file + SETUP_MAGIC_OFFSET, sizeof(magic));
    return magic == SETUP_MAGIC;
}

/* Before its protocol, or in what is no Linux kernel (memtest86+), the header tells of no compressed kernel. */
static bool has_payload(const struct setup_header *h)
{
    return h->version >= PROTOCOL_PAYLOAD && (h->payload_offset || h->payload_length);
}

static enum emu_err find_parts(const struct setup_header *h, size_t file_bytes, struct image_linux_boot *boot,
                               struct diag *d)
{
    uint64_t needed;

    boot->protocol = h->version;
    boot->setup_bytes = ((h->setup_sects ? h->setup_sects : SETUP_SECTS_DEFAULT) + (size_t)1) * SECTOR_BYTES;
    boot->protected_offset = boot->setup_bytes;

    needed = boot->setup_bytes + (uint64_t)h->syssize * PARAGRAPH_BYTES;
    if (h->version < PROTOCOL_SYSSIZE)
        needed = file_bytes;
    /* The last paragraph need not be whole, unless it is the compressed kernel that lacks bytes. */
    if (needed > file_bytes && needed - file_bytes < PARAGRAPH_BYTES &&
        boot->setup_bytes + (uint64_t)h->payload_offset + h->payload_length <= file_bytes)
        needed = file_bytes;
    if (needed > file_bytes || boot->setup_bytes >= file_bytes)
        return diag_set(d, EMU_EINPUT,
                        "the bzImage is cut short: it has %zu bytes of %" PRIu64 "; fetch the kernel again", file_bytes,
                        needed);
    boot->protected_bytes = (size_t)needed - boot->setup_bytes;
    if (!has_payload(h))
        return EMU_OK;
    if (h->payload_length <= PAYLOAD_SIZE_TRAILER || h->payload_offset > boot->protected_bytes ||
        h->payload_length > boot->protected_bytes - h->payload_offset)
        return diag_set(d, EMU_EINPUT,
                        "the bzImage's header says that the compressed kernel has %u bytes at %u of the %zu bytes "
                        "after the setup code; it is damaged",
                        h->payload_length, h->payload_offset, boot->protected_bytes);
    return EMU_OK;
}

/* An ELF file whose only segment is `flat`, to be run from its first byte in 32-bit mode. */
static enum emu_err wrap_flat(const uint8_t *flat, size_t bytes, uint32_t memory_bytes, uint8_t **elf,
                              size_t *elf_bytes, struct diag *d)
{
    const Elf32_Phdr segment = {.p_type = PT_LOAD,
                                .p_offset = sizeof(Elf32_Ehdr) + sizeof(Elf32_Phdr),
                                .p_vaddr = FLAT_GPA,
                                .p_paddr = FLAT_GPA,
                                .p_filesz = (uint32_t)bytes,
                                .p_memsz = memory_bytes > bytes ? memory_bytes : (uint32_t)bytes,
                                .p_flags = PF_R | PF_W | PF_X,
                                .p_align = 1};
    const Elf32_Ehdr header = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS32, ELFDATA2LSB, EV_CURRENT},
                               .e_type = ET_EXEC,
                               .e_machine = EM_386,
                               .e_version = EV_CURRENT,
                               .e_entry = FLAT_GPA,
                               .e_phoff = sizeof(Elf32_Ehdr),
                               .e_ehsize = sizeof(Elf32_Ehdr),
                               .e_phentsize = sizeof(Elf32_Phdr),
                               .e_phnum = 1,
                               .e_shentsize = sizeof(Elf32_Shdr)};

    if (!bytes || bytes > IMAGE_BYTES_MAX - segment.p_offset || memory_bytes > IMAGE_BYTES_MAX)
        return diag_set(d, EMU_EINPUT, "the kernel in this bzImage has %zu bytes, and is to have %" PRIu32 " in memory",
                        bytes, memory_bytes);
    *elf_bytes = segment.p_offset + bytes;
    *elf = malloc(*elf_bytes);
    if (!*elf)
        return diag_no_memory(d);
    memcpy(*elf, &header, sizeof(header));
    memcpy(*elf + sizeof(header), &segment, sizeof(segment));
    memcpy(*elf + segment.p_offset, flat, bytes);
    return EMU_OK;
}

/* Linux before 2.6.26: somewhere behind the decompressor is a gzip stream, and in it a flat kernel (or an ELF file,
   where it was built for Xen). Source: Linux 2.6.18 arch/i386/boot/compressed. */
static enum emu_err unpack_old(const struct setup_header *h, const uint8_t *part, size_t bytes, uint8_t **elf,
                               size_t *elf_bytes, struct diag *d)
{
    static const uint8_t gzip[] = {0x1f, 0x8b, 0x08};
    const uint8_t *at = part, *end = part + bytes;

    for (unsigned i = 0; i < GZIP_STREAMS_MAX && (at = memmem(at, (size_t)(end - at), gzip, sizeof(gzip))); i++, at++) {
        uint8_t *flat;
        size_t flat_bytes;
        enum emu_err err;

        if (unpack_bytes("the kernel in this bzImage", at, (size_t)(end - at), IMAGE_BYTES_MAX, &flat, &flat_bytes,
                         d) != EMU_OK)
            continue;
        if (flat_bytes >= 4 && !memcmp(flat, ELFMAG, 4)) {
            *elf = flat;
            *elf_bytes = flat_bytes;
            return EMU_OK;
        }
        err = wrap_flat(flat, flat_bytes, 0, elf, elf_bytes, d);
        free(flat);
        return err;
    }
    return diag_set(
        d, EMU_EINPUT,
        "this bzImage has boot protocol %u.%02u (before Linux 2.6.26), which does not say where the kernel in "
        "it is, and there is no gzip stream that gives one; give its vmlinux",
        h->version >> 8, h->version & 0xff);
}

static enum emu_err unpack(const uint8_t *file, size_t file_bytes, uint8_t **elf, size_t *elf_bytes,
                           enum image_kind *kind, struct image_linux_boot *boot, struct diag *d)
{
    struct setup_header h;
    enum emu_err err;
    uint32_t size_said;
    const uint8_t *payload;
    size_t stream_bytes;
    enum unpack_kind compression;

    read_header(file, file_bytes, &h);
    err = find_parts(&h, file_bytes, boot, d);
    if (err != EMU_OK)
        return err;

    payload = file + boot->protected_offset + (has_payload(&h) ? h.payload_offset : 0);
    if (!has_payload(&h)) {
        err = h.version < PROTOCOL_PAYLOAD
                  ? unpack_old(&h, payload, boot->protected_bytes, elf, elf_bytes, d)
                  : wrap_flat(payload, boot->protected_bytes, h.version >= PROTOCOL_INIT_SIZE ? h.init_size : 0, elf,
                              elf_bytes, d);
        *kind = IMAGE_BZIMAGE;
        return err;
    }
    stream_bytes = h.payload_length;
    compression = unpack_kind_find(payload, stream_bytes);
    if (compression == UNPACK_NONE)
        return diag_set(d, EMU_EINPUT,
                        "the kernel in this bzImage is compressed in an unknown way (it begins with %02x %02x %02x "
                        "%02x); known are gzip, bzip2, lzma, xz, lz4 and zstd; give its vmlinux",
                        payload[0], payload[1], payload[2], payload[3]);

    /* For gzip the size is the stream's own last field; for all others the build appends it to the stream. */
    memcpy(&size_said, payload + stream_bytes - sizeof(size_said), sizeof(size_said));
    if (compression != UNPACK_GZIP)
        stream_bytes -= PAYLOAD_SIZE_TRAILER;
    err = unpack_bytes("the kernel in this bzImage", payload, stream_bytes, IMAGE_BYTES_MAX, elf, elf_bytes, d);
    if (err == EMU_OK && *elf_bytes != size_said)
        err = diag_set(d, EMU_EINPUT,
                       "the kernel in this bzImage decompresses to %zu bytes but should have %u; the file is damaged",
                       *elf_bytes, size_said);
    else if (err == EMU_OK && (*elf_bytes < 4 || memcmp(*elf, "\177ELF", 4)))
        err = diag_set(d, EMU_EINPUT,
                       "the kernel in this bzImage is not an ELF file; it is not a Linux kernel or was made by another "
                       "build; give its vmlinux");
    if (err != EMU_OK) {
        free(*elf);
        *elf = NULL;
        return err;
    }
    *kind = IMAGE_BZIMAGE;
    return EMU_OK;
}

const struct image_format bzimage_format = {.name = "bzImage", .recognise = recognise, .unpack = unpack};

void bzimage_setup_header(const struct image *img, struct setup_header *out)
{
    ensure(img->kind == IMAGE_BZIMAGE);
    read_header(img->file, img->file_bytes, out);
}
