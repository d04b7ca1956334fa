/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of exceptions, against lists written down here from the manual once more. */
#include "tests/cmocka_tap.h"

#include <string.h>

#include "emu/exception.h"

static bool is_in(unsigned vector, const unsigned *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (list[i] == vector)
            return true;
    return false;
}
#define IN(vector, ...)                                                                                                \
    is_in(vector, (const unsigned[]){__VA_ARGS__}, sizeof((unsigned[]){__VA_ARGS__}) / sizeof(unsigned))

static void those_with_an_error_code_are_the_manuals(void **state)
{
    for (unsigned v = 0; v < 300; v++)
        assert_int_equal(exception_has_error_code(v), IN(v, 8, 10, 11, 12, 13, 14, 17, 21));
}

static void those_that_are_contributory_are_the_manuals(void **state)
{
    for (unsigned v = 0; v < 300; v++)
        assert_int_equal(exception_class(v), IN(v, 0, 10, 11, 12, 13, 21) ? EXCEPTION_CONTRIBUTORY
                                             : IN(v, 14, 20)              ? EXCEPTION_PAGE_FAULT
                                                                          : EXCEPTION_BENIGN);
}

static void a_kernel_may_raise_the_others_itself(void **state)
{
    for (unsigned v = 0; v < 300; v++)
        assert_int_equal(exception_is_fatal(v), IN(v, 0, 5, 6, 8, 10, 11, 12, 13, 17, 20, 21));
}

static void every_vector_has_a_name(void **state)
{
    for (unsigned v = 0; v < 22; v++) {
        bool is_reserved = IN(v, 9, 15);

        assert_int_equal(exception_name(v)[0], v == 2 ? 'N' : is_reserved ? 'v' : '#');
        assert_int_equal(exception_meaning(v) == NULL, is_reserved);
    }
    assert_string_equal(exception_name(14), "#PF");
    assert_string_equal(exception_name(22), "an interrupt");
    assert_string_equal(exception_name(UINT64_MAX), "an interrupt");
    assert_null(exception_meaning(32));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_with_an_error_code_are_the_manuals),
        cmocka_unit_test(those_that_are_contributory_are_the_manuals),
        cmocka_unit_test(a_kernel_may_raise_the_others_itself),
        cmocka_unit_test(every_vector_has_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
