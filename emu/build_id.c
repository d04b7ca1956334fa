/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/build_id.h"

#include <stdio.h>
#include <string.h>

#include "emu/engine.h"
#include "emu/insn.h"

void build_id(char out[BUILD_ID_BYTES])
{
    unsigned u[3], c[2];

    engine_library_version(&u[0], &u[1], &u[2]);
    decoder_library_version(&c[0], &c[1]);
    memset(out, 0, BUILD_ID_BYTES);
    snprintf(out, BUILD_ID_BYTES, "%s unicorn-%u.%u.%u capstone-%u.%u", build_id_sources, u[0], u[1], u[2], c[0], c[1]);
}
