/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * course: one run of a window by all vCPUs in one total order, in which somebody else may interfere at any boundary.
 *
 * The rule of who runs: a vCPU goes on until it waits (HLT, a poll, offline) or spins (spin.h); then the one that it
 * had interrupted goes on, else the next in the order of numbers that can run and does not spin. Where nobody can, or
 * all spin, time passes by the machine's own rule. A vCPU gives way, too, that has gone on for COURSE_WOKEN_STEPS since
 * it wrote what a spinning one reads, or that has run alone for STRATEGY_FAIR_STEPS; from then on, as one that does not
 * wait, for COURSE_RESTLESS_STEPS.
 *
 * A *move* differs from that rule: a vCPU is taken away (a preemption), or a source delivers an interrupt. What it
 * starts, an *activity*, goes on until the handler returns to where it came from, or its vCPU waits or spins; then
 * whoever was interrupted goes on. While it does its reach is noted, and while a record is made so is every access.
 *
 * What was done is kept as a schedule with exact positions.
 */
#ifndef BOOTRACE_FUZZ_SEARCH_COURSE_H
#define BOOTRACE_FUZZ_SEARCH_COURSE_H

#include <stdbool.h>
#include <stdint.h>

#include "emu/base/diag.h"
#include "emu/machine.h"
#include "emu/schedule.h"
#include "fuzz/search/reach.h"
#include "fuzz/search/spin.h"

struct strategy_options;
struct symbols;
struct translations;

#define COURSE_ACTIVITIES_MAX 8u
#define COURSE_NOTED_MAX      16u
#define COURSE_WOKEN_STEPS    1000u
#define COURSE_RESTLESS_STEPS 20000u

struct activity {
    uint8_t vcpu, back_to; /* whose it is; who was interrupted */
    bool is_handler;       /* of an interrupt; else a preemption's */
    bool returns;          /* it is a handler of a vCPU that did not wait, and ends where it returns: */
    uint64_t rip_gva, sp;
    uint64_t begun_steps;
};

/* What is not in the machine: goes with its snapshots. */
struct course_state {
    int running; /* -1: to be chosen */
    unsigned activities;
    struct activity activity[COURSE_ACTIVITIES_MAX];
    uint64_t spinning;     /* one bit each: it spun, and nobody has done anything since */
    int waiter;            /* who spun last, until what it has read changes; -1: nobody */
    unsigned waiter_reads; /* more than SPIN_READS_MAX: any write may be it */
    uint64_t waiter_read[SPIN_READS_MAX];
    uint64_t woken_steps;  /* when what it has read was written; 0: not yet */
    uint64_t since_steps;  /* when `running` began */
    unsigned spun_in_turn; /* how often a vCPU gave way since it spun, one soon after the other */
    unsigned stuck;        /* how often in a row nobody was free to run, and all that could run have spun */
    bool left;             /* the window is over */
    uint64_t left_steps;
    uint32_t noting; /* the reaches that are noted, one bit each */
    int pinned;      /* the vCPU that the schedule's last decision lets run alone; -1 if none */
};

struct course_mark {
    struct course_state state;
    uint64_t decisions, to_steps;
};

/* A wait at which more than one vCPU could have gone on. */
struct course_choice {
    uint64_t step;
    uint64_t others; /* that did not, one bit each */
    uint32_t noting; /* the reaches that are noted there */
};

/* From this step on, until the next one's. */
struct course_segment {
    uint64_t step;
    struct course_state state;
    bool by_default; /* time passes by the machine's own rule */
};

/* A run from where it was begun to record: all that is needed to go the same way again, and to know where something
   else could be seen. All zero: an empty one. */
struct course_record {
    bool wants_accesses;
    struct access *access;
    size_t accesses, access_room;
    struct course_choice *choice;
    size_t choices, choice_room;
    struct course_segment *segment;
    size_t segments, segment_room;
    bool overflow; /* there was no room: it is not complete */
};
void course_record_fini(struct course_record *r);

struct course {
    struct machine *m;
    const struct strategy_options *o;
    bool (*is_over)(void *context); /* asked now and then: true abandons the run */
    void *context;
    uint64_t reach_rip_gva; /* reaching it ends the run, well */

