/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * corpus_add: the sub-command `bootrace corpus add`: a found failure becomes a case of a corpus, if it is one.
 */
#ifndef BOOTRACE_CLI_CORPUS_ADD_H
#define BOOTRACE_CLI_CORPUS_ADD_H

int corpus_add_run(int argc, char **argv);

#endif
