/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * execute: the instructions that the engine leaves to the machine: ports, MSRs, RDRAND, and what the models answer.
 */
#include <inttypes.h>
#include <string.h>

#include "emu/base/ensure.h"
#include "emu/base/plural.h"
#include "emu/exception.h"
#include "emu/machine_state.h"

#define MSR_TSC_DEADLINE 0x6e0u
#define MSR_X2APIC_FIRST 0x802u
#define MSR_X2APIC_LAST  0x83fu

static void raise_gp(struct machine *m)
{
    struct event event = {.type = EVENT_EXCEPTION, .vector = VECTOR_GP, .has_error_code = true};

    machine_deliver(m, &event);
}

static void raise_ud(struct machine *m)
{
    struct event event = {.type = EVENT_EXCEPTION, .vector = VECTOR_UD};

    machine_deliver(m, &event);
}

/* SDM Vol. 1, "I/O Permission Bit Map". */
static bool may_use_port(struct machine *m, uint16_t port, unsigned bytes)
{
    struct vcpu_regs r;
    uint16_t map = 0, bits = 0;

    engine_get_event_regs(m->engine, &r);
    if (!(r.cr0 & CR0_PE) || (!(r.rflags & RFLAGS_VM) && regs_cpl(&r) <= (r.rflags >> RFLAGS_IOPL_SHIFT & 3)))
        return true;
    if (r.tr.limit < 0x67 || !vcpu_read_gva(m, m->run.current, r.tr.base + 0x66, &map, 2, NULL) ||
        map + port / 8u + 1 > r.tr.limit ||
        !vcpu_read_gva(m, m->run.current, r.tr.base + map + port / 8u, &bits, 2, NULL))
        return false;
    return !(bits >> (port & 7) & ((1u << bytes) - 1));
}

static bool port_read(struct machine *m, uint16_t port, unsigned bytes, uint32_t *value)
{
    *value = 0;
    for (unsigned i = 0; i < m->config.model_count; i++) {
        const struct model *model = m->config.models[i];

        if (model->port_read && model->port_read(m, m->run.current, port, bytes, value) == MODEL_DONE)
            return true;
    }
    machine_unmodelled(m, "IN from port 0x%x, %u byte%s", port, bytes, plural(bytes));
    return false;
}

static bool port_write(struct machine *m, uint16_t port, unsigned bytes, uint32_t value)
{
    for (unsigned i = 0; i < m->config.model_count; i++) {
        const struct model *model = m->config.models[i];

        if (model->port_write && model->port_write(m, m->run.current, port, bytes, value) == MODEL_DONE)
            return true;
    }
    machine_unmodelled(m, "OUT of 0x%x to port 0x%x, %u byte%s", value, port, bytes, plural(bytes));
    return false;
}

static uint32_t low_mask(unsigned bytes)
{
    return bytes == 4 ? UINT32_MAX : (1u << 8 * bytes) - 1;
}

static void execute_port(struct machine *m, const struct insn *insn)
{
    uint16_t port = insn->immediate ? insn->port : (uint16_t)engine_gpr(m->engine, GPR_RDX);
    unsigned bytes = insn->operand_bytes;
    uint32_t mask = low_mask(bytes), value;
    uint64_t rax = engine_gpr(m->engine, GPR_RAX);

    if (!may_use_port(m, port, bytes)) {
        raise_gp(m);
        return;
    }
    if (insn->kind == INSN_OUT) {
        if (port_write(m, port, bytes, (uint32_t)rax & mask))
            engine_complete(m->engine, insn, false);
        return;
    }
    if (!port_read(m, port, bytes, &value))
        return;
    engine_set_gpr(m->engine, GPR_RAX, bytes == 4 ? value : (rax & ~(uint64_t)mask) | (value & mask));
    engine_complete(m->engine, insn, false);
}

#define OPERAND_BYTES_MAX 4 /* of string port instructions */

/* Where guest-virtual bytes are, all of them in RAM, with the rights of the running code; a #PF is delivered where they
   do not reach. Nothing has been read or written then. */
