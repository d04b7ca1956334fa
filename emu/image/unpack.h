/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unpack: decompression, bounded. One stream of bytes in, one allocation out; which compression it is is recognised
 * from the first bytes. It knows no file format around the stream, and writes no files.
 *
 * gzip, bzip2, lzma, xz, zstd and lz4 (frame and legacy) are done by libarchive, in this process: filters for which
 * libarchive would start another program are not enabled.
 */
#ifndef BOOTRACE_EMU_IMAGE_UNPACK_H
#define BOOTRACE_EMU_IMAGE_UNPACK_H

#include "emu/base/diag.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum unpack_kind {
    UNPACK_NONE, /* no compression that is known here */
    UNPACK_GZIP,
    UNPACK_BZIP2,
    UNPACK_LZMA,
    UNPACK_XZ,
    UNPACK_LZ4, /* frame or legacy */
    UNPACK_ZSTD,
    UNPACK_LZO, /* recognised, but not supported: libarchive would need another program for it */
};

/* What the bytes begin with. */
enum unpack_kind unpack_kind_find(const uint8_t *bytes, size_t size);

/* "gzip", …; "none" for UNPACK_NONE. */
const char *unpack_kind_name(enum unpack_kind kind);

/*
 * Decompress all of `bytes` into *out, which the caller frees; *out_size is at most `size_max`. `what` names the
 * stream in the sentence ("the kernel payload"). EMU_EINPUT: not compressed, unsupported, damaged or too large;
 * EMU_EHOST: no memory. On failure *out is NULL.
 */
enum emu_err unpack_bytes(const char *what, const uint8_t *bytes, size_t size, size_t size_max, uint8_t **out,
                          size_t *out_size, struct diag *d) EMU_MUST_CHECK;

#endif
