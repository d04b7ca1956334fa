/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Searches on a toy machine: what is told when, what is counted, and that a statement says no more than was run. */
#include "tests/toy_machine.h"

#include "emu/base/count.h"
#include "emu/snapshot.h"
#include "fuzz/search/failing_run.h"
#include "fuzz/search/search.h"

/* vCPU 1 is started; both then change one word for ever: lock inc [DATA + 0x500], jmp. */
static const uint8_t first_code[] = {0xb8, 1,    0,    0,    0,    0xe7, PORT_START, 0xf0,
                                     0xff, 0x05, 0x00, 0x05, 0x03, 0x00, 0xeb,       0xf7};
static const uint8_t second_code[] = {0xf0, 0xff, 0x05, 0x00, 0x05, 0x03, 0x00, 0xeb, 0xf7};
#define STARTED_STEPS 2u /* then vCPU 1 is there */

/* An NMI's handler that halts for ever. */
static const uint8_t halting[] = {0xfa, 0xf4, 0xeb, 0xfd};

static struct machine *two_counters(void)
{
    struct machine *m = new_machine(2);

    put(m, CODE, first_code, sizeof(first_code));
    put(m, CODE + 0x1000, second_code, sizeof(second_code));
    assert_int_equal(run_to(m, STARTED_STEPS), MACHINE_STOPPED_STEPS);
    return m;
}

/* inc eax, jmp: for ever, and never the same; an NMI ends it. */
static struct machine *one_counter(void)
{
    static const uint8_t code[] = {0x40, 0xeb, 0xfd};
    struct machine *m = new_machine_with(code, sizeof(code));

    put(m, HANDLERS + 64 * 2, halting, sizeof(halting));
    return m;
}

/* ---- a strategy of the test's own: one action a run, or none, or a failure out of nothing ---- */

#define RUNS_MAX 8u
enum act { ACT_NOTHING, ACT_NMI, ACT_GHOST };
static enum act plan[RUNS_MAX];
static unsigned runs_begun, runs_planned, moves;

static enum emu_err own_init(const struct strategy_options *o, void **state, struct diag *d)
{
    runs_begun = 0;
    *state = plan;
    return EMU_OK;
}

static void own_fini(void *state)
{
}

static bool own_begin(void *state)
{
    moves = 0;
    return runs_begun < runs_planned ? (runs_begun++, true) : false;
}

static void own_move(void *state, struct machine *m, bool refused, struct move *move)
{
    enum act act = plan[runs_begun - 1];

    move->steps = 7;
    if (moves++ != 1)
        return;
    move->steps = UINT64_MAX;
    if (act == ACT_GHOST)
        machine_set_verdict(m, VERDICT_FAIL, "ghost", "nobody can do this again");
    move->acts = act == ACT_NMI;
    move->action = (struct decision){.kind = DECISION_NMI, .vcpu = 0};
}

static void own_end(void *state, const struct trial *trial)
{
}

static void own_statement(void *state, char *text, size_t bytes)
{
    snprintf(text, bytes, "%u runs", runs_begun);
}

static const struct strategy own = {.name = "own",
                                    .init = own_init,
                                    .fini = own_fini,
                                    .begin = own_begin,
                                    .move = own_move,
                                    .end = own_end,
                                    .statement = own_statement};

/* ---- */

struct seen {
    uint64_t found_in[RUNS_MAX]; /* run */
    unsigned found;
    unsigned asked, over_after; /* is_over; 0: never */
};

static enum emu_err found(void *context, const struct search_report *r, unsigned index, struct diag *d)
{
    struct seen *seen = context;

    assert_int_equal(index, seen->found);
    assert_int_equal(r->failure[index].run, r->runs);
    seen->found_in[seen->found++] = r->runs;
    return EMU_OK;
}

static bool is_over(void *context)
{
    struct seen *seen = context;

    return ++seen->asked > seen->over_after && seen->over_after;
}

static struct search_options options_of(struct machine *m, const struct strategy *strategy, struct seen *seen)
{
    return (struct search_options){
        .machine = m,
        .strategy = strategy,
        .strategy_options = {.window_steps = 20, .run_steps_max = 100, .depth = 1, .seed = 1},
        .end = {.steps_max = 100},
        .runs_max = 10000,
        .is_over = is_over,
        .found = found,
        .context = seen};
}

