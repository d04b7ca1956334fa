/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What preempt leaves out is nothing: small random guests of two or three vCPUs that race in memory, take a lock,
 * change each other's code and are interrupted, searched with all that it leaves out and with every boundary a place
 * for every move, end in the same set of states. Arguments: how many guests with one move, and with two; the first
 * seed.
 */
#include "tests/toy_machine.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "emu/base/count.h"
#include "fuzz/search/search.h"
#include "fuzz/search/strategy.h"

#define VCPUS        3u
#define VARIABLES    4u
#define VARIABLE     (DATA + 0x800u) /* eight bytes apart: a place each */
#define LOCK         (DATA + 0x880u)
#define CODE_BYTES   400u
#define WINDOW_MAX   45u
#define RUN_STEPS    260u
#define SETTLE_STEPS 40u
#define STATES_MAX   65536u

struct states {
    uint64_t hash[STATES_MAX];
    unsigned count;
    struct machine *m;
};

static uint64_t seed;

static unsigned draw(unsigned n)
{
    return (unsigned)strategy_random_below(&seed, n);
}

/* ---- a guest ---- */

struct code {
    uint8_t byte[CODE_BYTES];
    unsigned bytes;
    unsigned patchable; /* where the immediate of an instruction lies that the other one may change; 0: none */
};

static void emit(struct code *c, const uint8_t *bytes, unsigned count)
{
    assert_true(c->bytes + count <= CODE_BYTES);
    memcpy(c->byte + c->bytes, bytes, count);
    c->bytes += count;
}
#define EMIT(c, ...) emit(c, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void emit_word(struct code *c, uint32_t w)
{
    emit(c, (const uint8_t *)&w, 4);
}

static uint32_t some_variable(void)
{
    return VARIABLE + 8 * draw(VARIABLES);
}

/* mov eax, [x]; add eax, k; mov [y], eax: others may come between. */
static void emit_copy(struct code *c)
{
    EMIT(c, 0xa1);
    emit_word(c, some_variable());
    EMIT(c, 0x83, 0xc0, (uint8_t)draw(5));
    EMIT(c, 0xa3);
    emit_word(c, some_variable());
}

static void emit_increment(struct code *c)
{
    EMIT(c, 0xff, 0x05); /* inc [x] */
    emit_word(c, some_variable());
}

static void emit_store(struct code *c)
{
    EMIT(c, 0xc7, 0x05); /* mov [x], k */
    emit_word(c, some_variable());
    if (!c->patchable)
        c->patchable = c->bytes;
    emit_word(c, draw(3));
}

/* cmp [x], k; jne over inc [y] */
static void emit_condition(struct code *c)
{
    EMIT(c, 0x83, 0x3d);
    emit_word(c, some_variable());
    EMIT(c, (uint8_t)draw(3), 0x75, 6);
    emit_increment(c);
}

static void emit_locked_copy(struct code *c)
{
    EMIT(c, 0xf0, 0x0f, 0xba, 0x2d); /* 1: lock bts [LOCK], 0 */
    emit_word(c, LOCK);
    EMIT(c, 0, 0x72, 0xf5); /* jc 1b */
    emit_copy(c);
    EMIT(c, 0xc7, 0x05); /* mov [LOCK], 0 */
    emit_word(c, LOCK);
    emit_word(c, 0);
}

static void emit_port(struct code *c)
{
    EMIT(c, 0xe5, PORT_ECHO); /* in eax, PORT_ECHO: counts */
}

/* hlt: until an interrupt comes. */
static void emit_wait(struct code *c)
{
    EMIT(c, 0xf4);
}

/* mov al, v; out PORT_RAISE, al: an interrupt for another one, or for itself */
static void emit_raise(struct code *c)
{
    EMIT(c, 0xb0, (uint8_t)draw(VCPUS), 0xe6, PORT_RAISE);
}

static void emit_some(struct code *c, unsigned count, bool interrupts)
{
    static void (*const kinds[])(struct code *c) = {emit_copy,  emit_copy,      emit_increment,   emit_store,
                                                    emit_store, emit_condition, emit_locked_copy, emit_port,
                                                    emit_raise, emit_wait};

    for (unsigned i = 0; i < count; i++)
        kinds[draw(interrupts ? COUNT(kinds) : COUNT(kinds) - 2)](c);
}

/* The other one's instruction gets another immediate; a byte only, so that it is never torn. */
static void emit_patch(struct code *c, unsigned vcpu, const struct code *other)
{
    if (!other->patchable || draw(2))
        return;
    EMIT(c, 0xc6, 0x05); /* mov byte [patchable], k */
    emit_word(c, CODE + 0x1000 * vcpu + other->patchable);
    EMIT(c, (uint8_t)(16 + draw(4)));
}

static struct machine *some_guest(unsigned vcpus, unsigned size, bool interrupts)
{
    struct machine *m = new_machine(vcpus);
    struct code code[VCPUS] = {{.bytes = 0}}, handler = {.bytes = 0};

    for (unsigned v = 1; v < vcpus; v++)
        EMIT(&code[0], 0xb8, (uint8_t)v, 0, 0, 0, 0xe7, PORT_START); /* mov eax, v; out PORT_START, eax */
    for (unsigned v = 0; v < vcpus && interrupts; v++)
        EMIT(&code[v], 0xfb); /* sti */
    for (unsigned v = 1; v < vcpus; v++)
        emit_some(&code[v], 1 + draw(size), interrupts);
    emit_some(&code[0], draw(size), interrupts);
    emit_patch(&code[0], 1, &code[1]);
    emit_some(&code[0], 1 + draw(size), interrupts);
    for (unsigned v = 0; v < vcpus; v++) {
        EMIT(&code[v], 0xeb, 0xfe); /* jmp to itself */
        put(m, CODE + 0x1000 * v, code[v].byte, code[v].bytes);
    }
    EMIT(&handler, 0x50); /* push eax */
    if (draw(2))
        emit_copy(&handler);
    else
        emit_increment(&handler);
    EMIT(&handler, 0x58, 0xcf); /* pop eax; iret */
    put(m, HANDLERS + 64 * VECTOR, handler.byte, handler.bytes);
    assert_int_equal(run_to(m, 2 * (vcpus - 1)), MACHINE_STOPPED_STEPS);
    return m;
}

