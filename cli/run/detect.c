/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/run/detect.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/run/guest.h"
#include "fuzz/detect/lost_event.h"
#include "fuzz/detect/op_table.h"
#include "fuzz/detect/op_table_text.h"
#include "fuzz/detect/stale_owner.h"
#include "fuzz/detect/torn_site.h"
#include "fuzz/detect/unsynchronised_code.h"
#include "models/linux/kernel_view.h"
#include "models/linux/patch_tables.h"
#include "models/linux/pv_ops.h"
#include "models/xen/xen.h"

#define LIST_BYTES        256u
#define DECLARATION_BYTES 8192u
#define SLOW_VALUE        3 /* _Q_SLOW_VAL: the holder must wake a waiter */

enum { ONE_STALE_OWNER = 1, ONE_LOST_EVENT = 2, ONE_UNSYNCHRONISED_CODE = 4 };

/* Every detector: a row. */
static const struct detector {
    const char *name;
    unsigned op_table; /* OP_TABLE_* */
    unsigned ones;     /* ONE_*; neither: the machine looks for it always */
} detectors[] = {
    {"crash", 0, 0},
    {"hang", 0, 0},
    {"stale-owner", 0, ONE_STALE_OWNER},
    {"lost-event", 0, ONE_LOST_EVENT},
    {"unsynchronised-code", 0, ONE_UNSYNCHRONISED_CODE},
    {"op-table", OP_TABLE_ALL, 0},
    {"op-table-switch", OP_TABLE_SWITCH, 0},
    {"op-table-sites", OP_TABLE_SITES, 0},
    {"op-table-locks", OP_TABLE_LOCKS, 0},
};

struct detect {
    struct machine *machine;
    unsigned ones; /* ONE_* that are attached */
    struct stale_owner stale_owner;
    struct lost_event lost_event;
    struct unsynchronised_code unsynchronised_code;
    struct torn_site_detector torn_site;
    struct op_table *op_table;
    struct op_table_site *sites;
};

static enum emu_err parse_names(const char *names, unsigned *op_table, unsigned *ones, struct diag *d)
{
    char list[LIST_BYTES], *rest = list, *one;

    if (strlen(names) >= sizeof(list))
        return diag_set(d, EMU_EINPUT, "the list of detectors is too long");
    strcpy(list, names);
    while ((one = strsep(&rest, ","))) {
        unsigned i = 0, n = sizeof(detectors) / sizeof(*detectors);

        while (i < n && strcmp(one, detectors[i].name))
            i++;
        if (i == n)
            return diag_set(d, EMU_EINPUT, "there is no detector '%s'; there are " DETECT_NAMES, one);
        *op_table |= detectors[i].op_table;
        *ones |= detectors[i].ones;
    }
    return EMU_OK;
}

/* ---- the operations table: by declaration, or of a Linux kernel ---- */

static enum emu_err read_declaration(const char *path, char *text, size_t bytes, struct diag *d)
{
    FILE *f = fopen(path, "r");
    size_t got;

    if (!f)
        return diag_set_at(d, EMU_EINPUT, path, 0, "can't be opened: %s", strerror(errno));
    got = fread(text, 1, bytes - 1, f);
    text[got] = '\0';
    if (ferror(f) || got == bytes - 1) {
        fclose(f);
        return diag_set_at(d, EMU_EINPUT, path, 0, "can't be read, or is too long for a declaration");
    }
    fclose(f);
    return EMU_OK;
}

static enum emu_err declare(const struct guest *g, struct op_table_config *c, struct diag *d)
{
    const char *text = g->options.op_table;
    char file[DECLARATION_BYTES];
    enum emu_err err = EMU_OK;

    if (*text == '@') {
        err = read_declaration(text + 1, file, sizeof(file), d);
        text = file;
    }
    if (err == EMU_OK && !g->symbols)
        err = diag_set(d, EMU_EINPUT, "--op-table names symbols, but the image has none; give --vmlinux");
    if (err == EMU_OK)
        err = op_table_parse(text, g->symbols, g->image->elf_class, c, d);
    return err;
}

