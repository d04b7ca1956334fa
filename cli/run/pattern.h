/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pattern: the extended regular expressions that a user or a case gives. The C library's compiler copies what `+` and
 * `{n}` repeat, so that a line of text can take all memory of the host, and it recurses with each bracket: what would
 * become larger than PATTERN_ATOMS_MAX atoms is refused first.
 */
#ifndef BOOTRACE_CLI_RUN_PATTERN_H
#define BOOTRACE_CLI_RUN_PATTERN_H

#include <regex.h>
#include <stdbool.h>

#define PATTERN_ATOMS_MAX 2000u
#define PATTERN_WHY_BYTES 128

/* As regcomp() with REG_EXTENDED and REG_NOSUB, and the further `flags`. False: `why` says why not, and nothing is
   held; true: regfree() is the caller's. */
bool pattern_compile(regex_t *re, const char *text, int flags, char why[PATTERN_WHY_BYTES]);

#endif
