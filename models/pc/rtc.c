/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/pc/rtc.h"

#include "emu/timer.h"
#include "models/pc/irq.h"
#include "models/pc/pc.h"

#include <string.h>

#define PORT_INDEX 0x70
#define PORT_DATA  0x71
#define RTC_IRQ    8

#define CMOS_BYTES 128
#define INDEX_MASK 0x7f /* bit 7 masks NMI on a PC; not modelled, as in Xen */

enum {
    REG_SECONDS = 0x00,
    REG_SECONDS_ALARM = 0x01,
    REG_MINUTES = 0x02,
    REG_MINUTES_ALARM = 0x03,
    REG_HOURS = 0x04,
    REG_HOURS_ALARM = 0x05,
    REG_WEEKDAY = 0x06,
    REG_DAY = 0x07,
    REG_MONTH = 0x08,
    REG_YEAR = 0x09,
    REG_A = 0x0a,
    REG_B = 0x0b,
    REG_C = 0x0c,
    REG_D = 0x0d,
    REG_BASE_KIB = 0x15,     /* 16 bits */
    REG_EXTENDED_KIB = 0x17, /* above 1 MiB, 16 bits; also at 0x30 */
    REG_EXTENDED_KIB_2 = 0x30,
    REG_CENTURY = 0x32,
    REG_ABOVE_16M = 0x34, /* in units of 64 KiB, 16 bits */
};

#define A_UPDATING 0x80
#define A_RATE     0x0f

#define B_SET         0x80
#define B_PERIODIC    0x40
#define B_ALARM       0x20
#define B_UPDATE      0x10
#define B_SQUARE_WAVE 0x08
#define B_BINARY      0x04
#define B_24_HOURS    0x02

#define C_IRQ      0x80
#define C_PERIODIC 0x40
#define C_ALARM    0x20
#define C_UPDATE   0x10

#define D_VALID 0x80

#define ALARM_ANY 0xc0 /* both high bits set: matches everything */

#define RTC_HZ 32768u
/* The update-in-progress bit rises 244 us before the update cycle of 1984 us. */
#define UPDATE_NS 2228000u

#define DAY_S 86400u

enum { TIMER_PERIODIC, TIMER_SECOND };

struct rtc_state {
    int64_t offset_s;       /* what the guest's own setting adds to the wall clock */
    uint64_t seen_ns;       /* up to here flags A and U are set in REG_C */
    uint64_t periodic_seen; /* periods up to here have set flag P */
    uint64_t set_at_s;      /* the time shown while B_SET is on */
    uint8_t index;
    uint8_t cmos[CMOS_BYTES];
};

struct calendar {
    int64_t year;
    unsigned month, day, hours, minutes, seconds, weekday; /* month and day from 1, weekday from 0 = Sunday */
};

static struct rtc_state *state_of(struct machine *m)
{
    return machine_model_state(m, &rtc_model);
}

/* ---- calendar: the proleptic Gregorian one, by 400-year cycles that begin on 1 March ---- */

#define DAYS_400_YEARS 146097
#define DAYS_TO_1970   719468 /* from 1 March of year 0 */

static int64_t days_of(int64_t year, unsigned month, unsigned day)
{
    int64_t y = month <= 2 ? year - 1 : year, cycle = y / 400, in_cycle = y % 400;
    unsigned from_march = (month + 9) % 12;

    return cycle * DAYS_400_YEARS + in_cycle * 365 + in_cycle / 4 - in_cycle / 100 + (153 * from_march + 2) / 5 + day -
           1 - DAYS_TO_1970;
}

static struct calendar calendar_of(uint64_t time_s)
{
    int64_t days = (int64_t)(time_s / DAY_S) + DAYS_TO_1970, cycle = days / DAYS_400_YEARS;
    unsigned rest = (unsigned)(days % DAYS_400_YEARS), second = (unsigned)(time_s % DAY_S);
    unsigned year = (rest - rest / 1460 + rest / 36524 - rest / 146096) / 365;
    unsigned day = rest - (365 * year + year / 4 - year / 100), from_march = (5 * day + 2) / 153;
    struct calendar c = {.hours = second / 3600,
                         .minutes = second / 60 % 60,
                         .seconds = second % 60,
                         .weekday = (unsigned)((time_s / DAY_S + 4) % 7),
                         .day = day - (153 * from_march + 2) / 5 + 1,
                         .month = (from_march + 2) % 12 + 1};

    c.year = cycle * 400 + year + (c.month <= 2);
    return c;
}

