/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * symbols: the sub-command `bootrace symbols IMAGE`.
 */
#ifndef BOOTRACE_CLI_SYMBOLS_H
#define BOOTRACE_CLI_SYMBOLS_H

int symbols_run(int argc, char **argv);

#endif
