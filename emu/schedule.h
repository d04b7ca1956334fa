/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * schedule: decisions as text, one a line, and back. A decision is the smallest thing that the world around the guest
 * may choose: whose turn it is, an interrupt at an exact boundary, a timer's lateness, a vCPU plugged. What no line
 * says follows the documented default (machine.c); so a schedule says only what differs from it.
 *
 * A place in a run is a position: so many steps of one vCPU since the start, or an anchor that survives a rebuilt
 * guest: symbol+offset#occurrence, and so many steps behind it. docs/schedule.md describes the language.
 *
 * This file is about words only: the machine says whether a decision is legal at its place (decide.h), and the player
 * gets there (player.h).
 */
#ifndef BOOTRACE_EMU_SCHEDULE_H
#define BOOTRACE_EMU_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "emu/base/diag.h"

#define POSITION_SYMBOL_BYTES  128
#define POSITION_TEXT_BYTES    256
#define DECISION_TEXT_BYTES    640
#define SCHEDULE_DECISIONS_MAX (1u << 20)

enum position_kind {
    POSITION_HERE,   /* where the decision before took place */
    POSITION_STEPS,  /* when `vcpu` has made `steps` steps since the start of the run */
    POSITION_ANCHOR, /* when `vcpu` is about to execute the instruction at symbol+offset for the occurrence-th time
                        since the decision before, and `steps` of its steps behind that */
};

struct position {
    enum position_kind kind;
    unsigned vcpu;
    uint64_t steps;
    uint64_t offset;
    uint64_t occurrence; /* from 1 */
    char symbol[POSITION_SYMBOL_BYTES];
};

enum decision_kind {
    DECISION_MARK,   /* nothing: a place from which occurrences count */
    DECISION_RUN,    /* vcpu's turn begins */
    DECISION_RUN_TO, /* only vcpu runs until it is at `to` */
    DECISION_NMI,    /* vcpu takes an NMI */
    DECISION_VECTOR, /* vcpu takes external interrupt `value`, which nobody has sent: a spurious one */
    DECISION_IPI,    /* fixed interrupt `value` arrives at vcpu's local APIC, and is taken */
    DECISION_IRQ,    /* an edge on line `value` of the PC, as the PIT's tick is one on line 0 */
    DECISION_UPCALL, /* Xen makes an upcall pending without an event, and it is taken */
    DECISION_EVENT,  /* event-channel port `value` is raised by its other end */
    DECISION_EXPIRE, /* time passes without any vCPU running, up to the earliest deadline of vcpu's timers (any vCPU's
                        if vcpu is DECISION_ANY_VCPU) */
    DECISION_LATE,   /* the earliest armed timer expires `value` ns later than it should */
    DECISION_PASS,   /* `value` ns pass without any vCPU running */
    DECISION_PLUG,   /* the toolstack makes vcpu available; */
    DECISION_UNPLUG, /* or asks the guest to give it back */
    DECISION_CHECK,  /* the state digest is `value`, else the run has parted from the recorded one */
    DECISION_KIND_COUNT,
};

#define DECISION_ANY_VCPU UINT32_MAX

struct decision {
    enum decision_kind kind;
    unsigned vcpu;
    uint64_t value;
    struct position at;
    struct position to; /* of DECISION_RUN_TO */
    unsigned line;      /* where it was read; 0 if it was not */
};

struct schedule {
    struct decision *decision;
    size_t count;
    size_t room;
};

void schedule_init(struct schedule *s);
void schedule_fini(struct schedule *s);

/* Add a copy at the end. EMU_EHOST: no memory; EMU_EINPUT: more than SCHEDULE_DECISIONS_MAX. */
enum emu_err schedule_append(struct schedule *s, const struct decision *d, struct diag *diag) EMU_MUST_CHECK;
enum emu_err schedule_copy(struct schedule *to, const struct schedule *from, struct diag *diag) EMU_MUST_CHECK;

/* Parse `bytes` of text; `s` is initialised here and empty on failure. Errors name `file` (may be NULL) and the line,
   where the text's first line counts as `first_line`. */
enum emu_err schedule_parse(const char *text, size_t bytes, const char *file, unsigned first_line, struct schedule *s,
                            struct diag *diag) EMU_MUST_CHECK;
enum emu_err schedule_read(const char *path, struct schedule *s, struct diag *diag) EMU_MUST_CHECK;
/* Turn each `check` into a plain mark; positions that are relative to its line stay valid. */
void schedule_forget_checks(struct schedule *s);
/* The canonical text; parsing it gives the same decisions. */
void schedule_print(const struct schedule *s, FILE *to);
/* For a failed assertion (ensure.h): print the first `count` decisions without allocating anything. */
void schedule_print_last_words(const struct schedule *s, size_t count, int fd);

/* One position ("0:1234", "1:schedule+0x10#2~5"), one decision ("at 0:1234 nmi 0"), without a newline. */
enum emu_err position_parse(const char *text, struct position *p, struct diag *diag) EMU_MUST_CHECK;
void position_print(const struct position *p, char *text, size_t bytes);
enum emu_err decision_parse(const char *text, struct decision *d, struct diag *diag) EMU_MUST_CHECK;
void decision_print(const struct decision *d, char *text, size_t bytes);
const char *decision_kind_name(enum decision_kind kind);
/* Whether the decision is about one vCPU. */
bool decision_names_vcpu(const struct decision *d);

/* Whether both are the same decision at the same place; where they were read does not matter. */
bool decision_equal(const struct decision *a, const struct decision *b);

#endif
