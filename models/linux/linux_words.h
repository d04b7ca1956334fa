/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * linux_words: what Linux prints when it fails, and which of its functions only report that.
 */
#ifndef BOOTRACE_MODELS_LINUX_LINUX_WORDS_H
#define BOOTRACE_MODELS_LINUX_LINUX_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "emu/guest_words.h"

extern const struct guest_words linux_words;

/* Whether an image is a Linux kernel: whether it has the banner with which each of them begins. */
bool linux_words_are_of(const uint8_t *image, size_t bytes);

#endif
