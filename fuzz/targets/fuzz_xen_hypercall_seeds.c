/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz_xen_hypercall_seeds DIRECTORY: one file per hypercall number, with a few plausible argument shapes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    for (unsigned number = 0; number < 48; number++) {
        char path[4096];
        FILE *f;

        snprintf(path, sizeof(path), "%s/hypercall-%u", argv[1], number);
        f = fopen(path, "wb");
        if (!f)
            return 5;
        fputc(8, f); /* the version before the last, PVH */
        for (unsigned op = 0; op < 24; op++) {
            fputc(0x40, f); /* vCPU 1 in 64-bit code */
            fputc((int)number, f);
            fputc((int)op, f);
            fputc(0xc0, f); /* a structure of 64 bytes */
            for (unsigned i = 0; i < 64; i++)
                fputc(i % 8 ? 0 : 1, f);
            fputc(1, f);
            fputc(1, f);
        }
        if (fclose(f))
            return 5;
    }
    return 0;
}
