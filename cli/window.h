/*
 * window: what happened in a stretch of a run, in detail, for reports: who executed what when, interrupt and exception
 * handlers from entry to return, which bytes of code were changed, and the last instructions before a place. The
 * machine is watched access by access meanwhile, which costs speed and changes nothing.
 *
 * All of it is bounded: what is more than a bound is counted and left out, and says so in `dropped`.
 */
#ifndef BOOTRACE_CLI_WINDOW_H
#define BOOTRACE_CLI_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "emu/diag.h"
#include "emu/insn.h"
#include "emu/machine.h"
#include "emu/trace.h"
#include "emu/vcpu.h"

struct symbols;

#define WINDOW_FACTS_MAX    20000u
#define WINDOW_SPANS_MAX    262144u
#define WINDOW_SPANS_SHOWN  3000u /* after window_stop() */
#define WINDOW_WRITES_MAX   65536u
#define WINDOW_HANDLERS_MAX 4096u
#define WINDOW_DEPTH_MAX    16u
#define WINDOW_BLOCKS       64u
#define WINDOW_BLOCK_BYTES  256u
#define WINDOW_SITES_MAX    64u
#define WINDOW_SITE_BYTES   128u
#define WINDOW_TORN_MAX     16u
#define WINDOW_NONE         SIZE_MAX

/* A fact, and what its place was before the handler was entered. */
struct window_fact {
    struct trace_fact fact;
    uint64_t interrupted_gva; /* interrupts, NMIs, exceptions: where the vCPU stood; others: RIP */
};

enum window_span_kind { WINDOW_RUNNING, WINDOW_SPINNING };

/* One vCPU executes code of one function. */
struct window_span {
    uint64_t from_ns, to_ns;
    unsigned vcpu;
    enum window_span_kind kind;
    uint64_t symbol_gva; /* start of the function, or of the page if no symbol is known */
};

/* A run of a handler. */
struct window_handler {
    uint64_t from_ns, to_ns;
    uint64_t from_position, to_position;
    unsigned vcpu, depth; /* 0: nothing else was being handled */
    enum trace_kind kind;
    uint64_t vector;
    uint64_t interrupted_gva, interrupted_rsp, handler_gva;
    bool returned; /* to where it had interrupted */
};

/* A guest instruction wrote bytes of code; they may be what they were. */
struct window_write {
    uint64_t time_ns, position; /* steps of the vCPU before the instruction */
    unsigned vcpu, bytes;
    uint64_t rip_gva; /* the instruction that wrote */
    uint64_t gpa, gva;
    uint8_t before[16], after[16];
};

/* A translated block, as it was when it was executed. */
struct window_block {
    uint64_t position, time_ns, gva;
    unsigned vcpu, bits, bytes;
    uint8_t code[WINDOW_BLOCK_BYTES];
};

/* Code that is being changed when something interrupts it: the caller says which, from a run that nobody disturbs. */
struct window_site {
    uint64_t gpa, gva;
    unsigned bytes;
    uint8_t before[WINDOW_SITE_BYTES]; /* … the change, */
    uint8_t during[WINDOW_SITE_BYTES]; /* at the interruption, */
    uint8_t after[WINDOW_SITE_BYTES];  /* and when it would have been done */
    unsigned vcpu;                     /* who changes it */
    uint64_t first_position, last_position, last_ns;
    uint64_t writer_gva;  /* the last store before the interruption */
    unsigned store_bytes; /* the widest store */
};

/* An instruction was executed that is neither one of the code before a change nor one of the code after it. */
struct window_torn {
    unsigned site, vcpu, bits, length;
    uint64_t position, time_ns, gva;
    uint8_t code[INSN_BYTES_MAX];
    bool executed; /* seen to have been begun; else only translated */
};

struct window {
    struct machine *machine;
    const struct symbols *symbols;
    uint64_t from_ns, to_ns;
    enum vcpu_state state_at_start[VCPUS_MAX];
    struct {
        uint64_t facts, spans, writes, handlers;
    } dropped;

    struct window_fact *fact;
    size_t facts;
    struct window_span *span;
    size_t spans;
    struct window_write *write;
    size_t writes;
    struct window_handler *handler;
    size_t handlers;
    struct window_torn torn[WINDOW_TORN_MAX];
    unsigned torns;

    const struct window_site *site; /* the caller's */
    unsigned sites;

    /* The last blocks before the first exception that ends a run, or before the window's end. */
    struct window_block *block; /* WINDOW_BLOCKS places, a ring */
    uint64_t blocks;
    size_t cause; /* the handler of that exception; WINDOW_NONE if there was none */

    struct window_inside *inside;
};

/* The machine stands at the window's start. Nothing is held on failure. */
enum emu_err window_start(struct window *w, struct machine *m, const struct symbols *symbols,
                          const struct window_site *site, unsigned sites, struct diag *d) EMU_MUST_CHECK;
/* The last blocks are those before the next exception of a kind that guests do not survive. */
void window_freeze_at_exception(struct window *w);
/* Time is about to pass without any vCPU running. */
void window_pause(struct window *w);
/* No longer watch; sort and shorten what was seen. The machine stands at the window's end. */
enum emu_err window_stop(struct window *w, struct diag *d) EMU_MUST_CHECK;
void window_fini(struct window *w);

/* An exception that working code does not raise: not a page fault, a breakpoint, a debug trap. */
bool window_is_fatal(uint64_t vector);
/* In a listener for the fact of a delivery: where the vCPU stood, as the handler's stack frame says. */
uint64_t window_interrupted_gva(struct machine *m, const struct trace_fact *fact, uint64_t *rsp);
/* "memcpy", or "0x1000" for what no symbol covers. */
const char *window_symbol_name(const struct symbols *s, uint64_t gva, char *text, size_t bytes);

#endif
