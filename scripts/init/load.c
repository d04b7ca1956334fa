/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * load: what the other CPUs do while CPU 0 does what bootrace.do= says: one thread on each of them, which goes through
 * the kinds of bootrace.load=, again and again. A thread that its CPU's going offline has moved goes back when it can.
 * The threads share memory, open files and signals with CPU 0's, so that they contend with it, and shoot at its TLB.
 *
 * Source: clone(2), membarrier(2), timerfd_create(2), futex(2), sigprocmask(2), madvise(2), memfd_create(2).
 */
#include "init.h"

#define STACK_BYTES  8192
#define PAGE_BYTES   4096
#define FAULT_PAGES  4
#define PERIOD_NS    50000
#define SLEEP_NS     20000
#define AWAY_NS      1000000
#define STOP_WAIT_NS 100000
#define STOP_WAITS   10000

/* CLONE_VM, _FS, _FILES, _SIGHAND, _THREAD, _SYSVSEM */
#define THREAD_FLAGS          0x50f00
#define MADV_DONTNEED         4
#define PROT_READ             1
#define PROT_READ_WRITE       3
#define MAP_PRIVATE_ANONYMOUS 0x22
#define CLOCK_MONOTONIC       1
#define OPEN_NONBLOCK         04000
#define FUTEX_WAIT            0x80 /* with FUTEX_PRIVATE_FLAG, as the next one */
#define FUTEX_WAKE            0x81
#define SIGUSR1               10
#define SIG_BLOCK             0
#define SIG_UNBLOCK           1
#define MEMBARRIER_QUERY      0
#define MEMBARRIER_EXPEDITED  8
#define MEMBARRIER_REGISTER   16

struct loader {
    unsigned cpu;
    long timer;               /* a file, or a negative errno */
    volatile unsigned rounds; /* written by its thread alone */
    volatile int ended;       /* the same */
    unsigned char *pages;
};

typedef void load_fn(struct loader *l);

static struct {
    volatile int stop;
    unsigned count;
    unsigned kinds;     /* a bit for each row of the table */
    long file;          /* that all write */
    volatile int mutex; /* 0: free, 1: taken */
    struct loader loaders[CPUS_MAX];
} load = {.file = -1};

static unsigned char stacks[CPUS_MAX][STACK_BYTES] __attribute__((aligned(16)));
static unsigned char pages[CPUS_MAX][FAULT_PAGES * PAGE_BYTES] __attribute__((aligned(PAGE_BYTES)));

static void close_file(long file)
{
    system_call(__NR_close, file, 0, 0, 0, 0);
}

/* One anonymous page, or a negative errno. */
static long map_page(void)
{
#ifdef __x86_64__
    long result;
    register long r10 __asm__("r10") = MAP_PRIVATE_ANONYMOUS;
    register long r8 __asm__("r8") = -1;
    register long r9 __asm__("r9") = 0;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(__NR_mmap), "D"(0), "S"(PAGE_BYTES), "d"(PROT_READ_WRITE), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
#else
    const long arguments[6] = {0, PAGE_BYTES, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0};
    return system_call(__NR_mmap, (long)arguments, 0, 0, 0, 0);
#endif
}

/* ---- the kinds ---- */

static void do_system_calls(struct loader *l)
{
    long now[2];
    char byte = 0;
    long file = open_file("/dev/null", OPEN_WRITE);
    (void)l;
    system_call(__NR_write, file, (long)&byte, 1, 0, 0);
    close_file(file);
    system_call(__NR_getppid, 0, 0, 0, 0, 0);
    system_call(__NR_clock_gettime, CLOCK_MONOTONIC, (long)now, 0, 0, 0);
    system_call(__NR_sched_yield, 0, 0, 0, 0, 0);
}

static void do_faults(struct loader *l)
{
    system_call(__NR_madvise, (long)l->pages, FAULT_PAGES * PAGE_BYTES, MADV_DONTNEED, 0, 0);
    for (unsigned i = 0; i < FAULT_PAGES; i++)
        *(volatile unsigned char *)(l->pages + i * PAGE_BYTES) += 1;
}

