/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * acpi_image: the pieces of which ACPI tables are made: bytes in a bounded image, a table's header and checksum, and
 * AML operators. acpi.c says what the tables contain, dsdt.c what the DSDT contains. Offsets are from the image's
 * start.
 *
 * Source: ACPI Specification 6.4, "System Description Table Header" and "AML Grammar Definition".
 */
#ifndef BOOTRACE_MODELS_PC_ACPI_IMAGE_H
#define BOOTRACE_MODELS_PC_ACPI_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "models/pc/acpi.h"

struct acpi_image {
    uint8_t bytes[ACPI_BYTES_MAX];
    size_t used;
};

/* Append; where it begins. More than ACPI_BYTES_MAX is a mistake of ours. */
size_t acpi_put(struct acpi_image *im, const void *data, size_t bytes);
void acpi_put_byte(struct acpi_image *im, uint8_t byte);
void acpi_align(struct acpi_image *im, size_t alignment);
/* What makes the sum of all bytes 0. */
uint8_t acpi_checksum(const uint8_t *bytes, size_t count);

struct acpi_header {
    char signature[4];
    uint32_t bytes;
    uint8_t revision;
    uint8_t checksum;
    char oem_id[6];
    char oem_table_id[8];
    uint32_t oem_revision;
    char creator_id[4];
    uint32_t creator_revision;
} __attribute__((packed));

struct acpi_header acpi_header(const char *signature, uint8_t revision);
/* Set length and checksum of the table from `at` to here. */
void acpi_finish_table(struct acpi_image *im, size_t at);

/* ---- AML ---- */

enum aml {
    AML_ZERO = 0x00,
    AML_ONE = 0x01,
    AML_NAME = 0x08,
    AML_BYTE = 0x0a,
    AML_DWORD = 0x0c,
    AML_STRING = 0x0d,
    AML_SCOPE = 0x10,
    AML_PACKAGE = 0x12,
    AML_METHOD = 0x14,
    AML_EXT = 0x5b, /* the next byte is one of the following five */
    AML_EXT_SLEEP = 0x22,
    AML_EXT_REGION = 0x80,
    AML_EXT_FIELD = 0x81,
    AML_EXT_DEVICE = 0x82,
    AML_ROOT = 0x5c, /* \ before a name */
    AML_LOCAL0 = 0x60,
    AML_STORE = 0x70,
    AML_ADD = 0x72,
    AML_SUBTRACT = 0x74,
    AML_SHIFT_RIGHT = 0x7a,
    AML_AND = 0x7b,
    AML_DEREF = 0x83,
    AML_NOTIFY = 0x86,
    AML_INDEX = 0x88,
    AML_LNOT = 0x92,
    AML_LEQUAL = 0x93,
    AML_TO_BUFFER = 0x96,
    AML_IF = 0xa0,
    AML_ELSE = 0xa1,
    AML_RETURN = 0xa4,
};

/* Spaces of an operation region. */
enum aml_space { AML_SPACE_MEMORY, AML_SPACE_IO };

void aml_op(struct acpi_image *im, enum aml op);
void aml_ext(struct acpi_image *im, enum aml op);
/* A block whose length is known at its end: the length goes first. */
size_t aml_begin(struct acpi_image *im);
void aml_end(struct acpi_image *im, size_t at);
/* A reference by a path like "\\_SB.PR00.FLG": segments are filled up to four characters. */
void aml_path(struct acpi_image *im, const char *path);
void aml_byte(struct acpi_image *im, uint8_t value);
void aml_dword(struct acpi_image *im, uint32_t value);
void aml_string(struct acpi_image *im, const char *text);
/* NameOp; the object follows. */
void aml_name(struct acpi_image *im, const char *path);
void aml_region(struct acpi_image *im, const char *name, enum aml_space space, uint32_t at, uint8_t bytes);
/* A field of `bits` from bit `skip` of a region, accessed by bytes. */
void aml_field(struct acpi_image *im, const char *region, const char *name, unsigned skip, unsigned bits);
/* A method's body goes up to aml_end(). */
size_t aml_method(struct acpi_image *im, const char *name, unsigned arguments);

#endif
