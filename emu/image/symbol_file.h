/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * symbol_file: a symbol table as an ELF file without content, for debuggers that read symbols only from files.
 *
 * Its sections say where code and where data lie, by the kinds of the symbols, and hold nothing (NOBITS): what is there
 * is the guest's business. Addresses are run addresses (symbols.h), so the slide, if any, is in them.
 *
 * Source: System V ABI, "Symbol Table" and "Sections".
 */
#ifndef BOOTRACE_EMU_IMAGE_SYMBOL_FILE_H
#define BOOTRACE_EMU_IMAGE_SYMBOL_FILE_H

#include "emu/base/diag.h"
#include "emu/image/symbols.h"

/* Runs of code and of data that get a section each; what is beyond is absolute. */
#define SYMBOL_FILE_SECTIONS_MAX 4096u

/* Write all symbols of a sealed table for a 32-bit (i386) or 64-bit (x86-64) guest. The caller's file descriptor is
   left open. EMU_EHOST: it can't be written, or there is no memory. */
enum emu_err symbol_file_write(const struct symbols *s, unsigned bits, int fd, struct diag *d) EMU_MUST_CHECK;

#endif
