/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every arrangement of every table is built and read back; tables that make no sense are refused. BOOTRACE_KERNEL adds
 * a real kernel.
 */
#include "emu/base/count.h"
#include "tests/given_kernel.h"
#include "tests/patch_builder.h"

#include <string.h>

#define ENTRIES 5u

struct fixture {
    struct patched made;
    struct kernel_view view;
    struct patch_tables tables;
    struct diag d;
};

static void find_in(struct fixture *f, bool sections, const struct symbols *s)
{
    diag_init(&f->d);
    patched_finish(&f->made, sections);
    if (kernel_view_init(&f->view, f->made.bytes, f->made.size, &f->d) ||
        patch_tables_find(&f->view, s, &f->tables, &f->d))
        fail_msg("%s", f->d.text);
}

static const struct {
    const char *title;
    unsigned bits;
    enum alternative_layout layout;
    const char *described;
} alternatives[] = {
    {"2.6.18 i386", 32, ALT_2_6_18, "pointers, one byte of feature"},
    {"2.6.18 x86-64", 64, ALT_2_6_18, "pointers, one byte of feature"},
    {"2.6.36 i386", 32, ALT_2_6_36, "pointers (2.6.36"},
    {"2.6.36 x86-64", 64, ALT_2_6_36, "pointers (2.6.36"},
    {"3.1 i386", 32, ALT_3_1, "relative, 12 bytes"},
    {"3.1 x86-64", 64, ALT_3_1, "relative, 12 bytes"},
    {"4.1 i386", 32, ALT_4_1, "relative, 13 bytes"},
    {"4.1 x86-64", 64, ALT_4_1, "relative, 13 bytes"},
    {"6.3 i386", 32, ALT_6_3, "relative, 14 bytes"},
    {"6.3 x86-64", 64, ALT_6_3, "relative, 14 bytes"},
};

static struct alternative nth_alternative(const struct patched *p, unsigned i, enum alternative_layout layout)
{
    return (struct alternative){
        .site_gva = p->text_gva + 0x100 + 32 * i,
        .replacement_gva = p->data_gva + PATCHED_OTHER_AT + 8 * i,
        .feature = (uint16_t)(25 + i),
        .flags = (uint16_t)(layout == ALT_6_3 ? i & 3 : 0),
        .site_bytes = (uint8_t)(5 + i),
        .replacement_bytes = (uint8_t)(i + 1),
        .padding_bytes = 2,
    };
}

static void every_layout_of_alternatives_is_read_back(void **state)
{
    for (unsigned row = 0; row < COUNT(alternatives); row++) {
        struct fixture f;
        const struct patch_table *t;

        patched_init(&f.made, alternatives[row].bits);
        patched_table(&f.made, ".altinstructions");
        for (unsigned i = 0; i < ENTRIES; i++) {
            struct alternative a = nth_alternative(&f.made, i, alternatives[row].layout);
            patched_alternative(&f.made, alternatives[row].layout, &a);
        }
        find_in(&f, true, NULL);
        t = &f.tables.tables[PATCH_ALTERNATIVE];
        if (t->refusal[0] ||
            strncmp(patch_table_describe(t), alternatives[row].described, strlen(alternatives[row].described)))
            fail_msg("%s: '%s' %s", alternatives[row].title, patch_table_describe(t), t->refusal);
        assert_int_equal(t->count, ENTRIES);
        for (unsigned i = 0; i < ENTRIES; i++) {
            struct alternative a = nth_alternative(&f.made, i, alternatives[row].layout);
            struct patch_entry e;
            patch_tables_get(&f.tables, PATCH_ALTERNATIVE, i, &e);
            assert_int_equal(e.site_gva, a.site_gva);
            assert_int_equal(e.site_bytes, a.site_bytes);
            assert_int_equal(e.replacement_gva, a.replacement_gva);
            assert_int_equal(e.replacement_bytes, a.replacement_bytes);
            assert_int_equal(e.feature, a.feature);
            assert_int_equal(e.inverted, a.flags & 1);
            assert_int_equal(e.flags, a.flags & 2);
        }
    }
}

