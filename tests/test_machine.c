/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The machine's promises, with small guests on the toy machine.
 */
#include "emu/base/count.h"
#include "emu/progress.h"
#include "tests/toy_machine.h"

/* ---- when interrupts are taken ---- */

static void sti_delays_an_interrupt_by_one_instruction(void **state)
{
    /* mov al, 0; out PORT_RAISE, al; sti; inc ecx; inc ecx; cli; hlt */
    struct machine *m = MACHINE(0xb0, 0, 0xe6, PORT_RAISE, 0xfb, 0x41, 0x41, 0xfa, 0xf4);

    run(m);
    assert_int_equal(taken(m, VECTOR), 1);
    assert_int_equal(interrupted_at(m), 6);
    machine_free(m);
}

static void sti_and_cli_in_a_row_let_nothing_in(void **state)
{
    struct machine *m = MACHINE(0xb0, 0, 0xe6, PORT_RAISE, 0xfb, 0xfa, 0x41, 0xf4);

    run(m);
    assert_int_equal(taken(m, VECTOR), 0);
    assert_verdict(m, VERDICT_FAIL, "nothing can ever wake any vCPU");
    machine_free(m);
}

static void mov_ss_delays_an_interrupt_and_an_nmi_by_one_instruction(void **state)
{
    /* sti; nop; mov eax, ss; then the vector or NMI comes with MOV SS as the next instruction */
    for (unsigned nmi = 0; nmi < 2; nmi++) {
        struct machine *m = MACHINE(0xfb, 0x90, 0x8c, 0xd0, 0x8e, 0xd0, 0x41, 0x41, 0xfa, 0xf4);

        assert_int_equal(run_to(m, 4), MACHINE_STOPPED_STEPS);
        if (nmi)
            vcpu_raise_nmi(m, 0);
        else
            raise_vector(m, 0);
        run(m);
        assert_int_equal(taken(m, nmi ? 2 : VECTOR), 1);
        assert_int_equal(interrupted_at(m), 7);
        machine_free(m);
    }
}

static void popf_lets_an_interrupt_in_at_once(void **state)
{
    /* push 0x202; mov al, 0; out PORT_RAISE, al; popf; inc ecx; cli; hlt */
    struct machine *m = MACHINE(0x68, 2, 2, 0, 0, 0xb0, 0, 0xe6, PORT_RAISE, 0x9d, 0x41, 0xfa, 0xf4);

    run(m);
    assert_int_equal(taken(m, VECTOR), 1);
    assert_int_equal(interrupted_at(m), 10);
    machine_free(m);
}

/* The device is accessed in the middle of a block at whose end the interrupt, which waits, is let in. */
static void a_device_access_before_popf_is_made_while_an_interrupt_waits(void **state)
{
    /* push 0x202; mov al, 0; out PORT_RAISE, al; inc ecx; mov edx, [WINDOW]; inc ecx; popf; inc ecx; cli; hlt */
    struct machine *m = MACHINE(0x68, 2, 2, 0, 0, 0xb0, 0, 0xe6, PORT_RAISE, 0x41, 0x8b, 0x15, 0, 0, 0xe0, 0xfe, 0x41,
                                0x9d, 0x41, 0xfa, 0xf4);

    run_to(m, 1000);
    assert_verdict(m, VERDICT_FAIL, "nothing can ever wake any vCPU");
    assert_int_equal(taken(m, VECTOR), 1);
    assert_int_equal(interrupted_at(m), 18);
    assert_int_equal(toy_of(m)->window_reads, 1);
    assert_int_equal(gpr(m, GPR_RCX), 3);
    machine_free(m);
}

static void a_popf_that_reads_a_device_lets_an_interrupt_in_at_once(void **state)
{
    /* mov al, 0; out PORT_RAISE, al; mov esp, WINDOW; popf; mov esp, STACK; inc ecx; ...: the device says 1, then 0x202
       of what it holds is IF */
    struct machine *m =
        MACHINE(0xb0, 0, 0xe6, PORT_RAISE, 0xbc, 0, 0, 0xe0, 0xfe, 0x9d, 0xbc, 0, 0, 4, 0, 0x41, 0xfa, 0xf4);

    toy_of(m)->window_reads = 0x201;
    run_to(m, 1000);
    /* The stack is the device: the delivery there leaves the model, at once behind POPF. */
    assert_int_equal(gpr(m, GPR_RSP), WINDOW + 4);
    assert_int_equal(gpr(m, GPR_RCX), 0);
    machine_free(m);
}

static void an_interrupt_that_is_masked_waits(void **state)
{
    struct machine *m = MACHINE(0xb0, 0, 0xe6, PORT_RAISE, 0x41, 0x41, 0x41, 0xfb, 0x90, 0x90, 0xfa, 0xf4);

    run(m);
    assert_int_equal(taken(m, VECTOR), 1);
    assert_int_equal(interrupted_at(m), 9);
    machine_free(m);
}

static void an_nmi_is_taken_with_interrupts_disabled(void **state)
{
    struct machine *m = MACHINE(0xb0, 0, 0xe6, PORT_NMI, 0x41, 0xf4);

    run(m);
    assert_int_equal(taken(m, 2), 1);
    assert_int_equal(interrupted_at(m), 4);
    machine_free(m);
}

