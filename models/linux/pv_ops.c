/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/linux/pv_ops.h"

#include "emu/base/count.h"
#include "models/linux/call_site.h"

#include <stdlib.h>
#include <string.h>

#define DIRECT_CALL 2u /* ALT_FLAG_DIRECT_CALL: the alternative makes a call through a slot direct; from 6.8 */

/* The tables of all versions: one from 4.20 on (its locks apart from 7.0 on), one for each subject before. */
static const char *const tables[] = {
    "pv_ops",     "pv_ops_lock", "pv_init_ops", "pv_time_ops", "pv_cpu_ops",
    "pv_irq_ops", "pv_apic_ops", "pv_mmu_ops",  "pv_lock_ops",
};

/* "native_queued_spin_unlock" out of "__raw_callee_save___native_queued_spin_unlock"; "" if it is no native function.
 */
static void name_slot(struct pv_slot *slot, const char *function)
{
    const char *native = strstr(function, "native_");
    if (native)
        snprintf(slot->name, sizeof(slot->name), "%s", native + strlen("native_"));
}

static void read_table(struct pv_ops *o, const char *table, const struct kernel_view *v, const struct symbols *s)
{
    struct symbol symbol, function;
    if (symbols_find_name(s, table, &symbol) != 1)
        return;
    for (uint64_t at = 0; at + v->word_bytes <= symbol.bytes && o->slot_count < PV_OPS_SLOTS_MAX; at += v->word_bytes) {
        struct pv_slot *slot = &o->slots[o->slot_count];
        uint64_t first_gva = 0;
        if (!kernel_view_read(v, symbol.start_gva + at, &first_gva, v->word_bytes) ||
            (first_gva && !patch_tables_is_code(v, first_gva, 1)))
            return; /* the object behind it */
        *slot = (struct pv_slot){.slot_gva = symbol.start_gva + at, .first_gva = first_gva, .table = table};
        if (symbols_find_address(s, first_gva, &function) && function.start_gva == first_gva)
            name_slot(slot, function.name);
        o->slot_count++;
    }
}

/* Behind the unlocking slot stand the waiting and the kicking one, which a native kernel leaves empty. */
static void name_lock_slots(struct pv_ops *o)
{
    unsigned unlock = pv_ops_find_name(o, "queued_spin_unlock");
    static const char *const names[] = {"wait", "kick"};
    for (unsigned i = 0; i < 2 && unlock < o->slot_count; i++) {
        struct pv_slot *slot = &o->slots[unlock + 1 + i];
        if (unlock + 1 + i >= o->slot_count || slot->name[0] || slot->table != o->slots[unlock].table)
            return;
        snprintf(slot->name, sizeof(slot->name), "%s", names[i]);
    }
}

/* Which slot this is says the number in the entry of any of its callers, up to 6.7: all tables' slots are counted
   together. Where a symbol's extent holds padding behind a table, that would count too: `excess` empty slots before
   `slot` are it. */
static void drop_padding(struct pv_ops *o, unsigned slot, unsigned excess)
{
    unsigned end = slot;

    while (end > 0 && o->slots[end - 1].table == o->slots[slot].table)
        end--; /* of the table before */
    for (; excess && end && !o->slots[end - 1].first_gva; excess--, end--) {
        memmove(&o->slots[end - 1], &o->slots[end], (o->slot_count - end) * sizeof(*o->slots));
        o->slot_count--;
    }
}

static void drop_all_padding(struct pv_ops *o, const struct kernel_view *v, const struct patch_tables *t)
{
    const struct patch_table *table = &t->tables[PATCH_PARAVIRT];

    for (uint32_t i = 0; table->is_present && !table->refusal[0] && i < table->count; i++) {
        struct patch_entry e;
        uint8_t code[PATCH_SITE_BYTES_MAX];
        uint64_t slot_gva;
        unsigned slot;

        patch_tables_get(t, PATCH_PARAVIRT, i, &e);
        if (!kernel_view_read(v, e.site_gva, code, e.site_bytes) ||
            call_site_decode(v->bits, e.site_gva, code, e.site_bytes, &slot_gva) != CALL_SLOT)
            continue;
        slot = pv_ops_find_slot(o, slot_gva);
        if (slot < o->slot_count && slot > e.feature)
            drop_padding(o, slot, slot - e.feature);
    }
    while (o->slot_count && !o->slots[o->slot_count - 1].first_gva) /* nothing comes behind it, and nobody calls it */
        o->slot_count--;
}