/* ---- in which states it ends ---- */

/* All have come to where they spin or wait; what is pending for one that had no turn is taken here. */
static void let_all_settle(struct machine *m)
{
    for (unsigned i = 0; i < 3 * machine_vcpus(m); i++) {
        struct machine_limits limits = {.steps_max = machine_steps(m) + SETTLE_STEPS,
                                        .pinned = true,
                                        .pinned_until_waits = true,
                                        .vcpu = i % machine_vcpus(m)};

        while (machine_run(m, &limits) == MACHINE_STOPPED_ASKED)
            ;
    }
}

static bool note_state(void *context, const struct search_report *r)
{
    struct states *s = context;
    uint64_t hash = 0xcbf29ce484222325ull ^ (machine_verdict(s->m)->kind == VERDICT_FAIL);
    uint8_t memory[0x100];
    struct vcpu_regs regs;

    if (!r->runs)
        return false;
    let_all_settle(s->m);
    assert_true(memory_read(machine_memory(s->m), VARIABLE, memory, sizeof(memory)));
    for (unsigned i = 0; i < sizeof(memory); i++)
        hash = (hash ^ memory[i]) * 0x100000001b3ull;
    for (unsigned v = 0; v < machine_vcpus(s->m); v++) {
        vcpu_get_regs(s->m, v, &regs);
        hash = (hash ^ regs.gpr[GPR_RAX]) * 0x100000001b3ull;
        hash = (hash ^ regs.rip) * 0x100000001b3ull;
        hash = (hash ^ regs.gpr[GPR_RSP]) * 0x100000001b3ull;
    }
    for (unsigned i = 0; i < s->count; i++)
        if (s->hash[i] == hash)
            return false;
    assert_true(s->count < STATES_MAX);
    s->hash[s->count++] = hash;
    return false;
}

static uint64_t search(struct machine *m, unsigned depth, bool interrupts, bool every, struct states *s)
{
    struct search_options o = {.machine = m,
                               .strategy = &strategy_preempt,
                               .strategy_options = {.interleave = true,
                                                    .window_steps = WINDOW_MAX,
                                                    .run_steps_max = RUN_STEPS,
                                                    .every_boundary = every,
                                                    .depth = depth},
                               .end = {.steps_max = RUN_STEPS},
                               .runs_max = UINT64_MAX,
                               .progress = note_state,
                               .context = s};
    static struct search_report r;
    uint64_t runs;
    struct diag d;

    if (interrupts)
        o.strategy_options.source[o.strategy_options.sources++] =
            (struct source){.kind = DECISION_IPI, .vcpu = DECISION_ANY_VCPU, .value = VECTOR};
    s->count = 0;
    s->m = m;
    if (search_run(&o, &r, &d) != EMU_OK)
        fail_msg("%s", d.text);
    assert_true(r.exhausted);
    assert_int_equal(r.by_kind[TRIAL_PASS] + r.by_kind[TRIAL_FAIL], r.runs); /* all may wait for ever */
    runs = r.runs;
    search_report_fini(&r);
    return runs;
}

static bool has(const struct states *s, uint64_t hash)
{
    for (unsigned i = 0; i < s->count; i++)
        if (s->hash[i] == hash)
            return true;
    return false;
}

static uint64_t first_seed = 1;
static unsigned guests[3] = {0, 120, 12};

static void same_states(unsigned depth)
{
    static struct states all, some;
    uint64_t runs_all = 0, runs_some = 0, states = 0;

    for (unsigned i = 0; i < guests[depth]; i++) {
        bool interrupts;
        struct machine *m;

        seed = (first_seed + i) * 1000003 + depth;
        interrupts = draw(2);
        m = draw(4) || depth > 1 ? some_guest(2, depth == 1 ? 4 : 2, interrupts) : some_guest(3, 2, interrupts);
        runs_some += search(m, depth, interrupts, false, &some);
        runs_all += search(m, depth, interrupts, true, &all);
        states += all.count;
        for (unsigned k = 0; k < all.count; k++)
            if (!has(&some, all.hash[k]))
                fail_msg("guest %" PRIu64 " with %u moves: of %u states only %u were found", first_seed + i, depth,
                         all.count, some.count);
        for (unsigned k = 0; k < some.count; k++)
            assert_true(has(&all, some.hash[k]));
        machine_free(m);
    }
    printf("# %u guests with %u moves: %" PRIu64 " states, in %" PRIu64 " runs, and %" PRIu64 " at every boundary\n",
           guests[depth], depth, states, runs_some, runs_all);
    assert_true(runs_some < runs_all);
    assert_true(states > guests[depth]);
}

static void one_move(void **state)
{
    same_states(1);
}

static void two_moves(void **state)
{
    same_states(2);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_move),
        cmocka_unit_test(two_moves),
    };

    if (argc > 2) {
        guests[1] = (unsigned)strtoul(argv[1], NULL, 10);
        guests[2] = (unsigned)strtoul(argv[2], NULL, 10);
    }
    if (argc > 3)
        first_seed = strtoull(argv[3], NULL, 10);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
