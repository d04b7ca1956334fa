/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * monitor: what a person asks the host about its guest in a debugger: commands of a word or two, answers of plain text.
 * Only `goto` changes where the run is; nothing changes the run.
 */
#ifndef BOOTRACE_CLI_DEBUGGER_MONITOR_H
#define BOOTRACE_CLI_DEBUGGER_MONITOR_H

#include <stddef.h>

struct guest;
struct history;
struct machine;

struct monitor {
    struct guest *guest;
    struct history *history;
};

/* The answer, which the caller frees; NULL if the host has no memory. */
char *monitor_run(const struct monitor *monitor, const char *command);

/* "vCPU 1, halted (HLT)" */
void monitor_describe_vcpu(const struct machine *m, unsigned vcpu, char *text, size_t bytes);

#endif
