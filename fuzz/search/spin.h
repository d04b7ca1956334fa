/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * spin: whether a vCPU spins: it comes back to an instruction with all its registers as they were, has left in memory
 * what it found there, and neither the machine nor a model took part. As long as nobody changes what it reads, and no
 * interrupt comes, it does the same again for ever; so it can only wait for another one.
 *
 * A loop that counts does not spin by this rule, however little it does. Which of the blocks that are executed is
 * compared with later ones: Brent, "An improved Monte Carlo factorization algorithm", BIT 20 (1980).
 */
#ifndef BOOTRACE_FUZZ_SEARCH_SPIN_H
#define BOOTRACE_FUZZ_SEARCH_SPIN_H

#include <stdbool.h>
#include <stdint.h>

#include "emu/regs.h"

struct machine;

#define SPIN_WRITES_MAX 32u /* different places within a loop; one that writes more is not seen */
#define SPIN_READS_MAX  8u  /* … whose change ends it; one that reads more waits for any write */

struct spin {
    bool marked;
    uint64_t mark_gva;
    struct vcpu_regs mark;
    uint64_t blocks, next_mark; /* since spin_restart(); where the next mark is set */
    unsigned writes, reads;     /* since the mark */
    bool too_much;
    uint64_t read[SPIN_READS_MAX]; /* gpa / 8; reads may be more than these */
    struct {
        uint64_t gpa;
        uint8_t bytes, before[8];
    } write[SPIN_WRITES_MAX];
};

/* Another vCPU begins to run, or something happened that is not the vCPU's own doing. */
void spin_restart(struct spin *s);
/* Before the current vCPU writes. */
void spin_note_write(struct spin *s, struct machine *m, uint64_t gpa, unsigned bytes);
/* … or reads. */
void spin_note_read(struct spin *s, uint64_t gpa, unsigned bytes);
/* The current vCPU begins the block of code at gva. True if it spins. */
bool spin_note_block(struct spin *s, struct machine *m, uint64_t gva);

#endif
