#include "models/pc/lapic.h"

#include "emu/ensure.h"
#include "emu/machine.h"
#include "emu/schedule.h"
#include "emu/timer.h"
#include "emu/vcpu.h"
#include "models/pc/ioapic.h"
#include "models/pc/pc.h"
#include "models/pc/tsc.h"

#include <string.h>

/* Register offsets. SDM Vol. 3A, "Local APIC Register Address Map". */
enum {
    REG_ID = 0x020,
    REG_VERSION = 0x030,
    REG_TPR = 0x080,
    REG_APR = 0x090,
    REG_PPR = 0x0a0,
    REG_EOI = 0x0b0,
    REG_RRD = 0x0c0,
    REG_LDR = 0x0d0,
    REG_DFR = 0x0e0,
    REG_SVR = 0x0f0,
    REG_ISR = 0x100,
    REG_TMR = 0x180,
    REG_IRR = 0x200,
    REG_ESR = 0x280,
    REG_ICR_LOW = 0x300,
    REG_ICR_HIGH = 0x310,
    REG_LVT_TIMER = 0x320, /* the six LVT entries follow each other, 0x10 apart */
    REG_LVT_ERROR = 0x370,
    REG_TIMER_INITIAL = 0x380,
    REG_TIMER_CURRENT = 0x390,
    REG_TIMER_DIVIDE = 0x3e0,
};

/* Integrated APIC, highest LVT entry 5, no suppression of EOI broadcasts: Xen's VLAPIC_VERSION. */
#define VERSION 0x00050014u

enum lvt { LVT_TIMER, LVT_THERMAL, LVT_PERFORMANCE, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };

#define LVT_VECTOR      0xffu
#define LVT_MODE_SHIFT  8
#define LVT_MODE        (7u << LVT_MODE_SHIFT)
#define LVT_POLARITY    (1u << 13)
#define LVT_LEVEL       (1u << 15)
#define LVT_MASKED      (1u << 16)
#define LVT_TIMER_SHIFT 17
#define LVT_TIMER_MODE  (3u << LVT_TIMER_SHIFT)

/* The bits that software can write in each entry. SDM Vol. 3A, "Local Vector Table". */
static const uint32_t lvt_writable[LVT_COUNT] = {
    [LVT_TIMER] = LVT_VECTOR | LVT_MASKED | LVT_TIMER_MODE,
    [LVT_THERMAL] = LVT_VECTOR | LVT_MODE | LVT_MASKED,
    [LVT_PERFORMANCE] = LVT_VECTOR | LVT_MODE | LVT_MASKED,
    [LVT_LINT0] = LVT_VECTOR | LVT_MODE | LVT_POLARITY | LVT_LEVEL | LVT_MASKED,
    [LVT_LINT1] = LVT_VECTOR | LVT_MODE | LVT_POLARITY | LVT_LEVEL | LVT_MASKED,
    [LVT_ERROR] = LVT_VECTOR | LVT_MASKED,
};

enum timer_mode { TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_TSC_DEADLINE };

#define SVR_ENABLED  (1u << 8)
#define SVR_WRITABLE 0x3ffu

#define ICR_VECTOR          0xffu
#define ICR_LOGICAL         (1u << 11)
#define ICR_ASSERT          (1u << 14)
#define ICR_LEVEL           (1u << 15)
#define ICR_SHORTHAND_SHIFT 18
#define ICR_WRITABLE        0x000ccfffu /* delivery status (12) reads as idle */

enum { SHORTHAND_NONE, SHORTHAND_SELF, SHORTHAND_ALL, SHORTHAND_OTHERS };

/* Error status bits. SDM Vol. 3A, "Error Handling". */
#define ESR_SEND_ILLEGAL_VECTOR    (1u << 5)
#define ESR_RECEIVE_ILLEGAL_VECTOR (1u << 6)
#define ESR_ILLEGAL_REGISTER       (1u << 7)

#define DFR_FLAT    0xfu /* bits 31:28 */
#define DFR_CLUSTER 0x0u

#define FIRST_LEGAL_VECTOR 16

/* Xen's APIC_BUS_CYCLE_NS: the timer's input clock is 100 MHz. */
#define BUS_CYCLE_NS 10u

#define MSR_APIC_BASE    0x01bu
#define MSR_TSC_DEADLINE 0x6e0u
#define MSR_X2APIC_FIRST 0x800u
#define MSR_X2APIC_LAST  0x8ffu

