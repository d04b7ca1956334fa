/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ports: the debug port 0xE9, and what a guest finds where a PC would have a device and this machine has none.
 *
 * Xen answers an access that no device claims with all ones and drops writes. Here that is done only for the ranges of
 * the tables, one row for each piece of hardware that guests look for; an access to anywhere else ends the run
 * UNMODELLED. Last in the order of models: a device that is there answers first.
 *
 * Source: Xen 4.17 xen/arch/x86/hvm/hvm.c, hvm_print_line; hvm/emulate.c, null_handler.
 */
#ifndef BOOTRACE_MODELS_PC_PORTS_H
#define BOOTRACE_MODELS_PC_PORTS_H

#include "emu/model.h"

#define PORT_DEBUG 0xe9

extern const struct model ports_model;

#endif
