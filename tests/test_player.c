/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Machines under schedules: each decision at its exact boundary, and what is illegal refused with its reason.
 */
#include "tests/toy_machine.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "emu/base/count.h"
#include "emu/base/ensure.h"
#include "emu/decide.h"
#include "emu/image/symbols.h"
#include "emu/player.h"
#include "emu/snapshot.h"

/* sti; 1: inc ecx; inc edx; jmp 1b */
#define STEPS_LOOP 0xfb, 0x41, 0x42, 0xeb, 0xfc

struct play {
    struct machine *m;
    struct schedule schedule;
    struct player player;
    struct diag diag;
    enum machine_stop_reason why;
};

static void play_init(struct play *p, struct machine *m, const char *text, const struct symbols *symbols)
{
    diag_init(&p->diag);
    p->m = m;
    if (schedule_parse(text, strlen(text), "case", 1, &p->schedule, &p->diag) != EMU_OK)
        fail_msg("%s", p->diag.text);
    player_init(&p->player, m, &p->schedule, symbols_resolve, symbols, "case");
}

static void play_fini(struct play *p)
{
    schedule_fini(&p->schedule);
    machine_free(p->m);
}

static enum emu_err play(struct play *p, uint64_t steps_max)
{
    return player_run(&p->player, &(struct machine_limits){.steps_max = steps_max}, &p->why, &p->diag);
}

/* sti and the loop; vCPU 1, started at once, has a loop of its own without interrupts: inc ecx; jmp */
static struct machine *two_vcpus(void)
{
    struct machine *m = new_machine(2);

    CODE_AT(m, CODE, 0xb0, 1, 0xe6, PORT_START, STEPS_LOOP);
    CODE_AT(m, CODE + 0x1000, 0x41, 0xeb, 0xfd);
    return m;
}

static void an_interrupt_is_taken_at_its_position(void **state)
{
    /* 1 step for STI, then three a turn of the loop; an interrupt before step n + 1 finds this RIP. */
    static const struct {
        const char *line;
        unsigned vector, rip;
    } rows[] = {
        {"at 0:2 nmi 0", 2, 2},
        {"at 0:3 nmi 0", 2, 3},
        {"at 0:4 nmi 0", 2, 1},
        {"at 0:0 nmi 0", 2, 0},
        {"at 0:2 vector 0 0x50", 0x50, 2},
        {"at 0:3 ipi 0 0x40", VECTOR, 3},
        {"at 0:1000 nmi 0", 2, 1},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct play p;

        play_init(&p, MACHINE(STEPS_LOOP), rows[i].line, NULL);
        if (play(&p, 2000) != EMU_OK)
            fail_msg("%s: %s", rows[i].line, p.diag.text);
        assert_true(player_is_done(&p.player));
        assert_int_equal(player_finish(&p.player, &p.diag), EMU_OK);
        assert_int_equal(taken(p.m, rows[i].vector), 1);
        assert_int_equal(interrupted_at(p.m), rows[i].rip);
        play_fini(&p);
    }
}

