/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any ELF bytes either give symbols that a sealed table finds again, or are refused with one sentence.
 */
#include "fuzz/targets/fuzz_target.h"

#include "emu/base/ensure.h"
#include "models/linux/kallsyms.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct kernel_view v;
    struct kallsyms_tables t = {0};
    struct diag d;
    struct symbols *s = symbols_new();
    enum emu_err err;

    ensure(s != NULL);
    diag_init(&d);
    err = kernel_view_init(&v, bytes, size, &d);
    if (err == EMU_OK)
        err = kallsyms_read(&v, s, &t, &d);
    if (err == EMU_OK)
        err = symbols_seal(s, &d);
    if (err != EMU_OK) {
        ensure(d.text[0] != '\0' && !strchr(d.text, '\n'));
    } else {
        ensure(symbols_count(s) > 0 && symbols_count(s) <= t.count);
        for (size_t i = 0; i < symbols_count(s); i += 1 + symbols_count(s) / 64) {
            struct symbol listed, found;
            symbols_get(s, i, &listed);
            ensure(symbols_find_name(s, listed.name, &found) > 0);
            ensure(found.start_gva <= listed.start_gva);
            if (listed.bytes)
                ensure(symbols_find_address(s, listed.start_gva, &found) && found.start_gva == listed.start_gva);
        }
    }
    symbols_free(s);
    return 0;
}
