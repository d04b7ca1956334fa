/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench_search: what the search stands on, on a real kernel in its window. `reset` measures how long it takes to go
 * back to a snapshot after a run that has written N pages, beside a memcpy of as many pages; `search` how many
 * schedules of at most 10,000 steps are run a second. scripts/bench runs it. Not a test: the host's time is what is
 * measured.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/run/guest.h"
#include "emu/base/count.h"
#include "emu/base/ensure.h"
#include "emu/engine.h"
#include "emu/memory.h"
#include "emu/snapshot.h"
#include "emu/vcpu.h"

#define ROUNDS         64u
#define SECONDS        4.0
#define STEPS_MAX      10000u
#define PLACES         64u
#define PLACE_DISTANCE 4001u
#define RUNS_A_PLACE   16u

/* Of this process: what else the host does costs nothing. */
static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int compare(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static double median(double *list, unsigned count)
{
    qsort(list, count, sizeof(*list), compare);
    return list[count / 2];
}

static void check(enum emu_err err, const struct diag *d)
{
    if (err == EMU_OK)
        return;
    diag_print(d, "bench_search", stderr);
    exit(1);
}

static void run_until(struct machine *m, const struct machine_limits *l)
{
    enum machine_stop_reason why;

    do {
        why = machine_run(m, l);
    } while (why == MACHINE_STOPPED_ASKED);
    ensure(why != MACHINE_STOPPED_VERDICT);
}

/* Pages of RAM that differ between two places of the same run are what a run between them has to put back. */
static void write_pages(struct machine *m, unsigned pages, uint64_t round)
{
    uint64_t ram_pages = memory_ram_bytes(machine_memory(m)) >> PAGE_SHIFT;

    for (unsigned i = 0; i < pages; i++) {
        uint64_t gpa = ((uint64_t)i * 61 % (ram_pages / 2) + ram_pages / 4) << PAGE_SHIFT, value = round;

        ensure(memory_write(machine_memory(m), gpa + 8 * (round % 500), &value, sizeof(value)));
    }
}

/* Each run makes a few thousand steps of the kernel, which write what they write, and N pages more. */
static void bench_reset(struct machine *m)
{
    static const unsigned counts[] = {0, 10, 100, 1000};
    struct machine_limits l = {.steps_max = 0};
    struct snapshot *s;
    struct diag d;
    uint8_t *from = malloc((size_t)1000 * PAGE_BYTES), *to = malloc((size_t)1000 * PAGE_BYTES);

    ensure(from && to);
    memset(from, 1, (size_t)1000 * PAGE_BYTES);
    memset(to, 2, (size_t)1000 * PAGE_BYTES);
    check(snapshot_take(m, NULL, &s, &d), &d);
    for (unsigned c = 0; c < COUNT(counts); c++) {
        double reset[ROUNDS], copy[ROUNDS], us, copy_us;
        uint64_t pages = 0;

        for (unsigned round = 0; round < ROUNDS; round++) {
            double t;

            l.steps_max = machine_steps(m) + 2000;
            run_until(m, &l);
            write_pages(m, counts[c], round + 1);
            t = seconds();
            snapshot_restore(m, s);
            reset[round] = (seconds() - t) * 1e6;
            t = seconds();
            memcpy(to, from, (size_t)counts[c] * PAGE_BYTES);
            copy[round] = (seconds() - t) * 1e6;
        }
        us = median(reset, ROUNDS);
        copy_us = median(copy, ROUNDS);
        pages = counts[c];
        printf("reset: 2,000 steps and %4" PRIu64 " pages more: %6.1f us", pages, us);
        if (pages)
            printf(", %.2f us a page, %.1f times a memcpy of as many", us / (double)pages, us / copy_us);
        printf("\n");
    }
    free(from);
    free(to);
    snapshot_free(m, s);
}

/* One schedule: from a snapshot to a boundary near it, the timer there, its handler to the return or to 10,000 steps.
 */
static uint64_t search_for(struct machine *m, struct snapshot *const *place, double limit_s, uint64_t *steps)
{
    double end = seconds() + limit_s;
    uint64_t runs = 0, before;

    for (unsigned i = 0; seconds() < end; i = (i + 1) % PLACES)
        for (unsigned k = 0; k < RUNS_A_PLACE; k++, runs++) {
            struct machine_limits near = {.steps_max = UINT64_MAX, .pinned = true};
            struct machine_limits l = {.pinned = true};
            uint64_t sp;

            snapshot_restore(m, place[i]);
            before = machine_steps(m);
            if (k) {
                near.steps_max = before + 7 * k;
                run_until(m, &near);
                near.steps_max = UINT64_MAX;
                near.until_interruptible = true;
                run_until(m, &near);
            }
            l.steps_max = before + STEPS_MAX;
            l.until_rip_gva = vcpu_rip(m);
            sp = vcpu_gpr(m, GPR_RSP);
            ensure(machine_pass_time(m));
            do
                run_until(m, &l);
            while (vcpu_gpr(m, GPR_RSP) != sp && machine_steps(m) < l.steps_max);
            *steps += machine_steps(m) - before;
        }
    return runs;
}

static void bench_search(struct machine *m)
{
    struct snapshot *place[PLACES];
    struct machine_limits l = {.steps_max = UINT64_MAX, .pinned = true};
    struct diag d;
    uint64_t one, steps = 0, sum = 0;
    double rate[2] = {0};
    int pipe_fd[2];

    for (unsigned i = 0; i < PLACES; i++) {
        l.position_max = vcpu_position(m, 0) + PLACE_DISTANCE;
        l.until_interruptible = false;
        run_until(m, &l);
        l.position_max = 0;
        l.until_interruptible = true;
        run_until(m, &l);
        check(snapshot_take(m, i ? place[i - 1] : NULL, &place[i], &d), &d);
    }
    one = search_for(m, place, SECONDS / 4, &steps); /* warm */
    steps = 0;
    one = search_for(m, place, SECONDS, &steps);
    rate[0] = (double)one / SECONDS;
    printf("search: one process: %.0f schedules a second and core, %.0f steps each\n", rate[0],
           (double)steps / (double)one);
    fflush(stdout);
    ensure(pipe(pipe_fd) == 0);
    for (unsigned p = 0; p < 2; p++) {
        pid_t child = fork();

        ensure(child >= 0);
        if (!child) {
            uint64_t n;

            check(machine_forked(m, &d), &d);
            n = search_for(m, place, SECONDS, &steps);
            _exit(write(pipe_fd[1], &n, sizeof(n)) == sizeof(n) ? 0 : 1);
        }
    }
    close(pipe_fd[1]); /* so that a child that dies is the pipe's end, not a wait for ever */
    for (unsigned p = 0; p < 2; p++) {
        uint64_t n;

        ensure(read(pipe_fd[0], &n, sizeof(n)) == sizeof(n));
        ensure(wait(NULL) > 0);
        sum += n;
    }
    close(pipe_fd[0]);
    rate[1] = (double)sum / SECONDS;
    printf("search: two processes: %.0f schedules a second together, %.2f times one\n", rate[1], rate[1] / rate[0]);
    for (unsigned i = 0; i < PLACES; i++)
        snapshot_free(m, place[i]);
}

int main(int argc, char **argv)
{
    struct guest_options o = {.vcpus = 1, .vcpus_given = true, .mode = PLATFORM_HVM};
    struct machine_limits l = {.steps_max = UINT64_MAX};
    struct guest g;
    struct symbol s;
    struct diag d;
    enum machine_stop_reason why;

    if (argc != 4 || (strcmp(argv[1], "reset") && strcmp(argv[1], "search"))) {
        fprintf(stderr, "usage: bench_search reset|search KERNEL SYMBOL\n");
        return 2;
    }
    o.kernel = argv[2];
    check(guest_init(&g, &o, &d), &d);
    if (!g.symbols || symbols_find_name(g.symbols, argv[3], &s) != 1) {
        fprintf(stderr, "bench_search: %s has no symbol %s\n", argv[2], argv[3]);
        return 1;
    }
    l.until_rip_gva = s.start_gva;
    do {
        why = machine_run(g.machine, &l);
    } while (why == MACHINE_STOPPED_ASKED);
    ensure(why == MACHINE_STOPPED_RIP);
    if (!strcmp(argv[1], "reset"))
        bench_reset(g.machine);
    else
        bench_search(g.machine);
    guest_fini(&g);
    return 0;
}
