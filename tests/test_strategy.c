/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Strategies, seen by what they propose in a search of two vCPUs that count in shared memory: the same seed proposes
 * the same, bounds are kept, and what a strategy can't do is refused.
 */
#include "tests/toy_machine.h"

#include <stdlib.h>

#include "emu/base/count.h"
#include "fuzz/search/search.h"
#include "fuzz/search/strategy.h"

#define WINDOW_STEPS 600 /* shorter than what the strategies take for spinning */
#define RUNS         40

/* ---- a strategy that looks at another one ---- */

static struct watched {
    const struct strategy *inner;
    const struct strategy_options *options;
    void *state;
    uint64_t moves, sum; /* of all runs; their digest */
    uint64_t runs;
    unsigned acts, first_acts, switches; /* of the present run: proposals, those not made again, preemptions */
    unsigned acts_max, first_acts_max, switches_max;
    int only;
    int source_tried;
    unsigned taken[STRATEGY_SOURCES_MAX], taken_max; /* of the present run: proposed and not refused; of any run */
    bool is_exhausted;
} watched;

static void note(uint64_t value)
{
    watched.sum = (watched.sum ^ value) * 0x100000001b3ull;
}

static enum emu_err watched_init(const struct strategy_options *o, void **state, struct diag *d)
{
    enum emu_err err = watched.inner->init(o, &watched.state, d);

    *state = &watched;
    return err;
}

static void watched_fini(void *state)
{
    watched.inner->fini(watched.state);
}

static bool watched_begin(void *state)
{
    watched.acts = watched.first_acts = watched.switches = 0;
    memset(watched.taken, 0, sizeof(watched.taken));
    watched.only = watched.source_tried = -1;
    return watched.inner->begin(watched.state);
}

static int source_of(const struct decision *d)
{
    for (unsigned i = 0; i < watched.options->sources; i++)
        if (watched.options->source[i].kind == d->kind)
            return (int)i;
    return -1;
}

/* What holds for every strategy's every move. */
static void watched_move(void *state, struct machine *m, bool refused, struct move *move)
{
    watched.inner->move(watched.state, m, refused, move);
    if (watched.source_tried >= 0 && !refused && ++watched.taken[watched.source_tried] > watched.taken_max)
        watched.taken_max = watched.taken[watched.source_tried];
    watched.source_tried = -1;
    assert_true(move->steps >= 1);
    assert_true(move->only < (int)machine_vcpus(m));
    assert_true(!(move->until_runnable >> machine_vcpus(m)));
    if (move->only >= 0 && watched.only >= 0 && move->only != watched.only &&
        vcpu_state(m, (unsigned)watched.only) == VCPU_RUNNABLE)
        watched.switches++;
    if (move->only >= 0)
        watched.only = move->only;
    if (move->acts) {
        bool turn = move->action.kind == DECISION_RUN;

        watched.source_tried = source_of(&move->action);
        assert_true(turn ? watched.options->interleave : watched.source_tried >= 0);
        assert_true(move->action.vcpu < machine_vcpus(m) || move->action.kind == DECISION_EXPIRE);
        watched.acts++;
        watched.first_acts += !refused;
    }
    watched.moves++;
    note(move->acts ? (uint64_t)move->action.kind << 32 | move->action.vcpu << 8 | 1 : 0);
    note((uint64_t)move->only);
    note(move->steps);
    note(move->until_runnable);
}

static void watched_end(void *state, const struct trial *trial)
{
    watched.runs++;
    if (watched.acts > watched.acts_max)
        watched.acts_max = watched.acts;
    if (watched.first_acts > watched.first_acts_max)
        watched.first_acts_max = watched.first_acts;
    if (watched.switches > watched.switches_max)
        watched.switches_max = watched.switches;
    watched.inner->end(watched.state, trial);
}

static void watched_statement(void *state, char *text, size_t bytes)
{
    watched.inner->statement(watched.state, text, bytes);
}

static const struct strategy watcher = {.name = "watcher",
                                        .init = watched_init,
                                        .fini = watched_fini,
                                        .begin = watched_begin,
                                        .move = watched_move,
                                        .end = watched_end,
                                        .statement = watched_statement};

