/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which decisions are legal, by a view without a machine; and on a machine: each kind carried out, and refused without
 * any effect.
 */
#include "tests/toy_machine.h"

#include <inttypes.h>

#include "emu/base/count.h"
#include "emu/decide.h"
#include "emu/engine.h"
#include "emu/machine_state.h"

/* ---- by a view ---- */

/* Two vCPUs; the one that is named runs with IF = 1, and nothing is pending. */
static struct decide_view open_view(void)
{
    return (struct decide_view){.vcpus = 2,
                                .deadline_ns = 1000,
                                .vcpu = {.state = VCPU_RUNNABLE,
                                         .can_run = true,
                                         .pending_vector = MODEL_NO_VECTOR,
                                         .rip = 0x10000,
                                         .rflags = RFLAGS_FIXED | RFLAGS_IF}};
}

static void as_it_is(struct decide_view *w)
{
}

static void offline(struct decide_view *w)
{
    w->vcpu.state = VCPU_OFFLINE;
    w->vcpu.can_run = false;
}

static void halted(struct decide_view *w)
{
    w->vcpu.state = VCPU_HALTED;
    w->vcpu.can_run = false;
    w->vcpu.wait_reason = "HLT";
}

static void halted_and_called(struct decide_view *w)
{
    halted(w);
    w->vcpu.can_run = true;
}

static void polling(struct decide_view *w)
{
    halted(w);
    w->vcpu.state = VCPU_POLLING;
}

static void masked(struct decide_view *w)
{
    w->vcpu.rflags = RFLAGS_FIXED;
}

static void in_shadow(struct decide_view *w)
{
    w->vcpu.interrupt_shadow = true;
}

static void with_a_vector(struct decide_view *w)
{
    w->vcpu.pending_vector = 0x31;
}

static void with_an_nmi(struct decide_view *w)
{
    w->vcpu.nmi_pending = true;
}

static void in_an_nmi(struct decide_view *w)
{
    w->vcpu.nmi_blocked = true;
}

static void without_timer(struct decide_view *w)
{
    w->deadline_ns = TIMER_NEVER;
}

static void with_a_far_timer(struct decide_view *w)
{
    w->deadline_ns = TIMER_NEVER - 5;
}

