/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/insn.h"

#include <capstone/capstone.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct decoder {
    csh handle[3]; /* 16, 32, 64 bit */
    cs_insn *insn;
};

/* The one table of prices. Orders of magnitude of a guest on a real Xen host: PAUSE as on Skylake and later, what exits
   to the hypervisor about a microsecond. ASSUMES: no guest's correctness depends on the exact numbers. */
static const struct {
    uint32_t flags;
    uint32_t price_ns;
} kinds[INSN_KIND_COUNT] = {
    [INSN_PLAIN] = {0, 0},
    [INSN_INVALID] = {0, 0},
    [INSN_PAUSE] = {INSN_F_NATURAL, 40},
    [INSN_RDTSC] = {0, 30},
    [INSN_CPUID] = {INSN_F_ALONE | INSN_F_PRIVATE | INSN_F_SERIALISES, 1000},
    [INSN_HLT] = {0, 0},
    [INSN_VMCALL] = {0, 500},
    [INSN_IN] = {INSN_F_ALONE, 1000},
    [INSN_OUT] = {INSN_F_ALONE, 1000},
    [INSN_INS] = {INSN_F_ALONE, 1000},
    [INSN_OUTS] = {INSN_F_ALONE, 1000},
    [INSN_RDMSR] = {INSN_F_ALONE, 200},
    [INSN_WRMSR] = {INSN_F_ALONE | INSN_F_EPOCH, 200},
    [INSN_RDRAND] = {INSN_F_ALONE, 500},
    [INSN_RDPMC] = {INSN_F_ALONE, 50},
    [INSN_MONITOR] = {INSN_F_ALONE, 50},
    [INSN_CR8] = {INSN_F_ALONE, 50},
    [INSN_WRITE_CR] = {INSN_F_ALONE | INSN_F_PRIVATE | INSN_F_EPOCH | INSN_F_SERIALISES, 100},
    [INSN_READ_DR] = {INSN_F_ALONE | INSN_F_PRIVATE, 0},
    [INSN_WRITE_DR] = {INSN_F_ALONE | INSN_F_PRIVATE | INSN_F_SERIALISES, 0},
    [INSN_ICEBP] = {0, 0},
    [INSN_WRITE_BASE] = {INSN_F_ALONE | INSN_F_PRIVATE, 0},
    [INSN_STI] = {INSN_F_IF | INSN_F_NATURAL, 0},
    [INSN_LOAD_SS] = {INSN_F_NATURAL, 0},
    [INSN_POPF] = {INSN_F_IF, 0},
    [INSN_IRET] = {INSN_F_IF | INSN_F_IRET | INSN_F_SERIALISES, 0},
    [INSN_SYSRET] = {INSN_F_IF, 0},
    [INSN_TLB] = {INSN_F_EPOCH, 100},
    [INSN_PAGING] = {INSN_F_EPOCH | INSN_F_SERIALISES, 100},
    [INSN_SERIALISE] = {INSN_F_SERIALISES, 0},
    [INSN_INT] = {0, 0},
    [INSN_REP] = {INSN_F_NATURAL, 0},
};

enum emu_err decoder_new(struct decoder **out, struct diag *d)
{
    static const cs_mode modes[3] = {CS_MODE_16, CS_MODE_32, CS_MODE_64};
    struct decoder *dec = calloc(1, sizeof(*dec));

    if (!dec)
        return diag_no_memory(d);
    for (int i = 0; i < 3; i++) {
        if (cs_open(CS_ARCH_X86, modes[i], &dec->handle[i]) != CS_ERR_OK) {
            decoder_free(dec);
            return diag_set(d, EMU_EHOST, "the Capstone library can't decode x86");
        }
        cs_option(dec->handle[i], CS_OPT_DETAIL, CS_OPT_OFF);
    }
    dec->insn = cs_malloc(dec->handle[2]);
    if (!dec->insn) {
        decoder_free(dec);
        return diag_no_memory(d);
    }
    *out = dec;
    return EMU_OK;
}

void decoder_library_version(unsigned *major, unsigned *minor)
{
    int at_run_time[2];

    cs_version(&at_run_time[0], &at_run_time[1]);
    *major = (unsigned)at_run_time[0];
    *minor = (unsigned)at_run_time[1];
}

