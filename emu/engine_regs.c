/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Registers of the loaded vCPU: what the library names is read by its name, the rest out of a saved context. */
#include "emu/engine_state.h"

#include "emu/base/ensure.h"

static const int gpr_ids[GPR_COUNT] = {
    UC_X86_REG_RAX, UC_X86_REG_RCX, UC_X86_REG_RDX, UC_X86_REG_RBX, UC_X86_REG_RSP, UC_X86_REG_RBP,
    UC_X86_REG_RSI, UC_X86_REG_RDI, UC_X86_REG_R8,  UC_X86_REG_R9,  UC_X86_REG_R10, UC_X86_REG_R11,
    UC_X86_REG_R12, UC_X86_REG_R13, UC_X86_REG_R14, UC_X86_REG_R15,
};

uint64_t engine_gpr(struct engine *e, enum gpr reg)
{
    return read_reg(e->uc, gpr_ids[reg]);
}

void engine_set_gpr(struct engine *e, enum gpr reg, uint64_t value)
{
    write_reg(e->uc, gpr_ids[reg], value);
}

uint64_t engine_rip(struct engine *e)
{
    return read_reg(e->uc, UC_X86_REG_RIP);
}

void engine_set_rip(struct engine *e, uint64_t rip)
{
    write_reg(e->uc, UC_X86_REG_RIP, rip);
}

uint64_t engine_rflags(struct engine *e)
{
    return read_reg(e->uc, UC_X86_REG_RFLAGS);
}

bool engine_interrupt_shadow(struct engine *e)
{
    if (e->step != STEP_OFF && e->shadow_is_ours) /* asked from a callback of the step */
        return false;
    peek(e);
    return peeked_hflags(e) & HF_INHIBIT_IRQ;
}

void engine_glance(struct engine *e, unsigned vcpu, uint64_t *rip, uint64_t *rflags, bool *interrupt_shadow)
{
    ensure(vcpu < e->vcpus);
    if (e->loaded && e->current == vcpu) {
        *rip = engine_rip(e);
        *rflags = engine_rflags(e);
        *interrupt_shadow = engine_interrupt_shadow(e);
        return;
    }
    *rip = *rflags = 0;
    uc_context_reg_read(e->context[vcpu], UC_X86_REG_RIP, rip);
    uc_context_reg_read(e->context[vcpu], UC_X86_REG_RFLAGS, rflags);
    *interrupt_shadow = context_u32(e->context[vcpu], e->quirk.hflags) & HF_INHIBIT_IRQ;
}

void engine_set_cr2(struct engine *e, uint64_t gva)
{
    write_reg(e->uc, UC_X86_REG_CR2, gva);
}

uint64_t engine_msr(struct engine *e, enum engine_msr msr)
{
    uc_x86_msr m = {.rid = msr};

    uc_reg_read(e->uc, UC_X86_REG_MSR, &m);
    return m.value;
}

void engine_set_msr(struct engine *e, enum engine_msr msr, uint64_t value)
{
    uc_x86_msr m = {.rid = msr, .value = value};

    uc_reg_write(e->uc, UC_X86_REG_MSR, &m);
    if (msr == MSR_ID_EFER)
        engine_drop_translations(e);
}

static void get_segment(const struct engine *e, enum segment_register s, struct segment *seg)
{
    size_t o = e->quirk.segment[s];

    seg->selector = (uint16_t)context_u32(e->scratch, o);
    seg->base = context_u64(e->scratch, o + 8);
    seg->limit = context_u32(e->scratch, o + 16);
    seg->attributes = context_u32(e->scratch, o + 20);
}

static void put_segment(struct engine *e, enum segment_register s, const struct segment *seg)
{
    size_t o = e->quirk.segment[s];

    context_set_u32(e->scratch, o, seg->selector);
    context_set_u64(e->scratch, o + 8, seg->base);
    context_set_u32(e->scratch, o + 16, seg->limit);
    context_set_u32(e->scratch, o + 20, seg->attributes);
}

static void get_system_segment(struct engine *e, int id, struct segment *seg)
{
    uc_x86_mmr mmr;

    uc_reg_read(e->uc, id, &mmr);
    *seg = (struct segment){.selector = mmr.selector, .base = mmr.base, .limit = mmr.limit, .attributes = mmr.flags};
}

static void set_system_segment(struct engine *e, int id, const struct segment *seg)
{
    uc_x86_mmr mmr = {.selector = seg->selector, .base = seg->base, .limit = seg->limit, .flags = seg->attributes};

    uc_reg_write(e->uc, id, &mmr);
}

static void get_table(struct engine *e, int id, struct descriptor_table *t)
{
    uc_x86_mmr mmr;

    uc_reg_read(e->uc, id, &mmr);
    t->base = mmr.base;
    t->limit = (uint16_t)mmr.limit;
}

static void set_table(struct engine *e, int id, const struct descriptor_table *t)
{
    uc_x86_mmr mmr = {.base = t->base, .limit = t->limit};

    uc_reg_write(e->uc, id, &mmr);
}

