/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which guest-physical memory the library sees, and forgetting what it has translated of it. */
#include "emu/engine_state.h"

#define DEVICE_END_GPA (1ull << 40) /* device windows are all that is no RAM below this address */

bool engine_map(struct engine *e)
{
    struct memory_range low = memory_range(e->mem, 0), high = memory_range(e->mem, 1);
    uint64_t after_high = high.bytes ? high.gpa + high.bytes : MEMORY_HIGH_RAM_GPA;

    for (unsigned i = 0; i < 2; i++)
        e->window[i].e = e;
    e->window[0].base_gpa = low.bytes;
    e->window[1].base_gpa = after_high;
    if (uc_mem_map_ptr(e->uc, 0, low.bytes, UC_PROT_ALL, low.host) != UC_ERR_OK)
        return false;
    if (high.bytes && uc_mem_map_ptr(e->uc, high.gpa, high.bytes, UC_PROT_ALL, high.host) != UC_ERR_OK)
        return false;
    return uc_mmio_map(e->uc, low.bytes, MEMORY_HIGH_RAM_GPA - low.bytes, engine_device_read, &e->window[0],
                       engine_device_write, &e->window[0]) == UC_ERR_OK &&
           uc_mmio_map(e->uc, after_high, DEVICE_END_GPA - after_high, engine_device_read, &e->window[1],
                       engine_device_write, &e->window[1]) == UC_ERR_OK;
}

/* What is mapped changes between these two: in a context without paging, like engine_drop_stale_code(), since the
   library looks up addresses on the way. Translated code goes: the library may know its pages by other numbers
   afterwards. */
void engine_begin_mapping(struct engine *e)
{
    peek(e);
    uc_context_restore(e->uc, e->flat);
    uc_ctl_flush_tlb(e->uc);
}

void engine_end_mapping(struct engine *e)
{
    uc_ctl_flush_tb(e->uc);
    uc_context_restore(e->uc, e->scratch);
    uc_ctl_flush_tlb(e->uc);
    engine_drop_translations(e);
}

bool engine_refuse_writes(struct engine *e, uint64_t gpa, uint64_t bytes)
{
    uint64_t first = gpa & ~(uint64_t)(PAGE_BYTES - 1);

    return uc_mem_protect(e->uc, first, (gpa + bytes - first + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1),
                          UC_PROT_READ | UC_PROT_EXEC) == UC_ERR_OK;
}

/* Map what lies between `from` and `to` anew: RAM with its holes. The library splits its regions where protection
   changes, and never joins them again; so what is mapped is taken away first. */
static bool remap(struct engine *e, uint64_t from_gpa, uint64_t to_gpa)
{
    const struct memory_hole *hole;
    unsigned count;
    bool ok = uc_mem_unmap(e->uc, from_gpa, to_gpa - from_gpa) == UC_ERR_OK;

    hole = memory_holes(e->mem, &count);
    for (uint64_t gpa = from_gpa; ok && gpa < to_gpa;) {
        struct memory_range range = memory_range(e->mem, gpa >= MEMORY_HIGH_RAM_GPA);
        uint64_t end = to_gpa;
        bool is_hole = false;

        for (unsigned i = 0; i < count; i++) {
            if (hole[i].gpa + hole[i].bytes <= gpa)
                continue;
            is_hole = hole[i].gpa <= gpa;
            end = is_hole ? hole[i].gpa + hole[i].bytes : hole[i].gpa;
            break;
        }
        if (end > to_gpa)
            end = to_gpa;
        /* The library obeys a protection only if it was set afterwards. */
        ok = uc_mem_map_ptr(e->uc, gpa, end - gpa, UC_PROT_ALL, range.host + (gpa - range.gpa)) == UC_ERR_OK &&
             (!is_hole || engine_refuse_writes(e, gpa, end - gpa));
        gpa = end;
    }
    return ok;
}

/* The holes have changed: map anew what lies between those that have not, and so are mapped as they should be. */
void engine_take_holes(struct engine *e)
{
    unsigned count, before = 0, behind = 0;
    const struct memory_hole *hole = memory_holes(e->mem, &count);
    uint64_t from_gpa = 0, to_gpa = UINT64_MAX;

    while (before < count && before < e->holes && !memcmp(&hole[before], &e->hole[before], sizeof(*hole)))
        before++;
    while (before + behind < count && before + behind < e->holes &&
           !memcmp(&hole[count - 1 - behind], &e->hole[e->holes - 1 - behind], sizeof(*hole)))
        behind++;
    engine_begin_mapping(e);
    if (before)
        from_gpa = hole[before - 1].gpa + hole[before - 1].bytes;
    if (behind)
        to_gpa = hole[count - behind].gpa;
    for (unsigned i = 0; i < 2; i++) {
        struct memory_range range = memory_range(e->mem, i);
        uint64_t from = from_gpa > range.gpa ? from_gpa : range.gpa;
        uint64_t to = to_gpa < range.gpa + range.bytes ? to_gpa : range.gpa + range.bytes;

        if (from < to && !remap(e, from, to))
            e->unmapped = true;
    }
    for (unsigned i = 0; i < e->watches; i++)
        if (!engine_refuse_writes(e, e->watched[i].gpa, e->watched[i].bytes))
            e->unmapped = true;
    memcpy(e->hole, hole, count * sizeof(*hole));
    e->holes = count;
    engine_end_mapping(e);
}

/* Pages that the host wrote and that hold translated code. The library takes virtual addresses, so it is asked in a
   context without paging. */
void engine_drop_stale_code(struct engine *e)
{
    uint64_t ppn;
    bool switched = false;

    while (memory_pop_stale(e->mem, &ppn)) {
        if (ppn >= MEMORY_HIGH_RAM_GPA >> PAGE_SHIFT) {
            uc_ctl_flush_tb(e->uc);
            continue;
        }
        if (!switched) {
            peek(e);
            uc_context_restore(e->uc, e->flat);
            uc_ctl_flush_tlb(e->uc);
            switched = true;
        }
        uc_ctl_remove_cache(e->uc, ppn << PAGE_SHIFT, (ppn + 1) << PAGE_SHIFT);
    }
    if (switched) {
        uc_context_restore(e->uc, e->scratch);
        uc_ctl_flush_tlb(e->uc);
        engine_drop_translations(e);
    }
}
