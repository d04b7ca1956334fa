/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/case/record.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/run/file_digest.h"
#include "cli/run/modules.h"
#include "cli/run/utf8.h"
#include "emu/base/count.h"

#define SAID_BYTES 600u

static enum emu_err resolve(const char *path, char resolved[PATH_MAX], struct diag *d)
{
    return realpath(path, resolved) ? EMU_OK : diag_set_at(d, EMU_EINPUT, path, 0, "%s", strerror(errno));
}

enum emu_err record_relative_path(const char *path, const char *file, char relative[CASE_PATH_BYTES], struct diag *d)
{
    char target[PATH_MAX], folder[PATH_MAX + 1 /* the last slash */], given[CASE_PATH_BYTES];
    size_t same = 0, used = 0;
    enum emu_err err;

    if (snprintf(given, sizeof(given), "%s", file) >= (int)sizeof(given))
        return diag_set(d, EMU_EINPUT, "the path of the case is too long");
    if (strrchr(given, '/'))
        strrchr(given, '/')[1] = '\0';
    else
        strcpy(given, ".");
    err = resolve(given, folder, d);
    if (err == EMU_OK)
        err = resolve(path, target, d);
    if (err != EMU_OK)
        return err;
    if (strcmp(folder, "/"))
        strcat(folder, "/");
    for (size_t i = 0; folder[i] && folder[i] == target[i]; i++) {
        if (folder[i] == '/')
            same = i + 1;
    }
    relative[0] = '\0';
    for (const char *up = folder + same; *up; up++) {
        if (*up == '/' && used < CASE_PATH_BYTES)
            used += (size_t)snprintf(relative + used, CASE_PATH_BYTES - used, "../");
    }
    if (used >= CASE_PATH_BYTES)
        return diag_set_at(d, EMU_EINPUT, path, 0, "the path from the case to it is too long");
    if (snprintf(relative + used, CASE_PATH_BYTES - used, "%s", target + same) >= (int)(CASE_PATH_BYTES - used))
        return diag_set_at(d, EMU_EINPUT, path, 0, "the path from the case to it is too long");
    return EMU_OK;
}

enum emu_err record_check(const struct guest_options *o, const char *path, struct diag *d)
{
    const bool has_table = o->op_table && o->op_table[0] == '@';
    const char *const files[] = {o->kernel, o->initrd, o->system_map, o->vmlinux, has_table ? o->op_table + 1 : NULL};
    char relative[CASE_PATH_BYTES];
    enum emu_err err = EMU_OK;

    for (unsigned i = 0; err == EMU_OK && i < COUNT(files); i++) {
        if (!files[i] || access(files[i], F_OK)) /* whoever opens it says so */
            continue;
        err = record_relative_path(files[i], path, relative, d);
        if (err == EMU_OK)
            err = utf8_check("the path from the case to a file of its guest", relative, d);
    }
    return err;
}

enum emu_err record_save(const struct test_case *c, const char *path, struct diag *d)
{
    char beside[CASE_PATH_BYTES];
    enum emu_err err;
    FILE *f;

    if (snprintf(beside, sizeof(beside), "%s.new", path) >= (int)sizeof(beside))
        return diag_set(d, EMU_EINPUT, "the path of the case is too long");
    f = fopen(beside, "w");
    if (!f)
        return diag_set_at(d, EMU_EINPUT, path, 0, "can't be written: %s", strerror(errno));
    err = case_write(c, f, d);
    if (fclose(f) && err == EMU_OK)
        err = diag_set_at(d, EMU_EHOST, path, 0, "can't be written: %s", strerror(errno));
    if (err == EMU_OK && rename(beside, path))
        err = diag_set_at(d, EMU_EHOST, path, 0, "can't be written: %s", strerror(errno));
    if (err != EMU_OK)
        unlink(beside);
    return err;
}

static void set_machine(struct test_case *c, const struct guest_options *o)
{
    c->detect = o->detect;
    c->torn_site = o->torn_site;
    c->same = o->same;
    c->machine.cmdline = o->cmdline;
    c->machine.mode = o->mode;
    c->machine.xen_version = o->xen_version;
    c->machine.cpu = o->cpu;
    c->machine.vcpus = o->vcpus;
    c->machine.online = o->online ? o->online : CASE_NONE;
    c->machine.memory_bytes = o->ram_bytes;
    for (unsigned i = 0; i < o->edits; i++)
        c->guest.edit[i] = o->edit[i];
    c->guest.edits = o->edits;
    c->machine.xen_cmdline = o->xen_cmdline;
}

/* What a kernel says of its own end, as a pattern: with any number for a number. What does not fit is left out. */
static void make_pattern(const char *said, char *pattern, size_t bytes)
{
    static const char number[] = "[0-9a-fA-Fx]+";
    size_t used = 0;

    for (const char *at = said; *at && used + sizeof(number) < bytes;) {
        size_t n = verdict_number_length(at);

        if (n) {
            used += (size_t)snprintf(pattern + used, bytes - used, "%s", number);
            at += n;
            continue;
        }
        for (n = verdict_word_length(at), n = n ? n : 1; n && used + 3 < bytes; n--, at++) {
            if (strchr("\\.^$*+?()[]{}|", *at))
                pattern[used++] = '\\';
            pattern[used++] = *at;
        }
    }
    pattern[used] = '\0';
}

