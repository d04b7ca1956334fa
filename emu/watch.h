/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * watch: how a detector looks into a running machine: it is asked before chosen instructions, and told when guest
 * instructions have written chosen bytes of memory. Whoever runs the machine notices nothing, and the run is the same:
 * a watcher may read everything and set a verdict, and changes nothing else.
 *
 * The watcher's own changing state is plain data in the machine: snapshots save it and put it back, digests leave it
 * out.
 */
#ifndef BOOTRACE_EMU_WATCH_H
#define BOOTRACE_EMU_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "emu/base/diag.h"

struct insn;
struct machine;
struct verdict;

#define WATCHERS_MAX      5
#define WATCH_PLACES_MAX  194u   /* of all watchers together */
#define WATCH_STATE_BYTES 65536u /* of all watchers together */
#define WATCH_WRITE_BYTES 8u

struct watch_write {
    unsigned vcpu;
    uint64_t rip_gva;  /* the instruction that wrote */
    uint64_t position; /* steps of that vCPU before it */
    uint64_t gpa;
    unsigned bytes; /* at most WATCH_WRITE_BYTES: an instruction that writes more is told in parts */
    uint8_t before[WATCH_WRITE_BYTES], after[WATCH_WRITE_BYTES];
};

struct watcher {
    /* The current vCPU stands before the instruction at rip_gva, one of the places. After a switch to another vCPU and
       back, the same instruction may be told twice. */
    void (*reached)(struct machine *m, uint64_t rip_gva, void *context);
    /* At the first boundary behind (a block or less) one or more writes to what is watched: the first of them. */
    void (*written)(struct machine *m, const struct watch_write *first, void *context);
    /* Every single write to what is watched, while its instruction is under way: only the write and the watcher's own
       state may be looked at. */
    void (*write)(struct machine *m, const struct watch_write *w, void *context);
    /* Of vCPUs that are watched closely (watch_closely()). Code that is to run next lies at [gpa, gpa + bytes), within
       a page: whether each instruction of it is to be told. Asked often; looks only at the watcher's own state. */
    bool (*wants)(struct machine *m, uint64_t gpa, unsigned bytes, void *context);
    /* … The current vCPU stands before `insn`, at the linear address gva; length 0: it is none. May be told twice. */
    void (*executes)(struct machine *m, uint64_t gva, const struct insn *insn, void *context);
    /* … The current vCPU has executed a serialising instruction; WRMSR is told of every vCPU. SDM Vol. 3A, "Serializing
       Instructions". */
    void (*serialised)(struct machine *m, void *context);
    /* watch_ask() was called: the current vCPU stands at a boundary, where memory and places may be chosen. */
    void (*asked)(struct machine *m, void *context);
    /* The run ends so: with a verdict, or without one at its caller's limit (machine_conclude(); VERDICT_NONE). Who
       knows better what the guest failed of may say it. The machine may be in the middle of a block: only the watcher's
       own state may be looked at. */
    void (*judges)(struct machine *m, struct verdict *v, void *context);
    /* A snapshot was put back, and the state with it; the places were not. Each may be NULL. */
    void (*restored)(struct machine *m, void *context);
    void *context;
    size_t state_bytes;
};

/* Add a watcher, which must outlive the machine's running. EMU_EHOST: there are too many, or they want too much state.
 */
enum emu_err watch_add(struct machine *m, const struct watcher *w, struct diag *d) EMU_MUST_CHECK;
/* Its state, zeroed when it was added. */
void *watch_state(struct machine *m, const struct watcher *w);
/* Replace its places (linear addresses). Cheap if they are the same, else milliseconds. EMU_EHOST: too many. */
enum emu_err watch_set_places(struct machine *m, const struct watcher *w, const uint64_t *gva, unsigned count,
                              struct diag *d) EMU_MUST_CHECK;
/* Watch the execution of these vCPUs (one bit each) closely. The choice is not part of the state: restored() makes it
   again. Only code that is wanted, and serialising instructions, run slower. */
void watch_closely(struct machine *m, const struct watcher *w, uint64_t vcpus);
/* Call asked() at the next boundary; for who learns something where memory can't be chosen (from the trace, say). */
void watch_ask(struct machine *m, const struct watcher *w);
/* Watch these bytes of RAM from now on, for all watchers; see engine_watch_writes(). */
enum emu_err watch_memory(struct machine *m, uint64_t gpa, uint64_t bytes, struct diag *d) EMU_MUST_CHECK;

#endif
