/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/fuzz.h"

#include <argp.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cache.h"
#include "cli/campaign/fuzz_case.h"
#include "cli/campaign/fuzz_exhaustive.h"
#include "cli/campaign/fuzz_keep.h"
#include "cli/campaign/fuzz_schedules.h"
#include "cli/campaign/search_report.h"
#include "cli/case/record.h"
#include "cli/command.h"
#include "cli/run/approach.h"
#include "cli/run/attach.h"
#include "cli/run/guest.h"
#include "cli/run/host_time.h"
#include "cli/run/json_text.h"
#include "cli/run/parse.h"
#include "cli/run/same.h"
#include "emu/base/count.h"
#include "emu/base/plural.h"
#include "emu/vcpu.h"
#include "fuzz/detect/divergence.h"
#include "models/linux/window_names.h"

static const char doc[] = "Search a window of a boot: every boundary, every interrupt, or many schedules of it.\v"
                          "The window is a function, from its first instruction to its return, or for STEPS steps "
                          "of all vCPUs; or it is what one vCPU does between two positions, counted in the steps "
                          "of that vCPU. SYMBOL#N is the N-th execution of SYMBOL since the start of the boot by "
                          "one vCPU, the first that gets there. N counts as in the anchors of schedules, and comes "
                          "before +STEPS.\n"
                          "\n"
                          "Strategies: exhaustive (the default) covers every boundary of one vCPU with each "
                          "source. The others make whole runs and minimise those that fail: random, pct, preempt "
                          "(every interleaving of the vCPUs with at most --depth preemptions and interrupts).\n"
                          "\n"
                          "Examples:\n"
                          "  bootrace fuzz vmlinuz --window alternative_instructions --inject timer\n"
                          "  bootrace fuzz guest.elf --cmdline variant=buggy \\\n"
                          "      --window alternative_instructions --inject timer,nmi --json\n"
                          "  bootrace fuzz vmlinuz --window alternative_instructions \\\n"
                          "      --jobs 2 --out search\n"
                          "  bootrace fuzz vmlinuz --mode hvm --vcpus 1 \\\n"
                          "      --window 'jump_label_update#5' --inject timer,nmi\n"
                          "  bootrace fuzz vmlinuz --vcpus 2 --window start_secondary \\\n"
                          "      --strategy preempt --depth 2 --out found\n"
                          "  bootrace fuzz vmlinuz --mode hvm --vcpus 2 --window '@text-poke#1' \\\n"
                          "      --strategy preempt --depth 1 --inject nmi\n"
                          "  bootrace fuzz guest.elf --window alternative_instructions --inject nmi \\\n"
                          "      --same registers,wrong_memory --budget 10m --out kept\n"
                          "\n"
                          "With --same the exhaustive search also fails where the handler returns and has changed "
                          "something that is declared to stay the same; `registers` and `cr2` stand for the "
                          "interrupted ones. The other strategies compare memory where a run ends.\n"
                          "\n"
                          "Exit status: 0 no boundary fails, 1 some do, 2 wrong input, 4 the search is not "
                          "complete, 130 interrupted.";

enum {
    KEY_WINDOW = 256,
    KEY_INJECT,
    KEY_EVERY,
    KEY_JSON,
    KEY_MAX,
    KEY_STRATEGY,
    KEY_RUNS,
    KEY_SEARCH_SEED,
    KEY_DEPTH,
    KEY_STEPS,
    KEY_SETTLE,
    KEY_FOLLOW,
    KEY_REACH,
    KEY_FAILURES,
    KEY_OUT,
    KEY_JOBS,
    KEY_SHARD,
    KEY_BUDGET
};

/* With the sources that the exhaustive search takes, and the other ones. */
#define INJECT_HELP                                                                                                    \
    "What to inject, separated by commas (default: timer): %s. Strategies other than exhaustive also take %s, and "    \
    "nothing"

