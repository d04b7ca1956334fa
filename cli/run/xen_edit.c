/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/run/xen_edit.h"

#include <stdio.h>
#include <string.h>

#include "cli/run/guest.h"
#include "models/linux/edit.h"
#include "models/xen/xen_symbols.h"

#define EDIT_TEXT_BYTES 512u

static const char *find_prefix(const char *text)
{
    const char *at = text;

    while ((at = strstr(at, XEN_SYMBOLS_PREFIX)) && at > text && at[-1] != ' ' && at[-1] != '\t')
        at++;
    return at;
}

unsigned xen_edit_select(const struct guest_options *o, bool of_xen, const char *edit[GUEST_EDITS_MAX])
{
    unsigned n = 0;

    for (unsigned i = 0; i < o->edits; i++)
        if (!find_prefix(o->edit[i]) == !of_xen)
            edit[n++] = o->edit[i];
    return n;
}

/* Its names without what says whose they are. */
static enum emu_err parse(const char *text, struct edit *e, struct diag *d)
{
    char plain[EDIT_TEXT_BYTES];
    const char *next;
    size_t used = 0;

    if (strlen(text) >= sizeof(plain))
        return diag_set(d, EMU_EINPUT, "an edit of Xen has at most %u characters", EDIT_TEXT_BYTES - 1);
    while ((next = find_prefix(text))) {
        memcpy(plain + used, text, (size_t)(next - text));
        used += (size_t)(next - text);
        text = next + strlen(XEN_SYMBOLS_PREFIX);
    }
    strcpy(plain + used, text);
    return edit_parse(plain, 0, e, d);
}

/* ---- Xen's code in the machine ---- */

struct place {
    uint64_t start_gva; /* where its physical address 0 is */
    struct memory *memory;
};

static bool read_code(void *context, uint64_t gva, void *dst, size_t bytes)
{
    const struct place *p = context;

    return gva >= p->start_gva && memory_read(p->memory, gva - p->start_gva, dst, bytes);
}

static bool write_code(void *context, uint64_t gva, const void *src, size_t bytes)
{
    const struct place *p = context;

    return gva >= p->start_gva && memory_write(p->memory, gva - p->start_gva, src, bytes);
}

/* By its virtual addresses; its file has physical ones. */
static void make_view(const struct image *img, uint64_t start_gva, struct kernel_view *v)
{
    *v = (struct kernel_view){.bytes = img->bytes, .size = img->size, .bits = 64, .word_bytes = 8};
    for (size_t i = 0; i < img->segments_count && v->segment_count < KERNEL_VIEW_SEGMENTS_MAX; i++)
        v->segments[v->segment_count++] = (struct kernel_view_segment){.start_gva = start_gva + img->segments[i].paddr,
                                                                       .file_at = img->segments[i].offset,
                                                                       .file_bytes = img->segments[i].file_bytes,
                                                                       .memory_bytes = img->segments[i].memory_bytes,
                                                                       .executable = img->segments[i].flags & 1};
}

static enum emu_err apply(struct guest *g, const char *const *edit, unsigned edits, struct symbols *s, struct diag *d)
{
    static const struct patch_tables no_tables;
    struct kernel_view view;
    struct edit_kernel kernel = {.view = &view, .symbols = s, .tables = &no_tables, .direct_calls_only = true};
    struct place place = {.memory = machine_memory(g->machine)};
    struct edit_memory memory = {.context = &place, .read = read_code, .write = write_code};
    size_t found;
    enum emu_err err = xen_symbols_read(g->xen, "", s, &found, &place.start_gva, d);

    if (err == EMU_OK)
        err = symbols_seal(s, d);
    if (err == EMU_OK)
        err = decoder_new(&kernel.decoder, d);
    if (err != EMU_OK)
        return err;
    make_view(g->xen, place.start_gva, &view);
    for (unsigned i = 0; err == EMU_OK && i < edits; i++) {
        struct edit e;

        err = parse(edit[i], &e, d);
        if (err == EMU_OK)
            err = edit_apply(&e, &kernel, &memory, NULL, NULL, d);
    }
    decoder_free(kernel.decoder);
    return err;
}

enum emu_err xen_edit_apply(struct guest *g, struct diag *d)
{
    const char *edit[GUEST_EDITS_MAX];
    unsigned edits = xen_edit_select(&g->options, true, edit);
    struct symbols *s;
    enum emu_err err;

    if (!edits)
        return EMU_OK;
    if (!g->xen)
        return diag_set(d, EMU_EINPUT, "--edit '%.100s': there is no Xen to change; --mode pv and --mode dom0 have one",
                        edit[0]);
    s = symbols_new();
    if (!s)
        return diag_no_memory(d);
    err = apply(g, edit, edits, s, d);
    symbols_free(s);
    if (err != EMU_OK)
        diag_add_place(d, g->xen_path, 0);
    return err;
}
