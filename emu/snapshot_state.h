/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * snapshot_state: the state of a machine besides its RAM, field by field in fixed sizes and little-endian order, for
 * snapshot files: the run, every vCPU with its registers, the models' states, the timers. No pointer, no padding and
 * nothing of the engine's own contexts is written.
 *
 * Reading takes bytes that nobody vouches for: every number that is used as an index, a flag or an enumeration is
 * checked. The models' states are plain copies; each model checks its own (is_sound).
 */
#ifndef BOOTRACE_EMU_SNAPSHOT_STATE_H
#define BOOTRACE_EMU_SNAPSHOT_STATE_H

#include "emu/base/diag.h"
#include "emu/wire.h"

struct machine;

/* The four parts, in the order in which they are read. */
void snapshot_state_put_run(struct machine *m, struct wire_out *w);
void snapshot_state_put_vcpus(struct machine *m, struct wire_out *w);
void snapshot_state_put_models(struct machine *m, struct wire_out *w);
void snapshot_state_put_timers(struct machine *m, struct wire_out *w);

/* What was read and checked, but changed nothing yet. */
struct snapshot_state;
struct snapshot_state_parts {
    struct wire_in run, vcpus, models, timers;
};
/* Fails with EMU_EINPUT, and a sentence that says which part does not fit `m`. */
enum emu_err snapshot_state_get(struct machine *m, const struct snapshot_state_parts *parts,
                                struct snapshot_state **out, struct diag *d) EMU_MUST_CHECK;
/* `m` has not run. */
enum emu_err snapshot_state_apply(struct machine *m, struct snapshot_state *s, struct diag *d) EMU_MUST_CHECK;
void snapshot_state_free(struct snapshot_state *s);

#endif