static const struct argp_option options[] = {
    {"window", KEY_WINDOW, "SYMBOL[#N][+STEPS]|VCPU:FROM-VCPU:TO", 0,
     "Search the execution of this function (its N-th one), or STEPS steps from its first "
     "instruction on; or a window that is named below, like @text-poke",
     0},
    {"inject", KEY_INJECT, "LIST", 0, INJECT_HELP, 0},
    {"strategy", KEY_STRATEGY, "NAME", 0, "exhaustive, random, pct or preempt", 0},
    {"runs", KEY_RUNS, "N", 0, "Stop after N runs (default: 10000)", 0},
    {"search-seed", KEY_SEARCH_SEED, "N", 0, "Seed of the strategy's random choices (default: 1)", 0},
    {"depth", KEY_DEPTH, "N", 0,
     "At most N actions in a run (random, default 1), orderings (pct, default 2) or "
     "preemptions and interrupts (preempt, default 0)",
     0},
    {"run-steps-max", KEY_STEPS, "N", 0, "Follow each run for N steps from the window's start (default: 20000000)", 0},
    {"reach", KEY_REACH, "SYMBOL", 0, "A run passes when it reaches SYMBOL, and is out of budget when it does not", 0},
    {"settle", KEY_SETTLE, "N", 0,
     "Preempt follows each run for N steps of all vCPUs behind the window's end (default: 20000)", 0},
    {"follow", KEY_FOLLOW, NULL, 0, "Preempt too follows each run for --run-steps-max", 0},
    {"failures", KEY_FAILURES, "N", 0, "Stop after N different failures", 0},
    {"out", KEY_OUT, "DIR", 0,
     "Keep the search in DIR, and each failure as a case; the same command resumes the search", 0},
    {"jobs", KEY_JOBS, "N", 0, "Number of processes of the exhaustive search (default: 1)", 0},
    {"shard", KEY_SHARD, "K/N", 0, "Search only the K-th of N parts of the window; `bootrace merge` joins the parts",
     0},
    {"every-boundary", KEY_EVERY, NULL, 0, "Run the handler at every boundary, to check the pruning on a small window",
     0},
    {"budget", KEY_BUDGET, "TIME", 0,
     "Stop after this time, like 90s, 10m or 2h; with --out, the same command resumes an "
     "exhaustive search",
     0},
    {"window-steps-max", KEY_MAX, "N", 0, "End the window after N steps at the latest", 0},
    {"json", KEY_JSON, NULL, 0, "Print one JSON object on standard output at the end", 0},
    {0},
};

#define SHARDS_MAX   100000u
#define BUDGET_S_MAX (366u * 86400u)
#define SAME_BYTES   1024u

struct fuzz {
    struct guest_options guest;
    struct cache_options cache;
    const char *window;                 /* SYMBOL[#N][+STEPS], VCPU:STEPS-VCPU:STEPS */
    char symbol[POSITION_SYMBOL_BYTES]; /* of the window; empty if it is none's */
    uint64_t occurrence;                /* N */
    bool every, json;
    bool asked[SOURCES_MAX]; /* of the exhaustive search */
    uint64_t window_steps_max, budget_s;
    const char *inject;
    const char *of_boundaries; /* the first option seen that only the exhaustive search has, for the error message */
    const char *of_runs;       /* the first one that only schedule searches have */
    const char *of_preempt;    /* … that only preempt has */
    const char *same;          /* what is declared; NULL for nothing */
    struct divergence_list same_parsed;
    char same_memory[SAME_BYTES]; /* the part of `same` that whole runs can compare */
    struct fuzz_exhaustive exhaustive;
    struct fuzz_schedules schedules; /* its strategy is NULL for the exhaustive search */
    struct diag diag;
};

static enum emu_err parse_strategy(struct fuzz *f, const char *name, struct diag *d)
{
    f->schedules.strategy = NULL;
    if (!strcmp(name, "exhaustive"))
        return EMU_OK;
    f->schedules.strategy = strategy_find(name);
    if (!f->schedules.strategy || f->schedules.strategy == &strategy_bytes)
        return diag_set(d, EMU_EINPUT, "the strategy is exhaustive, random, pct or preempt, not '%s'", name);
    return EMU_OK;
}

/* Of strategies that make whole runs. */
static enum emu_err parse_any_sources(struct fuzz *f, struct diag *d)
{
    char *text = strdup(f->inject ? f->inject : f->guest.vcpus == 1 ? "timer" : "nothing"), *next = text, *one;
    enum emu_err err = text ? EMU_OK : diag_no_memory(d);

