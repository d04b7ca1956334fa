/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz/search/dead_stack.h"

#include "emu/machine.h"
#include "emu/vcpu.h"
#include "fuzz/search/footprint.h"

void dead_stack_note(struct footprint *f, struct machine *m, unsigned vcpu)
{
    uint64_t sp, top_gpa, below_gpa, used;
    struct vcpu_regs r;

    vcpu_get_regs(m, vcpu, &r);
    sp = r.gpr[GPR_RSP];
    used = (sp - 1) % PAGE_BYTES + 1;
    if (!vcpu_translate(m, vcpu, sp - 1, &top_gpa))
        return;
    footprint_add_dead(f, top_gpa + 1 - used, top_gpa + 1);
    if (vcpu_translate(m, vcpu, sp - used - 1, &below_gpa))
        footprint_add_dead(f, below_gpa + 1 - PAGE_BYTES, below_gpa + 1);
}
