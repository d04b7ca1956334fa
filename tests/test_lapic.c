/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/base/count.h"
#include "tests/cmocka_tap.h"
#include "tests/pc_machine.h"

#include "models/pc/ioapic.h"
#include "models/pc/lapic.h"
#include "models/processor.h"

#define ID        0x020
#define VERSION   0x030
#define TPR       0x080
#define PPR       0x0a0
#define EOI       0x0b0
#define LDR       0x0d0
#define DFR       0x0e0
#define SVR       0x0f0
#define ISR       0x100
#define IRR       0x200
#define ESR       0x280
#define ICR       0x300
#define ICR_HIGH  0x310
#define LVT_TIMER 0x320
#define LVT_LINT0 0x350
#define LVT_LINT1 0x360
#define LVT_ERROR 0x370
#define INITIAL   0x380
#define CURRENT   0x390
#define DIVIDE    0x3e0

#define MSR_APIC_BASE    0x1b
#define MSR_TSC_DEADLINE 0x6e0

static const struct model *const models[] = {&lapic_model, &ioapic_model};

static uint32_t reg(struct machine *m, unsigned vcpu, unsigned offset)
{
    uint64_t value = 0;

    played_set_current(m, vcpu);
    assert_int_equal(played_mmio_read(m, LAPIC_GPA + offset, 4, &value), MODEL_DONE);
    return (uint32_t)value;
}

static void set(struct machine *m, unsigned vcpu, unsigned offset, uint32_t value)
{
    played_set_current(m, vcpu);
    assert_int_equal(played_mmio_write(m, LAPIC_GPA + offset, 4, value), MODEL_DONE);
}

/* A machine whose LAPICs are enabled as an operating system leaves them. */
static struct machine *enabled(unsigned vcpus)
{
    struct machine *m = played_machine_new(vcpus, models, 2);

    for (unsigned v = 0; v < vcpus; v++) {
        set(m, v, SVR, 0x1ff);
        set(m, v, DFR, 0xffffffff);
        set(m, v, LDR, v < 8 ? 1u << (24 + v) : 0);
    }
    return m;
}

static void after_reset_it_is_as_the_manual_says(void **state)
{
    static const struct {
        unsigned offset;
        uint32_t value;
    } rows[] = {
        {ID, 2u << 24},
        {VERSION, 0x50014},
        {TPR, 0},
        {PPR, 0},
        {LDR, 0},
        {DFR, 0xffffffff},
        {SVR, 0xff},
        {ESR, 0},
        {ICR, 0},
        {ICR_HIGH, 0},
        {INITIAL, 0},
        {CURRENT, 0},
        {LVT_TIMER, 0x10000},
        {LVT_LINT0, 0x10000},
        {0x330, 0x10000},
        {LVT_ERROR, 0x10000},
    };
    struct machine *m = played_machine_new(2, models, 2);
    uint64_t base;

    for (unsigned i = 0; i < COUNT(rows); i++)
        assert_int_equal(reg(m, 1, rows[i].offset), rows[i].value);
    played_set_current(m, 0);
    assert_int_equal(played_msr_read(m, MSR_APIC_BASE, &base), MODEL_DONE);
    assert_int_equal(base, 0xfee00900);
    played_set_current(m, 1);
    assert_int_equal(played_msr_read(m, MSR_APIC_BASE, &base), MODEL_DONE);
    assert_int_equal(base, 0xfee00800);
    machine_free(m);
}

static void the_highest_vector_above_the_priority_is_delivered_until_eoi(void **state)
{
    struct machine *m = enabled(1);

    lapic_raise(m, 0, 0x31, BUS_EDGE);
    lapic_raise(m, 0, 0x55, BUS_EDGE);
    lapic_raise(m, 0, 0x52, BUS_EDGE);
    assert_int_equal(played_accept(m, 0), 0x55);
    assert_int_equal(reg(m, 0, PPR), 0x50);
    assert_int_equal(reg(m, 0, ISR + 0x20), 1u << 0x15);
    /* 0x52 is of the same class as what is in service */
    assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR);
    set(m, 0, EOI, 0);
    assert_int_equal(played_accept(m, 0), 0x52);
    set(m, 0, EOI, 0);
    assert_int_equal(played_accept(m, 0), 0x31);
    set(m, 0, EOI, 0);
    assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR);
    assert_int_equal(reg(m, 0, PPR), 0);
    machine_free(m);
}