static void nmis_are_blocked_until_iret_and_one_is_remembered(void **state)
{
    struct machine *m = MACHINE(0xb0, 0, 0xe6, PORT_NMI, 0x41, 0xf4);

    /* The handler: inc [counter]; cmp [counter], 1; jne 1f; three NMIs; inc edx; 1: iret. Were they not blocked, the
       second would come between OUT and INC EDX. */
    CODE_AT(m, HANDLERS + 128, 0xff, 0x05, 0x08, 0x00, 0x03, 0x00, 0x83, 0x3d, 0x08, 0x00, 0x03, 0x00, 0x01, 0x75, 0x07,
            0xe6, PORT_NMI, 0xe6, PORT_NMI, 0xe6, PORT_NMI, 0x42, 0xcf);
    run_to(m, 9);
    assert_int_equal(taken(m, 2), 1);
    run(m);
    assert_int_equal(taken(m, 2), 2);
    assert_int_equal(interrupted_at(m), 4);
    machine_free(m);
}

static void nmis_stay_blocked_while_the_handler_reads_a_device(void **state)
{
    struct machine *m = MACHINE(0xb0, 0, 0xe6, PORT_NMI, 0x41, 0xf4);

    /* The handler: mov [..], esp; inc [counter]; cmp [counter], 1; jne 1f; an NMI; 1: inc esi; mov edx, [WINDOW]; inc
       edi; iret. */
    CODE_AT(m, HANDLERS + 128, 0x89, 0x25, 0x00, 0x08, 0x03, 0x00, 0xff, 0x05, 0x08, 0x00, 0x03, 0x00, 0x83, 0x3d, 0x08,
            0x00, 0x03, 0x00, 0x01, 0x75, 0x02, 0xe6, PORT_NMI, 0x46, 0x8b, 0x15, 0, 0, 0xe0, 0xfe, 0x47, 0xcf);
    run_to(m, 1000);
    assert_int_equal(taken(m, 2), 2);
    assert_int_equal(toy_of(m)->window_reads, 2);
    assert_int_equal(word(m, DATA + 0x800), STACK - 12); /* the second is not taken within the first one's handler */
    machine_free(m);
}

static void a_rep_instruction_is_interrupted_between_iterations(void **state)
{
    /* sti; mov ecx, 1000; mov edi, 0x60000; mov eax, 1500; out PORT_TIMER, eax; rep stosb; cli; hlt */
    struct machine *m = MACHINE(0xfb, 0xb9, 0xe8, 3, 0, 0, 0xbf, 0, 0, 6, 0, 0xb8, 0xdc, 5, 0, 0, 0xe7, PORT_TIMER,
                                0xf3, 0xaa, 0xfa, 0xf4);
    uint8_t bytes[1001];

    /* The handler: keep ECX and EDI, iret. */
    CODE_AT(m, HANDLERS + 64 * VECTOR, 0x89, 0x0b, 0x89, 0x7b, 0x04, 0xcf);
    run(m);
    assert_int_equal(interrupted_at(m), 18);
    assert_in_range(word(m, DATA + 0x800), 1, 999);
    assert_int_equal(word(m, DATA + 0x800) + word(m, DATA + 0x804), 0x60000 + 1000);
    assert_int_equal(gpr(m, GPR_RCX), 0);
    assert_int_equal(gpr(m, GPR_RDI), 0x60000 + 1000);
    assert_true(memory_read(machine_memory(m), 0x60000, bytes, sizeof(bytes)));
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(bytes[i], 0xdc);
    assert_int_equal(bytes[1000], 0);
    machine_free(m);
}

static void a_timer_expires_at_the_first_boundary_at_or_after_its_deadline(void **state)
{
    /* mov eax, 1500; out PORT_TIMER, eax; sti; 1: pause; inc ecx; jmp 1b: boundaries are 41, 1 and 1 ns apart */
    struct machine *m = MACHINE(0xb8, 0xdc, 5, 0, 0, 0xe7, PORT_TIMER, 0xfb, 0xf3, 0x90, 0x41, 0xeb, 0xfb);

    for (uint32_t delay = 1500; delay < 1540; delay += 3) {
        struct vcpu_regs r;
        uint64_t armed_ns, before_ns, late;

        memset(toy_of(m), 0, sizeof(struct toy));
        init_regs(&r, 0);
        vcpu_set_regs(m, 0, &r);
        run_to(m, machine_steps(m) + 1);
        vcpu_set_gpr(m, GPR_RAX, delay);
        armed_ns = before_ns = clock_now_ns(m);
        while (!toy_of(m)->accepted && clock_now_ns(m) < armed_ns + 2000) {
            before_ns = clock_now_ns(m);
            run_to(m, machine_steps(m) + 1);
        }
        assert_int_equal(toy_of(m)->accepted, 1);
        late = toy_of(m)->expired_ns - armed_ns;
        assert_in_range(late, delay, delay + 40);
        assert_true(toy_of(m)->expired_ns == before_ns); /* not a boundary later */
    }
    machine_free(m);
}

/* ---- no step is made ---- */

/* A model that kicks the vCPU whenever it is asked what waits: there is always something to be looked at first. */
static int restless_pending(struct machine *m, unsigned vcpu)
{
    vcpu_kick(m, vcpu);
    return MODEL_NO_VECTOR;
}

