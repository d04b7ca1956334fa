/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/snapshot_state.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "emu/base/count.h"
#include "emu/base/ensure.h"
#include "emu/base/plural.h"
#include "emu/machine_state.h"

#define REASON_BYTES_MAX   256u
#define DETECTOR_BYTES_MAX 64u
#define MODEL_NAME_MAX     64u
#define NOW_NS_MAX         (UINT64_MAX / 4) /* a century; what is added to it does not wrap */

/* ---- fields ---- */

struct field {
    const char *name;
    uint16_t offset;
    uint8_t bytes; /* of one element */
    bool flag;     /* 0 or 1 */
    uint16_t count, stride;
};

#define SIZE_OF(type, member)              sizeof(((type *)0)->member)
#define NUMBER(type, member)               {#member, offsetof(type, member), SIZE_OF(type, member), false, 1, 0}
#define FLAG(type, member)                 {#member, offsetof(type, member), SIZE_OF(type, member), true, 1, 0}
#define NUMBERS(type, member, n, distance) {#member, offsetof(type, member), SIZE_OF(type, member), false, n, distance}

#define REG(member)        NUMBER(struct vcpu_regs, member)
#define SEGMENT_PART(part) NUMBERS(struct vcpu_regs, seg[0].part, SEG_COUNT, sizeof(struct segment))

static const struct field register_fields[] = {
    NUMBERS(struct vcpu_regs, gpr[0], GPR_COUNT, 8),
    REG(rip),
    REG(rflags),
    SEGMENT_PART(selector),
    SEGMENT_PART(base),
    SEGMENT_PART(limit),
    SEGMENT_PART(attributes),
    REG(ldtr.selector),
    REG(ldtr.base),
    REG(ldtr.limit),
    REG(ldtr.attributes),
    REG(tr.selector),
    REG(tr.base),
    REG(tr.limit),
    REG(tr.attributes),
    REG(gdtr.base),
    REG(gdtr.limit),
    REG(idtr.base),
    REG(idtr.limit),
    REG(cr0),
    REG(cr2),
    REG(cr3),
    REG(cr4),
    REG(cr8),
    NUMBERS(struct vcpu_regs, dr[0], 4, 8),
    REG(dr6),
    REG(dr7),
    REG(efer),
    REG(star),
    REG(lstar),
    REG(cstar),
    REG(fmask),
    REG(kernel_gs_base),
    REG(tsc_aux),
    REG(sysenter_cs),
    REG(sysenter_esp),
    REG(sysenter_eip),
    NUMBERS(struct vcpu_regs, st[0][0], 80, 1),
    REG(fpcw),
    REG(fpsw),
    REG(fptag),
    REG(mxcsr),
    REG(fpip),
    REG(fpdp),
    REG(fpcs),
    REG(fpds),
    REG(fpop),
    NUMBERS(struct vcpu_regs, xmm[0][0], 256, 1),
    FLAG(struct vcpu_regs, interrupt_shadow),
};
static_assert(sizeof(struct vcpu_regs) == 912, "a register that is not in register_fields would be lost: add it");

static const struct field vcpu_fields[] = {
    NUMBER(struct vcpu, state),          FLAG(struct vcpu, halt_masked),       FLAG(struct vcpu, nmi_pending),
    FLAG(struct vcpu, nmi_blocked),      FLAG(struct vcpu, regs_waiting),      FLAG(struct vcpu, kicked),
    FLAG(struct vcpu, spurious_pending), NUMBER(struct vcpu, spurious_vector), NUMBER(struct vcpu, tsc_offset),
};
static_assert(sizeof(struct vcpu) == 24 + sizeof(struct vcpu_regs),
              "a field of a vCPU that is not in vcpu_fields would be lost: add it");