static uint64_t find_one(const struct guest *g, const char *name)
{
    struct symbol s;

    return symbols_find_name(g->symbols, name, &s) == 1 ? s.start_gva : 0;
}

/* Modules have tables of their own; entries say their operation by number, which is to be the slot's. */
static bool operations_are_slots(const struct pv_ops *o, const struct patch_tables *t)
{
    if (!t->tables[PATCH_PARAVIRT].is_present || t->tables[PATCH_PARAVIRT].refusal[0])
        return false;
    for (uint32_t i = 0; i < t->tables[PATCH_PARAVIRT].count; i++) {
        struct patch_entry e;
        const struct pv_site *site;

        patch_tables_get(t, PATCH_PARAVIRT, i, &e);
        site = pv_ops_find_site(o, e.site_gva);
        if (site && site->slot != e.feature)
            return false;
    }
    return true;
}

static void copy_slots(struct op_table_config *c, const struct pv_ops *o)
{
    static_assert(PV_OPS_SLOTS_MAX <= OP_TABLE_SLOTS_MAX, "every slot has room");
    static_assert(PV_OPS_NAME_BYTES <= OP_TABLE_NAME_BYTES, "every name has room");
    for (unsigned i = 0; i < o->slot_count; i++) {
        struct op_table_slot *slot = &c->slots[i];

        slot->slot_gva = o->slots[i].slot_gva;
        slot->native_gva = o->slots[i].first_gva;
        snprintf(slot->table, sizeof(slot->table), "%s", o->slots[i].table);
        if (o->slots[i].name[0])
            snprintf(slot->name, sizeof(slot->name), "%s", o->slots[i].name);
        else
            snprintf(slot->name, sizeof(slot->name), "slot%u", i);
    }
    c->slot_count = o->slot_count;
}

static enum emu_err copy_sites(const struct guest *g, struct op_table_config *c, const struct pv_ops *o,
                               struct op_table_site **sites, struct diag *d)
{
    uint64_t init_gva = find_one(g, "__init_begin"), init_end_gva = find_one(g, "__init_end");

    *sites = calloc(o->site_count + 1, sizeof(**sites));
    if (!*sites)
        return diag_set(d, EMU_EHOST, "the host has no memory left");
    for (size_t i = 0; i < o->site_count; i++)
        if (o->sites[i].site_gva < init_gva || o->sites[i].site_gva >= init_end_gva) /* those are freed */
            (*sites)[c->site_count++] = (struct op_table_site){
                .site_gva = o->sites[i].site_gva, .bytes = o->sites[i].bytes, .slot = o->sites[i].slot};
    c->sites = *sites;
    return EMU_OK;
}

static enum emu_err read_linux(const struct guest *g, struct op_table_config *c, struct op_table_site **sites,
                               struct diag *d)
{
    struct kernel_view view;
    struct patch_tables *t = calloc(1, sizeof(*t));
    struct pv_ops *o = calloc(1, sizeof(*o));
    enum emu_err err = EMU_OK;

    if (!t || !o)
        err = diag_set(d, EMU_EHOST, "the host has no memory left");
    if (err == EMU_OK)
        err = kernel_view_init(&view, g->image->bytes, g->image->size, d);
    if (err == EMU_OK && !g->symbols)
        err = diag_set(d, EMU_EINPUT, "the image has no symbols; give --system-map or --vmlinux");
    if (err == EMU_OK)
        err = patch_tables_find(&view, g->symbols, t, d);
    if (err == EMU_OK)
        err = pv_ops_init(o, &view, g->symbols, t, d);
    if (err == EMU_OK) {
        *c = (struct op_table_config){.bits = view.bits};
        copy_slots(c, o);
        err = copy_sites(g, c, o, sites, d);
    }
    if (err == EMU_OK) {
        c->boot_patcher_gva = find_one(g, "alternative_instructions");
        c->known_table_gva = t->tables[PATCH_PARAVIRT].start_gva;
        c->patcher_gva = operations_are_slots(o, t) ? find_one(g, "apply_paravirt") : 0;
        c->wait_slot = pv_ops_find_name(o, "wait");
        c->release_slot = pv_ops_find_name(o, "queued_spin_unlock");
        c->wait_value = SLOW_VALUE;
        c->release_gva = find_one(g, "__pv_queued_spin_unlock_slowpath");
        if (!c->boot_patcher_gva && !c->patcher_gva)
            err = diag_set(d, EMU_EINPUT, "the kernel has no alternative_instructions among its symbols");
    }
    if (o)
        pv_ops_fini(o);
    free(o);
    free(t);
    if (err == EMU_EINPUT) {
        char why[sizeof(d->text)];

        snprintf(why, sizeof(why), "%s", d->text);
        (void)diag_set(d, err,
                       "--detect op-table knows Linux kernels with paravirt operations, and what --op-table "
                       "declares; nothing is declared, and %.200s",
                       why);
    }
    return err;
}

