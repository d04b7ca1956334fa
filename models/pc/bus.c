/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/pc/bus.h"

#include "models/pc/ioapic.h"
#include "models/pc/lapic.h"

/* Where the 8259 pair is wired to. */
#define PIC_VCPU 0
#define PIC_LINT 0

void bus_send(struct machine *m, const struct bus_message *message)
{
    lapic_deliver(m, message);
}

bool bus_would_reach(struct machine *m, const struct bus_message *message)
{
    return lapic_would_reach(m, message);
}

void bus_end_of_interrupt(struct machine *m, uint8_t vector)
{
    ioapic_end_of_interrupt(m, vector);
}

void bus_set_pic_output(struct machine *m, bool level)
{
    lapic_set_lint(m, PIC_VCPU, PIC_LINT, level);
}

bool bus_accepts_extint(struct machine *m)
{
    return lapic_accepts_extint(m, PIC_VCPU);
}

bool bus_pic_would_reach(struct machine *m)
{
    return lapic_lint_would_reach(m, PIC_VCPU, PIC_LINT);
}
