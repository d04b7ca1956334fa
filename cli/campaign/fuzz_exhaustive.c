/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/campaign/fuzz_exhaustive.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/campaign/fuzz_case.h"
#include "cli/campaign/search_part.h"
#include "cli/run/console.h"
#include "cli/run/host_time.h"
#include "cli/run/json_text.h"
#include "cli/run/snapshot_case.h"
#include "emu/base/plural.h"
#include "emu/build_id.h"
#include "emu/machine.h"
#include "emu/snapshot.h"
#include "emu/vcpu.h"
#include "fuzz/search/search.h"
#include "fuzz/search/window.h"
#include "models/linux/pv_traps.h"

#define HANDLER_STEPS_MAX 300000ull
#define CONFIRM_STEPS_MAX 5000000ull
#define SAVE_EVERY_S      5.0
#define RECORD_STEPS_MAX  300000000ull /* of a window whose length nobody gave */
#define LOOK_EVERY_NS     100000000l
#define PIECES_MAX        4096u

struct counters { /* of one piece, in memory that the processes share */
    uint64_t boundaries, runs, failing;
};

struct piece {
    uint64_t from, to;
    pid_t child;
};

struct search {
    const struct fuzz_exhaustive *f;
    struct guest *g;
    const struct source *source;
    const char *name; /* of the source */
    const char *folder;
    char *text; /* what is searched */
    json_t *window;
    struct exhaustive *x;
    struct exhaustive_report report;
    struct piece piece[PIECES_MAX];
    unsigned vcpu;
    unsigned pieces, now; /* now: the one that this process does */
    struct counters *counters;
    struct console console;
    double started, saved, shown;
    uint64_t calls, looked_at;
    unsigned failures_saved; /* of the present piece */
    uint64_t record_from;    /* the window's first step */
    bool endless;
    struct diag *d;
};

/* What makes the first boundary of each outcome fail again, from the beginning. */
static void tell_schedules(const struct search *s, json_t *part)
{
    json_t *one;
    size_t i;

    json_array_foreach(json_object_get(part, "cases"), i, one)
    {
        struct decision decision = fuzz_exhaustive_decision(s->source, s->vcpu, search_part_number(one, "delivered"));
        char text[DECISION_TEXT_BYTES];

        decision_print(&decision, text, sizeof(text));
        json_object_set_new(one, "schedule", json_text(text));
    }
}

static enum emu_err save(struct search *s, struct diag *d)
{
    const struct piece *p = &s->piece[s->now];
    json_t *part = search_part_new(s->text, s->name, p->from, p->to, s->window, &s->report, s->g->symbols);
    enum emu_err err;

    tell_schedules(s, part);
    err = search_part_save(part, s->folder, d);
    json_decref(part);
    return err;
}

static void show(struct search *s)
{
    struct counters sum = {0};
    uint64_t all = 0;
    double seconds = host_time_s() - s->started;
    char line[200];

    for (unsigned i = 0; i < s->pieces; i++) {
        sum.boundaries += s->counters[i].boundaries;
        sum.runs += s->counters[i].runs;
        sum.failing += s->counters[i].failing;
        all += s->piece[i].to - s->piece[i].from;
    }
    snprintf(line, sizeof(line),
             "[%.1f s] %s: %" PRIu64 " of %" PRIu64 " boundaries, %" PRIu64 " run%s (%.0f/s), %" PRIu64 " failing",
             seconds, s->name, sum.boundaries, all, sum.runs, plural(sum.runs),
             (double)sum.runs / (seconds > 0 ? seconds : 1), sum.failing);
    console_progress(&s->console, line);
}

/* A vCPU that waits for another one in the window waits for ever, and the record grows. */
static bool look_at_record(void *context, uint64_t position)
{
    struct search *s = context;
    double now = host_time_s();
    char line[160];

    if (now - s->shown > 0.2) {
        s->shown = now;
        snprintf(line, sizeof(line), "[%.1f s] recording the window, at step %" PRIu64, now - s->started, position);
        console_progress(&s->console, line);
    }
    s->endless = !s->f->window_steps_max && position - s->record_from > RECORD_STEPS_MAX;
    return s->endless || *s->f->interrupted || (s->f->stop_at_s && now >= s->f->stop_at_s);
}

