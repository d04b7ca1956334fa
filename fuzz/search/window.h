/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * window: the undisturbed run of one vCPU through a window, recorded once and then asked again and again: which access
 * comes next that conflicts with a footprint, where an interrupt would be taken, who changed which code.
 *
 * Positions are steps of the vCPU. Boundary p lies before the step p; the window's boundaries are [first, last). The
 * record holds eight bytes an access, and lives in the host's memory.
 *
 * ASSUMES: the window changes no page-table entry on which the accesses of a handler depend (page walks are not
 * recorded); nobody but the vCPU runs.
 */
#ifndef BOOTRACE_FUZZ_SEARCH_WINDOW_H
#define BOOTRACE_FUZZ_SEARCH_WINDOW_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "emu/base/diag.h"

struct footprint;
struct machine;
struct symbols;
struct window;

struct window_options {
    unsigned vcpu;
    uint64_t end_rip_gva; /* the window ends before this instruction, with the stack as high as at its start; 0:
                             nowhere */
    uint64_t steps_max;   /* … or after so many steps */
    const struct symbols *symbols; /* say what is code and who writes; may be NULL: then no write is one to code */
    /* Called now and then with the position; true gives up (EMU_EINPUT). May be NULL. */
    bool (*progress)(void *context, uint64_t position);
    void *context;
};

/* The machine stands at the first boundary and is run to the last. EMU_EINPUT if the undisturbed run ends before. The
   engine's watch on accesses is taken over and stays on, telling nobody, since turning it off and on is expensive: the
   caller sets another one, or takes it away. */
enum emu_err window_record(struct machine *m, const struct window_options *o, struct window **out,
                           struct diag *d) EMU_MUST_CHECK;
void window_free(struct window *w);

uint64_t window_first(const struct window *w);
uint64_t window_last(const struct window *w);

/* The first boundary at or after `from` at which a maskable interrupt (or else an NMI) would be taken; window_last if
   there is none. */
uint64_t window_next_open(const struct window *w, uint64_t from, bool maskable);

/* The first step at or after `from` that conflicts with the footprint, or that leaves the processor for the machine and
   its models if `leaves`; window_last if there is none. `from` never falls between two calls with one cursor; a zeroed
   cursor stands before the first step. */
struct window_cursor {
    uint64_t chunk, entry, position;
    uint64_t block_chunk, block_entry, block_position; /* the block that was begun last */
    bool block_known;
};
uint64_t window_next_conflict(const struct window *w, struct window_cursor *c, const struct footprint *f, bool leaves,
                              uint64_t from);

/* Whether the processor is left for the machine and its models in a step of [from, to). */
bool window_leaves_between(const struct window *w, uint64_t from, uint64_t to);

/* One write to code, in the order of time. */
#define WINDOW_WRITE_BYTES_MAX 16u
struct window_write {
    uint64_t position; /* of the step that writes; at boundary `position + 1` the new bytes are there */
    uint64_t gva, gpa;
    uint64_t rip_gva; /* the instruction that writes */
    unsigned bytes;
    uint8_t before[WINDOW_WRITE_BYTES_MAX], after[WINDOW_WRITE_BYTES_MAX];
};
uint64_t window_writes(const struct window *w);
const struct window_write *window_write(const struct window *w, uint64_t i);

#define WINDOW_WRITERS_MAX 16u
#define WINDOW_CALLS_MAX   64u
#define WINDOW_NAME_BYTES  64u
struct window_report {
    uint64_t steps;
    uint64_t open, closed; /* boundaries by whether a maskable interrupt would be taken */
    uint64_t nmi_closed;   /* and those at which not even an NMI would be */
    uint64_t blocks, reads, writes;
    uint64_t leaves;                 /* steps in which the machine or a model takes part */
    uint64_t interrupts, exceptions; /* delivered by themselves */
    uint64_t hypercalls;
    uint64_t hypercall[WINDOW_CALLS_MAX]; /* by number */
    uint64_t code_writes, code_bytes;     /* writes to code, and bytes that they changed (each counted once) */
    struct window_writer {
        char name[WINDOW_NAME_BYTES]; /* the function whose instructions write */
        uint64_t writes, bytes;
    } writer[WINDOW_WRITERS_MAX]; /* the first ones; the last one holds all others */
    unsigned writers;
    uint64_t record_bytes; /* of host memory */
};
const struct window_report *window_report(const struct window *w);
/* Print the report in a few lines, for people. */
void window_print(const struct window *w, FILE *to);

#endif
