/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/xen/elfnote.h"

#include "emu/base/ensure.h"

#include <elf.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <xen/elfnote.h>
#include <xen/features.h>

/* What the toolstack of 4.4 asks of a PVH (v1) kernel. Source: Xen 4.4 xc_dom_parse_image. */
static const char pvh_v1_features[] =
    "writable_descriptor_tables|auto_translated_physmap|supervisor_mode_kernel|hvm_callback_vector";

#define UNSET64 UINT64_MAX
#define UNSET32 UINT32_MAX
/* Xen copies strings into 16 bytes: longer ones are cut there. */
#define SHORT_STRING_BYTES 16

/* What the notes say, beside the features. */
struct parms {
    char loader[SHORT_STRING_BYTES], guest_os[SHORT_STRING_BYTES], xen_version[SHORT_STRING_BYTES];
    uint64_t virt_base, virt_entry, paddr_offset, p2m_base;
    uint32_t phys_entry;
};

/* A view of one check: what is read, and where the answer goes. */
struct check {
    const struct elfnote_rules *rules;
    const struct image *img;
    bool in_hvm_container; /* Xen 4.7 and later: elf_xen_parse's `hvm` */
    struct parms parms;
    struct elfnote_verdict *v;
};

bool elfnote_guest_is_known(const struct elfnote_rules *rules, enum elfnote_guest guest)
{
    return guest == ELFNOTE_PV || rules->has_phys32_entry || rules->has_pvh_v1;
}

const char *elfnote_guest_name(enum elfnote_guest guest)
{
    return guest == ELFNOTE_PV ? "PV" : "PVH";
}

EMU_PRINTF(2, 3) static bool reject(struct check *c, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(c->v->why, sizeof(c->v->why), fmt, ap);
    va_end(ap);
    return false;
}

/*
 * The string in a note: Xen reads up to a NUL wherever it is, so it may go on behind the note. NULL if the file ends
 * before: the note is then ignored. (Before 4.3 the toolstack read on behind the file.)
 */
static const char *note_string(const struct image *img, const struct image_note *n)
{
    size_t left = (size_t)(img->bytes + img->size - n->desc);

    return memchr(n->desc, '\0', left) ? (const char *)n->desc : NULL;
}

/* A number of 1, 2, 4 or 8 bytes; 0 for any other size, as in Xen. */
static uint64_t note_number(const struct image_note *n)
{
    uint64_t value = 0;

    if (n->desc_bytes != 1 && n->desc_bytes != 2 && n->desc_bytes != 4 && n->desc_bytes != 8)
        return 0;
    for (size_t i = 0; i < n->desc_bytes; i++)
        value |= (uint64_t)n->desc[i] << (8 * i);
    return value;
}

/* The first 32-bit word of an array; Xen 4.2 and later have one word of features (XENFEAT_NR_SUBMAPS). */
static uint32_t note_word(const struct image_note *n)
{
    if (n->desc_bytes % 4 || n->desc_bytes < 4)
        return 0;
    return n->desc[0] | (uint32_t)n->desc[1] << 8 | (uint32_t)n->desc[2] << 16 | (uint32_t)n->desc[3] << 24;
}

static bool parse_features(struct check *c, const char *text)
{
    struct elfnote_piece bad;

    if (elfnote_features_parse(c->rules, text, true, &c->v->note, &bad))
        return true;
    if (bad.text[0] == '!')
        return reject(
            c,
            "note FEATURES (%d): piece %u, \"%s\", requires a feature that Xen %s does not know, and the parser "
            "rejects that",
            XEN_ELFNOTE_FEATURES, bad.number, bad.text, c->rules->version);
    return reject(
        c,
        "note FEATURES (%d): piece %u, \"%s\", is no feature that Xen %s knows, and its parser rejects even an "
        "unknown optional one (4.2 and later ignore it)",
        XEN_ELFNOTE_FEATURES, bad.number, bad.text, c->rules->version);
}

static void copy_short(char *to, const char *from)
{
    snprintf(to, SHORT_STRING_BYTES, "%s", from);
}

