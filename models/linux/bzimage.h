/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bzimage: the Linux/x86 boot file (bzImage, "vmlinuz"): finds the compressed vmlinux in it and decompresses it, and
 * gives the setup header for a boot by the Linux boot protocol. It boots nothing.
 *
 * Source: Linux Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header", fields up to payload_length.
 */
#ifndef BOOTRACE_MODELS_LINUX_BZIMAGE_H
#define BOOTRACE_MODELS_LINUX_BZIMAGE_H

#include "emu/image/image.h"

#include <asm/bootparam.h>

extern const struct image_format bzimage_format;

/* The setup header of an image whose kind is IMAGE_BZIMAGE, as it is in the file; absent fields are zero. */
void bzimage_setup_header(const struct image *img, struct setup_header *out);

#endif