/* ---- the machine and the search ---- */

/* mov al, 1; out PORT_START; sti, and on both: 1: inc [DATA + 0x700]; inc ecx; jmp 1b */
static struct machine *counting_machine(unsigned vcpus)
{
    struct machine *m = new_machine(2);

    CODE_AT(m, CODE, 0xb0, 1, 0xe6, PORT_START, 0xfb, 0xff, 0x05, 0, 7, 3, 0, 0x41, 0xeb, 0xf7);
    CODE_AT(m, CODE + 0x1000, 0xfb, 0xff, 0x05, 0, 7, 3, 0, 0x41, 0xeb, 0xf7);
    if (vcpus == 1)
        CODE_AT(m, CODE, 0x90, 0x90, 0x90, 0x90);
    (void)run_to(m, 20);
    return m;
}

static struct strategy_options options_of(unsigned depth, uint64_t seed)
{
    return (struct strategy_options){.source = {{.kind = DECISION_NMI, .vcpu = DECISION_ANY_VCPU},
                                                {.kind = DECISION_VECTOR, .vcpu = DECISION_ANY_VCPU, .value = 0x50}},
                                     .sources = 2,
                                     .interleave = true,
                                     .window_steps = WINDOW_STEPS,
                                     .seed = seed,
                                     .depth = depth};
}

/* Search, and leave in `watched` what was seen; returns how many runs were made. */
static uint64_t search_by(const char *name, const struct strategy_options *options, uint64_t runs_max)
{
    struct search_report report;
    struct machine *m = counting_machine(2);
    struct search_options o = {.machine = m,
                               .strategy = &watcher,
                               .strategy_options = *options,
                               .end.steps_max = 2 * WINDOW_STEPS,
                               .runs_max = runs_max};
    struct diag d;

    diag_init(&d);
    watched = (struct watched){.inner = strategy_find(name), .options = options};
    assert_non_null(watched.inner);
    if (search_run(&o, &report, &d) != EMU_OK)
        fail_msg("%s: %s", name, d.text);
    assert_int_equal(report.runs, watched.runs);
    watched.is_exhausted = report.exhausted;
    search_report_fini(&report);
    machine_free(m);
    return watched.runs;
}

static enum emu_err init_of(const char *name, struct strategy_options *o, struct diag *d)
{
    const struct strategy *s = strategy_find(name);
    struct machine *m = counting_machine(1);
    void *state = NULL;
    enum emu_err err;

    assert_non_null(s);
    diag_init(d);
    o->machine = m;
    err = s->init(o, &state, d);
    if (state)
        s->fini(state);
    machine_free(m);
    return err;
}

/* ---- what is random ---- */

static void the_same_seed_proposes_the_same_moves(void **state)
{
    static const char *const names[] = {"random", "pct"};

    for (size_t i = 0; i < COUNT(names); i++) {
        struct strategy_options o = options_of(4, 7);
        uint64_t sum, moves;

        assert_int_equal(search_by(names[i], &o, RUNS), RUNS);
        sum = watched.sum;
        moves = watched.moves;
        assert_true(moves > RUNS);
        (void)search_by(names[i], &o, RUNS);
        assert_int_equal(watched.sum, sum);
        assert_int_equal(watched.moves, moves);
        o.seed = 8;
        (void)search_by(names[i], &o, RUNS);
        assert_int_not_equal(watched.sum, sum);
    }
}

static void a_random_number_is_below_its_bound_and_any_of_them(void **state)
{
    for (uint64_t n = 1; n <= 64; n++) {
        uint64_t seen = 0, random = n;

        for (unsigned i = 0; i < 2000; i++) {
            uint64_t r = strategy_random_below(&random, n);

            assert_true(r < n);
            seen |= 1ull << r;
        }
        assert_int_equal(seen, n == 64 ? UINT64_MAX : (1ull << n) - 1);
    }
}