static void what_is_illegal_is_refused_with_its_reason(void **state)
{
    static const char *const rows[][2] = {
        {"at 0:1 vector 0 0x50", "vCPU 0 is in an interrupt shadow here"},
        {"at 0:0 vector 0 0x50", "vCPU 0 has IF=0 here, at RIP 0x10000"},
        {"at 0:0 ipi 0 0x40", "vCPU 0 has IF=0 here"},
        {"at 0:5 ipi 0 0x41", "a toy takes one vector only"},
        {"at 0:5 nmi 0\nthen nmi 0", "an NMI is pending on vCPU 0 already"},
        {"at 0:5 nmi 0\nat 0:6 nmi 0", "NMIs are blocked on vCPU 0 until the IRET"},
        {"at 0:5 vector 0 0x50\nthen vector 0 0x51", "vCPU 0 takes vector 0x50 first"},
        {"at 0:5 nmi 1", "vCPU 1 is offline here"},
        {"at 0:5 nmi 2", "there is no vCPU 2: the machine has 2"},
        {"at 2:5 nmi 0", "there is no vCPU 2: the machine has 2"},
        {"at 0:5 run 1", "vCPU 1 is offline here"},
        {"at 0:5 expire", "no timer is armed here"},
        {"at 0:5 expire 1", "no timer of vCPU 1 is armed here"},
        {"at 0:5 late 7", "no timer is armed here"},
        {"at 0:5 upcall 0", "nothing in this machine takes 'upcall'"},
        {"at 0:5 plug 1", "nothing in this machine takes 'plug'"},
        {"at 0:5 check 1234", "0000000000001234 was recorded: the runs have parted before this step"},
        {"at 0:5 mark\nat 0:4 nmi 0", "vCPU 0 has already made 5 steps where the line before took place"},
        {"at 0:start mark", "the guest has no symbols"},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct machine *m = new_machine(2);
        unsigned lines = strchr(rows[i][0], '\n') ? 2 : 1;
        struct play p;

        CODE_AT(m, CODE, STEPS_LOOP);
        play_init(&p, m, rows[i][0], NULL);
        if (play(&p, 2000) != EMU_EINPUT)
            fail_msg("%s: was not refused", rows[i][0]);
        if (!strstr(p.diag.text, rows[i][1]))
            fail_msg("%s: expected '%s', got '%s'", rows[i][0], rows[i][1], p.diag.text);
        assert_int_equal(p.diag.line, lines);
        assert_string_equal(p.diag.file, "case");
        play_fini(&p);
    }
}

static void a_run_that_ends_early_is_not_the_schedules(void **state)
{
    struct play p;

    play_init(&p, MACHINE(0x41, 0xfa, 0xf4), "at 0:2 mark\nat 0:500 nmi 0", NULL);
    assert_int_equal(play(&p, 2000), EMU_OK);
    assert_int_equal(p.why, MACHINE_STOPPED_VERDICT);
    assert_int_equal(player_finish(&p.player, &p.diag), EMU_EINPUT);
    assert_non_null(strstr(p.diag.text, "the run ended before this decision: at 0:500 nmi 0"));
    assert_int_equal(p.diag.line, 2);
    play_fini(&p);
}

static void a_turn_given_away_is_the_others(void **state)
{
    struct play p;

    play_init(&p, two_vcpus(), "at 0:10 run 1\nat 1:7 run 0\nat 0:12 run 1 to 1:500000\nthen mark", NULL);
    assert_int_equal(player_run(&p.player,
                                &(struct machine_limits){.steps_max = UINT64_MAX, .position_max = 3, .vcpu = 1}, &p.why,
                                &p.diag),
                     EMU_OK);
    assert_int_equal(p.why, MACHINE_STOPPED_POSITION);
    assert_int_equal(vcpu_position(p.m, 0), 10);
    assert_int_equal(vcpu_position(p.m, 1), 3);
    assert_int_equal(play(&p, 500020), EMU_OK);
    assert_true(player_is_done(&p.player));
    assert_int_equal(vcpu_position(p.m, 0) + vcpu_position(p.m, 1), 500020);
    assert_in_range(vcpu_position(p.m, 1), 500000, 500008);
    play_fini(&p);
}

static void a_vcpu_that_never_runs_again_does_not_get_to_its_place(void **state)
{
    struct machine *m = two_vcpus();
    struct play p;

    CODE_AT(m, CODE + 0x1000, 0xfa, 0xf4);
    play_init(&p, m, "at 0:10 run 1 to 1:100", NULL);
    assert_int_equal(play(&p, 2000), EMU_EINPUT);
    assert_non_null(strstr(p.diag.text, "vCPU 1 does not get to 1:100: it is halted (HLT with interrupts disabled)"));
    play_fini(&p);
}

static struct symbols *loop_symbols(void)
{
    struct symbols *s = symbols_new();
    struct diag d;

    assert_int_equal(symbols_add(s, CODE, 1, 'T', "start", &d), EMU_OK);
    assert_int_equal(symbols_add(s, CODE + 1, 4, 'T', "loop", &d), EMU_OK);
    assert_int_equal(symbols_add(s, CODE + 0x100, 4, 't', "twice", &d), EMU_OK);
    assert_int_equal(symbols_add(s, CODE + 0x200, 4, 't', "twice", &d), EMU_OK);
    assert_int_equal(symbols_seal(s, &d), EMU_OK);
    return s;
}

