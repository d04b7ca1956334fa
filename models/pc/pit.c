/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/pc/pit.h"

#include "emu/timer.h"
#include "models/pc/irq.h"
#include "models/pc/pc.h"

#include <string.h>

#define PORT_CHANNEL_0 0x40
#define PORT_CONTROL   0x43
#define PORT_GATE      0x61

#define CHANNELS 3
#define PIT_IRQ  0

/* Control word. Datasheet, "Control Word Format", "Read-Back Command". */
#define CONTROL_READ_BACK   3 /* as the channel, bits 7:6 */
#define READ_BACK_NO_COUNT  0x20
#define READ_BACK_NO_STATUS 0x10

enum access { ACCESS_LATCH, ACCESS_LOW, ACCESS_HIGH, ACCESS_LOW_HIGH };

/* Port 0x61. Intel 8 Series PCH datasheet, "NMI Status and Control Register". */
#define GATE_CHANNEL_2 0x01
#define GATE_SPEAKER   0x02
#define GATE_REFRESH   0x10
#define GATE_OUTPUT_2  0x20
#define GATE_WRITABLE  0x0f
/* The refresh bit toggles each 15 us. */
#define REFRESH_TICKS 18

#define TIMER_IRQ 0

struct channel {
    uint64_t start_tick; /* when the count began */
    uint64_t held_ticks; /* counted until the gate fell, while it is low */
    uint32_t count;      /* 1 to 65536; 10000 at most in BCD */
    uint16_t latched_count;
    uint8_t latched_status;
    uint8_t count_is_latched, status_is_latched;
    uint8_t mode, access, bcd;
    uint8_t gate;
    uint8_t running; /* loaded, and triggered in the modes that wait for the gate */
    uint8_t loaded;  /* a count was written since the control word */
    uint8_t write_high_next, read_high_next;
    uint8_t write_low;
};

struct pit_state {
    struct channel channels[CHANNELS];
    uint8_t gate_port;
};

static struct pit_state *state_of(struct machine *m)
{
    return machine_model_state(m, &pit_model);
}

/* For when a count begins, and the next deadline. */
static uint64_t now_ticks(const struct machine *m)
{
    return pc_ns_to_ticks(clock_now_ns(m), PIT_HZ);
}

/* For what a count or an output is. */
static uint64_t read_ticks(struct machine *m)
{
    return pc_ns_to_ticks(clock_read_ns(m), PIT_HZ);
}

static bool is_periodic(const struct channel *c)
{
    return c->mode == 2 || c->mode == 3;
}

/* Modes 1 and 5 wait for a rising gate, and ignore a low one. */
static bool is_triggered(const struct channel *c)
{
    return c->mode == 1 || c->mode == 5;
}

static uint64_t elapsed(const struct channel *c, uint64_t now)
{
    if (!c->running)
        return 0;
    return c->gate || is_triggered(c) ? now - c->start_tick : c->held_ticks;
}

/* The counting element. Datasheet, "Mode Definitions". */
static uint16_t current_count(const struct channel *c, uint64_t now)
{
    uint64_t ticks = elapsed(c, now), wrap = c->bcd ? 10000 : 65536;
    uint64_t value;

    if (c->mode == 2)
        value = c->count - ticks % c->count;
    else if (c->mode == 3)
        value = c->count - 2 * ticks % c->count;
    else /* counts on below zero after the end */
        value = (c->count + wrap - ticks % wrap) % wrap;
    value %= wrap;
    if (c->bcd)
        value = value / 1000 << 12 | value / 100 % 10 << 8 | value / 10 % 10 << 4 | value % 10;
    return (uint16_t)value;
}

static bool output(const struct channel *c, uint64_t now)
{
    uint64_t ticks = elapsed(c, now);

    switch (c->mode) {
    case 0:
        return c->running && ticks >= c->count;
    case 1:
        return !c->running || ticks >= c->count;
    case 2: /* low for the last tick of each period */
        return !c->running || !c->gate || ticks % c->count != c->count - 1u;
    case 3:
        return !c->running || !c->gate || ticks % c->count < (c->count + 1u) / 2;
    default: /* 4 and 5: low for one tick at the end */
        return !c->running || ticks != c->count;
    }
}

