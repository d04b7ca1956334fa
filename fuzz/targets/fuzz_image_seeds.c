/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes inputs for the fuzz targets that read guest images: `fuzz_image_seeds FOLDER`.
 */
#include "tests/image_builder.h"

#include <stdio.h>

static int write_seed(const char *folder, const char *name, const struct built *b)
{
    char path[4096];
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    f = fopen(path, "wb");
    if (!f || fwrite(b->bytes, 1, b->size, f) != b->size || fclose(f) != 0) {
        perror(path);
        return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct built notes = {0};
    int bad = 0;

    if (argc != 2) {
        fprintf(stderr, "Usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    build_note_string(&notes, 5, "xen-3.0");
    build_note_string(&notes, 8, "generic");
    build_note_string(&notes, 10, "!writable_page_tables|pae_pgdir_above_4gb|hvm_callback_vector");
    build_note_u32(&notes, 17, 0x100);
    build_note_u32(&notes, 18, 0x100000);
    for (unsigned elf_class = 32; elf_class <= 64; elf_class += 32) {
        struct elf_recipe r = {.elf_class = elf_class,
                               .entry = 0x100000,
                               .segments = {{0x100000, 0xc0100000, 64, 128}, {0x200000, 0xc0200000, 16, 16}},
                               .segment_notes = elf_class == 64 ? &notes : NULL,
                               .section_notes = elf_class == 32 ? &notes : NULL};
        struct built elf = build_elf(&r);

        bad |= write_seed(argv[1], elf_class == 64 ? "elf64" : "elf32", &elf);
        for (enum unpack_kind kind = UNPACK_GZIP; kind <= UNPACK_ZSTD; kind++) {
            struct built payload = build_payload(kind, elf.bytes, elf.size);
            struct built b = build_bzimage(&payload);
            char name[64];

            snprintf(name, sizeof(name), "bzimage%u-%s", elf_class, unpack_kind_name(kind));
            bad |= write_seed(argv[1], name, &b);
            built_free(&b);
            built_free(&payload);
        }
        built_free(&elf);
    }
    built_free(&notes);
    return bad ? 2 : 0;
}
