/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reach: all by which a stretch of one vCPU's execution can meet what another one does: the bytes that it reads,
 * fetches and writes (footprint.h), page tables, the hypervisor, and the order of changes of code and serialising
 * instructions. Two stretches that do not conflict can change places, and nobody can tell.
 */
#ifndef BOOTRACE_FUZZ_SEARCH_REACH_H
#define BOOTRACE_FUZZ_SEARCH_REACH_H

#include <stdbool.h>
#include <stdint.h>

#include "emu/machine.h"

struct footprint;
struct memory;

enum access_kind {
    ACCESS_READ,
    ACCESS_WRITE,
    ACCESS_FETCH,
    ACCESS_LEAVE, /* the machine, a model or the host takes part */
    ACCESS_ORDER, /* it serialises */
    ACCESS_TABLE, /* a write to a page table: `gpa` is the spaces that it is one of (translations.h) */
};

struct access {
    uint64_t step; /* of all vCPUs together, before the instruction; of a fetch, before its block */
    uint64_t gpa;
    uint16_t bytes;
    uint8_t kind; /* enum access_kind */
    uint8_t vcpu;
    uint8_t space : 6;  /* translations.h */
    uint8_t code : 1;   /* a write to code */
    uint8_t orders : 1; /* a fetch of a block that may serialise anywhere */
};

struct reach {
    struct footprint *bytes;
    uint64_t spaces, tables; /* it executed in; of which it wrote tables */
    bool writes_code, serialises;
};

/* What several vCPUs did meanwhile. What a vCPU does by itself is in order with its other steps, wherever it is moved;
   what a handler does on it is not. */
struct reach_set {
    const struct memory *mem;
    struct reach handlers, *by_vcpu[VCPUS_MAX];
    unsigned vcpus;
    bool everything; /* every access conflicts */
};

bool reach_set_init(struct reach_set *s, const struct memory *mem, unsigned vcpus);
void reach_set_fini(struct reach_set *s);
void reach_set_clear(struct reach_set *s);
void reach_set_add(struct reach_set *s, const struct access *a, bool by_handler);
/* All is over: what was put back counts as not written (footprint.h). */
void reach_set_settle(struct reach_set *s);
/* Whether it could be seen that all this was moved over that access. */
bool reach_set_conflicts(const struct reach_set *s, const struct access *a);

#endif