#define APIC_BASE_BSP    (1u << 8)
#define APIC_BASE_ENABLE (1u << 11)

#define TIMER_KIND 0

struct lapic {
    uint64_t base_msr;
    uint64_t timer_start_ns; /* when the count began at timer_initial */
    uint64_t tsc_deadline;   /* the MSR; 0 when disarmed */
    uint32_t isr[8], tmr[8], irr[8];
    uint32_t tpr, ldr, dfr, svr, esr, icr_low, icr_high;
    uint32_t esr_latched; /* errors since ESR was last written */
    uint32_t lvt[LVT_COUNT];
    uint32_t timer_initial, timer_divide;
    uint32_t lint_level[2];
    uint32_t wait_for_sipi;
};

struct lapic_state {
    struct lapic lapics[VCPUS_MAX];
};

static struct lapic *lapic_of(struct machine *m, unsigned vcpu)
{
    struct lapic_state *s = machine_model_state(m, &lapic_model);

    ensure(vcpu < machine_vcpus(m));
    return &s->lapics[vcpu];
}

static bool is_enabled(const struct lapic *l)
{
    return (l->base_msr & APIC_BASE_ENABLE) && (l->svr & SVR_ENABLED);
}

bool lapic_is_enabled(struct machine *m, unsigned vcpu)
{
    return is_enabled(lapic_of(m, vcpu));
}

bool lapic_is_globally_enabled(struct machine *m, unsigned vcpu)
{
    return lapic_of(m, vcpu)->base_msr & APIC_BASE_ENABLE;
}

static bool bit_test(const uint32_t bits[8], unsigned vector)
{
    return bits[vector / 32] >> (vector % 32) & 1;
}

static void bit_set(uint32_t bits[8], unsigned vector, bool on)
{
    if (on)
        bits[vector / 32] |= 1u << (vector % 32);
    else
        bits[vector / 32] &= ~(1u << (vector % 32));
}

/* The highest vector of a 256-bit register, or -1. */
static int bit_highest(const uint32_t bits[8])
{
    for (int i = 7; i >= 0; i--)
        if (bits[i])
            return i * 32 + 31 - __builtin_clz(bits[i]);
    return -1;
}

/* SDM Vol. 3A, "Task and Processor Priorities". */
static uint32_t processor_priority(const struct lapic *l)
{
    int in_service = bit_highest(l->isr);
    uint32_t isr_class = in_service < 0 ? 0 : (uint32_t)in_service & 0xf0;

    return (l->tpr & 0xf0) >= isr_class ? l->tpr : isr_class;
}

/* SDM Vol. 3A, "Arbitration Priority" (P6 family; later processors don't arbitrate, but read something here). */
static uint32_t arbitration_priority(const struct lapic *l)
{
    int irr = bit_highest(l->irr), isr = bit_highest(l->isr);
    uint32_t irr_class = irr < 0 ? 0 : (uint32_t)irr & 0xf0, isr_class = isr < 0 ? 0 : (uint32_t)isr & 0xf0;
    uint32_t tpr_class = l->tpr & 0xf0, high;

    if (tpr_class >= irr_class && tpr_class > isr_class)
        return l->tpr;
    high = tpr_class > isr_class ? tpr_class : isr_class;
    return high > irr_class ? high : irr_class;
}

static void raise_error(struct machine *m, unsigned vcpu, uint32_t esr_bit)
{
    struct lapic *l = lapic_of(m, vcpu);
    uint32_t lvt = l->lvt[LVT_ERROR];

    if (l->esr_latched & esr_bit)
        return;
    l->esr_latched |= esr_bit;
    if (lvt & LVT_MASKED)
        return;
    if ((lvt & LVT_VECTOR) < FIRST_LEGAL_VECTOR)
        l->esr_latched |= ESR_RECEIVE_ILLEGAL_VECTOR;
    else
        lapic_raise(m, vcpu, lvt & LVT_VECTOR, LAPIC_EDGE);
}

