/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stale_owner: finds that the host writes guest memory whose owner is no longer the one who gave it to the host. A
 * kernel registers an area (vcpu_info, runstate, …), then starts another kernel by kexec without taking the area back;
 * the host does not know that and goes on writing, into the next kernel's image.
 *
 * It listens to the trace: TRACE_HOST_AREA says who gave what when, TRACE_OWNER when memory changed hands,
 * TRACE_HOST_WRITE what the host wrote. A write is stale if its area was given before the memory that it hits changed
 * hands. A stale write that changes no byte harms nobody and is only counted. Three outcomes are told apart by what is
 * known about the memory: its digest has not been taken yet (and will not match), its digest has been taken (the damage
 * is silent), or the next kernel already runs.
 *
 * For a kernel that says nothing about owners, give the instruction at which it leaves for the next kernel: from there
 * on all memory belongs to the next kernel.
 *
 * It is not a search: it looks at the one run that it is attached to. The machine keeps its state (watch.h), and so do
 * snapshots. It follows at most STALE_OWNER_AREAS_MAX areas and STALE_OWNER_RANGES_MAX ranges of each kind; it says so
 * if there were more.
 */
#ifndef BOOTRACE_FUZZ_DETECT_STALE_OWNER_H
#define BOOTRACE_FUZZ_DETECT_STALE_OWNER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "emu/base/diag.h"
#include "emu/watch.h"

struct detector;
struct machine;

#define STALE_OWNER_AREAS_MAX  80u
#define STALE_OWNER_RANGES_MAX 24u
#define STALE_OWNER_SHOWN      16u /* bytes of what now lies there */

enum stale_owner_when {
    STALE_BEFORE_DIGEST, /* the digest will not match */
    STALE_AFTER_DIGEST,  /* the digest matches, the image is damaged */
    STALE_IN_USE,        /* the next kernel runs */
    STALE_WHENS,
};

struct stale_owner_options {
    bool fail;          /* the first stale write that changes something is the verdict, FAIL "stale-owner" */
    uint64_t leave_gva; /* 0: the guest says itself what changes hands */
    const char *(*write_name)(uint64_t what); /* of TRACE_HOST_WRITE and TRACE_HOST_AREA; static strings */
};

/* One area, as it was given. */
struct stale_owner_area {
    uint64_t gpa;
    uint64_t position; /* steps of its vCPU then */
    uint64_t time_ns;
    uint32_t bytes;
    uint16_t vcpu;
    uint16_t what;
};

struct stale_owner_report {
    uint64_t count[STALE_WHENS]; /* stale writes that changed a byte */
    uint64_t unchanged;          /* stale ones that did not */
    uint64_t too_many;           /* areas or ranges that were not followed */
    struct {                     /* the first that changed a byte */
        uint64_t gpa, bytes;
        uint64_t what;
        uint64_t time_ns;
        uint64_t owner_time_ns; /* when the memory changed hands */
        uint32_t when;          /* enum stale_owner_when */
        uint32_t vcpu;
        struct stale_owner_area area;
        uint8_t now[STALE_OWNER_SHOWN]; /* what lies there behind the write */
        uint32_t now_bytes;
        uint32_t zero;
    } first;
};

struct stale_owner {
    struct stale_owner_options options;
    struct watcher watcher;
};

/* Attach it to a machine that has not run yet. `s` is the caller's, and must outlive the machine's running. EMU_EHOST:
   too many watchers. */
enum emu_err stale_owner_attach(struct stale_owner *s, struct machine *m, const struct stale_owner_options *options,
                                struct diag *d) EMU_MUST_CHECK;
/* What it has found so far; valid until the machine runs again. */
const struct stale_owner_report *stale_owner_report(const struct stale_owner *s, struct machine *m);
/* Print one paragraph for a user, or nothing if there is nothing to say. */
void stale_owner_print(const struct stale_owner *s, struct machine *m, FILE *to);

extern const struct detector stale_owner_detector; /* its row; detector.h */

#endif
