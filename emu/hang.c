/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hang: a proof that nothing will ever change again. Three proofs: no vCPU can run, and no timer is armed or each that
 * is has expired twice in vain; or the whole state, time aside, is one that was there before, with no timer armed and
 * no fact in between; or all that the guest uses is (hang_probe.h), with timers that expire in vain, if any.
 *
 * Time aside is right only for who does not read it: each proof also asks that no time was read since the state was the
 * same, by an instruction or from a device (clock_read_ns), by a model whose timer has expired, or from memory in which
 * the host says it. The last is not noticed as it happens: a state that repeats is watched for one more period
 * (hang_clock.h).
 *
 * The second is Brent's cycle search over turns: a mark is set at growing distances, and each turn's state is compared
 * with the mark: the registers first, and the whole state only if they are the same. It looks only after a stretch
 * without any fact, so that a run that does something never pays for it, and a long silent computation pays little.
 * ASSUMES: a timer that has expired twice without any fact (nothing delivered, no vCPU woken, no event raised) will do
 * so again: what its expirations leave in the models is pending already. A model of which that is not true reads the
 * time when its timer expires.
 */
#include <inttypes.h>
#include <string.h>

#include "emu/machine_state.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define QUIET_NS        300000ull   /* virtual time without a fact before the search begins: a few turns */
#define PROBE_NS_MAX    20000000ull /* a longer period is not looked into */
#define PROBE_REST      2u          /* the next look comes after so many times the silence up to now */
#define WATCH_REST      2u          /* the same, after it was a clock that the guest read */
#define FIRST_PERIOD_NS 400000ull

static void describe(struct machine *m, char *text, size_t bytes)
{
    static const char *const names[] = {[VCPU_OFFLINE] = "is offline",
                                        [VCPU_RUNNABLE] = "spins",
                                        [VCPU_HALTED] = "is halted",
                                        [VCPU_POLLING] = "polls"};
    size_t used = 0;

    text[0] = '\0';
    for (unsigned v = 0; v < m->config.vcpus && used + 1 < bytes; v++) {
        int n = snprintf(text + used, bytes - used, "%svCPU %u %s", v ? ", " : "", v, names[m->vcpu[v].state]);

        if (n > 0)
            used += (size_t)n;
        if ((m->vcpu[v].state == VCPU_HALTED || m->vcpu[v].state == VCPU_POLLING) && used + 1 < bytes) {
            n = snprintf(text + used, bytes - used, " (%s)", m->run.wait_reason[v] ? m->run.wait_reason[v] : "?");
            if (n > 0)
                used += (size_t)n;
        }
    }
}

static const char *describe_timers(const struct machine *m)
{
    return timer_next_ns(m) == TIMER_NEVER ? "no timer is armed" : "each timer that is armed has expired in vain";
}

bool hang_check_idle(struct machine *m, bool begins)
{
    char text[VERDICT_TEXT_BYTES - 80];

    if (begins || m->idle_facts != m->run.hang.facts || m->idle_time_reads != m->run.time_reads) {
        m->idle_facts = m->run.hang.facts;
        m->idle_time_reads = m->run.time_reads;
        timer_count_anew(m);
    }
    if (!timer_all_have_expired_twice(m))
        return false;
    describe(m, text, sizeof(text));
    machine_set_verdict(m, VERDICT_FAIL, "hang", "nothing can ever wake any vCPU: %s; %s", text, describe_timers(m));
    return true;
}

static uint64_t registers_digest(struct machine *m)
{
    uint64_t sum = XXH3_64bits(&m->run.current, sizeof(m->run.current));

    for (unsigned v = 0; v < m->config.vcpus; v++) {
        struct vcpu_regs r;

        if (m->vcpu[v].state == VCPU_OFFLINE)
            continue;
        vcpu_get_regs(m, v, &r);
        sum = XXH3_64bits_withSeed(&r, sizeof(r), sum);
    }
    return sum;
}

static void forget(struct machine *m, uint64_t now)
{
    hang_probe_end(m);
    hang_clock_end(m);
    m->run.hang.mark_is_watched = false;
    m->run.hang.mark_trace = m->run.hang.facts;
    m->run.hang.next_ns = now + QUIET_NS;
    m->run.hang.period_ns = FIRST_PERIOD_NS;
    m->run.hang.mark_is_set = false;
    m->run.hang.mark_trace_ns = now;
    m->run.hang.next_probe_ns = 0;
}

