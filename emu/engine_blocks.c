/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How the engine keeps exact counts on a translator that works in blocks:
 *
 * The block hook runs at the start of every translated block. It commits the block before (which ran to its end, or
 * else a fault told us where it stopped), looks up how many instructions and how much time the new block holds, and
 * lets it run if that keeps within the limit. Otherwise it stops the translator there - a block hook's stop takes
 * effect before the first instruction - and the rest of the way is gone one instruction at a time.
 *
 * A single step needs neither hooks nor new translations: under the flag by which the translator remembers the
 * interrupt shadow of STI it makes blocks of one instruction. We set that flag in the saved context, and the block
 * clears it. Instructions that set the flag themselves, and repeated string instructions, end a block anyway and are
 * run without it (INSN_F_NATURAL).
 *
 * The number of instructions of a block comes from the translator itself (edge hook) and is kept in a table keyed by
 * virtual address, physical page and length. The physical page of the code is looked up in a small cache which is
 * dropped ("epoch") after every instruction that may change translations. The translator does not tell of the first
 * block that it makes after old ones were dropped. So a row of another epoch, and that of the first block of each
 * start, is believed only if the code is that of which it was made.
 *
 * A device access needs its exact instruction boundary, but the translator does not say where in the block it is. So
 * the first try is stopped, which rewinds to the instruction, and then that instruction is stepped alone.
 */
#include "emu/engine_state.h"

#include <sys/mman.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define likely(x) __builtin_expect(!!(x), 1)

#define BLOCK_TABLE_BITS 20
#define PAGE_TABLE_BITS  12
#define PLACE_TABLE_BITS 14

/* `tag` says in one word what the hot path needs: the epoch in which pc was found to be in page ppn, the size in bytes,
   and whether the block needs the slow path (flags, or code that is no RAM). */
struct block {
    uint64_t pc; /* linear address */
    uint64_t tag;
    uint64_t ppn;
    uint32_t ns;
    uint16_t steps;
    uint16_t flags; /* INSN_F_* of all its instructions */
    uint64_t made;  /* no other block, and no other content of this one, has the same number */
    uint64_t content;
};

/* What comes before the instruction at `rip` in the block numbered `made`. */
struct place {
    uint64_t rip, made;
    uint32_t steps, ns;
};

#define TAG_SPECIAL     1u
#define TAG_SIZE_SHIFT  1
#define TAG_SIZE_MASK   0x3fffu
#define TAG_EPOCH_SHIFT 15

struct code_page {
    uint64_t vpn;
    uint64_t epoch;
    uint64_t ppn; /* NO_PAGE if not RAM */
};

void engine_drop_translations(struct engine *e)
{
    e->epoch++;
    e->epoch_tag = e->epoch << TAG_EPOCH_SHIFT;
    e->paging_known = false;
}

void engine_get_paging(struct engine *e, struct paging *p)
{
    if (!e->paging_known) {
        e->paging.cr0 = read_reg(e->uc, UC_X86_REG_CR0);
        e->paging.cr3 = read_reg(e->uc, UC_X86_REG_CR3);
        e->paging.cr4 = read_reg(e->uc, UC_X86_REG_CR4);
        e->paging.efer = engine_msr(e, MSR_ID_EFER);
        e->paging_known = true;
    }
    *p = e->paging;
}

bool engine_is_wrapped(struct engine *e, uint64_t pc)
{
    struct paging p;

    if (pc >> 32 == 0)
        return false;
    engine_get_paging(e, &p);
    return !(p.efer & EFER_LMA);
}

uint64_t engine_code_ppn(struct engine *e, uint64_t vpn)
{
    struct code_page *page = &e->pages[(vpn * 0x9e3779b97f4a7c15ull) >> (64 - PAGE_TABLE_BITS)];

    if (page->vpn != vpn || page->epoch != e->epoch) {
        struct paging p;
        struct paging_result r;

        engine_get_paging(e, &p);
        r = paging_walk(e->mem, &p, vpn << PAGE_SHIFT, 0);
        page->vpn = vpn;
        page->epoch = e->epoch;
        page->ppn = r.ok && memory_is_ram(e->mem, r.gpa, 1) ? r.gpa >> PAGE_SHIFT : NO_PAGE;
    }
    return page->ppn;
}

size_t engine_fetch_code(struct engine *e, uint64_t pc, uint8_t *dst, size_t bytes)
{
    size_t got = 0;

    while (got < bytes) {
        uint64_t ppn = engine_code_ppn(e, (pc + got) >> PAGE_SHIFT);
        size_t chunk = PAGE_BYTES - ((pc + got) & (PAGE_BYTES - 1));

        if (chunk > bytes - got)
            chunk = bytes - got;
        if (ppn == NO_PAGE ||
            !memory_peek(e->mem, (ppn << PAGE_SHIFT) | ((pc + got) & (PAGE_BYTES - 1)), dst + got, chunk))
            break;
        got += chunk;
    }
    return got;
}

