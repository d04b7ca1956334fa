/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/cmocka_tap.h"

#include "models/xen/xen_symbols.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define START_GVA   UINT64_C(0xffff82d040000000)
#define FUNCTIONS   300u
#define ROOM        (1u << 16)
#define FIRST       0x200000u
#define INIT        0x600000u
#define MARKED      256u
#define TABLES_FROM 64u /* behind some pointers */

struct made {
    uint8_t *bytes;
    size_t size, names_at;
};

static void put(struct made *m, uint64_t value, unsigned bytes)
{
    memcpy(m->bytes + m->size, &value, bytes);
    m->size += bytes;
}

static void pad(struct made *m)
{
    while (m->size % 4)
        put(m, 0, 1);
}

static void token(unsigned i, char text[8])
{
    if (i > ' ' && i <= '~')
        snprintf(text, 8, "%c", (int)i);
    else
        snprintf(text, 8, i == 200 ? "func_" : "_%u", i);
}

static void name_of(unsigned i, char text[32])
{
    static const char *const first[] = {"T_stext", "ta.c#same", "tb.c#same", "tonly.c#alone"};
    static const char *const last[] = {"T_etext", "T_sinittext", "Tstart_it", "T_einittext"};

    if (i < 4)
        snprintf(text, 32, "%s", first[i]);
    else if (i >= FUNCTIONS - 4)
        snprintf(text, 32, "%s", last[i - (FUNCTIONS - 4)]);
    else
        snprintf(text, 32, "Tfunc_%u", i);
}

static uint32_t offset_of(unsigned i)
{
    return i < FUNCTIONS - 3 ? FIRST + i * 0x20 : INIT + (i - (FUNCTIONS - 3)) * 0x20;
}

/* As Xen's tools/symbols.c lays the tables out. */
static struct made make(uint64_t start_gva)
{
    struct made m = {.bytes = calloc(1, ROOM)};
    uint32_t markers[2] = {0}, at = 0;
    char text[32], part[8];

    assert_non_null(m.bytes);
    for (unsigned i = 0; i < TABLES_FROM / 8; i++)
        put(&m, start_gva + offset_of(i), 8);
    for (unsigned i = 0; i < FUNCTIONS; i++)
        put(&m, offset_of(i), 4);
    put(&m, FUNCTIONS, 4);
    m.names_at = m.size;
    for (unsigned i = 0; i < FUNCTIONS; i++) {
        size_t length_at = m.size;

        if (i % MARKED == 0)
            markers[i / MARKED] = (uint32_t)(m.size - m.names_at);
        name_of(i, text);
        put(&m, 0, 1);
        for (const char *c = text; *c; c++) {
            bool is_long = !strncmp(c, "func_", 5);

            put(&m, is_long ? 200 : (uint8_t)*c, 1);
            c += is_long ? 4 : 0;
        }
        m.bytes[length_at] = (uint8_t)(m.size - length_at - 1);
    }
    pad(&m);
    put(&m, markers[0], 4);
    put(&m, markers[1], 4);
    for (unsigned i = 0; i < 256; i++) {
        token(i, part);
        memcpy(m.bytes + m.size, part, strlen(part) + 1);
        m.size += strlen(part) + 1;
    }
    pad(&m);
    for (unsigned i = 0; i < 256; i++) {
        put(&m, at, 2);
        token(i, part);
        at += (uint32_t)strlen(part) + 1;
    }
    assert_true(m.size < ROOM);
    return m;
}

static enum emu_err read_made(const struct made *m, struct symbols *s, size_t *found, uint64_t *start_gva)
{
    struct image img = {.bytes = m->bytes, .size = m->size};
    struct diag d;

    return xen_symbols_read(&img, XEN_SYMBOLS_PREFIX, s, found, start_gva, &d);
}

