/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest_traps: exceptions where the code under test is a guest of another kernel in the machine (a PV kernel of a Xen).
 * The processor gives every exception to the kernel below, also those by which a PV guest only asks it for something;
 * so one from CPL 3 says nothing. The guest's own is one that the kernel below hands on, to the entry that the guest
 * has named for it.
 */
#ifndef BOOTRACE_FUZZ_SEARCH_GUEST_TRAPS_H
#define BOOTRACE_FUZZ_SEARCH_GUEST_TRAPS_H

#include <stdbool.h>
#include <stdint.h>

struct machine;
struct trace_fact;

struct guest_trap {
    uint64_t entry_gva;
    unsigned vector;
};

#define GUEST_TRAPS_MAX 32u

struct guest_traps {
    struct guest_trap trap[GUEST_TRAPS_MAX];
    unsigned count; /* 0: the code under test is alone in the machine */
};

/* Whether this exception, which was just delivered, is the kernel's below. *at_gva: where it was raised. */
bool guest_traps_goes_below(const struct guest_traps *t, struct machine *m, const struct trace_fact *fact,
                            uint64_t *at_gva);

/* The trap whose entry this is, NULL if it is none. */
const struct guest_trap *guest_traps_at(const struct guest_traps *t, uint64_t gva);

#endif
