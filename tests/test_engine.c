/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The engine's promises: where a run is stopped never changes what it does or how it counts.
 */
#include "tests/cmocka_tap.h"

#include <string.h>

#include "emu/base/count.h"
#include "emu/engine.h"
#include "emu/memory.h"
#include "emu/regs.h"
#include "emu/vcpu.h"

#define RAM_BYTES     0x200000u
#define CODE_GPA      0x10000u
#define DATA_GPA      0x20000u
#define STACK_GPA     0x30000u
#define DIRECTORY_GPA 0x40000u

struct world {
    struct memory *mem;
    struct engine *engine;
    unsigned device_reads, device_writes;
    uint64_t device_write_ns;
};

static bool device_read(void *context, uint64_t gpa, unsigned bytes, uint64_t *value)
{
    struct world *w = context;

    w->device_reads++;
    *value = gpa == 0xfee00030 ? 0x50014 : 0;
    return true;
}

static bool device_write(void *context, uint64_t gpa, unsigned bytes, uint64_t value)
{
    struct world *w = context;

    w->device_writes++;
    w->device_write_ns = engine_now_ns(w->engine);
    return true;
}

static uint64_t rdtsc(void *context)
{
    struct world *w = context;

    return engine_now_ns(w->engine);
}

static const struct engine_ops ops = {.mmio_read = device_read, .mmio_write = device_write, .rdtsc = rdtsc};

/* As engine_run(), and CPUID says 0x12345678. */
static struct engine_exit go(struct engine *e, uint64_t limit_ns, uint64_t limit_steps)
{
    for (;;) {
        struct engine_exit x = engine_run(e, limit_ns, limit_steps);

        if (x.kind != ENGINE_EXIT_ALONE || x.insn.kind != INSN_CPUID)
            return x;
        engine_set_gpr(e, GPR_RAX, 0x12345678);
        engine_set_gpr(e, GPR_RBX, 0);
        engine_set_gpr(e, GPR_RCX, 0);
        engine_set_gpr(e, GPR_RDX, 0);
        engine_complete(e, &x.insn, false);
    }
}

static void world_init(struct world *w, const uint8_t *code, size_t bytes)
{
    struct diag d;
    struct vcpu_regs r;

    memset(w, 0, sizeof(*w));
    assert_int_equal(memory_new(RAM_BYTES, &w->mem, &d), EMU_OK);
    if (engine_new(w->mem, 2, &ops, w, &w->engine, &d) != EMU_OK)
        fail_msg("%s", d.text);
    assert_true(memory_write(w->mem, CODE_GPA, code, bytes));
    engine_switch(w->engine, 0);
    regs_init_protected32(&r, CODE_GPA);
    r.gpr[GPR_RSP] = STACK_GPA;
    r.gpr[GPR_RBX] = DATA_GPA;
    engine_set_regs(w->engine, &r);
}

static void world_fini(struct world *w)
{
    engine_free(w->engine);
    memory_free(w->mem);
}

