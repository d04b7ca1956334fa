/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * s0: paravirt spinlock operations switched after the call sites were patched from them (Linux 3.0 as a Xen HVM
 * guest). Seed S0.
 *
 * The core calls its lock operations through pv_lock_ops; alternative_instructions turns each call site into a direct
 * call to whatever the table holds at that time. A module, linked separately, brings call sites of its own, which are
 * patched when it is loaded. Two lock layouts share one word: ticket (byte 0 head, byte 1 tail) and Xen's byte lock
 * (byte 0 lock, byte 1 spinners).
 *
 * Parameters:
 *   order=late                 patch the core, then switch to byte locks, then load the module (default; the 3.0 bug)
 *        =early-no-layout-fix  locks are used natively, then switch to byte locks, then patch (the reporter's attempt)
 *        =pv-never             never switch (the 3.1 fix)
 *        =early-ticketlock     paravirt ticket locks (one layout, hooks in the slow paths), set before patching (3.12
 * fix) =late-ticketlock      the same, set after patching (class B) module=0|1        load the module, and work through
 * it (default 1); 0: the core's functions only inline_unlock=0|1 the module's unlock is its own call site (default 1; 0
 * in the ticketlock orders) inline_lock=0|1   the module's lock is its own call site (default 0; 1 in the ticketlock
 * orders) vcpus=N           1..4 (default 1) h=N               how often each lock was used natively before, 0..255
 * (default 0) rounds=N          acquisitions by each vCPU (default 2, which is what seed S0.3 counts) core_cpus=MASK
 * vCPUs that work through the core although there is a module (default 0; 1 in the ticketlock orders: vCPU 0 releases
 * by the core, the others wait by the module) hold=N            rounds of PAUSE inside vCPU 0's critical section; with
 * N > 0 the others are let go only once vCPU 0 is inside (default 0) spin=N            rounds before the slow path
 * (default 1024; of ticket locks, too) kicker=0|1        bind the kicker event channels (default 1); 0: a waiter spins
 * for ever use=late|early early: vCPU 0 uses the lock once by the core as soon as the core is patched, before there is
 * a kicker (default late) held=0|1          class D: the lock is taken before the switch, by the table as it was, and
 * released after it, by the core's unlock (early order) or the module's (late order)
 *
 * Expected: see the table of seed S0.3. `late` with the module's inlined unlock never gets past the second acquisition
 * for 255 of 256 values of h (h = 255 passes); `early-no-layout-fix` never past the first for h mod 256 != 0.
 * Ends: PASS; an endless loop (ticket loop, or the byte lock's without a kicker) or a poll without end; FAIL 0x301
 * (two holders), 0x302 (an acquisition is missing), 0x303 (a patched call site is wrong).
 *
 * Without Xen (a bare machine, for the guest's own test) kickers are bits in memory and a poll spins on its bit.
 *
 * Source: Linux 3.0, arch/x86/xen/spinlock.c, arch/x86/include/asm/spinlock.h; 3.12 for the ticketlock orders.
 */
#include "s0.h"
#include "hypercall.h"

#define VCPUS_MAX      4
#define LOCKS          4
#define TICKET_INC     0x0100u
#define SLOWPATH_FLAG  1u /* paravirt ticket locks: bit 0 of the tail; tickets go by twos */
#define PV_TICKET_INC  2u
#define NO_PORT        (~0u)
#define FAIL_TWO       0x301
#define FAIL_MISSING   0x302
#define FAIL_SITE      0x303
#define FAIL_MODULE    0x304
#define FAIL_PARAMETER 0x305
#define FAIL_HYPERCALL 0x306

extern struct paravirt_patch_site __parainstructions[], __parainstructions_end[];
extern uint8_t module_image[], module_image_end[];

struct spinlock locks[LOCKS];
static unsigned vcpus, rounds_wanted, hold_rounds, core_cpus;
static uint32_t spin_rounds = 1024;
static bool with_module, inline_unlock, inline_lock;
static const struct module_header *module;

static volatile uint32_t go, finished;
static volatile uint32_t holder; /* vCPU + 1, or 0 */
static uint32_t acquisitions;    /* written inside the critical section only */

void apply_paravirt(struct paravirt_patch_site *start, struct paravirt_patch_site *end);
void alternative_instructions(void);
void xen_init_spinlocks(void);
void xen_init_lock_cpu(unsigned cpu);
void load_module(void);
void core_work(struct spinlock *lock, unsigned cpu);

/* --- native ticket locks ---------------------------------------------------------------------------------------- */

LOCK_CALL int ticket_spin_is_locked(struct spinlock *lock);
LOCK_CALL int ticket_spin_is_contended(struct spinlock *lock);
LOCK_CALL void ticket_spin_lock(struct spinlock *lock);
LOCK_CALL void ticket_spin_lock_flags(struct spinlock *lock, unsigned long flags);
LOCK_CALL int ticket_spin_trylock(struct spinlock *lock);
LOCK_CALL void ticket_spin_unlock(struct spinlock *lock);

LOCK_CALL int ticket_spin_is_locked(struct spinlock *lock)
{
    uint32_t word = *(volatile uint32_t *)&lock->word;
    return ((word >> 8 ^ word) & 0xff) != 0;
}

LOCK_CALL int ticket_spin_is_contended(struct spinlock *lock)
{
    uint32_t word = *(volatile uint32_t *)&lock->word;
    return (((word >> 8) - word) & 0xff) > 1;
}

LOCK_CALL void ticket_spin_lock(struct spinlock *lock)
{
    uint16_t ticket = TICKET_INC;
    __asm__ volatile("lock xaddw %w0, %1\n"
                     "1: cmpb %h0, %b0\n\t"
                     "je 2f\n\t"
                     "rep nop\n\t"
                     "movb %1, %b0\n\t"
                     "jmp 1b\n"
                     "2:"
                     : "+Q"(ticket), "+m"(lock->word)
                     :
                     : "memory", "cc");
}

LOCK_CALL void ticket_spin_lock_flags(struct spinlock *lock, unsigned long flags)
{
    ticket_spin_lock(lock);
}

LOCK_CALL int ticket_spin_trylock(struct spinlock *lock)
{
    uint16_t old = (uint16_t)lock->word, new = (uint16_t)(old + TICKET_INC);
    if ((old >> 8) != (old & 0xff))
        return 0;
    return __atomic_compare_exchange_n((uint16_t *)lock, &old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

LOCK_CALL void ticket_spin_unlock(struct spinlock *lock)
{
    __asm__ volatile("incb %0" : "+m"(lock->ticket.head) : : "memory", "cc");
}

/* --- kickers ---------------------------------------------------------------------------------------------------- */

static uint32_t lock_kicker_port[VCPUS_MAX] = {NO_PORT, NO_PORT, NO_PORT, NO_PORT};
static struct spinlock *volatile lock_spinners[VCPUS_MAX];
static volatile uint32_t online;
static unsigned long bare_pending[1];
#define WORD_BITS (8 * sizeof(unsigned long))

static unsigned long *pending_word(uint32_t port)
{
    unsigned long *words = xen_present() ? (unsigned long *)xen_shared_info()->evtchn_pending : bare_pending;
    return &words[port / WORD_BITS];
}

static void clear_pending(uint32_t port)
{
    __atomic_and_fetch(pending_word(port), ~(1ul << port % WORD_BITS), __ATOMIC_SEQ_CST);
}

static bool test_pending(uint32_t port)
{
    return *(volatile unsigned long *)pending_word(port) >> port % WORD_BITS & 1;
}

void xen_init_lock_cpu(unsigned cpu)
{
    lock_kicker_port[cpu] = cpu + 1;
    if (!xen_present())
        return;
    struct evtchn_bind_ipi bind = {.vcpu = cpu_ids(cpu).processor_id};
    if (evtchn_op(EVTCHNOP_bind_ipi, &bind) != 0)
        guest_fail(FAIL_HYPERCALL, "bind_ipi");
    lock_kicker_port[cpu] = bind.port; /* stays masked: a poll wakes all the same */
}

static void poll_kicker(uint32_t port)
{
    if (!xen_present()) {
        while (!test_pending(port))
            cpu_relax();
        return;
    }
    evtchn_port_t ports[1] = {port};
    struct sched_poll poll = {.nr_ports = 1, .timeout = 0};
    set_xen_guest_handle(poll.ports, ports);
    if (sched_op(SCHEDOP_poll, &poll) != 0)
        guest_fail(FAIL_HYPERCALL, "poll");
}

static void kick(unsigned cpu)
{
    uint32_t port = lock_kicker_port[cpu];
    if (!xen_present()) {
        __atomic_or_fetch(pending_word(port), 1ul << port % WORD_BITS, __ATOMIC_SEQ_CST);
        return;
    }
    struct evtchn_send send = {.port = port};
    if (evtchn_op(EVTCHNOP_send, &send) != 0)
        guest_fail(FAIL_HYPERCALL, "send");
}

/* --- Xen's byte locks (3.0) ------------------------------------------------------------------------------------- */

LOCK_CALL int xen_spin_is_locked(struct spinlock *lock);
LOCK_CALL int xen_spin_is_contended(struct spinlock *lock);
LOCK_CALL void xen_spin_lock(struct spinlock *lock);
LOCK_CALL void xen_spin_lock_flags(struct spinlock *lock, unsigned long flags);
LOCK_CALL int xen_spin_trylock(struct spinlock *lock);
LOCK_CALL void xen_spin_unlock(struct spinlock *lock);
bool xen_spin_lock_slow(struct spinlock *lock, bool irq_on);
void xen_spin_unlock_slow(struct spinlock *lock);

LOCK_CALL int xen_spin_is_locked(struct spinlock *lock)
{
    return *(volatile uint8_t *)&lock->byte.lock != 0;
}

LOCK_CALL int xen_spin_is_contended(struct spinlock *lock)
{
    return *(volatile uint8_t *)&lock->byte.spinners != 0;
}

LOCK_CALL int xen_spin_trylock(struct spinlock *lock)
{
    uint8_t old = 1;
    __asm__ volatile("xchgb %b0, %1" : "+q"(old), "+m"(lock->byte.lock) : : "memory");
    return old == 0;
}

__attribute__((noinline)) bool xen_spin_lock_slow(struct spinlock *lock, bool irq_on)
{
    unsigned cpu = cpu_current();
    uint32_t port = lock_kicker_port[cpu];
    bool taken = false;
    if (port == NO_PORT)
        return false;
    struct spinlock *before = lock_spinners[cpu];
    lock_spinners[cpu] = lock; /* then the count: an unlock that sees the count finds the lock */
    barrier();
    __asm__ volatile("lock incb %0" : "+m"(lock->byte.spinners) : : "memory", "cc");
    do {
        clear_pending(port);
        if (xen_spin_trylock(lock)) {
            taken = true;
            break;
        }
        unsigned long flags = irq_save();
        if (irq_on)
            irq_enable();
        poll_kicker(port);
        irq_restore(flags);
    } while (!test_pending(port));
    __asm__ volatile("lock decb %0" : "+m"(lock->byte.spinners) : : "memory", "cc");
    lock_spinners[cpu] = before;
    return taken;
}

static void xen_spin_lock_any(struct spinlock *lock, bool irq_on)
{
    uint8_t old;
    do {
        uint32_t timeout = spin_rounds;
        old = 1;
        __asm__ volatile("1: xchgb %b0, %1\n\t"
                         "testb %b0, %b0\n\t"
                         "jz 3f\n"
                         "2: rep nop\n\t"
                         "cmpb $0, %1\n\t"
                         "je 1b\n\t"
                         "dec %2\n\t"
                         "jnz 2b\n"
                         "3:"
                         : "+&q"(old), "+m"(lock->byte.lock), "+&r"(timeout)
                         :
                         : "memory", "cc");
    } while (old != 0 && !xen_spin_lock_slow(lock, irq_on));
}

LOCK_CALL void xen_spin_lock(struct spinlock *lock)
{
    xen_spin_lock_any(lock, false);
}

LOCK_CALL void xen_spin_lock_flags(struct spinlock *lock, unsigned long flags)
{
    xen_spin_lock_any(lock, (flags & 0x200) != 0);
}

__attribute__((noinline)) void xen_spin_unlock_slow(struct spinlock *lock)
{
    for (unsigned cpu = 0; cpu < VCPUS_MAX; cpu++)
        if ((online >> cpu & 1) && lock_spinners[cpu] == lock) {
            kick(cpu);
            break;
        }
}

LOCK_CALL void xen_spin_unlock(struct spinlock *lock)
{
    *(volatile uint8_t *)&lock->byte.lock = 0;
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* the store before the load of spinners */
    if (*(volatile uint8_t *)&lock->byte.spinners)
        xen_spin_unlock_slow(lock);
}

/* --- paravirt ticket locks (3.12): one layout, two sets of slow paths ------------------------------------------- */

LOCK_CALL int pvticket_spin_is_locked(struct spinlock *lock);
LOCK_CALL int pvticket_spin_is_contended(struct spinlock *lock);
LOCK_CALL int pvticket_spin_trylock(struct spinlock *lock);
LOCK_CALL void pvticket_native_spin_lock(struct spinlock *lock);
LOCK_CALL void pvticket_native_spin_lock_flags(struct spinlock *lock, unsigned long flags);
LOCK_CALL void pvticket_native_spin_unlock(struct spinlock *lock);
LOCK_CALL void pvticket_xen_spin_lock(struct spinlock *lock);
LOCK_CALL void pvticket_xen_spin_lock_flags(struct spinlock *lock, unsigned long flags);
LOCK_CALL void pvticket_xen_spin_unlock(struct spinlock *lock);
void xen_lock_spinning(struct spinlock *lock, uint8_t want);
void xen_unlock_kick(struct spinlock *lock, uint8_t next);

static struct {
    struct spinlock *volatile lock;
    volatile uint8_t want;
} lock_waiting[VCPUS_MAX];

static uint8_t ticket_head(struct spinlock *lock)
{
    return *(volatile uint8_t *)&lock->ticket.head;
}

LOCK_CALL int pvticket_spin_is_locked(struct spinlock *lock)
{
    uint32_t word = *(volatile uint32_t *)&lock->word;
    return ((word >> 8 ^ word) & 0xff & ~SLOWPATH_FLAG) != 0;
}

LOCK_CALL int pvticket_spin_is_contended(struct spinlock *lock)
{
    uint32_t word = *(volatile uint32_t *)&lock->word;
    return ((((word >> 8) & ~SLOWPATH_FLAG) - word) & 0xff) > PV_TICKET_INC;
}

LOCK_CALL int pvticket_spin_trylock(struct spinlock *lock)
{
    uint16_t old = (uint16_t)lock->word, new = (uint16_t)(old + (PV_TICKET_INC << 8));
    if ((old >> 8 & 0xff & ~SLOWPATH_FLAG) != (old & 0xff))
        return 0;
    return __atomic_compare_exchange_n((uint16_t *)lock, &old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* Returns once the ticket is served; `spinning` is the hook, NULL natively. */
static inline __attribute__((always_inline)) void pvticket_lock(struct spinlock *lock,
                                                                void (*spinning)(struct spinlock *, uint8_t))
{
    uint16_t old = __atomic_fetch_add((uint16_t *)lock, PV_TICKET_INC << 8, __ATOMIC_SEQ_CST);
    uint8_t ticket = (uint8_t)(old >> 8 & ~SLOWPATH_FLAG);
    if ((uint8_t)old == ticket)
        return;
    for (;;) {
        for (uint32_t i = 0; i < spin_rounds; i++) {
            if (ticket_head(lock) == ticket)
                return;
            cpu_relax();
        }
        if (spinning)
            spinning(lock, ticket);
    }
}

LOCK_CALL void pvticket_native_spin_lock(struct spinlock *lock)
{
    pvticket_lock(lock, NULL);
}

LOCK_CALL void pvticket_native_spin_lock_flags(struct spinlock *lock, unsigned long flags)
{
    pvticket_lock(lock, NULL);
}

LOCK_CALL void pvticket_native_spin_unlock(struct spinlock *lock)
{
    __asm__ volatile("addb %1, %0" : "+m"(lock->ticket.head) : "i"(PV_TICKET_INC) : "memory", "cc");
}

__attribute__((noinline)) void xen_lock_spinning(struct spinlock *lock, uint8_t want)
{
    unsigned cpu = cpu_current();
    uint32_t port = lock_kicker_port[cpu];
    if (port == NO_PORT)
        return;
    unsigned long flags = irq_save();
    lock_waiting[cpu].lock = NULL; /* so that nobody reads a new `want` with an old lock */
    lock_waiting[cpu].want = want;
    lock_waiting[cpu].lock = lock;
    clear_pending(port);
    __atomic_or_fetch(&lock->ticket.tail, (uint8_t)SLOWPATH_FLAG, __ATOMIC_SEQ_CST);
    if (ticket_head(lock) != want)
        poll_kicker(port);
    lock_waiting[cpu].lock = NULL;
    irq_restore(flags);
}

__attribute__((noinline)) void xen_unlock_kick(struct spinlock *lock, uint8_t next)
{
    for (unsigned cpu = 0; cpu < VCPUS_MAX; cpu++)
        if ((online >> cpu & 1) && lock_waiting[cpu].lock == lock && lock_waiting[cpu].want == next) {
            kick(cpu);
            break;
        }
}

LOCK_CALL void pvticket_xen_spin_lock(struct spinlock *lock)
{
    pvticket_lock(lock, xen_lock_spinning);
}

LOCK_CALL void pvticket_xen_spin_lock_flags(struct spinlock *lock, unsigned long flags)
{
    pvticket_lock(lock, xen_lock_spinning);
}

/* The flag stays set while the lock is in use; the last one out clears it. */
LOCK_CALL void pvticket_xen_spin_unlock(struct spinlock *lock)
{
    uint8_t next = (uint8_t)(__atomic_fetch_add(&lock->ticket.head, PV_TICKET_INC, __ATOMIC_SEQ_CST) + PV_TICKET_INC);
    uint16_t word = *(volatile uint16_t *)lock;
    if (!(word >> 8 & SLOWPATH_FLAG))
        return;
    uint16_t idle = (uint16_t)((uint16_t)(next | SLOWPATH_FLAG) << 8 | next);
    uint16_t cleared = (uint16_t)(next << 8 | next);
    if (word == idle &&
        __atomic_compare_exchange_n((uint16_t *)lock, &idle, cleared, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        return;
    xen_unlock_kick(lock, next);
}

/* --- the table -------------------------------------------------------------------------------------------------- */

struct pv_lock_ops pv_lock_ops = {
    .spin_is_locked = ticket_spin_is_locked,
    .spin_is_contended = ticket_spin_is_contended,
    .spin_lock = ticket_spin_lock,
    .spin_lock_flags = ticket_spin_lock_flags,
    .spin_trylock = ticket_spin_trylock,
    .spin_unlock = ticket_spin_unlock,
};

static bool ticketlock_order;

static void native_ticketlocks_init(void)
{
    pv_lock_ops.spin_is_locked = pvticket_spin_is_locked;
    pv_lock_ops.spin_is_contended = pvticket_spin_is_contended;
    pv_lock_ops.spin_lock = pvticket_native_spin_lock;
    pv_lock_ops.spin_lock_flags = pvticket_native_spin_lock_flags;
    pv_lock_ops.spin_trylock = pvticket_spin_trylock;
    pv_lock_ops.spin_unlock = pvticket_native_spin_unlock;
}

__attribute__((noinline)) void xen_init_spinlocks(void)
{
    if (ticketlock_order) {
        pv_lock_ops.spin_lock = pvticket_xen_spin_lock;
        pv_lock_ops.spin_lock_flags = pvticket_xen_spin_lock_flags;
        pv_lock_ops.spin_unlock = pvticket_xen_spin_unlock;
        return;
    }
    pv_lock_ops.spin_is_locked = xen_spin_is_locked;
    pv_lock_ops.spin_is_contended = xen_spin_is_contended;
    pv_lock_ops.spin_lock = xen_spin_lock;
    pv_lock_ops.spin_lock_flags = xen_spin_lock_flags;
    pv_lock_ops.spin_trylock = xen_spin_trylock;
    pv_lock_ops.spin_unlock = xen_spin_unlock;
}

/* --- core text: the call sites ---------------------------------------------------------------------------------- */

__attribute__((noinline)) void _raw_spin_lock(struct spinlock *lock)
{
    PV_CALL(spin_lock, lock, 0);
}

__attribute__((noinline)) unsigned long _raw_spin_lock_irqsave(struct spinlock *lock)
{
    unsigned long flags = irq_save();
    PV_CALL(spin_lock_flags, lock, flags);
    return flags;
}

__attribute__((noinline)) int _raw_spin_trylock(struct spinlock *lock)
{
    return (int)PV_CALL(spin_trylock, lock, 0);
}

__attribute__((noinline)) void _raw_spin_unlock(struct spinlock *lock)
{
    PV_CALL(spin_unlock, lock, 0);
}

__attribute__((noinline)) void _raw_spin_unlock_irqrestore(struct spinlock *lock, unsigned long flags)
{
    PV_CALL(spin_unlock, lock, 0);
    irq_restore(flags);
}

__attribute__((noinline)) int _raw_spin_is_locked(struct spinlock *lock)
{
    return (int)PV_CALL(spin_is_locked, lock, 0);
}

__attribute__((noinline)) int _raw_spin_is_contended(struct spinlock *lock)
{
    return (int)PV_CALL(spin_is_contended, lock, 0);
}

/* --- patching --------------------------------------------------------------------------------------------------- */

static void site_bytes(const struct paravirt_patch_site *site, uint8_t *code)
{
    uintptr_t to = ((const uintptr_t *)&pv_lock_ops)[site->instrtype];
    uint32_t distance = (uint32_t)(to - ((uintptr_t)site->instr + 5));
    code[0] = 0xe8;
    memcpy(code + 1, &distance, 4);
    if (site->len == 7) {
        code[5] = 0x66;
        code[6] = 0x90;
    } else {
        code[5] = 0x90;
    }
}

__attribute__((noinline)) void apply_paravirt(struct paravirt_patch_site *start, struct paravirt_patch_site *end)
{
    for (struct paravirt_patch_site *site = start; site < end; site++) {
        uint8_t code[8];
        if (site->len != PV_SITE_BYTES || site->instrtype >= sizeof pv_lock_ops / sizeof(void *))
            guest_fail(FAIL_SITE, "patch table");
        site_bytes(site, code);
        unsigned long flags = irq_save();
        memcpy(site->instr, code, site->len);
        irq_restore(flags);
    }
}

__attribute__((noinline)) void alternative_instructions(void)
{
    apply_paravirt(__parainstructions, __parainstructions_end);
}

#ifdef MODULE_BLOB
__asm__(".pushsection .module, \"a\"\n"
        ".globl module_image\nmodule_image:\n.incbin \"" MODULE_BLOB "\"\n.globl module_image_end\nmodule_image_end:\n"
        ".popsection\n");
#else
/* The first link, which only settles the addresses that the module is linked against. */
__asm__(".pushsection .module, \"a\"\n.globl module_image\nmodule_image:\n.globl module_image_end\nmodule_image_end:\n"
        ".popsection\n");
#endif

__attribute__((noinline)) void load_module(void)
{
    memcpy((void *)(uintptr_t)MODULE_BASE, module_image, (size_t)(module_image_end - module_image));
    module = (const struct module_header *)(uintptr_t)MODULE_BASE;
    if (module->magic != MODULE_MAGIC || module->ops != &pv_lock_ops)
        guest_fail(FAIL_MODULE, "module");
    apply_paravirt(module->sites, module->sites_end);
}

/* --- the test --------------------------------------------------------------------------------------------------- */

__attribute__((noinline)) void critical_section(unsigned cpu)
{
    if (holder)
        guest_fail(FAIL_TWO, "two holders");
    holder = cpu + 1;
    acquisitions++;
    if (cpu == 0 && hold_rounds) {
        go = 1;
        for (unsigned i = 0; i < hold_rounds; i++)
            cpu_relax();
    }
    if (holder != cpu + 1)
        guest_fail(FAIL_TWO, "two holders");
    holder = 0;
}

/* Every form of the core's sites in turn. */
__attribute__((noinline)) void core_work(struct spinlock *lock, unsigned cpu)
{
    static uint8_t turn[VCPUS_MAX];
    if (turn[cpu]++ % 2) {
        unsigned long flags = _raw_spin_lock_irqsave(lock);
        critical_section(cpu);
        _raw_spin_unlock_irqrestore(lock, flags);
    } else {
        _raw_spin_lock(lock);
        critical_section(cpu);
        _raw_spin_unlock(lock);
    }
}

static void work(unsigned cpu)
{
    for (unsigned round = 0; round < rounds_wanted; round++) {
        if (!module || (core_cpus >> cpu & 1))
            core_work(&locks[0], cpu);
        else if (inline_lock && inline_unlock)
            module->work_inline_both(&locks[0], cpu);
        else if (inline_lock)
            module->work_inline_lock(&locks[0], cpu);
        else if (inline_unlock)
            module->work_inline_unlock(&locks[0], cpu);
        else
            module->work(&locks[0], cpu);
    }
    __atomic_add_fetch(&finished, 1, __ATOMIC_SEQ_CST);
}

static void secondary(void *arg)
{
    unsigned cpu = (unsigned)(uintptr_t)arg;
    __atomic_or_fetch(&online, 1u << cpu, __ATOMIC_SEQ_CST);
    while (!go)
        cpu_relax();
    work(cpu);
}

static void start_others(bool kicker)
{
    for (unsigned cpu = 1; cpu < vcpus; cpu++) {
        if (kicker)
            xen_init_lock_cpu(cpu);
        cpu_start(cpu, secondary, (void *)(uintptr_t)cpu);
        while (!(online >> cpu & 1))
            cpu_relax();
    }
}

void guest_main(void)
{
    bool late = param_is("order", "late") || !param_find("order"), early = param_is("order", "early-no-layout-fix"),
         early_ticketlock = param_is("order", "early-ticketlock"),
         late_ticketlock = param_is("order", "late-ticketlock");
    if (!late && !early && !early_ticketlock && !late_ticketlock && !param_is("order", "pv-never"))
        guest_fail(FAIL_PARAMETER, "unknown order");
    ticketlock_order = early_ticketlock || late_ticketlock;
    with_module = param_u32("module", 1) != 0;
    inline_unlock = param_u32("inline_unlock", !ticketlock_order) != 0;
    inline_lock = param_u32("inline_lock", ticketlock_order) != 0;
    core_cpus = param_u32("core_cpus", ticketlock_order);
    rounds_wanted = param_u32("rounds", 2);
    hold_rounds = param_u32("hold", 0);
    spin_rounds = param_u32("spin", 1024);
    vcpus = param_u32("vcpus", 1);
    bool kicker = param_u32("kicker", 1) != 0, held = param_u32("held", 0) != 0;
    if (vcpus < 1 || vcpus > VCPUS_MAX || vcpus > cpu_count() || spin_rounds == 0)
        guest_fail(FAIL_PARAMETER, "vcpus or spin");
    online = 1;
    if (xen_present())
        memset(xen_shared_info()->evtchn_mask, 0xff, sizeof xen_shared_info()->evtchn_mask);

    /* The boot before any switch: every lock is used natively. */
    if (ticketlock_order)
        native_ticketlocks_init();
    for (unsigned uses = param_u32("h", 0); uses; uses--)
        for (unsigned i = 0; i < LOCKS; i++) {
            _raw_spin_lock(&locks[i]);
            _raw_spin_unlock(&locks[i]);
        }
    if (held)
        _raw_spin_lock(&locks[0]);

    if (early || early_ticketlock)
        xen_init_spinlocks();
    printk("alternatives: patching %u sites\n", (unsigned)(__parainstructions_end - __parainstructions));
    alternative_instructions();
    if (param_is("use", "early")) {
        core_work(&locks[0], 0);
        acquisitions = 0;
    }
    if (late || late_ticketlock)
        xen_init_spinlocks();
    if (kicker)
        xen_init_lock_cpu(0);
    start_others(kicker);
    if (with_module) {
        load_module();
        printk("module: patched %u sites\n", (unsigned)(module->sites_end - module->sites));
    }
    if (held) {
        if (module)
            module->unlock_inline(&locks[0]);
        else
            _raw_spin_unlock(&locks[0]);
    }
    printk("lock word %04x, work begins\n", locks[0].word);
    if (!hold_rounds)
        go = 1;
    work(0);
    while (finished != vcpus)
        cpu_relax();
    printk("lock word %04x, locked %d, contended %d, %u acquisitions\n", locks[0].word, _raw_spin_is_locked(&locks[0]),
           _raw_spin_is_contended(&locks[0]), acquisitions);
    if (acquisitions != vcpus * rounds_wanted)
        guest_fail(FAIL_MISSING, "acquisitions");
}
