/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * call_site: what one call instruction of a kernel calls. It knows the forms that compilers and the kernel's patchers
 * make: a direct call, and a call through a pointer in memory at a fixed address. Of every other indirect call it says
 * only that it is indirect.
 */
#ifndef BOOTRACE_MODELS_LINUX_CALL_SITE_H
#define BOOTRACE_MODELS_LINUX_CALL_SITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum call_kind {
    CALL_NONE,     /* no call */
    CALL_DIRECT,   /* E8: *target_gva is the function */
    CALL_SLOT,     /* through memory: *target_gva is where the pointer is */
    CALL_INDIRECT, /* through a register, or memory that a register says */
};

/*
 * The call that is the one instruction in `code` (`bytes` of it: its whole length), standing at gva in `bits` code.
 * *target_gva is 0 for CALL_NONE and CALL_INDIRECT.
 */
enum call_kind call_site_decode(unsigned bits, uint64_t gva, const uint8_t *code, size_t bytes, uint64_t *target_gva);

#endif
