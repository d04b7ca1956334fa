/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Hangs of vCPUs that take turns while the host writes its time into memory at every switch, and timers expire. */
#include "tests/cmocka_tap.h"

#include <string.h>

#include "emu/base/count.h"
#include "emu/machine.h"
#include "emu/model.h"
#include "emu/timer.h"
#include "emu/trace.h"
#include "emu/vcpu.h"

#define RAM_BYTES 0x400000u
#define CODE      0x10000u /* of vCPU n at CODE + 0x100 n */
#define CLOCK     0x30000u /* milliseconds of virtual time, from the host */
#define FLAG      0x30040u
#define VCPUS     2

static void write_clock(struct machine *m, unsigned vcpu)
{
    uint32_t ms = (uint32_t)(clock_now_ns(m) / 1000000);

    if (memory_write(machine_memory(m), CLOCK, &ms, sizeof(ms)))
        trace_add(m, TRACE_HOST_WRITE, vcpu, CLOCK, sizeof(ms), 0);
}

static const struct model clock_model = {.name = "clock", .vcpu_switched_in = write_clock};

/* A timer that ticks in vain, as a PIT whose interrupts are masked. */
#define TICK_NS 700000u

static enum emu_err arm_tick(struct machine *m, struct diag *d);
static void tick(struct machine *m, unsigned kind, unsigned vcpu);
static const struct model tick_model = {.name = "tick", .init = arm_tick, .timer_expired = tick};

static enum emu_err arm_tick(struct machine *m, struct diag *d)
{
    timer_arm(m, &tick_model, 0, 0, clock_now_ns(m) + TICK_NS);
    return EMU_OK;
}

static void tick(struct machine *m, unsigned kind, unsigned vcpu)
{
    timer_arm(m, &tick_model, kind, vcpu, clock_now_ns(m) + TICK_NS);
}

/* One that lets go of all who wait, but late. */
#define LATE_NS 30000000u

static enum emu_err arm_late(struct machine *m, struct diag *d);
static void help_late(struct machine *m, unsigned kind, unsigned vcpu);
static const struct model late_model = {.name = "late", .init = arm_late, .timer_expired = help_late};

static enum emu_err arm_late(struct machine *m, struct diag *d)
{
    timer_arm(m, &late_model, 0, 1, LATE_NS);
    return EMU_OK;
}

static void help_late(struct machine *m, unsigned kind, unsigned vcpu)
{
    static const uint32_t one = 1;

    (void)!memory_write(machine_memory(m), FLAG, &one, sizeof(one));
    for (unsigned v = 0; v < VCPUS; v++)
        vcpu_raise_nmi(m, v);
}

/* One whose ticks can be counted in memory. */
static enum emu_err arm_counted(struct machine *m, struct diag *d);
static void count_tick(struct machine *m, unsigned kind, unsigned vcpu);
static const struct model counted_model = {.name = "counted", .init = arm_counted, .timer_expired = count_tick};

static enum emu_err arm_counted(struct machine *m, struct diag *d)
{
    timer_arm(m, &counted_model, 0, 0, TICK_NS);
    return EMU_OK;
}

static void count_tick(struct machine *m, unsigned kind, unsigned vcpu)
{
    uint32_t ticks = 0;

    (void)!memory_read(machine_memory(m), FLAG + 4, &ticks, sizeof(ticks));
    ticks++;
    (void)!memory_write(machine_memory(m), FLAG + 4, &ticks, sizeof(ticks));
    timer_arm(m, &counted_model, kind, vcpu, clock_now_ns(m) + TICK_NS);
}

static const struct model *const models[] = {&clock_model};
static const struct model *const with_tick[] = {&clock_model, &tick_model};
static const struct model *const with_late[] = {&clock_model, &tick_model, &late_model};
static const struct model *const with_counted[] = {&counted_model};

/* Wait for FLAG, then halt. */
static const uint8_t wait_for_flag[] = {
    0xf3, 0x90,                               /* pause */
    0x83, 0x3d, 0x40, 0x00, 0x03, 0x00, 0x00, /* cmp dword [FLAG], 0 */
    0x74, 0xf5,                               /* je back */
    0xf4,                                     /* hlt */
};
/* Wait until the clock says 40, then set FLAG, halt. */
static const uint8_t wait_for_clock[] = {
    0xf3, 0x90,                               /* pause */
    0x83, 0x3d, 0x00, 0x00, 0x03, 0x00, 40,   /* cmp dword [CLOCK], 40 */
    0x72, 0xf5,                               /* jb back */
    0xff, 0x05, 0x40, 0x00, 0x03, 0x00, 0xf4, /* inc dword [FLAG]; hlt */
};
/* Wait until the second word behind FLAG says 40, then set FLAG, halt. */
static const uint8_t wait_for_ticks[] = {
    0xf3, 0x90,                               /* pause */
    0x83, 0x3d, 0x44, 0x00, 0x03, 0x00, 40,   /* cmp dword [FLAG + 4], 40 */
    0x72, 0xf5,                               /* jb back */
    0xff, 0x05, 0x40, 0x00, 0x03, 0x00, 0xf4, /* inc dword [FLAG]; hlt */
};
static const uint8_t halt[] = {0xf4};
/* The same by the TSC, whose bits 25 and up say 1 after 33.6 ms; the registers are as before at every look. */
static const uint8_t wait_for_tsc[] = {
    0x0f, 0x31,                               /* rdtsc */
    0xc1, 0xe8, 25,                           /* shr eax, 25 */
    0x85, 0xc0,                               /* test eax, eax */
    0xba, 0,    0,    0,    0,                /* mov edx, 0 */
    0x74, 0xf2,                               /* je back */
    0xff, 0x05, 0x40, 0x00, 0x03, 0x00, 0xf4, /* inc dword [FLAG]; hlt */
};