static void the_task_priority_holds_back_its_class_and_below(void **state)
{
    static const struct {
        uint32_t tpr;
        uint8_t vector;
        bool delivered;
    } rows[] = {{0x00, 0x10, true},  {0x1f, 0x1f, false}, {0x3f, 0x40, true},
                {0x40, 0x4f, false}, {0xf0, 0xff, false}, {0xe0, 0xf0, true}};

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct machine *m = enabled(1);

        set(m, 0, TPR, rows[i].tpr);
        lapic_raise(m, 0, rows[i].vector, BUS_EDGE);
        assert_int_equal(played_pending_vector(m, 0), rows[i].delivered ? rows[i].vector : MODEL_NO_VECTOR);
        set(m, 0, TPR, 0);
        assert_int_equal(played_pending_vector(m, 0), rows[i].vector);
        machine_free(m);
    }
}

static void a_disabled_lapic_takes_no_vector_but_takes_nmi(void **state)
{
    struct machine *m = played_machine_new(1, models, 2);

    lapic_raise(m, 0, 0x40, BUS_EDGE);
    set(m, 0, SVR, 0x1ff);
    assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR);
    set(m, 0, SVR, 0xff);
    set(m, 0, ICR, 0x40400); /* NMI to self */
    assert_true(vcpu_nmi_pending(m, 0));
    machine_free(m);
}

/* Which of four vCPUs an IPI reaches, by ICR and destination; flat logical IDs 1, 2, 4, 8. */
static void an_ipi_reaches_its_destination(void **state)
{
    static const struct {
        uint32_t high, low;
        unsigned reached; /* bit v */
    } rows[] = {
        {2u << 24, 0x00050, 0x2},                       /* physical: APIC ID 2 */
        {6u << 24, 0x00050, 0x8},                       /* physical: APIC ID 6 */
        {1u << 24, 0x00050, 0x0},                       /* nobody has an odd ID */
        {0xffu << 24, 0x00050, 0xf},                    /* physical broadcast */
        {0x5u << 24, 0x00850, 0x5},                     /* logical flat */
        {0xffu << 24, 0x00850, 0xf},                    /* logical broadcast */
        {0, 0x00850, 0x0},           {0, 0x40050, 0x1}, /* self */
        {0, 0x80050, 0xf},                              /* all */
        {0, 0xc0050, 0xe},                              /* all but self */
        {0xeu << 24, 0x00950, 0x2},                     /* lowest priority of 1 to 3: a tie, the first */
    };

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct machine *m = enabled(4);
        unsigned reached = 0;

        set(m, 0, ICR_HIGH, rows[i].high);
        set(m, 0, ICR, rows[i].low);
        for (unsigned v = 0; v < 4; v++)
            if (played_pending_vector(m, v) == 0x50)
                reached |= 1u << v;
        assert_int_equal(reached, rows[i].reached);
        assert_int_equal(reg(m, 0, ICR) & 0x1000, 0);
        machine_free(m);
    }
}

static void cluster_model_compares_the_cluster_then_the_bits(void **state)
{
    struct machine *m = enabled(4);

    for (unsigned v = 0; v < 4; v++) {
        set(m, v, DFR, 0x0fffffff);
        set(m, v, LDR, (v / 2) << 28 | 1u << (24 + v % 2)); /* clusters 0 and 1, two members each */
    }
    set(m, 0, ICR_HIGH, 0x13u << 24);
    set(m, 0, ICR, 0x850);
    assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR);
    assert_int_equal(played_pending_vector(m, 1), MODEL_NO_VECTOR);
    assert_int_equal(played_pending_vector(m, 2), 0x50);
    assert_int_equal(played_pending_vector(m, 3), 0x50);
    machine_free(m);
}