/* What the guest wrote may be no date at all; each field is limited to where the calendar is defined. */
static uint64_t time_of(const struct calendar *c)
{
    unsigned month = c->month < 1 ? 1 : c->month > 12 ? 12 : c->month;
    int64_t days = days_of(c->year, month, c->day);
    int64_t s = days * (int64_t)DAY_S + c->hours * 3600 + c->minutes * 60 + c->seconds;

    return s < 0 ? 0 : (uint64_t)s;
}

/* ---- time and its registers ---- */

static uint64_t running_time_at(struct machine *m, uint64_t now_ns)
{
    int64_t s = (int64_t)(platform_wallclock_s(m) + now_ns / NS_PER_S) + state_of(m)->offset_s;

    return s < 0 ? 0 : (uint64_t)s;
}

static uint64_t running_time_s(struct machine *m)
{
    return running_time_at(m, clock_read_ns(m));
}

static uint64_t shown_time_s(struct machine *m)
{
    const struct rtc_state *s = state_of(m);

    return s->cmos[REG_B] & B_SET ? s->set_at_s : running_time_s(m);
}

static uint8_t encode(const struct rtc_state *s, unsigned value)
{
    return (uint8_t)(s->cmos[REG_B] & B_BINARY ? value : value / 10 << 4 | value % 10);
}

static unsigned decode(const struct rtc_state *s, uint8_t byte)
{
    return s->cmos[REG_B] & B_BINARY ? byte : (byte >> 4) * 10u + (byte & 0xf);
}

static uint8_t encode_hours(const struct rtc_state *s, unsigned hours)
{
    if (s->cmos[REG_B] & B_24_HOURS)
        return encode(s, hours);
    return encode(s, hours % 12 ? hours % 12 : 12) | (hours >= 12 ? 0x80 : 0);
}

static unsigned decode_hours(const struct rtc_state *s, uint8_t byte)
{
    if (s->cmos[REG_B] & B_24_HOURS)
        return decode(s, byte);
    return decode(s, byte & 0x7f) % 12 + (byte & 0x80 ? 12 : 0);
}

static uint8_t read_time(struct machine *m, uint8_t reg)
{
    const struct rtc_state *s = state_of(m);
    struct calendar c = calendar_of(shown_time_s(m));

    switch (reg) {
    case REG_SECONDS:
        return encode(s, c.seconds);
    case REG_MINUTES:
        return encode(s, c.minutes);
    case REG_HOURS:
        return encode_hours(s, c.hours);
    case REG_WEEKDAY:
        return encode(s, c.weekday + 1);
    case REG_DAY:
        return encode(s, c.day);
    case REG_MONTH:
        return encode(s, c.month);
    case REG_YEAR:
        return encode(s, (unsigned)(c.year % 100));
    default: /* REG_CENTURY */
        return encode(s, (unsigned)(c.year / 100));
    }
}

static void write_time(struct machine *m, uint8_t reg, uint8_t byte)
{
    struct rtc_state *s = state_of(m);
    struct calendar c = calendar_of(shown_time_s(m));
    uint64_t time_s;

    switch (reg) {
    case REG_SECONDS:
        c.seconds = decode(s, byte);
        break;
    case REG_MINUTES:
        c.minutes = decode(s, byte);
        break;
    case REG_HOURS:
        c.hours = decode_hours(s, byte);
        break;
    case REG_DAY:
        c.day = decode(s, byte);
        break;
    case REG_MONTH:
        c.month = decode(s, byte);
        break;
    case REG_YEAR:
        c.year = c.year / 100 * 100 + decode(s, byte) % 100;
        break;
    case REG_CENTURY:
        c.year = decode(s, byte) * 100 + c.year % 100;
        break;
    default: /* the weekday follows from the date */
        return;
    }
    time_s = time_of(&c);
    if (s->cmos[REG_B] & B_SET)
        s->set_at_s = time_s;
    else
        s->offset_s += (int64_t)(time_s - running_time_s(m));
}

static bool is_time(uint8_t reg)
{
    return reg == REG_SECONDS || reg == REG_MINUTES || reg == REG_HOURS || (reg >= REG_WEEKDAY && reg <= REG_YEAR) ||
           reg == REG_CENTURY;
}

/* ---- interrupts ---- */

/* Periods in ticks of the 32768 Hz clock; rates 1 and 2 are those of 8 and 9. 0 for none. */
static unsigned periodic_ticks(const struct rtc_state *s)
{
    unsigned rate = s->cmos[REG_A] & A_RATE;

    if (rate == 0)
        return 0;
    return 1u << ((rate <= 2 ? rate + 7 : rate) - 1);
}

