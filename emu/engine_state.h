/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * engine_state: the engine's insides, for the files that make it up. The only header that includes the library's.
 *
 *   engine.c         life: made, freed, switched between vCPUs, saved
 *   engine_quirks.c  what must be known of the library's insides, found by experiment
 *   engine_blocks.c  translated blocks: what runs is counted here, and this is the hot path
 *   engine_run.c     running to an exact boundary
 *   engine_exits.c   what the library leaves to others: exceptions, CPUID, RDTSC, devices
 *   engine_faults.c  exceptions that the library names wrongly or finds too late
 *   engine_access.c  telling of accesses, and of writes to watched bytes
 *   engine_map.c     which guest-physical memory the library sees, and what it has translated of it
 *   engine_regs.c    registers
 */
#ifndef BOOTRACE_EMU_ENGINE_STATE_H
#define BOOTRACE_EMU_ENGINE_STATE_H

#include <string.h>
#include <unicorn/unicorn.h>

#include "emu/engine.h"
#include "emu/memory.h"

#define ENGINE_VCPUS_MAX 64
#define NO_PAGE          UINT64_MAX
/* Of the library's processor. */
#define ENGINE_PHYSICAL_ADDRESS_BITS 40

/* The translator's internal flags that we use, each verified by experiment in engine_find_quirks(). */
#define HF_CPL         3u
#define HF_INHIBIT_IRQ (1u << 3)
#define HF_CS32        (1u << 4)
#define HF_SS32        (1u << 5)
#define HF_ADDSEG      (1u << 6)
#define HF_PE          (1u << 7)
#define HF_LMA         (1u << 14)
#define HF_CS64        (1u << 15)
#define HF_OURS        (HF_CPL | HF_INHIBIT_IRQ | HF_CS32 | HF_SS32 | HF_ADDSEG | HF_CS64)

enum stop {
    STOP_NONE,
    STOP_BOUNDARY, /* attention */
    STOP_PRECISE,  /* before a block that must be gone through step by step */
    STOP_STEPPED,  /* the single step is done */
    STOP_EXCEPTION,
    STOP_INVALID,
    STOP_SYSCALL,
    STOP_SYSENTER,
    STOP_WRAPPED, /* at a branch target of 32-bit code beyond 4 GiB (engine_is_wrapped) */
    STOP_DEVICE,  /* a device access, to be repeated alone */
    STOP_NO_MEMORY,
    STOP_BAD_CR3, /* behind a MOV to CR3 of reserved bits */
    STOP_BROKEN,
};

/* What happens at the next boundary. */
#define AFTER_EPOCH 1u
#define AFTER_STOP  2u
#define AFTER_IRET  4u /* with AFTER_STOP: because of an IRET */

struct quirks { /* byte offsets into the context block */
    size_t old_exception;
    size_t error_code;
    size_t hflags;
    size_t segment[SEG_COUNT];
};

struct tally { /* of a piece of code */
    uint32_t steps, ns, flags;
    struct insn last; /* the last one counted */
};

struct block; /* these three: engine_blocks.c */
struct code_page;
struct place;

struct engine {
    /* hot: what every block hook touches */
    uint64_t steps; /* of the loaded vCPU, at the start of the pending block */
    uint64_t now_ns;
    uint64_t hot_limit_ns; /* limit_ns; 0 when the next block needs the slow path */
    uint64_t epoch_tag;
    uint32_t pend_steps; /* the block that runs */
    uint32_t pend_ns;
    uint32_t block_size;
    uint64_t block_pc;
    enum stop stop;
    struct block *blocks;

