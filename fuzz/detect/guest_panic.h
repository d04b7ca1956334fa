/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest_panic: makes the guest's own account of its end the verdict. A kernel that panics ends in a reset, a shutdown
 * or a standstill, all panics at the same place; what it says on its console, and who called its panic function, tells
 * one panic from another. So such an end is told by that sentence and that place, and a guest that has panicked and
 * stays fails too.
 *
 * What a console line means, emu/guest_words.h says. Where the kernel's panic function is known, only what is said
 * after it was entered counts: a guest may print anything. A panic after which another kernel is to run (a crash
 * kernel) is none, once that is entered.
 *
 * It changes no run but by ending it: where the guest itself says that nothing more comes, or where nothing more has
 * come for QUIET_NS. Its state is the machine's (watch.h); a snapshot file does not keep it.
 *
 * ASSUMES: where a kernel's symbols are unknown, that only its own log prints a line that begins as its panic does.
 */
#ifndef BOOTRACE_FUZZ_DETECT_GUEST_PANIC_H
#define BOOTRACE_FUZZ_DETECT_GUEST_PANIC_H

#include <stdbool.h>
#include <stdint.h>

#include "emu/base/diag.h"
#include "emu/watch.h"

#define GUEST_PANIC_QUIET_NS 1000000000ull

struct guest_words;
struct machine;
struct symbols;

struct guest_panic {
    const struct guest_words *words;
    const struct symbols *symbols; /* may be NULL */
    uint64_t panic_gva, leave_gva; /* functions; 0 if unknown */
    uint64_t crash_kernel_gva;     /* of the pointer; 0 if unknown */
    struct watcher watcher;
};

/* Attach it to a machine that has not run yet. `p` is the caller's, and must outlive the machine's running; so must
   what it is given. EMU_EHOST: too many watchers. */
enum emu_err guest_panic_attach(struct guest_panic *p, struct machine *m, const struct guest_words *words,
                                const struct symbols *symbols, struct diag *d) EMU_MUST_CHECK;

#endif
