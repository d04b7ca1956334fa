/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/pc/pic.h"

#include "emu/base/ensure.h"
#include "emu/vcpu.h"
#include "models/pc/bus.h"
#include "models/pc/pc.h"

/* Ports: command and data of each, and its edge/level register. */
#define MASTER_COMMAND 0x20
#define SLAVE_COMMAND  0xa0
#define MASTER_ELCR    0x4d0
#define SLAVE_ELCR     0x4d1

#define CASCADE_LINE 2

/* Lines that can't be level-triggered: 0 to 2 of the first, 8 and 13 of the second. */
static const uint8_t elcr_writable[2] = {0xf8, 0xde};

/* Datasheet, "Initialization Command Words" and "Operation Command Words". */
#define ICW1           0x10 /* D4 of a write to the command port */
#define ICW1_IC4       0x01
#define ICW1_SINGLE    0x02
#define ICW4_AUTO_EOI  0x02
#define ICW4_NESTED    0x10 /* special fully nested mode */
#define OCW3           0x08 /* D4 = 0, D3 = 1 */
#define OCW3_READ_ISR  0x01
#define OCW3_READ      0x02
#define OCW3_POLL      0x04
#define OCW3_SMM       0x20
#define OCW3_SMM_WRITE 0x40

enum { /* OCW2 bits 7:5: rotate, specific, end of interrupt */
       OCW2_ROTATE_AUTO_CLEAR = 0,
       OCW2_EOI = 1,
       OCW2_NOTHING = 2,
       OCW2_EOI_SPECIFIC = 3,
       OCW2_ROTATE_AUTO_SET = 4,
       OCW2_ROTATE_EOI = 5,
       OCW2_SET_PRIORITY = 6,
       OCW2_ROTATE_EOI_SPECIFIC = 7,
};

/* Which initialisation word the data port expects. */
enum init_step { INIT_DONE, INIT_ICW2, INIT_ICW3, INIT_ICW4 };

struct chip {
    uint8_t lines; /* levels of the inputs */
    uint8_t irr, isr, imr, elcr;
    uint8_t base;  /* ICW2: vector of input 0 */
    uint8_t first; /* the input with the highest priority */
    uint8_t init_step, init_single, init_icw4;
    uint8_t auto_eoi, rotate_on_auto_eoi, special_mask, nested;
    uint8_t read_isr, poll;
};

struct pic_state {
    struct chip chips[2];
    uint8_t output;
};

static struct pic_state *state_of(struct machine *m)
{
    return machine_model_state(m, &pic_model);
}

/* How far down the priority order the best of `inputs` stands, 8 if there is none. */
static unsigned priority(const struct chip *c, uint8_t inputs)
{
    for (unsigned i = 0; i < 8; i++)
        if (inputs >> ((c->first + i) & 7) & 1)
            return i;
    return 8;
}

/* Whether the input requests, is not masked, and comes before what is in service. Datasheet, "Fully Nested Mode",
   "Special Mask Mode", "The Special Fully Nested Mode": in the last one, the cascade input may request again while it
   is in service. */
static bool admits(const struct pic_state *s, unsigned chip, unsigned input)
{
    const struct chip *c = &s->chips[chip];
    unsigned rank = (input - c->first) & 7;
    unsigned limit = priority(c, c->special_mask ? c->isr & (uint8_t)~c->imr : c->isr);

    if (!((c->irr & (uint8_t)~c->imr) >> input & 1))
        return false;
    return rank < limit || (rank == limit && c->nested && chip == 0 && input == CASCADE_LINE);
}

/* The input to be served next, or -1. */
static int requested(const struct pic_state *s, unsigned chip)
{
    const struct chip *c = &s->chips[chip];
    unsigned best = priority(c, c->irr & (uint8_t)~c->imr);
    unsigned input = (c->first + best) & 7;

    return best < 8 && admits(s, chip, input) ? (int)input : -1;
}

static void set_input(struct chip *c, unsigned input, bool level)
{
    uint8_t bit = (uint8_t)(1u << input);

    /* An edge is remembered only while the line stays high; a level is the line itself. */
    if (level && (!(c->lines & bit) || (c->elcr & bit)))
        c->irr |= bit;
    else if (!level)
        c->irr &= (uint8_t)~bit;
    if (level)
        c->lines |= bit;
    else
        c->lines &= (uint8_t)~bit;
}

/* Carry the second chip's request to the first and the first's to the processor. */
static void update(struct machine *m)
{
    struct pic_state *s = state_of(m);
    bool output;

    set_input(&s->chips[0], CASCADE_LINE, requested(s, 1) >= 0);
    output = requested(s, 0) >= 0;
    if (output != (bool)s->output) {
        s->output = output;
        bus_set_pic_output(m, output);
    }
    vcpu_kick(m, 0);
}

void pic_set_line(struct machine *m, unsigned line, bool level)
{
    ensure(line < 16);
    if (line == CASCADE_LINE)
        return;
    set_input(&state_of(m)->chips[line / 8], line % 8, level);
    update(m);
}

