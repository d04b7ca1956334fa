/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/run/file_digest.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define CHUNK_BYTES (1u << 20)

/* Reads all of `f`; false if the host has no memory. */
static bool read_through(FILE *f, struct file_digest *out)
{
    XXH3_state_t *narrow = XXH3_createState(), *wide = XXH3_createState();
    uint8_t *bytes = malloc(CHUNK_BYTES);
    bool ok = narrow && wide && bytes;

    if (ok) {
        XXH128_canonical_t sum;
        size_t n;

        XXH3_64bits_reset(narrow);
        XXH3_128bits_reset(wide);
        while ((n = fread(bytes, 1, CHUNK_BYTES, f)) > 0) {
            XXH3_64bits_update(narrow, bytes, n);
            XXH3_128bits_update(wide, bytes, n);
        }
        out->xxh3 = XXH3_64bits_digest(narrow);
        XXH128_canonicalFromHash(&sum, XXH3_128bits_digest(wide));
        for (unsigned i = 0; i < sizeof(sum.digest); i++)
            snprintf(out->xxh3_128 + 2 * i, 3, "%02x", sum.digest[i]);
    }
    XXH3_freeState(narrow);
    XXH3_freeState(wide);
    free(bytes);
    return ok;
}

enum emu_err file_digest(const char *path, struct file_digest *out, struct diag *d)
{
    FILE *f = fopen(path, "rb");
    enum emu_err err = EMU_OK;

    if (!f)
        return diag_set_at(d, EMU_EINPUT, path, 0, "can't be opened: %s", strerror(errno));
    if (!read_through(f, out))
        err = diag_no_memory(d);
    else if (ferror(f))
        err = diag_set_at(d, EMU_EINPUT, path, 0, "can't be read: %s", strerror(errno));
    fclose(f);
    return err;
}
