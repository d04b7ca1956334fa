/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/run/attach.h"
#include "cli/run/detect.h"
#include "cli/run/json_text.h"
#include "cli/run/session.h"

#include <ctype.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cli/run/host_time.h"
#include "cli/run/parse.h"
#include "cli/run/pattern.h"
#include "cli/run/post_mortem.h"
#include "emu/base/plural.h"
#include "emu/decide.h"
#include "emu/vcpu.h"

#define SLICE_STEPS            50000000ull  /* between two looks at the progress line */
#define FIRST_CHECKPOINT_STEPS 1000ull      /* then ten times as late each, */
#define CHECKPOINT_STEPS       200000000ull /* but no later than so many steps after the last */
#define CHECKPOINT_WAIT_STEPS  1000000ull   /* a vCPU that makes no step for so many of the others is left alone */

static struct machine *volatile interrupted_machine;
static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = 1;
    if (interrupted_machine)
        machine_stop(interrupted_machine);
}

static enum emu_err find_target(struct session *s, struct diag *d)
{
    const char *until = s->options.until;
    struct symbol symbol;
    size_t n;

    s->until_steps = UINT64_MAX;
    if (!until)
        return EMU_OK;
    if (!strncmp(until, "console:", 8)) {
        char why[PATTERN_WHY_BYTES];

        if (!pattern_compile(&s->console.pattern, until + 8, 0, why))
            return diag_set(d, EMU_EINPUT, "--until %s: %s", until, why);
        s->console.has_pattern = true;
        return EMU_OK;
    }
    if (isdigit((unsigned char)until[0]) || until[0] == '-')
        return parse_number("the step of --until", until, 0, UINT64_MAX / 4, &s->until_steps, d);
    if (!s->guest.symbols && !s->guest.image)
        return diag_set(d, EMU_EINPUT, "--until %s: a snapshot has no symbols; give its IMAGE too", until);
    if (!s->guest.symbols)
        return diag_set(d, EMU_EINPUT, "--until %s: the image has no symbols; give --system-map or --vmlinux", until);
    n = symbols_find_name(s->guest.symbols, until, &symbol);
    if (!n && until[0] == '@')
        return symbols_resolve(s->guest.symbols, until, 0, &s->until_rip_gva, d);
    if (n != 1)
        return diag_set(d, EMU_EINPUT,
                        n ? "--until %s: %zu symbols have this name" : "--until %s: no symbol has this name", until, n);
    s->until_rip_gva = symbol.start_gva;
    return EMU_OK;
}

enum emu_err session_init(struct session *s, const struct guest_options *guest, const struct session_options *options,
                          struct diag *d)
{
    enum emu_err err;

    *s = (struct session){.options = *options, .started = host_time_s(), .random = 1};
    s->console.to = options->console;
    s->console.stream = options->stream;
    s->digest_steps = options->digests.first;
    s->checkpoint_steps = FIRST_CHECKPOINT_STEPS;
    err = attach_guest_init(&s->guest, guest, d);
    if (err != EMU_OK)
        return err;
    err = find_target(s, d);
    if (err == EMU_OK && s->options.snapshots)
        err = snapshot_plan_check(s->options.snapshots, &s->guest, d);
    if (err != EMU_OK) {
        session_fini(s);
        return err;
    }
    trace_listen(s->guest.machine, console_listen, &s->console);
    if (s->options.schedule)
        player_init(&s->player, s->guest.machine, s->options.schedule, symbols_resolve, s->guest.symbols,
                    s->options.schedule_file);
    if (s->options.disturb_seed)
        disturb_init(&s->disturb, s->guest.machine, s->options.disturb_seed, s->options.disturb_steps);
    trace_listen(s->guest.machine, operations_listen, &s->operations);
    s->calls.to = options->calls;
    if (s->calls.to)
        trace_listen(s->guest.machine, calls_listen, &s->calls);
    return EMU_OK;
}

void session_fini(struct session *s)
{
    if (s->console.has_pattern)
        regfree(&s->console.pattern);
    guest_fini(&s->guest);
    s->console.has_pattern = false;
}

static void show_progress(struct session *s)
{
    struct machine *m = s->guest.machine;
    char place[120], line[256];

    post_mortem_place(s->guest.symbols, vcpu_rip(m), place, sizeof(place));
    snprintf(line, sizeof(line), "[%.1f s] %.0f M steps, %.3f s virtual, vCPU %u at %s", host_time_s() - s->started,
             (double)machine_steps(m) / 1e6, (double)clock_now_ns(m) / 1e9, machine_current(m), place);
    console_progress(&s->console, line);
}

