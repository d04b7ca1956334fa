/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * engine_faults: exceptions that the library names wrongly, and those that it finds too late.
 *
 * Source: SDM Vol. 3A, "Priority Among Concurrent Events"; Vol. 2A, "Exception Conditions of Legacy SIMD Instructions
 * Operating on MMX Registers"; Vol. 1, "Canonical Addressing"; Vol. 3A, "Control Registers".
 */
#include "emu/engine_state.h"

#include "emu/exception.h"

static bool is_canonical(uint64_t gva)
{
    return (uint64_t)((int64_t)(gva << 16) >> 16) == gva;
}

/* An instruction behind its prefixes. */
struct bytes {
    uint8_t code[INSN_BYTES_MAX];
    size_t length, at;      /* `at`: the opcode */
    bool mandatory_prefix;  /* 66, F2 or F3 */
    bool address_32, fs_gs; /* 67; 64 or 65 */
    uint8_t rex;
};

static uint8_t byte_at(const struct bytes *b, size_t i)
{
    return b->at + i < b->length ? b->code[b->at + i] : 0;
}

/* Valid after peek(). */
static struct bytes read_insn(struct engine *e)
{
    bool is_64 = peeked_hflags(e) & HF_CS64;
    struct bytes b = {0};

    b.length = engine_fetch_code(e, peeked_linear_rip(e), b.code, sizeof(b.code));
    for (; b.at < b.length; b.at++) {
        uint8_t c = b.code[b.at];

        if (c == 0x66 || c == 0xf2 || c == 0xf3)
            b.mandatory_prefix = true;
        else if (c == 0x64 || c == 0x65)
            b.fs_gs = true;
        else if (c == 0x67)
            b.address_32 = true;
        else if (c != 0x26 && c != 0x2e && c != 0x36 && c != 0x3e && c != 0xf0)
            break;
    }
    if (is_64 && (byte_at(&b, 0) & 0xf0) == 0x40)
        b.rex = b.code[b.at++];
    return b;
}

/* ---- #NM where #UD comes first ---- */

static bool is_x87(const struct bytes *b)
{
    uint8_t c = byte_at(b, 0), reg = byte_at(b, 2) >> 3 & 7;

    return c == 0x9b || (c >= 0xd8 && c <= 0xdf) ||
           (c == 0x0f && byte_at(b, 1) == 0xae && reg < 2); /* FXSAVE, FXRSTOR */
}

/* Without a prefix, what touches MMX registers alone: these need no CR4.OSFXSR. */
static bool is_mmx(const struct bytes *b)
{
    uint8_t c = byte_at(b, 1);

    if (b->mandatory_prefix)
        return false;
    return (c >= 0x60 && c <= 0x77) || c == 0x7e || c == 0x7f || c == 0xc4 || c == 0xc5 || c >= 0xd1 || c == 0x38 ||
           c == 0x3a;
}

static unsigned true_nm(struct engine *e)
{
    struct bytes b = read_insn(e);
    uint64_t cr0 = read_reg(e->uc, UC_X86_REG_CR0), cr4 = read_reg(e->uc, UC_X86_REG_CR4);

    if (is_x87(&b))
        return VECTOR_NM;
    return (cr0 & CR0_EM) || (!(cr4 & CR4_OSFXSR) && !is_mmx(&b)) ? VECTOR_UD : VECTOR_NM;
}

/* ---- #GP(0) that is #SS(0), for an address by RSP or RBP that is not canonical ---- */

static bool uses_stack(const struct bytes *b)
{
    uint8_t c = byte_at(b, 0), d = byte_at(b, 1), reg = d >> 3 & 7;

    if (c == 0x0f)
        return d == 0xa0 || d == 0xa1 || d == 0xa8 || d == 0xa9;
    return (c >= 0x50 && c <= 0x5f) || c == 0x68 || c == 0x6a || c == 0x8f || c == 0x9c || c == 0x9d || c == 0xc2 ||
           c == 0xc3 || c == 0xc8 || c == 0xca || c == 0xcb || c == 0xcf || c == 0xe8 ||
           (c == 0xff && (reg == 2 || reg == 3 || reg == 6));
}

/* Where the ModRM byte is, behind the opcode; 0 if there is none. */
static size_t modrm_at(const struct bytes *b)
{
    uint8_t c = byte_at(b, 0), d = byte_at(b, 1);

    if (c == 0x0f) {
        if (d == 0x38 || d == 0x3a)
            return 3;
        return d < 5 || d == 0x0d || (d >= 0x10 && d < 0x30) || (d >= 0x40 && d < 0x80 && d != 0x77) ||
                       (d >= 0x90 && d < 0xa0) || (d >= 0xa3 && d < 0xa8 && d != 0xa6 && d != 0xa7) ||
                       (d >= 0xab && d < 0xc8) || d >= 0xd0
                   ? 2
                   : 0;
    }
    return (c < 0x40 && (c & 7) < 4) || c == 0x63 || c == 0x69 || c == 0x6b || (c >= 0x80 && c < 0x90) || c == 0xc0 ||
                   c == 0xc1 || c == 0xc6 || c == 0xc7 || (c >= 0xd0 && c < 0xd4) || (c >= 0xd8 && c < 0xe0) ||
                   c == 0xf6 || c == 0xf7 || c == 0xfe || c == 0xff
               ? 1
               : 0;
}

