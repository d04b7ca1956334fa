/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * code_version: a site of code whose bytes change has versions, from its old bytes to its new ones. Does an instruction
 * belong to a version, whole and at an offset where that version has an instruction? And an INT3: does it keep other
 * vCPUs out while the site is changed, or is it the padding of one version, into which an instruction of another
 * version leads?
 */
#ifndef BOOTRACE_FUZZ_DETECT_CODE_VERSION_H
#define BOOTRACE_FUZZ_DETECT_CODE_VERSION_H

#include <stdbool.h>
#include <stdint.h>

struct decoder;

#define CODE_SITE_BYTES_MAX 64u /* of a site; bytes beyond are ignored */

/* `version` is all bytes of the site; `code`, `length` bytes, is the instruction, which begins `offset` bytes into the
   site, or before it (then only its bytes within the site are looked at). `bits`: 16, 32 or 64. */
bool code_version_has(struct decoder *dec, unsigned bits, const uint8_t *version, unsigned version_bytes,
                      int64_t offset, const uint8_t *code, unsigned length);

#define CODE_VERSIONS_MAX 64u

/* `present` is the site's `bytes` bytes as they are now, with an INT3 at `offset`. True if that INT3 belongs to a
   version while the instructions that lead to it, in a straight line from the beginning of the site, belong to other
   versions. */
bool code_version_leads_into_int3(struct decoder *dec, unsigned bits, const uint8_t *present, unsigned bytes,
                                  unsigned offset, const uint8_t *const *version, unsigned versions);

#endif
