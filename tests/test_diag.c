/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/cmocka_tap.h"

#include "emu/base/diag.h"

#include <stdlib.h>
#include <string.h>

static void a_place_is_printed_before_the_sentence(void **state)
{
    struct diag d;
    char *text = NULL;
    size_t bytes = 0;
    FILE *f = open_memstream(&text, &bytes);

    diag_init(&d);
    assert_int_equal(diag_set_at(&d, EMU_EINPUT, "case.yaml", 7, "there is no vCPU %d", 9), EMU_EINPUT);
    diag_print(&d, "bootrace", f);
    fclose(f);
    assert_string_equal(text, "bootrace: case.yaml:7: there is no vCPU 9\n");
    free(text);
}

static void an_empty_file_name_is_seen(void **state)
{
    struct diag d;
    char *text = NULL;
    size_t bytes = 0;
    FILE *f = open_memstream(&text, &bytes);

    diag_init(&d);
    (void)diag_set_at(&d, EMU_EINPUT, "", 0, "can't be opened");
    diag_print(&d, "bootrace", f);
    fclose(f);
    assert_string_equal(text, "bootrace: '': can't be opened\n");
    free(text);
}

static void a_callers_place_does_not_replace_the_callees(void **state)
{
    struct diag d;

    diag_init(&d);
    (void)diag_set(&d, EMU_EHOST, "no memory");
    diag_add_place(&d, "a", 0);
    assert_string_equal(d.file, "a");
    diag_add_place(&d, "b", 3);
    assert_string_equal(d.file, "a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_place_is_printed_before_the_sentence),
        cmocka_unit_test(an_empty_file_name_is_seen),
        cmocka_unit_test(a_callers_place_does_not_replace_the_callees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
