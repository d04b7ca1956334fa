/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * corpus: the sub-commands `bootrace corpus run|list|show|add`: many cases at once, each in a process of its own.
 */
#ifndef BOOTRACE_CLI_CORPUS_H
#define BOOTRACE_CLI_CORPUS_H

int corpus_run(int argc, char **argv);

#endif
