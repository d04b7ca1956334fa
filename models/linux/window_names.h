/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * window_names: what a part of Linux does, as a name that stays the same from kernel to kernel while the function that
 * does it is called otherwise: `@text-poke` is text_poke_bp_batch until 6.15 and smp_text_poke_batch_finish since.
 *
 * They are other names of symbols (symbols_add_alias): wherever a symbol may be named, they may.
 */
#ifndef BOOTRACE_MODELS_LINUX_WINDOW_NAMES_H
#define BOOTRACE_MODELS_LINUX_WINDOW_NAMES_H

#include <stdio.h>

#include "emu/image/symbols.h"

/* Add each name whose function is in the sealed table. */
void window_names_add(struct symbols *s);

/* All of them, one a line: name, and what it means. */
void window_names_print_list(FILE *to);

#endif
