/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * post_mortem: what a person wants to see of a guest that has stopped: each vCPU's state, what it waits for, its
 * registers, the code around its RIP and the likely call chain.
 */
#ifndef BOOTRACE_CLI_RUN_POST_MORTEM_H
#define BOOTRACE_CLI_RUN_POST_MORTEM_H

#include <stdint.h>
#include <stdio.h>

struct machine;
struct symbols;

/* `symbols` may be NULL. */
void post_mortem_print(struct machine *m, const struct symbols *symbols, FILE *to);

/* The same for one vCPU. */
void post_mortem_print_vcpu(struct machine *m, unsigned vcpu, const struct symbols *symbols, FILE *to);

/* "name+0x1c/0x40", or the address. */
void post_mortem_place(const struct symbols *symbols, uint64_t gva, char *text, size_t bytes);

#endif
