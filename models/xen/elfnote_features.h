/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * elfnote_features: the feature string of a kernel's Xen ELF notes, read as a given Xen version reads it. It knows no
 * ELF file; see elfnote.h.
 *
 * Pieces are separated by '|'; '!' before a name makes it required. A piece ends after 63 characters whether a '|'
 * follows or not; the rest is the next piece.
 *
 * Source: Xen public/elfnote.h, XEN_ELFNOTE_FEATURES; public/features.h; and the parser (elf_xen_parse_features) of
 * releases 4.1, 4.2, 4.4 and 4.17.
 */
#ifndef BOOTRACE_MODELS_XEN_ELFNOTE_FEATURES_H
#define BOOTRACE_MODELS_XEN_ELFNOTE_FEATURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ELFNOTE_PIECE_BYTES 64 /* with the NUL */

/* What one Xen version does with a guest's notes. */
struct elfnote_rules {
    const char *version;
    uint32_t names;                /* bits of the features whose names the parser knows */
    bool rejects_unknown_optional; /* an unknown piece without '!' is an error */
    bool has_supported_note;       /* reads note 17, XEN_ELFNOTE_SUPPORTED_FEATURES */
    bool has_phys32_entry;         /* reads note 18, and boots it as PVH */
    bool has_pvh_v1;               /* boots PV kernels in an HVM container, if they support `pvh_v1_features` */
    bool has_dom0_feature;         /* a domU must not require XENFEAT_dom0 */
};

/* All versions, oldest first; ends with a row without a version. */
extern const struct elfnote_rules elfnote_rules[];

/* NULL if `version` ("4.17") is not one of them. */
const struct elfnote_rules *elfnote_rules_find(const char *version);

struct elfnote_features {
    uint32_t supported;
    uint32_t required;
};

/* The piece that made a parser give up. */
struct elfnote_piece {
    char text[ELFNOTE_PIECE_BYTES];
    unsigned number; /* 1-based */
};

/*
 * OR what `text` says into *f. False if Xen's parser would return an error: *bad is then the piece, and *f has what
 * came before it, as in Xen. `with_required` false is Xen's "required == NULL" (the features of a domain's
 * configuration): f->required then stays as it is.
 */
bool elfnote_features_parse(const struct elfnote_rules *rules, const char *text, bool with_required,
                            struct elfnote_features *f, struct elfnote_piece *bad);

/* The name of feature bit 0 to 31; NULL if Xen's public header has none. */
const char *elfnote_feature_name(unsigned bit);

/* "a, b and bit 31", or "none". Returns `to`. */
const char *elfnote_features_print(uint32_t mask, char *to, size_t to_bytes);

#endif
