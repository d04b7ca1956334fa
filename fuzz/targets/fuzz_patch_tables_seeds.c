/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes inputs for fuzz_patch_tables, one of each arrangement: `fuzz_patch_tables_seeds FOLDER`.
 */
#include "tests/patch_builder.h"

#include <stdio.h>
#include <string.h>

static void make(struct patched *p, unsigned bits, enum alternative_layout layout)
{
    uint64_t text_gva, other_gva;
    bool relative;

    patched_init(p, bits);
    text_gva = p->text_gva;
    other_gva = p->data_gva + PATCHED_OTHER_AT;
    relative = layout >= ALT_3_1;
    memcpy(patched_at(p, text_gva), "\xe8\0\0\0\0\xfa\xf0\x01\x00\xfb", 10);
    memcpy(patched_at(p, text_gva + 32), "\xe8\0\0\0\0", 5);
    patched_table(p, ".altinstructions");
    for (unsigned i = 0; i < 4; i++) {
        const struct alternative a = {text_gva + 16 * i, other_gva + 8 * i, (uint16_t)(25 + i), 0, 6, 4, 1};
        patched_alternative(p, layout, &a);
    }
    patched_table(p, ".parainstructions");
    patched_paravirt(p, text_gva, 31, 6);
    patched_paravirt(p, text_gva + 64, 32, 6);
    patched_table(p, ".smp_locks");
    patched_site(p, relative, text_gva + 6);
    patched_table(p, "__jump_table");
    patched_jump_label(p, relative, text_gva + 96, text_gva, other_gva);
    if (relative) {
        patched_table(p, ".static_call_sites");
        patched_static_call(p, text_gva + 32, other_gva);
        patched_table(p, ".return_sites");
        patched_site(p, true, text_gva + 128);
    }
    patched_finish(p, true);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "Usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    for (unsigned layout = 0; layout < ALT_LAYOUTS; layout++)
        for (unsigned bits = 32; bits <= 64; bits += 32) {
            struct patched p;
            char path[4096];
            FILE *f;

            make(&p, bits, (enum alternative_layout)layout);
            snprintf(path, sizeof(path), "%s/layout%u-%u", argv[1], layout, bits);
            f = fopen(path, "wb");
            if (!f || fwrite(p.bytes, 1, p.size, f) != p.size || fclose(f) != 0) {
                perror(path);
                return 1;
            }
        }
    return 0;
}