struct tally engine_tally(struct engine *e, unsigned bits, uint64_t pc, uint32_t bytes)
{
    uint8_t code[PAGE_BYTES * 2];
    struct tally t = {0};
    size_t got, at = 0;

    if (bytes > sizeof(code))
        bytes = sizeof(code);
    got = engine_fetch_code(e, pc, code, bytes);
    while (at < got) {
        struct insn insn;

        if (!decoder_decode(e->dec, bits, code + at, got - at, &insn))
            insn.length = (uint8_t)(got - at < INSN_BYTES_MAX ? got - at : INSN_BYTES_MAX); /* the engine will fault */
        t.steps++;
        t.ns += 1 + insn.price_ns;
        t.flags |= insn.flags;
        t.last = insn;
        at += insn.length;
    }
    return t;
}

static uint64_t make_tag(const struct engine *e, uint32_t size, uint32_t flags)
{
    return e->epoch_tag | (uint64_t)size << TAG_SIZE_SHIFT | (flags & ~INSN_F_SERIALISES ? TAG_SPECIAL : 0);
}

static uint32_t tag_size(uint64_t tag)
{
    return (uint32_t)(tag >> TAG_SIZE_SHIFT) & TAG_SIZE_MASK;
}

static struct block *block_slot(struct engine *e, uint64_t pc)
{
    return &e->blocks[(pc * 0x9e3779b97f4a7c15ull) >> (64 - BLOCK_TABLE_BITS)];
}

uint32_t engine_break_flag(const struct engine *e, uint64_t pc, uint32_t size)
{
    for (unsigned i = 0; i < e->breakpoints; i++)
        if (e->breakpoint[i] >= pc && e->breakpoint[i] - pc < size)
            return INSN_F_BREAK;
    return 0;
}

/* Of the code as it is now. */
static uint64_t content_digest(struct engine *e, uint64_t pc, uint32_t size)
{
    uint8_t code[PAGE_BYTES * 2];

    return XXH3_64bits(code, engine_fetch_code(e, pc, code, size < sizeof(code) ? size : sizeof(code)));
}

/* `icount` as the translator says it, 0 if it was not asked. */
static void fill_block(struct engine *e, struct block *b, uint64_t pc, uint64_t ppn, uint32_t size, uint32_t icount)
{
    uint8_t code[PAGE_BYTES * 2];
    struct tally t;

    b->pc = pc;
    b->ppn = ppn;
    b->made = ++e->stats.blocks_made;
    b->content = content_digest(e, pc, size);
    memory_set_code(e->mem, ppn);
    if (((pc + size - 1) >> PAGE_SHIFT) != (pc >> PAGE_SHIFT)) {
        uint64_t next = engine_code_ppn(e, (pc + size - 1) >> PAGE_SHIFT);

        if (next != NO_PAGE)
            memory_set_code(e->mem, next);
    }
    if (icount && size <= sizeof(code) && engine_fetch_code(e, pc, code, size) == size &&
        !insn_may_be_special(code, size)) {
        b->steps = (uint16_t)icount;
        b->ns = icount;
        b->flags = (uint16_t)engine_break_flag(e, pc, size);
        b->tag = make_tag(e, size, b->flags);
        return;
    }
    peek(e);
    t = engine_tally(e, bits_of_hflags(peeked_hflags(e)), pc, size);

    b->steps = (uint16_t)(icount ? icount : t.steps);
    b->ns = t.ns;
    b->flags = (uint16_t)((t.flags & ~INSN_F_NATURAL) | engine_break_flag(e, pc, size));
    b->tag = make_tag(e, size, b->flags);
}

static void stop_now(struct engine *e, enum stop why)
{
    e->stop = why;
    e->hot_limit_ns = 0;
    e->pend_steps = 0;
    e->pend_ns = 0;
    uc_emu_stop(e->uc);
}

static void stop_broken(struct engine *e, const char *text)
{
    e->broken = text;
    stop_now(e, STOP_BROKEN);
}

/* Whether a block of an inspected vCPU must be gone through one instruction at a time. */
static bool needs_inspection(struct engine *e, const struct block *b, uint64_t pc, uint32_t size)
{
    if (b->flags & INSN_F_SERIALISES)
        return true;
    while (size) {
        uint32_t chunk = PAGE_BYTES - (uint32_t)(pc & (PAGE_BYTES - 1));
        uint64_t ppn = engine_code_ppn(e, pc >> PAGE_SHIFT);

        if (chunk > size)
            chunk = size;
        if (ppn != NO_PAGE && e->ops.inspect(e->ops_context, (ppn << PAGE_SHIFT) | (pc & (PAGE_BYTES - 1)), chunk))
            return true;
        pc += chunk;
        size -= chunk;
    }
    return false;
}

