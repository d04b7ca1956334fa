/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/debugger/stops.h"

#include <stdlib.h>

#include "cli/debugger/history.h"
#include "emu/base/count.h"
#include "emu/regs.h"
#include "emu/vcpu.h"
#include "tests/cmocka_tap.h"

#define RAM_BYTES (16u << 20)
#define CODE_GPA  0x100000u
#define READS_GPA (CODE_GPA + 6) /* the instruction that reads the counter */
#define COUNT_GPA 0x300000u
#define TURN      3u /* steps */

/* Counts in memory without end. */
static const uint8_t code[] = {
    0xff, 0x05, 0x00, 0x00, 0x30, 0x00, /* 1: incl 0x300000 */
    0xa1, 0x00, 0x00, 0x30, 0x00,       /*    mov 0x300000, %eax */
    0xeb, 0xf3,                         /*    jmp 1b */
};

struct world {
    struct machine *m;
    struct history *h;
    struct stops *s;
    bool interrupt;
};

static void on_console(void *context, uint8_t byte)
{
}

static bool on_time(void *context)
{
    return ((struct world *)context)->interrupt;
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct machine_config config = {.ram_bytes = RAM_BYTES, .vcpus = 1};
    struct history_ops ops = {on_console, on_time, w};
    struct vcpu_regs r;
    struct diag d;

    assert_non_null(w);
    assert_int_equal(machine_new(&config, &w->m, &d), EMU_OK);
    assert_true(memory_write(machine_memory(w->m), CODE_GPA, code, sizeof(code)));
    regs_init_protected32(&r, CODE_GPA);
    vcpu_set_regs(w->m, 0, &r);
    assert_int_equal(history_new(w->m, NULL, &ops, &w->h, &d), EMU_OK);
    w->s = stops_new(w->m, w->h);
    assert_non_null(w->s);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    stops_free(w->s);
    history_free(w->h);
    machine_free(w->m);
    free(w);
    return 0;
}

static uint32_t count(struct world *w)
{
    uint32_t value = 0;

    assert_true(memory_peek(machine_memory(w->m), COUNT_GPA, &value, sizeof(value)));
    return value;
}

static void is_at(struct world *w, uint64_t steps, uint64_t rip)
{
    assert_int_equal(machine_steps(w->m), steps);
    assert_int_equal(vcpu_rip(w->m), rip);
}

static void a_step_back_undoes_a_step(void **state)
{
    struct world *w = *state;
    uint64_t begin = machine_digest(w->m), digest[20];

    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(stops_step(w->s, 0).kind, STOP_DONE);
        assert_int_equal(machine_steps(w->m), i + 1);
        digest[i] = machine_digest(w->m);
    }
    for (unsigned i = 19; i-- > 0;) {
        assert_int_equal(stops_step_back(w->s, 0).kind, STOP_DONE);
        assert_true(machine_digest(w->m) == digest[i]);
    }
    assert_int_equal(stops_step_back(w->s, 0).kind, STOP_DONE);
    assert_true(machine_digest(w->m) == begin);
    assert_int_equal(stops_step_back(w->s, 0).kind, STOP_BEGIN);
    assert_true(machine_digest(w->m) == begin);
}

static void a_breakpoint_stops_before_its_instruction_each_time_it_comes(void **state)
{
    struct world *w = *state;
    struct stop stop;

    assert_true(stops_set(w->s, STOPS_BREAK_SOFTWARE, 0, READS_GPA, 1));
    assert_true(stops_set(w->s, STOPS_BREAK_SOFTWARE, 0, READS_GPA, 1)); /* no error */
    for (unsigned i = 0; i < 5; i++) {
        stop = stops_continue(w->s, 0);
        assert_int_equal(stop.kind, STOP_POINT);
        assert_int_equal(stop.point, STOPS_BREAK_SOFTWARE);
        assert_int_equal(stop.gva, READS_GPA);
        is_at(w, 1 + i * TURN, READS_GPA);
    }
    for (unsigned i = 4; i-- > 0;) {
        assert_int_equal(stops_continue_back(w->s, 0).kind, STOP_POINT);
        is_at(w, 1 + i * TURN, READS_GPA);
    }
    assert_int_equal(stops_continue_back(w->s, 0).kind, STOP_BEGIN);
    is_at(w, 0, CODE_GPA);
}

