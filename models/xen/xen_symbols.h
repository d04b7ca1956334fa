/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xen_symbols: the symbol table that a Xen carries inside itself, read from its image before it starts.
 *
 * Xen's ELF file is stripped; what it needs to name places in its own panics is in it, compressed as Linux' kallsyms is
 * and otherwise arranged: offsets[n], the number n, names, (sorted offsets,) markers, token table, token index. All of
 * it is found by its structure, and accepted only if everything agrees. It holds functions and no data. A function that
 * several files have is "file.c#name" there; here it is "file.c:name", and "name" too where only one file has it.
 *
 * It reads the x86-64 Xen from 4.5 on (until then the table held whole addresses).
 *
 * Source: Xen 4.17, tools/symbols.c, "write_src"; common/symbols.c, "symbols_expand_symbol";
 * arch/x86/include/asm/config.h.
 */
#ifndef BOOTRACE_MODELS_XEN_XEN_SYMBOLS_H
#define BOOTRACE_MODELS_XEN_XEN_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "emu/base/diag.h"
#include "emu/image/image.h"
#include "emu/image/symbols.h"

/* What begins the name of every symbol of a Xen that is not the image itself but runs it. */
#define XEN_SYMBOLS_PREFIX "xen:"

/* The part of the address space that a 64-bit PV kernel leaves to Xen. Source: public/arch-x86/xen-x86_64.h,
   HYPERVISOR_VIRT_START and _END. */
#define XEN_RESERVED_START_GVA UINT64_C(0xffff800000000000)
#define XEN_RESERVED_END_GVA   UINT64_C(0xffff880000000000)

/*
 * Add every symbol, its name behind `prefix`, to a table not yet sealed. *found is their number, *start_gva where a Xen
 * linked at physical address 0 has it: what is at paddr in the image runs at *start_gva + paddr. EMU_EINPUT: there is
 * no such table, or it does not agree with itself; then `s` is as before.
 */
enum emu_err xen_symbols_read(const struct image *img, const char *prefix, struct symbols *s, size_t *found,
                              uint64_t *start_gva, struct diag *d) EMU_MUST_CHECK;

#endif
