/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Seeds of the reader of cases: the corpus, and the broken files of the tests. Usage: fuzz_case_seeds FOLDER
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "emu/base/count.h"

static int copy(const char *from, const char *to)
{
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    char bytes[4096];
    size_t n = 0;
    int bad = !in || !out;

    while (!bad && (n = fread(bytes, 1, sizeof(bytes), in)) > 0)
        bad = fwrite(bytes, 1, n, out) != n;
    bad |= in && (ferror(in) | fclose(in));
    bad |= out && fclose(out);
    return bad;
}

int main(int argc, char **argv)
{
    static const char *const folders[] = {SOURCE_FOLDER "/corpus", SOURCE_FOLDER "/tests/cases_broken"};
    unsigned copied = 0;
    int bad = argc != 2;

    for (unsigned i = 0; i < COUNT(folders) && !bad; i++) {
        DIR *folder = opendir(folders[i]);
        const struct dirent *e;

        bad = !folder;
        while (!bad && (e = readdir(folder))) {
            const char *suffix = strrchr(e->d_name, '.');
            char from[4096], to[4096];

            if (!suffix || strcmp(suffix, ".yaml"))
                continue;
            bad = snprintf(from, sizeof(from), "%s/%s", folders[i], e->d_name) >= (int)sizeof(from) ||
                  snprintf(to, sizeof(to), "%s/%s", argv[1], e->d_name) >= (int)sizeof(to) || copy(from, to);
            copied++;
        }
        if (folder)
            closedir(folder);
    }
    return bad || !copied ? 2 : 0;
}
