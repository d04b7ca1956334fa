/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether an edge on a line would reach a vCPU is known before it is made: by each way, and not because something else
 * is pending.
 */
#include "tests/pc_machine.h"

#include "emu/base/count.h"
#include "emu/schedule.h"
#include "models/pc/ioapic.h"
#include "models/pc/irq.h"
#include "models/pc/lapic.h"
#include "models/pc/pic.h"

static const struct model *const models[] = {&pic_model, &lapic_model, &ioapic_model};

#define LINE      5
#define OTHER     6
#define HIGHER    1
#define BY_PIC    (0x30 + LINE)
#define BY_APIC   0x61
#define IN_FRONT  0x91
#define MASKED    (1u << 16)
#define LEVEL     (1u << 15)
#define LOWEST    (1u << 8)
#define NMI       (4u << 8)
#define TO_VCPU_1 (2u << 24)

#define LAPIC_EOI   0x0b0
#define LAPIC_SVR   0x0f0
#define LAPIC_LINT0 0x350

static void lapic_write(struct machine *m, unsigned vcpu, unsigned reg, uint32_t value)
{
    played_set_current(m, vcpu);
    assert_int_equal(played_mmio_write(m, LAPIC_GPA + reg, 4, value), MODEL_DONE);
    played_set_current(m, 0);
}

static void ioapic_entry(struct machine *m, unsigned pin, uint32_t low, uint32_t high)
{
    for (unsigned half = 2; half-- > 0;) {
        assert_int_equal(played_mmio_write(m, IOAPIC_GPA, 4, 0x10 + 2 * pin + half), MODEL_DONE);
        assert_int_equal(played_mmio_write(m, IOAPIC_GPA + 0x10, 4, half ? high : low), MODEL_DONE);
    }
}

/* Two vCPUs with their local APICs on; every line masked everywhere. */
static struct machine *quiet_machine(void)
{
    struct machine *m = pc_machine_new(2, models, 3);

    pc_program_pics(m, 0);
    out(m, 0x21, 0xff);
    out(m, 0xa1, 0xff);
    for (unsigned v = 0; v < 2; v++) {
        lapic_write(m, v, LAPIC_SVR, 0x1ff);
        played_set_state(m, v, VCPU_RUNNABLE);
    }
    return m;
}

static void nothing(struct machine *m)
{
}

static void pic_open(struct machine *m)
{
    out(m, 0x21, (uint8_t)~(1u << LINE | 1u << OTHER | 1u << HIGHER | 1u << 2));
    out(m, 0xa1, 0);
}

static void pic_open_and_pending(struct machine *m)
{
    pic_open(m);
    irq_pulse(m, LINE);
}

static void pic_open_and_in_service(struct machine *m)
{
    pic_open_and_pending(m);
    assert_int_equal(played_accept(m, 0), BY_PIC);
}

static void pic_open_behind_a_higher_one_in_service(struct machine *m)
{
    pic_open(m);
    irq_pulse(m, HIGHER);
    assert_int_equal(played_accept(m, 0), 0x30 + HIGHER);
}

static void pic_open_behind_a_pending_one(struct machine *m)
{
    pic_open(m);
    irq_pulse(m, HIGHER);
}

static void pic_open_with_its_level_high_and_its_mask_taken_away(struct machine *m)
{
    irq_set_level(m, LINE, true);
    pic_open(m);
}

static void pic_open_vcpu_0_offline(struct machine *m)
{
    pic_open(m);
    played_set_state(m, 0, VCPU_OFFLINE);
}

static void pic_open_and_the_pin_masked(struct machine *m)
{
    pic_open(m);
    lapic_write(m, 0, LAPIC_LINT0, MASKED | 7u << 8);
}

static void pic_open_and_the_pin_fixed(struct machine *m)
{
    pic_open(m);
    lapic_write(m, 0, LAPIC_LINT0, BY_APIC);
}

static void pic_open_the_pin_fixed_and_high(struct machine *m)
{
    pic_open_and_the_pin_fixed(m);
    irq_pulse(m, OTHER);
    assert_int_equal(played_accept(m, 0), BY_APIC);
    lapic_write(m, 0, LAPIC_EOI, 0);
}

