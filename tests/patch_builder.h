/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * patch_builder: small kernel images with tables of code to patch, made in memory for the unit tests and as seeds for
 * the fuzzer. The structs are those of the kernel's headers, version by version. It checks nothing.
 */
#ifndef BOOTRACE_TESTS_PATCH_BUILDER_H
#define BOOTRACE_TESTS_PATCH_BUILDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PATCHED_TEXT_GVA_64 0xffffffff81000000u
#define PATCHED_TEXT_GVA_32 0xc1000000u
#define PATCHED_TEXT_BYTES  0x1000u /* one executable segment, NOPs until written */
#define PATCHED_DATA_BYTES  0x2000u /* right behind: tables, then from +0x1800 other data */
#define PATCHED_OTHER_AT    0x1800u
#define PATCHED_ROOM        0x5000u
#define PATCHED_TABLES_MAX  8u

struct patched {
    unsigned bits;
    uint64_t text_gva, data_gva;
    unsigned tables;
    size_t data_used;
    struct {
        char name[32];
        uint64_t gva;
        size_t bytes;
    } table[PATCHED_TABLES_MAX];
    size_t size;
    uint8_t bytes[PATCHED_ROOM];
};

enum alternative_layout { ALT_2_6_18, ALT_2_6_36, ALT_3_1, ALT_4_1, ALT_6_3, ALT_LAYOUTS };

struct alternative {
    uint64_t site_gva, replacement_gva;
    uint16_t feature, flags; /* flags from 6.3 on */
    uint8_t site_bytes, replacement_bytes, padding_bytes;
};

void patched_init(struct patched *p, unsigned bits);
uint8_t *patched_at(struct patched *p, uint64_t gva); /* the file's byte of an address in text or data */

/* Begin a table; what is added then goes into it. */
void patched_table(struct patched *p, const char *section);
void patched_raw(struct patched *p, const void *bytes, size_t size);
void patched_alternative(struct patched *p, enum alternative_layout layout, const struct alternative *a);
void patched_paravirt(struct patched *p, uint64_t site_gva, uint8_t type, uint8_t site_bytes);
void patched_jump_label(struct patched *p, bool relative, uint64_t site_gva, uint64_t target_gva, uint64_t key_gva);
void patched_static_call(struct patched *p, uint64_t site_gva, uint64_t key_gva);
void patched_site(struct patched *p, bool relative, uint64_t site_gva); /* one address and nothing else */

/* Write the ELF headers; with section headers or only with segments. */
void patched_finish(struct patched *p, bool sections);

#endif
