/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/pc/lapic_state.h"

#include "emu/machine.h"
#include "emu/vcpu.h"

#define ICR_VECTOR          0xffu
#define ICR_LOGICAL         (1u << 11)
#define ICR_ASSERT          (1u << 14)
#define ICR_LEVEL           (1u << 15)
#define ICR_SHORTHAND_SHIFT 18

enum { SHORTHAND_NONE, SHORTHAND_SELF, SHORTHAND_ALL, SHORTHAND_OTHERS };

#define DFR_FLAT    0xfu /* bits 31:28 */
#define DFR_CLUSTER 0x0u

/* Xen 4.17 vlapic_init_sipi_one: INIT does nothing to a vCPU that is already reset, a SIPI nothing to one that is not.
 */
static void receive_init(struct machine *m, unsigned vcpu)
{
    struct lapic *l = lapic_of(m, vcpu);

    if (l->wait_for_sipi)
        return;
    lapic_reset_registers(m, vcpu);
    l->wait_for_sipi = 1;
    vcpu_reset(m, vcpu);
}

static void receive_startup(struct machine *m, unsigned vcpu, uint8_t vector)
{
    struct lapic *l = lapic_of(m, vcpu);

    if (!l->wait_for_sipi)
        return;
    l->wait_for_sipi = 0;
    vcpu_start_sipi(m, vcpu, vector);
}

void lapic_set_initialised(struct machine *m, unsigned vcpu)
{
    lapic_of(m, vcpu)->wait_for_sipi = 0;
}

bool lapic_waits_for_sipi(struct machine *m, unsigned vcpu)
{
    return lapic_of(m, vcpu)->wait_for_sipi;
}

static void receive(struct machine *m, unsigned vcpu, const struct bus_message *message)
{
    switch (message->delivery) {
    case BUS_FIXED:
    case BUS_LOWEST:
        lapic_raise(m, vcpu, message->vector, message->trigger);
        break;
    case BUS_NMI:
        vcpu_raise_nmi(m, vcpu);
        break;
    case BUS_INIT:
        receive_init(m, vcpu);
        break;
    case BUS_STARTUP:
        receive_startup(m, vcpu, message->vector);
        break;
    case BUS_SMI:    /* Xen 4.17 vlapic_accept_irq: "Ignoring guest SMI" */
    case BUS_EXTINT: /* the 8259 pair asks lapic_accepts_extint() instead of sending messages */
        break;
    }
}

/* SDM Vol. 3A, "Logical Destination Mode in x2APIC Mode"; Xen 4.17 vlapic_match_dest. What the manual says of logical
   broadcast (all ones) Xen does not do. */
static bool matches_x2apic(struct machine *m, unsigned vcpu, uint32_t destination, bool logical)
{
    uint32_t logical_id = lapic_x2apic_ldr(m, vcpu);

    if (!logical)
        return destination == UINT32_MAX || destination == lapic_id(vcpu);
    return logical_id >> 16 == destination >> 16 && (logical_id & destination & 0xffff) != 0;
}

/* SDM Vol. 3A, "Determining IPI Destination": physical and logical mode, flat and cluster model. Who is in x2APIC mode
   is not meant by 0xff. */
static bool matches(struct machine *m, unsigned vcpu, uint32_t destination, bool logical)
{
    const struct lapic *l = lapic_of(m, vcpu);
    uint8_t logical_id = (uint8_t)(l->ldr >> 24);

    if (lapic_is_x2apic(l))
        return matches_x2apic(m, vcpu, destination, logical);
    if (!logical)
        return destination == 0xff || destination == lapic_id(vcpu);
    destination &= 0xff;
    if (destination == 0xff)
        return true;
    switch (l->dfr >> 28) {
    case DFR_FLAT:
        return (logical_id & destination) != 0;
    case DFR_CLUSTER:
        return logical_id >> 4 == (int)(destination >> 4) && (logical_id & destination & 0xf) != 0;
    default:
        return false;
    }
}

/* Lowest priority: of the enabled LAPICs among `targets`, the one with the lowest processor priority, -1 if there is
   none. The manual leaves ties open; the lowest vCPU number keeps it a function of the state. */
static int lowest_of(struct machine *m, uint64_t targets)
{
    int best = -1;

    for (unsigned v = 0; v < machine_vcpus(m); v++)
        if ((targets >> v & 1) && lapic_is_enabled(m, v) &&
            (best < 0 ||
             lapic_processor_priority(lapic_of(m, v)) < lapic_processor_priority(lapic_of(m, (unsigned)best))))
            best = (int)v;
    return best;
}

static void deliver_to(struct machine *m, uint64_t targets, const struct bus_message *message)
{
    if (message->delivery == BUS_LOWEST) {
        int lowest = lowest_of(m, targets);

        if (lowest >= 0)
            receive(m, (unsigned)lowest, message);
        return;
    }
    for (unsigned v = 0; v < machine_vcpus(m); v++)
        if (targets >> v & 1)
            receive(m, v, message);
}

static uint64_t find_targets(struct machine *m, uint32_t destination, bool logical)
{
    uint64_t targets = 0;

    for (unsigned v = 0; v < machine_vcpus(m); v++)
        if (matches(m, v, destination, logical))
            targets |= 1ull << v;
    return targets;
}

void lapic_deliver(struct machine *m, const struct bus_message *message)
{
    deliver_to(m, find_targets(m, message->destination, message->logical), message);
}

bool lapic_would_reach(struct machine *m, const struct bus_message *message)
{
    uint64_t targets = find_targets(m, message->destination, message->logical);

    if (message->delivery == BUS_LOWEST) {
        int lowest = lowest_of(m, targets);

        targets = lowest < 0 ? 0 : 1ull << lowest;
    }
    for (unsigned v = 0; v < machine_vcpus(m); v++)
        if ((targets >> v & 1) && lapic_would_latch(m, v, message->delivery, message->vector))
            return true;
    return false;
}

void lapic_write_icr_low(struct machine *m, unsigned vcpu, uint32_t value)
{
    struct lapic *l = lapic_of(m, vcpu);
    unsigned vcpus = machine_vcpus(m);
    uint64_t all = vcpus == 64 ? UINT64_MAX : (1ull << vcpus) - 1, self = 1ull << vcpu, targets;
    const struct bus_message message = {.destination = lapic_is_x2apic(l) ? l->icr_high : l->icr_high >> 24,
                                        .logical = value & ICR_LOGICAL,
                                        .delivery = (value & LVT_MODE) >> LVT_MODE_SHIFT,
                                        .vector = value & ICR_VECTOR,
                                        .trigger = BUS_EDGE};

    l->icr_low = value & ICR_WRITABLE;
    if ((message.delivery == BUS_FIXED || message.delivery == BUS_LOWEST) &&
        message.vector < LAPIC_FIRST_LEGAL_VECTOR) {
        lapic_raise_error(m, vcpu, ESR_SEND_ILLEGAL_VECTOR);
        return;
    }
    /* INIT level de-assert only synchronised arbitration IDs, on processors before the Pentium 4. */
    if (message.delivery == BUS_INIT && (value & (ICR_LEVEL | ICR_ASSERT)) == ICR_LEVEL)
        return;
    switch (value >> ICR_SHORTHAND_SHIFT & 3) {
    case SHORTHAND_SELF:
        targets = self;
        break;
    case SHORTHAND_ALL:
        targets = all;
        break;
    case SHORTHAND_OTHERS:
        targets = all & ~self;
        break;
    default:
        targets = find_targets(m, message.destination, message.logical);
        break;
    }
    deliver_to(m, targets, &message);
}
