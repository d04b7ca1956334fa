/* SPDX-License-Identifier: GPL-2.0-or-later */
/* snapshot: the sub-command that says what a snapshot file contains. */
#ifndef BOOTRACE_CLI_SNAPSHOT_H
#define BOOTRACE_CLI_SNAPSHOT_H

int snapshot_run(int argc, char **argv);

#endif
