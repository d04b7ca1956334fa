/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/run/guest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/run/detect.h"
#include "cli/run/guest_file.h"
#include "cli/run/guest_symbols.h"
#include "cli/run/kernel.h"
#include "cli/run/modules.h"
#include "cli/run/same.h"
#include "cli/run/snapshot_case.h"
#include "cli/run/xen_edit.h"
#include "emu/snapshot_file.h"
#include "fuzz/detect/guest_panic.h"
#include "models/boot_protocol.h"
#include "models/multiboot.h"
#include "models/image_formats.h"
#include "models/linux/edit.h"
#include "models/linux/linux_words.h"
#include "models/xen/elfnote.h"
#include "models/xen/pvh_loader.h"
#include "models/xen/xen_words.h"

/* Change the loaded kernel, by meaning, before its first instruction. */
static enum emu_err apply_edits(struct guest *g, struct diag *d)
{
    const struct guest_options *o = &g->options;
    struct edit_guest place = {g->image, machine_memory(g->machine)};
    struct edit_memory memory = edit_memory_guest(&place);
    const char *edit[GUEST_EDITS_MAX];
    unsigned edits = xen_edit_select(o, false, edit);
    struct kernel kernel;
    enum emu_err err = xen_edit_apply(g, d);

    if (err != EMU_OK || g->xen || !edits)
        return err; /* a kernel that is a module was edited as such */
    err = kernel_init(&kernel, o->kernel, d);
    if (err != EMU_OK)
        return err;
    err = kernel_edit(&kernel, edit, edits, &memory, d);
    kernel_fini(&kernel);
    return err;
}

/* The case of the snapshot, if there is one. */
static enum emu_err take_case(struct guest *g, struct diag *d)
{
    const struct snapshot_file *f = g->options.snapshot;

    if (!f)
        return EMU_OK;
    g->case_text = strdup(snapshot_file_info(f)->case_text);
    if (!g->case_text)
        return diag_no_memory(d);
    return snapshot_case_apply(snapshot_file_name(f), g->case_text, &g->options, &g->snapshot_case, d);
}

static enum emu_err make_machine(struct guest *g, struct diag *d)
{
    const struct guest_options *o = &g->options;
    const bool is_bare = o->mode == PLATFORM_MULTIBOOT;
    enum emu_err err;

    if (o->online > o->vcpus)
        return diag_set(d, EMU_EINPUT, "%u of %u vCPUs can't be available; give --vcpus %u", o->online, o->vcpus,
                        o->online);
    err = processor_parse(o->cpu ? o->cpu : processor_default.name, &g->processor, d);
    if (err != EMU_OK)
        return err;
    g->platform = (struct platform_config){
        .mode = o->mode, .cmdline = o->cmdline, .vcpus_online = o->online, .processor = &g->processor};
    modules_describe(g);
    g->config = (struct machine_config){
        .ram_bytes = o->ram_bytes,
        .vcpus = o->vcpus,
        .xen_version = o->xen_version,
        .models = is_bare ? platform_bare_models : platform_models,
        .model_count = is_bare ? platform_bare_model_count : platform_model_count,
        .platform = &g->platform,
    };
    return machine_new(&g->config, &g->machine, d);
}

/* What has no other entry is started as Linux is: a bzImage, and an ELF file without a PVH entry. */
static bool is_for_boot_protocol(const struct image *img)
{
    struct diag ignored;
    uint32_t entry_gpa;

    return img->kind == IMAGE_BZIMAGE || elfnote_phys32_entry(img, &entry_gpa, &ignored) != EMU_OK;
}

static enum emu_err load_image(struct guest *g, struct diag *d)
{
    const struct guest_options *o = &g->options;
    const struct image *started = g->xen ? g->xen : g->image;
    enum emu_err err = o->mode == PLATFORM_MULTIBOOT ? multiboot_load(g->machine, started, d)
                       : o->mode == PLATFORM_HVM && is_for_boot_protocol(started)
                           ? boot_protocol_load(g->machine, started, d)
                           : pvh_load(g->machine, started, d);

    if (err != EMU_OK) {
        diag_add_place(d, g->xen ? g->xen_path : o->kernel, 0);
        return err;
    }
    return apply_edits(g, d);
}

static enum emu_err listen(struct guest *g, struct guest_panic **panic, const struct guest_words *words,
                           const struct symbols *symbols, struct diag *d)
{
    *panic = calloc(1, sizeof(**panic));
    if (!*panic)
        return diag_no_memory(d);
    return guest_panic_attach(*panic, g->machine, words, symbols, d);
}

/* A kernel whose words are known tells its own end, and so does the Xen that runs it. Of a free-standing guest nothing
   that it prints is believed. */
static enum emu_err listen_to_kernel(struct guest *g, struct diag *d)
{
    enum emu_err err = EMU_OK;

    if (g->image && linux_words_are_of(g->image->bytes, g->image->size))
        err = listen(g, &g->panic, &linux_words, g->symbols, d);
    else if (g->image && xen_words_are_of(g->image->bytes, g->image->size))
        err = listen(g, &g->panic, &xen_words, g->symbols, d);
    if (err == EMU_OK && g->xen && xen_words_are_of(g->xen->bytes, g->xen->size))
        err = listen(g, &g->xen_panic, &xen_words_below, g->symbols, d);
    return err;
}

enum emu_err guest_init(struct guest *g, const struct guest_options *options, struct diag *d)
{
    struct guest_options *o = &g->options;
    enum emu_err err;

    memset(g, 0, sizeof(*g));
    *o = *options;
    err = take_case(g, d);
    guest_options_complete(o);
    if (err == EMU_OK && o->kernel)
        err = image_load_file(o->kernel, image_formats, &g->image, d);
    if (err == EMU_OK && o->initrd && !o->snapshot)
        err = guest_file_read(o->initrd, "initrd", o->ram_bytes, &g->initrd, &g->initrd_bytes, d);
    if (err == EMU_OK && !o->snapshot)
        err = modules_read(g, d);
    if (err == EMU_OK && o->snapshot)
        modules_name_xen(g);
    if (err == EMU_OK)
        err = guest_symbols_read(o, g->image, g->xen, &g->symbols, d);
    if (err == EMU_OK)
        err = make_machine(g, d);
    if (err == EMU_OK)
        err = o->snapshot ? snapshot_file_load(o->snapshot, g->machine, d) : load_image(g, d);
    if (err == EMU_OK)
        err = listen_to_kernel(g, d);
    if (err != EMU_OK)
        guest_fini(g);
    return err;
}

enum emu_err guest_write_snapshot(const struct guest *g, const char *path, struct diag *d)
{
    char *text = NULL;
    enum emu_err err = EMU_OK;

    if (!g->case_text)
        err = snapshot_case_print(&g->options, &text, d);
    if (err == EMU_OK)
        err = snapshot_file_write(g->machine, text ? text : g->case_text, path, d);
    free(text);
    return err;
}

void guest_fini(struct guest *g)
{
    same_free(g->same);
    machine_free(g->machine);
    detect_free(g->detect);
    free(g->panic);
    free(g->xen_panic);
    if (g->image)
        image_free(g->image);
    if (g->symbols)
        symbols_free(g->symbols);
    free(g->initrd);
    modules_fini(g);
    snapshot_case_free(g->snapshot_case);
    free(g->case_text);
    memset(g, 0, sizeof(*g));
}