static void a_watchpoint_stops_behind_the_access_and_backwards_before_it(void **state)
{
    struct world *w = *state;
    struct stop stop;

    assert_true(stops_set(w->s, STOPS_WATCH_WRITE, 0, COUNT_GPA + 3, 1)); /* the last byte that is written */
    for (unsigned i = 1; i <= 4; i++) {
        stop = stops_continue(w->s, 0);
        assert_int_equal(stop.kind, STOP_POINT);
        assert_int_equal(stop.point, STOPS_WATCH_WRITE);
        assert_int_equal(count(w), i);
        is_at(w, 1 + (i - 1) * TURN, READS_GPA);
    }
    for (unsigned i = 4; i-- > 0;) {
        assert_int_equal(stops_continue_back(w->s, 0).kind, STOP_POINT);
        assert_int_equal(count(w), i);
        is_at(w, i * TURN, CODE_GPA);
    }
}

static void reading_and_writing_are_told_apart(void **state)
{
    static const struct {
        enum stops_point point;
        uint64_t steps[3];
    } rows[] = {{STOPS_WATCH_WRITE, {1, 4, 7}}, {STOPS_WATCH_READ, {2, 5, 8}}, {STOPS_WATCH_ACCESS, {1, 2, 4}}};
    struct world *w = *state;

    for (unsigned i = 0; i < COUNT(rows); i++) {
        assert_true(history_go(w->h, 0));
        assert_true(stops_set(w->s, rows[i].point, 0, COUNT_GPA, 4));
        for (unsigned k = 0; k < 3; k++) {
            struct stop stop = stops_continue(w->s, 0);

            /* INC reads what it writes. */
            if (rows[i].point == STOPS_WATCH_READ && machine_steps(w->m) % TURN == 1)
                stop = stops_continue(w->s, 0);
            assert_int_equal(stop.kind, STOP_POINT);
            assert_int_equal(machine_steps(w->m), rows[i].steps[k]);
        }
        stops_remove(w->s, rows[i].point, COUNT_GPA, 4);
    }
}

static void a_point_that_was_removed_stops_nothing(void **state)
{
    struct world *w = *state;

    assert_true(stops_set(w->s, STOPS_BREAK_HARDWARE, 0, READS_GPA, 1));
    assert_true(stops_set(w->s, STOPS_BREAK_SOFTWARE, 0, CODE_GPA, 1));
    stops_remove(w->s, STOPS_BREAK_HARDWARE, READS_GPA, 1);
    stops_remove(w->s, STOPS_WATCH_WRITE, COUNT_GPA, 4); /* it is not set */
    assert_int_equal(stops_continue(w->s, 0).kind, STOP_POINT);
    is_at(w, TURN, CODE_GPA);
    stops_remove_all(w->s);
    w->interrupt = true;
    assert_int_equal(stops_continue(w->s, 0).kind, STOP_ASKED);
}

static void what_can_not_be_watched_is_refused(void **state)
{
    struct world *w = *state;

    assert_false(stops_set(w->s, STOPS_WATCH_WRITE, 0, RAM_BYTES, 4));
    assert_false(stops_set(w->s, STOPS_WATCH_WRITE, 0, RAM_BYTES - 2, 4));
    assert_false(stops_set(w->s, STOPS_WATCH_WRITE, 0, COUNT_GPA, STOPS_WATCH_BYTES_MAX + 1));
    for (unsigned i = 0; i < STOPS_WATCHES_MAX; i++)
        assert_true(stops_set(w->s, STOPS_WATCH_WRITE, 0, COUNT_GPA + 8 * i, 8));
    assert_false(stops_set(w->s, STOPS_WATCH_WRITE, 0, COUNT_GPA + 8 * STOPS_WATCHES_MAX, 8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_step_back_undoes_a_step, setup, teardown),
        cmocka_unit_test_setup_teardown(a_breakpoint_stops_before_its_instruction_each_time_it_comes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_watchpoint_stops_behind_the_access_and_backwards_before_it, setup, teardown),
        cmocka_unit_test_setup_teardown(reading_and_writing_are_told_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(a_point_that_was_removed_stops_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(what_can_not_be_watched_is_refused, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
