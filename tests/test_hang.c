/* Hangs of vCPUs that take turns while the host writes its time into memory at every switch. */
#include "tests/cmocka_tap.h"

#include <string.h>

#include "emu/machine.h"
#include "emu/model.h"
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
static const struct model *const models[] = {&clock_model};

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
/* The same by the TSC, whose bits 25 and up say 1 after 33.6 ms; the registers are as before at every look. */
static const uint8_t wait_for_tsc[] = {
    0x0f, 0x31,                               /* rdtsc */
    0xc1, 0xe8, 25,                           /* shr eax, 25 */
    0x85, 0xc0,                               /* test eax, eax */
    0xba, 0,    0,    0,    0,                /* mov edx, 0 */
    0x74, 0xf2,                               /* je back */
    0xff, 0x05, 0x40, 0x00, 0x03, 0x00, 0xf4, /* inc dword [FLAG]; hlt */
};

static struct machine *new_machine(const uint8_t *first, size_t first_bytes, const uint8_t *second, size_t second_bytes)
{
    struct machine_config config = {
        .ram_bytes = RAM_BYTES, .vcpus = VCPUS, .seed = 1, .models = models, .model_count = 1};
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
#define MACHINE(first, second) new_machine(first, sizeof(first), second, sizeof(second))

static void assert_hang(struct machine *m, const char *says)
{
    const struct verdict *v;

    machine_run(m, &(struct machine_limits){.steps_max = 20000000});
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vcpus_that_spin_in_turns_are_proved_to_hang),
        cmocka_unit_test(a_wait_for_what_the_host_writes_is_no_hang),
        cmocka_unit_test(a_wait_for_the_tsc_is_no_hang),
        cmocka_unit_test(a_vcpu_that_runs_alone_by_order_is_no_proof),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