    while (err == EMU_OK && (one = strsep(&next, ","))) {
        if (!strcmp(one, "nothing"))
            continue;
        if (f->schedules.sources == STRATEGY_SOURCES_MAX) {
            err = diag_set(d, EMU_EINPUT, "--inject takes at most %d sources", STRATEGY_SOURCES_MAX);
            break;
        }
        err = source_parse(one, &f->schedules.source[f->schedules.sources], d);
        f->schedules.sources++;
    }
    free(text);
    return err;
}

/* Of the exhaustive search: one of each kind. */
static enum emu_err add_source(struct fuzz *f, const char *one, struct diag *d)
{
    struct source source;
    unsigned i;
    char names[SOURCE_NAMES_BYTES];
    enum emu_err err = source_parse(one, &source, d);

    if (err != EMU_OK)
        return err;
    i = source_index(source.kind);
    if (!source_at(i)->why_nothing) {
        source_print_names(SOURCES_EXHAUSTIVE, names, sizeof(names));
        return diag_set(d, EMU_EINPUT, "the exhaustive search takes %s, not '%s'; --strategy random takes all", names,
                        one);
    }
    if (f->asked[i] && f->exhaustive.source[i].value != source.value)
        return diag_set(d, EMU_EINPUT, "--inject %s: the exhaustive search takes one of a kind", one);
    f->asked[i] = true;
    f->exhaustive.source[i] = source;
    return EMU_OK;
}

static enum emu_err parse_sources(struct fuzz *f, const char *list, struct diag *d)
{
    char *text = strdup(list), *next = text, *one;
    enum emu_err err = text ? EMU_OK : diag_no_memory(d);

    while (err == EMU_OK && (one = strsep(&next, ",")))
        err = add_source(f, one, d);
    free(text);
    return err;
}

static enum emu_err parse_shard(struct fuzz *f, const char *text, struct diag *d)
{
    const char *at = text;
    uint64_t k, n;

    if (!parse_take_number(&at, SHARDS_MAX, &k) || *at++ != '/' || !parse_take_number(&at, SHARDS_MAX, &n) || *at ||
        !k || k > n)
        return diag_set(d, EMU_EINPUT, "a shard is K/N with K from 1 to N and N up to %u, like 1/8, not '%s'",
                        SHARDS_MAX, text);
    f->exhaustive.shard = (unsigned)k;
    f->exhaustive.shards = (unsigned)n;
    return EMU_OK;
}

/* 90, 90s, 10m, 2h. */
static enum emu_err parse_time(const char *text, uint64_t *seconds, struct diag *d)
{
    const char *at = text;
    uint64_t n, unit;
    bool is_number = parse_take_number(&at, BUDGET_S_MAX, &n);
    int letter = is_number && *at ? *at++ : 's';

    unit = letter == 's' ? 1 : letter == 'm' ? 60 : letter == 'h' ? 3600 : 0;
    if (!is_number || *at || !unit || !n || n > BUDGET_S_MAX / unit)
        return diag_set(d, EMU_EINPUT, "--budget is a time like 90s, 10m or 2h, not '%s'", text);
    *seconds = n * unit;
    return EMU_OK;
}

static void note_option(struct fuzz *f, int key)
{
    switch (key) {
    case KEY_JOBS:
        f->of_boundaries = "--jobs";
        break;
    case KEY_SHARD:
        f->of_boundaries = "--shard";
        break;
    case KEY_EVERY:
        f->of_boundaries = "--every-boundary";
        break;
    case KEY_RUNS:
        f->of_runs = "--runs";
        break;
    case KEY_SEARCH_SEED:
        f->of_runs = "--search-seed";
        break;
    case KEY_DEPTH:
        f->of_runs = "--depth";
        break;
    case KEY_REACH:
        f->of_runs = "--reach";
        break;
    case KEY_STEPS:
        f->of_runs = "--run-steps-max";
        break;
    case KEY_SETTLE:
    case KEY_FOLLOW:
        f->of_runs = key == KEY_SETTLE ? "--settle" : "--follow";
        f->of_preempt = f->of_runs;
        break;
    case KEY_FAILURES:
        f->of_runs = "--failures";
        break;
    }
}

