/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes either load as an image whose every range lies in it, or are refused with one sentence.
 */
#include "fuzz/targets/fuzz_target.h"

#include "emu/base/ensure.h"
#include "emu/image/image.h"
#include "models/image_formats.h"

#include <string.h>

static void check_image(const struct image *img)
{
    size_t at;

    ensure(img->segments_count > 0);
    for (size_t i = 0; i < img->segments_count; i++) {
        const struct image_segment *s = &img->segments[i];

        ensure(s->file_bytes <= s->memory_bytes);
        ensure(s->paddr + s->memory_bytes > s->paddr);
        ensure(s->offset <= img->size && s->file_bytes <= img->size - s->offset);
        if (s->file_bytes)
            ensure(image_find_vaddr(img, s->vaddr, 1, &at) && at < img->size);
    }
    for (size_t i = 0; i < img->notes_count; i++) {
        const struct image_note *n = &img->notes[i];

        ensure(n->desc >= img->bytes && n->desc_bytes <= (size_t)(img->bytes + img->size - n->desc));
        ensure(strlen(n->name) < img->size);
    }
    if (img->kind == IMAGE_BZIMAGE)
        ensure(img->linux_boot.protected_offset + img->linux_boot.protected_bytes <= img->file_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct image *img;
    struct diag d;
    enum emu_err err;

    diag_init(&d);
    err = image_load_bytes(bytes, size, image_formats, &img, &d);
    if (err == EMU_OK) {
        check_image(img);
        image_free(img);
    } else {
        ensure(img == NULL);
        ensure(d.text[0] != '\0' && !strchr(d.text, '\n'));
    }
    return 0;
}
