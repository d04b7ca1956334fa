/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz/detect/code_version.h"

#include "emu/base/ensure.h"
#include "emu/insn.h"

static bool begins_at(struct decoder *dec, unsigned bits, const uint8_t *version, unsigned bytes, int64_t offset)
{
    unsigned at = 0;

    while (at < offset) {
        struct insn insn;

        if (!decoder_decode(dec, bits, version + at, bytes - at, &insn))
            return false;
        at += insn.length;
    }
    return at == offset;
}

bool code_version_has(struct decoder *dec, unsigned bits, const uint8_t *version, unsigned version_bytes,
                      int64_t offset, const uint8_t *code, unsigned length)
{
    for (int64_t i = 0; i < length; i++)
        if (offset + i >= 0 && offset + i < version_bytes && code[i] != version[offset + i])
            return false;
    return offset < 0 || begins_at(dec, bits, version, version_bytes, offset);
}

bool code_version_leads_into_int3(struct decoder *dec, unsigned bits, const uint8_t *present, unsigned bytes,
                                  unsigned offset, const uint8_t *const *version, unsigned versions)
{
    uint64_t led = UINT64_MAX, have = 0;
    unsigned at = 0;

    ensure(versions <= CODE_VERSIONS_MAX && offset < bytes);
    while (at < offset) {
        struct insn insn;

        if (!decoder_decode(dec, bits, present + at, bytes - at, &insn))
            return false;
        for (unsigned v = 0; v < versions; v++)
            if (!code_version_has(dec, bits, version[v], bytes, at, present + at, insn.length))
                led &= ~((uint64_t)1 << v);
        at += insn.length;
    }
    for (unsigned v = 0; at == offset && v < versions; v++)
        if (code_version_has(dec, bits, version[v], bytes, at, present + at, 1))
            have |= (uint64_t)1 << v;
    return have && !(have & led);
}
