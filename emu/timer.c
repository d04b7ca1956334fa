/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "emu/base/ensure.h"
#include "emu/machine_state.h"

static unsigned model_index(const struct machine *m, const struct model *model)
{
    for (unsigned i = 0; i < m->config.model_count; i++)
        if (m->config.models[i] == model)
            return i;
    ensure(!"the model is one of the machine's");
    return 0;
}

static uint64_t *slot(const struct machine *m, unsigned index, unsigned kind, unsigned vcpu)
{
    ensure(kind < TIMER_KINDS_MAX);
    ensure(vcpu < m->config.vcpus);
    return &m->deadline_ns[(index * TIMER_KINDS_MAX + kind) * m->config.vcpus + vcpu];
}

static size_t slots(const struct machine *m)
{
    return (size_t)m->config.model_count * TIMER_KINDS_MAX * m->config.vcpus;
}

void timer_arm(struct machine *m, const struct model *model, unsigned kind, unsigned vcpu, uint64_t deadline_ns)
{
    *slot(m, model_index(m, model), kind, vcpu) = deadline_ns;
    engine_ask_attention(m->engine); /* the run may have to stop earlier than it was told */
}

void timer_disarm(struct machine *m, const struct model *model, unsigned kind, unsigned vcpu)
{
    *slot(m, model_index(m, model), kind, vcpu) = TIMER_NEVER;
}

uint64_t timer_deadline_ns(const struct machine *m, const struct model *model, unsigned kind, unsigned vcpu)
{
    return *slot(m, model_index(m, model), kind, vcpu);
}

uint64_t timer_next_ns(const struct machine *m)
{
    uint64_t next = TIMER_NEVER;
    const size_t count = slots(m); /* often asked for: once */

    for (size_t i = 0; i < count; i++)
        if (m->deadline_ns[i] < next)
            next = m->deadline_ns[i];
    return next;
}

uint64_t timer_next_of_vcpu_ns(const struct machine *m, unsigned vcpu)
{
    uint64_t next = TIMER_NEVER;

    for (unsigned i = 0; i < m->config.model_count * TIMER_KINDS_MAX; i++)
        if (m->deadline_ns[i * m->config.vcpus + vcpu] < next)
            next = m->deadline_ns[i * m->config.vcpus + vcpu];
    return next;
}

bool timer_delay_next(struct machine *m, uint64_t delay_ns)
{
    uint64_t next = timer_next_ns(m);
    unsigned i = 0;

    if (next == TIMER_NEVER || delay_ns >= TIMER_NEVER - next)
        return false;
    while (m->deadline_ns[i] != next)
        i++;
    m->deadline_ns[i] = next + delay_ns;
    return true;
}

void timer_expire_due(struct machine *m, uint64_t now_ns)
{
    uint64_t due;

    while ((due = timer_next_ns(m)) <= now_ns && due != TIMER_NEVER) {
        unsigned i = 0, per_model = TIMER_KINDS_MAX * m->config.vcpus;

        while (m->deadline_ns[i] != due)
            i++;
        m->deadline_ns[i] = TIMER_NEVER;
        if (m->expired[i] < 2)
            m->expired[i]++;
        m->config.models[i / per_model]->timer_expired(m, i % per_model / m->config.vcpus, i % m->config.vcpus);
    }
}

void timer_count_anew(struct machine *m)
{
    memset(m->expired, 0, slots(m));
}

bool timer_all_have_expired_twice(const struct machine *m)
{
    for (size_t i = 0; i < slots(m); i++)
        if (m->deadline_ns[i] != TIMER_NEVER && m->expired[i] < 2)
            return false;
    return true;
}
