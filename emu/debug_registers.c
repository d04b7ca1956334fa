/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * debug_registers: MOV to and from DR0 to DR7, and what they cause: instruction breakpoints, the single-step trap
 * behind what the machine itself executes, general detection.
 *
 * The engine never executes these moves: it would keep the breakpoints in a place that belongs to no vCPU. A vCPU's
 * instruction breakpoints are the engine's own while it is the current one, found anew before each run from DR7, so
 * that no state is kept of them.
 *
 * Source: SDM Vol. 3B, "Debug Registers", "Debug Exceptions"; Vol. 2B, "MOV—Move to/from Debug Registers".
 * DEVIATION: breakpoints on data and on ports are not modelled; a write to DR7 that enables one ends the run
 * UNMODELLED.
 */
#include "emu/exception.h"

#include <inttypes.h>
#include "emu/machine_state.h"

#define DR7_ENABLES(n)   (3ull << 2 * (n))
#define DR7_CONDITION(n) (3ull << (16 + 4 * (n))) /* 0: execution */

static bool raise(struct machine *m, unsigned vector, bool is_fault)
{
    struct event event = {.type = EVENT_EXCEPTION,
                          .vector = (uint8_t)vector,
                          .has_error_code = exception_has_error_code(vector),
                          .debug_fault = is_fault};

    machine_deliver(m, &event);
    return false;
}

/* DR4 and DR5 are DR6 and DR7 while CR4.DE is clear. */
static unsigned number_of(const struct insn *insn, uint64_t cr4)
{
    unsigned n = insn->special;

    if (n > 7 || ((n == 4 || n == 5) && (cr4 & CR4_DE)))
        return 8;
    return n == 4 || n == 5 ? n + 2 : n;
}

static bool write_dr7(struct machine *m, uint64_t value)
{
    for (unsigned n = 0; n < 4; n++)
        if ((value & DR7_ENABLES(n)) && (value & DR7_CONDITION(n))) {
            machine_unmodelled(m, "MOV of 0x%" PRIx64 " to DR7, which enables a breakpoint on data or ports", value);
            return false;
        }
    engine_set_debug_register(m->engine, 7, (value & DR7_WRITABLE) | DR7_FIXED);
    return true;
}

bool machine_access_debug_register(struct machine *m, const struct insn *insn)
{
    uint64_t value = engine_gpr(m->engine, (enum gpr)insn->gpr);
    struct vcpu_regs r;
    bool wide;
    unsigned n;

    engine_get_event_regs(m->engine, &r);
    n = number_of(insn, r.cr4);
    wide = regs_code_bits(&r) == 64;
    if (insn->locked || n == 8)
        return raise(m, VECTOR_UD, false);
    if (regs_cpl(&r))
        return raise(m, VECTOR_GP, false);
    if (engine_debug_register(m->engine, 7) & DR7_GD) {
        engine_set_debug_register(m->engine, 6, engine_debug_register(m->engine, 6) | DR6_BD);
        return raise(m, VECTOR_DB, true);
    }
    if (!insn->to_special) {
        engine_set_gpr(m->engine, (enum gpr)insn->gpr, engine_debug_register(m->engine, n));
        return true;
    }
    if (!wide)
        value = (uint32_t)value;
    if (n >= 6 && value >> 32)
        return raise(m, VECTOR_GP, false);
    if (n == 7)
        return write_dr7(m, value);
    engine_set_debug_register(m->engine, n, n == 6 ? (value & DR6_WRITABLE) | DR6_FIXED : value);
    return true;
}

unsigned machine_debug_breakpoints(struct machine *m, uint64_t gva[4])
{
    uint64_t dr7 = engine_debug_register(m->engine, 7);
    unsigned found = 0;

    for (unsigned n = 0; (dr7 & 0xff) && n < 4; n++)
        if ((dr7 & DR7_ENABLES(n)) && !(dr7 & DR7_CONDITION(n)))
            gva[found++] = engine_debug_register(m->engine, n);
    return found;
}

bool machine_take_debug_breakpoint(struct machine *m)
{
    uint64_t dr7 = engine_debug_register(m->engine, 7), hit = 0, rip_gva;
    struct vcpu_regs r;

    if (!(dr7 & 0xff) || (engine_rflags(m->engine) & RFLAGS_RF))
        return false;
    engine_get_event_regs(m->engine, &r);
    rip_gva = regs_code_bits(&r) == 64 ? r.rip : (uint32_t)(r.seg[SEG_CS].base + r.rip);
    for (unsigned n = 0; n < 4; n++)
        if ((dr7 & DR7_ENABLES(n)) && !(dr7 & DR7_CONDITION(n)) && engine_debug_register(m->engine, n) == rip_gva)
            hit |= 1ull << n;
    if (!hit)
        return false;
    engine_set_debug_register(m->engine, 6, (engine_debug_register(m->engine, 6) & ~DR6_B0_3) | hit);
    raise(m, VECTOR_DB, false);
    return true;
}

void machine_take_single_step(struct machine *m)
{
    engine_set_debug_register(m->engine, 6, engine_debug_register(m->engine, 6) | DR6_BS);
    raise(m, VECTOR_DB, false);
}
