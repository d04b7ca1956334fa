/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A main for the libFuzzer targets in builds without libFuzzer: runs the target once on every file named.
 */
#include "fuzz/targets/fuzz_target.h"

#include <stdio.h>
#include <stdlib.h>

static int run_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    uint8_t *bytes = NULL;
    size_t size = 0;

    if (!f) {
        perror(path);
        return 2;
    }
    for (;;) {
        uint8_t *moved = realloc(bytes, size + 65536);
        size_t got;

        if (!moved) {
            perror(path);
            free(bytes);
            fclose(f);
            return 2;
        }
        bytes = moved;
        got = fread(bytes + size, 1, 65536, f);
        size += got;
        if (got == 0)
            break;
    }
    fclose(f);
    LLVMFuzzerTestOneInput(bytes, size);
    free(bytes);
    return 0;
}

int main(int argc, char **argv)
{
    int status = 0;

    if (argc < 2) {
        fprintf(stderr, "Usage: %s FILE...\nRuns the fuzz target once on each file.\n", argv[0]);
        return 2;
    }
    for (int i = 1; i < argc; i++)
        if (run_file(argv[i]))
            status = 2;
    return status;
}