static const struct model restless_model = {.name = "restless", .pending_vector = restless_pending};

static void a_run_that_makes_no_step_ends_as_our_error(void **state)
{
    static const struct model *const restless[] = {&restless_model};
    static const uint8_t code[] = {0x41, 0xf4};
    struct machine_config config = {.ram_bytes = RAM_BYTES, .vcpus = 1, .models = restless, .model_count = 1};
    struct machine *m;
    struct vcpu_regs r;
    struct diag d;

    assert_int_equal(machine_new(&config, &m, &d), EMU_OK);
    put(m, CODE, code, sizeof(code));
    init_regs(&r, 0);
    vcpu_set_regs(m, 0, &r);
    assert_int_equal(run_to(m, 1000), MACHINE_STOPPED_VERDICT);
    assert_verdict(
        m, VERDICT_ERROR,
        "the run makes no step: vCPU 0 (runnable) was to run 1000 times from its step 0, RIP 0x10000, and the "
        "CPU engine last stopped at a boundary; IF is 0, no interrupt waits");
    assert_int_equal(machine_verdict(m)->rip_gva, CODE);
    machine_free(m);
}

static void progress_is_a_step_or_time_that_passes(void **state)
{
    struct progress p = {0};
    uint64_t steps = 0, now_ns = 0;

    for (unsigned i = 0; i < 3 * PROGRESS_STARTS_MAX; i++) /* one of both every other turn */
        assert_true(progress_is_made(&p, steps += i % 4 == 0, now_ns += i % 4 == 2));
    for (unsigned i = 0; i < PROGRESS_STARTS_MAX - 2; i++)
        assert_true(progress_is_made(&p, steps, now_ns));
    assert_false(progress_is_made(&p, steps, now_ns));
    assert_true(progress_is_made(&p, steps + 1, now_ns));
}

/* ---- waiting ---- */

static void hlt_ends_with_an_interrupt_behind_it(void **state)
{
    /* sti; mov eax, 5000; out PORT_TIMER, eax; hlt; inc ecx; cli; hlt */
    struct machine *m = MACHINE(0xfb, 0xb8, 0x88, 0x13, 0, 0, 0xe7, PORT_TIMER, 0xf4, 0x41, 0xfa, 0xf4);

    run(m);
    assert_int_equal(taken(m, VECTOR), 1);
    assert_int_equal(interrupted_at(m), 9);
    assert_int_equal(gpr(m, GPR_RCX), 1);
    assert_verdict(m, VERDICT_FAIL, "HLT with interrupts disabled");
    machine_free(m);
}

static void hlt_with_interrupts_disabled_ends_with_an_nmi_only(void **state)
{
    struct machine *m = MACHINE(0x41, 0xf4, 0x41, 0xf4);

    run_to(m, 1);
    raise_vector(m, 0);
    run_to(m, 2);
    vcpu_raise_nmi(m, 0);
    run(m);
    assert_int_equal(taken(m, VECTOR), 0);
    assert_int_equal(taken(m, 2), 1);
    assert_int_equal(gpr(m, GPR_RCX), 2);
    machine_free(m);
}

static void sti_hlt_loses_no_interrupt_that_is_pending_already(void **state)
{
    struct machine *m = MACHINE(0xb0, 0, 0xe6, PORT_RAISE, 0xfb, 0xf4, 0x41, 0xfa, 0xf4);

    run(m);
    assert_int_equal(taken(m, VECTOR), 1);
    assert_int_equal(interrupted_at(m), 6); /* behind HLT, which the interrupt ended */
    assert_int_equal(gpr(m, GPR_RCX), 1);
    machine_free(m);
}

static void nobody_who_can_be_woken_is_a_hang(void **state)
{
    struct machine *m = MACHINE(0xfb, 0xf4);

    run(m);
    assert_verdict(m, VERDICT_FAIL, "nothing can ever wake any vCPU");
    assert_string_equal(machine_verdict(m)->detector, "hang");
    machine_free(m);
}

static void an_armed_timer_makes_waiting_no_hang(void **state)
{
    /* sti; 1: mov eax, 1000000; out PORT_TIMER, eax; hlt; jmp 1b */
    struct machine *m = MACHINE(0xfb, 0xb8, 0x40, 0x42, 0x0f, 0, 0xe7, PORT_TIMER, 0xf4, 0xeb, 0xf6);

    assert_int_equal(run_to(m, 20000), MACHINE_STOPPED_STEPS);
    assert_int_equal(machine_verdict(m)->kind, VERDICT_NONE);
    machine_free(m);
}

static void a_loop_whose_state_repeats_is_a_hang(void **state)
{
    struct machine *m = MACHINE(0x90, 0xeb, 0xfd);

    assert_int_equal(run_to(m, 2000000000), MACHINE_STOPPED_VERDICT);
    assert_verdict(m, VERDICT_FAIL, "the whole state repeats");
    machine_free(m);
}

static void a_loop_that_counts_is_none(void **state)
{
    struct machine *m = MACHINE(0xff, 0x03, 0xeb, 0xfc); /* 1: inc [ebx]; jmp 1b */

    assert_int_equal(run_to(m, 300000000), MACHINE_STOPPED_STEPS);
    assert_int_equal(machine_verdict(m)->kind, VERDICT_NONE);
    machine_free(m);
}

