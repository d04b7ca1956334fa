/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * store: the tree of nodes behind the guest's xenstore: a table of absolute paths with their values. It knows no
 * requests, watches or rings; xenstore.c does.
 *
 * Source: Xen docs/misc/xenstore.txt.
 */
#ifndef BOOTRACE_MODELS_XEN_STORE_H
#define BOOTRACE_MODELS_XEN_STORE_H

#include <stdbool.h>
#include <stddef.h>

#include "models/xen/state.h"

/* The node of this path; NULL if there is none. */
struct xen_store_node *xen_store_find(struct xen_store *s, const char *path);

/* Set a node's value. Missing nodes, the path's own and those above it, are made, empty, with `guest_writes`; an
   existing node keeps its own. False, and nothing changed, if there is no room for all of it. */
bool xen_store_set(struct xen_store *s, const char *path, const void *value, size_t bytes, bool guest_writes);

/* Whether `path` is `parent` or below it; whether it is directly below it. */
bool xen_store_is_below(const char *path, const char *parent);
bool xen_store_is_child(const char *path, const char *parent);

/* Whether the guest may write this node, or make it: as the nearest existing node on the path says. */
bool xen_store_guest_may_write(struct xen_store *s, const char *path);

#endif