void decoder_free(struct decoder *dec)
{
    if (!dec)
        return;
    if (dec->insn)
        cs_free(dec->insn, 1);
    for (int i = 0; i < 3; i++)
        if (dec->handle[i])
            cs_close(&dec->handle[i]);
    free(dec);
}

static csh handle_of(const struct decoder *dec, unsigned mode_bits)
{
    return dec->handle[mode_bits == 64 ? 2 : mode_bits == 32 ? 1 : 0];
}

/* The opcode behind the legacy and REX prefixes, and which of F3/F2/66 stood there. */
struct prefixes {
    const uint8_t *opcode;
    size_t left;
    bool rep, repe, operand16, address_size, lock, is_64;
    enum segment_register segment;
};

static struct prefixes skip_prefixes(unsigned mode_bits, const uint8_t *bytes, size_t length)
{
    struct prefixes p = {.opcode = bytes, .left = length, .segment = SEG_DS, .is_64 = mode_bits == 64};

    for (; p.left > 1; p.opcode++, p.left--) {
        switch (*p.opcode) {
        case 0xf2:
        case 0xf3:
            p.rep = true;
            p.repe = *p.opcode == 0xf3;
            continue;
        case 0x66:
            p.operand16 = true;
            continue;
        case 0x67:
            p.address_size = true;
            continue;
        case 0xf0:
            p.lock = true;
            continue;
        case 0x26:
            p.segment = SEG_ES;
            continue;
        case 0x2e:
            p.segment = SEG_CS;
            continue;
        case 0x36:
            p.segment = SEG_SS;
            continue;
        case 0x3e:
            p.segment = SEG_DS;
            continue;
        case 0x64:
            p.segment = SEG_FS;
            continue;
        case 0x65:
            p.segment = SEG_GS;
            continue;
        }
        if (mode_bits != 64 || (*p.opcode & 0xf0) != 0x40) /* REX */
            break;
    }
    return p;
}

static enum insn_kind kind_0f(const struct prefixes *p)
{
    uint8_t b = p->left > 1 ? p->opcode[1] : 0, modrm = p->left > 2 ? p->opcode[2] : 0;
    unsigned reg = modrm >> 3 & 7;

    switch (b) {
    case 0x00:
        return reg == 2 || reg == 3 ? INSN_SERIALISE : INSN_PLAIN; /* LLDT, LTR */
    case 0x01:
        if (modrm == 0xc1 || modrm == 0xd9)
            return INSN_VMCALL;
        if (modrm == 0xc8 || modrm == 0xc9)
            return INSN_MONITOR;
        if (modrm == 0xf9)
            return INSN_RDTSC;
        if (reg == 6)
            return INSN_TLB; /* LMSW */
        if (reg == 7 && modrm < 0xc0)
            return INSN_PAGING; /* INVLPG */
        if (((reg == 2 || reg == 3) && modrm < 0xc0) || (modrm == 0xe8 && !p->rep))
            return INSN_SERIALISE; /* LGDT, LIDT, SERIALIZE */
        return INSN_PLAIN;
    case 0x08:
        return INSN_SERIALISE; /* INVD */
    case 0x09:
        return p->rep ? INSN_PLAIN : INSN_SERIALISE; /* WBNOINVD, WBINVD */
    case 0x07:                                       /* SYSRET */
    case 0x35:                                       /* SYSEXIT */
        return INSN_SYSRET;
    case 0x20:
        return INSN_PLAIN;
    case 0x21:
        return INSN_READ_DR;
    case 0x22:
        return reg == 2 || reg == 3 ? INSN_PAGING : INSN_WRITE_CR;
    case 0x23:
        return INSN_WRITE_DR;
    case 0x30:
        return INSN_WRMSR;
    case 0x31:
        return INSN_RDTSC;
    case 0x32:
        return INSN_RDMSR;
    case 0x33:
        return INSN_RDPMC;
    case 0xa2:
        return INSN_CPUID;
    case 0xae:
        return modrm >= 0xd0 && modrm < 0xe0 && p->repe && p->is_64 ? INSN_WRITE_BASE : INSN_PLAIN;
    case 0xb2:
        return INSN_LOAD_SS;
    case 0xc7:
        return modrm >= 0xc0 && (reg == 6 || reg == 7) && !p->rep ? INSN_RDRAND : INSN_PLAIN;
    case 0x38:
        return modrm == 0x82 ? INSN_TLB : INSN_PLAIN; /* INVPCID */
    default:
        return INSN_PLAIN;
    }
}

