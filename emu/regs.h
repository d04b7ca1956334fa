/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * regs: the architectural state of one vCPU in plain C, by the manual's names.
 *
 * This is what is digested, printed, stored on disk and worked on by event delivery. It is not the engine's own
 * context block: engine_get_regs() and engine_set_regs() translate.
 */
#ifndef BOOTRACE_EMU_REGS_H
#define BOOTRACE_EMU_REGS_H

#include <stdbool.h>
#include <stdint.h>

enum gpr { /* in the order of the instruction encoding; SDM Vol. 2A, "Instruction Format" */
           GPR_RAX,
           GPR_RCX,
           GPR_RDX,
           GPR_RBX,
           GPR_RSP,
           GPR_RBP,
           GPR_RSI,
           GPR_RDI,
           GPR_R8,
           GPR_R9,
           GPR_R10,
           GPR_R11,
           GPR_R12,
           GPR_R13,
           GPR_R14,
           GPR_R15,
           GPR_COUNT,
};

enum segment_register { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_COUNT };

/* A segment register with its hidden part; SDM Vol. 3A, "Segment Registers" and "Segment Descriptors". */
struct segment {
    uint64_t base;
    uint32_t limit;      /* in bytes, granularity applied */
    uint32_t attributes; /* the second word of the descriptor: type 8-11, S 12, DPL 13-14, P 15, L 21, D/B 22, G 23 */
    uint16_t selector;
};

#define SEG_ATTR_TYPE_SHIFT 8
#define SEG_ATTR_CODE       (1u << 11) /* code segment (with SEG_ATTR_S) */
#define SEG_ATTR_CONFORMING (1u << 10)
#define SEG_ATTR_WRITABLE   (1u << 9) /* data: writable; code: readable */
#define SEG_ATTR_S          (1u << 12)
#define SEG_ATTR_DPL_SHIFT  13
#define SEG_ATTR_P          (1u << 15)
#define SEG_ATTR_L          (1u << 21)
#define SEG_ATTR_DB         (1u << 22)
#define SEG_ATTR_G          (1u << 23)

struct descriptor_table {
    uint64_t base;
    uint16_t limit; /* last valid byte */
};

#define RFLAGS_CF         (1ull << 0)
#define RFLAGS_FIXED      (1ull << 1)
#define RFLAGS_TF         (1ull << 8)
#define RFLAGS_IF         (1ull << 9)
#define RFLAGS_DF         (1ull << 10)
#define RFLAGS_IOPL_SHIFT 12
#define RFLAGS_NT         (1ull << 14)
#define RFLAGS_RF         (1ull << 16)
#define RFLAGS_VM         (1ull << 17)
#define RFLAGS_AC         (1ull << 18)

#define CR0_PE       (1ull << 0)
#define CR0_EM       (1ull << 2)
#define CR0_ET       (1ull << 4)
#define CR0_WP       (1ull << 16)
#define CR0_NW       (1ull << 29)
#define CR0_CD       (1ull << 30)
#define CR0_PG       (1ull << 31)
#define CR4_PSE      (1ull << 4)
#define CR4_PAE      (1ull << 5)
#define CR4_DE       (1ull << 3)
#define CR4_OSFXSR   (1ull << 9)
#define CR4_LA57     (1ull << 12)
#define CR4_FSGSBASE (1ull << 16)
#define CR4_PCIDE    (1ull << 17)
#define EFER_SCE     (1ull << 0)
#define EFER_LME     (1ull << 8)
#define EFER_LMA     (1ull << 10)
#define EFER_NXE     (1ull << 11)

/* SDM Vol. 3B, "Debug Registers". */
#define DR6_B0_3     0xfull
#define DR6_BD       (1ull << 13)
#define DR6_BS       (1ull << 14)
#define DR6_WRITABLE 0xe00full
#define DR6_FIXED    0xffff0ff0ull
#define DR7_GD       (1ull << 13)
#define DR7_WRITABLE 0xffff23ffull
#define DR7_FIXED    0x400ull

/* MSRs that the engine itself keeps, since its instructions use them. SDM Vol. 4, "Architectural MSRs". */
enum engine_msr {
    MSR_ID_SYSENTER_CS = 0x174,
    MSR_ID_SYSENTER_ESP = 0x175,
    MSR_ID_SYSENTER_EIP = 0x176,
    MSR_ID_EFER = 0xc0000080,
    MSR_ID_STAR = 0xc0000081,
    MSR_ID_LSTAR = 0xc0000082,
    MSR_ID_CSTAR = 0xc0000083,
    MSR_ID_FMASK = 0xc0000084,
    MSR_ID_FS_BASE = 0xc0000100,
    MSR_ID_GS_BASE = 0xc0000101,
    MSR_ID_KERNEL_GS_BASE = 0xc0000102,
    MSR_ID_TSC_AUX = 0xc0000103,
};

struct vcpu_regs {
    uint64_t gpr[GPR_COUNT];
    uint64_t rip;
    uint64_t rflags;
    struct segment seg[SEG_COUNT];
    struct segment ldtr, tr;
    struct descriptor_table gdtr, idtr;
    uint64_t cr0, cr2, cr3, cr4, cr8;
    uint64_t dr[4], dr6, dr7;
    uint64_t efer, star, lstar, cstar, fmask, kernel_gs_base, tsc_aux;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint8_t st[8][10];
    uint16_t fpcw, fpsw, fptag;
    uint32_t mxcsr;
    uint64_t fpip, fpdp; /* of the last x87 instruction, which FXSAVE and FNSTENV store */
    uint16_t fpcs, fpds, fpop;
    uint8_t xmm[16][16];
    bool interrupt_shadow; /* by STI or MOV SS, for one instruction; SDM Vol. 3A, "Masking Maskable Interrupts" */
};

/* The current privilege level, 0-3. */
static inline unsigned regs_cpl(const struct vcpu_regs *r)
{
    return (r->rflags & RFLAGS_VM) ? 3 : (r->cr0 & CR0_PE) ? (r->seg[SEG_SS].attributes >> SEG_ATTR_DPL_SHIFT) & 3 : 0;
}

/* 64-bit code executes (IA-32e mode with CS.L), 32-bit code, or 16-bit code: 64, 32 or 16. */
static inline unsigned regs_code_bits(const struct vcpu_regs *r)
{
    if ((r->efer & EFER_LMA) && (r->seg[SEG_CS].attributes & SEG_ATTR_L))
        return 64;
    return (r->cr0 & CR0_PE) && !(r->rflags & RFLAGS_VM) && (r->seg[SEG_CS].attributes & SEG_ATTR_DB) ? 32 : 16;
}

#endif
