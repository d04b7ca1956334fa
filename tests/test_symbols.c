/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/cmocka_tap.h"

#include "emu/base/count.h"
#include "emu/image/symbols.h"

#include <stdio.h>
#include <string.h>

struct row {
    uint64_t start_gva, bytes;
    char kind;
    const char *name;
};

static struct symbols *make(const struct row *rows, size_t count)
{
    struct diag d;
    struct symbols *s = symbols_new();
    assert_non_null(s);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(symbols_add(s, rows[i].start_gva, rows[i].bytes, rows[i].kind, rows[i].name, &d), EMU_OK);
    return s;
}

static void seal(struct symbols *s)
{
    struct diag d;
    assert_int_equal(symbols_seal(s, &d), EMU_OK);
    assert_true(symbols_is_valid(s));
}

/* Given out of order, with aliases, a repetition, a nested extent, and a per-CPU symbol at 0x100. */
static const struct row kernel_rows[] = {
    {0x2000, 0, 'T', "schedule"},   {0x1000, 0, 'T', "_text"},    {0x2040, 0, 't', "local"},
    {0x2080, 0, 'W', "weak_name"},  {0x2080, 0, 'T', "__under"},  {0x2080, 0, 'T', "plain"},
    {0x2000, 0, 'T', "schedule"},   {0x3000, 0x80, 'T', "outer"}, {0x3020, 0x10, 't', "inner"},
    {0x2fc0, 0, 't', "local"},      {0x100, 0x40, 'D', "percpu"}, {0x4000, 0, 'D', "last"},
    {0x5000, 0, 'B', "beyond_all"},
};

static struct symbols *make_kernel(void)
{
    struct diag d;
    struct symbols *s = make(kernel_rows, COUNT(kernel_rows));
    symbols_set_moving_from(s, 0x1000);
    assert_int_equal(symbols_add_range(s, 0x4000, 0x123, &d), EMU_OK);
    assert_int_equal(symbols_add_range(s, 0x1000, 0x3000, &d), EMU_OK);
    seal(s);
    return s;
}

struct print_row {
    uint64_t slide, gva;
    const char *text;
};

static const struct print_row print_rows[] = {
    {0, 0x1000, "_text+0x0/0x1000"},
    {0, 0x1fff, "_text+0xfff/0x1000"},
    {0, 0x2000, "schedule+0x0/0x40"},
    {0, 0x2050, "local+0x10/0x40"},
    {0, 0x2081, "plain+0x1/0xf40"},  /* neither the weak alias nor the one with underscores */
    {0, 0x3010, "outer+0x10/0x80"},  /* an explicit extent */
    {0, 0x3025, "inner+0x5/0x10"},   /* the nearest preceding one that holds it */
    {0, 0x3035, "outer+0x35/0x80"},  /* past inner, still in outer */
    {0, 0x3090, "0x3090"},           /* past both */
    {0, 0x4122, "last+0x122/0x123"}, /* bounded by the section's end */
    {0, 0x4123, "0x4123"},
    {0, 0x5000, "beyond_all+0x0/0x0"}, /* nothing bounds it: its first byte only */
    {0, 0x5001, "0x5001"},
    {0, 0x13f, "percpu+0x3f/0x40"},
    {0, 0xfff, "0xfff"},
    {0, 0, "0x0"},
    {0, UINT64_MAX, "0xffffffffffffffff"},
    {0x7000000, 0x7001000, "_text+0x0/0x1000"},
    {0x7000000, 0x7002050, "local+0x10/0x40"},
    {0x7000000, 0x2050, "0x2050"},          /* where it was linked nothing runs */
    {0x7000000, 0x13f, "percpu+0x3f/0x40"}, /* does not move */
    {0x7000000, 0x700013f, "0x700013f"},
    {(uint64_t)-0x1000, 0, "_text+0x0/0x1000"}, /* a slide downwards */
};

