/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * operations: the sub-command that lists the hypercall operations which the Xen model has.
 */
#ifndef BOOTRACE_CLI_OPERATIONS_H
#define BOOTRACE_CLI_OPERATIONS_H

int operations_run(int argc, char **argv);

#endif
