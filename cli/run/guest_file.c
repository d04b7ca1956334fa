/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/run/guest_file.h"

#include <inttypes.h>
#include <stdlib.h>

#include "emu/base/read_file.h"

enum emu_err guest_file_read(const char *path, const char *what, uint64_t ram_bytes, uint8_t **out, size_t *bytes,
                             struct diag *d)
{
    char too_large[128];
    uint8_t *data;
    enum emu_err err;

    snprintf(too_large, sizeof(too_large),
             "the %s is larger than the guest's memory (%" PRIu64 " MiB); give --memory more", what, ram_bytes >> 20);
    err = read_file(path, ram_bytes, too_large, &data, bytes, d);
    if (err == EMU_OK && !*bytes) {
        free(data);
        err = diag_set_at(d, EMU_EINPUT, path, 0, "the %s is empty", what);
    }
    if (err == EMU_OK)
        *out = data;
    return err;
}
