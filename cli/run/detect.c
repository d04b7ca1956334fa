/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/run/detect.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/run/guest.h"
#include "fuzz/detect/detector.h"
#include "fuzz/detect/op_table.h"
#include "fuzz/detect/op_table_text.h"
#include "fuzz/detect/torn_site.h"
#include "models/linux/kernel_view.h"
#include "models/linux/patch_tables.h"
#include "models/linux/pv_ops.h"
#include "models/xen/xen.h"

#define LIST_BYTES        256u
#define DECLARATION_BYTES 8192u
#define SLOW_VALUE        3 /* _Q_SLOW_VAL: the holder must wake a waiter */

struct detect {
    struct machine *machine;
    struct detect_input input;
    struct op_table_site *sites; /* of the input's table */
    void *state[DETECTORS];      /* of those that are attached */
    struct torn_site_detector torn_site;
};

/* `parts` of each detector, and which are asked for. */
struct wanted {
    bool is_wanted[DETECTORS];
    unsigned parts[DETECTORS];
};

static enum emu_err add_name(struct wanted *w, const char *name, struct diag *d)
{
    char names[LIST_BYTES];
    unsigned parts;
    const struct detector *x = detector_find(name, &parts);

    if (!x && (!strcmp(name, "crash") || !strcmp(name, "hang"))) /* the machine always looks for them */
        return EMU_OK;
    for (unsigned i = 0; x && i < DETECTORS; i++) {
        if (detectors[i] == x) {
            w->is_wanted[i] = true;
            w->parts[i] |= parts;
            return EMU_OK;
        }
    }
    detector_print_names(names, sizeof(names));
    return diag_set(d, EMU_EINPUT, "there is no detector '%s'; there are %s", name, names);
}

static enum emu_err parse_names(const char *names, struct wanted *w, struct diag *d)
{
    char list[LIST_BYTES], *rest = list, *one;
    enum emu_err err = EMU_OK;

    if (strlen(names) >= sizeof(list))
        return diag_set(d, EMU_EINPUT, "the list of detectors is too long");
    strcpy(list, names);
    while (err == EMU_OK && (one = strsep(&rest, ",")))
        err = add_name(w, one, d);
    return err;
}

static unsigned needs(const struct wanted *w)
{
    unsigned all = 0;

    for (unsigned i = 0; i < DETECTORS; i++)
        all |= w->is_wanted[i] ? detectors[i]->needs : 0;
    return all;
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
        return diag_no_memory(d);
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
        err = diag_no_memory(d);
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

static enum emu_err describe_op_table(const struct guest *g, struct detect *x, struct op_table_config *c,
                                      struct diag *d)
{
    enum emu_err err = g->options.op_table ? declare(g, c, d) : read_linux(g, c, &x->sites, d);

    if (err == EMU_OK)
        err = find_slots(g, c, d);
    x->input.op_table = c;
    return err;
}

/* ---- the others ---- */

/* A Linux kernel keeps only part of its code: what is between _stext and _etext. */
static enum emu_err describe_code(const struct guest *g, struct detect_input *input, struct diag *d)
{
    uint64_t first_gva = g->symbols ? find_one(g, "_stext") : 0, end_gva = g->symbols ? find_one(g, "_etext") : 0;

    if (!g->image)
        return diag_set(d, EMU_EINPUT, "--detect unsynchronised-code needs the image, which says what is code");
    if (first_gva && end_gva > first_gva &&
        find_gpa(g, first_gva, end_gva - first_gva, &input->code[input->code_ranges].gpa))
        input->code[input->code_ranges++].bytes = end_gva - first_gva;
    else
        for (size_t i = 0; i < g->image->code_count && input->code_ranges < DETECT_CODE_RANGES_MAX; i++)
            if (find_gpa(g, g->image->code[i].vaddr, g->image->code[i].bytes, &input->code[input->code_ranges].gpa))
                input->code[input->code_ranges++].bytes = g->image->code[i].bytes;
    if (!input->code_ranges)
        return diag_set(d, EMU_EINPUT,
                        "no part of the image is marked as code, so --detect unsynchronised-code has nothing to "
                        "watch");
    return EMU_OK;
}

/* What the wanted detectors have to know. Linux leaves for the next kernel in machine_kexec. */
static enum emu_err gather(const struct guest *g, unsigned needed, struct detect *x, struct op_table_config *c,
                           struct diag *d)
{
    enum emu_err err = EMU_OK;

    x->input.symbols = g->symbols;
    x->input.leave_gva = g->symbols ? find_one(g, "machine_kexec") : 0;
    x->input.write_name = xen_host_write_name;
    if (needed & DETECTOR_NEEDS_OP_TABLE)
        err = describe_op_table(g, x, c, d);
    if (err == EMU_OK && (needed & DETECTOR_NEEDS_CODE))
        err = describe_code(g, &x->input, d);
    return err;
}

static enum emu_err attach_all(const struct guest *g, const struct wanted *w, struct detect *x, struct diag *d)
{
    struct op_table_config *c = calloc(1, sizeof(*c));
    enum emu_err err;

    if (!c)
        return diag_no_memory(d);
    err = gather(g, needs(w), x, c, d);
    for (unsigned i = 0; err == EMU_OK && i < DETECTORS; i++)
        if (w->is_wanted[i])
            err = detectors[i]->attach(g->machine, &x->input, w->parts[i], &x->state[i], d);
    x->input.op_table = NULL; /* its detector has a copy */
    free(c);
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
    struct wanted w = {0};
    bool is_any = false, needs_table;
    enum emu_err err = EMU_OK;

    *out = NULL;
    if (g->options.detect)
        err = parse_names(g->options.detect, &w, d);
    for (unsigned i = 0; i < DETECTORS; i++)
        is_any |= w.is_wanted[i];
    needs_table = needs(&w) & DETECTOR_NEEDS_OP_TABLE;
    if (err == EMU_OK && g->options.op_table && !needs_table)
        err = diag_set(d, EMU_EINPUT, "--op-table declares what --detect op-table watches: give --detect op-table too");
    if (err == EMU_OK && needs_table && g->options.snapshot)
        err = diag_set(d, EMU_EINPUT, "--detect op-table has to see the kernel patch itself: boot from the start");
    if (err != EMU_OK || (!is_any && !g->options.torn_site))
        return err;
    *out = calloc(1, sizeof(**out));
    if (!*out)
        return diag_no_memory(d);
    (*out)->machine = g->machine;
    err = attach_all(g, &w, *out, d);
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
    for (unsigned i = 0; i < DETECTORS; i++)
        if (x->state[i])
            detectors[i]->free(x->state[i]);
    free(x->sites);
    free(x);
}

const char *detect_report(const struct detect *x)
{
    for (unsigned i = 0; x && i < DETECTORS; i++)
        if (x->state[i] && detectors[i]->report)
            return detectors[i]->report(x->state[i]);
    return "";
}

void detect_print(const struct detect *x, FILE *to)
{
    for (unsigned i = 0; x && i < DETECTORS; i++)
        if (x->state[i])
            detectors[i]->print(x->state[i], x->machine, to);
}