static const struct {
    const char *decision;
    void (*change)(struct decide_view *w);
    const char *refused; /* NULL: legal */
} views[] = {
    {"then mark", offline, NULL},
    {"then run 1", as_it_is, NULL},
    {"then run 1", halted_and_called, NULL},
    {"then run 1", halted, "vCPU 1 can't run here: it is halted (HLT)"},
    {"then run 1", polling, "vCPU 1 can't run here: it is polling (HLT)"},
    {"then run 1", offline, "vCPU 1 is offline here"},
    {"then run 2", as_it_is, "there is no vCPU 2: the machine has 2"},
    {"then run 1 to 1:5", as_it_is, NULL},
    {"then run 1 to 1:5", halted, "vCPU 1 can't run here: it is halted (HLT)"},
    {"then nmi 0", as_it_is, NULL},
    {"then nmi 0", masked, NULL},
    {"then nmi 0", polling, NULL},
    {"then nmi 0", with_a_vector, NULL},
    {"then nmi 0", offline, "vCPU 0 is offline here"},
    {"then nmi 0", with_an_nmi, "an NMI is pending on vCPU 0 already"},
    {"then nmi 0", in_an_nmi, "NMIs are blocked on vCPU 0 until the IRET of the one it handles"},
    {"then nmi 0", in_shadow, "vCPU 0 is in an interrupt shadow here (behind STI or MOV SS)"},
    {"then nmi 7", as_it_is, "there is no vCPU 7: the machine has 2"},
    {"then vector 0 0x50", as_it_is, NULL},
    {"then vector 0 0x50", halted, NULL},
    {"then vector 0 0x50", polling, NULL},
    {"then vector 0 0x50", with_an_nmi, NULL},
    {"then vector 0 0x50", offline, "vCPU 0 is offline here"},
    {"then vector 0 0x50", masked, "vCPU 0 has IF=0 here, at RIP 0x10000"},
    {"then vector 0 0x50", in_shadow, "vCPU 0 is in an interrupt shadow here (behind STI or MOV SS)"},
    {"then vector 0 0x50", with_a_vector, "vCPU 0 takes vector 0x31 first, which is pending here already"},
    {"then vector 2 0x50", as_it_is, "there is no vCPU 2: the machine has 2"},
    {"then ipi 1 0x40", as_it_is, NULL},
    {"then ipi 1 0x40", polling, NULL},
    {"then ipi 1 0x40", masked, "vCPU 1 has IF=0 here, at RIP 0x10000"},
    {"then ipi 2 0x40", as_it_is, "there is no vCPU 2: the machine has 2"},
    {"then upcall 1", as_it_is, NULL},
    {"then upcall 1", polling, NULL},
    {"then upcall 1", with_a_vector, "vCPU 1 takes vector 0x31 first, which is pending here already"},
    {"then upcall 2", as_it_is, "there is no vCPU 2: the machine has 2"},
    {"then irq 4", offline, NULL}, /* these are the models' */
    {"then event 4", offline, NULL},
    {"then expire", as_it_is, NULL},
    {"then expire", without_timer, "no timer is armed here"},
    {"then expire 1", offline, NULL},
    {"then expire 1", without_timer, "no timer of vCPU 1 is armed here"},
    {"then expire 2", as_it_is, "there is no vCPU 2: the machine has 2"},
    {"then late 5", as_it_is, NULL},
    {"then late 5", without_timer, "no timer is armed here"},
    {"then late 5", with_a_far_timer, "5 ns later, the next timer would never expire"},
    {"then pass 5", without_timer, NULL},
    {"then plug 1", offline, NULL},
    {"then plug 2", as_it_is, "there is no vCPU 2: the machine has 2"},
    {"then unplug 1", as_it_is, NULL},
    {"then unplug 2", as_it_is, "there is no vCPU 2: the machine has 2"},
    {"then check 1", offline, NULL},
};

static void a_decision_is_legal_by_its_view(void **state)
{
    bool seen[DECISION_KIND_COUNT] = {false};

    for (size_t i = 0; i < COUNT(views); i++) {
        struct decide_view w = open_view();
        struct decision d;
        struct diag diag;

        diag_init(&diag);
        assert_int_equal(decision_parse(views[i].decision, &d, &diag), EMU_OK);
        seen[d.kind] = true;
        views[i].change(&w);
        if (decide_check(&d, &w, &diag) == EMU_OK) {
            if (views[i].refused)
                fail_msg("row %zu, '%s': was legal", i, views[i].decision);
        } else if (!views[i].refused || strcmp(diag.text, views[i].refused) != 0) {
            fail_msg("row %zu, '%s': %s", i, views[i].decision, diag.text);
        }
    }
    for (unsigned k = 0; k < DECISION_KIND_COUNT; k++)
        if (!seen[k])
            fail_msg("'%s' has no row", decision_kind_name((enum decision_kind)k));
}

/* ---- on a machine ---- */

/* vCPU 0 starts vCPU 1 and loops with IF = 1; vCPU 1 forbids interrupts, allows them and halts, again and again; vCPU 2
   is never started. */
static struct machine *three_vcpus(void)
{
    struct machine *m = new_machine(3);

    CODE_AT(m, CODE, 0xb0, 1, 0xe6, PORT_START, 0xfb, 0x41, 0x42, 0xeb, 0xfc);
    CODE_AT(m, CODE + 0x1000, 0xfa, 0xfb, 0xf4, 0xeb, 0xfb);
    while (vcpu_state(m, 1) != VCPU_HALTED || machine_current(m) != 0)
        assert_int_equal(run_to(m, machine_steps(m) + 1), MACHINE_STOPPED_STEPS);
    return m;
}

