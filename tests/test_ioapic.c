/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/pc_machine.h"

#include "emu/base/count.h"
#include "models/pc/ioapic.h"
#include "models/pc/lapic.h"

static const struct model *const models[] = {&lapic_model, &ioapic_model};

#define LEVEL  (1u << 15)
#define MASKED (1u << 16)
#define IRR    (1u << 14)

static struct machine *machine(void)
{
    struct machine *m = pc_machine_new(2, models, 2);

    for (unsigned v = 0; v < 2; v++) {
        played_set_current(m, v);
        assert_int_equal(played_mmio_write(m, LAPIC_GPA + 0xf0, 4, 0x1ff), MODEL_DONE);
    }
    return m;
}

static void set(struct machine *m, unsigned index, uint32_t value)
{
    assert_int_equal(played_mmio_write(m, IOAPIC_GPA, 4, index), MODEL_DONE);
    assert_int_equal(played_mmio_write(m, IOAPIC_GPA + 0x10, 4, value), MODEL_DONE);
}

static uint32_t get(struct machine *m, unsigned index)
{
    uint64_t value = 0;

    assert_int_equal(played_mmio_write(m, IOAPIC_GPA, 4, index), MODEL_DONE);
    assert_int_equal(played_mmio_read(m, IOAPIC_GPA + 0x10, 4, &value), MODEL_DONE);
    return (uint32_t)value;
}

static void eoi(struct machine *m, unsigned vcpu)
{
    played_set_current(m, vcpu);
    assert_int_equal(played_mmio_write(m, LAPIC_GPA + 0xb0, 4, 0), MODEL_DONE);
}

static void its_registers_are_the_datasheets(void **state)
{
    struct machine *m = machine();

    assert_int_equal(get(m, 0), 0x01000000);
    assert_int_equal(get(m, 1), 47u << 16 | 0x11);
    assert_int_equal(get(m, 2), 0x01000000);
    assert_int_equal(get(m, 0x10), MASKED);
    assert_int_equal(get(m, 0x6f), 0);
    assert_int_equal(get(m, 0x70), 0); /* behind the last pin */
    assert_int_equal(get(m, 0xff), 0);
    set(m, 0, UINT32_MAX);
    assert_int_equal(get(m, 0), 0x0f000000);
    set(m, 0x6e, UINT32_MAX);
    set(m, 0x6f, UINT32_MAX);
    assert_int_equal(get(m, 0x6e), 0x1afff); /* delivery status and remote IRR are read-only */
    assert_int_equal(get(m, 0x6f), 0xff000000);
    set(m, 0x70, UINT32_MAX);
    set(m, 1, UINT32_MAX);
    assert_int_equal(get(m, 1), 47u << 16 | 0x11);
    machine_free(m);
}

static void an_edge_is_delivered_once_to_its_destination(void **state)
{
    struct machine *m = machine();

    set(m, 0x10 + 2 * 4 + 1, 2u << 24); /* APIC ID 2: vCPU 1 */
    set(m, 0x10 + 2 * 4, 0x44 | MASKED);
    ioapic_set_pin(m, 4, true); /* masked: lost */
    ioapic_set_pin(m, 4, false);
    set(m, 0x10 + 2 * 4, 0x44);
    assert_int_equal(played_pending_vector(m, 1), MODEL_NO_VECTOR);
    ioapic_set_pin(m, 4, true);
    ioapic_set_pin(m, 4, true);
    assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR);
    assert_int_equal(played_accept(m, 1), 0x44);
    eoi(m, 1);
    assert_int_equal(played_pending_vector(m, 1), MODEL_NO_VECTOR);
    machine_free(m);
}

static void a_level_waits_for_the_end_of_interrupt_and_asks_again(void **state)
{
    struct machine *m = machine();

    set(m, 0x10 + 2 * 11, 0x5b | LEVEL);
    ioapic_set_pin(m, 11, true);
    assert_int_equal(played_accept(m, 0), 0x5b);
    assert_int_equal(get(m, 0x10 + 2 * 11) & IRR, IRR);
    ioapic_set_pin(m, 11, false);
    ioapic_set_pin(m, 11, true); /* in service: not sent twice */
    eoi(m, 0);
    assert_int_equal(played_accept(m, 0), 0x5b);
    ioapic_set_pin(m, 11, false);
    eoi(m, 0);
    assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR);
    assert_int_equal(get(m, 0x10 + 2 * 11) & IRR, 0);
    machine_free(m);
}

static void unmasking_an_asserted_level_delivers_it(void **state)
{
    struct machine *m = machine();

    set(m, 0x10 + 2 * 5, 0x55 | LEVEL | MASKED);
    ioapic_set_pin(m, 5, true);
    assert_int_equal(played_pending_vector(m, 0), MODEL_NO_VECTOR);
    set(m, 0x10 + 2 * 5, 0x55 | LEVEL);
    assert_int_equal(played_pending_vector(m, 0), 0x55);
    machine_free(m);
}

