/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/base/ensure.h"

#include <stdio.h>
#include <stdlib.h>

void ensure_failed(const char *file, int line, const char *condition)
{
    fprintf(stderr, "bootrace: internal error: %s:%d: ensure(%s) failed; this is a bug in bootrace\n", file, line,
            condition);
    abort();
}
