/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/pc/irq.h"

#include "emu/base/ensure.h"
#include "models/pc/ioapic.h"
#include "models/pc/pic.h"
#include "models/platform_config.h"
#include "models/xen/xen.h"

#define ISA_LINES 16

static unsigned gsi_of(unsigned irq)
{
    ensure(irq < IOAPIC_PINS);
    return irq == 0 ? 2 : irq;
}

void irq_set_level(struct machine *m, unsigned irq, bool level)
{
    unsigned gsi = gsi_of(irq);

    if (irq < ISA_LINES)
        pic_set_line(m, irq, level);
    ioapic_set_pin(m, gsi, !(platform_has_xen(m) && xen_gsi_is_event(m, gsi, level)) && level);
}

void irq_pulse(struct machine *m, unsigned irq)
{
    irq_set_level(m, irq, false);
    irq_set_level(m, irq, true);
}

bool irq_would_reach(struct machine *m, unsigned irq)
{
    unsigned gsi = gsi_of(irq);

    if (irq < ISA_LINES && pic_would_reach(m, irq))
        return true;
    return platform_has_xen(m) && xen_gsi_has_event(m, gsi) ? xen_gsi_would_reach(m, gsi) : ioapic_would_reach(m, gsi);
}