static void a_feature_that_must_be_absent_is_told_before_6_3(void **state)
{
    struct fixture f;
    struct patch_entry e;
    struct alternative a;

    patched_init(&f.made, 64);
    patched_table(&f.made, ".altinstructions");
    a = nth_alternative(&f.made, 0, ALT_3_1);
    a.feature |= 0x8000;
    patched_alternative(&f.made, ALT_3_1, &a);
    find_in(&f, true, NULL);
    patch_tables_get(&f.tables, PATCH_ALTERNATIVE, 0, &e);
    assert_true(e.inverted);
    assert_int_equal(e.feature, 25);
}

static void paravirt_sites_are_read_back_even_when_the_last_is_cut(void **state)
{
    for (unsigned bits = 32; bits <= 64; bits += 32) {
        struct fixture f;
        struct patch_entry e;
        patched_init(&f.made, bits);
        patched_table(&f.made, ".parainstructions");
        for (unsigned i = 0; i < ENTRIES; i++)
            patched_paravirt(&f.made, f.made.text_gva + 16 * i, (uint8_t)(30 + i), 6);
        f.made.table[0].bytes -= 2; /* the assembler aligns the next entry, and there is none */
        find_in(&f, true, NULL);
        assert_string_equal(f.tables.tables[PATCH_PARAVIRT].refusal, "");
        assert_int_equal(f.tables.tables[PATCH_PARAVIRT].count, ENTRIES);
        patch_tables_get(&f.tables, PATCH_PARAVIRT, ENTRIES - 1, &e);
        assert_int_equal(e.site_gva, f.made.text_gva + 16 * (ENTRIES - 1));
        assert_int_equal(e.site_bytes, 6);
        assert_int_equal(e.feature, 30 + ENTRIES - 1);
    }
}

static void alternatives_are_read_back_even_when_the_last_lacks_its_padding(void **state)
{
    static const struct {
        enum alternative_layout layout;
        unsigned bits, cut;
    } rows[] = {{ALT_2_6_18, 32, 1}, {ALT_2_6_18, 64, 4}, {ALT_2_6_18, 64, 5}, {ALT_2_6_36, 64, 4}};
    for (unsigned row = 0; row < COUNT(rows); row++) {
        struct fixture f;
        struct patch_entry e;
        struct alternative last;

        patched_init(&f.made, rows[row].bits);
        patched_table(&f.made, ".altinstructions");
        for (unsigned i = 0; i < ENTRIES; i++) {
            struct alternative a = nth_alternative(&f.made, i, rows[row].layout);
            patched_alternative(&f.made, rows[row].layout, &a);
        }
        f.made.table[0].bytes -= rows[row].cut;
        memset(patched_at(&f.made, f.made.table[0].gva + f.made.table[0].bytes), 0xcc, rows[row].cut); /* another's */
        find_in(&f, true, NULL);
        assert_string_equal(f.tables.tables[PATCH_ALTERNATIVE].refusal, "");
        assert_int_equal(f.tables.tables[PATCH_ALTERNATIVE].count, ENTRIES);
        last = nth_alternative(&f.made, ENTRIES - 1, rows[row].layout);
        patch_tables_get(&f.tables, PATCH_ALTERNATIVE, ENTRIES - 1, &e);
        assert_int_equal(e.site_gva, last.site_gva);
        assert_int_equal(e.replacement_bytes, last.replacement_bytes);
    }
}