static void lowest_priority_goes_to_the_least_busy(void **state)
{
    struct machine *m = enabled(3);

    set(m, 0, TPR, 0x80);
    set(m, 1, TPR, 0x20);
    set(m, 2, TPR, 0x30);
    set(m, 0, ICR_HIGH, 0xffu << 24);
    set(m, 0, ICR, 0x990);
    assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR);
    assert_int_equal(played_pending_vector(m, 1), 0x90);
    assert_int_equal(played_pending_vector(m, 2), MODEL_NO_VECTOR);
    machine_free(m);
}

/* The linear address of the next instruction of a vCPU that runs. */
static uint64_t started_at(struct machine *m, unsigned vcpu)
{
    const struct vcpu_regs *r = played_regs(m, vcpu);

    assert_int_equal(vcpu_state(m, vcpu), VCPU_RUNNABLE);
    return r->seg[SEG_CS].base + r->rip;
}

static void init_and_sipi_start_a_vcpu_once(void **state)
{
    struct machine *m = enabled(2);

    set(m, 0, ICR_HIGH, 2u << 24);
    set(m, 0, ICR, 0x0c500); /* INIT assert: already waiting, nothing happens */
    assert_int_equal(played_fact_count(m), 0);
    set(m, 0, ICR, 0x08500); /* INIT de-assert */
    set(m, 0, ICR, 0x00699);
    assert_int_equal(started_at(m, 1), 0x99000);
    assert_int_equal(vcpu_state(m, 1), VCPU_RUNNABLE);
    set(m, 0, ICR, 0x00642); /* the second SIPI */
    assert_int_equal(started_at(m, 1), 0x99000);

    set(m, 1, TPR, 0x20);
    set(m, 0, ICR, 0x0c500);
    assert_int_equal(played_regs(m, 1)->rip, 0xfff0);
    assert_int_equal(vcpu_state(m, 1), VCPU_OFFLINE);
    assert_int_equal(reg(m, 1, TPR), 0);
    assert_int_equal(reg(m, 1, SVR), 0xff);
    set(m, 0, ICR, 0x00642);
    assert_int_equal(started_at(m, 1), 0x42000);
    machine_free(m);
}

static void a_vcpu_initialised_by_hypercall_ignores_sipi_until_init(void **state)
{
    struct machine *m = enabled(2);

    lapic_set_initialised(m, 1);
    set(m, 0, ICR_HIGH, 2u << 24);
    set(m, 0, ICR, 0x00699);
    assert_int_equal(vcpu_state(m, 1), VCPU_OFFLINE);
    set(m, 0, ICR, 0x0c500);
    assert_true(lapic_waits_for_sipi(m, 1));
    set(m, 0, ICR, 0x00699);
    assert_int_equal(started_at(m, 1), 0x99000);
    machine_free(m);
}

static void illegal_vectors_and_registers_are_errors(void **state)
{
    struct machine *m = enabled(2);

    set(m, 0, LVT_ERROR, 0xfe);
    set(m, 0, ICR_HIGH, 2u << 24);
    set(m, 0, ICR, 0x0f); /* send */
    assert_int_equal(reg(m, 0, ESR), 0);
    set(m, 0, ESR, 0);
    assert_int_equal(reg(m, 0, ESR), 1u << 5);
    assert_int_equal(played_accept(m, 0), 0xfe);
    set(m, 0, EOI, 0);

    lapic_raise(m, 0, 0x0f, BUS_EDGE); /* receive */
    (void)reg(m, 0, 0x40);             /* reserved register */
    set(m, 0, ESR, 0);
    assert_int_equal(reg(m, 0, ESR), 1u << 6 | 1u << 7);
    set(m, 0, ESR, 0);
    assert_int_equal(reg(m, 0, ESR), 0);

    set(m, 0, LVT_ERROR, 0x05); /* an error vector that is illegal itself */
    (void)reg(m, 0, 0x40);
    set(m, 0, ESR, 0);
    assert_int_equal(reg(m, 0, ESR), 1u << 6 | 1u << 7);
    machine_free(m);
}

