/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/pc/ioapic.h"

#include <assert.h>

#include "emu/base/ensure.h"
#include "emu/machine.h"
#include "emu/schedule.h"
#include "models/pc/bus.h"
#include "models/pc/irq.h"
#include "models/pc/pc.h"

/* Datasheet, "Memory Mapped Registers for Accessing IOAPIC Registers" and "IOAPIC Registers". */
#define WINDOW_SELECT 0x00
#define WINDOW_DATA   0x10
#define SELECT_MAX    0xffu

enum { REG_ID = 0x00, REG_VERSION = 0x01, REG_ARBITRATION = 0x02, REG_REDIRECTION = 0x10 };

/* No end-of-interrupt register yet. Xen's VIOAPIC_VERSION_ID. */
#define VERSION  0x11u
#define ID_SHIFT 24
#define ID_MASK  (0xfu << ID_SHIFT)

#define ENTRY_DELIVERY_SHIFT    8
#define ENTRY_LOGICAL           (1ull << 11)
#define ENTRY_STATUS            (1ull << 12) /* read-only, always idle */
#define ENTRY_REMOTE_IRR        (1ull << 14) /* read-only */
#define ENTRY_LEVEL             (1ull << 15)
#define ENTRY_MASKED            (1ull << 16)
#define ENTRY_DESTINATION_SHIFT 56
#define ENTRY_WRITABLE          (0xff0000000001ffffull & ~(ENTRY_STATUS | ENTRY_REMOTE_IRR))

struct ioapic_state {
    uint64_t entries[IOAPIC_PINS];
    uint64_t pins; /* levels */
    uint32_t id;
    uint32_t select;
};
static_assert(IOAPIC_PINS < 64, "a bit for each pin");

static struct ioapic_state *state_of(struct machine *m)
{
    return machine_model_state(m, &ioapic_model);
}

/* What the entry sends; false if nothing. INIT and SIPI by a pin are not Xen's to do: vioapic_deliver knows fixed,
   lowest priority and NMI. */
static bool message_of(uint64_t entry, struct bus_message *message)
{
    *message = (struct bus_message){.destination = (uint8_t)(entry >> ENTRY_DESTINATION_SHIFT),
                                    .logical = entry & ENTRY_LOGICAL,
                                    .delivery = entry >> ENTRY_DELIVERY_SHIFT & 7,
                                    .vector = entry & 0xff,
                                    .trigger = entry & ENTRY_LEVEL ? BUS_LEVEL : BUS_EDGE};
    return message->delivery == BUS_FIXED || message->delivery == BUS_LOWEST || message->delivery == BUS_NMI;
}

static void deliver(struct machine *m, unsigned pin)
{
    struct bus_message message;

    if (message_of(state_of(m)->entries[pin], &message))
        bus_send(m, &message);
}

/* A level that is asserted, unmasked and not in service yet. */
static void deliver_level(struct machine *m, unsigned pin)
{
    struct ioapic_state *s = state_of(m);
    uint64_t *entry = &s->entries[pin];

    if (!(s->pins >> pin & 1) || (*entry & (ENTRY_LEVEL | ENTRY_MASKED | ENTRY_REMOTE_IRR)) != ENTRY_LEVEL)
        return;
    *entry |= ENTRY_REMOTE_IRR;
    deliver(m, pin);
}

/* The polarity bit has no effect, as in Xen: a line is asserted or not. An edge on a masked pin is lost. */
void ioapic_set_pin(struct machine *m, unsigned pin, bool level)
{
    struct ioapic_state *s = state_of(m);
    bool was;

    ensure(pin < IOAPIC_PINS);
    was = s->pins >> pin & 1;
    if (level)
        s->pins |= 1ull << pin;
    else
        s->pins &= ~(1ull << pin);
    if (!level || was)
        return;
    if (s->entries[pin] & ENTRY_LEVEL)
        deliver_level(m, pin);
    else if (!(s->entries[pin] & ENTRY_MASKED))
        deliver(m, pin);
}

bool ioapic_would_reach(struct machine *m, unsigned pin)
{
    struct bus_message message;
    uint64_t entry;

    ensure(pin < IOAPIC_PINS);
    entry = state_of(m)->entries[pin];
    if ((entry & ENTRY_MASKED) || (entry & (ENTRY_LEVEL | ENTRY_REMOTE_IRR)) == (ENTRY_LEVEL | ENTRY_REMOTE_IRR))
        return false;
    return message_of(entry, &message) && bus_would_reach(m, &message);
}

void ioapic_end_of_interrupt(struct machine *m, uint8_t vector)
{
    struct ioapic_state *s = state_of(m);

    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        if ((s->entries[pin] & ENTRY_LEVEL) && (s->entries[pin] & 0xff) == vector) {
            s->entries[pin] &= ~ENTRY_REMOTE_IRR;
            deliver_level(m, pin);
        }
}