/* To be as before if a MOV to CR3 in this code proves to be illegal. */
static void note_cr3(struct engine *e)
{
    e->cr3_before = read_reg(e->uc, UC_X86_REG_CR3);
    e->cr2_before = read_reg(e->uc, UC_X86_REG_CR2);
}

/* NOLINTNEXTLINE(readability-function-size): the order of these checks is the rule */
static __attribute__((noinline)) void on_block_slow(struct engine *e, uint64_t pc, uint32_t size)
{
    uint64_t ppn;
    struct block *b;

    e->pend_steps = 0;
    e->pend_ns = 0;
    e->hot_limit_ns = e->asked || e->access || e->inspect || e->step != STEP_OFF ? 0 : e->limit_ns;
    if (e->stop) {
        e->hot_limit_ns = 0;
        return;
    }
    if (e->after & AFTER_EPOCH) {
        engine_drop_translations(e);
        if (engine_cr3_is_bad(e)) {
            e->after = 0;
            stop_now(e, STOP_BAD_CR3);
            return;
        }
    }
    if (e->step == STEP_RUNNING) {
        e->after = 0;
        stop_now(e, STOP_STEPPED);
        return;
    }
    if ((e->after & AFTER_STOP) || e->asked) {
        e->iret_done = e->after & AFTER_IRET;
        e->after = 0;
        stop_now(e, STOP_BOUNDARY);
        return;
    }
    e->after = 0;
    if (e->step == STEP_ARMED) {
        if (size != e->step_insn.length) {
            stop_broken(e, "a single step is not one instruction long");
            return;
        }
        e->step = STEP_RUNNING;
        e->hot_limit_ns = 0;
        e->block_pc = pc;
        e->block_size = size;
        e->pend_steps = 1;
        e->pend_ns = 1 + e->step_insn.price_ns;
        engine_report_fetch(e, pc, size);
        if (e->step_insn.flags & INSN_F_EPOCH) {
            e->after = AFTER_EPOCH;
            note_cr3(e);
        }
        return;
    }

    if (engine_is_wrapped(e, pc)) {
        stop_now(e, STOP_WRAPPED);
        return;
    }

    ppn = engine_code_ppn(e, pc >> PAGE_SHIFT);
    b = block_slot(e, pc);

    if (ppn == NO_PAGE) {
        e->gpa = 0;
        stop_now(e, STOP_NO_MEMORY);
        return;
    }
    if (b->pc != pc || b->ppn != ppn || tag_size(b->tag) != size || b->content != content_digest(e, pc, size)) {
        e->stats.block_misses++;
        fill_block(e, b, pc, ppn, size, 0);
    } else {
        b->flags = (uint16_t)((b->flags & ~INSN_F_BREAK) | engine_break_flag(e, pc, size));
        b->tag = make_tag(e, size, b->flags);
    }
    e->block_pc = pc;
    e->block_size = size;
    if (pc != e->unreadable_pc && ((b->flags & (INSN_F_ALONE | INSN_F_BREAK)) || e->now_ns + b->ns > e->limit_ns ||
                                   (e->inspect && needs_inspection(e, b, pc, size)))) {
        stop_now(e, STOP_PRECISE);
        return;
    }
    if (b->flags & INSN_F_EPOCH) {
        e->after |= AFTER_EPOCH;
        note_cr3(e);
    }
    if (((b->flags & INSN_F_IF) && e->watch_if) || ((b->flags & INSN_F_IRET) && e->watch_iret))
        e->after |= AFTER_STOP | (b->flags & INSN_F_IRET && e->watch_iret ? AFTER_IRET : 0);
    if (e->after)
        e->hot_limit_ns = 0;
    e->pend_steps = b->steps;
    e->pend_ns = b->ns;
    engine_report_fetch(e, pc, size);
}

static void on_block(uc_engine *uc, uint64_t pc, uint32_t size, void *user)
{
    struct engine *e = user;
    struct block *b = block_slot(e, pc);

    e->steps += e->pend_steps;
    e->now_ns += e->pend_ns;
    if (likely(b->pc == pc && b->tag == (e->epoch_tag | (uint64_t)size << TAG_SIZE_SHIFT) &&
               e->now_ns + b->ns <= e->hot_limit_ns)) {
        e->pend_steps = b->steps;
        e->pend_ns = b->ns;
        e->block_pc = pc;
        e->block_size = size;
        return;
    }
    on_block_slow(e, pc, size);
}

