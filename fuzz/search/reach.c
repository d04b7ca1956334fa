/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz/search/reach.h"

#include <stdlib.h>
#include <string.h>

#include "fuzz/search/footprint.h"

static void reach_clear(struct reach *r)
{
    footprint_clear(r->bytes);
    r->spaces = r->tables = 0;
    r->writes_code = r->serialises = false;
}

static void reach_add(struct reach *r, const struct access *a)
{
    r->spaces |= 1ull << a->space;
    switch ((enum access_kind)a->kind) {
    case ACCESS_LEAVE: /* conflicts with its like, which conflict with everything */
        return;
    case ACCESS_ORDER:
        r->serialises = true;
        return;
    case ACCESS_TABLE:
        r->tables |= a->gpa;
        return;
    case ACCESS_READ:
    case ACCESS_WRITE:
    case ACCESS_FETCH:
        break;
    }
    r->writes_code |= a->code;
    r->serialises |= a->orders;
    footprint_add(r->bytes, a->kind == ACCESS_WRITE, a->gpa, a->bytes);
}

static bool reach_conflicts(const struct reach *r, const struct access *a)
{
    if (r->tables >> a->space & 1)
        return true;
    switch ((enum access_kind)a->kind) {
    case ACCESS_LEAVE: /* it may send an interrupt, too, which the stretch would take */
        return true;
    case ACCESS_ORDER:
        return r->writes_code;
    case ACCESS_TABLE:
        return r->spaces & a->gpa;
    case ACCESS_READ:
    case ACCESS_WRITE:
    case ACCESS_FETCH:
        break;
    }
    return (a->code && r->serialises) || (a->orders && r->writes_code) ||
           footprint_conflicts(r->bytes, a->kind == ACCESS_WRITE, a->gpa, a->bytes);
}

/* ---- of several vCPUs ---- */

bool reach_set_init(struct reach_set *s, const struct memory *mem, unsigned vcpus)
{
    struct diag ignored;

    memset(s, 0, sizeof(*s));
    s->mem = mem;
    s->vcpus = vcpus;
    return footprint_new(mem, &s->handlers.bytes, &ignored) == EMU_OK;
}

void reach_set_fini(struct reach_set *s)
{
    footprint_free(s->handlers.bytes);
    for (unsigned v = 0; v < s->vcpus; v++)
        if (s->by_vcpu[v]) {
            footprint_free(s->by_vcpu[v]->bytes);
            free(s->by_vcpu[v]);
        }
    memset(s, 0, sizeof(*s));
}

void reach_set_clear(struct reach_set *s)
{
    reach_clear(&s->handlers);
    for (unsigned v = 0; v < s->vcpus; v++)
        if (s->by_vcpu[v])
            reach_clear(s->by_vcpu[v]);
    s->everything = false;
}

/* That vCPU's, made when it is needed. NULL if the host has no memory left. */
static struct reach *reach_of(struct reach_set *s, unsigned vcpu)
{
    struct reach *r = s->by_vcpu[vcpu];
    struct diag ignored;

    if (r)
        return r;
    r = calloc(1, sizeof(*r));
    if (!r || footprint_new(s->mem, &r->bytes, &ignored) != EMU_OK) {
        free(r);
        return NULL;
    }
    s->by_vcpu[vcpu] = r;
    return r;
}

void reach_set_add(struct reach_set *s, const struct access *a, bool by_handler)
{
    struct reach *r = by_handler ? &s->handlers : reach_of(s, a->vcpu);

    if (r)
        reach_add(r, a);
    else
        s->everything = true;
}

void reach_set_settle(struct reach_set *s)
{
    footprint_settle(s->handlers.bytes);
    for (unsigned v = 0; v < s->vcpus; v++)
        if (s->by_vcpu[v])
            footprint_settle(s->by_vcpu[v]->bytes);
}

bool reach_set_conflicts(const struct reach_set *s, const struct access *a)
{
    if (s->everything || reach_conflicts(&s->handlers, a))
        return true;
    for (unsigned v = 0; v < s->vcpus; v++)
        if (v != a->vcpu && s->by_vcpu[v] && reach_conflicts(s->by_vcpu[v], a))
            return true;
    return false;
}
