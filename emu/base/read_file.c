/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/base/read_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emu/base/vec.h"

#define FIRST_BYTES (1u << 16)

enum emu_err read_file(const char *path, size_t bytes_max, const char *too_large, uint8_t **out, size_t *bytes,
                       struct diag *d)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = NULL;
    size_t room = 0, got = 0, n = 0;
    enum emu_err err = EMU_OK;

    if (!f)
        return diag_set_at(d, EMU_EINPUT, path, 0, "can't be opened: %s", strerror(errno));
    do {
        got += n;
        if (got > bytes_max)
            err = diag_set_at(d, EMU_EINPUT, path, 0, "%s", too_large);
        else if (!vec_reserve(&data, &room, got + 1, FIRST_BYTES, 1))
            err = diag_no_memory(d);
    } while (err == EMU_OK && (n = fread(data + got, 1, room - got, f)) > 0);
    if (err == EMU_OK && ferror(f))
        err = diag_set_at(d, EMU_EINPUT, path, 0, "can't be read: %s", strerror(errno));
    fclose(f);
    if (err != EMU_OK) {
        free(data);
        return err;
    }
    *out = data;
    *bytes = got;
    return EMU_OK;
}
