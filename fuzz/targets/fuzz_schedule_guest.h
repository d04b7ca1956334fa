/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_schedule_guest: a free-standing guest under schedules made of bytes (the strategy `bytes`), for the targets
 * fuzz_schedule_*.c. The guest is built and brought to its window once; each input is a run from there.
 *
 * Feedback besides the program's own: edges between the guest's blocks, and pairs of vCPUs that touch one place after
 * each other, at least one of them writing; as libFuzzer's extra counters. A run that fails aborts the process, after
 * it was written as a case, found-DIGEST.yaml, and the command that replays it was said.
 */
#ifndef BOOTRACE_FUZZ_TARGETS_FUZZ_SCHEDULE_GUEST_H
#define BOOTRACE_FUZZ_TARGETS_FUZZ_SCHEDULE_GUEST_H

#include <stddef.h>
#include <stdint.h>

#include "fuzz/search/strategy.h"
#include "models/platform.h"

struct fuzz_schedule_guest {
    const char *image; /* of the build's guests; the environment's BOOTRACE_GUESTS says where they are instead */
    const char *cmdline;
    enum platform_mode mode;
    unsigned vcpus;
    const char *window; /* symbol */
    uint64_t window_steps, run_steps;
    struct source source[STRATEGY_SOURCES_MAX];
    unsigned sources;
};

int fuzz_schedule_guest_run(const struct fuzz_schedule_guest *guest, const uint8_t *bytes, size_t size);

#endif
