/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/pc/acpi_image.h"

#include "emu/base/ensure.h"

#include <assert.h>
#include <string.h>

static_assert(sizeof(struct acpi_header) == 36, "table header");

#define FIELD_BYTE_ACCESS 1 /* no lock, and other bits are preserved */
#define NAME_SEG_CHARS    4u
#define DUAL_NAME         0x2e
#define MULTI_NAME        0x2f

size_t acpi_put(struct acpi_image *im, const void *data, size_t bytes)
{
    size_t at = im->used;

    ensure(bytes <= sizeof(im->bytes) - im->used); /* ACPI_BYTES_MAX holds VCPUS_MAX processors */
    memcpy(im->bytes + at, data, bytes);
    im->used += bytes;
    return at;
}

void acpi_put_byte(struct acpi_image *im, uint8_t byte)
{
    acpi_put(im, &byte, 1);
}

void acpi_align(struct acpi_image *im, size_t alignment)
{
    while (im->used % alignment)
        acpi_put_byte(im, 0);
}

uint8_t acpi_checksum(const uint8_t *bytes, size_t count)
{
    uint8_t sum = 0;

    while (count--)
        sum += *bytes++;
    return (uint8_t)-sum;
}

struct acpi_header acpi_header(const char *signature, uint8_t revision)
{
    struct acpi_header h = {.revision = revision, .oem_revision = 0, .creator_revision = 0};

    memcpy(h.signature, signature, sizeof(h.signature));
    memcpy(h.oem_id, "Xen\0\0\0", sizeof(h.oem_id));
    memcpy(h.oem_table_id, "HVM\0\0\0\0", sizeof(h.oem_table_id));
    memcpy(h.creator_id, "HVML", sizeof(h.creator_id));
    return h;
}

void acpi_finish_table(struct acpi_image *im, size_t at)
{
    struct acpi_header h;

    memcpy(&h, im->bytes + at, sizeof(h));
    h.bytes = (uint32_t)(im->used - at);
    h.checksum = 0;
    memcpy(im->bytes + at, &h, sizeof(h));
    h.checksum = acpi_checksum(im->bytes + at, im->used - at);
    memcpy(im->bytes + at, &h, sizeof(h));
}

/* ---- AML ---- */

void aml_op(struct acpi_image *im, enum aml op)
{
    acpi_put_byte(im, (uint8_t)op);
}

void aml_ext(struct acpi_image *im, enum aml op)
{
    aml_op(im, AML_EXT);
    aml_op(im, op);
}

/* The length is written in its three-byte form, which reaches 1 MiB, once its end is known. It counts itself. */
size_t aml_begin(struct acpi_image *im)
{
    static const uint8_t room[3];

    return acpi_put(im, room, sizeof(room));
}

void aml_end(struct acpi_image *im, size_t at)
{
    size_t length = im->used - at;

    im->bytes[at] = 0x80 | (length & 0xf);
    im->bytes[at + 1] = length >> 4 & 0xff;
    im->bytes[at + 2] = length >> 12 & 0xff;
}

void aml_path(struct acpi_image *im, const char *path)
{
    unsigned segments = 1;

    if (*path == '\\')
        aml_op(im, AML_ROOT), path++;
    for (const char *c = path; *c; c++)
        segments += *c == '.';
    if (segments == 2) {
        acpi_put_byte(im, DUAL_NAME);
    } else if (segments > 2) {
        acpi_put_byte(im, MULTI_NAME);
        acpi_put_byte(im, (uint8_t)segments);
    }
    while (segments--) {
        for (unsigned i = 0; i < NAME_SEG_CHARS; i++)
            acpi_put_byte(im, *path && *path != '.' ? (uint8_t)*path++ : '_');
        path += *path == '.';
    }
}

void aml_byte(struct acpi_image *im, uint8_t value)
{
    aml_op(im, AML_BYTE);
    acpi_put_byte(im, value);
}

void aml_dword(struct acpi_image *im, uint32_t value)
{
    aml_op(im, AML_DWORD);
    acpi_put(im, &value, sizeof(value));
}

void aml_string(struct acpi_image *im, const char *text)
{
    aml_op(im, AML_STRING);
    acpi_put(im, text, strlen(text) + 1);
}

void aml_name(struct acpi_image *im, const char *path)
{
    aml_op(im, AML_NAME);
    aml_path(im, path);
}

void aml_region(struct acpi_image *im, const char *name, enum aml_space space, uint32_t at, uint8_t bytes)
{
    aml_ext(im, AML_EXT_REGION);
    aml_path(im, name);
    acpi_put_byte(im, (uint8_t)space);
    aml_dword(im, at);
    aml_byte(im, bytes);
}

/* A number of bits, as a length that does not count itself: below 4096. */
static void aml_bits(struct acpi_image *im, unsigned bits)
{
    if (bits < 0x40) {
        acpi_put_byte(im, (uint8_t)bits);
    } else {
        acpi_put_byte(im, 0x40 | (bits & 0xf));
        acpi_put_byte(im, (uint8_t)(bits >> 4));
    }
}

void aml_field(struct acpi_image *im, const char *region, const char *name, unsigned skip, unsigned bits)
{
    size_t at;

    aml_ext(im, AML_EXT_FIELD);
    at = aml_begin(im);
    aml_path(im, region);
    acpi_put_byte(im, FIELD_BYTE_ACCESS);
    if (skip) {
        acpi_put_byte(im, 0); /* a field without a name */
        aml_bits(im, skip);
    }
    aml_path(im, name);
    aml_bits(im, bits);
    aml_end(im, at);
}

size_t aml_method(struct acpi_image *im, const char *name, unsigned arguments)
{
    size_t at;

    aml_op(im, AML_METHOD);
    at = aml_begin(im);
    aml_path(im, name);
    acpi_put_byte(im, (uint8_t)arguments);
    return at;
}
