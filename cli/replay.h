/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replay: the sub-command `bootrace replay CASE`, which runs a case and says whether it ends as the case expects.
 * `bootrace corpus run` runs it for each case, in a process of its own.
 */
#ifndef BOOTRACE_CLI_REPLAY_H
#define BOOTRACE_CLI_REPLAY_H

int replay_run(int argc, char **argv);

#endif
