/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * status: the exit statuses of the program, and the one place that says which verdict gives which.
 */
#ifndef BOOTRACE_CLI_RUN_STATUS_H
#define BOOTRACE_CLI_RUN_STATUS_H

enum command_status {
    COMMAND_PASS = 0,
    COMMAND_FAIL = 1,       /* a detector fired */
    COMMAND_INPUT = 2,      /* what the user gave is wrong */
    COMMAND_UNMODELLED = 3, /* the guest left the model */
    COMMAND_BUDGET = 4,     /* the budget ended before the run did */
    COMMAND_ERROR = 5,      /* our own failure */
    COMMAND_INTERRUPTED = 130,
};

#endif
