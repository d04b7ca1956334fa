/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/image_formats.h"

#include "models/linux/bzimage.h"
#include "models/linux/foreign_image.h"

/* The order matters: an x86 bzImage with an EFI stub is also an EFI program. */
const struct image_format *const image_formats[] = {
    &bzimage_format,
    &foreign_image_format,
    NULL,
};
