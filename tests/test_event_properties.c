/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random sequences of event-channel operations, made by several vCPUs through the hypercall interface, against the
 * reference of event_reference.h. After each operation the answer, every bit and word that the guest can see, every
 * port's status and who polls must agree. The guest answers its upcalls the way the interface's texts tell it, one
 * event at a time, so that the vCPUs interleave. A sequence that fails is made shorter and printed with its seed.
 */
#include "emu/base/count.h"
#include "tests/event_reference.h"
#include "tests/xen_guest.h"

#include <inttypes.h>
#include <stdarg.h>

#define VCPUS 3u
#define STEPS 90u
#ifdef __SANITIZE_ADDRESS__
#define SEQUENCES 100u /* four times as dear each; what they say is said by the others */
#else
#define SEQUENCES 400u
#endif
#define PLANTED_MAX 400u /* a mistake is found within so many */
#define RAM_BYTES   (1u << 20)
#define INFO_GFN    0x30u /* one page a vCPU, likewise below */
#define CONTROL_GFN 0x38u
#define ARRAY_GFN   0x40u
#define PORTS_GPA   (ARG_GPA + 0x800) /* of SCHEDOP_poll */
#define CALLBACK    0xf3
#define FIRST_PORTS 3u /* 1 and 2 are the toolstack's */

enum what {
    ALLOC_UNBOUND,
    BIND_INTERDOMAIN,
    BIND_VIRQ,
    BIND_PIRQ,
    BIND_IPI,
    BIND_VCPU,
    CLOSE,
    SEND,
    UNMASK,
    RESET,
    INIT_CONTROL,
    EXPAND_ARRAY,
    SET_PRIORITY,
    MASK,
    ANSWER_UPCALL, /* and handle all (2-level), or look at what is ready (FIFO) */
    CONSUME,       /* one event of the queues that were ready */
    RAISE_VIRQ,
    POLL,
    MOVE_VCPU_INFO,
    TIME_PASSES,
    WHATS,
};

/* How often each is chosen. A reset is rare: it takes a sequence back to its beginning. */
static const struct {
    const char *name;
    unsigned weight;
} whats[WHATS] = {
    [ALLOC_UNBOUND] = {"alloc_unbound", 5},
    [BIND_INTERDOMAIN] = {"bind_interdomain", 6},
    [BIND_VIRQ] = {"bind_virq", 5},
    [BIND_PIRQ] = {"bind_pirq", 2},
    [BIND_IPI] = {"bind_ipi", 8},
    [BIND_VCPU] = {"bind_vcpu", 8},
    [CLOSE] = {"close", 5},
    [SEND] = {"send", 30},
    [UNMASK] = {"unmask", 10},
    [RESET] = {"reset", 1},
    [INIT_CONTROL] = {"init_control", 6},
    [EXPAND_ARRAY] = {"expand_array", 3},
    [SET_PRIORITY] = {"set_priority", 6},
    [MASK] = {"mask", 10},
    [ANSWER_UPCALL] = {"answer_upcall", 10},
    [CONSUME] = {"consume", 24},
    [RAISE_VIRQ] = {"raise_virq", 6},
    [POLL] = {"poll", 6},
    [MOVE_VCPU_INFO] = {"move_vcpu_info", 1},
    [TIME_PASSES] = {"time_passes", 1},
};

/* Numbers are taken modulo what there is, so that a step keeps a meaning when others are left out. */
struct step {
    enum what what;
    uint32_t vcpu, a, b, c;
};

struct guest {
    struct machine *m;
    struct reference r;
    uint64_t info_gpa[VCPUS];
    bool info_moved[VCPUS];
    uint32_t ready[VCPUS]; /* FIFO: queues that the guest still has to look at */
    uint32_t head[VCPUS][REFERENCE_PRIORITIES];
    char problem[240];
};

