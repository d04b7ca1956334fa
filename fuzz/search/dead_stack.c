/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz/search/dead_stack.h"

#include "emu/machine.h"
#include "emu/vcpu.h"
#include "fuzz/search/footprint.h"

void dead_stack_note(struct footprint *f, struct machine *m)
{
    uint64_t sp = vcpu_gpr(m, GPR_RSP), top_gpa, below_gpa, used = (sp - 1) % PAGE_BYTES + 1;
    unsigned vcpu = machine_current(m);

    if (!vcpu_translate(m, vcpu, sp - 1, &top_gpa))
        return;
    footprint_add_dead(f, top_gpa + 1 - used, top_gpa + 1);
    if (vcpu_translate(m, vcpu, sp - used - 1, &below_gpa))
        footprint_add_dead(f, below_gpa + 1 - PAGE_BYTES, below_gpa + 1);
}
