/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * image: a guest image as bytes: the ELF that is to be loaded, taken out of whatever file it came in, with its
 * loadable segments and notes checked against the file. It puts nothing into guest memory and knows no hypervisor
 * and no kernel: file formats other than ELF are recognised by the `struct image_format`s that the caller passes.
 *
 * Everything in an image is read-only after loading. Every offset and length in it has been checked against `bytes`.
 *
 * Source: System V ABI, "Object Files" and "Program Loading and Dynamic Linking".
 */
#ifndef BOOTRACE_EMU_IMAGE_IMAGE_H
#define BOOTRACE_EMU_IMAGE_IMAGE_H

#include "emu/base/diag.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Larger files and larger decompressed kernels are refused. */
#define IMAGE_BYTES_MAX ((size_t)1 << 30)
/* No guest comes near these; they bound what a hostile file can make us do. */
#define IMAGE_SEGMENTS_MAX 256
#define IMAGE_NOTES_MAX    4096

enum image_kind {
    IMAGE_ELF,     /* an ELF file: a vmlinux or a bare guest */
    IMAGE_BZIMAGE, /* the ELF vmlinux inside a Linux bzImage */
};

/* One PT_LOAD with memory. */
struct image_segment {
    uint64_t paddr;        /* guest-physical address it is linked for; paddr + memory_bytes does not overflow */
    uint64_t vaddr;        /* link-time virtual address */
    uint64_t memory_bytes; /* > 0; what follows file_bytes is zero */
    size_t offset;         /* into image.bytes */
    size_t file_bytes;     /* <= memory_bytes; offset + file_bytes <= image.size */
    uint32_t flags;        /* PF_R, PF_W, PF_X */
};

/* Link-time virtual addresses within one segment. */
struct image_code {
    uint64_t vaddr, bytes; /* bytes > 0 */
};
#define IMAGE_CODE_MAX 32

enum image_note_source { IMAGE_NOTE_SEGMENT, IMAGE_NOTE_SECTION };

struct image_note {
    const char *name; /* into image.bytes; NUL-terminated; "" if the file gave none */
    const uint8_t *desc;
    size_t desc_bytes;
    uint32_t type;
    enum image_note_source source;
};

/* What a Linux bzImage has besides its vmlinux: for a boot by the Linux boot protocol. Ranges are within image.file. */
struct image_linux_boot {
    size_t setup_bytes;      /* real-mode part, from the start of the file; the setup header is at 0x1f1 in it */
    size_t protected_offset; /* == setup_bytes */
    size_t protected_bytes;  /* the self-decompressing 32/64-bit part */
    uint16_t protocol;       /* boot protocol, 0x0208 or later */
};

struct image {
    enum image_kind kind;
    unsigned elf_class; /* 32 or 64 */
    uint16_t machine;   /* EM_386 or EM_X86_64 */
    uint64_t entry;     /* e_entry; virtual or physical, as the linker script has it; not checked */

    const uint8_t *bytes; /* the ELF file; for a bzImage what its payload decompressed to */
    size_t size;
    const uint8_t *file; /* the file as it was given, if kind is IMAGE_BZIMAGE; else NULL */
    size_t file_bytes;
    struct image_linux_boot linux_boot; /* if kind is IMAGE_BZIMAGE */

    struct image_segment *segments; /* in file order; at least one; their file bytes are not overlapped */
    size_t segments_count;
    struct image_code code[IMAGE_CODE_MAX]; /* executable sections in file order; if there is none that lies within a
                                               segment, or too many, the executable segments */
    size_t code_count;
    struct image_note *notes; /* all well-formed notes in file order, those of segments first */
    size_t notes_count;
    bool notes_damaged; /* a note header pointed outside its segment or section: the notes after it were not read */
};

/*
 * A file format around an ELF, or one to refuse with a good sentence. `unpack` gets the whole file; on success it
 * sets *elf (which image.c then owns) and, if the image is a bzImage, `linux_boot` and `kind`.
 */
struct image_format {
    const char *name;
    bool (*recognise)(const uint8_t *file, size_t file_bytes);
    enum emu_err (*unpack)(const uint8_t *file, size_t file_bytes, uint8_t **elf, size_t *elf_bytes,
                           enum image_kind *kind, struct image_linux_boot *boot, struct diag *d);
};

/*
 * Load an image. `formats` is tried in order and ends with NULL; then ELF; then one layer of compression around any of
 * these. EMU_EINPUT with one sentence for what can't be loaded, EMU_EHOST for an unreadable file or no memory; *out is
 * NULL then. image_load_bytes copies `bytes`.
 */
enum emu_err image_load_file(const char *path, const struct image_format *const *formats, struct image **out,
                             struct diag *d) EMU_MUST_CHECK;
enum emu_err image_load_bytes(const uint8_t *bytes, size_t size, const struct image_format *const *formats,
                              struct image **out, struct diag *d) EMU_MUST_CHECK;
void image_free(struct image *img);

/* "x86-64", "ARM (32-bit)", …; NULL for a machine (e_machine) that has no name here. */
const char *image_machine_name(uint16_t machine);

/* Where the `bytes` bytes linked at virtual address `vaddr` are in img->bytes. False unless the file has them all. */
bool image_find_vaddr(const struct image *img, uint64_t vaddr, size_t bytes, size_t *offset);

/* The same by physical link address. */
bool image_find_paddr(const struct image *img, uint64_t paddr, size_t bytes, size_t *offset);

/*
 * The notes of one owner: those in segments, or, if there is none in a segment, those in sections.
 *
 *     struct image_note_cursor c = image_notes_of(img, "Xen");
 *     for (const struct image_note *n; (n = image_note_next(&c));)
 */
struct image_note_cursor {
    const struct image *img;
    const char *owner;
    enum image_note_source source;
    size_t next;
};
struct image_note_cursor image_notes_of(const struct image *img, const char *owner);
const struct image_note *image_note_next(struct image_note_cursor *c);

#endif