/* Where the loader put it. */
static bool find_gpa(const struct guest *g, uint64_t gva, uint64_t bytes, uint64_t *gpa)
{
    for (size_t k = 0; k < g->image->segments_count; k++) {
        const struct image_segment *s = &g->image->segments[k];

        if (gva >= s->vaddr && gva - s->vaddr < s->memory_bytes && bytes <= s->memory_bytes - (gva - s->vaddr)) {
            *gpa = s->paddr + (gva - s->vaddr);
            return true;
        }
    }
    return false;
}

static enum emu_err find_slots(const struct guest *g, struct op_table_config *c, struct diag *d)
{
    for (unsigned i = 0; i < c->slot_count; i++)
        if (!find_gpa(g, c->slots[i].slot_gva, 1, &c->slots[i].slot_gpa))
            return diag_set(d, EMU_EINPUT, "the slot %s of %s is not in the image", c->slots[i].name,
                            c->slots[i].table);
    return EMU_OK;
}

static enum emu_err attach_op_table(const struct guest *g, unsigned checks, struct detect *x, struct diag *d)
{
    struct op_table_config *c = calloc(1, sizeof(*c));
    enum emu_err err;

    if (!c)
        return diag_set(d, EMU_EHOST, "the host has no memory left");
    err = g->options.op_table ? declare(g, c, d) : read_linux(g, c, &x->sites, d);
    if (err == EMU_OK)
        err = find_slots(g, c, d);
    if (err == EMU_OK)
        err = op_table_new(g->machine, c, g->symbols, checks, &x->op_table, d);
    free(c);
    return err;
}

/* ---- the others ---- */

/* Linux leaves for the next kernel there; a free-standing guest says what changes hands. */
static enum emu_err attach_stale_owner(const struct guest *g, struct detect *x, struct diag *d)
{
    struct stale_owner_options options = {
        .fail = true, .leave_gva = g->symbols ? find_one(g, "machine_kexec") : 0, .write_name = xen_host_write_name};

    return stale_owner_attach(&x->stale_owner, g->machine, &options, d);
}

/* A Linux kernel keeps only part of its code: what is between _stext and _etext. */
static enum emu_err attach_unsynchronised_code(const struct guest *g, struct detect *x, struct diag *d)
{
    struct unsynchronised_code_options options = {.symbols = g->symbols};
    uint64_t first_gva = g->symbols ? find_one(g, "_stext") : 0, end_gva = g->symbols ? find_one(g, "_etext") : 0;

    if (!g->image)
        return diag_set(d, EMU_EINPUT, "--detect unsynchronised-code needs the image, which says what is code");
    if (first_gva && end_gva > first_gva &&
        find_gpa(g, first_gva, end_gva - first_gva, &options.range[options.ranges].gpa))
        options.range[options.ranges++].bytes = end_gva - first_gva;
    else
        for (size_t i = 0; i < g->image->code_count && options.ranges < UNSYNCHRONISED_CODE_RANGES_MAX; i++)
            if (find_gpa(g, g->image->code[i].vaddr, g->image->code[i].bytes, &options.range[options.ranges].gpa))
                options.range[options.ranges++].bytes = g->image->code[i].bytes;
    if (!options.ranges)
        return diag_set(d, EMU_EINPUT,
                        "the image says of none of its parts that it is code, so that "
                        "--detect unsynchronised-code has nothing to watch");
    return unsynchronised_code_attach(&x->unsynchronised_code, g->machine, &options, d);
}