static void a_one_shot_timer_fires_once_at_count_times_divisor(void **state)
{
    static const struct {
        uint32_t divide;
        unsigned divisor;
    } rows[] = {{0x0, 2}, {0x1, 4}, {0x2, 8}, {0x3, 16}, {0x8, 32}, {0x9, 64}, {0xa, 128}, {0xb, 1}};

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct machine *m = enabled(1);
        uint64_t total_ns = 1000ull * 10 * rows[i].divisor;

        set(m, 0, LVT_TIMER, 0xec);
        set(m, 0, DIVIDE, rows[i].divide);
        set(m, 0, INITIAL, 1000);
        assert_int_equal(reg(m, 0, CURRENT), 1000);
        played_advance(m, total_ns / 4);
        assert_int_equal(reg(m, 0, CURRENT), 750);
        played_advance_to(m, total_ns - 1);
        assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR);
        played_advance_to(m, total_ns);
        assert_int_equal(played_accept(m, 0), 0xec);
        set(m, 0, EOI, 0);
        assert_int_equal(reg(m, 0, CURRENT), 0);
        assert_int_equal(timer_next_ns(m), TIMER_NEVER);
        machine_free(m);
    }
}

static void a_periodic_timer_does_not_drift_and_masking_keeps_it_running(void **state)
{
    struct machine *m = enabled(1);

    set(m, 0, LVT_TIMER, 0x200ec);
    set(m, 0, DIVIDE, 0xb);
    set(m, 0, INITIAL, 100000); /* 1 ms */
    for (unsigned i = 1; i <= 3; i++) {
        played_advance_to(m, i * 1000000ull);
        assert_int_equal(played_accept(m, 0), 0xec);
        set(m, 0, EOI, 0);
    }
    set(m, 0, LVT_TIMER, 0x300ec);
    played_advance_to(m, 4500000);
    assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR);
    assert_int_equal(reg(m, 0, CURRENT), 50000);
    set(m, 0, LVT_TIMER, 0x200ec);
    played_advance_to(m, 5000000);
    assert_int_equal(played_pending_vector(m, 0), 0xec);
    set(m, 0, INITIAL, 0);
    assert_int_equal(timer_next_ns(m), TIMER_NEVER);
    set(m, 0, INITIAL, 1); /* 10 ns is lengthened to 100 us */
    assert_int_equal(timer_next_ns(m), 5100000);
    machine_free(m);
}

static void the_tsc_deadline_fires_at_its_tick_and_clears(void **state)
{
    struct machine *m = enabled(1);
    uint64_t value;

    assert_int_equal(played_msr_write(m, MSR_TSC_DEADLINE, 500), MODEL_DONE); /* ignored in another mode */
    assert_int_equal(timer_next_ns(m), TIMER_NEVER);
    set(m, 0, LVT_TIMER, 0x400ec);
    set(m, 0, INITIAL, 77); /* ignored in this mode */
    assert_int_equal(reg(m, 0, INITIAL), 0);
    assert_int_equal(played_msr_write(m, MSR_TSC_DEADLINE, 500), MODEL_DONE);
    assert_int_equal(played_msr_read(m, MSR_TSC_DEADLINE, &value), MODEL_DONE);
    assert_int_equal(value, 500);
    played_advance_to(m, 500);
    assert_int_equal(played_accept(m, 0), 0xec);
    set(m, 0, EOI, 0);
    assert_int_equal(played_msr_read(m, MSR_TSC_DEADLINE, &value), MODEL_DONE);
    assert_int_equal(value, 0);
    assert_int_equal(played_msr_write(m, MSR_TSC_DEADLINE, 400), MODEL_DONE); /* the past */
    assert_int_equal(played_accept(m, 0), 0xec);
    set(m, 0, EOI, 0);
    assert_int_equal(played_msr_write(m, MSR_TSC_DEADLINE, 900), MODEL_DONE);
    assert_int_equal(played_msr_write(m, MSR_TSC_DEADLINE, 0), MODEL_DONE);
    assert_int_equal(timer_next_ns(m), TIMER_NEVER);
    assert_int_equal(played_msr_write(m, MSR_TSC_DEADLINE, 900), MODEL_DONE);
    set(m, 0, LVT_TIMER, 0xec); /* leaving the mode disarms */
    assert_int_equal(timer_next_ns(m), TIMER_NEVER);
    machine_free(m);
}

