/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * foreign_image: recognises kernels and programs that can't be booted here, and says what they are: Linux for other
 * architectures, and EFI programs. It accepts no image.
 */
#ifndef BOOTRACE_MODELS_LINUX_FOREIGN_IMAGE_H
#define BOOTRACE_MODELS_LINUX_FOREIGN_IMAGE_H

#include "emu/image/image.h"

extern const struct image_format foreign_image_format;

#endif
