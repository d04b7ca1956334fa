/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/xen/store.h"

struct xen_store_node *xen_store_find(struct xen_store *s, const char *path)
{
    for (unsigned i = 0; i < STORE_NODES_MAX; i++) {
        if (s->node[i].path[0] && !strcmp(s->node[i].path, path))
            return &s->node[i];
    }
    return NULL;
}

bool xen_store_is_below(const char *path, const char *parent)
{
    size_t n = strlen(parent);

    return !strncmp(path, parent, n) && (path[n] == 0 || path[n] == '/' || (n == 1 && parent[0] == '/'));
}

static bool node_set(struct xen_store *s, const char *path, const void *value, size_t bytes, bool guest_writes)
{
    struct xen_store_node *n = xen_store_find(s, path);

    if (bytes > STORE_VALUE_BYTES || strlen(path) >= STORE_PATH_BYTES)
        return false;
    for (unsigned i = 0; !n && i < STORE_NODES_MAX; i++) {
        if (!s->node[i].path[0]) {
            n = &s->node[i];
            memcpy(n->path, path, strlen(path));
            n->guest_writes = guest_writes;
        }
    }
    if (!n)
        return false;
    memset(n->value, 0, sizeof(n->value));
    memcpy(n->value, value, bytes);
    n->value_bytes = (uint32_t)bytes;
    return true;
}

/* The nodes of the path that are missing: itself and those above it. */
static unsigned nodes_missing(struct xen_store *s, const char *path)
{
    char part[STORE_PATH_BYTES] = "";
    unsigned missing = 0;

    for (size_t i = 0; path[i]; i++) {
        part[i] = path[i];
        part[i + 1] = 0;
        if (i && (path[i + 1] == '/' || !path[i + 1]))
            missing += !xen_store_find(s, part);
    }
    return missing;
}

static unsigned nodes_free(const struct xen_store *s)
{
    unsigned count = 0;

    for (unsigned i = 0; i < STORE_NODES_MAX; i++)
        count += !s->node[i].path[0];
    return count;
}

bool xen_store_set(struct xen_store *s, const char *path, const void *value, size_t bytes, bool guest_writes)
{
    char parent[STORE_PATH_BYTES];

    if (bytes > STORE_VALUE_BYTES || strlen(path) >= sizeof(parent) || nodes_missing(s, path) > nodes_free(s))
        return false;
    for (size_t i = 1; path[i]; i++) {
        if (path[i] != '/')
            continue;
        memset(parent, 0, sizeof(parent));
        memcpy(parent, path, i);
        if (!xen_store_find(s, parent) && !node_set(s, parent, "", 0, guest_writes))
            return false;
    }
    return node_set(s, path, value, bytes, guest_writes);
}

bool xen_store_is_child(const char *path, const char *parent)
{
    size_t n = strlen(parent);

    return !strncmp(path, parent, n) && path[n] == '/' && !strchr(path + n + 1, '/');
}

bool xen_store_guest_may_write(struct xen_store *s, const char *path)
{
    char parent[STORE_PATH_BYTES];
    char *slash;

    memset(parent, 0, sizeof(parent));
    /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): the length is kept beside the text */
    memcpy(parent, path, strlen(path));
    while (parent[0]) {
        const struct xen_store_node *n = xen_store_find(s, parent);

        if (n)
            return n->guest_writes;
        slash = strrchr(parent, '/');
        if (!slash)
            return false;
        *slash = 0;
    }
    return false;
}
