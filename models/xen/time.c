/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * time: what a guest is told about time: time records, wall clock, runstate; and the timers that raise VIRQ_TIMER.
 *
 * The time-stamp counter counts virtual nanoseconds, so every record has the same scale: multiply by 2^31 after
 * shifting left by 1, and take the high part. A record is rewritten whenever its vCPU is switched in; its version is
 * even, since no guest instruction can run while the host writes it.
 *
 * DEVIATION: XEN_RUNSTATE_UPDATE, which vm_assist lets Xen set while it writes a runstate area, is never seen: no guest
 * instruction runs meanwhile. A guest that waits for it to clear does not wait.
 * DEVIATION: on Xen a record also changes once a second while the vCPU runs on; here only a switch changes it. A guest
 * that waits for that waits for ever here, and ends out of budget: nobody who reads a record is proved to hang.
 * DEVIATION: a vCPU that its LAPIC or an NMI wakes counts as blocked until it runs; Xen counts the wait as runnable.
 *
 * Source: Xen public/xen.h, struct vcpu_time_info; public/vcpu.h; arch/x86/time.c, __update_vcpu_system_time();
 * common/sched/core.c.
 */
#include "models/xen/state.h"

#include "emu/timer.h"
#include "emu/trace.h"
#include "models/platform_config.h"

#define NS_PER_S      1000000000ull
#define TSC_TO_NS_MUL 0x80000000u
#define TSC_SHIFT     1
/* Longer timeouts are taken for wrapped ones and fire after this. */
#define HUGE_TIMEOUT_NS         (1ull << 50)
#define HUGE_TIMEOUT_INSTEAD_NS 100000000ull

void xen_time_init(struct machine *m)
{
    struct xen_state *x = xen_state(m);

    x->wallclock_ns = platform_wallclock_s(m) * NS_PER_S;
    for (unsigned v = 0; v < machine_vcpus(m); v++) {
        x->vcpu[v].runstate = v ? RUNSTATE_offline : RUNSTATE_running;
        xen_time_update(m, v, true);
    }
    xen_wallclock_update(m);
}

/* ---- wall clock: what it was at virtual time 0 ---- */

void xen_wallclock_update(struct machine *m)
{
    struct xen_state *x = xen_state(m);
    const struct xen_layout *l = xen_layout(x);
    uint64_t s = x->wallclock_ns / NS_PER_S;
    uint32_t version, record[3];
    uint32_t high = (uint32_t)(s >> 32);

    xen_page_read(m, PAGE_SHARED_INFO, l->shared_wc_version, &version, sizeof(version));
    record[0] = (version + 2) & ~1u;
    record[1] = (uint32_t)s;
    record[2] = (uint32_t)(x->wallclock_ns % NS_PER_S);
    xen_page_write(m, PAGE_SHARED_INFO, l->shared_wc_version, record, sizeof(record), XEN_WRITE_TIME);
    xen_page_write(m, PAGE_SHARED_INFO, l->shared_wc_sec_hi, &high, sizeof(high), XEN_WRITE_TIME);
}

/* ---- time records ---- */

static void time_record(struct machine *m, unsigned vcpu, struct vcpu_time_info *t)
{
    const struct xen_vcpu *v = &xen_state(m)->vcpu[vcpu];

    memset(t, 0, sizeof(*t));
    t->version = v->time_version;
    t->tsc_timestamp = v->time_stamp_ns + (vcpu_tsc(m, vcpu) - clock_now_ns(m));
    t->system_time = v->time_stamp_ns;
    t->tsc_to_system_mul = TSC_TO_NS_MUL;
    t->tsc_shift = TSC_SHIFT;
    t->flags = XEN_PVCLOCK_TSC_STABLE_BIT;
}

void xen_time_area_store(struct machine *m, unsigned vcpu)
{
    const struct xen_area *area = &xen_state(m)->vcpu[vcpu].time_area;
    struct vcpu_time_info t;

    time_record(m, vcpu, &t);
    if (area->kind == AREA_PHYSICAL)
        (void)!xen_gpa_write(m, area->address, &t, sizeof(t), XEN_WRITE_TIME);
    else if (area->kind == AREA_LINEAR)
        (void)!xen_gva_write(m, vcpu, area->address, &t, sizeof(t), XEN_WRITE_TIME);
}