/* One timer interrupt comes into whatever the thread does, and one wakes it from a sleep. */
static void do_timers(struct loader *l)
{
    long times[4] = {0, PERIOD_NS, 0, PERIOD_NS};
    unsigned long long expired;
    if (l->timer < 0) {
        l->timer = system_call(__NR_timerfd_create, CLOCK_MONOTONIC, OPEN_NONBLOCK, 0, 0, 0);
        system_call(__NR_timerfd_settime, l->timer, 0, (long)times, 0, 0);
    }
    system_call(__NR_read, l->timer, (long)&expired, sizeof(expired), 0, 0);
    sleep_ns(SLEEP_NS);
}

static void do_ipis(struct loader *l)
{
    (void)l;
    system_call(__NR_membarrier, MEMBARRIER_EXPEDITED, 0, 0, 0, 0);
}

/* The table of open files has one spinlock. */
static void do_spinlock(struct loader *l)
{
    (void)l;
    close_file(system_call(__NR_dup, load.file, 0, 0, 0, 0));
}

/* A lock of user space: who does not get it waits, and who leaves it wakes one. The wait takes the bucket's spinlock.
 */
static void do_futex(struct loader *l)
{
    long time[2] = {0, SLEEP_NS};
    (void)l;
    if (__sync_lock_test_and_set(&load.mutex, 1)) {
        system_call(__NR_futex, (long)&load.mutex, FUTEX_WAIT, 1, (long)time, 0);
        return;
    }
    system_call(__NR_futex, (long)&load.mutex, FUTEX_WAIT, 0, (long)time, 0);
    __sync_lock_release(&load.mutex);
    system_call(__NR_futex, (long)&load.mutex, FUTEX_WAKE, 1, 0, 0);
}

/* One file, whose position and whose contents are locked. */
static void do_file(struct loader *l)
{
    char byte = (char)l->cpu;
    system_call(__NR_lseek, load.file, 0, 0, 0, 0);
    system_call(__NR_write, load.file, (long)&byte, 1, 0, 0);
}

/* The address space is locked, and what goes away is flushed from the other CPUs' TLBs. */
static void do_mmap(struct loader *l)
{
    long page = map_page();
    (void)l;
    if (page < 0 && page > -PAGE_BYTES)
        return;
    *(volatile char *)page = 1;
    system_call(__NR_mprotect, page, PAGE_BYTES, PROT_READ, 0, 0);
    system_call(__NR_munmap, page, PAGE_BYTES, 0, 0, 0);
}

/* A signal is blocked and let through: the spinlock of the signals, with interrupts off. */
static void do_signals(struct loader *l)
{
    unsigned long long mask = 1ull << (SIGUSR1 - 1);
    (void)l;
    system_call(__NR_rt_sigprocmask, SIG_BLOCK, (long)&mask, 0, sizeof(mask), 0);
    system_call(__NR_rt_sigprocmask, SIG_UNBLOCK, (long)&mask, 0, sizeof(mask), 0);
}

