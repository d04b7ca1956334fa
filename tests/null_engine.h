/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * null_engine: an engine (emu/engine.h) that keeps registers, counts and the time, and fetches no instruction: running
 * only lets steps and time go by. A test is linked with it instead of the real engine. Then machine, memory, timers and
 * trace are the real ones, and a machine costs no translator.
 */
#ifndef BOOTRACE_TESTS_NULL_ENGINE_H
#define BOOTRACE_TESTS_NULL_ENGINE_H

#include "emu/engine.h"

/* The registers of a vCPU, to be looked at and changed. */
struct vcpu_regs *null_engine_regs(struct engine *e, unsigned vcpu);
/* A block that is freed with the engine, for whoever made it; and finding it again. */
void null_engine_keep(struct engine *e, void *block);
void *null_engine_kept(const struct engine *e);

#endif