/* In the process that searches. What can't be saved now is saved, or complained of, at the end. */
static bool look(void *context, const struct exhaustive_report *r, uint64_t position)
{
    struct search *s = context;
    struct counters *c = &s->counters[s->now];
    struct diag ignored;
    double now;

    c->boundaries = r->boundaries;
    c->runs = r->runs;
    c->failing = r->failing;
    if (s->f->out && r->failures > s->failures_saved) { /* what is found is kept at once */
        s->failures_saved = r->failures;
        s->saved = host_time_s();
        (void)!save(s, &ignored);
    }
    if (s->calls++ % 16)
        return *s->f->interrupted;
    now = host_time_s();
    if (s->f->stop_at_s && now >= s->f->stop_at_s)
        return true;
    if (s->f->jobs == 1 && now - s->shown > 0.2) {
        s->shown = now;
        show(s);
    }
    if (s->f->out && now - s->saved > SAVE_EVERY_S) {
        s->saved = now;
        (void)!save(s, &ignored);
    }
    return *s->f->interrupted;
}

static void reset_report(struct search *s)
{
    s->report.boundaries = s->report.runs = s->report.failing = s->report.handler_steps_max = 0;
    s->report.failures = 0;
    s->failures_saved = 0;
    s->report.complete = false;
}

static enum emu_err do_piece(struct search *s, unsigned i)
{
    enum emu_err err;

    s->now = i;
    reset_report(s);
    err = exhaustive_cover(s->x, s->piece[i].from, s->piece[i].to);
    s->counters[i] = (struct counters){s->report.boundaries, s->report.runs, s->report.failing};
    return err == EMU_OK ? save(s, s->d) : err;
}

/* The child says in words what went wrong, and by its status that something did. */
static void be_child(struct search *s, unsigned i)
{
    enum emu_err err = machine_forked(s->g->machine, s->d);

    if (err == EMU_OK)
        err = do_piece(s, i);
    if (err != EMU_OK)
        diag_print(s->d, "bootrace fuzz", stderr);
    _exit(err == EMU_OK ? 0 : 2);
}

static enum emu_err reap(struct search *s, unsigned *running, bool *failed)
{
    int status;
    pid_t child = waitpid(-1, &status, WNOHANG);

    if (child <= 0)
        return EMU_OK;
    for (unsigned i = 0; i < s->pieces; i++)
        if (s->piece[i].child == child) {
            s->piece[i].child = 0;
            (*running)--;
            if (WIFSIGNALED(status)) {
                *failed = true;
                return diag_set(s->d, EMU_EHOST,
                                "the process that searched boundaries %" PRIu64 " to %" PRIu64
                                " was killed by signal %d; with --out, the same command resumes it",
                                s->piece[i].from, s->piece[i].to, WTERMSIG(status));
            }
            *failed = *failed || WEXITSTATUS(status) != 0;
        }
    return EMU_OK;
}

/* Interrupted, or the time is used up. */
static bool is_over(const struct search *s)
{
    return *s->f->interrupted || (s->f->stop_at_s && host_time_s() >= s->f->stop_at_s);
}

/* Up to `jobs` processes at a time, a piece each. */
static enum emu_err do_in_processes(struct search *s)
{
    const struct timespec nap = {.tv_nsec = LOOK_EVERY_NS};
    unsigned next = 0, running = 0;
    bool failed = false, told = false;
    enum emu_err err = EMU_OK;

    fflush(NULL);
    while (running || (next < s->pieces && !is_over(s) && !failed)) {
        enum emu_err reaped;

        while (running < s->f->jobs && next < s->pieces && !is_over(s) && !failed) {
            pid_t child = fork();

            if (child == 0)
                be_child(s, next);
            if (child < 0) {
                err = diag_set(s->d, EMU_EHOST, "the host gives no more processes: %s", strerror(errno));
                failed = true;
                break;
            }
            s->piece[next].child = child;
            next++;
            running++;
        }
        if ((*s->f->interrupted || failed) && !told) {
            told = true;
            for (unsigned i = 0; i < next; i++)
                if (s->piece[i].child)
                    kill(s->piece[i].child, SIGTERM);
        }
        nanosleep(&nap, NULL);
        reaped = reap(s, &running, &failed);
        if (err == EMU_OK)
            err = reaped;
        show(s);
    }
    if (err == EMU_OK && failed)
        err = diag_set(s->d, EMU_EINPUT, "a part of the search could not be done; see above");
    return err;
}