static void a_new_failure_is_told_at_once_and_each_kind_once(void **state)
{
    static const enum act acts[] = {ACT_NOTHING, ACT_NMI, ACT_NMI, ACT_GHOST, ACT_NOTHING, ACT_GHOST};
    struct machine *m = one_counter();
    struct seen seen = {.found = 0};
    struct search_options o = options_of(m, &own, &seen);
    static struct search_report r;
    struct diag d;
    uint64_t before = machine_digest(m);

    memcpy(plan, acts, sizeof(acts));
    runs_planned = 6;
    assert_int_equal(search_run(&o, &r, &d), EMU_OK);
    assert_int_equal(r.runs, 6);
    assert_int_equal(r.by_kind[TRIAL_FAIL], 4);
    assert_int_equal(r.failures, 2);
    assert_int_equal(seen.found, 2);
    assert_int_equal(seen.found_in[0], 2);
    assert_int_equal(seen.found_in[1], 4);
    assert_true(r.exhausted);
    assert_int_equal(machine_digest(m), before);
    search_report_fini(&r);
    machine_free(m);
}

static void a_failure_is_confirmed_by_playing_it_or_said_not_to_be(void **state)
{
    static const enum act acts[] = {ACT_GHOST, ACT_NMI};
    struct machine *m = one_counter();
    struct seen seen = {.found = 0};
    struct search_options o = options_of(m, &own, &seen);
    struct snapshot *start;
    static struct search_report r;
    struct diag d;

    memcpy(plan, acts, sizeof(acts));
    runs_planned = 2;
    assert_int_equal(snapshot_take(m, NULL, &start, &d), EMU_OK);
    assert_int_equal(search_run(&o, &r, &d), EMU_OK);
    assert_int_equal(r.failures, 2);
    for (unsigned i = 0; i < 2; i++) {
        const struct failing_run_options fo = {.machine = m, .start = start, .end = o.end, .runs_max = 1000};
        struct search_failure *x = &r.failure[i];
        uint64_t digest = x->digest;
        struct minimised how;

        assert_int_equal(failing_run_minimise(&fo, &x->schedule, &x->verdict, &x->digest, &how, &d), EMU_OK);
        assert_int_equal(how.confirmed, i == 1);
        assert_int_equal(how.finished, i == 1);
        if (i == 0) {
            assert_int_equal(x->digest, digest);
            assert_string_equal(x->verdict.detector, "ghost");
        } else {
            assert_int_equal(x->schedule.count, 1);
            assert_int_equal(x->schedule.decision[0].at.steps, 0); /* the first boundary */
        }
    }
    search_report_fini(&r);
    snapshot_restore(m, start);
    snapshot_free(m, start);
    machine_free(m);
}

static void a_run_that_is_abandoned_is_in_no_count(void **state)
{
    struct machine *m = one_counter();
    struct seen seen = {.over_after = 3};
    struct search_options o = options_of(m, &own, &seen);
    static struct search_report r;
    struct diag d;
    uint64_t before = machine_digest(m);

    plan[0] = ACT_NOTHING;
    runs_planned = 1;
    o.end.steps_max = UINT64_MAX / 4;
    assert_int_equal(search_run(&o, &r, &d), EMU_OK);
    assert_int_equal(runs_begun, 1);
    assert_int_equal(r.runs, 0);
    assert_false(r.exhausted);
    assert_int_equal(machine_digest(m), before);
    search_report_fini(&r);
    machine_free(m);
}

/* What preempt says of two counters. How often it asked whether it is over. */
static unsigned preempt(uint64_t window_steps, uint64_t run_steps, bool is_cut, unsigned over_after,
                        struct search_report *r)
{
    struct machine *m = two_counters();
    struct seen seen = {.over_after = over_after};
    struct search_options o = options_of(m, &strategy_preempt, &seen);
    struct diag d;

    o.strategy_options.interleave = true;
    o.strategy_options.window_steps = window_steps;
    o.strategy_options.window_is_cut = is_cut;
    o.strategy_options.run_steps_max = o.end.steps_max = run_steps;
    if (search_run(&o, r, &d) != EMU_OK)
        fail_msg("%s", d.text);
    machine_free(m);
    return seen.asked;
}

static void assert_says(const struct search_report *r, const char *says, bool does)
{
    if (!strstr(r->statement, says) == does)
        fail_msg("'%s' %s in: %s", says, does ? "is not" : "is", r->statement);
}

static void preempt_says_no_more_than_its_runs_have_gone_through(void **state)
{
    static struct search_report r;

    preempt(20, 100, false, 0, &r);
    assert_true(r.exhausted && r.runs > 2);
    assert_says(&r, "every interleaving of 2 vCPUs with at most 1 preemption in the window (20 steps of all vCPUs), up",
                true);
    assert_says(&r, " but for ", false);
    search_report_fini(&r);

    preempt(20, 12, false, 0, &r);
    assert_true(r.exhausted);
    assert_says(&r, "in the first 12 of the window's 20 steps (of all vCPUs), at which runs end", true);
    search_report_fini(&r);

    preempt(20, 100, true, 0, &r);
    assert_says(&r, "in the first 20 steps (of all vCPUs) of the window, which is longer", true);
    search_report_fini(&r);
}

