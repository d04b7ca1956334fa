/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/pc/lapic_state.h"

#include "emu/machine.h"
#include "emu/timer.h"
#include "models/pc/pc.h"
#include "models/pc/tsc.h"

enum timer_mode { TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_TSC_DEADLINE };

/* Xen's APIC_BUS_CYCLE_NS: the timer's input clock is 100 MHz. */
#define BUS_CYCLE_NS 10u

#define TIMER_KIND 0

static enum timer_mode mode_of(uint32_t lvt)
{
    return (lvt & LVT_TIMER_MODE) >> LVT_TIMER_SHIFT;
}

static enum timer_mode timer_mode(const struct lapic *l)
{
    return mode_of(l->lvt[LVT_TIMER]);
}

/* Nanoseconds of one count. SDM Vol. 3A, "Divide Configuration Register": bits 3, 1, 0; 0 divides by 2, 7 by 1. */
static uint64_t count_ns(const struct lapic *l)
{
    unsigned code = (l->timer_divide & 3) | (l->timer_divide >> 1 & 4);

    return (uint64_t)BUS_CYCLE_NS << ((code + 1) & 7);
}

static uint64_t period_ns(const struct lapic *l)
{
    uint64_t ns = l->timer_initial * count_ns(l);

    return timer_mode(l) == TIMER_PERIODIC && ns < PC_PERIOD_MIN_NS ? PC_PERIOD_MIN_NS : ns;
}

uint32_t lapic_timer_current(struct machine *m, const struct lapic *l)
{
    uint64_t elapsed_ns, counts;

    if (l->timer_initial == 0 || timer_mode(l) > TIMER_PERIODIC)
        return 0;
    elapsed_ns = clock_read_ns(m) - l->timer_start_ns;
    if (timer_mode(l) == TIMER_PERIODIC)
        elapsed_ns %= period_ns(l);
    counts = elapsed_ns / count_ns(l);
    return counts >= l->timer_initial ? 0 : l->timer_initial - (uint32_t)counts;
}

void lapic_timer_stop(struct machine *m, unsigned vcpu)
{
    timer_disarm(m, &lapic_model, TIMER_KIND, vcpu);
}

static void timer_start(struct machine *m, unsigned vcpu, uint64_t start_ns)
{
    struct lapic *l = lapic_of(m, vcpu);

    l->timer_start_ns = start_ns;
    if (l->timer_initial == 0 || timer_mode(l) > TIMER_PERIODIC)
        lapic_timer_stop(m, vcpu);
    else
        timer_arm(m, &lapic_model, TIMER_KIND, vcpu, start_ns + period_ns(l));
}

static void timer_interrupt(struct machine *m, unsigned vcpu)
{
    const struct lapic *l = lapic_of(m, vcpu);

    if (!(l->lvt[LVT_TIMER] & LVT_MASKED))
        lapic_raise(m, vcpu, l->lvt[LVT_TIMER] & LVT_VECTOR, BUS_EDGE);
}

/* A periodic timer that is behind expires until it has caught up: no state may ask for more of that than a host that
   was away for a while. */
#define PERIODS_BEHIND_MAX (1u << 20)

bool lapic_timer_is_sound(const struct machine *m, const struct lapic *l)
{
    return timer_mode(l) != TIMER_PERIODIC || l->timer_initial == 0 ||
           (clock_now_ns(m) - l->timer_start_ns) / period_ns(l) <= PERIODS_BEHIND_MAX;
}

void lapic_timer_expired(struct machine *m, unsigned kind, unsigned vcpu)
{
    struct lapic *l = lapic_of(m, vcpu);

    if (timer_mode(l) == TIMER_PERIODIC)
        timer_start(m, vcpu, l->timer_start_ns + period_ns(l));
    l->tsc_deadline = 0;
    timer_interrupt(m, vcpu);
}

uint64_t lapic_timer_read_deadline(const struct lapic *l)
{
    return timer_mode(l) == TIMER_TSC_DEADLINE ? l->tsc_deadline : 0;
}

void lapic_timer_write_deadline(struct machine *m, unsigned vcpu, uint64_t value)
{
    struct lapic *l = lapic_of(m, vcpu);

    if (timer_mode(l) != TIMER_TSC_DEADLINE)
        return;
    lapic_timer_stop(m, vcpu);
    l->tsc_deadline = value;
    if (value != 0 && value <= tsc_now(m, vcpu)) {
        l->tsc_deadline = 0;
        timer_interrupt(m, vcpu);
    } else if (value != 0) {
        timer_arm(m, &lapic_model, TIMER_KIND, vcpu, tsc_to_ns(m, vcpu, value));
    }
}

void lapic_timer_write_divide(struct machine *m, unsigned vcpu, uint32_t value)
{
    struct lapic *l = lapic_of(m, vcpu);
    uint32_t done = l->timer_initial - lapic_timer_current(m, l);
    bool running = timer_deadline_ns(m, &lapic_model, TIMER_KIND, vcpu) != TIMER_NEVER;

    l->timer_divide = value & DIVIDE_WRITABLE;
    if (running && timer_mode(l) <= TIMER_PERIODIC)
        timer_start(m, vcpu, clock_now_ns(m) - done * count_ns(l));
}

void lapic_timer_write_initial(struct machine *m, unsigned vcpu, uint32_t value)
{
    struct lapic *l = lapic_of(m, vcpu);

    if (timer_mode(l) == TIMER_TSC_DEADLINE)
        return;
    l->timer_initial = value;
    timer_start(m, vcpu, clock_now_ns(m));
}

void lapic_timer_lvt_written(struct machine *m, unsigned vcpu, uint32_t old)
{
    struct lapic *l = lapic_of(m, vcpu);

    if (timer_mode(l) == mode_of(old))
        return;
    if (timer_mode(l) == TIMER_TSC_DEADLINE || mode_of(old) == TIMER_TSC_DEADLINE) {
        l->timer_initial = 0;
        l->tsc_deadline = 0;
    }
    timer_start(m, vcpu, clock_now_ns(m));
}