static void jump_labels_and_static_calls_are_read_back(void **state)
{
    for (unsigned row = 0; row < 4; row++) {
        struct fixture f;
        struct patch_entry e;
        uint64_t text_gva, key_gva;

        patched_init(&f.made, row & 1 ? 64 : 32);
        text_gva = f.made.text_gva;
        key_gva = f.made.data_gva + PATCHED_OTHER_AT;
        memcpy(patched_at(&f.made, text_gva + 16), "\xeb\x10", 2);
        memcpy(patched_at(&f.made, text_gva + 32), "\xe9\0\0\0\0", 5);
        memcpy(patched_at(&f.made, text_gva + 48), "\x0f\x84\0\0\0\0", 6);
        patched_table(&f.made, "__jump_table");
        patched_jump_label(&f.made, row & 2, text_gva, text_gva + 64, key_gva + 1);
        patched_jump_label(&f.made, row & 2, text_gva + 16, text_gva + 64, key_gva + 16);
        patched_table(&f.made, ".static_call_sites");
        patched_static_call(&f.made, text_gva + 32, key_gva + 8 + 1);
        patched_static_call(&f.made, text_gva + 48, key_gva + 8);
        find_in(&f, true, NULL);
        assert_string_equal(f.tables.tables[PATCH_JUMP_LABEL].refusal, "");
        assert_int_equal(f.tables.tables[PATCH_JUMP_LABEL].count, 2);
        patch_tables_get(&f.tables, PATCH_JUMP_LABEL, 0, &e);
        assert_int_equal(e.site_gva, text_gva);
        assert_int_equal(e.site_bytes, 5);
        assert_int_equal(e.target_gva, text_gva + 64);
        assert_int_equal(e.key_gva, key_gva);
        assert_int_equal(e.flags, 1);
        patch_tables_get(&f.tables, PATCH_JUMP_LABEL, 1, &e);
        assert_int_equal(e.site_bytes, 2);
        assert_int_equal(e.key_gva, key_gva + 16);
        assert_int_equal(f.tables.tables[PATCH_STATIC_CALL].count, 2);
        patch_tables_get(&f.tables, PATCH_STATIC_CALL, 0, &e);
        assert_int_equal(e.site_bytes, 5);
        assert_int_equal(e.key_gva, key_gva + 8);
        assert_int_equal(e.flags, 1);
        patch_tables_get(&f.tables, PATCH_STATIC_CALL, 1, &e);
        assert_int_equal(e.site_bytes, 6);
    }
}

static void lock_prefixes_are_read_back_and_padding_patches_nothing(void **state)
{
    for (unsigned row = 0; row < 3; row++) {
        static const uint8_t zero[8];
        struct fixture f;
        struct patch_entry e;
        bool relative = row == 2;
        patched_init(&f.made, row == 0 ? 32 : 64);
        memcpy(patched_at(&f.made, f.made.text_gva + 8), "\xf0\x83\x04\x24\x00", 5);
        memcpy(patched_at(&f.made, f.made.text_gva + 24), "\x66\xf0\x0f\xb1\x2b", 5);
        patched_table(&f.made, ".smp_locks");
        patched_site(&f.made, relative, f.made.text_gva + 8);
        patched_site(&f.made, relative, f.made.text_gva + 24);
        patched_raw(&f.made, zero, relative ? 4 : f.made.bits / 8);
        find_in(&f, true, NULL);
        assert_string_equal(f.tables.tables[PATCH_SMP_LOCK].refusal, "");
        assert_int_equal(f.tables.tables[PATCH_SMP_LOCK].count, 3);
        patch_tables_get(&f.tables, PATCH_SMP_LOCK, 0, &e);
        assert_int_equal(e.site_gva, f.made.text_gva + 8);
        assert_int_equal(e.site_bytes, 1);
        patch_tables_get(&f.tables, PATCH_SMP_LOCK, 1, &e);
        assert_int_equal(e.site_bytes, 1);
        patch_tables_get(&f.tables, PATCH_SMP_LOCK, 2, &e);
        assert_int_equal(e.site_bytes, 0);
    }
}

