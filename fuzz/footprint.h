/*
 * footprint: the guest-physical bytes that a stretch of execution read before it wrote them, fetched, and wrote.
 *
 * Two stretches of which neither writes what the other reads, fetches or writes can change places: so an interrupt that
 * is moved over an instruction with which its handler's footprint does not conflict has the same outcome.
 */
#ifndef BOOTRACE_FUZZ_FOOTPRINT_H
#define BOOTRACE_FUZZ_FOOTPRINT_H

#include <stdbool.h>
#include <stdint.h>

#include "emu/diag.h"

struct footprint;

enum emu_err footprint_new(struct footprint **out, struct diag *d) EMU_MUST_CHECK;
void footprint_free(struct footprint *f);
void footprint_clear(struct footprint *f);

/* Writes to [from, to) count nothing: the dead part of the interrupted stack. */
void footprint_set_dead(struct footprint *f, uint64_t from_gpa, uint64_t to_gpa);

/* Add an access. False if the host has no memory left (then the footprint is everything: every access conflicts). */
bool footprint_add(struct footprint *f, bool write, uint64_t gpa, unsigned bytes);

/* Does an access by other code conflict with it? */
bool footprint_conflicts(const struct footprint *f, bool write, uint64_t gpa, unsigned bytes);

/* Bytes read or fetched first, and bytes written. */
uint64_t footprint_reads(const struct footprint *f);
uint64_t footprint_writes(const struct footprint *f);

#endif
