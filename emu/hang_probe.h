/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hang_probe: proves that vCPUs that take turns do nothing new, although memory changes: the host writes time records
 * at every switch, which no guest has to read.
 *
 * A period begins with a turn and ends with a later one before which all registers are the same. During the period it
 * collects each word that the guest fetches, reads or writes, with its value before. If at the end all these words are
 * as before, the host wrote none of them and says the time in none, the guest asked the host for nothing, no time was
 * read and no fact came, then the next period is the same, and so are all others.
 *
 * While a timer is armed this is only half a proof. Then the probe lets the guest run at its usual speed until each
 * such timer has expired twice, without any fact, and looks once more whether registers and words are those of the
 * beginning at the beginning of a turn: what the guest does from there it has done before.
 *
 * It slows the guest down, so it is tried for short periods only, and less and less often. ASSUMES: the host
 * writes no page tables, and does not change a word that the guest uses and change it back while the timers expire.
 */
#ifndef BOOTRACE_EMU_HANG_PROBE_H
#define BOOTRACE_EMU_HANG_PROBE_H

#include <stdbool.h>
#include <stdint.h>

struct machine;
struct hang_probe; /* no part of any state: a snapshot put back ends it */

/* Begin at this turn, with these registers. Does nothing if the host has no memory.
 */
void hang_probe_begin(struct machine *m, uint64_t registers, uint64_t now_ns);
bool hang_probe_is_on(const struct machine *m);
/* Say that a turn begins; true if a hang is proved. The probe ends itself when no proof is possible. */
bool hang_probe_look(struct machine *m, uint64_t registers, uint64_t now_ns, uint64_t *period_ns);
void hang_probe_end(struct machine *m);
void hang_probe_free(struct machine *m);

/* The guest has asked what it runs on. */
void hang_probe_note_question(struct machine *m);

#endif
