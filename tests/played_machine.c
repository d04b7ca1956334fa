/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/played_machine.h"

#include <stdio.h>
#include <stdlib.h>

#include "emu/base/ensure.h"
#include "emu/machine_state.h"
#include "tests/null_engine.h"

struct played { /* what the test asks for later; freed with the engine */
    char console[PLAYED_CONSOLE_BYTES];
    size_t console_bytes;
    struct trace_fact facts[PLAYED_FACTS_MAX];
    unsigned fact_count;
};

static struct played *of(const struct machine *m)
{
    return null_engine_kept(m->engine);
}

static void note(struct machine *m, const struct trace_fact *fact, void *context)
{
    struct played *p = context;

    if (fact->kind == TRACE_CONSOLE) {
        if (p->console_bytes + 1 < sizeof(p->console))
            p->console[p->console_bytes++] = (char)fact->a;
    } else if (p->fact_count < PLAYED_FACTS_MAX) {
        p->facts[p->fact_count++] = *fact;
    }
}

struct machine *played_machine_new_config(const struct machine_config *config)
{
    struct played *p = calloc(1, sizeof(*p));
    struct machine *m = NULL;
    struct diag d;

    ensure(p != NULL);
    diag_init(&d);
    if (machine_new(config, &m, &d) != EMU_OK) {
        diag_print(&d, "played_machine", stderr);
        abort();
    }
    null_engine_keep(m->engine, p);
    trace_listen(m, note, p);
    for (unsigned v = 0; v < config->vcpus; v++)
        played_regs(m, v)->rflags |= RFLAGS_IF;
    return m;
}

struct machine *played_machine_new(unsigned vcpus, const struct model *const *models, unsigned model_count)
{
    const struct machine_config config = {.ram_bytes = PLAYED_RAM_BYTES,
                                          .vcpus = vcpus,
                                          .xen_version = 4u << 16 | 17,
                                          .models = models,
                                          .model_count = model_count};

    return played_machine_new_config(&config);
}

struct vcpu_regs *played_regs(struct machine *m, unsigned vcpu)
{
    struct vcpu *v = &m->vcpu[vcpu];
    struct vcpu_regs *regs = null_engine_regs(m->engine, vcpu);

    if (v->regs_waiting) {
        *regs = v->regs;
        v->regs_waiting = 0;
    }
    return regs;
}

bool played_turn_is_over(const struct machine *m)
{
    return m->run.yielded;
}

void played_set_state(struct machine *m, unsigned vcpu, enum vcpu_state state)
{
    ensure(vcpu < m->config.vcpus);
    m->vcpu[vcpu].state = state;
}

void played_set_current(struct machine *m, unsigned vcpu)
{
    machine_switch(m, vcpu);
}

/* Steele, Lea, Flood 2014. */
uint64_t played_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ull;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

void played_advance_to(struct machine *m, uint64_t now_ns)
{
    for (uint64_t next; (next = timer_next_ns(m)) <= now_ns;)
        machine_pass_time_to(m, next);
    machine_pass_time_to(m, now_ns);
}

void played_advance(struct machine *m, uint64_t ns)
{
    played_advance_to(m, clock_now_ns(m) + ns);
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

enum model_answer played_port_read(struct machine *m, uint16_t port, unsigned bytes, uint32_t *value)
{
    ASK_MODELS(port_read, m, m->run.current, port, bytes, value);
}

enum model_answer played_port_write(struct machine *m, uint16_t port, unsigned bytes, uint32_t value)
{
    ASK_MODELS(port_write, m, m->run.current, port, bytes, value);
}

enum model_answer played_mmio_read(struct machine *m, uint64_t gpa, unsigned bytes, uint64_t *value)
{
    ASK_MODELS(mmio_read, m, m->run.current, gpa, bytes, value);
}

enum model_answer played_mmio_write(struct machine *m, uint64_t gpa, unsigned bytes, uint64_t value)
{
    ASK_MODELS(mmio_write, m, m->run.current, gpa, bytes, value);
}

enum model_answer played_msr_read(struct machine *m, uint32_t msr, uint64_t *value)
{
    ASK_MODELS(msr_read, m, m->run.current, msr, value);
}

enum model_answer played_msr_write(struct machine *m, uint32_t msr, uint64_t value)
{
    ASK_MODELS(msr_write, m, m->run.current, msr, value);
}

enum model_answer played_cpuid(struct machine *m, uint32_t leaf, uint32_t subleaf, struct cpuid_regs *r)
{
    ASK_MODELS(cpuid, m, m->run.current, leaf, subleaf, r);
}

enum model_answer played_hypercall(struct machine *m)
{
    ASK_MODELS(hypercall, m, m->run.current);
}

int played_pending_vector(struct machine *m, unsigned vcpu)
{
    return machine_pending_vector(m, vcpu);
}

int played_accept(struct machine *m, unsigned vcpu)
{
    int vector = machine_pending_vector(m, vcpu);

    for (unsigned i = 0; vector != MODEL_NO_VECTOR && i < m->config.model_count; i++) {
        const struct model *model = m->config.models[i];

        if (!model->pending_vector || model->pending_vector(m, vcpu) != vector)
            continue;
        if (model->accept_vector)
            model->accept_vector(m, vcpu, vector);
        break;
    }
    return vector;
}

const char *played_console(const struct machine *m)
{
    return of(m)->console;
}

unsigned played_fact_count(const struct machine *m)
{
    return of(m)->fact_count;
}

const struct trace_fact *played_fact(const struct machine *m, unsigned index)
{
    ensure(index < of(m)->fact_count);
    return &of(m)->facts[index];
}