/* Without CONFIG_KALLSYMS_ALL a kernel's own table names functions only. */
static bool names_data(const struct symbols *s)
{
    for (size_t i = 0; i < symbols_count(s); i++) {
        struct symbol symbol;

        symbols_get(s, i, &symbol);
        if (strchr("bBdDrR", symbol.kind))
            return true;
    }
    return false;
}

static int compare_sites(const void *a, const void *b)
{
    const struct pv_site *x = a, *y = b;
    return (x->site_gva > y->site_gva) - (x->site_gva < y->site_gva);
}

/* Up to 6.7 one table has all the sites; later they are alternatives that say so. */
static enum emu_err read_sites(struct pv_ops *o, const struct kernel_view *v, const struct patch_tables *t,
                               struct diag *d)
{
    enum patch_kind kind = t->tables[PATCH_PARAVIRT].is_present ? PATCH_PARAVIRT : PATCH_ALTERNATIVE;
    const struct patch_table *table = &t->tables[kind];
    size_t kept = 0;

    if (table->refusal[0])
        return diag_set(d, EMU_EINPUT, "the callers of the operations are not known, because %s", table->refusal);
    o->sites = calloc(table->count + 1, sizeof(*o->sites));
    if (!o->sites)
        return diag_no_memory(d);
    for (uint32_t i = 0; i < table->count; i++) {
        struct patch_entry e;
        uint8_t code[PATCH_SITE_BYTES_MAX];
        uint64_t slot_gva;
        unsigned slot;

        patch_tables_get(t, kind, i, &e);
        if ((kind == PATCH_ALTERNATIVE && !(e.flags & DIRECT_CALL)) ||
            !kernel_view_read(v, e.site_gva, code, e.site_bytes) ||
            call_site_decode(v->bits, e.site_gva, code, e.site_bytes, &slot_gva) != CALL_SLOT)
            continue;
        slot = pv_ops_find_slot(o, slot_gva);
        if (slot < o->slot_count)
            o->sites[o->site_count++] = (struct pv_site){.site_gva = e.site_gva, .bytes = e.site_bytes, .slot = slot};
    }
    qsort(o->sites, o->site_count, sizeof(*o->sites), compare_sites);
    for (size_t i = 0; i < o->site_count; i++)
        if (!kept || o->sites[kept - 1].site_gva != o->sites[i].site_gva)
            o->sites[kept++] = o->sites[i];
    o->site_count = kept;
    return EMU_OK;
}

enum emu_err pv_ops_init(struct pv_ops *o, const struct kernel_view *v, const struct symbols *s,
                         const struct patch_tables *t, struct diag *d)
{
    *o = (struct pv_ops){.sites = NULL};
    for (unsigned i = 0; i < COUNT(tables); i++)
        read_table(o, tables[i], v, s);
    drop_all_padding(o, v, t);
    if (!o->slot_count && !names_data(s))
        return diag_set(d, EMU_EINPUT,
                        "the kernel's own symbols name no data (it was built without CONFIG_KALLSYMS_ALL); give its "
                        "System.map with --system-map, or --vmlinux");
    if (!o->slot_count)
        return diag_set(d, EMU_EINPUT, "the kernel has no table of paravirt operations that its symbols name");
    name_lock_slots(o);
    return read_sites(o, v, t, d);
}

void pv_ops_fini(struct pv_ops *o)
{
    free(o->sites);
    *o = (struct pv_ops){.sites = NULL};
}

unsigned pv_ops_find_name(const struct pv_ops *o, const char *name)
{
    for (unsigned i = 0; i < o->slot_count; i++)
        if (o->slots[i].name[0] && !strcmp(o->slots[i].name, name))
            return i;
    return o->slot_count;
}

unsigned pv_ops_find_slot(const struct pv_ops *o, uint64_t slot_gva)
{
    for (unsigned i = 0; i < o->slot_count; i++)
        if (o->slots[i].slot_gva == slot_gva)
            return i;
    return o->slot_count;
}

const struct pv_site *pv_ops_find_site(const struct pv_ops *o, uint64_t site_gva)
{
    const struct pv_site key = {.site_gva = site_gva};
    return o->site_count ? bsearch(&key, o->sites, o->site_count, sizeof(key), compare_sites) : NULL;
}