/* What drives a pin is outside: it stays high over INIT, which is no new edge, and a level entry finds it so. */
static void init_does_not_release_the_local_pins(void **state)
{
    struct machine *m = enabled(2);

    lapic_set_initialised(m, 1);
    lapic_set_lint(m, 1, 0, true);
    set(m, 0, ICR_HIGH, 2u << 24);
    set(m, 0, ICR, 0x0c500);
    assert_int_equal(vcpu_state(m, 1), VCPU_OFFLINE);
    set(m, 1, SVR, 0x1ff);
    set(m, 1, LVT_LINT0, 0x45); /* fixed, edge */
    lapic_set_lint(m, 1, 0, true);
    assert_int_equal(played_pending_vector(m, 1), MODEL_NO_VECTOR);
    set(m, 1, LVT_LINT0, 0x8045); /* fixed, level */
    assert_int_equal(played_pending_vector(m, 1), 0x45);
    machine_free(m);
}

static void the_local_pins_do_what_their_entries_say(void **state)
{
    struct machine *m = enabled(2);

    lapic_set_lint(m, 0, 1, true); /* masked */
    lapic_set_lint(m, 0, 1, false);
    assert_false(vcpu_nmi_pending(m, 0));
    set(m, 0, LVT_LINT1, 0x400);
    lapic_set_lint(m, 0, 1, true);
    lapic_set_lint(m, 0, 1, true); /* no edge */
    assert_true(vcpu_nmi_pending(m, 0));

    assert_false(lapic_accepts_extint(m, 0));
    set(m, 0, LVT_LINT0, 0x700);
    assert_true(lapic_accepts_extint(m, 0));
    set(m, 1, LVT_LINT0, 0x700); /* the pair is wired to vCPU 0 only */
    assert_false(lapic_accepts_extint(m, 1));

    set(m, 0, LVT_LINT0, 0x8045); /* fixed, level */
    lapic_set_lint(m, 0, 0, true);
    assert_int_equal(played_accept(m, 0), 0x45);
    set(m, 0, EOI, 0);
    assert_int_equal(played_accept(m, 0), 0x45); /* still asserted */
    lapic_set_lint(m, 0, 0, false);
    set(m, 0, EOI, 0);
    assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR);
    machine_free(m);
}

static void software_disabling_masks_the_local_vectors(void **state)
{
    struct machine *m = enabled(1);

    set(m, 0, LVT_LINT0, 0x700);
    set(m, 0, SVR, 0xff);
    assert_int_equal(reg(m, 0, LVT_LINT0), 0x10700);
    set(m, 0, LVT_LINT0, 0x700); /* the mask can't be taken away meanwhile */
    assert_int_equal(reg(m, 0, LVT_LINT0), 0x10700);
    machine_free(m);
}

static struct machine *machine_with(const char *processor, unsigned vcpus)
{
    static struct processor chosen;
    static const struct platform_config platform = {.processor = &chosen};
    struct diag d;

    assert_int_equal(processor_parse(processor, &chosen, &d), EMU_OK);
    return pc_machine_new_platform(vcpus, models, 2, &platform);
}

static void the_base_register_refuses_what_xen_refuses(void **state)
{
    static const struct {
        uint64_t value;
        enum model_answer answer;
    } rows[] = {
        {0xfee00900, MODEL_DONE},
        {0xfee00800, MODEL_DONE},
        {0xfee00d00, MODEL_FAULT_GP},
        {0xfec00900, MODEL_FAULT_GP},
        {0xfee00901, MODEL_FAULT_GP},
        {0xfee00b00, MODEL_FAULT_GP},
        {0xff000000fee00900, MODEL_FAULT_GP},
        {0xfee00100, MODEL_DONE},
    };
    struct machine *m = machine_with("intel,-x2apic", 1);
    uint64_t value;

    for (unsigned i = 0; i < COUNT(rows); i++)
        assert_int_equal(played_msr_write(m, MSR_APIC_BASE, rows[i].value), rows[i].answer);
    /* The last one disabled it: nothing claims the window, its state is lost. */
    assert_int_equal(played_mmio_read(m, LAPIC_GPA + SVR, 4, &value), MODEL_DONE);
    assert_int_equal(value, 0xffffffff);
    assert_int_equal(played_mmio_write(m, LAPIC_GPA + TPR, 4, 0x50), MODEL_DONE);
    assert_int_equal(played_msr_write(m, MSR_APIC_BASE, 0xfee00900), MODEL_DONE);
    assert_int_equal(reg(m, 0, SVR), 0xff);
    assert_int_equal(reg(m, 0, TPR), 0);
    assert_int_equal(played_msr_read(m, 0x802, &value), MODEL_FAULT_GP);
    assert_int_equal(played_msr_write(m, 0x8ff, 0), MODEL_FAULT_GP);
    assert_int_equal(played_msr_read(m, 0x900, &value), MODEL_NOT_MINE);
    machine_free(m);
}

