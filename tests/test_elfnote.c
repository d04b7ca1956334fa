/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/cmocka_tap.h"

#include "emu/base/count.h"
#include "models/image_formats.h"
#include "models/xen/elfnote.h"
#include "tests/image_builder.h"

#include <string.h>
#include <xen/elfnote.h>

enum { V4_1, V4_2, V4_4, V4_17, VERSIONS };

#define A63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define PV_STRING                                                                                                      \
    "!writable_page_tables|pae_pgdir_above_4gb|writable_descriptor_tables|auto_translated_physmap|"                    \
    "supervisor_mode_kernel"

struct cell {
    int rc;
    uint32_t supported, required;
};

/* What each release's own parser answered, compiled and run. The last row is with required == NULL. */
static const struct {
    const char *text;
    struct cell cells[VERSIONS];
} oracle[] = {
    {"!writable_page_tables|pae_pgdir_above_4gb", {{0, 0x11, 1}, {0, 0x11, 1}, {0, 0x11, 1}, {0, 0x11, 1}}},
    {PV_STRING "|hvm_callback_vector", {{-1, 0x1f, 1}, {0, 0x1f, 1}, {0, 0x11f, 1}, {0, 0x11f, 1}}},
    {PV_STRING, {{0, 0x1f, 1}, {0, 0x1f, 1}, {0, 0x1f, 1}, {0, 0x1f, 1}}},
    {"hvm_callback_vector", {{-1, 0, 0}, {0, 0, 0}, {0, 0x100, 0}, {0, 0x100, 0}}},
    {"!hvm_callback_vector", {{-1, 0, 0}, {-1, 0, 0}, {0, 0x100, 0x100}, {0, 0x100, 0x100}}},
    {"dom0", {{-1, 0, 0}, {0, 0x800, 0}, {0, 0x800, 0}, {0, 0x800, 0}}},
    {"!dom0", {{-1, 0, 0}, {0, 0x800, 0x800}, {0, 0x800, 0x800}, {0, 0x800, 0x800}}},
    {"", {{0, 0, 0}, {0, 0, 0}, {0, 0, 0}, {0, 0, 0}}},
    {"|writable_page_tables", {{-1, 0, 0}, {0, 1, 0}, {0, 1, 0}, {0, 1, 0}}},
    {"writable_page_tables|", {{0, 1, 0}, {0, 1, 0}, {0, 1, 0}, {0, 1, 0}}},
    {"writable_page_tables||auto_translated_physmap", {{-1, 1, 0}, {0, 5, 0}, {0, 5, 0}, {0, 5, 0}}},
    {"!", {{-1, 0, 0}, {-1, 0, 0}, {-1, 0, 0}, {-1, 0, 0}}},
    {"bogus", {{-1, 0, 0}, {0, 0, 0}, {0, 0, 0}, {0, 0, 0}}},
    {"!bogus", {{-1, 0, 0}, {-1, 0, 0}, {-1, 0, 0}, {-1, 0, 0}}},
    {"bogus|!auto_translated_physmap", {{-1, 0, 0}, {0, 4, 4}, {0, 4, 4}, {0, 4, 4}}},
    {"WRITABLE_PAGE_TABLES", {{-1, 0, 0}, {0, 0, 0}, {0, 0, 0}, {0, 0, 0}}},
    {" writable_page_tables", {{-1, 0, 0}, {0, 0, 0}, {0, 0, 0}, {0, 0, 0}}},
    {A63 "writable_page_tables", {{-1, 0, 0}, {0, 1, 0}, {0, 1, 0}, {0, 1, 0}}},
    {"!hvm_pirqs", {{-1, 0, 0}, {-1, 0, 0}, {-1, 0, 0}, {-1, 0, 0}}},
    {"hvm_safe_pvclock", {{-1, 0, 0}, {0, 0, 0}, {0, 0, 0}, {0, 0, 0}}},
    {"!auto_translated_physmap", {{-1, 0, 0}, {0, 4, 0}, {0, 4, 0}, {0, 4, 0}}},
};
#define ORACLE_ROWS COUNT(oracle)