static void an_anchor_is_found_where_its_occurrence_is(void **state)
{
    static const struct {
        const char *text;
        uint64_t position; /* before the last decision */
    } rows[] = {
        {"at 0:start nmi 0", 0},
        {"at 0:loop+1 nmi 0", 2},
        {"at 0:loop#2 nmi 0", 4},
        {"at 0:loop+1#3 nmi 0", 8},
        {"at 0:loop+0x2#3~1 nmi 0", 10},
        {"at 0:loop#2 mark\nat 0:loop nmi 0", 7}, /* the place of the line before does not count */
        {"at 0:loop#2 mark\nat 0:loop+1 nmi 0", 5},
        {"at 0:loop#2 mark\nthen nmi 0", 4},
        {"at 0:5 mark\nat 0:loop#2 nmi 0", 10},
    };
    struct symbols *s = loop_symbols();

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct play p, by_anchor, by_position;
        uint32_t at;
        char text[64];
        uint64_t digest;

        play_init(&p, MACHINE(STEPS_LOOP), rows[i].text, s);
        if (play(&p, 2000) != EMU_OK)
            fail_msg("%s: %s", rows[i].text, p.diag.text);
        assert_int_equal(taken(p.m, 2), 1);
        at = rows[i].position ? 1 + (uint32_t)(rows[i].position - 1) % 3 : 0;
        if (interrupted_at(p.m) != at)
            fail_msg("%s: at %u, not %u", rows[i].text, interrupted_at(p.m), at);
        play_fini(&p);
        /* the same by position, and so the same run */
        play_init(&by_anchor, MACHINE(STEPS_LOOP), rows[i].text, s);
        assert_int_equal(play(&by_anchor, 2000), EMU_OK);
        digest = machine_digest(by_anchor.m);
        play_fini(&by_anchor);
        snprintf(text, sizeof(text), "at 0:%" PRIu64 " nmi 0", rows[i].position);
        play_init(&by_position, MACHINE(STEPS_LOOP), text, s);
        assert_int_equal(play(&by_position, 2000), EMU_OK);
        assert_true(digest == machine_digest(by_position.m));
        play_fini(&by_position);
    }
    symbols_free(s);
}

static void a_wrong_anchor_is_refused(void **state)
{
    static const char *const rows[][2] = {
        {"at 0:nowhere nmi 0", "the guest has no symbol named 'nowhere'"},
        {"at 0:twice nmi 0", "2 symbols of the guest are named 'twice'"},
        {"at 0:loop+0x4 nmi 0", "'loop' has 0x4 bytes, so that +0x4 is outside of it"},
    };
    struct symbols *s = loop_symbols();

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct play p;

        play_init(&p, MACHINE(STEPS_LOOP), rows[i][0], s);
        assert_int_equal(play(&p, 2000), EMU_EINPUT);
        assert_string_equal(p.diag.text, rows[i][1]);
        play_fini(&p);
    }
    symbols_free(s);
}

static void the_callers_breakpoint_stops_once_at_an_anchor_too(void **state)
{
    const uint64_t stop = CODE + 1;
    struct symbols *s = loop_symbols();
    struct play p;

    play_init(&p, MACHINE(STEPS_LOOP), "at 0:loop#2 nmi 0", s);
    for (unsigned hit = 0; hit < 3; hit++) {
        assert_int_equal(player_run(&p.player,
                                    &(struct machine_limits){.steps_max = 2000, .break_gva = &stop, .breaks = 1},
                                    &p.why, &p.diag),
                         EMU_OK);
        assert_int_equal(p.why, MACHINE_STOPPED_RIP);
    }
    assert_int_equal(taken(p.m, 2), 1);
    assert_int_equal(vcpu_position(p.m, 0), 4 + 3); /* delivery, INC and IRET: the loop's start is reached again */
    play_fini(&p);
    symbols_free(s);
}

