/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/run/guest_symbols.h"

#include "cli/run/kernel.h"
#include "emu/base/count.h"
#include "emu/image/symbols_elf.h"
#include "models/linux/kallsyms.h"
#include "models/linux/kernel_view.h"
#include "models/linux/system_map.h"
#include "models/linux/window_names.h"
#include "models/xen/xen_symbols.h"
#include "models/xen/xen_words.h"

typedef enum emu_err(reader_fn)(const struct image *img, struct symbols *s, struct diag *d);

static enum emu_err read_kallsyms(const struct image *img, struct symbols *s, struct diag *d)
{
    struct kernel_view view;
    enum emu_err err = kernel_view_init(&view, img->bytes, img->size, d);

    return err == EMU_OK ? kallsyms_read(&view, s, NULL, d) : err;
}

static enum emu_err read_elf(const struct image *img, struct symbols *s, struct diag *d)
{
    size_t found;
    enum emu_err err = symbols_elf_read(img->bytes, img->size, s, &found, d);

    return err == EMU_OK && !found ? diag_set(d, EMU_EINPUT, "it has no symbol table") : err;
}

static enum emu_err read_xen(const struct image *img, struct symbols *s, struct diag *d)
{
    uint64_t start_gva;
    size_t found;

    if (!xen_words_are_of(img->bytes, img->size))
        return diag_set(d, EMU_EINPUT, "it is not a Xen");
    return xen_symbols_read(img, "", s, &found, &start_gva, d);
}

/* What a reader finds before it fails must not stay: each has a table of its own. A kernel without one is no error. */
static enum emu_err read_image(const struct image *img, struct symbols **s, struct diag *d)
{
    reader_fn *const readers[] = {read_xen, read_kallsyms, read_elf}; /* Xen's table looks like an odd kallsyms */
    struct diag ignored;

    for (size_t i = 0; img && i < COUNT(readers); i++) {
        *s = symbols_new();
        if (!*s)
            return diag_no_memory(d);
        if (readers[i](img, *s, &ignored) == EMU_OK)
            return EMU_OK;
        symbols_free(*s);
        *s = NULL;
    }
    return EMU_OK;
}

static enum emu_err read_file_named(const struct guest_options *o, struct symbols **s, struct diag *d)
{
    struct kernel_vmlinux has;

    *s = symbols_new();
    if (!*s)
        return diag_no_memory(d);
    return o->vmlinux ? kernel_read_vmlinux(o->vmlinux, *s, &has, d) : system_map_read(o->system_map, *s, d);
}

static enum emu_err add_xen(const struct image *xen, struct symbols **s, struct diag *d)
{
    uint64_t start_gva;
    struct diag ignored;
    size_t found;

    if (!*s)
        *s = symbols_new();
    if (!*s)
        return diag_no_memory(d);
    /* One without a table is no error either. */
    return xen_symbols_read(xen, XEN_SYMBOLS_PREFIX, *s, &found, &start_gva, &ignored) == EMU_EHOST ? diag_no_memory(d)
                                                                                                    : EMU_OK;
}

enum emu_err guest_symbols_read(const struct guest_options *o, const struct image *image, const struct image *xen,
                                struct symbols **out, struct diag *d)
{
    struct symbols *s = NULL;
    enum emu_err err = o->vmlinux || o->system_map ? read_file_named(o, &s, d) : read_image(image, &s, d);

    *out = NULL;
    if (err == EMU_OK && xen)
        err = add_xen(xen, &s, d);
    if (err == EMU_OK && s && symbols_count(s))
        err = symbols_seal(s, d);
    if (err != EMU_OK || (s && !symbols_count(s))) {
        symbols_free(s);
        s = NULL;
    }
    if (s)
        window_names_add(s);
    *out = s;
    return err;
}