/* ---- several vCPUs ---- */

static void the_default_schedule_is_fair_to_three_vcpus(void **state)
{
    struct machine *m = new_machine(3);
    uint64_t least = UINT64_MAX, most = 0;

    /* mov al, 1; out PORT_START, al; mov al, 2; out PORT_START, al; 1: inc ecx; jmp 1b */
    CODE_AT(m, CODE, 0xb0, 1, 0xe6, PORT_START, 0xb0, 2, 0xe6, PORT_START, 0x41, 0xeb, 0xfd);
    CODE_AT(m, CODE + 0x1000, 0x41, 0xeb, 0xfd);
    CODE_AT(m, CODE + 0x2000, 0x41, 0xeb, 0xfd);
    assert_int_equal(run_to(m, 6000000), MACHINE_STOPPED_STEPS);
    for (unsigned v = 0; v < 3; v++) {
        uint64_t n = vcpu_position(m, v);

        least = n < least ? n : least;
        most = n > most ? n : most;
    }
    assert_in_range(least, 1800000, 2000000);
    assert_true(most - least <= 110000); /* a turn, 100 us */
    machine_free(m);
}

/* Eight vCPUs that spin; `body` is what each does after vCPU 0 has started them. */
static struct machine *eight_spin(const uint8_t *body, size_t bytes)
{
    struct machine *m = new_machine(8);

    for (unsigned v = 1; v < 8; v++) {
        const uint8_t start[] = {0xb0, (uint8_t)v, 0xe6, PORT_START}; /* mov al, v; out PORT_START, al */

        assert_true(memory_write(machine_memory(m), CODE + 4 * (v - 1), start, sizeof(start)));
        assert_true(memory_write(machine_memory(m), CODE + 0x1000 * v, body, bytes));
    }
    assert_true(memory_write(machine_memory(m), CODE + 28, body, bytes));
    return m;
}

static void nobody_is_away_for_longer_than_a_round(void **state)
{
    static const uint8_t count[] = {0x41, 0xeb, 0xfd}; /* 1: inc ecx; jmp 1b */
    struct machine *m = eight_spin(count, sizeof(count));
    uint64_t apart_max = 0;

    for (uint64_t steps = 1000000; steps < 3000000; steps += 10000) {
        uint64_t least = UINT64_MAX, most = 0;

        assert_int_equal(run_to(m, steps), MACHINE_STOPPED_STEPS);
        for (unsigned v = 1; v < 8; v++) { /* vCPU 0 had a turn of its own before the others were there */
            uint64_t n = vcpu_position(m, v);

            least = n < least ? n : least;
            most = n > most ? n : most;
        }
        apart_max = most - least > apart_max ? most - least : apart_max;
    }
    assert_in_range(apart_max, 45000, 55000); /* an eighth of 400 us, not a turn of 100 us */
    machine_free(m);
}

static void eight_that_spin_for_ever_hang(void **state)
{
    static const uint8_t spin[] = {0x90, 0xeb, 0xfd}; /* 1: nop; jmp 1b */
    struct machine *m = eight_spin(spin, sizeof(spin));

    assert_int_equal(run_to(m, 2000000000), MACHINE_STOPPED_VERDICT);
    assert_verdict(m, VERDICT_FAIL, "the whole state repeats");
    machine_free(m);
}

static void a_halted_vcpu_costs_the_others_no_turn(void **state)
{
    struct machine *m = new_machine(2);

    CODE_AT(m, CODE, 0xb0, 1, 0xe6, PORT_START, 0x41, 0xeb, 0xfd);
    CODE_AT(m, CODE + 0x1000, 0xf4);
    run_to(m, 1000000);
    assert_int_equal(vcpu_state(m, 1), VCPU_HALTED);
    assert_int_equal(vcpu_position(m, 1), 1);
    assert_int_equal(vcpu_position(m, 0), 999999);
    machine_free(m);
}

static void an_interrupt_wakes_another_vcpu(void **state)
{
    struct machine *m = new_machine(2);

    /* vCPU 0: start 1; spin until [DATA + 0x800] is set; raise at 1; then wait for [DATA + 0x804]; hlt.
       vCPU 1: mov [DATA + 0x800], 1; sti; hlt; mov [DATA + 0x804], 1; cli; hlt */
    CODE_AT(m, CODE, 0xb0, 1, 0xe6, PORT_START, 0x83, 0x3b, 0, 0x74, 0xfb, 0xe6, PORT_RAISE, 0x83, 0x7b, 4, 0, 0x74,
            0xfa, 0xf4);
    CODE_AT(m, CODE + 0x1000, 0xc7, 5, 0, 8, 3, 0, 1, 0, 0, 0, 0xfb, 0xf4, 0xc7, 5, 4, 8, 3, 0, 1, 0, 0, 0, 0xfa, 0xf4);
    run(m);
    assert_int_equal(taken(m, VECTOR), 1);
    assert_int_equal(word(m, DATA + 0x804), 1);
    assert_verdict(m, VERDICT_FAIL, "vCPU 1 is halted (HLT with interrupts disabled)");
    machine_free(m);
}

