/* SPDX-License-Identifier: GPL-2.0-or-later */
/* load_segments: an image's segments, copied to where they say that they lie; all loaders do it so. */
#ifndef BOOTRACE_MODELS_LOAD_SEGMENTS_H
#define BOOTRACE_MODELS_LOAD_SEGMENTS_H

#include "emu/base/diag.h"

struct image;
struct machine;

/* EMU_EINPUT: one does not fit into memory. What a segment has beyond the file is zero there already. */
enum emu_err load_segments(struct machine *m, const struct image *img, struct diag *d) EMU_MUST_CHECK;

#endif
