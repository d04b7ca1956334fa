/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * patches: the sub-command `bootrace patches IMAGE`.
 */
#ifndef BOOTRACE_CLI_PATCHES_H
#define BOOTRACE_CLI_PATCHES_H

int patches_run(int argc, char **argv);

#endif
