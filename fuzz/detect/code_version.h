/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * code_version: a site of code whose bytes change has versions, from its old bytes to its new ones. Is an instruction
 * one of a version, whole and at a place where that version has one? And an INT3: is it one that keeps others out while
 * the site is changed, or padding that only some versions have, and into which one of another version leads?
 */
#ifndef BOOTRACE_FUZZ_DETECT_CODE_VERSION_H
#define BOOTRACE_FUZZ_DETECT_CODE_VERSION_H

#include <stdbool.h>
#include <stdint.h>

struct decoder;

#define CODE_SITE_BYTES_MAX 64u /* of a site; what lies beyond is not looked at */

/* `version` is all bytes of the site; `code`, `length` bytes, is the instruction, which begins `offset` bytes into the
   site, or before it (then only its bytes within the site are looked at). `bits`: 16, 32 or 64. */
bool code_version_has(struct decoder *dec, unsigned bits, const uint8_t *version, unsigned version_bytes,
                      int64_t offset, const uint8_t *code, unsigned length);

#define CODE_VERSIONS_MAX 64u

/* `present`, `bytes` of them, is what the site is now, with an INT3 at `offset`. True if it is some version's, and what
   leads there in a straight line from the site's begin is of others. */
bool code_version_leads_into_int3(struct decoder *dec, unsigned bits, const uint8_t *present, unsigned bytes,
                                  unsigned offset, const uint8_t *const *version, unsigned versions);

#endif
