/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/linux/call_site.h"

#include <string.h>

static bool is_prefix(unsigned bits, uint8_t b)
{
    return b == 0x2e || b == 0x3e || b == 0xf2 || b == 0x66 || (bits == 64 && (b & 0xf0) == 0x40);
}

static uint64_t wrap(unsigned bits, uint64_t gva)
{
    return bits == 32 ? (uint32_t)gva : gva;
}

enum call_kind call_site_decode(unsigned bits, uint64_t gva, const uint8_t *code, size_t bytes, uint64_t *target_gva)
{
    const uint8_t *b = code, *end = code + bytes;
    int32_t operand;
    size_t left;

    *target_gva = 0;
    while (b < end && is_prefix(bits, *b))
        b++;
    left = (size_t)(end - b);
    if (left == 5 && b[0] == 0xe8) {
        memcpy(&operand, b + 1, sizeof(operand));
        *target_gva = wrap(bits, gva + bytes + (uint64_t)(int64_t)operand);
        return CALL_DIRECT;
    }
    if (left < 2 || b[0] != 0xff || (b[1] >> 3 & 7) != 2)
        return CALL_NONE;
    if (left == 6 && b[1] == 0x15) { /* from the next instruction in 64-bit code, absolute in 32-bit code */
        memcpy(&operand, b + 2, sizeof(operand));
        *target_gva = wrap(bits, (uint64_t)(int64_t)operand + (bits == 64 ? gva + bytes : 0));
        return CALL_SLOT;
    }
    if (left == 7 && b[1] == 0x14 && b[2] == 0x25) { /* absolute, by SIB */
        memcpy(&operand, b + 3, sizeof(operand));
        *target_gva = wrap(bits, (uint64_t)(int64_t)operand);
        return CALL_SLOT;
    }
    return CALL_INDIRECT;
}