void engine_get_event_regs(struct engine *e, struct vcpu_regs *r)
{
    peek(e);
    for (unsigned i = 0; i < GPR_COUNT; i++)
        r->gpr[i] = read_reg(e->uc, gpr_ids[i]);
    r->rip = read_reg(e->uc, UC_X86_REG_RIP);
    r->rflags = read_reg(e->uc, UC_X86_REG_RFLAGS);
    for (unsigned s = 0; s < SEG_COUNT; s++)
        get_segment(e, s, &r->seg[s]);
    get_system_segment(e, UC_X86_REG_LDTR, &r->ldtr);
    get_system_segment(e, UC_X86_REG_TR, &r->tr);
    get_table(e, UC_X86_REG_GDTR, &r->gdtr);
    get_table(e, UC_X86_REG_IDTR, &r->idtr);
    r->cr0 = read_reg(e->uc, UC_X86_REG_CR0);
    r->cr2 = read_reg(e->uc, UC_X86_REG_CR2);
    r->cr3 = read_reg(e->uc, UC_X86_REG_CR3);
    r->cr4 = read_reg(e->uc, UC_X86_REG_CR4);
    r->efer = engine_msr(e, MSR_ID_EFER);
    r->interrupt_shadow = peeked_hflags(e) & HF_INHIBIT_IRQ;
}

/* The translator's flags that follow from CS, SS, the mode and the shadow. */
static uint32_t hflags_of(const struct vcpu_regs *r, uint32_t old)
{
    uint32_t h = old & ~HF_OURS;
    const struct segment *cs = &r->seg[SEG_CS], *ss = &r->seg[SEG_SS];
    bool protected_mode = (r->cr0 & CR0_PE) && !(r->rflags & RFLAGS_VM);

    h |= regs_cpl(r);
    if (r->interrupt_shadow)
        h |= HF_INHIBIT_IRQ;
    if ((r->efer & EFER_LMA) && (cs->attributes & SEG_ATTR_L))
        return h | HF_CS64 | HF_CS32 | HF_SS32;
    if (cs->attributes & SEG_ATTR_DB)
        h |= HF_CS32;
    if (ss->attributes & SEG_ATTR_DB)
        h |= HF_SS32;
    if (!protected_mode || !(h & HF_CS32) || r->seg[SEG_DS].base || r->seg[SEG_ES].base || ss->base)
        h |= HF_ADDSEG;
    return h;
}

static void put_segments_and_flags(struct engine *e, const struct vcpu_regs *r)
{
    peek(e);
    for (unsigned s = 0; s < SEG_COUNT; s++)
        put_segment(e, s, &r->seg[s]);
    context_set_u32(e->scratch, e->quirk.hflags, hflags_of(r, peeked_hflags(e)));
    uc_context_restore(e->uc, e->scratch);
}

void engine_set_event_regs(struct engine *e, const struct vcpu_regs *r)
{
    write_reg(e->uc, UC_X86_REG_RFLAGS, r->rflags);
    write_reg(e->uc, UC_X86_REG_CR2, r->cr2);
    for (unsigned i = 0; i < GPR_COUNT; i++)
        write_reg(e->uc, gpr_ids[i], r->gpr[i]);
    write_reg(e->uc, UC_X86_REG_RIP, r->rip);
    put_segments_and_flags(e, r);
}

static const int dr_ids[8] = {
    UC_X86_REG_DR0, UC_X86_REG_DR1, UC_X86_REG_DR2, UC_X86_REG_DR3, 0, 0, UC_X86_REG_DR6, UC_X86_REG_DR7,
};
static const int cr_ids[5] = {UC_X86_REG_CR0, 0, UC_X86_REG_CR2, UC_X86_REG_CR3, UC_X86_REG_CR4};

uint64_t engine_control_register(struct engine *e, unsigned number)
{
    ensure(number < 5 && cr_ids[number]);
    return read_reg(e->uc, cr_ids[number]);
}

void engine_set_control_register(struct engine *e, unsigned number, uint64_t value)
{
    ensure(number < 5 && cr_ids[number]);
    write_reg(e->uc, cr_ids[number], value);
}

uint64_t engine_debug_register(struct engine *e, unsigned number)
{
    ensure(number < 8 && dr_ids[number]);
    return read_reg(e->uc, dr_ids[number]);
}

void engine_set_debug_register(struct engine *e, unsigned number, uint64_t value)
{
    ensure(number < 8 && dr_ids[number]);
    write_reg(e->uc, dr_ids[number], value);
}