/* Wherever it is stopped, also within its last run: it is not finished, and says that. */
static void preempt_that_was_stopped_is_not_finished(void **state)
{
    static struct search_report r;
    unsigned all = preempt(6, 20100, false, 0, &r); /* a look within each run */
    const unsigned stops[] = {1, all / 2, all - 1};
    uint64_t runs = r.runs;

    assert_says(&r, "every interleaving", true);
    search_report_fini(&r);
    assert_true(all > 4);
    for (unsigned i = 0; i < COUNT(stops); i++) {
        preempt(6, 20100, false, stops[i], &r);
        assert_true(r.runs <= runs);
        assert_false(r.exhausted);
        assert_says(&r, "every interleaving", false);
        assert_says(&r, "not finished", true);
        search_report_fini(&r);
    }
}

static void what_preempt_can_not_do_is_refused_in_a_sentence(void **state)
{
    static const struct {
        unsigned vcpus, depth, sources;
        enum decision_kind kind;
        const char *says;
    } rows[] = {
        {1, 1, 0, DECISION_NMI, "two or more vCPUs; give --vcpus, or --inject"},
        {2, 5, 0, DECISION_NMI, "at most 4 moves, not 5"},
        {2, 1, 1, DECISION_PLUG, "sources that interrupt a vCPU: timer, nmi"},
        {2, 1, 1, DECISION_PASS, "not pass"},
    };

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct machine *m = rows[i].vcpus == 1 ? one_counter() : two_counters();
        struct seen seen = {.found = 0};
        struct search_options o = options_of(m, &strategy_preempt, &seen);
        static struct search_report r;
        struct diag d;

        o.strategy_options.interleave = true;
        o.strategy_options.depth = rows[i].depth;
        o.strategy_options.sources = rows[i].sources;
        o.strategy_options.source[0] = (struct source){.kind = rows[i].kind, .vcpu = DECISION_ANY_VCPU};
        assert_int_equal(search_run(&o, &r, &d), EMU_EINPUT);
        if (!strstr(d.text, rows[i].says))
            fail_msg("'%s' does not say '%s'", d.text, rows[i].says);
        machine_free(m);
    }
}

/* One vCPU, and an NMI that ends it: found wherever it is, and said to be a move. */
static void preempt_moves_interrupts_too(void **state)
{
    struct machine *m = one_counter();
    struct seen seen = {.found = 0};
    struct search_options o = options_of(m, &strategy_preempt, &seen);
    static struct search_report r;
    struct diag d;

    assert_int_equal(run_to(m, 1), MACHINE_STOPPED_STEPS);
    o.strategy_options.sources = 1;
    o.strategy_options.source[0] = (struct source){.kind = DECISION_NMI, .vcpu = DECISION_ANY_VCPU};
    assert_int_equal(search_run(&o, &r, &d), EMU_OK);
    assert_true(r.exhausted);
    assert_int_equal(r.failures, 1);
    assert_int_equal(r.failure[0].schedule.decision[0].kind, DECISION_NMI);
    assert_says(&r, "every interleaving of 1 vCPU with at most 1 interrupt (nmi) in the window (20 steps", true);
    search_report_fini(&r);
    machine_free(m);
}

static void random_and_pct_name_what_their_runs_went_through(void **state)
{
    const struct strategy *const strategies[] = {&strategy_random, &strategy_pct};

    for (unsigned i = 0; i < 2; i++) {
        struct machine *m = two_counters();
        struct seen seen = {.found = 0};
        struct search_options o = options_of(m, strategies[i], &seen);
        static struct search_report r;
        struct diag d;

        o.strategy_options.interleave = true;
        o.strategy_options.run_steps_max = o.end.steps_max = 12;
        o.runs_max = 3;
        assert_int_equal(search_run(&o, &r, &d), EMU_OK);
        assert_says(&r, "the first 12 of the window's 20 steps", true);
        search_report_fini(&r);
        machine_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_failure_is_told_at_once_and_each_kind_once),
        cmocka_unit_test(a_failure_is_confirmed_by_playing_it_or_said_not_to_be),
        cmocka_unit_test(a_run_that_is_abandoned_is_in_no_count),
        cmocka_unit_test(preempt_says_no_more_than_its_runs_have_gone_through),
        cmocka_unit_test(preempt_that_was_stopped_is_not_finished),
        cmocka_unit_test(what_preempt_can_not_do_is_refused_in_a_sentence),
        cmocka_unit_test(preempt_moves_interrupts_too),
        cmocka_unit_test(random_and_pct_name_what_their_runs_went_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
