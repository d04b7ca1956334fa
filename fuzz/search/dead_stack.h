/* SPDX-License-Identifier: GPL-2.0-or-later */
/* dead_stack: what lies below the stack pointer of an interrupted vCPU, which nobody reads before it is written. */
#ifndef BOOTRACE_FUZZ_SEARCH_DEAD_STACK_H
#define BOOTRACE_FUZZ_SEARCH_DEAD_STACK_H

#include "emu/memory.h"

struct footprint;
struct machine;

#define DEAD_STACK_BYTES (2 * PAGE_BYTES) /* at most so much of it is known to be dead */

/* `vcpu` is interrupted here: its dead stack is none of the footprint (footprint_add_dead()). */
void dead_stack_note(struct footprint *f, struct machine *m, unsigned vcpu);

#endif
