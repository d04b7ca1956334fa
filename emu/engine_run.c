/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Running the loaded vCPU to an exact boundary, and what ends a run. How steps are counted: engine_blocks.c. */
#include "emu/engine_state.h"

#include "emu/base/ensure.h"
#include "emu/exception.h"
#include "emu/progress.h"

/* The translator stopped inside the pending block, or behind it: commit what was executed. Returns the last executed
   instruction's tally. Valid after peek(). */
static struct tally commit_partial(struct engine *e)
{
    struct tally t = {0};

    if (e->pend_steps) {
        uint64_t pc = peeked_linear_rip(e);

        if (pc >= e->block_pc && pc - e->block_pc < e->block_size) {
            t = engine_tally(e, bits_of_hflags(peeked_hflags(e)), e->block_pc, (uint32_t)(pc - e->block_pc));
        } else {
            t = engine_tally(e, bits_of_hflags(peeked_hflags(e)), e->block_pc, e->block_size);
            t.steps = e->pend_steps;
            t.ns = e->pend_ns;
        }
        e->steps += t.steps;
        e->now_ns += t.ns;
        e->pend_steps = 0;
        e->pend_ns = 0;
    }
    return t;
}

/* The engine raises no #CP: an exception of that vector is an INT. */
static bool has_error_code(unsigned vector)
{
    return exception_has_error_code(vector) && vector != VECTOR_CP;
}

/* Start the translator at RIP; returns why it stopped. */
static enum stop start(struct engine *e)
{
    uint64_t rip;
    uc_err err;

    e->stop = STOP_NONE;
    e->hot_limit_ns = 0; /* the first block is looked at */
    e->pend_steps = 0;
    e->pend_ns = 0;
    e->stats.runs++;
    err = uc_emu_start(e->uc, read_reg(e->uc, UC_X86_REG_RIP), 0, 0, 0);
    rip = read_reg(e->uc, UC_X86_REG_RIP);
    if (engine_is_wrapped(e, rip) && e->stop != STOP_EXCEPTION)
        write_reg(e->uc, UC_X86_REG_RIP, (uint32_t)rip);
    if (err != UC_ERR_OK && e->stop == STOP_NONE) {
        e->broken = uc_strerror(err);
        e->stop = STOP_BROKEN;
    }
    if ((e->after & AFTER_EPOCH) && e->stop != STOP_BAD_CR3 && engine_cr3_is_bad(e)) {
        commit_whole(e); /* the fetch of what comes next has failed */
        e->after = 0;
        e->stop = STOP_BAD_CR3;
    }
    return e->stop;
}