static void addresses_print_as_name_offset_and_extent(void **state)
{
    struct symbols *s = make_kernel();
    for (size_t i = 0; i < COUNT(print_rows); i++) {
        char text[64];
        symbols_set_slide(s, print_rows[i].slide);
        assert_int_equal(symbols_print(s, print_rows[i].gva, text, sizeof(text)), strlen(print_rows[i].text));
        assert_string_equal(text, print_rows[i].text);
    }
    symbols_free(s);
}

static void a_short_buffer_is_cut_and_ends_in_nul(void **state)
{
    struct symbols *s = make_kernel();
    char text[8];
    memset(text, 'x', sizeof(text));
    assert_int_equal(symbols_print(s, 0x2001, text, sizeof(text)), strlen("schedule+0x1/0x40"));
    assert_string_equal(text, "schedul");
    symbols_free(s);
}

static void a_repeated_symbol_is_kept_once(void **state)
{
    struct symbols *s = make_kernel();
    assert_int_equal(symbols_count(s), COUNT(kernel_rows) - 1);
    for (size_t i = 1; i < symbols_count(s); i++) {
        struct symbol before, after;
        symbols_get(s, i - 1, &before);
        symbols_get(s, i, &after);
        assert_true(before.start_gva <= after.start_gva);
    }
    symbols_free(s);
}

static void names_are_found_and_their_ambiguity_is_told(void **state)
{
    struct symbols *s = make_kernel();
    struct symbol found;
    symbols_set_slide(s, 0x10000);
    assert_int_equal(symbols_find_name(s, "schedule", &found), 1);
    assert_int_equal(found.start_gva, 0x12000);
    assert_int_equal(found.kind, 'T');
    assert_int_equal(symbols_find_name(s, "percpu", &found), 1);
    assert_int_equal(found.start_gva, 0x100);
    assert_int_equal(symbols_find_name(s, "local", &found), 2);
    assert_int_equal(found.start_gva, 0x12040);
    assert_true(symbols_get_named(s, "local", 1, &found));
    assert_int_equal(found.start_gva, 0x12fc0);
    assert_false(symbols_get_named(s, "local", 2, &found));
    assert_int_equal(symbols_find_name(s, "schedul", &found), 0);
    assert_int_equal(symbols_find_name(s, "schedule2", &found), 0);
    assert_int_equal(symbols_find_name(s, "", &found), 0);
    symbols_free(s);
}

static void an_empty_table_answers_nothing(void **state)
{
    struct symbols *s = make(NULL, 0);
    struct symbol found;
    const char *file;
    unsigned line;
    seal(s);
    assert_false(symbols_find_address(s, 0x1000, &found));
    assert_int_equal(symbols_find_name(s, "x", &found), 0);
    assert_false(symbols_find_line(s, 0x1000, &file, &line));
    symbols_free(s);
}

static void bad_names_and_ranges_are_refused(void **state)
{
    struct diag d;
    struct symbols *s = symbols_new();
    static char long_name[SYMBOLS_NAME_BYTES_MAX + 2];
    memset(long_name, 'a', SYMBOLS_NAME_BYTES_MAX + 1);
    assert_int_equal(symbols_add(s, 1, 0, 'T', "", &d), EMU_EINPUT);
    assert_int_equal(symbols_add(s, 1, 0, 'T', long_name, &d), EMU_EINPUT);
    assert_int_equal(symbols_add(s, 1, 0, 'T', long_name + 1, &d), EMU_OK);
    assert_int_equal(symbols_add_range(s, UINT64_MAX, 2, &d), EMU_EINPUT);
    assert_int_equal(symbols_add_range(s, UINT64_MAX, 1, &d), EMU_OK);
    seal(s);
    assert_int_equal(symbols_count(s), 1);
    symbols_free(s);
}

