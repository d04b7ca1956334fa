/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is text, what is not, and that JSON keeps both. */
#include "tests/cmocka_tap.h"

#include <string.h>

#include "cli/run/json_text.h"
#include "cli/run/utf8.h"
#include "emu/base/count.h"

static const struct {
    const char *text;
    size_t first; /* bytes of the first character */
    bool valid;
    const char *json; /* as JSON has it */
} rows[] = {
    {"", 0, true, ""},
    {"abc", 1, true, "abc"},
    {"\xc3\xa9t\xc3\xa9", 2, true, "\xc3\xa9t\xc3\xa9"},
    {"\xe2\x82\xac", 3, true, "\xe2\x82\xac"},
    {"\xf0\x9f\x98\x80", 4, true, "\xf0\x9f\x98\x80"},
    {"\xf4\x8f\xbf\xbf", 4, true, "\xf4\x8f\xbf\xbf"},
    {"caf\xe9", 1, false, "caf\\xe9"},
    {"\xe9t\xc3\xa9", 0, false, "\\xe9t\xc3\xa9"},
    {"\x80", 0, false, "\\x80"},
    {"\xc0\xaf", 0, false, "\\xc0\\xaf"},                   /* not the shortest */
    {"\xe0\x9f\xbf", 0, false, "\\xe0\\x9f\\xbf"},          /* the same */
    {"\xf0\x8f\xbf\xbf", 0, false, "\\xf0\\x8f\\xbf\\xbf"}, /* the same */
    {"\xed\xa0\x80", 0, false, "\\xed\\xa0\\x80"},          /* half of a surrogate pair */
    {"\xf4\x90\x80\x80", 0, false, "\\xf4\\x90\\x80\\x80"}, /* beyond the last character */
    {"\xff", 0, false, "\\xff"},
    {"a\xe2\x82", 1, false, "a\\xe2\\x82"}, /* ends too early */
};

static void what_is_text_is_told_from_what_is_not(void **state)
{
    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct diag d = {.text = ""};

        if (utf8_character(rows[i].text) != rows[i].first || utf8_is_valid(rows[i].text) != rows[i].valid)
            fail_msg("row %u", i);
        assert_int_equal(utf8_check("it", rows[i].text, &d), rows[i].valid ? EMU_OK : EMU_EINPUT);
        if (!rows[i].valid && (!strstr(d.text, "it is not UTF-8 text") || !utf8_is_valid(d.text)))
            fail_msg("row %u: %s", i, d.text);
    }
}

static void json_loses_no_text(void **state)
{
    for (unsigned i = 0; i < COUNT(rows); i++) {
        json_t *o = json_pack("{s:o}", "key", json_text(rows[i].text));

        assert_string_equal(json_string_value(json_object_get(o, "key")), rows[i].json);
        json_decref(o);
    }
    assert_null(json_text(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_text_is_told_from_what_is_not),
        cmocka_unit_test(json_loses_no_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
