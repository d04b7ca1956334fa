/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/run/modules.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/run/guest.h"
#include "cli/run/guest_file.h"
#include "cli/run/kernel.h"
#include "cli/run/program_folder.h"
#include "cli/run/snapshot_case.h"
#include "cli/run/xen_edit.h"
#include "emu/base/count.h"
#include "models/image_formats.h"
#include "models/linux/edit.h"
#include "models/xen/elfnote.h"
#include "models/xen/xen_words.h"

#define XEN_DEFAULT "4.17" /* of the images that scripts/xen fetches */
#define HOST_OLDEST XEN_VERSION(4, 9)

/* ---- the Xen that is started ---- */

/* What scripts/xen has fetched, beside build/cli/bootrace. */
static enum emu_err find_fetched(enum platform_mode mode, char **path, struct diag *d)
{
    char folder[PATH_MAX];

    program_folder(folder, sizeof(folder));
    if (asprintf(path, "%s/../../.cache/xen/" XEN_DEFAULT "/image", folder) < 0) {
        *path = NULL;
        return diag_no_memory(d);
    }
    if (!access(*path, R_OK))
        return EMU_OK;
    return diag_set(d, EMU_EINPUT,
                    "--mode %s starts a Xen that is itself a PVH guest, and none is here: `scripts/xen` fetches "
                    "Debian's, or give --xen-image FILE",
                    platform_mode_name(mode));
}

enum emu_err modules_find_xen(const struct guest_options *o, char **path, struct diag *d)
{
    if (!o->xen_image)
        return find_fetched(o->mode, path, d);
    *path = strdup(o->xen_image);
    return *path ? EMU_OK : diag_no_memory(d);
}

static enum emu_err load_xen(struct guest *g, struct diag *d)
{
    const struct guest_options *o = &g->options;
    enum emu_err err = modules_find_xen(o, &g->xen_path, d);
    uint32_t entry_gpa;

    if (err == EMU_OK)
        err = image_load_file(g->xen_path, image_formats, &g->xen, d);
    if (err == EMU_OK && g->xen->kind == IMAGE_BZIMAGE)
        err = diag_set_at(d, EMU_EINPUT, g->xen_path, 0,
                          "is a Linux kernel; --mode %s needs a Xen there, and the kernel as IMAGE",
                          platform_mode_name(o->mode));
    if (err == EMU_OK && g->xen->kind != IMAGE_BZIMAGE && !xen_words_are_of(g->xen->bytes, g->xen->size))
        err = diag_set_at(d, EMU_EINPUT, g->xen_path, 0, "is no Xen; --mode %s needs one there",
                          platform_mode_name(o->mode));
    if (err == EMU_OK && elfnote_phys32_entry(g->xen, &entry_gpa, d) != EMU_OK)
        err = diag_set_at(d, EMU_EINPUT, g->xen_path, 0,
                          "is not a Xen that was built to be a PVH guest: it has no PHYS32_ENTRY note");
    if (err == EMU_OK &&
        asprintf(&g->xen_cmdline, "%sconsole=xen%s%s", o->mode == PLATFORM_PV ? "pv-shim pv " : "dom0=pv ",
                 o->xen_cmdline ? " " : "", o->xen_cmdline ? o->xen_cmdline : "") < 0) {
        g->xen_cmdline = NULL;
        err = diag_no_memory(d);
    }
    return err;
}

/* ---- the kernel as a module ---- */

/* Those of the version, or of the last one before it whose rules differ. */
static const struct elfnote_rules *rules_of(uint32_t xen_version)
{
    const struct elfnote_rules *found = elfnote_rules;

    for (const struct elfnote_rules *r = elfnote_rules; r->version; r++) {
        unsigned major, minor;

        if (sscanf(r->version, "%u.%u", &major, &minor) == 2 && XEN_VERSION(major, minor) <= xen_version)
            found = r;
    }
    return found;
}

/* By the rules of the host's toolstack, and of the Xen that runs it. */
static enum emu_err check_kernel(const struct guest *g, const struct image *kernel, struct diag *d)
{
    const struct elfnote_rules *const rules[] = {rules_of(g->options.xen_version), elfnote_rules_find("4.17")};
    struct elfnote_verdict v;

    for (size_t i = 0; i < COUNT(rules); i++) {
        elfnote_check(rules[i], kernel, ELFNOTE_PV, NULL, &v);
        if (!v.accepted)
            return diag_set_at(
                d, EMU_EINPUT, g->options.kernel, 0,
                "can't be booted as a PV guest (%.300s); `bootrace elfnotes` says what it can be booted as", v.why);
    }
    return EMU_OK;
}

/* As it is after edits, which may change its notes. */
static enum emu_err check_edited(const struct guest *g, const struct guest_module *m, struct diag *d)
{
    struct image *edited;
    enum emu_err err = image_load_bytes(m->bytes, m->size, image_formats, &edited, d);

    if (err == EMU_OK) {
        err = check_kernel(g, edited, d);
        image_free(edited);
    }
    return err;
}

