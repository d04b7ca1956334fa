/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * trace: the append-only facts of a run, with a running digest. Facts are what happened to the guest, in the order in
 * which it happened; a listener (the command line, a recorder, a detector) may look at each as it comes.
 */
#ifndef BOOTRACE_EMU_TRACE_H
#define BOOTRACE_EMU_TRACE_H

#include <stdint.h>

struct machine;

enum trace_kind {
    TRACE_CONSOLE,   /* a: byte, b: which of several consoles, as the model names them; 0: the others */
    TRACE_INTERRUPT, /* a: vector delivered from outside */
    TRACE_NMI,
    TRACE_EXCEPTION,  /* a: vector, b: error code, c: CR2 for #PF */
    TRACE_HYPERCALL,  /* a: number, b: first argument (the sub-operation where there is one), c: result */
    TRACE_VCPU_STATE, /* a: enum vcpu_state */
    TRACE_EVENT,      /* a: event-channel port raised, b: target vCPU, c: 1 if it made an upcall pending,
                         TRACE_EVENT_DROPPED if the host forgets it */
    TRACE_MSR_WRITE,  /* a: msr, b: value */
    TRACE_HOST_WRITE, /* the host wrote guest memory: a: gpa, b: bytes, c: what (model's own code) and
                         TRACE_HOST_WRITE_* */
    TRACE_SHUTDOWN,   /* a: reason */
    TRACE_HOST_AREA,  /* memory that the host may write by itself from now on, for `vcpu`: a: gpa (where it is now),
                         b: bytes, c: what (model's own code). With b = 0: all of `vcpu` of that kind, no longer. */
    TRACE_OWNER,      /* the guest says that memory has another owner: a: gpa, b: bytes, c: enum trace_owner */
    TRACE_KIND_COUNT,
};

#define TRACE_EVENT_DROPPED 2

#define TRACE_HOST_WRITE_SAME  (1ull << 63) /* it put there what was there */
#define TRACE_HOST_WRITE_ASKED (1ull << 62) /* not by itself: the guest has just asked for it */
#define TRACE_HOST_WRITE_WHAT  (~(TRACE_HOST_WRITE_SAME | TRACE_HOST_WRITE_ASKED))

enum trace_owner {
    OWNER_NEXT = 1, /* it holds what the next kernel will find there */
    OWNER_CHECKED,  /* … and its digest has been taken */
};

struct trace_fact {
    enum trace_kind kind;
    unsigned vcpu;
    uint64_t position; /* steps of that vCPU */
    uint64_t time_ns;
    uint64_t rip_gva;
    uint64_t a, b, c;
};

typedef void(trace_listener_fn)(struct machine *m, const struct trace_fact *fact, void *context);

#define TRACE_LISTENERS_MAX 9

void trace_add(struct machine *m, enum trace_kind kind, unsigned vcpu, uint64_t a, uint64_t b, uint64_t c);
void trace_listen(struct machine *m, trace_listener_fn *fn, void *context);
/* Does nothing if it does not listen. */
void trace_unlisten(struct machine *m, trace_listener_fn *fn, void *context);
const char *trace_kind_name(enum trace_kind kind);

#endif
