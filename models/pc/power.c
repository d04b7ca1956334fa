/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/pc/power.h"

#include "emu/timer.h"
#include "emu/trace.h"
#include "models/pc/acpi.h"
#include "models/pc/irq.h"
#include "models/pc/pc.h"
#include "models/platform_config.h"

#define PORT_KEYBOARD_COMMAND 0x64
#define PORT_RESET            0xcf9

#define KEYBOARD_PULSE_RESET 0xfe /* pulse output line 0 */
#define RESET_CPU            0x04
#define RESET_WRITABLE       0x0e

/* PM1 status and enable, 16 bits each; ACPI, "PM1 Event Grouping". */
#define PM1_TIMER 0x0001
#define PM1_WRITABLE                                                                                                   \
    (PM1_TIMER | 0x0020 | 0x0100 | 0x0200 | 0x0400) /* global lock, buttons and RTC: enabled without effect */
/* ACPI, "PM1 Control Grouping". */
#define CONTROL_SCI_ENABLED      0x0001
#define CONTROL_SLEEP_TYPE_SHIFT 10
#define CONTROL_SLEEP_ENABLE     0x2000 /* write-only */
#define CONTROL_WRITABLE         0x1c06

#define GPE_BYTES 4 /* status, then enable, half each */
#define CPU_BYTES 8 /* of the map of processors; the rest reads as 0 */

#define TIMER_OVERFLOW 0

/* Xen 4.17 public/sched.h, SHUTDOWN_poweroff and SHUTDOWN_reboot, as the trace names reasons. */
enum { REASON_POWEROFF = 0, REASON_REBOOT = 1 };

struct power_state {
    uint64_t cpus;           /* that are there, one bit each */
    uint64_t overflows_seen; /* times bit 31 of the timer changed, up to the last look */
    uint16_t pm1_status, pm1_enable, pm1_control;
    uint8_t gpe[GPE_BYTES];
    uint8_t reset;
};

static struct power_state *state_of(struct machine *m)
{
    return machine_model_state(m, &power_model);
}

/* For whether it has overflowed since. */
static uint64_t now_ticks(const struct machine *m)
{
    return pc_ns_to_ticks(clock_now_ns(m), PM_TIMER_HZ);
}

/* For what the guest is told. */
static uint64_t read_ticks(struct machine *m)
{
    return pc_ns_to_ticks(clock_read_ns(m), PM_TIMER_HZ);
}

/* A reset is a crash: kernels that know nothing of Xen end so when they panic, and a wrong PASS would be worse than a
   FAIL for a guest that only wanted to reboot. One that knows Xen says what it wants by SCHEDOP_shutdown. */
static void end_run(struct machine *m, unsigned vcpu, unsigned reason)
{
    trace_add(m, TRACE_SHUTDOWN, vcpu, reason, 0, 0);
    if (reason == REASON_POWEROFF)
        machine_set_verdict(m, VERDICT_PASS, NULL, "the guest powered off");
    else
        machine_set_verdict(m, VERDICT_FAIL, "crash", "the guest reset the machine");
}

/* ---- PM1 events: only the timer has any; general-purpose events: only processors. ACPI, "Power Management Timer": the
 * status is set when bit 31 changes. ----
 */

static void update(struct machine *m)
{
    struct power_state *s = state_of(m);
    uint64_t overflows = now_ticks(m) >> 31;

    if (overflows != s->overflows_seen)
        s->pm1_status |= PM1_TIMER;
    s->overflows_seen = overflows;
    irq_set_level(m, ACPI_SCI_GSI,
                  (s->pm1_status & s->pm1_enable) || (s->gpe[0] & s->gpe[2]) || (s->gpe[1] & s->gpe[3]));
    if (s->pm1_enable & PM1_TIMER)
        timer_arm(m, &power_model, TIMER_OVERFLOW, 0, pc_ticks_to_ns((overflows + 1) << 31, PM_TIMER_HZ));
    else
        timer_disarm(m, &power_model, TIMER_OVERFLOW, 0);
}

