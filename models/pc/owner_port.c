/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/pc/owner_port.h"

#include "emu/machine.h"
#include "emu/trace.h"

static enum model_answer owner_port_write(struct machine *m, unsigned vcpu, uint16_t port, unsigned bytes,
                                          uint32_t value)
{
    uint64_t gpa = (uint64_t)(value & ((1u << OWNER_WHAT_SHIFT) - 1)) << OWNER_UNIT_BYTES_SHIFT;

    if (port != PORT_OWNER || bytes != 4)
        return MODEL_NOT_MINE;
    switch (value >> OWNER_WHAT_SHIFT) {
    case OWNER_UNIT_COPIED:
        trace_add(m, TRACE_OWNER, vcpu, gpa, 1u << OWNER_UNIT_BYTES_SHIFT, OWNER_NEXT);
        break;
    case OWNER_UNIT_DIGESTED:
        trace_add(m, TRACE_OWNER, vcpu, gpa, 1u << OWNER_UNIT_BYTES_SHIFT, OWNER_CHECKED);
        break;
    case OWNER_ALL:
        trace_add(m, TRACE_OWNER, vcpu, 0, UINT64_MAX, OWNER_NEXT);
        break;
    }
    return MODEL_DONE;
}

const struct model owner_port_model = {
    .name = "owner_port",
    .port_write = owner_port_write,
};
