/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * op_table: the detector of operation tables that change under their callers. A kernel calls some operations through a
 * table of functions. At boot it patches every call site into a direct call to the function that the table holds at
 * that time, or into that function's code. Three things may go wrong; each is reported where it happens, long before
 * its effect:
 *
 *   switch  a slot changes while patched sites still call, or contain, the function before; or patching ends with sites
 *           that do not do what the slot says
 *   sites   the sites of one table of sites (a module's) are patched to another function than those before (the core's)
 *   locks   a lock is released under another protocol than the one it was taken, or is waited for, under: at the
 * release
 *
 * It knows no kernel: what to watch is a configuration, read from a declaration (op_table_text.h) or made from what is
 * known about a kernel. It judges from the first call of a patching function on. It does not change the run; its state
 * goes back with snapshots. It reports the first finding since it was attached.
 *
 * Not seen: a lock whose taker's call was forgotten because OP_TABLE_HELD_MAX others came after it.
 */
#ifndef BOOTRACE_FUZZ_DETECT_OP_TABLE_H
#define BOOTRACE_FUZZ_DETECT_OP_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "emu/base/diag.h"
#include "emu/image/symbols.h"

struct detector;
struct machine;
struct op_table;

#define OP_TABLE_SLOTS_MAX     160u
#define OP_TABLE_FUNCTIONS_MAX 32u
#define OP_TABLE_PROTOCOLS_MAX 8u
#define OP_TABLE_HELD_MAX      48u
#define OP_TABLE_NAME_BYTES    64u
#define OP_TABLE_RELEASES_MAX  100u

/* Which of the three to look for; a set. */
#define OP_TABLE_SWITCH 1u
#define OP_TABLE_SITES  2u
#define OP_TABLE_LOCKS  4u
#define OP_TABLE_ALL    7u

struct op_table_slot {
    uint64_t slot_gva, slot_gpa; /* where it is loaded */
    uint64_t native_gva; /* patching may put its code into a site instead of a call; 0: any code may be in a site */
    char table[OP_TABLE_NAME_BYTES], name[OP_TABLE_NAME_BYTES];
};

/* `sites` must stay code: memory that the guest frees would be taken for patched code. */
struct op_table_site {
    uint64_t site_gva;
    unsigned bytes;
    unsigned slot; /* index */
};

/* A function whose first argument is a lock. */
struct op_table_function {
    uint64_t function_gva;
    unsigned protocol; /* index */
    bool releases;
};

struct op_table_config {
    unsigned bits;
    unsigned slot_count;
    struct op_table_slot slots[OP_TABLE_SLOTS_MAX];
    const struct op_table_site *sites; /* known beforehand; borrowed */
    size_t site_count;
    /*
     * patcher(first, end): patches the sites of a table of { pointer to the site; uint8_t slot; uint8_t bytes; uint16_t
     * } (the arguments in RDI and RSI; in 32-bit code in EAX and EDX, or on the stack). The table at known_table_gva is
     * that of `sites`. 0: none.
     */
    uint64_t patcher_gva, known_table_gva;
    bool patcher_on_stack;
    uint64_t boot_patcher_gva; /* a function at whose return all patching of the core is over; 0: unknown */
    unsigned function_count;
    struct op_table_function functions[OP_TABLE_FUNCTIONS_MAX];
    char protocols[OP_TABLE_PROTOCOLS_MAX][OP_TABLE_NAME_BYTES];
    /*
     * Queued locks, whose functions run too often to look at each: wait(byte of the lock, value) is the function in
     * wait_slot, called with wait_value when the lock's first byte was set to it, so that the release must wake; from
     * then the sites of release_slot are watched for that lock, and release_gva, which the right release goes through.
     * slot_count if there are none.
     */
    unsigned wait_slot, release_slot;
    uint8_t wait_value;
    uint64_t release_gva;
};

/* Attach to a machine that is loaded and has not run. `symbols` (may be NULL) gives names. Both outlive the run. */
enum emu_err op_table_new(struct machine *m, const struct op_table_config *config, const struct symbols *symbols,
                          unsigned checks, struct op_table **out, struct diag *d) EMU_MUST_CHECK;
/* The machine must not run any more. */
void op_table_free(struct op_table *o);

/* All slots and sites of the first finding, as lines; "" if there is no finding. */
const char *op_table_report(const struct op_table *o);
/* Whether a patching function was called, with the table where it was looked for, so that "no finding" means something.
 */
bool op_table_has_watched(const struct op_table *o);
/* How much is watched: slots, and sites known now (unreadable and unpatched ones too). */
void op_table_count(struct op_table *o, unsigned *slots, size_t *sites);

extern const struct detector op_table_detector; /* its row; detector.h */

#endif
