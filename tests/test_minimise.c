/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Minimising by an oracle: no machine, so that what is minimal is known beforehand. */
#include "tests/cmocka_tap.h"

#include <string.h>

#include "fuzz/search/minimise.h"

#define DECISIONS     24u
#define NEEDED_MAX    4u
#define FIRST         1000u /* where schedules begin */
#define PROPERTY_RUNS 300u

/* Fails if every needed value is there, each at or behind its position. */
struct oracle {
    struct {
        uint64_t value, steps;
    } needed[NEEDED_MAX];
    unsigned count;
    uint64_t asked;
    uint64_t over_after; /* questions; 0: never */
    uint64_t lies_from;  /* from the how many-th question on it says no; 0: never */
    uint64_t breaks_at;  /* the how many-th has an error; 0: none */
    bool needs_run_to;
};

static bool has(const struct schedule *s, uint64_t value, uint64_t steps, bool run_to)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->decision[i].value == value && s->decision[i].at.steps >= steps &&
            (!run_to || s->decision[i].kind == DECISION_RUN_TO))
            return true;
    return false;
}

static bool fails_by(const struct oracle *o, const struct schedule *s)
{
    for (unsigned i = 0; i < o->count; i++)
        if (!has(s, o->needed[i].value, o->needed[i].steps, o->needs_run_to))
            return false;
    return true;
}

static enum emu_err fails(void *context, const struct schedule *s, bool *does, struct diag *d)
{
    struct oracle *o = context;

    o->asked++;
    *does = false;
    if (o->asked == o->breaks_at)
        return diag_set(d, EMU_EHOST, "the oracle broke");
    *does = fails_by(o, s) && !(o->lies_from && o->asked >= o->lies_from);
    return EMU_OK;
}

static bool is_over(void *context)
{
    const struct oracle *o = context;

    return o->over_after && o->asked >= o->over_after;
}

/* `count` decisions with values from 0 on, a hundred steps apart. */
static void make(struct schedule *s, unsigned count, enum decision_kind kind)
{
    struct diag d;

    schedule_init(s);
    for (unsigned i = 0; i < count; i++) {
        struct decision decision = {.kind = kind,
                                    .value = i,
                                    .at = {.kind = POSITION_STEPS, .steps = FIRST + 100 * (i + 1)},
                                    .to = {.kind = POSITION_STEPS, .steps = FIRST + 100 * (i + 1) + 50}};

        assert_int_equal(schedule_append(s, &decision, &d), EMU_OK);
    }
}

static enum emu_err ask(struct oracle *o, struct schedule *s, uint64_t runs_max, struct minimised *how)
{
    const struct minimise_oracle oracle = {
        .fails = fails, .is_over = is_over, .context = o, .vcpus = 1, .first_position = {FIRST}, .runs_max = runs_max};
    struct diag d;

    return minimise(&oracle, s, how, &d);
}

static void only_what_is_needed_is_left_at_its_lowest_position(void **state)
{
    struct oracle o = {.needed = {{3, FIRST + 17}, {11, FIRST + 200}}, .count = 2};
    struct minimised how;
    struct schedule s;

    make(&s, DECISIONS, DECISION_NMI);
    assert_int_equal(ask(&o, &s, 100000, &how), EMU_OK);
    assert_true(how.confirmed && how.finished);
    assert_int_equal(how.runs, o.asked);
    assert_int_equal(s.count, 2);
    assert_int_equal(s.decision[0].value, 3);
    assert_int_equal(s.decision[0].at.steps, FIRST + 17);
    assert_int_equal(s.decision[1].value, 11);
    assert_int_equal(s.decision[1].at.steps, FIRST + 200);
    schedule_fini(&s);
}

static void a_turn_that_ends_by_itself_is_simpler(void **state)
{
    for (unsigned needs_end = 0; needs_end < 2; needs_end++) {
        struct oracle o = {.needed = {{1, FIRST + 60}}, .count = 1, .needs_run_to = needs_end};
        struct minimised how;
        struct schedule s;

        make(&s, 3, DECISION_RUN_TO);
        assert_int_equal(ask(&o, &s, 100000, &how), EMU_OK);
        assert_int_equal(s.count, 1);
        assert_int_equal(s.decision[0].kind, needs_end ? DECISION_RUN_TO : DECISION_RUN);
        assert_int_equal(s.decision[0].at.steps, FIRST + 60);
        schedule_fini(&s);
    }
}