/* Besides these: wait_reason is text, paging follows from the registers, and watchers begin anew. */
static const struct field run_fields[] = {
    NUMBER(struct machine_run, current),
    FLAG(struct machine_run, yielded),
    NUMBER(struct machine_run, turn_end_ns),
    NUMBER(struct machine_run, trace_digest),
    NUMBER(struct machine_run, trace_count),
    NUMBER(struct machine_run, verdict.kind),
    NUMBER(struct machine_run, verdict.vcpu),
    NUMBER(struct machine_run, verdict.rip_gva),
    NUMBER(struct machine_run, verdict.position),
    FLAG(struct machine_run, verdict.is_quote),
    NUMBER(struct machine_run, time_reads),
    NUMBER(struct machine_run, hang.mark_trace),
    NUMBER(struct machine_run, hang.mark_ns),
    NUMBER(struct machine_run, hang.mark_registers),
    NUMBER(struct machine_run, hang.mark_memory),
    FLAG(struct machine_run, hang.mark_is_set),
    NUMBER(struct machine_run, hang.mark_count),
    NUMBER(struct machine_run, hang.mark_time_reads),
    FLAG(struct machine_run, hang.mark_is_watched),
    NUMBER(struct machine_run, hang.next_ns),
    NUMBER(struct machine_run, hang.period_ns),
    NUMBER(struct machine_run, hang.facts),
    NUMBER(struct machine_run, hang.mark_trace_ns),
    NUMBER(struct machine_run, hang.next_probe_ns),
    NUMBER(struct machine_run, hang.pinned),
};
static_assert(sizeof(struct machine_run) - sizeof(struct verdict) - sizeof(struct paging) * VCPUS_MAX -
                      sizeof(char *) * VCPUS_MAX - WATCH_STATE_BYTES ==
                  216,
              "a field of the run that is not in run_fields would be lost: add it");
static_assert(sizeof(struct verdict) == 48 + VERDICT_TEXT_BYTES, "a field of the verdict would be lost");

/* CF, 1, PF, AF, ZF, SF, TF, IF, DF, OF, IOPL, NT, RF, VM, AC, VIF, VIP, ID. */
#define RFLAGS_KNOWN 0x3f7fd7ull

static void put_fields(struct wire_out *w, const struct field *f, size_t fields, const void *from)
{
    for (; fields; fields--, f++)
        for (unsigned i = 0; i < f->count; i++) {
            const char *at = (const char *)from + f->offset + (size_t)i * f->stride;
            uint64_t value = 0;

            switch (f->bytes) {
            case 1:
                value = *(const uint8_t *)at;
                break;
            case 2:
                value = *(const uint16_t *)(const void *)at;
                break;
            case 4:
                value = *(const uint32_t *)(const void *)at;
                break;
            case 8:
                value = *(const uint64_t *)(const void *)at;
                break;
            }
            wire_put_number(w, value, f->bytes);
        }
}

/* The rest of `to` is left as it is. NULL, or the name of a flag that is neither 0 nor 1. */
static const char *get_fields(struct wire_in *w, const struct field *f, size_t fields, void *to)
{
    const char *bad = NULL;

    for (; fields; fields--, f++)
        for (unsigned i = 0; i < f->count; i++) {
            char *at = (char *)to + f->offset + (size_t)i * f->stride;
            uint64_t value = wire_get_number(w, f->bytes);

            if (f->flag && value > 1) {
                bad = f->name;
                value = 1;
            }
            switch (f->bytes) {
            case 1:
                *(uint8_t *)at = (uint8_t)value;
                break;
            case 2:
                *(uint16_t *)(void *)at = (uint16_t)value;
                break;
            case 4:
                *(uint32_t *)(void *)at = (uint32_t)value;
                break;
            case 8:
                *(uint64_t *)(void *)at = value;
                break;
            }
        }
    return bad;
}

/* ---- writing ---- */