void lapic_raise(struct machine *m, unsigned vcpu, uint8_t vector, enum lapic_trigger trigger)
{
    struct lapic *l = lapic_of(m, vcpu);

    if (!is_enabled(l))
        return;
    if (vector < FIRST_LEGAL_VECTOR) {
        raise_error(m, vcpu, ESR_RECEIVE_ILLEGAL_VECTOR);
        return;
    }
    bit_set(l->irr, vector, true);
    bit_set(l->tmr, vector, trigger == LAPIC_LEVEL);
    /* Xen's vcpu_kick() ends SCHEDOP_poll too, whatever IF and the priorities say. */
    if (vcpu_state(m, vcpu) == VCPU_POLLING)
        vcpu_wake(m, vcpu);
    vcpu_kick(m, vcpu);
}

/* SDM Vol. 3A, "Local APIC State After an INIT Reset": all but the ID and IA32_APIC_BASE. */
static void reset_registers(struct machine *m, unsigned vcpu)
{
    struct lapic *l = lapic_of(m, vcpu);
    uint64_t base_msr = l->base_msr;

    memset(l, 0, sizeof(*l));
    l->base_msr = base_msr;
    l->dfr = 0xffffffff;
    l->svr = 0xff;
    for (unsigned i = 0; i < LVT_COUNT; i++)
        l->lvt[i] = LVT_MASKED;
    timer_disarm(m, &lapic_model, TIMER_KIND, vcpu);
}

/* Xen 4.17 vlapic_init_sipi_one: INIT does nothing to a vCPU that is already reset, a SIPI nothing to one that is not.
 */
static void receive_init(struct machine *m, unsigned vcpu)
{
    struct lapic *l = lapic_of(m, vcpu);

    if (l->wait_for_sipi)
        return;
    reset_registers(m, vcpu);
    l->wait_for_sipi = 1;
    vcpu_reset(m, vcpu);
}

static void receive_startup(struct machine *m, unsigned vcpu, uint8_t vector)
{
    struct lapic *l = lapic_of(m, vcpu);

    if (!l->wait_for_sipi)
        return;
    l->wait_for_sipi = 0;
    vcpu_start_sipi(m, vcpu, vector);
}

void lapic_set_initialised(struct machine *m, unsigned vcpu)
{
    lapic_of(m, vcpu)->wait_for_sipi = 0;
}

bool lapic_waits_for_sipi(struct machine *m, unsigned vcpu)
{
    return lapic_of(m, vcpu)->wait_for_sipi;
}

static void receive(struct machine *m, unsigned vcpu, const struct lapic_message *message)
{
    switch (message->delivery) {
    case LAPIC_FIXED:
    case LAPIC_LOWEST:
        lapic_raise(m, vcpu, message->vector, message->trigger);
        break;
    case LAPIC_NMI:
        vcpu_raise_nmi(m, vcpu);
        break;
    case LAPIC_INIT:
        receive_init(m, vcpu);
        break;
    case LAPIC_STARTUP:
        receive_startup(m, vcpu, message->vector);
        break;
    case LAPIC_SMI:    /* Xen 4.17 vlapic_accept_irq: "Ignoring guest SMI" */
    case LAPIC_EXTINT: /* the 8259 pair asks lapic_accepts_extint() instead of sending messages */
        break;
    }
}

/* SDM Vol. 3A, "Determining IPI Destination": physical and logical mode, flat and cluster model. */
static bool matches(struct machine *m, unsigned vcpu, uint8_t destination, bool logical)
{
    const struct lapic *l = lapic_of(m, vcpu);
    uint8_t logical_id = (uint8_t)(l->ldr >> 24);

    if (!logical)
        return destination == 0xff || destination == lapic_id(vcpu);
    if (destination == 0xff)
        return true;
    switch (l->dfr >> 28) {
    case DFR_FLAT:
        return (logical_id & destination) != 0;
    case DFR_CLUSTER:
        return logical_id >> 4 == destination >> 4 && (logical_id & destination & 0xf) != 0;
    default:
        return false;
    }
}

/* Lowest priority: of the enabled LAPICs among `targets`, the one with the lowest processor priority. The manual leaves
   ties open; the lowest vCPU number keeps it a function of the state. */
static void deliver_lowest(struct machine *m, uint64_t targets, const struct lapic_message *message)
{
    int best = -1;

    for (unsigned v = 0; v < machine_vcpus(m); v++)
        if ((targets >> v & 1) && is_enabled(lapic_of(m, v)) &&
            (best < 0 || processor_priority(lapic_of(m, v)) < processor_priority(lapic_of(m, (unsigned)best))))
            best = (int)v;
    if (best >= 0)
        receive(m, (unsigned)best, message);
}