static bool find_memory(struct machine *m, const struct vcpu_regs *r, uint64_t gva, unsigned bytes, bool write,
                        uint64_t gpa[OPERAND_BYTES_MAX])
{
    struct paging p = {.cr0 = r->cr0, .cr3 = r->cr3, .cr4 = r->cr4, .efer = r->efer};
    unsigned access = (write ? PAGING_WRITE : 0) | (regs_cpl(r) == 3 ? PAGING_USER : 0);

    ensure(bytes <= OPERAND_BYTES_MAX);
    for (unsigned i = 0; i < bytes; i++) {
        struct paging_result w = paging_walk(m->mem, &p, gva + i, access);

        if (!w.ok) {
            struct event pf = {
                .type = EVENT_EXCEPTION, .vector = 14, .has_error_code = true, .error_code = w.error_code};

            engine_set_cr2(m->engine, gva + i);
            machine_deliver(m, &pf);
            return false;
        }
        if (!memory_is_ram(m->mem, w.gpa, 1)) {
            machine_unmodelled(
                m, "a string port instruction between a port and guest-physical 0x%" PRIx64 ", which is not RAM",
                w.gpa);
            return false;
        }
        gpa[i] = w.gpa;
    }
    return true;
}

/* What find_memory() has found; one at a time, since they may lie on two pages. */
static void copy_operand(struct machine *m, const uint64_t gpa[OPERAND_BYTES_MAX], uint32_t *value, unsigned bytes,
                         bool write)
{
    for (unsigned i = 0; i < bytes; i++) {
        uint8_t *byte = (uint8_t *)value + i;
        bool copied = write ? memory_write(m->mem, gpa[i], byte, 1) : memory_read(m->mem, gpa[i], byte, 1);

        ensure(copied);
    }
}

static uint64_t add_masked(uint64_t reg, uint64_t delta, unsigned bytes)
{
    if (bytes == 8)
        return reg + delta;
    if (bytes == 4)
        return (uint32_t)(reg + delta); /* a 32-bit result clears the upper half */
    return (reg & ~0xffffull) | ((reg + delta) & 0xffff);
}

/* One iteration. SDM Vol. 2A, "INS/INSB/INSW/INSD", Vol. 2B, "OUTS/OUTSB/OUTSW/OUTSD". */
static void execute_string_port(struct machine *m, const struct insn *insn)
{
    bool in = insn->kind == INSN_INS;
    enum gpr index = in ? GPR_RDI : GPR_RSI;
    unsigned width = insn->address_bytes;
    uint64_t mask = width == 8 ? UINT64_MAX : width == 4 ? UINT32_MAX : 0xffff, gva, count, gpa[OPERAND_BYTES_MAX];
    uint16_t port = (uint16_t)engine_gpr(m->engine, GPR_RDX);
    enum segment_register segment = in ? SEG_ES : (enum segment_register)insn->segment;
    struct vcpu_regs r;
    uint32_t value = 0;

    engine_get_event_regs(m->engine, &r);
    count = r.gpr[GPR_RCX] & mask;
    if (insn->repeated && !count) {
        engine_complete(m->engine, insn, false);
        return;
    }
    if (!may_use_port(m, port, insn->operand_bytes)) {
        raise_gp(m);
        return;
    }
    gva = r.gpr[index] & mask;
    if (regs_code_bits(&r) != 64)
        gva = (uint32_t)(gva + r.seg[segment].base);
    else if (segment == SEG_FS || segment == SEG_GS)
        gva += r.seg[segment].base;
    /* A fault comes before what the port does, which can't be undone. */
    if (!find_memory(m, &r, gva, insn->operand_bytes, in, gpa))
        return;
    if (!in)
        copy_operand(m, gpa, &value, insn->operand_bytes, false);
    if (in ? !port_read(m, port, insn->operand_bytes, &value) : !port_write(m, port, insn->operand_bytes, value))
        return;
    if (in)
        copy_operand(m, gpa, &value, insn->operand_bytes, true);
    engine_set_gpr(
        m->engine, index,
        add_masked(r.gpr[index], r.rflags & RFLAGS_DF ? -(uint64_t)insn->operand_bytes : insn->operand_bytes, width));
    if (insn->repeated)
        engine_set_gpr(m->engine, GPR_RCX, add_masked(r.gpr[GPR_RCX], UINT64_MAX, width));
    engine_complete(m->engine, insn, insn->repeated && count != 1);
}

