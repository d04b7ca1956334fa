/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The exhaustive search on small code and small handlers: what fails where, and that pruning loses and adds nothing. */
#include "tests/toy_machine.h"

#include "emu/base/count.h"
#include "fuzz/detect/divergence.h"
#include "fuzz/search/exhaustive.h"

#define HANDLER_VECTOR 0x50u
#define X              (DATA + 0x500)
#define WINDOW_STEPS   11u
#define SEEN_MAX       64u

/* sti, nop, three times inc eax, X = 5, inc eax, X = 7, inc eax twice, X = 5, inc eax. Boundary n is before the n-th.
 */
static const uint8_t window_code[] = {0xfb, 0x90, 0x40, 0x40, 0x40, 0xc7, 0x05, 0x00, 0x05, 0x03, 0x00, 5,   0,    0,
                                      0,    0x40, 0xc7, 0x05, 0x00, 0x05, 0x03, 0x00, 7,    0,    0,    0,   0x40, 0x40,
                                      0xc7, 0x05, 0x00, 0x05, 0x03, 0,    5,    0,    0,    0,    0x40, 0xf4};

#define BOUNDARIES(...) {__VA_ARGS__, -1}
#define ALL             BOUNDARIES(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
#define NONE            {-1}

/* clang-format off */
static const struct row {
    const char *name;
    uint8_t handler[32];
    bool registers;
    uint32_t from, bytes; /* declared memory; none if bytes is 0 */
    int failing[WINDOW_STEPS + 1];
    const char *says;     /* in the first failure */
} rows[] = {
    {"a handler that does nothing", {0xcf}, true, X, 4, NONE, NULL},
    {"one that puts back what it uses", {0x50, 0x31, 0xc0, 0x58, 0xcf}, true, X, 4, NONE, NULL},
    {"one that clears AL, where AL is not clear anyway", {0xb0, 0x00, 0xcf}, true, 0, 0,
        BOUNDARIES(3, 4, 5, 6, 7, 8, 9, 10), "rax is 0x00000000, and 0x00000001 in the undisturbed run"},
    {"… which nobody has declared", {0xb0, 0x00, 0xcf}, false, X, 4, NONE, NULL},
    {"one that always changes a register", {0x46, 0xcf}, true, 0, 0, ALL, "rsi is 0x00000001"},
    {"one that changes flags: IRET puts them back", {0x39, 0xc0, 0xf9, 0xcf}, true, 0, 0, NONE, NULL},
    {"one that changes the flags it returns to", {0x83, 0x74, 0x24, 0x08, 0x01, 0xcf}, true, 0, 0, ALL, "rflags is"},
    {"one that counts", {0xff, 0x05, 0x00, 0x06, 0x03, 0x00, 0xcf}, false, X + 0x100, 4, ALL,
        "counter (0x30600) is 0x00000001, and 0x00000000"},
    {"… elsewhere than what is declared", {0xff, 0x05, 0x00, 0x06, 0x03, 0x00, 0xcf}, false, X, 4, NONE, NULL},
    {"one that only writes, what is there already or not", {0xc7, 0x05, 0x00, 0x05, 0x03, 0x00, 5, 0, 0, 0, 0xcf}, false, X, 4,
        BOUNDARIES(0, 1, 2, 3, 4, 5, 8, 9, 10), "counter (0x30500) is 0x00000005, and 0x00000000"},
    {"one that copies what the window writes to what must stay",
        {0x50, 0xa1, 0x00, 0x05, 0x03, 0x00, 0xa3, 0x00, 0x06, 0x03, 0x00, 0x58, 0xcf}, true, X + 0x100, 4,
        BOUNDARIES(6, 7, 8, 9, 10), "counter (0x30600) is 0x00000005, and 0x00000000"},
    {"one that executes an undefined instruction", {0x0f, 0x0b}, false, 0, 0, ALL, "nothing can ever wake any vCPU"},
};
/* clang-format on */

struct seen {
    bool failing[SEEN_MAX];
    uint64_t runs, boundaries;
    char text[VERDICT_TEXT_BYTES];
    const char *detector;
};

static void search(const struct row *row, bool every_boundary, struct seen *seen)
{
    struct machine *m = new_machine_with(window_code, sizeof(window_code));
    struct divergence_list same = {.registers = row->registers, .ranges = row->bytes ? 1 : 0};
    struct exhaustive_options o = {.source = {.kind = DECISION_VECTOR, .value = HANDLER_VECTOR},
                                   .steps_max = WINDOW_STEPS,
                                   .handler_steps_max = 100,
                                   .confirm_steps_max = 1000,
                                   .every_boundary = every_boundary,
                                   .same = row->registers || row->bytes ? &same : NULL};
    struct exhaustive_report r;
    struct exhaustive *x;
    struct diag d;

    memset(seen, 0, sizeof(*seen));
    same.range[0] = (struct divergence_range){.name = "counter", .gva = row->from, .bytes = row->bytes};
    put(m, HANDLERS + 64 * HANDLER_VECTOR, row->handler, sizeof(row->handler));
    if (exhaustive_new(m, &o, &r, &x, &d) != EMU_OK || exhaustive_cover(x, r.first_position, r.last_position) != EMU_OK)
        fail_msg("%s: %s", row->name, d.text);
    assert_true(r.complete);
    for (unsigned i = 0; i < r.failures; i++)
        for (uint64_t b = r.failure[i].first_position; b <= r.failure[i].last_position; b++)
            seen->failing[b - r.first_position] = true;
    if (r.failures) {
        memcpy(seen->text, r.failure[0].verdict.text, sizeof(seen->text));
        seen->detector = r.failure[0].verdict.detector;
    }
    seen->runs = r.runs;
    seen->boundaries = r.boundaries;
    exhaustive_free(x);
    exhaustive_report_fini(&r);
    machine_free(m);
}

