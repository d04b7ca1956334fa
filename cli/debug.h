/* SPDX-License-Identifier: GPL-2.0-or-later */
/* debug: the sub-command that lets gdb look at a boot, forwards and backwards. */
#ifndef BOOTRACE_CLI_DEBUG_H
#define BOOTRACE_CLI_DEBUG_H

int debug_run(int argc, char **argv);

#endif
