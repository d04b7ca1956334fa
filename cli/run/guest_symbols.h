/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest_symbols: the names of all that runs in a machine, in one table. The kernel's stand there as they are, and those
 * of a Xen that runs it behind "xen:". An address is in one of them only: a 64-bit PV kernel leaves a part of the
 * address space to Xen (xen_symbols.h).
 */
#ifndef BOOTRACE_CLI_RUN_GUEST_SYMBOLS_H
#define BOOTRACE_CLI_RUN_GUEST_SYMBOLS_H

#include "cli/run/guest_options.h"
#include "emu/base/diag.h"
#include "emu/image/image.h"
#include "emu/image/symbols.h"

/* The sealed table of `image` and of `xen`, the one below it; both may be NULL. *out is NULL if neither has names: that
   is no error, but a file that the user names and that can't be read is. */
enum emu_err guest_symbols_read(const struct guest_options *o, const struct image *image, const struct image *xen,
                                struct symbols **out, struct diag *d) EMU_MUST_CHECK;

#endif