void xen_time_update(struct machine *m, unsigned vcpu, bool force)
{
    struct xen_vcpu *v = &xen_state(m)->vcpu[vcpu];
    struct vcpu_time_info t;

    if (!force && v->time_stamp_ns == clock_now_ns(m))
        return;
    v->time_stamp_ns = clock_now_ns(m);
    v->time_version += 2;
    time_record(m, vcpu, &t);
    xen_info_write(m, vcpu, xen_layout(xen_state(m))->vcpu_info_time, &t, sizeof(t), XEN_WRITE_TIME);
    xen_time_area_store(m, vcpu);
}

static bool overlaps(uint64_t gpa, unsigned bytes, uint64_t at_gpa, unsigned at_bytes)
{
    return gpa < at_gpa + at_bytes && at_gpa < gpa + bytes;
}

static bool is_in_area(struct machine *m, unsigned vcpu, const struct xen_area *area, unsigned area_bytes, uint64_t gpa,
                       unsigned bytes)
{
    uint64_t at_gpa = area->address;

    if (area->kind == AREA_NONE || (area->kind == AREA_LINEAR && !vcpu_translate(m, vcpu, area->address, &at_gpa)))
        return false;
    return overlaps(gpa, bytes, at_gpa, area_bytes);
}

bool xen_tells_time(struct machine *m, uint64_t gpa, unsigned bytes)
{
    const struct xen_state *x = xen_state(m);
    unsigned record_at = xen_layout(x)->vcpu_info_time;
    uint64_t shared_gfn = x->page_gfn[PAGE_SHARED_INFO];

    for (unsigned v = 0; v < machine_vcpus(m); v++) {
        const struct xen_vcpu *c = &x->vcpu[v];
        bool has_record = c->info_place == INFO_GUEST || (c->info_place == INFO_SLOT && shared_gfn != GFN_NONE);
        uint64_t info_gpa =
            c->info_place == INFO_GUEST ? c->info_gpa : (shared_gfn << PAGE_SHIFT) + v * VCPU_INFO_BYTES;

        if ((has_record && overlaps(gpa, bytes, info_gpa + record_at, sizeof(struct vcpu_time_info))) ||
            is_in_area(m, v, &c->time_area, sizeof(struct vcpu_time_info), gpa, bytes) ||
            is_in_area(m, v, &c->runstate_area, sizeof(struct vcpu_runstate_info), gpa, bytes))
            return true;
    }
    return false;
}

/* ---- runstate ---- */

void xen_runstate_change(struct machine *m, unsigned vcpu, unsigned state)
{
    struct xen_vcpu *v = &xen_state(m)->vcpu[vcpu];
    uint64_t now = clock_now_ns(m);

    if (v->runstate == state)
        return;
    v->runstate_time_ns[v->runstate] += now - v->runstate_entry_ns;
    v->runstate_entry_ns = now;
    v->runstate = state;
}

void xen_runstate_get(struct machine *m, unsigned vcpu, uint64_t now_ns, struct vcpu_runstate_info *r)
{
    const struct xen_vcpu *v = &xen_state(m)->vcpu[vcpu];

    memset(r, 0, sizeof(*r));
    r->state = (int)v->runstate;
    r->state_entry_time = v->runstate_entry_ns;
    for (unsigned i = 0; i < 4; i++)
        r->time[i] = v->runstate_time_ns[i];
    r->time[v->runstate] += now_ns - v->runstate_entry_ns;
}

unsigned xen_runstate_layout(const struct vcpu_runstate_info *r, bool compat, uint8_t bytes[48])
{
    const struct xen_layout *l = compat ? &xen_layout_32 : &xen_layout_64;

    memset(bytes, 0, 48);
    memcpy(bytes, &r->state, 4);
    memcpy(bytes + l->runstate_entry_time, &r->state_entry_time, 8);
    memcpy(bytes + l->runstate_time, r->time, 32);
    return l->runstate_bytes;
}