static uint64_t displacement(const struct bytes *b, size_t at, unsigned bytes)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < bytes; i++)
        value |= (uint32_t)byte_at(b, at + i) << 8 * i;
    return bytes == 1 ? (uint64_t)(int8_t)value : (uint64_t)(int32_t)value;
}

/* Whether the memory operand lies at RSP or RBP plus something, and that is not canonical. */
static bool operand_is_bad_stack(struct engine *e, const struct bytes *b)
{
    size_t at = modrm_at(b);
    uint8_t modrm = byte_at(b, at), mod = modrm >> 6, base = modrm & 7, sib = byte_at(b, at + 1);
    bool has_sib = base == 4;
    uint64_t gva;

    if (!at || mod == 3 || b->address_32 || b->fs_gs || (b->rex & 1))
        return false;
    if (has_sib)
        base = sib & 7;
    if ((base != GPR_RSP && base != GPR_RBP) || (base == GPR_RBP && mod == 0))
        return false;
    gva = engine_gpr(e, (enum gpr)base) + displacement(b, at + 1 + has_sib, mod == 1 ? 1 : mod == 2 ? 4 : 0);
    if (has_sib) {
        unsigned index = (sib >> 3 & 7) + (b->rex & 2 ? 8 : 0);

        if (index != GPR_RSP)
            gva += engine_gpr(e, (enum gpr)index) << (sib >> 6);
    }
    return !is_canonical(gva);
}

static unsigned true_gp(struct engine *e)
{
    struct bytes b;
    uint64_t rsp = engine_gpr(e, GPR_RSP);

    if (!(peeked_hflags(e) & HF_CS64))
        return VECTOR_GP;
    b = read_insn(e);
    if (byte_at(&b, 0) == 0xc9) /* LEAVE */
        return is_canonical(engine_gpr(e, GPR_RBP)) ? VECTOR_GP : VECTOR_SS;
    if (uses_stack(&b) && (!is_canonical(rsp) || !is_canonical(rsp - 8)))
        return VECTOR_SS;
    return operand_is_bad_stack(e, &b) ? VECTOR_SS : VECTOR_GP;
}

unsigned engine_true_vector(struct engine *e, unsigned vector, uint32_t error_code)
{
    if (vector == VECTOR_NM)
        return true_nm(e);
    return vector == VECTOR_GP && !error_code ? true_gp(e) : vector;
}

/* ---- a branch to an address that is not canonical: the branch itself faults ---- */

enum undo engine_undo_branch(struct engine *e, const struct tally *done, uint64_t end_gva)
{
    uint64_t rip = read_reg(e->uc, UC_X86_REG_RIP), branch_gva = end_gva - done->last.length;
    struct bytes b = {0};
    uint8_t c, reg;

    if (!(peeked_hflags(e) & HF_CS64) || is_canonical(rip))
        return UNDO_NOTHING;
    if (!done->steps)
        return UNDO_IMPOSSIBLE;
    write_reg(e->uc, UC_X86_REG_RIP, branch_gva);
    peek(e);
    b = read_insn(e);
    c = byte_at(&b, 0);
    reg = byte_at(&b, 1) >> 3 & 7;
    if (c == 0xc3 || c == 0xc2) {
        uint64_t more = c == 0xc2 ? byte_at(&b, 1) | (uint64_t)byte_at(&b, 2) << 8 : 0;

        engine_set_gpr(e, GPR_RSP, engine_gpr(e, GPR_RSP) - 8 - more);
    } else if (c == 0xe8 || (c == 0xff && reg == 2)) {
        engine_set_gpr(e, GPR_RSP, engine_gpr(e, GPR_RSP) + 8);
    } else if (!(c == 0xff && reg == 4) && c != 0xe9 && c != 0xeb && (c & 0xf0) != 0x70 &&
               !(c == 0x0f && (byte_at(&b, 1) & 0xf0) == 0x80)) {
        write_reg(e->uc, UC_X86_REG_RIP, rip);
        peek(e);
        return UNDO_IMPOSSIBLE;
    }
    e->steps--;
    e->now_ns -= 1 + done->last.price_ns;
    peek(e);
    return UNDO_DONE;
}

/* ---- MOV to CR3 ---- */

bool engine_cr3_is_bad(struct engine *e)
{
    return read_reg(e->uc, UC_X86_REG_CR3) >> ENGINE_PHYSICAL_ADDRESS_BITS && (engine_msr(e, MSR_ID_EFER) & EFER_LMA);
}