/* NOLINTNEXTLINE(readability-function-size): a case for each option */
static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct fuzz *f = state->input;
    enum emu_err err = EMU_OK;
    uint64_t n = 0;

    note_option(f, key);
    switch (key) {
    case ARGP_KEY_INIT:
        f->exhaustive.jobs = f->exhaustive.shard = f->exhaustive.shards = 1;
        state->child_inputs[0] = &f->guest;
        state->child_inputs[1] = &f->cache;
        break;
    case KEY_WINDOW:
        f->window = arg;
        break;
    case KEY_INJECT:
        f->inject = arg;
        break;
    case KEY_STRATEGY:
        err = parse_strategy(f, arg, &f->diag);
        break;
    case KEY_RUNS:
        err = parse_number("the number of runs", arg, 1, UINT64_MAX, &f->schedules.runs_max, &f->diag);
        break;
    case KEY_SEARCH_SEED:
        err = parse_number("the search's seed", arg, 1, UINT64_MAX, &f->schedules.seed, &f->diag);
        break;
    case KEY_DEPTH:
        err = parse_number("the depth", arg, 0, 64, &n, &f->diag);
        f->schedules.depth = (unsigned)n;
        break;
    case KEY_STEPS:
        err = parse_number("the steps of a run", arg, 1, UINT64_MAX / 4, &f->schedules.steps_max, &f->diag);
        break;
    case KEY_SETTLE:
        err = parse_number("the steps behind the window", arg, 1, UINT64_MAX / 4, &f->schedules.settle_steps, &f->diag);
        break;
    case KEY_FOLLOW:
        f->schedules.follow = true;
        break;
    case KEY_REACH:
        f->schedules.reach = arg;
        break;
    case KEY_FAILURES:
        err = parse_number("the number of failures", arg, 1, UINT64_MAX, &f->schedules.failures_max, &f->diag);
        break;
    case KEY_OUT:
        f->schedules.out = f->exhaustive.out = arg;
        break;
    case KEY_JOBS:
        err = parse_number("the number of processes", arg, 1, FUZZ_JOBS_MAX, &n, &f->diag);
        f->exhaustive.jobs = (unsigned)n;
        break;
    case KEY_SHARD:
        err = parse_shard(f, arg, &f->diag);
        break;
    case KEY_EVERY:
        f->every = true;
        break;
    case KEY_MAX:
        err = parse_number("the length of the window", arg, 1, UINT64_MAX / 4, &f->window_steps_max, &f->diag);
        break;
    case KEY_JSON:
        f->json = true;
        break;
    case KEY_BUDGET:
        err = parse_time(arg, &f->budget_s, &f->diag);
        break;
    case ARGP_KEY_END:
        if (!f->guest.kernel)
            argp_error(state, "which IMAGE? For example: bootrace fuzz vmlinuz --window alternative_instructions");
        if (!f->window)
            argp_error(state, "which window? For example: --window alternative_instructions");
        if (f->schedules.strategy && f->of_boundaries)
            argp_error(state, "%s is for the exhaustive search; --strategy %s makes whole runs", f->of_boundaries,
                       f->schedules.strategy->name);
        if (f->of_preempt && f->schedules.strategy != &strategy_preempt)
            argp_error(state, "%s is for --strategy preempt", f->of_preempt);
        if (!f->schedules.strategy && f->of_runs)
            argp_error(state, "%s is for --strategy random, pct or preempt; the exhaustive search covers all",
                       f->of_runs);
        if (f->schedules.strategy)
            err = parse_any_sources(f, &f->diag);
        else
            err = parse_sources(f, f->inject ? f->inject : "timer", &f->diag);
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    if (err != EMU_OK) {
        diag_print(&f->diag, "bootrace fuzz", stderr);
        exit(COMMAND_INPUT);
    }
    return 0;
}

/* The names of sources are printed from their table. */
static char *complete_help(int key, const char *text, void *input)
{
    char exhaustive[SOURCE_NAMES_BYTES], others[SOURCE_NAMES_BYTES], *all = NULL;
    size_t bytes;
    FILE *memory;

    if (key == KEY_INJECT && text) {
        source_print_names(SOURCES_EXHAUSTIVE, exhaustive, sizeof(exhaustive));
        source_print_names(SOURCES_OF_RUNS_ONLY, others, sizeof(others));
        return asprintf(&all, INJECT_HELP, exhaustive, others) < 0 ? NULL : all;
    }
    if (key != ARGP_KEY_HELP_EXTRA)
        return (char *)(uintptr_t)text;
    memory = open_memstream(&all, &bytes);
    if (!memory)
        return NULL;
    fprintf(memory, "Sources of --inject:\n");
    source_print_list(memory);
    fprintf(memory, "Windows of a Linux kernel that are named by what they do:\n");
    window_names_print_list(memory);
    fclose(memory);
    return all;
}

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = 1;
}

