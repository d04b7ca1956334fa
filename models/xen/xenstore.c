/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xenstore: the guest's ring to xenstored, and the requests for the small store behind it (store.h): enough for a
 * guest's xenbus to come up, to read, write, list and watch, and for the host to plug and unplug vCPUs through
 * cpu/N/availability.
 *
 * Requests are served at once when the guest notifies its port. Responses that don't fit into the ring wait until the
 * guest has made room. A transaction sees and changes the store directly, since there is nobody to collide with.
 *
 * Source: Xen public/io/xs_wire.h; docs/misc/xenstore.txt, xenstore-paths.pandoc; tools/xenstore.
 */
#include "models/xen/state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "emu/base/count.h"
#include "emu/base/plural.h"
#include "models/platform_config.h"
#include "models/xen/store.h"

#define GUEST_HOME "/local/domain/1"
static_assert(XEN_GUEST_DOMID == 1, "GUEST_HOME names the guest's domain");

#define HEADER_BYTES sizeof(struct xsd_sockmsg)
/* Source: tools/xenstore/xenstored_core.c, quota_max_entry_size, quota_nb_perms_per_node. */
#define QUOTA_ENTRY_BYTES 2048u
#define QUOTA_PERMS       5u
#define RING_FIELD(f)     ((unsigned)offsetof(struct xenstore_domain_interface, f))

/* ---- what the toolstack has put there ---- */

static void init_text(struct xen_store *s, const char *path, const char *value, bool guest_writes)
{
    char absolute[STORE_PATH_BYTES];

    snprintf(absolute, sizeof(absolute), GUEST_HOME "%s%s", path[0] ? "/" : "", path);
    (void)!xen_store_set(s, absolute, value, strlen(value), guest_writes);
}

void xen_store_init(struct machine *m)
{
    static const uint8_t zero_ring[sizeof(struct xenstore_domain_interface)];
    struct xen_state *x = xen_state(m);
    char path[64], number[24];

    memset(&x->store, 0, sizeof(x->store));
    x->store_port = xen_port_backend(m);
    x->hvm_param[HVM_PARAM_STORE_EVTCHN] = x->store_port;
    xen_page_write(m, PAGE_STORE, 0, zero_ring, sizeof(zero_ring), 0);
    init_text(&x->store, "domid", "1", false);
    init_text(&x->store, "name", "guest", false);
    init_text(&x->store, "vm", "/vm/00000000-0000-0000-0000-000000000001", false);
    snprintf(number, sizeof(number), "%" PRIu64, memory_ram_bytes(machine_memory(m)) >> 10);
    init_text(&x->store, "memory/target", number, false);
    init_text(&x->store, "memory/static-max", number, false);
    for (unsigned v = 0; v < machine_vcpus(m); v++) {
        snprintf(path, sizeof(path), "cpu/%u/availability", v);
        init_text(&x->store, path, v < platform_vcpus_online(m) ? "online" : "offline", false);
    }
    init_text(&x->store, "console/type", "xenconsoled", false);
    init_text(&x->store, "control/shutdown", "", true);
    init_text(&x->store, "control/platform-feature-xs_reset_watches", "1", false);
    init_text(&x->store, "device", "", false);
    init_text(&x->store, "data", "", true);
    init_text(&x->store, "drivers", "", true);
    init_text(&x->store, "feature", "", true);
    init_text(&x->store, "attr", "", true);
    init_text(&x->store, "error", "", true);
    /* Toolstacks give the guest its own home. */
    for (unsigned i = 0; i < STORE_NODES_MAX; i++) {
        if (!strcmp(x->store.node[i].path, GUEST_HOME "/control"))
            x->store.node[i].guest_writes = 1;
    }
}

/* ---- the ring ---- */

static uint32_t ring_index(struct machine *m, unsigned offset)
{
    uint32_t index;

    xen_page_read(m, PAGE_STORE, offset, &index, sizeof(index));
    return index;
}

static void set_ring_index(struct machine *m, unsigned offset, uint32_t index)
{
    xen_page_write(m, PAGE_STORE, offset, &index, sizeof(index), XEN_WRITE_XENSTORE);
}

