/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/null_engine.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "emu/base/ensure.h"
#include "emu/machine.h"

struct engine {
    unsigned vcpus, current;
    uint64_t now_ns;
    uint64_t steps[VCPUS_MAX];
    struct vcpu_regs regs[VCPUS_MAX];
    bool attention;
    struct decoder *decoder;
    void *kept;
};

enum emu_err engine_new(struct memory *mem, unsigned vcpus, const struct engine_ops *ops, void *context,
                        struct engine **out, struct diag *d)
{
    struct engine *e = calloc(1, sizeof(*e));

    if (!e)
        return diag_set(d, EMU_EHOST, "the host has no memory left");
    e->vcpus = vcpus;
    *out = e;
    return EMU_OK;
}

void engine_free(struct engine *e)
{
    if (!e)
        return;
    decoder_free(e->decoder);
    free(e->kept);
    free(e);
}

struct vcpu_regs *null_engine_regs(struct engine *e, unsigned vcpu)
{
    ensure(vcpu < e->vcpus);
    return &e->regs[vcpu];
}

void null_engine_keep(struct engine *e, void *block)
{
    ensure(!e->kept);
    e->kept = block;
}

void *null_engine_kept(const struct engine *e)
{
    return e->kept;
}

static struct vcpu_regs *loaded(struct engine *e)
{
    return &e->regs[e->current];
}

/* ---- running ---- */

void engine_switch(struct engine *e, unsigned vcpu)
{
    ensure(vcpu < e->vcpus);
    e->current = vcpu;
}

/* A nanosecond a step, up to the first limit or until somebody wants attention. */
struct engine_exit engine_run(struct engine *e, uint64_t limit_ns, uint64_t limit_steps)
{
    uint64_t *steps = &e->steps[e->current], run = 0;

    if (!e->attention && limit_ns > e->now_ns && limit_steps > *steps) {
        run = limit_ns - e->now_ns;
        if (limit_steps - *steps < run)
            run = limit_steps - *steps;
    }
    e->attention = false;
    *steps += run;
    e->now_ns += run;
    return (struct engine_exit){.kind = ENGINE_EXIT_BOUNDARY};
}

void engine_ask_attention(struct engine *e)
{
    e->attention = true;
}

void engine_complete(struct engine *e, const struct insn *insn, bool rip_set)
{
    if (!rip_set)
        loaded(e)->rip += insn->length;
    engine_count_step(e);
}

void engine_count_step(struct engine *e)
{
    e->steps[e->current]++;
    e->now_ns++;
}

uint64_t engine_now_ns(const struct engine *e)
{
    return e->now_ns;
}

void engine_set_now_ns(struct engine *e, uint64_t now_ns)
{
    ensure(now_ns >= e->now_ns);
    e->now_ns = now_ns;
}

uint64_t engine_steps(const struct engine *e, unsigned vcpu)
{
    return e->steps[vcpu];
}

uint64_t engine_steps_all(const struct engine *e)
{
    uint64_t sum = 0;

    for (unsigned v = 0; v < e->vcpus; v++)
        sum += e->steps[v];
    return sum;
}

void engine_set_counts(struct engine *e, uint64_t now_ns, const uint64_t *steps)
{
    e->now_ns = now_ns;
    memcpy(e->steps, steps, e->vcpus * sizeof(*steps));
}

/* ---- registers ---- */

void engine_get_regs(struct engine *e, struct vcpu_regs *r)
{
    *r = *loaded(e);
}

void engine_set_regs(struct engine *e, const struct vcpu_regs *r)
{
    *loaded(e) = *r;
}

/* All before the x87's. */
#define EVENT_REGS_BYTES offsetof(struct vcpu_regs, st)

void engine_glance(struct engine *e, unsigned vcpu, uint64_t *rip, uint64_t *rflags, bool *interrupt_shadow)
{
    ensure(vcpu < e->vcpus);
    *rip = e->regs[vcpu].rip;
    *rflags = e->regs[vcpu].rflags;
    *interrupt_shadow = e->regs[vcpu].interrupt_shadow;
}

void engine_get_event_regs(struct engine *e, struct vcpu_regs *r)
{
    memcpy(r, loaded(e), EVENT_REGS_BYTES);
}

void engine_set_event_regs(struct engine *e, const struct vcpu_regs *r)
{
    memcpy(loaded(e), r, EVENT_REGS_BYTES);
    loaded(e)->interrupt_shadow = false;
}

uint64_t engine_gpr(struct engine *e, enum gpr reg)
{
    return loaded(e)->gpr[reg];
}

void engine_set_gpr(struct engine *e, enum gpr reg, uint64_t value)
{
    loaded(e)->gpr[reg] = value;
}

uint64_t engine_rip(struct engine *e)
{
    return loaded(e)->rip;
}

void engine_set_rip(struct engine *e, uint64_t rip)
{
    loaded(e)->rip = rip;
}

uint64_t engine_rflags(struct engine *e)
{
    return loaded(e)->rflags;
}