static void check(const struct row *row, const struct seen *seen)
{
    bool expected[SEEN_MAX] = {false};

    for (unsigned i = 0; row->failing[i] >= 0; i++)
        expected[row->failing[i]] = true;
    assert_int_equal(seen->boundaries, WINDOW_STEPS);
    for (unsigned b = 0; b < SEEN_MAX; b++)
        if (seen->failing[b] != expected[b])
            fail_msg("%s: boundary %u %s (%s)", row->name, b, seen->failing[b] ? "fails" : "passes", seen->text);
    if (row->says && !strstr(seen->text, row->says))
        fail_msg("%s: %s", row->name, seen->text);
}

static void each_handler_fails_where_it_should(void **state)
{
    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct seen seen;

        search(&rows[i], true, &seen);
        check(&rows[i], &seen);
    }
}

static void the_pruned_search_says_the_same(void **state)
{
    uint64_t pruned_runs = 0, all_runs = 0;

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct seen pruned, every;

        search(&rows[i], false, &pruned);
        check(&rows[i], &pruned);
        search(&rows[i], true, &every);
        assert_string_equal(pruned.text, every.text);
        pruned_runs += pruned.runs;
        all_runs += every.runs;
    }
    assert_true(pruned_runs < all_runs / 2);
}

/* Of a guest under another kernel the exception is not the processor's, but the one that this kernel hands on. */
static void the_guests_own_trap_is_a_failure(void **state)
{
    static const uint8_t handler[] = {0xeb, 0x0e}; /* to its 16th byte, which returns: the guest's entry or not */

    for (unsigned listed = 0; listed < 2; listed++) {
        struct machine *m = new_machine_with(window_code, sizeof(window_code));
        const uint64_t entry = HANDLERS + 64 * HANDLER_VECTOR + 0x10;
        struct exhaustive_options o = {.source = {.kind = DECISION_VECTOR, .value = HANDLER_VECTOR},
                                       .traps = {.trap[0] = {listed ? entry : entry + 1, 13}, .count = 1},
                                       .steps_max = WINDOW_STEPS,
                                       .handler_steps_max = 100,
                                       .confirm_steps_max = 1000};
        struct exhaustive_report r;
        struct exhaustive *x;
        struct diag d;

        put(m, HANDLERS + 64 * HANDLER_VECTOR, handler, sizeof(handler));
        put(m, (uint32_t)entry, (const uint8_t[]){0xcf}, 1);
        assert_int_equal(exhaustive_new(m, &o, &r, &x, &d), EMU_OK);
        assert_int_equal(exhaustive_cover(x, r.first_position, r.last_position), EMU_OK);
        assert_int_equal(r.failing, listed ? WINDOW_STEPS : 0);
        exhaustive_free(x);
        exhaustive_report_fini(&r);
        machine_free(m);
    }
}

static void a_divergence_is_named_by_its_detector(void **state)
{
    struct seen seen;

    search(&rows[4], false, &seen);
    assert_string_equal(seen.detector, "divergence");
}

static void what_lies_on_the_interrupted_stack_can_not_be_declared(void **state)
{
    struct divergence_list same = {.ranges = 1, .range = {{.name = "stack", .gva = STACK - 16, .bytes = 4}}};
    struct machine *m = new_machine_with(window_code, sizeof(window_code));
    struct exhaustive_options o = {.source = {.kind = DECISION_VECTOR, .value = HANDLER_VECTOR},
                                   .steps_max = WINDOW_STEPS,
                                   .handler_steps_max = 100,
                                   .same = &same};
    struct exhaustive_report r;
    struct exhaustive *x;
    struct diag d;

    assert_int_equal(exhaustive_new(m, &o, &r, &x, &d), EMU_OK);
    assert_int_equal(exhaustive_cover(x, r.first_position, r.last_position), EMU_EINPUT);
    assert_non_null(strstr(d.text, "--same stack: this memory lies just below the interrupted stack pointer"));
    exhaustive_free(x);
    exhaustive_report_fini(&r);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_handler_fails_where_it_should),
        cmocka_unit_test(the_pruned_search_says_the_same),
        cmocka_unit_test(the_guests_own_trap_is_a_failure),
        cmocka_unit_test(a_divergence_is_named_by_its_detector),
        cmocka_unit_test(what_lies_on_the_interrupted_stack_can_not_be_declared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