#define REX_B 1u
#define REX_R 4u
#define REX_W 8u

/* The REX prefix that counts, the one right before the opcode; 0 if there is none. */
static unsigned rex_of(const struct prefixes *p, unsigned mode_bits, const uint8_t *bytes)
{
    return mode_bits == 64 && p->opcode > bytes && (p->opcode[-1] & 0xf0) == 0x40 ? p->opcode[-1] : 0;
}

/* MOV to and from control and debug registers: 0F 20 to 0F 23. They have a register whatever the "mod" bits say. */
static bool is_mov_special(const struct prefixes *p)
{
    return p->left > 2 && p->opcode[0] == 0x0f && (p->opcode[1] & 0xfc) == 0x20;
}

/* NOLINTNEXTLINE(readability-function-size): a case for each opcode */
static enum insn_kind kind_of(const struct prefixes *p, unsigned mode_bits, const uint8_t *bytes)
{
    uint8_t b = p->opcode[0], modrm = p->left > 1 ? p->opcode[1] : 0;

    switch (b) {
    case 0x0f: {
        enum insn_kind kind = kind_0f(p);

        if (p->left > 2 && (p->opcode[1] == 0x20 || p->opcode[1] == 0x22) && (rex_of(p, mode_bits, bytes) & REX_R))
            return p->opcode[2] >> 3 & 7 ? INSN_WRITE_CR : INSN_CR8;
        return kind;
    }
    case 0x17:
        return mode_bits == 64 ? INSN_PLAIN : INSN_LOAD_SS; /* POP SS */
    case 0x8e:
        return (modrm >> 3 & 7) == 2 ? INSN_LOAD_SS : INSN_PLAIN;
    case 0x90:
        return p->rep ? INSN_PAUSE : INSN_PLAIN;
    case 0x9d:
        return INSN_POPF;
    case 0xcf:
        return INSN_IRET;
    case 0xfb:
        return INSN_STI;
    case 0xf4:
        return INSN_HLT;
    case 0xcc:
    case 0xcd:
    case 0xce:
        return INSN_INT;
    case 0xf1:
        return INSN_ICEBP;
    case 0x6c:
    case 0x6d:
        return INSN_INS;
    case 0x6e:
    case 0x6f:
        return INSN_OUTS;
    case 0xe4:
    case 0xe5:
    case 0xec:
    case 0xed:
        return INSN_IN;
    case 0xe6:
    case 0xe7:
    case 0xee:
    case 0xef:
        return INSN_OUT;
    case 0xa4:
    case 0xa5:
    case 0xa6:
    case 0xa7:
    case 0xaa:
    case 0xab:
    case 0xac:
    case 0xad:
    case 0xae:
    case 0xaf:
        return p->rep ? INSN_REP : INSN_PLAIN;
    default:
        return INSN_PLAIN;
    }
}

static void set_kind(struct insn *insn, enum insn_kind kind)
{
    insn->kind = kind;
    insn->flags = kinds[kind].flags;
    insn->price_ns = kinds[kind].price_ns;
}

