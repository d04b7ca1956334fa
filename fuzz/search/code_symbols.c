/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz/search/code_symbols.h"

#include <string.h>

#include "emu/image/symbols.h"
#include "emu/memory.h"
#include "emu/vcpu.h"

bool code_symbols_each(struct machine *m, unsigned vcpu, const struct symbols *symbols, code_symbols_fn *fn,
                       void *context)
{
    for (size_t i = 0; symbols && i < symbols_count(symbols); i++) {
        struct symbol s;

        symbols_get(symbols, i, &s);
        if (!strchr("tTwW", s.kind) || !s.bytes)
            continue;
        for (uint64_t at = s.start_gva + symbols_slide(symbols), to = at + s.bytes; at < to;) {
            uint64_t end = (at | (PAGE_BYTES - 1)) + 1, gpa;

            if (end > to || !end)
                end = to;
            if (vcpu_translate(m, vcpu, at, &gpa) && !fn(context, at, gpa, end - at))
                return false;
            at = end;
        }
    }
    return true;
}