static uint64_t x2apic(struct machine *m, unsigned vcpu, unsigned offset)
{
    uint64_t value = 0;

    played_set_current(m, vcpu);
    assert_int_equal(played_msr_read(m, 0x800 + (offset >> 4), &value), MODEL_DONE);
    return value;
}

static void enter_x2apic(struct machine *m, unsigned vcpu)
{
    uint64_t base;

    played_set_current(m, vcpu);
    assert_int_equal(played_msr_read(m, MSR_APIC_BASE, &base), MODEL_DONE);
    assert_int_equal(played_msr_write(m, MSR_APIC_BASE, base | 0x400), MODEL_DONE);
}

static void x2apic_mode_keeps_the_registers_and_shows_the_whole_id(void **state)
{
    struct machine *m = enabled(VCPUS_MAX);
    uint64_t value;

    set(m, 20, TPR, 0x35);
    enter_x2apic(m, 20);
    assert_int_equal(x2apic(m, 20, TPR), 0x35);
    assert_int_equal(x2apic(m, 20, SVR), 0x1ff);
    assert_int_equal(x2apic(m, 20, ID), 40);
    assert_int_equal(x2apic(m, 20, LDR), 0x20100); /* cluster 2, member 8 */
    assert_int_equal(played_mmio_read(m, LAPIC_GPA + TPR, 4, &value), MODEL_DONE);
    assert_int_equal(value, 0xffffffff);
    assert_int_equal(played_mmio_write(m, LAPIC_GPA + TPR, 4, 0), MODEL_DONE);
    assert_int_equal(x2apic(m, 20, TPR), 0x35);
    set(m, 0, ICR_HIGH, 40u << 24);
    set(m, 0, ICR, 0x4610); /* a SIPI, so that INIT does something */
    set(m, 0, ICR, 0x4500); /* INIT does not end it */
    assert_int_equal(x2apic(m, 20, TPR), 0);
    assert_int_equal(x2apic(m, 20, LDR), 0x20100);
    machine_free(m);
}

/* vCPUs 0 and 1 are in x2APIC mode, 2 and 3 in xAPIC mode with logical IDs 4 and 8; vCPU 0 sends. */
static void an_ipi_of_32_bits_reaches_its_destination(void **state)
{
    static const struct {
        uint32_t destination, low;
        unsigned reached; /* bit v */
    } rows[] = {
        {2, 0x00050, 0x2},          {4, 0x00050, 0x4},          {0x102, 0x00050, 0x0},   {0xff, 0x00050, 0xc},
        {0xffffffff, 0x00050, 0x3}, {0x5, 0x00850, 0x7},        {0x10005, 0x00850, 0x4}, {0, 0x40050, 0x1},
        {0, 0x80050, 0xf},          {0xff000004, 0x00050, 0x0}, {0, 0xc0050, 0xe},
    };

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct machine *m = enabled(4);
        unsigned reached = 0;

        enter_x2apic(m, 0);
        enter_x2apic(m, 1);
        played_set_current(m, 0);
        assert_int_equal(played_msr_write(m, 0x830, (uint64_t)rows[i].destination << 32 | rows[i].low), MODEL_DONE);
        for (unsigned v = 0; v < 4; v++)
            if (played_pending_vector(m, v) == 0x50)
                reached |= 1u << v;
        if (reached != rows[i].reached)
            fail_msg("row %u reached 0x%x, not 0x%x", i, reached, rows[i].reached);
        machine_free(m);
    }
}

