/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What must be known of the library's insides is located by experiment on scratch engines. */
#include "emu/engine_state.h"

#include "emu/base/count.h"

#define SEGMENT_BYTES 24u /* selector, (padding), base, limit, attributes */

uc_engine *engine_scratch(uc_mode mode)
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
    p->uc = engine_scratch(UC_MODE_64);
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
    for (unsigned i = 0; i < COUNT(words); i++)
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

enum emu_err engine_find_quirks(struct quirks *q, struct diag *d)
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