/* VCPU:STEPS-VCPU:STEPS. */
static bool parse_positions(const char *text, unsigned *vcpu, uint64_t *from, uint64_t *to)
{
    uint64_t first, last;

    if (!parse_take_number(&text, UINT_MAX, &first) || *text++ != ':' ||
        !parse_take_number(&text, UINT64_MAX / 4 - 1, from) || *text++ != '-' ||
        !parse_take_number(&text, UINT_MAX, &last) || *text++ != ':' ||
        !parse_take_number(&text, UINT64_MAX / 4 - 1, to))
        return false;
    *vcpu = (unsigned)first;
    return !*text && first == last && *from < *to;
}

static struct approach approach_of(const struct fuzz *f)
{
    return (struct approach){.interrupted = &interrupted, .stop_at_s = f->exhaustive.stop_at_s};
}

static const char *over_reason(void)
{
    return interrupted ? "interrupted before" : "the budget of time is used up before";
}

static enum emu_err go_to_position(struct fuzz *f, struct guest *g, unsigned vcpu, uint64_t from, struct diag *d)
{
    struct machine_limits limits = {.steps_max = UINT64_MAX, .vcpu = vcpu, .position_max = from};
    struct approach approach = approach_of(f);
    enum machine_stop_reason why;

    if (vcpu >= machine_vcpus(g->machine))
        return diag_set(d, EMU_EINPUT, "--window %s: the machine has %u vCPU%s", f->window, machine_vcpus(g->machine),
                        plural(machine_vcpus(g->machine)));
    why = from ? approach_run(&approach, g, &limits) : MACHINE_STOPPED_POSITION;
    if (why == MACHINE_STOPPED_POSITION)
        return EMU_OK;
    return diag_set(d, EMU_EINPUT, "the guest does not come to step %" PRIu64 " of vCPU %u: %s", from, vcpu,
                    why == MACHINE_STOPPED_VERDICT ? machine_verdict(g->machine)->text : over_reason());
}

/* SYMBOL[#N][+STEPS]. *ends: with the function, not after so many steps. */
static enum emu_err parse_function(struct fuzz *f, bool *ends, struct diag *d)
{
    const char *at = f->window + strcspn(f->window, "#+"), *plus = strchr(f->window, '+');
    enum emu_err err = EMU_OK;
    char number[32];

    if (snprintf(f->symbol, sizeof(f->symbol), "%.*s", (int)(at - f->window), f->window) >= (int)sizeof(f->symbol))
        return diag_set(d, EMU_EINPUT, "--window %.40s...: no symbol has so long a name", f->window);
    f->occurrence = 1;
    *ends = !plus;
    if (plus && strchr(plus, '#'))
        return diag_set(d, EMU_EINPUT, "--window %s: a window is SYMBOL[#N][+STEPS], with #N before +STEPS", f->window);
    if (*at == '#') {
        /* More digits than this are no number that is taken. */
        snprintf(number, sizeof(number), "%.*s", (int)strcspn(at + 1, "+"),
                 strcspn(at + 1, "+") < sizeof(number) ? at + 1 : "");
        err = parse_number("the N of --window SYMBOL#N", number, 1, APPROACH_TIMES_MAX, &f->occurrence, d);
    }
    if (err == EMU_OK && plus)
        err = parse_number("the length of the window", plus + 1, 1, UINT64_MAX / 4, &f->window_steps_max, d);
    return err;
}

/* The guest ended, or was stopped, before the place: how near it came. */
static enum emu_err not_reached(const struct fuzz *f, const struct guest *g, const struct approach_place *place,
                                enum machine_stop_reason why, struct diag *d)
{
    const struct verdict *v = machine_verdict(g->machine);
    bool ended = why == MACHINE_STOPPED_VERDICT;
    unsigned most = 0;
    char times[160] = "";

