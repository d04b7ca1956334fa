/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * machine_turns: which vCPU runs: turns, vCPUs that are switched in and out, halted ones that wake, and time in which
 * no vCPU can run. The top of machine.c describes the default schedule.
 */
#include "emu/machine_state.h"

#include "emu/base/ensure.h"

static bool is_to_wake(struct machine *m, unsigned vcpu)
{
    const struct vcpu *v = &m->vcpu[vcpu];

    return v->state == VCPU_HALTED && v->kicked &&
           (v->nmi_pending || (!v->halt_masked && machine_pending_vector(m, vcpu) != MODEL_NO_VECTOR));
}

bool machine_can_run(struct machine *m, unsigned vcpu)
{
    return m->vcpu[vcpu].state == VCPU_RUNNABLE || is_to_wake(m, vcpu);
}

/* A halted vCPU whose interrupt has come runs on. */
void machine_wake_halted(struct machine *m)
{
    for (unsigned i = 0; i < m->config.vcpus; i++) {
        if (is_to_wake(m, i))
            vcpu_wake(m, i);
        else if (m->vcpu[i].state == VCPU_HALTED && m->vcpu[i].kicked)
            m->vcpu[i].kicked = 0;
    }
}

static void tell_switched_out(struct machine *m, unsigned v)
{
    for (unsigned k = 0; k < m->config.model_count; k++)
        if (m->config.models[k]->vcpu_switched_out)
            m->config.models[k]->vcpu_switched_out(m, v);
}

static void tell_switched_in(struct machine *m, unsigned v)
{
    for (unsigned k = 0; k < m->config.model_count; k++)
        if (m->config.models[k]->vcpu_switched_in)
            m->config.models[k]->vcpu_switched_in(m, v);
}

static void switch_to(struct machine *m, unsigned v)
{
    if (v == m->run.current) {
        if (m->vcpu[v].regs_waiting)
            machine_switch(m, v);
        return;
    }
    tell_switched_out(m, m->run.current);
    machine_switch(m, v);
    tell_switched_in(m, v);
}

void machine_take_away(struct machine *m, uint64_t ns)
{
    tell_switched_out(m, m->run.current);
    machine_pass_time_to(m, engine_now_ns(m->engine) + ns);
    tell_switched_in(m, m->run.current);
}

/* The turn that `vcpu` begins now, by how many are runnable. `*first`: no runnable vCPU has a lower number. */
static uint64_t turn_ns(const struct machine *m, unsigned vcpu, bool *first)
{
    uint64_t runnable = 0;

    *first = true;
    for (unsigned v = 0; v < m->config.vcpus; v++) {
        if (m->vcpu[v].state != VCPU_RUNNABLE)
            continue;
        runnable++;
        if (v < vcpu)
            *first = false;
    }
    return runnable > MACHINE_ROUND_NS / MACHINE_TURN_NS ? MACHINE_ROUND_NS / runnable : MACHINE_TURN_NS;
}

static void begin_turn(struct machine *m, unsigned v)
{
    uint64_t ns;
    bool first;

    m->run.yielded = false;
    ns = turn_ns(m, v, &first);
    m->run.turn_end_ns = engine_now_ns(m->engine) + ns;
    /* Short turns are looked at once a round: who repeats something does so in whole rounds. */
    if (ns == MACHINE_TURN_NS || first || m->run.hang.pinned)
        hang_check_turn(m);
    m->host_acts = true;
    switch_to(m, v);
    m->host_acts = false;
}

bool machine_give_turn(struct machine *m, unsigned vcpu)
{
    ensure(vcpu < m->config.vcpus);
    if (!machine_can_run(m, vcpu))
        return false;
    machine_wake_halted(m);
    begin_turn(m, vcpu);
    return true;
}

/* Whose turn it is now; false if nobody can run. */
bool machine_pick_vcpu(struct machine *m, const struct machine_limits *limits)
{
    unsigned n = m->config.vcpus;
    bool turn_over = m->run.yielded || engine_now_ns(m->engine) >= m->run.turn_end_ns;

    machine_wake_halted(m);
    if (limits->pinned) {
        if (m->vcpu[limits->vcpu].state != VCPU_RUNNABLE)
            return false;
        if (m->run.current != limits->vcpu || turn_over || m->vcpu[limits->vcpu].regs_waiting)
            begin_turn(m, limits->vcpu);
        return true;
    }
    if (m->vcpu[m->run.current].state == VCPU_RUNNABLE && !turn_over) {
        switch_to(m, m->run.current);
        return true;
    }
    for (unsigned i = 1; i <= n; i++) {
        unsigned v = (m->run.current + i) % n;

        if (m->vcpu[v].state == VCPU_RUNNABLE) {
            begin_turn(m, v);
            return true;
        }
    }
    return false;
}

/* The host's CPU has nobody to run until then: who was on it last leaves it, as for another vCPU. */
void machine_pass_idle_time(struct machine *m, uint64_t deadline_ns)
{
    m->host_acts = true;
    tell_switched_out(m, m->run.current);
    machine_pass_time_to(m, deadline_ns);
    machine_wake_halted(m);
    if (m->vcpu[m->run.current].state == VCPU_RUNNABLE)
        tell_switched_in(m, m->run.current);
    m->host_acts = false;
}
