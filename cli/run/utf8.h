/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * utf8: whether bytes are text. Cases, JSON and reports are UTF-8. Input of the user that is not UTF-8 is refused where
 * it comes in; what a guest or its image says is written with its bytes visible.
 *
 * Source: RFC 3629, "Syntax of UTF-8 Byte Sequences".
 */
#ifndef BOOTRACE_CLI_RUN_UTF8_H
#define BOOTRACE_CLI_RUN_UTF8_H

#include <stdbool.h>
#include <stddef.h>

#include "emu/base/diag.h"

/* The number of bytes of the character at the beginning of `text`: 1 to 4, or 0 if there is no character (also at the
   end). */
size_t utf8_character(const char *text);
bool utf8_is_valid(const char *text);
/* EMU_EINPUT with a sentence if `text`, which is called `what` there, is not UTF-8. */
enum emu_err utf8_check(const char *what, const char *text, struct diag *d) EMU_MUST_CHECK;

#endif