/* Turn a stop into an exit; false if the run goes on. */
/* NOLINTNEXTLINE(readability-function-size): a case for each exit */
static bool take_exit(struct engine *e, enum stop stop, struct engine_exit *x)
{
    struct tally t;

    memset(x, 0, sizeof(*x));
    switch (stop) {
    case STOP_BOUNDARY:
        x->kind = ENGINE_EXIT_BOUNDARY;
        if (e->iret_done)
            x->insn = (struct insn){.kind = INSN_IRET, .flags = INSN_F_IRET};
        e->iret_done = false;
        e->asked = false;
        return true;
    case STOP_NONE:
        if (e->pend_steps > 1) { /* HLT is the last of its block */
            e->steps += e->pend_steps - 1;
            e->pend_steps = 1;
        }
        engine_report_leave(e);
        commit_whole(e);
        x->kind = ENGINE_EXIT_HLT;
        return true;
    case STOP_SYSCALL:
    case STOP_SYSENTER:
        peek(e);
        x->insn = engine_tally(e, bits_of_hflags(peeked_hflags(e)), e->block_pc, e->block_size).last;
        commit_whole(e);
        x->kind = stop == STOP_SYSCALL ? ENGINE_EXIT_SYSCALL : ENGINE_EXIT_SYSENTER;
        return true;
    case STOP_EXCEPTION:
        peek(e);
        t = commit_partial(e);
        x->kind = ENGINE_EXIT_EXCEPTION;
        x->vector = e->vector;
        x->software_int = t.steps && t.last.kind == INSN_INT && !has_error_code(e->vector);
        e->after &= ~AFTER_IRET;
        if (t.steps && (x->software_int || (t.last.flags & INSN_F_IRET)))
            x->insn = t.last;
        if (has_error_code(e->vector) && !x->software_int)
            x->error_code = context_u32(e->scratch, e->quirk.error_code);
        context_set_u32(e->scratch, e->quirk.old_exception, UINT32_MAX);
        uc_context_restore(e->uc, e->scratch);
        if (e->vector == VECTOR_GP && !x->error_code && !x->software_int) {
            enum undo undo = engine_undo_branch(e, &t, e->block_pc + e->block_size);

            if (undo == UNDO_IMPOSSIBLE) {
                x->kind = ENGINE_EXIT_UNMODELLED;
                x->text = "a far transfer, IRET or SYSRET to an address that is not canonical";
                return true;
            }
        }
        if (!x->software_int)
            x->vector = engine_true_vector(e, e->vector, x->error_code);
        if (e->vector == VECTOR_PF)
            engine_drop_translations(e); /* the fault says that what we believed of a page may be over */
        if (e->vector == VECTOR_PF && !(peeked_hflags(e) & HF_CS64) && read_reg(e->uc, UC_X86_REG_RIP) >> 32) {
            engine_set_rip(e, (uint32_t)engine_rip(e)); /* engine_is_wrapped(): nothing is known of the true target */
            return false;
        }
        return true;
    case STOP_INVALID: {
        uint8_t code[INSN_BYTES_MAX];
        uint64_t pc;

        peek(e);
        commit_partial(e);
        pc = peeked_linear_rip(e);
        decoder_decode(e->dec, bits_of_hflags(peeked_hflags(e)), code, engine_fetch_code(e, pc, code, sizeof(code)),
                       &x->insn);
        if (x->insn.kind == INSN_VMCALL)
            engine_report_leave(e);
        x->kind = x->insn.kind == INSN_VMCALL  ? ENGINE_EXIT_VMCALL
                  : x->insn.kind == INSN_ICEBP ? ENGINE_EXIT_ICEBP
                                               : ENGINE_EXIT_EXCEPTION;
        x->vector = 6;
        return true;
    }
    case STOP_BAD_CR3: /* MOV to CR3 is the last of its block */
        write_reg(e->uc, UC_X86_REG_CR3, e->cr3_before);
        write_reg(e->uc, UC_X86_REG_CR2, e->cr2_before);
        engine_drop_translations(e);
        peek(e);
        context_set_u32(e->scratch, e->quirk.old_exception, UINT32_MAX);
        uc_context_restore(e->uc, e->scratch);
        t = engine_tally(e, bits_of_hflags(peeked_hflags(e)), e->block_pc, e->block_size);
        write_reg(e->uc, UC_X86_REG_RIP, e->block_pc + e->block_size - t.last.length);
        e->steps--;
        e->now_ns -= 1 + t.last.price_ns;
        x->kind = ENGINE_EXIT_EXCEPTION;
        x->vector = 13;
        return true;
    case STOP_NO_MEMORY:
        peek(e);
        commit_partial(e);
        x->kind = ENGINE_EXIT_NO_MEMORY;
        x->gpa = e->gpa;
        return true;
    case STOP_BROKEN:
        x->kind = ENGINE_EXIT_BROKEN;
        x->text = e->broken;
        return true;
    case STOP_PRECISE:
    case STOP_STEPPED:
    case STOP_WRAPPED:
    case STOP_DEVICE:
        break;
    }
    return false;
}

/* Decode the instruction at RIP. Valid after peek(). */
static bool insn_at_rip(struct engine *e, struct insn *insn)
{
    uint8_t code[INSN_BYTES_MAX];
    size_t got = engine_fetch_code(e, peeked_linear_rip(e), code, sizeof(code));

    return decoder_decode(e->dec, bits_of_hflags(peeked_hflags(e)), code, got, insn);
}

/* Execute the instruction at RIP, which is `insn`, and nothing more. STOP_STEPPED if that went well. */
static enum stop step_one(struct engine *e, const struct insn *insn, bool alone)
{
    enum stop stop;