static void tables_of_bare_sites_are_read_back(void **state)
{
    static const struct {
        const char *section;
        enum patch_kind kind;
        uint8_t code[6];
        unsigned bytes;
    } rows[] = {
        {".retpoline_sites", PATCH_RETPOLINE, {0xe8, 1, 0, 0, 0, 0x90}, 5},
        {".retpoline_sites", PATCH_RETPOLINE, {0x2e, 0xe9, 1, 0, 0, 0}, 6},
        {".return_sites", PATCH_RETURN, {0xe9, 1, 0, 0, 0, 0xcc}, 5},
        {".call_sites", PATCH_CALL, {0xe8, 1, 0, 0, 0, 0x90}, 5},
        {".ibt_endbr_seal", PATCH_ENDBR, {0xf3, 0x0f, 0x1e, 0xfa, 0x90, 0x90}, 4},
        {"__mcount_loc", PATCH_FENTRY, {0xe8, 1, 0, 0, 0, 0x90}, 5},
        {"__mcount_loc", PATCH_FENTRY, {0x0f, 0x1f, 0x44, 0, 0, 0x90}, 5},
    };
    for (unsigned row = 0; row < COUNT(rows); row++) {
        struct fixture f;
        struct patch_entry e;
        patched_init(&f.made, 64);
        memcpy(patched_at(&f.made, f.made.text_gva + 0x40), rows[row].code, 6);
        patched_table(&f.made, rows[row].section);
        patched_site(&f.made, rows[row].kind != PATCH_FENTRY, f.made.text_gva + 0x40);
        find_in(&f, true, NULL);
        assert_int_equal(f.tables.tables[rows[row].kind].count, 1);
        patch_tables_get(&f.tables, rows[row].kind, 0, &e);
        assert_int_equal(e.site_gva, f.made.text_gva + 0x40);
        assert_int_equal(e.site_bytes, rows[row].bytes);
    }
}

static void without_sections_symbols_tell_where_a_table_is(void **state)
{
    struct fixture f;
    struct patch_entry e;
    struct symbols *s = symbols_new();
    patched_init(&f.made, 64);
    patched_table(&f.made, ".parainstructions");
    patched_paravirt(&f.made, f.made.text_gva + 16, 31, 6);
    patched_paravirt(&f.made, f.made.text_gva + 32, 32, 6);
    diag_init(&f.d);
    assert_int_equal(symbols_add(s, f.made.table[0].gva, 0, 'R', "__parainstructions", &f.d), EMU_OK);
    assert_int_equal(
        symbols_add(s, f.made.table[0].gva + f.made.table[0].bytes, 0, 'R', "__parainstructions_end", &f.d), EMU_OK);
    assert_int_equal(symbols_seal(s, &f.d), EMU_OK);
    find_in(&f, false, s);
    assert_false(f.tables.tables[PATCH_PARAVIRT].from_section);
    assert_int_equal(f.tables.tables[PATCH_PARAVIRT].count, 2);
    patch_tables_get(&f.tables, PATCH_PARAVIRT, 1, &e);
    assert_int_equal(e.site_gva, f.made.text_gva + 32);
    assert_int_equal(patch_tables_find(&f.view, NULL, &f.tables, &f.d), EMU_EINPUT);
    assert_non_null(strstr(f.d.text, "no tables"));
    symbols_free(s);
}

