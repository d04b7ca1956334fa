/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What watchers are told, and that a watched run is the same run. */
#include "tests/cmocka_tap.h"

#include <string.h>

#include "emu/machine.h"
#include "emu/snapshot.h"
#include "emu/vcpu.h"
#include "emu/watch.h"

#define RAM_BYTES 0x400000u
#define CODE      0x10000u
#define DATA      0x30000u

/* A loop of 1000 rounds: inc [DATA]; lock xadd [DATA + 8]; mov [DATA + 0x40] on the last round only; then hlt. */
static const uint8_t code[] = {
    0xb9, 0xe8, 0x03, 0x00, 0x00,                   /* 00: mov ecx, 1000 */
    0xff, 0x05, 0x00, 0x00, 0x03, 0x00,             /* 05: inc dword [DATA] */
    0xf0, 0x0f, 0xc1, 0x05, 0x08, 0x00, 0x03, 0x00, /* 0b: lock xadd [DATA + 8], eax */
    0x83, 0xf9, 0x01,                               /* 13: cmp ecx, 1 */
    0x75, 0x06,                                     /* 16: jne 1e */
    0x89, 0x0d, 0x3e, 0x00, 0x03, 0x00,             /* 18: mov [DATA + 0x3e], ecx: across a word, unaligned */
    0x49,                                           /* 1e: dec ecx */
    0x75, 0xe4,                                     /* 1f: jnz 05 */
    0x89, 0x0d, 0xfe, 0x0f, 0x03, 0x00,             /* 21: mov [DATA + 0xffe], ecx: across the page's end */
    0xf4,                                           /* 27: hlt */
};
#define AT_LATE_WRITE 0x18

#define HLT_AT 0x27

struct seen {
    unsigned reached, written, writes, executed, asked;
    uint64_t wanted_gpa, executed_gva;
    struct watch_write write;
};

static void reached(struct machine *m, uint64_t rip_gva, void *context)
{
    struct seen *s = context;

    assert_int_equal(vcpu_rip(m), rip_gva);
    s->reached++;
}

static void written(struct machine *m, const struct watch_write *first, void *context)
{
    struct seen *s = context;

    s->written++;
    s->write = *first;
}

static void write_one(struct machine *m, const struct watch_write *w, void *context)
{
    struct seen *s = context;

    s->writes++;
    s->write = *w;
}

static bool wants(struct machine *m, uint64_t gpa, unsigned bytes, void *context)
{
    struct seen *s = context;

    return gpa <= s->wanted_gpa && s->wanted_gpa < gpa + bytes;
}

static void executes(struct machine *m, uint64_t gva, const struct insn *insn, void *context)
{
    struct seen *s = context;

    assert_int_equal(vcpu_rip(m), gva);
    s->executed++;
    s->executed_gva = gva;
}

static void asked(struct machine *m, void *context)
{
    struct seen *s = context;

    s->asked++;
}

static struct machine *new_machine(void)
{
    struct machine_config config = {.ram_bytes = RAM_BYTES, .vcpus = 1};
    struct machine *m;
    struct vcpu_regs r;
    struct diag d;

    if (machine_new(&config, &m, &d) != EMU_OK)
        fail_msg("%s", d.text);
    assert_true(memory_write(machine_memory(m), CODE, code, sizeof(code)));
    regs_init_protected32(&r, CODE);
    vcpu_set_regs(m, 0, &r);
    return m;
}

static void run(struct machine *m)
{
    assert_int_equal(machine_run(m, &(struct machine_limits){.steps_max = 1000000}), MACHINE_STOPPED_VERDICT);
}

static uint32_t word(struct machine *m, uint64_t gpa)
{
    uint32_t v;

    assert_true(memory_read(machine_memory(m), gpa, &v, 4));
    return v;
}

