/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * image_argument: the one IMAGE argument of a sub-command that looks into an image but does not run it. A sub-command
 * that runs a guest takes guest_argp (guest_options.h).
 */
#ifndef BOOTRACE_CLI_IMAGE_ARGUMENT_H
#define BOOTRACE_CLI_IMAGE_ARGUMENT_H

#include <argp.h>

/* A child parser without options; its input is a `const char **`, NULL at first. No IMAGE, or a second one, is the
 * user's error.
 */
extern const struct argp image_argument_argp;

#endif
