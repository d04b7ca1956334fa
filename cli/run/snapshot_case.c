/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/run/parse.h"
#include "cli/run/snapshot_case.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli/run/file_digest.h"
#include "cli/run/json_text.h"
#include "cli/run/modules.h"
#include "cli/run/utf8.h"
#include "emu/base/ensure.h"
#include "emu/base/plural.h"
#include "models/processor.h"

static_assert(sizeof(struct guest_options) == 352, "a new option that changes a run belongs into the case below");

/* What the pv modes and --module add: the Xen's digest and its command line, then each module's digest and text. */
static enum emu_err modules_json(const struct guest_options *o, json_t **out, struct diag *d)
{
    struct file_digest digest;
    char *xen = NULL;
    json_t *all = json_array();
    enum emu_err err = EMU_OK;

    if (platform_mode_is_pv(o->mode)) {
        err = modules_find_xen(o, &xen, d);
        if (err == EMU_OK)
            err = file_digest(xen, &digest, d);
        if (err == EMU_OK && o->xen_cmdline)
            err = utf8_check("the command line of Xen", o->xen_cmdline, d);
        if (err == EMU_OK)
            json_array_append_new(
                all, json_pack("[o, o]", json_text(digest.xxh3_128), json_text(o->xen_cmdline ? o->xen_cmdline : "")));
        free(xen);
    }
    for (unsigned i = 0; err == EMU_OK && i < o->modules; i++) {
        char *path = modules_path(o->module[i]);

        err = path ? file_digest(path, &digest, d) : diag_no_memory(d);
        if (err == EMU_OK)
            err = utf8_check("a module", o->module[i], d);
        if (err == EMU_OK)
            json_array_append_new(all, json_pack("[o, o]", json_text(digest.xxh3_128), json_text(o->module[i])));
        free(path);
    }
    if (err != EMU_OK) {
        json_decref(all);
        return err;
    }
    *out = all;
    return EMU_OK;
}

enum emu_err snapshot_case_print(const struct guest_options *o, char **text, struct diag *d)
{
    struct file_digest image, initrd;
    struct processor processor;
    char xen[32], cpu[PROCESSOR_TEXT_BYTES];
    json_t *root, *edits, *modules = NULL;
    enum emu_err err = file_digest(o->kernel, &image, d);

    if (err == EMU_OK && o->initrd)
        err = file_digest(o->initrd, &initrd, d);
    if (err == EMU_OK)
        err = utf8_check("the command line", o->cmdline, d);
    for (unsigned i = 0; err == EMU_OK && i < o->edits; i++)
        err = utf8_check("an edit", o->edit[i], d);
    if (err == EMU_OK)
        err = processor_parse(o->cpu ? o->cpu : processor_default.name, &processor, d);
    if (err == EMU_OK && (o->modules || platform_mode_is_pv(o->mode)))
        err = modules_json(o, &modules, d);
    if (err != EMU_OK)
        return err;
    edits = json_array();
    for (unsigned i = 0; i < o->edits; i++)
        json_array_append_new(edits, json_text(o->edit[i]));
    snprintf(xen, sizeof(xen), "%u.%u", o->xen_version >> 16, o->xen_version & 0xffff);
    root = json_pack("{s:o, s:o*, s:o, s:o, s:o, s:o, s:i, s:i, s:I, s:o*, s:o*}", "image", json_text(image.xxh3_128),
                     "initrd", json_text(o->initrd ? initrd.xxh3_128 : NULL), "cmdline", json_text(o->cmdline), "mode",
                     json_text(platform_mode_name(o->mode)), "xen", json_text(xen), "cpu",
                     json_text(processor_print(&processor, cpu)), "vcpus", (int)o->vcpus, "online", (int)o->online,
                     "memory", (json_int_t)o->ram_bytes, "edits", edits, "modules", modules);
    ensure(root);
    *text = json_dumps(root, JSON_SORT_KEYS | JSON_COMPACT);
    json_decref(root);
    return *text ? EMU_OK : diag_no_memory(d);
}

struct snapshot_case {
    json_t *root;
};