void snapshot_state_put_run(struct machine *m, struct wire_out *w)
{
    wire_put_number(w, m->config.vcpus, 4);
    wire_put_number(w, m->config.model_count, 4);
    wire_put_number(w, engine_now_ns(m->engine), 8);
    put_fields(w, run_fields, COUNT(run_fields), &m->run);
    wire_put_text(w, m->run.verdict.detector);
    wire_put_text(w, m->run.verdict.text);
}

void snapshot_state_put_vcpus(struct machine *m, struct wire_out *w)
{
    for (unsigned v = 0; v < m->config.vcpus; v++) {
        struct vcpu_regs r;

        memset(&r, 0, sizeof(r));
        vcpu_get_regs(m, v, &r);
        wire_put_number(w, engine_steps(m->engine, v), 8);
        put_fields(w, vcpu_fields, COUNT(vcpu_fields), &m->vcpu[v]);
        wire_put_text(w, m->run.wait_reason[v]);
        put_fields(w, register_fields, COUNT(register_fields), &r);
    }
}

void snapshot_state_put_models(struct machine *m, struct wire_out *w)
{
    for (unsigned i = 0; i < m->config.model_count; i++) {
        const struct model *model = m->config.models[i];

        wire_put_text(w, model->name);
        wire_put_number(w, model->state_bytes, 8);
        wire_put(w, m->arena + m->arena_offset[i], model->state_bytes);
    }
}

static size_t timers_of(const struct machine *m)
{
    return (size_t)m->config.model_count * TIMER_KINDS_MAX * m->config.vcpus;
}

void snapshot_state_put_timers(struct machine *m, struct wire_out *w)
{
    for (size_t i = 0; i < timers_of(m); i++)
        wire_put_number(w, m->deadline_ns[i], 8);
}

/* ---- reading ---- */

struct text { /* in the bytes that were read */
    const char *bytes;
    size_t length;
};

struct snapshot_state {
    uint64_t now_ns;
    struct machine_run run;
    struct text detector, verdict;
    uint64_t steps[VCPUS_MAX];
    struct vcpu vcpu[VCPUS_MAX];
    struct vcpu_regs regs[VCPUS_MAX];
    struct text wait_reason[VCPUS_MAX];
    const uint8_t *model[MODELS_MAX];
    uint64_t *deadline_ns;
};

void snapshot_state_free(struct snapshot_state *s)
{
    if (!s)
        return;
    free(s->deadline_ns);
    free(s);
}

static struct text get_text(struct wire_in *w, size_t length_max)
{
    struct text t;

    t.bytes = wire_get_text(w, length_max, &t.length);
    return t;
}

static enum emu_err bad_part(struct diag *d, const char *part)
{
    return diag_set(d, EMU_EINPUT, "is damaged, or no snapshot of this build: its %s are too long or too short", part);
}

static bool is_whole(const struct wire_in *w)
{
    return !w->failed && w->at == w->end;
}

static enum emu_err get_run(struct machine *m, struct wire_in w, struct snapshot_state *s, struct diag *d)
{
    uint64_t vcpus = wire_get_number(&w, 4), models = wire_get_number(&w, 4);
    const char *bad;

    s->now_ns = wire_get_number(&w, 8);
    bad = get_fields(&w, run_fields, COUNT(run_fields), &s->run);
    s->detector = get_text(&w, DETECTOR_BYTES_MAX);
    s->verdict = get_text(&w, VERDICT_TEXT_BYTES - 1);
    if (!is_whole(&w))
        return bad_part(d, "run's fields");
    if (vcpus != m->config.vcpus || models != m->config.model_count)
        return diag_set(d, EMU_EINPUT, "is of a machine of %" PRIu64 " vCPU%s and %" PRIu64 " model%s, not %u and %u",
                        vcpus, plural(vcpus), models, plural(models), m->config.vcpus, m->config.model_count);
    if (s->run.current >= m->config.vcpus || s->run.verdict.vcpu >= m->config.vcpus)
        bad = "current";
    if ((unsigned)s->run.verdict.kind > VERDICT_INTERRUPTED)
        bad = "verdict.kind";
    if (s->now_ns > NOW_NS_MAX)
        bad = "now_ns";
    else if (s->run.turn_end_ns > s->now_ns + MACHINE_TURN_NS)
        bad = "turn_end_ns";
    if (s->run.hang.pinned > m->config.vcpus)
        bad = "hang.pinned";
    if (bad)
        return diag_set(d, EMU_EINPUT, "is damaged: the run's field %s can't be what it says", bad);
    return EMU_OK;
}

