/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The machine of the snapshot files in fuzz_snapshot_file.c and its seeds: two vCPUs and one small model with timers.
 */
#ifndef BOOTRACE_FUZZ_FUZZ_SNAPSHOT_FILE_H
#define BOOTRACE_FUZZ_FUZZ_SNAPSHOT_FILE_H

#include "emu/machine.h"
#include "emu/model.h"

static void fuzz_timer_expired(struct machine *m, unsigned kind, unsigned vcpu)
{
}

static const struct model fuzz_model = {.name = "fuzz", .state_bytes = 40, .timer_expired = fuzz_timer_expired};
static const struct model *const fuzz_models[] = {&fuzz_model};
static const struct machine_config fuzz_config = {
    .ram_bytes = 1 << 20, .vcpus = 2, .xen_version = 4 << 16 | 17, .seed = 1, .models = fuzz_models, .model_count = 1};

#endif
