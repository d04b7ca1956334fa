/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kernel_view: a Linux kernel's ELF bytes by link address, for readers of its tables.
 *
 * It borrows the bytes (the decompressed vmlinux out of a bzImage, or a vmlinux file) and copies the load segments and
 * the sections that have a name. It is not a loader: nothing is relocated, and zeroed memory is not there. The file is
 * not trusted: every offset in it is checked against the file's size before it is used.
 */
#ifndef BOOTRACE_MODELS_LINUX_KERNEL_VIEW_H
#define BOOTRACE_MODELS_LINUX_KERNEL_VIEW_H

#include "emu/base/diag.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KERNEL_VIEW_SEGMENTS_MAX       16
#define KERNEL_VIEW_SECTIONS_MAX       128
#define KERNEL_VIEW_SECTION_NAME_BYTES 48

struct kernel_view_segment {
    uint64_t start_gva;    /* link address */
    uint64_t file_at;      /* offset of its first byte */
    uint64_t file_bytes;   /* bytes in the file; file_at + file_bytes is inside it */
    uint64_t memory_bytes; /* bytes in memory, at least file_bytes */
    bool executable;
};

struct kernel_view_section {
    char name[KERNEL_VIEW_SECTION_NAME_BYTES]; /* cut if longer */
    uint64_t start_gva;                        /* link address, 0 if not loaded */
    uint64_t bytes;
    uint64_t file_at; /* file_at + bytes is inside the file, unless !has_bytes */
    bool has_bytes;   /* false for zeroed data (NOBITS) */
    bool executable;
    bool writable;
};

struct kernel_view {
    const uint8_t *bytes; /* the caller's; must outlive the view */
    size_t size;
    unsigned bits;       /* 32 or 64 */
    unsigned word_bytes; /* 4 or 8 */
    unsigned segment_count, section_count;
    struct kernel_view_segment segments[KERNEL_VIEW_SEGMENTS_MAX];
    struct kernel_view_section sections[KERNEL_VIEW_SECTIONS_MAX];
};

/*
 * Read program and section headers. EMU_EINPUT: no little-endian x86 ELF file, no load segment, or a header that points
 * out of the file. A file without section headers is accepted; sections beyond the maximum are left out.
 */
enum emu_err kernel_view_init(struct kernel_view *v, const void *bytes, size_t size, struct diag *d) EMU_MUST_CHECK;

/* Where this link address is in the file, if at least `bytes` bytes from it on are there. */
bool kernel_view_find_file(const struct kernel_view *v, uint64_t gva, uint64_t bytes, uint64_t *file_at);

/* The link address of a file offset. False if no segment holds it. */
bool kernel_view_find_gva(const struct kernel_view *v, uint64_t file_at, uint64_t *gva);

/* Does a segment's memory (the zeroed part too) hold this link address; does an executable one? */
bool kernel_view_holds(const struct kernel_view *v, uint64_t gva, bool executable_only);

/* The section of this name, NULL if there is none. */
const struct kernel_view_section *kernel_view_find_section(const struct kernel_view *v, const char *name);

/* Copy bytes from a link address; false (and dst untouched) unless all are in the file. */
bool kernel_view_read(const struct kernel_view *v, uint64_t gva, void *dst, size_t bytes);

#endif