static bool alarm_matches(const struct rtc_state *s, unsigned second_of_day)
{
    uint8_t seconds = s->cmos[REG_SECONDS_ALARM], minutes = s->cmos[REG_MINUTES_ALARM],
            hours = s->cmos[REG_HOURS_ALARM];

    return ((seconds & ALARM_ANY) == ALARM_ANY || decode(s, seconds) == second_of_day % 60) &&
           ((minutes & ALARM_ANY) == ALARM_ANY || decode(s, minutes) == second_of_day / 60 % 60) &&
           ((hours & ALARM_ANY) == ALARM_ANY || decode_hours(s, hours) == second_of_day / 3600);
}

/* Set the flags of what has happened since they were last brought up to date, and drive the line. */
static void update(struct machine *m, uint64_t now_ns)
{
    struct rtc_state *s = state_of(m);
    uint64_t seconds = now_ns / NS_PER_S - s->seen_ns / NS_PER_S, now_s = running_time_at(m, now_ns);
    unsigned ticks = periodic_ticks(s);
    uint64_t periods = ticks ? pc_ns_to_ticks(now_ns, RTC_HZ) / ticks : 0;
    uint8_t flags = s->cmos[REG_C] & ~C_IRQ;

    if (ticks && periods != s->periodic_seen)
        flags |= C_PERIODIC;
    s->periodic_seen = periods;
    if (seconds && !(s->cmos[REG_B] & B_SET)) {
        flags |= C_UPDATE;
        for (uint64_t i = 0; i < seconds && i < DAY_S && !(flags & C_ALARM); i++)
            if (alarm_matches(s, (unsigned)((now_s + DAY_S - i) % DAY_S)))
                flags |= C_ALARM;
    }
    s->seen_ns = now_ns;
    if (flags & s->cmos[REG_B] & (C_PERIODIC | C_ALARM | C_UPDATE))
        flags |= C_IRQ;
    s->cmos[REG_C] = flags;
    irq_set_level(m, RTC_IRQ, flags & C_IRQ);
}

/* Arm what may interrupt next. */
static void arm(struct machine *m)
{
    const struct rtc_state *s = state_of(m);
    uint64_t now_ns = clock_now_ns(m);
    unsigned ticks = periodic_ticks(s);

    if ((s->cmos[REG_B] & B_PERIODIC) && ticks)
        timer_arm(m, &rtc_model, TIMER_PERIODIC, 0,
                  pc_ticks_to_ns((pc_ns_to_ticks(now_ns, RTC_HZ) / ticks + 1) * ticks, RTC_HZ));
    else
        timer_disarm(m, &rtc_model, TIMER_PERIODIC, 0);
    if ((s->cmos[REG_B] & (B_ALARM | B_UPDATE)) && !(s->cmos[REG_B] & B_SET))
        timer_arm(m, &rtc_model, TIMER_SECOND, 0, (now_ns / NS_PER_S + 1) * NS_PER_S);
    else
        timer_disarm(m, &rtc_model, TIMER_SECOND, 0);
}

/* Whether the next second matters by its date: an alarm is waited for. */
static bool alarm_is_awaited(const struct rtc_state *s)
{
    return (s->cmos[REG_B] & B_ALARM) && !(s->cmos[REG_B] & B_SET) && !(s->cmos[REG_C] & C_ALARM);
}

static void rtc_timer_expired(struct machine *m, unsigned kind, unsigned vcpu)
{
    update(m, alarm_is_awaited(state_of(m)) ? clock_read_ns(m) : clock_now_ns(m));
    arm(m);
}

/* ---- ports ---- */

static uint8_t read_reg(struct machine *m, uint8_t reg)
{
    struct rtc_state *s = state_of(m);
    uint8_t value;

    if (is_time(reg))
        return read_time(m, reg);
    switch (reg) {
    case REG_A:
        value = s->cmos[REG_A];
        if (!(s->cmos[REG_B] & B_SET) && clock_read_ns(m) % NS_PER_S >= NS_PER_S - UPDATE_NS)
            value |= A_UPDATING;
        return value;
    case REG_C: /* reading acknowledges */
        update(m, clock_read_ns(m));
        value = s->cmos[REG_C];
        s->cmos[REG_C] = 0;
        update(m, s->seen_ns);
        return value;
    case REG_D:
        return D_VALID;
    default:
        return s->cmos[reg];
    }
}

/* Setting stops the clock at what it shows; the end of it starts it from what was set. */
static void write_b(struct machine *m, uint8_t value)
{
    struct rtc_state *s = state_of(m);
    bool was_set = s->cmos[REG_B] & B_SET;

    if (!was_set && (value & B_SET)) {
        s->set_at_s = running_time_s(m);
        value &= (uint8_t)~B_UPDATE; /* datasheet: SET clears UIE */
    } else if (was_set && !(value & B_SET)) {
        s->offset_s += (int64_t)(s->set_at_s - running_time_s(m));
    }
    s->cmos[REG_B] = value;
}

