/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/run/kernel.h"

#include "emu/image/symbols_dwarf.h"
#include "emu/image/symbols_elf.h"
#include "models/image_formats.h"
#include "models/linux/kallsyms.h"
#include "models/linux/window_names.h"

static enum emu_err read_own_tables(const struct image *image, struct symbols *s, struct diag *d)
{
    struct kernel_view view;
    struct diag ignored;

    if (kernel_view_init(&view, image->bytes, image->size, &ignored) == EMU_OK &&
        kallsyms_read(&view, s, NULL, &ignored) == EMU_OK)
        return EMU_OK;
    return diag_set(d, EMU_EINPUT, "it has no symbols: neither a symbol table nor debug data nor kallsyms");
}

enum emu_err kernel_read_vmlinux(const char *path, struct symbols *s, struct kernel_vmlinux *has, struct diag *d)
{
    struct image *image;
    enum emu_err err = image_load_file(path, image_formats, &image, d);

    *has = (struct kernel_vmlinux){.symbols = 0};
    if (err != EMU_OK)
        return err;
    err = symbols_elf_read(image->bytes, image->size, s, &has->symbols, d);
    if (err == EMU_OK)
        err = symbols_dwarf_read(path, s, &has->lines, &has->functions, d);
    if (err == EMU_OK && !has->symbols && !has->functions)
        err = read_own_tables(image, s, d);
    image_free(image);
    if (err != EMU_OK)
        diag_add_place(d, path, 0);
    return err;
}

static enum emu_err read_symbols(struct kernel *k, struct diag *d)
{
    size_t found;
    enum emu_err err;

    k->symbols = symbols_new();
    if (!k->symbols)
        return diag_set(d, EMU_EHOST, "there is not enough memory");
    err = symbols_elf_read(k->image->bytes, k->image->size, k->symbols, &found, d);
    if (err == EMU_OK && !found)
        err = kallsyms_read(&k->view, k->symbols, NULL, d);
    if (err == EMU_OK)
        err = symbols_seal(k->symbols, d);
    if (err == EMU_OK)
        window_names_add(k->symbols);
    return err;
}

enum emu_err kernel_init(struct kernel *k, const char *path, struct diag *d)
{
    enum emu_err err;

    *k = (struct kernel){.image = NULL};
    err = image_load_file(path, image_formats, &k->image, d);
    if (err == EMU_OK)
        err = kernel_view_init(&k->view, k->image->bytes, k->image->size, d);
    if (err == EMU_OK)
        err = read_symbols(k, d);
    if (err == EMU_OK)
        err = patch_tables_find(&k->view, k->symbols, &k->tables, d);
    if (err != EMU_OK) {
        diag_add_place(d, path, 0);
        kernel_fini(k);
    }
    return err;
}

void kernel_fini(struct kernel *k)
{
    symbols_free(k->symbols);
    image_free(k->image);
    *k = (struct kernel){.image = NULL};
}

enum emu_err kernel_edit(const struct kernel *k, const char *const *edit, unsigned edits,
                         const struct edit_memory *memory, struct diag *d)
{
    struct edit_kernel kernel = {.view = &k->view, .symbols = k->symbols, .tables = &k->tables};
    enum emu_err err = decoder_new(&kernel.decoder, d);

    for (unsigned i = 0; err == EMU_OK && i < edits; i++) {
        struct edit e;

        err = edit_parse(edit[i], 0, &e, d);
        if (err == EMU_OK)
            err = edit_apply(&e, &kernel, memory, NULL, NULL, d);
    }
    decoder_free(kernel.decoder);
    return err;
}