/* 32-bit code: loops, calls, string instructions, flags, STI, TSC, CPUID, a patched instruction; ends in HLT. */
static const uint8_t program[] = {
    0xb9, 0x05, 0x00, 0x00, 0x00,             /* mov ecx, 5 */
    0x89, 0xc8,                               /* 1: mov eax, ecx */
    0x01, 0x03,                               /* add [ebx], eax */
    0x50,                                     /* push eax */
    0x9c,                                     /* pushf */
    0x58,                                     /* pop eax */
    0x58,                                     /* pop eax */
    0x83, 0x43, 0x04, 0x03,                   /* add dword [ebx+4], 3 */
    0x49,                                     /* dec ecx */
    0x75, 0xf1,                               /* jnz 1b */
    0xfc,                                     /* cld */
    0x8d, 0x7b, 0x40,                         /* lea edi, [ebx+0x40] */
    0x89, 0xde,                               /* mov esi, ebx */
    0xb9, 0x07, 0x00, 0x00, 0x00,             /* mov ecx, 7 */
    0xf3, 0xa4,                               /* rep movsb */
    0x31, 0xc9,                               /* xor ecx, ecx */
    0xf3, 0xaa,                               /* rep stosb, no iteration */
    0xfb,                                     /* sti */
    0x90,                                     /* nop */
    0xfa,                                     /* cli */
    0x0f, 0x31,                               /* rdtsc */
    0x89, 0x43, 0x10,                         /* mov [ebx+0x10], eax */
    0xf3, 0x90,                               /* pause */
    0x31, 0xc0,                               /* xor eax, eax */
    0x0f, 0xa2,                               /* cpuid */
    0xbb, 0x00, 0x00, 0x02, 0x00,             /* mov ebx, DATA_GPA */
    0x89, 0x43, 0x14,                         /* mov [ebx+0x14], eax */
    0xc6, 0x05, 0x4c, 0x00, 0x01, 0x00, 0x41, /* mov byte [patched], 0x41: inc ecx */
    0x42,                                     /* inc edx */
    0xeb, 0x00,                               /* jmp 2f */
    0x49,                                     /* 2: patched: dec ecx */
    0x89, 0x4b, 0x18,                         /* mov [ebx+0x18], ecx */
    0xa1, 0x30, 0x00, 0xe0, 0xfe,             /* mov eax, [0xfee00030] */
    0x42,                                     /* inc edx */
    0xa3, 0x80, 0x00, 0xe0, 0xfe,             /* mov [0xfee00080], eax */
    0x0f, 0x31,                               /* rdtsc */
    0xf4,                                     /* hlt */
};

struct point {
    struct vcpu_regs regs;
    uint64_t now_ns;
    uint64_t ram;
};

static void look(struct world *w, struct point *p)
{
    memset(p, 0, sizeof(*p));
    engine_get_regs(w->engine, &p->regs);
    p->now_ns = engine_now_ns(w->engine);
    p->ram = memory_digest(w->mem);
}

/* The state after each step, one step a time. Returns the number of steps. */
static unsigned reference(struct point *points, unsigned max)
{
    struct world w;
    unsigned n = 0;

    world_init(&w, program, sizeof(program));
    for (;;) {
        struct engine_exit x;

        look(&w, &points[n]);
        x = go(w.engine, UINT64_MAX, n + 1);

        if (x.kind == ENGINE_EXIT_HLT)
            break;
        assert_int_equal(x.kind, ENGINE_EXIT_BOUNDARY);
        n++;
        assert_int_equal(engine_steps(w.engine, 0), n);
        assert_true(n + 1 < max);
    }
    assert_int_equal(engine_steps(w.engine, 0), n + 1);
    assert_int_equal(w.device_reads, 1);
    assert_int_equal(w.device_writes, 1);
    look(&w, &points[n + 1]);
    world_fini(&w);
    return n + 1;
}

static void assert_same(const struct point *a, const struct point *b, unsigned step)
{
    if (a->regs.rip != b->regs.rip || a->now_ns != b->now_ns || a->ram != b->ram)
        print_message("# step %u: rip %#lx %#lx now %lu %lu\n", step, (unsigned long)a->regs.rip,
                      (unsigned long)b->regs.rip, (unsigned long)a->now_ns, (unsigned long)b->now_ns);
    assert_int_equal(a->regs.rip, b->regs.rip);
    assert_int_equal(a->now_ns, b->now_ns);
    assert_int_equal(a->ram, b->ram);
    assert_memory_equal(&a->regs, &b->regs, sizeof(a->regs));
}

#define POINTS 200
static struct point points[POINTS];

static void a_run_to_any_step_equals_single_steps(void **state)
{
    unsigned n = reference(points, POINTS);

    for (unsigned target = 1; target < n; target++) {
        struct world w;
        struct point p;

        world_init(&w, program, sizeof(program));
        assert_int_equal(go(w.engine, UINT64_MAX, target).kind, ENGINE_EXIT_BOUNDARY);
        assert_int_equal(engine_steps(w.engine, 0), target);
        look(&w, &p);
        assert_same(&points[target], &p, target);
        world_fini(&w);
    }
}

