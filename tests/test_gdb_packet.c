/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/debugger/gdb_packet.h"

#include <stdlib.h>
#include <string.h>

#include "cli/debugger/gdb_registers.h"
#include "emu/base/count.h"
#include "tests/cmocka_tap.h"

/* What the reader says of each byte, the last that is not NONE; `data` is the packet then. */
static enum gdb_input feed(struct gdb_reader *r, const char *bytes, size_t count)
{
    enum gdb_input last = GDB_INPUT_NONE;

    for (size_t i = 0; i < count; i++) {
        enum gdb_input input = gdb_reader_feed(r, (uint8_t)bytes[i]);

        if (input != GDB_INPUT_NONE)
            last = input;
    }
    return last;
}

static void bytes_become_packets(void **state)
{
    static const struct {
        const char *bytes;
        enum gdb_input input;
        const char *data;
    } rows[] = {
        {"$#00", GDB_INPUT_PACKET, ""},
        {"$OK#9a", GDB_INPUT_PACKET, "OK"},
        {"$OK#9A", GDB_INPUT_PACKET, "OK"},
        {"+$OK#9a", GDB_INPUT_PACKET, "OK"},
        {"noise$OK#9a", GDB_INPUT_PACKET, "OK"},
        {"$lost$OK#9a", GDB_INPUT_PACKET, "OK"},
        {"$lost#$OK#9a", GDB_INPUT_PACKET, "OK"},
        {"$lost#1$OK#9a", GDB_INPUT_PACKET, "OK"},
        {"$a}\x03#01", GDB_INPUT_DAMAGED, ""},
        {"$}\x03}\x04}]#db", GDB_INPUT_PACKET, "#$}"},
        {"$OK#9b", GDB_INPUT_DAMAGED, ""},
        {"$OK#zz", GDB_INPUT_DAMAGED, ""},
        {"$OK#9z", GDB_INPUT_DAMAGED, ""},
        {"$OK}#17", GDB_INPUT_DAMAGED, ""},
        {"\x03", GDB_INPUT_INTERRUPT, ""},
        {"-", GDB_INPUT_RESEND, ""},
        {"+", GDB_INPUT_NONE, ""},
        {"$OK#9", GDB_INPUT_NONE, "OK"},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct gdb_reader *r = calloc(1, sizeof(*r));

        assert_non_null(r);
        assert_int_equal(feed(r, rows[i].bytes, strlen(rows[i].bytes)), rows[i].input);
        assert_string_equal(r->data, rows[i].data);
        assert_int_equal(r->length, strlen(rows[i].data));
        free(r);
    }
}

static void an_interrupt_inside_a_packet_is_data(void **state)
{
    struct gdb_reader *r = calloc(1, sizeof(*r));

    assert_non_null(r);
    assert_int_equal(feed(r, "$\x03#03", 5), GDB_INPUT_PACKET);
    assert_string_equal(r->data, "\x03");
    free(r);
}

static void the_longest_packet_is_taken_and_a_longer_one_is_not(void **state)
{
    struct gdb_reader *r = calloc(1, sizeof(*r));
    struct gdb_writer *w = calloc(1, sizeof(*w));
    char *frame = malloc(GDB_FRAME_BYTES_MAX);
    size_t bytes;

    assert_true(r && w && frame);
    memset(w->data, 'x', sizeof(w->data));
    w->length = sizeof(w->data);
    bytes = gdb_frame(w, frame);
    assert_int_equal(feed(r, frame, bytes), GDB_INPUT_PACKET);
    assert_int_equal(r->length, GDB_PACKET_BYTES_MAX);

    feed(r, "$", 1);
    for (size_t i = 0; i < 3 * GDB_PACKET_BYTES_MAX; i++)
        assert_int_equal(gdb_reader_feed(r, 'x'), GDB_INPUT_NONE);
    assert_int_equal(feed(r, "#00", 3), GDB_INPUT_DAMAGED);
    assert_int_equal(feed(r, "$OK#9a", 6), GDB_INPUT_PACKET);
    free(r);
    free(w);
    free(frame);
}

static void what_is_framed_is_read_again(void **state)
{
    struct gdb_reader *r = calloc(1, sizeof(*r));
    struct gdb_writer *w = calloc(1, sizeof(*w));
    char *frame = malloc(GDB_FRAME_BYTES_MAX);
    uint8_t all[256];

    assert_true(r && w && frame);
    for (unsigned i = 0; i < sizeof(all); i++)
        all[i] = (uint8_t)i;
    gdb_write_nothing(w);
    assert_int_equal(gdb_write_binary(w, all, sizeof(all)), sizeof(all));
    assert_int_equal(w->length, sizeof(all) + 4);
    assert_int_equal(feed(r, frame, gdb_frame(w, frame)), GDB_INPUT_PACKET);
    assert_int_equal(r->length, sizeof(all));
    assert_memory_equal(r->data, all, sizeof(all));
    free(r);
    free(w);
    free(frame);
}

static void a_full_packet_takes_no_more(void **state)
{
    struct gdb_writer *w = calloc(1, sizeof(*w));
    uint8_t bytes[64] = {0};

    assert_non_null(w);
    while (!w->full)
        gdb_write_bytes(w, bytes, sizeof(bytes));
    assert_int_equal(w->length, GDB_PACKET_BYTES_MAX);
    gdb_write_text(w, "more");
    assert_int_equal(w->length, GDB_PACKET_BYTES_MAX);
    assert_int_equal(gdb_write_binary(w, bytes, sizeof(bytes)), 0);
    gdb_write_nothing(w);
    w->length = GDB_PACKET_BYTES_MAX - 1;
    assert_int_equal(gdb_write_binary(w, "}", 1), 0); /* half of an escape is none */
    assert_true(w->full);
    free(w);
}