/* Without the size that a symbol's place ends with. */
static void set_expectation(struct test_case *c, const struct outcome *o, char place[sizeof(o->place)],
                            char said[SAID_BYTES])
{
    if (o->is_quote) {
        make_pattern(o->text, said, SAID_BYTES);
        c->expect.text = said;
    }
    snprintf(place, sizeof(o->place), "%s", o->place);
    if (strchr(place, '/'))
        *strchr(place, '/') = '\0';
    c->expect.verdict = o->verdict;
    c->expect.detector = o->detector[0] ? o->detector : NULL;
    c->expect.place = place[0] ? place : NULL;
    c->expect.digest = o->digest;
    c->expect.steps = o->steps;
}

static char *schedule_text(const struct schedule *s)
{
    char *text = NULL;
    size_t bytes;
    FILE *f = open_memstream(&text, &bytes);

    if (!f)
        return NULL;
    schedule_print(s, f);
    if (fclose(f)) {
        free(text);
        return NULL;
    }
    return text;
}

struct module_paths {
    char xen[CASE_PATH_BYTES], file[PLATFORM_MODULES_MAX][CASE_PATH_BYTES];
};

static enum emu_err set_module(const char *module, const char *path, char to[CASE_PATH_BYTES], struct diag *d)
{
    const char *rest = strchr(module, ',');
    char *file = modules_path(module);
    enum emu_err err;
    size_t used;

    if (!file)
        return diag_no_memory(d);
    err = record_relative_path(file, path, to, d);
    free(file);
    if (err != EMU_OK || !rest)
        return err;
    used = strlen(to);
    if ((size_t)snprintf(to + used, CASE_PATH_BYTES - used, "%s", rest) >= CASE_PATH_BYTES - used)
        return diag_set_at(d, EMU_EINPUT, path, 0, "a module with its command line is too long");
    return utf8_check("a module", to, d);
}

/* The modules; and of the pv modes the Xen's digest, and its path if the user named it. */
static enum emu_err set_modules(struct test_case *c, const struct guest_options *o, const char *path,
                                struct module_paths *to, struct diag *d)
{
    struct file_digest digest;
    enum emu_err err = EMU_OK;
    char *xen = NULL;

    if (platform_mode_is_pv(o->mode)) {
        err = modules_find_xen(o, &xen, d);
        if (err == EMU_OK)
            err = file_digest(xen, &digest, d);
        if (err == EMU_OK)
            c->guest.xen_xxh3 = digest.xxh3;
        free(xen);
    }
    if (err == EMU_OK && o->xen_image) {
        err = record_relative_path(o->xen_image, path, to->xen, d);
        c->guest.xen_image = to->xen;
    }
    for (unsigned i = 0; err == EMU_OK && i < o->modules; i++) {
        err = set_module(o->module[i], path, to->file[i], d);
        c->guest.module[c->guest.modules++] = to->file[i];
    }
    return err;
}

enum emu_err record_write(const struct record *r, const char *path, struct diag *d)
{
    const struct guest_options *o = r->guest;
    char relative[4][CASE_PATH_BYTES], op_table[CASE_PATH_BYTES + 1] = "@", title[sizeof(r->outcome->text) + 32],
                                                                  place[sizeof(r->outcome->place)], said[SAID_BYTES];
    struct module_paths modules;
    struct file_digest image = {0};
    struct test_case c;
    char *text = NULL;
    enum emu_err err;

    const char *const files[4] = {o->kernel, o->initrd, o->system_map, o->vmlinux};
    const char **const keys[4] = {&c.guest.kernel, &c.guest.initrd, &c.guest.system_map, &c.guest.vmlinux};

    case_init(&c);
    snprintf(title, sizeof(title), "%s: %s", verdict_kind_name(r->outcome->verdict), r->outcome->text);
    c.title = r->title ? r->title : title;
    c.prose.mechanism =
        r->mechanism ? r->mechanism : "Not known yet: the run was recorded, and nobody has looked into it.";
    c.prose.source = r->source ? r->source : "Recorded by bootrace " BOOTRACE_VERSION ".";
    c.prose.falsified_by = "A replay that ends in another state.";
    err = file_digest(o->kernel, &image, d);
    c.guest.image_xxh3 = image.xxh3;
    for (unsigned i = 0; err == EMU_OK && i < 4; i++) {
        if (!files[i])
            continue;
        err = record_relative_path(files[i], path, relative[i], d);
        *keys[i] = relative[i];
    }
    if (err == EMU_OK)
        err = set_modules(&c, o, path, &modules, d);
    c.op_table = o->op_table;
    if (err == EMU_OK && o->op_table && o->op_table[0] == '@') {
        err = record_relative_path(o->op_table + 1, path, op_table + 1, d);
        c.op_table = op_table;
    }
    set_machine(&c, o);
    set_expectation(&c, r->outcome, place, said);
    if (r->schedule && r->schedule->count) {
        text = schedule_text(r->schedule);
        if (!text && err == EMU_OK)
            err = diag_no_memory(d);
        c.schedule = text;
    }
    c.limits.until = r->until;
    if (r->steps_max)
        c.limits.steps_max = r->steps_max;
    if (err == EMU_OK)
        err = record_save(&c, path, d);
    free(text);
    return err;
}
