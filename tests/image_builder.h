/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * image_builder: guest images made in memory for tests: ELF files of both classes, their notes, and bzImages around
 * them. It checks nothing, so that it can make bad ones. All results are freed by the caller.
 */
#ifndef BOOTRACE_TESTS_IMAGE_BUILDER_H
#define BOOTRACE_TESTS_IMAGE_BUILDER_H

#include "emu/image/unpack.h"

#include <stddef.h>
#include <stdint.h>

struct built {
    uint8_t *bytes;
    size_t size;
};

void built_append(struct built *b, const void *bytes, size_t size);
void built_free(struct built *b);

/* Append one note, padded to 4. */
void build_note(struct built *notes, const char *name, uint32_t type, const void *desc, size_t desc_bytes);
void build_note_string(struct built *notes, uint32_t type, const char *text); /* of "Xen", with its NUL */
void build_note_u32(struct built *notes, uint32_t type, uint32_t value);      /* of "Xen" */

struct elf_segment {
    uint64_t paddr, vaddr;
    size_t file_bytes; /* each byte is the segment's number, from 1 */
    uint64_t memory_bytes;
};

struct elf_recipe {
    unsigned elf_class; /* 32 or 64 */
    uint16_t machine;   /* 0: EM_386 or EM_X86_64 by class */
    uint16_t type;      /* 0: ET_EXEC */
    uint64_t entry;
    struct elf_segment segments[4];    /* ends with the first of no memory */
    const struct built *segment_notes; /* in a PT_NOTE; NULL: none */
    const struct built *section_notes; /* in an SHT_NOTE; NULL: none */
    int note_offset_is_zero;           /* the PT_NOTE's p_offset, as some binutils left it */
};
struct built build_elf(const struct elf_recipe *r);

/* `size` bytes compressed as the kernel build does: with the size appended, except for gzip. */
struct built build_payload(enum unpack_kind kind, const uint8_t *bytes, size_t size);
struct built build_bzimage(const struct built *payload);

#endif