void engine_get_regs(struct engine *e, struct vcpu_regs *r)
{
    memset(r, 0, sizeof(*r));
    engine_get_event_regs(e, r);
    r->cr8 = read_reg(e->uc, UC_X86_REG_CR8);
    for (unsigned i = 0; i < 4; i++)
        r->dr[i] = read_reg(e->uc, dr_ids[i]);
    r->dr6 = read_reg(e->uc, UC_X86_REG_DR6);
    r->dr7 = read_reg(e->uc, UC_X86_REG_DR7);
    r->star = engine_msr(e, MSR_ID_STAR);
    r->lstar = engine_msr(e, MSR_ID_LSTAR);
    r->cstar = engine_msr(e, MSR_ID_CSTAR);
    r->fmask = engine_msr(e, MSR_ID_FMASK);
    r->kernel_gs_base = engine_msr(e, MSR_ID_KERNEL_GS_BASE);
    r->tsc_aux = engine_msr(e, MSR_ID_TSC_AUX);
    r->sysenter_cs = engine_msr(e, MSR_ID_SYSENTER_CS);
    r->sysenter_esp = engine_msr(e, MSR_ID_SYSENTER_ESP);
    r->sysenter_eip = engine_msr(e, MSR_ID_SYSENTER_EIP);
    for (int i = 0; i < 8; i++)
        uc_reg_read(e->uc, UC_X86_REG_FP0 + i, r->st[i]);
    uc_reg_read(e->uc, UC_X86_REG_FPCW, &r->fpcw);
    uc_reg_read(e->uc, UC_X86_REG_FPSW, &r->fpsw);
    uc_reg_read(e->uc, UC_X86_REG_FPTAG, &r->fptag);
    uc_reg_read(e->uc, UC_X86_REG_MXCSR, &r->mxcsr);
    uc_reg_read(e->uc, UC_X86_REG_FIP, &r->fpip);
    uc_reg_read(e->uc, UC_X86_REG_FDP, &r->fpdp);
    uc_reg_read(e->uc, UC_X86_REG_FCS, &r->fpcs);
    uc_reg_read(e->uc, UC_X86_REG_FDS, &r->fpds);
    uc_reg_read(e->uc, UC_X86_REG_FOP, &r->fpop);
    for (int i = 0; i < 16; i++)
        uc_reg_read(e->uc, UC_X86_REG_XMM0 + i, r->xmm[i]);
}

void engine_set_regs(struct engine *e, const struct vcpu_regs *r)
{
    /* Leave paging, then enter it as the processor does, so that the engine's own idea of the mode follows. It starts
       in long mode without paging, which no processor does; only paging that ends takes its EFER.LMA away. */
    write_reg(e->uc, UC_X86_REG_CR0, CR0_PG | CR0_PE | CR0_ET);
    write_reg(e->uc, UC_X86_REG_CR0, CR0_ET);
    write_reg(e->uc, UC_X86_REG_CR4, r->cr4);
    engine_set_msr(e, MSR_ID_EFER, r->efer & ~EFER_LMA);
    write_reg(e->uc, UC_X86_REG_CR3, r->cr3);
    write_reg(e->uc, UC_X86_REG_CR0, r->cr0);
    set_system_segment(e, UC_X86_REG_LDTR, &r->ldtr);
    set_system_segment(e, UC_X86_REG_TR, &r->tr);
    set_table(e, UC_X86_REG_GDTR, &r->gdtr);
    set_table(e, UC_X86_REG_IDTR, &r->idtr);
    write_reg(e->uc, UC_X86_REG_CR8, r->cr8);
    for (unsigned i = 0; i < 4; i++)
        write_reg(e->uc, dr_ids[i], r->dr[i]);
    write_reg(e->uc, UC_X86_REG_DR6, r->dr6);
    write_reg(e->uc, UC_X86_REG_DR7, r->dr7);
    engine_set_msr(e, MSR_ID_STAR, r->star);
    engine_set_msr(e, MSR_ID_LSTAR, r->lstar);
    engine_set_msr(e, MSR_ID_CSTAR, r->cstar);
    engine_set_msr(e, MSR_ID_FMASK, r->fmask);
    engine_set_msr(e, MSR_ID_KERNEL_GS_BASE, r->kernel_gs_base);
    engine_set_msr(e, MSR_ID_TSC_AUX, r->tsc_aux);
    engine_set_msr(e, MSR_ID_SYSENTER_CS, r->sysenter_cs);
    engine_set_msr(e, MSR_ID_SYSENTER_ESP, r->sysenter_esp);
    engine_set_msr(e, MSR_ID_SYSENTER_EIP, r->sysenter_eip);
    uc_reg_write(e->uc, UC_X86_REG_FPCW, &r->fpcw);
    uc_reg_write(e->uc, UC_X86_REG_FPSW, &r->fpsw);
    for (int i = 0; i < 8; i++)
        uc_reg_write(e->uc, UC_X86_REG_FP0 + i, r->st[i]);
    uc_reg_write(e->uc, UC_X86_REG_FPTAG, &r->fptag);
    uc_reg_write(e->uc, UC_X86_REG_MXCSR, &r->mxcsr);
    uc_reg_write(e->uc, UC_X86_REG_FIP, &r->fpip);
    uc_reg_write(e->uc, UC_X86_REG_FDP, &r->fpdp);
    uc_reg_write(e->uc, UC_X86_REG_FCS, &r->fpcs);
    uc_reg_write(e->uc, UC_X86_REG_FDS, &r->fpds);
    uc_reg_write(e->uc, UC_X86_REG_FOP, &r->fpop);
    for (int i = 0; i < 16; i++)
        uc_reg_write(e->uc, UC_X86_REG_XMM0 + i, r->xmm[i]);
    engine_set_event_regs(e, r);
    uc_ctl_flush_tlb(e->uc);
    engine_drop_translations(e);
}