/* The mistake that there was: something is pending, so the edge was said to have reached. */
static void masked_while_another_vector_is_pending(struct machine *m)
{
    lapic_raise(m, 1, IN_FRONT, BUS_EDGE);
}

static void apic_open(struct machine *m)
{
    ioapic_entry(m, LINE, BY_APIC, TO_VCPU_1);
}

static void apic_open_and_pending(struct machine *m)
{
    apic_open(m);
    irq_pulse(m, LINE);
}

static void apic_open_and_in_service(struct machine *m)
{
    apic_open_and_pending(m);
    assert_int_equal(played_accept(m, 1), BY_APIC);
}

static void apic_open_behind_a_higher_one_in_service(struct machine *m)
{
    apic_open(m);
    lapic_raise(m, 1, IN_FRONT, BUS_EDGE);
    assert_int_equal(played_accept(m, 1), IN_FRONT);
}

static void apic_open_behind_a_pending_one(struct machine *m)
{
    apic_open(m);
    lapic_raise(m, 1, IN_FRONT, BUS_EDGE);
}

static void apic_open_and_the_lapic_off(struct machine *m)
{
    apic_open(m);
    lapic_write(m, 1, LAPIC_SVR, 0xff);
}

static void apic_open_and_its_vcpu_offline(struct machine *m)
{
    apic_open(m);
    played_set_state(m, 1, VCPU_OFFLINE);
}

static void apic_level_not_in_service(struct machine *m)
{
    ioapic_entry(m, LINE, BY_APIC | LEVEL, TO_VCPU_1);
}

static void apic_level_whose_remote_irr_is_set(struct machine *m)
{
    apic_level_not_in_service(m);
    irq_set_level(m, LINE, true);
    assert_int_equal(played_accept(m, 1), BY_APIC);
}

static void apic_nmi(struct machine *m)
{
    ioapic_entry(m, LINE, NMI, TO_VCPU_1);
}

static void apic_nmi_pending(struct machine *m)
{
    apic_nmi(m);
    vcpu_raise_nmi(m, 1);
}

static void apic_lowest_of_both(struct machine *m)
{
    ioapic_entry(m, LINE, BY_APIC | LOWEST, 0xffu << 24);
}

static void apic_illegal_vector(struct machine *m)
{
    ioapic_entry(m, LINE, 0x0f, TO_VCPU_1);
}

static void apic_init(struct machine *m)
{
    ioapic_entry(m, LINE, BY_APIC | 5u << 8, TO_VCPU_1);
}