static void execute_rdmsr(struct machine *m, const struct insn *insn)
{
    uint32_t msr = (uint32_t)engine_gpr(m->engine, GPR_RCX);

    if (vcpu_cpl(m)) {
        raise_gp(m);
        return;
    }
    for (unsigned i = 0; i < m->config.model_count; i++) {
        const struct model *model = m->config.models[i];
        uint64_t value = 0;
        enum model_answer answer = model->msr_read ? model->msr_read(m, m->run.current, msr, &value) : MODEL_NOT_MINE;

        if (answer == MODEL_NOT_MINE)
            continue;
        if (answer != MODEL_DONE) {
            raise_gp(m);
            return;
        }
        engine_set_gpr(m->engine, GPR_RAX, value & UINT32_MAX);
        engine_set_gpr(m->engine, GPR_RDX, value >> 32);
        engine_complete(m->engine, insn, false);
        return;
    }
    machine_unmodelled(m, "RDMSR of 0x%x", msr);
}

/* SDM Vol. 2D, "WRMSR": the deadline timer's MSR and those of the x2APIC are the exceptions. */
static bool wrmsr_serialises(uint32_t msr)
{
    return msr != MSR_TSC_DEADLINE && (msr < MSR_X2APIC_FIRST || msr > MSR_X2APIC_LAST);
}

static void execute_wrmsr(struct machine *m, const struct insn *insn)
{
    uint32_t msr = (uint32_t)engine_gpr(m->engine, GPR_RCX);
    uint64_t value = (engine_gpr(m->engine, GPR_RAX) & UINT32_MAX) | engine_gpr(m->engine, GPR_RDX) << 32;

    if (vcpu_cpl(m)) {
        raise_gp(m);
        return;
    }
    for (unsigned i = 0; i < m->config.model_count; i++) {
        const struct model *model = m->config.models[i];
        enum model_answer answer = model->msr_write ? model->msr_write(m, m->run.current, msr, value) : MODEL_NOT_MINE;

        if (answer == MODEL_NOT_MINE)
            continue;
        if (answer != MODEL_DONE) {
            raise_gp(m);
            return;
        }
        trace_add(m, TRACE_MSR_WRITE, m->run.current, msr, value, 0);
        engine_complete(m->engine, insn, false);
        if (wrmsr_serialises(msr))
            watch_tell_serialised(m);
        return;
    }
    machine_unmodelled(m, "WRMSR of 0x%" PRIx64 " to 0x%x", value, msr);
}

static enum model_answer ask_cpuid(struct machine *m, uint32_t leaf, uint32_t subleaf, struct cpuid_regs *r)
{
    enum model_answer answer = MODEL_NOT_MINE;

    *r = (struct cpuid_regs){0};
    for (unsigned i = 0; answer == MODEL_NOT_MINE && i < m->config.model_count; i++) {
        const struct model *model = m->config.models[i];

        if (model->cpuid)
            answer = model->cpuid(m, m->run.current, leaf, subleaf, r);
    }
    return answer;
}

bool machine_cpuid(struct machine *m, uint32_t leaf, uint32_t subleaf, struct cpuid_regs *out)
{
    return ask_cpuid(m, leaf, subleaf, out) == MODEL_DONE;
}

static void complete_if(struct machine *m, const struct insn *insn, bool done)
{
    if (!done)
        return;
    engine_complete(m->engine, insn, false);
    if (insn->flags & INSN_F_SERIALISES)
        watch_tell_serialised(m);
}

static void execute_cpuid(struct machine *m, const struct insn *insn)
{
    uint32_t leaf = (uint32_t)engine_gpr(m->engine, GPR_RAX), subleaf = (uint32_t)engine_gpr(m->engine, GPR_RCX);
    struct cpuid_regs r;
    enum model_answer answer;

    hang_probe_note_question(m);
    answer = ask_cpuid(m, leaf, subleaf, &r);
    if (answer == MODEL_NOT_MINE) {
        machine_unmodelled(m, "CPUID leaf 0x%x, subleaf 0x%x", leaf, subleaf);
        return;
    }
    if (answer != MODEL_DONE) {
        raise_gp(m);
        return;
    }
    engine_set_gpr(m->engine, GPR_RAX, r.eax);
    engine_set_gpr(m->engine, GPR_RBX, r.ebx);
    engine_set_gpr(m->engine, GPR_RCX, r.ecx);
    engine_set_gpr(m->engine, GPR_RDX, r.edx);
    complete_if(m, insn, true);
}