static void write_reg(struct machine *m, uint8_t reg, uint8_t value)
{
    struct rtc_state *s = state_of(m);
    uint64_t now_ns = clock_read_ns(m);

    update(m, now_ns); /* what happened until now happened under the old settings */
    if (is_time(reg)) {
        write_time(m, reg, value);
    } else {
        switch (reg) {
        case REG_A:
            s->cmos[REG_A] = value & (uint8_t)~A_UPDATING;
            s->periodic_seen = periodic_ticks(s) ? pc_ns_to_ticks(now_ns, RTC_HZ) / periodic_ticks(s) : 0;
            break;
        case REG_B:
            write_b(m, value);
            break;
        case REG_C:
        case REG_D:
            break; /* read-only */
        default:
            s->cmos[reg] = value;
            break;
        }
    }
    update(m, now_ns);
    arm(m);
}

static bool is_mine(const struct machine *m, uint16_t port, unsigned bytes)
{
    return (port == PORT_INDEX || port == PORT_DATA) && bytes == 1 && pc_is_present(m);
}

static enum model_answer rtc_port_read(struct machine *m, unsigned vcpu, uint16_t port, unsigned bytes, uint32_t *value)
{
    if (!is_mine(m, port, bytes))
        return MODEL_NOT_MINE;
    *value = port == PORT_INDEX ? 0xff : read_reg(m, state_of(m)->index); /* the index can't be read back */
    return MODEL_DONE;
}

static enum model_answer rtc_port_write(struct machine *m, unsigned vcpu, uint16_t port, unsigned bytes, uint32_t value)
{
    if (!is_mine(m, port, bytes))
        return MODEL_NOT_MINE;
    if (port == PORT_INDEX)
        state_of(m)->index = value & INDEX_MASK;
    else
        write_reg(m, state_of(m)->index, (uint8_t)value);
    return MODEL_DONE;
}

static void set_16(uint8_t *cmos, unsigned reg, uint64_t value)
{
    if (value > UINT16_MAX)
        value = UINT16_MAX;
    cmos[reg] = (uint8_t)value;
    cmos[reg + 1] = (uint8_t)(value >> 8);
}

/* 32768 Hz and 1024 Hz periodic rate, 24 hours, BCD, memory sizes: as a PC's firmware leaves it. */
static enum emu_err rtc_init(struct machine *m, struct diag *d)
{
    struct rtc_state *s = state_of(m);
    uint64_t ram = machine_config(m)->ram_bytes, low = ram < MEMORY_LOW_RAM_END_GPA ? ram : MEMORY_LOW_RAM_END_GPA;
    uint64_t extended_kib = low > (1u << 20) ? (low >> 10) - 1024 : 0;

    s->cmos[REG_A] = 0x26;
    s->cmos[REG_B] = B_24_HOURS;
    set_16(s->cmos, REG_BASE_KIB, 640);
    set_16(s->cmos, REG_EXTENDED_KIB, extended_kib);
    set_16(s->cmos, REG_EXTENDED_KIB_2, extended_kib);
    set_16(s->cmos, REG_ABOVE_16M, low > (16u << 20) ? (low - (16u << 20)) >> 16 : 0);
    return EMU_OK;
}

/* The calendar's arithmetic holds far beyond TIME_S_MAX, which is far beyond what its registers can be set to. */
#define TIME_S_MAX (1ll << 42)

static bool rtc_is_sound(struct machine *m)
{
    const struct rtc_state *s = state_of(m);
    uint64_t limit_s = TIME_S_MAX + platform_wallclock_s(m) + clock_now_ns(m) / NS_PER_S;

    return s->offset_s >= -(int64_t)limit_s && s->offset_s <= TIME_S_MAX && s->set_at_s <= limit_s &&
           s->seen_ns <= clock_now_ns(m) && s->index < CMOS_BYTES && !(s->cmos[REG_A] & A_UPDATING) &&
           !(s->cmos[REG_C] & ~(C_IRQ | C_PERIODIC | C_ALARM | C_UPDATE));
}

const struct model rtc_model = {
    .name = "rtc",
    .state_bytes = sizeof(struct rtc_state),
    .is_sound = rtc_is_sound,
    .init = rtc_init,
    .port_read = rtc_port_read,
    .port_write = rtc_port_write,
    .timer_expired = rtc_timer_expired,
};
