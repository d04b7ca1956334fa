#include "cli/session.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/post_mortem.h"
#include "emu/vcpu.h"

#define SLICE_STEPS 50000000ull /* between two looks at the progress line */

static struct machine *volatile interrupted_machine;
static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = 1;
    if (interrupted_machine)
        machine_stop(interrupted_machine);
}

static double host_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static enum emu_err find_target(struct session *s, struct diag *d)
{
    const char *until = s->options.until;
    struct symbol symbol;
    size_t n;
    char *end;

    s->until_steps = UINT64_MAX;
    if (!until)
        return EMU_OK;
    if (!strncmp(until, "console:", 8)) {
        int bad = regcomp(&s->console.pattern, until + 8, REG_EXTENDED | REG_NOSUB);

        if (bad) {
            char text[128];

            regerror(bad, &s->console.pattern, text, sizeof(text));
            return diag_set(d, EMU_EINPUT, "--until %s: %s", until, text);
        }
        s->console.has_pattern = true;
        return EMU_OK;
    }
    s->until_steps = strtoull(until, &end, 0);
    if (!*end && end != until)
        return EMU_OK;
    s->until_steps = UINT64_MAX;
    if (!s->guest.symbols)
        return diag_set(d, EMU_EINPUT, "--until %s: the image has no symbols; give --system-map or --vmlinux", until);
    n = symbols_find_name(s->guest.symbols, until, &symbol);
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

    *s = (struct session){.options = *options, .started = host_seconds(), .random = 1};
    s->console.to = options->console;
    err = guest_init(&s->guest, guest, d);
    if (err != EMU_OK)
        return err;
    err = find_target(s, d);
    if (err != EMU_OK) {
        session_fini(s);
        return err;
    }
    trace_listen(s->guest.machine, console_listen, &s->console);
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
    snprintf(line, sizeof(line), "[%.1f s] %.0f M steps, %.3f s virtual, vCPU %u at %s", host_seconds() - s->started,
             (double)machine_steps(m) / 1e6, (double)clock_now_ns(m) / 1e9, machine_current(m), place);
    console_progress(&s->console, line);
}

/* How far the next slice goes. */
static uint64_t next_stop(struct session *s, uint64_t budget)
{
    uint64_t slice = machine_steps(s->guest.machine) + SLICE_STEPS;

    if (s->options.extra_stops) {
        s->random = s->random * 6364136223846793005ull + 1442695040888963407ull;
        slice = machine_steps(s->guest.machine) + 1 + (s->random >> 20) % (2 * s->options.extra_stops);
    }
    if (slice > budget)
        slice = budget;
    return slice > s->until_steps ? s->until_steps : slice;
}

static void run_to_the_end(struct session *s)
{
    struct machine *m = s->guest.machine;
    uint64_t budget = s->options.steps_max ? s->options.steps_max : UINT64_MAX;

    for (;;) {
        struct machine_limits limits = {.steps_max = next_stop(s, budget), .until_rip_gva = s->until_rip_gva};

        switch (machine_run(m, &limits)) {
        case MACHINE_STOPPED_VERDICT:
            return;
        case MACHINE_STOPPED_RIP:
            machine_set_verdict(m, VERDICT_PASS, NULL, "reached %s", s->options.until);
            return;
        case MACHINE_STOPPED_ASKED:
            if (s->console.matched)
                machine_set_verdict(m, VERDICT_PASS, NULL, "the console says what %s asks for", s->options.until);
            if (interrupted)
                machine_set_verdict(m, VERDICT_INTERRUPTED, NULL, "interrupted");
            break;
        case MACHINE_STOPPED_POSITION:
        case MACHINE_STOPPED_INTERRUPTIBLE:
        case MACHINE_STOPPED_NOT_RUNNABLE: /* not asked for */
            break;
        case MACHINE_STOPPED_STEPS:
            if (machine_steps(m) >= s->until_steps)
                machine_set_verdict(m, VERDICT_PASS, NULL, "reached step %" PRIu64, s->until_steps);
            else if (machine_steps(m) >= budget)
                machine_set_verdict(m, VERDICT_BUDGET, NULL, "the budget of %" PRIu64 " steps is used up", budget);
            break;
        }
        show_progress(s);
    }
}

void session_run(struct session *s)
{
    struct sigaction action = {.sa_handler = on_signal};

    interrupted_machine = s->guest.machine;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    run_to_the_end(s);
    interrupted_machine = NULL;
    console_progress(&s->console, NULL);
    if (s->console.length && s->console.to)
        putc('\n', s->console.to);
    if (s->console.to)
        fflush(s->console.to);
    s->host_s = host_seconds() - s->started;
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
    fprintf(to, "%s: %s", verdict_kind_name(v->kind), v->text);
    if (session_has_place(v))
        fprintf(to, "; vCPU %u, step %" PRIu64 ", at %s", v->vcpu, v->position, place);
    fprintf(to, "\n%" PRIu64 " steps, %.6f s virtual, digest %016" PRIx64 ", %.2f s\n", machine_steps(m),
            (double)clock_now_ns(m) / 1e9, machine_digest(m), s->host_s);
}

json_t *session_json(struct session *s)
{
    struct machine *m = s->guest.machine;
    const struct verdict *v = machine_verdict(m);
    char text[32], place[160];
    json_t *o;

    post_mortem_place(s->guest.symbols, v->rip_gva, place, sizeof(place));
    snprintf(text, sizeof(text), "%016" PRIx64, machine_digest(m));
    o = json_pack("{s:s, s:s, s:I, s:I, s:f, s:i, s:s}", "verdict", verdict_kind_name(v->kind), "digest", text, "steps",
                  (json_int_t)machine_steps(m), "virtual_ns", (json_int_t)clock_now_ns(m), "host_s", s->host_s, "vcpus",
                  (int)machine_vcpus(m), "reason", v->text);
    if (session_has_place(v))
        json_object_set_new(o, "place",
                            json_pack("{s:i, s:I, s:I, s:s, s:s?}", "vcpu", (int)v->vcpu, "rip", (json_int_t)v->rip_gva,
                                      "position", (json_int_t)v->position, "symbol", place, "detector", v->detector));
    return o;
}
