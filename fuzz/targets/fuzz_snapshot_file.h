/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the target of snapshot files and the program that makes its seeds share: the machines of the files, and what is
 * done to a machine that was loaded from one.
 *
 * A file as it is, whole, is of a machine with one small model (fuzz_small_config). Everything else is a list of
 * changes to a file of a whole platform, which is made at the start (fuzz_platform_config); a file of it is too long
 * for the fuzzer's own mutations.
 */
#ifndef BOOTRACE_FUZZ_TARGETS_FUZZ_SNAPSHOT_FILE_H
#define BOOTRACE_FUZZ_TARGETS_FUZZ_SNAPSHOT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "emu/machine.h"

extern const struct model fuzz_small_model;
extern const struct machine_config fuzz_small_config;
extern const struct machine_config fuzz_platform_config[2]; /* PVH, HVM */

/* A file of a platform on which devices, event channels and timers are in use; the caller frees the bytes. */
uint8_t *fuzz_platform_file(unsigned mode, size_t *length);

/* Run each vCPU that is runnable for so many steps, alone. */
void fuzz_run(struct machine *m, uint64_t steps);
/* Read and write every register of every device and make every hypercall, in an order and with values that are always
   the same; last what may end the run. */
void fuzz_touch_everything(struct machine *m);
/* Each model says that its state is sound. */
void fuzz_ensure_sound(struct machine *m);

#endif
