/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * machine_exits: what the machine does when the engine needs somebody else: exceptions, hypercalls, system calls,
 * halts. The instructions that the machine executes itself are in execute.c.
 */
#include "emu/machine_state.h"

#include <inttypes.h>

#include "emu/exception.h"

static void take_hypercall(struct machine *m, const struct insn *insn)
{
    const struct event ud = {.type = EVENT_EXCEPTION, .vector = 6};

    for (unsigned i = 0; i < m->config.model_count; i++) {
        const struct model *model = m->config.models[i];
        uint64_t rip = engine_rip(m->engine);
        enum model_answer answer = model->hypercall ? model->hypercall(m, m->run.current) : MODEL_NOT_MINE;

        if (answer == MODEL_NOT_MINE)
            continue;
        if (answer == MODEL_DONE) {
            if (m->run.verdict.kind != VERDICT_UNMODELLED)
                engine_complete(m->engine, insn, engine_rip(m->engine) != rip);
            return;
        }
        break;
    }
    machine_deliver(m, &ud);
}

/* The instruction is the last of its block. If its bytes can't be read any more, since the block itself has taken their
   page away, it counts as one without prefix. */
static unsigned transition_bytes(const struct insn *insn)
{
    return insn->length ? insn->length : 2;
}

static void take_transition(struct machine *m, bool syscall, const struct insn *insn)
{
    struct vcpu_regs r;
    struct event fault;

    engine_get_regs(m->engine, &r);
    if (syscall ? transition_syscall(&r, &fault) : transition_sysenter(&r, &fault)) {
        engine_set_event_regs(m->engine, &r);
        if (r.rflags & RFLAGS_TF)
            machine_take_single_step(m);
        return;
    }
    engine_set_rip(m->engine, engine_rip(m->engine) - transition_bytes(insn));
    machine_deliver(m, &fault);
}

static void take_halt(struct machine *m)
{
    struct vcpu *v = &m->vcpu[m->run.current];
    bool masked = !(engine_rflags(m->engine) & RFLAGS_IF);

    vcpu_halt(m, m->run.current, masked ? "HLT with interrupts disabled" : "HLT");
    v->halt_masked = masked;
    for (unsigned i = 0; masked && i < m->config.model_count; i++) {
        if (m->config.models[i]->halted_masked)
            m->config.models[i]->halted_masked(m, m->run.current);
    }
}

/* The trap behind an instruction that the machine has executed, if it began with RFLAGS.TF. */
static void take_trap(struct machine *m, bool was_stepping)
{
    if (was_stepping && !m->delivered && m->run.verdict.kind == VERDICT_NONE && !m->vcpu[m->run.current].regs_waiting &&
        m->vcpu[m->run.current].state != VCPU_OFFLINE)
        machine_take_single_step(m);
}

static void take_icebp(struct machine *m, const struct insn *insn)
{
    struct event db = {.type = EVENT_EXCEPTION, .vector = VECTOR_DB, .insn_bytes = insn->length};

    engine_complete(m->engine, insn, false);
    machine_deliver(m, &db);
}

void machine_take_exit(struct machine *m, const struct engine_exit *x)
{
    bool stepping = (x->kind == ENGINE_EXIT_ALONE || x->kind == ENGINE_EXIT_VMCALL || x->kind == ENGINE_EXIT_HLT) &&
                    (engine_rflags(m->engine) & RFLAGS_TF);

    m->delivered = false;
    if (x->insn.flags & INSN_F_IRET) /* executed just before; it was watched because NMIs are blocked */
        m->vcpu[m->run.current].nmi_blocked = 0;
    switch (x->kind) {
    case ENGINE_EXIT_BOUNDARY:
    case ENGINE_EXIT_BREAK:
        return;
    case ENGINE_EXIT_EXCEPTION: {
        struct event event = {.type = x->software_int ? EVENT_SOFTWARE : EVENT_EXCEPTION,
                              .vector = (uint8_t)x->vector,
                              .has_error_code = !x->software_int && exception_has_error_code(x->vector),
                              .error_code = x->error_code,
                              .insn_bytes = x->software_int ? x->insn.length : 0};

        machine_deliver(m, &event);
        return;
    }
    case ENGINE_EXIT_ALONE:
        machine_execute(m, &x->insn);
        take_trap(m, stepping);
        return;
    case ENGINE_EXIT_VMCALL:
        take_hypercall(m, &x->insn);
        take_trap(m, stepping);
        return;
    case ENGINE_EXIT_ICEBP:
        take_icebp(m, &x->insn);
        return;
    case ENGINE_EXIT_SYSCALL:
    case ENGINE_EXIT_SYSENTER:
        take_transition(m, x->kind == ENGINE_EXIT_SYSCALL, &x->insn);
        return;
    case ENGINE_EXIT_HLT:
        if (stepping) /* the trap ends the halt at once */
            machine_take_single_step(m);
        else
            take_halt(m);
        return;
    case ENGINE_EXIT_NO_MEMORY:
        machine_unmodelled(m, "an access to guest-physical 0x%" PRIx64 ", or an instruction fetch from where no RAM is",
                           x->gpa);
        return;
    case ENGINE_EXIT_UNMODELLED:
        machine_unmodelled(m, "%s", x->text);
        return;
    case ENGINE_EXIT_BROKEN:
        machine_set_verdict(m, VERDICT_ERROR, NULL, "the CPU engine stopped: %s", x->text);
        return;
    }
}