static struct gdb_cursor cursor(const char *text)
{
    return (struct gdb_cursor){text, text + strlen(text)};
}

static void numbers_have_one_to_sixteen_digits(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        uint64_t number;
        size_t left;
    } rows[] = {
        {"0", true, 0, 0},
        {"ffffffff81000000,4", true, 0xffffffff81000000, 2},
        {"FFFFFFFFFFFFFFFF", true, UINT64_MAX, 0},
        {"10000000000000000", false, 0, 17},
        {"00000000000000000001", true, 1, 0},
        {"", false, 0, 0},
        {",4", false, 0, 2},
        {"-1", false, 0, 2},
        {"1g", true, 1, 1},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct gdb_cursor c = cursor(rows[i].text);
        uint64_t number = 0;

        assert_int_equal(gdb_read_number(&c, &number), rows[i].ok);
        assert_int_equal(number, rows[i].number);
        assert_int_equal(gdb_left(&c), rows[i].left);
    }
}

static void bytes_are_pairs_of_digits_all_or_none(void **state)
{
    struct gdb_cursor c = cursor("00fF7g");
    uint8_t bytes[3] = {9, 9, 9};

    assert_false(gdb_read_bytes(&c, bytes, 3));
    assert_false(gdb_read_bytes(&c, bytes, 4));
    assert_int_equal(bytes[0], 9);
    assert_int_equal(gdb_left(&c), 6);
    assert_true(gdb_read_bytes(&c, bytes, 2));
    assert_int_equal(bytes[0], 0);
    assert_int_equal(bytes[1], 0xff);
    assert_int_equal(gdb_left(&c), 2);
    assert_true(gdb_read_text(&c, "7g"));
    assert_false(gdb_read_text(&c, "x"));
    assert_true(gdb_read_text(&c, ""));
}

#define EFLAGS(bits) ((bits) == 64 ? 17u : 9u)

static void registers_are_what_the_description_says(void **state)
{
    for (unsigned bits = 32; bits <= 64; bits += 32) {
        char *text = gdb_registers_description(bits), *at = text;
        size_t sum = 0;

        assert_non_null(text);
        for (unsigned i = 0; i < gdb_registers_count(bits); i++) {
            char size[32];

            at = strstr(at, "<reg ");
            assert_non_null(at);
            snprintf(size, sizeof(size), "bitsize=\"%zu\"", gdb_register_bytes(bits, i) * 8);
            assert_memory_equal(strstr(at, "bitsize"), size, strlen(size));
            sum += gdb_register_bytes(bits, i);
            at++;
        }
        assert_null(strstr(at, "<reg "));
        assert_true(sum <= GDB_REGISTERS_BYTES_MAX);
        assert_true(2 * sum <= GDB_PACKET_BYTES_MAX);
        free(text);
    }
}

static void a_register_that_is_set_is_got(void **state)
{
    for (unsigned bits = 32; bits <= 64; bits += 32) {
        for (unsigned i = 0; i < gdb_registers_count(bits); i++) {
            uint8_t bytes[GDB_REGISTER_BYTES_MAX], got[GDB_REGISTER_BYTES_MAX];
            struct vcpu_regs before, r;
            size_t n = gdb_register_bytes(bits, i);

            memset(&r, 0xa5, sizeof(r));
            before = r;
            memset(bytes, 0x3c, sizeof(bytes));
            if (!gdb_register_set(bits, i, &r, bytes)) {
                assert_memory_equal(&r, &before, sizeof(r));
                continue;
            }
            if (i == EFLAGS(bits))
                continue;
            gdb_register_get(bits, i, &r, got);
            assert_int_equal(got[0], 0x3c);
            assert_int_equal(got[1], 0x3c);
            if (n >= 8)
                assert_memory_equal(got, bytes, n);
        }
    }
}

static void flags_that_no_user_sets_stay(void **state)
{
    for (unsigned bits = 32; bits <= 64; bits += 32) {
        uint8_t all[GDB_REGISTER_BYTES_MAX] = {0xff, 0xff, 0xff, 0xff}, none[GDB_REGISTER_BYTES_MAX] = {0};
        struct vcpu_regs r = {.rflags = RFLAGS_FIXED};

        assert_int_equal(gdb_register_bytes(bits, EFLAGS(bits)), 4);
        assert_true(gdb_register_set(bits, EFLAGS(bits), &r, all));
        assert_int_equal(r.rflags, 0x257fd7);
        r.rflags |= RFLAGS_VM;
        assert_true(gdb_register_set(bits, EFLAGS(bits), &r, none));
        assert_int_equal(r.rflags, RFLAGS_FIXED | RFLAGS_VM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_become_packets),
        cmocka_unit_test(an_interrupt_inside_a_packet_is_data),
        cmocka_unit_test(the_longest_packet_is_taken_and_a_longer_one_is_not),
        cmocka_unit_test(what_is_framed_is_read_again),
        cmocka_unit_test(a_full_packet_takes_no_more),
        cmocka_unit_test(numbers_have_one_to_sixteen_digits),
        cmocka_unit_test(bytes_are_pairs_of_digits_all_or_none),
        cmocka_unit_test(registers_are_what_the_description_says),
        cmocka_unit_test(a_register_that_is_set_is_got),
        cmocka_unit_test(flags_that_no_user_sets_stay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
