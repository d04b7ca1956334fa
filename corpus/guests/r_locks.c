/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * r_locks: later bugs of Xen's paravirt locks, each as it was and repaired. A waiter that has spun long enough polls
 * its CPU's kicker event (never unmasked: a poll wakes all the same); who unlocks kicks a waiter.
 *
 * Parameters:
 *   bug=nested      a waiter polls with interrupts on; an interrupt's handler waits for another lock, in the same slow
 *                   path. That path notes which lock the CPU waits for, and forgets it at its end, and it clears the
 *                   kicker's pending bit: the outer waiter is then known to nobody, and polls for ever. Repaired: the
 *                   inner path puts back what was noted before it, and makes the outer one look again. Linux
 *                   168d2f464ab9 "xen: save previous spinlock when blocking". Two vCPUs; the places that schedules name
 *                   are slow_enter (the waiter has spun long enough, and the lock may become free now) and b_released.
 *      =stale       a waiter clears its pending bit, which was a kick already, then sees the lock taken again and
 *                   somebody else waiting for it, polls, and the next kick is not for it. Repaired: a pending kick is
 *                   taken, not thrown away. Linux, 2018: "xen: fix race in xen_qlock_wait()". Three vCPUs; wait_enter
 *                   (a waiter is about to look), kick_cleared, unlocked, relocked.
 *   fixed=0|1       (default 0)
 *
 * Ends: PASS; a poll without end, which is a hang that nothing can end; FAIL 0x621 (two holders).
 */
#include "hypercall.h"

#define IPI_VECTOR 0x41
#define SPINS      16u
#define CPUS       3

#define FAIL_TWO       0x621
#define FAIL_HYPERCALL 0x622
#define FAIL_PARAMETER 0x623

/* A place for schedules, in code that the compiler makes once. */
#define PLACE(name) __asm__ volatile(".globl " name "\n" name ":" : : : "memory")

static bool fixed;
static uint32_t kicker[CPUS];
static volatile uint32_t ready, done;

static void cpu_ready(void)
{
    struct evtchn_bind_ipi bind = {.vcpu = cpu_ids(cpu_current()).processor_id};
    struct shared_info *shared = xen_shared_info();
    if (evtchn_op(EVTCHNOP_bind_ipi, &bind))
        guest_fail(FAIL_HYPERCALL, "bind_ipi");
    __atomic_or_fetch(&shared->evtchn_mask[bind.port / 64], 1ul << bind.port % 64, __ATOMIC_SEQ_CST);
    kicker[cpu_current()] = bind.port;
    __atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
}

static bool kick_is_pending(unsigned cpu)
{
    return __atomic_load_n(&xen_shared_info()->evtchn_pending[kicker[cpu] / 64], __ATOMIC_SEQ_CST) >> kicker[cpu] % 64 &
           1;
}

static void kick_clear(unsigned cpu)
{
    __atomic_and_fetch(&xen_shared_info()->evtchn_pending[kicker[cpu] / 64], ~(1ul << kicker[cpu] % 64),
                       __ATOMIC_SEQ_CST);
}

static void kick_set(unsigned cpu)
{
    __atomic_or_fetch(&xen_shared_info()->evtchn_pending[kicker[cpu] / 64], 1ul << kicker[cpu] % 64, __ATOMIC_SEQ_CST);
}

static void kick(unsigned cpu)
{
    struct evtchn_send send = {.port = kicker[cpu]};
    if (evtchn_op(EVTCHNOP_send, &send))
        guest_fail(FAIL_HYPERCALL, "send");
}

static void poll_kicker(unsigned cpu)
{
    evtchn_port_t ports[1] = {kicker[cpu]};
    struct sched_poll poll = {.nr_ports = 1, .timeout = 0};
    set_xen_guest_handle(poll.ports, ports);
    if (sched_op(SCHEDOP_poll, &poll))
        guest_fail(FAIL_HYPERCALL, "poll");
}

/* --- nested: Xen's byte lock of Linux 3.x ----------------------------------------------------------------------- */

struct byte_lock {
    volatile uint8_t held;
    volatile uint8_t spinners;
};

static struct byte_lock a, b;
static struct byte_lock *volatile waits_for[CPUS];
static volatile uint32_t holders_of_a, holders_of_b, in_handler;

static bool byte_trylock(struct byte_lock *lock)
{
    return __atomic_exchange_n(&lock->held, 1, __ATOMIC_SEQ_CST) == 0;
}

__attribute__((noinline, noclone)) static bool byte_lock_slow(struct byte_lock *lock, bool enable)
{
    unsigned cpu = cpu_current();
    struct byte_lock *previous = waits_for[cpu];
    bool taken = false;
    PLACE("slow_enter");
    waits_for[cpu] = lock;
    __atomic_add_fetch(&lock->spinners, 1, __ATOMIC_SEQ_CST);
    do {
        kick_clear(cpu);
        taken = byte_trylock(lock);
        if (taken) {
            if (fixed && previous)
                kick_set(cpu); /* the outer waiter must look again before it blocks */
            break;
        }
        if (enable)
            irq_enable();
        poll_kicker(cpu);
        irq_disable();
    } while (!kick_is_pending(cpu));
    __atomic_sub_fetch(&lock->spinners, 1, __ATOMIC_SEQ_CST);
    waits_for[cpu] = fixed ? previous : NULL;
    return taken;
}

