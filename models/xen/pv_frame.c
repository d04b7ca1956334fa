/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/xen/pv_frame.h"

#include "emu/vcpu.h"
#include "models/xen/public.h"
#include "models/xen/xen_symbols.h"

#define TSS_RSP0_AT 4u /* SDM Vol. 3A, "64-Bit TSS Format" */
#define RPL_GUEST   3u

static bool is_reserved(uint64_t gva)
{
    return gva >= XEN_RESERVED_START_GVA && gva < XEN_RESERVED_END_GVA;
}

bool pv_frame_is_xen(const struct vcpu_regs *r)
{
    return r->efer & EFER_LMA && regs_cpl(r) == 0 && is_reserved(r->rip);
}

/* The order of struct cpu_user_regs. */
static void copy_gprs(struct vcpu_regs *r, const struct cpu_user_regs *from)
{
    const uint64_t values[GPR_COUNT] = {
        [GPR_RAX] = from->rax, [GPR_RCX] = from->rcx, [GPR_RDX] = from->rdx, [GPR_RBX] = from->rbx,
        [GPR_RSP] = from->rsp, [GPR_RBP] = from->rbp, [GPR_RSI] = from->rsi, [GPR_RDI] = from->rdi,
        [GPR_R8] = from->r8,   [GPR_R9] = from->r9,   [GPR_R10] = from->r10, [GPR_R11] = from->r11,
        [GPR_R12] = from->r12, [GPR_R13] = from->r13, [GPR_R14] = from->r14, [GPR_R15] = from->r15,
    };

    memcpy(r->gpr, values, sizeof(values));
}

bool pv_frame_read(struct machine *m, unsigned vcpu, const struct vcpu_regs *r, struct vcpu_regs *guest)
{
    struct cpu_user_regs frame;
    uint64_t top_gva = 0;
    const size_t bytes = offsetof(struct cpu_user_regs, es);

    if (!pv_frame_is_xen(r) || !vcpu_read_gva(m, vcpu, r->tr.base + TSS_RSP0_AT, &top_gva, sizeof(top_gva), NULL) ||
        !is_reserved(top_gva) || !vcpu_read_gva(m, vcpu, top_gva - bytes, &frame, bytes, NULL))
        return false;
    if ((frame.cs & 3) != RPL_GUEST || is_reserved(frame.rip) || !frame.rip)
        return false;
    *guest = *r;
    copy_gprs(guest, &frame);
    guest->rip = frame.rip;
    guest->rflags = frame.rflags;
    guest->seg[SEG_CS].selector = frame.cs;
    guest->seg[SEG_SS].selector = (uint16_t)frame.ss;
    return true;
}
