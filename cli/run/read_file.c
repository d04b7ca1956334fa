/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/run/read_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum emu_err read_file(const char *path, const char *what, size_t bytes_max, uint8_t **out, size_t *bytes,
                       struct diag *d)
{
    FILE *f = fopen(path, "rb");
    size_t room = 1 << 20, got = 0, n;
    uint8_t *data;

    if (!f)
        return diag_set_at(d, EMU_EINPUT, path, 0, "can't be opened: %s", strerror(errno));
    data = malloc(room);
    while (data && (n = fread(data + got, 1, room - got, f)) > 0) {
        got += n;
        if (got > bytes_max) {
            free(data);
            fclose(f);
            return diag_set_at(d, EMU_EINPUT, path, 0,
                               "the %s is larger than the guest's memory (%zu MiB); give --memory more", what,
                               bytes_max >> 20);
        }
        if (got == room) {
            uint8_t *more = realloc(data, room * 2);

            if (!more)
                free(data);
            data = more;
            room *= 2;
        }
    }
    if (!data || ferror(f)) {
        enum emu_err err = data ? diag_set_at(d, EMU_EINPUT, path, 0, "can't be read: %s", strerror(errno))
                                : diag_set(d, EMU_EHOST, "the host has no memory left");

        free(data);
        fclose(f);
        return err;
    }
    fclose(f);
    if (!got) {
        free(data);
        return diag_set_at(d, EMU_EINPUT, path, 0, "the %s is empty", what);
    }
    *out = data;
    *bytes = got;
    return EMU_OK;
}
