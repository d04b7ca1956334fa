/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * insn: what the machine must know about one guest instruction: its length, its kind, its price.
 *
 * Virtual time is one nanosecond a step plus a fixed price for slow instructions; the prices are the table in insn.c.
 */
#ifndef BOOTRACE_EMU_INSN_H
#define BOOTRACE_EMU_INSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "emu/base/diag.h"
#include "emu/regs.h"

#define INSN_BYTES_MAX 15

enum insn_kind {
    INSN_PLAIN,
    INSN_INVALID, /* not decodable: the engine decides */
    INSN_PAUSE,
    INSN_RDTSC, /* RDTSC, RDTSCP */
    INSN_CPUID,
    INSN_HLT,
    INSN_VMCALL, /* VMCALL, VMMCALL */
    INSN_IN,
    INSN_OUT,
    INSN_INS,
    INSN_OUTS,
    INSN_RDMSR,
    INSN_WRMSR,
    INSN_RDRAND, /* RDRAND, RDSEED */
    INSN_RDPMC,
    INSN_MONITOR,  /* MONITOR, MWAIT */
    INSN_CR8,      /* MOV to or from CR8 */
    INSN_WRITE_CR, /* MOV to CR0, CR4, or a control register that there is not */
    INSN_READ_DR,
    INSN_WRITE_DR,
    INSN_ICEBP,      /* INT1 */
    INSN_WRITE_BASE, /* WRFSBASE, WRGSBASE */
    INSN_STI,
    INSN_LOAD_SS, /* MOV SS, POP SS, LSS */
    INSN_POPF,
    INSN_IRET,
    INSN_SYSRET,    /* SYSRET, SYSEXIT */
    INSN_TLB,       /* what changes or flushes translations without serialising: LMSW, INVPCID */
    INSN_PAGING,    /* … and serialises: MOV to CR2, CR3, INVLPG */
    INSN_SERIALISE, /* serialises, and is plain otherwise: LGDT, LIDT, LLDT, LTR, INVD, WBINVD, SERIALIZE */
    INSN_INT,       /* INT n, INT3, INTO */
    INSN_REP,       /* a repeated string instruction: each iteration is a step */
    INSN_KIND_COUNT,
};

/* What a kind asks of the engine. */
#define INSN_F_ALONE      1u   /* the machine executes it itself */
#define INSN_F_IF         2u   /* may set IF */
#define INSN_F_IRET       4u   /* ends NMI blocking */
#define INSN_F_EPOCH      8u   /* afterwards virtual addresses may mean something else */
#define INSN_F_BREAK      32u  /* a breakpoint is on it (set by the engine, never by the decoder) */
#define INSN_F_NATURAL    16u  /* ends a block by itself and must not be run under the stepping flag */
#define INSN_F_SERIALISES 64u  /* SDM Vol. 3A, "Serializing Instructions"; of WRMSR the machine knows more */
#define INSN_F_PRIVATE    128u /* with INSN_F_ALONE: between the machine and this vCPU; no device takes part */

struct insn {
    enum insn_kind kind;
    uint8_t length;
    uint32_t flags;
    uint32_t price_ns;     /* beyond the nanosecond of the step */
    uint8_t operand_bytes; /* IN, OUT, INS, OUTS: 1, 2 or 4; WRFSBASE, WRGSBASE: 4 or 8 */
    bool immediate;        /* IN, OUT: the port is `port`, not DX */
    uint8_t port;
    bool repeated;         /* INS, OUTS: with a REP prefix */
    uint8_t address_bytes; /* INS, OUTS: 2, 4 or 8 */
    uint8_t segment;       /* OUTS: enum segment_register of the source */
    uint8_t special;       /* MOV to and from CR8, other control registers, debug registers: its number, 0 to 15;
                              WRFSBASE, WRGSBASE: 2 and 3 */
    uint8_t gpr;           /* and enum gpr of the other operand */
    bool to_special;       /* a write of it */
    bool locked;           /* with a LOCK prefix */
};

struct decoder;
enum emu_err decoder_new(struct decoder **out, struct diag *d) EMU_MUST_CHECK;
void decoder_free(struct decoder *dec);
/* Of Capstone. */
void decoder_library_version(unsigned *major, unsigned *minor);

/* Decode one instruction of `mode_bits` (16, 32, 64) code. False if the bytes are not enough or not an instruction;
   then `insn` is INSN_INVALID with length 0. */
bool decoder_decode(struct decoder *dec, unsigned mode_bits, const uint8_t *bytes, size_t available, struct insn *insn);

/* Whether `bytes` can hold anything but plain instructions; a false "yes" is allowed, a false "no" is not. */
bool insn_may_be_special(const uint8_t *bytes, size_t length);

/* Text of one instruction for reports; returns its length, 0 if it is none (then the text says so). */
size_t decoder_print(struct decoder *dec, unsigned mode_bits, uint64_t gva, const uint8_t *bytes, size_t available,
                     char *text, size_t text_bytes);

#endif