    uint64_t limit_ns;
    uint64_t epoch;
    uint32_t after;
    volatile bool asked; /* attention asked from outside */
    enum { STEP_OFF, STEP_ARMED, STEP_RUNNING } step;
    bool alone;          /* the running step may access devices */
    bool shadow_is_ours; /* the flag that the running step is made with says no interrupt shadow */
    bool device_done;    /* and it did */
    bool device_refused; /* nothing is there: the step has not happened */
    struct insn step_insn;
    bool watch_if, watch_iret;
    bool iret_done;                  /* the stop at a boundary is behind a watched IRET */
    uint64_t cr3_before, cr2_before; /* a block or step with AFTER_EPOCH */
    uint64_t inspected;              /* vCPUs */
    bool inspect;                    /* the loaded one is */
    uint64_t unreadable_pc;          /* not to be gone through one by one: there is nothing that can be decoded */
    uint64_t breakpoint[ENGINE_BREAKPOINTS_MAX];
    unsigned breakpoints;
    uint64_t broke_at_steps; /* the loaded vCPU stands at a breakpoint that was reported */
    unsigned vector;
    uint64_t gpa;
    const char *broken;
    uint64_t extra_ns;    /* time within the block, while a callback runs */
    struct place *places; /* known ones, by rip */

    uc_engine *uc;
    uc_context *scratch;
    uc_context *before;   /* a step that may access a device */
    uc_context *flat;     /* flat protected mode without paging */
    uc_context **context; /* of each vCPU */
    uint64_t *vcpu_steps;
    unsigned vcpus, current;
    bool loaded;
    struct quirks quirk;
    struct code_page *pages;
    struct paging paging;
    bool paging_known;
    struct memory *mem;
    struct decoder *dec;
    struct engine_ops ops;
    void *ops_context;
    struct {
        struct engine *e;
        uint64_t base_gpa;
    } window[2];
    struct engine_stats stats;
    bool access; /* one of these is there */
    struct {
        engine_access_fn *fn;
        void *context;
    } watcher[2]; /* of engine_watch_accesses(), and the machine's own */
    uc_hook access_hook;
    bool access_hooked;
    bool fetching; /* the access that is told is a fetch */
    struct {
        uint64_t gpa, bytes;
    } watched[ENGINE_WRITE_WATCHES_MAX];
    unsigned watches;
    struct memory_hole hole[MEMORY_HOLES_MAX]; /* as they are mapped */
    unsigned holes;
    bool unmapped; /* the library has refused to map something */
};

/* ---- the context block, and registers by the library's names ---- */

static inline uint32_t context_u32(const uc_context *c, size_t offset)
{
    uint32_t v;

    memcpy(&v, (const char *)c + offset, sizeof(v));
    return v;
}

static inline uint64_t context_u64(const uc_context *c, size_t offset)
{
    uint64_t v;

    memcpy(&v, (const char *)c + offset, sizeof(v));
    return v;
}

static inline void context_set_u32(uc_context *c, size_t offset, uint32_t v)
{
    memcpy((char *)c + offset, &v, sizeof(v));
}

static inline void context_set_u64(uc_context *c, size_t offset, uint64_t v)
{
    memcpy((char *)c + offset, &v, sizeof(v));
}

static inline uint64_t read_reg(uc_engine *uc, int id)
{
    uint64_t v = 0;

    uc_reg_read(uc, id, &v);
    return v;
}

static inline void write_reg(uc_engine *uc, int id, uint64_t v)
{
    uc_reg_write(uc, id, &v);
}

/* Save the loaded vCPU's context, to look at what no register id names. */
static inline void peek(struct engine *e)
{
    uc_context_save(e->uc, e->scratch);
}

static inline uint32_t peeked_hflags(const struct engine *e)
{
    return context_u32(e->scratch, e->quirk.hflags);
}

static inline unsigned bits_of_hflags(uint32_t hflags)
{
    return hflags & HF_CS64 ? 64 : hflags & HF_CS32 ? 32 : 16;
}

/* Valid after peek(). */
static inline uint64_t peeked_linear_rip(struct engine *e)
{
    uint64_t rip = read_reg(e->uc, UC_X86_REG_RIP);

    if (peeked_hflags(e) & HF_CS64)
        return rip;
    return (uint32_t)(context_u64(e->scratch, e->quirk.segment[SEG_CS] + 8) + rip);
}

