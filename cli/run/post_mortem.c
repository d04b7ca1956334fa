/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/run/post_mortem.h"

#include <inttypes.h>
#include <string.h>

#include "emu/base/plural.h"
#include "emu/image/symbols.h"
#include "emu/insn.h"
#include "emu/machine.h"
#include "emu/vcpu.h"
#include "models/xen/pv_frame.h"

#define PLACE_BYTES      160
#define INSNS_AROUND     5
#define STACK_WORDS_MAX  512
#define STACK_PLACES_MAX 16

void post_mortem_place(const struct symbols *symbols, uint64_t gva, char *text, size_t bytes)
{
    if (symbols)
        symbols_print(symbols, gva, text, bytes);
    else
        snprintf(text, bytes, "0x%" PRIx64, gva);
}

/* Instructions before RIP are found by decoding from the symbol's start; without a symbol the code begins at RIP. */
static void print_code(struct machine *m, unsigned vcpu, const struct vcpu_regs *r, const struct symbols *symbols,
                       struct decoder *dec, FILE *to)
{
    uint64_t pc = r->rip + (regs_code_bits(r) == 64 ? 0 : r->seg[SEG_CS].base);
    uint64_t first = pc, before[INSNS_AROUND];
    unsigned bits = regs_code_bits(r), kept = 0;
    struct symbol s;

    if (symbols && symbols_find_address(symbols, pc, &s) && pc - s.start_gva < 0x4000) {
        for (uint64_t at = s.start_gva; at < pc;) {
            uint8_t code[INSN_BYTES_MAX];
            struct insn insn;

            if (!vcpu_read_gva(m, vcpu, at, code, sizeof(code), NULL) ||
                !decoder_decode(dec, bits, code, sizeof(code), &insn))
                break;
            memmove(before, before + 1, sizeof(before) - sizeof(before[0]));
            before[INSNS_AROUND - 1] = at;
            if (kept < INSNS_AROUND)
                kept++;
            at += insn.length;
        }
        if (kept)
            first = before[INSNS_AROUND - kept];
    }
    for (unsigned n = 0; n < kept + INSNS_AROUND; n++) {
        uint8_t code[INSN_BYTES_MAX];
        char text[128], place[PLACE_BYTES];
        size_t length;

        if (!vcpu_read_gva(m, vcpu, first, code, sizeof(code), NULL)) {
            fprintf(to, "      0x%" PRIx64 ": not mapped\n", first);
            return;
        }
        length = decoder_print(dec, bits, first, code, sizeof(code), text, sizeof(text));
        post_mortem_place(symbols, first, place, sizeof(place));
        fprintf(to, "   %s %-40s %s\n", first == pc ? "->" : "  ", place, text);
        if (!length)
            return;
        first += length;
    }
}

/* Without unwind tables a chain is a guess: words on the stack that point behind a call in a known function. */
static void print_stack(struct machine *m, unsigned vcpu, const struct vcpu_regs *r, const struct symbols *symbols,
                        const char *whose, FILE *to)
{
    unsigned width = regs_code_bits(r) == 64 ? 8 : 4, found = 0;
    uint64_t sp = r->gpr[GPR_RSP];

    if (!symbols)
        return;
    fprintf(to, "   %s (likely callers):", whose);
    for (unsigned i = 0; i < STACK_WORDS_MAX && found < STACK_PLACES_MAX; i++, sp += width) {
        uint64_t word = 0;
        struct symbol s;

        if (!vcpu_read_gva(m, vcpu, sp, &word, width, NULL))
            break;
        if (!symbols_find_address(symbols, word, &s) || (s.kind != 'T' && s.kind != 't') || word == s.start_gva)
            continue;
        fprintf(to, " %s+0x%" PRIx64, s.name, word - s.start_gva);
        found++;
    }
    fprintf(to, "%s\n", found ? "" : " none found");
}

/* Outside long mode there are eight, of 32 bits; SDM Vol. 1, "Basic Program Execution Registers". In compatibility mode
   an interrupt would bring the others into sight. */
