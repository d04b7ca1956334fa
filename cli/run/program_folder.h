/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * program_folder: where this program lies: build/cli, or PREFIX/bin. What belongs to it is found from there.
 */
#ifndef BOOTRACE_CLI_RUN_PROGRAM_FOLDER_H
#define BOOTRACE_CLI_RUN_PROGRAM_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

/* The folder's path, without a slash at the end. False, with "" in `path`, if the host does not tell it or it does not
   fit into `bytes`. */
bool program_folder(char *path, size_t bytes);

#endif