/* Move what waits into the ring; whether anything moved. */
static bool push_responses(struct machine *m)
{
    struct xen_store *s = &xen_state(m)->store;
    uint32_t prod = ring_index(m, RING_FIELD(rsp_prod)), cons = ring_index(m, RING_FIELD(rsp_cons));
    uint32_t count = 0;

    if (prod - cons > XENSTORE_RING_SIZE)
        return false;
    while (count < s->queue_bytes && prod - cons < XENSTORE_RING_SIZE) {
        xen_page_write(m, PAGE_STORE, RING_FIELD(rsp) + MASK_XENSTORE_IDX(prod), &s->queue[count], 1, 0);
        prod++;
        count++;
    }
    if (!count)
        return false;
    memmove(s->queue, s->queue + count, s->queue_bytes - count);
    s->queue_bytes -= count;
    memset(s->queue + s->queue_bytes, 0, count);
    set_ring_index(m, RING_FIELD(rsp_prod), prod);
    return true;
}

static void queue_message(struct machine *m, uint32_t type, uint32_t request, uint32_t transaction, const void *data,
                          size_t bytes)
{
    struct xen_store *s = &xen_state(m)->store;
    struct xsd_sockmsg h = {.type = type, .req_id = request, .tx_id = transaction, .len = (uint32_t)bytes};

    if (s->queue_bytes + HEADER_BYTES + bytes > STORE_QUEUE_BYTES) {
        machine_unmodelled(m, "the guest leaves more than %u bytes of xenstore responses unread", STORE_QUEUE_BYTES);
        return;
    }
    memcpy(s->queue + s->queue_bytes, &h, sizeof(h));
    memcpy(s->queue + s->queue_bytes + sizeof(h), data, bytes);
    s->queue_bytes += (uint32_t)(sizeof(h) + bytes);
}

/* ---- requests ---- */

struct request {
    struct machine *m;
    struct xen_store *s;
    uint32_t type, id, transaction;
    const char *data; /* with a 0 behind the last byte */
    size_t bytes;
};

static void answer(struct request *r, const void *data, size_t bytes)
{
    queue_message(r->m, r->type, r->id, r->transaction, data, bytes);
}

static void answer_ok(struct request *r)
{
    answer(r, "OK", 3);
}

static void answer_error(struct request *r, const char *name)
{
    queue_message(r->m, XS_ERROR, r->id, r->transaction, name, strlen(name) + 1);
}

/* More than this model has room for, but not than xenstored takes. */
static void no_room(struct request *r, const char *what, size_t bytes)
{
    machine_unmodelled(r->m, "a xenstore %s of %zu byte%s", what, bytes, plural(bytes));
}

