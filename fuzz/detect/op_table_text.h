/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * op_table_text: the declaration of an operations table of a free-standing guest: words, separated by blanks or lines:
 *
 *   table=SYMBOL                the table
 *   slots=NAME,NAME,…           its slots in order, each a pointer
 *   patcher=FUNCTION[/stack]    FUNCTION(first, end) patches a table of { pointer to the site; uint8_t slot; uint8_t
 *                               bytes; uint16_t }; in 32-bit code with its arguments in registers, or on the stack
 *   lock=PROTOCOL:FUNCTION,…    functions that take a lock, their first argument, and which belong together
 *   unlock=PROTOCOL:FUNCTION,…  and those that release it
 *
 * table, slots and patcher come once, lock and unlock any number of times, or never. # begins a comment. A name is a
 * symbol of the guest. No Linux knowledge is needed or used.
 */
#ifndef BOOTRACE_FUZZ_DETECT_OP_TABLE_TEXT_H
#define BOOTRACE_FUZZ_DETECT_OP_TABLE_TEXT_H

#include "fuzz/detect/op_table.h"

/* EMU_EINPUT with a sentence that says what does not fit, and what would. `c` is complete only on EMU_OK. */
enum emu_err op_table_parse(const char *text, const struct symbols *symbols, unsigned bits, struct op_table_config *c,
                            struct diag *d) EMU_MUST_CHECK;

#endif
