/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * toy_machine: a real machine with the least of models: a port, an MSR, timers, one vector per vCPU, and a host that
 * may raise it. For tests of the machine and of what plays it; everything is static, a test includes it once.
 *
 * Code is 32-bit without paging unless a test says otherwise.
 */
#ifndef BOOTRACE_TESTS_TOY_MACHINE_H
#define BOOTRACE_TESTS_TOY_MACHINE_H

#include "tests/cmocka_tap.h"

#include <string.h>

#include "emu/machine.h"
#include "emu/model.h"
#include "emu/schedule.h"
#include "emu/timer.h"
#include "emu/trace.h"
#include "emu/vcpu.h"

#define RAM_BYTES 0x400000u
#define CODE      0x10000u
#define IDT       0x20000u
#define GDT       0x21000u
#define TSS       0x22000u
#define HANDLERS  0x23000u /* of vector n at HANDLERS + 64 n */
#define DATA      0x30000u
#define STACK     0x40000u /* of vCPU n at STACK + 0x1000 n, downwards */
#define TABLES    0x50000u /* page tables */

#define VECTOR     0x40
#define PORT_RAISE 0x10  /* OUT: raise VECTOR at the vCPU whose number is written */
#define PORT_NMI   0x11  /* OUT: raise an NMI there */
#define PORT_TIMER 0x12  /* OUT: in so many nanoseconds, raise VECTOR at the writer */
#define PORT_START 0x13  /* OUT: start that vCPU at CODE + 0x1000 x its number */
#define PORT_ECHO  0x14  /* OUT and IN of a value */
#define PORT_MARK  0x15  /* OUT: remember the time */
#define PORT_TALK  0x16  /* OUT: a byte on the console */
#define MSR        0x123 /* keeps its value */
#define MSR_NONE   0x124 /* refused: #GP */

#define WINDOW 0xfee00000u /* a device: reads as how often it was read */

struct toy {
    uint32_t pending[4]; /* VECTOR, by vCPU */
    uint32_t accepted;
    uint64_t msr;
    uint32_t echo, marks;
    uint64_t window_reads;
    uint64_t mark_ns[8];
    uint64_t expired_ns;
};

static const struct model toy_model;

static inline struct toy *toy_of(struct machine *m)
{
    return machine_model_state(m, &toy_model);
}

static inline void raise_vector(struct machine *m, unsigned vcpu)
{
    toy_of(m)->pending[vcpu] = 1;
    vcpu_kick(m, vcpu);
}

static inline void init_regs(struct vcpu_regs *r, unsigned vcpu)
{
    regs_init_protected32(r, CODE + 0x1000 * vcpu);
    r->gpr[GPR_RSP] = STACK + 0x1000 * vcpu;
    r->gpr[GPR_RBX] = DATA + 0x800;
    r->idtr = (struct descriptor_table){IDT, 0x7ff};
    r->gdtr = (struct descriptor_table){GDT, 0x3f};
    r->tr = (struct segment){.selector = 0x28, .base = TSS, .limit = 0x67, .attributes = 0x8b00};
    r->seg[SEG_CS].selector = 8;
    r->seg[SEG_SS].selector = 0x10;
    for (unsigned s = 0; s < SEG_COUNT; s++)
        if (s != SEG_CS && s != SEG_SS) { /* the user's, so that IRET to the user keeps them */
            r->seg[s].selector = 0x23;
            r->seg[s].attributes |= 3u << SEG_ATTR_DPL_SHIFT;
        }
}