static void lines_are_found_up_to_the_end_of_their_sequence(void **state)
{
    struct diag d;
    struct symbols *s = symbols_new();
    static const struct {
        uint64_t start_gva;
        const char *file;
        unsigned line;
    } rows[] = {{0x20, "b.c", 7}, {0x10, "a.c", 1}, {0x18, "a.c", 2}, {0x20, "a.c", 0}, {0x30, "b.c", 0}};
    static const struct {
        uint64_t gva;
        const char *file;
        unsigned line;
    } asked[] = {{0x100f, NULL, 0},  {0x1010, "a.c", 1}, {0x1017, "a.c", 1}, {0x1018, "a.c", 2},
                 {0x1020, "b.c", 7}, {0x102f, "b.c", 7}, {0x1030, NULL, 0}};

    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(symbols_add_line(s, rows[i].start_gva, rows[i].file, rows[i].line, &d), EMU_OK);
    seal(s);
    symbols_set_slide(s, 0x1000);
    for (size_t i = 0; i < COUNT(asked); i++) {
        const char *file = NULL;
        unsigned line = 0;
        assert_int_equal(symbols_find_line(s, asked[i].gva, &file, &line), asked[i].file != NULL);
        assert_int_equal(line, asked[i].line);
        if (asked[i].file)
            assert_string_equal(file, asked[i].file);
    }
    symbols_free(s);
}

static void an_end_of_a_section_holds_nothing_behind_it(void **state)
{
    struct symbols *s = symbols_new();
    struct diag d;
    struct symbol found;
    char text[64];

    assert_int_equal(symbols_add(s, 0x1000, 0, 'T', "_text", &d), EMU_OK);
    assert_int_equal(symbols_add(s, 0x2000, 0, 'B', "_end", &d), EMU_OK);
    assert_int_equal(symbols_add(s, 0x9000, 0, 'T', "vsyscall", &d), EMU_OK);
    assert_int_equal(symbols_add_range(s, 0x1000, 0x1000, &d), EMU_OK);
    seal(s);
    assert_true(symbols_find_address(s, 0x1fff, &found));
    assert_string_equal(found.name, "_text");
    assert_true(symbols_find_address(s, 0x2000, &found));
    assert_string_equal(found.name, "_end");
    assert_false(symbols_find_address(s, 0x2001, &found)); /* a module's code, say */
    symbols_print(s, 0x5123, text, sizeof(text));
    assert_string_equal(text, "0x5123");
    symbols_free(s);
}

static void two_hundred_thousand_symbols_are_compact(void **state)
{
    struct diag d;
    struct symbols *s = symbols_new();
    const unsigned count = 200000;
    for (unsigned i = 0; i < count; i++) {
        char name[32];
        snprintf(name, sizeof(name), "function_%u", i * 7919 % count);
        assert_int_equal(symbols_add(s, 0x1000 + (uint64_t)(i * 7919u % count) * 16, 0, 't', name, &d), EMU_OK);
    }
    seal(s);
    assert_int_equal(symbols_count(s), count);
    assert_true(symbols_host_bytes(s) < 16u << 20);
    for (unsigned i = 0; i < count; i += 1009) {
        char name[32], text[64];
        struct symbol found;
        snprintf(name, sizeof(name), "function_%u", i);
        assert_int_equal(symbols_find_name(s, name, &found), 1);
        assert_int_equal(found.start_gva, 0x1000 + (uint64_t)i * 16);
        symbols_print(s, found.start_gva + 15, text, sizeof(text));
        assert_memory_equal(text, name, strlen(name));
        assert_string_equal(text + strlen(name), "+0xf/0x10");
    }
    symbols_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_print_as_name_offset_and_extent),
        cmocka_unit_test(a_short_buffer_is_cut_and_ends_in_nul),
        cmocka_unit_test(a_repeated_symbol_is_kept_once),
        cmocka_unit_test(names_are_found_and_their_ambiguity_is_told),
        cmocka_unit_test(an_empty_table_answers_nothing),
        cmocka_unit_test(bad_names_and_ranges_are_refused),
        cmocka_unit_test(lines_are_found_up_to_the_end_of_their_sequence),
        cmocka_unit_test(an_end_of_a_section_holds_nothing_behind_it),
        cmocka_unit_test(two_hundred_thousand_symbols_are_compact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