/* Source: tools/xenstore/xenstored_core.c, is_valid_nodename(), valid_chars(). */
static bool is_valid_path(const char *path, bool relative)
{
    static const char valid[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-/_@";
    size_t n = strlen(path);

    return n && n <= XENSTORE_REL_PATH_MAX && (path[n - 1] != '/' || (n == 1 && !relative)) && !strstr(path, "//") &&
           strspn(path, valid) == n;
}

/* The absolute form of the path at the start of the request; false (answered) if it is none. */
static bool request_path(struct request *r, char path[STORE_PATH_BYTES])
{
    size_t n = strnlen(r->data, r->bytes);
    int length;

    memset(path, 0, STORE_PATH_BYTES);
    if (n == r->bytes || !is_valid_path(r->data, r->data[0] != '/')) {
        answer_error(r, "EINVAL");
        return false;
    }
    length = r->data[0] == '/' ? snprintf(path, STORE_PATH_BYTES, "%s", r->data)
                               : snprintf(path, STORE_PATH_BYTES, GUEST_HOME "/%s", r->data);
    if (length < 0 || length >= (int)STORE_PATH_BYTES) {
        no_room(r, "path", (size_t)length);
        return false;
    }
    return true;
}

static bool may_read(const char *path)
{
    return xen_store_is_below(path, GUEST_HOME) || xen_store_is_below(path, "/vm") || xen_store_is_below(path, "/tool");
}

/* Of `path` and what is above it, or of exactly `path`. */
static void fire_watches_at(struct machine *m, const char *path, bool exact)
{
    struct xen_store *s = &xen_state(m)->store;

    for (unsigned i = 0; i < STORE_WATCHES_MAX; i++) {
        const struct xen_store_watch *w = &s->watch[i];
        char absolute[STORE_PATH_BYTES], event[2 * STORE_PATH_BYTES + STORE_TOKEN_BYTES];
        bool relative = w->path[0] != '/' && w->path[0] != '@';
        const char *shown = path;
        int n;

        if (!w->path[0])
            continue;
        n = snprintf(absolute, sizeof(absolute), "%s%s", relative ? GUEST_HOME "/" : "", w->path);
        if (n < 0 || n >= (int)sizeof(absolute) ||
            (exact ? strcmp(path, absolute) != 0 : !xen_store_is_below(path, absolute)))
            continue;
        if (relative)
            shown = path + sizeof(GUEST_HOME);
        n = snprintf(event, sizeof(event), "%s%c%s", shown, 0, w->token);
        queue_message(m, XS_WATCH_EVENT, 0, 0, event, (size_t)n + 1);
    }
}

static void fire_watches(struct machine *m, const char *path)
{
    fire_watches_at(m, path, false);
}

/* The node whose path the request gives; NULL (answered) if it is not there, or not for the guest to see: then
   xenstored does not say either whether it is there (errno_from_parents()). */
static const struct xen_store_node *request_node(struct request *r, char path[STORE_PATH_BYTES])
{
    const struct xen_store_node *n;

    if (!request_path(r, path))
        return NULL;
    n = may_read(path) ? xen_store_find(r->s, path) : NULL;
    if (!n)
        answer_error(r, may_read(path) ? "ENOENT" : "EACCES");
    return n;
}

static void do_read(struct request *r)
{
    char path[STORE_PATH_BYTES];
    const struct xen_store_node *n = request_node(r, path);

    if (n)
        answer(r, n->value, n->value_bytes);
}

/* Make or change a node and tell who watches; false (answered) if that is not to be. */
static bool change_node(struct request *r, const char *path, const char *value, size_t bytes)
{
    if (bytes > QUOTA_ENTRY_BYTES) {
        answer_error(r, "ENOSPC");
        return false;
    }
    if (bytes > STORE_VALUE_BYTES) {
        no_room(r, "value", bytes);
        return false;
    }
    /* DEVIATION: xenstored lets a domain have 1000 nodes; here there are STORE_NODES_MAX in all. */
    if (!xen_store_set(r->s, path, value, bytes, true)) {
        answer_error(r, "ENOSPC");
        return false;
    }
    answer_ok(r);
    fire_watches(r->m, path);
    return true;
}

static void do_write(struct request *r)
{
    char path[STORE_PATH_BYTES];
    size_t n = strnlen(r->data, r->bytes) + 1;

    if (!request_path(r, path))
        return;
    if (!xen_store_guest_may_write(r->s, path))
        answer_error(r, "EACCES");
    else
        change_node(r, path, r->data + n, r->bytes - n);
}

/* What is there is fine, if the guest could have made it. */
static void do_mkdir(struct request *r)
{
    char path[STORE_PATH_BYTES];

    if (!request_path(r, path))
        return;
    if (!xen_store_guest_may_write(r->s, path))
        answer_error(r, "EACCES");
    else if (xen_store_find(r->s, path))
        answer_ok(r);
    else
        change_node(r, path, "", 0);
}

/* Children before their parents, as xenstored walks the tree (rm_node(), delnode_sub()). Of what is below the node that
   was named, only those are told who watch exactly that. */
static void remove_tree(struct request *r, const char *root, const char *path)
{
    struct xen_store_node *n;

    for (unsigned i = 0; i < STORE_NODES_MAX; i++) {
        char child[STORE_PATH_BYTES];

        memcpy(child, r->s->node[i].path, sizeof(child));
        if (xen_store_is_child(child, path))
            remove_tree(r, root, child);
    }
    n = xen_store_find(r->s, path);
    if (n)
        memset(n, 0, sizeof(*n));
    if (strcmp(path, root) != 0)
        fire_watches_at(r->m, path, true);
}

static void do_rm(struct request *r)
{
    char path[STORE_PATH_BYTES];

    if (!request_path(r, path))
        return;
    if (!xen_store_guest_may_write(r->s, path)) {
        answer_error(r, "EACCES");
        return;
    }
    if (!xen_store_find(r->s, path)) { /* fine if there is a place for it */
        *strrchr(path, '/') = 0;
        if (xen_store_find(r->s, path))
            answer_ok(r);
        else
            answer_error(r, "ENOENT");
        return;
    }
    answer_ok(r);
    remove_tree(r, path, path);
    fire_watches(r->m, path);
}

static void do_directory(struct request *r)
{
    char path[STORE_PATH_BYTES], list[XENSTORE_PAYLOAD_MAX];
    size_t n, used = 0;

    if (!request_node(r, path))
        return;
    n = strlen(path);
    for (unsigned i = 0; i < STORE_NODES_MAX; i++) {
        const char *child = r->s->node[i].path + n;

        if (!xen_store_is_below(r->s->node[i].path, path) || *child != '/' || strchr(child + 1, '/'))
            continue;
        if (used + strlen(child) > sizeof(list)) { /* send_reply() */
            answer_error(r, "E2BIG");
            return;
        }
        /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): the length is kept beside the text */
        memcpy(list + used, child + 1, strlen(child));
        used += strlen(child);
    }
    answer(r, list, used);
}

