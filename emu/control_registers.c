/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control_registers: MOV to control registers and WRFSBASE, WRGSBASE, whose rules the engine does not know: which
 * values a processor refuses with #GP(0), leaving the register as it was. What a bit of CR4 needs is asked of CPUID, so
 * that no guest can turn on what it is not offered.
 *
 * Source: SDM Vol. 2B, "MOV—Move to/from Control Registers"; Vol. 3A, "Control Registers".
 * DEVIATION: MOV to CR3 does not look at the PDPTEs of PAE paging, which the engine reads anew at every walk. A guest
 * whose PDPTEs have reserved bits meets a page fault later instead of #GP(0) there.
 */
#include "emu/exception.h"

#include <inttypes.h>
#include "emu/base/count.h"
#include "emu/machine_state.h"

/* PE, MP, EM, TS, ET, NE, WP, AM, NW, CD, PG: writes to the others are ignored. */
#define CR0_WRITABLE 0xe005003full

enum cpuid_reg { NEEDS_NOTHING, EBX, ECX, EDX };

/* clang-format off */
/* Sorted by bit; a bit without a row is reserved. */
static const struct {
    unsigned bit;
    const char *name;
    uint32_t leaf;
    enum cpuid_reg reg; /* of subleaf 0 */
    unsigned feature;
} cr4_bits[] = {
    {0, "VME", 1, EDX, 1},
    {1, "PVI", 1, EDX, 1},
    {2, "TSD", 1, EDX, 4},
    {3, "DE", 1, EDX, 2},
    {4, "PSE", 1, EDX, 3},
    {5, "PAE", 1, EDX, 6},
    {6, "MCE", 1, EDX, 7},
    {7, "PGE", 1, EDX, 13},
    {8, "PCE", 0, NEEDS_NOTHING, 0},
    {9, "OSFXSR", 1, EDX, 24},
    {10, "OSXMMEXCPT", 1, EDX, 25},
    {11, "UMIP", 7, ECX, 2},
    {12, "LA57", 7, ECX, 16},
    {13, "VMXE", 1, ECX, 5},
    {14, "SMXE", 1, ECX, 6},
    {16, "FSGSBASE", 7, EBX, 0},
    {17, "PCIDE", 1, ECX, 17},
    {18, "OSXSAVE", 1, ECX, 26},
    {20, "SMEP", 7, EBX, 7},
    {21, "SMAP", 7, EBX, 20},
    {22, "PKE", 7, ECX, 3},
    {23, "CET", 7, ECX, 7},
    {24, "PKS", 7, ECX, 31},
};
/* clang-format on */

static bool raise_fault(struct machine *m, unsigned vector)
{
    struct event event = {
        .type = EVENT_EXCEPTION, .vector = (uint8_t)vector, .has_error_code = exception_has_error_code(vector)};

    machine_deliver(m, &event);
    return false;
}

/* The bits of CR4 that this processor has. False if no model says what it is. */
static bool cr4_offered(struct machine *m, uint64_t *bits)
{
    struct cpuid_regs leaf[2];

    if (!machine_cpuid(m, 1, 0, &leaf[0]) || !machine_cpuid(m, 7, 0, &leaf[1]))
        return false;
    *bits = 0;
    for (unsigned i = 0; i < COUNT(cr4_bits); i++) {
        const struct cpuid_regs *r = &leaf[cr4_bits[i].leaf == 7];
        uint32_t word = cr4_bits[i].reg == EBX ? r->ebx : cr4_bits[i].reg == ECX ? r->ecx : r->edx;

        if (cr4_bits[i].reg == NEEDS_NOTHING || (word >> cr4_bits[i].feature & 1))
            *bits |= 1ull << cr4_bits[i].bit;
    }
    return true;
}

/* SDM Vol. 3A, "PAE Paging", "PDPTE Registers": loading one that is present with reserved bits set is #GP. */
static bool pdptes_are_good(struct machine *m, const struct vcpu_regs *r, unsigned physical_address_bits)
{
    uint64_t reserved = ~((1ull << physical_address_bits) - 1) | 0x1e6;

    for (unsigned i = 0; i < 4; i++) {
        uint64_t entry = 0;

        if (memory_peek(m->mem, (r->cr3 & 0xffffffe0) + 8 * i, &entry, sizeof(entry)) && (entry & 1) &&
            (entry & reserved))
            return false;
    }
    return true;
}

static unsigned physical_address_bits(struct machine *m)
{
    struct cpuid_regs r;

    if (!machine_cpuid(m, 0x80000000, 0, &r) || r.eax < 0x80000008 || !machine_cpuid(m, 0x80000008, 0, &r) ||
        (r.eax & 0xff) > 52 || !(r.eax & 0xff))
        return 36;
    return r.eax & 0xff;
}