/* Arm the timer of channel 0 for its next rising output after `now`. */
static void arm(struct machine *m, uint64_t now)
{
    const struct channel *c = &state_of(m)->channels[0];
    uint64_t ticks = now - c->start_tick, period = c->count, minimum = pc_ns_to_ticks(PC_PERIOD_MIN_NS, PIT_HZ) + 1;

    timer_disarm(m, &pit_model, TIMER_IRQ, 0);
    if (!c->running || is_triggered(c))
        return;
    if (is_periodic(c)) {
        if (period < minimum)
            period *= (minimum + period - 1) / period;
        ticks = (ticks / period + 1) * period;
    } else if (c->mode == 0 ? ticks < c->count : ticks < c->count + 1u) {
        ticks = c->count + (c->mode == 4);
    } else {
        return;
    }
    timer_arm(m, &pit_model, TIMER_IRQ, 0, pc_ticks_to_ns(c->start_tick + ticks, PIT_HZ));
}

static void pit_timer_expired(struct machine *m, unsigned kind, unsigned vcpu)
{
    irq_pulse(m, PIT_IRQ);
    arm(m, now_ticks(m));
}

/* ---- programming ---- */

static uint32_t decode_count(const struct channel *c, uint16_t written)
{
    uint32_t count = written;

    if (c->bcd)
        count = (written >> 12) * 1000u + (written >> 8 & 0xf) * 100u + (written >> 4 & 0xf) * 10u + (written & 0xf);
    return count ? count : c->bcd ? 10000 : 65536;
}

/* A count takes effect at once, in all modes, as in Xen; the 8254 waits for the next clock, or the end of the period.
 */
static void load(struct machine *m, unsigned index, uint16_t written)
{
    struct channel *c = &state_of(m)->channels[index];

    c->count = decode_count(c, written);
    c->loaded = 1;
    if (is_triggered(c))
        return;
    c->start_tick = now_ticks(m);
    c->held_ticks = 0;
    c->running = 1;
    if (index != 0)
        return;
    if (c->mode == 0)
        irq_set_level(m, PIT_IRQ, false);
    arm(m, c->start_tick);
}

static void write_count(struct machine *m, unsigned index, uint8_t value)
{
    struct channel *c = &state_of(m)->channels[index];

    switch ((enum access)c->access) {
    case ACCESS_LOW:
        load(m, index, value);
        break;
    case ACCESS_HIGH:
        load(m, index, (uint16_t)(value << 8));
        break;
    default:
        if (c->write_high_next) {
            load(m, index, (uint16_t)(value << 8 | c->write_low));
        } else {
            c->write_low = value;
            if (c->mode == 0) /* the first byte stops the counting */
                c->running = 0;
        }
        c->write_high_next = !c->write_high_next;
        break;
    }
}

static void latch_count(struct channel *c, uint64_t now)
{
    if (c->count_is_latched)
        return; /* until it is read */
    c->latched_count = current_count(c, now);
    c->count_is_latched = 1;
    c->read_high_next = 0;
}

static void latch_status(struct channel *c, uint64_t now)
{
    if (c->status_is_latched)
        return;
    c->latched_status = (uint8_t)(output(c, now) << 7 | !c->loaded << 6 | c->access << 4 | c->mode << 1 | c->bcd);
    c->status_is_latched = 1;
}

static void write_control(struct machine *m, uint8_t value)
{
    struct pit_state *s = state_of(m);
    unsigned index = value >> 6;
    struct channel *c;
    uint32_t count;
    uint8_t gate;

    if (index == CONTROL_READ_BACK) {
        uint64_t now = read_ticks(m);

        for (unsigned i = 0; i < CHANNELS; i++) {
            if (!(value >> (i + 1) & 1))
                continue;
            if (!(value & READ_BACK_NO_COUNT))
                latch_count(&s->channels[i], now);
            if (!(value & READ_BACK_NO_STATUS))
                latch_status(&s->channels[i], now);
        }
        return;
    }
    c = &s->channels[index];
    if ((value >> 4 & 3) == ACCESS_LATCH) {
        latch_count(c, read_ticks(m));
        return;
    }
    count = c->count;
    gate = c->gate;
    memset(c, 0, sizeof(*c));
    c->count = count;
    c->gate = gate;
    c->access = value >> 4 & 3;
    c->mode = value >> 1 & 7;
    if (c->mode > 5) /* bit 2 doesn't matter in modes 2 and 3 */
        c->mode -= 4;
    c->bcd = value & 1;
    if (index == 0) {
        timer_disarm(m, &pit_model, TIMER_IRQ, 0);
        if (c->mode == 0)
            irq_set_level(m, PIT_IRQ, false);
    }
}

