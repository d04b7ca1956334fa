/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/base/count.h"
#include "tests/cmocka_tap.h"
#include "tests/played_machine.h"

#include "models/pc/ports.h"

static const struct model *const models[] = {&ports_model};

static void the_debug_port_takes_single_bytes_and_reads_as_nothing(void **state)
{
    struct machine *m = played_machine_new(1, models, 1);
    uint32_t value = 0;

    assert_int_equal(played_port_write(m, PORT_DEBUG, 1, 'o'), MODEL_DONE);
    assert_int_equal(played_port_write(m, PORT_DEBUG, 1, 0xffffff00 | 'k'), MODEL_DONE);
    assert_int_equal(played_port_write(m, PORT_DEBUG, 2, 0x4141), MODEL_DONE);
    assert_string_equal(played_console(m), "ok");
    assert_int_equal(played_port_read(m, PORT_DEBUG, 1, &value), MODEL_DONE);
    assert_int_equal(value, 0xff);
    machine_free(m);
}

static void absent_hardware_reads_all_ones_and_loses_writes(void **state)
{
    static const struct {
        uint16_t port;
        unsigned bytes;
        enum model_answer answer;
        uint32_t value;
    } rows[] = {
        {0x0000, 1, MODEL_DONE, 0xff},       {0x0020, 1, MODEL_DONE, 0xff},       {0x0043, 1, MODEL_DONE, 0xff},
        {0x0064, 1, MODEL_DONE, 0xff},       {0x0071, 1, MODEL_DONE, 0xff},       {0x0080, 1, MODEL_DONE, 0xff},
        {0x03fd, 1, MODEL_DONE, 0xff},       {0x03d4, 2, MODEL_DONE, 0xffff},     {0x0cf8, 4, MODEL_DONE, 0xffffffff},
        {0x0cff, 4, MODEL_DONE, 0xffffffff}, {0xb008, 4, MODEL_DONE, 0xffffffff}, {0x0022, 1, MODEL_NOT_MINE, 0},
        {0x1234, 4, MODEL_NOT_MINE, 0},      {0xffff, 4, MODEL_NOT_MINE, 0},
    };
    struct machine *m = played_machine_new(1, models, 1);

    for (unsigned i = 0; i < COUNT(rows); i++) {
        uint32_t value = 0;

        assert_int_equal(played_port_read(m, rows[i].port, rows[i].bytes, &value), rows[i].answer);
        assert_int_equal(value, rows[i].value);
        assert_int_equal(played_port_write(m, rows[i].port, rows[i].bytes, 0x5a), rows[i].answer);
    }
    assert_string_equal(played_console(m), "");
    machine_free(m);
}

static void absent_windows_end_where_they_end(void **state)
{
    static const struct {
        uint64_t gpa;
        unsigned bytes;
        enum model_answer answer;
        uint64_t value;
    } rows[] = {
        {0xfec00000, 4, MODEL_DONE, 0xffffffff}, {0xfed000f0, 8, MODEL_DONE, UINT64_MAX},
        {0xfec00fff, 1, MODEL_DONE, 0xff},       {0xfec00fff, 2, MODEL_NOT_MINE, 0},
        {0xfebfffff, 4, MODEL_NOT_MINE, 0},      {UINT64_MAX, 8, MODEL_NOT_MINE, 0},
    };
    struct machine *m = played_machine_new(1, models, 1);

    for (unsigned i = 0; i < COUNT(rows); i++) {
        uint64_t value = 0;

        assert_int_equal(played_mmio_read(m, rows[i].gpa, rows[i].bytes, &value), rows[i].answer);
        assert_int_equal(value, rows[i].value);
        assert_int_equal(played_mmio_write(m, rows[i].gpa, rows[i].bytes, 0), rows[i].answer);
    }
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_debug_port_takes_single_bytes_and_reads_as_nothing),
        cmocka_unit_test(absent_hardware_reads_all_ones_and_loses_writes),
        cmocka_unit_test(absent_windows_end_where_they_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