static void a_run_of_one_vcpu_ends_where_it_wakes_another_if_that_is_asked(void **state)
{
    struct machine_limits alone = {.pinned = true, .pinned_until_waits = true, .vcpu = 1, .steps_max = 1000};

    for (unsigned asked = 0; asked < 2; asked++) {
        struct machine *m = new_machine(2);

        /* vCPU 0: start 1; inc ecx, twice; raise at 1; 1: inc ecx; jmp 1b. vCPU 1: sti; hlt */
        CODE_AT(m, CODE, 0xb0, 1, 0xe6, PORT_START, 0x41, 0x41, 0xe6, PORT_RAISE, 0x41, 0xeb, 0xfd);
        CODE_AT(m, CODE + 0x1000, 0xfb, 0xf4);
        run_to(m, 2);
        alone.vcpu = 1;
        alone.until_runnable = 0;
        assert_int_equal(machine_run(m, &alone), MACHINE_STOPPED_NOT_RUNNABLE);
        assert_int_equal(vcpu_state(m, 1), VCPU_HALTED);
        alone.vcpu = 0;
        alone.until_runnable = asked << 1;
        assert_int_equal(machine_run(m, &alone), asked ? MACHINE_STOPPED_RUNNABLE : MACHINE_STOPPED_STEPS);
        assert_int_equal(vcpu_position(m, 0), asked ? 5 : 998);
        assert_int_equal(vcpu_state(m, 1), VCPU_RUNNABLE);
        machine_free(m);
    }
}

/* ---- the ends ---- */

static void a_triple_fault_is_a_crash_with_its_place(void **state)
{
    struct machine *m = MACHINE(0x41, 0x41, 0x0f, 0x0b); /* inc; inc; ud2 */
    struct vcpu_regs r;

    vcpu_get_regs(m, 0, &r);
    r.idtr.limit = 0;
    vcpu_set_regs(m, 0, &r);
    run(m);
    assert_verdict(m, VERDICT_FAIL, "triple fault");
    assert_string_equal(machine_verdict(m)->detector, "crash");
    assert_int_equal(machine_verdict(m)->rip_gva, CODE + 2);
    assert_int_equal(machine_verdict(m)->position, 2);
    machine_free(m);
}

static void what_no_model_knows_is_unmodelled_with_operands_and_place(void **state)
{
    static const struct {
        const char *says;
        uint8_t code[12];
        unsigned place; /* of the instruction */
    } rows[] = {
        {"IN from port 0x77, 1 byte", {0x41, 0xe4, 0x77}, 1},
        {"OUT of 0x12345678 to port 0x78, 4 bytes", {0xb8, 0x78, 0x56, 0x34, 0x12, 0xe7, 0x78}, 5},
        {"RDMSR of 0x345", {0xb9, 0x45, 3, 0, 0, 0x0f, 0x32}, 5},
        {"WRMSR of 0x600000000 to 0x345", {0xb9, 0x45, 3, 0, 0, 0xba, 6, 0, 0, 0, 0x0f, 0x30}, 10},
        {"CPUID leaf 0x10000, subleaf 0x0", {0xb8, 0, 0, 1, 0, 0x0f, 0xa2}, 5},
        {"a read of 4 bytes at guest-physical 0xfd000010", {0xa1, 0x10, 0, 0, 0xfd}, 0},
        {"a write of 0x0 (4 bytes) at guest-physical 0xfd000020", {0xa3, 0x20, 0, 0, 0xfd}, 0},
    };

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct machine *m = new_machine_with(rows[i].code, sizeof(rows[i].code));
        struct vcpu_regs r;

        vcpu_set_gpr(m, GPR_RAX, 0);
        run(m);
        assert_verdict(m, VERDICT_UNMODELLED, rows[i].says);
        assert_int_equal(machine_verdict(m)->vcpu, 0);
        assert_int_equal(machine_verdict(m)->rip_gva, CODE + rows[i].place);
        vcpu_get_regs(m, 0, &r); /* the state is that of the place */
        assert_int_equal(r.rip, CODE + rows[i].place);
        assert_int_equal(vcpu_position(m, 0), machine_verdict(m)->position);
        machine_free(m);
    }
}

static void a_hypercall_that_nobody_serves_is_an_invalid_opcode(void **state)
{
    struct machine *m = MACHINE(0x41, 0x0f, 0x01, 0xc1);

    run(m);
    assert_int_equal(taken(m, 6), 1);
    assert_int_equal(interrupted_at(m), 1);
    machine_free(m);
}

/* ---- instructions of the machine ---- */

static void msrs_are_read_and_written_and_a_refused_one_is_gp(void **state)
{
    /* mov ecx, MSR; mov eax, 0x11; mov edx, 0x22; wrmsr; xor eax, eax; cdq; rdmsr; inc ecx; wrmsr */
    struct machine *m = MACHINE(0xb9, 0x23, 1, 0, 0, 0xb8, 0x11, 0, 0, 0, 0xba, 0x22, 0, 0, 0, 0x0f, 0x30, 0x31, 0xc0,
                                0x99, 0x0f, 0x32, 0x41, 0x0f, 0x30);

    run(m);
    assert_int_equal(toy_of(m)->msr, 0x2200000011);
    assert_int_equal(gpr(m, GPR_RAX), 0x11);
    assert_int_equal(gpr(m, GPR_RDX), 0x22);
    assert_int_equal(taken(m, 13), 1);
    assert_int_equal(word(m, STACK - 16), 0); /* the error code */
    assert_int_equal(interrupted_at(m), 23);
    machine_free(m);
}

