/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/debugger/history.h"

#include <stdlib.h>
#include <string.h>

#include "emu/model.h"
#include "emu/vcpu.h"
#include "tests/cmocka_tap.h"

#define RAM_BYTES (16u << 20)
#define CODE_GPA  0x100000u
#define COUNT_GPA 0x300000u
#define FAR_STEP  3000000u

/* Counts in memory without end, and says each 256th on a port. */
static const uint8_t code[] = {
    0xff, 0x05, 0x00, 0x00, 0x30, 0x00, /* 1: incl 0x300000 */
    0xa1, 0x00, 0x00, 0x30, 0x00,       /*    mov 0x300000, %eax */
    0x84, 0xc0,                         /*    test %al, %al */
    0x75, 0xf1,                         /*    jnz 1b */
    0xe6, 0xe9, 0xeb, 0xed,             /*    out %al, $0xe9; jmp 1b */
};

static enum model_answer on_port_write(struct machine *m, unsigned vcpu, uint16_t port, unsigned bytes, uint32_t value)
{
    machine_console(m, (uint8_t)('a' + clock_now_ns(m) % 26));
    return MODEL_DONE;
}

static const struct model model = {.name = "console", .port_write = on_port_write};
static const struct model *const models[] = {&model};

struct world {
    struct machine *m;
    struct history *h;
    char console[65536];
    size_t console_bytes;
    bool interrupt;
};

static void on_console(void *context, uint8_t byte)
{
    struct world *w = context;

    assert_true(w->console_bytes + 1 < sizeof(w->console));
    w->console[w->console_bytes++] = (char)byte;
}

static bool on_time(void *context)
{
    return ((struct world *)context)->interrupt;
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct machine_config config = {.ram_bytes = RAM_BYTES, .vcpus = 2, .models = models, .model_count = 1};
    struct history_ops ops = {on_console, on_time, w};
    struct vcpu_regs r;
    struct diag d;

    assert_non_null(w);
    assert_int_equal(machine_new(&config, &w->m, &d), EMU_OK);
    assert_true(memory_write(machine_memory(w->m), CODE_GPA, code, sizeof(code)));
    regs_init_protected32(&r, CODE_GPA);
    vcpu_set_regs(w->m, 0, &r);
    assert_int_equal(history_new(w->m, NULL, &ops, &w->h, &d), EMU_OK);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    history_free(w->h);
    machine_free(w->m);
    free(w);
    return 0;
}

static uint64_t digest_at(struct world *w, uint64_t step)
{
    assert_true(history_go(w->h, step));
    assert_int_equal(machine_steps(w->m), step);
    return machine_digest(w->m);
}

static void any_step_is_the_same_however_one_comes_there(void **state)
{
    struct world *w = *state;
    uint64_t step[80], digest[80], random = 1;

    for (unsigned i = 0; i < 80; i++) { /* forwards, and often a few steps from the last place */
        step[i] = i % 4 ? step[i - 1] + i : i * (FAR_STEP / 80);
        digest[i] = digest_at(w, step[i]);
    }
    for (unsigned n = 0; n < 120; n++) {
        unsigned i;

        random = random * 6364136223846793005ull + 1442695040888963407ull;
        i = (unsigned)(random >> 33) % 80;
        assert_int_equal(digest_at(w, step[i]), digest[i]);
    }
    assert_true(history_snapshots(w->h) > 10);
    assert_true(history_snapshots(w->h) <= 40);
    assert_int_equal(history_begin(w->h), 0);
}

static void the_console_is_told_once(void **state)
{
    struct world *w = *state;
    char *before;

    (void)digest_at(w, FAR_STEP);
    assert_true(w->console_bytes > 1000);
    before = strdup(w->console);
    assert_non_null(before);
    (void)digest_at(w, 10);
    (void)digest_at(w, FAR_STEP / 2);
    (void)digest_at(w, FAR_STEP);
    assert_string_equal(w->console, before);
    (void)digest_at(w, FAR_STEP + FAR_STEP / 10);
    assert_true(w->console_bytes > strlen(before));
    assert_memory_equal(w->console, before, strlen(before));
    free(before);
}

static void a_change_is_made_at_its_step_again_and_what_was_behind_it_is_forgotten(void **state)
{
    static const uint32_t value = 1u << 30;
    struct world *w = *state;
    uint64_t before = digest_at(w, 500000), behind = digest_at(w, 1000000), changed;
    struct vcpu_regs r;
    uint32_t count;

    assert_int_equal(digest_at(w, 500000), before);
    assert_true(history_write(w->h, COUNT_GPA, &value, sizeof(value)));
    vcpu_get_regs(w->m, 0, &r);
    r.gpr[GPR_RBP] = 0x1234;
    assert_true(history_set_regs(w->h, 0, &r));
    changed = digest_at(w, 1000000);
    assert_int_not_equal(changed, behind);
    assert_true(memory_read(machine_memory(w->m), COUNT_GPA, &count, sizeof(count)));
    assert_true(count > value);
    (void)digest_at(w, 400000);
    assert_true(memory_read(machine_memory(w->m), COUNT_GPA, &count, sizeof(count)));
    assert_true(count < value);
    assert_int_equal(digest_at(w, 1000000), changed);
    vcpu_get_regs(w->m, 0, &r);
    assert_int_equal(r.gpr[GPR_RBP], 0x1234);
    assert_false(history_write(w->h, RAM_BYTES - 2, &value, sizeof(value)));

    /* Another change before it undoes it. */
    (void)digest_at(w, 300000);
    assert_true(history_write(w->h, COUNT_GPA + 64, &value, sizeof(value)));
    (void)digest_at(w, 1000000);
    vcpu_get_regs(w->m, 0, &r);
    assert_int_equal(r.gpr[GPR_RBP], 0);
}

static void who_interrupts_stands_somewhere_on_the_way(void **state)
{
    struct world *w = *state;
    uint64_t there = digest_at(w, FAR_STEP), step;

    w->interrupt = true;
    assert_false(history_go(w->h, 40 * FAR_STEP));
    step = machine_steps(w->m);
    assert_true(step > FAR_STEP && step < 40 * FAR_STEP);
    w->interrupt = false;
    assert_int_equal(digest_at(w, FAR_STEP), there);
    assert_true(history_go(w->h, step));
}

static void snapshots_are_found_by_step_and_by_position(void **state)
{
    struct world *w = *state;
    uint64_t step;

    assert_false(history_find_before(w->h, 0, &step));
    assert_true(history_find_before(w->h, 1, &step));
    assert_int_equal(step, 0);
    (void)digest_at(w, FAR_STEP);
    assert_true(history_refine(w->h, 0, FAR_STEP, FAR_STEP / 10));
    for (uint64_t at = FAR_STEP; at; at = step) {
        assert_true(history_find_before(w->h, at, &step));
        assert_true(step < at && at - step <= FAR_STEP / 10);
    }
    (void)digest_at(w, FAR_STEP);
    assert_true(history_find_position(w->h, 0, 1000, &step));
    assert_true(step <= 1000);
    assert_true(history_find_position(w->h, 1, 0, &step)); /* it has never run: now is as good as any */
    assert_true(step <= FAR_STEP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(any_step_is_the_same_however_one_comes_there, setup, teardown),
        cmocka_unit_test_setup_teardown(the_console_is_told_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_change_is_made_at_its_step_again_and_what_was_behind_it_is_forgotten, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(who_interrupts_stands_somewhere_on_the_way, setup, teardown),
        cmocka_unit_test_setup_teardown(snapshots_are_found_by_step_and_by_position, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
