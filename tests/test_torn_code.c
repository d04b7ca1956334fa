/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which states of a site that is being changed are torn, write by write. */
#include "tests/toy_machine.h"

#include "emu/base/count.h"
#include "emu/image/symbols.h"
#include "fuzz/search/torn_code.h"
#include "fuzz/search/window.h"

#define SITE       (CODE + 0x900)
#define WRITES_MAX 8u

/* clang-format off */
static const struct row {
    const char *name;
    unsigned bytes;         /* of the site */
    uint8_t old[16];
    struct write {
        unsigned at;
        uint8_t byte;
    } write[WRITES_MAX];    /* one byte and one step each, in this order */
    unsigned writes;
    unsigned executed;      /* bytes of the block that begins at the site */
    const char *states;     /* after 0, 1, 2, … writes: '.' no change is under way, 'o' one is and nothing is torn,
                               a digit: torn, at that offset of the site */
} rows[] = {
    {"mb(): lock addl becomes mfence and a NOP", 5, {0xf0, 0x83, 0x04, 0x24, 0x00},
        {{0, 0x0f}, {1, 0xae}, {2, 0xf0}, {3, 0x89}, {4, 0xf6}}, 5, 5, ".0033."},
    {"the same from its end; a prefix that fits nothing is looked at alone", 5, {0xf0, 0x83, 0x04, 0x24, 0x00},
        {{4, 0xf6}, {3, 0x89}, {2, 0xf0}, {1, 0xae}, {0, 0x0f}}, 5, 5, ".0011."},
    {"what lies behind a jump is not executed", 5, {0xf0, 0x83, 0x04, 0x24, 0x00},
        {{0, 0x0f}, {1, 0xae}, {2, 0xf0}, {3, 0x89}, {4, 0xf6}}, 5, 3, ".00oo."},
    {"a LOCK prefix becomes a NOP in one write", 3, {0xf0, 0xfe, 0x08}, {{0, 0x90}}, 1, 3, ".."},
    {"a byte that is written as it is", 2, {0x90, 0x90}, {{0, 0x90}, {1, 0x90}}, 2, 2, ".o."},
    {"whole instructions of two versions are not told apart", 2, {0x40, 0x40}, {{0, 0x41}, {1, 0x41}}, 2, 2, ".o."},
    {"a prefix first makes the NOP whole", 2, {0x90, 0x90}, {{0, 0x66}, {1, 0x90}}, 2, 2, ".o."},
    {"spin_lock: lock decb becomes decb", 14,
        {0xf0, 0xfe, 0x08, 0x79, 0x09, 0xf3, 0x90, 0x80, 0x38, 0x00, 0x7e, 0xf9, 0xeb, 0xf2},
        {{0, 0xfe}, {1, 0x08}, {2, 0x90}, {3, 0x8d}}, 4, 14, ".12o."},
    {"INT3 first, the tail, the first byte: nobody gets behind the INT3", 5, {0xe8, 0x11, 0x22, 0x33, 0x44},
        {{0, 0xcc}, {1, 0x1f}, {2, 0x44}, {3, 0x00}, {4, 0x00}, {0, 0x0f}}, 6, 1, ".oooo.."},
    {"a jump over INT3, written from its end: NOPs lead into them", 6, {0x90, 0x90, 0x90, 0x90, 0x90, 0x90},
        {{5, 0xcc}, {4, 0xcc}, {3, 0xcc}, {2, 0xcc}, {1, 0x04}, {0, 0xeb}}, 6, 6, ".54321."},
    {"and from its begin: the jump leads over them", 6, {0x90, 0x90, 0x90, 0x90, 0x90, 0x90},
        {{0, 0xeb}, {1, 0x04}, {2, 0xcc}, {3, 0xcc}, {4, 0xcc}, {5, 0xcc}}, 6, 2, ".0oooo."},
    {"with a gap that the next write fills, it is one change", 6, {0x90, 0x90, 0x90, 0x90, 0x90, 0x90},
        {{5, 0xcc}, {4, 0xcc}, {3, 0xcc}, {2, 0xcc}, {0, 0xeb}, {1, 0x04}}, 6, 6, ".54320."},
    {"without the INT3", 5, {0xe8, 0x11, 0x22, 0x33, 0x44},
        {{1, 0x1f}, {2, 0x44}, {3, 0x00}, {4, 0x00}, {0, 0x0f}}, 5, 5, ".0000."},
    {"a byte that changes once more begins another change", 3, {0x90, 0x90, 0x90},
        {{0, 0x66}, {1, 0x90}, {0, 0x8d}, {1, 0x76}, {2, 0x00}}, 5, 3, ".o.00."},
};
/* clang-format on */

