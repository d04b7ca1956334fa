/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/cmocka_tap.h"

#include <stdlib.h>
#include <string.h>

#include "emu/base/count.h"
#include "emu/schedule.h"

static void canonical_lines_come_back_as_they_were(void **state)
{
    static const char *const lines[] = {
        "at 0:0 mark",
        "at 0:48211 run 1",
        "at 0:48211 run 1 to 1:900",
        "then run 63 to 63:schedule+0x10#2~5",
        "at 0:alternative_instructions nmi 0",
        "at 0:alternative_instructions+0x1c expire",
        "at 3:memcpy_orig.part.0+0x1c#4294967295~18446744073709551615 expire 2",
        "at 0:1 vector 0 0x30",
        "at 0:1 ipi 1 0xff",
        "at 0:1 irq 0",
        "at 0:1 upcall 1",
        "at 0:1 event 131071",
        "at 0:1 late 10000000000",
        "at 0:1 pass 1",
        "then plug 2",
        "then unplug 2",
        "then check 0000000000000001",
    };

    for (size_t i = 0; i < COUNT(lines); i++) {
        char text[DECISION_TEXT_BYTES];
        struct decision d, again;
        struct diag diag;

        if (decision_parse(lines[i], &d, &diag) != EMU_OK)
            fail_msg("%s: %s", lines[i], diag.text);
        decision_print(&d, text, sizeof(text));
        assert_string_equal(text, lines[i]);
        assert_int_equal(decision_parse(text, &again, &diag), EMU_OK);
        assert_true(decision_equal(&d, &again));
    }
}

static void other_spellings_mean_the_same(void **state)
{
    static const char *const pairs[][2] = {
        {"  at 0:5   nmi  0  # a comment", "at 0:5 nmi 0"},
        {"at 0:f+0#1~0 mark", "at 0:f mark"},
        {"at 0:f+28#1 mark", "at 0:f+0x1c mark"},
        {"at 0:5 vector 0 48\r", "at 0:5 vector 0 0x30"},
    };

    for (size_t i = 0; i < COUNT(pairs); i++) {
        char text[DECISION_TEXT_BYTES];
        struct decision d;
        struct diag diag;

        assert_int_equal(decision_parse(pairs[i][0], &d, &diag), EMU_OK);
        decision_print(&d, text, sizeof(text));
        assert_string_equal(text, pairs[i][1]);
    }
}

static void what_is_wrong_is_said_in_a_sentence(void **state)
{
    static const char *const cases[][2] = {
        {"nmi 0", "a line begins with 'at POSITION'"},
        {"at", "a line begins with 'at POSITION'"},
        {"at 0:5", "what is decided there?"},
        {"then", "what is decided there?"},
        {"at 5 nmi 0", "a position is VCPU:STEPS"},
        {"at 0: nmi 0", "a position is VCPU:STEPS"},
        {"at 0:5x nmi 0", "a position is VCPU:STEPS"},
        {"at 0:f+ nmi 0", "a position is VCPU:STEPS"},
        {"at 0:f#0 nmi 0", "a position is VCPU:STEPS"},
        {"at 0:f#-1 nmi 0", "a position is VCPU:STEPS"},
        {"at 0:f~ nmi 0", "a position is VCPU:STEPS"},
        {"at 0:18446744073709551616 nmi 0", "a position is VCPU:STEPS"},
        {"at 64:5 nmi 0", "a vCPU is a number from 0 to 63, not 64"},
        {"at 0:5 nmi 64", "a vCPU is a number from 0 to 63, not '64'"},
        {"at 0:5 nmi", "nmi is followed by a vCPU"},
        {"at 0:5 nmi 0 1", "nmi is followed by a vCPU"},
        {"at 0:5 mark 1", "mark is followed by nothing"},
        {"at 0:5 choose 1", "'choose' is not a decision any more"},
        {"at 0:5 jump 1", "'jump' is not a decision; there are mark, run"},
        {"at 0:5 vector 0 0xf", "a vector is a number from 16 to 255, not '0xf'"},
        {"at 0:5 vector 0", "vector is followed by a vCPU and a vector"},
        {"at 0:5 irq 16", "an interrupt line is a number from 0 to 15"},
        {"at 0:5 late 0", "a time in ns is a number from 1"},
        {"at 0:5 check xyz", "a digest is a number"},
        {"at 0:5 run 1 to 0:7", "vCPU 1 can't run to a position of vCPU 0"},
        {"at 0:5 run 1 until 1:7", "run is followed by a vCPU, or by a vCPU, 'to' and a position"},
        {"at 0:5 run 1 to 1:7 8 9 10 11", "a decision has at most 8 words, this line has 10"},
        {"# nothing", "there is no decision"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct decision d;
        struct diag diag;

        diag_init(&diag);
        assert_int_equal(decision_parse(cases[i][0], &d, &diag), EMU_EINPUT);
        if (!strstr(diag.text, cases[i][1]))
            fail_msg("%s: expected '%s', got '%s'", cases[i][0], cases[i][1], diag.text);
    }
}

static void an_error_in_a_text_names_file_and_line(void **state)
{
    static const char text[] = "# two lines\nat 0:1 nmi 0\n\nat 0:2 nothing\n";
    struct schedule s;
    struct diag diag;

    diag_init(&diag);
    assert_int_equal(schedule_parse(text, strlen(text), "x.yaml", 10, &s, &diag), EMU_EINPUT);
    assert_string_equal(diag.file, "x.yaml");
    assert_int_equal(diag.line, 13);
    assert_int_equal(s.count, 0);
    schedule_fini(&s);
}

static void a_text_is_read_line_by_line_with_its_last_one_unended(void **state)
{
    static const char text[] = "at 0:1 nmi 0\n\n# c\n then mark\nat 0:9 plug 1";
    struct schedule s, copy;
    struct diag diag;
    char *printed;
    size_t bytes;
    FILE *f;

    assert_int_equal(schedule_parse(text, strlen(text), NULL, 1, &s, &diag), EMU_OK);
    assert_int_equal(s.count, 3);
    assert_int_equal(s.decision[2].line, 5);
    assert_int_equal(schedule_copy(&copy, &s, &diag), EMU_OK);
    f = open_memstream(&printed, &bytes);
    schedule_print(&copy, f);
    fclose(f);
    assert_string_equal(printed, "at 0:1 nmi 0\nthen mark\nat 0:9 plug 1\n");
    free(printed);
    schedule_fini(&copy);
    schedule_fini(&s);
}

static void a_nul_byte_or_an_endless_line_is_refused(void **state)
{
    char text[3000];
    struct schedule s;
    struct diag diag;

    memset(text, 'a', sizeof(text));
    diag_init(&diag);
    assert_int_equal(schedule_parse(text, sizeof(text), NULL, 1, &s, &diag), EMU_EINPUT);
    assert_non_null(strstr(diag.text, "at most"));
    diag_init(&diag);
    assert_int_equal(schedule_parse("at 0:1\0nmi 0", 12, NULL, 1, &s, &diag), EMU_EINPUT);
    assert_non_null(strstr(diag.text, "NUL"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(canonical_lines_come_back_as_they_were),
        cmocka_unit_test(other_spellings_mean_the_same),
        cmocka_unit_test(what_is_wrong_is_said_in_a_sentence),
        cmocka_unit_test(an_error_in_a_text_names_file_and_line),
        cmocka_unit_test(a_text_is_read_line_by_line_with_its_last_one_unended),
        cmocka_unit_test(a_nul_byte_or_an_endless_line_is_refused),
    };

    return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