static uint8_t read_channel(struct machine *m, unsigned index)
{
    struct channel *c = &state_of(m)->channels[index];
    uint16_t count;
    bool high;

    if (c->status_is_latched) {
        c->status_is_latched = 0;
        return c->latched_status;
    }
    count = c->count_is_latched ? c->latched_count : current_count(c, read_ticks(m));
    if (c->access == ACCESS_LOW_HIGH) {
        high = c->read_high_next;
        c->read_high_next = !high;
        if (high)
            c->count_is_latched = 0;
    } else {
        high = c->access == ACCESS_HIGH;
        c->count_is_latched = 0;
    }
    return (uint8_t)(high ? count >> 8 : count);
}

/* Datasheet, "Gate Pin Operations Summary". */
static void set_gate_2(struct machine *m, bool level)
{
    struct channel *c = &state_of(m)->channels[2];
    uint64_t now;

    if (level == (bool)c->gate)
        return;
    now = read_ticks(m); /* what is counted is held, or goes on from what was */
    if (!level)
        c->held_ticks = elapsed(c, now);
    c->gate = level;
    if (!level || !c->loaded)
        return;
    if (is_triggered(c) || is_periodic(c)) {
        c->start_tick = now;
        c->running = 1;
    } else {
        c->start_tick = now - c->held_ticks;
    }
}

static uint8_t read_gate_port(struct machine *m)
{
    const struct pit_state *s = state_of(m);
    uint64_t now = read_ticks(m);

    return (uint8_t)(s->gate_port | (now / REFRESH_TICKS & 1 ? GATE_REFRESH : 0) |
                     (output(&s->channels[2], now) ? GATE_OUTPUT_2 : 0));
}

static bool is_mine(const struct machine *m, uint16_t port, unsigned bytes)
{
    return ((port >= PORT_CHANNEL_0 && port <= PORT_CONTROL) || port == PORT_GATE) && bytes == 1 && pc_is_present(m);
}

static enum model_answer pit_port_read(struct machine *m, unsigned vcpu, uint16_t port, unsigned bytes, uint32_t *value)
{
    if (!is_mine(m, port, bytes))
        return MODEL_NOT_MINE;
    if (port == PORT_GATE)
        *value = read_gate_port(m);
    else /* the control word can't be read: nothing drives the bus */
        *value = port == PORT_CONTROL ? 0xff : read_channel(m, port - PORT_CHANNEL_0);
    return MODEL_DONE;
}

static enum model_answer pit_port_write(struct machine *m, unsigned vcpu, uint16_t port, unsigned bytes, uint32_t value)
{
    if (!is_mine(m, port, bytes))
        return MODEL_NOT_MINE;
    if (port == PORT_GATE) {
        state_of(m)->gate_port = value & GATE_WRITABLE;
        set_gate_2(m, value & GATE_CHANNEL_2);
    } else if (port == PORT_CONTROL) {
        write_control(m, (uint8_t)value);
    } else {
        write_count(m, port - PORT_CHANNEL_0, (uint8_t)value);
    }
    return MODEL_DONE;
}

/* All channels stand still until they are programmed; Xen starts them in mode 3 but without an interrupt. */
static enum emu_err pit_init(struct machine *m, struct diag *d)
{
    struct pit_state *s = state_of(m);

    for (unsigned i = 0; i < CHANNELS; i++) {
        s->channels[i].mode = 3;
        s->channels[i].access = ACCESS_LOW_HIGH;
        s->channels[i].count = 65536;
        s->channels[i].gate = i != 2;
    }
    return EMU_OK;
}

static bool channel_is_sound(const struct channel *c, uint64_t now)
{
    return c->start_tick <= now && c->held_ticks <= now && c->count >= 1 && c->count <= 65536 && c->mode <= 5 &&
           c->access >= ACCESS_LOW && c->access <= ACCESS_LOW_HIGH &&
           (c->count_is_latched | c->status_is_latched | c->bcd | c->gate | c->running | c->loaded |
            c->write_high_next | c->read_high_next) <= 1;
}

static bool pit_is_sound(struct machine *m)
{
    const struct pit_state *s = state_of(m);
    uint64_t now = now_ticks(m);

    for (unsigned i = 0; i < CHANNELS; i++)
        if (!channel_is_sound(&s->channels[i], now))
            return false;
    return !(s->gate_port & ~GATE_WRITABLE);
}

const struct model pit_model = {
    .name = "pit",
    .state_bytes = sizeof(struct pit_state),
    .is_sound = pit_is_sound,
    .init = pit_init,
    .port_read = pit_port_read,
    .port_write = pit_port_write,
    .timer_expired = pit_timer_expired,
};