static void deliver_to(struct machine *m, uint64_t targets, const struct lapic_message *message)
{
    if (message->delivery == LAPIC_LOWEST) {
        deliver_lowest(m, targets, message);
        return;
    }
    for (unsigned v = 0; v < machine_vcpus(m); v++)
        if (targets >> v & 1)
            receive(m, v, message);
}

static uint64_t find_targets(struct machine *m, uint8_t destination, bool logical)
{
    uint64_t targets = 0;

    for (unsigned v = 0; v < machine_vcpus(m); v++)
        if (matches(m, v, destination, logical))
            targets |= 1ull << v;
    return targets;
}

void lapic_deliver(struct machine *m, const struct lapic_message *message)
{
    deliver_to(m, find_targets(m, message->destination, message->logical), message);
}

/* SDM Vol. 3A, "Issuing Interprocessor Interrupts". */
static void write_icr_low(struct machine *m, unsigned vcpu, uint32_t value)
{
    struct lapic *l = lapic_of(m, vcpu);
    unsigned vcpus = machine_vcpus(m);
    uint64_t all = vcpus == 64 ? UINT64_MAX : (1ull << vcpus) - 1, self = 1ull << vcpu, targets;
    const struct lapic_message message = {.destination = (uint8_t)(l->icr_high >> 24),
                                          .logical = value & ICR_LOGICAL,
                                          .delivery = (value & LVT_MODE) >> LVT_MODE_SHIFT,
                                          .vector = value & ICR_VECTOR,
                                          .trigger = LAPIC_EDGE};

    l->icr_low = value & ICR_WRITABLE;
    if ((message.delivery == LAPIC_FIXED || message.delivery == LAPIC_LOWEST) && message.vector < FIRST_LEGAL_VECTOR) {
        raise_error(m, vcpu, ESR_SEND_ILLEGAL_VECTOR);
        return;
    }
    /* INIT level de-assert only synchronised arbitration IDs, on processors before the Pentium 4. */
    if (message.delivery == LAPIC_INIT && (value & (ICR_LEVEL | ICR_ASSERT)) == ICR_LEVEL)
        return;
    switch (value >> ICR_SHORTHAND_SHIFT & 3) {
    case SHORTHAND_SELF:
        targets = self;
        break;
    case SHORTHAND_ALL:
        targets = all;
        break;
    case SHORTHAND_OTHERS:
        targets = all & ~self;
        break;
    default:
        targets = find_targets(m, message.destination, message.logical);
        break;
    }
    deliver_to(m, targets, &message);
}

/* ---- timer ---- */

