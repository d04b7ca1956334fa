/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/load_segments.h"

#include <inttypes.h>

#include "emu/image/image.h"
#include "emu/machine.h"

enum emu_err load_segments(struct machine *m, const struct image *img, struct diag *d)
{
    for (size_t i = 0; i < img->segments_count; i++) {
        const struct image_segment *s = &img->segments[i];

        if (!memory_write(machine_memory(m), s->paddr, img->bytes + s->offset, s->file_bytes))
            return diag_set(d, EMU_EINPUT, "a segment of the image at 0x%" PRIx64 " does not fit into memory",
                            s->paddr);
    }
    return EMU_OK;
}
