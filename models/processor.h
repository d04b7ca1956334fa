/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * processor: which processor a guest sees, as the user chooses it: "NAME[,+FEATURE][,-FEATURE]...". CPUID, MSRs and
 * local APICs ask here. Not here: what a feature does.
 */
#ifndef BOOTRACE_MODELS_PROCESSOR_H
#define BOOTRACE_MODELS_PROCESSOR_H

#include <stdbool.h>
#include <stddef.h>

#include "emu/base/diag.h"

struct machine;

struct processor {
    const char *name;
    bool x2apic;
    bool cpuid_faulting;
    bool invariant_tsc;
};

#define PROCESSOR_TEXT_BYTES 128

/* What a guest sees if nobody chooses. */
extern const struct processor processor_default;

/* The machine's. */
const struct processor *processor_of(const struct machine *m);

/* EMU_EINPUT with a sentence that lists what is known, if `text` is not. */
enum emu_err processor_parse(const char *text, struct processor *out, struct diag *d) EMU_MUST_CHECK;

/* A text that gives the same again: its name, and the features in which it differs from the processor of that name.
   Returns `text`. */
const char *processor_print(const struct processor *p, char text[PROCESSOR_TEXT_BYTES]);

#endif