static void a_timer_expires_early_or_late(void **state)
{
    /* mov eax, 5000; out PORT_TIMER, eax; sti and the loop: the vector comes when 5,000 ns have passed. */
    static const char *const lines[] = {"", "at 0:20 expire", "at 0:20 late 1000", "at 0:20 pass 3000"};
    uint64_t at[4];

    for (unsigned i = 0; i < 4; i++) {
        struct play p;
        uint64_t steps = 100;

        play_init(&p, MACHINE(0xb8, 0x88, 0x13, 0, 0, 0xe7, PORT_TIMER, STEPS_LOOP), lines[i], NULL);
        do {
            assert_int_equal(play(&p, steps), EMU_OK);
            steps++;
        } while (!taken(p.m, VECTOR) && steps < 10000);
        at[i] = vcpu_position(p.m, 0);
        play_fini(&p);
    }
    assert_in_range(at[1], 20, 100);
    assert_int_equal(at[2], at[0] + 1000);
    assert_int_equal(at[3], at[0] - 3000);
}

/* ---- a thousand random schedules ---- */

static uint64_t next_random(uint64_t *r)
{
    *r = *r * 6364136223846793005ull + 1442695040888963407ull;
    return *r >> 33;
}

#define RANDOM_STEPS     6000
#define RANDOM_SCHEDULES 1000

/* Decide at random, and note what was legal. */
static uint64_t record(struct machine *m, uint64_t seed, struct schedule *s, uint64_t *end)
{
    uint64_t r = seed;
    struct diag diag;

    schedule_init(s);
    while (machine_steps(m) < RANDOM_STEPS) {
        static const enum decision_kind kinds[] = {DECISION_RUN, DECISION_RUN,  DECISION_NMI,  DECISION_VECTOR,
                                                   DECISION_IPI, DECISION_PASS, DECISION_LATE, DECISION_EXPIRE};
        struct decision d = {.at = {.kind = POSITION_STEPS}};
        enum machine_stop_reason why;

        why = run_to(m, machine_steps(m) + 1 + next_random(&r) % 200);
        assert_int_equal(why, MACHINE_STOPPED_STEPS);
        d.kind = kinds[next_random(&r) % 8];
        d.vcpu = d.kind == DECISION_EXPIRE ? DECISION_ANY_VCPU : (unsigned)(next_random(&r) % 2);
        d.value = d.kind == DECISION_PASS || d.kind == DECISION_LATE ? 1 + next_random(&r) % 5000 : VECTOR;
        d.at.vcpu = machine_current(m);
        d.at.steps = vcpu_position(m, d.at.vcpu);
        if (machine_decide(m, &d, &diag) == EMU_OK)
            assert_int_equal(schedule_append(s, &d, &diag), EMU_OK);
    }
    assert_int_equal(run_to(m, machine_steps(m) + 50), MACHINE_STOPPED_STEPS);
    *end = machine_steps(m);
    return machine_digest(m);
}

/* With extra stops, and with going back to where it was, at random places. */
static uint64_t replay(struct machine *m, const struct schedule *s, uint64_t end, uint64_t seed)
{
    uint64_t r = seed;
    struct player p;
    enum machine_stop_reason why;
    struct diag diag;

    diag_init(&diag);
    player_init(&p, m, s, symbols_resolve, NULL, NULL);
    while (machine_steps(m) < end) {
        struct machine_limits l = {.steps_max = seed ? machine_steps(m) + 1 + next_random(&r) % 900 : end};
        struct snapshot *back = NULL;
        struct player player_back = p;

        if (l.steps_max > end)
            l.steps_max = end;
        if (seed && next_random(&r) % 4 == 0)
            assert_int_equal(snapshot_take(m, NULL, &back, &diag), EMU_OK);
        if (player_run(&p, &l, &why, &diag) != EMU_OK)
            fail_msg("%s", diag.text);
        if (back) {
            snapshot_restore(m, back);
            snapshot_free(m, back);
            p = player_back;
        }
    }
    assert_true(player_is_done(&p));
    return machine_digest(m);
}

/* One machine goes back to its start for each recording and each disturbed replay, and must be as a new one each time:
   the plain replay is in a new one. */