static bool uses_pdptes(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
    return (cr0 & CR0_PG) && (cr4 & CR4_PAE) && !(efer & EFER_LME);
}

static bool cr0_is_legal(struct machine *m, const struct vcpu_regs *r, uint64_t value)
{
    bool starts = (value & CR0_PG) && !(r->cr0 & CR0_PG), ends = !(value & CR0_PG) && (r->cr0 & CR0_PG);
    bool cs_is_64 = r->seg[SEG_CS].attributes & SEG_ATTR_L;

    if (value >> 32)
        return false;
    if ((value & CR0_PG) && !(value & CR0_PE))
        return false;
    if ((value & CR0_NW) && !(value & CR0_CD))
        return false;
    if (starts && (r->efer & EFER_LME) && (!(r->cr4 & CR4_PAE) || cs_is_64))
        return false;
    if (ends && ((r->cr4 & CR4_PCIDE) || regs_code_bits(r) == 64))
        return false;
    return !starts || !uses_pdptes(value, r->cr4, r->efer) || pdptes_are_good(m, r, physical_address_bits(m));
}

/* These change how the page tables are read: with PAE the PDPTEs are loaded again. */
#define CR4_LOADS_PDPTES (1ull << 4 | 1ull << 5 | 1ull << 7 | 1ull << 20)

static bool cr4_is_legal(struct machine *m, const struct vcpu_regs *r, uint64_t value, uint64_t offered)
{
    uint64_t changed = value ^ r->cr4;

    if (value & ~offered)
        return false;
    if (r->efer & EFER_LMA) {
        if (!(value & CR4_PAE) || (changed & CR4_LA57))
            return false;
    } else if (value & CR4_PCIDE) {
        return false;
    }
    if ((changed & value & CR4_PCIDE) && (r->cr3 & 0xfff))
        return false;
    return !(changed & CR4_LOADS_PDPTES) || !uses_pdptes(r->cr0, value, r->efer) ||
           pdptes_are_good(m, r, physical_address_bits(m));
}

bool machine_write_control_register(struct machine *m, const struct insn *insn)
{
    uint64_t value = engine_gpr(m->engine, (enum gpr)insn->gpr), offered = 0;
    struct vcpu_regs r;

    engine_get_event_regs(m->engine, &r);
    if (insn->locked || !insn->to_special || (insn->special != 0 && insn->special != 4))
        return raise_fault(m, VECTOR_UD);
    if (regs_cpl(&r))
        return raise_fault(m, VECTOR_GP);
    if (regs_code_bits(&r) != 64)
        value = (uint32_t)value;
    if (insn->special == 0) {
        if (!cr0_is_legal(m, &r, value))
            return raise_fault(m, VECTOR_GP);
        value = (value & CR0_WRITABLE) | CR0_ET;
    } else {
        if (!cr4_offered(m, &offered)) {
            machine_unmodelled(m, "MOV of 0x%" PRIx64 " to CR4 of a processor without CPUID", value);
            return false;
        }
        if (!cr4_is_legal(m, &r, value, offered))
            return raise_fault(m, VECTOR_GP);
    }
    engine_set_control_register(m->engine, insn->special, value);
    return true;
}

/* SDM Vol. 2D, "WRFSBASE/WRGSBASE". */
bool machine_write_base(struct machine *m, const struct insn *insn)
{
    uint64_t value = engine_gpr(m->engine, (enum gpr)insn->gpr);

    if (insn->operand_bytes == 4)
        value = (uint32_t)value;
    if (insn->locked || !(engine_control_register(m->engine, 4) & CR4_FSGSBASE))
        return raise_fault(m, VECTOR_UD);
    if ((uint64_t)((int64_t)(value << 16) >> 16) != value)
        return raise_fault(m, VECTOR_GP);
    engine_set_msr(m->engine, insn->special == 2 ? MSR_ID_FS_BASE : MSR_ID_GS_BASE, value);
    return true;
}

bool machine_access_cr8(struct machine *m, const struct insn *insn)
{
    uint64_t value = engine_gpr(m->engine, (enum gpr)insn->gpr);

    if (insn->locked)
        return raise_fault(m, VECTOR_UD);
    if (vcpu_cpl(m) || (insn->to_special && value >> 4))
        return raise_fault(m, VECTOR_GP);
    for (unsigned i = 0; i < m->config.model_count; i++) {
        const struct model *model = m->config.models[i];

        if (insn->to_special && model->write_cr8) {
            model->write_cr8(m, m->run.current, (unsigned)value);
            return true;
        }
        if (!insn->to_special && model->read_cr8) {
            engine_set_gpr(m->engine, (enum gpr)insn->gpr, model->read_cr8(m, m->run.current));
            return true;
        }
    }
    machine_unmodelled(m, "MOV %s CR8 of a processor without a local APIC", insn->to_special ? "to" : "from");
    return false;
}