/* The kernel's file as it is; edited, the ELF that was in it. */
static enum emu_err read_kernel(struct guest *g, struct guest_module *to, struct diag *d)
{
    const struct guest_options *o = &g->options;
    const char *edit[GUEST_EDITS_MAX];
    unsigned edits = xen_edit_select(o, false, edit);
    struct edit_copy copy;
    struct edit_memory memory;
    struct kernel kernel;
    enum emu_err err;

    if (!edits)
        return guest_file_read(o->kernel, "kernel", o->ram_bytes, &to->bytes, &to->size, d);
    err = kernel_init(&kernel, o->kernel, d);
    if (err != EMU_OK)
        return err;
    to->size = kernel.image->size;
    to->bytes = malloc(to->size);
    if (!to->bytes)
        err = diag_no_memory(d);
    if (err == EMU_OK) {
        memcpy(to->bytes, kernel.image->bytes, to->size);
        copy = (struct edit_copy){.view = &kernel.view, .bytes = to->bytes};
        memory = edit_memory_copy(&copy);
        err = kernel_edit(&kernel, edit, edits, &memory, d);
    }
    kernel_fini(&kernel);
    if (err == EMU_OK)
        err = check_edited(g, to, d);
    return err;
}

static enum emu_err add_kernel(struct guest *g, struct diag *d)
{
    struct guest_module *to = &g->module[g->modules++];

    to->cmdline = strdup(g->options.cmdline);
    if (!to->cmdline)
        return diag_no_memory(d);
    return read_kernel(g, to, d);
}

/* ---- the others ---- */

char *modules_path(const char *text)
{
    return strndup(text, strcspn(text, ","));
}

static enum emu_err add_file(struct guest *g, const char *text, struct diag *d)
{
    struct guest_module *to = &g->module[g->modules++];
    const char *comma = strchr(text, ',');
    char *path = modules_path(text);
    enum emu_err err = EMU_OK;

    if (comma)
        to->cmdline = strdup(comma + 1);
    if (!path || (comma && !to->cmdline))
        err = diag_no_memory(d);
    if (err == EMU_OK)
        err = guest_file_read(path, "module", g->options.ram_bytes, &to->bytes, &to->size, d);
    free(path);
    return err;
}

/* The Xen, and for it the kernel and the initrd as modules. */
static enum emu_err read_pv(struct guest *g, struct diag *d)
{
    enum emu_err err = check_kernel(g, g->image, d);

    if (err == EMU_OK && g->options.xen_version < HOST_OLDEST)
        err = diag_set(d, EMU_EINPUT,
                       "--mode %s starts a Xen that is itself a PVH guest, which a host of Xen 4.9 or later has; give "
                       "another --xen",
                       platform_mode_name(g->options.mode));
    if (err == EMU_OK)
        err = load_xen(g, d);
    if (err == EMU_OK)
        err = add_kernel(g, d);
    if (err == EMU_OK && g->initrd) {
        g->module[g->modules++] = (struct guest_module){.bytes = g->initrd, .size = g->initrd_bytes};
        g->initrd = NULL;
    }
    return err;
}

enum emu_err modules_read(struct guest *g, struct diag *d)
{
    const struct guest_options *o = &g->options;
    const bool is_pv = platform_mode_is_pv(o->mode);
    enum emu_err err = EMU_OK;

    if (o->modules && o->mode == PLATFORM_HVM)
        return diag_set(d, EMU_EINPUT, "--module is for PVH guests; an HVM guest has --initrd alone");
    if (!is_pv && (o->xen_image || o->xen_cmdline))
        return diag_set(d, EMU_EINPUT, "--xen-image and --xen-cmdline are for --mode pv and --mode dom0");
    if (is_pv && o->modules + 1 + !!o->initrd > PLATFORM_MODULES_MAX)
        return diag_set(d, EMU_EINPUT, "the kernel and its modules are more than %u", PLATFORM_MODULES_MAX);
    if (is_pv)
        err = read_pv(g, d);
    for (unsigned i = 0; err == EMU_OK && i < o->modules; i++)
        err = add_file(g, o->module[i], d);
    return err;
}

void modules_name_xen(struct guest *g)
{
    struct diag ignored;
    char *path = NULL;

    if (!platform_mode_is_pv(g->options.mode))
        return;
    if (modules_find_xen(&g->options, &path, &ignored) == EMU_OK && snapshot_case_has_xen(g->case_text, path))
        (void)!image_load_file(path, image_formats, &g->xen, &ignored);
    free(path);
}

void modules_describe(struct guest *g)
{
    g->platform.initrd = g->initrd;
    g->platform.initrd_bytes = g->initrd ? g->initrd_bytes : 0;
    if (g->xen && g->xen_cmdline)
        g->platform.cmdline = g->xen_cmdline;
    for (unsigned i = 0; i < g->modules; i++)
        g->platform.module[i] = (struct platform_module){
            .bytes = g->module[i].bytes, .size = g->module[i].size, .cmdline = g->module[i].cmdline};
    g->platform.modules = g->modules;
}

void modules_fini(struct guest *g)
{
    for (unsigned i = 0; i < g->modules; i++) {
        free(g->module[i].bytes);
        free(g->module[i].cmdline);
    }
    if (g->xen)
        image_free(g->xen);
    free(g->xen_path);
    free(g->xen_cmdline);
}