static void a_thousand_random_schedules_replay_to_the_same_digest(void **state)
{
    struct machine *m = two_vcpus();
    struct snapshot *start;
    struct diag diag;

    diag_init(&diag);
    assert_int_equal(snapshot_take(m, NULL, &start, &diag), EMU_OK);
    for (uint64_t seed = 1; seed <= RANDOM_SCHEDULES; seed++) {
        struct machine *new = two_vcpus();
        struct schedule s, parsed;
        uint64_t end, recorded = record(m, seed, &s, &end), plain, disturbed;
        char *text;
        size_t bytes;
        FILE *f = open_memstream(&text, &bytes);

        schedule_print(&s, f);
        fclose(f);
        assert_int_equal(schedule_parse(text, bytes, NULL, 1, &parsed, &diag), EMU_OK);
        assert_int_equal(parsed.count, s.count);
        for (size_t i = 0; i < s.count; i++)
            assert_true(decision_equal(&s.decision[i], &parsed.decision[i]));
        free(text);
        plain = replay(new, &parsed, end, 0);
        machine_free(new);
        snapshot_restore(m, start);
        disturbed = replay(m, &parsed, end, seed * 77);
        snapshot_restore(m, start);
        if (plain != recorded || disturbed != recorded)
            fail_msg("schedule %" PRIu64 ": recorded %016" PRIx64 ", replayed %016" PRIx64
                     ", with extra stops and returns %016" PRIx64,
                     seed, recorded, plain, disturbed);
        schedule_fini(&s);
        schedule_fini(&parsed);
    }
    snapshot_free(m, start);
    machine_free(m);
}

/* ---- our own mistakes ---- */

static void make_a_mistake(struct machine *m, size_t decision, void *context)
{
    ensure(decision != 1 || !"a mistake");
}

/* What a process says that plays `text` and makes a mistake before its second decision. */
static void last_words(const char *text, char *said, size_t bytes)
{
    int pipes[2], status;
    size_t used = 0;
    ssize_t got;
    pid_t child;

    assert_int_equal(pipe(pipes), 0);
    child = fork();
    assert_true(child >= 0);
    if (!child) {
        struct play p;

        signal(SIGABRT, SIG_DFL);
        dup2(pipes[1], STDERR_FILENO);
        play_init(&p, MACHINE(STEPS_LOOP), text, NULL);
        p.player.reached = make_a_mistake;
        (void)!play(&p, 1000);
        _exit(0);
    }
    close(pipes[1]);
    while ((got = read(pipes[0], said + used, bytes - 1 - used)) > 0)
        used += (size_t)got;
    said[used] = '\0';
    close(pipes[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void a_mistake_of_ours_tells_the_decisions_so_far(void **state)
{
    char said[4096];

    last_words("at 0:10 vector 0 0x40\nat 0:20 nmi 0\nat 0:30 nmi 0\n", said, sizeof(said));
    assert_non_null(strstr(said, "internal error"));
    assert_non_null(strstr(said, "a mistake"));
    assert_non_null(strstr(said, "the decisions so far, as a schedule:\nat 0:10 vector 0 0x40\n"));
    assert_null(strstr(said, "nmi"));
}

static void who_has_ended_is_not_asked_for_its_decisions(void **state)
{
    struct play p;
    struct ensure_reporter nobody = {NULL, NULL}, last;

    play_init(&p, MACHINE(STEPS_LOOP), "at 0:10 nmi 0\n", NULL);
    assert_int_equal(play(&p, 100), EMU_OK);
    last = ensure_set_reporter(nobody);
    assert_true(last.print == NULL);
    play_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_interrupt_is_taken_at_its_position),
        cmocka_unit_test(what_is_illegal_is_refused_with_its_reason),
        cmocka_unit_test(a_run_that_ends_early_is_not_the_schedules),
        cmocka_unit_test(a_turn_given_away_is_the_others),
        cmocka_unit_test(a_vcpu_that_never_runs_again_does_not_get_to_its_place),
        cmocka_unit_test(an_anchor_is_found_where_its_occurrence_is),
        cmocka_unit_test(a_wrong_anchor_is_refused),
        cmocka_unit_test(the_callers_breakpoint_stops_once_at_an_anchor_too),
        cmocka_unit_test(a_timer_expires_early_or_late),
        cmocka_unit_test(a_thousand_random_schedules_replay_to_the_same_digest),
        cmocka_unit_test(a_mistake_of_ours_tells_the_decisions_so_far),
        cmocka_unit_test(who_has_ended_is_not_asked_for_its_decisions),
    };

    return cmocka_run_group_tests_name("player", tests, NULL, NULL);
}
