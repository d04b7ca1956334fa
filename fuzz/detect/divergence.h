/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * divergence: what the guest declares must not change, against the undisturbed run: memory by symbols, and the
 * interrupted registers. It says that they differ, not why.
 *
 * Two ways to compare. Around an interrupt handler (exhaustive.h): what is there when it returns to the interrupted
 * boundary must be what was there when it was taken, since that is what the undisturbed run has at this boundary. And
 * in whole runs (struct divergence): when the guest ends by itself, or comes to a place, the declared memory must hold
 * what the undisturbed run has left there at that moment. A run that comes to neither is not compared.
 *
 * A declaration is a list with commas of `registers`, `cr2` (apart, since it is dead most of the time), SYMBOL (all of
 * it), SYMBOL:BYTES, and SYMBOL+OFFSET:BYTES; then perhaps @SYMBOL, the place of the second way.
 */
#ifndef BOOTRACE_FUZZ_DETECT_DIVERGENCE_H
#define BOOTRACE_FUZZ_DETECT_DIVERGENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "emu/base/diag.h"
#include "emu/regs.h"
#include "emu/watch.h"

struct machine;
struct symbols;

#define DIVERGENCE_RANGES_MAX 16u
#define DIVERGENCE_BYTES_MAX  16384u /* of all ranges together */
#define DIVERGENCE_NAME_BYTES 96u
#define DIVERGENCE_TEXT_BYTES 320u

struct divergence_list {
    bool registers, cr2;
    unsigned ranges;
    struct divergence_range {
        char name[DIVERGENCE_NAME_BYTES]; /* of the symbol, with its offset */
        uint64_t gva;
        unsigned bytes;
    } range[DIVERGENCE_RANGES_MAX];
    uint64_t at_gva; /* compare before this instruction; 0: when the guest ends */
    char at[DIVERGENCE_NAME_BYTES];
};

/* EMU_EINPUT: no such symbol, more than one, or text that is none of the above. `symbols` may be NULL (then only
   `registers` is a declaration). */
enum emu_err divergence_parse(const char *text, const struct symbols *symbols, struct divergence_list *out,
                              struct diag *d) EMU_MUST_CHECK;

/* What is declared, as it was at one moment. */
struct divergence_values {
    struct vcpu_regs regs;
    unsigned code_bits;
    uint8_t memory[DIVERGENCE_BYTES_MAX]; /* range after range */
};

/* Read it, of the current vCPU. EMU_EINPUT: a byte of it is not mapped. */
enum emu_err divergence_read(const struct divergence_list *list, struct machine *m, struct divergence_values *out,
                             struct diag *d) EMU_MUST_CHECK;
/* Whether what is declared is otherwise now; `text` names the first difference, with both values. */
bool divergence_differs(const struct divergence_list *list, const struct divergence_values *expected, struct machine *m,
                        char text[DIVERGENCE_TEXT_BYTES]);
/* The same of the registers alone. */
bool divergence_registers_differ(const struct divergence_list *list, const struct divergence_values *expected,
                                 struct machine *m, char text[DIVERGENCE_TEXT_BYTES]);
/* Give the current vCPU other values in every register that a handler has to put back and may not depend on: all but
   the stack pointer, what execution itself stands on, and the x87 registers. */
void divergence_disturb_registers(struct machine *m);

/* In whole runs. The first run that comes to the comparison is the undisturbed one, which says what is expected; each
   later one (from the same snapshot) that differs ends with the verdict FAIL, detector "divergence". */
struct divergence {
    struct divergence_list list;
    struct watcher watcher;
    struct machine *machine;
    bool is_known; /* the undisturbed run was made */
    struct divergence_values expected;
};

/* `x` is the caller's and must outlive the machine's running. EMU_EINPUT: nothing that whole runs can compare is
   declared. EMU_EHOST: too many watchers. */
enum emu_err divergence_attach(struct divergence *x, struct machine *m, const struct divergence_list *list,
                               struct diag *d) EMU_MUST_CHECK;
void divergence_detach(struct divergence *x);
/* Whether the run that the machine is in has come to the comparison. */
bool divergence_was_compared(const struct divergence *x);

#endif
