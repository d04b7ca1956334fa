/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/linux/bzimage.h"

#include "emu/base/ensure.h"
#include "emu/image/unpack.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR_BYTES         512
#define SETUP_HEADER_OFFSET  0x1f1
#define SETUP_MAGIC          0x53726448u /* "HdrS" */
#define SETUP_MAGIC_OFFSET   0x202
#define PROTOCOL_MIN         0x0208 /* the first with payload_offset and payload_length: Linux 2.6.26 */
#define SETUP_SECTS_DEFAULT  4      /* what 0 means */
#define PARAGRAPH_BYTES      16     /* unit of syssize */
#define PAYLOAD_SIZE_TRAILER 4      /* the last bytes of every payload are its decompressed size, little-endian */

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

static enum emu_err find_parts(const struct setup_header *h, size_t file_bytes, struct image_linux_boot *boot,
                               struct diag *d)
{
    uint64_t needed;

    if (h->version < PROTOCOL_MIN)
        return diag_set(d, EMU_EINPUT,
                        "this bzImage has boot protocol %u.%02u (before Linux 2.6.26), which does not say where the "
                        "kernel in it is; give its vmlinux",
                        h->version >> 8, h->version & 0xff);
    boot->protocol = h->version;
    boot->setup_bytes = ((h->setup_sects ? h->setup_sects : SETUP_SECTS_DEFAULT) + (size_t)1) * SECTOR_BYTES;
    boot->protected_offset = boot->setup_bytes;

    needed = boot->setup_bytes + (uint64_t)h->syssize * PARAGRAPH_BYTES;
    if (needed > file_bytes || boot->setup_bytes >= file_bytes)
        return diag_set(d, EMU_EINPUT,
                        "the bzImage is cut short: it has %zu bytes of %" PRIu64 "; fetch the kernel again", file_bytes,
                        needed);
    boot->protected_bytes = (size_t)needed - boot->setup_bytes;
    if (h->payload_length <= PAYLOAD_SIZE_TRAILER || h->payload_offset > boot->protected_bytes ||
        h->payload_length > boot->protected_bytes - h->payload_offset)
        return diag_set(d, EMU_EINPUT,
                        "the bzImage's header says that the compressed kernel has %u bytes at %u of the %zu bytes "
                        "after the setup code; it is damaged",
                        h->payload_length, h->payload_offset, boot->protected_bytes);
    return EMU_OK;
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

    payload = file + boot->protected_offset + h.payload_offset;
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
