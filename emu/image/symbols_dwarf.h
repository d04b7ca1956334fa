/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * symbols_dwarf: source lines and function names out of a vmlinux with debug data, into a symbol table.
 *
 * Names are the functions that have code of their own; inlined copies have none. Reading a whole distribution vmlinux
 * takes seconds and some hundred MiB, so callers do it when asked for, not by default.
 *
 * Source: DWARF 5, "Line Number Information" and "Subroutine and Entry Point Entries".
 */
#ifndef BOOTRACE_EMU_IMAGE_SYMBOLS_DWARF_H
#define BOOTRACE_EMU_IMAGE_SYMBOLS_DWARF_H

#include "emu/base/diag.h"
#include "emu/image/symbols.h"

/*
 * Add lines and functions to a table not yet sealed. *lines and *functions say how many: both 0 for a file without
 * debug data, which is no error. EMU_EINPUT: the file can't be read as ELF or its debug data is damaged; and as
 * symbols_add and symbols_add_line. Then `s` holds an unspecified part.
 */
enum emu_err symbols_dwarf_read(const char *path, struct symbols *s, size_t *lines, size_t *functions,
                                struct diag *d) EMU_MUST_CHECK;

#endif
