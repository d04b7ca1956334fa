/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as a feature string, and as an image, for every Xen version:
 * - 4.2 and later reject a string only for a piece with '!';
 * - what 4.2 and later reject for its required features, 4.1 rejects too;
 * - a string that is rejected stays rejected, with the same masks, whatever is appended behind a '|'.
 */
#include "fuzz/targets/fuzz_target.h"

#include "emu/base/ensure.h"
#include "models/image_formats.h"
#include "models/xen/elfnote.h"

#include <stdlib.h>
#include <string.h>

static void check_string(const char *text)
{
    static const char suffix[] = "|no_such_feature|!auto_translated_physmap|dom0";
    size_t length = strlen(text);
    char *longer = malloc(length + sizeof(suffix));
    bool rejected_by_4_1 = false;

    ensure(longer);
    memcpy(longer, text, length);
    memcpy(longer + length, suffix, sizeof(suffix));
    for (const struct elfnote_rules *r = elfnote_rules; r->version; r++) {
        struct elfnote_features f = {0}, g = {0};
        struct elfnote_piece bad, bad_of_longer;
        bool ok = elfnote_features_parse(r, text, true, &f, &bad);

        if (r == elfnote_rules)
            rejected_by_4_1 = !ok;
        ensure(!(f.required & ~f.supported));
        ensure(!(f.supported & ~r->names));
        if (ok)
            continue;
        ensure(rejected_by_4_1);
        ensure(r->rejects_unknown_optional || bad.text[0] == '!');
        ensure(!elfnote_features_parse(r, longer, true, &g, &bad_of_longer));
        ensure(g.supported == f.supported && g.required == f.required);
        ensure(bad.number == bad_of_longer.number && !strcmp(bad.text, bad_of_longer.text));
    }
    free(longer);
}

static void check_optional_string(char *text)
{
    for (char *c = text; *c; c++)
        if (*c == '!')
            *c = '_';
    for (const struct elfnote_rules *r = elfnote_rules + 1; r->version; r++) {
        struct elfnote_features f = {0};
        struct elfnote_piece bad;

        ensure(elfnote_features_parse(r, text, true, &f, &bad));
        ensure(f.required == 0);
    }
}

static void check_image(const uint8_t *bytes, size_t size)
{
    struct image *img;
    struct diag d;
    uint32_t entry_gpa;

    diag_init(&d);
    if (image_load_bytes(bytes, size, image_formats, &img, &d) != EMU_OK)
        return;
    for (const struct elfnote_rules *r = elfnote_rules; r->version; r++) {
        for (enum elfnote_guest guest = ELFNOTE_PV; guest <= ELFNOTE_PVH; guest++) {
            struct elfnote_verdict v;

            if (!elfnote_guest_is_known(r, guest))
                continue;
            elfnote_check(r, img, guest, NULL, &v);
            ensure(v.why[0] != '\0');
            if (v.accepted)
                ensure(!((v.requested | v.note.required) & ~v.note.supported));
        }
    }
    if (elfnote_phys32_entry(img, &entry_gpa, &d) != EMU_OK)
        ensure(d.text[0] != '\0');
    image_free(img);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *text = malloc(size + 1);

    ensure(text);
    if (size)
        memcpy(text, bytes, size);
    text[size] = '\0';
    check_string(text);
    check_optional_string(text);
    free(text);
    check_image(bytes, size);
    return 0;
}
