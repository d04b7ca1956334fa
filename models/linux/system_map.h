/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * system_map: the text of a kernel's System.map (nm -n of its vmlinux) into a symbol table.
 *
 * A line is a link address of up to 16 hexadecimal digits, one kind letter and a name, separated by blanks. It does not
 * know which kernel the file belongs to: the file of another kernel is read without complaint.
 *
 * Source: Linux scripts/mksysmap; nm(1), "The symbol type".
 */
#ifndef BOOTRACE_MODELS_LINUX_SYSTEM_MAP_H
#define BOOTRACE_MODELS_LINUX_SYSTEM_MAP_H

#include "emu/base/diag.h"
#include "emu/image/symbols.h"

#define SYSTEM_MAP_BYTES_MAX (256u << 20) /* larger files are refused */

/*
 * Add every symbol of the text to a table not yet sealed; symbols below `_text` are set not to move. `file` names it in
 * errors. EMU_EINPUT with file and line: a line of another form, no symbol at all, or the placeholder that Debian
 * installs in /boot; and as symbols_add. Then `s` holds the symbols before that line.
 */
enum emu_err system_map_parse(const char *text, size_t bytes, const char *file, struct symbols *s,
                              struct diag *d) EMU_MUST_CHECK;

/* The same from a file. EMU_EINPUT if it can't be read or is too large. */
enum emu_err system_map_read(const char *path, struct symbols *s, struct diag *d) EMU_MUST_CHECK;

#endif
