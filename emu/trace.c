/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "emu/base/ensure.h"
#include "emu/machine_state.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

const char *trace_kind_name(enum trace_kind kind)
{
    static const char *const names[TRACE_KIND_COUNT] = {
        [TRACE_CONSOLE] = "console",     [TRACE_INTERRUPT] = "interrupt", [TRACE_NMI] = "nmi",
        [TRACE_EXCEPTION] = "exception", [TRACE_HYPERCALL] = "hypercall", [TRACE_VCPU_STATE] = "vcpu-state",
        [TRACE_EVENT] = "event",         [TRACE_MSR_WRITE] = "msr-write", [TRACE_HOST_WRITE] = "host-write",
        [TRACE_SHUTDOWN] = "shutdown",   [TRACE_HOST_AREA] = "host-area", [TRACE_OWNER] = "owner",
    };

    return kind < TRACE_KIND_COUNT ? names[kind] : "?";
}

void trace_listen(struct machine *m, trace_listener_fn *fn, void *context)
{
    ensure(m->listeners < TRACE_LISTENERS_MAX);
    m->listener[m->listeners].fn = fn;
    m->listener[m->listeners].context = context;
    m->listeners++;
}

void trace_unlisten(struct machine *m, trace_listener_fn *fn, void *context)
{
    for (unsigned i = 0; i < m->listeners; i++)
        if (m->listener[i].fn == fn && m->listener[i].context == context) {
            m->listener[i] = m->listener[--m->listeners];
            return;
        }
}

void trace_add(struct machine *m, enum trace_kind kind, unsigned vcpu, uint64_t a, uint64_t b, uint64_t c)
{
    bool loaded = vcpu == m->run.current;
    struct trace_fact fact = {
        .kind = kind,
        .vcpu = vcpu,
        .position = engine_steps(m->engine, vcpu),
        .time_ns = engine_now_ns(m->engine),
        .rip_gva = loaded ? engine_rip(m->engine) : 0,
        .a = a,
        .b = b,
        .c = c,
    };
    /* Without RIP: within a block that the engine has not left it is not exact. */
    uint64_t words[8] = {m->run.trace_digest, kind, vcpu, fact.position, fact.time_ns, a, b, c};

    m->run.trace_digest = XXH3_64bits(words, sizeof(words));
    m->run.trace_count++;
    if (kind != TRACE_HOST_WRITE || (c & TRACE_HOST_WRITE_ASKED))
        m->run.hang.facts++;
    for (unsigned i = 0; i < m->listeners; i++)
        m->listener[i].fn(m, &fact, m->listener[i].context);
}
