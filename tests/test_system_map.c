/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/cmocka_tap.h"

#include "emu/base/count.h"
#include "models/linux/system_map.h"

#include <string.h>

static void lines_become_symbols_and_per_cpu_ones_stay(void **state)
{
    static const char text[] = "0000000000001000 A cpu_offset\nffffffff81000000 T _text\r\n"
                               "ffffffff81000040 t local.cold\nFFFFFFFF82000000 D data";
    struct diag d;
    struct symbol found;
    struct symbols *s = symbols_new();
    assert_int_equal(system_map_parse(text, sizeof(text) - 1, "map", s, &d), EMU_OK);
    assert_int_equal(symbols_seal(s, &d), EMU_OK);
    symbols_set_slide(s, 0x1000000);
    assert_int_equal(symbols_count(s), 4);
    assert_int_equal(symbols_find_name(s, "local.cold", &found), 1);
    assert_int_equal(found.start_gva, 0xffffffff82000040);
    assert_int_equal(found.kind, 't');
    assert_int_equal(symbols_find_name(s, "cpu_offset", &found), 1);
    assert_int_equal(found.start_gva, 0x1000);
    assert_int_equal(symbols_find_name(s, "data", &found), 1);
    assert_int_equal(symbols_find_name(s, "_text", &found), 1);
    symbols_free(s);
}

static const struct {
    const char *text;
    unsigned line;
    const char *says;
} bad_rows[] = {
    {"", 0, "empty"},
    {"1000 T a\n\n", 2, "begins with an address"},
    {"1000 T a\nxyz T b\n", 2, "begins with an address"},
    {"00000000000001000 T a\n", 1, "begins with an address"},
    {"1000\n", 1, "an address, a letter and a name"},
    {"1000 T\n", 1, "an address, a letter and a name"},
    {"1000 T \n", 1, "an address, a letter and a name"},
    {"1000 Ta\n", 1, "an address, a letter and a name"},
    {"1000 5 a\n", 1, "an address, a letter and a name"},
    {"1000 T a\n1000 T a b\n", 2, "blank or control"},
    {"1000 T a\001b\n", 1, "blank or control"},
    {"ffffffffffffffff B The real System.map is in the linux-image-<version>-dbg package\n", 1, "placeholder"},
};

static void a_bad_line_is_told_by_file_and_number(void **state)
{
    for (size_t i = 0; i < COUNT(bad_rows); i++) {
        struct diag d;
        struct symbols *s = symbols_new();
        diag_init(&d);
        assert_int_equal(system_map_parse(bad_rows[i].text, strlen(bad_rows[i].text), "map", s, &d), EMU_EINPUT);
        assert_string_equal(d.file, "map");
        assert_int_equal(d.line, bad_rows[i].line);
        if (!strstr(d.text, bad_rows[i].says))
            fail_msg("row %zu says: %s", i, d.text);
        symbols_free(s);
    }
}

static void a_missing_file_is_one_sentence(void **state)
{
    struct diag d;
    struct symbols *s = symbols_new();
    diag_init(&d);
    assert_int_equal(system_map_read("/nonexistent/System.map", s, &d), EMU_EINPUT);
    assert_string_equal(d.file, "/nonexistent/System.map");
    symbols_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_become_symbols_and_per_cpu_ones_stay),
        cmocka_unit_test(a_bad_line_is_told_by_file_and_number),
        cmocka_unit_test(a_missing_file_is_one_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