static bool has_hotplug(const struct session *s)
{
    return s->options.hotplug && s->hotplug_next < s->options.hotplug->count;
}

/* How far the next slice goes. */
static uint64_t next_stop(struct session *s, uint64_t budget)
{
    uint64_t slice = machine_steps(s->guest.machine) + SLICE_STEPS;

    if (s->options.extra_stops) {
        s->random = s->random * 6364136223846793005ull + 1442695040888963407ull;
        slice = machine_steps(s->guest.machine) + 1 + (s->random >> 20) % (2 * s->options.extra_stops);
    }
    if (s->options.record && slice > s->checkpoint_steps)
        slice = s->checkpoint_steps;
    if (s->options.digests.to && slice > s->digest_steps)
        slice = s->digest_steps;
    if (has_hotplug(s) && slice > s->options.hotplug->at[s->hotplug_next].steps)
        slice = s->options.hotplug->at[s->hotplug_next].steps;
    if (s->options.disturb_seed && slice > s->disturb.next_steps)
        slice = s->disturb.next_steps;
    if (slice > budget)
        slice = budget;
    return slice > s->until_steps ? s->until_steps : slice;
}

static enum emu_err run_machine(struct session *s, const struct machine_limits *limits, enum machine_stop_reason *why,
                                struct diag *d)
{
    struct machine_limits nearer = *limits;
    enum emu_err err = EMU_OK;

    if (s->options.snapshots)
        snapshot_plan_limit(s->options.snapshots, s->guest.machine, &nearer);
    if (s->options.schedule)
        err = player_run(&s->player, &nearer, why, d);
    else
        *why = machine_run(s->guest.machine, &nearer);
    if (err == EMU_OK && s->options.snapshots && machine_verdict(s->guest.machine)->kind == VERDICT_NONE)
        snapshot_plan_take(s->options.snapshots, &s->guest);
    return err;
}

/* What the schedule has done since the last look. */
static enum emu_err record_decisions(struct session *s, struct diag *d)
{
    enum emu_err err = EMU_OK;

    for (; err == EMU_OK && s->options.schedule && s->recorded < s->player.next; s->recorded++) {
        const struct decision *done = &s->options.schedule->decision[s->recorded];

        if (done->kind != DECISION_CHECK)
            err = schedule_append(s->options.record, done, d);
    }
    return err;
}

/* Whether a check may come before the schedule's next decision: its place must not count from the line before. */
static bool may_check(const struct session *s)
{
    return !s->options.schedule || player_is_done(&s->player) ||
           (!s->player.on_the_way && s->options.schedule->decision[s->player.next].at.kind == POSITION_STEPS);
}

/* A digest, at a place at which a replay will stop in the same way: by a position of the current vCPU. */
static enum emu_err record_checkpoint(struct session *s, struct diag *d)
{
    struct machine *m = s->guest.machine;
    struct decision check = {.kind = DECISION_CHECK};
    struct machine_limits limits = {.steps_max = machine_steps(m) + CHECKPOINT_WAIT_STEPS,
                                    .until_rip_gva = s->until_rip_gva};
    enum machine_stop_reason why;
    enum emu_err err;
    size_t before = s->options.schedule ? s->player.next : 0;

    s->checkpoint_steps = machine_steps(m) * 10 > machine_steps(m) + CHECKPOINT_STEPS
                              ? machine_steps(m) + CHECKPOINT_STEPS
                              : machine_steps(m) * 10;
    if (!may_check(s))
        return EMU_OK;
    limits.vcpu = machine_current(m);
    limits.position_max = vcpu_position(m, limits.vcpu) + 1;
    if (limits.steps_max > s->until_steps)
        limits.steps_max = s->until_steps;
    if (s->options.steps_max && limits.steps_max > s->options.steps_max)
        limits.steps_max = s->options.steps_max;
    err = run_machine(s, &limits, &why, d);
    if (err != EMU_OK || why != MACHINE_STOPPED_POSITION || vcpu_position(m, limits.vcpu) != limits.position_max)
        return err;
    if (s->options.schedule && s->player.next != before)
        return EMU_OK; /* the place may be the same as that of the decision just made, and count before it */
    check.at = (struct position){.kind = POSITION_STEPS, .vcpu = limits.vcpu, .steps = limits.position_max};
    check.value = machine_digest(m);
    err = record_decisions(s, d);
    return err == EMU_OK ? schedule_append(s->options.record, &check, d) : err;
}