static uint64_t xorshift(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void choose_steps(uint64_t seed, struct step *steps)
{
    unsigned sum = 0;

    for (unsigned i = 0; i < WHATS; i++)
        sum += whats[i].weight;
    for (unsigned i = 0; i < STEPS; i++) {
        unsigned at = (unsigned)(xorshift(&seed) % sum);

        steps[i].what = 0;
        while (at >= whats[steps[i].what].weight)
            at -= whats[steps[i].what++].weight;
        steps[i].vcpu = (uint32_t)(xorshift(&seed) % VCPUS);
        steps[i].a = (uint32_t)xorshift(&seed);
        steps[i].b = (uint32_t)xorshift(&seed);
        steps[i].c = (uint32_t)xorshift(&seed);
    }
    /* Two sequences in three begin with all that FIFO needs, the others find their way there or not. */
    for (uint32_t i = 0; i <= VCPUS && seed % 3; i++)
        steps[i] = (struct step){.what = i < VCPUS ? INIT_CONTROL : EXPAND_ARRAY, .a = i + VCPUS};
}

static void EMU_PRINTF(2, 3) problem(struct guest *g, const char *fmt, ...)
{
    va_list args;

    if (g->problem[0])
        return;
    va_start(args, fmt);
    vsnprintf(g->problem, sizeof(g->problem), fmt, args);
    va_end(args);
}

static void same(struct guest *g, const char *what, uint64_t index, uint64_t model, uint64_t reference)
{
    if (model != reference)
        problem(g, "%s %" PRIu64 ": the model has %#" PRIx64 ", the reference %#" PRIx64, what, index, model,
                reference);
}

/* ---- the guest's memory ---- */

static unsigned word_bytes(const struct guest *g)
{
    return g->r.rules.word_bits / 8;
}

static uint64_t mask_gpa(const struct guest *g)
{
    return (SHARED_GFN << PAGE_SHIFT) + (word_bytes(g) == 8 ? 0xa00 : 0x880);
}

#define PENDING_GPA ((SHARED_GFN << PAGE_SHIFT) + 0x800)

static bool get_bit(struct guest *g, uint64_t gpa, uint32_t port)
{
    return get_word(g->m, gpa + port / 8, 1) >> port % 8 & 1;
}

static void set_bit(struct guest *g, uint64_t gpa, uint32_t port, bool value)
{
    uint64_t byte = get_word(g->m, gpa + port / 8, 1);

    byte = value ? byte | 1u << port % 8 : byte & ~(1u << port % 8);
    put(g->m, gpa + port / 8, &byte, 1);
}

static uint64_t word_gpa(uint32_t port)
{
    return ((uint64_t)ARRAY_GFN << PAGE_SHIFT) + port * 4;
}

static uint64_t control_gpa(unsigned vcpu)
{
    return (uint64_t)(CONTROL_GFN + vcpu) << PAGE_SHIFT;
}

static uint64_t take(struct guest *g, uint64_t gpa, unsigned bytes)
{
    static const uint64_t zero;
    uint64_t value = get_word(g->m, gpa, bytes);

    put(g->m, gpa, &zero, bytes);
    return value;
}

/* ---- one step ---- */

static int64_t event(struct guest *g, unsigned op, void *arg, size_t bytes)
{
    put(g->m, ARG_GPA, arg, bytes);
    return guest_call_struct(g->m, __HYPERVISOR_event_channel_op, op, 0, false, arg, bytes);
}

#define EVENT(g, op, arg) event(g, op, arg, sizeof(*(arg)))

static void bind(struct guest *g, const struct step *s)
{
    struct evtchn_alloc_unbound u = {.dom = DOMID_SELF, .remote_dom = s->a % 4 ? DOMID_SELF : s->b % 3};
    struct evtchn_bind_interdomain d = {.remote_dom = DOMID_SELF, .remote_port = s->a % 24 + (s->b % 16 ? 0 : 4000)};
    struct evtchn_bind_virq v = {.virq = s->a % (s->b % 4 ? 8 : 26), .vcpu = s->c % (VCPUS + 1)};
    struct evtchn_bind_pirq p = {.pirq = s->a % (s->b % 8 ? 4 : 300)};
    struct evtchn_bind_ipi i = {.vcpu = s->a % 16 ? s->a % VCPUS : VCPUS};
    int64_t model = 0, reference = 0;
    uint32_t mine = 0, port = 0;

    if (!reference_has_room(&g->r))
        return;
    switch (s->what) {
    case ALLOC_UNBOUND:
        model = EVENT(g, EVTCHNOP_alloc_unbound, &u);
        reference = reference_alloc_unbound(&g->r, u.remote_dom, &port);
        mine = u.port;
        break;
    case BIND_INTERDOMAIN:
        model = EVENT(g, EVTCHNOP_bind_interdomain, &d);
        reference = reference_bind_interdomain(&g->r, d.remote_port, &port);
        mine = d.local_port;
        break;
    case BIND_VIRQ:
        model = EVENT(g, EVTCHNOP_bind_virq, &v);
        reference = reference_bind_virq(&g->r, v.virq, v.vcpu, &port);
        mine = v.port;
        break;
    case BIND_PIRQ:
        model = EVENT(g, EVTCHNOP_bind_pirq, &p);
        reference = reference_bind_pirq(&g->r, p.pirq, &port);
        mine = p.port;
        break;
    default:
        model = EVENT(g, EVTCHNOP_bind_ipi, &i);
        reference = reference_bind_ipi(&g->r, i.vcpu, &port);
        mine = i.port;
    }
    same(g, "answer", 0, (uint64_t)model, (uint64_t)reference);
    if (!model && !reference)
        same(g, "new port", 0, mine, port);
}

/* Mostly a port that there is; sometimes a number that is none. */
static uint32_t some_port(const struct step *s)
{
    static const uint32_t odd[] = {0, 63, 64, 150, 4095, 4096, 131072, UINT32_MAX};

    return s->b % 24 ? s->a % 24 : odd[s->a % COUNT(odd)];
}

static void operate(struct guest *g, const struct step *s)
{
    uint32_t port = some_port(s), vcpu = s->c % 16 ? s->c % VCPUS : VCPUS;
    struct evtchn_bind_vcpu b = {.port = port, .vcpu = vcpu};
    struct evtchn_send p = {.port = port};
    struct evtchn_reset r = {.dom = DOMID_SELF};
    struct evtchn_set_priority q = {.port = port, .priority = s->c % 17};
    int64_t model = 0, reference = 0;

    switch (s->what) {
    case BIND_VCPU:
        model = EVENT(g, EVTCHNOP_bind_vcpu, &b);
        reference = reference_bind_vcpu(&g->r, port, vcpu);
        break;
    case CLOSE:
        model = EVENT(g, EVTCHNOP_close, &p);
        reference = reference_close(&g->r, port);
        break;
    case SEND:
        model = EVENT(g, EVTCHNOP_send, &p);
        reference = reference_send(&g->r, port);
        break;
    case UNMASK:
        model = EVENT(g, EVTCHNOP_unmask, &p);
        reference = reference_unmask(&g->r, port);
        break;
    case SET_PRIORITY:
        model = EVENT(g, EVTCHNOP_set_priority, &q);
        reference = reference_set_priority(&g->r, port, q.priority);
        break;
    default:
        model = EVENT(g, EVTCHNOP_reset, &r);
        reference = reference_reset(&g->r);
    }
    same(g, "answer", 0, (uint64_t)model, (uint64_t)reference);
}

static void init_control(struct guest *g, const struct step *s)
{
    uint32_t vcpu = s->a % 16 ? s->a % VCPUS : VCPUS;
    struct evtchn_init_control a = {.control_gfn = CONTROL_GFN + vcpu, .vcpu = vcpu};
    bool before = g->r.fifo;
    int64_t model, reference;

    if (!before) { /* the guest gives Xen clean pages */
        assert_true(memory_fill(machine_memory(g->m), control_gpa(0), 0, VCPUS * PAGE_BYTES));
        assert_true(memory_fill(machine_memory(g->m), word_gpa(0), 0, PAGE_BYTES));
        memset(g->ready, 0, sizeof(g->ready));
        memset(g->head, 0, sizeof(g->head));
        reference_forget_words(&g->r);
    }
    model = EVENT(g, EVTCHNOP_init_control, &a);
    reference = reference_init_control(&g->r, vcpu);
    same(g, "answer", 0, (uint64_t)model, (uint64_t)reference);
    if (!model)
        same(g, "link bits", 0, a.link_bits, EVTCHN_FIFO_LINK_BITS);
}

static void expand_array(struct guest *g)
{
    struct evtchn_expand_array a = {.array_gfn = ARRAY_GFN + g->r.pages};

    if (g->r.pages < 8)
        same(g, "answer", 0, (uint64_t)EVENT(g, EVTCHNOP_expand_array, &a), (uint64_t)reference_expand_array(&g->r));
}

static void mask(struct guest *g, const struct step *s)
{
    uint32_t port = s->a % 24;

    if (!g->r.fifo)
        set_bit(g, mask_gpa(g), port, true);
    else if (g->r.pages)
        set_bit(g, word_gpa(port), EVTCHN_FIFO_MASKED, true);
    reference_mask(&g->r, port);
}

/* The 2-level guest: clear the byte, take the selector, handle each port that is pending and not masked. */
static void answer_2level(struct guest *g, unsigned vcpu)
{
    uint64_t selector;

    (void)take(g, g->info_gpa[vcpu], 1);
    selector = take(g, g->info_gpa[vcpu] + word_bytes(g), word_bytes(g));
    same(g, "selector of vCPU", vcpu, selector, reference_take_selector(&g->r, vcpu));
    for (uint32_t port = 0; port < REFERENCE_PORTS; port++) {
        if (!(selector >> port / g->r.rules.word_bits & 1))
            continue;
        if (!get_bit(g, PENDING_GPA, port) || get_bit(g, mask_gpa(g), port))
            continue;
        set_bit(g, PENDING_GPA, port, false);
        reference_handle_2level(&g->r, port);
    }
}

static void answer_upcall(struct guest *g, unsigned vcpu)
{
    uint32_t ready;

    if (!get_word(g->m, g->info_gpa[vcpu], 1))
        return;
    if (!g->r.fifo) {
        answer_2level(g, vcpu);
        return;
    }
    (void)take(g, g->info_gpa[vcpu], 1);
    ready = (uint32_t)take(g, control_gpa(vcpu), 4);
    same(g, "ready of vCPU", vcpu, ready, reference_take_ready(&g->r, vcpu));
    g->ready[vcpu] |= ready;
}

/* "Consuming Events": the event at the head of the queue with the highest priority that is ready. */
static void consume(struct guest *g, unsigned vcpu)
{
    uint32_t *head, port, word;
    unsigned priority;
    bool handled = false;

    if (!g->r.fifo || !g->r.pages || !g->ready[vcpu])
        return;
    priority = (unsigned)__builtin_ctz(g->ready[vcpu]);
    head = &g->head[vcpu][priority];
    port = *head ? *head : (uint32_t)get_word(g->m, control_gpa(vcpu) + 8 + priority * 4, 4);
    same(g, "next event of queue", priority, port, reference_consume(&g->r, vcpu, priority, &handled));
    word = (uint32_t)get_word(g->m, word_gpa(port), 4);
    *head = word & EVTCHN_FIFO_LINK_MASK;
    if (!*head)
        g->ready[vcpu] &= ~(1u << priority);
    word &= ~(1u << EVTCHN_FIFO_LINKED | EVTCHN_FIFO_LINK_MASK);
    same(g, "whether to handle port", port, word >> EVTCHN_FIFO_PENDING && !(word >> EVTCHN_FIFO_MASKED & 1), handled);
    if (handled)
        word &= ~(1u << EVTCHN_FIFO_PENDING);
    put(g->m, word_gpa(port), &word, 4);
}

static void poll(struct guest *g, const struct step *s)
{
    uint32_t ports[3] = {some_port(s), s->c % 24, s->a % 9 + 1};
    unsigned count = s->c % 4, interrupts = s->b / 64 % 4;
    struct vcpu_regs *regs = played_regs(g->m, s->vcpu);
    bool deliverable = interrupts && g->r.vcpu[s->vcpu].upcall;
    uint32_t call32[4] = {(uint32_t)PORTS_GPA, count, 1000000, 0};
    struct sched_poll call64 = {.nr_ports = count, .timeout = 1000000};
    uint64_t rflags = regs->rflags;
    int64_t model;

    regs->rflags = interrupts ? rflags | RFLAGS_IF : rflags & ~RFLAGS_IF;
    put(g->m, PORTS_GPA, ports, sizeof(ports));
    set_xen_guest_handle(call64.ports, (evtchn_port_t *)PORTS_GPA);
    model = word_bytes(g) == 8 ? CALL(g->m, __HYPERVISOR_sched_op, SCHEDOP_poll, &call64)
                               : CALL(g->m, __HYPERVISOR_sched_op, SCHEDOP_poll, &call32);
    regs->rflags = rflags;
    same(g, "answer", 0, (uint64_t)model, (uint64_t)(int64_t)reference_poll(&g->r, s->vcpu, ports, count, deliverable));
}

static void move_vcpu_info(struct guest *g, unsigned vcpu)
{
    struct vcpu_register_vcpu_info a = {.mfn = INFO_GFN + vcpu, .offset = 128};

    if (g->info_moved[vcpu])
        return;
    same(g, "answer", 0, (uint64_t)CALL_VCPU(g->m, VCPUOP_register_vcpu_info, vcpu, &a), 0);
    g->info_gpa[vcpu] = (a.mfn << PAGE_SHIFT) + a.offset;
    g->info_moved[vcpu] = true;
    reference_move_vcpu_info(&g->r, vcpu);
}

static void time_passes(struct guest *g)
{
    played_advance(g->m, 1500000000);
    reference_poll_timeout(&g->r);
}

static void play_step(struct guest *g, struct step s)
{
    for (unsigned i = 0; i < VCPUS && g->r.vcpu[s.vcpu].polls; i++)
        s.vcpu = (s.vcpu + 1) % VCPUS;
    if (g->r.vcpu[s.vcpu].polls)
        s.what = TIME_PASSES;
    played_set_current(g->m, s.vcpu);
    switch (s.what) {
    case ALLOC_UNBOUND ... BIND_IPI:
        bind(g, &s);
        break;
    case INIT_CONTROL:
        init_control(g, &s);
        break;
    case EXPAND_ARRAY:
        expand_array(g);
        break;
    case MASK:
        mask(g, &s);
        break;
    case ANSWER_UPCALL:
        answer_upcall(g, s.vcpu);
        break;
    case CONSUME:
        consume(g, s.vcpu);
        break;
    case RAISE_VIRQ:
        xen_virq_raise(g->m, s.a % VCPUS, s.b % 4);
        reference_virq(&g->r, s.a % VCPUS, s.b % 4);
        break;
    case POLL:
        poll(g, &s);
        break;
    case MOVE_VCPU_INFO:
        move_vcpu_info(g, s.vcpu);
        break;
    case TIME_PASSES:
        time_passes(g);
        break;
    default:
        operate(g, &s);
    }
}

/* ---- what must agree ---- */

static void compare_port(struct guest *g, uint32_t port)
{
    const struct reference_port *p = &g->r.port[port];
    struct evtchn_status s = {.dom = DOMID_SELF, .port = port};
    int64_t answer;

    same(g, "pending bit of port", port, get_bit(g, PENDING_GPA, port), p->shared_pending);
    same(g, "mask bit of port", port, get_bit(g, mask_gpa(g), port), p->shared_mask);
    if (g->r.fifo && g->r.pages)
        same(g, "event word of port", port, get_word(g->m, word_gpa(port), 4), reference_word(&g->r, port));
    answer = EVENT(g, EVTCHNOP_status, &s);
    same(g, "status answer for port", port, (uint64_t)answer, (uint64_t)(int64_t)reference_status(&g->r, port));
    if (answer || reference_status(&g->r, port))
        return;
    same(g, "status of port", port, s.status, p->status);
    same(g, "vCPU of port", port, s.vcpu, p->vcpu);
    if (p->status == EVTCHNSTAT_unbound)
        same(g, "remote domain of port", port, s.u.unbound.dom, p->remote_dom);
    if (p->status == EVTCHNSTAT_interdomain) {
        same(g, "remote domain of port", port, s.u.interdomain.dom, p->remote_dom);
        same(g, "remote port of port", port, s.u.interdomain.port, p->remote_port);
    }
    if (p->status == EVTCHNSTAT_virq || p->status == EVTCHNSTAT_pirq)
        same(g, "VIRQ or PIRQ of port", port, s.u.virq, p->number);
}

static void compare(struct guest *g)
{
    for (unsigned v = 0; v < VCPUS; v++) {
        const struct reference_vcpu *r = &g->r.vcpu[v];

        same(g, "upcall_pending of vCPU", v, get_word(g->m, g->info_gpa[v], 1), r->upcall);
        same(g, "selector of vCPU", v, get_word(g->m, g->info_gpa[v] + word_bytes(g), word_bytes(g)), r->selector);
        same(g, "injected vector of vCPU", v, (uint64_t)played_pending_vector(g->m, v),
             r->upcall ? CALLBACK : (uint64_t)MODEL_NO_VECTOR);
        same(g, "whether there polls vCPU", v, vcpu_state(g->m, v) == VCPU_POLLING, r->polls);
        if (!r->control)
            continue;
        same(g, "ready of vCPU", v, get_word(g->m, control_gpa(v), 4), r->ready);
        for (unsigned i = 0; i < REFERENCE_PRIORITIES; i++)
            same(g, "queue head", v * 100 + i, get_word(g->m, control_gpa(v) + 8 + i * 4, 4), r->head[i]);
    }
    /* A polling vCPU makes no call: the status is asked by one that runs, or left for the next time. */
    played_set_current(g->m, 0);
    while (g->r.vcpu[machine_current(g->m)].polls && machine_current(g->m) + 1 < VCPUS)
        played_set_current(g->m, machine_current(g->m) + 1);
    for (uint32_t port = 0; port < 72 && !g->r.vcpu[machine_current(g->m)].polls; port++)
        compare_port(g, port);
}

/* After all, every vCPU answers until nothing is left: then no event that is unmasked may wait. */
static void drain(struct guest *g)
{
    reference_poll_timeout(&g->r);
    played_advance(g->m, 1500000000);
    for (unsigned v = 0; v < VCPUS; v++) {
        played_set_current(g->m, v);
        for (unsigned i = 0; i < 300; i++) {
            answer_upcall(g, v);
            consume(g, v);
        }
    }
    for (uint32_t port = FIRST_PORTS; port < 72 && g->r.fifo && g->r.pages; port++) {
        if (reference_word(&g->r, port) >> EVTCHN_FIFO_PENDING && !g->r.port[port].masked)
            problem(g, "the event of port %u is pending, and nobody was told", port);
    }
}

static void map_shared_info_of(struct guest *g)
{
    uint32_t call32[4] = {DOMID_SELF, XENMAPSPACE_shared_info, 0, SHARED_GFN};

    if (word_bytes(g) == 8)
        assert_int_equal(map_shared_info(g->m, SHARED_GFN), 0);
    else
        assert_int_equal(CALL(g->m, __HYPERVISOR_memory_op, XENMEM_add_to_physmap, &call32), 0);
}

/* The number of the step after which they differ (or `count` if at the end), or -1. */
static int play(const struct reference_rules *rules, unsigned version, enum reference_mistake mistake,
                const struct step *steps, unsigned count, char *text, size_t bytes)
{
    struct machine_config config = {
        .ram_bytes = RAM_BYTES,
        .vcpus = VCPUS,
        .xen_version = version,
        .models = xen_test_models,
        .model_count = 2,
    };
    struct guest g = {.m = played_machine_new_config(&config)};
    int at = -1;

    guest_bits(g.m, rules->word_bits);
    reference_init(&g.r, rules, VCPUS, XEN_GUEST_DOMID);
    g.r.mistake = mistake;
    reference_connect(&g.r, xen_state(g.m)->store_port);
    reference_connect(&g.r, xen_state(g.m)->console_port);
    map_shared_info_of(&g);
    assert_int_equal(set_callback(g.m, 2ull << 56 | CALLBACK), 0);
    for (unsigned v = 0; v < VCPUS; v++) {
        played_set_state(g.m, v, VCPU_RUNNABLE);
        g.info_gpa[v] = (SHARED_GFN << PAGE_SHIFT) + v * VCPU_INFO_BYTES;
    }
    for (unsigned i = 0; i < count && at < 0; i++) {
        play_step(&g, steps[i]);
        compare(&g);
        if (g.problem[0])
            at = (int)i;
    }
    if (at < 0)
        drain(&g);
    if (machine_verdict(g.m)->kind != VERDICT_NONE)
        problem(&g, "the run ends %s", machine_verdict(g.m)->text);
    if (g.problem[0] && at < 0)
        at = (int)count;
    snprintf(text, bytes, "%s", g.problem);
    machine_free(g.m);
    return at;
}

/* Leave out steps as long as the rest still fails. */
static unsigned shorten(const struct reference_rules *rules, unsigned version, enum reference_mistake mistake,
                        struct step *steps, unsigned count, char *text, size_t bytes)
{
    for (bool again = true; again;) {
        again = false;
        for (unsigned i = count; i-- > 0;) {
            struct step without[STEPS];
            char other[240];
            int at;

            memcpy(without, steps, i * sizeof(*steps));
            memcpy(without + i, steps + i + 1, (count - i - 1) * sizeof(*steps));
            at = play(rules, version, mistake, without, count - 1, other, sizeof(other));
            if (at < 0)
                continue;
            memcpy(steps, without, sizeof(without));
            count = at + 1 < (int)count - 1 ? (unsigned)at + 1 : count - 1;
            if (i > count)
                i = count;
            snprintf(text, bytes, "%s", other);
            again = true;
        }
    }
    return count;
}

/* 0 if all sequences agree, else the length of the shortest failing one found; it is printed unless planted. */
static unsigned search(const struct reference_rules *rules, unsigned version, enum reference_mistake mistake,
                       unsigned sequences)
{
    for (uint64_t seed = 1; seed <= sequences; seed++) {
        struct step steps[STEPS];
        char text[240];
        unsigned count;
        int at;

        choose_steps(seed * 0x9e3779b97f4a7c15ull + version, steps);
        at = play(rules, version, mistake, steps, STEPS, text, sizeof(text));
        if (at < 0)
            continue;
        count = shorten(rules, version, mistake, steps, at < (int)STEPS ? (unsigned)at + 1 : STEPS, text, sizeof(text));
        if (mistake == MISTAKE_NONE) {
            print_message("Xen %u.%u, %u bit, seed %" PRIu64 ": %s, after\n", version >> 16, version & 0xffff,
                          rules->word_bits, seed, text);
            for (unsigned i = 0; i < count; i++)
                print_message("  vCPU %u %s %u %u %u\n", steps[i].vcpu, whats[steps[i].what].name, steps[i].a,
                              steps[i].b, steps[i].c);
        }
        return count;
    }
    return 0;
}

static const struct {
    unsigned version;
    struct reference_rules rules;
} versions[] = {
    {V(1), {.expand_2level = XEN_ENOSYS}},
    {V(4), {.fifo = true, .expand_2level = XEN_ENOSYS}},
    {V(7), {.fifo = true, .xenpmu = true, .busy = true, .reset_fifo = true, .expand_2level = XEN_ENOSYS}},
    {V(17),
     {.fifo = true,
      .xenpmu = true,
      .busy = true,
      .reset_fifo = true,
      .poll_usable = true,
      .expand_2level = XEN_EOPNOTSUPP}},
    {V(18),
     {.fifo = true,
      .xenpmu = true,
      .busy = true,
      .reset_fifo = true,
      .poll_usable = true,
      .expand_2level = XEN_EOPNOTSUPP}},
};

static void check_all(unsigned word_bits)
{
    for (unsigned i = 0; i < COUNT(versions); i++) {
        struct reference_rules rules = versions[i].rules;

        rules.word_bits = word_bits;
        assert_int_equal(search(&rules, versions[i].version, MISTAKE_NONE, SEQUENCES), 0);
    }
}

static void random_operations_of_a_64_bit_guest_agree_with_the_reference(void **state)
{
    check_all(64);
}

static void random_operations_of_a_32_bit_guest_agree_with_the_reference(void **state)
{
    check_all(32);
}

/* The comparison is worth something: each rule that is wrong on purpose is found, and the example is short. */
static void a_wrong_rule_is_found_and_told_by_a_short_example(void **state)
{
    static const struct {
        enum reference_mistake mistake;
        unsigned length_max;
    } rows[] = {
        {MISTAKE_MASKED_EVENTS_WAKE_NO_POLLER, 10},
        {MISTAKE_PRIORITY_CHANGES_AT_ONCE, 10},
        {MISTAKE_UNMASK_IS_SILENT, 10},
        {MISTAKE_CLOSE_KEEPS_VCPU, 10},
    };
    struct reference_rules rules = versions[3].rules;

    rules.word_bits = 64;
    for (unsigned i = 0; i < COUNT(rows); i++) {
        unsigned length = search(&rules, V(17), rows[i].mistake, PLANTED_MAX);

        if (length == 0 || length > rows[i].length_max)
            print_message("mistake %d: example of %u steps\n", rows[i].mistake, length);
        assert_in_range(length, 1, rows[i].length_max);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_operations_of_a_64_bit_guest_agree_with_the_reference),
        cmocka_unit_test(random_operations_of_a_32_bit_guest_agree_with_the_reference),
        cmocka_unit_test(a_wrong_rule_is_found_and_told_by_a_short_example),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