static struct machine *new_machine(const struct model *const *its_models, unsigned model_count, const uint8_t *first,
                                   size_t first_bytes, const uint8_t *second, size_t second_bytes)
{
    struct machine_config config = {
        .ram_bytes = RAM_BYTES, .vcpus = VCPUS, .models = its_models, .model_count = model_count};
    struct machine *m;
    struct vcpu_regs r;
    struct diag d;

    if (machine_new(&config, &m, &d) != EMU_OK)
        fail_msg("%s", d.text);
    assert_true(memory_write(machine_memory(m), CODE, first, first_bytes));
    assert_true(memory_write(machine_memory(m), CODE + 0x100, second, second_bytes));
    for (unsigned v = 0; v < VCPUS; v++) {
        regs_init_protected32(&r, CODE + 0x100 * v);
        vcpu_set_regs(m, v, &r);
    }
    vcpu_start(m, 1);
    return m;
}
#define MACHINE_WITH(models, first, second)                                                                            \
    new_machine(models, COUNT(models), first, sizeof(first), second, sizeof(second))
#define MACHINE(first, second) MACHINE_WITH(models, first, second)

static void assert_hang(struct machine *m, const char *says)
{
    const struct verdict *v;

    machine_run(m, &(struct machine_limits){.steps_max = 60000000});
    v = machine_verdict(m);
    if (v->kind != VERDICT_FAIL || strcmp(v->detector, "hang") || !strstr(v->text, says))
        fail_msg("expected a hang that says '%s', got %s '%s'", says, verdict_kind_name(v->kind), v->text);
    machine_free(m);
}

static void vcpus_that_spin_in_turns_are_proved_to_hang(void **state)
{
    assert_hang(MACHINE(wait_for_flag, wait_for_flag), "all that the guest uses repeats");
}

static void a_wait_for_what_the_host_writes_is_no_hang(void **state)
{
    assert_hang(MACHINE(wait_for_clock, wait_for_flag), "nothing can ever wake any vCPU");
}

static void a_wait_for_the_tsc_is_no_hang(void **state)
{
    assert_hang(MACHINE(wait_for_tsc, wait_for_flag), "nothing can ever wake any vCPU");
}

/* vCPU 1 alone repeats itself, but vCPU 0 has only to be let run. */
static void a_vcpu_that_runs_alone_by_order_is_no_proof(void **state)
{
    static const uint8_t set_flag[] = {0xff, 0x05, 0x40, 0x00, 0x03, 0x00, 0xf4}; /* inc dword [FLAG]; hlt */
    struct machine *m = MACHINE(set_flag, wait_for_flag);
    const uint64_t nowhere = CODE + 0x300;

    assert_int_equal(machine_run(m, &(struct machine_limits){.steps_max = 2000000, .pinned = true, .vcpu = 1}),
                     MACHINE_STOPPED_STEPS);
    assert_int_equal(
        machine_run(
            m, &(struct machine_limits){.steps_max = 4000000, .pinned = true, .vcpu = 1, .until_rip_gva = nowhere}),
        MACHINE_STOPPED_NOT_RUNNABLE);
    assert_hang(m, "nothing can ever wake any vCPU");
}

static void timers_that_expire_in_vain_do_not_hide_a_hang(void **state)
{
    assert_hang(MACHINE_WITH(with_tick, wait_for_flag, wait_for_flag),
                "and each timer that is armed has expired in vain");
    assert_hang(MACHINE_WITH(with_tick, wait_for_flag, halt), "and each timer that is armed has expired in vain");
    assert_hang(
        MACHINE_WITH(with_tick, halt, halt),
        "nothing can ever wake any vCPU: vCPU 0 is halted (HLT with interrupts disabled), vCPU 1 is halted (HLT "
        "with interrupts disabled); each timer that is");
}

/* The late timer's NMI, without an IDT, is a triple fault: what counts is that the run was let go on to it. */
static void a_timer_that_is_yet_to_expire_is_waited_for(void **state)
{
    struct machine *m = MACHINE_WITH(with_late, halt, halt);

    machine_run(m, &(struct machine_limits){.steps_max = 60000000});
    assert_int_equal(clock_now_ns(m) / 1000000, LATE_NS / 1000000);
    assert_string_equal(machine_verdict(m)->detector, "crash");
    machine_free(m);
    m = MACHINE_WITH(with_late, wait_for_flag, wait_for_flag);
    machine_run(m, &(struct machine_limits){.steps_max = 60000000});
    assert_in_range(clock_now_ns(m), LATE_NS, LATE_NS + 1000);
    machine_free(m);
}

static void a_wait_for_what_a_timer_writes_is_no_hang(void **state)
{
    struct machine *m = MACHINE_WITH(with_counted, wait_for_ticks, wait_for_flag);

    machine_run(m, &(struct machine_limits){.steps_max = 60000000});
    assert_in_range(clock_now_ns(m), 40 * TICK_NS, 45 * TICK_NS);
    assert_string_equal(machine_verdict(m)->detector, "hang");
    assert_non_null(strstr(machine_verdict(m)->text, "nothing can ever wake any vCPU"));
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vcpus_that_spin_in_turns_are_proved_to_hang),
        cmocka_unit_test(a_wait_for_what_the_host_writes_is_no_hang),
        cmocka_unit_test(a_wait_for_the_tsc_is_no_hang),
        cmocka_unit_test(a_vcpu_that_runs_alone_by_order_is_no_proof),
        cmocka_unit_test(timers_that_expire_in_vain_do_not_hide_a_hang),
        cmocka_unit_test(a_timer_that_is_yet_to_expire_is_waited_for),
        cmocka_unit_test(a_wait_for_what_a_timer_writes_is_no_hang),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
