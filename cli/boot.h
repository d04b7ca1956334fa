/* SPDX-License-Identifier: GPL-2.0-or-later */
/* boot: the sub-command that boots a guest. */
#ifndef BOOTRACE_CLI_BOOT_H
#define BOOTRACE_CLI_BOOT_H

int boot_run(int argc, char **argv);

#endif