static bool parse_note(struct check *c, const struct image_note *n)
{
    struct parms *p = &c->parms;
    const char *text = "";

    switch (n->type) {
    case XEN_ELFNOTE_LOADER:
    case XEN_ELFNOTE_GUEST_OS:
    case XEN_ELFNOTE_XEN_VERSION:
    case XEN_ELFNOTE_FEATURES:
        text = note_string(c->img, n);
        if (!text)
            return true;
        break;
    }

    switch (n->type) {
    case XEN_ELFNOTE_LOADER:
        copy_short(p->loader, text);
        break;
    case XEN_ELFNOTE_GUEST_OS:
        copy_short(p->guest_os, text);
        break;
    case XEN_ELFNOTE_XEN_VERSION:
        copy_short(p->xen_version, text);
        break;
    case XEN_ELFNOTE_FEATURES:
        return parse_features(c, text);
    case XEN_ELFNOTE_VIRT_BASE:
        p->virt_base = note_number(n);
        break;
    case XEN_ELFNOTE_ENTRY:
        p->virt_entry = note_number(n);
        break;
    case XEN_ELFNOTE_PADDR_OFFSET:
        p->paddr_offset = note_number(n);
        break;
    case XEN_ELFNOTE_INIT_P2M:
        p->p2m_base = note_number(n);
        break;
    case XEN_ELFNOTE_SUPPORTED_FEATURES:
        if (c->rules->has_supported_note) {
            c->v->supported_note |= note_word(n);
            c->v->note.supported |= note_word(n);
        }
        break;
    case XEN_ELFNOTE_PHYS32_ENTRY:
        if (c->rules->has_phys32_entry)
            p->phys_entry = (uint32_t)note_number(n);
        break;
    }
    return true; /* every other type is only logged, in all versions */
}

static bool parse_notes(struct check *c)
{
    struct image_note_cursor cursor = image_notes_of(c->img, ELFNOTE_OWNER);
    const struct image_note *n;

    while ((n = image_note_next(&cursor))) {
        c->v->has_notes = true;
        c->v->source = n->source;
        if (!parse_note(c, n))
            return false;
    }
    return true;
}

static bool check_notes(struct check *c)
{
    const struct parms *p = &c->parms;

    if (!c->v->has_notes)
        return reject(c, "there is no Xen ELF note in the image, neither in a note segment nor in a note section");
    if (c->in_hvm_container && p->phys_entry != UNSET32)
        return true;
    if (strncmp(p->loader, "generic", 7) && strncmp(p->guest_os, "linux", 5))
        return reject(
            c,
            "notes LOADER (%d) and GUEST_OS (%d): Xen %s loads only \"generic\" or \"linux\" images, and these "
            "say \"%s\" and \"%s\"%s",
            XEN_ELFNOTE_LOADER, XEN_ELFNOTE_GUEST_OS, c->rules->version, p->loader, p->guest_os,
            c->rules->has_phys32_entry ? " (or, as PVH, one with PHYS32_ENTRY)" : "");
    if (strncmp(p->xen_version, "xen-3.0", 7))
        return reject(c, "note XEN_VERSION (%d): it has to begin with \"xen-3.0\", and is \"%s\"",
                      XEN_ELFNOTE_XEN_VERSION, p->xen_version);
    return true;
}

/* Where the image begins and ends: the loadable segments with any permission. */
static void find_extent(const struct image *img, uint64_t *start, uint64_t *end)
{
    *start = UINT64_MAX;
    *end = 0;
    for (size_t i = 0; i < img->segments_count; i++) {
        const struct image_segment *s = &img->segments[i];

        if (!(s->flags & (PF_R | PF_W | PF_X)))
            continue;
        if (s->paddr < *start)
            *start = s->paddr;
        if (s->paddr + s->memory_bytes > *end)
            *end = s->paddr + s->memory_bytes;
    }
}

static bool check_addresses(struct check *c)
{
    const struct parms *p = &c->parms;
    uint64_t start, end, base, offset, entry;

    if (p->paddr_offset != UNSET64 && p->virt_base == UNSET64)
        return reject(c, "note PADDR_OFFSET (%d) is there but VIRT_BASE (%d) is not", XEN_ELFNOTE_PADDR_OFFSET,
                      XEN_ELFNOTE_VIRT_BASE);

    base = p->virt_base == UNSET64 || c->in_hvm_container ? 0 : p->virt_base;
    offset = p->paddr_offset == UNSET64 || c->in_hvm_container ? 0 : p->paddr_offset;
    entry = p->virt_entry;
    if (c->in_hvm_container && p->phys_entry != UNSET32)
        entry = p->phys_entry;
    else if (entry == UNSET64 || c->in_hvm_container)
        entry = c->img->entry;
    find_extent(c->img, &start, &end);
    start += base - offset;
    end += base - offset;

    if (start > end || entry < start || entry > end || base > start)
        return reject(c,
                      "the entry (0x%" PRIx64 ") or VIRT_BASE (0x%" PRIx64 ") does not fit the image, which is linked "
                      "for 0x%" PRIx64 " to 0x%" PRIx64,
                      entry, base, start, end);
    if (p->p2m_base != UNSET64 && p->p2m_base >= start && p->p2m_base < end)
        return reject(c, "note INIT_P2M (%d): 0x%" PRIx64 " is inside the image", XEN_ELFNOTE_INIT_P2M, p->p2m_base);
    return true;
}