void snapshot_case_free(struct snapshot_case *c)
{
    if (!c)
        return;
    json_decref(c->root);
    free(c);
}

/* The user names a file, or a text, that the case does not have. */
static enum emu_err differs(const char *name, const char *what, const char *theirs, const char *ours, struct diag *d)
{
    return diag_set_at(d, EMU_EINPUT, name, 0,
                       "is a snapshot of another case: its %s is '%s', not '%s'; omit the option to take the "
                       "snapshot's",
                       what, theirs ? theirs : "none", ours);
}

static enum emu_err check_file(const char *name, const char *what, const char *digest, const char *path, struct diag *d)
{
    struct file_digest ours;
    enum emu_err err;

    if (!path)
        return EMU_OK;
    err = file_digest(path, &ours, d);
    if (err != EMU_OK || (digest && !strcmp(digest, ours.xxh3_128)))
        return err;
    return diag_set_at(d, EMU_EINPUT, name, 0, "is a snapshot of another case: its %s has the digest %s, and %s has %s",
                       what, digest ? digest : "(none)", path, ours.xxh3_128);
}

static enum emu_err check_edits(const char *name, const json_t *edits, const struct guest_options *o, struct diag *d)
{
    bool same = json_array_size(edits) == o->edits;

    for (unsigned i = 0; same && i < o->edits; i++)
        same = !strcmp(json_string_value(json_array_get(edits, i)), o->edit[i]);
    return same || !o->edits
               ? EMU_OK
               : diag_set_at(d, EMU_EINPUT, name, 0, "is a snapshot of another case: its edits are different");
}

/* Only where the user names some; in the pv modes as well as with --module. */
static enum emu_err check_modules(const char *name, const json_t *modules, const struct guest_options *theirs,
                                  const struct guest_options *o, struct diag *d)
{
    struct guest_options ours = *o;
    json_t *mine = NULL;
    bool same;
    enum emu_err err;

    ours.mode = theirs->mode;
    err = modules_json(&ours, &mine, d);
    if (err != EMU_OK)
        return err;
    same = modules && json_equal(mine, modules);
    json_decref(mine);
    return same ? EMU_OK
                : diag_set_at(d, EMU_EINPUT, name, 0,
                              "is a snapshot of another case: its modules, or the Xen that loads them, are different");
}

/* What the text of a snapshot's case says; the pointers are into its JSON. */
struct told {
    const char *image, *initrd, *cmdline, *mode, *xen, *cpu;
    json_int_t vcpus, online, memory;
    json_t *edits, *modules;
    struct guest_options options; /* the mode and the Xen version */
    struct processor processor;
};

static enum emu_err read_case(const char *name, json_t *root, struct told *t, struct diag *d)
{
    static const char form[] = "{s:s, s?s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:o, s?o !}";
    bool ok;

    memset(t, 0, sizeof(*t));
    ok = root && !json_unpack(root, form, "image", &t->image, "initrd", &t->initrd, "cmdline", &t->cmdline, "mode",
                              &t->mode, "xen", &t->xen, "cpu", &t->cpu, "vcpus", &t->vcpus, "online", &t->online,
                              "memory", &t->memory, "edits", &t->edits, "modules", &t->modules);
    ok = ok && t->vcpus >= 1 && t->vcpus <= VCPUS_MAX && t->online >= 0 && t->online <= t->vcpus && t->memory > 0 &&
         json_is_array(t->edits) && json_array_size(t->edits) <= GUEST_EDITS_MAX &&
         parse_xen_version(t->xen, &t->options.xen_version, d) == EMU_OK &&
         parse_mode(t->mode, &t->options.mode, d) == EMU_OK && processor_parse(t->cpu, &t->processor, d) == EMU_OK;
    for (size_t i = 0; ok && i < json_array_size(t->edits); i++)
        ok = json_is_string(json_array_get(t->edits, i));
    return ok ? EMU_OK : diag_set_at(d, EMU_EINPUT, name, 0, "is damaged: the embedded case is not valid");
}

