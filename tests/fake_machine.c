/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fake_machine.h"

#include "emu/base/ensure.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct memory {
    uint64_t bytes;
    uint8_t *ram;
};

struct machine {
    struct machine_config config;
    struct memory mem;
    void *state[MODELS_MAX];
    struct fake_vcpu vcpus[VCPUS_MAX];
    unsigned current;
    uint64_t now_ns;
    uint64_t random;
    uint64_t timers[MODELS_MAX][TIMER_KINDS_MAX][VCPUS_MAX];
    struct verdict verdict;
    char console[FAKE_CONSOLE_BYTES];
    size_t console_bytes;
    struct trace_fact facts[FAKE_FACTS_MAX];
    unsigned fact_count;
};

/* ---- memory ---- */

enum emu_err memory_new(uint64_t ram_bytes, struct memory **out, struct diag *d)
{
    struct memory *mem = calloc(1, sizeof(*mem));

    ensure(mem != NULL);
    mem->bytes = ram_bytes;
    mem->ram = calloc(1, ram_bytes);
    ensure(mem->ram != NULL);
    *out = mem;
    return EMU_OK;
}

void memory_free(struct memory *mem)
{
    free(mem->ram);
    free(mem);
}

uint64_t memory_ram_bytes(const struct memory *mem)
{
    return mem->bytes;
}

bool memory_is_ram(const struct memory *mem, uint64_t gpa, uint64_t bytes)
{
    return gpa <= mem->bytes && bytes <= mem->bytes - gpa;
}

bool memory_read(const struct memory *mem, uint64_t gpa, void *dst, size_t bytes)
{
    if (!memory_is_ram(mem, gpa, bytes))
        return false;
    memcpy(dst, mem->ram + gpa, bytes);
    return true;
}

bool memory_write(struct memory *mem, uint64_t gpa, const void *src, size_t bytes)
{
    if (!memory_is_ram(mem, gpa, bytes))
        return false;
    memcpy(mem->ram + gpa, src, bytes);
    return true;
}

bool memory_fill(struct memory *mem, uint64_t gpa, uint8_t byte, size_t bytes)
{
    if (!memory_is_ram(mem, gpa, bytes))
        return false;
    memset(mem->ram + gpa, byte, bytes);
    return true;
}

uint64_t memory_digest(struct memory *mem)
{
    uint64_t h = 0xcbf29ce484222325ull;

    for (uint64_t i = 0; i < mem->bytes; i++)
        h = (h ^ mem->ram[i]) * 0x100000001b3ull;
    return h;
}

struct memory_range memory_range(const struct memory *mem, unsigned index)
{
    return index == 0 ? (struct memory_range){.bytes = mem->bytes, .host = mem->ram} : (struct memory_range){0};
}

/* Holes are Xen's matter here: nobody executes. */
void memory_set_holes(struct memory *mem, const struct memory_hole *hole, unsigned count)
{
}

bool memory_is_hole(const struct memory *mem, uint64_t gpa)
{
    return false;
}

void memory_set_code(struct memory *mem, uint64_t ppn)
{
}

bool memory_pop_stale(struct memory *mem, uint64_t *ppn)
{
    return false;
}

/* ---- machine ---- */

static unsigned model_index(const struct machine *m, const struct model *model)
{
    for (unsigned i = 0; i < m->config.model_count; i++)
        if (m->config.models[i] == model)
            return i;
    ensure(!"a model that is not in the machine's list");
    return 0;
}

enum emu_err machine_new(const struct machine_config *config, struct machine **out, struct diag *d)
{
    struct machine *m = calloc(1, sizeof(*m));

