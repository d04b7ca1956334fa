/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xen_words: what Xen prints when it fails, as a guest itself.
 */
#ifndef BOOTRACE_MODELS_XEN_XEN_WORDS_H
#define BOOTRACE_MODELS_XEN_XEN_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "emu/guest_words.h"

extern const struct guest_words xen_words;
extern const struct guest_words xen_words_below; /* of one that runs the image: its symbols have their prefix */

/* Whether an image is a Xen hypervisor: whether it has the words with which each of them fails. */
bool xen_words_are_of(const uint8_t *image, size_t bytes);

#endif
