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
 * dropped ("epoch") after every instruction that may change translations.
 *
 * A device access needs its exact instruction boundary, but the translator does not say where in the block it is. So
 * the first try is stopped, which rewinds to the instruction, and then that instruction is stepped alone.
 */
#include "emu/engine.h"

#include <stdlib.h>
#include <string.h>
#include <unicorn/unicorn.h>

#include "emu/ensure.h"
#include "emu/memory.h"

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define BLOCK_TABLE_BITS 20
#define PAGE_TABLE_BITS  12
#define PLACE_TABLE_BITS 14
#define DEVICE_END_GPA   (1ull << 40) /* device windows are all that is no RAM below this address */
#define TCG_BUFFER_BYTES (256u << 20)
#define ENGINE_VCPUS_MAX 64
#define NO_PAGE          UINT64_MAX

/* The translator's internal flags that we use, each verified by experiment in find_quirks(). */
#define HF_CPL         3u
#define HF_INHIBIT_IRQ (1u << 3)
#define HF_CS32        (1u << 4)
#define HF_SS32        (1u << 5)
#define HF_ADDSEG      (1u << 6)
#define HF_PE          (1u << 7)
#define HF_LMA         (1u << 14)
#define HF_CS64        (1u << 15)
#define HF_OURS        (HF_CPL | HF_INHIBIT_IRQ | HF_CS32 | HF_SS32 | HF_ADDSEG | HF_CS64)

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

enum stop {
    STOP_NONE,
    STOP_BOUNDARY, /* attention */
    STOP_PRECISE,  /* before a block that must be gone through step by step */
    STOP_STEPPED,  /* the single step is done */
    STOP_EXCEPTION,
    STOP_INVALID,
    STOP_SYSCALL,
    STOP_SYSENTER,
    STOP_DEVICE, /* a device access, to be repeated alone */
    STOP_NO_MEMORY,
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
    bool alone;       /* the running step may access devices */
    bool device_done; /* and it did */
    struct insn step_insn;
    bool watch_if, watch_iret;
    bool iret_done; /* the stop at a boundary is behind a watched IRET */
    uint64_t breakpoint[ENGINE_BREAKPOINTS_MAX];
    unsigned breakpoints;
    uint64_t broke_at_steps; /* the loaded vCPU stands at a breakpoint that was reported */
    unsigned vector;
    uint64_t gpa;
    const char *broken;
    uint64_t extra_ns; /* time within the block, while a callback runs */
    struct place place;
    struct place *places; /* known ones, by rip */

    uc_engine *uc;
    uc_context *scratch;
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
    engine_access_fn *access;
    void *access_context;
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

/* ---- the context block ---- */

static uint32_t context_u32(const uc_context *c, size_t offset)
{
    uint32_t v;

    memcpy(&v, (const char *)c + offset, sizeof(v));
    return v;
}

static uint64_t context_u64(const uc_context *c, size_t offset)
{
    uint64_t v;

    memcpy(&v, (const char *)c + offset, sizeof(v));
    return v;
}

static void context_set_u32(uc_context *c, size_t offset, uint32_t v)
{
    memcpy((char *)c + offset, &v, sizeof(v));
}

static void context_set_u64(uc_context *c, size_t offset, uint64_t v)
{
    memcpy((char *)c + offset, &v, sizeof(v));
}

static uint64_t read_reg(uc_engine *uc, int id)
{
    uint64_t v = 0;

    uc_reg_read(uc, id, &v);
    return v;
}

static void write_reg(uc_engine *uc, int id, uint64_t v)
{
    uc_reg_write(uc, id, &v);
}

/* ---- quirks: located by experiment on scratch engines ---- */

#define SEGMENT_BYTES 24u /* selector, (padding), base, limit, attributes */

static uc_engine *scratch_engine(uc_mode mode)
{
    uc_engine *uc;

    if (uc_open(UC_ARCH_X86, mode, &uc) != UC_ERR_OK)
        return NULL;
    if (uc_ctl_set_cpu_model(uc, UC_CPU_X86_HASWELL) != UC_ERR_OK || uc_ctl_exits_enable(uc) != UC_ERR_OK ||
        uc_mem_map(uc, 0x1000, 0x4000, UC_PROT_ALL) != UC_ERR_OK) {
        uc_close(uc);
        return NULL;
    }
    return uc;
}

static void stop_at_interrupt(uc_engine *uc, uint32_t vector, void *user)
{
    uc_emu_stop(uc);
}

static void count_and_stop(uc_engine *uc, uint64_t pc, uint32_t size, void *user)
{
    unsigned *left = user;

    if ((*left)-- == 0)
        uc_emu_stop(uc);
}

struct probe { /* one scratch engine and the contexts before and after */
    uc_engine *uc;
    uc_context *before, *after[2];
    size_t bytes;
};

static bool probe_init(struct probe *p)
{
    memset(p, 0, sizeof(*p));
    p->uc = scratch_engine(UC_MODE_64);
    if (!p->uc || uc_context_alloc(p->uc, &p->before) || uc_context_alloc(p->uc, &p->after[0]) ||
        uc_context_alloc(p->uc, &p->after[1]))
        return false;
    p->bytes = uc_context_size(p->uc);
    return uc_context_save(p->uc, p->before) == UC_ERR_OK;
}

static void probe_fini(struct probe *p)
{
    if (p->before)
        uc_context_free(p->before);
    for (int i = 0; i < 2; i++)
        if (p->after[i])
            uc_context_free(p->after[i]);
    if (p->uc)
        uc_close(p->uc);
}

/* MOV DS, AX with a selector beyond the table raises #GP(selector): twice, with two selectors. */
static bool find_exception_words(struct probe *p, struct quirks *q, const char **missing)
{
    static const uint8_t code[] = {0x8e, 0xd8, 0x90, 0x90};
    static const uint32_t selectors[2] = {0x4563, 0x7893};
    uc_x86_mmr gdtr = {.base = 0x2000, .limit = 7};
    uc_hook hook;
    unsigned old_found = 0, error_found = 0;

    uc_mem_write(p->uc, 0x1000, code, sizeof(code));
    uc_hook_add(p->uc, &hook, UC_HOOK_INTR, (void *)stop_at_interrupt, NULL, 1, 0);
    uc_reg_write(p->uc, UC_X86_REG_GDTR, &gdtr);
    uc_context_save(p->uc, p->before);
    for (int i = 0; i < 2; i++) {
        uc_context_restore(p->uc, p->before);
        write_reg(p->uc, UC_X86_REG_RAX, selectors[i]);
        uc_emu_start(p->uc, 0x1000, 0, 0, 0);
        uc_context_save(p->uc, p->after[i]);
    }
    for (size_t o = 0; o + 4 <= p->bytes; o += 4) {
        uint32_t b = context_u32(p->before, o), x = context_u32(p->after[0], o), y = context_u32(p->after[1], o);

        if (b == UINT32_MAX && x == 13 && y == 13) {
            q->old_exception = o;
            old_found++;
        }
        if (x == (selectors[0] & ~3u) && y == (selectors[1] & ~3u)) {
            q->error_code = o;
            error_found++;
        }
    }
    uc_hook_del(p->uc, hook);
    uc_context_restore(p->uc, p->before);
    *missing = old_found != 1 ? "the pending exception" : "the error code";
    return old_found == 1 && error_found == 1;
}

/* The word that becomes `value` when `id` is written; 0 if it is not exactly one. */
static size_t find_written(struct probe *p, int id, uint64_t value)
{
    size_t found = 0;

    uc_context_restore(p->uc, p->before);
    write_reg(p->uc, id, value);
    uc_context_save(p->uc, p->after[0]);
    uc_context_restore(p->uc, p->before);
    for (size_t o = 0; o + 4 <= p->bytes; o += 4) {
        if (context_u32(p->before, o) == value || context_u32(p->after[0], o) != value)
            continue;
        if (found)
            return 0;
        found = o;
    }
    return found;
}

/* The six segment registers are one array: four selectors and two bases say where and in which steps. */
static bool find_segments(struct probe *p, struct quirks *q)
{
    static const struct {
        enum segment_register segment;
        int id;
        size_t field;
    } words[] = {
        {SEG_ES, UC_X86_REG_ES, 0}, {SEG_CS, UC_X86_REG_CS, 0},      {SEG_SS, UC_X86_REG_SS, 0},
        {SEG_DS, UC_X86_REG_DS, 0}, {SEG_FS, UC_X86_REG_FS_BASE, 8}, {SEG_GS, UC_X86_REG_GS_BASE, 8},
    };
    size_t first = find_written(p, UC_X86_REG_ES, 0x1230);

    for (unsigned s = 0; s < SEG_COUNT; s++)
        q->segment[s] = first + s * SEGMENT_BYTES;
    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (find_written(p, words[i].id, 0x2340 + i * 0x1110) != q->segment[words[i].segment] + words[i].field)
            return false;
    return first && q->segment[SEG_GS] + SEGMENT_BYTES <= p->bytes;
}

/* STI sets the flag of the interrupt shadow; IRET to ring 3 sets the privilege level. Both in the same word. */
static bool find_hflags(struct probe *p, struct quirks *q)
{
    static const uint8_t code[] = {0xfb, 0x90, 0x90, 0x90}, iret[] = {0x48, 0xcf};
    uint64_t gdt[6] = {0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cff3000000ffff, 0x00affb000000ffff};
    uint64_t frame[5] = {0x1100, 0x2b, 2, 0x3800, 0x23};
    uc_x86_mmr gdtr = {.base = 0x2000, .limit = sizeof(gdt) - 1};
    unsigned left, found = 0;
    uc_hook hook;

    uc_mem_write(p->uc, 0x1400, code, sizeof(code)); /* not where code was before: its translation would stay */
    uc_mem_write(p->uc, 0x1100, code + 1, 3);
    uc_mem_write(p->uc, 0x1200, iret, sizeof(iret));
    uc_mem_write(p->uc, 0x2000, gdt, sizeof(gdt));
    uc_mem_write(p->uc, 0x3000, frame, sizeof(frame));
    uc_hook_add(p->uc, &hook, UC_HOOK_BLOCK, (void *)count_and_stop, &left, 1, 0);
    left = 1;
    uc_emu_start(p->uc, 0x1400, 0, 0, 0);
    uc_context_save(p->uc, p->after[0]);
    uc_context_restore(p->uc, p->before);
    uc_reg_write(p->uc, UC_X86_REG_GDTR, &gdtr);
    write_reg(p->uc, UC_X86_REG_RSP, 0x3000);
    left = 1;
    uc_emu_start(p->uc, 0x1200, 0, 0, 0);
    uc_context_save(p->uc, p->after[1]);
    for (size_t o = 0; o + 4 <= p->bytes; o += 4) {
        uint32_t b = context_u32(p->before, o), sti = context_u32(p->after[0], o), user = context_u32(p->after[1], o);

        if ((b & (HF_CS64 | HF_LMA | HF_PE)) == (HF_CS64 | HF_LMA | HF_PE) && sti == (b | HF_INHIBIT_IRQ) &&
            (user & ~HF_ADDSEG) == ((b & ~(HF_ADDSEG)) | HF_CPL) && !(b & (HF_CPL | HF_INHIBIT_IRQ))) {
            q->hflags = o;
            found++;
        }
    }
    /* A block under the flag must be one instruction long, and clear it. */
    uc_context_restore(p->uc, p->before);
    uc_context_save(p->uc, p->after[0]);
    if (found == 1) {
        context_set_u32(p->after[0], q->hflags, context_u32(p->after[0], q->hflags) | HF_INHIBIT_IRQ);
        uc_context_restore(p->uc, p->after[0]);
        left = 1;
        uc_emu_start(p->uc, 0x1401, 0, 0, 0);
        uc_context_save(p->uc, p->after[1]);
        if (read_reg(p->uc, UC_X86_REG_RIP) != 0x1402 || (context_u32(p->after[1], q->hflags) & HF_INHIBIT_IRQ))
            found = 0;
    }
    uc_hook_del(p->uc, hook);
    return found == 1;
}

static enum emu_err find_quirks(struct quirks *q, struct diag *d)
{
    struct probe p;
    const char *missing = NULL;
    enum emu_err err = EMU_OK;
    unsigned major, minor;

