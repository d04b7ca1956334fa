/* SPDX-License-Identifier: GPL-2.0-or-later */
/* elfnotes: the sub-command `bootrace elfnotes`: which Xen versions would load an image, and why not. */
#ifndef BOOTRACE_CLI_ELFNOTES_H
#define BOOTRACE_CLI_ELFNOTES_H

int elfnotes_run(int argc, char **argv);

#endif
