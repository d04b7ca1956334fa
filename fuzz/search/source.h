/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * source: what a search may inject: one row for each source in source.c. The program's help and messages, the parts
 * that an exhaustive search keeps, and `merge` take names, values and words from the rows.
 *
 * The source's decision (schedule.h) says what happens in the guest, and which values are legal.
 */
#ifndef BOOTRACE_FUZZ_SEARCH_SOURCE_H
#define BOOTRACE_FUZZ_SEARCH_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "emu/base/diag.h"
#include "emu/schedule.h"

enum source_value {
    SOURCE_VALUE_NONE,
    SOURCE_VALUE_VECTOR,
    SOURCE_VALUE_LINE, /* of the PC */
    SOURCE_VALUE_PORT, /* of an event channel */
    SOURCE_VALUE_NS,
    SOURCE_VALUE_VCPU,
};

struct source_kind {
    const char *name; /* as `--inject` and the parts of a search have it */
    enum decision_kind decision;
    enum source_value value; /* behind the name and a colon */
    bool needs_hvm;          /* no other mode has what it comes from */
    const char *what;        /* one line */
    /* Of a source that the exhaustive search delivers too, at every boundary: why it may have delivered nothing where
       interrupts are taken, and what can be. NULL: only the strategies of whole runs, which move every source, take it.
     */
    const char *why_nothing;
};

/* One that was asked for. */
struct source {
    enum decision_kind kind; /* of one of the rows */
    unsigned vcpu;           /* the one it is for, where it is for one; DECISION_ANY_VCPU: the strategy chooses */
    uint64_t value;
};

#define SOURCES_MAX 16u /* rows; an index of one is below */

/* By index, in the order of the help; NULL behind the last one. */
const struct source_kind *source_at(unsigned index);
/* The index of a row, by its decision or by its name; SOURCES_MAX if there is none. */
unsigned source_index(enum decision_kind decision);
unsigned source_index_named(const char *name);

/* One as `--inject` has it: "timer", "vector:0x30", "late:1000". EMU_EINPUT: it is none. */
enum emu_err source_parse(const char *text, struct source *source, struct diag *d) EMU_MUST_CHECK;

/* "timer, nmi, vector:N, …". `text` is filled up to `bytes`, with its end. */
#define SOURCE_NAMES_BYTES 256u
enum source_set { SOURCES_ALL, SOURCES_EXHAUSTIVE, SOURCES_OF_RUNS_ONLY };
void source_print_names(enum source_set set, char *text, size_t bytes);
/* Print one line for each source: its name, and what it is. */
void source_print_list(FILE *to);

#endif
