/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * engine: the CPU emulator behind the machine. One Unicorn engine, one thread; every vCPU is a saved context of it.
 *
 * It executes guest instructions up to an exact boundary, counts steps, keeps virtual time, and returns whenever the
 * architecture needs somebody else: an exception to deliver, an instruction that the machine executes itself, a halt.
 * It knows no model, delivers no event and decides no schedule. What it must know of Unicorn's insides is found by
 * experiment when it is made (engine_new), and it refuses to run where that fails.
 *
 * Steps: one instruction, one iteration of a repeated string instruction, or one event delivery (counted by whoever
 * delivers, engine_count_step). Where a block of translated code begins or ends, or where the engine was stopped, never
 * changes the count.
 *
 * DEVIATION: the x87's transcendental instructions (FSIN, FCOS, FSINCOS, FPTAN, FPATAN, F2XM1, FYL2X, FYL2XP1) have the
 * 53 bits of the host's sin(), cos(), tan(), atan2(), pow() and log(). ASSUMES: no guest that is compared between hosts
 * with different C libraries uses them; no verdict of ours looks at their results.
 */
#ifndef BOOTRACE_EMU_ENGINE_H
#define BOOTRACE_EMU_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "emu/base/diag.h"
#include "emu/insn.h"
#include "emu/paging.h"
#include "emu/regs.h"

struct engine;
struct memory;

enum engine_exit_kind {
    ENGINE_EXIT_BOUNDARY,  /* a limit is reached, or attention was asked for; or `insn`, which was watched, was executed
                            */
    ENGINE_EXIT_EXCEPTION, /* vector, error_code; software_int if it came from INT n, INT3, INTO (`insn`, RIP behind it)
                            */
    ENGINE_EXIT_ALONE,     /* RIP is at `insn`, which the machine executes; see engine_complete() */
    ENGINE_EXIT_VMCALL,    /* RIP is at VMCALL or VMMCALL (`insn`) */
    ENGINE_EXIT_ICEBP,     /* RIP is at INT1 (`insn`) */
    ENGINE_EXIT_SYSCALL,   /* RIP is behind SYSCALL (`insn`) */
    ENGINE_EXIT_SYSENTER,  /* RIP is behind SYSENTER (`insn`) */
    ENGINE_EXIT_HLT,       /* RIP is behind HLT */
    ENGINE_EXIT_BREAK,     /* RIP is at a breakpoint, not executed yet; the next run goes over it */
    ENGINE_EXIT_NO_MEMORY, /* instruction fetch from, or access to, a physical address that is no RAM and no device
                              window: gpa */
    ENGINE_EXIT_UNMODELLED, /* RIP is behind what the engine can't do as the processor does; text says what */
    ENGINE_EXIT_BROKEN,     /* the engine did what it should not do; text says what */
};

struct engine_exit {
    enum engine_exit_kind kind;
    unsigned vector;
    uint32_t error_code;
    bool software_int;
    struct insn insn;
    uint64_t gpa;
    const char *text;
};

/* What the engine calls while it runs: accesses to device windows, each at an exact boundary, and RDTSC. */
struct engine_ops {
    /* False: nothing is there. The engine stops at a boundary before the instruction then. */
    bool (*mmio_read)(void *context, uint64_t gpa, unsigned bytes, uint64_t *value);
    bool (*mmio_write)(void *context, uint64_t gpa, unsigned bytes, uint64_t value);
    uint64_t (*rdtsc)(void *context);
    /* An instruction has written watched bytes (engine_watch_writes), in the middle of which it is; it may not be run
       again for this. NULL if nothing is ever watched. `before`: what was there; at most 8 bytes. `position` is the
       number of steps before it. */
    void (*written)(void *context, uint64_t gpa, unsigned bytes, const uint8_t *before, uint64_t rip_gva,
                    uint64_t position);
    /* For vCPUs that are inspected (engine_inspect); NULL if none ever is. `inspect`: whether the code that runs next,
       within a page, has to be executed one instruction at a time. `inspected`: this instruction is next (length 0: it
       can't be decoded); it is told again if something else comes first. `serialised`: a serialising instruction was
       executed. */
    bool (*inspect)(void *context, uint64_t gpa, unsigned bytes);
    void (*inspected)(void *context, uint64_t gva, const struct insn *insn);
    void (*serialised)(void *context);
};

