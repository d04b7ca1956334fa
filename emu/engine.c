/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/engine_state.h"

#include <stdlib.h>

#include "emu/base/ensure.h"
#include "emu/engine_clock.h"
#include "emu/engine_jump.h"

#define TCG_BUFFER_BYTES (256u << 20)

static bool make_contexts(struct engine *e)
{
    uc_engine *flat = engine_scratch(UC_MODE_32);
    bool ok = flat && uc_context_alloc(e->uc, &e->scratch) == UC_ERR_OK &&
              uc_context_alloc(e->uc, &e->before) == UC_ERR_OK && uc_context_alloc(flat, &e->flat) == UC_ERR_OK &&
              uc_context_save(flat, e->flat) == UC_ERR_OK;

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
        return diag_no_memory(d);
    e->mem = mem;
    e->vcpus = vcpus;
    e->ops = *ops;
    e->ops_context = context;
    e->unreadable_pc = UINT64_MAX;
    ensure(engine_clock_is_ours());
    ensure(engine_jump_is_plain());
    err = engine_find_quirks(&e->quirk, d);
    if (err == EMU_OK)
        err = decoder_new(&e->dec, d);
    if (err == EMU_OK) {
        /* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers */
        e->context = calloc(vcpus, sizeof(*e->context));
        e->vcpu_steps = calloc(vcpus, sizeof(*e->vcpu_steps));
        if (!engine_new_tables(e) || !e->context || !e->vcpu_steps ||
            uc_open(UC_ARCH_X86, UC_MODE_64, &e->uc) != UC_ERR_OK)
            err = diag_set(d, EMU_EHOST, "the host has no memory left for the CPU engine");
    }
    if (err == EMU_OK && (uc_ctl_set_cpu_model(e->uc, UC_CPU_X86_HASWELL) != UC_ERR_OK ||
                          uc_ctl_set_tcg_buffer_size(e->uc, TCG_BUFFER_BYTES) != UC_ERR_OK ||
                          uc_ctl_exits_enable(e->uc) != UC_ERR_OK || !engine_map(e) || !engine_add_block_hooks(e) ||
                          !engine_add_exit_hooks(e) || !engine_add_access_hooks(e) || !make_contexts(e)))
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
    if (e->before)
        uc_context_free(e->before);
    if (e->flat)
        uc_context_free(e->flat);
    if (e->uc)
        uc_close(e->uc);
    decoder_free(e->dec);
    free(e->context);
    free(e->vcpu_steps);
    engine_free_tables(e);
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
    e->inspect = e->inspected >> vcpu & 1;
    e->loaded = true;
    e->stats.switches++;
    engine_drop_translations(e);
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
