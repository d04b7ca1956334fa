/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * doctor: the sub-command `bootrace doctor`: does this machine have what bootrace needs, and if not, what to do.
 */
#ifndef BOOTRACE_CLI_DOCTOR_H
#define BOOTRACE_CLI_DOCTOR_H

int doctor_run(int argc, char **argv);

#endif
