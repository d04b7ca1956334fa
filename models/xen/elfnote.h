/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * elfnote: would a Xen toolstack of a given version load this image as a domU, and why not: the Xen ELF notes, parsed
 * and checked as libxc's domain builder does it. It loads nothing.
 *
 * DEVIATION: the payload of a bzImage is decompressed in every way known here, whatever the version's toolstack could.
 * DEVIATION: the __xen_guest section, which came before ELF notes, is not read; such a kernel is rejected here.
 * DEVIATION: a symbol table for BSD kernels (BSD_SYMTAB) does not extend the image.
 *
 * Source: Xen public/elfnote.h; and elf_xen_parse, xc_dom_parse_elf_kernel and xc_dom_parse_image of releases 4.1, 4.2,
 * 4.4 and 4.17.
 */
#ifndef BOOTRACE_MODELS_XEN_ELFNOTE_H
#define BOOTRACE_MODELS_XEN_ELFNOTE_H

#include "emu/image/image.h"
#include "models/xen/elfnote_features.h"

#define ELFNOTE_OWNER     "Xen"
#define ELFNOTE_WHY_BYTES 768

enum elfnote_guest {
    ELFNOTE_PV,
    ELFNOTE_PVH, /* 4.4: PVH v1, a PV kernel in an HVM container; 4.17: entered at PHYS32_ENTRY */
};

struct elfnote_verdict {
    bool accepted;
    bool has_notes;                /* there is a Xen note */
    enum image_note_source source; /* where they were, if has_notes */
    struct elfnote_features note;  /* what FEATURES and SUPPORTED_FEATURES said, up to an error */
    uint32_t supported_note;       /* the part of note.supported that SUPPORTED_FEATURES gave */
    uint32_t requested;            /* by the domain's configuration, or by the toolstack for PVH v1 */
    char why[ELFNOTE_WHY_BYTES];   /* one sentence */
};

/* Does this Xen version have this kind of guest? */
bool elfnote_guest_is_known(const struct elfnote_rules *rules, enum elfnote_guest guest);

/* "PV" or "PVH". */
const char *elfnote_guest_name(enum elfnote_guest guest);

/*
 * Fill *v. `config_features` is the `features=` of the domain's configuration, or NULL. elfnote_guest_is_known must be
 * true of `rules` and `guest`.
 */
void elfnote_check(const struct elfnote_rules *rules, const struct image *img, enum elfnote_guest guest,
                   const char *config_features, struct elfnote_verdict *v);

/*
 * Where a PVH guest (the ABI of Xen 4.10 and later) is entered: PHYS32_ENTRY. EMU_EINPUT with a sentence if the image
 * has no such note or the address is in no segment.
 */
enum emu_err elfnote_phys32_entry(const struct image *img, uint32_t *entry_gpa, struct diag *d) EMU_MUST_CHECK;

#endif
