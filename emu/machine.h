/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * machine: owns everything that changes during a run: vCPUs, memory, clock, timers, the models' arena, trace and
 * verdict. A machine is built once (machine_new), loaded (loaders in models/), then run.
 *
 * For models: the services in the second half. For programs: the first half.
 */
#ifndef BOOTRACE_EMU_MACHINE_H
#define BOOTRACE_EMU_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "emu/base/diag.h"
#include "emu/memory.h"
#include "emu/regs.h"
#include "emu/verdict.h"

struct machine;
struct model;

#define VCPUS_MAX  64
#define MODELS_MAX 16

struct machine_config {
    uint64_t ram_bytes;
    unsigned vcpus;                    /* 1 to VCPUS_MAX; all exist, vCPU 0 starts */
    unsigned xen_version;              /* major << 16 | minor, for the models */
    const struct model *const *models; /* in the order in which they are asked */
    unsigned model_count;
    const void *platform; /* the models' own configuration, read-only, outlives the machine */
};

enum emu_err machine_new(const struct machine_config *config, struct machine **out, struct diag *d) EMU_MUST_CHECK;
void machine_free(struct machine *m);
/* In the child, after fork(): the machine is the child's own from here on. */
enum emu_err machine_forked(struct machine *m, struct diag *d) EMU_MUST_CHECK;
const struct machine_config *machine_config(const struct machine *m);

#define MACHINE_BREAKS_MAX 62

/* Run until the verdict is known, until machine_stop(), or until one of the limits. */
struct machine_limits {
    uint64_t steps_max;        /* of all vCPUs together; UINT64_MAX for none */
    uint64_t until_rip_gva;    /* stop before this instruction, on any vCPU; 0 for none */
    const uint64_t *break_gva; /* further ones, MACHINE_BREAKS_MAX at most; they stay the caller's */
    unsigned breaks;
    uint64_t position_max; /* stop when `vcpu` has made so many steps; 0 for none */
    unsigned vcpu;
    bool pinned_until_waits; /* with pinned: stop when that vCPU halts, polls or goes offline */
    bool pinned;             /* only `vcpu` takes turns */
    struct {
        unsigned vcpu;
        uint64_t position_max; /* 0 for none */
    } also;                    /* a second position, of the same or another vCPU */
    bool until_interruptible;  /* stop at the first boundary at which a maskable interrupt would be taken */
    uint64_t until_runnable;   /* stop as soon as one of these vCPUs is runnable, one bit each */
};
enum machine_stop_reason {
    MACHINE_STOPPED_VERDICT,
    MACHINE_STOPPED_STEPS,
    MACHINE_STOPPED_RIP,
    MACHINE_STOPPED_ASKED,
    MACHINE_STOPPED_INTERRUPTIBLE,
    MACHINE_STOPPED_POSITION,     /* `vcpu` is at position_max, or also.vcpu at also.position_max */
    MACHINE_STOPPED_RUNNABLE,     /* one of until_runnable is */
    MACHINE_STOPPED_NOT_RUNNABLE, /* the pinned vCPU is offline, or waits or spins for what never comes by itself */
};
enum machine_stop_reason machine_run(struct machine *m, const struct machine_limits *limits);
/* Ask a running machine to stop at the next boundary; for callbacks and, as the only function, for signal handlers. */
void machine_stop(struct machine *m);

/* ---- what a schedule may do at a boundary ---- */

/* The host lets time pass: the clock jumps to the earliest armed deadline, and what is due expires. (A host may always
   have run somebody else meanwhile.) False if no timer is armed. */
bool machine_pass_time(struct machine *m);
/* The same up to a given time. Does nothing if that time is not in the future. */
void machine_pass_time_to(struct machine *m, uint64_t time_ns);
/* The host takes the processor from the current vCPU for so long: the models see it switched out, and in again. */
void machine_take_away(struct machine *m, uint64_t ns);
/* Begin the vCPU's turn. False, with nothing changed, if the vCPU is not runnable. */
bool machine_give_turn(struct machine *m, unsigned vcpu);
/* The vector that `vcpu` would take first if its IF allowed it; MODEL_NO_VECTOR (model.h) if none. */
int machine_pending_vector(struct machine *m, unsigned vcpu);

/* The engine, for watching accesses; see engine.h. */
struct engine;
struct engine *machine_engine(struct machine *m);

const struct verdict *machine_verdict(const struct machine *m);
/* Set the verdict; the first one stays. `detector` is a static string or NULL. The place is the current vCPU's. */
void machine_set_verdict(struct machine *m, enum verdict_kind kind, const char *detector, const char *fmt, ...)
    EMU_PRINTF(4, 5);
/* Say that the run ends here by its caller's limit, without a verdict; a watcher may have one (watch.h, judges). */
void machine_conclude(struct machine *m);
/* The guest left the model: `fmt` names operation and operands. */
void machine_unmodelled(struct machine *m, const char *fmt, ...) EMU_PRINTF(2, 3);

uint64_t machine_steps(const struct machine *m); /* of all vCPUs */
uint64_t machine_digest(struct machine *m);      /* RAM, vCPUs, clock, timers, models, trace */

/* ---- services ---- */

struct memory *machine_memory(struct machine *m);
/* The arena of `model`, zeroed at the start; model->state_bytes long. */
void *machine_model_state(struct machine *m, const struct model *model);
unsigned machine_vcpus(const struct machine *m);
/* The vCPU that is loaded into the engine. */
unsigned machine_current(const struct machine *m);

/* Virtual time since the machine was built. A model whose answer to the guest, or whose act, depends on what time it is
   asks by clock_read_ns(), which counts: a guest that reads clocks does not repeat its state, though all of it that can
   be seen is as before (hang.c). clock_now_ns() is for who only looks, and for deadlines and stamps that move with the
   time; where models may use it is a table in tests/test_rules.py. */
uint64_t clock_read_ns(struct machine *m);
uint64_t clock_now_ns(const struct machine *m);
/* Charge a fixed price for something slow. */
void clock_charge(struct machine *m, uint64_t ns);

/* A byte of guest console output (any console device). */
void machine_console(struct machine *m, uint8_t byte);

#endif
