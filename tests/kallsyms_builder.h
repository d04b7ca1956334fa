/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kallsyms_builder: small kernel images with kallsyms tables as each version's scripts/kallsyms writes them, for the
 * unit tests and as seeds for the fuzzer.
 */
#ifndef BOOTRACE_TESTS_KALLSYMS_BUILDER_H
#define BOOTRACE_TESTS_KALLSYMS_BUILDER_H

#include "models/linux/kallsyms.h"

#define MADE_TEXT_GVA_64   0xffffffff81000000u
#define MADE_TEXT_GVA_32   0xc1000000u
#define MADE_HEADERS_BYTES 0x1000u
#define MADE_TEXT_BYTES    0x4000u
#define MADE_IMAGE_ROOM    (1u << 20)
#define MADE_NAMES         900u
#define MADE_PERCPU        20u
#define MADE_LONG_NAME     300u /* this symbol's name needs a length of two bytes where they exist */

struct kallsyms_layout {
    const char *title;
    unsigned bits;
    enum kallsyms_addressing addressing;
    bool addresses_first;
    unsigned number_bytes, marker_bytes, align;
    bool long_names, has_seqs;
};

#define MADE_LAYOUTS 17
extern const struct kallsyms_layout kallsyms_layouts[MADE_LAYOUTS];

struct kallsyms_made {
    uint8_t *bytes;
    size_t size;
    uint64_t gva[MADE_NAMES];
    char name[MADE_NAMES][MADE_NAMES];
    char kind[MADE_NAMES];
    uint64_t names_at, markers_at, token_table_at, token_index_at, addresses_at, num_syms_at;
    uint64_t text_gva;
};

/* One image; free it with kallsyms_made_free. Running out of host memory aborts. */
struct kallsyms_made *kallsyms_make(const struct kallsyms_layout *l);
void kallsyms_made_free(struct kallsyms_made *m);

#endif
