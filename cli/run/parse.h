/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * parse: values that a user gives on the command line or in a case, and the sentence that refuses one.
 */
#ifndef BOOTRACE_CLI_RUN_PARSE_H
#define BOOTRACE_CLI_RUN_PARSE_H

#include <stdbool.h>
#include <stdint.h>

#include "emu/base/diag.h"
#include "models/platform_config.h"

/* A number from `min` to `max`, decimal or 0x; `what` begins the sentence. */
enum emu_err parse_number(const char *what, const char *text, uint64_t min, uint64_t max, uint64_t *value,
                          struct diag *d) EMU_MUST_CHECK;
/* Read the decimal digits at *text and move *text behind them. False, and *text stays, if there is no digit or the
   number is larger than `max`. */
bool parse_take_number(const char **text, uint64_t max, uint64_t *value);
/* "512M", "2G", "1048576K" (or bytes): a guest's memory in bytes. */
enum emu_err parse_bytes(const char *text, uint64_t *bytes, struct diag *d) EMU_MUST_CHECK;
/* "4.17": a XEN_VERSION(). */
enum emu_err parse_xen_version(const char *text, unsigned *version, struct diag *d) EMU_MUST_CHECK;
/* "pvh", "hvm", "pv" or "dom0". */
enum emu_err parse_mode(const char *text, enum platform_mode *mode, struct diag *d) EMU_MUST_CHECK;

#endif
