/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_target: what every libFuzzer target defines. It asserts a property with ensure(), prints nothing and keeps
 * nothing between inputs.
 */
#ifndef BOOTRACE_FUZZ_TARGETS_FUZZ_TARGET_H
#define BOOTRACE_FUZZ_TARGETS_FUZZ_TARGET_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#endif
