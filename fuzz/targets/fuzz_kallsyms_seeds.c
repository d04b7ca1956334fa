/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes inputs for fuzz_kallsyms, one of each layout: `fuzz_kallsyms_seeds FOLDER`.
 */
#include "tests/kallsyms_builder.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    int bad = 0;

    if (argc != 2) {
        fprintf(stderr, "Usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    for (unsigned i = 0; i < MADE_LAYOUTS; i++) {
        struct kallsyms_made *m = kallsyms_make(&kallsyms_layouts[i]);
        char path[4096];
        FILE *f;

        snprintf(path, sizeof(path), "%s/layout%u", argv[1], i);
        f = fopen(path, "wb");
        if (!f || fwrite(m->bytes, 1, m->size, f) != m->size || fclose(f) != 0) {
            perror(path);
            bad = 1;
        }
        kallsyms_made_free(m);
    }
    return bad;
}