static bool check_guest_type(struct check *c)
{
    if (c->rules->has_dom0_feature && (c->v->note.required >> XENFEAT_dom0 & 1))
        return reject(c, "note FEATURES (%d): the kernel requires dom0, so it is no kernel for an unprivileged domain",
                      XEN_ELFNOTE_FEATURES);
    if (c->in_hvm_container && c->parms.phys_entry == UNSET32)
        return reject(c, "there is no note PHYS32_ENTRY (%d), so the image can't be booted as PVH",
                      XEN_ELFNOTE_PHYS32_ENTRY);
    return true;
}

static bool check_features(struct check *c)
{
    uint32_t missing = (c->v->requested | c->v->note.required) & ~c->v->note.supported;
    char names[ELFNOTE_WHY_BYTES / 2];

    if (missing)
        return reject(c,
                      "unsupported feature requested: %s %s asked for, but the kernel's notes FEATURES (%d)%s do not "
                      "support %s",
                      elfnote_features_print(missing, names, sizeof(names)), missing & (missing - 1) ? "are" : "is",
                      XEN_ELFNOTE_FEATURES, c->rules->has_supported_note ? " and SUPPORTED_FEATURES (17)" : "",
                      missing & (missing - 1) ? "them" : "it");
    return true;
}

/* The toolstack ignores an error in these two; what came before it counts. */
static uint32_t find_requested(const struct elfnote_rules *rules, enum elfnote_guest guest, const char *config)
{
    struct elfnote_features f = {0};
    struct elfnote_piece bad;

    if (config)
        (void)elfnote_features_parse(rules, config, false, &f, &bad);
    if (guest == ELFNOTE_PVH && rules->has_pvh_v1)
        (void)elfnote_features_parse(rules, pvh_v1_features, false, &f, &bad);
    return f.supported;
}

void elfnote_check(const struct elfnote_rules *rules, const struct image *img, enum elfnote_guest guest,
                   const char *config_features, struct elfnote_verdict *v)
{
    struct check c = {
        .rules = rules,
        .img = img,
        .in_hvm_container = guest == ELFNOTE_PVH && rules->has_phys32_entry,
        .parms = {.virt_base = UNSET64,
                  .virt_entry = UNSET64,
                  .paddr_offset = UNSET64,
                  .p2m_base = UNSET64,
                  .phys_entry = UNSET32},
        .v = v,
    };

    ensure(elfnote_guest_is_known(rules, guest));
    memset(v, 0, sizeof(*v));
    v->requested = find_requested(rules, guest, config_features);
    v->accepted =
        parse_notes(&c) && check_notes(&c) && check_addresses(&c) && check_guest_type(&c) && check_features(&c);
    if (v->accepted)
        snprintf(v->why, sizeof(v->why), "%s",
                 c.in_hvm_container ? "note PHYS32_ENTRY (18) is there, and every feature asked for is supported"
                                    : "the notes are complete, and every feature asked for is supported");
}

enum emu_err elfnote_phys32_entry(const struct image *img, uint32_t *entry_gpa, struct diag *d)
{
    struct image_note_cursor cursor = image_notes_of(img, ELFNOTE_OWNER);
    const struct image_note *n, *found = NULL;
    bool any = false;
    size_t at;
    uint64_t entry;

    while ((n = image_note_next(&cursor))) {
        any = true;
        if (n->type == XEN_ELFNOTE_PHYS32_ENTRY)
            found = n; /* the last one counts, as in Xen */
    }
    if (!found)
        return diag_set(d, EMU_EINPUT,
                        "the image has %s, so it can't be booted as a PVH guest; a Linux kernel needs CONFIG_PVH=y, or "
                        "--mode hvm",
                        any ? "Xen ELF notes but no PHYS32_ENTRY (18) among them" : "no Xen ELF note");

    entry = note_number(found);
    if (entry > UINT32_MAX || !image_find_paddr(img, entry, 1, &at))
        return diag_set(d, EMU_EINPUT,
                        "the image's PVH entry (note PHYS32_ENTRY) is 0x%" PRIx64
                        ", which is in no segment of it; it is damaged or badly linked",
                        entry);
    *entry_gpa = (uint32_t)entry;
    return EMU_OK;
}