static void every_cell_of_the_oracle_is_the_answer(void **state)
{
    for (size_t i = 0; i < ORACLE_ROWS; i++) {
        for (int version = 0; version < VERSIONS; version++) {
            const struct cell *want = &oracle[i].cells[version];
            struct elfnote_features f = {0};
            struct elfnote_piece bad;
            bool ok = elfnote_features_parse(&elfnote_rules[version], oracle[i].text, i != ORACLE_ROWS - 1, &f, &bad);

            if (ok != (want->rc == 0) || f.supported != want->supported || f.required != want->required)
                fail_msg("row %zu '%s', Xen %s: %d/%x/%x, expected %d/%x/%x", i, oracle[i].text,
                         elfnote_rules[version].version, ok ? 0 : -1, f.supported, f.required, want->rc,
                         want->supported, want->required);
        }
    }
}

/* A complete PV image with `features`, and notes 17 and 18 unless they are 0. */
static struct built build_guest(unsigned elf_class, const char *features, uint32_t note17, uint32_t note18,
                                bool in_section)
{
    struct built notes = {0};
    struct elf_recipe r = {.elf_class = elf_class,
                           .entry = 0x100000,
                           .segments = {{0x100000, 0x100000, 64, 0x1000}},
                           .segment_notes = in_section ? NULL : &notes,
                           .section_notes = in_section ? &notes : NULL};
    struct built b;

    build_note_string(&notes, XEN_ELFNOTE_GUEST_OS, "linux");
    build_note_string(&notes, XEN_ELFNOTE_XEN_VERSION, "xen-3.0");
    build_note_u32(&notes, XEN_ELFNOTE_VIRT_BASE, 0);
    if (note17)
        build_note_u32(&notes, XEN_ELFNOTE_SUPPORTED_FEATURES, note17);
    if (note18)
        build_note_u32(&notes, XEN_ELFNOTE_PHYS32_ENTRY, note18);
    build_note_string(&notes, XEN_ELFNOTE_FEATURES, features);
    b = build_elf(&r);
    built_free(&notes);
    return b;
}

static struct elfnote_verdict check_built(const struct built *b, int version, enum elfnote_guest guest,
                                          const char *config)
{
    struct elfnote_verdict v;
    struct image *img;
    struct diag d;

    diag_init(&d);
    if (image_load_bytes(b->bytes, b->size, image_formats, &img, &d) != EMU_OK)
        fail_msg("%s", d.text);
    elfnote_check(&elfnote_rules[version], img, guest, config, &v);
    image_free(img);
    return v;
}

static void the_oracle_holds_for_whole_images_in_every_container(void **state)
{
    for (size_t i = 0; i < ORACLE_ROWS - 1; i++) {
        for (unsigned how = 0; how < 6; how++) {
            struct built elf = build_guest(how & 1 ? 64 : 32, oracle[i].text, 0, 0, how & 2);
            struct built payload = how < 4 ? (struct built){0} : build_payload(UNPACK_XZ, elf.bytes, elf.size);
            struct built bz = how < 4 ? (struct built){0} : build_bzimage(&payload);

            for (int version = 0; version < VERSIONS; version++) {
                const struct cell *want = &oracle[i].cells[version];
                struct elfnote_verdict v = check_built(how < 4 ? &elf : &bz, version, ELFNOTE_PV, NULL);
                bool needs_dom0 = want->required & 0x800;

                assert_int_equal(v.accepted, want->rc == 0 && !needs_dom0);
                assert_int_equal(v.note.supported, want->supported);
                assert_int_equal(v.note.required, want->required);
                assert_int_equal(v.source, how & 2 ? IMAGE_NOTE_SECTION : IMAGE_NOTE_SEGMENT);
                if (want->rc)
                    assert_non_null(strstr(v.why, "note FEATURES (10): piece"));
            }
            built_free(&elf);
            built_free(&payload);
            built_free(&bz);
        }
    }
}

static void note_17_adds_to_supported_from_4_2_on_and_never_rejects(void **state)
{
    struct built b = build_guest(64, PV_STRING, 0xdead0100, 0, false);
    static const uint32_t supported[VERSIONS] = {0x1f, 0xdead011f, 0xdead011f, 0xdead011f};

    for (int version = 0; version < VERSIONS; version++) {
        struct elfnote_verdict v = check_built(&b, version, ELFNOTE_PV, NULL);

        assert_true(v.accepted);
        assert_int_equal(v.note.supported, supported[version]);
        assert_int_equal(v.note.required, 1);
    }
    built_free(&b);
}