static enum timer_mode timer_mode(const struct lapic *l)
{
    return (l->lvt[LVT_TIMER] & LVT_TIMER_MODE) >> LVT_TIMER_SHIFT;
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

static uint32_t timer_current(const struct machine *m, const struct lapic *l)
{
    uint64_t elapsed_ns = clock_now_ns(m) - l->timer_start_ns, counts;

    if (l->timer_initial == 0 || timer_mode(l) > TIMER_PERIODIC)
        return 0;
    if (timer_mode(l) == TIMER_PERIODIC)
        elapsed_ns %= period_ns(l);
    counts = elapsed_ns / count_ns(l);
    return counts >= l->timer_initial ? 0 : l->timer_initial - (uint32_t)counts;
}

static void timer_start(struct machine *m, unsigned vcpu, uint64_t start_ns)
{
    struct lapic *l = lapic_of(m, vcpu);

    l->timer_start_ns = start_ns;
    if (l->timer_initial == 0 || timer_mode(l) > TIMER_PERIODIC)
        timer_disarm(m, &lapic_model, TIMER_KIND, vcpu);
    else
        timer_arm(m, &lapic_model, TIMER_KIND, vcpu, start_ns + period_ns(l));
}

static void timer_interrupt(struct machine *m, unsigned vcpu)
{
    const struct lapic *l = lapic_of(m, vcpu);

    if (!(l->lvt[LVT_TIMER] & LVT_MASKED))
        lapic_raise(m, vcpu, l->lvt[LVT_TIMER] & LVT_VECTOR, LAPIC_EDGE);
}

static void lapic_timer_expired(struct machine *m, unsigned kind, unsigned vcpu)
{
    struct lapic *l = lapic_of(m, vcpu);

    if (timer_mode(l) == TIMER_PERIODIC)
        timer_start(m, vcpu, l->timer_start_ns + period_ns(l));
    l->tsc_deadline = 0;
    timer_interrupt(m, vcpu);
}

/* SDM Vol. 3A, "TSC-Deadline Mode": 0 disarms, the past expires at once, other modes ignore the write. */
static void write_tsc_deadline(struct machine *m, unsigned vcpu, uint64_t value)
{
    struct lapic *l = lapic_of(m, vcpu);

    if (timer_mode(l) != TIMER_TSC_DEADLINE)
        return;
    timer_disarm(m, &lapic_model, TIMER_KIND, vcpu);
    l->tsc_deadline = value;
    if (value != 0 && value <= tsc_now(m)) {
        l->tsc_deadline = 0;
        timer_interrupt(m, vcpu);
    } else if (value != 0) {
        timer_arm(m, &lapic_model, TIMER_KIND, vcpu, tsc_to_ns(value));
    }
}

static void write_divide(struct machine *m, unsigned vcpu, uint32_t value)
{
    struct lapic *l = lapic_of(m, vcpu);
    uint32_t done = l->timer_initial - timer_current(m, l);
    bool running = timer_deadline_ns(m, &lapic_model, TIMER_KIND, vcpu) != TIMER_NEVER;

    l->timer_divide = value & 0xb;
    if (running && timer_mode(l) <= TIMER_PERIODIC)
        timer_start(m, vcpu, clock_now_ns(m) - done * count_ns(l));
}

/* ---- local interrupt pins ---- */

static void lint_fire(struct machine *m, unsigned vcpu, unsigned line)
{
    const struct lapic *l = lapic_of(m, vcpu);
    uint32_t lvt = l->lvt[LVT_LINT0 + line];

    if ((lvt & LVT_MASKED) || !(l->base_msr & APIC_BASE_ENABLE))
        return;
    switch ((lvt & LVT_MODE) >> LVT_MODE_SHIFT) {
    case LAPIC_FIXED:
        lapic_raise(m, vcpu, lvt & LVT_VECTOR, lvt & LVT_LEVEL ? LAPIC_LEVEL : LAPIC_EDGE);
        break;
    case LAPIC_NMI:
        vcpu_raise_nmi(m, vcpu);
        break;
    case LAPIC_EXTINT:
        vcpu_kick(m, vcpu);
        break;
    default: /* SMI is ignored as above; INIT by a pin is not wired on Xen */
        break;
    }
}

void lapic_set_lint(struct machine *m, unsigned vcpu, unsigned line, bool level)
{
    struct lapic *l = lapic_of(m, vcpu);
    bool was;

    ensure(line < 2);
    was = l->lint_level[line];
    l->lint_level[line] = level;
    if (level && !was)
        lint_fire(m, vcpu, line);
}

bool lapic_accepts_extint(struct machine *m, unsigned vcpu)
{
    const struct lapic *l = lapic_of(m, vcpu);

    if (vcpu != 0)
        return false;
    return !(l->base_msr & APIC_BASE_ENABLE) || (l->lvt[LVT_LINT0] & (LVT_MODE | LVT_MASKED)) == (uint32_t)LAPIC_EXTINT
                                                                                                     << LVT_MODE_SHIFT;
}

/* ---- registers ---- */

static uint32_t lapic_reg_read(struct machine *m, unsigned vcpu, unsigned offset)
{
    const struct lapic *l = lapic_of(m, vcpu);

    switch (offset) {
    case REG_ID:
        return (uint32_t)lapic_id(vcpu) << 24;
    case REG_VERSION:
        return VERSION;
    case REG_TPR:
        return l->tpr;
    case REG_APR:
        return arbitration_priority(l);
    case REG_PPR:
        return processor_priority(l);
    case REG_EOI: /* write-only, reads 0 in Xen */
    case REG_RRD: /* remote read is not supported since the Pentium 4 */
        return 0;
    case REG_LDR:
        return l->ldr;
    case REG_DFR:
        return l->dfr;
    case REG_SVR:
        return l->svr;
    case REG_ISR ... REG_ISR + 0x7f:
        return l->isr[(offset - REG_ISR) >> 4];
    case REG_TMR ... REG_TMR + 0x7f:
        return l->tmr[(offset - REG_TMR) >> 4];
    case REG_IRR ... REG_IRR + 0x7f:
        return l->irr[(offset - REG_IRR) >> 4];
    case REG_ESR:
        return l->esr;
    case REG_ICR_LOW:
        return l->icr_low;
    case REG_ICR_HIGH:
        return l->icr_high;
    case REG_LVT_TIMER ... REG_LVT_ERROR:
        return l->lvt[(offset - REG_LVT_TIMER) >> 4];
    case REG_TIMER_INITIAL:
        return l->timer_initial;
    case REG_TIMER_CURRENT:
        return timer_current(m, l);
    case REG_TIMER_DIVIDE:
        return l->timer_divide;
    default:
        raise_error(m, vcpu, ESR_ILLEGAL_REGISTER);
        return 0;
    }
}

/* SDM Vol. 3A, "Signaling Interrupt Servicing Completion". */
static void write_eoi(struct machine *m, unsigned vcpu)
{
    struct lapic *l = lapic_of(m, vcpu);
    int vector = bit_highest(l->isr);

    if (vector < 0)
        return;
    bit_set(l->isr, (unsigned)vector, false);
    if (bit_test(l->tmr, (unsigned)vector)) {
        ioapic_end_of_interrupt(m, (uint8_t)vector);
        for (unsigned line = 0; line < 2; line++) {
            uint32_t lvt = l->lvt[LVT_LINT0 + line];

            if (l->lint_level[line] && (lvt & LVT_LEVEL) && (lvt & LVT_VECTOR) == (unsigned)vector)
                lint_fire(m, vcpu, line);
        }
    }
    vcpu_kick(m, vcpu);
}

/* SDM Vol. 3A, "Spurious Interrupt" and "Local APIC State After It Has Been Software Disabled". */
static void write_svr(struct lapic *l, uint32_t value)
{
    l->svr = value & SVR_WRITABLE;
    if (!(l->svr & SVR_ENABLED))
        for (unsigned i = 0; i < LVT_COUNT; i++)
            l->lvt[i] |= LVT_MASKED;
}

static void write_lvt(struct machine *m, unsigned vcpu, enum lvt entry, uint32_t value)
{
    struct lapic *l = lapic_of(m, vcpu);
    uint32_t old = l->lvt[entry];

    value &= lvt_writable[entry];
    if (!(l->svr & SVR_ENABLED))
        value |= LVT_MASKED;
    l->lvt[entry] = value;
    if (entry == LVT_TIMER && ((old ^ value) & LVT_TIMER_MODE)) {
        bool deadline_mode =
            timer_mode(l) == TIMER_TSC_DEADLINE || (old & LVT_TIMER_MODE) >> LVT_TIMER_SHIFT == TIMER_TSC_DEADLINE;

        if (deadline_mode) {
            l->timer_initial = 0;
            l->tsc_deadline = 0;
        }
        timer_start(m, vcpu, clock_now_ns(m));
    }
    if (entry == LVT_LINT0 || entry == LVT_LINT1) {
        unsigned line = entry - LVT_LINT0;

        if (l->lint_level[line] && (value & LVT_LEVEL))
            lint_fire(m, vcpu, line);
        vcpu_kick(m, vcpu); /* the 8259 pair may have been waiting for an ExtINT pin */
    }
}

static void lapic_reg_write(struct machine *m, unsigned vcpu, unsigned offset, uint32_t value)
{
    struct lapic *l = lapic_of(m, vcpu);

    switch (offset) {
    case REG_TPR:
        l->tpr = value & 0xff;
        vcpu_kick(m, vcpu);
        break;
    case REG_EOI:
        write_eoi(m, vcpu);
        break;
    case REG_LDR:
        l->ldr = value & 0xff000000;
        break;
    case REG_DFR:
        l->dfr = value | 0x0fffffff;
        break;
    case REG_SVR:
        write_svr(l, value);
        vcpu_kick(m, vcpu);
        break;
    case REG_ESR: /* a write makes what was latched readable, and starts anew */
        l->esr = l->esr_latched;
        l->esr_latched = 0;
        break;
    case REG_ICR_LOW:
        write_icr_low(m, vcpu, value);
        break;
    case REG_ICR_HIGH:
        l->icr_high = value & 0xff000000;
        break;
    case REG_LVT_TIMER ... REG_LVT_ERROR:
        write_lvt(m, vcpu, (offset - REG_LVT_TIMER) >> 4, value);
        break;
    case REG_TIMER_INITIAL: /* ignored in TSC-deadline mode */
        if (timer_mode(l) == TIMER_TSC_DEADLINE)
            break;
        l->timer_initial = value;
        timer_start(m, vcpu, clock_now_ns(m));
        break;
    case REG_TIMER_DIVIDE:
        write_divide(m, vcpu, value);
        break;
    case REG_ID: /* read-only in Xen, as on current processors */
    case REG_VERSION:
    case REG_APR:
    case REG_PPR:
    case REG_RRD:
    case REG_ISR ... REG_IRR + 0x7f:
    case REG_TIMER_CURRENT:
        break;
    default:
        raise_error(m, vcpu, ESR_ILLEGAL_REGISTER);
        break;
    }
}

/* The manual promises nothing but aligned 32-bit accesses. Smaller ones inside one register act on its bytes as in
   Xen's vlapic_mmio_read and vlapic_mmio_write; larger and straddling ones are left to nobody, so they end the run. */
static enum model_answer lapic_mmio_read(struct machine *m, unsigned vcpu, uint64_t gpa, unsigned bytes,
                                         uint64_t *value)
{
    unsigned offset = (unsigned)(gpa - LAPIC_GPA), byte = offset & 3;
    uint32_t reg;

    if (gpa < LAPIC_GPA || gpa - LAPIC_GPA >= LAPIC_WINDOW_BYTES || byte + bytes > 4)
        return MODEL_NOT_MINE;
    if (!(lapic_of(m, vcpu)->base_msr & APIC_BASE_ENABLE)) {
        *value = UINT64_MAX >> (64 - 8 * bytes); /* nothing claims the address then */
        return MODEL_DONE;
    }
    /* Registers are 16 bytes apart, the 12 bytes behind each are reserved. */
    reg = offset & 0xc ? 0 : lapic_reg_read(m, vcpu, offset & ~3u);
    *value = reg >> (8 * byte) & (UINT32_MAX >> (32 - 8 * bytes));
    return MODEL_DONE;
}

static enum model_answer lapic_mmio_write(struct machine *m, unsigned vcpu, uint64_t gpa, unsigned bytes,
                                          uint64_t value)
{
    unsigned offset = (unsigned)(gpa - LAPIC_GPA), byte = offset & 3;
    uint32_t mask, reg;

    if (gpa < LAPIC_GPA || gpa - LAPIC_GPA >= LAPIC_WINDOW_BYTES || byte + bytes > 4)
        return MODEL_NOT_MINE;
    if (!(lapic_of(m, vcpu)->base_msr & APIC_BASE_ENABLE) || (offset & 0xc))
        return MODEL_DONE;
    mask = UINT32_MAX >> (32 - 8 * bytes) << (8 * byte);
    reg = bytes == 4 ? 0 : lapic_reg_read(m, vcpu, offset & ~3u) & ~mask;
    lapic_reg_write(m, vcpu, offset & ~3u, reg | ((uint32_t)value << (8 * byte) & mask));
    return MODEL_DONE;
}

static enum model_answer lapic_msr_read(struct machine *m, unsigned vcpu, uint32_t msr, uint64_t *value)
{
    const struct lapic *l = lapic_of(m, vcpu);

