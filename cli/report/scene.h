/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scene: what happened in a stretch of a run, in detail, for reports: who executed what when, interrupt and exception
 * handlers from entry to return, which bytes of code were changed, and the last instructions before a place. The
 * machine is watched access by access meanwhile, which costs speed and changes nothing.
 *
 * Everything is bounded: what exceeds a bound is left out and counted in `dropped`.
 */
#ifndef BOOTRACE_CLI_REPORT_SCENE_H
#define BOOTRACE_CLI_REPORT_SCENE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "emu/base/diag.h"
#include "emu/insn.h"
#include "emu/machine.h"
#include "emu/trace.h"
#include "emu/vcpu.h"

struct symbols;

#define SCENE_FACTS_MAX    20000u
#define SCENE_SPANS_MAX    262144u
#define SCENE_SPANS_SHOWN  3000u /* after scene_stop() */
#define SCENE_WRITES_MAX   65536u
#define SCENE_HANDLERS_MAX 4096u
#define SCENE_DEPTH_MAX    16u
#define SCENE_BLOCKS       64u
#define SCENE_BLOCK_BYTES  256u
#define SCENE_SITES_MAX    64u
#define SCENE_SITE_BYTES   128u
#define SCENE_TORN_MAX     16u
#define SCENE_NONE         SIZE_MAX

/* A fact, and what its place was before the handler was entered. */
struct scene_fact {
    struct trace_fact fact;
    uint64_t interrupted_gva; /* interrupts, NMIs, exceptions: where the vCPU stood; others: RIP */
};

enum scene_span_kind { SCENE_RUNNING, SCENE_SPINNING };

/* One vCPU executes code of one function. */
struct scene_span {
    uint64_t from_ns, to_ns;
    unsigned vcpu;
    enum scene_span_kind kind;
    uint64_t symbol_gva; /* start of the function, or of the page if no symbol is known */
};

/* A run of a handler. */
struct scene_handler {
    uint64_t from_ns, to_ns;
    uint64_t from_position, to_position;
    unsigned vcpu, depth; /* 0: nothing else was being handled */
    enum trace_kind kind;
    uint64_t vector;
    uint64_t interrupted_gva, interrupted_rsp, handler_gva;
    bool returned; /* to where it had interrupted */
};

/* A guest instruction wrote bytes of code; they may be what they were. */
struct scene_write {
    uint64_t time_ns, position; /* steps of the vCPU before the instruction */
    unsigned vcpu, bytes;
    uint64_t rip_gva; /* the instruction that wrote */
    uint64_t gpa, gva;
    uint8_t before[16], after[16];
};

/* A translated block, as it was when it was executed. */
struct scene_block {
    uint64_t position, time_ns, gva;
    unsigned vcpu, bits, bytes;
    uint8_t code[SCENE_BLOCK_BYTES];
};

/* Code that is being changed when something interrupts it: the caller says which, from a run that nobody disturbs. */
struct scene_site {
    uint64_t gpa, gva;
    unsigned bytes;
    uint8_t before[SCENE_SITE_BYTES]; /* … the change, */
    uint8_t during[SCENE_SITE_BYTES]; /* at the interruption, */
    uint8_t after[SCENE_SITE_BYTES];  /* and when it would have been done */
    unsigned vcpu;                    /* who changes it */
    uint64_t first_position, last_position, last_ns;
    uint64_t writer_gva;  /* the last store before the interruption */
    unsigned store_bytes; /* the widest store */
};

/* An executed instruction that belongs neither to the code before a change nor to the code after it. */
struct scene_torn {
    unsigned site, vcpu, bits, length;
    uint64_t position, time_ns, gva;
    uint8_t code[INSN_BYTES_MAX];
    bool executed; /* seen to have been begun; else only translated */
};

struct scene {
    struct machine *machine;
    const struct symbols *symbols;
    uint64_t from_ns, to_ns;
    enum vcpu_state state_at_start[VCPUS_MAX];
    struct {
        uint64_t facts, spans, writes, handlers;
    } dropped;

    struct scene_fact *fact;
    size_t facts;
    struct scene_span *span;
    size_t spans;
    struct scene_write *write;
    size_t writes;
    struct scene_handler *handler;
    size_t handlers;
    struct scene_torn torn[SCENE_TORN_MAX];
    unsigned torns;

    const struct scene_site *site; /* the caller's */
    unsigned sites;

    /* The last blocks before the first exception that ends a run, or before the scene's end. */
    struct scene_block *block; /* SCENE_BLOCKS places, a ring */
    uint64_t blocks;
    size_t cause; /* the handler of that exception; SCENE_NONE if there was none */

    struct scene_inside *inside;
};

/* The machine stands at the scene's start. Nothing is held on failure. */
enum emu_err scene_start(struct scene *sc, struct machine *m, const struct symbols *symbols,
                         const struct scene_site *site, unsigned sites, struct diag *d) EMU_MUST_CHECK;
/* The last blocks are those before the next exception of a kind that guests do not survive. */
void scene_freeze_at_exception(struct scene *sc);
/* Time is about to pass without any vCPU running. */
void scene_pause(struct scene *sc);
/* Stop watching; sort and shorten what was seen. The machine stands at the scene's end. */
enum emu_err scene_stop(struct scene *sc, struct diag *d) EMU_MUST_CHECK;
void scene_fini(struct scene *sc);

/* In a listener for the fact of a delivery: where the vCPU stood, as the handler's stack frame says. */
uint64_t scene_interrupted_gva(struct machine *m, const struct trace_fact *fact, uint64_t *rsp);
/* "memcpy", or "0x1000" for what no symbol covers. */
const char *scene_symbol_name(const struct symbols *s, uint64_t gva, char *text, size_t bytes);

#endif