bool engine_interrupt_shadow(struct engine *e)
{
    return loaded(e)->interrupt_shadow;
}

void engine_set_cr2(struct engine *e, uint64_t gva)
{
    loaded(e)->cr2 = gva;
}

static uint64_t *msr_of(struct engine *e, enum engine_msr msr)
{
    struct vcpu_regs *r = loaded(e);

    switch (msr) {
    case MSR_ID_SYSENTER_CS:
        return &r->sysenter_cs;
    case MSR_ID_SYSENTER_ESP:
        return &r->sysenter_esp;
    case MSR_ID_SYSENTER_EIP:
        return &r->sysenter_eip;
    case MSR_ID_EFER:
        return &r->efer;
    case MSR_ID_STAR:
        return &r->star;
    case MSR_ID_LSTAR:
        return &r->lstar;
    case MSR_ID_CSTAR:
        return &r->cstar;
    case MSR_ID_FMASK:
        return &r->fmask;
    case MSR_ID_FS_BASE:
        return &r->seg[SEG_FS].base;
    case MSR_ID_GS_BASE:
        return &r->seg[SEG_GS].base;
    case MSR_ID_KERNEL_GS_BASE:
        return &r->kernel_gs_base;
    case MSR_ID_TSC_AUX:
        return &r->tsc_aux;
    }
    ensure(!"an MSR that the engine keeps");
    return NULL;
}

static uint64_t *control_register_of(struct engine *e, unsigned number)
{
    struct vcpu_regs *r = loaded(e);

    ensure(number == 0 || number == 3 || number == 4);
    return number == 0 ? &r->cr0 : number == 3 ? &r->cr3 : &r->cr4;
}

uint64_t engine_control_register(struct engine *e, unsigned number)
{
    return *control_register_of(e, number);
}

void engine_set_control_register(struct engine *e, unsigned number, uint64_t value)
{
    *control_register_of(e, number) = value;
}

static uint64_t *debug_register_of(struct engine *e, unsigned number)
{
    struct vcpu_regs *r = loaded(e);

    ensure(number < 4 || number == 6 || number == 7);
    return number < 4 ? &r->dr[number] : number == 6 ? &r->dr6 : &r->dr7;
}

uint64_t engine_debug_register(struct engine *e, unsigned number)
{
    return *debug_register_of(e, number);
}

void engine_set_debug_register(struct engine *e, unsigned number, uint64_t value)
{
    *debug_register_of(e, number) = value;
}

uint64_t engine_msr(struct engine *e, enum engine_msr msr)
{
    return *msr_of(e, msr);
}

void engine_set_msr(struct engine *e, enum engine_msr msr, uint64_t value)
{
    *msr_of(e, msr) = value;
}

void engine_get_paging(struct engine *e, struct paging *p)
{
    const struct vcpu_regs *r = loaded(e);

    *p = (struct paging){.cr0 = r->cr0, .cr3 = r->cr3, .cr4 = r->cr4, .efer = r->efer};
}

/* ---- saving ---- */

struct engine_save {
    struct engine engine;
};

struct engine_save *engine_save_new(struct engine *e)
{
    struct engine_save *s = calloc(1, sizeof(*s));

    if (s)
        engine_save_update(e, s);
    return s;
}

void engine_save_update(struct engine *e, struct engine_save *s)
{
    s->engine = *e;
}

void engine_save_restore(struct engine *e, const struct engine_save *s)
{
    struct engine now = *e;

    *e = s->engine;
    e->decoder = now.decoder;
    e->kept = now.kept;
}

void engine_save_free(struct engine *e, struct engine_save *s)
{
    free(s);
}

/* ---- what is only for whoever executes ---- */

struct decoder *engine_decoder(struct engine *e)
{
    struct diag d;

    diag_init(&d);
    if (!e->decoder && decoder_new(&e->decoder, &d) != EMU_OK)
        ensure(!"the host has memory for a decoder");
    return e->decoder;
}

void engine_watch(struct engine *e, bool interrupt_flag, bool iret)
{
}

void engine_inspect(struct engine *e, uint64_t vcpus)
{
}

void engine_set_breakpoints(struct engine *e, const uint64_t *gva, unsigned count)
{
}

uint64_t engine_access_position(struct engine *e)
{
    return e->steps[e->current];
}

enum emu_err engine_watch_accesses(struct engine *e, engine_access_fn *fn, void *context, struct diag *d)
{
    return fn ? diag_set(d, EMU_EHOST, "the null engine makes no access") : EMU_OK;
}

enum emu_err engine_watch_own_accesses(struct engine *e, engine_access_fn *fn, void *context, struct diag *d)
{
    return engine_watch_accesses(e, fn, context, d);
}

enum emu_err engine_watch_writes(struct engine *e, uint64_t gpa, uint64_t bytes, struct diag *d)
{
    return diag_set(d, EMU_EHOST, "the null engine writes nothing");
}

void engine_library_version(unsigned *major, unsigned *minor, unsigned *patch)
{
    *major = *minor = *patch = 0;
}
