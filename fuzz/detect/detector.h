/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * detector: what a detector is that a user asks for by name: a row, in the file of the detector itself. detectors.c
 * lists the rows; names, help and messages are printed from them. Crash and hang are always looked for, by the machine.
 */
#ifndef BOOTRACE_FUZZ_DETECT_DETECTOR_H
#define BOOTRACE_FUZZ_DETECT_DETECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "emu/base/diag.h"

struct machine;
struct op_table_config;
struct symbols;

#define DETECT_CODE_RANGES_MAX 8u
#define DETECTOR_PARTS_MAX     4u

/* What a detector has to know of the guest or the host; a set. */
#define DETECTOR_NEEDS_CODE     1u /* detect_input.code */
#define DETECTOR_NEEDS_OP_TABLE 2u /* detect_input.op_table; and it has to see the guest from its first step */

/* The facts, put together by the caller, who knows kernels and the host. They outlive the machine's running. */
struct detect_input {
    const struct symbols *symbols; /* for texts; NULL if the guest has none */
    uint64_t leave_gva;            /* where the kernel leaves for the next one; 0: the guest says what changes hands */
    const char *(*write_name)(uint64_t what); /* of TRACE_HOST_WRITE and TRACE_HOST_AREA; static strings */
    struct {
        uint64_t gpa, bytes;
    } code[DETECT_CODE_RANGES_MAX]; /* in RAM; none is empty */
    unsigned code_ranges;
    const struct op_table_config *op_table;
};

struct detector {
    const char *name; /* as `--detect` and verdicts have it */
    const char *what; /* finds: one line */
    unsigned needs;   /* DETECTOR_NEEDS_* */
    /* Parts that can be looked for alone, as NAME-PART; the name alone is all of them. No part: the name is all. */
    struct {
        const char *name;
        unsigned bit;
    } part[DETECTOR_PARTS_MAX];
    /* Onto a machine that is loaded and has not run. `*state` is the detector's; on failure nothing is left of it. */
    enum emu_err (*attach)(struct machine *m, const struct detect_input *input, unsigned parts, void **state,
                           struct diag *d) EMU_MUST_CHECK;
    /* What it found beyond the verdict, or that it had nothing to look at: lines, or nothing. */
    void (*print)(void *state, struct machine *m, FILE *to);
    const char *(*report)(const void *state); /* details of the finding, lines; "" if there is none. NULL: never any */
    void (*free)(void *state);                /* the machine does not run any more */
};

/* Every detector, in the order of the help. */
#define DETECTORS 4u
extern const struct detector *const detectors[DETECTORS];

/* Which of them `name` is, and which of its parts; NULL: none. "crash" and "hang" are no rows. */
const struct detector *detector_find(const char *name, unsigned *parts);
/* All names with commas, parts too, "crash, hang" first. `text` is filled up to `bytes`, with its end. */
void detector_print_names(char *text, size_t bytes);

#endif