static void extra_stops_change_nothing(void **state)
{
    unsigned n = reference(points, POINTS);

    for (unsigned stride = 2; stride < 12; stride++) {
        struct world w;
        struct point p;
        struct engine_exit x;
        uint64_t target = 0;

        world_init(&w, program, sizeof(program));
        do {
            target += stride;
            x = go(w.engine, UINT64_MAX, target);
        } while (x.kind == ENGINE_EXIT_BOUNDARY);
        assert_int_equal(x.kind, ENGINE_EXIT_HLT);
        assert_int_equal(engine_steps(w.engine, 0), n);
        look(&w, &p);
        assert_same(&points[n], &p, n);
        world_fini(&w);
    }
}

static void a_time_limit_stops_at_the_first_boundary_at_or_after_it(void **state)
{
    unsigned n = reference(points, POINTS);

    for (uint64_t limit = 1; limit < points[n - 1].now_ns; limit += 7) {
        struct world w;
        struct point p;
        unsigned k = 0;

        world_init(&w, program, sizeof(program));
        assert_int_equal(go(w.engine, limit, UINT64_MAX).kind, ENGINE_EXIT_BOUNDARY);
        look(&w, &p);
        while (points[k].now_ns < limit)
            k++;
        assert_int_equal(engine_steps(w.engine, 0), k);
        assert_same(&points[k], &p, k);
        world_fini(&w);
    }
}

static void a_second_vcpu_in_between_changes_nothing(void **state)
{
    unsigned n = reference(points, POINTS);
    struct world w;
    struct vcpu_regs idle;
    struct point p;
    struct engine_exit x;
    uint64_t target = 0, other = 0, other_ns = 0;
    static const uint8_t spin[] = {0x40, 0x43, 0xeb, 0xfc}; /* 1: inc eax; inc ebx; jmp 1b */

    world_init(&w, program, sizeof(program));
    assert_true(memory_write(w.mem, CODE_GPA + 0x1000, spin, sizeof(spin)));
    regs_init_protected32(&idle, CODE_GPA + 0x1000);
    engine_switch(w.engine, 1);
    engine_set_regs(w.engine, &idle);
    engine_switch(w.engine, 0);
    do {
        uint64_t before;

        target += 3;
        x = go(w.engine, UINT64_MAX, target);
        engine_switch(w.engine, 1);
        before = engine_now_ns(w.engine);
        other += 5;
        assert_int_equal(go(w.engine, UINT64_MAX, other).kind, ENGINE_EXIT_BOUNDARY);
        other_ns += engine_now_ns(w.engine) - before;
        engine_switch(w.engine, 0);
    } while (x.kind == ENGINE_EXIT_BOUNDARY);
    look(&w, &p);
    assert_int_equal(engine_steps(w.engine, 0), n);
    assert_int_equal(engine_steps(w.engine, 1), other);
    assert_int_equal(p.now_ns - other_ns, points[n].now_ns);
    assert_int_equal(p.regs.rip, points[n].regs.rip);
    world_fini(&w);
}

static void a_write_of_the_host_into_translated_code_is_seen(void **state)
{
    struct world w;
    uint8_t code[] = {0x40, 0xeb, 0xfd}; /* 1: inc eax; jmp 1b */

    world_init(&w, code, sizeof(code));
    go(w.engine, UINT64_MAX, 20);
    assert_int_equal(engine_gpr(w.engine, GPR_RAX), 10);
    code[0] = 0x41; /* inc ecx */
    assert_true(memory_write(w.mem, CODE_GPA, code, 1));
    go(w.engine, UINT64_MAX, 40);
    assert_int_equal(engine_gpr(w.engine, GPR_RAX), 10);
    assert_int_equal(engine_gpr(w.engine, GPR_RCX), 10);
    world_fini(&w);
}

/* Runs what is at CODE_GPA to its HLT; says how many steps that were. */
static uint64_t steps_to_hlt(struct world *w)
{
    uint64_t before = engine_steps(w->engine, 0);

    engine_set_rip(w->engine, CODE_GPA);
    assert_int_equal(go(w->engine, UINT64_MAX, UINT64_MAX).kind, ENGINE_EXIT_HLT);
    return engine_steps(w->engine, 0) - before;
}

