/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pic: the two 8259A interrupt controllers of a PC, the second on input 2 of the first; output to LINT0 of vCPU 0.
 *
 * Source: Intel 8259A Programmable Interrupt Controller datasheet; Xen 4.17 xen/arch/x86/hvm/vpic.c; the
 * edge/level registers: Intel 8 Series PCH datasheet, "ELCR".
 */
#ifndef BOOTRACE_MODELS_PC_PIC_H
#define BOOTRACE_MODELS_PC_PIC_H

#include <stdbool.h>
#include <stdint.h>

#include "emu/model.h"

extern const struct model pic_model;

/* Drive line 0 to 15; line 2 is the cascade, and driving it does nothing. */
void pic_set_line(struct machine *m, unsigned line, bool level);

/* Whether an edge on the line would make its interrupt pending at vCPU 0, where it is not yet: the line is not masked,
   nothing of its priority or a higher one is in service, and vCPU 0 takes the pair's interrupts. Changes nothing. */
bool pic_would_reach(struct machine *m, unsigned line);

/* Whether the pair requests an interrupt. */
bool pic_output(struct machine *m);

/* The interrupt-acknowledge cycle: the vector, which is a spurious 7 or 15 if no request is left. */
uint8_t pic_acknowledge(struct machine *m);

#endif
