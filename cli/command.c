/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/command.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int command_fail(const char *name, enum emu_err err, const struct diag *d)
{
    diag_print(d, name, stderr);
    return err == EMU_EINPUT ? COMMAND_INPUT : COMMAND_ERROR;
}

enum emu_err command_check_output(const char *path, bool is_replaced, struct diag *d)
{
    struct stat st;
    bool is_there = stat(path, &st) == 0;
    int file;

    if (is_there && is_replaced && !S_ISREG(st.st_mode))
        return diag_set_at(d, EMU_EINPUT, path, 0, "can't be written: it exists and is not a regular file");
    file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0666);
    if (file < 0 && errno != ENXIO) /* a pipe that nobody reads yet */
        return diag_set_at(d, EMU_EINPUT, path, 0, "can't be written: %s", strerror(errno));
    if (file >= 0)
        close(file);
    if (!is_there)
        unlink(path);
    return EMU_OK;
}

enum emu_err command_close_output(FILE *f, const char *path, struct diag *d)
{
    bool before = ferror(f);
    int why = fflush(f) ? errno : 0;

    if (path && fclose(f) && !why)
        why = errno;
    if (!before && !why)
        return EMU_OK;
    return diag_set_at(d, EMU_EHOST, path ? path : "standard output", 0, "not all of it could be written: %s",
                       before ? "perhaps the disk is full" : strerror(why));
}