    uint64_t start_steps, end_steps; /* of the window; where a run ends in any case */
    struct course_state state;
    struct schedule schedule;
    uint64_t decided, refused;

    bool watching; /* accesses are looked at */
    struct translations *translations;
    struct spin spin;
    bool passes_time;          /* by the machine's own rule: nobody is looked at for spinning */
    bool spins, did_something; /* the running one; it wrote, or the machine took part */
    uint64_t iret_steps;       /* the steps made behind an IRET that is about to be executed; 0: none is */
    uint8_t iret_vcpu;
    uint8_t space;         /* of the current vCPU (translations.h) */
    unsigned counted_vcpu; /* others_steps is of all but it */
    uint64_t others_steps;
    uint8_t *code_line; /* one bit for each 64 bytes of RAM that are code */
    uint64_t code_lines;

    struct course_record *record;       /* what is being recorded; NULL if nothing is */
    const struct course_record *follow; /* the run goes this way; NULL: its own */
    uint64_t followed;                  /* segments that were entered */

    struct {
        struct reach_set *reach;
        unsigned above; /* it is noted until there are no more activities than so many, */
        int resumes;  /* and this vCPU goes on again, which was interrupted; -1: none was, or it is the handler's own */
        bool settles; /* when it ends, what was put back counts as not written */
        unsigned vcpu;    /* whose the move is */
        bool knows_stack; /* the dead stack of the interrupted one is known */
    } noted[COURSE_NOTED_MAX];

    uint64_t restless; /* one bit each: it has used up a whole turn, and has short ones from then on */
    bool strayed;      /* a recorded run did not go as recorded: our error */
    bool reached;      /* the run is over: it came to reach_rip_gva */
    struct diag *diag;
    enum emu_err err; /* of the host */
};

enum course_stop {
    COURSE_THERE,     /* the boundary that was asked for */
    COURSE_OVER,      /* verdict, reach, or its end */
    COURSE_ABANDONED, /* is_over() said so */
    COURSE_FAILED,    /* c->err */
};

/* The machine stands at the window's start. `symbols` say what is code, besides what is fetched; may be NULL. */
enum emu_err course_init(struct course *c, struct machine *m, const struct strategy_options *o,
                         const struct symbols *symbols, struct diag *d) EMU_MUST_CHECK;
void course_fini(struct course *c);

void course_mark(const struct course *c, struct course_mark *mark);
/* The machine has been put back to where the mark was made. Nothing is followed, recorded or noted. */
void course_reset(struct course *c, const struct course_mark *mark);

/* Go on to the first boundary with so many steps of all vCPUs made; UINT64_MAX: to the run's end. */
enum course_stop course_run(struct course *c, uint64_t until_steps);
/* … or, before, to the first at which a maskable interrupt would be taken by the vCPU that runs. */
enum course_stop course_run_to_open(struct course *c, uint64_t until_steps);

/* The vCPU that goes on from here; -1: nobody can. */
int course_running(struct course *c);

/* Whether `vcpu` could be let in here in place of the one that runs; and whether it would take an interrupt, or NMI. */
bool course_can_preempt(struct course *c, unsigned vcpu);
bool course_is_open(struct course *c, unsigned vcpu, bool maskable);

/* Moves. *made says whether it could be made here; if not, the machine is to be put back. */
enum emu_err course_preempt(struct course *c, unsigned vcpu, bool *made) EMU_MUST_CHECK;
enum emu_err course_interrupt(struct course *c, const struct decision *d, unsigned vcpu, bool *made) EMU_MUST_CHECK;
/* At that choice of the record that is followed: this vCPU goes on. */
void course_choose(struct course *c, const struct course_choice *choice, unsigned vcpu);

/* From here on the run is recorded, in place of what the record held; accesses only if they are asked for. */
void course_begin_record(struct course *c, struct course_record *r, bool accesses);
/* From here on, which the record goes through too, the run goes as recorded, up to a move. */
void course_begin_follow(struct course *c, const struct course_record *r);
/* The reach of the move that is made next, of `vcpu`, and of all that happens within it, in this run and in those that
   begin within it, is noted from here on, in place of what was noted as number `number`. */
void course_note_reach(struct course *c, unsigned number, struct reach_set *reach, unsigned vcpu, bool settles);

#endif