/* Tried on a copy, so that nothing happens. */
bool pic_would_reach(struct machine *m, unsigned line)
{
    struct pic_state s = *state_of(m);
    unsigned chip = line / 8, input = line % 8;

    ensure(line < 16);
    if (line == CASCADE_LINE || s.chips[chip].irr >> input & 1)
        return false;
    set_input(&s.chips[chip], input, false);
    set_input(&s.chips[chip], input, true);
    set_input(&s.chips[0], CASCADE_LINE, requested(&s, 1) >= 0);
    if (!admits(&s, chip, input) || (chip == 1 && !admits(&s, 0, CASCADE_LINE)))
        return false;
    if (bus_accepts_extint(m))
        return vcpu_state(m, 0) != VCPU_OFFLINE;
    return !s.output && bus_pic_would_reach(m);
}

bool pic_output(struct machine *m)
{
    return state_of(m)->output;
}

static void acknowledge_input(struct pic_state *s, unsigned chip, unsigned input)
{
    struct chip *c = &s->chips[chip];
    uint8_t bit = (uint8_t)(1u << input);

    if (!(c->elcr & bit))
        c->irr &= (uint8_t)~bit;
    if (!c->auto_eoi)
        c->isr |= bit;
    else if (c->rotate_on_auto_eoi)
        c->first = (uint8_t)((input + 1) & 7);
    /* The second chip's output falls during the cycle, so that what it requests next is an edge again. */
    if (chip == 1)
        set_input(&s->chips[0], CASCADE_LINE, false);
}

/* Serve one chip: its input, or 7 if the request went away, which leaves no trace in its ISR. */
static unsigned serve(struct pic_state *s, unsigned chip)
{
    int input = requested(s, chip);

    if (input < 0)
        return 7;
    acknowledge_input(s, chip, (unsigned)input);
    return (unsigned)input;
}

uint8_t pic_acknowledge(struct machine *m)
{
    struct pic_state *s = state_of(m);
    unsigned input = serve(s, 0);
    uint8_t vector = (uint8_t)(s->chips[0].base + input);

    if (input == CASCADE_LINE)
        vector = (uint8_t)(s->chips[1].base + serve(s, 1));
    update(m);
    return vector;
}

/* ---- programming ---- */

static void end_of_interrupt(struct chip *c, unsigned input, bool rotate)
{
    c->isr &= (uint8_t)~(1u << input);
    if (rotate)
        c->first = (uint8_t)((input + 1) & 7);
}

/* Non-specific: the input in service with the highest priority. In special mask mode a masked one is not seen. */
static void end_of_highest(struct chip *c, bool rotate)
{
    unsigned p = priority(c, c->special_mask ? c->isr & (uint8_t)~c->imr : c->isr);

    if (p < 8)
        end_of_interrupt(c, (c->first + p) & 7, rotate);
}

static void write_ocw2(struct chip *c, uint8_t value)
{
    unsigned input = value & 7;

    switch (value >> 5) {
    case OCW2_ROTATE_AUTO_CLEAR:
    case OCW2_ROTATE_AUTO_SET:
        c->rotate_on_auto_eoi = value >> 7;
        break;
    case OCW2_EOI:
    case OCW2_ROTATE_EOI:
        end_of_highest(c, value >> 7);
        break;
    case OCW2_EOI_SPECIFIC:
    case OCW2_ROTATE_EOI_SPECIFIC:
        end_of_interrupt(c, input, value >> 7);
        break;
    case OCW2_SET_PRIORITY: /* the input named becomes the lowest */
        c->first = (uint8_t)((input + 1) & 7);
        break;
    default: /* OCW2_NOTHING */
        break;
    }
}

static void write_ocw3(struct chip *c, uint8_t value)
{
    if (value & OCW3_POLL)
        c->poll = 1;
    if (value & OCW3_READ)
        c->read_isr = value & OCW3_READ_ISR;
    if (value & OCW3_SMM_WRITE)
        c->special_mask = (value & OCW3_SMM) != 0;
}

/* ICW1 starts over: no mask, no request by edge, input 7 the lowest. The chipset ignores its level bit: the ELCR says.
 */
static void write_icw1(struct chip *c, uint8_t value)
{
    uint8_t lines = c->lines, elcr = c->elcr;

    *c = (struct chip){.lines = lines,
                       .elcr = elcr,
                       .irr = lines & elcr,
                       .init_step = INIT_ICW2,
                       .init_single = (value & ICW1_SINGLE) != 0,
                       .init_icw4 = (value & ICW1_IC4) != 0};
}

static void write_data(struct chip *c, uint8_t value)
{
    switch ((enum init_step)c->init_step) {
    case INIT_DONE:
        c->imr = value;
        break;
    case INIT_ICW2:
        c->base = value & 0xf8;
        c->init_step = !c->init_single ? INIT_ICW3 : c->init_icw4 ? INIT_ICW4 : INIT_DONE;
        break;
    case INIT_ICW3: /* the wiring of the cascade is fixed on a PC */
        c->init_step = c->init_icw4 ? INIT_ICW4 : INIT_DONE;
        break;
    case INIT_ICW4:
        c->auto_eoi = (value & ICW4_AUTO_EOI) != 0;
        c->nested = (value & ICW4_NESTED) != 0;
        c->init_step = INIT_DONE;
        break;
    }
}

