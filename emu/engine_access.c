/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Telling of accesses: all of them (engine_watch_accesses), or writes to a few bytes (engine_watch_writes). */
#include "emu/engine_state.h"

#include <inttypes.h>

enum { WATCHER_ANY, WATCHER_OWN, WATCHERS };

static void report(struct engine *e, enum engine_access kind, uint64_t gpa, unsigned bytes)
{
    for (unsigned i = 0; i < WATCHERS; i++)
        if (e->watcher[i].fn)
            e->watcher[i].fn(e->watcher[i].context, kind, gpa, bytes);
}

void engine_report_fetch(struct engine *e, uint64_t pc, uint32_t size)
{
    if (!e->access)
        return;
    e->fetching = true;
    while (size) {
        uint32_t chunk = PAGE_BYTES - (uint32_t)(pc & (PAGE_BYTES - 1));
        uint64_t ppn = engine_code_ppn(e, pc >> PAGE_SHIFT);

        if (chunk > size)
            chunk = size;
        if (ppn != NO_PAGE)
            report(e, ENGINE_FETCH, (ppn << PAGE_SHIFT) | (pc & (PAGE_BYTES - 1)), chunk);
        pc += chunk;
        size -= chunk;
    }
    e->fetching = false;
}

void engine_report_leave(struct engine *e)
{
    if (e->access)
        report(e, ENGINE_LEAVE, 0, 0);
}

static void on_access(uc_engine *uc, uc_mem_type type, uint64_t gpa, int bytes, int64_t value, void *user)
{
    struct engine *e = user;

    if (e->access && !e->stop)
        report(e, type == UC_MEM_WRITE ? ENGINE_WRITE : ENGINE_READ, gpa, (unsigned)bytes);
}

static void on_host_access(void *context, bool write, uint64_t gpa, uint64_t bytes)
{
    struct engine *e = context;

    if (e->access)
        report(e, write ? ENGINE_WRITE : ENGINE_READ, gpa, (unsigned)bytes);
}

uint64_t engine_access_position(struct engine *e)
{
    return e->fetching ? e->steps : e->steps + engine_steps_in_block(e);
}

uint64_t engine_access_block_gva(const struct engine *e)
{
    return e->block_pc;
}

static enum emu_err set_watcher(struct engine *e, unsigned which, engine_access_fn *fn, void *context, struct diag *d)
{
    bool any = fn || e->watcher[!which].fn;

    if (any && !e->access_hooked) {
        if (uc_hook_add(e->uc, &e->access_hook, UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE, (void *)on_access, e, 1, 0) !=
            UC_ERR_OK)
            return diag_set(d, EMU_EHOST, "the CPU engine can't watch memory accesses");
        e->access_hooked = true;
        uc_ctl_flush_tb(e->uc);
    } else if (!any && e->access_hooked) {
        uc_hook_del(e->uc, e->access_hook);
        e->access_hooked = false;
        uc_ctl_flush_tb(e->uc);
    }
    memory_watch(e->mem, any ? on_host_access : NULL, e);
    e->watcher[which].fn = fn;
    e->watcher[which].context = context;
    e->access = any;
    return EMU_OK;
}

enum emu_err engine_watch_accesses(struct engine *e, engine_access_fn *fn, void *context, struct diag *d)
{
    return set_watcher(e, WATCHER_ANY, fn, context, d);
}

enum emu_err engine_watch_own_accesses(struct engine *e, engine_access_fn *fn, void *context, struct diag *d)
{
    return set_watcher(e, WATCHER_OWN, fn, context, d);
}

/*
 * A watched page is read-only for the translator, so that writes to it leave the fast path; unlike a hook on accesses,
 * this changes no code of other pages. The write that is refused is then done here. One that lies across a page's end
 * is asked for as a whole and again byte by byte. Holes in RAM are read-only for the translator too.
 */
static bool on_write_refused(uc_engine *uc, uc_mem_type type, uint64_t gpa, int bytes, int64_t value, void *user)
{
    struct engine *e = user;
    uint64_t room = PAGE_BYTES - gpa % PAGE_BYTES, count = (unsigned)bytes;
    uint8_t before[sizeof(value)];

    if (memory_is_hole(e->mem, gpa)) /* the write is lost */
        return true;
    if (count > room)
        count = room;
    if (count > sizeof(value) || !memory_peek(e->mem, gpa, before, count) ||
        !memory_write(e->mem, gpa, &value, count)) {
        e->broken = "a write to a watched page can't be done";
        e->stop = STOP_BROKEN;
        return false;
    }
    engine_ask_attention(e); /* the page may hold code */
    for (unsigned i = 0; e->ops.written && !e->stop && i < e->watches; i++)
        if (gpa < e->watched[i].gpa + e->watched[i].bytes && e->watched[i].gpa < gpa + count) {
            e->ops.written(e->ops_context, gpa, (unsigned)count, before, read_reg(uc, UC_X86_REG_RIP),
                           e->steps + engine_steps_in_block(e));
            break;
        }
    return true;
}

enum emu_err engine_watch_writes(struct engine *e, uint64_t gpa, uint64_t bytes, struct diag *d)
{
    bool ok;

    if (!bytes || !memory_is_ram(e->mem, gpa, bytes))
        return diag_set(d, EMU_EINPUT, "what is to be watched at guest-physical 0x%" PRIx64 " is not RAM", gpa);
    for (unsigned i = 0; i < e->watches; i++)
        if (e->watched[i].gpa == gpa && e->watched[i].bytes == bytes)
            return EMU_OK;
    if (e->watches == ENGINE_WRITE_WATCHES_MAX)
        return diag_set(d, EMU_EHOST, "more than %u places are watched", ENGINE_WRITE_WATCHES_MAX);
    engine_begin_mapping(e);
    ok = engine_refuse_writes(e, gpa, bytes);
    engine_end_mapping(e);
    if (!ok)
        return diag_set(d, EMU_EHOST, "the CPU engine can't watch writes");
    e->watched[e->watches].gpa = gpa;
    e->watched[e->watches++].bytes = bytes;
    return EMU_OK;
}

bool engine_add_access_hooks(struct engine *e)
{
    uc_hook h;

    return uc_hook_add(e->uc, &h, UC_HOOK_MEM_WRITE_PROT, (void *)on_write_refused, e, 1, 0) == UC_ERR_OK;
}