static void power_timer_expired(struct machine *m, unsigned kind, unsigned vcpu)
{
    update(m);
}

/* ---- registers, byte by byte, so that any access size works ---- */

static uint8_t read_byte(struct machine *m, uint16_t port)
{
    const struct power_state *s = state_of(m);

    switch (port) {
    case ACPI_PM1A_EVENT_PORT ... ACPI_PM1A_EVENT_PORT + 1:
        (void)read_ticks(m); /* of which update() has set the overflow's bit */
        return (uint8_t)(s->pm1_status >> (port & 1) * 8);
    case ACPI_PM1A_EVENT_PORT + 2 ... ACPI_PM1A_EVENT_PORT + 3:
        return (uint8_t)(s->pm1_enable >> (port & 1) * 8);
    case ACPI_PM1A_CONTROL_PORT ... ACPI_PM1A_CONTROL_PORT + 1:
        return (uint8_t)(s->pm1_control >> (port & 1) * 8);
    case ACPI_PM_TIMER_PORT ... ACPI_PM_TIMER_PORT + 3:
        return (uint8_t)(read_ticks(m) >> (port & 3) * 8);
    case ACPI_GPE0_PORT ... ACPI_GPE0_PORT + GPE_BYTES - 1:
        return s->gpe[port - ACPI_GPE0_PORT];
    case ACPI_CPU_MAP_PORT ... ACPI_CPU_MAP_PORT + CPU_BYTES - 1:
        return (uint8_t)(s->cpus >> (port - ACPI_CPU_MAP_PORT) * 8);
    case ACPI_CPU_MAP_PORT + CPU_BYTES... ACPI_CPU_MAP_PORT + ACPI_CPU_MAP_BYTES - 1:
        return 0;
    case PORT_RESET:
        return s->reset;
    default:
        return 0xff;
    }
}

/* SLP_EN with the type of \_S5 turns the machine off; the DSDT names no other sleep. */
static void write_control(struct machine *m, unsigned vcpu, uint16_t value)
{
    struct power_state *s = state_of(m);

    s->pm1_control = (value & CONTROL_WRITABLE) | CONTROL_SCI_ENABLED;
    if (!(value & CONTROL_SLEEP_ENABLE))
        return;
    if ((value >> CONTROL_SLEEP_TYPE_SHIFT & 7) == ACPI_S5_SLEEP_TYPE)
        end_run(m, vcpu, REASON_POWEROFF);
    else
        machine_unmodelled(m, "sleep type %u written to ACPI's PM1 control", value >> CONTROL_SLEEP_TYPE_SHIFT & 7);
}

static void write_byte(struct machine *m, unsigned vcpu, uint16_t port, uint8_t value)
{
    struct power_state *s = state_of(m);
    unsigned shift = (port & 1) * 8;

    switch (port) {
    case ACPI_PM1A_EVENT_PORT ... ACPI_PM1A_EVENT_PORT + 1: /* ones clear */
        s->pm1_status &= (uint16_t)~((unsigned)value << shift);
        break;
    case ACPI_PM1A_EVENT_PORT + 2 ... ACPI_PM1A_EVENT_PORT + 3:
        s->pm1_enable = (uint16_t)(((s->pm1_enable & ~(0xffu << shift)) | (unsigned)value << shift) & PM1_WRITABLE);
        break;
    case ACPI_PM1A_CONTROL_PORT ... ACPI_PM1A_CONTROL_PORT + 1:
        write_control(m, vcpu, (uint16_t)((s->pm1_control & ~(0xffu << shift)) | (unsigned)value << shift));
        break;
    case ACPI_GPE0_PORT ... ACPI_GPE0_PORT + 1:
        s->gpe[port - ACPI_GPE0_PORT] &= (uint8_t)~value;
        break;
    case ACPI_GPE0_PORT + 2 ... ACPI_GPE0_PORT + 3:
        s->gpe[port - ACPI_GPE0_PORT] = value;
        break;
    case PORT_RESET:
        s->reset = value & RESET_WRITABLE;
        if (value & RESET_CPU)
            end_run(m, vcpu, REASON_REBOOT);
        break;
    case PORT_KEYBOARD_COMMAND:
        if (value == KEYBOARD_PULSE_RESET)
            end_run(m, vcpu, REASON_REBOOT);
        break;
    default: /* the timer and the map of processors are read-only */
        break;
    }
}