    for (unsigned i = 1; i < machine_vcpus(g->machine); i++)
        if (place->times[i] > place->times[most])
            most = i;
    if (place->times[most])
        snprintf(times, sizeof(times), ": vCPU %u executes it %" PRIu64 " time%s%s", most, place->times[most],
                 plural(place->times[most]), machine_vcpus(g->machine) > 1 ? ", none more often" : "");
    return diag_set(d, EMU_EINPUT, "the guest does not reach %s%s: %s%s%s", f->window, times,
                    ended ? verdict_kind_name(v->kind) : over_reason(), ended ? ": " : "", ended ? v->text : "");
}

static enum emu_err go_to_window(struct fuzz *f, struct guest *g, uint64_t *end_gva, struct diag *d)
{
    struct approach approach = approach_of(f);
    enum machine_stop_reason why;
    struct approach_place place;
    char names[SYMBOLS_ALIASES_BYTES];
    bool ends = false;
    struct symbol s;
    size_t n;
    unsigned bits, word;
    enum emu_err err;
    uint64_t sp, from, to;
    unsigned vcpu;

    if (parse_positions(f->window, &vcpu, &from, &to)) {
        *end_gva = 0;
        if (!f->window_steps_max || f->window_steps_max > to - from)
            f->window_steps_max = to - from;
        return go_to_position(f, g, vcpu, from, d);
    }
    if (isdigit((unsigned char)f->window[0]))
        return diag_set(d, EMU_EINPUT,
                        "--window %s: positions are two of one vCPU, the first before the last, like 0:1000-0:2000",
                        f->window);
    if (!g->symbols)
        return diag_set(d, EMU_EINPUT, "--window %s: the image has no symbols", f->window);
    err = parse_function(f, &ends, d);
    if (err != EMU_OK)
        return err;
    n = symbols_find_name(g->symbols, f->symbol, &s);
    if (!n && f->symbol[0] == '@') {
        symbols_print_aliases(g->symbols, names, sizeof(names));
        return diag_set(d, EMU_EINPUT, "--window %s: this guest has no such window; of the named ones it has %s",
                        f->window, names);
    }
    if (n != 1)
        return diag_set(d, EMU_EINPUT,
                        n ? "--window %s: %zu symbols have this name" : "--window %s: no symbol has this name",
                        f->window, n);
    if (f->symbol[0] == '@')
        fprintf(stderr, "bootrace fuzz: %s of this kernel is %s\n", f->symbol, s.name);
    place = (struct approach_place){.gva = s.start_gva, .wanted = f->occurrence};
    err = cache_run_to(g, &f->cache, &approach, &place, &why, d);
    if (err != EMU_OK)
        return err;
    if (why != MACHINE_STOPPED_RIP)
        return not_reached(f, g, &place, why, d);
    bits = vcpu_code_bits(g->machine);
    word = bits == 64 ? 8 : 4;
    sp = vcpu_gpr(g->machine, GPR_RSP);
    *end_gva = 0;
    if (!ends)
        return EMU_OK;
    if (!vcpu_read_gva(g->machine, machine_current(g->machine), sp, end_gva, word, NULL))
        return diag_set(d, EMU_EINPUT, "the return address of %s can't be read", f->window);
    return EMU_OK;
}

/* Where the window starts, in a run from the beginning. */
static struct position anchor_of(const struct fuzz *f, struct guest *g)
{
    struct position p = {.kind = POSITION_ANCHOR, .vcpu = machine_current(g->machine), .occurrence = f->occurrence};

    if (!f->symbol[0]) /* the window is between positions */
        return (struct position){.kind = POSITION_HERE};
    snprintf(p.symbol, sizeof(p.symbol), "%s", f->symbol);
    return p;
}

static int search_schedules(struct fuzz *f, struct guest *g, uint64_t end_gva, FILE *to)
{
    struct fuzz_schedules *s = &f->schedules;
    json_t *report = NULL;
    int status;

    s->window = f->window;
    s->end_rip_gva = end_gva;
    s->window_steps_max = f->window_steps_max;
    s->interrupted = &interrupted;
    s->start_anchor = anchor_of(f, g);
    status = fuzz_schedules(s, g, to, f->json ? &report : NULL, &f->diag);
    if (status == COMMAND_INPUT)
        diag_print(&f->diag, "bootrace fuzz", stderr);
    if (report) {
        json_show(report);
        json_decref(report);
    }
    return status;
}

/* ---- what must stay the same ---- */