/* What the user names, numbers and texts, is what the case has. */
static enum emu_err check_machine(const char *name, const struct told *t, const struct guest_options *o, struct diag *d)
{
    char ours[64], cpu[PROCESSOR_TEXT_BYTES];
    struct processor processor;

    if (o->cmdline && strcmp(o->cmdline, t->cmdline))
        return differs(name, "command line", t->cmdline, o->cmdline, d);
    if (o->mode != PLATFORM_PVH && o->mode != t->options.mode)
        return differs(name, "mode", t->mode, platform_mode_name(o->mode), d);
    if (o->xen_version && o->xen_version != t->options.xen_version) {
        snprintf(ours, sizeof(ours), "%u.%u", o->xen_version >> 16, o->xen_version & 0xffff);
        return differs(name, "Xen version", t->xen, ours, d);
    }
    if (o->cpu && processor_parse(o->cpu, &processor, d) != EMU_OK)
        return EMU_EINPUT;
    if (o->cpu && strcmp(processor_print(&processor, cpu), t->cpu))
        return differs(name, "processor", t->cpu, cpu, d);
    if (o->vcpus_given && o->vcpus != (uint64_t)t->vcpus)
        return diag_set_at(d, EMU_EINPUT, name, 0, "is a snapshot of another case: it has %d vCPU%s, not %u",
                           (int)t->vcpus, plural((uint64_t)t->vcpus), o->vcpus);
    if (o->online && o->online != (uint64_t)t->online)
        return diag_set_at(d, EMU_EINPUT, name, 0, "is a snapshot of another case: --online was %d, not %u",
                           (int)t->online, o->online);
    if (o->ram_bytes && o->ram_bytes != (uint64_t)t->memory)
        return diag_set_at(d, EMU_EINPUT, name, 0,
                           "is a snapshot of another case: it has %" PRIu64 " bytes of memory, not %" PRIu64,
                           (uint64_t)t->memory, o->ram_bytes);
    return EMU_OK;
}

static void take(const struct told *t, struct guest_options *o)
{
    o->cmdline = t->cmdline;
    o->mode = t->options.mode;
    o->xen_version = t->options.xen_version;
    o->cpu = t->cpu;
    o->vcpus = (unsigned)t->vcpus;
    o->vcpus_given = true;
    o->online = (unsigned)t->online;
    o->ram_bytes = (uint64_t)t->memory;
    o->edits = (unsigned)json_array_size(t->edits);
    for (unsigned i = 0; i < o->edits; i++)
        o->edit[i] = json_string_value(json_array_get(t->edits, i));
}

enum emu_err snapshot_case_apply(const char *name, const char *text, struct guest_options *o,
                                 struct snapshot_case **keep, struct diag *d)
{
    struct snapshot_case *c = calloc(1, sizeof(*c));
    struct told t;
    enum emu_err err;

    if (!c)
        return diag_no_memory(d);
    c->root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    err = read_case(name, c->root, &t, d);
    if (err == EMU_OK)
        err = check_file(name, "image", t.image, o->kernel, d);
    if (err == EMU_OK)
        err = check_file(name, "initrd", t.initrd, o->initrd, d);
    if (err == EMU_OK)
        err = check_machine(name, &t, o, d);
    if (err == EMU_OK)
        err = check_edits(name, t.edits, o, d);
    if (err == EMU_OK && (o->modules || o->xen_image || o->xen_cmdline))
        err = check_modules(name, t.modules, &t.options, o, d);
    if (err != EMU_OK) {
        snapshot_case_free(c);
        return err;
    }
    take(&t, o);
    *keep = c;
    return EMU_OK;
}

bool snapshot_case_has_xen(const char *text, const char *path)
{
    json_t *root = json_loads(text, 0, NULL);
    const char *theirs = json_string_value(json_array_get(json_array_get(json_object_get(root, "modules"), 0), 0));
    struct file_digest ours;
    struct diag ignored;
    bool same = theirs && file_digest(path, &ours, &ignored) == EMU_OK && !strcmp(theirs, ours.xxh3_128);

    json_decref(root);
    return same;
}
