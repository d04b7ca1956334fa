/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The record of a window, of small code whose every step is known. */
#include "tests/toy_machine.h"

#include "emu/base/count.h"
#include "emu/image/symbols.h"
#include "fuzz/search/footprint.h"
#include "fuzz/search/window.h"

#define X (DATA + 0x500)

static struct window *record(struct machine *m, uint64_t steps, const struct symbols *symbols)
{
    struct window_options o = {.steps_max = steps, .symbols = symbols};
    struct window *w;
    struct diag d;

    if (window_record(m, &o, &w, &d) != EMU_OK)
        fail_msg("%s", d.text);
    assert_int_equal(window_first(w), 0);
    assert_int_equal(window_last(w), steps);
    return w;
}

/* clang-format off */
static const struct {
    const char *name;
    uint8_t code[24];
    const char *maskable, *nmi; /* a letter a boundary: + it would be taken there, - it would not */
} openings[] = {
    {"interrupts are off, NMIs never", {0x90, 0x90, 0x90}, "---", "+++"},
    {"STI opens behind the instruction that follows it", {0xfb, 0x90, 0x90, 0x90}, "--++", "+-++"},
    {"CLI closes, in the middle of a block too", {0xfb, 0x90, 0x90, 0xfa, 0x90}, "--++-", "+-+++"},
    {"a CLI behind STI lets nothing through", {0xfb, 0xfa, 0x90}, "---", "+-+"},
    {"POPF opens at once", {0x68, 0x02, 0x02, 0x00, 0x00, 0x9d, 0x90, 0x90}, "--++", "++++"},
    {"MOV SS shuts out both for one instruction", {0xfb, 0x90, 0x8c, 0xd0, 0x8e, 0xd0, 0x90, 0x90}, "--++-+", "+-++-+"},
    {"a device access in the middle changes nothing", {0xfb, 0x90, 0xe6, 0x14, 0x90, 0x90}, "--+++", "+-+++"},
    {"nor does a repeated string instruction", {0xfb, 0x90, 0xb9, 3, 0, 0, 0, 0xbf, 0x00, 0x05, 0x03, 0x00, 0xf3, 0xaa, 0x90},
        "--++++++", "+-++++++"},
};
/* clang-format on */

static void boundaries_are_open_where_an_interrupt_would_be_taken(void **state)
{
    for (unsigned i = 0; i < COUNT(openings); i++) {
        struct machine *m = new_machine_with(openings[i].code, sizeof(openings[i].code));
        size_t steps = strlen(openings[i].maskable);
        struct window *w = record(m, steps, NULL);
        const struct window_report *r = window_report(w);

        assert_int_equal(r->open + r->closed, steps);
        for (unsigned maskable = 0; maskable < 2; maskable++) {
            const char *expected = maskable ? openings[i].maskable : openings[i].nmi;

            for (uint64_t b = 0; b < steps; b++) {
                size_t next = b + strcspn(expected + b, "+");

                if (window_next_open(w, b, maskable) != next)
                    fail_msg("%s: from boundary %u the next for %s is %u, not %u", openings[i].name, (unsigned)b,
                             maskable ? "interrupts" : "NMIs", (unsigned)window_next_open(w, b, maskable),
                             (unsigned)next);
            }
        }
        window_free(w);
        machine_free(m);
    }
}

/* Steps 0 to 5: mov eax, [X]; inc eax; mov [X], eax; out 0x14, al; mov [X + 8], eax; nop. */
static const uint8_t accesses[] = {0xa1, 0x00, 0x05, 0x03, 0x00, 0x40, 0xa3, 0x00, 0x05, 0x03, 0x00,
                                   0xe6, 0x14, 0xa3, 0x08, 0x05, 0x03, 0x00, 0x90, 0x90, 0x90};
#define ACCESSES_STEPS 6u

static void a_conflict_is_found_at_the_step_that_makes_it(void **state)
{
    static const struct {
        const char *name;
        bool writes; /* what the handler did at gpa */
        uint64_t gpa;
        bool leaves;
        uint64_t from, conflict;
    } rows[] = {
        {"it wrote what the window reads", true, X, false, 0, 0},
        {"… and writes later", true, X, false, 1, 2},
        {"it read what the window reads", false, X, false, 0, 2},
        {"it read what the window writes", false, X + 8, false, 0, 4},
        {"behind the last access", false, X + 8, false, 5, ACCESSES_STEPS},
        {"it touched something else", true, X + 4, false, 0, ACCESSES_STEPS},
        {"it asked the machine, as the window does", true, X + 4, true, 0, 3},
        {"it wrote code that the window executes", true, CODE + 18, false, 1, 5},
        {"it read code that the window executes", false, CODE + 18, false, 0, ACCESSES_STEPS},
    };
    struct machine *m = new_machine_with(accesses, sizeof(accesses));
    struct window *w = record(m, ACCESSES_STEPS, NULL);

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct window_cursor c = {0};
        struct footprint *f;
        struct diag d;
        uint64_t at;

        assert_int_equal(footprint_new(NULL, &f, &d), EMU_OK);
        footprint_add(f, rows[i].writes, rows[i].gpa, 4);
        at = window_next_conflict(w, &c, f, rows[i].leaves, rows[i].from);
        /* A block's code is fetched where the block begins: that is early, and never late. */
        if (rows[i].gpa >= CODE && rows[i].gpa < CODE + sizeof(accesses) ? at > rows[i].conflict
                                                                         : at != rows[i].conflict)
            fail_msg("%s: at %u, not %u", rows[i].name, (unsigned)at, (unsigned)rows[i].conflict);
        footprint_free(f);
    }
    window_free(w);
    machine_free(m);
}

