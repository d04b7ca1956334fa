/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gdb_registers: a vCPU's registers as gdb sees them: the target description that tells gdb which there are, and their
 * bytes in its order. A guest is described once, as 32-bit or 64-bit by its image, whatever mode a vCPU is in.
 *
 * Selectors and the system's registers are shown, not changed: a selector without its descriptor would be no state of a
 * processor.
 *
 * Source: Debugging with GDB, "Target Descriptions", "i386 Features".
 */
#ifndef BOOTRACE_CLI_DEBUGGER_GDB_REGISTERS_H
#define BOOTRACE_CLI_DEBUGGER_GDB_REGISTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "emu/regs.h"

#define GDB_REGISTER_BYTES_MAX  16
#define GDB_REGISTERS_BYTES_MAX 1024

unsigned gdb_registers_count(unsigned bits); /* bits: 32 or 64 */
/* The size of register `number`, less than the count. */
size_t gdb_register_bytes(unsigned bits, unsigned number);
/* Its bytes, first byte first. */
void gdb_register_get(unsigned bits, unsigned number, const struct vcpu_regs *r, uint8_t bytes[GDB_REGISTER_BYTES_MAX]);
/* False if it can't be changed. */
bool gdb_register_set(unsigned bits, unsigned number, struct vcpu_regs *r, const uint8_t *bytes);

/* target.xml. NULL if the host has no memory; else the caller frees it. */
char *gdb_registers_description(unsigned bits);

#endif