enum emu_err engine_new(struct memory *mem, unsigned vcpus, const struct engine_ops *ops, void *context,
                        struct engine **out, struct diag *d) EMU_MUST_CHECK;
void engine_free(struct engine *e);

/* Make `vcpu` the loaded one. */
void engine_switch(struct engine *e, unsigned vcpu);

/* Run the loaded vCPU to the first boundary at which time >= limit_ns or its steps >= limit_steps, or an exit. */
struct engine_exit engine_run(struct engine *e, uint64_t limit_ns, uint64_t limit_steps);
/* Stop at the next boundary; for callbacks and signal handlers. */
void engine_ask_attention(struct engine *e);
/* Stop after an instruction that may have set IF, or after an IRET, was executed. */
void engine_watch(struct engine *e, bool interrupt_flag, bool iret);

/* Inspect these vCPUs (one bit each) from their next block on: ops.inspect is asked about each block, and blocks for
 * which it says yes, and blocks with serialising instructions, are executed one instruction at a time. This costs speed
 * while such a vCPU is loaded and changes nothing else. WRMSR, which the machine executes, is not told as serialising.
 */
void engine_inspect(struct engine *e, uint64_t vcpus);

/* Breakpoints by linear address, for every vCPU. They cost nothing elsewhere, and change no count. Replaces the set;
   at most ENGINE_BREAKPOINTS_MAX. One that was reported and not yet gone over stays so. */
#define ENGINE_BREAKPOINTS_MAX 261
void engine_set_breakpoints(struct engine *e, const uint64_t *gva, unsigned count);

/* The machine has executed exit.insn itself: RIP moves behind it (unless `rip_set`), one step and its price count. */
void engine_complete(struct engine *e, const struct insn *insn, bool rip_set);
/* An event was delivered: one step. */
void engine_count_step(struct engine *e);

uint64_t engine_now_ns(const struct engine *e);
void engine_set_now_ns(struct engine *e, uint64_t now_ns); /* only forwards: idle time, charges */
uint64_t engine_steps(const struct engine *e, unsigned vcpu);
uint64_t engine_steps_all(const struct engine *e);

/* Set what a snapshot file says, in an engine that has not run: the time, and every vCPU's steps. */
void engine_set_counts(struct engine *e, uint64_t now_ns, const uint64_t *steps);

/* Registers of the loaded vCPU, all or one. */
void engine_get_regs(struct engine *e, struct vcpu_regs *r);
void engine_set_regs(struct engine *e, const struct vcpu_regs *r);
/* The same for any vCPU, loaded or not, without loading it. */
void engine_glance(struct engine *e, unsigned vcpu, uint64_t *rip, uint64_t *rflags, bool *interrupt_shadow);
/* Those that event delivery reads (everything but x87, SSE, debug registers), and those that it changes: RIP, RFLAGS,
   RSP, CS, SS, CR2; in virtual-8086 returns all segments. Ends an interrupt shadow. */
void engine_get_event_regs(struct engine *e, struct vcpu_regs *r);
void engine_set_event_regs(struct engine *e, const struct vcpu_regs *r);
uint64_t engine_gpr(struct engine *e, enum gpr reg);
void engine_set_gpr(struct engine *e, enum gpr reg, uint64_t value);
uint64_t engine_rip(struct engine *e);
void engine_set_rip(struct engine *e, uint64_t rip);
uint64_t engine_rflags(struct engine *e);
bool engine_interrupt_shadow(struct engine *e);
void engine_set_cr2(struct engine *e, uint64_t gva);
/* CR0, CR3, CR4 with all that follows from the mode; translations are dropped by engine_complete(). DR0 to DR3, DR6,
   DR7 as plain values: the engine has no breakpoints of its own there. */
