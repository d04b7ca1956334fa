/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xen_edit: the edits that are meant for the Xen below the kernel: those that name a place of it, `xen:FUNCTION`. They
 * are the same edits as for a kernel (models/linux/edit_text.h), with two limits: Xen's tables hold functions only, and
 * its own table of alternatives is not read, so that what is dropped must be what no alternative writes again: CLI, STI
 * or a direct call.
 */
#ifndef BOOTRACE_CLI_RUN_XEN_EDIT_H
#define BOOTRACE_CLI_RUN_XEN_EDIT_H

#include "cli/run/guest_options.h"
#include "emu/base/diag.h"

struct guest;

/* The edits of the kernel, or those of Xen, in their order; returns how many. */
unsigned xen_edit_select(const struct guest_options *o, bool of_xen, const char *edit[GUEST_EDITS_MAX]);

/* Change the Xen that was loaded into the machine. EMU_EINPUT: an edit does not fit, or there is no Xen to change. */
enum emu_err xen_edit_apply(struct guest *g, struct diag *d) EMU_MUST_CHECK;

#endif