/* Carry out the script's lines that are for this step. In a record they are decisions at the current vCPU's place. */
static enum emu_err hotplug(struct session *s, struct diag *d)
{
    struct machine *m = s->guest.machine;
    enum emu_err err = EMU_OK;

    while (err == EMU_OK && has_hotplug(s) && s->options.hotplug->at[s->hotplug_next].steps <= machine_steps(m)) {
        const struct hotplug_line *line = &s->options.hotplug->at[s->hotplug_next++];
        struct decision decision = {.kind = line->kind, .vcpu = line->vcpu};

        decision.at = (struct position){
            .kind = POSITION_STEPS, .vcpu = machine_current(m), .steps = vcpu_position(m, machine_current(m))};
        err = machine_decide(m, &decision, d);
        if (err != EMU_OK)
            diag_add_place(d, s->options.hotplug->path, line->line);
        if (err == EMU_OK && s->options.record)
            err = record_decisions(s, d);
        if (err == EMU_OK && s->options.record)
            err = schedule_append(s->options.record, &decision, d);
    }
    return err;
}

static void print_digest(struct session *s)
{
    struct machine *m = s->guest.machine;
    unsigned v = machine_current(m);
    char place[160];

    post_mortem_place(s->guest.symbols, vcpu_rip(m), place, sizeof(place));
    fprintf(s->options.digests.to, "%" PRIu64 " %016" PRIx64 " %u:%" PRIu64 " %s\n", machine_steps(m),
            machine_digest(m), v, vcpu_position(m, v), place);
    if (s->digest_steps >= s->options.digests.last)
        machine_set_verdict(m, VERDICT_BUDGET, NULL, "the last digest that was asked for is printed");
    s->digest_steps += s->options.digests.every;
    if (s->digest_steps > s->options.digests.last)
        s->digest_steps = s->options.digests.last;
}

static enum emu_err run_to_the_end(struct session *s, struct diag *d)
{
    struct machine *m = s->guest.machine;
    uint64_t budget = s->options.steps_max ? s->options.steps_max : UINT64_MAX;

    while (machine_verdict(m)->kind == VERDICT_NONE) {
        struct machine_limits limits = {.steps_max = next_stop(s, budget), .until_rip_gva = s->until_rip_gva};
        enum machine_stop_reason why;
        enum emu_err err = run_machine(s, &limits, &why, d);

        if (err != EMU_OK)
            return err;
        switch (why) {
        case MACHINE_STOPPED_RIP:
            machine_set_verdict(m, VERDICT_PASS, NULL, "reached %s", s->options.until);
            break;
        case MACHINE_STOPPED_ASKED:
            if (s->console.matched)
                machine_set_verdict(m, VERDICT_PASS, NULL, "the console says what %s asks for", s->options.until);
            if (interrupted)
                machine_set_verdict(m, VERDICT_INTERRUPTED, NULL, "interrupted");
            break;
        case MACHINE_STOPPED_VERDICT:
        case MACHINE_STOPPED_POSITION:
        case MACHINE_STOPPED_INTERRUPTIBLE:
        case MACHINE_STOPPED_RUNNABLE:
        case MACHINE_STOPPED_NOT_RUNNABLE: /* not asked for */
            break;
        case MACHINE_STOPPED_STEPS:
            if (machine_steps(m) >= s->until_steps)
                machine_set_verdict(m, VERDICT_PASS, NULL, "reached step %" PRIu64, s->until_steps);
            else if (machine_steps(m) >= budget)
                machine_set_verdict(m, VERDICT_BUDGET, NULL, "the budget of %" PRIu64 " step%s is used up", budget,
                                    plural(budget));
            else if (has_hotplug(s) && machine_steps(m) >= s->options.hotplug->at[s->hotplug_next].steps)
                err = hotplug(s, d);
            else if (s->options.digests.to && machine_steps(m) >= s->digest_steps)
                print_digest(s);
            else if (s->options.record && machine_steps(m) >= s->checkpoint_steps)
                err = record_checkpoint(s, d);
            else if (s->options.disturb_seed && machine_steps(m) >= s->disturb.next_steps)
                err = disturb_act(&s->disturb, m, s->options.record, d);
            break;
        }
        if (err != EMU_OK)
            return err;
        show_progress(s);
    }
    return s->options.record ? record_decisions(s, d) : EMU_OK;
}

