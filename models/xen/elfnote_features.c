/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/xen/elfnote_features.h"

#include <stdio.h>
#include <string.h>
#include <xen/features.h>

#define BIT(feature) (UINT32_C(1) << XENFEAT_##feature)

#define NAMES_4_1                                                                                                      \
    (BIT(writable_page_tables) | BIT(writable_descriptor_tables) | BIT(auto_translated_physmap) |                      \
     BIT(supervisor_mode_kernel) | BIT(pae_pgdir_above_4gb))
#define NAMES_4_2 (NAMES_4_1 | BIT(dom0))
#define NAMES_4_4 (NAMES_4_2 | BIT(hvm_callback_vector))

const struct elfnote_rules elfnote_rules[] = {
    {.version = "4.1", .names = NAMES_4_1, .rejects_unknown_optional = true},
    {.version = "4.2", .names = NAMES_4_2, .has_supported_note = true, .has_dom0_feature = true},
    {.version = "4.4", .names = NAMES_4_4, .has_supported_note = true, .has_pvh_v1 = true, .has_dom0_feature = true},
    {.version = "4.17",
     .names = NAMES_4_4,
     .has_supported_note = true,
     .has_phys32_entry = true,
     .has_dom0_feature = true},
    {.version = NULL},
};

static const char *const feature_names[32] = {
    [XENFEAT_writable_page_tables] = "writable_page_tables",
    [XENFEAT_writable_descriptor_tables] = "writable_descriptor_tables",
    [XENFEAT_auto_translated_physmap] = "auto_translated_physmap",
    [XENFEAT_supervisor_mode_kernel] = "supervisor_mode_kernel",
    [XENFEAT_pae_pgdir_above_4gb] = "pae_pgdir_above_4gb",
    [XENFEAT_mmu_pt_update_preserve_ad] = "mmu_pt_update_preserve_ad",
    [XENFEAT_gnttab_map_avail_bits] = "gnttab_map_avail_bits",
    [XENFEAT_hvm_callback_vector] = "hvm_callback_vector",
    [XENFEAT_hvm_safe_pvclock] = "hvm_safe_pvclock",
    [XENFEAT_hvm_pirqs] = "hvm_pirqs",
    [XENFEAT_dom0] = "dom0",
    [XENFEAT_memory_op_vnode_supported] = "memory_op_vnode_supported",
    [XENFEAT_ARM_SMCCC_supported] = "ARM_SMCCC_supported",
    [XENFEAT_linux_rsdp_unrestricted] = "linux_rsdp_unrestricted",
    [XENFEAT_not_direct_mapped] = "not_direct_mapped",
    [XENFEAT_direct_mapped] = "direct_mapped",
};

const struct elfnote_rules *elfnote_rules_find(const char *version)
{
    for (const struct elfnote_rules *r = elfnote_rules; r->version; r++)
        if (!strcmp(r->version, version))
            return r;
    return NULL;
}

const char *elfnote_feature_name(unsigned bit)
{
    return bit < 32 ? feature_names[bit] : NULL;
}

/* The bit of a name that this version's parser knows, or -1. */
static int find_feature(const struct elfnote_rules *rules, const char *name)
{
    for (int bit = 0; bit < 32; bit++)
        if ((rules->names >> bit & 1) && !strcmp(feature_names[bit], name))
            return bit;
    return -1;
}

/* The next piece of *text, which is not empty; moves *text behind it and behind the '|' if that ended it. */
static void take_piece(const char **text, struct elfnote_piece *piece)
{
    size_t length = strcspn(*text, "|");
    bool at_bar = (*text)[length] == '|';

    /* With 63 characters the limit is met before the bar is looked at, so the bar starts the next piece, an empty one.
     */
    if (length >= sizeof(piece->text) - 1) {
        length = sizeof(piece->text) - 1;
        at_bar = false;
    }
    memcpy(piece->text, *text, length);
    piece->text[length] = '\0';
    piece->number++;
    *text += length + at_bar;
}

bool elfnote_features_parse(const struct elfnote_rules *rules, const char *text, bool with_required,
                            struct elfnote_features *f, struct elfnote_piece *bad)
{
    struct elfnote_piece piece = {.number = 0};

    while (*text) {
        bool marked, splits_mark;
        int bit;

        take_piece(&text, &piece);
        marked = piece.text[0] == '!';
        /* 4.1 with required == NULL takes the '!' for a part of the name. */
        splits_mark = marked && (with_required || !rules->rejects_unknown_optional);
        bit = find_feature(rules, piece.text + splits_mark);

        if (bit >= 0) {
            f->supported |= UINT32_C(1) << bit;
            if (marked && with_required)
                f->required |= UINT32_C(1) << bit;
        } else if (rules->rejects_unknown_optional || (marked && with_required)) {
            *bad = piece;
            return false;
        }
    }
    return true;
}

const char *elfnote_features_print(uint32_t mask, char *to, size_t to_bytes)
{
    size_t at = 0;

    snprintf(to, to_bytes, "none");
    for (unsigned bit = 0; bit < 32; bit++) {
        uint32_t rest = mask >> bit;
        const char *between = at == 0 ? "" : rest == 1 ? " and " : ", ";
        char number[16];
        int printed;

        if (!(rest & 1))
            continue;
        snprintf(number, sizeof(number), "bit %u", bit);
        printed = snprintf(to + at, to_bytes - at, "%s%s", between, feature_names[bit] ? feature_names[bit] : number);
        at += (size_t)printed < to_bytes - at ? (size_t)printed : to_bytes - at - 1;
    }
    return to;
}
