/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * detector: a detector that a user asks for by name is a row, in the detector's own file. detectors.c lists the rows;
 * names, help and messages are printed from them. The machine itself always looks for crashes and hangs.
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

/* What a detector has to know about the guest or the host; a set. */
#define DETECTOR_NEEDS_CODE     1u /* detect_input.code */
#define DETECTOR_NEEDS_OP_TABLE 2u /* detect_input.op_table; and it has to see the guest from its first step */

/* These facts, put together by the caller, who knows kernels and the host. They must stay valid as long as the machine
   runs. */
struct detect_input {
    const struct symbols *symbols; /* for texts; NULL if the guest has none */
    uint64_t leave_gva; /* the instruction at which the kernel leaves for the next one; 0: the guest says which memory
                           changes hands */
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
    /* Parts that can be asked for alone, as NAME-PART; NAME asks for all parts. A detector may have no parts. */
    struct {
        const char *name;
        unsigned bit;
    } part[DETECTOR_PARTS_MAX];
    /* Attach the detector to a machine that is loaded and has not run. `*state` is the detector's own; on failure
       nothing is held. */
    enum emu_err (*attach)(struct machine *m, const struct detect_input *input, unsigned parts, void **state,
                           struct diag *d) EMU_MUST_CHECK;
    /* Print lines, or nothing: what it found beyond the verdict, or that it had nothing to look at. */
    void (*print)(void *state, struct machine *m, FILE *to);
    const char *(*report)(const void *state); /* the details of the finding, as lines; "" if there are none. NULL: this
                                                 detector has none */
    void (*free)(void *state);                /* the machine does not run any more */
};

/* Every detector, in the order of the help. */
#define DETECTORS 4u
extern const struct detector *const detectors[DETECTORS];

/* The detector that `name` names, and which of its parts; NULL if there is none. "crash" and "hang" have no rows. */
const struct detector *detector_find(const char *name, unsigned *parts);
/* All names, parts too, separated by commas, "crash, hang" first. At most `bytes` bytes are written, with the
   terminating zero. */
void detector_print_names(char *text, size_t bytes);

#endif
