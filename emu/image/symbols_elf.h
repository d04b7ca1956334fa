/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * symbols_elf: the symbols of an ELF file's .symtab (else .dynsym) into a symbol table.
 *
 * Section and file symbols, undefined and unnamed ones are left out. It relocates nothing.
 *
 * Source: System V ABI, "Symbol Table".
 */
#ifndef BOOTRACE_EMU_IMAGE_SYMBOLS_ELF_H
#define BOOTRACE_EMU_IMAGE_SYMBOLS_ELF_H

#include "emu/base/diag.h"
#include "emu/image/symbols.h"

/*
 * Add the symbols, and the loaded sections as ranges, to a table not yet sealed; symbols below `_text`, if there is
 * one, are set not to move. *found is how many symbols were added: 0 for a stripped file, which is no error.
 * EMU_EINPUT: not an ELF file that libelf can read, or as symbols_add; then `s` holds an unspecified part.
 */
enum emu_err symbols_elf_read(const void *bytes, size_t size, struct symbols *s, size_t *found,
                              struct diag *d) EMU_MUST_CHECK;

#endif
