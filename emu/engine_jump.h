/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * engine_jump: the library's longjmp in a build with ASan. The library leaves its loop by one at every PAUSE, HLT and
 * fault of the guest. ASan's own longjmp asks the kernel for the signal stack each time and cleans the whole stack of
 * what the frames that are jumped over may have poisoned, which took half of the time of a guest that spins. No frame
 * of ours is ever jumped over: the library jumps from its own code, and calls ours only to have it return. Were that
 * wrong, ASan would report an access that is none, and miss nothing.
 */
#ifndef BOOTRACE_EMU_ENGINE_JUMP_H
#define BOOTRACE_EMU_ENGINE_JUMP_H

#include <stdbool.h>

/* True if the library's longjmp is the C library's. */
bool engine_jump_is_plain(void);

#endif