/* Whether the schedule ought to be through: the guest has ended by itself. */
static bool has_ended(const struct session *s)
{
    enum verdict_kind kind = machine_verdict(s->guest.machine)->kind;

    return kind != VERDICT_INTERRUPTED && kind != VERDICT_BUDGET;
}

enum emu_err session_run(struct session *s, struct diag *d)
{
    struct sigaction action = {.sa_handler = on_signal};
    enum emu_err err;

    interrupted_machine = s->guest.machine;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    err = run_to_the_end(s, d);
    if (err == EMU_OK && s->options.schedule && has_ended(s))
        err = player_finish(&s->player, d);
    if (err == EMU_OK && has_hotplug(s) && has_ended(s))
        err =
            diag_set_at(d, EMU_EINPUT, s->options.hotplug->path, s->options.hotplug->at[s->hotplug_next].line,
                        "the guest has ended at step %" PRIu64 ", before this line's", machine_steps(s->guest.machine));
    interrupted_machine = NULL;
    console_progress(&s->console, NULL);
    if (s->console.length && s->console.to)
        putc('\n', s->console.to);
    if (s->console.to)
        fflush(s->console.to);
    s->host_s = host_time_s() - s->started;
    return err;
}

const struct decision *session_failed_check(const struct session *s, const struct decision **last_good)
{
    const struct schedule *all = s->options.schedule;

    *last_good = NULL;
    if (!all || player_is_done(&s->player) || all->decision[s->player.next].kind != DECISION_CHECK ||
        machine_verdict(s->guest.machine)->kind != VERDICT_NONE)
        return NULL;
    for (size_t i = 0; i < s->player.next; i++) {
        if (all->decision[i].kind == DECISION_CHECK)
            *last_good = &all->decision[i];
    }
    return &all->decision[s->player.next];
}

bool session_has_place(const struct verdict *v)
{
    return v->kind == VERDICT_FAIL || v->kind == VERDICT_UNMODELLED || v->kind == VERDICT_ERROR;
}

void session_print(struct session *s, FILE *to)
{
    struct machine *m = s->guest.machine;
    const struct verdict *v = machine_verdict(m);
    char place[160];

    post_mortem_place(s->guest.symbols, v->rip_gva, place, sizeof(place));
    if (v->kind != VERDICT_PASS)
        post_mortem_print(m, s->guest.symbols, to);
    detect_print(s->guest.detect, to);
    fprintf(to, "%s: %s", verdict_kind_name(v->kind), v->text);
    if (session_has_place(v))
        fprintf(to, "; vCPU %u, step %" PRIu64 ", at %s", v->vcpu, v->position, place);
    fprintf(to, "\n%" PRIu64 " step%s, %.6f s virtual, digest %016" PRIx64 ", %.2f s\n", machine_steps(m),
            plural(machine_steps(m)), (double)clock_now_ns(m) / 1e9, machine_digest(m), s->host_s);
}

json_t *session_json(struct session *s)
{
    struct machine *m = s->guest.machine;
    const struct verdict *v = machine_verdict(m);
    char text[32], place[160], rip[32];
    json_t *o;

    snprintf(rip, sizeof(rip), "0x%" PRIx64, v->rip_gva);
    post_mortem_place(s->guest.symbols, v->rip_gva, place, sizeof(place));
    snprintf(text, sizeof(text), "%016" PRIx64, machine_digest(m));
    o = json_pack("{s:o, s:o, s:I, s:I, s:f, s:i, s:o}", "verdict", json_text(verdict_kind_name(v->kind)), "digest",
                  json_text(text), "steps", (json_int_t)machine_steps(m), "virtual_ns", (json_int_t)clock_now_ns(m),
                  "host_s", s->host_s, "vcpus", (int)machine_vcpus(m), "reason", json_text(v->text));
    if (session_has_place(v))
        json_object_set_new(o, "place",
                            json_pack("{s:i, s:o, s:I, s:o, s:o?}", "vcpu", (int)v->vcpu, "rip", json_text(rip),
                                      "position", (json_int_t)v->position, "symbol", json_text(place), "detector",
                                      json_text(v->detector)));
    json_object_set_new(o, "operations", operations_json(&s->operations));
    if (detect_report(s->guest.detect)[0])
        json_object_set_new(o, "report", json_text(detect_report(s->guest.detect)));
    return o;
}
