/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/pc/serial.h"

#include "emu/timer.h"
#include "models/pc/irq.h"
#include "models/pc/pc.h"

#define PORT_FIRST 0x3f8
#define PORT_LAST  0x3ff
#define SERIAL_IRQ 4

/* Datasheet, "Summary of Registers". */
enum { REG_DATA, REG_IER, REG_IIR_FCR, REG_LCR, REG_MCR, REG_LSR, REG_MSR, REG_SCRATCH };

#define IER_RECEIVED 0x01
#define IER_SENT     0x02
#define IER_LINE     0x04
#define IER_MODEM    0x08
#define IER_WRITABLE 0x0f

#define IIR_NONE     0x01
#define IIR_MODEM    0x00
#define IIR_SENT     0x02
#define IIR_RECEIVED 0x04
#define IIR_LINE     0x06
#define IIR_TIMEOUT  0x0c
#define IIR_FIFOS    0xc0

#define FCR_ENABLE  0x01
#define FCR_CLEAR   0x02 /* the receiver's; the transmitter's is always empty */
#define LCR_DIVISOR 0x80

#define MCR_DTR      0x01
#define MCR_RTS      0x02
#define MCR_OUT1     0x04
#define MCR_OUT2     0x08 /* lets the interrupt out, on a PC */
#define MCR_LOOP     0x10
#define MCR_WRITABLE 0x1f

#define LSR_READY   0x01
#define LSR_OVERRUN 0x02
#define LSR_EMPTY   0x60 /* holding register and shift register */

#define MSR_DELTA_RING 0x04
#define MSR_RING       0x40
/* The other end is there: clear to send, data set ready, carrier. */
#define MSR_CONNECTED 0xb0

#define FIFO_BYTES 16
#define INPUT_HZ   1843200u
/* A character that stays this long below the trigger level is announced: four character times of ten bits. */
#define TIMEOUT_BITS 40

#define TIMER_TIMEOUT 0

struct serial_state {
    uint8_t fifo[FIFO_BYTES];
    uint8_t used, fifo_enabled, trigger, overrun, timed_out;
    uint8_t ier, lcr, mcr, scratch;
    uint8_t modem, modem_delta; /* MSR bits 7:4 and 3:0 */
    uint8_t sent_pending;       /* the transmitter became empty and nobody was told yet */
    uint16_t divisor;
};

static struct serial_state *state_of(struct machine *m)
{
    return machine_model_state(m, &serial_model);
}

/* The interrupt of the highest priority. Datasheet, "Interrupt Control Functions". */
static uint8_t interrupt_id(const struct serial_state *s)
{
    if ((s->ier & IER_LINE) && s->overrun)
        return IIR_LINE;
    if ((s->ier & IER_RECEIVED) && s->used >= (s->fifo_enabled ? s->trigger : 1))
        return IIR_RECEIVED;
    if ((s->ier & IER_RECEIVED) && s->timed_out)
        return IIR_TIMEOUT;
    if ((s->ier & IER_SENT) && s->sent_pending)
        return IIR_SENT;
    if ((s->ier & IER_MODEM) && s->modem_delta)
        return IIR_MODEM;
    return IIR_NONE;
}

static void update(struct machine *m)
{
    const struct serial_state *s = state_of(m);

    irq_set_level(m, SERIAL_IRQ, interrupt_id(s) != IIR_NONE && (s->mcr & MCR_OUT2) && !(s->mcr & MCR_LOOP));
}

static uint64_t timeout_ns(const struct serial_state *s)
{
    uint64_t divisor = s->divisor ? s->divisor : 65536;

    return pc_ticks_to_ns(TIMEOUT_BITS * 16 * divisor, INPUT_HZ);
}

static void start_timeout(struct machine *m)
{
    const struct serial_state *s = state_of(m);

    if (s->fifo_enabled && s->used)
        timer_arm(m, &serial_model, TIMER_TIMEOUT, 0, clock_now_ns(m) + timeout_ns(s));
    else
        timer_disarm(m, &serial_model, TIMER_TIMEOUT, 0);
}

static void serial_timer_expired(struct machine *m, unsigned kind, unsigned vcpu)
{
    state_of(m)->timed_out = 1;
    update(m);
}

void serial_receive(struct machine *m, uint8_t byte)
{
    struct serial_state *s = state_of(m);

    if (s->used < (s->fifo_enabled ? FIFO_BYTES : 1)) {
        s->fifo[s->used++] = byte;
    } else {
        s->overrun = 1;
        if (!s->fifo_enabled)
            s->fifo[0] = byte; /* the register is overwritten; a full FIFO loses the new byte */
    }
    s->timed_out = 0;
    start_timeout(m);
    update(m);
}

static uint8_t read_data(struct machine *m)
{
    struct serial_state *s = state_of(m);
    uint8_t byte = s->fifo[0];

    if (s->used) {
        s->used--;
        for (unsigned i = 0; i < s->used; i++)
            s->fifo[i] = s->fifo[i + 1];
    }
    s->timed_out = 0;
    start_timeout(m);
    return byte;
}

static void write_data(struct machine *m, uint8_t byte)
{
    struct serial_state *s = state_of(m);

    s->sent_pending = 0;
    update(m);
    if (s->mcr & MCR_LOOP)
        serial_receive(m, byte);
    else
        machine_console(m, byte);
    s->sent_pending = 1; /* a new edge: it is empty again */
}

