/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unsynchronised_code: finds that a vCPU executes code which another vCPU has changed since the executing one last
 * serialised. The machine executes what memory holds; a processor may execute the earlier bytes, or a mixture, until it
 * has executed a serialising instruction. So what is found here need not fail in this run: it can fail on hardware.
 *
 * The values that a byte *may have* for a vCPU are the present one and those that other vCPUs have overwritten since it
 * last serialised. An instruction may be executed if each of its bytes may have only one value. The one exception is
 * the protocol of the breakpoint, which kernels depend on: the first byte may also be INT3 (0xCC), if whoever changed
 * it to or from INT3 changed that byte alone; the bytes behind it must then be settled for the instruction that the
 * other value would begin. So text_poke_bp() of Linux passes: INT3 first, synchronise, the rest, synchronise, the first
 * byte, synchronise; and it does not if one of the first two synchronisations is missing.
 *
 * What serialises: CPUID, IRET, MOV to a control register (not CR8) or a debug register, INVLPG, LGDT, LIDT, LLDT, LTR,
 * INVD, WBINVD, WRMSR (but of the deadline timer and the x2APIC), SERIALIZE. Not: interrupts and exceptions, locked
 * instructions, fences, SYSCALL, hypercalls (on hardware the host may well serialise while it serves one, but no manual
 * says so). No finding: what a vCPU itself wrote; a write that changes no byte; changes from before a vCPU was brought
 * up. ASSUMES: a vCPU that was offline comes back serialised, also by VCPUOP_up without INIT: the host has loaded its
 * control registers.
 *
 * It watches the code that it is told of, from when a second vCPU runs. It does not see code elsewhere (modules, code
 * made at run time), nor changes that the host or a device makes. Loading new code into watched memory is a change too.
 *
 * The exhaustive search compares only memory when it leaves runs out: it may miss what was not synchronised when its
 * window began. The other searches leave out nothing for which this matters.
 *
 * The machine keeps its state (watch.h), and so do snapshots in memory; after a snapshot file it begins with no change
 * noted.
 *
 * Source: SDM Vol. 3A, "Handling Self- and Cross-Modifying Code" and "Serializing Instructions"; that changes to and
 * from INT3 are safe without: Linux, arch/x86/kernel/alternative.c, text_poke_bp_batch() (fd4363fff3d9), after what its
 * commit reports of Intel and AMD.
 */
#ifndef BOOTRACE_FUZZ_DETECT_UNSYNCHRONISED_CODE_H
#define BOOTRACE_FUZZ_DETECT_UNSYNCHRONISED_CODE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "emu/base/diag.h"
#include "emu/watch.h"

struct detector;
struct machine;
struct symbols;

#define UNSYNCHRONISED_CODE_RANGES_MAX 8u
/* Changes that some vCPU has not synchronised with. More are forgotten, oldest first. */
#define UNSYNCHRONISED_CODE_CHANGES_MAX 768u

struct unsynchronised_code_options {
    const struct symbols *symbols; /* for the text; may be NULL */
    struct {
        uint64_t gpa, bytes;
    } range[UNSYNCHRONISED_CODE_RANGES_MAX]; /* the code, in RAM; it holds no page table */
    unsigned ranges;
};

struct unsynchronised_code {
    struct unsynchronised_code_options options;
    struct machine *machine;
    struct watcher watcher;
    bool is_watching; /* the engine tells of writes */
};

struct unsynchronised_code_report {
    uint64_t changes;   /* writes that changed code which another vCPU might have been executing */
    uint64_t forgotten; /* of them, before all vCPUs had serialised: those might be missed */
};

/* Attach it to a machine: the first finding is the verdict, FAIL "unsynchronised-code". `u` is the caller's, and must
   outlive the machine's running. EMU_EINPUT: a range is empty; EMU_EHOST: too many watchers. */
enum emu_err unsynchronised_code_attach(struct unsynchronised_code *u, struct machine *m,
                                        const struct unsynchronised_code_options *options,
                                        struct diag *d) EMU_MUST_CHECK;
const struct unsynchronised_code_report *unsynchronised_code_report(const struct unsynchronised_code *u);
/* Print what was watched, in a line or two. */
void unsynchronised_code_print(const struct unsynchronised_code *u, FILE *to);

extern const struct detector unsynchronised_code_detector; /* its row; detector.h */

#endif
