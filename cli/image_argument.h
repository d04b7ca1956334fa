/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * image_argument: the one IMAGE that a sub-command takes which looks into an image and does not run it. A guest that is
 * run has more to it: guest_argp (guest.h).
 */
#ifndef BOOTRACE_CLI_IMAGE_ARGUMENT_H
#define BOOTRACE_CLI_IMAGE_ARGUMENT_H

#include <argp.h>

/* A child without options; its input is a `const char **`, NULL at first. No IMAGE, or a second one, is a user's error.
 */
extern const struct argp image_argument_argp;

#endif