static void write_fcr(struct machine *m, uint8_t value)
{
    static const uint8_t triggers[4] = {1, 4, 8, 14};
    struct serial_state *s = state_of(m);
    bool enable = value & FCR_ENABLE;

    if (enable != (bool)s->fifo_enabled || (value & FCR_CLEAR))
        s->used = s->timed_out = 0;
    s->fifo_enabled = enable;
    s->trigger = triggers[value >> 6];
    start_timeout(m);
}

/* Datasheet, "Modem Control Register": in loop-back the outputs are the inputs. */
static void write_mcr(struct serial_state *s, uint8_t value)
{
    uint8_t old = s->modem, modem = MSR_CONNECTED, changed;

    s->mcr = value & MCR_WRITABLE;
    if (s->mcr & MCR_LOOP)
        modem = (uint8_t)((s->mcr & MCR_RTS ? 0x10 : 0) | (s->mcr & MCR_DTR ? 0x20 : 0) |
                          (s->mcr & MCR_OUT1 ? 0x40 : 0) | (s->mcr & MCR_OUT2 ? 0x80 : 0));
    changed = (uint8_t)((old ^ modem) >> 4);
    if (!(old & MSR_RING) || (modem & MSR_RING)) /* only the end of a ring counts */
        changed &= (uint8_t)~MSR_DELTA_RING;
    s->modem = modem;
    s->modem_delta |= changed;
}

static uint8_t read_reg(struct machine *m, unsigned reg)
{
    struct serial_state *s = state_of(m);
    uint8_t value;

    switch (reg) {
    case REG_DATA:
        return s->lcr & LCR_DIVISOR ? (uint8_t)s->divisor : read_data(m);
    case REG_IER:
        return s->lcr & LCR_DIVISOR ? (uint8_t)(s->divisor >> 8) : s->ier;
    case REG_IIR_FCR:
        value = interrupt_id(s);
        if (value == IIR_SENT) /* reading it is the acknowledgement */
            s->sent_pending = 0;
        return value | (s->fifo_enabled ? IIR_FIFOS : 0);
    case REG_LCR:
        return s->lcr;
    case REG_MCR:
        return s->mcr;
    case REG_LSR:
        value = (uint8_t)(LSR_EMPTY | (s->used ? LSR_READY : 0) | (s->overrun ? LSR_OVERRUN : 0));
        s->overrun = 0;
        return value;
    case REG_MSR:
        value = s->modem | s->modem_delta;
        s->modem_delta = 0;
        return value;
    default:
        return s->scratch;
    }
}

static void write_reg(struct machine *m, unsigned reg, uint8_t value)
{
    struct serial_state *s = state_of(m);

    switch (reg) {
    case REG_DATA:
        if (s->lcr & LCR_DIVISOR)
            s->divisor = (uint16_t)((s->divisor & 0xff00) | value);
        else
            write_data(m, value);
        break;
    case REG_IER:
        if (s->lcr & LCR_DIVISOR) {
            s->divisor = (uint16_t)((s->divisor & 0xff) | value << 8);
            break;
        }
        /* Enabling the interrupt of an empty transmitter raises it. */
        if ((value & IER_SENT) && !(s->ier & IER_SENT))
            s->sent_pending = 1;
        s->ier = value & IER_WRITABLE;
        break;
    case REG_IIR_FCR:
        write_fcr(m, value);
        break;
    case REG_LCR:
        s->lcr = value;
        break;
    case REG_MCR:
        write_mcr(s, value);
        break;
    case REG_SCRATCH:
        s->scratch = value;
        break;
    default: /* the status registers are not for writing */
        break;
    }
}

static bool is_mine(const struct machine *m, uint16_t port, unsigned bytes)
{
    return port >= PORT_FIRST && port <= PORT_LAST && bytes == 1 && pc_is_present(m);
}

static enum model_answer serial_port_read(struct machine *m, unsigned vcpu, uint16_t port, unsigned bytes,
                                          uint32_t *value)
{
    if (!is_mine(m, port, bytes))
        return MODEL_NOT_MINE;
    *value = read_reg(m, port - PORT_FIRST);
    update(m);
    return MODEL_DONE;
}

static enum model_answer serial_port_write(struct machine *m, unsigned vcpu, uint16_t port, unsigned bytes,
                                           uint32_t value)
{
    if (!is_mine(m, port, bytes))
        return MODEL_NOT_MINE;
    write_reg(m, port - PORT_FIRST, (uint8_t)value);
    update(m);
    return MODEL_DONE;
}

static enum emu_err serial_init(struct machine *m, struct diag *d)
{
    struct serial_state *s = state_of(m);

    s->divisor = 12; /* 9600 baud */
    s->trigger = 1;
    s->modem = MSR_CONNECTED;
    return EMU_OK;
}

static bool serial_is_sound(struct machine *m)
{
    const struct serial_state *s = state_of(m);

    return s->used <= (s->fifo_enabled ? FIFO_BYTES : 1) &&
           (s->trigger == 1 || s->trigger == 4 || s->trigger == 8 || s->trigger == 14) &&
           (s->fifo_enabled | s->overrun | s->timed_out | s->sent_pending) <= 1 && !(s->ier & ~IER_WRITABLE) &&
           !(s->mcr & ~MCR_WRITABLE) && !(s->modem & 0x0f) && !(s->modem_delta & 0xf0);
}

const struct model serial_model = {
    .name = "serial",
    .state_bytes = sizeof(struct serial_state),
    .is_sound = serial_is_sound,
    .init = serial_init,
    .port_read = serial_port_read,
    .port_write = serial_port_write,
    .timer_expired = serial_timer_expired,
};