/* NULL, or the name of a register that no guest can have so. The engine takes what it is given. */
static const char *bad_register(const struct vcpu_regs *r)
{
    static const enum segment_register flat[] = {SEG_ES, SEG_CS, SEG_SS, SEG_DS};
    bool paging = r->cr0 & CR0_PG, long_mode = r->efer & EFER_LMA;

    for (size_t i = 0; i < COUNT(flat); i++)
        if (r->seg[flat[i]].base > UINT32_MAX)
            return "seg.base";
    if (r->cr0 >> 32 || (paging && !(r->cr0 & CR0_PE)))
        return "cr0";
    if (r->efer & ~(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE) || long_mode != ((r->efer & EFER_LME) && paging))
        return "efer";
    if (r->cr4 & CR4_LA57 || r->cr4 >> 32 || (long_mode && !(r->cr4 & CR4_PAE)))
        return "cr4";
    if (!(r->rflags & RFLAGS_FIXED) || r->rflags & ~RFLAGS_KNOWN)
        return "rflags";
    if (!(long_mode && r->seg[SEG_CS].attributes & SEG_ATTR_L) && r->rip > UINT32_MAX)
        return "rip";
    return NULL;
}

static enum emu_err get_vcpus(struct machine *m, struct wire_in w, struct snapshot_state *s, struct diag *d)
{
    for (unsigned v = 0; v < m->config.vcpus; v++) {
        const char *bad, *register_name;

        s->steps[v] = wire_get_number(&w, 8);
        bad = get_fields(&w, vcpu_fields, COUNT(vcpu_fields), &s->vcpu[v]);
        s->wait_reason[v] = get_text(&w, REASON_BYTES_MAX);
        register_name = get_fields(&w, register_fields, COUNT(register_fields), &s->regs[v]);
        if (!register_name)
            register_name = bad_register(&s->regs[v]);
        if (w.failed)
            return bad_part(d, "vCPUs");
        if (s->vcpu[v].state > VCPU_POLLING)
            bad = "state";
        if (s->steps[v] > UINT64_MAX / 2 / VCPUS_MAX)
            bad = "steps";
        if (bad || register_name)
            return diag_set(d, EMU_EINPUT, "is damaged: the field %s of vCPU %u can't be what it says",
                            bad ? bad : register_name, v);
    }
    return is_whole(&w) ? EMU_OK : bad_part(d, "vCPUs");
}

static enum emu_err get_models(struct machine *m, struct wire_in w, struct snapshot_state *s, struct diag *d)
{
    for (unsigned i = 0; i < m->config.model_count; i++) {
        const struct model *model = m->config.models[i];
        struct text name = get_text(&w, MODEL_NAME_MAX);
        uint64_t bytes = wire_get_number(&w, 8);

        if (w.failed)
            return bad_part(d, "models");
        if (!name.bytes || name.length != strlen(model->name) || memcmp(name.bytes, model->name, name.length) ||
            bytes != model->state_bytes)
            return diag_set(d, EMU_EINPUT, "is of a machine whose model %u is another one than '%s'", i, model->name);
        if (bytes > (size_t)(w.end - w.at))
            return bad_part(d, "models");
        s->model[i] = w.at;
        w.at += bytes;
    }
    return is_whole(&w) ? EMU_OK : bad_part(d, "models");
}

