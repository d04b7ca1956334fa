/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * report: the sub-command that tells of a run: as one HTML file, as text, or as a trace for a viewer.
 */
#ifndef BOOTRACE_CLI_REPORT_H
#define BOOTRACE_CLI_REPORT_H

int report_run(int argc, char **argv);

#endif