void hang_set_pinned(struct machine *m, uint64_t pinned)
{
    if (m->run.hang.pinned == pinned)
        return;
    m->run.hang.pinned = pinned;
    forget(m, engine_now_ns(m->engine));
}

/* Somebody who could end what the pinned vCPU repeats, were it his turn. */
static bool others_wait_for_their_turn(const struct machine *m)
{
    for (unsigned v = 0; m->run.hang.pinned && v < m->config.vcpus; v++)
        if (v + 1 != m->run.hang.pinned && m->vcpu[v].state == VCPU_RUNNABLE)
            return true;
    return false;
}

static void prove(struct machine *m, const char *what, uint64_t period_ns)
{
    char text[VERDICT_TEXT_BYTES - 120];

    if (others_wait_for_their_turn(m)) {
        m->pinned_is_stuck = m->pinned_to_place;
        forget(m, engine_now_ns(m->engine));
        return;
    }
    describe(m, text, sizeof(text));
    machine_set_verdict(m, VERDICT_FAIL, "hang", "%s repeats every %" PRIu64 " ns and %s: %s", what, period_ns,
                        describe_timers(m), text);
}

void hang_restored(struct machine *m)
{
    hang_probe_end(m);
    hang_clock_end(m);
    if (m->run.hang.mark_is_watched && !hang_clock_begin(m))
        m->run.hang.mark_is_watched = m->run.hang.mark_is_set = false;
}

static void set_mark(struct machine *m, uint64_t registers, bool has_timers, uint64_t now)
{
    m->run.hang.mark_is_set = true;
    m->run.hang.mark_count = m->run.trace_count;
    m->run.hang.mark_time_reads = m->run.time_reads;
    m->run.hang.mark_registers = registers;
    m->run.hang.mark_memory = has_timers ? 0 : memory_digest(m->mem); /* deadlines are in it: it can't be again */
    m->run.hang.mark_ns = now;
}

/* The whole state is that of the mark, `period_ns` later. */
static void check_repeated(struct machine *m, uint64_t registers, uint64_t now)
{
    uint64_t period_ns = now - m->run.hang.mark_ns;

    if (m->run.hang.mark_is_watched) {
        prove(m, "the whole state", period_ns);
        return;
    }
    set_mark(m, registers, false, now);
    m->run.hang.period_ns = 2 * period_ns;
    m->run.hang.mark_is_watched = hang_clock_begin(m);
}

void hang_check_turn(struct machine *m)
{
    uint64_t now = engine_now_ns(m->engine), registers, period_ns;
    bool is_back, has_timers = timer_next_ns(m) != TIMER_NEVER;

    if (m->run.hang.mark_trace != m->run.hang.facts) {
        forget(m, now);
        return;
    }
    if (now < m->run.hang.next_ns) {
        hang_probe_end(m);
        return;
    }
    registers = registers_digest(m);
    if (hang_probe_is_on(m)) {
        if (hang_probe_look(m, registers, now, &period_ns))
            prove(m, "all that the guest uses", period_ns);
        return;
    }
    if (m->run.hang.mark_is_watched &&
        (m->run.time_reads != m->run.hang.mark_time_reads || now - m->run.hang.mark_ns > m->run.hang.period_ns)) {
        hang_clock_end(m);
        m->run.hang.mark_is_watched = m->run.hang.mark_is_set = false;
        m->run.hang.next_ns = now + WATCH_REST * (now - m->run.hang.mark_trace_ns);
        return;
    }
    is_back = m->run.hang.mark_is_set && m->run.hang.mark_ns != now && registers == m->run.hang.mark_registers &&
              m->run.time_reads == m->run.hang.mark_time_reads;
    if (is_back && !has_timers && m->run.trace_count == m->run.hang.mark_count &&
        memory_digest(m->mem) == m->run.hang.mark_memory) {
        check_repeated(m, registers, now);
        return;
    }
    if (is_back && !m->run.hang.mark_is_watched && now - m->run.hang.mark_ns <= PROBE_NS_MAX &&
        now >= m->run.hang.next_probe_ns) {
        m->run.hang.next_probe_ns = now + PROBE_REST * (now - m->run.hang.mark_trace_ns);
        hang_probe_begin(m, registers, now);
        return;
    }
    if (!m->run.hang.mark_is_set || now - m->run.hang.mark_ns >= m->run.hang.period_ns) {
        set_mark(m, registers, has_timers, now);
        m->run.hang.period_ns *= 2;
    }
}
