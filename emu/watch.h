/*
 * watch: how a detector looks into a running machine: it is asked before chosen instructions, and told when guest
 * instructions have written chosen bytes of memory. Whoever runs the machine notices nothing, and the run is the same:
 * a watcher may read everything and set a verdict, and changes nothing else.
 *
 * Its own changing state lies in the machine: snapshots save it and put it back, digests leave it out. Plain data.
 */
#ifndef BOOTRACE_EMU_WATCH_H
#define BOOTRACE_EMU_WATCH_H

#include <stddef.h>
#include <stdint.h>

#include "emu/diag.h"

struct machine;

#define WATCHERS_MAX      4
#define WATCH_PLACES_MAX  192u   /* of all watchers together */
#define WATCH_STATE_BYTES 16384u /* of all watchers together */

struct watch_write {
    unsigned vcpu;
    uint64_t rip_gva;  /* the instruction that wrote */
    uint64_t position; /* steps of that vCPU before it */
    uint64_t gpa;
};

struct watcher {
    /* The current vCPU stands before the instruction at rip_gva, one of the places. After a switch to another vCPU and
       back, the same instruction may be told twice. */
    void (*reached)(struct machine *m, uint64_t rip_gva, void *context);
    /* At the first boundary behind (a block or less) one or more writes to what is watched: the first of them. */
    void (*written)(struct machine *m, const struct watch_write *first, void *context);
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
/* Watch these bytes of RAM from now on, for all watchers; see engine_watch_writes(). */
enum emu_err watch_memory(struct machine *m, uint64_t gpa, uint64_t bytes, struct diag *d) EMU_MUST_CHECK;

#endif