static void write_command(struct chip *c, uint8_t value)
{
    if (value & ICW1)
        write_icw1(c, value);
    else if (value & OCW3)
        write_ocw3(c, value);
    else
        write_ocw2(c, value);
}

/* A poll command makes the next read of either port an acknowledge cycle. Datasheet, "Poll Command". */
static uint8_t read_poll(struct machine *m, unsigned chip)
{
    struct pic_state *s = state_of(m);
    int input = requested(s, chip);

    s->chips[chip].poll = 0;
    if (input < 0)
        return 0;
    acknowledge_input(s, chip, (unsigned)input);
    update(m);
    return (uint8_t)(0x80 | input);
}

/* Which chip and register a port is: 0 and 1 the two ports, 2 the edge/level register; -1 for another port. */
static int decode(uint16_t port, unsigned *chip)
{
    *chip = port >= SLAVE_COMMAND && port != MASTER_ELCR;
    switch (port) {
    case MASTER_COMMAND:
    case MASTER_COMMAND + 1:
    case SLAVE_COMMAND:
    case SLAVE_COMMAND + 1:
        return port & 1;
    case MASTER_ELCR:
    case SLAVE_ELCR:
        return 2;
    default:
        return -1;
    }
}

static enum model_answer pic_port_read(struct machine *m, unsigned vcpu, uint16_t port, unsigned bytes, uint32_t *value)
{
    unsigned chip;
    int reg = decode(port, &chip);
    const struct chip *c;

    if (reg < 0 || bytes != 1 || !pc_is_present(m))
        return MODEL_NOT_MINE;
    c = &state_of(m)->chips[chip];
    if (reg == 2)
        *value = c->elcr;
    else if (c->poll)
        *value = read_poll(m, chip);
    else if (reg == 1)
        *value = c->imr;
    else
        *value = c->read_isr ? c->isr : c->irr;
    return MODEL_DONE;
}

static enum model_answer pic_port_write(struct machine *m, unsigned vcpu, uint16_t port, unsigned bytes, uint32_t value)
{
    unsigned chip;
    int reg = decode(port, &chip);
    struct chip *c;

    if (reg < 0 || bytes != 1 || !pc_is_present(m))
        return MODEL_NOT_MINE;
    c = &state_of(m)->chips[chip];
    if (reg == 2) {
        c->elcr = (uint8_t)value & elcr_writable[chip];
        c->irr = (uint8_t)((c->irr & ~c->elcr) | (c->lines & c->elcr));
    } else if (reg == 1) {
        write_data(c, (uint8_t)value);
    } else {
        write_command(c, (uint8_t)value);
    }
    update(m);
    return MODEL_DONE;
}

static int pic_pending_vector(struct machine *m, unsigned vcpu)
{
    const struct pic_state *s = state_of(m);
    int input;

    if (vcpu != 0 || !s->output || !bus_accepts_extint(m))
        return MODEL_NO_VECTOR;
    input = requested(s, 0);
    if (input == CASCADE_LINE)
        return s->chips[1].base + requested(s, 1);
    return s->chips[0].base + input;
}

static void pic_accept_vector(struct machine *m, unsigned vcpu, int vector)
{
    (void)pic_acknowledge(m);
}

/* As a PC's firmware leaves them: vectors 8 and 0x70, all masked but the cascade. */
static enum emu_err pic_init(struct machine *m, struct diag *d)
{
    struct pic_state *s = state_of(m);

    s->chips[0].base = 0x08;
    s->chips[0].imr = 0xfb;
    s->chips[1].base = 0x70;
    s->chips[1].imr = 0xff;
    return EMU_OK;
}

static bool chip_is_sound(const struct chip *c, unsigned chip)
{
    return !(c->elcr & ~elcr_writable[chip]) && !(c->irr & ~c->lines) && !(c->base & 7) && c->first < 8 &&
           c->init_step <= INIT_ICW4 &&
           (c->init_single | c->init_icw4 | c->auto_eoi | c->rotate_on_auto_eoi | c->special_mask | c->nested |
            c->read_isr | c->poll) <= 1;
}

/* Between two accesses, the cascade and the output are as update() leaves them. */
static bool pic_is_sound(struct machine *m)
{
    const struct pic_state *s = state_of(m);

    return chip_is_sound(&s->chips[0], 0) && chip_is_sound(&s->chips[1], 1) &&
           (s->chips[0].lines >> CASCADE_LINE & 1) == (requested(s, 1) >= 0) && s->output == (requested(s, 0) >= 0);
}

const struct model pic_model = {
    .name = "pic",
    .state_bytes = sizeof(struct pic_state),
    .is_sound = pic_is_sound,
    .init = pic_init,
    .port_read = pic_port_read,
    .port_write = pic_port_write,
    .pending_vector = pic_pending_vector,
    .accept_vector = pic_accept_vector,
};
