/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * patch_tables: where a Linux kernel says which of its instructions it will rewrite, read from its image.
 *
 * A kernel carries tables of the places in its own text that are patched during boot or later: alternatives, paravirt
 * calls, jump labels, static calls, LOCK prefixes, and the sites of retpolines, returns, counted calls, ENDBR and
 * function tracing. They are found by section header, else by the symbols around them (kallsyms), and are read as the
 * image has them: nothing is patched here, and modules' tables are not seen. Entries changed their arrangement over the
 * years; every known one is tried, and one must make sense for each entry of the table (sites in code, replacements in
 * the file, lengths that fit), or the table is refused with a sentence. A refused table has no entries; the other
 * tables stay usable.
 *
 * All addresses are link addresses. Several entries may have one site (nested alternatives).
 *
 * Source: Linux 2.6.18 … 6.12, arch/x86/include/asm/alternative.h, "struct alt_instr"; asm/paravirt_types.h, "struct
 * paravirt_patch_site"; linux/jump_label.h, "struct jump_entry"; linux/static_call_types.h, "struct static_call_site";
 * arch/x86/kernel/vmlinux.lds.S.
 */
#ifndef BOOTRACE_MODELS_LINUX_PATCH_TABLES_H
#define BOOTRACE_MODELS_LINUX_PATCH_TABLES_H

#include "emu/base/diag.h"
#include "emu/image/symbols.h"
#include "models/linux/kernel_view.h"

#include <stdbool.h>
#include <stdint.h>

#define PATCH_SITE_BYTES_MAX  255u
#define PATCH_ENTRY_BYTES_MAX 24u

enum patch_kind {
    PATCH_ALTERNATIVE, /* rewritten, if the processor has (or has not) a feature */
    PATCH_PARAVIRT,    /* an indirect call through the operations table becomes a direct one (up to 6.7) */
    PATCH_JUMP_LABEL,  /* NOP or jump, flipped by a static key */
    PATCH_STATIC_CALL, /* a direct call whose target changes */
    PATCH_SMP_LOCK,    /* a LOCK prefix that a single processor does without */
    PATCH_RETPOLINE,   /* an indirect branch through a thunk */
    PATCH_RETURN,      /* a return through a thunk */
    PATCH_CALL,        /* a call that call-depth tracking may count */
    PATCH_ENDBR,       /* an ENDBR nobody jumps to */
    PATCH_FENTRY,      /* the call at a function's start that function tracing turns into a NOP */
    PATCH_KINDS,
};

struct patch_layout; /* how an entry is arranged */

struct patch_table {
    bool is_present;
    bool from_section;                 /* else from symbols */
    const struct patch_layout *layout; /* NULL if absent, empty or refused */
    unsigned entry_bytes;              /* from one entry to the next; 0 without a layout */
    uint64_t start_gva;
    uint64_t bytes;
    uint32_t count;    /* entries, padding included */
    char refusal[256]; /* "" or one sentence */
};

struct patch_tables {
    const struct kernel_view *view; /* the caller's; must outlive this */
    struct patch_table tables[PATCH_KINDS];
};

struct patch_entry {
    enum patch_kind kind;
    uint32_t index;
    uint64_t entry_gva;
    uint64_t site_gva;
    unsigned site_bytes; /* at most PATCH_SITE_BYTES_MAX; 0: this entry patches nothing */
    uint64_t replacement_gva;
    unsigned replacement_bytes; /* alternatives: 0 removes the instruction */
    uint64_t target_gva;        /* jump labels: where a jump goes */
    uint64_t key_gva;           /* jump labels, static calls */
    uint32_t feature;           /* alternatives: word * 32 + bit of CPUID feature; paravirt: the operation's number */
    uint32_t flags;             /* alternatives: those beside `inverted`; jump labels, static calls: of the key */
    bool inverted;              /* applied if the feature is absent */
};

/*
 * Find and check the tables. `s` (sealed, with no slide) may be NULL: then only section headers tell. EMU_EINPUT: there
 * is no patch table at all.
 */
enum emu_err patch_tables_find(const struct kernel_view *v, const struct symbols *s, struct patch_tables *t,
                               struct diag *d) EMU_MUST_CHECK;

/* The i-th entry as the image has it; i < count of that table. */
void patch_tables_get(const struct patch_tables *t, enum patch_kind kind, uint32_t i, struct patch_entry *out);

/* Bytes of one entry of this table that say something, from its entry_gva on; 0 if the table has no entries. */
unsigned patch_tables_entry_bytes(const struct patch_tables *t, enum patch_kind kind);

/*
 * The i-th entry if its bytes were `raw` (patch_tables_entry_bytes of them), as when guest memory was changed. False,
 * with *out unspecified, if they make no sense.
 */
bool patch_tables_decode(const struct patch_tables *t, enum patch_kind kind, uint32_t i, const uint8_t *raw,
                         struct patch_entry *out);

/*
 * Change the bytes of an entry so that the kernel skips it: no lengths and flags (alternatives), or no address (LOCK
 * prefixes). False for kinds whose patcher can't skip an entry.
 */
bool patch_tables_blank(const struct patch_tables *t, enum patch_kind kind, uint32_t i, uint8_t *raw);

/* Change the bytes of the i-th entry so that it says what `donor` says. */
bool patch_tables_copy(const struct patch_tables *t, enum patch_kind kind, uint32_t i, const struct patch_entry *donor,
                       const uint8_t *donor_raw, uint8_t *raw);

/* "alternatives", "paravirt", … ; and back: PATCH_KINDS for a name that is none. */
const char *patch_kind_name(enum patch_kind kind);
enum patch_kind patch_kind_parse(const char *name);

/* "relative, 12 bytes, …": how this table's entries are arranged, "" if it has none. */
const char *patch_table_describe(const struct patch_table *table);

/* Is this code: in an executable segment or section? Without section headers, in the file bytes of any segment. */
bool patch_tables_is_code(const struct kernel_view *v, uint64_t gva, uint64_t bytes);

#endif