/* The keyboard controller itself is absent; only its reset line is there, so reads and the data port are left to the
   table of absent hardware. */
static bool is_mine(const struct machine *m, uint16_t port, unsigned bytes, bool is_write)
{
    unsigned last = port + bytes - 1;

    if (!pc_is_present(m))
        return false;
    if (port == PORT_RESET || (port == PORT_KEYBOARD_COMMAND && is_write))
        return bytes == 1;
    return (port >= ACPI_PM1A_EVENT_PORT && last <= ACPI_PM_TIMER_PORT + 3) ||
           (port >= ACPI_GPE0_PORT && last < ACPI_GPE0_PORT + GPE_BYTES) ||
           (port >= ACPI_CPU_MAP_PORT && last < ACPI_CPU_MAP_PORT + ACPI_CPU_MAP_BYTES);
}

static enum model_answer power_port_read(struct machine *m, unsigned vcpu, uint16_t port, unsigned bytes,
                                         uint32_t *value)
{
    if (!is_mine(m, port, bytes, false))
        return MODEL_NOT_MINE;
    update(m);
    *value = 0;
    for (unsigned i = 0; i < bytes; i++)
        *value |= (uint32_t)read_byte(m, (uint16_t)(port + i)) << 8 * i;
    return MODEL_DONE;
}

static enum model_answer power_port_write(struct machine *m, unsigned vcpu, uint16_t port, unsigned bytes,
                                          uint32_t value)
{
    if (!is_mine(m, port, bytes, true))
        return MODEL_NOT_MINE;
    if (port == ACPI_PM1A_CONTROL_PORT && bytes >= 2)
        write_control(m, vcpu, (uint16_t)value); /* type and enable come together */
    else
        for (unsigned i = 0; i < bytes; i++)
            write_byte(m, vcpu, (uint16_t)(port + i), (uint8_t)(value >> 8 * i));
    update(m);
    return MODEL_DONE;
}

void power_set_cpu(struct machine *m, unsigned vcpu, bool online)
{
    struct power_state *s;
    uint64_t before;

    if (!pc_is_present(m))
        return;
    s = state_of(m);
    before = s->cpus;
    s->cpus = online ? before | 1ull << vcpu : before & ~(1ull << vcpu);
    if (s->cpus == before)
        return;
    s->gpe[ACPI_GPE_CPUS / 8] |= 1u << ACPI_GPE_CPUS % 8;
    update(m);
}

/* In ACPI mode from the start: the FADT names no SMI command port that would switch it on. */
static enum emu_err power_init(struct machine *m, struct diag *d)
{
    state_of(m)->pm1_control = CONTROL_SCI_ENABLED;
    for (unsigned v = 0; v < platform_vcpus_online(m); v++)
        state_of(m)->cpus |= 1ull << v;
    return EMU_OK;
}

static bool power_is_sound(struct machine *m)
{
    const struct power_state *s = state_of(m);

    return !(s->cpus & ~(UINT64_MAX >> (64 - machine_vcpus(m)))) && s->overflows_seen <= now_ticks(m) >> 31 &&
           !(s->pm1_status & ~PM1_TIMER) && !(s->pm1_enable & ~PM1_WRITABLE) &&
           (s->pm1_control & ~CONTROL_WRITABLE) == CONTROL_SCI_ENABLED && !(s->reset & ~RESET_WRITABLE);
}

const struct model power_model = {
    .name = "power",
    .state_bytes = sizeof(struct power_state),
    .is_sound = power_is_sound,
    .init = power_init,
    .port_read = power_port_read,
    .port_write = power_port_write,
    .timer_expired = power_timer_expired,
};
