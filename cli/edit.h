/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * edit: the sub-command `bootrace edit --dry-run IMAGE EDIT...`.
 */
#ifndef BOOTRACE_CLI_EDIT_H
#define BOOTRACE_CLI_EDIT_H

int edit_run(int argc, char **argv);

#endif