    e->stats.single_steps++;
    e->step_insn = *insn;
    e->step = STEP_ARMED;
    e->alone = alone;
    e->device_done = false;
    e->shadow_is_ours = false;
    if (!(insn->flags & INSN_F_NATURAL)) {
        peek(e);
        if (!(peeked_hflags(e) & HF_INHIBIT_IRQ)) {
            e->shadow_is_ours = true;
            context_set_u32(e->scratch, e->quirk.hflags, peeked_hflags(e) | HF_INHIBIT_IRQ);
            uc_context_restore(e->uc, e->scratch);
        }
    }
    stop = start(e);
    e->step = STEP_OFF;
    e->alone = false;
    if (stop != STOP_STEPPED && !(insn->flags & INSN_F_NATURAL)) {
        /* A fault leaves our flag behind. The true shadow, had there been one, ended with the attempt as well: an
           exception's delivery ends it, and a device access is repeated at once. */
        peek(e);
        if (peeked_hflags(e) & HF_INHIBIT_IRQ) {
            context_set_u32(e->scratch, e->quirk.hflags, peeked_hflags(e) & ~HF_INHIBIT_IRQ);
            uc_context_restore(e->uc, e->scratch);
        }
    }
    return stop;
}

/* Execute the instruction at RIP, which accesses a device. False if nothing is there: then it has not happened. */
static bool step_device(struct engine *e, const struct insn *insn, enum stop *stop)
{
    uint64_t steps = e->steps, now_ns = e->now_ns;

    uc_context_save(e->uc, e->before);
    e->device_refused = false;
    *stop = step_one(e, insn, true);
    if (!e->device_refused)
        return true;
    uc_context_restore(e->uc, e->before);
    e->steps = steps;
    e->now_ns = now_ns;
    e->pend_steps = 0;
    e->pend_ns = 0;
    e->asked = false;
    return false;
}

/* Of an inspected vCPU: `insn`, which was at `pc`, was tried. It may have been executed and the fetch behind it fault.
 */
static void note_serialised(struct engine *e, const struct insn *insn, uint64_t pc, enum stop stop)
{
    if (!e->inspect || !(insn->flags & INSN_F_SERIALISES))
        return;
    if (stop == STOP_EXCEPTION || stop == STOP_NO_MEMORY) {
        peek(e);
        if (peeked_linear_rip(e) == pc)
            return;
    } else if (stop != STOP_STEPPED) {
        return;
    }
    e->ops.serialised(e->ops_context);
}

/* Whether the machine wants to be asked right behind `insn`. */
static bool is_watched(const struct engine *e, const struct insn *insn)
{
    return ((insn->flags & INSN_F_IF) && e->watch_if) || ((insn->flags & INSN_F_IRET) && e->watch_iret);
}

/* NOLINTNEXTLINE(readability-function-size): the order of these steps is the rule */
struct engine_exit engine_run(struct engine *e, uint64_t limit_ns, uint64_t limit_steps)
{
    struct engine_exit x = {.kind = ENGINE_EXIT_BOUNDARY};
    uint64_t precise_from = 0, precise_to = 0; /* linear addresses to go through step by step */
    struct progress progress = {0};