/* Who owns a node, and what the others may: nothing. */
static void do_get_perms(struct request *r)
{
    char path[STORE_PATH_BYTES];
    const struct xen_store_node *n = request_node(r, path);

    if (!n)
        return;
    if (n->guest_writes)
        answer(r, "n1", 3);
    else
        answer(r, "n0\0r1", 6);
}

/* "n1": a letter and a domain; the first is the owner. The answer to a list that is none, or NULL. */
static const char *perms_error(const struct request *r, size_t at, unsigned *owner)
{
    unsigned count = 0;

    for (; at < r->bytes; at += strlen(r->data + at) + 1, count++) {
        const char *perm = r->data + at;
        char *end;
        unsigned long domid = strtoul(perm + 1, &end, 10);

        if (at + strlen(perm) >= r->bytes || !strchr("nrwb", perm[0]) || !perm[0] || end == perm + 1 || *end ||
            perm[1] < '0' || perm[1] > '9')
            return "EINVAL";
        if (!count)
            *owner = domid > UINT32_MAX ? UINT32_MAX : (unsigned)domid;
    }
    return !count ? "EINVAL" : count > QUOTA_PERMS ? "ENOSPC" : NULL;
}

/* DEVIATION: a guest can't be kept from its own nodes, and there is no other one; so permissions are checked and
   forgotten, and GET_PERMS answers what was there at first. */
static void do_set_perms(struct request *r)
{
    char path[STORE_PATH_BYTES];
    unsigned owner = 0;
    const char *error = perms_error(r, strnlen(r->data, r->bytes) + 1, &owner);

    if (error)
        answer_error(r, error);
    else if (!request_path(r, path))
        return;
    else if (!xen_store_guest_may_write(r->s, path))
        answer_error(r, "EACCES");
    else if (!xen_store_find(r->s, path))
        answer_error(r, "ENOENT");
    else if (owner != XEN_GUEST_DOMID)
        answer_error(r, "EPERM");
    else {
        answer_ok(r);
        fire_watches(r->m, path);
    }
}

/* Path and token of a watch request; false (answered) if they are not there. */
static bool watch_arguments(struct request *r, const char **token)
{
    size_t n = strnlen(r->data, r->bytes) + 1;

    if (n >= r->bytes || strnlen(r->data + n, r->bytes - n) + 1 + n > r->bytes || r->bytes == 0) {
        answer_error(r, "EINVAL");
        return false;
    }
    *token = r->data + n;
    if (r->data[0] != '@' && !is_valid_path(r->data, r->data[0] != '/')) {
        answer_error(r, "EINVAL");
        return false;
    }
    if (n > STORE_PATH_BYTES || strlen(*token) >= STORE_TOKEN_BYTES) {
        no_room(r, n > STORE_PATH_BYTES ? "path" : "token", n > STORE_PATH_BYTES ? n - 1 : strlen(*token));
        return false;
    }
    return true;
}

static struct xen_store_watch *watch_find(struct xen_store *s, const char *path, const char *token)
{
    for (unsigned i = 0; i < STORE_WATCHES_MAX; i++) {
        if (s->watch[i].path[0] && !strcmp(s->watch[i].path, path) && !strcmp(s->watch[i].token, token))
            return &s->watch[i];
    }
    return NULL;
}