static const struct {
    const char *name;
    load_fn *act;
    int contends;
} kinds[] = {
    {"syscalls", do_system_calls, 0},
    {"faults", do_faults, 0},
    {"timers", do_timers, 0},
    {"ipis", do_ipis, 0},
    {"spinlock", do_spinlock, 1},
    {"signals", do_signals, 1},
    {"futex", do_futex, 1},
    {"file", do_file, 1},
    {"mmap", do_mmap, 1},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* ---- the threads ---- */

static void load_main(struct loader *l)
{
    unsigned cpu;
    while (!load.stop) {
        if (system_call(__NR_getcpu, (long)&cpu, 0, 0, 0, 0) == 0 && cpu != l->cpu && move_to_cpu(l->cpu) < 0) {
            sleep_ns(AWAY_NS); /* its CPU is offline */
            continue;
        }
        for (unsigned i = 0; i < KINDS; i++)
            if (load.kinds >> i & 1)
                kinds[i].act(l);
        l->rounds++;
    }
    l->ended = 1;
    for (;;)
        system_call(__NR_exit, 0, 0, 0, 0, 0);
}

static long start_thread(struct loader *l, unsigned char *stack)
{
    long result;
    long *top = (long *)(stack + STACK_BYTES - 16);
    top[0] = (long)load_main;
    top[1] = (long)l;
#ifdef __x86_64__
    register long r10 __asm__("r10") = 0;
    register long r8 __asm__("r8") = 0;
    __asm__ volatile("syscall\n\ttest %%rax, %%rax\n\tjnz 1f\n\tpop %%rax\n\tpop %%rdi\n\tcall *%%rax\n1:"
                     : "=a"(result)
                     : "a"(__NR_clone), "D"(THREAD_FLAGS), "S"(top), "d"(0), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
#else
    __asm__ volatile("int $0x80\n\ttest %%eax, %%eax\n\tjnz 1f\n\tpop %%eax\n\tcall *%%eax\n1:"
                     : "=a"(result)
                     : "a"(__NR_clone), "b"(THREAD_FLAGS), "c"(top), "d"(0), "S"(0), "D"(0)
                     : "memory");
#endif
    return result;
}

/* The bits of the kinds that are named; what is no kind, or what this kernel lacks, is told. */
static unsigned read_kinds(const struct output *out, const char *list)
{
    char word[LINE_BYTES];
    unsigned bits = 0;
    while ((list = next_of_list(list, word)) != 0) {
        unsigned found = 0;
        for (unsigned i = 0; i < KINDS; i++)
            if (is_same(word, kinds[i].name) || is_same(word, "all"))
                found |= 1u << i;
        if (!found) {
            print(out, "FAILED: no kind of load is called ", word);
            print(out, "kinds of load: syscalls, faults, timers, ipis, spinlock, signals, futex, file, mmap, all", "");
        }
        bits |= found;
    }
    return bits;
}

/* What all of them share, and what a kind needs of the kernel. */
static void prepare(const struct output *out)
{
    long result = system_call(__NR_memfd_create, (long)"load", 0, 0, 0, 0);
    if (load.file < 0)
        load.file = result;
    if (load.file < 0)
        print(out, "not offered by this kernel: load file and spinlock (memfd_create)", "");
    for (unsigned i = 0; i < KINDS; i++) {
        if (kinds[i].act != do_ipis || !(load.kinds >> i & 1))
            continue;
        result = system_call(__NR_membarrier, MEMBARRIER_QUERY, 0, 0, 0, 0);
        if (result < 0 || !(result & MEMBARRIER_EXPEDITED)) {
            print(out, "not offered by this kernel: load ipis (membarrier)", "");
            load.kinds &= ~(1u << i);
        } else {
            system_call(__NR_membarrier, MEMBARRIER_REGISTER, 0, 0, 0, 0);
        }
    }
}

int start_load(const struct output *out, const char *list)
{
    load.kinds = read_kinds(out, list);
    prepare(out);
    if (!load.kinds)
        return 0;
    for (unsigned cpu = 1; cpu < CPUS_MAX; cpu++) {
        struct loader *l = &load.loaders[load.count];
        if (!cpu_is_online(cpu))
            continue;
        *l = (struct loader){.cpu = cpu, .timer = -1, .pages = pages[load.count]};
        long result = start_thread(l, stacks[load.count]);
        if (result < 0)
            print_error(out, "to start a load", result);
        else
            load.count++;
    }
    if (!load.count)
        print(out, "FAILED: there is no other CPU for a load", "");
    /* Every thread has come to its CPU and been through its kinds before CPU 0 begins. */
    for (unsigned i = 0; i < load.count; i++)
        for (unsigned waits = 0; !load.loaders[i].rounds && waits < STOP_WAITS; waits++)
            sleep_ns(STOP_WAIT_NS);
    for (unsigned i = 0; i < load.count; i++) {
        char number[NUMBER_BYTES];
        print(out, "begin load on CPU ", number_text(load.loaders[i].cpu, number));
    }
    return load.count != 0;
}

void stop_load(const struct output *out)
{
    load.stop = 1;
    for (unsigned i = 0; i < load.count; i++) {
        char line[LINE_BYTES], number[NUMBER_BYTES];
        for (unsigned waits = 0; !load.loaders[i].ended && waits < STOP_WAITS; waits++)
            sleep_ns(STOP_WAIT_NS);
        unsigned end = append(line, 0, "end load on CPU ");
        end = append(line, end, number_text(load.loaders[i].cpu, number));
        end = append(line, end, load.loaders[i].ended ? ", rounds " : ", FAILED to end it, rounds ");
        line[end] = '\0';
        print(out, line, number_text(load.loaders[i].rounds, number));
    }
}

void contend(unsigned rounds)
{
    static struct loader own = {.timer = -1};
    while (rounds--)
        for (unsigned i = 0; i < KINDS; i++)
            if (kinds[i].contends)
                kinds[i].act(&own);
}