static void other_code_of_the_same_length_is_counted_as_it_is(void **state)
{
    static const uint8_t one_nop[] = {0x0f, 0x1f, 0x44, 0, 0, 0xf4}; /* nop of 5 bytes; hlt */
    static const uint8_t five_nops[] = {0x90, 0x90, 0x90, 0x90, 0x90, 0xf4};
    struct world w;

    world_init(&w, one_nop, sizeof(one_nop));
    for (unsigned i = 0; i < 3; i++) {
        assert_true(memory_write(w.mem, CODE_GPA, one_nop, sizeof(one_nop)));
        assert_int_equal(steps_to_hlt(&w), 2);
        assert_true(memory_write(w.mem, CODE_GPA, five_nops, sizeof(five_nops)));
        assert_int_equal(steps_to_hlt(&w), 6);
    }
    world_fini(&w);
}

static void code_that_another_vcpu_has_written_is_counted_as_it_is(void **state)
{
    static const uint8_t one_nop[] = {0x0f, 0x1f, 0x44, 0, 0, 0xf4};
    static const uint8_t poke[] = {0xc7, 0x05, 0, 0, 1, 0, 0x90, 0x90, 0x90, 0x90, /* mov dword [CODE_GPA], nops */
                                   0xc6, 0x05, 4, 0, 1, 0, 0x90, 0xf4};            /* mov byte [CODE_GPA + 4]; hlt */
    struct vcpu_regs other;
    struct world w;

    world_init(&w, one_nop, sizeof(one_nop));
    assert_true(memory_write(w.mem, CODE_GPA + 0x1000, poke, sizeof(poke)));
    regs_init_protected32(&other, CODE_GPA + 0x1000);
    engine_switch(w.engine, 1);
    engine_set_regs(w.engine, &other);
    engine_switch(w.engine, 0);
    assert_int_equal(steps_to_hlt(&w), 2);
    engine_switch(w.engine, 1);
    assert_int_equal(go(w.engine, UINT64_MAX, UINT64_MAX).kind, ENGINE_EXIT_HLT);
    engine_switch(w.engine, 0);
    assert_int_equal(steps_to_hlt(&w), 6);
    world_fini(&w);
}

static void a_fault_in_the_middle_of_a_block_counts_what_was_executed(void **state)
{
    struct world w;
    static const uint8_t code[] = {0x40, 0x40, 0x8e, 0xd8, 0x40, 0xf4}; /* inc; inc; mov ds, eax (#GP) */
    struct engine_exit x;

    world_init(&w, code, sizeof(code));
    engine_set_gpr(w.engine, GPR_RAX, 0x4560);
    x = go(w.engine, UINT64_MAX, UINT64_MAX);

    assert_int_equal(x.kind, ENGINE_EXIT_EXCEPTION);
    assert_int_equal(x.vector, 13);
    assert_int_equal(x.error_code, 0x4560);
    assert_int_equal(engine_steps(w.engine, 0), 2);
    assert_int_equal(engine_rip(w.engine), CODE_GPA + 2);
    /* The next one in a row is still the same, not a double fault. */
    x = go(w.engine, UINT64_MAX, UINT64_MAX);
    assert_int_equal(x.vector, 13);
    world_fini(&w);
}

static void port_and_msr_instructions_are_left_to_the_machine(void **state)
{
    struct world w;
    static const uint8_t code[] = {0x40, 0xe6, 0x80, 0x40, 0x0f, 0x32, 0xf4}; /* inc; out 0x80, al; inc; rdmsr */
    struct engine_exit x;

    world_init(&w, code, sizeof(code));
    x = go(w.engine, UINT64_MAX, UINT64_MAX);

    assert_int_equal(x.kind, ENGINE_EXIT_ALONE);
    assert_int_equal(x.insn.kind, INSN_OUT);
    assert_int_equal(x.insn.port, 0x80);
    assert_int_equal(engine_steps(w.engine, 0), 1);
    engine_complete(w.engine, &x.insn, false);
    x = go(w.engine, UINT64_MAX, UINT64_MAX);
    assert_int_equal(x.insn.kind, INSN_RDMSR);
    assert_int_equal(engine_steps(w.engine, 0), 3);
    world_fini(&w);
}