    ensure(m != NULL);
    ensure(config->vcpus >= 1 && config->vcpus <= VCPUS_MAX && config->model_count <= MODELS_MAX);
    m->config = *config;
    m->mem.bytes = config->ram_bytes;
    m->mem.ram = calloc(1, config->ram_bytes);
    ensure(m->mem.ram != NULL);
    m->random = config->seed;
    for (unsigned v = 0; v < config->vcpus; v++) {
        m->vcpus[v].state = v == 0 ? VCPU_RUNNABLE : VCPU_OFFLINE;
        m->vcpus[v].sipi_vector = -1;
        m->vcpus[v].regs.rflags = RFLAGS_FIXED | RFLAGS_IF;
    }
    memset(m->timers, 0xff, sizeof(m->timers));
    for (unsigned i = 0; i < config->model_count; i++) {
        m->state[i] = calloc(1, config->models[i]->state_bytes + 1);
        ensure(m->state[i] != NULL);
    }
    *out = m;
    for (unsigned i = 0; i < config->model_count; i++) {
        enum emu_err err = config->models[i]->init ? config->models[i]->init(m, d) : EMU_OK;

        if (err != EMU_OK)
            return err;
    }
    return EMU_OK;
}

void machine_free(struct machine *m)
{
    for (unsigned i = 0; i < m->config.model_count; i++)
        free(m->state[i]);
    free(m->mem.ram);
    free(m);
}

const struct machine_config *machine_config(const struct machine *m)
{
    return &m->config;
}

enum machine_stop_reason machine_run(struct machine *m, const struct machine_limits *limits)
{
    ensure(!"the fake machine executes nothing");
    return MACHINE_STOPPED_ASKED;
}

void machine_stop(struct machine *m)
{
}

const struct verdict *machine_verdict(const struct machine *m)
{
    return &m->verdict;
}

static void set_verdict(struct machine *m, enum verdict_kind kind, const char *detector, const char *fmt, va_list ap)
    __attribute__((format(printf, 4, 0)));

static void set_verdict(struct machine *m, enum verdict_kind kind, const char *detector, const char *fmt, va_list ap)
{
    if (m->verdict.kind != VERDICT_NONE)
        return;
    m->verdict.kind = kind;
    m->verdict.detector = detector;
    m->verdict.vcpu = m->current;
    vsnprintf(m->verdict.text, sizeof(m->verdict.text), fmt, ap);
}

void machine_set_verdict(struct machine *m, enum verdict_kind kind, const char *detector, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    set_verdict(m, kind, detector, fmt, ap);
    va_end(ap);
}

void machine_unmodelled(struct machine *m, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    set_verdict(m, VERDICT_UNMODELLED, NULL, fmt, ap);
    va_end(ap);
}

uint64_t machine_steps(const struct machine *m)
{
    return m->now_ns;
}

uint64_t machine_digest(struct machine *m)
{
    uint64_t h = memory_digest(&m->mem);

    for (unsigned i = 0; i < m->config.model_count; i++)
        for (size_t k = 0; k < m->config.models[i]->state_bytes; k++)
            h = (h ^ ((uint8_t *)m->state[i])[k]) * 0x100000001b3ull;
    return h;
}

struct memory *machine_memory(struct machine *m)
{
    return &m->mem;
}

void *machine_model_state(struct machine *m, const struct model *model)
{
    return m->state[model_index(m, model)];
}

unsigned machine_vcpus(const struct machine *m)
{
    return m->config.vcpus;
}

unsigned machine_current(const struct machine *m)
{
    return m->current;
}

uint64_t clock_now_ns(const struct machine *m)
{
    return m->now_ns;
}

void clock_charge(struct machine *m, uint64_t ns)
{
    m->now_ns += ns;
}

uint64_t machine_random(struct machine *m)
{
    m->random = m->random * 6364136223846793005ull + 1442695040888963407ull;
    return m->random ^ (m->random >> 29);
}

void machine_console(struct machine *m, uint8_t byte)
{
    if (m->console_bytes + 1 < sizeof(m->console))
        m->console[m->console_bytes++] = (char)byte;
}

/* ---- timers ---- */

void timer_arm(struct machine *m, const struct model *model, unsigned kind, unsigned vcpu, uint64_t deadline_ns)
{
    ensure(kind < TIMER_KINDS_MAX && vcpu < m->config.vcpus);
    m->timers[model_index(m, model)][kind][vcpu] = deadline_ns;
}

void timer_disarm(struct machine *m, const struct model *model, unsigned kind, unsigned vcpu)
{
    timer_arm(m, model, kind, vcpu, TIMER_NEVER);
}