static void random_places_ascend_within_the_window(void **state)
{
    static const uint64_t windows[] = {0, 1, 2, 1000, UINT64_MAX};

    for (size_t w = 0; w < COUNT(windows); w++)
        for (uint64_t seed = 1; seed < 50; seed++) {
            uint64_t place[64], random = seed;

            strategy_random_places(&random, windows[w], place, 64);
            for (unsigned i = 0; i < 64; i++) {
                assert_true(place[i] < (windows[w] ? windows[w] : 1));
                assert_true(i == 0 || place[i] >= place[i - 1]);
            }
        }
}

/* ---- bounds ---- */

static void random_acts_as_often_as_it_may(void **state)
{
    static const unsigned depths[][2] = {{0, 1}, {1, 1}, {5, 5}, {64, 64}, {1000, 64}};

    for (size_t i = 0; i < COUNT(depths); i++) {
        struct strategy_options o = options_of(depths[i][0], 3);

        (void)search_by("random", &o, RUNS);
        assert_in_range(watched.first_acts_max, depths[i][1] == 1 ? 1 : depths[i][1] / 2, depths[i][1]);
    }
}

/* Between two changes of priority, only waking and sources change who runs; nobody waits here. */
static void pct_changes_who_runs_depth_minus_one_times(void **state)
{
    for (unsigned depth = 1; depth <= 6; depth++) {
        struct strategy_options o = options_of(depth, 5);

        o.sources = 0;
        (void)search_by("pct", &o, RUNS);
        assert_in_range(watched.switches_max, depth > 1, depth - 1);
    }
}

static void pct_takes_each_source_once(void **state)
{
    struct strategy_options o = options_of(3, 5);

    (void)search_by("pct", &o, RUNS);
    assert_int_equal(watched.taken_max, 1);
}

static void bytes_make_one_run_of_a_decision_for_three_of_them(void **state)
{
    static const uint8_t bytes[] = {0, 0, 0, 1, 1, 0, 2, 0x10, 0, 3, 0, 1, 9, 9};

    for (size_t n = 0; n <= sizeof(bytes); n++) {
        struct strategy_options o = options_of(0, 1);

        o.bytes = bytes;
        o.byte_count = n;
        assert_int_equal(search_by("bytes", &o, 10), 1);
        assert_int_equal(watched.acts_max, n / 3);
    }
}

/* ---- what they refuse ---- */

static void what_a_strategy_can_not_do_is_refused_in_a_sentence(void **state)
{
    static const struct {
        const char *name, *says;
        unsigned vcpus, sources, depth;
        bool interleave;
    } rows[] = {
        {"random", "there is nothing to decide", 1, 0, 1, false},
        {"pct", "there is nothing to decide", 1, 0, 1, false},
        {"bytes", "there is nothing to decide", 1, 0, 1, false},
        {"pct", "pct takes a depth of 1 to 16, not 17", 2, 1, 17, true},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct strategy_options o = options_of(rows[i].depth, 1);
        struct diag d;

        o.vcpus = rows[i].vcpus;
        o.sources = rows[i].sources;
        o.interleave = rows[i].interleave;
        assert_int_equal(init_of(rows[i].name, &o, &d), EMU_EINPUT);
        if (!strstr(d.text, rows[i].says))
            fail_msg("%s: '%s' does not say '%s'", rows[i].name, d.text, rows[i].says);
    }
}

static void strategies_are_found_by_their_names(void **state)
{
    unsigned count = 0;

    for (const struct strategy *s; (s = strategy_at(count)); count++)
        assert_ptr_equal(strategy_find(s->name), s);
    assert_int_equal(count, 4);
    assert_null(strategy_find("exhaustive"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_proposes_the_same_moves),
        cmocka_unit_test(a_random_number_is_below_its_bound_and_any_of_them),
        cmocka_unit_test(random_places_ascend_within_the_window),
        cmocka_unit_test(random_acts_as_often_as_it_may),
        cmocka_unit_test(pct_changes_who_runs_depth_minus_one_times),
        cmocka_unit_test(pct_takes_each_source_once),
        cmocka_unit_test(bytes_make_one_run_of_a_decision_for_three_of_them),
        cmocka_unit_test(what_a_strategy_can_not_do_is_refused_in_a_sentence),
        cmocka_unit_test(strategies_are_found_by_their_names),
    };

    return cmocka_run_group_tests_name("strategy", tests, NULL, NULL);
}