static void the_reason_names_the_note_and_the_piece(void **state)
{
    struct built b = build_guest(64, PV_STRING "|hvm_callback_vector", 0, 0, false);
    struct elfnote_verdict v = check_built(&b, V4_1, ELFNOTE_PV, NULL);

    assert_non_null(strstr(v.why, "note FEATURES (10): piece 6, \"hvm_callback_vector\""));
    built_free(&b);
}

static void a_feature_asked_for_has_to_be_supported(void **state)
{
    struct built b = build_guest(64, "writable_page_tables", 0, 0, false);

    for (int version = 0; version < VERSIONS; version++) {
        struct elfnote_verdict v = check_built(&b, version, ELFNOTE_PV, "auto_translated_physmap");

        assert_false(v.accepted);
        assert_non_null(strstr(v.why, "unsupported feature requested: auto_translated_physmap is asked for"));
        assert_true(check_built(&b, version, ELFNOTE_PV, "writable_page_tables").accepted);
        /* 4.1 reads nothing behind '!', and the toolstack ignores the error. */
        v = check_built(&b, version, ELFNOTE_PV, "!auto_translated_physmap");
        assert_int_equal(v.accepted, version == V4_1);
    }
    built_free(&b);
}

static void pvh_v1_needs_its_features_and_pvh_needs_phys32_entry(void **state)
{
    struct built pv = build_guest(64, PV_STRING, 0, 0, false);
    struct built v1 = build_guest(64, PV_STRING, 0x100, 0, false);
    struct built v2 = build_guest(64, PV_STRING, 0, 0x100000, false);

    assert_false(elfnote_guest_is_known(&elfnote_rules[V4_1], ELFNOTE_PVH));
    assert_false(elfnote_guest_is_known(&elfnote_rules[V4_2], ELFNOTE_PVH));
    assert_non_null(strstr(check_built(&pv, V4_4, ELFNOTE_PVH, NULL).why, "hvm_callback_vector is asked for"));
    assert_true(check_built(&v1, V4_4, ELFNOTE_PVH, NULL).accepted);
    assert_non_null(strstr(check_built(&v1, V4_17, ELFNOTE_PVH, NULL).why, "PHYS32_ENTRY (18)"));
    assert_true(check_built(&v2, V4_17, ELFNOTE_PVH, NULL).accepted);
    built_free(&pv);
    built_free(&v1);
    built_free(&v2);
}