/* mov eax,[ebx]; mov [ebx],ecx; mov edx,[ebx]; lock xadd [ebx],ecx; mov dword [ebx-2],0x11223344; mov esi,[ebx]; hlt;
   and again. */
static const uint8_t hole_program[] = {0x8b, 0x03, 0x89, 0x0b, 0x8b, 0x13, 0xf0, 0x0f, 0xc1, 0x0b, 0xc7,
                                       0x43, 0xfe, 0x44, 0x33, 0x22, 0x11, 0x8b, 0x33, 0xf4, 0xeb, 0xea};

static void run_to_halt(struct world *w)
{
    uint64_t before = engine_steps(w->engine, 0);
    struct engine_exit x;

    do
        x = go(w->engine, UINT64_MAX, UINT64_MAX);
    while (x.kind == ENGINE_EXIT_BOUNDARY); /* a write to a watched page */
    assert_int_equal(x.kind, ENGINE_EXIT_HLT);
    assert_int_equal(engine_steps(w->engine, 0) - before, before ? 8 : 7);
}

static void assert_gpr(struct world *w, enum gpr reg, uint32_t value)
{
    assert_int_equal((uint32_t)engine_gpr(w->engine, reg), value);
}

static void a_hole_reads_its_content_and_loses_what_is_written(void **state)
{
    static const struct memory_hole hole = {DATA_GPA, PAGE_BYTES};
    struct world w;
    uint32_t value;

    world_init(&w, hole_program, sizeof(hole_program));
    for (unsigned round = 0; round < 3; round++) {
        engine_set_gpr(w.engine, GPR_RCX, 7);
        assert_true(memory_fill(w.mem, DATA_GPA - 4, 0, 4));
        assert_true(memory_fill(w.mem, DATA_GPA, 0xff, PAGE_BYTES));
        memory_set_holes(w.mem, &hole, 1);
        run_to_halt(&w);
        assert_gpr(&w, GPR_RAX, UINT32_MAX);
        assert_gpr(&w, GPR_RDX, UINT32_MAX);
        assert_gpr(&w, GPR_RCX, UINT32_MAX);
        assert_gpr(&w, GPR_RSI, UINT32_MAX);
        assert_false(memory_read(w.mem, DATA_GPA, &value, sizeof(value)));
        assert_false(memory_write(w.mem, DATA_GPA + PAGE_BYTES - 1, &value, 2));
        assert_true(memory_peek(w.mem, DATA_GPA, &value, sizeof(value)));
        assert_int_equal(value, UINT32_MAX);
        assert_true(memory_read(w.mem, DATA_GPA - 4, &value, sizeof(value)));
        assert_int_equal(value, 0x33440000);
        memory_set_holes(w.mem, NULL, 0);
        engine_set_gpr(w.engine, GPR_RCX, 7);
        run_to_halt(&w);
        assert_gpr(&w, GPR_RAX, UINT32_MAX);
        assert_gpr(&w, GPR_RDX, 7);
        assert_gpr(&w, GPR_RSI, 0x1122);
        assert_true(memory_read(w.mem, DATA_GPA, &value, sizeof(value)));
        assert_int_equal(value, 0x1122);
    }
    world_fini(&w);
}

