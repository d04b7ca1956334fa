/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * build_id: the parts of the program that decide what a guest does, as one line of text: a hash of the sources of the
 * machine and the models, and the versions of the libraries that execute and decode. Two programs with the same build
 * id make the same run of the same case; compilers and their options do not matter.
 */
#ifndef BOOTRACE_EMU_BUILD_ID_H
#define BOOTRACE_EMU_BUILD_ID_H

#define BUILD_ID_BYTES 96

void build_id(char out[BUILD_ID_BYTES]); /* printable, zero-padded */

/* Made when building, by make_build_id.py. */
extern const char build_id_sources[];

#endif