static void only_xens_delivery_modes_are_delivered(void **state)
{
    static const struct {
        unsigned mode;
        bool nmi, offline;
        int vector;
    } rows[] = {{0, false, false, 0x60},
                {1, false, false, 0x60},
                {2, false, false, MODEL_NO_VECTOR},
                {3, false, false, MODEL_NO_VECTOR},
                {4, true, false, MODEL_NO_VECTOR},
                {5, false, false, MODEL_NO_VECTOR},
                {6, false, false, MODEL_NO_VECTOR},
                {7, false, false, MODEL_NO_VECTOR}};

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct machine *m = machine();

        set(m, 0x10, 0x60 | rows[i].mode << 8);
        ioapic_set_pin(m, 0, true);
        assert_int_equal(played_pending_vector(m, 0), rows[i].vector);
        assert_int_equal(vcpu_nmi_pending(m, 0), rows[i].nmi);
        assert_int_equal(vcpu_state(m, 0), rows[i].offline ? VCPU_OFFLINE : VCPU_RUNNABLE);
        machine_free(m);
    }
}

static uint64_t hostile_access(struct machine *m, uint64_t random)
{
    uint64_t value = 0;
    uint64_t value_random = random;
    unsigned bytes = 1u << (random & 3);

    assert_int_equal(played_mmio_write(m, IOAPIC_GPA + (random >> 8 & 0xff0), bytes, played_random(&value_random)),
                     MODEL_DONE);
    assert_int_equal(played_mmio_read(m, IOAPIC_GPA + (random >> 16 & 0xfff), bytes, &value), MODEL_DONE);
    if (bytes < 8)
        assert_int_equal(value >> 8 * bytes, 0);
    ioapic_set_pin(m, (random >> 32) % IOAPIC_PINS, random & 4);
    if (random & 0x100)
        eoi(m, 0);
    return value;
}

/* Delivery status, the reserved bits of an entry, and remote IRR of an edge are 0. */
static void hostile_end(struct machine *m)
{
    uint64_t value;

    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        uint32_t low, high;

        assert_int_equal(played_mmio_write(m, IOAPIC_GPA, 4, 0x10 + 2 * pin), MODEL_DONE);
        assert_int_equal(played_mmio_read(m, IOAPIC_GPA + 0x10, 4, &value), MODEL_DONE);
        low = (uint32_t)value;
        assert_int_equal(played_mmio_write(m, IOAPIC_GPA, 4, 0x11 + 2 * pin), MODEL_DONE);
        assert_int_equal(played_mmio_read(m, IOAPIC_GPA + 0x10, 4, &value), MODEL_DONE);
        high = (uint32_t)value;
        assert_int_equal(low & 0xfffe1000, 0);
        assert_int_equal(high & 0x00ffffff, 0);
        assert_true((low & LEVEL) || !(low & 1u << 14));
    }
    assert_int_equal(played_mmio_write(m, IOAPIC_GPA, 4, 0), MODEL_DONE);
    assert_int_equal(played_mmio_read(m, IOAPIC_GPA + 0x10, 4, &value), MODEL_DONE);
    assert_int_equal(value & ~0x0f000000ull, 0);
    assert_int_equal(played_mmio_read(m, IOAPIC_GPA + 0x1000, 4, &value), MODEL_NOT_MINE);
    assert_int_equal(played_mmio_read(m, IOAPIC_GPA - 4, 4, &value), MODEL_NOT_MINE);
}

static void hostile_accesses_leave_the_host_alone(void **state)
{
    static const struct pc_hostile h = {machine, hostile_access, hostile_end, .time_mask = 0xff, .vector_min = 16};

    pc_hostile_accesses(&h);
}

static void a_pvh_guest_has_none(void **state)
{
    struct machine *pvh = played_machine_new(1, models, 2);
    uint64_t value;

    assert_int_equal(played_mmio_read(pvh, IOAPIC_GPA, 4, &value), MODEL_NOT_MINE);
    assert_int_equal(played_mmio_write(pvh, IOAPIC_GPA, 4, 0), MODEL_NOT_MINE);
    machine_free(pvh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_registers_are_the_datasheets),
        cmocka_unit_test(an_edge_is_delivered_once_to_its_destination),
        cmocka_unit_test(a_level_waits_for_the_end_of_interrupt_and_asks_again),
        cmocka_unit_test(unmasking_an_asserted_level_delivers_it),
        cmocka_unit_test(only_xens_delivery_modes_are_delivered),
        cmocka_unit_test(hostile_accesses_leave_the_host_alone),
        cmocka_unit_test(a_pvh_guest_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