static void print_gprs(const struct vcpu_regs *r, FILE *to)
{
    static const char *const names[GPR_COUNT] = {"ax", "cx", "dx",  "bx",  "sp",  "bp",  "si",  "di",
                                                 "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"};
    bool is_long = r->efer & EFER_LMA;

    for (unsigned i = 0; i < (is_long ? GPR_COUNT : GPR_R8); i++) {
        char name[8];

        snprintf(name, sizeof(name), "%s%s", i >= GPR_R8 ? "" : is_long ? "r" : "e", names[i]);
        fprintf(to, "%s%-3s %0*" PRIx64 "%s", i % 4 ? "  " : "   ", name, is_long ? 16 : 8,
                is_long ? r->gpr[i] : (uint32_t)r->gpr[i], i % 4 == 3 ? "\n" : "");
    }
}

/* The other side of a vCPU that a Xen below the kernel has. The processor's other registers are Xen's. */
static void print_guest(struct machine *m, unsigned vcpu, const struct vcpu_regs *r, const struct symbols *symbols,
                        struct decoder *dec, FILE *to)
{
    struct vcpu_regs guest;
    char place[PLACE_BYTES];

    if (!pv_frame_read(m, vcpu, r, &guest))
        return;
    post_mortem_place(symbols, guest.rip, place, sizeof(place));
    fprintf(to, "   the guest under this Xen: rip %s (0x%" PRIx64 ")  rflags 0x%" PRIx64 "  cs 0x%x\n", place,
            guest.rip, guest.rflags, guest.seg[SEG_CS].selector);
    print_gprs(&guest, to);
    print_code(m, vcpu, &guest, symbols, dec, to);
    print_stack(m, vcpu, &guest, symbols, "the guest's stack", to);
}

static void print_vcpu(struct machine *m, unsigned vcpu, const struct symbols *symbols, struct decoder *dec, FILE *to)
{
    const char *reason = vcpu_wait_reason(m, vcpu);
    enum vcpu_state state = vcpu_state(m, vcpu);
    struct vcpu_regs r;
    char place[PLACE_BYTES], prefix;

    fprintf(to, "vCPU %u: %s%s%s%s, %" PRIu64 " step%s\n", vcpu, vcpu_state_name(state), reason ? " (" : "",
            reason ? reason : "", reason ? ")" : "", vcpu_position(m, vcpu), plural(vcpu_position(m, vcpu)));
    if (state == VCPU_OFFLINE)
        return;
    vcpu_get_regs(m, vcpu, &r);
    post_mortem_place(symbols, r.rip, place, sizeof(place));
    prefix = r.efer & EFER_LMA ? 'r' : 'e';
    fprintf(to,
            "   %cip %s (0x%" PRIx64 ")  %cflags 0x%" PRIx64 " IF=%d  cpl %u  cr2 0x%" PRIx64 " cr3 0x%" PRIx64 "\n",
            prefix, place, r.rip, prefix, r.rflags, !!(r.rflags & RFLAGS_IF), regs_cpl(&r), r.cr2, r.cr3);
    print_gprs(&r, to);
    print_code(m, vcpu, &r, symbols, dec, to);
    print_stack(m, vcpu, &r, symbols, pv_frame_is_xen(&r) ? "Xen's stack" : "stack", to);
    print_guest(m, vcpu, &r, symbols, dec, to);
}

void post_mortem_print(struct machine *m, const struct symbols *symbols, FILE *to)
{
    struct decoder *dec;
    struct diag d;

    if (decoder_new(&dec, &d) != EMU_OK) {
        diag_print(&d, "bootrace", to);
        return;
    }
    for (unsigned v = 0; v < machine_vcpus(m); v++)
        print_vcpu(m, v, symbols, dec, to);
    decoder_free(dec);
}

void post_mortem_print_vcpu(struct machine *m, unsigned vcpu, const struct symbols *symbols, FILE *to)
{
    struct decoder *dec;
    struct diag d;

    if (decoder_new(&dec, &d) != EMU_OK) {
        diag_print(&d, "bootrace", to);
        return;
    }
    print_vcpu(m, vcpu, symbols, dec, to);
    decoder_free(dec);
}
