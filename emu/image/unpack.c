/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/image/unpack.h"

#include <archive.h>
#include <archive_entry.h>

#include <stdlib.h>
#include <string.h>

#include "emu/base/count.h"

static const struct kind_row {
    const char *name;
    int (*enable)(struct archive *); /* NULL: not supported */
    uint8_t magic[9];
    uint8_t magic_bytes;
} kinds[] = {
    [UNPACK_NONE] = {.name = "none"},
    [UNPACK_GZIP] = {"gzip", archive_read_support_filter_gzip, {0x1f, 0x8b, 0x08}, 3},
    [UNPACK_BZIP2] = {"bzip2", archive_read_support_filter_bzip2, {'B', 'Z', 'h'}, 3},
    [UNPACK_LZMA] = {"lzma", archive_read_support_filter_lzma, {0x5d, 0x00, 0x00}, 3},
    [UNPACK_XZ] = {"xz", archive_read_support_filter_xz, {0xfd, '7', 'z', 'X', 'Z', 0x00}, 6},
    [UNPACK_LZ4] = {"lz4", archive_read_support_filter_lz4, {0x02, 0x21, 0x4c, 0x18}, 4},
    [UNPACK_ZSTD] = {"zstd", archive_read_support_filter_zstd, {0x28, 0xb5, 0x2f, 0xfd}, 4},
    [UNPACK_LZO] = {"lzo", NULL, {0x89, 'L', 'Z', 'O', 0x00, '\r', '\n', 0x1a, '\n'}, 9},
};

/* lz4 has two magics: the table's is the legacy one that kernels use, this is the frame format's. */
static const uint8_t lz4_frame_magic[] = {0x04, 0x22, 0x4d, 0x18};

enum unpack_kind unpack_kind_find(const uint8_t *bytes, size_t size)
{
    for (size_t i = UNPACK_NONE + 1; i < COUNT(kinds); i++)
        if (size >= kinds[i].magic_bytes && !memcmp(bytes, kinds[i].magic, kinds[i].magic_bytes))
            return (enum unpack_kind)i;
    if (size >= sizeof(lz4_frame_magic) && !memcmp(bytes, lz4_frame_magic, sizeof(lz4_frame_magic)))
        return UNPACK_LZ4;
    return UNPACK_NONE;
}

const char *unpack_kind_name(enum unpack_kind kind)
{
    return kinds[kind].name;
}

/* The output grows by doubling: no length that the file claims is believed before its bytes are there. */
static enum emu_err read_all(struct archive *a, const char *what, const char *kind, size_t size_max, uint8_t **out,
                             size_t *out_size, struct diag *d)
{
    size_t room_max = size_max + 1; /* the one byte more shows that there is more */
    size_t room = room_max < 1 << 20 ? room_max : 1 << 20;
    size_t size = 0;
    uint8_t *bytes = malloc(room);

    if (!bytes)
        return diag_set(d, EMU_EHOST, "no memory to decompress %s", what);
    for (;;) {
        la_ssize_t got = archive_read_data(a, bytes + size, room - size);
        if (got < 0) {
            free(bytes);
            return diag_set(d, EMU_EINPUT, "%s does not decompress as %s (%s); the file is damaged or cut short", what,
                            kind, archive_error_string(a) ? archive_error_string(a) : "unknown error");
        }
        if (got == 0)
            break;
        size += (size_t)got;
        if (size > size_max) {
            free(bytes);
            return diag_set(d, EMU_EINPUT, "%s (%s) decompresses to more than %zu bytes; no kernel is that large", what,
                            kind, size_max);
        }
        if (size == room) {
            uint8_t *moved;

            room = room > room_max / 2 ? room_max : 2 * room;
            moved = realloc(bytes, room);
            if (!moved) {
                free(bytes);
                return diag_set(d, EMU_EHOST, "no memory to decompress %s (%zu bytes)", what, room);
            }
            bytes = moved;
        }
    }
    *out = bytes;
    *out_size = size;
    return EMU_OK;
}

enum emu_err unpack_bytes(const char *what, const uint8_t *bytes, size_t size, size_t size_max, uint8_t **out,
                          size_t *out_size, struct diag *d)
{
    enum unpack_kind kind = unpack_kind_find(bytes, size);
    const char *name = kinds[kind].name;
    struct archive_entry *entry;
    enum emu_err err;
    struct archive *a;

    *out = NULL;
    *out_size = 0;
    if (kind == UNPACK_NONE)
        return diag_set(d, EMU_EINPUT, "%s is not compressed in a way that is known here", what);
    if (!kinds[kind].enable)
        return diag_set(d, EMU_EINPUT,
                        "%s is compressed with %s, which is not supported; repack the kernel with another compression "
                        "or give its vmlinux",
                        what, name);

    a = archive_read_new();
    if (!a)
        return diag_set(d, EMU_EHOST, "no memory to decompress %s", what);
    /* ARCHIVE_WARN would mean "by starting another program". */
    if (kinds[kind].enable(a) != ARCHIVE_OK || archive_read_support_format_raw(a) != ARCHIVE_OK)
        err = diag_set(d, EMU_EHOST, "this libarchive can't decompress %s, which %s needs", name, what);
    else if (archive_read_open_memory(a, bytes, size) != ARCHIVE_OK ||
             archive_read_next_header(a, &entry) != ARCHIVE_OK || archive_filter_code(a, 0) == ARCHIVE_FILTER_NONE)
        err = diag_set(d, EMU_EINPUT, "%s begins like %s but is not; the file is damaged or cut short", what, name);
    else
        err = read_all(a, what, name, size_max, out, out_size, d);
    archive_read_free(a);
    return err;
}