/* A new watch fires at once. */
static void do_watch(struct request *r)
{
    struct xen_store_watch *w = NULL;
    char event[STORE_PATH_BYTES + STORE_TOKEN_BYTES];
    const char *token;
    int n;

    if (!watch_arguments(r, &token))
        return;
    if (watch_find(r->s, r->data, token)) {
        answer_error(r, "EEXIST");
        return;
    }
    for (unsigned i = 0; !w && i < STORE_WATCHES_MAX; i++) {
        if (!r->s->watch[i].path[0])
            w = &r->s->watch[i];
    }
    if (!w) {
        answer_error(r, "E2BIG");
        return;
    }
    snprintf(w->path, sizeof(w->path), "%s", r->data);
    snprintf(w->token, sizeof(w->token), "%s", token);
    answer_ok(r);
    n = snprintf(event, sizeof(event), "%s%c%s", w->path, 0, w->token);
    queue_message(r->m, XS_WATCH_EVENT, 0, 0, event, (size_t)n + 1);
}

static void do_unwatch(struct request *r)
{
    struct xen_store_watch *w;
    const char *token;

    if (!watch_arguments(r, &token))
        return;
    w = watch_find(r->s, r->data, token);
    if (!w) {
        answer_error(r, "ENOENT");
        return;
    }
    memset(w, 0, sizeof(*w));
    answer_ok(r);
}

static void do_reset_watches(struct request *r)
{
    memset(r->s->watch, 0, sizeof(r->s->watch));
    r->s->transaction = 0;
    answer_ok(r);
}

static void do_transaction_start(struct request *r)
{
    char number[16];

    if (r->transaction) {
        answer_error(r, "EBUSY");
        return;
    }
    r->s->transaction = ++r->s->transaction_next;
    snprintf(number, sizeof(number), "%u", r->s->transaction);
    answer(r, number, strlen(number) + 1);
}

static void do_transaction_end(struct request *r)
{
    if (!r->transaction || r->transaction > r->s->transaction_next) {
        answer_error(r, "ENOENT");
        return;
    }
    r->s->transaction = 0;
    answer_ok(r);
}

static void do_get_domain_path(struct request *r)
{
    char path[STORE_PATH_BYTES];

    snprintf(path, sizeof(path), "/local/domain/%ld", strtol(r->data, NULL, 10));
    answer(r, path, strlen(path) + 1);
}

static void do_is_introduced(struct request *r)
{
    long domid = strtol(r->data, NULL, 10);

    answer(r, domid == 0 || domid == XEN_GUEST_DOMID ? "T" : "F", 2);
}

static void do_privileged(struct request *r)
{
    answer_error(r, "EACCES");
}

static const struct {
    uint32_t type;
    void (*fn)(struct request *r);
    const char *source;
} request_rows[] = {
    {XS_DIRECTORY, do_directory, "xenstore.txt, DIRECTORY"},
    {XS_READ, do_read, "READ"},
    {XS_GET_PERMS, do_get_perms, "GET_PERMS"},
    {XS_WATCH, do_watch, "WATCH"},
    {XS_UNWATCH, do_unwatch, "UNWATCH"},
    {XS_TRANSACTION_START, do_transaction_start, "TRANSACTION_START"},
    {XS_TRANSACTION_END, do_transaction_end, "TRANSACTION_END"},
    {XS_INTRODUCE, do_privileged, "INTRODUCE: domain 0 only"},
    {XS_RELEASE, do_privileged, "RELEASE: domain 0 only"},
    {XS_GET_DOMAIN_PATH, do_get_domain_path, "GET_DOMAIN_PATH"},
    {XS_WRITE, do_write, "WRITE"},
    {XS_MKDIR, do_mkdir, "MKDIR"},
    {XS_RM, do_rm, "RM"},
    {XS_SET_PERMS, do_set_perms, "SET_PERMS"},
    {XS_IS_DOMAIN_INTRODUCED, do_is_introduced, "IS_DOMAIN_INTRODUCED"},
    {XS_RESUME, do_privileged, "RESUME: domain 0 only"},
    {XS_SET_TARGET, do_privileged, "SET_TARGET: domain 0 only"},
    {XS_RESET_WATCHES, do_reset_watches, "RESET_WATCHES"},
};

static void serve(struct machine *m, const struct xsd_sockmsg *h)
{
    struct xen_store *s = &xen_state(m)->store;
    struct request r = {.m = m, .s = s, .type = h->type, .id = h->req_id, .transaction = h->tx_id, .bytes = h->len};
    char data[XENSTORE_PAYLOAD_MAX + 1] = {0};

    memcpy(data, s->request + HEADER_BYTES, h->len);
    r.data = data;
    for (unsigned i = 0; i < COUNT(request_rows); i++) {
        if (request_rows[i].type == h->type) {
            request_rows[i].fn(&r);
            return;
        }
    }
    answer_error(&r, "ENOSYS");
}

