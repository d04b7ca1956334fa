/* SPDX-License-Identifier: GPL-2.0-or-later */
/* merge: the sub-command that joins the parts of an exhaustive search. */
#ifndef BOOTRACE_CLI_MERGE_H
#define BOOTRACE_CLI_MERGE_H

int merge_run(int argc, char **argv);

#endif
