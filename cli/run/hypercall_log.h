/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hypercall_log: which hypercalls a guest made, and how often; and a log of all of them.
 */
#ifndef BOOTRACE_CLI_RUN_HYPERCALL_LOG_H
#define BOOTRACE_CLI_RUN_HYPERCALL_LOG_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

#include "emu/trace.h"

#define OPERATIONS_MAX 256u

struct operations {
    unsigned count;
    uint64_t others; /* calls for which there was no room */
    struct operation_count {
        uint64_t number, operation, calls;
    } at[OPERATIONS_MAX];
};

/* A listener; `context` is a struct operations that is zeroed before. */
trace_listener_fn operations_listen;
/* Names and counts, sorted by name: {"event_channel_op(bind_ipi)": 8, ...}. The caller's. */
json_t *operations_json(const struct operations *o);

/* A listener that writes each call with its answer to the stream `context` (a struct calls), and each line of the
   console between them. */
struct calls {
    FILE *to;
    char line[256]; /* of the console, so far */
    unsigned length;
};
trace_listener_fn calls_listen;

#endif