uint64_t timer_deadline_ns(const struct machine *m, const struct model *model, unsigned kind, unsigned vcpu)
{
    return m->timers[model_index(m, model)][kind][vcpu];
}

static uint64_t next_timer(const struct machine *m, unsigned *model, unsigned *kind, unsigned *vcpu)
{
    uint64_t best = TIMER_NEVER;

    for (unsigned i = 0; i < m->config.model_count; i++)
        for (unsigned k = 0; k < TIMER_KINDS_MAX; k++)
            for (unsigned v = 0; v < m->config.vcpus; v++)
                if (m->timers[i][k][v] < best) {
                    best = m->timers[i][k][v];
                    *model = i, *kind = k, *vcpu = v;
                }
    return best;
}

uint64_t timer_next_ns(const struct machine *m)
{
    unsigned i = 0, k = 0, v = 0;

    return next_timer(m, &i, &k, &v);
}

void timer_expire_due(struct machine *m, uint64_t now_ns)
{
    unsigned i = 0, k = 0, v = 0;

    for (uint64_t at; (at = next_timer(m, &i, &k, &v)) != TIMER_NEVER && at <= now_ns;) {
        m->timers[i][k][v] = TIMER_NEVER;
        if (at > m->now_ns)
            m->now_ns = at;
        m->config.models[i]->timer_expired(m, k, v);
    }
}

void fake_advance_to(struct machine *m, uint64_t now_ns)
{
    timer_expire_due(m, now_ns);
    ensure(now_ns >= m->now_ns);
    m->now_ns = now_ns;
}

void fake_advance(struct machine *m, uint64_t ns)
{
    fake_advance_to(m, m->now_ns + ns);
}

/* ---- trace ---- */

void trace_add(struct machine *m, enum trace_kind kind, unsigned vcpu, uint64_t a, uint64_t b, uint64_t c)
{
    if (m->fact_count < FAKE_FACTS_MAX)
        m->facts[m->fact_count++] =
            (struct trace_fact){.kind = kind, .vcpu = vcpu, .time_ns = m->now_ns, .a = a, .b = b, .c = c};
}

void trace_listen(struct machine *m, trace_listener_fn *fn, void *context)
{
    ensure(!"the fake machine has no listeners: look at fake_fact()");
}

const char *trace_kind_name(enum trace_kind kind)
{
    return kind < TRACE_KIND_COUNT ? "fact" : "?";
}

/* ---- vCPUs ---- */

enum vcpu_state vcpu_state(const struct machine *m, unsigned vcpu)
{
    return m->vcpus[vcpu].state;
}

uint64_t vcpu_position(const struct machine *m, unsigned vcpu)
{
    return m->now_ns;
}

uint64_t vcpu_gpr(const struct machine *m, enum gpr reg)
{
    return m->vcpus[m->current].regs.gpr[reg];
}

void vcpu_set_gpr(struct machine *m, enum gpr reg, uint64_t value)
{
    m->vcpus[m->current].regs.gpr[reg] = value;
}

uint64_t vcpu_rip(const struct machine *m)
{
    return m->vcpus[m->current].regs.rip;
}

uint64_t vcpu_rflags(const struct machine *m)
{
    return m->vcpus[m->current].regs.rflags;
}

unsigned vcpu_cpl(const struct machine *m)
{
    return regs_cpl(&m->vcpus[m->current].regs);
}

unsigned vcpu_code_bits(const struct machine *m)
{
    return regs_code_bits(&m->vcpus[m->current].regs);
}

static uint64_t *engine_msr(struct vcpu_regs *r, enum engine_msr msr)
{
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
    ensure(!"not an MSR that the engine keeps");
    return NULL;
}

uint64_t vcpu_engine_msr(const struct machine *m, enum engine_msr msr)
{
    struct vcpu_regs r = m->vcpus[m->current].regs;

    return *engine_msr(&r, msr);
}

void vcpu_set_engine_msr(struct machine *m, enum engine_msr msr, uint64_t value)
{
    *engine_msr(&m->vcpus[m->current].regs, msr) = value;
}

void vcpu_get_regs(const struct machine *m, unsigned vcpu, struct vcpu_regs *r)
{
    *r = m->vcpus[vcpu].regs;
}

