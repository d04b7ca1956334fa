/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Seed S0, class B: which preemption leaves a waiter asleep whose lock is released by the other protocol? The target is
 * to rediscover it from nothing.
 */
#include "fuzz/targets/fuzz_schedule_guest.h"
#include "fuzz/targets/fuzz_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const struct fuzz_schedule_guest guest = {
        .image = "s0-64.elf",
        .cmdline = "order=late-ticketlock vcpus=2 spin=16",
        .mode = PLATFORM_PVH,
        .vcpus = 2,
        .window = "work",
        .window_steps = 12000,
        .run_steps = 3000000,
    };

    return fuzz_schedule_guest_run(&guest, bytes, size);
}