static uint64_t shard_begin(const struct search *s, unsigned shard)
{
    uint64_t first = s->report.first_position, length = s->report.last_position - first;

    return first + length * shard / s->f->shards;
}

/* What is left of the shard, in as many pieces as there are processes. */
static enum emu_err plan(struct search *s, const json_t *known)
{
    const struct fuzz_exhaustive *f = s->f;
    json_t *missing = search_parts_missing(known, s->name, shard_begin(s, f->shard - 1), shard_begin(s, f->shard));
    json_t *range;
    enum emu_err err = EMU_OK;
    size_t i;

    json_array_foreach(missing, i, range)
    {
        uint64_t begin = (uint64_t)json_integer_value(json_array_get(range, 0));
        uint64_t end = (uint64_t)json_integer_value(json_array_get(range, 1));
        uint64_t pieces = end - begin < f->jobs ? 1 : f->jobs;

        for (uint64_t k = 0; k < pieces && err == EMU_OK; k++) {
            if (s->pieces == PIECES_MAX)
                err = diag_set(s->d, EMU_EINPUT, "what is left of the window is in too many pieces: use another --out");
            else
                s->piece[s->pieces++] = (struct piece){.from = begin + (end - begin) * k / pieces,
                                                       .to = begin + (end - begin) * (k + 1) / pieces};
        }
    }
    json_decref(missing);
    return err;
}

static char *search_text(const struct fuzz_exhaustive *f, struct guest *g, struct diag *d)
{
    char build[BUILD_ID_BYTES], *guest_text = NULL, *text;
    json_t *o;

    if (snapshot_case_print(&g->options, &guest_text, d) != EMU_OK)
        return NULL;
    build_id(build);
    o = json_pack("{s:o, s:o?, s:o, s:I, s:b, s:o}", "build", json_text(build), "guest",
                  json_loads(guest_text, 0, NULL), "window", json_text(f->window), "window-steps-max",
                  (json_int_t)f->window_steps_max, "every-boundary", f->every_boundary, "same",
                  json_text(f->same ? f->same : ""));
    free(guest_text);
    for (unsigned i = 0; o && source_at(i); i++)
        if (source_at(i)->why_nothing && source_at(i)->value != SOURCE_VALUE_NONE)
            json_object_set_new(o, source_at(i)->name, json_integer((json_int_t)f->source[i].value));
    text = o ? json_dumps(o, JSON_SORT_KEYS | JSON_COMPACT) : NULL;
    json_decref(o);
    if (!text)
        (void)!diag_no_memory(d);
    return text;
}

static void remove_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    char path[4096];

    while (dir && (entry = readdir(dir)))
        if (entry->d_name[0] != '.') {
            snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
            unlink(path);
        }
    if (dir)
        closedir(dir);
    rmdir(folder);
}

static enum emu_err search(struct search *s, FILE *to, json_t *known)
{
    enum emu_err err;

