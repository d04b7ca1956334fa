/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * load: a case without a run: would the toolstack of its Xen version load its guest as an unprivileged domain? What
 * `bootrace elfnotes` says of one version and one kind of guest, as an outcome: PASS, or FAIL by the detector
 * `elf-notes` with the toolstack's reason.
 */
#ifndef BOOTRACE_CLI_CASE_LOAD_H
#define BOOTRACE_CLI_CASE_LOAD_H

#include "cli/case/outcome.h"

/* EMU_EINPUT: the image can't be read, or this Xen version has no such guests. */
enum emu_err load_check(const struct test_case *c, const struct guest_options *guest, struct outcome *o,
                        struct diag *d) EMU_MUST_CHECK;

#endif