static const struct {
    const char *name;
    void (*prepare)(struct machine *m);
    unsigned line;
    bool reaches;
} rows[] = {
    {"masked everywhere", nothing, LINE, false},
    {"masked everywhere, while another vector is pending", masked_while_another_vector_is_pending, LINE, false},
    {"PIC: open", pic_open, LINE, true},
    {"PIC: open, of the second chip", pic_open, 12, true},
    {"PIC: the cascade", pic_open, 2, false},
    {"PIC: pending already", pic_open_and_pending, LINE, false},
    {"PIC: in service", pic_open_and_in_service, LINE, false},
    {"PIC: a lower one while this is in service", pic_open_and_in_service, OTHER, false},
    {"PIC: a higher one while this is in service", pic_open_and_in_service, HIGHER, true},
    {"PIC: one of the second chip, which is higher", pic_open_and_in_service, 12, true},
    {"PIC: a higher one is in service", pic_open_behind_a_higher_one_in_service, LINE, false},
    {"PIC: a higher one is pending", pic_open_behind_a_pending_one, LINE, true},
    {"PIC: the line is high, and its edge was before the mask", pic_open_with_its_level_high_and_its_mask_taken_away,
     LINE, false},
    {"PIC: vCPU 0 is offline", pic_open_vcpu_0_offline, LINE, false},
    {"PIC: LINT0 is masked", pic_open_and_the_pin_masked, LINE, false},
    {"PIC: LINT0 is a fixed interrupt", pic_open_and_the_pin_fixed, LINE, true},
    {"PIC: LINT0 is a fixed interrupt and high already", pic_open_the_pin_fixed_and_high, LINE, false},
    {"IO-APIC: open", apic_open, LINE, true},
    {"IO-APIC: pending already", apic_open_and_pending, LINE, false},
    {"IO-APIC: in service", apic_open_and_in_service, LINE, false},
    {"IO-APIC: a higher one is in service", apic_open_behind_a_higher_one_in_service, LINE, false},
    {"IO-APIC: a higher one is pending", apic_open_behind_a_pending_one, LINE, true},
    {"IO-APIC: the local APIC is off", apic_open_and_the_lapic_off, LINE, false},
    {"IO-APIC: its vCPU is offline", apic_open_and_its_vcpu_offline, LINE, false},
    {"IO-APIC: a level", apic_level_not_in_service, LINE, true},
    {"IO-APIC: a level in service", apic_level_whose_remote_irr_is_set, LINE, false},
    {"IO-APIC: an NMI", apic_nmi, LINE, true},
    {"IO-APIC: an NMI that is pending already", apic_nmi_pending, LINE, false},
    {"IO-APIC: the lowest priority of all", apic_lowest_of_both, LINE, true},
    {"IO-APIC: an illegal vector", apic_illegal_vector, LINE, false},
    {"IO-APIC: INIT", apic_init, LINE, false},
};

static void it_is_known_whether_an_edge_would_reach(void **state)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct machine *m = quiet_machine();
        uint64_t before;

        rows[i].prepare(m);
        before = machine_digest(m);
        if (irq_would_reach(m, rows[i].line) != rows[i].reaches)
            fail_msg("%s: said that it %s", rows[i].name, rows[i].reaches ? "does not reach" : "reaches");
        assert_int_equal(machine_digest(m), before);
        machine_free(m);
    }
}

static void a_line_that_does_not_reach_is_refused_and_nothing_changes(void **state)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct machine *m = quiet_machine();
        struct decision d = {.kind = DECISION_IRQ, .value = rows[i].line};
        enum model_answer answer;
        uint64_t before;
        struct diag diag;

        diag_init(&diag);
        rows[i].prepare(m);
        before = machine_digest(m);
        answer = ioapic_model.host_act(m, &d, &diag);
        if (answer != (rows[i].reaches ? MODEL_DONE : MODEL_REFUSED))
            fail_msg("%s: %s", rows[i].name, answer == MODEL_DONE ? "was done" : diag.text);
        if (!rows[i].reaches && machine_digest(m) != before)
            fail_msg("%s: was refused, and has changed the machine", rows[i].name);
        machine_free(m);
    }
}

/* What reaches comes to be taken. */
static void what_would_reach_is_taken(void **state)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct machine *m = quiet_machine();
        bool taken = false;

        rows[i].prepare(m);
        if (!rows[i].reaches) {
            machine_free(m);
            continue;
        }
        irq_pulse(m, rows[i].line);
        for (unsigned v = 0; v < 2 && !taken; v++) {
            int vector, ours = rows[i].line < 8 ? 0x30 + (int)rows[i].line : 0x38 + (int)rows[i].line - 8;

            taken = vcpu_nmi_pending(m, v);
            while (!taken && (vector = played_pending_vector(m, v)) != MODEL_NO_VECTOR) {
                assert_int_equal(played_accept(m, v), vector);
                taken = vector == ours || vector == BY_APIC;
                lapic_write(m, v, LAPIC_EOI, 0);
                out(m, 0x20, 0x20);
            }
        }
        if (!taken)
            fail_msg("%s: was not taken", rows[i].name);
        machine_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_known_whether_an_edge_would_reach),
        cmocka_unit_test(a_line_that_does_not_reach_is_refused_and_nothing_changes),
        cmocka_unit_test(what_would_reach_is_taken),
    };

    return cmocka_run_group_tests_name("irq", tests, NULL, NULL);
}
