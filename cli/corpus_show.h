/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * corpus_show: `bootrace corpus show`: a case in words.
 */
#ifndef BOOTRACE_CLI_CORPUS_SHOW_H
#define BOOTRACE_CLI_CORPUS_SHOW_H

int corpus_show_run(int argc, char **argv);

#endif