/* One note set per row; what PV on every version, and PVH on 4.17, say. "" means accepted. */
static void a_note_set_that_is_not_complete_is_rejected_with_its_reason(void **state)
{
    static const struct {
        const char *loader, *guest_os, *xen_version;
        uint32_t paddr_offset, virt_base, init_p2m, phys32; /* 0: no such note; for virt_base 1 means 0 */
        const char *pv, *pvh;
    } vectors[] = {
        {"generic", NULL, "xen-3.0", 0, 0, 0, 0, "", "no note PHYS32_ENTRY (18)"},
        {NULL, "linux", "xen-3.0-x86_64", 0, 0, 0, 0, "", "no note PHYS32_ENTRY (18)"},
        {NULL, NULL, "xen-3.0", 0, 0, 0, 0x100000, "notes LOADER (8) and GUEST_OS (6)", ""},
        {"other", "minix", "xen-3.0", 0, 0, 0, 0, "\"other\" and \"minix\"", "\"other\" and \"minix\""},
        {"generic", NULL, NULL, 0, 0, 0, 0x100000, "note XEN_VERSION (5)", ""},
        {"generic", NULL, "xen-4.0", 0, 0, 0, 0, "and is \"xen-4.0\"", "and is \"xen-4.0\""},
        {"generic", NULL, "xen-3.0", 4096, 0, 0, 0x100000, "PADDR_OFFSET (4) is there", "PADDR_OFFSET (4) is there"},
        {"generic", NULL, "xen-3.0", 0, 0x200000, 0, 0x100000, "does not fit the image", ""},
        {"generic", NULL, "xen-3.0", 0, 1, 0x100800, 0, "note INIT_P2M (15)", "note INIT_P2M (15)"},
        {NULL, NULL, NULL, 0, 0, 0, 0x300000, "notes LOADER (8) and GUEST_OS (6)", "does not fit the image"},
        {NULL, NULL, NULL, 0, 0, 0, 0, "no Xen ELF note", "no Xen ELF note"},
    };

    for (size_t i = 0; i < COUNT(vectors); i++) {
        struct built notes = {0};
        struct elf_recipe r = {.elf_class = 32,
                               .entry = 0x100000,
                               .segments = {{0x100000, 0x100000, 64, 0x1000}},
                               .segment_notes = &notes};
        struct built b;

        build_note(&notes, "GNU", 3, "id", 2);
        if (vectors[i].loader)
            build_note_string(&notes, XEN_ELFNOTE_LOADER, vectors[i].loader);
        if (vectors[i].guest_os)
            build_note_string(&notes, XEN_ELFNOTE_GUEST_OS, vectors[i].guest_os);
        if (vectors[i].xen_version)
            build_note_string(&notes, XEN_ELFNOTE_XEN_VERSION, vectors[i].xen_version);
        if (vectors[i].paddr_offset)
            build_note_u32(&notes, XEN_ELFNOTE_PADDR_OFFSET, vectors[i].paddr_offset);
        if (vectors[i].virt_base)
            build_note_u32(&notes, XEN_ELFNOTE_VIRT_BASE, vectors[i].virt_base & ~1u);
        if (vectors[i].init_p2m)
            build_note_u32(&notes, XEN_ELFNOTE_INIT_P2M, vectors[i].init_p2m);
        if (vectors[i].phys32)
            build_note_u32(&notes, XEN_ELFNOTE_PHYS32_ENTRY, vectors[i].phys32);
        b = build_elf(&r);

        for (int version = 0; version <= VERSIONS; version++) {
            bool pvh = version == VERSIONS;
            const char *want = pvh ? vectors[i].pvh : vectors[i].pv;
            struct elfnote_verdict v = check_built(&b, pvh ? V4_17 : version, pvh ? ELFNOTE_PVH : ELFNOTE_PV, NULL);

            if (v.accepted != (want[0] == '\0') || !strstr(v.why, want))
                fail_msg("row %zu version %d: accepted %d '%s', expected '%s'", i, version, v.accepted, v.why, want);
        }
        built_free(&b);
        built_free(&notes);
    }
}

static void the_pvh_entry_is_found_or_missed_with_a_sentence(void **state)
{
    static const struct {
        uint32_t entry;
        const char *text;
    } vectors[] = {{0x100010, NULL}, {0, "no PHYS32_ENTRY"}, {0x300000, "in no segment"}, {0x100040, "in no segment"}};

    for (size_t i = 0; i < COUNT(vectors); i++) {
        struct built b = build_guest(32, "", 0, vectors[i].entry, false);
        struct image *img;
        struct diag d;
        uint32_t entry_gpa = 0;
        enum emu_err err;

        diag_init(&d);
        assert_int_equal(image_load_bytes(b.bytes, b.size, image_formats, &img, &d), EMU_OK);
        err = elfnote_phys32_entry(img, &entry_gpa, &d);
        if (vectors[i].text) {
            assert_int_equal(err, EMU_EINPUT);
            assert_non_null(strstr(d.text, vectors[i].text));
        } else {
            assert_int_equal(err, EMU_OK);
            assert_int_equal(entry_gpa, vectors[i].entry);
        }
        image_free(img);
        built_free(&b);
    }
}

static void a_mask_is_printed_by_name(void **state)
{
    char text[64];

    assert_string_equal(elfnote_features_print(0, text, sizeof(text)), "none");
    assert_string_equal(elfnote_features_print(0x80000801, text, sizeof(text)),
                        "writable_page_tables, dom0 and bit 31");
    assert_int_equal(strlen(elfnote_features_print(UINT32_MAX, text, sizeof(text))), sizeof(text) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_of_the_oracle_is_the_answer),
        cmocka_unit_test(the_oracle_holds_for_whole_images_in_every_container),
        cmocka_unit_test(note_17_adds_to_supported_from_4_2_on_and_never_rejects),
        cmocka_unit_test(the_reason_names_the_note_and_the_piece),
        cmocka_unit_test(a_feature_asked_for_has_to_be_supported),
        cmocka_unit_test(pvh_v1_needs_its_features_and_pvh_needs_phys32_entry),
        cmocka_unit_test(a_note_set_that_is_not_complete_is_rejected_with_its_reason),
        cmocka_unit_test(the_pvh_entry_is_found_or_missed_with_a_sentence),
        cmocka_unit_test(a_mask_is_printed_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
