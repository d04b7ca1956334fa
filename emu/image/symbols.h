/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * symbols: which name belongs to which address of the guest, and which source line.
 *
 * A table is filled, sealed once, and then only asked. It knows nothing of where symbols come from: readers of
 * kallsyms, System.map, ELF and DWARF fill it. Addresses are given as linked; a kernel that moves itself (KASLR) is
 * followed by one number, the slide, which every later lookup and answer includes. It is not a model of the kernel's
 * own view: modules and code made at run time are not in it.
 *
 * "Link address" below is the address in the image's tables, "run address" that of the running guest:
 * run = link + slide for what moves, run = link for what does not (per-CPU offsets, absolute constants).
 */
#ifndef BOOTRACE_EMU_IMAGE_SYMBOLS_H
#define BOOTRACE_EMU_IMAGE_SYMBOLS_H

#include "emu/base/diag.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SYMBOLS_MAX             (1u << 22) /* entries a table takes; the largest distribution kernel has 2^18 */
#define SYMBOLS_NAME_BYTES_MAX  4096u      /* longest name, without its NUL */
#define SYMBOLS_ARENA_BYTES_MAX (1u << 30) /* all names together */

struct symbols;

/* One answer. `name` lives as long as the table. */
struct symbol {
    uint64_t start_gva; /* run address of the first byte */
    uint64_t bytes;     /* extent; 0 if nothing bounds it */
    char kind;          /* the letter of nm(1): T code, D data, R read-only data, B zeroed data, A absolute, W weak … */
    const char *name;
};

/* A new empty table, NULL if the host has no memory. Free it with symbols_free. */
struct symbols *symbols_new(void);
void symbols_free(struct symbols *s);

/*
 * Add one symbol at a link address. `bytes` is its extent, 0 if unknown (seal then takes the distance to the next
 * address). The name is copied. EMU_EINPUT: name empty or too long, or the table is full. EMU_EHOST: no memory.
 */
enum emu_err symbols_add(struct symbols *s, uint64_t start_gva, uint64_t bytes, char kind, const char *name,
                         struct diag *d) EMU_MUST_CHECK;

/* Say that link addresses [start, start + bytes) are one section or segment: no unknown extent reaches past its end. */
enum emu_err symbols_add_range(struct symbols *s, uint64_t start_gva, uint64_t bytes, struct diag *d) EMU_MUST_CHECK;

/* Say that code from this link address on comes from `file`, `line`; line 0 ends a run of lines. */
enum emu_err symbols_add_line(struct symbols *s, uint64_t start_gva, const char *file, unsigned line,
                              struct diag *d) EMU_MUST_CHECK;

/* Symbols whose link address is below this do not move with the slide; 0, the default, moves all. */
void symbols_set_moving_from(struct symbols *s, uint64_t link_gva);

/*
 * Sort, drop exact repetitions, fill the unknown extents. Nothing can be added afterwards (that is an error of
 * ours); lookups are allowed only afterwards. Among several names of one address the first is the one that is
 * not weak, has fewest leading underscores, and was added first.
 */
enum emu_err symbols_seal(struct symbols *s, struct diag *d) EMU_MUST_CHECK;

/* KASLR: what the running guest adds to link addresses. The one thing that may change after sealing. */
void symbols_set_slide(struct symbols *s, uint64_t slide);
uint64_t symbols_slide(const struct symbols *s);

/* Number of symbols (after sealing: of different ones), of line records, and host bytes held. */
size_t symbols_count(const struct symbols *s);
size_t symbols_line_count(const struct symbols *s);
size_t symbols_host_bytes(const struct symbols *s);

/* The i-th symbol in the order of link addresses; i < symbols_count. */
void symbols_get(const struct symbols *s, size_t i, struct symbol *out);

/* The symbol whose extent holds this run address: the nearest preceding. False if there is none. */
bool symbols_find_address(const struct symbols *s, uint64_t gva, struct symbol *out);

/*
 * How many symbols have exactly this name; *first gets the first of them (lowest address) if there is one. More than
 * one is ambiguous: the caller says so, and lists them with symbols_get_named(name, 0 … n-1).
 */
size_t symbols_find_name(const struct symbols *s, const char *name, struct symbol *first);
/* The address of the one symbol `name` plus `offset`, which is inside of it. EMU_EINPUT with a sentence: there is none,
   or there are several; `context` is a const struct symbols, or NULL if the guest has none. (A player_resolve_fn.) */
enum emu_err symbols_resolve(const void *context, const char *name, uint64_t offset, uint64_t *gva,
                             struct diag *d) EMU_MUST_CHECK;
bool symbols_get_named(const struct symbols *s, const char *name, size_t n, struct symbol *out);

/*
 * Another name, which begins with '@', for the one symbol `name`. It is found by symbols_find_name and
 * symbols_get_named (which then answer with the symbol's own name), and is in no list and no count. Only after sealing.
 * Returns false, and adds nothing, if not exactly one symbol has this name, or there are SYMBOLS_ALIASES_MAX already.
 */
#define SYMBOLS_ALIASES_MAX 32u
bool symbols_add_alias(struct symbols *s, const char *alias, const char *name);
/* "@text-poke (text_poke_bp_batch), ..." of all of them in the order in which they were added, or "none". */
void symbols_print_aliases(const struct symbols *s, char *text, size_t bytes);
#define SYMBOLS_ALIASES_BYTES 1024u /* enough for those of models/linux/window_names.c */

/* Source file and line of a run address. False if unknown. *file lives as long as the table. */
bool symbols_find_line(const struct symbols *s, uint64_t gva, const char **file, unsigned *line);

/*
 * Print "name+0x1c/0x40" ("name" at its very start would read "name+0x0/0x40", as the kernel prints it), or
 * "0xffffffff81000000" when no symbol holds the address. Cut to `bytes`, always NUL-terminated if bytes > 0.
 * Returns the length the whole text has, as snprintf does.
 */
int symbols_print(const struct symbols *s, uint64_t gva, char *text, size_t bytes);

/* Sorted, indexed and inside its arenas: what every lookup relies on. True for a table not yet sealed. */
bool symbols_is_valid(const struct symbols *s);

#endif
