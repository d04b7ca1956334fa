/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kallsyms: the symbol table that a Linux kernel carries inside itself, read from its image before it boots.
 *
 * A stripped vmlinux still holds all names and addresses, in the compressed tables that scripts/kallsyms of the
 * kernel's build makes. Nothing says where they are, so they are found by their structure, and accepted only when
 * everything agrees: 256 tokens with an index that matches, names that expand to printable text behind a letter of
 * nm(1), markers that point at every 256th name, ascending addresses, code inside the kernel's segments. The
 * arrangement changed over the years; all of them are tried and exactly one must fit:
 *
 *   up to 4.5    addresses[n], num_syms, names, markers, token_table, token_index
 *   4.6 … 6.3    offsets[n], relative_base, num_syms, names, markers, (seqs_of_names,) token_table, token_index
 *   from 6.4     num_syms, names, markers, token_table, token_index, offsets[n], relative_base, seqs_of_names
 *   from 7.0     the same without relative_base: an offset counts from the place where it stands
 *
 * Number and markers are words up to 4.19 and 32 bits wide later. With relative_base, an offset is either unsigned from
 * the base, or (x86-64 up to 6.14, SMP) signed: not negative means the address itself (per-CPU symbols), negative
 * counts from base - 1 downwards. A name is a length (one byte; from 6.1 two when its top bit is set, 7 low bits
 * first) and that many tokens; the first character of the expanded text is the kind.
 *
 * Where the image has section headers, a symbol that they show to be no code (T and W outside of executable sections,
 * or in a writable one) gets the letter of data, and none reaches past the end of its section.
 *
 * It does not read modules' symbols nor a running kernel's memory.
 *
 * Source: Linux 2.6.12 … 7.0, scripts/kallsyms.c, "write_src"; kernel/kallsyms.c, "kallsyms_expand_symbol",
 * "kallsyms_sym_address".
 */
#ifndef BOOTRACE_MODELS_LINUX_KALLSYMS_H
#define BOOTRACE_MODELS_LINUX_KALLSYMS_H

#include "emu/base/diag.h"
#include "emu/image/symbols.h"
#include "models/linux/kernel_view.h"

/* How the table says addresses. */
enum kallsyms_addressing {
    KALLSYMS_ABSOLUTE,       /* words */
    KALLSYMS_BASE,           /* unsigned from relative_base */
    KALLSYMS_BASE_OR_PERCPU, /* signed: itself if not negative, else from relative_base - 1 downwards */
    KALLSYMS_PLACE,          /* signed from the place of the entry */
};

/* What was found: offsets into the file. For reports and tests. */
struct kallsyms_tables {
    uint32_t count;
    uint64_t token_table_at, token_index_at;
    uint64_t num_syms_at, names_at, names_end_at;
    uint64_t markers_at;
    unsigned marker_bytes; /* 4 or 8 */
    bool long_names;       /* lengths of two bytes are understood (6.1 and later) */
    uint64_t addresses_at;
    bool addresses_first; /* before num_syms (up to 6.3) or after the tokens */
    enum kallsyms_addressing addressing;
    uint64_t relative_base_gva; /* if the addressing has one */
    bool has_seqs;              /* seqs_of_names was found and is a permutation */
    uint64_t seqs_at;
};

/* "offsets from a base, after the tokens", … : one phrase for reports. */
const char *kallsyms_describe(const struct kallsyms_tables *t);

/*
 * Find and check the tables without reading the symbols out. EMU_EINPUT: there are none (a kernel without
 * CONFIG_KALLSYMS), or what looks like them does not agree with itself; the sentence names the first disagreement.
 */
enum emu_err kallsyms_find(const struct kernel_view *v, struct kallsyms_tables *t, struct diag *d) EMU_MUST_CHECK;

/*
 * Find the tables and add every symbol, and the segments as ranges, to a table not yet sealed; symbols below `_text`
 * are set not to move. *t may be NULL. Errors as kallsyms_find and symbols_add; then `s` holds an unspecified part.
 */
enum emu_err kallsyms_read(const struct kernel_view *v, struct symbols *s, struct kallsyms_tables *t,
                           struct diag *d) EMU_MUST_CHECK;

#endif
