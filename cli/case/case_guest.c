/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/case/case_guest.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/run/file_digest.h"
#include "cli/run/modules.h"
#include "cli/run/program_folder.h"

static bool is_folder(const char *path)
{
    char dot[CASE_PATH_BYTES + 8];

    snprintf(dot, sizeof(dot), "%s/.", path);
    return *path && access(dot, R_OK | X_OK) == 0;
}

void case_places_init(struct case_places *p, const char *guests)
{
    char folder[CASE_PATH_BYTES - 128], resolved[PATH_MAX];
    bool is_known = program_folder(folder, sizeof(folder));

    memset(p, 0, sizeof(*p));
    if (guests)
        snprintf(p->guests, sizeof(p->guests), "%s", guests);
    else if (is_known) {
        /* build/cli/bootrace, or PREFIX/bin/bootrace */
        sprintf(p->guests, "%s/../corpus/guests", folder);
        if (!is_folder(p->guests))
            sprintf(p->guests, "%s/../%s", folder, BOOTRACE_GUESTS);
    }
    if (!guests && realpath(p->guests, resolved))
        snprintf(p->guests, sizeof(p->guests), "%s", resolved);
    if (is_known)
        sprintf(p->cache, "%s/../../.cache", folder);
    if (is_folder("corpus") || !is_known)
        sprintf(p->corpus, "corpus");
    else
        sprintf(p->corpus, "%s/../" BOOTRACE_CORPUS, folder);
    if (!is_folder(p->cache))
        p->cache[0] = '\0';
    else if (realpath(p->cache, resolved))
        snprintf(p->cache, sizeof(p->cache), "%s", resolved);
}

static enum emu_err join_in(const char *folder, const char *name, char *path, size_t bytes, struct diag *d)
{
    int n = *name == '/' || !*folder ? snprintf(path, bytes, "%s", name) : snprintf(path, bytes, "%s/%s", folder, name);

    return n >= 0 && (size_t)n < bytes ? EMU_OK : diag_set(d, EMU_EINPUT, "the path of '%.60s…' is too long", name);
}

static enum emu_err join(const char *folder, const char *name, char path[CASE_PATH_BYTES], struct diag *d)
{
    return join_in(folder, name, path, CASE_PATH_BYTES, d);
}

static bool is_plain_name(const char *name)
{
    return *name && !strchr(name, '/') && name[0] != '.';
}

static enum emu_err find_kernel(const struct test_case *c, const struct case_places *p, const char *folder,
                                char path[CASE_PATH_BYTES], struct diag *d)
{
    char name[512];

    if (c->guest.kernel)
        return join(folder, c->guest.kernel, path, d);
    if (c->guest.free_standing) {
        snprintf(name, sizeof(name), "%.400s.elf", c->guest.free_standing);
        if (!is_plain_name(c->guest.free_standing) || join(p->guests, name, path, d) != EMU_OK || access(path, R_OK))
            return diag_set_at(d, EMU_EINPUT, c->path, 0,
                               "there is no free-standing guest '%.60s' in %s; build it, or say --guests FOLDER",
                               c->guest.free_standing, p->guests);
        return EMU_OK;
    }
    snprintf(name, sizeof(name), "kernel/%.200s%s/vmlinuz", c->guest.debian,
             strchr(c->guest.debian, '@') ? "" : "@own");
    if (!is_plain_name(c->guest.debian) || !*p->cache || join(p->cache, name, path, d) != EMU_OK || access(path, R_OK))
        return diag_set_at(d, EMU_EINPUT, c->path, 0,
                           "Debian's kernel '%.60s' is not in the cache; `scripts/kernel %.60s` fetches it",
                           c->guest.debian, c->guest.debian);
    return EMU_OK;
}

/* A file of the guest's that the case names by its path. */
static enum emu_err find_file(const char *folder, const char *name, char path[CASE_PATH_BYTES], const char **option,
                              struct diag *d)
{
    if (!name)
        return EMU_OK;
    *option = path;
    return join(folder, name, path, d);
}

static enum emu_err find_initrd(const struct test_case *c, const struct case_places *p, const char *folder,
                                struct case_guest *g, struct diag *d)
{
    enum emu_err err;

    if (!c->guest.initrd || strcmp(c->guest.initrd, "cached"))
        return find_file(folder, c->guest.initrd, g->initrd, &g->options.initrd, d);
    g->options.initrd = g->initrd;
    err = join(p->cache, "initrd/amd64/initrd.cpio", g->initrd, d);
    if (err == EMU_OK && (!*p->cache || access(g->initrd, R_OK)))
        err = diag_set_at(d, EMU_EINPUT, c->path, 0, "the initrd is not in the cache; `scripts/initrd` makes it");
    return err;
}

