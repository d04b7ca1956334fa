/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * attach: puts what the user asked to look for (--detect, --op-table, --torn-site, --same) onto a guest that is loaded
 * and has not run yet.
 */
#ifndef BOOTRACE_CLI_RUN_ATTACH_H
#define BOOTRACE_CLI_RUN_ATTACH_H

#include "cli/run/guest.h"

/* guest_init(), then all of the above. On failure everything is released. */
enum emu_err attach_guest_init(struct guest *g, const struct guest_options *options, struct diag *d) EMU_MUST_CHECK;

#endif