void vcpu_set_regs(struct machine *m, unsigned vcpu, const struct vcpu_regs *r)
{
    m->vcpus[vcpu].regs = *r;
}

/* Virtual is physical here. */
bool vcpu_read_gva(struct machine *m, unsigned vcpu, uint64_t gva, void *dst, size_t bytes, uint64_t *fault_gva)
{
    if (memory_read(&m->mem, gva, dst, bytes))
        return true;
    if (fault_gva)
        *fault_gva = gva;
    return false;
}

bool vcpu_write_gva(struct machine *m, unsigned vcpu, uint64_t gva, const void *src, size_t bytes, uint64_t *fault_gva)
{
    if (memory_write(&m->mem, gva, src, bytes))
        return true;
    if (fault_gva)
        *fault_gva = gva;
    return false;
}

bool vcpu_translate(struct machine *m, unsigned vcpu, uint64_t gva, uint64_t *gpa)
{
    *gpa = gva;
    return memory_is_ram(&m->mem, gva, 1);
}

void vcpu_kick(struct machine *m, unsigned vcpu)
{
    struct fake_vcpu *v = &m->vcpus[vcpu];

    v->kicks++;
    if (v->state == VCPU_HALTED && fake_pending_vector(m, vcpu) != MODEL_NO_VECTOR)
        v->state = VCPU_RUNNABLE;
}

bool vcpu_nmi_pending(const struct machine *m, unsigned vcpu)
{
    return m->vcpus[vcpu].nmis > 0;
}

void vcpu_raise_nmi(struct machine *m, unsigned vcpu)
{
    m->vcpus[vcpu].nmis++;
}

void vcpu_halt(struct machine *m, unsigned vcpu, const char *reason)
{
    m->vcpus[vcpu].state = VCPU_HALTED;
    m->vcpus[vcpu].wait_reason = reason;
}

void vcpu_poll(struct machine *m, unsigned vcpu, const char *reason)
{
    m->vcpus[vcpu].state = VCPU_POLLING;
    m->vcpus[vcpu].wait_reason = reason;
}

void vcpu_wake(struct machine *m, unsigned vcpu)
{
    if (m->vcpus[vcpu].state == VCPU_HALTED || m->vcpus[vcpu].state == VCPU_POLLING)
        m->vcpus[vcpu].state = VCPU_RUNNABLE;
}

void vcpu_yield(struct machine *m, unsigned vcpu)
{
    m->vcpus[vcpu].yields++;
}

void vcpu_stop(struct machine *m, unsigned vcpu)
{
    m->vcpus[vcpu].state = VCPU_OFFLINE;
}

void vcpu_reset(struct machine *m, unsigned vcpu)
{
    m->vcpus[vcpu].state = VCPU_OFFLINE;
    m->vcpus[vcpu].resets++;
    regs_init_reset(&m->vcpus[vcpu].regs);
}

void vcpu_start_sipi(struct machine *m, unsigned vcpu, uint8_t vector)
{
    m->vcpus[vcpu].state = VCPU_RUNNABLE;
    m->vcpus[vcpu].sipi_vector = vector;
}

void vcpu_start(struct machine *m, unsigned vcpu)
{
    m->vcpus[vcpu].state = VCPU_RUNNABLE;
}

void regs_init_protected32(struct vcpu_regs *r, uint64_t rip)
{
    memset(r, 0, sizeof(*r));
    r->rip = rip;
    r->rflags = RFLAGS_FIXED;
    r->cr0 = CR0_PE | CR0_ET;
    r->seg[SEG_CS].attributes = SEG_ATTR_DB | SEG_ATTR_S | SEG_ATTR_P | SEG_ATTR_CODE;
}

void regs_init_reset(struct vcpu_regs *r)
{
    memset(r, 0, sizeof(*r));
    r->rip = 0xfff0;
    r->rflags = RFLAGS_FIXED;
    r->cr0 = CR0_ET;
}

/* ---- the test's side ---- */

struct machine *fake_machine_new_config(const struct machine_config *config)
{
    struct machine *m = NULL;
    struct diag d;

    diag_init(&d);
    if (machine_new(config, &m, &d) != EMU_OK) {
        diag_print(&d, "fake_machine", stderr);
        abort();
    }
    return m;
}