static enum emu_err get_timers(struct machine *m, struct wire_in w, struct snapshot_state *s, struct diag *d)
{
    s->deadline_ns = calloc(timers_of(m) + 1, sizeof(*s->deadline_ns));
    if (!s->deadline_ns)
        return diag_no_memory(d);
    for (size_t i = 0; i < timers_of(m); i++) {
        s->deadline_ns[i] = wire_get_number(&w, 8);
        if (s->deadline_ns[i] != TIMER_NEVER &&
            !m->config.models[i / (TIMER_KINDS_MAX * m->config.vcpus)]->timer_expired)
            return diag_set(d, EMU_EINPUT, "is damaged: it has a timer of a model without timers");
    }
    return is_whole(&w) ? EMU_OK : bad_part(d, "timers");
}

enum emu_err snapshot_state_get(struct machine *m, const struct snapshot_state_parts *parts,
                                struct snapshot_state **out, struct diag *d)
{
    struct snapshot_state *s = calloc(1, sizeof(*s));
    enum emu_err err;

    if (!s)
        return diag_no_memory(d);
    err = get_run(m, parts->run, s, d);
    if (err == EMU_OK)
        err = get_vcpus(m, parts->vcpus, s, d);
    if (err == EMU_OK)
        err = get_models(m, parts->models, s, d);
    if (err == EMU_OK)
        err = get_timers(m, parts->timers, s, d);
    if (err != EMU_OK) {
        snapshot_state_free(s);
        return err;
    }
    *out = s;
    return EMU_OK;
}

/* A text that lives as long as the machine; reports refer to it. The same text is kept once. */
static const char *keep_text(struct machine *m, struct text t, bool *failed)
{
    struct kept_text *k = m->kept_texts;

    if (!t.bytes)
        return NULL;
    while (k && (strlen(k->text) != t.length || memcmp(k->text, t.bytes, t.length)))
        k = k->next;
    if (!k) {
        k = malloc(sizeof(*k) + t.length + 1);
        if (!k) {
            *failed = true;
            return NULL;
        }
        memcpy(k->text, t.bytes, t.length);
        k->text[t.length] = '\0';
        k->next = m->kept_texts;
        m->kept_texts = k;
    }
    return k->text;
}

enum emu_err snapshot_state_apply(struct machine *m, struct snapshot_state *s, struct diag *d)
{
    bool failed = false;

    ensure(machine_steps(m) == 0 && !m->in_engine);
    for (unsigned i = 0; i < m->config.model_count; i++)
        if (m->config.models[i]->state_bytes)
            memcpy(m->arena + m->arena_offset[i], s->model[i], m->config.models[i]->state_bytes);
    memcpy(m->deadline_ns, s->deadline_ns, timers_of(m) * sizeof(*m->deadline_ns));
    s->run.watch_wrote = m->run.watch_wrote;
    s->run.watch_write = m->run.watch_write;
    memcpy(s->run.watch_state, m->run.watch_state, sizeof(s->run.watch_state));
    m->run = s->run;
    for (unsigned v = 0; v < m->config.vcpus; v++) {
        const struct vcpu_regs *r = &s->regs[v];

        m->vcpu[v] = s->vcpu[v];
        if (s->vcpu[v].regs_waiting) {
            m->vcpu[v].regs = *r;
        } else {
            engine_switch(m->engine, v);
            engine_set_regs(m->engine, r);
        }
        m->run.paging[v] = (struct paging){.cr0 = r->cr0, .cr3 = r->cr3, .cr4 = r->cr4, .efer = r->efer};
        m->run.wait_reason[v] = keep_text(m, s->wait_reason[v], &failed);
    }
    engine_switch(m->engine, s->run.current);
    engine_set_counts(m->engine, s->now_ns, s->steps);
    m->run.verdict.detector = keep_text(m, s->detector, &failed);
    if (s->verdict.length)
        memcpy(m->run.verdict.text, s->verdict.bytes, s->verdict.length);
    m->run.verdict.text[s->verdict.length] = '\0';
    return failed ? diag_no_memory(d) : EMU_OK;
}