static struct machine *new_patcher(const struct row *row, struct symbols **symbols)
{
    uint8_t code[7 * WRITES_MAX + 2] = {0};
    struct machine *m;
    struct diag d;

    for (unsigned i = 0; i < row->writes; i++) { /* mov byte [SITE + at], byte */
        uint32_t to = SITE + row->write[i].at;

        code[7 * i] = 0xc6;
        code[7 * i + 1] = 0x05;
        memcpy(&code[7 * i + 2], &to, 4);
        code[7 * i + 6] = row->write[i].byte;
    }
    code[7 * row->writes] = 0x90;
    m = new_machine_with(code, sizeof(code));
    put(m, SITE, row->old, row->bytes);
    if (!symbols)
        return m;
    *symbols = symbols_new();
    assert_int_equal(symbols_add(*symbols, SITE, row->bytes, 'T', "site", &d), EMU_OK);
    assert_int_equal(symbols_seal(*symbols, &d), EMU_OK);
    return m;
}

static char state_of(const struct window *w, struct machine *m, const struct row *row, uint64_t position,
                     struct torn_code_finding *finding)
{
    struct torn_code *t;
    struct diag d;
    char state = '.';

    assert_int_equal(torn_code_new(w, &t, &d), EMU_OK);
    if (torn_code_begin(t, position))
        state = torn_code_check(t, m, SITE, SITE, row->executed, finding) ? (char)('0' + (finding->gva - SITE)) : 'o';
    torn_code_free(t);
    return state;
}

static void each_state_of_a_site_is_judged_by_its_bytes(void **state)
{
    for (unsigned i = 0; i < COUNT(rows); i++) {
        const struct row *row = &rows[i];
        struct window_options o = {.steps_max = row->writes + 1};
        struct symbols *symbols;
        struct machine *m = new_patcher(row, &symbols), *again = new_patcher(row, NULL);
        struct window *w;
        struct diag d;

        o.symbols = symbols;
        assert_int_equal(window_record(m, &o, &w, &d), EMU_OK);
        for (unsigned n = 0; n <= row->writes; n++) {
            struct torn_code_finding finding = {0};
            char seen;

            if (n)
                run_to(again, n);
            seen = state_of(w, again, row, n, &finding);
            if (seen != row->states[n])
                fail_msg("%s: after %u writes it is '%c', not '%c'", row->name, n, seen, row->states[n]);
            if (seen != '.' && seen != 'o')
                assert_int_equal(finding.site_gva, SITE);
        }
        window_free(w);
        symbols_free(symbols);
        machine_free(again);
        machine_free(m);
    }
}

static void a_finding_shows_the_old_the_present_and_the_new_bytes(void **state)
{
    struct torn_code_finding f = {
        .bytes = 3, .before = {0xf0, 0x83, 4}, .present = {0x0f, 0x83, 4}, .after = {0x0f, 0xae, 0xf0}};
    char text[200], small[20];

    torn_code_print(&f, text, sizeof(text));
    assert_string_equal(text, "f0 83 04 (old), 0f 83 04 (now), 0f ae f0 (new)");
    torn_code_print(&f, small, sizeof(small));
    assert_string_equal(small, "f0 83 04 (old), 0f ");
}

static void so_many_bytes_are_written_as_are_new_and_not_old(void **state)
{
    struct window_options o = {.steps_max = rows[0].writes + 1};
    struct torn_code_finding finding;
    struct symbols *symbols;
    struct machine *m = new_patcher(&rows[0], &symbols);
    struct window *w;
    struct diag d;

    o.symbols = symbols;
    assert_int_equal(window_record(m, &o, &w, &d), EMU_OK);
    machine_free(m);
    m = new_patcher(&rows[0], NULL);
    for (unsigned n = 1; n < 5; n++) {
        run_to(m, n);
        assert_int_not_equal(state_of(w, m, &rows[0], n, &finding), 'o');
        assert_int_equal(finding.written, n);
        assert_int_equal(finding.patcher_gva, CODE);
        assert_memory_equal(finding.before, rows[0].old, 5);
        assert_memory_equal(finding.after, "\x0f\xae\xf0\x89\xf6", 5);
    }
    window_free(w);
    symbols_free(symbols);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_state_of_a_site_is_judged_by_its_bytes),
        cmocka_unit_test(a_finding_shows_the_old_the_present_and_the_new_bytes),
        cmocka_unit_test(so_many_bytes_are_written_as_are_new_and_not_old),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