static enum emu_err decide(struct machine *m, const char *text, struct diag *diag)
{
    struct decision d;

    diag_init(diag);
    assert_int_equal(decision_parse(text, &d, diag), EMU_OK);
    return machine_decide(m, &d, diag);
}

static void must(struct machine *m, const char *text)
{
    struct diag diag;

    if (decide(m, text, &diag) != EMU_OK)
        fail_msg("%s: %s", text, diag.text);
}

/* Refused, and each byte of the machine's is as it was. */
static void must_not(struct machine *m, const char *text)
{
    uint64_t digest = machine_digest(m), area = memory_digest(m->mem);
    struct machine_run before;
    struct diag diag;

    memcpy(&before, &m->run, sizeof(before));
    if (decide(m, text, &diag) != EMU_EINPUT)
        fail_msg("%s: was not refused", text);
    if (digest != machine_digest(m) || area != memory_digest(m->mem) || memcmp(&before, &m->run, sizeof(before)) != 0)
        fail_msg("%s: was refused (%s), and has changed the machine", text, diag.text);
}

static void a_refused_decision_changes_nothing(void **state)
{
    static const char *const rows[] = {
        "then run 1",      "then run 2",         "then run 3",         "then run 1 to 1:500", "then nmi 2",
        "then nmi 3",      "then vector 2 0x50", "then vector 3 0x50", "then ipi 2 0x40",     "then ipi 0 0x41",
        "then upcall 0",   "then irq 4",         "then event 3",       "then expire",         "then expire 1",
        "then expire 5",   "then late 7",        "then plug 1",        "then unplug 1",       "then unplug 9",
        "then check 1234",
    };
    struct machine *m = three_vcpus();

    for (size_t i = 0; i < COUNT(rows); i++)
        must_not(m, rows[i]);
    must(m, "then nmi 1");
    must_not(m, "then nmi 1");
    machine_free(m);
}

/* A vCPU whose interrupt has come is woken where turns are given, not where one is refused. */
static void a_refused_turn_wakes_nobody(void **state)
{
    struct machine *m = three_vcpus();
    struct vcpu_regs r;

    CODE_AT(m, CODE + 0x2000, 0xfb, 0xf4, 0xeb, 0xfd);
    init_regs(&r, 2);
    vcpu_set_regs(m, 2, &r);
    vcpu_start(m, 2);
    while (vcpu_state(m, 2) != VCPU_HALTED)
        (void)run_to(m, machine_steps(m) + 1);
    must(m, "then ipi 1 0x40");
    must_not(m, "then run 2");
    assert_int_equal(vcpu_state(m, 1), VCPU_HALTED);
    must(m, "then run 1");
    assert_int_equal(machine_current(m), 1);
    machine_free(m);
}

static void each_kind_is_carried_out(void **state)
{
    struct machine *m = three_vcpus();
    uint64_t now;
    char check[64];

    must(m, "then mark");
    snprintf(check, sizeof(check), "then check %016" PRIx64, machine_digest(m));
    must(m, check);
    must(m, "then vector 1 0x50");
    must(m, "then nmi 0");
    must(m, "then run 0");
    (void)run_to(m, machine_steps(m) + 400000);
    assert_int_equal(taken(m, 0x50), 1);
    assert_int_equal(taken(m, 2), 1);
    while (machine_current(m) != 0)
        (void)run_to(m, machine_steps(m) + 1);
    must(m, "then ipi 1 0x40");
    must(m, "then run 1 to 1:500");
    assert_int_equal(machine_current(m), 1);
    (void)run_to(m, machine_steps(m) + 5);
    assert_int_equal(taken(m, VECTOR), 1);
    now = clock_now_ns(m);
    must(m, "then pass 1000");
    assert_int_equal(clock_now_ns(m), now + 1000);
    timer_arm(m, &toy_model, 0, 1, now + 5000);
    must(m, "then late 500");
    assert_int_equal(timer_deadline_ns(m, &toy_model, 0, 1), now + 5500);
    must_not(m, "then expire 0");
    must(m, "then expire 1");
    assert_int_equal(clock_now_ns(m), now + 5500);
    assert_int_equal(toy_of(m)->expired_ns, now + 5500);
    machine_free(m);
}