/* The machine stands at the window's start. */
static enum emu_err declare_same(struct fuzz *f, struct guest *g, struct diag *d)
{
    char list[SAME_BYTES], *rest = list, *one, *at;
    size_t used = 0;
    enum emu_err err;

    if (!f->same)
        return EMU_OK;
    err = divergence_parse(f->same, g->symbols, &f->same_parsed, d);
    if (err != EMU_OK || f->schedules.strategy) {
        g->options.same = f->same;
        return err;
    }
    if (strlen(f->same) >= SAME_BYTES)
        return diag_set(d, EMU_EINPUT, "--same: a list has at most %u characters", SAME_BYTES - 1);
    f->exhaustive.same = f->same;
    f->exhaustive.same_parsed = &f->same_parsed;
    snprintf(list, sizeof(list), "%s", f->same);
    at = strchr(list, '@');
    if (at)
        *at++ = '\0';
    while ((one = strsep(&rest, ",")))
        if (strcmp(one, "registers") != 0 && strcmp(one, "cr2") != 0)
            used +=
                (size_t)snprintf(f->same_memory + used, sizeof(f->same_memory) - used, "%s%s", used ? "," : "", one);
    if (at)
        snprintf(f->same_memory + used, sizeof(f->same_memory) - used, "@%s", at);
    return EMU_OK;
}

/* What is kept of an exhaustive search is whole runs, which compare where they end. */
static void learn_same(struct fuzz *f, struct guest *g, FILE *to)
{
    struct approach approach = approach_of(f);
    struct diag d;

    if (!f->same_parsed.ranges || g->same)
        return;
    if (same_new(g, f->same_memory, FUZZ_KEEP_STEPS_MAX, &approach, &g->same, &d) == EMU_OK)
        g->options.same = f->same_memory;
    else
        fprintf(to, "divergences are kept as no cases: %s\n", d.text);
}

/* ---- every boundary ---- */

static bool is_over(const struct fuzz *f)
{
    return interrupted || (f->exhaustive.stop_at_s && host_time_s() >= f->exhaustive.stop_at_s);
}

/* Search with each source; `found` gets what is known of them. */
static enum emu_err search_sources(struct fuzz *f, struct guest *g, FILE *to, json_t *found, bool *complete)
{
    for (unsigned i = 0; source_at(i) && !interrupted; i++) {
        bool done;
        json_t *joined;
        enum emu_err err;

        if (!f->asked[i])
            continue;
        if (is_over(f)) {
            *complete = false;
            continue;
        }
        err = fuzz_exhaustive(&f->exhaustive, g, &f->exhaustive.source[i], to, &joined, &done, &f->diag);
        if (err != EMU_OK) {
            json_decref(joined);
            return err;
        }
        *complete = *complete && done;
        if (!joined)
            continue;
        search_report_print(joined, to);
        json_array_append_new(found, joined);
    }
    return EMU_OK;
}

static enum emu_err keep_cases(struct fuzz *f, struct guest *g, FILE *to, const json_t *found)
{
    struct position start_anchor = anchor_of(f, g);
    struct fuzz_keep *keep;
    size_t failures = 0, i;
    enum emu_err err;
    json_t *joined;

    json_array_foreach(found, i, joined) failures += json_array_size(json_object_get(joined, "cases"));
    if (!failures)
        return EMU_OK;
    learn_same(f, g, to);
    err = fuzz_keep_new(&f->exhaustive, g, &start_anchor, &keep, &f->diag);
    if (err != EMU_OK)
        return err;
    json_array_foreach(found, i, joined)
    {
        unsigned source = source_index_named(json_string_value(json_object_get(joined, "source")));

        if (err == EMU_OK)
            err = fuzz_keep_failures(keep, &f->exhaustive.source[source], joined, to, &f->diag);
    }
    fuzz_keep_free(keep);
    return err;
}

