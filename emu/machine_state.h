/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * machine_state: the machine's insides, for the files of emu/ that make up the machine (machine*.c, vcpu.c, timer.c,
 * trace.c, execute.c, hang.c). Not for models.
 */
#ifndef BOOTRACE_EMU_MACHINE_STATE_H
#define BOOTRACE_EMU_MACHINE_STATE_H

#include "emu/delivery.h"
#include "emu/engine.h"
#include "emu/hang_clock.h"
#include "emu/hang_probe.h"
#include "emu/machine.h"
#include "emu/model.h"
#include "emu/timer.h"
#include "emu/trace.h"
#include "emu/vcpu.h"
#include "emu/watch.h"

/* A vCPU's turn in the default schedule, and how long the turns of all may take together. */
#define MACHINE_TURN_NS  100000ull
#define MACHINE_ROUND_NS 400000ull

struct vcpu {            /* plain data: part of the digest and of snapshots */
    uint32_t state;      /* enum vcpu_state */
    uint8_t halt_masked; /* HLT with IF clear: only an NMI wakes it */
    uint8_t nmi_pending;
    uint8_t nmi_blocked;
    uint8_t regs_waiting;     /* `regs` are loaded when it is switched in next */
    uint8_t kicked;           /* what is pending may have changed since it was looked at */
    uint8_t spurious_pending; /* vcpu_raise_vector() */
    uint8_t spurious_vector;
    uint8_t zero[1];       /* no padding: the bytes are digested */
    uint64_t tsc_offset;   /* of the time stamp counter from the machine's time */
    struct vcpu_regs regs; /* valid while regs_waiting */
};

/* What changes while a machine runs, besides memory and engine: a snapshot copies it. A new field goes into the table
   in snapshot_state.c too, and into docs/snapshot-file.md. */
struct machine_run {
    const char *wait_reason[VCPUS_MAX]; /* for reports; static strings */
    struct paging paging[VCPUS_MAX];    /* of vCPUs that are not loaded, as they were switched out */
    unsigned current;
    bool yielded; /* the current vCPU's turn is over */
    uint64_t turn_end_ns;
    uint64_t trace_digest;
    uint64_t trace_count;
    struct verdict verdict;
    uint64_t time_reads; /* clock_read_ns(): how often the time was asked for */
    struct {             /* hang.c: what the state was when it was looked at last */
        uint64_t mark_trace;
        uint64_t mark_ns;
        uint64_t mark_registers;
        uint64_t mark_memory;
        bool mark_is_set;
        uint64_t mark_count; /* of all facts */
        uint64_t mark_time_reads;
        bool mark_is_watched; /* since the mark, reads of memory in which the host says the time count as time reads */
        uint64_t next_ns;
        uint64_t period_ns;
        uint64_t facts;         /* those that are not the host's own writes, as of time records at every switch */
        uint64_t mark_trace_ns; /* when the silence began */
        uint64_t next_probe_ns;
        /* 1 + the vCPU that a decision pinned; 0 if none. While one is pinned, the others' lack of progress proves
           nothing. */
        uint64_t pinned;
    } hang;
    bool watch_wrote; /* what is watched was written, and nobody told yet */
    struct watch_write watch_write;
    /* The last field; only watch_state_bytes() of it are used, and copied. */
    uint64_t watch_state[WATCH_STATE_BYTES / sizeof(uint64_t)];
};

struct watch_entry {
    const struct watcher *w;
    size_t state_at;  /* in watch_state */
    uint64_t closely; /* vCPUs */
    bool asked;
    unsigned places;
    uint64_t place[WATCH_PLACES_MAX];
};

struct kept_text { /* a text from a snapshot file that the run refers to */
    struct kept_text *next;
    char text[];
};

struct machine {
    struct machine_config config;
    struct memory *mem;
    struct engine *engine;
    struct vcpu *vcpu; /* in the area behind the RAM */
    uint8_t *arena;    /* the models' states, in the area behind the RAM */
    size_t arena_bytes;
    size_t arena_offset[MODELS_MAX];
    uint64_t *deadline_ns; /* [model][kind][vcpu], TIMER_NEVER when not armed; in the area too */
    /* Per timer, in the order of deadline_ns: how often it expired since timer_count_anew(), saturating at 2. Not part
       of a snapshot. */
    uint8_t *expired;
    bool debugging; /* the engine has breakpoints of a vCPU's debug registers */
    bool delivered; /* an event, by the exit that is taken now */
    bool in_engine; /* a callback of the engine runs: the loaded vCPU can't be changed now */
    struct machine_run run;

