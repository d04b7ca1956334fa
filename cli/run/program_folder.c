/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/run/program_folder.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

bool program_folder(char *path, size_t bytes)
{
    char exe[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", exe, sizeof(exe));
    const char *slash = length > 0 && (size_t)length < sizeof(exe) ? memrchr(exe, '/', (size_t)length) : NULL;
    size_t folder_bytes = slash ? (size_t)(slash - exe) : 0;

    path[0] = '\0';
    if (!slash || folder_bytes >= bytes)
        return false;
    memcpy(path, exe, folder_bytes);
    path[folder_bytes] = '\0';
    return true;
}
