/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which loops spin: those that do the same again for ever, and no others, however little they do. */
#include "tests/toy_machine.h"

#include "emu/base/count.h"
#include "emu/engine.h"
#include "fuzz/search/spin.h"

static struct spin spin;
static bool found;

static void on_access(void *context, enum engine_access kind, uint64_t gpa, unsigned bytes)
{
    struct machine *m = context;

    switch (kind) {
    case ENGINE_FETCH:
        found = found || spin_note_block(&spin, m, engine_access_block_gva(machine_engine(m)));
        return;
    case ENGINE_READ:
        spin_note_read(&spin, gpa, bytes);
        return;
    case ENGINE_WRITE:
        spin_note_write(&spin, m, gpa, bytes);
        return;
    case ENGINE_LEAVE:
        spin_restart(&spin);
        return;
    }
}

static bool spins(const uint8_t *code, size_t bytes)
{
    struct machine *m = new_machine_with(code, bytes);
    struct diag d;

    spin_restart(&spin);
    found = false;
    assert_int_equal(engine_watch_accesses(machine_engine(m), on_access, m, &d), EMU_OK);
    (void)run_to(m, 5000);
    assert_int_equal(engine_watch_accesses(machine_engine(m), NULL, NULL, &d), EMU_OK);
    machine_free(m);
    return found;
}

#define LOOP(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

static void a_loop_that_does_the_same_again_spins(void **state)
{
    assert_true(spins(LOOP(0xeb, 0xfe)));                                           /* jmp to itself */
    assert_true(spins(LOOP(0xf3, 0x90, 0xa1, 0, 8, 3, 0, 0x85, 0xc0, 0x74, 0xf5))); /* pause; mov eax, [x]; test; jz */
    assert_true(spins(LOOP(0xb8, 1, 0, 0, 0, 0x87, 0x05, 0, 8, 3, 0, 0xeb, 0xf3))); /* mov eax, 1; xchg [x], eax; jmp:
                                                                                   from the second round on */
    assert_true(spins(LOOP(0x50, 0x58, 0xeb, 0xfc)));                               /* push eax; pop eax; jmp */
}

static void what_it_waits_for_is_known(void **state)
{
    assert_true(spins(LOOP(0xa1, 0, 8, 3, 0, 0x85, 0xc0, 0x74, 0xf7)));
    assert_int_equal(spin.reads, 1);
    assert_int_equal(spin.read[0], (DATA + 0x800) / 8);
}

static void a_loop_that_comes_on_does_not_spin(void **state)
{
    assert_false(spins(LOOP(0x40, 0xeb, 0xfd)));                        /* inc eax; jmp */
    assert_false(spins(LOOP(0xff, 0x05, 0, 8, 3, 0, 0xeb, 0xf8)));      /* inc [x]; jmp: the registers repeat */
    assert_false(spins(LOOP(0xe5, PORT_ECHO, 0x31, 0xc0, 0xeb, 0xfa))); /* in eax, PORT_ECHO; xor eax, eax; jmp */
    assert_false(spins(LOOP(0x0f, 0x31, 0xeb, 0xfc)));                  /* rdtsc; jmp */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loop_that_does_the_same_again_spins),
        cmocka_unit_test(what_it_waits_for_is_known),
        cmocka_unit_test(a_loop_that_comes_on_does_not_spin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