    uc_version(&major, &minor);
    if (!probe_init(&p))
        missing = "a working x86 emulator";
    else if (find_exception_words(&p, q, &missing)) {
        missing = NULL;
        if (!find_segments(&p, q))
            missing = "the segment registers";
        else if (!find_hflags(&p, q))
            missing = "the translation flags";
    }
    if (missing)
        err = diag_set(d, EMU_EHOST,
                       "this Unicorn library (%u.%u) does not show %s where bootrace looks for it; use version 2.1.4 "
                       "(scripts/setup gets it)",
                       major, minor, missing);
    probe_fini(&p);
    return err;
}

/* ---- code pages and blocks ---- */

static void drop_translations(struct engine *e)
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

static uint64_t code_ppn(struct engine *e, uint64_t vpn)
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

/* Up to `bytes` of code at a linear address; how many could be read. */
static size_t fetch_code(struct engine *e, uint64_t pc, uint8_t *dst, size_t bytes)
{
    size_t got = 0;

    while (got < bytes) {
        uint64_t ppn = code_ppn(e, (pc + got) >> PAGE_SHIFT);
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

static void peek(struct engine *e)
{
    uc_context_save(e->uc, e->scratch);
}

static uint32_t peeked_hflags(const struct engine *e)
{
    return context_u32(e->scratch, e->quirk.hflags);
}

static unsigned bits_of_hflags(uint32_t hflags)
{
    return hflags & HF_CS64 ? 64 : hflags & HF_CS32 ? 32 : 16;
}

/* Valid after peek(). */
static uint64_t peeked_linear_rip(struct engine *e)
{
    uint64_t rip = read_reg(e->uc, UC_X86_REG_RIP);

    if (peeked_hflags(e) & HF_CS64)
        return rip;
    return (uint32_t)(context_u64(e->scratch, e->quirk.segment[SEG_CS] + 8) + rip);
}

struct tally {
    uint32_t steps, ns, flags;
    struct insn last; /* the last one counted */
};

/* Count the instructions of [pc, pc + bytes). */
static struct tally tally_code(struct engine *e, unsigned bits, uint64_t pc, uint32_t bytes)
{
    uint8_t code[PAGE_BYTES * 2];
    struct tally t = {0};
    size_t got, at = 0;

    if (bytes > sizeof(code))
        bytes = sizeof(code);
    got = fetch_code(e, pc, code, bytes);
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
    return e->epoch_tag | (uint64_t)size << TAG_SIZE_SHIFT | (flags ? TAG_SPECIAL : 0);
}

static uint32_t tag_size(uint64_t tag)
{
    return (uint32_t)(tag >> TAG_SIZE_SHIFT) & TAG_SIZE_MASK;
}

static struct block *block_slot(struct engine *e, uint64_t pc)
{
    return &e->blocks[(pc * 0x9e3779b97f4a7c15ull) >> (64 - BLOCK_TABLE_BITS)];
}

static uint32_t break_flag(const struct engine *e, uint64_t pc, uint32_t size)
{
    for (unsigned i = 0; i < e->breakpoints; i++)
        if (e->breakpoint[i] >= pc && e->breakpoint[i] - pc < size)
            return INSN_F_BREAK;
    return 0;
}

/* `icount` as the translator says it, 0 if it was not asked. */
static void fill_block(struct engine *e, struct block *b, uint64_t pc, uint64_t ppn, uint32_t size, uint32_t icount)
{
    uint8_t code[PAGE_BYTES * 2];

    b->pc = pc;
    b->ppn = ppn;
    b->made = ++e->stats.blocks_made;
    memory_set_code(e->mem, ppn);
    if (((pc + size - 1) >> PAGE_SHIFT) != (pc >> PAGE_SHIFT)) {
        uint64_t next = code_ppn(e, (pc + size - 1) >> PAGE_SHIFT);

        if (next != NO_PAGE)
            memory_set_code(e->mem, next);
    }
    if (icount && size <= sizeof(code) && fetch_code(e, pc, code, size) == size && !insn_may_be_special(code, size)) {
        b->steps = (uint16_t)icount;
        b->ns = icount;
        b->flags = (uint16_t)break_flag(e, pc, size);
        b->tag = make_tag(e, size, b->flags);
        return;
    }
    peek(e);
    struct tally t = tally_code(e, bits_of_hflags(peeked_hflags(e)), pc, size);

    b->steps = (uint16_t)(icount ? icount : t.steps);
    b->ns = t.ns;
    b->flags = (uint16_t)((t.flags & ~INSN_F_NATURAL) | break_flag(e, pc, size));
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

static void report_fetch(struct engine *e, uint64_t pc, uint32_t size)
{
    if (!e->access)
        return;
    e->fetching = true;
    while (size) {
        uint32_t chunk = PAGE_BYTES - (uint32_t)(pc & (PAGE_BYTES - 1));
        uint64_t ppn = code_ppn(e, pc >> PAGE_SHIFT);

        if (chunk > size)
            chunk = size;
        if (ppn != NO_PAGE)
            e->access(e->access_context, ENGINE_FETCH, (ppn << PAGE_SHIFT) | (pc & (PAGE_BYTES - 1)), chunk);
        pc += chunk;
        size -= chunk;
    }
    e->fetching = false;
}

static __attribute__((noinline)) void on_block_slow(struct engine *e, uint64_t pc, uint32_t size)
{
    e->pend_steps = 0;
    e->pend_ns = 0;
    e->hot_limit_ns = e->asked || e->access || e->step != STEP_OFF ? 0 : e->limit_ns;
    if (e->stop) {
        e->hot_limit_ns = 0;
        return;
    }
    if (e->after & AFTER_EPOCH)
        drop_translations(e);
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
        report_fetch(e, pc, size);
        if (e->step_insn.flags & INSN_F_EPOCH)
            e->after = AFTER_EPOCH;
        return;
    }

    uint64_t ppn = code_ppn(e, pc >> PAGE_SHIFT);
    struct block *b = block_slot(e, pc);

    if (ppn == NO_PAGE) {
        e->gpa = 0;
        stop_now(e, STOP_NO_MEMORY);
        return;
    }
    if (b->pc != pc || b->ppn != ppn || tag_size(b->tag) != size) {
        e->stats.block_misses++;
        fill_block(e, b, pc, ppn, size, 0);
    } else {
        b->flags = (uint16_t)((b->flags & ~INSN_F_BREAK) | break_flag(e, pc, size));
        b->tag = make_tag(e, size, b->flags);
    }
    e->block_pc = pc;
    e->block_size = size;
    if ((b->flags & (INSN_F_ALONE | INSN_F_BREAK)) || e->now_ns + b->ns > e->limit_ns) {
        stop_now(e, STOP_PRECISE);
        return;
    }
    if (b->flags & INSN_F_EPOCH)
        e->after |= AFTER_EPOCH;
    if (((b->flags & INSN_F_IF) && e->watch_if) || ((b->flags & INSN_F_IRET) && e->watch_iret))
        e->after |= AFTER_STOP | (b->flags & INSN_F_IRET && e->watch_iret ? AFTER_IRET : 0);
    if (e->after)
        e->hot_limit_ns = 0;
    e->pend_steps = b->steps;
    e->pend_ns = b->ns;
    report_fetch(e, pc, size);
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

    /* An instruction that overwrites its own block is rewound and repeated alone: then this block starts inside the one
       that runs, and only what came before it has happened. */
    if (e->pend_steps && tb->icount == 1 && e->step == STEP_OFF && tb->pc >= e->block_pc &&
        tb->pc < e->block_pc + e->block_size) {
        uint8_t code[INSN_BYTES_MAX];
        struct insn insn;

        peek(e);
        unsigned bits = bits_of_hflags(peeked_hflags(e));
        struct tally done = tally_code(e, bits, e->block_pc, (uint32_t)(tb->pc - e->block_pc));
        struct tally whole = tally_code(e, bits, e->block_pc, e->block_size);
        size_t got = fetch_code(e, tb->pc, code, sizeof(code));

        if (decoder_decode(e->dec, bits, code, got, &insn) && insn.length == tb->size && done.steps + 1 < whole.steps) {
            e->pend_steps = done.steps;
            e->pend_ns = done.ns;
        }
    }
    if (e->step != STEP_OFF)
        return;
    uint64_t ppn = code_ppn(e, tb->pc >> PAGE_SHIFT);

    if (ppn != NO_PAGE)
        fill_block(e, block_slot(e, tb->pc), tb->pc, ppn, tb->size, tb->icount);
}

/* ---- what the engine cannot do by itself ---- */

static void on_interrupt(uc_engine *uc, uint32_t vector, void *user)
{
    struct engine *e = user;

    e->stop = STOP_EXCEPTION;
    e->vector = vector;
    e->hot_limit_ns = 0;
    uc_emu_stop(uc);
}

static bool on_invalid(uc_engine *uc, void *user)
{
    struct engine *e = user;

    e->stop = STOP_INVALID;
    e->hot_limit_ns = 0;
    uc_emu_stop(uc);
    return true;
}

static void on_syscall(uc_engine *uc, void *user)
{
    struct engine *e = user;

    e->stop = STOP_SYSCALL;
    e->hot_limit_ns = 0;
    uc_emu_stop(uc);
}

static void on_sysenter(uc_engine *uc, void *user)
{
    struct engine *e = user;

    e->stop = STOP_SYSENTER;
    e->hot_limit_ns = 0;
    uc_emu_stop(uc);
}

static bool on_unmapped(uc_engine *uc, uc_mem_type type, uint64_t gpa, int bytes, int64_t value, void *user)
{
    struct engine *e = user;

    e->stop = STOP_NO_MEMORY;
    e->gpa = gpa;
    return false;
}

static int on_cpuid(uc_engine *uc, void *user)
{
    struct engine *e = user;
    uint32_t out[4] = {0};

    e->ops.cpuid(e->ops_context, (uint32_t)read_reg(uc, UC_X86_REG_RAX), (uint32_t)read_reg(uc, UC_X86_REG_RCX), out);
    write_reg(uc, UC_X86_REG_RAX, out[0]);
    write_reg(uc, UC_X86_REG_RBX, out[1]);
    write_reg(uc, UC_X86_REG_RCX, out[2]);
    write_reg(uc, UC_X86_REG_RDX, out[3]);
    return 1;
}

/* Bring e->place up to the instruction at RIP, which the library has just made exact, in the running block. */
static void find_place(struct engine *e)
{
    uint64_t rip = read_reg(e->uc, UC_X86_REG_RIP), pc;
    const struct block *b = block_slot(e, e->block_pc);
    uint64_t made = b->pc == e->block_pc && tag_size(b->tag) == e->block_size ? b->made : 0;
    struct place *known = &e->places[(rip * 0x9e3779b97f4a7c15ull) >> (64 - PLACE_TABLE_BITS)];
    struct tally t = {0};

    if (made && known->rip == rip && known->made == made) {
        e->place = *known;
        return;
    }
    peek(e);
    pc = peeked_linear_rip(e);
    if (pc > e->block_pc && pc - e->block_pc < e->block_size)
        t = tally_code(e, bits_of_hflags(peeked_hflags(e)), e->block_pc, (uint32_t)(pc - e->block_pc));
    e->place = *known = (struct place){.rip = rip, .made = made, .steps = t.steps, .ns = t.ns};
}

/* The time of the instruction at RIP beyond that of the running block's start. */
static uint32_t time_in_block(struct engine *e)
{
    if (e->step != STEP_OFF || !e->pend_steps)
        return 0;
    find_place(e);
    return e->place.ns;
}

/* Steps of the running block before the instruction at RIP. */
static uint32_t steps_in_block(struct engine *e)
{
    if (e->step != STEP_OFF || e->pend_steps <= 1)
        return 0;
    find_place(e);
    return e->place.steps;
}

static int on_rdtsc(uc_engine *uc, void *user)
{
    struct engine *e = user;
    uint64_t tsc;

    e->extra_ns = time_in_block(e);
    tsc = e->ops.rdtsc(e->ops_context);
    e->extra_ns = 0;
    write_reg(uc, UC_X86_REG_RAX, tsc & UINT32_MAX);
    write_reg(uc, UC_X86_REG_RDX, tsc >> 32);
    return 1;
}

static int on_rdtscp(uc_engine *uc, void *user)
{
    struct engine *e = user;

    on_rdtsc(uc, user);
    write_reg(uc, UC_X86_REG_RCX, engine_msr(e, MSR_ID_TSC_AUX) & UINT32_MAX);
    return 1;
}

static void report_leave(struct engine *e)
{
    if (e->access)
        e->access(e->access_context, ENGINE_LEAVE, 0, 0);
}

/* True if the access may happen now. */
static bool device_access(struct engine *e)
{
    if (e->stop) /* rewound already; what the translator still does does not happen */
        return false;
    if (e->step == STEP_RUNNING && e->alone) {
        e->device_done = true;
        e->stats.mmio++;
        report_leave(e);
        return true;
    }
    if (e->step == STEP_RUNNING || e->pend_steps) {
        e->stop = STOP_DEVICE;
        e->hot_limit_ns = 0;
        uc_emu_stop(e->uc);
    }
    return false;
}

static uint64_t on_device_read(uc_engine *uc, uint64_t offset, unsigned bytes, void *user)
{
    struct engine *e = *(struct engine **)user;
    uint64_t base_gpa = user == &e->window[0] ? e->window[0].base_gpa : e->window[1].base_gpa;

    return device_access(e) ? e->ops.mmio_read(e->ops_context, base_gpa + offset, bytes) : 0;
}

static void on_device_write(uc_engine *uc, uint64_t offset, unsigned bytes, uint64_t value, void *user)
{
    struct engine *e = *(struct engine **)user;
    uint64_t base_gpa = user == &e->window[0] ? e->window[0].base_gpa : e->window[1].base_gpa;

    if (device_access(e))
        e->ops.mmio_write(e->ops_context, base_gpa + offset, bytes, value);
}

static void on_access(uc_engine *uc, uc_mem_type type, uint64_t gpa, int bytes, int64_t value, void *user)
{
    struct engine *e = user;

    if (e->access && !e->stop)
        e->access(e->access_context, type == UC_MEM_WRITE ? ENGINE_WRITE : ENGINE_READ, gpa, (unsigned)bytes);
}

static void on_host_access(void *context, bool write, uint64_t gpa, uint64_t bytes)
{
    struct engine *e = context;

    if (e->access)
        e->access(e->access_context, write ? ENGINE_WRITE : ENGINE_READ, gpa, (unsigned)bytes);
}

void *engine_access_context(const struct engine *e)
{
    return e->access ? e->access_context : NULL;
}

uint64_t engine_access_position(struct engine *e)
{
    return e->fetching ? e->steps : e->steps + steps_in_block(e);
}

uint64_t engine_access_block_gva(const struct engine *e)
{
    return e->block_pc;
}

enum emu_err engine_watch_accesses(struct engine *e, engine_access_fn *fn, void *context, struct diag *d)
{
    if (fn && !e->access_hooked) {
        if (uc_hook_add(e->uc, &e->access_hook, UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE, (void *)on_access, e, 1, 0) !=
            UC_ERR_OK)
            return diag_set(d, EMU_EHOST, "the CPU engine can't watch memory accesses");
        e->access_hooked = true;
        uc_ctl_flush_tb(e->uc);
    } else if (!fn && e->access_hooked) {
        uc_hook_del(e->uc, e->access_hook);
        e->access_hooked = false;
        uc_ctl_flush_tb(e->uc);
    }
    memory_watch(e->mem, fn ? on_host_access : NULL, e);
    e->access = fn;
    e->access_context = context;
    return EMU_OK;
}

/*
 * A watched page is read-only for the translator, so that writes to it leave the fast path; unlike a hook on accesses,
 * this changes no code of other pages. The write that is refused is then done here. One that lies across a page's end
 * is asked for as a whole and again byte by byte. Holes in RAM are read-only for the translator too.
 */
static bool on_write_refused(uc_engine *uc, uc_mem_type type, uint64_t gpa, int bytes, int64_t value, void *user)
{
    struct engine *e = user;
    uint64_t room = PAGE_BYTES - gpa % PAGE_BYTES, count = (unsigned)bytes;

    if (memory_is_hole(e->mem, gpa)) /* the write is lost */
        return true;
    if (count > room)
        count = room;
    if (count > sizeof(value) || !memory_write(e->mem, gpa, &value, count)) {
        e->broken = "a write to a watched page can't be done";
        e->stop = STOP_BROKEN;
        return false;
    }
    engine_ask_attention(e); /* the page may hold code */
    for (unsigned i = 0; e->ops.written && !e->stop && i < e->watches; i++)
        if (gpa < e->watched[i].gpa + e->watched[i].bytes && e->watched[i].gpa < gpa + count) {
            e->ops.written(e->ops_context, gpa, (unsigned)count, read_reg(uc, UC_X86_REG_RIP),
                           e->steps + steps_in_block(e));
            break;
        }
    return true;
}

/* What is mapped changes between these two: in a context without paging, like drop_stale_code(), since the library
   looks up addresses on the way. Translated code goes: the library may know its pages by other numbers afterwards. */
static void begin_mapping(struct engine *e)
{
    peek(e);
    uc_context_restore(e->uc, e->flat);
    uc_ctl_flush_tlb(e->uc);
}

static void end_mapping(struct engine *e)
{
    uc_ctl_flush_tb(e->uc);
    uc_context_restore(e->uc, e->scratch);
    uc_ctl_flush_tlb(e->uc);
    drop_translations(e);
}

/* Pages from which writes are to be refused: these of [gpa, gpa + bytes). */
static bool refuse_writes(struct engine *e, uint64_t gpa, uint64_t bytes)
{
    uint64_t first = gpa & ~(uint64_t)(PAGE_BYTES - 1);

    return uc_mem_protect(e->uc, first, (gpa + bytes - first + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1),
                          UC_PROT_READ | UC_PROT_EXEC) == UC_ERR_OK;
}

enum emu_err engine_watch_writes(struct engine *e, uint64_t gpa, uint64_t bytes, struct diag *d)
{
    bool ok;

    if (!bytes || !memory_is_ram(e->mem, gpa, bytes))
        return diag_set(d, EMU_EINPUT, "what is to be watched at guest-physical 0x%llx is no RAM",
                        (unsigned long long)gpa);
    for (unsigned i = 0; i < e->watches; i++)
        if (e->watched[i].gpa == gpa && e->watched[i].bytes == bytes)
            return EMU_OK;
    if (e->watches == ENGINE_WRITE_WATCHES_MAX)
        return diag_set(d, EMU_EHOST, "more than %u places are watched", ENGINE_WRITE_WATCHES_MAX);
    begin_mapping(e);
    ok = refuse_writes(e, gpa, bytes);
    end_mapping(e);
    if (!ok)
        return diag_set(d, EMU_EHOST, "the CPU engine can't watch writes");
    e->watched[e->watches].gpa = gpa;
    e->watched[e->watches++].bytes = bytes;
    return EMU_OK;
}

/* ---- life ---- */

static bool add_hooks(struct engine *e)
{
    uc_hook h;
    uc_engine *uc = e->uc;

    return uc_hook_add(uc, &h, UC_HOOK_BLOCK, (void *)on_block, e, 1, 0) == UC_ERR_OK &&
           uc_hook_add(uc, &h, UC_HOOK_EDGE_GENERATED, (void *)on_edge, e, 1, 0) == UC_ERR_OK &&
           uc_hook_add(uc, &h, UC_HOOK_INTR, (void *)on_interrupt, e, 1, 0) == UC_ERR_OK &&
           uc_hook_add(uc, &h, UC_HOOK_INSN_INVALID, (void *)on_invalid, e, 1, 0) == UC_ERR_OK &&
           uc_hook_add(uc, &h, UC_HOOK_MEM_UNMAPPED, (void *)on_unmapped, e, 1, 0) == UC_ERR_OK &&
           uc_hook_add(uc, &h, UC_HOOK_MEM_WRITE_PROT, (void *)on_write_refused, e, 1, 0) == UC_ERR_OK &&
           uc_hook_add(uc, &h, UC_HOOK_INSN, (void *)on_syscall, e, 1, 0, UC_X86_INS_SYSCALL) == UC_ERR_OK &&
           uc_hook_add(uc, &h, UC_HOOK_INSN, (void *)on_sysenter, e, 1, 0, UC_X86_INS_SYSENTER) == UC_ERR_OK &&
           uc_hook_add(uc, &h, UC_HOOK_INSN, (void *)on_cpuid, e, 1, 0, UC_X86_INS_CPUID) == UC_ERR_OK &&
           uc_hook_add(uc, &h, UC_HOOK_INSN, (void *)on_rdtsc, e, 1, 0, UC_X86_INS_RDTSC) == UC_ERR_OK &&
           uc_hook_add(uc, &h, UC_HOOK_INSN, (void *)on_rdtscp, e, 1, 0, UC_X86_INS_RDTSCP) == UC_ERR_OK;
}

static bool map_memory(struct engine *e)
{
    struct memory_range low = memory_range(e->mem, 0), high = memory_range(e->mem, 1);
    uint64_t after_high = high.bytes ? high.gpa + high.bytes : MEMORY_HIGH_RAM_GPA;

    for (unsigned i = 0; i < 2; i++)
        e->window[i].e = e;
    e->window[0].base_gpa = low.bytes;
    e->window[1].base_gpa = after_high;
    if (uc_mem_map_ptr(e->uc, 0, low.bytes, UC_PROT_ALL, low.host) != UC_ERR_OK)
        return false;
    if (high.bytes && uc_mem_map_ptr(e->uc, high.gpa, high.bytes, UC_PROT_ALL, high.host) != UC_ERR_OK)
        return false;
    return uc_mmio_map(e->uc, low.bytes, MEMORY_HIGH_RAM_GPA - low.bytes, on_device_read, &e->window[0],
                       on_device_write, &e->window[0]) == UC_ERR_OK &&
           uc_mmio_map(e->uc, after_high, DEVICE_END_GPA - after_high, on_device_read, &e->window[1], on_device_write,
                       &e->window[1]) == UC_ERR_OK;
}

/* Map what lies between `from` and `to` anew: RAM with its holes. The library splits its regions where protection
   changes, and never joins them again; so what is mapped is taken away first. */
static bool remap(struct engine *e, uint64_t from_gpa, uint64_t to_gpa)
{
    const struct memory_hole *hole;
    unsigned count;
    bool ok = uc_mem_unmap(e->uc, from_gpa, to_gpa - from_gpa) == UC_ERR_OK;

    hole = memory_holes(e->mem, &count);
    for (uint64_t gpa = from_gpa; ok && gpa < to_gpa;) {
        struct memory_range range = memory_range(e->mem, gpa >= MEMORY_HIGH_RAM_GPA);
        uint64_t end = to_gpa;
        bool is_hole = false;

        for (unsigned i = 0; i < count; i++) {
            if (hole[i].gpa + hole[i].bytes <= gpa)
                continue;
            is_hole = hole[i].gpa <= gpa;
            end = is_hole ? hole[i].gpa + hole[i].bytes : hole[i].gpa;
            break;
        }
        if (end > to_gpa)
            end = to_gpa;
        /* The library obeys a protection only if it was set afterwards. */
        ok = uc_mem_map_ptr(e->uc, gpa, end - gpa, UC_PROT_ALL, range.host + (gpa - range.gpa)) == UC_ERR_OK &&
             (!is_hole || refuse_writes(e, gpa, end - gpa));
        gpa = end;
    }
    return ok;
}

/* The holes have changed: map anew what lies between those that have not, and so are mapped as they should be. */
static void take_holes(struct engine *e)
{
    unsigned count, before = 0, behind = 0;
    const struct memory_hole *hole = memory_holes(e->mem, &count);
    uint64_t from_gpa = 0, to_gpa = UINT64_MAX;

    while (before < count && before < e->holes && !memcmp(&hole[before], &e->hole[before], sizeof(*hole)))
        before++;
    while (before + behind < count && before + behind < e->holes &&
           !memcmp(&hole[count - 1 - behind], &e->hole[e->holes - 1 - behind], sizeof(*hole)))
        behind++;
    begin_mapping(e);
    if (before)
        from_gpa = hole[before - 1].gpa + hole[before - 1].bytes;
    if (behind)
        to_gpa = hole[count - behind].gpa;
    for (unsigned i = 0; i < 2; i++) {
        struct memory_range range = memory_range(e->mem, i);
        uint64_t from = from_gpa > range.gpa ? from_gpa : range.gpa;
        uint64_t to = to_gpa < range.gpa + range.bytes ? to_gpa : range.gpa + range.bytes;

        if (from < to && !remap(e, from, to))
            e->unmapped = true;
    }
    for (unsigned i = 0; i < e->watches; i++)
        if (!refuse_writes(e, e->watched[i].gpa, e->watched[i].bytes))
            e->unmapped = true;
    memcpy(e->hole, hole, count * sizeof(*hole));
    e->holes = count;
    end_mapping(e);
}

static bool make_contexts(struct engine *e)
{
    uc_engine *flat = scratch_engine(UC_MODE_32);
    bool ok = flat && uc_context_alloc(e->uc, &e->scratch) == UC_ERR_OK &&
              uc_context_alloc(flat, &e->flat) == UC_ERR_OK && uc_context_save(flat, e->flat) == UC_ERR_OK;

    if (flat)
        uc_close(flat);
    for (unsigned v = 0; ok && v < e->vcpus; v++)
        ok = uc_context_alloc(e->uc, &e->context[v]) == UC_ERR_OK && uc_context_save(e->uc, e->context[v]) == UC_ERR_OK;
    return ok;
}

enum emu_err engine_new(struct memory *mem, unsigned vcpus, const struct engine_ops *ops, void *context,
                        struct engine **out, struct diag *d)
{
    struct engine *e = calloc(1, sizeof(*e));
    enum emu_err err;

    ensure(vcpus <= ENGINE_VCPUS_MAX);
    if (!e)
        return diag_set(d, EMU_EHOST, "the host has no memory left");
    e->mem = mem;
    e->vcpus = vcpus;
    e->ops = *ops;
    e->ops_context = context;
    e->epoch = 1;
    e->epoch_tag = e->epoch << TAG_EPOCH_SHIFT;
    err = find_quirks(&e->quirk, d);
    if (err == EMU_OK)
        err = decoder_new(&e->dec, d);
    if (err == EMU_OK) {
        e->blocks = calloc(1u << BLOCK_TABLE_BITS, sizeof(*e->blocks));
        e->pages = calloc(1u << PAGE_TABLE_BITS, sizeof(*e->pages));
        e->places = calloc(1u << PLACE_TABLE_BITS, sizeof(*e->places));
        e->context = calloc(vcpus, sizeof(*e->context));
        e->vcpu_steps = calloc(vcpus, sizeof(*e->vcpu_steps));
        if (!e->blocks || !e->pages || !e->places || !e->context || !e->vcpu_steps ||
            uc_open(UC_ARCH_X86, UC_MODE_64, &e->uc) != UC_ERR_OK)
            err = diag_set(d, EMU_EHOST, "the host has no memory left for the CPU engine");
    }
    if (err == EMU_OK &&
        (uc_ctl_set_cpu_model(e->uc, UC_CPU_X86_HASWELL) != UC_ERR_OK ||
         uc_ctl_set_tcg_buffer_size(e->uc, TCG_BUFFER_BYTES) != UC_ERR_OK || uc_ctl_exits_enable(e->uc) != UC_ERR_OK ||
         !map_memory(e) || !add_hooks(e) || !make_contexts(e)))
        err = diag_set(d, EMU_EHOST, "the CPU engine can't be set up: %s", uc_strerror(uc_errno(e->uc)));
    if (err != EMU_OK) {
        engine_free(e);
        return err;
    }
    *out = e;
    return EMU_OK;
}

void engine_free(struct engine *e)
{
    if (!e)
        return;
    for (unsigned v = 0; e->context && v < e->vcpus; v++)
        if (e->context[v])
            uc_context_free(e->context[v]);
    if (e->scratch)
        uc_context_free(e->scratch);
    if (e->flat)
        uc_context_free(e->flat);
    if (e->uc)
        uc_close(e->uc);
    decoder_free(e->dec);
    free(e->context);
    free(e->vcpu_steps);
    free(e->blocks);
    free(e->pages);
    free(e->places);
    free(e);
}

void engine_switch(struct engine *e, unsigned vcpu)
{
    ensure(vcpu < e->vcpus);
    if (e->loaded && e->current == vcpu)
        return;
    if (e->loaded) {
        uc_context_save(e->uc, e->context[e->current]);
        e->vcpu_steps[e->current] = e->steps;
    }
    uc_context_restore(e->uc, e->context[vcpu]);
    uc_ctl_flush_tlb(e->uc);
    e->steps = e->vcpu_steps[vcpu];
    e->broke_at_steps = UINT64_MAX;
    e->current = vcpu;
    e->loaded = true;
    e->stats.switches++;
    drop_translations(e);
}

struct engine_save {
    uint64_t now_ns;
    uint64_t steps[ENGINE_VCPUS_MAX];
    unsigned current;
    bool loaded;
    uc_context *context[ENGINE_VCPUS_MAX];
};

void engine_save_update(struct engine *e, struct engine_save *s)
{
    s->now_ns = e->now_ns;
    s->current = e->current;
    s->loaded = e->loaded;
    for (unsigned v = 0; v < e->vcpus; v++) {
        s->steps[v] = engine_steps(e, v);
        if (e->loaded && v == e->current)
            uc_context_save(e->uc, s->context[v]);
        else
            memcpy(s->context[v], e->context[v], uc_context_size(e->uc));
    }
}

struct engine_save *engine_save_new(struct engine *e)
{
    struct engine_save *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    for (unsigned v = 0; v < e->vcpus; v++)
        if (uc_context_alloc(e->uc, &s->context[v]) != UC_ERR_OK) {
            engine_save_free(e, s);
            return NULL;
        }
    engine_save_update(e, s);
    return s;
}

void engine_save_restore(struct engine *e, const struct engine_save *s)
{
    for (unsigned v = 0; v < e->vcpus; v++) {
        memcpy(e->context[v], s->context[v], uc_context_size(e->uc));
        e->vcpu_steps[v] = s->steps[v];
    }
    e->loaded = false;
    e->now_ns = s->now_ns;
    e->asked = false;
    e->after = 0;
    e->pend_steps = 0;
    e->pend_ns = 0;
    if (s->loaded)
        engine_switch(e, s->current);
}

void engine_save_free(struct engine *e, struct engine_save *s)
{
    if (!s)
        return;
    for (unsigned v = 0; v < e->vcpus; v++)
        if (s->context[v])
            uc_context_free(s->context[v]);
    free(s);
}

/* ---- running ---- */

/* Pages that the host wrote and that hold translated code. The library takes virtual addresses, so it is asked in a
   context without paging. */
static void drop_stale_code(struct engine *e)
{
    uint64_t ppn;
    bool switched = false;

    while (memory_pop_stale(e->mem, &ppn)) {
        if (ppn >= MEMORY_HIGH_RAM_GPA >> PAGE_SHIFT) {
            uc_ctl_flush_tb(e->uc);
            continue;
        }
        if (!switched) {
            peek(e);
            uc_context_restore(e->uc, e->flat);
            uc_ctl_flush_tlb(e->uc);
            switched = true;
        }
        uc_ctl_remove_cache(e->uc, ppn << PAGE_SHIFT, (ppn + 1) << PAGE_SHIFT);
    }
    if (switched) {
        uc_context_restore(e->uc, e->scratch);
        uc_ctl_flush_tlb(e->uc);
        drop_translations(e);
    }
}

/* The translator stopped inside the pending block, or behind it: commit what was executed. Returns the last executed
   instruction's tally. Valid after peek(). */
static struct tally commit_partial(struct engine *e)
{
    struct tally t = {0};

    if (e->pend_steps) {
        uint64_t pc = peeked_linear_rip(e);

        if (pc >= e->block_pc && pc - e->block_pc < e->block_size) {
            t = tally_code(e, bits_of_hflags(peeked_hflags(e)), e->block_pc, (uint32_t)(pc - e->block_pc));
        } else {
            t = tally_code(e, bits_of_hflags(peeked_hflags(e)), e->block_pc, e->block_size);
            t.steps = e->pend_steps;
            t.ns = e->pend_ns;
        }
        e->steps += t.steps;
        e->now_ns += t.ns;
        e->pend_steps = 0;
        e->pend_ns = 0;
    }
    return t;
}

static void commit_whole(struct engine *e)
{
    e->steps += e->pend_steps;
    e->now_ns += e->pend_ns;
    e->pend_steps = 0;
    e->pend_ns = 0;
}

static bool has_error_code(unsigned vector)
{
    return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
}

/* Start the translator at RIP; returns why it stopped. */
static enum stop start(struct engine *e)
{
    uc_err err;

    e->stop = STOP_NONE;
    e->hot_limit_ns = e->asked || e->after || e->access || e->step != STEP_OFF ? 0 : e->limit_ns;
    e->pend_steps = 0;
    e->pend_ns = 0;
    e->stats.runs++;
    err = uc_emu_start(e->uc, read_reg(e->uc, UC_X86_REG_RIP), 0, 0, 0);
    if (err != UC_ERR_OK && e->stop == STOP_NONE) {
        e->broken = uc_strerror(err);
        e->stop = STOP_BROKEN;
    }
    return e->stop;
}

/* Turn a stop into an exit; false if the run goes on. */
static bool take_exit(struct engine *e, enum stop stop, struct engine_exit *x)
{
    struct tally t;

    memset(x, 0, sizeof(*x));
    switch (stop) {
    case STOP_BOUNDARY:
        x->kind = ENGINE_EXIT_BOUNDARY;
        if (e->iret_done)
            x->insn = (struct insn){.kind = INSN_IRET, .flags = INSN_F_IRET};
        e->iret_done = false;
        e->asked = false;
        return true;
    case STOP_NONE:
        if (e->pend_steps > 1) { /* HLT is the last of its block */
            e->steps += e->pend_steps - 1;
            e->pend_steps = 1;
        }
        report_leave(e);
        commit_whole(e);
        x->kind = ENGINE_EXIT_HLT;
        return true;
    case STOP_SYSCALL:
    case STOP_SYSENTER:
        commit_whole(e);
        x->kind = stop == STOP_SYSCALL ? ENGINE_EXIT_SYSCALL : ENGINE_EXIT_SYSENTER;
        return true;
    case STOP_EXCEPTION:
        peek(e);
        t = commit_partial(e);
        x->kind = ENGINE_EXIT_EXCEPTION;
        x->vector = e->vector;
        x->software_int = t.steps && t.last.kind == INSN_INT && !has_error_code(e->vector);
        e->after &= ~AFTER_IRET;
        if (t.steps && (x->software_int || (t.last.flags & INSN_F_IRET)))
            x->insn = t.last;
        if (has_error_code(e->vector) && !x->software_int)
            x->error_code = context_u32(e->scratch, e->quirk.error_code);
        context_set_u32(e->scratch, e->quirk.old_exception, UINT32_MAX);
        uc_context_restore(e->uc, e->scratch);
        if (e->vector == 14)
            drop_translations(e); /* the fault says that what we believed of a page may be over */
        return true;
    case STOP_INVALID: {
        uint8_t code[INSN_BYTES_MAX];
        uint64_t pc;

        peek(e);
        commit_partial(e);
        pc = peeked_linear_rip(e);
        decoder_decode(e->dec, bits_of_hflags(peeked_hflags(e)), code, fetch_code(e, pc, code, sizeof(code)), &x->insn);
        if (x->insn.kind == INSN_VMCALL)
            report_leave(e);
        x->kind = x->insn.kind == INSN_VMCALL ? ENGINE_EXIT_VMCALL : ENGINE_EXIT_EXCEPTION;
        x->vector = 6;
        return true;
    }
    case STOP_NO_MEMORY:
        peek(e);
        commit_partial(e);
        x->kind = ENGINE_EXIT_NO_MEMORY;
        x->gpa = e->gpa;
        return true;
    case STOP_BROKEN:
        x->kind = ENGINE_EXIT_BROKEN;
        x->text = e->broken;
        return true;
    case STOP_PRECISE:
    case STOP_STEPPED:
    case STOP_DEVICE:
        break;
    }
    return false;
}

/* Decode the instruction at RIP. Valid after peek(). */
static bool insn_at_rip(struct engine *e, struct insn *insn)
{
    uint8_t code[INSN_BYTES_MAX];
    size_t got = fetch_code(e, peeked_linear_rip(e), code, sizeof(code));

    return decoder_decode(e->dec, bits_of_hflags(peeked_hflags(e)), code, got, insn);
}

/* Execute the instruction at RIP, which is `insn`, and nothing more. STOP_STEPPED if that went well. */
static enum stop step_one(struct engine *e, const struct insn *insn, bool alone)
{
    enum stop stop;

    e->stats.single_steps++;
    e->step_insn = *insn;
    e->step = STEP_ARMED;
    e->alone = alone;
    e->device_done = false;
    if (!(insn->flags & INSN_F_NATURAL)) {
        peek(e);
        if (!(peeked_hflags(e) & HF_INHIBIT_IRQ)) {
            context_set_u32(e->scratch, e->quirk.hflags, peeked_hflags(e) | HF_INHIBIT_IRQ);
            uc_context_restore(e->uc, e->scratch);
        }
    }
    stop = start(e);
    e->step = STEP_OFF;
    e->alone = false;
    if (stop != STOP_STEPPED && !(insn->flags & INSN_F_NATURAL)) {
        /* A fault leaves our flag behind. The true shadow, had there been one, ended with the attempt as well: an
           exception's delivery ends it, and a device access is repeated at once. */
        peek(e);
        if (peeked_hflags(e) & HF_INHIBIT_IRQ) {
            context_set_u32(e->scratch, e->quirk.hflags, peeked_hflags(e) & ~HF_INHIBIT_IRQ);
            uc_context_restore(e->uc, e->scratch);
        }
    }
    return stop;
}

struct engine_exit engine_run(struct engine *e, uint64_t limit_ns, uint64_t limit_steps)
{
    struct engine_exit x = {.kind = ENGINE_EXIT_BOUNDARY};
    uint64_t precise_from = 0, precise_to = 0; /* linear addresses to go through step by step */

    for (;;) {
        enum stop stop;
        struct insn insn;

        if (e->asked || e->now_ns >= limit_ns || e->steps >= limit_steps) {
            e->asked = false;
            x.kind = ENGINE_EXIT_BOUNDARY;
            return x;
        }
        if (memory_pop_holes_changed(e->mem))
            take_holes(e);
        if (e->unmapped) {
            x.kind = ENGINE_EXIT_BROKEN;
            x.text = "the CPU engine can't map the guest's memory as it is now";
            return x;
        }
        drop_stale_code(e);
        e->limit_ns = limit_steps - e->steps < limit_ns - e->now_ns ? e->now_ns + (limit_steps - e->steps) : limit_ns;
        if (precise_to) {
            peek(e);
            uint64_t pc = peeked_linear_rip(e);

            if (pc < precise_from || pc >= precise_to || !insn_at_rip(e, &insn)) {
                precise_to = 0;
                if (pc >= precise_from)
                    precise_from = pc;
                stop = start(e);
            } else if (break_flag(e, pc, 1) && e->broke_at_steps != e->steps) {
                e->broke_at_steps = e->steps;
                x.kind = ENGINE_EXIT_BREAK;
                return x;
            } else if (insn.flags & INSN_F_ALONE) {
                e->block_pc = pc;
                report_fetch(e, pc, insn.length);
                report_leave(e);
                x.kind = ENGINE_EXIT_ALONE;
                x.insn = insn;
                return x;
            } else {
                bool watched =
                    ((insn.flags & INSN_F_IF) && e->watch_if) || ((insn.flags & INSN_F_IRET) && e->watch_iret);

                precise_from = pc;
                stop = step_one(e, &insn, false);
                if (stop == STOP_STEPPED && watched) {
                    x.kind = ENGINE_EXIT_BOUNDARY;
                    x.insn = insn;
                    return x;
                }
            }
        } else {
            stop = start(e);
        }
        if (stop == STOP_PRECISE) {
            precise_from = e->block_pc;
            precise_to = e->block_pc + e->block_size;
        } else if (stop == STOP_DEVICE) {
            peek(e);
            commit_partial(e);
            if (!insn_at_rip(e, &insn)) {
                x.kind = ENGINE_EXIT_BROKEN;
                x.text = "a device access by something that is no instruction";
                return x;
            }
            stop = step_one(e, &insn, true);
            if (stop == STOP_STEPPED && !e->device_done) {
                x.kind = ENGINE_EXIT_BROKEN;
                x.text = "a device access that can't be repeated alone (an instruction with many accesses?)";
                return x;
            }
        }
        if (take_exit(e, stop, &x))
            return x;
    }
}

void engine_set_breakpoints(struct engine *e, const uint64_t *gva, unsigned count)
{
    ensure(count <= ENGINE_BREAKPOINTS_MAX);
    if (count == e->breakpoints && !memcmp(gva, e->breakpoint, count * sizeof(*gva)))
        return;
    if (count)
        memcpy(e->breakpoint, gva, count * sizeof(*gva));
    e->breakpoints = count;
    drop_translations(e); /* every block is looked at again before it runs */
}

void engine_ask_attention(struct engine *e)
{
    e->asked = true;
    e->hot_limit_ns = 0;
}

void engine_watch(struct engine *e, bool interrupt_flag, bool iret)
{
    e->watch_if = interrupt_flag;
    e->watch_iret = iret;
}

void engine_complete(struct engine *e, const struct insn *insn, bool rip_set)
{
    peek(e);
    if (peeked_hflags(e) & HF_INHIBIT_IRQ) {
        context_set_u32(e->scratch, e->quirk.hflags, peeked_hflags(e) & ~HF_INHIBIT_IRQ);
        uc_context_restore(e->uc, e->scratch);
    }
    if (!rip_set) {
        uint64_t rip = read_reg(e->uc, UC_X86_REG_RIP) + insn->length;

        write_reg(e->uc, UC_X86_REG_RIP, bits_of_hflags(peeked_hflags(e)) == 64 ? rip : (uint32_t)rip);
    }
    e->steps++;
    e->now_ns += 1 + insn->price_ns;
    if (insn->flags & INSN_F_EPOCH)
        drop_translations(e);
}

void engine_count_step(struct engine *e)
{
    e->steps++;
    e->now_ns++;
}

uint64_t engine_now_ns(const struct engine *e)
{
    return e->now_ns + e->extra_ns;
}

void engine_set_now_ns(struct engine *e, uint64_t now_ns)
{
    ensure(now_ns >= e->now_ns);
    e->now_ns = now_ns;
}

uint64_t engine_steps(const struct engine *e, unsigned vcpu)
{
    ensure(vcpu < e->vcpus);
    return e->loaded && vcpu == e->current ? e->steps : e->vcpu_steps[vcpu];
}

uint64_t engine_steps_all(const struct engine *e)
{
    uint64_t sum = 0;

    for (unsigned v = 0; v < e->vcpus; v++)
        sum += engine_steps(e, v);
    return sum;
}

void engine_set_counts(struct engine *e, uint64_t now_ns, const uint64_t *steps)
{
    e->now_ns = now_ns;
    for (unsigned v = 0; v < e->vcpus; v++)
        e->vcpu_steps[v] = steps[v];
    if (e->loaded)
        e->steps = steps[e->current];
    e->broke_at_steps = UINT64_MAX;
}

/* ---- registers ---- */

static const int gpr_ids[GPR_COUNT] = {
    UC_X86_REG_RAX, UC_X86_REG_RCX, UC_X86_REG_RDX, UC_X86_REG_RBX, UC_X86_REG_RSP, UC_X86_REG_RBP,
    UC_X86_REG_RSI, UC_X86_REG_RDI, UC_X86_REG_R8,  UC_X86_REG_R9,  UC_X86_REG_R10, UC_X86_REG_R11,
    UC_X86_REG_R12, UC_X86_REG_R13, UC_X86_REG_R14, UC_X86_REG_R15,
};

uint64_t engine_gpr(struct engine *e, enum gpr reg)
{
    return read_reg(e->uc, gpr_ids[reg]);
}

void engine_set_gpr(struct engine *e, enum gpr reg, uint64_t value)
{
    write_reg(e->uc, gpr_ids[reg], value);
}

uint64_t engine_rip(struct engine *e)
{
    return read_reg(e->uc, UC_X86_REG_RIP);
}

void engine_set_rip(struct engine *e, uint64_t rip)
{
    write_reg(e->uc, UC_X86_REG_RIP, rip);
}

uint64_t engine_rflags(struct engine *e)
{
    return read_reg(e->uc, UC_X86_REG_RFLAGS);
}

bool engine_interrupt_shadow(struct engine *e)
{
    peek(e);
    return peeked_hflags(e) & HF_INHIBIT_IRQ;
}

void engine_set_cr2(struct engine *e, uint64_t gva)
{
    write_reg(e->uc, UC_X86_REG_CR2, gva);
}

uint64_t engine_msr(struct engine *e, enum engine_msr msr)
{
    uc_x86_msr m = {.rid = msr};

    uc_reg_read(e->uc, UC_X86_REG_MSR, &m);
    return m.value;
}

void engine_set_msr(struct engine *e, enum engine_msr msr, uint64_t value)
{
    uc_x86_msr m = {.rid = msr, .value = value};

    uc_reg_write(e->uc, UC_X86_REG_MSR, &m);
    if (msr == MSR_ID_EFER)
        drop_translations(e);
}

static void get_segment(const struct engine *e, enum segment_register s, struct segment *seg)
{
    size_t o = e->quirk.segment[s];

    seg->selector = (uint16_t)context_u32(e->scratch, o);
    seg->base = context_u64(e->scratch, o + 8);
    seg->limit = context_u32(e->scratch, o + 16);
    seg->attributes = context_u32(e->scratch, o + 20);
}

static void put_segment(struct engine *e, enum segment_register s, const struct segment *seg)
{
    size_t o = e->quirk.segment[s];

    context_set_u32(e->scratch, o, seg->selector);
    context_set_u64(e->scratch, o + 8, seg->base);
    context_set_u32(e->scratch, o + 16, seg->limit);
    context_set_u32(e->scratch, o + 20, seg->attributes);
}

static void get_system_segment(struct engine *e, int id, struct segment *seg)
{
    uc_x86_mmr mmr;

    uc_reg_read(e->uc, id, &mmr);
    *seg = (struct segment){.selector = mmr.selector, .base = mmr.base, .limit = mmr.limit, .attributes = mmr.flags};
}

static void set_system_segment(struct engine *e, int id, const struct segment *seg)
{
    uc_x86_mmr mmr = {.selector = seg->selector, .base = seg->base, .limit = seg->limit, .flags = seg->attributes};

    uc_reg_write(e->uc, id, &mmr);
}

static void get_table(struct engine *e, int id, struct descriptor_table *t)
{
    uc_x86_mmr mmr;

    uc_reg_read(e->uc, id, &mmr);
    t->base = mmr.base;
    t->limit = (uint16_t)mmr.limit;
}

static void set_table(struct engine *e, int id, const struct descriptor_table *t)
{
    uc_x86_mmr mmr = {.base = t->base, .limit = t->limit};

    uc_reg_write(e->uc, id, &mmr);
}

void engine_get_event_regs(struct engine *e, struct vcpu_regs *r)
{
    peek(e);
    for (unsigned i = 0; i < GPR_COUNT; i++)
        r->gpr[i] = read_reg(e->uc, gpr_ids[i]);
    r->rip = read_reg(e->uc, UC_X86_REG_RIP);
    r->rflags = read_reg(e->uc, UC_X86_REG_RFLAGS);
    for (unsigned s = 0; s < SEG_COUNT; s++)
        get_segment(e, s, &r->seg[s]);
    get_system_segment(e, UC_X86_REG_LDTR, &r->ldtr);
    get_system_segment(e, UC_X86_REG_TR, &r->tr);
    get_table(e, UC_X86_REG_GDTR, &r->gdtr);
    get_table(e, UC_X86_REG_IDTR, &r->idtr);
    r->cr0 = read_reg(e->uc, UC_X86_REG_CR0);
    r->cr2 = read_reg(e->uc, UC_X86_REG_CR2);
    r->cr3 = read_reg(e->uc, UC_X86_REG_CR3);
    r->cr4 = read_reg(e->uc, UC_X86_REG_CR4);
    r->efer = engine_msr(e, MSR_ID_EFER);
    r->interrupt_shadow = peeked_hflags(e) & HF_INHIBIT_IRQ;
}

/* The translator's flags that follow from CS, SS, the mode and the shadow. */
static uint32_t hflags_of(const struct vcpu_regs *r, uint32_t old)
{
    uint32_t h = old & ~HF_OURS;
    const struct segment *cs = &r->seg[SEG_CS], *ss = &r->seg[SEG_SS];
    bool protected_mode = (r->cr0 & CR0_PE) && !(r->rflags & RFLAGS_VM);

    h |= regs_cpl(r);
    if (r->interrupt_shadow)
        h |= HF_INHIBIT_IRQ;
    if ((r->efer & EFER_LMA) && (cs->attributes & SEG_ATTR_L))
        return h | HF_CS64 | HF_CS32 | HF_SS32;
    if (cs->attributes & SEG_ATTR_DB)
        h |= HF_CS32;
    if (ss->attributes & SEG_ATTR_DB)
        h |= HF_SS32;
    if (!protected_mode || !(h & HF_CS32) || r->seg[SEG_DS].base || r->seg[SEG_ES].base || ss->base)
        h |= HF_ADDSEG;
    return h;
}

static void put_segments_and_flags(struct engine *e, const struct vcpu_regs *r)
{
    peek(e);
    for (unsigned s = 0; s < SEG_COUNT; s++)
        put_segment(e, s, &r->seg[s]);
    context_set_u32(e->scratch, e->quirk.hflags, hflags_of(r, peeked_hflags(e)));
    uc_context_restore(e->uc, e->scratch);
}

void engine_set_event_regs(struct engine *e, const struct vcpu_regs *r)
{
    write_reg(e->uc, UC_X86_REG_RFLAGS, r->rflags);
    write_reg(e->uc, UC_X86_REG_CR2, r->cr2);
    for (unsigned i = 0; i < GPR_COUNT; i++)
        write_reg(e->uc, gpr_ids[i], r->gpr[i]);
    write_reg(e->uc, UC_X86_REG_RIP, r->rip);
    put_segments_and_flags(e, r);
}

static const int dr_ids[4] = {UC_X86_REG_DR0, UC_X86_REG_DR1, UC_X86_REG_DR2, UC_X86_REG_DR3};

void engine_get_regs(struct engine *e, struct vcpu_regs *r)
{
    memset(r, 0, sizeof(*r));
    engine_get_event_regs(e, r);
    r->cr8 = read_reg(e->uc, UC_X86_REG_CR8);
    for (unsigned i = 0; i < 4; i++)
        r->dr[i] = read_reg(e->uc, dr_ids[i]);
    r->dr6 = read_reg(e->uc, UC_X86_REG_DR6);
    r->dr7 = read_reg(e->uc, UC_X86_REG_DR7);
    r->star = engine_msr(e, MSR_ID_STAR);
    r->lstar = engine_msr(e, MSR_ID_LSTAR);
    r->cstar = engine_msr(e, MSR_ID_CSTAR);
    r->fmask = engine_msr(e, MSR_ID_FMASK);
    r->kernel_gs_base = engine_msr(e, MSR_ID_KERNEL_GS_BASE);
    r->tsc_aux = engine_msr(e, MSR_ID_TSC_AUX);
    r->sysenter_cs = engine_msr(e, MSR_ID_SYSENTER_CS);
    r->sysenter_esp = engine_msr(e, MSR_ID_SYSENTER_ESP);
    r->sysenter_eip = engine_msr(e, MSR_ID_SYSENTER_EIP);
    for (int i = 0; i < 8; i++)
        uc_reg_read(e->uc, UC_X86_REG_FP0 + i, r->st[i]);
    uc_reg_read(e->uc, UC_X86_REG_FPCW, &r->fpcw);
    uc_reg_read(e->uc, UC_X86_REG_FPSW, &r->fpsw);
    uc_reg_read(e->uc, UC_X86_REG_FPTAG, &r->fptag);
    uc_reg_read(e->uc, UC_X86_REG_MXCSR, &r->mxcsr);
    uc_reg_read(e->uc, UC_X86_REG_FIP, &r->fpip);
    uc_reg_read(e->uc, UC_X86_REG_FDP, &r->fpdp);
    uc_reg_read(e->uc, UC_X86_REG_FCS, &r->fpcs);
    uc_reg_read(e->uc, UC_X86_REG_FDS, &r->fpds);
    uc_reg_read(e->uc, UC_X86_REG_FOP, &r->fpop);
    for (int i = 0; i < 16; i++)
        uc_reg_read(e->uc, UC_X86_REG_XMM0 + i, r->xmm[i]);
}

void engine_set_regs(struct engine *e, const struct vcpu_regs *r)
{
    /* Leave paging, then enter it as the processor does, so that the engine's own idea of the mode follows. It starts
       in long mode without paging, which no processor does; only paging that ends takes its EFER.LMA away. */
    write_reg(e->uc, UC_X86_REG_CR0, CR0_PG | CR0_PE | CR0_ET);
    write_reg(e->uc, UC_X86_REG_CR0, CR0_ET);
    write_reg(e->uc, UC_X86_REG_CR4, r->cr4);
    engine_set_msr(e, MSR_ID_EFER, r->efer & ~EFER_LMA);
    write_reg(e->uc, UC_X86_REG_CR3, r->cr3);
    write_reg(e->uc, UC_X86_REG_CR0, r->cr0);
    set_system_segment(e, UC_X86_REG_LDTR, &r->ldtr);
    set_system_segment(e, UC_X86_REG_TR, &r->tr);
    set_table(e, UC_X86_REG_GDTR, &r->gdtr);
    set_table(e, UC_X86_REG_IDTR, &r->idtr);
    write_reg(e->uc, UC_X86_REG_CR8, r->cr8);
    for (unsigned i = 0; i < 4; i++)
        write_reg(e->uc, dr_ids[i], r->dr[i]);
    write_reg(e->uc, UC_X86_REG_DR6, r->dr6);
    write_reg(e->uc, UC_X86_REG_DR7, r->dr7);
    engine_set_msr(e, MSR_ID_STAR, r->star);
    engine_set_msr(e, MSR_ID_LSTAR, r->lstar);
    engine_set_msr(e, MSR_ID_CSTAR, r->cstar);
    engine_set_msr(e, MSR_ID_FMASK, r->fmask);
    engine_set_msr(e, MSR_ID_KERNEL_GS_BASE, r->kernel_gs_base);
    engine_set_msr(e, MSR_ID_TSC_AUX, r->tsc_aux);
    engine_set_msr(e, MSR_ID_SYSENTER_CS, r->sysenter_cs);
    engine_set_msr(e, MSR_ID_SYSENTER_ESP, r->sysenter_esp);
    engine_set_msr(e, MSR_ID_SYSENTER_EIP, r->sysenter_eip);
    uc_reg_write(e->uc, UC_X86_REG_FPCW, &r->fpcw);
    uc_reg_write(e->uc, UC_X86_REG_FPSW, &r->fpsw);
    for (int i = 0; i < 8; i++)
        uc_reg_write(e->uc, UC_X86_REG_FP0 + i, r->st[i]);
    uc_reg_write(e->uc, UC_X86_REG_FPTAG, &r->fptag);
    uc_reg_write(e->uc, UC_X86_REG_MXCSR, &r->mxcsr);
    uc_reg_write(e->uc, UC_X86_REG_FIP, &r->fpip);
    uc_reg_write(e->uc, UC_X86_REG_FDP, &r->fpdp);
    uc_reg_write(e->uc, UC_X86_REG_FCS, &r->fpcs);
    uc_reg_write(e->uc, UC_X86_REG_FDS, &r->fpds);
    uc_reg_write(e->uc, UC_X86_REG_FOP, &r->fpop);
    for (int i = 0; i < 16; i++)
        uc_reg_write(e->uc, UC_X86_REG_XMM0 + i, r->xmm[i]);
    engine_set_event_regs(e, r);
    uc_ctl_flush_tlb(e->uc);
    drop_translations(e);
}

void engine_library_version(unsigned *major, unsigned *minor, unsigned *patch)
{
    unsigned version = uc_version(NULL, NULL);

    *major = version >> 24;
    *minor = version >> 16 & 0xff;
    *patch = version >> 8 & 0xff;
}

struct decoder *engine_decoder(struct engine *e)
{
    return e->dec;
}

void engine_get_stats(const struct engine *e, struct engine_stats *s)
{
    *s = e->stats;
}

enum emu_err engine_run_bare(struct memory *mem, uint32_t entry_gpa, struct diag *d)
{
    struct memory_range low = memory_range(mem, 0);
    uc_engine *uc;
    uc_err err;

    if (uc_open(UC_ARCH_X86, UC_MODE_32, &uc) != UC_ERR_OK)
        return diag_set(d, EMU_EHOST, "the host has no memory left for the CPU engine");
    err = uc_ctl_set_cpu_model(uc, UC_CPU_X86_HASWELL);
    if (err == UC_ERR_OK)
        err = uc_ctl_exits_enable(uc);
    if (err == UC_ERR_OK)
        err = uc_mem_map_ptr(uc, low.gpa, low.bytes, UC_PROT_ALL, low.host);
    if (err == UC_ERR_OK)
        err = uc_emu_start(uc, entry_gpa, 0, 0, 0);
    uc_close(uc);
    return err == UC_ERR_OK ? EMU_OK
                            : diag_set(d, EMU_EHOST, "the CPU engine can't run the code: %s", uc_strerror(err));
}
