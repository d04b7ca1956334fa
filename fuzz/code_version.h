/*
 * code_version: a site of code whose bytes change has versions, from its old bytes to its new ones. Is an instruction
 * one of a version, whole and at a place where that version has one?
 */
#ifndef BOOTRACE_FUZZ_CODE_VERSION_H
#define BOOTRACE_FUZZ_CODE_VERSION_H

#include <stdbool.h>
#include <stdint.h>

struct decoder;

/* `version` is all bytes of the site; `code`, `length` bytes, is the instruction, which begins `offset` bytes into the
   site, or before it (then only its bytes within the site are looked at). `bits`: 16, 32 or 64. */
bool code_version_has(struct decoder *dec, unsigned bits, const uint8_t *version, unsigned version_bytes,
                      int64_t offset, const uint8_t *code, unsigned length);

#endif
