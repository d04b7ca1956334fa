/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/snapshot.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "emu/machine_state.h"
#include "emu/memory_snapshot.h"

struct snapshot {
    struct memory_snapshot *memory;
    struct engine_save *engine;
    struct machine_run run;
};

/* Of struct machine_run: without the room for watchers' state that nobody uses. */
static size_t run_bytes(const struct machine *m)
{
    return offsetof(struct machine_run, watch_state) + watch_state_bytes(m);
}

enum emu_err snapshot_take(struct machine *m, struct snapshot *parent, struct snapshot **out, struct diag *d)
{
    struct snapshot *s = calloc(1, sizeof(*s));
    enum emu_err err;

    if (!s)
        return diag_no_memory(d);
    err = memory_snapshot_take(m->mem, parent ? parent->memory : NULL, &s->memory, d);
    if (err == EMU_OK) {
        s->engine = engine_save_new(m->engine);
        if (!s->engine)
            err = diag_no_memory(d);
    }
    if (err != EMU_OK) {
        snapshot_free(m, s);
        return err;
    }
    memcpy(&s->run, &m->run, run_bytes(m));
    *out = s;
    return EMU_OK;
}

enum emu_err snapshot_update(struct machine *m, struct snapshot *s, struct diag *d)
{
    enum emu_err err = memory_snapshot_update(m->mem, s->memory, d);

    if (err != EMU_OK)
        return err;
    engine_save_update(m->engine, s->engine);
    memcpy(&s->run, &m->run, run_bytes(m));
    return EMU_OK;
}

void snapshot_restore(struct machine *m, const struct snapshot *s)
{
    hang_probe_end(m);
    memory_snapshot_restore(m->mem, s->memory);
    engine_save_restore(m->engine, s->engine);
    memcpy(&m->run, &s->run, run_bytes(m));
    hang_restored(m);
    machine_tell_models_restored(m);
    watch_tell_restored(m);
}

void snapshot_free(struct machine *m, struct snapshot *s)
{
    if (!s)
        return;
    memory_snapshot_free(m->mem, s->memory);
    engine_save_free(m->engine, s->engine);
    free(s);
}