/* The op-table's definition is a file if its text begins with '@'. */
static enum emu_err find_op_table(const struct test_case *c, const char *folder, struct case_guest *g, struct diag *d)
{
    g->options.op_table = c->op_table;
    if (!c->op_table || c->op_table[0] != '@')
        return EMU_OK;
    g->op_table[0] = '@';
    g->options.op_table = g->op_table;
    return join_in(folder, c->op_table + 1, g->op_table + 1, sizeof(g->op_table) - 1, d);
}

static void take_machine(const struct test_case *c, struct guest_options *o)
{
    o->xen_cmdline = c->machine.xen_cmdline;
    o->cmdline = c->machine.cmdline;
    o->mode = c->machine.mode;
    o->xen_version = c->machine.xen_version;
    o->cpu = c->machine.cpu;
    if (c->machine.vcpus != CASE_NONE) {
        o->vcpus = (unsigned)c->machine.vcpus;
        o->vcpus_given = true;
    }
    if (c->machine.online != CASE_NONE)
        o->online = (unsigned)c->machine.online;
    if (c->machine.memory_bytes != CASE_NONE)
        o->ram_bytes = c->machine.memory_bytes;
}

enum emu_err case_find_guest(const struct test_case *c, const struct case_places *p, struct case_guest *g,
                             struct diag *d)
{
    struct guest_options *o = &g->options;
    char folder[CASE_PATH_BYTES];
    enum emu_err err;

    memset(g, 0, sizeof(*g));
    if (snprintf(folder, sizeof(folder), "%s", c->path) >= (int)sizeof(folder))
        return diag_set(d, EMU_EINPUT, "the path of the case is too long");
    if (strrchr(folder, '/'))
        *strrchr(folder, '/') = '\0';
    else
        strcpy(folder, ".");
    o->kernel = g->kernel;
    err = find_kernel(c, p, folder, g->kernel, d);
    if (err == EMU_OK)
        err = find_initrd(c, p, folder, g, d);
    if (err == EMU_OK)
        err = find_file(folder, c->guest.system_map, g->system_map, &o->system_map, d);
    if (err == EMU_OK)
        err = find_file(folder, c->guest.vmlinux, g->vmlinux, &o->vmlinux, d);
    if (err == EMU_OK)
        err = find_file(folder, c->guest.xen_image, g->xen_image, &o->xen_image, d);
    for (unsigned i = 0; err == EMU_OK && i < c->guest.modules; i++)
        err = find_file(folder, c->guest.module[i], g->module[i], &o->module[o->modules++], d);
    if (err == EMU_OK)
        err = find_op_table(c, folder, g, d);
    o->detect = c->detect;
    o->torn_site = c->torn_site;
    o->same = c->same;
    take_machine(c, o);
    for (unsigned i = 0; i < c->guest.edits; i++)
        o->edit[o->edits++] = c->guest.edit[i];
    return err;
}

enum emu_err case_prepare(const struct test_case *c, const char *guests, struct case_guest *g, struct schedule *s,
                          struct diag *d)
{
    struct case_places places;
    enum emu_err err = EMU_OK;

    case_places_init(&places, guests);
    if (c->schedule)
        err = schedule_parse(c->schedule, strlen(c->schedule), c->path, c->schedule_line, s, d);
    return err == EMU_OK ? case_find_guest(c, &places, g, d) : err;
}

static enum emu_err check_file(const struct test_case *c, const char *path, uint64_t wanted, struct diag *d)
{
    struct file_digest now;
    enum emu_err err;

    if (wanted == CASE_NONE)
        return EMU_OK;
    err = file_digest(path, &now, d);
    if (err == EMU_OK && now.xxh3 != wanted)
        err = diag_set_at(d, EMU_EINPUT, c->path, 0,
                          "the case is about another image: %s has the digest %016" PRIx64 ", and the case says "
                          "%016" PRIx64 "; record it again, or give it the old image",
                          path, now.xxh3, wanted);
    return err;
}

enum emu_err case_check_image(const struct test_case *c, const struct case_guest *g, struct diag *d)
{
    enum emu_err err = check_file(c, g->kernel, c->guest.image_xxh3, d);
    char *xen = NULL;

    if (err == EMU_OK && platform_mode_is_pv(c->machine.mode) && c->guest.xen_xxh3 != CASE_NONE) {
        err = modules_find_xen(&g->options, &xen, d);
        if (err == EMU_OK)
            err = check_file(c, xen, c->guest.xen_xxh3, d);
        free(xen);
    }
    return err;
}
