/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest_panic: makes the guest's own account of its end the verdict. A kernel that panics ends in a reset, a shutdown
 * or a standstill, and all panics end at the same place; what the kernel says on its console, and who called its panic
 * function, tells one panic from another. So the verdict has that sentence and that place. A guest that panics and then
 * stays where it is fails too.
 *
 * emu/guest_words.h says what a console line means. Where the kernel's panic function is known, only lines count that
 * come after it was entered: a guest may print anything. A panic that hands over to another kernel (a crash kernel) is
 * no failure once that kernel is entered.
 *
 * It changes a run only by ending it: where the guest itself says that it has ended, or where it has said nothing more
 * for GUEST_PANIC_QUIET_NS. Its state is kept by the machine (watch.h), but not by a snapshot file.
 *
 * ASSUMES: if a kernel's symbols are unknown, only the kernel's own log prints lines that begin as its panic line does.
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