static inline enum model_answer toy_port_write(struct machine *m, unsigned vcpu, uint16_t port, unsigned bytes,
                                               uint32_t value)
{
    struct toy *t = toy_of(m);
    struct vcpu_regs r;

    switch (port) {
    case PORT_RAISE:
        raise_vector(m, value % machine_vcpus(m));
        return MODEL_DONE;
    case PORT_NMI:
        vcpu_raise_nmi(m, value % machine_vcpus(m));
        return MODEL_DONE;
    case PORT_TIMER:
        timer_arm(m, &toy_model, 0, vcpu, clock_now_ns(m) + value);
        return MODEL_DONE;
    case PORT_START:
        value %= machine_vcpus(m);
        init_regs(&r, value);
        vcpu_set_regs(m, value, &r);
        vcpu_start(m, value);
        return MODEL_DONE;
    case PORT_ECHO:
        t->echo = value;
        return MODEL_DONE;
    case PORT_TALK:
        machine_console(m, (uint8_t)value);
        return MODEL_DONE;
    case PORT_MARK:
        if (t->marks < 8)
            t->mark_ns[t->marks++] = clock_now_ns(m);
        return MODEL_DONE;
    default:
        return MODEL_NOT_MINE;
    }
}

static inline enum model_answer toy_port_read(struct machine *m, unsigned vcpu, uint16_t port, unsigned bytes,
                                              uint32_t *value)
{
    if (port != PORT_ECHO)
        return MODEL_NOT_MINE;
    *value = toy_of(m)->echo++;
    return MODEL_DONE;
}

static inline enum model_answer toy_mmio_read(struct machine *m, unsigned vcpu, uint64_t gpa, unsigned bytes,
                                              uint64_t *value)
{
    if (gpa != WINDOW)
        return MODEL_NOT_MINE;
    *value = ++toy_of(m)->window_reads;
    return MODEL_DONE;
}

static inline enum model_answer toy_msr_read(struct machine *m, unsigned vcpu, uint32_t msr, uint64_t *value)
{
    *value = toy_of(m)->msr;
    return msr == MSR ? MODEL_DONE : msr == MSR_NONE ? MODEL_FAULT_GP : MODEL_NOT_MINE;
}

static inline enum model_answer toy_msr_write(struct machine *m, unsigned vcpu, uint32_t msr, uint64_t value)
{
    if (msr == MSR)
        toy_of(m)->msr = value;
    return msr == MSR ? MODEL_DONE : msr == MSR_NONE ? MODEL_FAULT_GP : MODEL_NOT_MINE;
}

/* PSE, PAE, FXSR, SSE and DE. */
static inline enum model_answer toy_cpuid(struct machine *m, unsigned vcpu, uint32_t leaf, uint32_t subleaf,
                                          struct cpuid_regs *r)
{
    if (leaf == 1)
        r->edx = 1u << 2 | 1u << 3 | 1u << 6 | 1u << 24 | 1u << 25;
    return leaf <= 7 || (leaf >= 0x80000000 && leaf <= 0x80000008) ? MODEL_DONE : MODEL_NOT_MINE;
}

static inline int toy_pending(struct machine *m, unsigned vcpu)
{
    return toy_of(m)->pending[vcpu] ? VECTOR : MODEL_NO_VECTOR;
}

static inline void toy_accept(struct machine *m, unsigned vcpu, int vector)
{
    toy_of(m)->pending[vcpu] = 0;
    toy_of(m)->accepted++;
}

static inline void toy_expired(struct machine *m, unsigned kind, unsigned vcpu)
{
    toy_of(m)->expired_ns = clock_now_ns(m);
    raise_vector(m, vcpu);
}

static inline enum model_answer toy_host_act(struct machine *m, const struct decision *d, struct diag *diag)
{
    if (d->kind != DECISION_IPI)
        return MODEL_NOT_MINE;
    if (d->value != VECTOR) {
        (void)!diag_set(diag, EMU_EINPUT, "a toy takes one vector only");
        return MODEL_REFUSED;
    }
    raise_vector(m, d->vcpu);
    return MODEL_DONE;
}

static const struct model toy_model = {
    .name = "toy",
    .state_bytes = sizeof(struct toy),
    .port_read = toy_port_read,
    .port_write = toy_port_write,
    .mmio_read = toy_mmio_read,
    .cpuid = toy_cpuid,
    .msr_read = toy_msr_read,
    .msr_write = toy_msr_write,
    .pending_vector = toy_pending,
    .accept_vector = toy_accept,
    .host_act = toy_host_act,
    .timer_expired = toy_expired,
};

static const struct model *const models[] = {&toy_model};

