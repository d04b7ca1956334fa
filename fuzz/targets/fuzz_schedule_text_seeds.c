/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Seeds of the schedule parser: one line of each kind. Usage: fuzz_schedule_text_seeds FOLDER
 */
#include <stdio.h>

#include "emu/base/count.h"

static const char *const seeds[] = {
    "at 0:48211 run 1 to 1:900\nthen nmi 0\n",
    "at 0:alternative_instructions+0x1c#2~5 expire\n",
    "# comment\nat 1:7 vector 0 0x30\nat 1:8 ipi 1 0xfb\n",
    "at 0:1 irq 0\nat 0:2 upcall 1\nat 0:3 event 5\nat 0:4 late 100\nat 0:5 pass 100\n",
    "at 0:1 plug 1\nat 0:2 unplug 1\nat 0:4 check 0123456789abcdef\nat 0:f mark\n",
};

int main(int argc, char **argv)
{
    for (unsigned i = 0; argc == 2 && i < COUNT(seeds); i++) {
        char path[4096];
        FILE *f;

        snprintf(path, sizeof(path), "%s/%u", argv[1], i);
        f = fopen(path, "w");
        if (!f || fputs(seeds[i], f) < 0 || fclose(f))
            return 2;
    }
    return argc == 2 ? 0 : 2;
}
