/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * footprint: the guest-physical bytes that a stretch of execution read before it wrote them, fetched, and wrote.
 *
 * Two stretches of which neither writes what the other reads, fetches or writes can change places: so an interrupt that
 * is moved over an instruction with which its handler's footprint does not conflict has the same outcome. What a
 * stretch wrote and left as it found it (a nesting counter) is for others as if it had not been written: they may read
 * it before or after.
 */
#ifndef BOOTRACE_FUZZ_SEARCH_FOOTPRINT_H
#define BOOTRACE_FUZZ_SEARCH_FOOTPRINT_H

#include <stdbool.h>
#include <stdint.h>

#include "emu/base/diag.h"

struct footprint;
struct memory;

/* `mem`, where what was left as it was found is looked up by footprint_settle(), may be NULL: then nothing is. */
enum emu_err footprint_new(const struct memory *mem, struct footprint **out, struct diag *d) EMU_MUST_CHECK;
void footprint_free(struct footprint *f);
void footprint_clear(struct footprint *f);

/* Writes to [from, to) count nothing, and reads of what was written there neither: the dead part of the interrupted
   stack. At most FOOTPRINT_DEAD_MAX ranges since the last clear. */
#define FOOTPRINT_DEAD_MAX 2u
void footprint_add_dead(struct footprint *f, uint64_t from_gpa, uint64_t to_gpa);

/* Add an access before it happens. False if the host has no memory left (then the footprint is everything: every access
   conflicts). */
bool footprint_add(struct footprint *f, bool write, uint64_t gpa, unsigned bytes);

/* The stretch is over: compare what it wrote with what was there. */
void footprint_settle(struct footprint *f);

/* After settling, and before the same stretch would be executed once more: does memory hold, wherever it read, what it
   held then? (Devices are not asked.) Then it would do the same again, and the footprint becomes that of doing it now.
 */
bool footprint_fits(struct footprint *f);

/* Does an access by other code conflict with it? */
bool footprint_conflicts(const struct footprint *f, bool write, uint64_t gpa, unsigned bytes);

/* Bytes read or fetched first, bytes written, and those of them that changed. */
uint64_t footprint_reads(const struct footprint *f);
uint64_t footprint_writes(const struct footprint *f);
uint64_t footprint_changes(const struct footprint *f);

#endif
