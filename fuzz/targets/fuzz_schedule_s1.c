/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The race of 2006: when does the timer's interrupt, or any, break a kernel that patches its own code? The target is to
 * rediscover it from nothing.
 */
#include "fuzz/targets/fuzz_schedule_guest.h"
#include "fuzz/targets/fuzz_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const struct fuzz_schedule_guest guest = {
        .image = "s1.elf",
        .cmdline = "variant=buggy memcpy=byte delay=200 after=200",
        .mode = PLATFORM_HVM,
        .vcpus = 1,
        .window = "alternative_instructions",
        .window_steps = 3000,
        .run_steps = 300000,
        .source = {{.kind = DECISION_EXPIRE, .vcpu = DECISION_ANY_VCPU}},
        .sources = 1,
    };

    return fuzz_schedule_guest_run(&guest, bytes, size);
}
