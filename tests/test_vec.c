/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Room that grows, and what happens where it can't. */
#include "tests/cmocka_tap.h"

#include <stdint.h>
#include <stdlib.h>

#include "emu/base/count.h"
#include "emu/base/vec.h"

static void room_begins_as_asked_and_doubles(void **state)
{
    static const struct {
        size_t needed, room;
    } rows[] = {{0, 0}, {1, 3}, {3, 3}, {4, 6}, {30, 48}, {2, 48}};
    uint64_t *array = NULL;
    size_t room = 0;

    for (unsigned i = 0; i < COUNT(rows); i++) {
        size_t before = room;

        assert_true(vec_reserve(&array, &room, rows[i].needed, 3, sizeof(*array)));
        assert_int_equal(room, rows[i].room);
        for (size_t k = 0; k < before; k++)
            assert_int_equal(array[k], k);
        for (size_t k = before; k < room; k++)
            array[k] = k;
    }
    free(array);
}

static void a_size_that_overflows_changes_nothing(void **state)
{
    uint64_t *array = NULL;
    size_t room = 0;

    assert_true(vec_reserve(&array, &room, 1, 1, sizeof(*array)));
    array[0] = 7;
    assert_false(vec_reserve(&array, &room, SIZE_MAX, 1, sizeof(*array)));         /* no room doubles to it */
    assert_false(vec_reserve(&array, &room, SIZE_MAX / 4 + 1, 1, sizeof(*array))); /* elements times bytes */
    assert_int_equal(room, 1);
    assert_int_equal(array[0], 7);
    free(array);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(room_begins_as_asked_and_doubles),
        cmocka_unit_test(a_size_that_overflows_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