void machine_execute(struct machine *m, const struct insn *insn)
{
    switch (insn->kind) {
    case INSN_IN:
    case INSN_OUT:
        execute_port(m, insn);
        return;
    case INSN_RDMSR:
        execute_rdmsr(m, insn);
        return;
    case INSN_WRMSR:
        execute_wrmsr(m, insn);
        return;
    case INSN_RDRAND: /* hidden by CPUID */
    case INSN_MONITOR:
        raise_ud(m);
        return;
    case INSN_RDPMC: /* no performance counters: no counter exists */
        raise_gp(m);
        return;
    case INSN_CPUID:
        execute_cpuid(m, insn);
        return;
    case INSN_CR8:
        complete_if(m, insn, machine_access_cr8(m, insn));
        return;
    case INSN_WRITE_BASE:
        complete_if(m, insn, machine_write_base(m, insn));
        return;
    case INSN_WRITE_CR:
        complete_if(m, insn, machine_write_control_register(m, insn));
        return;
    case INSN_READ_DR:
    case INSN_WRITE_DR:
        complete_if(m, insn, machine_access_debug_register(m, insn));
        return;
    case INSN_INS:
    case INSN_OUTS:
        execute_string_port(m, insn);
        return;
    default:
        machine_set_verdict(m, VERDICT_ERROR, NULL,
                            "the engine left an instruction to the machine that it can execute");
    }
}

/* ---- callbacks of the engine ---- */

static bool on_mmio_read(void *context, uint64_t gpa, unsigned bytes, uint64_t *value)
{
    struct machine *m = context;

    *value = 0;
    m->in_engine = true;
    for (unsigned i = 0; i < m->config.model_count; i++) {
        const struct model *model = m->config.models[i];

        if (model->mmio_read && model->mmio_read(m, m->run.current, gpa, bytes, value) == MODEL_DONE) {
            m->in_engine = false;
            return true;
        }
    }
    m->in_engine = false;
    machine_unmodelled(m, "a read of %u byte%s at guest-physical 0x%" PRIx64 ", where nothing is", bytes, plural(bytes),
                       gpa);
    return false;
}

static bool on_mmio_write(void *context, uint64_t gpa, unsigned bytes, uint64_t value)
{
    struct machine *m = context;

    m->in_engine = true;
    for (unsigned i = 0; i < m->config.model_count; i++) {
        const struct model *model = m->config.models[i];

        if (model->mmio_write && model->mmio_write(m, m->run.current, gpa, bytes, value) == MODEL_DONE) {
            m->in_engine = false;
            return true;
        }
    }
    m->in_engine = false;
    machine_unmodelled(m, "a write of 0x%" PRIx64 " (%u byte%s) at guest-physical 0x%" PRIx64 ", where nothing is",
                       value, bytes, plural(bytes), gpa);
    return false;
}

/* The TSC counts nanoseconds: 1 GHz, invariant, from what the guest wrote to it. */
static uint64_t on_rdtsc(void *context)
{
    struct machine *m = context;

    return clock_read_ns(m) + (vcpu_tsc(m, m->run.current) - clock_now_ns(m));
}

static void on_written(void *context, uint64_t gpa, unsigned bytes, const uint8_t *before, uint64_t rip_gva,
                       uint64_t position)
{
    watch_note_write(context, gpa, bytes, before, rip_gva, position);
}

static bool on_inspect(void *context, uint64_t gpa, unsigned bytes)
{
    return watch_wants(context, gpa, bytes);
}

static void on_inspected(void *context, uint64_t gva, const struct insn *insn)
{
    watch_tell_executes(context, gva, insn);
}

static void on_serialised(void *context)
{
    watch_tell_serialised(context);
}

const struct engine_ops machine_engine_ops = {
    .mmio_read = on_mmio_read,
    .mmio_write = on_mmio_write,
    .rdtsc = on_rdtsc,
    .written = on_written,
    .inspect = on_inspect,
    .inspected = on_inspected,
    .serialised = on_serialised,
};