static void string_port_instructions_move_their_registers(void **state)
{
    /* mov edx, PORT_ECHO; mov edi, 0x60000; mov ecx, 5; rep insd; mov esi, 0x60000; mov ecx, 3; rep outsb; hlt */
    struct machine *m = MACHINE(0xba, PORT_ECHO, 0, 0, 0, 0xbf, 0, 0, 6, 0, 0xb9, 5, 0, 0, 0, 0xf3, 0x6d, 0xbe, 0, 0, 6,
                                0, 0xb9, 3, 0, 0, 0, 0xf3, 0x6e, 0xf4);

    toy_of(m)->echo = 0x80;
    run(m);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(word(m, 0x60000 + 4 * i), 0x80 + i);
    assert_int_equal(gpr(m, GPR_RDI), 0x60014);
    assert_int_equal(gpr(m, GPR_RSI), 0x60003);
    assert_int_equal(gpr(m, GPR_RCX), 0);
    assert_int_equal(toy_of(m)->echo, 0);
    assert_int_equal(machine_steps(m), 3 + 5 + 2 + 3 + 1);
    machine_free(m);
}

/* The destination is looked at before the port, which would not answer twice: the page fault's handler makes the second
   page present, and the instruction is made again. */
static void a_string_input_that_faults_has_not_read_the_port(void **state)
{
    /* mov edx, PORT_ECHO; mov edi, 0x5fffe; insd; hlt */
    struct machine *m = MACHINE(0xba, PORT_ECHO, 0, 0, 0, 0xbf, 0xfe, 0xff, 5, 0, 0x6d, 0xf4);
    const uint32_t directory = (TABLES + 0x1000) | 3;
    struct vcpu_regs r;

    for (uint32_t page = 0; page < 1024; page++) {
        uint32_t entry = page << 12 | (page == 0x60 ? 0 : 3);

        put(m, TABLES + 0x1000 + 4 * page, &entry, 4);
    }
    put(m, TABLES, &directory, 4);
    /* mov dword [its entry], 0x60003; add esp, 4; iret */
    CODE_AT(m, HANDLERS + 64 * 14, 0xc7, 0x05, 0x80, 0x11, 5, 0, 3, 0, 6, 0, 0x83, 0xc4, 4, 0xcf);
    vcpu_get_regs(m, 0, &r);
    r.cr3 = TABLES;
    r.cr0 |= CR0_PG;
    vcpu_set_regs(m, 0, &r);
    toy_of(m)->echo = 0x11223344;
    run(m);
    assert_int_equal(toy_of(m)->echo, 0x11223345);
    assert_int_equal(word(m, 0x5fffe), 0x11223344);
    assert_int_equal(gpr(m, GPR_RDI), 0x60002);
    machine_free(m);
}