static int search_boundaries(struct fuzz *f, struct guest *g, uint64_t end_gva, FILE *to)
{
    json_t *found = json_array();
    bool complete = true;
    uint64_t failing;
    enum emu_err err;

    f->exhaustive.window = f->window;
    f->exhaustive.end_rip_gva = end_gva;
    f->exhaustive.window_steps_max = f->window_steps_max;
    f->exhaustive.every_boundary = f->every;
    f->exhaustive.interrupted = &interrupted;
    err = search_sources(f, g, to, found, &complete);
    if (err == EMU_OK && f->exhaustive.out)
        err = keep_cases(f, g, to, found);
    if (err != EMU_OK) {
        diag_print(&f->diag, "bootrace fuzz", stderr);
        json_decref(found);
        return interrupted ? COMMAND_INTERRUPTED : is_over(f) ? COMMAND_BUDGET : COMMAND_INPUT;
    }
    failing = search_report_sum(found, "failing");
    if (!complete && is_over(f) && !interrupted)
        fprintf(to, "stopped: the budget of %" PRIu64 " s is used up; %s\n", f->budget_s,
                f->exhaustive.out ? "the same command resumes it" : "give --out DIR to make it resumable");
    if (interrupted)
        fprintf(to, "interrupted; %s\n",
                f->exhaustive.out ? "the same command resumes it" : "give --out DIR to make it resumable");
    fprintf(to,
            "each run ends where the handler returns, and says nothing of what the guest does then; assuming that %s\n",
            SEARCH_ASSUMPTIONS);
    if (f->json) {
        json_t *o = search_report_new(f->window, found, complete);

        json_show(o);
        json_decref(o);
    }
    json_decref(found);
    if (interrupted)
        return COMMAND_INTERRUPTED;
    return failing ? COMMAND_FAIL : complete ? COMMAND_PASS : COMMAND_BUDGET;
}

/* What is found must have a place before hours are spent on it. */
static enum emu_err make_folder(const char *out, struct diag *d)
{
    struct stat s;

    if (!out || !mkdir(out, 0777))
        return EMU_OK;
    if (errno == EEXIST && !stat(out, &s) && !S_ISDIR(s.st_mode))
        errno = ENOTDIR;
    return errno == EEXIST ? EMU_OK : diag_set_at(d, EMU_EINPUT, out, 0, "can't be made: %s", strerror(errno));
}

static enum emu_err check_cases(const struct fuzz *f, struct diag *d)
{
    char path[FUZZ_CASE_PATH_BYTES];

    if (!f->exhaustive.out)
        return EMU_OK;
    if (snprintf(path, sizeof(path), "%s/case.yaml", f->exhaustive.out) >= (int)sizeof(path))
        return diag_set(d, EMU_EINPUT, "the path of --out is too long");
    return record_check(&f->guest, path, d);
}

int fuzz_run(int argc, char **argv)
{
    static const struct argp_child children[] = {
        {&guest_argp, 0, "The guest and its machine:", 1}, {&cache_argp, 0, "What is kept:", 2}, {0}};
    static const struct argp argp = {options, parse, "IMAGE", doc, children, complete_help, NULL};
    struct fuzz f = {0};
    struct guest g;
    struct sigaction action = {.sa_handler = on_signal};
    uint64_t end_gva;
    int status;
    FILE *to;

    argp_err_exit_status = COMMAND_INPUT;
    argp_parse(&argp, argc, argv, 0, NULL, &f);
    to = f.json ? stderr : stdout;
    if (f.budget_s)
        f.exhaustive.stop_at_s = f.schedules.stop_at_s = host_time_s() + (double)f.budget_s;
    f.schedules.budget_s = f.budget_s;
    f.same = f.guest.same; /* compared with the run from the window's start, not from the guest's */
    f.guest.same = NULL;
    if (make_folder(f.exhaustive.out, &f.diag) != EMU_OK || check_cases(&f, &f.diag) != EMU_OK ||
        attach_guest_init(&g, &f.guest, &f.diag) != EMU_OK) {
        diag_print(&f.diag, "bootrace fuzz", stderr);
        return COMMAND_INPUT;
    }
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (go_to_window(&f, &g, &end_gva, &f.diag) != EMU_OK || declare_same(&f, &g, &f.diag) != EMU_OK) {
        struct approach approach = approach_of(&f);

        status = interrupted ? COMMAND_INTERRUPTED : approach_is_over(&approach) ? COMMAND_BUDGET : COMMAND_INPUT;
        diag_print(&f.diag, "bootrace fuzz", stderr);
        guest_fini(&g);
        return status;
    }
    status = f.schedules.strategy ? search_schedules(&f, &g, end_gva, to) : search_boundaries(&f, &g, end_gva, to);
    guest_fini(&g);
    return status;
}