static void what_does_not_fail_again_is_a_result_and_stays_as_it_was(void **state)
{
    struct oracle o = {.needed = {{DECISIONS + 1, 0}}, .count = 1};
    struct minimised how;
    struct schedule s, before;
    struct diag d;

    make(&s, DECISIONS, DECISION_NMI);
    assert_int_equal(schedule_copy(&before, &s, &d), EMU_OK);
    assert_int_equal(ask(&o, &s, 100000, &how), EMU_OK);
    assert_false(how.confirmed || how.finished);
    assert_int_equal(how.runs, 1);
    assert_int_equal(s.count, before.count);
    for (size_t i = 0; i < s.count; i++)
        assert_true(decision_equal(&s.decision[i], &before.decision[i]));
    schedule_fini(&s);
    schedule_fini(&before);
}

static void the_hosts_error_ends_it_wherever_it_comes(void **state)
{
    uint64_t all = 0;

    for (uint64_t at = 0; at <= all; at++) {
        struct oracle o = {.needed = {{5, FIRST + 3}}, .count = 1, .breaks_at = at};
        struct minimised how;
        struct schedule s;

        make(&s, 8, DECISION_RUN_TO);
        assert_int_equal(ask(&o, &s, 100000, &how), at ? EMU_EHOST : EMU_OK);
        if (!at)
            all = o.asked;
        else
            assert_int_equal(o.asked, at);
        schedule_fini(&s);
    }
    assert_true(all > 10);
}

static void a_machine_that_is_not_deterministic_is_said_to_be_so(void **state)
{
    struct oracle honest = {.needed = {{5, FIRST + 3}}, .count = 1}, o = honest;
    struct minimised how;
    struct schedule s;

    make(&s, 8, DECISION_NMI);
    assert_int_equal(ask(&honest, &s, 100000, &how), EMU_OK);
    schedule_fini(&s);
    o.lies_from = honest.asked; /* the last question is whether it fails once more */
    make(&s, 8, DECISION_NMI);
    assert_int_equal(ask(&o, &s, 100000, &how), EMU_EHOST);
    schedule_fini(&s);
}

static void whatever_ends_it_early_what_is_left_fails(void **state)
{
    for (unsigned by_runs = 0; by_runs < 2; by_runs++)
        for (uint64_t n = 1; n < 60; n++) {
            struct oracle o = {.needed = {{3, FIRST + 17}, {11, FIRST + 200}}, .count = 2};
            struct minimised how;
            struct schedule s;

            if (!by_runs)
                o.over_after = n;
            make(&s, DECISIONS, DECISION_NMI);
            assert_int_equal(ask(&o, &s, by_runs ? n : 100000, &how), EMU_OK);
            assert_true(how.confirmed);
            assert_true(how.finished || how.runs == n);
            assert_true(fails_by(&o, &s));
            schedule_fini(&s);
        }
}

static uint64_t random_next(uint64_t *x)
{
    *x = *x * 6364136223846793005ull + 1442695040888963407ull;
    return *x >> 33;
}

static void any_set_of_needed_decisions_is_found_exactly(void **state)
{
    uint64_t x = 1;

    for (unsigned run = 0; run < PROPERTY_RUNS; run++) {
        struct oracle o = {.count = 1 + (unsigned)(random_next(&x) % NEEDED_MAX)};
        unsigned decisions = 1 + (unsigned)(random_next(&x) % DECISIONS), distinct = 0;
        bool wanted[DECISIONS] = {false};
        struct minimised how;
        struct schedule s;

        for (unsigned i = 0; i < o.count; i++) {
            o.needed[i].value = random_next(&x) % decisions;
            o.needed[i].steps = FIRST + random_next(&x) % (100 * (o.needed[i].value + 1) + 1);
            distinct += !wanted[o.needed[i].value];
            wanted[o.needed[i].value] = true;
        }
        make(&s, decisions, random_next(&x) & 1 ? DECISION_NMI : DECISION_RUN_TO);
        assert_int_equal(ask(&o, &s, 100000, &how), EMU_OK);
        assert_true(fails_by(&o, &s));
        assert_int_equal(s.count, distinct);
        schedule_fini(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_is_needed_is_left_at_its_lowest_position),
        cmocka_unit_test(a_turn_that_ends_by_itself_is_simpler),
        cmocka_unit_test(what_does_not_fail_again_is_a_result_and_stays_as_it_was),
        cmocka_unit_test(the_hosts_error_ends_it_wherever_it_comes),
        cmocka_unit_test(a_machine_that_is_not_deterministic_is_said_to_be_so),
        cmocka_unit_test(whatever_ends_it_early_what_is_left_fails),
        cmocka_unit_test(any_set_of_needed_decisions_is_found_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
