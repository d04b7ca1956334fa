/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whole files: of every size around the limit, empty, missing, and no files at all. */
#include "tests/cmocka_tap.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "emu/base/count.h"
#include "emu/base/read_file.h"

#define BYTES_MAX 200000u

static void a_file_is_read_whole_up_to_its_largest_size(void **state)
{
    static const size_t sizes[] = {0, 1, 65535, 65536, 65537, BYTES_MAX, BYTES_MAX + 1};

    for (unsigned i = 0; i < COUNT(sizes); i++) {
        char path[] = "/tmp/bootrace-read-file-XXXXXX";
        uint8_t *written = malloc(BYTES_MAX + 1), *read = NULL;
        size_t bytes = 12345;
        struct diag d;
        int fd = mkstemp(path);
        enum emu_err err;

        assert_non_null(written);
        assert_true(fd >= 0);
        for (size_t k = 0; k < sizes[i]; k++)
            written[k] = (uint8_t)(k * 7 + k / 256);
        assert_int_equal(write(fd, written, sizes[i]), sizes[i]);
        close(fd);
        diag_init(&d);
        err = read_file(path, BYTES_MAX, "is too large for a test", &read, &bytes, &d);
        unlink(path);
        if (sizes[i] > BYTES_MAX) {
            assert_int_equal(err, EMU_EINPUT);
            assert_string_equal(d.text, "is too large for a test");
            assert_string_equal(d.file, path);
        } else {
            assert_int_equal(err, EMU_OK);
            assert_non_null(read);
            assert_int_equal(bytes, sizes[i]);
            assert_memory_equal(read, written, bytes);
            free(read);
        }
        free(written);
    }
}

static void what_is_no_file_is_refused_with_its_name(void **state)
{
    static const char *const rows[][2] = {
        {"/nonexistent/file", "can't be opened: No such file or directory"},
        {"/tmp", "can't be read: Is a directory"},
    };

    for (unsigned i = 0; i < COUNT(rows); i++) {
        uint8_t *read;
        size_t bytes;
        struct diag d;

        diag_init(&d);
        assert_int_equal(read_file(rows[i][0], BYTES_MAX, "", &read, &bytes, &d), EMU_EINPUT);
        assert_string_equal(d.file, rows[i][0]);
        assert_string_equal(d.text, rows[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_read_whole_up_to_its_largest_size),
        cmocka_unit_test(what_is_no_file_is_refused_with_its_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