/* The local APIC ends SCHEDOP_poll (models/pc/lapic.c), and so does a vector of the host's. */
static void an_interrupt_ends_polling(void **state)
{
    static const struct {
        const char *decision;
        unsigned vector;
    } rows[] = {{"then vector 0 0x50", 0x50}, {"then nmi 0", 2}};

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct machine *m = MACHINE(0xfb, 0x41, 0x42, 0xeb, 0xfc);

        assert_int_equal(run_to(m, 10), MACHINE_STOPPED_STEPS);
        vcpu_poll(m, 0, "SCHEDOP_poll");
        must_not(m, "then run 0");
        must(m, rows[i].decision);
        assert_int_equal(vcpu_state(m, 0), VCPU_RUNNABLE);
        assert_int_equal(run_to(m, 20), MACHINE_STOPPED_STEPS);
        assert_int_equal(taken(m, rows[i].vector), 1);
        machine_free(m);
    }
}

/* ---- the view ---- */

static void the_view_is_the_vcpus_state_and_loads_nobody(void **state)
{
    struct machine *m = three_vcpus();
    bool shadows = false, masks = false;

    for (unsigned i = 0; i < 3000; i++) {
        struct decide_view w[3];
        struct engine_stats before, after;

        engine_get_stats(machine_engine(m), &before);
        for (unsigned v = 0; v < 3; v++)
            decide_view(m, &(struct decision){.kind = DECISION_NMI, .vcpu = v}, &w[v]);
        engine_get_stats(machine_engine(m), &after);
        assert_int_equal(after.switches, before.switches);
        for (unsigned v = 0; v < 3; v++) {
            struct vcpu_regs r;

            vcpu_get_regs(m, v, &r);
            if (w[v].vcpu.rip != r.rip || w[v].vcpu.rflags != r.rflags ||
                w[v].vcpu.interrupt_shadow != r.interrupt_shadow)
                fail_msg("vCPU %u at step %u: %" PRIx64 " %" PRIx64 " %d, not %" PRIx64 " %" PRIx64 " %d", v, i,
                         w[v].vcpu.rip, w[v].vcpu.rflags, w[v].vcpu.interrupt_shadow, r.rip, r.rflags,
                         r.interrupt_shadow);
            assert_int_equal(w[v].vcpu.state, vcpu_state(m, v));
            shadows |= v != machine_current(m) && r.interrupt_shadow;
            masks |= v != machine_current(m) && !(r.rflags & RFLAGS_IF);
        }
        if (i % 3 == 0 && machine_can_run(m, 1 - machine_current(m)))
            must(m, machine_current(m) ? "then run 0" : "then run 1");
        else if (i % 5 == 0 && machine_current(m) == 0 && vcpu_state(m, 1) == VCPU_HALTED)
            raise_vector(m, 1);
        (void)run_to(m, machine_steps(m) + 1);
    }
    assert_true(shadows && masks);
    machine_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_decision_is_legal_by_its_view),
        cmocka_unit_test(a_refused_decision_changes_nothing),
        cmocka_unit_test(a_refused_turn_wakes_nobody),
        cmocka_unit_test(each_kind_is_carried_out),
        cmocka_unit_test(an_interrupt_ends_polling),
        cmocka_unit_test(the_view_is_the_vcpus_state_and_loads_nobody),
    };

    return cmocka_run_group_tests_name("decide", tests, NULL, NULL);
}
