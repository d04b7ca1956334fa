/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz: the sub-command that searches a window of a boot. */
#ifndef BOOTRACE_CLI_FUZZ_H
#define BOOTRACE_CLI_FUZZ_H

int fuzz_run(int argc, char **argv);

#endif
