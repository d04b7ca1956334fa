/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * owner_port: a port of this project's own, by which a free-standing guest says that memory has another owner, as a
 * kernel that starts another by kexec never says aloud. Each write is a fact TRACE_OWNER; nothing else comes of it.
 * Real hardware and real Xen drop writes there.
 *
 * A 32-bit write: bits 31..26 are enum owner_what, bits 25..0 a guest-physical address in units of 64 bytes.
 */
#ifndef BOOTRACE_MODELS_PC_OWNER_PORT_H
#define BOOTRACE_MODELS_PC_OWNER_PORT_H

#include "emu/model.h"

#define PORT_OWNER             0xb0e0
#define OWNER_WHAT_SHIFT       26
#define OWNER_UNIT_BYTES_SHIFT 6

enum owner_what {
    OWNER_UNIT_COPIED = 1, /* these 64 bytes are now what the next kernel is to find there */
    OWNER_UNIT_DIGESTED,   /* the digest has taken them */
    OWNER_ALL,             /* the next kernel runs: all memory is its own */
};

extern const struct model owner_port_model;

#endif