static void a_table_that_makes_no_sense_is_refused_and_the_others_are_not(void **state)
{
    static const struct {
        const char *refusal;
        int64_t site_moves, replacement_moves;
        uint8_t replacement_bytes;
        uint16_t feature;
        int cut;
    } rows[] = {
        {"not code", PATCHED_TEXT_BYTES, 0, 3, 25, 0}, {"not code", -0x1000, 0, 3, 25, 0},
        {"replaces 9 bytes by 10", 0, 0, 10, 25, 0},   {"not in the file", 0, PATCHED_DATA_BYTES, 3, 25, 0},
        {"needs the feature 2000", 0, 0, 3, 2000, 0},  {"no multiple", 0, 0, 3, 25, 5},
    };
    for (unsigned row = 0; row < COUNT(rows); row++) {
        struct fixture f;
        patched_init(&f.made, 64);
        patched_table(&f.made, ".parainstructions");
        patched_paravirt(&f.made, f.made.text_gva, 30, 6);
        patched_table(&f.made, ".altinstructions");
        for (unsigned i = 0; i < ENTRIES; i++) {
            struct alternative a = nth_alternative(&f.made, i, ALT_6_3);
            if (i == ENTRIES - 1) {
                a.site_gva += (uint64_t)rows[row].site_moves;
                a.replacement_gva += (uint64_t)rows[row].replacement_moves;
                a.replacement_bytes = rows[row].replacement_bytes;
                a.feature = rows[row].feature;
            }
            patched_alternative(&f.made, ALT_6_3, &a);
        }
        f.made.table[1].bytes -= (size_t)rows[row].cut;
        find_in(&f, true, NULL);
        if (!strstr(f.tables.tables[PATCH_ALTERNATIVE].refusal, rows[row].refusal))
            fail_msg("row %u: '%s' is not about '%s'", row, f.tables.tables[PATCH_ALTERNATIVE].refusal,
                     rows[row].refusal);
        assert_int_equal(f.tables.tables[PATCH_ALTERNATIVE].count, 0);
        assert_int_equal(patch_tables_entry_bytes(&f.tables, PATCH_ALTERNATIVE), 0);
        assert_int_equal(f.tables.tables[PATCH_PARAVIRT].count, 1);
    }
}

static void kinds_have_names_that_parse_back(void **state)
{
    for (unsigned kind = 0; kind < PATCH_KINDS; kind++)
        assert_int_equal(patch_kind_parse(patch_kind_name((enum patch_kind)kind)), kind);
    assert_int_equal(patch_kind_parse("rainbows"), PATCH_KINDS);
}

static void a_real_kernel_has_thousands_of_sites(void **state)
{
    struct image *img;
    struct kernel_view v;
    struct patch_tables t, again;
    struct symbols *s = given_kernel_read(&img, &v, &t);
    struct diag d;
    diag_init(&d);
    for (unsigned kind = 0; kind < PATCH_KINDS; kind++)
        assert_string_equal(t.tables[kind].refusal, "");
    assert_in_range(t.tables[PATCH_ALTERNATIVE].count, 900, 100000);
    assert_in_range(t.tables[PATCH_SMP_LOCK].count, 1000, 100000);
    /* By sections or by symbols, it is the same table. */
    v.section_count = 0;
    if (v.bits == 64) {
        assert_int_equal(patch_tables_find(&v, s, &again, &d), EMU_OK);
        for (unsigned kind = 0; kind < PATCH_KINDS; kind++) {
            assert_int_equal(again.tables[kind].start_gva, t.tables[kind].start_gva);
            assert_int_equal(again.tables[kind].count, t.tables[kind].count);
        }
    }
    symbols_free(s);
    image_free(img);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_layout_of_alternatives_is_read_back),
        cmocka_unit_test(a_feature_that_must_be_absent_is_told_before_6_3),
        cmocka_unit_test(paravirt_sites_are_read_back_even_when_the_last_is_cut),
        cmocka_unit_test(alternatives_are_read_back_even_when_the_last_lacks_its_padding),
        cmocka_unit_test(jump_labels_and_static_calls_are_read_back),
        cmocka_unit_test(lock_prefixes_are_read_back_and_padding_patches_nothing),
        cmocka_unit_test(tables_of_bare_sites_are_read_back),
        cmocka_unit_test(without_sections_symbols_tell_where_a_table_is),
        cmocka_unit_test(a_table_that_makes_no_sense_is_refused_and_the_others_are_not),
        cmocka_unit_test(kinds_have_names_that_parse_back),
        cmocka_unit_test(a_real_kernel_has_thousands_of_sites),
    };
    return RUN_KERNEL_TEST_LAST("patch_tables", tests);
}
