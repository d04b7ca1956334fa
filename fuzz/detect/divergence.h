/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * divergence: compares what the guest declares must not change with the undisturbed run: memory by symbols, and the
 * interrupted registers. It says that they differ, not why.
 *
 * There are two ways to compare. Around an interrupt handler (exhaustive.h): when the handler returns to the
 * interrupted boundary, the declared values must be what they were when the interrupt was taken, since that is what the
 * undisturbed run has at this boundary. In whole runs (struct divergence): when the guest ends by itself or reaches a
 * place, the declared memory must hold what the undisturbed run had there at that moment. A run that reaches neither is
 * not compared.
 *
 * A declaration is a list, separated by commas, of `registers`, `cr2` (apart from them, since it is dead most of the
 * time), SYMBOL (all of it), SYMBOL:BYTES and SYMBOL+OFFSET:BYTES; @SYMBOL may follow, the place at which whole runs
 * are compared.
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

/* The declared values at one moment. */
struct divergence_values {
    struct vcpu_regs regs;
    unsigned code_bits;
    uint8_t memory[DIVERGENCE_BYTES_MAX]; /* range after range */
};

/* Read them, for the current vCPU. EMU_EINPUT: a declared byte is not mapped. */
enum emu_err divergence_read(const struct divergence_list *list, struct machine *m, struct divergence_values *out,
                             struct diag *d) EMU_MUST_CHECK;
/* Whether a declared value has changed; `text` names the first difference, with both values. */
bool divergence_differs(const struct divergence_list *list, const struct divergence_values *expected, struct machine *m,
                        char text[DIVERGENCE_TEXT_BYTES]);
/* The same for the registers alone. */
bool divergence_registers_differ(const struct divergence_list *list, const struct divergence_values *expected,
                                 struct machine *m, char text[DIVERGENCE_TEXT_BYTES]);
/* Give the current vCPU other values in every register that a handler has to put back and may not depend on: all but
   the stack pointer, what execution itself stands on, and the x87 registers. */
void divergence_disturb_registers(struct machine *m);

/* For whole runs. The first run that reaches the comparison is the undisturbed one; its values are expected. Each later
   run (from the same snapshot) that differs ends with the verdict FAIL, detector "divergence". */
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
/* Whether the machine's present run has reached the comparison. */
bool divergence_was_compared(const struct divergence *x);

#endif
