/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any ELF bytes either give tables whose entries can all be read, or sentences why not; and an edit of such a kernel
 * changes exactly what it reports, or nothing.
 */
#include "fuzz/targets/fuzz_target.h"

#include "emu/base/count.h"
#include "emu/base/ensure.h"
#include "models/linux/edit.h"

#include <stdlib.h>
#include <string.h>

#define FUNCTION_BYTES 0x400u

struct changes {
    unsigned count;
    struct edit_memory memory;
};

static void check_change(void *context, const struct edit_change *c)
{
    struct changes *seen = context;
    uint8_t now[EDIT_BYTES_MAX];
    seen->count++;
    ensure(c->bytes > 0 && c->bytes <= EDIT_BYTES_MAX);
    ensure(seen->memory.read(seen->memory.context, c->gva, now, c->bytes));
    ensure(!memcmp(now, c->new_bytes, c->bytes));
}

static void edit_kernel(const struct kernel_view *v, const struct symbols *s, const struct patch_tables *t)
{
    static const char *const lines[] = {"unguard f",
                                        "drop-call f f",
                                        "drop-call f +0",
                                        "skip-entry alternatives f",
                                        "skip-entry paravirt f",
                                        "skip-entry smp_locks f+1",
                                        "replace f ?? 90"};
    struct edit_copy copy = {.view = v, .bytes = malloc(v->size)};
    struct changes seen = {.memory = edit_memory_copy(&copy)};
    struct decoder *dec;
    struct diag d;
    struct edit_kernel k;

    diag_init(&d);
    ensure(copy.bytes != NULL);
    ensure(decoder_new(&dec, &d) == EMU_OK);
    k = (struct edit_kernel){.view = v, .symbols = s, .tables = t, .decoder = dec};
    memcpy(copy.bytes, v->bytes, v->size);
    for (unsigned i = 0; i < COUNT(lines); i++) {
        struct edit e;
        enum emu_err err;

        seen.count = 0;
        ensure(edit_parse(lines[i], 0, &e, &d) == EMU_OK);
        err = edit_apply(&e, &k, &seen.memory, check_change, &seen, &d);
        ensure(err != EMU_OK ? d.text[0] && !seen.count : seen.count > 0);
    }
    decoder_free(dec);
    free(copy.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct kernel_view v;
    struct patch_tables t;
    struct diag d;
    struct symbols *s;
    enum emu_err err = EMU_OK;

    diag_init(&d);
    if (kernel_view_init(&v, bytes, size, &d))
        return 0;
    s = symbols_new();
    ensure(s != NULL);
    for (unsigned i = 0; err == EMU_OK && i < v.segment_count; i++)
        err = symbols_add(s, v.segments[i].start_gva, FUNCTION_BYTES, 'T', i ? "g" : "f", &d);
    if (err == EMU_OK)
        err = symbols_seal(s, &d);
    ensure(err == EMU_OK);
    if (patch_tables_find(&v, s, &t, &d) == EMU_OK) {
        for (unsigned kind = 0; kind < PATCH_KINDS; kind++) {
            const struct patch_table *table = &t.tables[kind];
            ensure(table->is_present || !table->count);
            ensure(!table->refusal[0] || !table->count);
            for (uint32_t i = 0; i < table->count; i++) {
                struct patch_entry e;
                patch_tables_get(&t, (enum patch_kind)kind, i, &e);
                ensure(e.site_bytes <= PATCH_SITE_BYTES_MAX && e.replacement_bytes <= e.site_bytes);
                ensure(!e.site_bytes || patch_tables_is_code(&v, e.site_gva, e.site_bytes));
            }
        }
        edit_kernel(&v, s, &t);
    } else {
        ensure(d.text[0] != '\0');
    }
    symbols_free(s);
    return 0;
}