static void functions_are_named_behind_the_prefix(void **state)
{
    static const uint64_t starts[] = {START_GVA, 0xffff82d080000000};

    for (unsigned i = 0; i < 2; i++) {
        struct made m = make(starts[i]);
        struct symbols *s = symbols_new();
        struct symbol found;
        struct diag d;
        size_t count = 0;
        uint64_t start_gva = 0;
        char text[64];

        assert_int_equal(read_made(&m, s, &count, &start_gva), EMU_OK);
        assert_int_equal(count, FUNCTIONS);
        assert_int_equal(start_gva, starts[i]);
        assert_int_equal(symbols_seal(s, &d), EMU_OK);
        assert_int_equal(symbols_find_name(s, "xen:func_7", &found), 1);
        assert_int_equal(found.start_gva, starts[i] + FIRST + 7 * 0x20);
        assert_int_equal(found.bytes, 0x20);
        assert_int_equal(symbols_find_name(s, "func_7", &found), 0);
        symbols_print(s, starts[i] + INIT + 0x24, text, sizeof(text));
        assert_string_equal(text, "xen:start_it+0x4/0x20");
        symbols_free(s);
        free(m.bytes);
    }
}

static void a_name_that_two_files_have_says_the_file(void **state)
{
    struct made m = make(START_GVA);
    struct symbols *s = symbols_new();
    struct symbol found;
    struct diag d;
    size_t count;
    uint64_t start_gva;
    char text[64];

    assert_int_equal(read_made(&m, s, &count, &start_gva), EMU_OK);
    assert_int_equal(symbols_seal(s, &d), EMU_OK);
    assert_int_equal(symbols_find_name(s, "xen:same", &found), 0);
    assert_int_equal(symbols_find_name(s, "xen:b.c:same", &found), 1);
    assert_int_equal(found.start_gva, START_GVA + FIRST + 0x40);
    assert_int_equal(symbols_find_name(s, "xen:only.c:alone", &found), 1);
    assert_int_equal(symbols_find_name(s, "xen:alone", &found), 1);
    symbols_print(s, found.start_gva + 1, text, sizeof(text));
    assert_string_equal(text, "xen:alone+0x1/0x20");
    symbols_free(s);
    free(m.bytes);
}

/* Between the text and that of the start is data. */
static void no_function_reaches_over_the_end_of_the_text(void **state)
{
    struct made m = make(START_GVA);
    struct symbols *s = symbols_new();
    struct symbol found;
    struct diag d;
    size_t count;
    uint64_t start_gva;

    assert_int_equal(read_made(&m, s, &count, &start_gva), EMU_OK);
    assert_int_equal(symbols_seal(s, &d), EMU_OK);
    assert_false(symbols_find_address(s, START_GVA + 0x400000, &found));
    assert_false(symbols_find_address(s, START_GVA + INIT + 0x1000, &found));
    assert_true(symbols_find_address(s, START_GVA + INIT + 0x21, &found));
    symbols_free(s);
    free(m.bytes);
}

static void what_is_damaged_is_refused_or_read_but_never_trusted(void **state)
{
    struct made m = make(START_GVA);
    unsigned refused = 0;

    for (size_t at = TABLES_FROM; at < m.size; at++) {
        struct symbols *s = symbols_new();
        struct diag d;
        size_t count;
        uint64_t start_gva;
        enum emu_err err;

        m.bytes[at] ^= 0xff;
        err = read_made(&m, s, &count, &start_gva);
        assert_true(err == EMU_OK || err == EMU_EINPUT);
        refused += err != EMU_OK;
        if (err == EMU_OK)
            assert_int_equal(symbols_seal(s, &d), EMU_OK);
        else
            assert_int_equal(symbols_count(s), 0);
        symbols_free(s);
        m.bytes[at] ^= 0xff;
    }
    assert_true(refused > m.size / 2);
    for (size_t size = 0; size < m.size; size += 7) {
        struct made cut = {.bytes = malloc(size ? size : 1), .size = size};
        struct symbols *s = symbols_new();
        size_t count;
        uint64_t start_gva;

        memcpy(cut.bytes, m.bytes, size);
        assert_int_equal(read_made(&cut, s, &count, &start_gva), EMU_EINPUT);
        symbols_free(s);
        free(cut.bytes);
    }
    free(m.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_are_named_behind_the_prefix),
        cmocka_unit_test(a_name_that_two_files_have_says_the_file),
        cmocka_unit_test(no_function_reaches_over_the_end_of_the_text),
        cmocka_unit_test(what_is_damaged_is_refused_or_read_but_never_trusted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