static inline void commit_whole(struct engine *e)
{
    e->steps += e->pend_steps;
    e->now_ns += e->pend_ns;
    e->pend_steps = 0;
    e->pend_ns = 0;
}

/* engine_quirks.c. A small engine of its own, NULL if the host has no memory. */
uc_engine *engine_scratch(uc_mode mode);
enum emu_err engine_find_quirks(struct quirks *q, struct diag *d) EMU_MUST_CHECK;

/* engine_blocks.c */
bool engine_new_tables(struct engine *e); /* false: no memory; engine_free_tables() is due all the same */
void engine_free_tables(struct engine *e);
bool engine_add_block_hooks(struct engine *e);
/* Pages may be others, or hold other code: every block is looked at again before it runs. */
void engine_drop_translations(struct engine *e);
/* The physical page of the code in linear page `vpn`; NO_PAGE if it is not RAM. */
uint64_t engine_code_ppn(struct engine *e, uint64_t vpn);
/* Up to `bytes` of code at a linear address; how many could be read. */
size_t engine_fetch_code(struct engine *e, uint64_t pc, uint8_t *dst, size_t bytes);
/* Count the instructions of [pc, pc + bytes). */
struct tally engine_tally(struct engine *e, unsigned bits, uint64_t pc, uint32_t bytes);
/* INSN_F_BREAK if a breakpoint is in [pc, pc + size). */
uint32_t engine_break_flag(const struct engine *e, uint64_t pc, uint32_t size);
/* The library leaves the target of a conditional jump over more than 2 GiB in 32-bit code as a signed number: the
   processor keeps 32 bits of it. In compatibility mode only the page fault there shows it (engine_run.c). */
bool engine_is_wrapped(struct engine *e, uint64_t pc);
/* While a callback runs: the time and the steps of the running block before the instruction at RIP. */
uint32_t engine_time_in_block(struct engine *e);
uint32_t engine_steps_in_block(struct engine *e);

/* engine_exits.c */
bool engine_add_exit_hooks(struct engine *e);
/* The library's callbacks of a device window; `user` is one of e->window. */
uint64_t engine_device_read(uc_engine *uc, uint64_t offset, unsigned bytes, void *user);
void engine_device_write(uc_engine *uc, uint64_t offset, unsigned bytes, uint64_t value, void *user);

/* engine_faults.c. Both valid after peek(). The exception that the processor raises at RIP where the library raises
 * `vector`.
 */
unsigned engine_true_vector(struct engine *e, unsigned vector, uint32_t error_code);
/* RIP may not be canonical, behind a branch that ended the code at `end_gva` and is the last of `done`: then it is as
   before that branch, one step less (UNDO_DONE, peeked again); or the branch did more than this knows to take back. */
enum undo { UNDO_NOTHING, UNDO_DONE, UNDO_IMPOSSIBLE };
enum undo engine_undo_branch(struct engine *e, const struct tally *done, uint64_t end_gva);
/* Bits of CR3 that are reserved in IA-32e mode; valid at any time. */
bool engine_cr3_is_bad(struct engine *e);

/* engine_access.c */
bool engine_add_access_hooks(struct engine *e);
void engine_report_fetch(struct engine *e, uint64_t pc, uint32_t size);
void engine_report_leave(struct engine *e);

/* engine_map.c */
bool engine_map(struct engine *e);
/* Pages from which writes are to be refused: these of [gpa, gpa + bytes). Between begin and end. */
bool engine_refuse_writes(struct engine *e, uint64_t gpa, uint64_t bytes);
void engine_begin_mapping(struct engine *e);
void engine_end_mapping(struct engine *e);
/* Before a run: the holes in RAM have changed; the host has written to pages that hold code. */
void engine_take_holes(struct engine *e);
void engine_drop_stale_code(struct engine *e);

#endif