bool decoder_decode(struct decoder *dec, unsigned mode_bits, const uint8_t *bytes, size_t available, struct insn *insn)
{
    const uint8_t *cursor = bytes;
    uint64_t address = 0;
    struct prefixes p;

    memset(insn, 0, sizeof(*insn));
    set_kind(insn, INSN_INVALID);
    if (available > INSN_BYTES_MAX)
        available = INSN_BYTES_MAX;
    p = skip_prefixes(mode_bits, bytes, available);
    if (is_mov_special(&p)) {
        unsigned rex = rex_of(&p, mode_bits, bytes);

        insn->length = (uint8_t)(p.opcode + 3 - bytes);
        insn->special = (uint8_t)((p.opcode[2] >> 3 & 7) + (rex & REX_R ? 8 : 0));
        insn->gpr = (uint8_t)((p.opcode[2] & 7) + (rex & REX_B ? 8 : 0));
        insn->to_special = p.opcode[1] & 2;
        insn->locked = p.lock;
        set_kind(insn, kind_of(&p, mode_bits, bytes));
        return true;
    }
    if (!cs_disasm_iter(handle_of(dec, mode_bits), &cursor, &available, &address, dec->insn))
        return false;
    insn->length = (uint8_t)dec->insn->size;
    p = skip_prefixes(mode_bits, bytes, insn->length);
    set_kind(insn, kind_of(&p, mode_bits, bytes));
    if (insn->kind == INSN_WRITE_BASE) {
        unsigned rex = rex_of(&p, mode_bits, bytes);

        insn->special = p.opcode[2] >> 3 & 7;
        insn->gpr = (uint8_t)((p.opcode[2] & 7) + (rex & REX_B ? 8 : 0));
        insn->operand_bytes = rex & REX_W ? 8 : 4;
        insn->locked = p.lock;
    }
    if (insn->kind >= INSN_IN && insn->kind <= INSN_OUTS) {
        bool word = p.opcode[0] & 1;
        bool operand32 = (mode_bits != 16) != p.operand16;

        insn->operand_bytes = !word ? 1 : operand32 ? 4 : 2;
        insn->immediate = p.opcode[0] >= 0xe4 && p.opcode[0] <= 0xe7;
        insn->port = insn->immediate && p.left > 1 ? p.opcode[1] : 0;
        insn->repeated = p.rep;
        insn->segment = (uint8_t)p.segment;
        insn->address_bytes = mode_bits == 64 ? (p.address_size ? 4 : 8) : (mode_bits == 32) != p.address_size ? 4 : 2;
    }
    return true;
}

bool insn_may_be_special(const uint8_t *bytes, size_t length)
{
    /* One bit a byte value that can begin (behind its prefixes) anything kind_of() does not call plain. */
    static const uint8_t suspicious[32] = {
        [0x17 / 8] = 1u << (0x17 & 7),
        [0x6c / 8] = 0xf0, /* 6C-6F */
        [0x8e / 8] = 1u << (0x8e & 7),
        [0x90 / 8] = 1u << 0,
        [0x9d / 8] = 1u << (0x9d & 7),
        [0xa4 / 8] = 0xf0, /* A4-A7 */
        [0xaa / 8] = 0xfc, /* AA-AF */
        [0xcc / 8] = 0xf0, /* CC-CF */
        [0xe4 / 8] = 0xf0, /* E4-E7 */
        [0xec / 8] = 0xf0, /* EC-EF */
        [0xf0 / 8] = 0x12, /* F1, F4 */
        [0xfb / 8] = 1u << (0xfb & 7),
    };

    for (size_t i = 0; i < length; i++) {
        uint8_t b = bytes[i];

        if (b == 0x0f) {
            uint8_t next = i + 1 < length ? bytes[i + 1] : 0;

            if (next <= 0x01 || (next >= 0x07 && next <= 0x09) || next == 0x35 || (next >= 0x20 && next <= 0x23) ||
                (next >= 0x30 && next <= 0x33) || next == 0xa2 || next == 0xb2 || next == 0xc7 || next == 0x38 ||
                (next == 0xae && (i + 2 >= length || (bytes[i + 2] & 0xf0) == 0xd0)))
                return true;
        } else if (suspicious[b >> 3] >> (b & 7) & 1) {
            return true;
        }
    }
    return false;
}

size_t decoder_print(struct decoder *dec, unsigned mode_bits, uint64_t gva, const uint8_t *bytes, size_t available,
                     char *text, size_t text_bytes)
{
    const uint8_t *cursor = bytes;

    if (available > INSN_BYTES_MAX)
        available = INSN_BYTES_MAX;
    if (!cs_disasm_iter(handle_of(dec, mode_bits), &cursor, &available, &gva, dec->insn)) {
        snprintf(text, text_bytes, "(not an instruction)");
        return 0;
    }
    snprintf(text, text_bytes, "%s%s%s", dec->insn->mnemonic, dec->insn->op_str[0] ? " " : "", dec->insn->op_str);
    return dec->insn->size;
}