struct machine *fake_machine_new(unsigned vcpus, const struct model *const *models, unsigned model_count)
{
    const struct machine_config config = {.ram_bytes = FAKE_RAM_BYTES,
                                          .vcpus = vcpus,
                                          .xen_version = 4u << 16 | 17,
                                          .seed = 1,
                                          .models = models,
                                          .model_count = model_count};

    return fake_machine_new_config(&config);
}

struct fake_vcpu *fake_vcpu(struct machine *m, unsigned vcpu)
{
    return &m->vcpus[vcpu];
}

void fake_set_current(struct machine *m, unsigned vcpu)
{
    ensure(vcpu < m->config.vcpus);
    m->current = vcpu;
}

#define ASK_MODELS(callback, ...)                                                                                      \
    do {                                                                                                               \
        for (unsigned i = 0; i < m->config.model_count; i++) {                                                         \
            const struct model *model = m->config.models[i];                                                           \
            enum model_answer answer = model->callback ? model->callback(__VA_ARGS__) : MODEL_NOT_MINE;                \
                                                                                                                       \
            if (answer != MODEL_NOT_MINE)                                                                              \
                return answer;                                                                                         \
        }                                                                                                              \
        return MODEL_NOT_MINE;                                                                                         \
    } while (0)

enum model_answer fake_port_read(struct machine *m, uint16_t port, unsigned bytes, uint32_t *value)
{
    ASK_MODELS(port_read, m, m->current, port, bytes, value);
}

enum model_answer fake_port_write(struct machine *m, uint16_t port, unsigned bytes, uint32_t value)
{
    ASK_MODELS(port_write, m, m->current, port, bytes, value);
}

enum model_answer fake_mmio_read(struct machine *m, uint64_t gpa, unsigned bytes, uint64_t *value)
{
    ASK_MODELS(mmio_read, m, m->current, gpa, bytes, value);
}

enum model_answer fake_mmio_write(struct machine *m, uint64_t gpa, unsigned bytes, uint64_t value)
{
    ASK_MODELS(mmio_write, m, m->current, gpa, bytes, value);
}

enum model_answer fake_msr_read(struct machine *m, uint32_t msr, uint64_t *value)
{
    ASK_MODELS(msr_read, m, m->current, msr, value);
}

enum model_answer fake_msr_write(struct machine *m, uint32_t msr, uint64_t value)
{
    ASK_MODELS(msr_write, m, m->current, msr, value);
}

enum model_answer fake_cpuid(struct machine *m, uint32_t leaf, uint32_t subleaf, struct cpuid_regs *r)
{
    ASK_MODELS(cpuid, m, m->current, leaf, subleaf, r);
}

enum model_answer fake_hypercall(struct machine *m)
{
    ASK_MODELS(hypercall, m, m->current);
}

static int find_vector(struct machine *m, unsigned vcpu, const struct model **from)
{
    for (unsigned i = 0; i < m->config.model_count; i++) {
        const struct model *model = m->config.models[i];
        int vector = model->pending_vector ? model->pending_vector(m, vcpu) : MODEL_NO_VECTOR;

        if (vector != MODEL_NO_VECTOR) {
            *from = model;
            return vector;
        }
    }
    return MODEL_NO_VECTOR;
}

int fake_pending_vector(struct machine *m, unsigned vcpu)
{
    const struct model *from;

    return find_vector(m, vcpu, &from);
}

int fake_accept(struct machine *m, unsigned vcpu)
{
    const struct model *from;
    int vector = find_vector(m, vcpu, &from);

    if (vector != MODEL_NO_VECTOR && from->accept_vector)
        from->accept_vector(m, vcpu, vector);
    return vector;
}

const char *fake_console(const struct machine *m)
{
    return m->console;
}

unsigned fake_fact_count(const struct machine *m)
{
    return m->fact_count;
}

const struct trace_fact *fake_fact(const struct machine *m, unsigned index)
{
    ensure(index < m->fact_count);
    return &m->facts[index];
}

int machine_pending_vector(struct machine *m, unsigned vcpu)
{
    return fake_pending_vector(m, vcpu);
}