void xen_runstate_store(struct machine *m, unsigned vcpu)
{
    const struct xen_area *area = &xen_state(m)->vcpu[vcpu].runstate_area;
    struct vcpu_runstate_info r;
    uint8_t bytes[48];
    unsigned count;

    if (area->kind == AREA_NONE)
        return;
    /* As at the time of the change, not of the copy. */
    xen_runstate_get(m, vcpu, xen_state(m)->vcpu[vcpu].runstate_entry_ns, &r);
    count = xen_runstate_layout(&r, area->compat, bytes);
    if (area->kind == AREA_PHYSICAL)
        (void)!xen_gpa_write(m, area->address, bytes, count, XEN_WRITE_RUNSTATE);
    else
        (void)!xen_gva_write(m, vcpu, area->address, bytes, count, XEN_WRITE_RUNSTATE);
}

/* ---- switching, and the timers ---- */

/* The periodic timer runs only while its vCPU does; ticks missed meanwhile become one. */
static void periodic_work(struct machine *m, unsigned vcpu)
{
    struct xen_vcpu *v = &xen_state(m)->vcpu[vcpu];
    uint64_t now = clock_now_ns(m);

    if (!v->periodic_period_ns)
        return;
    if (now >= v->periodic_last_ns + v->periodic_period_ns) {
        v->periodic_last_ns = now;
        xen_virq_raise(m, vcpu, VIRQ_TIMER);
    }
    timer_arm(m, &xen_model, TIMER_PERIODIC, vcpu, v->periodic_last_ns + v->periodic_period_ns);
}

void xen_periodic_set(struct machine *m, unsigned vcpu, uint64_t period_ns)
{
    timer_disarm(m, &xen_model, TIMER_PERIODIC, vcpu);
    xen_state(m)->vcpu[vcpu].periodic_period_ns = period_ns;
    periodic_work(m, vcpu);
}

void xen_vcpu_switched_in(struct machine *m, unsigned vcpu)
{
    /* Whatever woke it, it polls no longer. */
    xen_state(m)->vcpu[vcpu].poll_port = POLL_NONE;
    timer_disarm(m, &xen_model, TIMER_POLL, vcpu);
    xen_runstate_change(m, vcpu, RUNSTATE_running);
    xen_runstate_store(m, vcpu);
    xen_time_update(m, vcpu, false);
    periodic_work(m, vcpu);
}

void xen_vcpu_switched_out(struct machine *m, unsigned vcpu)
{
    static const unsigned state_of[] = {
        [VCPU_OFFLINE] = RUNSTATE_offline,
        [VCPU_RUNNABLE] = RUNSTATE_runnable,
        [VCPU_HALTED] = RUNSTATE_blocked,
        [VCPU_POLLING] = RUNSTATE_blocked,
    };

    timer_disarm(m, &xen_model, TIMER_PERIODIC, vcpu);
    xen_runstate_change(m, vcpu, state_of[vcpu_state(m, vcpu)]);
    xen_runstate_store(m, vcpu);
}

void xen_timer_expired(struct machine *m, unsigned kind, unsigned vcpu)
{
    switch (kind) {
    case TIMER_SINGLESHOT:
        xen_virq_raise(m, vcpu, VIRQ_TIMER);
        break;
    case TIMER_PERIODIC:
        periodic_work(m, vcpu);
        break;
    case TIMER_POLL:
        if (vcpu_state(m, vcpu) == VCPU_POLLING)
            xen_kick(m, vcpu);
        break;
    case TIMER_WATCHDOG0:
    case TIMER_WATCHDOG1:
        xen_domain_shutdown(m, SHUTDOWN_watchdog);
        break;
    }
}

int64_t xen_set_timer_op(struct xen_call *c)
{
    /* A 32-bit guest passes the low and the high half. */
    uint64_t timeout = c->compat ? c->arg[0] | c->arg[1] << 32 : c->arg[0];
    uint64_t now = clock_read_ns(c->m);

    if (!timeout)
        timer_disarm(c->m, &xen_model, TIMER_SINGLESHOT, c->vcpu);
    else if (timeout >> 63 || (timeout > now && timeout - now >= HUGE_TIMEOUT_NS))
        timer_arm(c->m, &xen_model, TIMER_SINGLESHOT, c->vcpu, now + HUGE_TIMEOUT_INSTEAD_NS);
    else
        timer_arm(c->m, &xen_model, TIMER_SINGLESHOT, c->vcpu, timeout);
    return 0;
}
