/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * serial: COM1 of an HVM guest, a 16550A at 0x3f8 on IRQ 4. What the guest sends is console output.
 *
 * DEVIATION: a byte is sent in no time, so the transmitter is always empty; a driver that would lose a race against
 * a slow line never does here.
 *
 * Source: National Semiconductor PC16550D Universal Asynchronous Receiver/Transmitter with FIFOs datasheet.
 */
#ifndef BOOTRACE_MODELS_PC_SERIAL_H
#define BOOTRACE_MODELS_PC_SERIAL_H

#include <stdint.h>

#include "emu/model.h"

extern const struct model serial_model;

/* A byte arrives on the line. One that finds no room is lost, and an overrun error. */
void serial_receive(struct machine *m, uint8_t byte);

#endif