/* Take one byte after another; serve each request that is complete. Whether anything was taken. */
static bool take_requests(struct machine *m)
{
    struct xen_store *s = &xen_state(m)->store;
    uint32_t prod = ring_index(m, RING_FIELD(req_prod)), cons = ring_index(m, RING_FIELD(req_cons));
    bool taken = prod != cons;

    if (prod - cons > XENSTORE_RING_SIZE) {
        machine_unmodelled(m, "nonsense indices in the xenstore ring");
        return false;
    }
    for (; cons != prod; cons++) {
        struct xsd_sockmsg h;

        xen_page_read(m, PAGE_STORE, RING_FIELD(req) + MASK_XENSTORE_IDX(cons), &s->request[s->request_bytes++], 1);
        if (s->request_bytes < HEADER_BYTES)
            continue;
        memcpy(&h, s->request, sizeof(h));
        if (h.len > XENSTORE_PAYLOAD_MAX) { /* xenstored drops the connection */
            machine_unmodelled(m, "a xenstore request of %u byte%s", h.len, plural(h.len));
            return false;
        }
        if (s->request_bytes < HEADER_BYTES + h.len)
            continue;
        serve(m, &h);
        memset(s->request, 0, s->request_bytes);
        s->request_bytes = 0;
    }
    if (taken)
        set_ring_index(m, RING_FIELD(req_cons), cons);
    return taken;
}

static void notify_guest(struct machine *m)
{
    struct xen_state *x = xen_state(m);

    if (x->port[x->store_port].state == PORT_INTERDOMAIN)
        xen_port_raise(m, x->store_port);
}

void xen_store_notified(struct machine *m)
{
    bool work = take_requests(m);

    if (push_responses(m) || work)
        notify_guest(m);
}

/* ---- a state from a file ---- */

static bool text_is_sound(const char *text, size_t room)
{
    return memchr(text, 0, room) != NULL;
}

static bool request_is_sound(const struct xen_store *s)
{
    struct xsd_sockmsg h;

    if (s->request_bytes < HEADER_BYTES)
        return true;
    memcpy(&h, s->request, sizeof(h));
    return h.len <= XENSTORE_PAYLOAD_MAX && s->request_bytes < HEADER_BYTES + h.len;
}

bool xen_store_is_sound(const struct xen_store *s)
{
    for (unsigned i = 0; i < STORE_NODES_MAX; i++) {
        const struct xen_store_node *n = &s->node[i];

        if (!text_is_sound(n->path, sizeof(n->path)) || (n->path[0] && n->path[0] != '/') ||
            n->value_bytes > STORE_VALUE_BYTES || n->guest_writes > 1)
            return false;
    }
    for (unsigned i = 0; i < STORE_WATCHES_MAX; i++)
        if (!text_is_sound(s->watch[i].path, sizeof(s->watch[i].path)) ||
            !text_is_sound(s->watch[i].token, sizeof(s->watch[i].token)))
            return false;
    return request_is_sound(s) && s->queue_bytes <= STORE_QUEUE_BYTES;
}

/* ---- the host's side ---- */

bool xenstore_host_write(struct machine *m, const char *path, const char *value)
{
    char absolute[STORE_PATH_BYTES];
    int n = snprintf(absolute, sizeof(absolute), "%s%s", path[0] == '/' ? "" : GUEST_HOME "/", path);

    if (n < 0 || n >= (int)sizeof(absolute) ||
        !xen_store_set(&xen_state(m)->store, absolute, value, strlen(value), false))
        return false;
    fire_watches(m, absolute);
    if (push_responses(m))
        notify_guest(m);
    return true;
}

bool xenstore_host_read(struct machine *m, const char *path, char *value, size_t value_bytes)
{
    char absolute[STORE_PATH_BYTES];
    int n = snprintf(absolute, sizeof(absolute), "%s%s", path[0] == '/' ? "" : GUEST_HOME "/", path);
    const struct xen_store_node *node;

    if (n < 0 || n >= (int)sizeof(absolute))
        return false;
    node = xen_store_find(&xen_state(m)->store, absolute);
    if (!node || node->value_bytes >= value_bytes)
        return false;
    memcpy(value, node->value, node->value_bytes);
    value[node->value_bytes] = 0;
    return true;
}