uint64_t engine_control_register(struct engine *e, unsigned number);
void engine_set_control_register(struct engine *e, unsigned number, uint64_t value);
uint64_t engine_debug_register(struct engine *e, unsigned number);
void engine_set_debug_register(struct engine *e, unsigned number, uint64_t value);
uint64_t engine_msr(struct engine *e, enum engine_msr msr);
void engine_set_msr(struct engine *e, enum engine_msr msr, uint64_t value);
void engine_get_paging(struct engine *e, struct paging *p);
struct decoder *engine_decoder(struct engine *e);
/* Unicorn's version, which is a part of the build id. */
void engine_library_version(unsigned *major, unsigned *minor, unsigned *patch);

/* All vCPUs' registers, counters and the time at an exact boundary, in this process. NULL if the host has no memory. */
struct engine_save;
struct engine_save *engine_save_new(struct engine *e);
void engine_save_update(struct engine *e, struct engine_save *s);
void engine_save_restore(struct engine *e, const struct engine_save *s);
void engine_save_free(struct engine *e, struct engine_save *s);

/*
 * Who reads, writes and fetches which guest-physical bytes, while set (NULL: off), each before it happens. Fetches come
 * block by block. What the host does to guest memory for an instruction or an event (delivery, hypercalls) is told like
 * an access of the guest. ENGINE_LEAVE says that the machine or a model takes part in an instruction: a port, a device
 * window, an MSR, a hypercall, HLT. Page walks are not told. Setting the first one and taking it away drops all
 * translations; in between it costs speed and changes nothing else.
 */
enum engine_access { ENGINE_READ, ENGINE_WRITE, ENGINE_FETCH, ENGINE_LEAVE };
typedef void(engine_access_fn)(void *context, enum engine_access kind, uint64_t gpa, unsigned bytes);
enum emu_err engine_watch_accesses(struct engine *e, engine_access_fn *fn, void *context,
                                   struct diag *d) EMU_MUST_CHECK;
/* The same for the machine's own purposes; other callers do not replace it. */
enum emu_err engine_watch_own_accesses(struct engine *e, engine_access_fn *fn, void *context,
                                       struct diag *d) EMU_MUST_CHECK;
/* Within that callback: the number of steps of the loaded vCPU before the instruction that makes the access; and, when
   it is a fetch, the linear address of the block. */
uint64_t engine_access_position(struct engine *e);
uint64_t engine_access_block_gva(const struct engine *e);

/*
 * Tell ops.written of every write by guest instructions to these bytes of RAM, for good; the engine stops at a boundary
 * soon after. Instructions elsewhere run at full speed, those that write to the same page slowly; nothing else changes.
 * Not seen: what the host writes (event delivery too). ASSUMES: the page holds no page table, whose accessed and dirty
 * bits the processor itself would write. Slow (milliseconds). EMU_EINPUT: it is not all RAM; EMU_EHOST: too many.
 */
#define ENGINE_WRITE_WATCHES_MAX 16
enum emu_err engine_watch_writes(struct engine *e, uint64_t gpa, uint64_t bytes, struct diag *d) EMU_MUST_CHECK;

/* For benchmarks: run 32-bit code at `entry_gpa` of `mem` to its HLT on a library engine of its own, without any hook.
 */
enum emu_err engine_run_bare(struct memory *mem, uint32_t entry_gpa, struct diag *d) EMU_MUST_CHECK;

/* Counters for reports and benchmarks, not part of any state. */
struct engine_stats {
    uint64_t runs, single_steps, block_misses, blocks_made, switches, mmio;
};
void engine_get_stats(const struct engine *e, struct engine_stats *s);

#endif