static void a_write_to_watched_bytes_is_told_with_its_instruction(void **state)
{
    struct seen seen = {0};
    struct watcher w = {.reached = reached, .written = written, .context = &seen};
    struct machine *m = new_machine();
    struct diag d;

    assert_int_equal(watch_add(m, &w, &d), EMU_OK);
    assert_int_equal(watch_memory(m, DATA + 0x40, 8, &d), EMU_OK);
    run(m);
    assert_int_equal(seen.written, 1);
    assert_int_equal(seen.write.rip_gva, CODE + AT_LATE_WRITE);
    assert_int_equal(seen.write.position, 1 + 999 * 6 + 4);
    machine_free(m);
}

static void a_watched_run_is_the_same_run(void **state)
{
    struct seen seen = {0};
    struct watcher w = {.reached = reached, .written = written, .context = &seen};
    struct machine *plain = new_machine(), *watched = new_machine();
    uint64_t place = CODE + AT_LATE_WRITE;
    struct diag d;

    assert_int_equal(watch_add(watched, &w, &d), EMU_OK);
    assert_int_equal(watch_memory(watched, DATA, 0x1000, &d), EMU_OK);
    assert_int_equal(watch_set_places(watched, &w, &place, 1, &d), EMU_OK);
    run(plain);
    run(watched);
    assert_true(seen.written >= 1);
    assert_int_equal(seen.reached, 1);
    assert_int_equal(word(watched, DATA), 1000);
    assert_int_equal(word(watched, DATA + 8), word(plain, DATA + 8));
    assert_int_equal(word(watched, DATA + 0x3e), 1);
    assert_int_equal(machine_steps(watched), machine_steps(plain));
    assert_int_equal(clock_now_ns(watched), clock_now_ns(plain));
    assert_int_equal(machine_digest(watched), machine_digest(plain));
    machine_free(plain);
    machine_free(watched);
}

static void every_write_is_told_with_the_bytes_before_and_after(void **state)
{
    struct seen seen = {0};
    struct watcher w = {.write = write_one, .context = &seen};
    struct machine *m = new_machine();
    uint32_t before, after;
    struct diag d;

    assert_int_equal(watch_add(m, &w, &d), EMU_OK);
    assert_int_equal(watch_memory(m, DATA, 4, &d), EMU_OK);
    run(m);
    assert_int_equal(seen.writes, 1000);
    assert_int_equal(seen.write.gpa, DATA);
    assert_int_equal(seen.write.bytes, 4);
    memcpy(&before, seen.write.before, 4);
    memcpy(&after, seen.write.after, 4);
    assert_int_equal(before, 999);
    assert_int_equal(after, 1000);
    machine_free(m);
}

static void wanted_code_of_a_vcpu_that_is_watched_closely_is_told_one_by_one(void **state)
{
    struct seen seen = {.wanted_gpa = CODE + HLT_AT - 1};
    struct watcher w = {.wants = wants, .executes = executes, .context = &seen};
    struct machine *plain = new_machine(), *m = new_machine();
    struct diag d;

    assert_int_equal(watch_add(m, &w, &d), EMU_OK);
    watch_closely(m, &w, 1);
    run(m);
    run(plain);
    assert_int_equal(seen.executed, 2); /* the last store, and HLT in the same block */
    assert_int_equal(seen.executed_gva, CODE + HLT_AT);
    assert_int_equal(machine_digest(m), machine_digest(plain));
    machine_free(plain);
    machine_free(m);
}

static void nobody_is_told_of_a_vcpu_that_is_not_watched_closely(void **state)
{
    struct seen seen = {.wanted_gpa = CODE + HLT_AT};
    struct watcher w = {.wants = wants, .executes = executes, .context = &seen};
    struct machine *m = new_machine();
    struct diag d;

    assert_int_equal(watch_add(m, &w, &d), EMU_OK);
    watch_closely(m, &w, 2);
    run(m);
    assert_int_equal(seen.executed, 0);
    machine_free(m);
}