    for (;;) {
        enum stop stop;
        struct insn insn;

        if (!progress_is_made(&progress, e->steps, e->now_ns)) {
            x.kind = ENGINE_EXIT_BROKEN;
            x.text = "it was started again and again and made no step";
            return x;
        }
        if (e->asked || e->now_ns >= limit_ns || e->steps >= limit_steps) {
            e->asked = false;
            x.kind = ENGINE_EXIT_BOUNDARY;
            return x;
        }
        if (memory_pop_holes_changed(e->mem))
            engine_take_holes(e);
        if (e->unmapped) {
            x.kind = ENGINE_EXIT_BROKEN;
            x.text = "the CPU engine can't map the guest's memory as it is now";
            return x;
        }
        engine_drop_stale_code(e);
        e->limit_ns = limit_steps - e->steps < limit_ns - e->now_ns ? e->now_ns + (limit_steps - e->steps) : limit_ns;
        if (precise_to) {
            uint64_t pc;
            bool is_inside, is_insn;

            peek(e);
            pc = peeked_linear_rip(e);
            is_inside = pc >= precise_from && pc < precise_to;
            is_insn = is_inside && insn_at_rip(e, &insn);

            if (is_inside)
                e->unreadable_pc = is_insn ? UINT64_MAX : pc;
            if (is_inside && e->inspect) {
                e->ops.inspected(e->ops_context, pc, &insn);
                if (e->asked)
                    continue;
            }
            if (is_inside && engine_break_flag(e, pc, 1) && e->broke_at_steps != e->steps) {
                e->broke_at_steps = e->steps;
                x.kind = ENGINE_EXIT_BREAK;
                return x;
            }
            if (!is_insn) {
                precise_to = 0;
                if (pc >= precise_from)
                    precise_from = pc;
                stop = start(e);
                e->unreadable_pc = UINT64_MAX; /* it may be written */
            } else if (insn.flags & INSN_F_ALONE) {
                e->block_pc = pc;
                engine_report_fetch(e, pc, insn.length);
                if (!(insn.flags & INSN_F_PRIVATE))
                    engine_report_leave(e);
                x.kind = ENGINE_EXIT_ALONE;
                x.insn = insn;
                return x;
            } else {
                precise_from = pc;
                stop = step_one(e, &insn, false);
                note_serialised(e, &insn, pc, stop);
                if (stop == STOP_STEPPED && is_watched(e, &insn)) {
                    x.kind = ENGINE_EXIT_BOUNDARY;
                    x.insn = insn;
                    return x;
                }
            }
        } else {
            stop = start(e);
        }
        if (stop == STOP_PRECISE) {
            precise_from = e->block_pc;
            precise_to = e->block_pc + e->block_size;
        } else if (stop == STOP_DEVICE) {
            e->after &= AFTER_EPOCH; /* the block's end, at which the rest was due, was not reached */
            peek(e);
            commit_partial(e);
            if (!insn_at_rip(e, &insn)) {
                x.kind = ENGINE_EXIT_BROKEN;
                x.text = "a device access by something that is no instruction";
                return x;
            }
            if (!step_device(e, &insn, &stop)) {
                x.kind = ENGINE_EXIT_BOUNDARY;
                return x;
            }
            if (stop == STOP_STEPPED && !e->device_done) {
                x.kind = ENGINE_EXIT_BROKEN;
                x.text = "a device access that can't be repeated alone (an instruction with many accesses?)";
                return x;
            }
            if (stop == STOP_STEPPED && is_watched(e, &insn)) {
                x.kind = ENGINE_EXIT_BOUNDARY;
                x.insn = insn;
                return x;
            }
        }
        if (take_exit(e, stop, &x))
            return x;
    }
}

void engine_set_breakpoints(struct engine *e, const uint64_t *gva, unsigned count)
{
    ensure(count <= ENGINE_BREAKPOINTS_MAX);
    if (count == e->breakpoints && !memcmp(gva, e->breakpoint, count * sizeof(*gva)))
        return;
    if (count)
        memcpy(e->breakpoint, gva, count * sizeof(*gva));
    e->breakpoints = count;
    engine_drop_translations(e); /* every block is looked at again before it runs */
}

void engine_ask_attention(struct engine *e)
{
    e->asked = true;
    e->hot_limit_ns = 0;
}

void engine_inspect(struct engine *e, uint64_t vcpus)
{
    e->inspected = vcpus;
    e->inspect = e->loaded && (vcpus >> e->current & 1);
    if (e->inspect)
        e->hot_limit_ns = 0;
}

void engine_watch(struct engine *e, bool interrupt_flag, bool iret)
{
    e->watch_if = interrupt_flag;
    e->watch_iret = iret;
}

void engine_complete(struct engine *e, const struct insn *insn, bool rip_set)
{
    peek(e);
    if (peeked_hflags(e) & HF_INHIBIT_IRQ) {
        context_set_u32(e->scratch, e->quirk.hflags, peeked_hflags(e) & ~HF_INHIBIT_IRQ);
        uc_context_restore(e->uc, e->scratch);
    }
    if (!rip_set) {
        uint64_t rip = read_reg(e->uc, UC_X86_REG_RIP) + insn->length;

        write_reg(e->uc, UC_X86_REG_RIP, bits_of_hflags(peeked_hflags(e)) == 64 ? rip : (uint32_t)rip);
    }
    e->steps++;
    e->now_ns += 1 + insn->price_ns;
    if (insn->flags & INSN_F_EPOCH)
        engine_drop_translations(e);
}

void engine_count_step(struct engine *e)
{
    e->steps++;
    e->now_ns++;
}

uint64_t engine_now_ns(const struct engine *e)
{
    return e->now_ns + e->extra_ns;
}

void engine_set_now_ns(struct engine *e, uint64_t now_ns)
{
    ensure(now_ns >= e->now_ns);
    e->now_ns = now_ns;
}