static uint32_t read_data(const struct ioapic_state *s)
{
    unsigned index = s->select - REG_REDIRECTION;

    switch (s->select) {
    case REG_ID:
    case REG_ARBITRATION:
        return s->id;
    case REG_VERSION:
        return (IOAPIC_PINS - 1) << 16 | VERSION;
    default:
        if (s->select < REG_REDIRECTION || index / 2 >= IOAPIC_PINS)
            return 0;
        return (uint32_t)(s->entries[index / 2] >> (index % 2 * 32));
    }
}

static void write_entry(struct machine *m, unsigned index, uint32_t value)
{
    uint64_t *entry = &state_of(m)->entries[index / 2];
    unsigned shift = index % 2 * 32;
    uint64_t writable = ENTRY_WRITABLE & (uint64_t)UINT32_MAX << shift;

    *entry = (*entry & ~writable) | ((uint64_t)value << shift & writable);
    /* Remote IRR means something for levels only. */
    if (!(*entry & ENTRY_LEVEL))
        *entry &= ~ENTRY_REMOTE_IRR;
    deliver_level(m, index / 2);
}

static void write_data(struct machine *m, uint32_t value)
{
    struct ioapic_state *s = state_of(m);
    unsigned index = s->select - REG_REDIRECTION;

    if (s->select == REG_ID)
        s->id = value & ID_MASK;
    else if (s->select >= REG_REDIRECTION && index / 2 < IOAPIC_PINS)
        write_entry(m, index, value);
}

static bool is_mine(const struct machine *m, uint64_t gpa)
{
    return gpa >= IOAPIC_GPA && gpa - IOAPIC_GPA < IOAPIC_WINDOW_BYTES && pc_is_present(m);
}

/* Xen decodes the low byte of the address and takes any size as the low part of the register. */
static enum model_answer ioapic_mmio_read(struct machine *m, unsigned vcpu, uint64_t gpa, unsigned bytes,
                                          uint64_t *value)
{
    const struct ioapic_state *s = state_of(m);
    uint32_t reg = 0;

    if (!is_mine(m, gpa))
        return MODEL_NOT_MINE;
    if ((gpa & 0xff) == WINDOW_SELECT)
        reg = s->select;
    else if ((gpa & 0xff) == WINDOW_DATA)
        reg = read_data(s);
    *value = bytes >= 4 ? reg : reg & (UINT32_MAX >> (32 - 8 * bytes));
    return MODEL_DONE;
}

static enum model_answer ioapic_mmio_write(struct machine *m, unsigned vcpu, uint64_t gpa, unsigned bytes,
                                           uint64_t value)
{
    if (!is_mine(m, gpa))
        return MODEL_NOT_MINE;
    if ((gpa & 0xff) == WINDOW_SELECT)
        state_of(m)->select = (uint32_t)value & SELECT_MAX;
    else if ((gpa & 0xff) == WINDOW_DATA)
        write_data(m, (uint32_t)value);
    return MODEL_DONE;
}

static enum emu_err ioapic_init(struct machine *m, struct diag *d)
{
    struct ioapic_state *s = state_of(m);

    s->id = (uint32_t)IOAPIC_ID << ID_SHIFT;
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        s->entries[pin] = ENTRY_MASKED;
    return EMU_OK;
}

/* An edge on one of the PC's lines: a device's, or noise. Its interrupt must reach a vCPU. */
static enum model_answer ioapic_host_act(struct machine *m, const struct decision *d, struct diag *diag)
{
    if (d->kind != DECISION_IRQ)
        return MODEL_NOT_MINE;
    if (!pc_is_present(m)) {
        (void)!diag_set(diag, EMU_EINPUT, "a PVH guest's machine has no interrupt lines; use --mode hvm");
        return MODEL_REFUSED;
    }
    if (!irq_would_reach(m, (unsigned)d->value)) {
        (void)!diag_set(diag, EMU_EINPUT,
                        "an edge on line %u reaches no vCPU here: the line is masked, or its interrupt is pending "
                        "already, or in service, or held back by one that is in service",
                        (unsigned)d->value);
        return MODEL_REFUSED;
    }
    irq_pulse(m, (unsigned)d->value);
    return MODEL_DONE;
}

static bool ioapic_is_sound(struct machine *m)
{
    const struct ioapic_state *s = state_of(m);

    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        if ((s->entries[pin] & ~(ENTRY_WRITABLE | ENTRY_REMOTE_IRR)) ||
            (s->entries[pin] & (ENTRY_LEVEL | ENTRY_REMOTE_IRR)) == ENTRY_REMOTE_IRR)
            return false;
    return !(s->pins >> IOAPIC_PINS) && !(s->id & ~ID_MASK) && s->select <= SELECT_MAX;
}

const struct model ioapic_model = {
    .name = "ioapic",
    .state_bytes = sizeof(struct ioapic_state),
    .is_sound = ioapic_is_sound,
    .init = ioapic_init,
    .mmio_read = ioapic_mmio_read,
    .mmio_write = ioapic_mmio_write,
    .host_act = ioapic_host_act,
};