    if (msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST)
        return MODEL_FAULT_GP; /* not in x2APIC mode */
    switch (msr) {
    case MSR_APIC_BASE:
        *value = l->base_msr;
        return MODEL_DONE;
    case MSR_TSC_DEADLINE:
        *value = timer_mode(l) == TIMER_TSC_DEADLINE ? l->tsc_deadline : 0;
        return MODEL_DONE;
    default:
        return MODEL_NOT_MINE;
    }
}

/* Xen 4.17 guest_wrmsr_apic_base: the window can't be moved, x2APIC needs its CPUID bit, the BSP flag is the host's. */
static enum model_answer write_apic_base(struct machine *m, unsigned vcpu, uint64_t value)
{
    struct lapic *l = lapic_of(m, vcpu);
    uint64_t old = l->base_msr;

    if ((value & ~(uint64_t)(APIC_BASE_ENABLE | APIC_BASE_BSP)) != LAPIC_GPA)
        return MODEL_FAULT_GP;
    l->base_msr = LAPIC_GPA | (value & APIC_BASE_ENABLE) | (old & APIC_BASE_BSP);
    /* SDM Vol. 3A, "Enabling or Disabling the Local APIC": disabling it by the MSR loses its state. */
    if ((old & APIC_BASE_ENABLE) && !(value & APIC_BASE_ENABLE))
        reset_registers(m, vcpu);
    vcpu_kick(m, vcpu);
    return MODEL_DONE;
}

static enum model_answer lapic_msr_write(struct machine *m, unsigned vcpu, uint32_t msr, uint64_t value)
{
    if (msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST)
        return MODEL_FAULT_GP;
    switch (msr) {
    case MSR_APIC_BASE:
        return write_apic_base(m, vcpu, value);
    case MSR_TSC_DEADLINE:
        write_tsc_deadline(m, vcpu, value);
        return MODEL_DONE;
    default:
        return MODEL_NOT_MINE;
    }
}

static int lapic_pending_vector(struct machine *m, unsigned vcpu)
{
    const struct lapic *l = lapic_of(m, vcpu);
    int vector = bit_highest(l->irr);

    if (vector < 0 || !is_enabled(l) || ((uint32_t)vector & 0xf0) <= (processor_priority(l) & 0xf0))
        return MODEL_NO_VECTOR;
    return vector;
}

bool lapic_would_take(struct machine *m, unsigned vcpu, uint8_t vector)
{
    const struct lapic *l = lapic_of(m, vcpu);

    return is_enabled(l) && (vector & 0xf0u) > (processor_priority(l) & 0xf0) && bit_highest(l->irr) < vector;
}

static void lapic_accept_vector(struct machine *m, unsigned vcpu, int vector)
{
    struct lapic *l = lapic_of(m, vcpu);

    bit_set(l->irr, (unsigned)vector & 0xff, false);
    bit_set(l->isr, (unsigned)vector & 0xff, true);
}

/* An interprocessor interrupt arrives that no vCPU has sent, as from a guest's own earlier mistake. */
static enum model_answer lapic_host_act(struct machine *m, const struct decision *d, struct diag *diag)
{
    if (d->kind != DECISION_IPI)
        return MODEL_NOT_MINE;
    if (!lapic_would_take(m, d->vcpu, (uint8_t)d->value)) {
        (void)!diag_set(diag, EMU_EINPUT,
                        "vCPU %u's local APIC is disabled, or something of the same or a higher priority than vector "
                        "0x%x is pending or in service there",
                        d->vcpu, (unsigned)d->value);
        return MODEL_REFUSED;
    }
    lapic_raise(m, d->vcpu, (uint8_t)d->value, LAPIC_EDGE);
    return MODEL_DONE;
}

/* What a PC's firmware leaves: LINT0 of the first processor takes the 8259 pair's interrupts, LINT1 is NMI. */
static void set_virtual_wire(struct machine *m)
{
    struct lapic *l = lapic_of(m, 0);

    l->svr |= SVR_ENABLED;
    l->lvt[LVT_LINT0] = (uint32_t)LAPIC_EXTINT << LVT_MODE_SHIFT;
    l->lvt[LVT_LINT1] = (uint32_t)LAPIC_NMI << LVT_MODE_SHIFT;
}

static enum emu_err lapic_init(struct machine *m, struct diag *d)
{
    for (unsigned v = 0; v < machine_vcpus(m); v++) {
        struct lapic *l = lapic_of(m, v);

        l->base_msr = LAPIC_GPA | APIC_BASE_ENABLE | (v == 0 ? APIC_BASE_BSP : 0);
        reset_registers(m, v);
        l->wait_for_sipi = v != 0;
    }
    if (pc_is_present(m))
        set_virtual_wire(m);
    return EMU_OK;
}

const struct model lapic_model = {
    .name = "lapic",
    .state_bytes = sizeof(struct lapic_state),
    .init = lapic_init,
    .mmio_read = lapic_mmio_read,
    .mmio_write = lapic_mmio_write,
    .msr_read = lapic_msr_read,
    .msr_write = lapic_msr_write,
    .pending_vector = lapic_pending_vector,
    .accept_vector = lapic_accept_vector,
    .host_act = lapic_host_act,
    .timer_expired = lapic_timer_expired,
};
