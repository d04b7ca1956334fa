/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/base/count.h"
#include "tests/cmocka_tap.h"

#include <string.h>

#include "models/processor.h"

static void a_text_gives_a_processor_that_prints_as_the_shortest_text(void **state)
{
    static const struct {
        const char *text, *printed;
        bool x2apic, cpuid_faulting, invariant_tsc;
    } rows[] = {
        {"intel", "intel", true, true, false},
        {"intel,-x2apic", "intel,-x2apic", false, true, false},
        {"intel,+x2apic", "intel", true, true, false},
        {"intel,-x2apic,+x2apic", "intel", true, true, false},
        {"intel,+invariant-tsc,-cpuid-faulting", "intel,-cpuid-faulting,+invariant-tsc", true, false, true},
    };

    for (unsigned i = 0; i < COUNT(rows); i++) {
        char text[PROCESSOR_TEXT_BYTES];
        struct processor p;
        struct diag d;

        assert_int_equal(processor_parse(rows[i].text, &p, &d), EMU_OK);
        assert_int_equal(p.x2apic, rows[i].x2apic);
        assert_int_equal(p.cpuid_faulting, rows[i].cpuid_faulting);
        assert_int_equal(p.invariant_tsc, rows[i].invariant_tsc);
        assert_string_equal(processor_print(&p, text), rows[i].printed);
    }
}

static void what_is_no_processor_is_refused_with_what_is_known(void **state)
{
    static const char *const rows[] = {"",        "Intel",          "intelx",       "intel,",         "intel,x2apic",
                                       "intel,+", "intel,+x2apicx", "intel-x2apic", "intel,+x2apic,", ",-x2apic"};

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct processor p;
        struct diag d;

        assert_int_equal(processor_parse(rows[i], &p, &d), EMU_EINPUT);
        assert_non_null(strstr(d.text, "invariant-tsc, x2apic, like intel,-x2apic, not '"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_gives_a_processor_that_prints_as_the_shortest_text),
        cmocka_unit_test(what_is_no_processor_is_refused_with_what_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