/* ---- a machine with descriptor tables, handlers, and code ---- */

static inline void put(struct machine *m, uint64_t gpa, const void *bytes, size_t count)
{
    assert_true(memory_write(machine_memory(m), gpa, bytes, count));
}

#define CODE_AT(m, gpa, ...)                                                                                           \
    do {                                                                                                               \
        static const uint8_t code_bytes[] = {__VA_ARGS__};                                                             \
        put(m, gpa, code_bytes, sizeof(code_bytes));                                                                   \
    } while (0)

static inline uint32_t word(struct machine *m, uint64_t gpa)
{
    uint32_t v;

    assert_true(memory_read(machine_memory(m), gpa, &v, 4));
    return v;
}

static inline void set_gate(struct machine *m, unsigned vector, unsigned dpl, bool present)
{
    uint32_t handler = HANDLERS + 64 * vector;
    uint32_t gate[2] = {8u << 16 | (handler & 0xffff),
                        (handler & 0xffff0000) | (present ? 0x8000 : 0) | dpl << 13 | 0xe00};

    put(m, IDT + vector * 8, gate, 8);
}

/* Every handler: INC [DATA + 4 x vector], and IRET; those of exceptions halt instead. */
static inline struct machine *new_machine(unsigned vcpus)
{
    static const uint64_t gdt[] = {
        0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00cffb000000ffff, 0x00cff3000000ffff, 0x00008b022000ffff};
    static const uint32_t tss[3] = {0, STACK - 0x800, 0x10};
    static const uint16_t no_port_map = 0x68;
    struct machine_config config = {.ram_bytes = RAM_BYTES, .vcpus = vcpus, .models = models, .model_count = 1};
    struct machine *m;
    struct vcpu_regs r;
    struct diag d;

    if (machine_new(&config, &m, &d) != EMU_OK)
        fail_msg("%s", d.text);
    put(m, GDT, gdt, sizeof(gdt));
    put(m, TSS, tss, sizeof(tss));
    put(m, TSS + 0x66, &no_port_map, 2);
    for (unsigned v = 0; v < 256; v++) {
        uint8_t handler[] = {
            0xff, 0x05, 0, 0, 0, 0, v < 32 && v != 2 && v != 3 ? 0xf4 : 0xcf}; /* inc [..]; hlt or iret */
        uint32_t counter = DATA + 4 * v;

        memcpy(handler + 2, &counter, 4);
        put(m, HANDLERS + 64 * v, handler, sizeof(handler));
        set_gate(m, v, 0, true);
    }
    init_regs(&r, 0);
    vcpu_set_regs(m, 0, &r);
    return m;
}

static inline struct machine *new_machine_with(const uint8_t *code, size_t bytes)
{
    struct machine *m = new_machine(1);

    put(m, CODE, code, bytes);
    return m;
}
#define MACHINE(...) new_machine_with((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static inline enum machine_stop_reason run_to(struct machine *m, uint64_t steps)
{
    return machine_run(m, &(struct machine_limits){.steps_max = steps});
}

static inline const struct verdict *run(struct machine *m)
{
    assert_int_not_equal(run_to(m, 10000000), MACHINE_STOPPED_STEPS);
    return machine_verdict(m);
}

static inline unsigned taken(struct machine *m, unsigned vector)
{
    return word(m, DATA + 4 * vector);
}

static inline uint64_t gpr(struct machine *m, enum gpr reg)
{
    struct vcpu_regs r;

    vcpu_get_regs(m, 0, &r);
    return r.gpr[reg];
}

static inline void assert_verdict(struct machine *m, enum verdict_kind kind, const char *says)
{
    const struct verdict *v = machine_verdict(m);

    if (v->kind != kind || !strstr(v->text, says))
        fail_msg("expected %s '%s', got %s '%s'", verdict_kind_name(kind), says, verdict_kind_name(v->kind), v->text);
}

/* The place at which an interrupt was taken: what its frame says, which is still below the stack pointer. */
static inline uint32_t interrupted_at(struct machine *m)
{
    return word(m, STACK - 12) - CODE;
}

#endif