static void odd_accesses_are_bytes_of_a_register_or_nobodys(void **state)
{
    struct machine *m = enabled(2);
    uint64_t value = 0;

    played_set_current(m, 1);
    assert_int_equal(played_mmio_read(m, LAPIC_GPA + ID + 3, 1, &value), MODEL_DONE);
    assert_int_equal(value, 2);
    assert_int_equal(played_mmio_read(m, LAPIC_GPA + ID + 2, 2, &value), MODEL_DONE);
    assert_int_equal(value, 0x200);
    assert_int_equal(played_mmio_read(m, LAPIC_GPA + ID + 4, 4, &value), MODEL_DONE);
    assert_int_equal(value, 0);
    assert_int_equal(played_mmio_read(m, LAPIC_GPA + ID + 1, 4, &value), MODEL_NOT_MINE);
    assert_int_equal(played_mmio_read(m, LAPIC_GPA + ID, 8, &value), MODEL_NOT_MINE);
    assert_int_equal(played_mmio_write(m, LAPIC_GPA + TPR + 3, 2, 0), MODEL_NOT_MINE);
    assert_int_equal(played_mmio_read(m, LAPIC_GPA - 1, 1, &value), MODEL_NOT_MINE);
    assert_int_equal(played_mmio_read(m, LAPIC_GPA + 0x1000, 1, &value), MODEL_NOT_MINE);
    assert_int_equal(played_mmio_read(m, UINT64_MAX, 1, &value), MODEL_NOT_MINE);
    assert_int_equal(played_mmio_write(m, LAPIC_GPA + ICR_HIGH + 3, 1, 0x02), MODEL_DONE);
    assert_int_equal(reg(m, 1, ICR_HIGH), 0x02000000);
    machine_free(m);
}

static void a_halted_vcpu_wakes_when_its_vector_comes(void **state)
{
    struct machine *m = enabled(1);

    set(m, 0, TPR, 0x50);
    vcpu_halt(m, 0, "HLT");
    lapic_raise(m, 0, 0x40, BUS_EDGE);
    assert_false(machine_give_turn(m, 0));
    lapic_raise(m, 0, 0x60, BUS_EDGE);
    assert_true(machine_give_turn(m, 0));
    machine_free(m);
}

/* Anything may be written anywhere in any size: no access may hurt the host. */
static uint64_t hostile_access(struct machine *m, uint64_t r)
{
    uint64_t gpa = LAPIC_GPA + (r >> 8 & 0xfff), value = 0, state = r, written = played_random(&state);
    unsigned bytes = 1u << (r & 3);

    played_set_current(m, r >> 48 & 63);
    if (r & 4)
        (void)!played_mmio_write(m, r & 8 ? gpa & ~0xfull : gpa, bytes, written);
    else
        (void)!played_mmio_read(m, gpa, bytes, &value);
    if (bytes < 8)
        assert_int_equal(value >> 8 * bytes, 0);
    return value;
}

/* What each register may hold; the rest is reserved. SDM Vol. 3A, the figures of the registers. */
static void hostile_end(struct machine *m)
{
    static const struct {
        unsigned offset;
        uint32_t may;
    } rows[] = {
        {ID, 0xff000000},     {TPR, 0xff},          {PPR, 0xff},       {EOI, 0},
        {LDR, 0xff000000},    {SVR, 0x3ff},         {ISR, 0xffff0000}, {0x180, 0xffff0000},
        {IRR, 0xffff0000},    {ESR, 0xe0},          {ICR, 0xccfff},    {ICR_HIGH, 0xff000000},
        {LVT_TIMER, 0x710ff}, {0x330, 0x117ff},     {0x340, 0x117ff},  {LVT_LINT0, 0x1f7ff},
        {LVT_LINT1, 0x1f7ff}, {LVT_ERROR, 0x110ff}, {DIVIDE, 0xb},
    };

    for (unsigned v = 0; v < VCPUS_MAX; v++) {
        for (size_t i = 0; i < COUNT(rows); i++)
            assert_int_equal(reg(m, v, rows[i].offset) & ~rows[i].may, 0);
        assert_int_equal(reg(m, v, DFR) & 0x0fffffff, 0x0fffffff);
        assert_int_equal(reg(m, v, VERSION), 0x00050014);
    }
}