    s->window = search_part_window(s->report.window);
    window_print(s->report.window, to);
    err = plan(s, known);
    if (err == EMU_OK && !s->pieces)
        fprintf(to, "%s: nothing is left to do; all of it is in %s\n", s->name, s->folder);
    if (err != EMU_OK)
        return err;
    s->counters =
        mmap(NULL, PIECES_MAX * sizeof(*s->counters), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (s->counters == MAP_FAILED) {
        s->counters = NULL;
        return diag_no_memory(s->d);
    }
    if (s->f->jobs > 1)
        return do_in_processes(s);
    for (unsigned i = 0; err == EMU_OK && i < s->pieces && !is_over(s); i++)
        err = do_piece(s, i);
    return err;
}

struct decision fuzz_exhaustive_decision(const struct source *source, unsigned vcpu, uint64_t position)
{
    return (struct decision){.kind = source->kind,
                             .vcpu = source->kind == DECISION_EXPIRE ? DECISION_ANY_VCPU : vcpu,
                             .value = source->value,
                             .at = {.kind = POSITION_STEPS, .vcpu = vcpu, .steps = position}};
}

/* In the pv modes the kernel's exceptions go through Xen. */
static void find_traps(const struct symbols *symbols, struct guest_traps *to)
{
    struct symbol entry;

    static_assert(PV_TRAPS <= GUEST_TRAPS_MAX, "all of them have room");
    for (unsigned i = 0; symbols && i < PV_TRAPS; i++)
        if (symbols_find_name(symbols, pv_traps[i].entry, &entry) == 1)
            to->trap[to->count++] = (struct guest_trap){.entry_gva = entry.start_gva, .vector = pv_traps[i].vector};
}

/* NOLINTNEXTLINE(readability-function-size): one search from its options to its report */
enum emu_err fuzz_exhaustive(const struct fuzz_exhaustive *f, struct guest *g, const struct source *source, FILE *to,
                             json_t **joined, bool *done, struct diag *d)
{
    char temporary[] = "/tmp/bootrace-fuzz-XXXXXX";
    struct search *s = calloc(1, sizeof(*s));
    json_t *known = json_array();
    struct exhaustive_options o = {.vcpu = machine_current(g->machine),
                                   .source = *source,
                                   .end_rip_gva = f->end_rip_gva,
                                   .steps_max = f->window_steps_max ? f->window_steps_max : UINT64_MAX / 2,
                                   .handler_steps_max = HANDLER_STEPS_MAX,
                                   .confirm_steps_max = CONFIRM_STEPS_MAX,
                                   .every_boundary = f->every_boundary,
                                   .symbols = g->symbols,
                                   .same = f->same_parsed,
                                   .progress = look,
                                   .recording = look_at_record,
                                   .context = s};
    enum emu_err err = EMU_OK;

    *joined = NULL;
    *done = false;
    if (!s) {
        json_decref(known);
        return diag_no_memory(d);
    }
    *s = (struct search){.f = f,
                         .g = g,
                         .source = source,
                         .name = source_at(source_index(source->kind))->name,
                         .vcpu = o.vcpu,
                         .folder = f->out,
                         .started = host_time_s(),
                         .d = d};
    s->saved = s->started;
    s->record_from = vcpu_position(g->machine, s->vcpu);
    if (!f->out) {
        s->folder = mkdtemp(temporary);
        if (!s->folder)
            err = diag_set(d, EMU_EHOST, "no temporary folder can be made: %s", strerror(errno));
    }
    s->text = err == EMU_OK ? search_text(f, g, d) : NULL;
    if (err == EMU_OK && !s->text)
        err = EMU_EHOST;
    if (err == EMU_OK && f->out)
        err = search_parts_load(f->out, known, d);
    if (err == EMU_OK)
        err = search_parts_check(known, s->text, d);
    if (platform_mode_is_pv(g->options.mode))
        find_traps(g->symbols, &o.traps);
    if (err == EMU_OK)
        err = exhaustive_new(g->machine, &o, &s->report, &s->x, d);
    if (err != EMU_OK && s->endless)
        (void)diag_set(d, err,
                       "the window does not end within %" PRIu64
                       " steps of its vCPU, which runs alone: does it wait for "
                       "another one? Give --window SYMBOL+STEPS",
                       (uint64_t)RECORD_STEPS_MAX);
    if (err == EMU_OK)
        err = search(s, to, known);
    console_progress(&s->console, NULL);
    if (err == EMU_OK) {
        json_array_clear(known);
        err = search_parts_load(s->folder, known, d);
    }
    if (err == EMU_OK) {
        json_t *missing = search_parts_missing(known, s->name, shard_begin(s, f->shard - 1), shard_begin(s, f->shard));

        *done = json_array_size(missing) == 0;
        json_decref(missing);
        *joined = search_parts_join(known, s->name);
    }
    if (*joined)
        json_object_set_new(*joined, "host_s", json_real(host_time_s() - s->started));
    exhaustive_free(s->x);
    exhaustive_report_fini(&s->report);
    if (s->counters)
        munmap(s->counters, PIECES_MAX * sizeof(*s->counters));
    if (!f->out && s->folder)
        remove_folder(s->folder);
    json_decref(s->window);
    json_decref(known);
    free(s->text);
    free(s);
    return err;
}
