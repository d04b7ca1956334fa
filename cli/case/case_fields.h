/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * case_fields: the keys of a case, each once: its name, what its value is, and where that is in struct test_case.
 * Reading and writing go by these tables (case.c); docs/case.md says the same in prose. What needs more than one key to
 * be checked is not here.
 */
#ifndef BOOTRACE_CLI_CASE_CASE_FIELDS_H
#define BOOTRACE_CLI_CASE_CASE_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/case/case.h"

enum case_field_type {
    CASE_FIELD_SECTION,
    CASE_FIELD_TEXT,     /* prose */
    CASE_FIELD_WORD,     /* text on one line */
    CASE_FIELD_BLOCK,    /* a literal block of lines, with its line number behind it */
    CASE_FIELD_REGEX,    /* an extended regular expression */
    CASE_FIELD_PLACE,    /* symbol+0xoffset */
    CASE_FIELD_NUMBER,   /* from `min` to `max` */
    CASE_FIELD_HEX,      /* 16 hexadecimal digits */
    CASE_FIELD_BYTES,    /* 512M */
    CASE_FIELD_MODE,     /* pvh, hvm, pv, dom0 or multiboot */
    CASE_FIELD_CPU,      /* a processor (models/processor.h) */
    CASE_FIELD_LOAD,     /* pv or pvh */
    CASE_FIELD_XEN,      /* 4.17 */
    CASE_FIELD_VERDICT,  /* PASS, FAIL, UNMODELLED, BUDGET or ERROR */
    CASE_FIELD_YES,      /* yes or no */
    CASE_FIELD_LIST,     /* a list of texts: const char *[max], with their number at `count_offset` */
    CASE_FIELD_INITRD,   /* a path, or `cached` */
    CASE_FIELD_DETECTOR, /* a word of small letters */
};

struct case_field {
    const char *name; /* of the key; NULL behind the last of a section */
    enum case_field_type type;
    size_t offset; /* in struct test_case */
    bool required;
    const struct case_field *section; /* of CASE_FIELD_SECTION: its keys */
    uint64_t min, max;                /* of CASE_FIELD_NUMBER; of CASE_FIELD_LIST: `max` items */
    size_t count_offset;              /* of CASE_FIELD_LIST: an unsigned in struct test_case */
};

#define CASE_FIELDS_MAX 16 /* of one section */

/* The keys at the top of a file; the others are in their sections. */
extern const struct case_field case_fields[];

/* A uint64_t, which is CASE_NONE where the case does not give it. */
bool case_field_is_number(enum case_field_type type);

/* Where the field's value is in `c`. */
void *case_field_member(const struct test_case *c, const struct case_field *f);

#endif