/* Any MSR of x2APIC mode, and ways into it and out of it. */
static uint64_t hostile_msr(struct machine *m, uint64_t r)
{
    uint32_t msr = r & 0x30 ? 0x800 + (r >> 8 & 0x3f) : MSR_APIC_BASE;
    uint64_t value = 0, state = r, written = played_random(&state);

    played_set_current(m, r >> 48 & 63);
    if (msr == MSR_APIC_BASE)
        written = 0xfee00000 | (written & 0xd00);
    else if (r & 8)
        written &= 0xff;
    return r & 4 ? (uint64_t)played_msr_write(m, msr, written) : (uint64_t)played_msr_read(m, msr, &value) + value;
}

static void hostile_msr_end(struct machine *m)
{
    unsigned in_mode = 0;

    for (unsigned v = 0; v < VCPUS_MAX; v++) {
        uint64_t base;

        played_set_current(m, v);
        assert_int_equal(played_msr_read(m, MSR_APIC_BASE, &base), MODEL_DONE);
        assert_int_equal(base & ~0xd00ull, 0xfee00000);
        if (!(base & 0x400))
            continue;
        in_mode++;
        assert_int_equal(x2apic(m, v, ID), 2 * v);
        assert_int_equal(x2apic(m, v, TPR) & ~0xffull, 0);
        assert_int_equal(x2apic(m, v, SVR) & ~0x3ffull, 0);
        assert_int_equal(x2apic(m, v, ICR) & 0xfff33000, 0);
    }
    assert_true(in_mode > 0);
}

static struct machine *hostile_machine(void)
{
    return played_machine_new(VCPUS_MAX, models, 2);
}

static void hostile_accesses_leave_the_host_alone(void **state)
{
    static const struct pc_hostile h = {hostile_machine, hostile_access, hostile_end, .time_mask = 0xffff,
                                        .vector_min = 16};

    pc_hostile_accesses(&h);
}

static void hostile_accesses_by_msr_leave_the_host_alone(void **state)
{
    static const struct pc_hostile h = {hostile_machine, hostile_msr, hostile_msr_end, .time_mask = 0xffff,
                                        .vector_min = 16};

    pc_hostile_accesses(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(after_reset_it_is_as_the_manual_says),
        cmocka_unit_test(the_highest_vector_above_the_priority_is_delivered_until_eoi),
        cmocka_unit_test(the_task_priority_holds_back_its_class_and_below),
        cmocka_unit_test(a_disabled_lapic_takes_no_vector_but_takes_nmi),
        cmocka_unit_test(an_ipi_reaches_its_destination),
        cmocka_unit_test(cluster_model_compares_the_cluster_then_the_bits),
        cmocka_unit_test(lowest_priority_goes_to_the_least_busy),
        cmocka_unit_test(init_and_sipi_start_a_vcpu_once),
        cmocka_unit_test(a_vcpu_initialised_by_hypercall_ignores_sipi_until_init),
        cmocka_unit_test(illegal_vectors_and_registers_are_errors),
        cmocka_unit_test(a_one_shot_timer_fires_once_at_count_times_divisor),
        cmocka_unit_test(a_periodic_timer_does_not_drift_and_masking_keeps_it_running),
        cmocka_unit_test(the_tsc_deadline_fires_at_its_tick_and_clears),
        cmocka_unit_test(the_local_pins_do_what_their_entries_say),
        cmocka_unit_test(init_does_not_release_the_local_pins),
        cmocka_unit_test(software_disabling_masks_the_local_vectors),
        cmocka_unit_test(the_base_register_refuses_what_xen_refuses),
        cmocka_unit_test(x2apic_mode_keeps_the_registers_and_shows_the_whole_id),
        cmocka_unit_test(an_ipi_of_32_bits_reaches_its_destination),
        cmocka_unit_test(odd_accesses_are_bytes_of_a_register_or_nobodys),
        cmocka_unit_test(a_halted_vcpu_wakes_when_its_vector_comes),
        cmocka_unit_test(hostile_accesses_leave_the_host_alone),
        cmocka_unit_test(hostile_accesses_by_msr_leave_the_host_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
