/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * image_formats: all file formats that an image may come in, for image_load_file and image_load_bytes.
 */
#ifndef BOOTRACE_MODELS_IMAGE_FORMATS_H
#define BOOTRACE_MODELS_IMAGE_FORMATS_H

#include "emu/image/image.h"

extern const struct image_format *const image_formats[];

#endif