/* The frame of a faulting SYSCALL or SYSENTER names its first byte, a prefix of it if there is one. */
static void a_refused_system_call_is_returned_to_at_its_first_byte(void **state)
{
    static const struct {
        const char *name;
        uint8_t code[8]; /* nop; inc ecx; and the instruction at 2 */
        unsigned vector;
    } rows[] = {
        {"sysenter", {0x90, 0x41, 0x0f, 0x34}, 13},
        {"66 sysenter", {0x90, 0x41, 0x66, 0x0f, 0x34}, 13},
        {"f2 66 sysenter", {0x90, 0x41, 0xf2, 0x66, 0x0f, 0x34}, 13},
        {"syscall", {0x90, 0x41, 0x0f, 0x05}, 6},
        {"66 syscall", {0x90, 0x41, 0x66, 0x0f, 0x05}, 6},
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        for (unsigned singly = 0; singly < 2; singly++) {
            struct machine *m = new_machine_with(rows[i].code, sizeof(rows[i].code));

            for (unsigned k = 0; singly && k < 4; k++)
                (void)run_to(m, machine_steps(m) + 1);
            run(m);
            if (taken(m, rows[i].vector) != 1 || interrupted_at(m) != 2)
                fail_msg("%s: exception %u taken %u times, at %u", rows[i].name, rows[i].vector,
                         taken(m, rows[i].vector), interrupted_at(m));
            machine_free(m);
        }
}

/* ---- user mode ---- */

/* IRET to ring 3 at CODE + 0x100; interrupts that the user may make: 0x80. */
#define TO_USER                                                                                                        \
    0x6a, 0x23, 0x68, 0x00, 0x00, 0x05, 0x00, 0x68, 0x02, 0x02, 0x00, 0x00, 0x6a, 0x1b, 0x68, 0x00, 0x01, 0x01, 0x00,  \
        0xcf

static void the_user_may_call_the_gate_that_is_his_and_no_other(void **state)
{
    struct machine *m = MACHINE(TO_USER);

    set_gate(m, 0x80, 3, true);
    CODE_AT(m, CODE + 0x100, 0xcd, 0x80, 0x41, 0xcd, 0x81, 0x41); /* int 0x80; inc ecx; int 0x81 */
    run(m);
    assert_int_equal(taken(m, 0x80), 1);
    assert_int_equal(taken(m, 0x81), 0);
    assert_int_equal(taken(m, 13), 1);
    assert_int_equal(gpr(m, GPR_RCX), 1);
    /* #GP(IDT entry 0x81) on the stack of the TSS: error code, EIP of the INT itself, CS, EFLAGS, ESP, SS. */
    assert_int_equal(word(m, STACK - 0x800 - 24), 0x81 * 8 + 2);
    assert_int_equal(word(m, STACK - 0x800 - 20), CODE + 0x103);
    assert_int_equal(word(m, STACK - 0x800 - 16), 0x1b);
    assert_int_equal(word(m, STACK - 0x800 - 8), 0x50000);
    assert_int_equal(word(m, STACK - 0x800 - 4), 0x23);
    machine_free(m);
}

static void the_user_gets_gp_for_what_is_privileged(void **state)
{
    static const uint8_t code[][2] = {{0xe4, PORT_ECHO}, {0xe6, PORT_ECHO}, {0x0f, 0x30}, {0x0f, 0x32}, {0xf4, 0},
                                      {0xfa, 0},         {0x0f, 0x06},      {0xec, 0},    {0x6e, 0}};

    for (unsigned i = 0; i < COUNT(code); i++) {
        struct machine *m = MACHINE(TO_USER);

        put(m, CODE + 0x100, code[i], 2);
        run(m);
        if (taken(m, 13) != 1)
            fail_msg("%02x %02x made no #GP", code[i][0], code[i][1]);
        assert_int_equal(word(m, STACK - 0x800 - 20), CODE + 0x100);
        machine_free(m);
    }
}

static void a_page_fault_has_its_address_and_error_code(void **state)
{
    /* Two levels, the first 4 MiB one to one for all, nothing behind: mov cr3; pse; paging on; write to 8 MiB */
    struct machine *m =
        MACHINE(0xb8, 0, 0, 5, 0, 0x0f, 0x22, 0xd8, 0x0f, 0x20, 0xe0, 0x83, 0xc8, 0x10, 0x0f, 0x22, 0xe0, 0x0f, 0x20,
                0xc0, 0x0d, 0, 0, 0, 0x80, 0x0f, 0x22, 0xc0, 0xa3, 0x34, 0x12, 0x80, 0);
    uint32_t entry = 0x87;
    struct vcpu_regs r;

    put(m, TABLES, &entry, 4);
    run(m);
    assert_int_equal(taken(m, 14), 1);
    assert_int_equal(word(m, STACK - 16), 2);
    assert_int_equal(interrupted_at(m), 28);
    vcpu_get_regs(m, 0, &r);
    assert_int_equal(r.cr2, 0x801234);
    machine_free(m);
}

static void software_interrupts_push_where_they_end_and_faults_where_they_begin(void **state)
{
    struct machine *m = MACHINE(0xcc, 0x41, 0xcd, 0x50, 0x0f, 0x0b); /* int3; inc ecx; int 0x50; ud2 */

    run_to(m, 2); /* INT3 and the delivery, or the like */
    assert_int_equal(interrupted_at(m), 1);
    run(m);
    assert_int_equal(taken(m, 3), 1);
    assert_int_equal(taken(m, 0x50), 1);
    assert_int_equal(taken(m, 6), 1);
    assert_int_equal(interrupted_at(m), 4);
    machine_free(m);
}

/* ---- determinism ---- */

/* A run with everything: two vCPUs, a timer that comes back, NMIs, ports, REP, code that changes itself. */
static struct machine *busy_machine(void)
{
    struct machine *m = new_machine(2);

    /* sti; start vCPU 1; timer in 700 ns; 1: inc [ebx]; mov ecx, 30; mov edi, 0x60000; rep stosd; inc byte of the code
       at 2; pause; 2: mov eax, 0; in PORT_ECHO; NMI to vCPU 1; jmp 1b */
    CODE_AT(m, CODE, 0xfb, 0xb0, 1, 0xe6, PORT_START, 0xb8, 0xbc, 2, 0, 0, 0xe7, PORT_TIMER, 0xff, 0x03, 0xb9, 30, 0, 0,
            0, 0xbf, 0, 0, 6, 0, 0xf3, 0xab, 0xfe, 0x05, 0x23, 0, 1, 0, 0xf3, 0x90, 0xb0, 0, 0xe4, PORT_ECHO, 0xb0, 1,
            0xe6, PORT_NMI, 0xeb, 0xe0);
    /* The handler arms the timer again: push eax; inc [counter]; mov eax, 5000; out; pop eax; iret */
    CODE_AT(m, HANDLERS + 64 * VECTOR, 0x50, 0xff, 0x05, 0, 1, 3, 0, 0xb8, 0x88, 0x13, 0, 0, 0xe7, PORT_TIMER, 0x58,
            0xcf);
    CODE_AT(m, CODE + 0x1000, 0xfb, 0x41, 0x83, 0xc2, 3, 0x0f, 0x31, 0x01, 0xc2, 0xeb, 0xf6);
    return m;
}

#define BUSY_STEPS 300000u

static void a_run_stopped_at_a_hundred_steps_ends_as_one_that_was_not(void **state)
{
    struct machine *whole = busy_machine(), *parts = busy_machine(); /* both live: nothing is shared */
    uint64_t at = 0, random = 12345;

    run_to(whole, BUSY_STEPS);
    assert_in_range(toy_of(whole)->accepted, 100, 1000000);
    assert_in_range(taken(whole, 2), 10, 1000000);
    for (unsigned i = 0; i < 100; i++) {
        random = random * 6364136223846793005ull + 1442695040888963407ull;
        at += 1 + (random >> 33) % (2 * (BUSY_STEPS / 100) - 1000);
        if (at < BUSY_STEPS)
            run_to(parts, at);
        if (i % 10 == 0)
            (void)machine_digest(parts); /* looking changes nothing */
    }
    run_to(parts, BUSY_STEPS);
    assert_int_equal(machine_steps(parts), machine_steps(whole));
    assert_int_equal(clock_now_ns(parts), clock_now_ns(whole));
    assert_int_equal(machine_digest(parts), machine_digest(whole));
    machine_free(whole);
    machine_free(parts);
}

static void one_step_at_a_time_is_the_same_run(void **state)
{
    struct machine *whole = busy_machine(), *steps = busy_machine();

    run_to(whole, 5000);
    for (unsigned n = 1; n <= 5000; n++)
        run_to(steps, n);
    assert_int_equal(clock_now_ns(steps), clock_now_ns(whole));
    assert_int_equal(machine_digest(steps), machine_digest(whole));
    machine_free(whole);
    machine_free(steps);
}

static void a_byte_more_in_memory_is_another_digest(void **state)
{
    struct machine *a = busy_machine(), *b = busy_machine();

    put(b, DATA + 0xf00, "x", 1);
    run_to(a, 1000);
    run_to(b, 1000);
    assert_int_not_equal(machine_digest(a), machine_digest(b));
    machine_free(a);
    machine_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sti_delays_an_interrupt_by_one_instruction),
        cmocka_unit_test(sti_and_cli_in_a_row_let_nothing_in),
        cmocka_unit_test(mov_ss_delays_an_interrupt_and_an_nmi_by_one_instruction),
        cmocka_unit_test(popf_lets_an_interrupt_in_at_once),
        cmocka_unit_test(a_device_access_before_popf_is_made_while_an_interrupt_waits),
        cmocka_unit_test(a_popf_that_reads_a_device_lets_an_interrupt_in_at_once),
        cmocka_unit_test(an_interrupt_that_is_masked_waits),
        cmocka_unit_test(an_nmi_is_taken_with_interrupts_disabled),
        cmocka_unit_test(nmis_are_blocked_until_iret_and_one_is_remembered),
        cmocka_unit_test(nmis_stay_blocked_while_the_handler_reads_a_device),
        cmocka_unit_test(a_rep_instruction_is_interrupted_between_iterations),
        cmocka_unit_test(a_timer_expires_at_the_first_boundary_at_or_after_its_deadline),
        cmocka_unit_test(a_run_that_makes_no_step_ends_as_our_error),
        cmocka_unit_test(progress_is_a_step_or_time_that_passes),
        cmocka_unit_test(hlt_ends_with_an_interrupt_behind_it),
        cmocka_unit_test(hlt_with_interrupts_disabled_ends_with_an_nmi_only),
        cmocka_unit_test(sti_hlt_loses_no_interrupt_that_is_pending_already),
        cmocka_unit_test(nobody_who_can_be_woken_is_a_hang),
        cmocka_unit_test(an_armed_timer_makes_waiting_no_hang),
        cmocka_unit_test(a_loop_whose_state_repeats_is_a_hang),
        cmocka_unit_test(a_loop_that_counts_is_none),
        cmocka_unit_test(the_default_schedule_is_fair_to_three_vcpus),
        cmocka_unit_test(nobody_is_away_for_longer_than_a_round),
        cmocka_unit_test(eight_that_spin_for_ever_hang),
        cmocka_unit_test(a_halted_vcpu_costs_the_others_no_turn),
        cmocka_unit_test(an_interrupt_wakes_another_vcpu),
        cmocka_unit_test(a_run_of_one_vcpu_ends_where_it_wakes_another_if_that_is_asked),
        cmocka_unit_test(a_triple_fault_is_a_crash_with_its_place),
        cmocka_unit_test(what_no_model_knows_is_unmodelled_with_operands_and_place),
        cmocka_unit_test(a_hypercall_that_nobody_serves_is_an_invalid_opcode),
        cmocka_unit_test(msrs_are_read_and_written_and_a_refused_one_is_gp),
        cmocka_unit_test(string_port_instructions_move_their_registers),
        cmocka_unit_test(a_string_input_that_faults_has_not_read_the_port),
        cmocka_unit_test(a_refused_system_call_is_returned_to_at_its_first_byte),
        cmocka_unit_test(the_user_may_call_the_gate_that_is_his_and_no_other),
        cmocka_unit_test(the_user_gets_gp_for_what_is_privileged),
        cmocka_unit_test(a_page_fault_has_its_address_and_error_code),
        cmocka_unit_test(software_interrupts_push_where_they_end_and_faults_where_they_begin),
        cmocka_unit_test(a_run_stopped_at_a_hundred_steps_ends_as_one_that_was_not),
        cmocka_unit_test(one_step_at_a_time_is_the_same_run),
        cmocka_unit_test(a_byte_more_in_memory_is_another_digest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