static void who_asks_is_called_once_at_a_boundary(void **state)
{
    struct seen seen = {0};
    struct watcher w = {.asked = asked, .context = &seen};
    struct machine *m = new_machine();
    struct diag d;

    assert_int_equal(watch_add(m, &w, &d), EMU_OK);
    watch_ask(m, &w);
    assert_int_equal(seen.asked, 0);
    run(m);
    assert_int_equal(seen.asked, 1);
    machine_free(m);
}

static void a_place_is_told_every_time_and_stops_nobody_else(void **state)
{
    struct seen seen = {0};
    struct watcher w = {.reached = reached, .context = &seen};
    struct machine *m = new_machine();
    uint64_t place = CODE + 5;
    struct diag d;

    assert_int_equal(watch_add(m, &w, &d), EMU_OK);
    assert_int_equal(watch_set_places(m, &w, &place, 1, &d), EMU_OK);
    run(m);
    assert_int_equal(seen.reached, 1000);
    machine_free(m);
}

static void state_goes_back_with_a_snapshot(void **state)
{
    struct watcher w = {.reached = reached, .state_bytes = sizeof(unsigned)};
    struct machine *m = new_machine();
    struct snapshot *snapshot;
    struct diag d;

    assert_int_equal(watch_add(m, &w, &d), EMU_OK);
    *(unsigned *)watch_state(m, &w) = 7;
    assert_int_equal(snapshot_take(m, NULL, &snapshot, &d), EMU_OK);
    *(unsigned *)watch_state(m, &w) = 8;
    snapshot_restore(m, snapshot);
    assert_int_equal(*(unsigned *)watch_state(m, &w), 7);
    snapshot_free(m, snapshot);
    machine_free(m);
}

static void what_does_not_fit_is_refused(void **state)
{
    struct watcher big = {.state_bytes = WATCH_STATE_BYTES + 1}, w = {.state_bytes = 8};
    static const uint64_t places[WATCH_PLACES_MAX + 1];
    struct machine *m = new_machine();
    struct diag d;

    assert_int_equal(watch_add(m, &big, &d), EMU_EHOST);
    assert_int_equal(watch_add(m, &w, &d), EMU_OK);
    assert_int_equal(watch_set_places(m, &w, places, WATCH_PLACES_MAX + 1, &d), EMU_EHOST);
    assert_int_equal(watch_memory(m, RAM_BYTES - 4, 8, &d), EMU_EINPUT);
    machine_free(m);
}

static void a_place_may_be_no_instruction(void **state)
{
    static const uint8_t none[] = {0xfe, 0xfe, 0x90}; /* FE /7: #UD, and without an IDT a triple fault */
    struct seen seen = {0};
    struct watcher w = {.reached = reached, .context = &seen};
    struct machine *m = new_machine();
    uint64_t places[] = {CODE, CODE + 1};
    struct diag d;

    assert_true(memory_write(machine_memory(m), CODE, none, sizeof(none)));
    assert_int_equal(watch_add(m, &w, &d), EMU_OK);
    assert_int_equal(watch_set_places(m, &w, places, 2, &d), EMU_OK);
    run(m);
    assert_int_equal(seen.reached, 1);
    assert_string_equal(machine_verdict(m)->detector, "crash");
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_write_to_watched_bytes_is_told_with_its_instruction),
        cmocka_unit_test(a_place_may_be_no_instruction),
        cmocka_unit_test(a_watched_run_is_the_same_run),
        cmocka_unit_test(every_write_is_told_with_the_bytes_before_and_after),
        cmocka_unit_test(wanted_code_of_a_vcpu_that_is_watched_closely_is_told_one_by_one),
        cmocka_unit_test(nobody_is_told_of_a_vcpu_that_is_not_watched_closely),
        cmocka_unit_test(who_asks_is_called_once_at_a_boundary),
        cmocka_unit_test(a_place_is_told_every_time_and_stops_nobody_else),
        cmocka_unit_test(state_goes_back_with_a_snapshot),
        cmocka_unit_test(what_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