/* As many as there may be, in an order that splits and joins what is mapped; and what is watched stays watched. */
static void many_holes_come_and_go(void **state)
{
    enum { EVERY = 2, FIRST_PAGE = 64, HOLES = 200 };
    struct memory_hole hole[HOLES];
    struct world w;
    struct diag d;
    uint32_t value;

    world_init(&w, hole_program, sizeof(hole_program));
    assert_int_equal(engine_watch_writes(w.engine, DATA_GPA, 8, &d), EMU_OK);
    for (unsigned n = 0; n <= HOLES; n += 20) {
        for (unsigned i = 0; i < n; i++)
            hole[i] = (struct memory_hole){(FIRST_PAGE + (uint64_t)i * EVERY + n / 20 % 2) * PAGE_BYTES, PAGE_BYTES};
        memory_set_holes(w.mem, NULL, 0); /* the engine does not see this */
        assert_true(memory_fill(w.mem, FIRST_PAGE * PAGE_BYTES, 0, (EVERY * HOLES + 2) * PAGE_BYTES));
        memory_set_holes(w.mem, hole, n);
        engine_set_gpr(w.engine, GPR_RBX, n ? hole[n / 2].gpa : DATA_GPA);
        run_to_halt(&w);
        assert_gpr(&w, GPR_RSI, n ? (uint32_t)0 : 0x1122); /* nobody has filled it with ones */
        engine_set_gpr(w.engine, GPR_RBX, n ? hole[n - 1].gpa + PAGE_BYTES : DATA_GPA);
        run_to_halt(&w);
        assert_gpr(&w, GPR_RSI, 0x1122);
    }
    memory_set_holes(w.mem, NULL, 0);
    engine_set_gpr(w.engine, GPR_RBX, FIRST_PAGE * PAGE_BYTES);
    run_to_halt(&w);
    assert_true(memory_read(w.mem, FIRST_PAGE * PAGE_BYTES, &value, sizeof(value)));
    assert_int_equal(value, 0x1122);
    world_fini(&w);
}

/* 32-bit code with the first 4 MiB mapped as they are, and once more at 0xa0000000. */
static void paged_world_init(struct world *w, const uint8_t *code, size_t bytes)
{
    const uint32_t directory = 0x83;
    struct vcpu_regs r;

    world_init(w, code, bytes);
    assert_true(memory_write(w->mem, DIRECTORY_GPA, &directory, sizeof(directory)));
    assert_true(memory_write(w->mem, DIRECTORY_GPA + (0xa0000000u >> 22) * 4, &directory, sizeof(directory)));
    engine_get_regs(w->engine, &r);
    r.cr4 |= CR4_PSE;
    r.cr3 = DIRECTORY_GPA;
    r.cr0 |= CR0_PG;
    engine_set_regs(w->engine, &r);
}

static void a_page_fault_of_32_bit_code_has_a_32_bit_address(void **state)
{
    static const struct {
        uint8_t code[16];
        uint32_t cr2;
    } rows[] = {
        {{0xa1, 0x10, 0, 0, 0x80}, 0x80000010},                         /* mov eax, [0x80000010] */
        {{0x8b, 0x0d, 0x10, 0, 0, 0x80}, 0x80000010},                   /* mov ecx, [0x80000010] */
        {{0xb9, 0x20, 0, 0, 0x80, 0x8b, 0x41, 0xf0}, 0x80000010},       /* mov eax, [ecx - 16], ECX 0x80000020 */
        {{0x31, 0xc9, 0x88, 0x41, 0xf0}, 0xfffffff0},                   /* mov [ecx - 16], al, ECX 0 */
        {{0xb9, 0x10, 0, 0, 0xff, 0xf0, 0x0f, 0xc1, 0x01}, 0xff000010}, /* lock xadd [ecx], eax */
        {{0xb9, 0x10, 0, 0, 0x80, 0x0f, 0xab, 0x09}, 0x70000010},       /* bts [ecx], ecx: a bit far below */
        {{0xb9, 0x10, 0, 0, 0x80, 0x0f, 0xc7, 0x09}, 0x80000010},       /* cmpxchg8b [ecx] */
        {{0xb9, 0x10, 0, 0, 0x80, 0x0f, 0xae, 0x01}, 0x80000010},       /* fxsave [ecx] */
        {{0xbc, 0x14, 0, 0, 0x80, 0x50}, 0x80000010},                   /* push eax */
        {{0xbc, 0x10, 0, 0, 0x80, 0xcf}, 0x80000010},                   /* iret */
        {{0xbe, 0x10, 0, 0, 0x80, 0xa4}, 0x80000010},                   /* movsb */
        {{0xa3, 0xfe, 0xff, 0xff, 0x80}, 0x80fffffe},                   /* mov [0x80fffffe], eax */
        {{0x0f, 0x01, 0x15, 0x10, 0, 0, 0x80}, 0x80000010},             /* lgdt [0x80000010] */
        {{0xb9, 0x10, 0, 0, 0x80, 0xff, 0xe1}, 0x80000010},             /* jmp ecx */
        {{0xe8, 0, 0, 0, 0x90}, 0x90010005},                            /* call 0x90010005 */
        {{0x31, 0xc0, 0x0f, 0x84, 0, 0, 0, 0x90}, 0x90010008},          /* je 0x90010008, taken */
        {{0x85, 0xe4, 0x0f, 0x85, 0, 0, 0, 0x90}, 0x90010008},          /* jne 0x90010008, taken */
    };

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct world w;
        struct vcpu_regs r;
        struct engine_exit x;

        paged_world_init(&w, rows[i].code, sizeof(rows[i].code));
        x = go(w.engine, UINT64_MAX, 10);
        engine_get_regs(w.engine, &r);
        if (x.kind != ENGINE_EXIT_EXCEPTION || x.vector != 14 || r.cr2 != rows[i].cr2)
            print_message("# row %u: exit %u, vector %u, CR2 %#lx\n", i, x.kind, x.vector, (unsigned long)r.cr2);
        assert_int_equal(x.kind, ENGINE_EXIT_EXCEPTION);
        assert_int_equal(x.vector, 14);
        assert_int_equal(r.cr2, rows[i].cr2);
        assert_int_equal(r.rip >> 32, 0);
        world_fini(&w);
    }
}