static void on_edge(uc_engine *uc, uc_tb *tb, uc_tb *from, void *user)
{
    struct engine *e = user;
    uint64_t ppn;

    /* An instruction that overwrites its own block is rewound and repeated alone: then this block starts inside the one
       that runs, and only what came before it has happened. */
    if (e->pend_steps && tb->icount == 1 && e->step == STEP_OFF && tb->pc >= e->block_pc &&
        tb->pc < e->block_pc + e->block_size) {
        uint8_t code[INSN_BYTES_MAX];
        struct tally done, whole;
        struct insn insn;
        unsigned bits;
        size_t got;

        peek(e);
        bits = bits_of_hflags(peeked_hflags(e));
        done = engine_tally(e, bits, e->block_pc, (uint32_t)(tb->pc - e->block_pc));
        whole = engine_tally(e, bits, e->block_pc, e->block_size);
        got = engine_fetch_code(e, tb->pc, code, sizeof(code));

        if (decoder_decode(e->dec, bits, code, got, &insn) && insn.length == tb->size && done.steps + 1 < whole.steps) {
            e->pend_steps = done.steps;
            e->pend_ns = done.ns;
        }
    }
    if (e->step != STEP_OFF || engine_is_wrapped(e, tb->pc))
        return;
    ppn = engine_code_ppn(e, tb->pc >> PAGE_SHIFT);

    if (ppn != NO_PAGE)
        fill_block(e, block_slot(e, tb->pc), tb->pc, ppn, tb->size, tb->icount);
}

/* The place of the instruction at RIP, which the library has just made exact, in the running block. */
static struct place find_place(struct engine *e)
{
    uint64_t rip = read_reg(e->uc, UC_X86_REG_RIP), pc;
    const struct block *b = block_slot(e, e->block_pc);
    uint64_t made = b->pc == e->block_pc && tag_size(b->tag) == e->block_size ? b->made : 0;
    struct place *known = &e->places[(rip * 0x9e3779b97f4a7c15ull) >> (64 - PLACE_TABLE_BITS)];
    struct tally t = {0};

    if (made && known->rip == rip && known->made == made)
        return *known;
    peek(e);
    pc = peeked_linear_rip(e);
    if (pc > e->block_pc && pc - e->block_pc < e->block_size)
        t = engine_tally(e, bits_of_hflags(peeked_hflags(e)), e->block_pc, (uint32_t)(pc - e->block_pc));
    *known = (struct place){.rip = rip, .made = made, .steps = t.steps, .ns = t.ns};
    return *known;
}

uint32_t engine_time_in_block(struct engine *e)
{
    if (e->step != STEP_OFF || !e->pend_steps)
        return 0;
    return find_place(e).ns;
}

uint32_t engine_steps_in_block(struct engine *e)
{
    if (e->step != STEP_OFF || e->pend_steps <= 1)
        return 0;
    return find_place(e).steps;
}

#define BLOCKS_BYTES (sizeof(struct block) << BLOCK_TABLE_BITS)
#define PAGES_BYTES  (sizeof(struct code_page) << PAGE_TABLE_BITS)
#define PLACES_BYTES (sizeof(struct place) << PLACE_TABLE_BITS)
#define GUARD_BYTES  4096u

/* Zeroes that cost nothing until they are used, which of most tables is little, and a page behind them that nobody may
   touch. An allocator that looks for mistakes (a sanitizer's, or malloc under MALLOC_PERTURB_) would go through all of
   such a block whenever it is taken or given back. */
static void *new_table(size_t bytes)
{
    uint8_t *table = mmap(NULL, bytes + GUARD_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (table == MAP_FAILED)
        return NULL;
    if (mprotect(table, bytes, PROT_READ | PROT_WRITE) < 0) {
        munmap(table, bytes + GUARD_BYTES);
        return NULL;
    }
    return table;
}

static void free_table(void *table, size_t bytes)
{
    if (table)
        munmap(table, bytes + GUARD_BYTES);
}

bool engine_new_tables(struct engine *e)
{
    e->blocks = new_table(BLOCKS_BYTES);
    e->pages = new_table(PAGES_BYTES);
    e->places = new_table(PLACES_BYTES);
    engine_drop_translations(e);
    return e->blocks && e->pages && e->places;
}

void engine_free_tables(struct engine *e)
{
    free_table(e->blocks, BLOCKS_BYTES);
    free_table(e->pages, PAGES_BYTES);
    free_table(e->places, PLACES_BYTES);
}

bool engine_add_block_hooks(struct engine *e)
{
    uc_hook h;

    return uc_hook_add(e->uc, &h, UC_HOOK_BLOCK, (void *)on_block, e, 1, 0) == UC_ERR_OK &&
           uc_hook_add(e->uc, &h, UC_HOOK_EDGE_GENERATED, (void *)on_edge, e, 1, 0) == UC_ERR_OK;
}