static void what_leaves_the_processor_is_known_by_its_step(void **state)
{
    struct machine *m = new_machine_with(accesses, sizeof(accesses));
    struct window *w = record(m, ACCESSES_STEPS, NULL);

    for (uint64_t from = 0; from < ACCESSES_STEPS; from++)
        for (uint64_t to = from; to <= ACCESSES_STEPS; to++)
            assert_int_equal(window_leaves_between(w, from, to), from <= 3 && to > 3);
    assert_int_equal(window_report(w)->leaves, 1);
    window_free(w);
    machine_free(m);
}

static void writes_to_code_are_kept_with_their_bytes_and_those_to_data_are_not(void **state)
{
    /* mov byte [site], 0x11; mov dword [X], 5; mov dword [site + 2], 0x55443322; nop */
    static const uint8_t code[] = {0xc6, 0x05, 0x00, 0x09, 0x01, 0x00, 0x11, 0xc7, 0x05, 0x00, 0x05, 0x03, 0x00, 5,
                                   0,    0,    0,    0xc7, 0x05, 0x02, 0x09, 0x01, 0x00, 0x22, 0x33, 0x44, 0x55, 0x90};
    struct symbols *s = symbols_new();
    struct machine *m = new_machine_with(code, sizeof(code));
    const struct window_report *r;
    struct window *w;
    struct diag d;

    assert_int_equal(symbols_add(s, CODE, sizeof(code), 'T', "patcher", &d), EMU_OK);
    assert_int_equal(symbols_add(s, CODE + 0x900, 4, 'T', "site", &d), EMU_OK);
    assert_int_equal(symbols_seal(s, &d), EMU_OK);
    CODE_AT(m, CODE + 0x900, 0x11, 0x90, 0x90, 0x90, 0x90, 0x90);
    w = record(m, 4, s);
    r = window_report(w);
    assert_int_equal(window_writes(w), 2);
    assert_int_equal(window_write(w, 0)->position, 0);
    assert_int_equal(window_write(w, 0)->gva, CODE + 0x900);
    assert_int_equal(window_write(w, 0)->before[0], 0x11);
    assert_int_equal(window_write(w, 0)->after[0], 0x11);
    assert_int_equal(window_write(w, 1)->position, 2);
    assert_int_equal(window_write(w, 1)->bytes, 2); /* of the four, as many as are the site's */
    assert_memory_equal(window_write(w, 1)->before, "\x90\x90", 2);
    assert_memory_equal(window_write(w, 1)->after, "\x22\x33", 2);
    assert_int_equal(window_write(w, 1)->rip_gva, CODE + 17);
    assert_int_equal(r->code_writes, 2);
    assert_int_equal(r->code_bytes, 2); /* one byte was written as it was */
    assert_int_equal(r->writers, 1);
    assert_string_equal(r->writer[0].name, "patcher");
    window_free(w);
    symbols_free(s);
    machine_free(m);
}

static void a_function_ends_where_its_stack_is_as_high_as_at_its_start(void **state)
{
    /* call f; nop; hlt. f: dec ecx; jz 1f; call f; 1: ret. The return address of the inner calls is another one; that
       of a window which begins at f the first time is CODE + 5. */
    static const uint8_t code[] = {0xe8, 0x02, 0x00, 0x00, 0x00, 0x90, 0xf4, 0x49,
                                   0x74, 0x05, 0xe8, 0xf8, 0xff, 0xff, 0xff, 0xc3};
    struct window_options o = {.steps_max = 100, .end_rip_gva = CODE + 5};
    struct machine *m = new_machine_with(code, sizeof(code));
    struct vcpu_regs r;
    struct window *w;
    struct diag d;

    vcpu_get_regs(m, 0, &r);
    r.gpr[GPR_RCX] = 3;
    vcpu_set_regs(m, 0, &r);
    run_to(m, 1);
    assert_int_equal(window_record(m, &o, &w, &d), EMU_OK);
    assert_int_equal(window_last(w) - window_first(w), 3 + 3 + 2 + 3);
    assert_int_equal(vcpu_rip(m), CODE + 5);
    window_free(w);
    machine_free(m);
}

static void a_run_that_does_not_get_through_is_refused_with_its_reason(void **state)
{
    struct window_options o = {.steps_max = 100};
    struct machine *m = MACHINE(0x90, 0xfa, 0xf4);
    struct window *w;
    struct diag d;

    assert_int_equal(window_record(m, &o, &w, &d), EMU_EINPUT);
    assert_non_null(strstr(d.text, "does not reach the end of the window: "));
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(boundaries_are_open_where_an_interrupt_would_be_taken),
        cmocka_unit_test(a_conflict_is_found_at_the_step_that_makes_it),
        cmocka_unit_test(what_leaves_the_processor_is_known_by_its_step),
        cmocka_unit_test(writes_to_code_are_kept_with_their_bytes_and_those_to_data_are_not),
        cmocka_unit_test(a_function_ends_where_its_stack_is_as_high_as_at_its_start),
        cmocka_unit_test(a_run_that_does_not_get_through_is_refused_with_its_reason),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
