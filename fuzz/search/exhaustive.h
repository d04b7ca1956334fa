/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * exhaustive: every boundary of a window times one interrupt, made affordable by footprints.
 *
 * The undisturbed window is recorded once (window.h). The interrupt is delivered at a boundary and its handler runs
 * until it returns there; what it read, fetched and wrote is its footprint. The record says which step of the window
 * conflicts with that footprint next: up to that step every boundary has the same outcome, and the next run of the
 * handler is needed only behind it. Boundaries at which the interrupt would not be taken have the outcome of the first
 * one after them at which it is.
 *
 * The handler is also not run where all memory that an earlier run has read holds the same values again, unless the
 * window has used the machine or its models in between: that run would only be repeated.
 *
 * A run fails when the guest ends in a failure, when the handler raises an exception that handlers do not raise (of a
 * guest under another kernel: when that kernel gives it such an exception, guest_traps.h), when
 * it executes torn code (torn_code.h), when it does not return, or when it returns with something changed that was
 * declared to stay the same (divergence.h). It is stopped there, and followed once more, without looking: to the first
 * exception, the handler's return, and the guest's own end if that is near.
 *
 * Declared memory counts as read by the handler: so a boundary is taken for like another only where what is there is
 * the same too, and it diverges at both or at neither. Registers differ at each boundary. A handler that has put them
 * back is therefore run once more with other values in them; only if it puts back those too it does so for the whole
 * stretch, else each boundary of it is run for itself.
 *
 * With `every_boundary` the handler is run at every boundary, to check the pruning on small windows.
 *
 * ASSUMES: that the handler's course does not depend on the interrupted registers beyond putting them back; that it
 * does not depend on the time it reads; that memory below the interrupted stack pointer is dead; that one vCPU runs;
 * and what window.h assumes.
 */
#ifndef BOOTRACE_FUZZ_SEARCH_EXHAUSTIVE_H
#define BOOTRACE_FUZZ_SEARCH_EXHAUSTIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "emu/base/diag.h"
#include "emu/verdict.h"
#include "fuzz/detect/torn_site.h"
#include "fuzz/search/guest_traps.h"
#include "fuzz/search/source.h"

struct divergence_list;
struct machine;
struct symbols;
struct window;

struct exhaustive_failure {
    uint64_t first_position, last_position; /* boundaries with this outcome, by steps of the vCPU */
    uint64_t delivered_position;            /* where the interrupt was taken */
    uint64_t rip_gva;                       /* there */
    struct verdict verdict;
    struct torn_site torn; /* of torn code: the site; it has no version if it is another failure */
};

#define EXHAUSTIVE_FAILURES_MAX 1024u

struct exhaustive_report {
    uint64_t first_position, last_position; /* the window */
    uint64_t boundaries;                    /* covered, including those of equal outcome */
    uint64_t runs;                          /* of the handler */
    uint64_t failing;                       /* boundaries */
    uint64_t handler_steps_max;
    struct exhaustive_failure *failure; /* EXHAUSTIVE_FAILURES_MAX places */
    unsigned failures;
    uint64_t next_position; /* of the part that is covered now: what lies before it is done */
    bool complete;          /* … and all of it is */
    struct window *window;  /* what was recorded of it; lives as long as the report */
    uint64_t changes;       /* sites of code that the window changes, each time counted */
};

struct exhaustive_options {
    unsigned vcpu;
    struct source source;       /* of kind and value; where it would not be taken, nothing is delivered */
    uint64_t end_rip_gva;       /* the window ends before this instruction (with the stack as high as at its start) */
    uint64_t steps_max;         /* … or after so many steps */
    uint64_t handler_steps_max; /* a handler that has not returned by then fails as BUDGET */
    uint64_t confirm_steps_max; /* how long a failing run is followed to its verdict */
    bool every_boundary;
    const struct symbols *symbols;      /* say where code is; may be NULL, then torn code is not seen */
    struct guest_traps traps;           /* if the code under test is a guest of another kernel's */
    const struct divergence_list *same; /* what must be as before when the handler returns; may be NULL */
    /* Called now and then; true stops the search (the report then says that it is not complete). */
    bool (*progress)(void *context, const struct exhaustive_report *r, uint64_t position);
    bool (*recording)(void *context, uint64_t position); /* window_options.progress; may be NULL */
    void *context;
};

/* A search of a window. The machine stands at the window's first boundary; the window is recorded, and the machine
   stands there again. `report` and `d` stay in use until exhaustive_free(), after which the machine stands there again
   too. */
struct exhaustive;
enum emu_err exhaustive_new(struct machine *m, const struct exhaustive_options *options,
                            struct exhaustive_report *report, struct exhaustive **out, struct diag *d) EMU_MUST_CHECK;
/* Cover the boundaries [from, to) of the window, behind those covered before; the report grows. A process that was
   forked after exhaustive_new() may do a part of its own (machine_forked()). */
enum emu_err exhaustive_cover(struct exhaustive *x, uint64_t from, uint64_t to) EMU_MUST_CHECK;
void exhaustive_free(struct exhaustive *x);
void exhaustive_report_fini(struct exhaustive_report *report);

#endif
