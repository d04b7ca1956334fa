/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * host_time: how long the user has waited. For progress lines and reports, and to stop a search whose time is used up
 * (--budget): no time of the host enters a run.
 */
#ifndef BOOTRACE_CLI_RUN_HOST_TIME_H
#define BOOTRACE_CLI_RUN_HOST_TIME_H

/* Seconds since some moment that stays the same while the host runs; never goes back. */
double host_time_s(void);

#endif