static void byte_lock(struct byte_lock *lock, bool enable)
{
    for (;;) {
        for (unsigned spin = 0; spin < SPINS; spin++) {
            if (byte_trylock(lock))
                return;
            cpu_relax();
        }
        if (byte_lock_slow(lock, enable))
            return;
    }
}

static void byte_unlock(struct byte_lock *lock)
{
    lock->held = 0;
    mfence();
    for (unsigned cpu = 0; lock->spinners && cpu < cpu_count(); cpu++)
        if (waits_for[cpu] == lock) {
            kick(cpu);
            return;
        }
}

static void on_ipi(struct trap_regs *regs)
{
    in_handler = 1;
    byte_lock(&b, false);
    if (__atomic_add_fetch(&holders_of_b, 1, __ATOMIC_SEQ_CST) != 1)
        guest_fail(FAIL_TWO, "two hold B");
    holders_of_b--;
    byte_unlock(&b);
    in_handler = 2;
    lapic_write(LAPIC_EOI, 0);
}

static void nested_waiter(void *arg)
{
    lapic_enable(false);
    cpu_ready();
    byte_lock(&a, true);
    if (__atomic_add_fetch(&holders_of_a, 1, __ATOMIC_SEQ_CST) != 1)
        guest_fail(FAIL_TWO, "two hold A");
    holders_of_a--;
    byte_unlock(&a);
    __atomic_add_fetch(&done, 1, __ATOMIC_SEQ_CST);
}

__attribute__((noinline, noclone)) static void nested(void)
{
    trap_set(IPI_VECTOR, on_ipi);
    lapic_enable(false);
    cpu_ready();
    byte_lock(&a, false);
    byte_lock(&b, false);
    cpu_start(1, nested_waiter, NULL);
    while (waits_for[1] != &a)
        cpu_relax();
    for (unsigned round = 0; round < 2000; round++) /* let it block */
        cpu_relax();
    lapic_ipi(cpu_ids(1).apic_id, IPI_VECTOR);
    while (!in_handler)
        cpu_relax();
    for (unsigned round = 0; round < 2000; round++) /* longer than the handler spins */
        cpu_relax();
    byte_unlock(&b);
    PLACE("b_released");
    while (in_handler != 2)
        cpu_relax();
    for (unsigned round = 0; round < 2000; round++)
        cpu_relax();
    byte_unlock(&a);
    while (done != 1)
        cpu_relax();
}

/* --- stale: the wait of paravirt queued spinlocks --------------------------------------------------------------- */

enum { FREE, LOCKED, SLOW };
static volatile uint8_t word;
static volatile uint8_t wants_kick[CPUS]; /* forgotten once kicked, as the entry of the hash of waiters is */
static volatile uint32_t go;              /* how many waiters may begin */

__attribute__((noinline, noclone)) static void qlock_kick_taken(unsigned cpu)
{
    kick_clear(cpu);
    PLACE("kick_cleared");
}

__attribute__((noinline, noclone)) static void qlock_wait(unsigned cpu)
{
    PLACE("wait_enter");
    if (fixed) {
        if (kick_is_pending(cpu)) {
            qlock_kick_taken(cpu);
            return;
        }
    } else {
        qlock_kick_taken(cpu);
    }
    if (word != SLOW)
        return;
    poll_kicker(cpu);
}

static unsigned find_waiter(void)
{
    for (unsigned cpu = 0; cpu < CPUS; cpu++)
        if (wants_kick[cpu])
            return cpu;
    return CPUS;
}

static void qlock(unsigned cpu)
{
    uint8_t expected = FREE;
    if (__atomic_compare_exchange_n(&word, &expected, LOCKED, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        return;
    for (;;) {
        wants_kick[cpu] = 1;
        if (__atomic_exchange_n(&word, SLOW, __ATOMIC_SEQ_CST) == FREE) {
            wants_kick[cpu] = 0;
            word = find_waiter() < CPUS ? SLOW : LOCKED;
            return;
        }
        qlock_wait(cpu);
    }
}

static void qunlock(void)
{
    unsigned cpu = find_waiter();
    bool slow = word == SLOW;
    if (slow && cpu < CPUS)
        wants_kick[cpu] = 0;
    word = FREE;
    if (slow && cpu < CPUS)
        kick(cpu);
}

static void stale_waiter(void *arg)
{
    unsigned cpu = cpu_current();
    cpu_ready();
    while (go < cpu)
        cpu_relax();
    qlock(cpu);
    qunlock();
    __atomic_add_fetch(&done, 1, __ATOMIC_SEQ_CST);
}

__attribute__((noinline, noclone)) static void stale(void)
{
    cpu_ready();
    qlock(0);
    cpu_start(1, stale_waiter, NULL);
    cpu_start(2, stale_waiter, NULL);
    while (ready != CPUS)
        cpu_relax();
    go = 1;
    while (word != SLOW)
        cpu_relax();
    qunlock();
    PLACE("unlocked");
    qlock(0);
    go = 2;
    PLACE("relocked");
    for (unsigned round = 0; round < 2000; round++)
        cpu_relax();
    qunlock();
    while (done != 2)
        cpu_relax();
}

void guest_main(void)
{
    fixed = param_u32("fixed", 0);
    xen_shared_info();
    if (param_is("bug", "nested") && cpu_count() == 2)
        nested();
    else if (param_is("bug", "stale") && cpu_count() == CPUS)
        stale();
    else
        guest_fail(FAIL_PARAMETER, "bug=nested with two vCPUs, bug=stale with three");
    printk("all have had the lock\n");
}
