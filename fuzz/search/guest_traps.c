/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz/search/guest_traps.h"

#include "emu/exception.h"
#include "emu/trace.h"
#include "emu/vcpu.h"

#define RPL_USER 3u

bool guest_traps_goes_below(const struct guest_traps *t, struct machine *m, const struct trace_fact *fact,
                            uint64_t *at_gva)
{
    uint64_t frame[2]; /* RIP and CS, above an error code */
    uint64_t sp = vcpu_gpr(m, GPR_RSP) + (exception_has_error_code(fact->a) ? 8 : 0);

    if (!t->count || !vcpu_read_gva(m, fact->vcpu, sp, frame, sizeof(frame), NULL) || (frame[1] & 3) != RPL_USER)
        return false;
    *at_gva = frame[0];
    return true;
}

const struct guest_trap *guest_traps_at(const struct guest_traps *t, uint64_t gva)
{
    for (unsigned i = 0; i < t->count; i++)
        if (t->trap[i].entry_gva == gva)
            return &t->trap[i];
    return NULL;
}
