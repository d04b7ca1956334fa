/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/run/hypercall_log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/xen/xen.h"

#define NAME_BYTES 80

void operations_listen(struct machine *m, const struct trace_fact *fact, void *context)
{
    struct operations *o = context;
    uint64_t operation;

    if (fact->kind != TRACE_HYPERCALL)
        return;
    operation = xen_operation_number(fact->a, fact->b);
    for (unsigned i = 0; i < o->count; i++) {
        if (o->at[i].number == fact->a && o->at[i].operation == operation) {
            o->at[i].calls++;
            return;
        }
    }
    if (o->count == OPERATIONS_MAX) /* a guest that calls anything is not worth more */
        o->others++;
    else
        o->at[o->count++] = (struct operation_count){fact->a, operation, 1};
}

static int by_name(const void *a, const void *b)
{
    const struct operation_count *left = a, *right = b;
    char text[2][NAME_BYTES];

    return strcmp(xen_operation_name(left->number, left->operation, text[0], NAME_BYTES),
                  xen_operation_name(right->number, right->operation, text[1], NAME_BYTES));
}

json_t *operations_json(const struct operations *o)
{
    struct operations sorted = *o;
    json_t *all = json_object();
    char text[NAME_BYTES];

    qsort(sorted.at, sorted.count, sizeof(sorted.at[0]), by_name);
    for (unsigned i = 0; i < sorted.count; i++)
        json_object_set_new(all, xen_operation_name(sorted.at[i].number, sorted.at[i].operation, text, sizeof(text)),
                            json_integer((json_int_t)sorted.at[i].calls));
    if (sorted.others)
        json_object_set_new(all, "others", json_integer((json_int_t)sorted.others));
    return all;
}

void calls_listen(struct machine *m, const struct trace_fact *fact, void *context)
{
    struct calls *c = context;
    char text[NAME_BYTES];

    if (fact->kind == TRACE_HYPERCALL) {
        fprintf(c->to, "vCPU %u step %" PRIu64 ": %s = %" PRId64 "\n", fact->vcpu, fact->position,
                xen_operation_name(fact->a, fact->b, text, sizeof(text)), (int64_t)fact->c);
    } else if (fact->kind == TRACE_CONSOLE && fact->a == '\n') {
        fprintf(c->to, "console: %.*s\n", (int)c->length, c->line);
        c->length = 0;
    } else if (fact->kind == TRACE_CONSOLE && fact->a >= ' ' && fact->a < 0x7f && c->length < sizeof(c->line)) {
        c->line[c->length++] = (char)fact->a;
    }
}