static enum emu_err attach_ones(const struct guest *g, unsigned ones, struct detect *x, struct diag *d)
{
    struct lost_event_options lost = {.fail = true, .patience_ns = LOST_EVENT_PATIENCE_DEFAULT_NS};
    enum emu_err err = EMU_OK;

    if (ones & ONE_STALE_OWNER)
        err = attach_stale_owner(g, x, d);
    if (err == EMU_OK && (ones & ONE_LOST_EVENT))
        err = lost_event_attach(&x->lost_event, g->machine, &lost, d);
    if (err == EMU_OK && (ones & ONE_UNSYNCHRONISED_CODE))
        err = attach_unsynchronised_code(g, x, d);
    x->ones = ones;
    return err;
}

static enum emu_err attach_torn_site(const struct guest *g, struct detect *x, struct diag *d)
{
    struct torn_site site;
    enum emu_err err = torn_site_parse(g->options.torn_site, g->symbols, &site, d);

    return err == EMU_OK ? torn_site_attach(&x->torn_site, g->machine, &site, d) : err;
}

enum emu_err detect_new(const struct guest *g, struct detect **out, struct diag *d)
{
    unsigned op_table = 0, ones = 0;
    enum emu_err err = EMU_OK;

    *out = NULL;
    if (g->options.detect)
        err = parse_names(g->options.detect, &op_table, &ones, d);
    if (err == EMU_OK && g->options.op_table && !op_table)
        err = diag_set(d, EMU_EINPUT, "--op-table declares what --detect op-table is to watch: give that too");
    if (err == EMU_OK && op_table && g->options.snapshot)
        err = diag_set(d, EMU_EINPUT, "--detect op-table has to see the kernel patch itself: boot from the start");
    if (err != EMU_OK || (!(op_table | ones) && !g->options.torn_site))
        return err;
    *out = calloc(1, sizeof(**out));
    if (!*out)
        return diag_set(d, EMU_EHOST, "the host has no memory left");
    (*out)->machine = g->machine;
    if (op_table)
        err = attach_op_table(g, op_table, *out, d);
    if (err == EMU_OK)
        err = attach_ones(g, ones, *out, d);
    if (err == EMU_OK && g->options.torn_site)
        err = attach_torn_site(g, *out, d);
    if (err != EMU_OK) {
        detect_free(*out);
        *out = NULL;
    }
    return err;
}

void detect_free(struct detect *x)
{
    if (!x)
        return;
    if (x->op_table)
        op_table_free(x->op_table);
    free(x->sites);
    free(x);
}

const char *detect_report(const struct detect *x)
{
    return x && x->op_table ? op_table_report(x->op_table) : "";
}

void detect_print(const struct detect *x, FILE *to)
{
    unsigned slots;
    size_t sites;

    if (x && (x->ones & ONE_STALE_OWNER))
        stale_owner_print(&x->stale_owner, x->machine, to);
    if (x && (x->ones & ONE_LOST_EVENT))
        lost_event_print(&x->lost_event, x->machine, to);
    if (x && (x->ones & ONE_UNSYNCHRONISED_CODE))
        unsynchronised_code_print(&x->unsynchronised_code, to);
    if (!x || !x->op_table)
        return;
    op_table_count(x->op_table, &slots, &sites);
    if (!op_table_has_watched(x->op_table))
        fprintf(to, "op-table: the guest never came to its patching functions where its symbols have them; a kernel "
                    "that moves itself needs nokaslr on its command line\n");
    else if (op_table_report(x->op_table)[0])
        fprintf(to, "op-table:\n%s", op_table_report(x->op_table));
    else
        fprintf(to, "op-table: nothing found; %u slots and %zu call sites were watched\n", slots, sites);
}