/* The library leaves a conditional jump's target as a signed number. */
static void a_jump_over_two_gigabytes_arrives_where_32_bits_say(void **state)
{
    /* xor eax, eax; je 0xa0010008; 0xa0010008: inc ecx; mov edx, [0x90000000], which faults */
    static const uint8_t code[] = {0x31, 0xc0, 0x0f, 0x84, 0, 0, 0, 0xa0, 0x41, 0x8b, 0x15, 0, 0, 0, 0x90};

    for (unsigned stop_at = 1; stop_at <= 4; stop_at++) {
        struct world w;
        struct vcpu_regs r;

        paged_world_init(&w, code, sizeof(code));
        if (stop_at < 4) {
            assert_int_equal(go(w.engine, UINT64_MAX, stop_at).kind, ENGINE_EXIT_BOUNDARY);
            assert_int_equal(engine_steps(w.engine, 0), stop_at);
            engine_get_regs(w.engine, &r);
            assert_int_equal(r.rip, stop_at == 1 ? CODE_GPA + 2 : stop_at == 2 ? 0xa0010008 : 0xa0010009);
            assert_int_equal(engine_rip(w.engine), r.rip);
        }
        assert_int_equal(go(w.engine, UINT64_MAX, 10).kind, ENGINE_EXIT_EXCEPTION);
        engine_get_regs(w.engine, &r);
        assert_int_equal(r.rip, 0xa0010009);
        assert_int_equal(r.cr2, 0x90000000);
        assert_int_equal(r.gpr[GPR_RCX], 1);
        assert_int_equal(engine_steps(w.engine, 0), 3);
        world_fini(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_to_any_step_equals_single_steps),
        cmocka_unit_test(extra_stops_change_nothing),
        cmocka_unit_test(a_time_limit_stops_at_the_first_boundary_at_or_after_it),
        cmocka_unit_test(a_second_vcpu_in_between_changes_nothing),
        cmocka_unit_test(a_write_of_the_host_into_translated_code_is_seen),
        cmocka_unit_test(other_code_of_the_same_length_is_counted_as_it_is),
        cmocka_unit_test(code_that_another_vcpu_has_written_is_counted_as_it_is),
        cmocka_unit_test(a_fault_in_the_middle_of_a_block_counts_what_was_executed),
        cmocka_unit_test(a_hole_reads_its_content_and_loses_what_is_written),
        cmocka_unit_test(many_holes_come_and_go),
        cmocka_unit_test(port_and_msr_instructions_are_left_to_the_machine),
        cmocka_unit_test(a_page_fault_of_32_bit_code_has_a_32_bit_address),
        cmocka_unit_test(a_jump_over_two_gigabytes_arrives_where_32_bits_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