    struct {
        trace_listener_fn *fn;
        void *context;
    } listener[TRACE_LISTENERS_MAX];
    unsigned listeners;
    struct {
        struct watch_entry watcher[WATCHERS_MAX];
        unsigned watchers;
        bool changed; /* the engine does not know the places yet */
        bool asked;   /* for a boundary */
    } watch;
    bool pinned_to_place; /* in the present run, the pinned vCPU runs until a place that it may never reach */
    bool pinned_is_stuck; /* the pinned vCPU cannot reach that place unless others run */
    bool host_acts;       /* what is read and written is the host's doing: it switches vCPUs, or lets idle time pass */
    struct hang_probe *hang_probe; /* NULL until it is needed */
    struct hang_clock *hang_clock; /* the same */
    uint64_t idle_facts;           /* hang.c: the facts when it began to look at idle time, */
    uint64_t idle_time_reads;      /* and the time reads */
    volatile int asked_to_stop;
    struct kept_text *kept_texts;
};

/* execute.c: the machine executes the instruction at RIP that the engine leaves to it. */
void machine_execute(struct machine *m, const struct insn *insn);
/* What CPUID says to the current vCPU; false if no model knows, or it faults. */
bool machine_cpuid(struct machine *m, uint32_t leaf, uint32_t subleaf, struct cpuid_regs *out);
/* control_registers.c: MOV to CR0 and CR4, to and from CR8. False if it did not complete: an event was delivered, or
   the verdict is there. */
bool machine_write_control_register(struct machine *m, const struct insn *insn);
bool machine_access_cr8(struct machine *m, const struct insn *insn);
bool machine_write_base(struct machine *m, const struct insn *insn);
/* debug_registers.c: MOV to and from a debug register, the same; the addresses of the current vCPU's instruction
   breakpoints (returns how many); at a boundary, #DB if one of these is there (true); behind an instruction, the trap
   of RFLAGS.TF. */
bool machine_access_debug_register(struct machine *m, const struct insn *insn);
unsigned machine_debug_breakpoints(struct machine *m, uint64_t gva[4]);
bool machine_take_debug_breakpoint(struct machine *m);
void machine_take_single_step(struct machine *m);
/* Deliver an exception to the current vCPU. */
void machine_deliver(struct machine *m, const struct event *event);
/* The engine's callbacks. */
extern const struct engine_ops machine_engine_ops;

/* hang.c: called while no vCPU can run, and between turns; set the verdict when they can prove that nothing will ever
   change. `begins`: until now a vCPU could run. True: it is proved. */
bool hang_check_idle(struct machine *m, bool begins);
void hang_check_turn(struct machine *m);
/* The machine's state was put back. */
void hang_restored(struct machine *m);
/* Say which vCPU alone runs from here on (1 + its number; 0: all run). What was seen before proves nothing about that
   run. */
void hang_set_pinned(struct machine *m, uint64_t pinned);

/* watch.c: what the engine reports, and passing it on at a boundary. */
void watch_note_write(struct machine *m, uint64_t gpa, unsigned bytes, const uint8_t *before, uint64_t rip_gva,
                      uint64_t position);
bool watch_wants(struct machine *m, uint64_t gpa, unsigned bytes);
void watch_tell_executes(struct machine *m, uint64_t gva, const struct insn *insn);
void watch_tell_serialised(struct machine *m);
void watch_tell_asked(struct machine *m);
void watch_tell_judges(struct machine *m, struct verdict *v);
size_t watch_state_bytes(const struct machine *m);
void watch_tell_write(struct machine *m);
void watch_tell_reached(struct machine *m, uint64_t rip_gva);
void watch_tell_restored(struct machine *m);

/* machine_turns.c: whether the vCPU is runnable, or halted and what wakes it has come. */
bool machine_can_run(struct machine *m, unsigned vcpu);
/* Let halted vCPUs run whose interrupt has come. */
void machine_wake_halted(struct machine *m);
/* Load the vCPU whose turn it is; false if no vCPU can run. */
bool machine_pick_vcpu(struct machine *m, const struct machine_limits *limits);
/* No vCPU runs until then. */
void machine_pass_idle_time(struct machine *m, uint64_t deadline_ns);

/* machine_exits.c: do what the engine has left to the machine. */
void machine_take_exit(struct machine *m, const struct engine_exit *x);

/* vcpu.c: load `vcpu` into the engine. */
void machine_switch(struct machine *m, unsigned vcpu);

/* After the machine's state was put back: model->restored(). */
void machine_tell_models_restored(struct machine *m);

#endif
