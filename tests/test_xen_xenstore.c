/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/xen_ring.h"

#include <stdio.h>
#include <stdlib.h>

#include "emu/base/count.h"

#define RING(field) offsetof(struct xenstore_domain_interface, field)
#define HOME        "/local/domain/1"

/* The guest's side of the ring. */
struct store {
    struct ring ring;
    uint32_t id; /* of the last request */
};

struct message {
    struct xsd_sockmsg h;
    char text[XENSTORE_PAYLOAD_MAX + 1]; /* a 0 behind it */
};

static struct store store_new(unsigned vcpus)
{
    return (struct store){.ring = ring_new(vcpus, HVM_PARAM_STORE_PFN, HVM_PARAM_STORE_EVTCHN)};
}

static void notify(const struct store *s)
{
    assert_int_equal(ring_notify(&s->ring), 0);
}

/* All of it fits: the ring is 1024 bytes long, and the host empties it whenever it is told. */
static void push(const struct store *s, const void *bytes, size_t count)
{
    uint32_t prod = (uint32_t)ring_read(&s->ring, RING(req_prod), 4);

    for (size_t i = 0; i < count; i++) {
        ring_write(&s->ring, RING(req) + MASK_XENSTORE_IDX(prod), 1, ((const uint8_t *)bytes)[i]);
        ring_write(&s->ring, RING(req_prod), 4, ++prod);
        if (prod - (uint32_t)ring_read(&s->ring, RING(req_cons), 4) == XENSTORE_RING_SIZE)
            notify(s);
    }
}

static void send(struct store *s, uint32_t type, uint32_t transaction, const void *data, size_t bytes)
{
    struct xsd_sockmsg h = {.type = type, .req_id = ++s->id, .tx_id = transaction, .len = (uint32_t)bytes};

    push(s, &h, sizeof(h));
    push(s, data, bytes);
    notify(s);
}

static void take(const struct store *s, void *bytes, size_t count)
{
    uint32_t cons = (uint32_t)ring_read(&s->ring, RING(rsp_cons), 4);

    for (size_t i = 0; i < count; i++, cons++) {
        if (cons == (uint32_t)ring_read(&s->ring, RING(rsp_prod), 4)) {
            ring_write(&s->ring, RING(rsp_cons), 4, cons);
            notify(s); /* the host may go on */
        }
        assert_int_not_equal(cons, ring_read(&s->ring, RING(rsp_prod), 4));
        ((uint8_t *)bytes)[i] = (uint8_t)ring_read(&s->ring, RING(rsp) + MASK_XENSTORE_IDX(cons), 1);
    }
    ring_write(&s->ring, RING(rsp_cons), 4, cons);
}

static struct message receive(const struct store *s)
{
    struct message r = {0};

    take(s, &r.h, sizeof(r.h));
    assert_true(r.h.len <= XENSTORE_PAYLOAD_MAX);
    take(s, r.text, r.h.len);
    return r;
}

static bool quiet(const struct store *s)
{
    return ring_read(&s->ring, RING(rsp_prod), 4) == ring_read(&s->ring, RING(rsp_cons), 4);
}

/* A request that is one string with its 0, and the answer to it. */
static struct message ask(struct store *s, uint32_t type, const char *text)
{
    struct message r;

    send(s, type, 0, text, strlen(text) + 1);
    r = receive(s);
    assert_int_equal(r.h.req_id, s->id);
    return r;
}

/* "path", 0, "value" without a 0. */
static struct message ask_write(struct store *s, const char *path, const char *value)
{
    char data[512];
    int n = snprintf(data, sizeof(data), "%s%c%s", path, 0, value);
    struct message r;

    assert_true(n >= 0 && n < (int)sizeof(data));
    send(s, XS_WRITE, 0, data, (size_t)n);
    r = receive(s);
    assert_int_equal(r.h.req_id, s->id);
    return r;
}

static struct message ask_watch(struct store *s, uint32_t type, const char *path, const char *token)
{
    char data[512];
    int n = snprintf(data, sizeof(data), "%s%c%s", path, 0, token);

    send(s, type, 0, data, (size_t)n + 1);
    return receive(s);
}

static void assert_error(const struct message *r, const char *name)
{
    assert_int_equal(r->h.type, XS_ERROR);
    assert_string_equal(r->text, name);
    assert_int_equal(r->h.len, strlen(name) + 1);
}

static void assert_ok(const struct message *r, uint32_t type)
{
    assert_int_equal(r->h.type, type);
    assert_string_equal(r->text, "OK");
}

static void assert_event(const struct store *s, const char *path, const char *token)
{
    struct message r = receive(s);

    assert_int_equal(r.h.type, XS_WATCH_EVENT);
    assert_int_equal(r.h.req_id, 0);
    assert_string_equal(r.text, path);
    assert_string_equal(r.text + strlen(path) + 1, token);
    assert_int_equal(r.h.len, strlen(path) + strlen(token) + 2);
}

static void the_toolstack_has_filled_the_guests_home(void **state)
{
    static const struct {
        const char *path, *value;
    } rows[] = {
        {"domid", "1"},
        {HOME "/domid", "1"},
        {"memory/target", "16384"},
        {"memory/static-max", "16384"},
        {"cpu/0/availability", "online"},
        {"cpu/1/availability", "online"},
        {"control/shutdown", ""},
        {"control/platform-feature-xs_reset_watches", "1"},
        {"device", ""},
        {"cpu", ""}, /* made as a parent */
    };
    struct store s = store_new(2);

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct message r = ask(&s, XS_READ, rows[i].path);

        assert_int_equal(r.h.type, XS_READ);
        assert_string_equal(r.text, rows[i].value);
        assert_int_equal(r.h.len, strlen(rows[i].value)); /* values carry no 0 */
    }
    assert_int_equal(machine_verdict(s.ring.m)->kind, VERDICT_NONE);
    machine_free(s.ring.m);
}

static void every_request_refuses_as_xenstored_does(void **state)
{
    static const struct {
        uint32_t type;
        const char *text;
        const char *error;
    } rows[] = {
        {XS_READ, "cpu/2/availability", "ENOENT"},
        {XS_READ, "/local/domain/0/name", "EACCES"},
        {XS_READ, "/nothing", "EACCES"},
        {XS_DIRECTORY, "/", "EACCES"},
        {XS_GET_PERMS, "/local/domain/0", "EACCES"},
        {XS_READ, "", "EINVAL"},
        {XS_READ, "memory/", "EINVAL"},
        {XS_DIRECTORY, "nothing", "ENOENT"},
        {XS_GET_PERMS, "nothing", "ENOENT"},
        {XS_SET_PERMS, "domid", "EINVAL"}, /* without permissions */
        {XS_READ, "data//a", "EINVAL"},
        {XS_READ, "data/a b", "EINVAL"},
        {XS_READ, "data/", "EINVAL"},
        {XS_MKDIR, "domid", "EACCES"}, /* though it is there */
        {XS_MKDIR, "memory", "EACCES"},
        {XS_WRITE, "domid", "EACCES"},
        {XS_WRITE, "/local/domain/0/x", "EACCES"},
        {XS_WRITE, "/tool/x", "EACCES"},
        {XS_MKDIR, "memory/x", "EACCES"},
        {XS_RM, "nothing", "EACCES"},
        {XS_RM, "data/nothing/at/all", "ENOENT"},
        {XS_RM, "memory", "EACCES"},
        {XS_WATCH, "only-a-path", "EINVAL"},
        {XS_UNWATCH, "only-a-path", "EINVAL"},
        {XS_INTRODUCE, "1", "EACCES"},
        {XS_RELEASE, "1", "EACCES"},
        {XS_RESUME, "1", "EACCES"},
        {XS_SET_TARGET, "1", "EACCES"},
        {XS_TRANSACTION_END, "T", "ENOENT"},
        {XS_CONTROL, "help", "ENOSYS"},
        {XS_WATCH_EVENT, "x", "ENOSYS"},
        {XS_TYPE_COUNT, "x", "ENOSYS"},
        {UINT32_MAX, "x", "ENOSYS"},
    };
    struct store s = store_new(1);

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct message r = ask(&s, rows[i].type, rows[i].text);

        if (r.h.type != XS_ERROR || strcmp(r.text, rows[i].error))
            print_message("row %u: type %u, \"%s\"\n", i, r.h.type, r.text);
        assert_error(&r, rows[i].error);
    }
    assert_int_equal(machine_verdict(s.ring.m)->kind, VERDICT_NONE);
    machine_free(s.ring.m);
}

static void a_path_must_end_and_be_short(void **state)
{
    struct store s = store_new(1);
    char path[200];
    struct message r;

    send(&s, XS_READ, 0, "domid", 5); /* no 0 */
    r = receive(&s);
    assert_error(&r, "EINVAL");
    send(&s, XS_READ, 0, "", 0);
    r = receive(&s);
    assert_error(&r, "EINVAL");
    memset(path, 'a', sizeof(path));
    path[sizeof(path) - 1] = 0;
    send(&s, XS_READ, 0, path, sizeof(path)); /* xenstored takes it */
    assert_int_equal(machine_verdict(s.ring.m)->kind, VERDICT_UNMODELLED);
    machine_free(s.ring.m);
}

static void what_is_written_can_be_read_listed_and_removed(void **state)
{
    struct store s = store_new(1);
    struct message r = ask_write(&s, "data/a/b", "value");

    assert_ok(&r, XS_WRITE);
    r = ask(&s, XS_READ, "data/a/b");
    assert_string_equal(r.text, "value");
    r = ask(&s, XS_READ, HOME "/data/a");
    assert_int_equal(r.h.type, XS_READ);
    assert_int_equal(r.h.len, 0);
    r = ask(&s, XS_MKDIR, "data/c");
    assert_ok(&r, XS_MKDIR);
    r = ask(&s, XS_MKDIR, "data/a"); /* there already; keeps what is in it */
    assert_ok(&r, XS_MKDIR);
    r = ask(&s, XS_DIRECTORY, "data");
    assert_int_equal(r.h.type, XS_DIRECTORY);
    assert_int_equal(r.h.len, 4);
    assert_memory_equal(r.text, "a\0c", 4);
    r = ask(&s, XS_GET_PERMS, "data/a");
    assert_string_equal(r.text, "n1");
    r = ask_watch(&s, XS_SET_PERMS, "data/a", "n1");
    assert_ok(&r, XS_SET_PERMS);
    r = ask_write(&s, "data/a/b", "");
    assert_ok(&r, XS_WRITE);
    r = ask(&s, XS_READ, "data/a/b");
    assert_int_equal(r.h.len, 0);
    r = ask(&s, XS_RM, "data/a");
    assert_ok(&r, XS_RM);
    r = ask(&s, XS_READ, "data/a/b");
    assert_error(&r, "ENOENT");
    r = ask(&s, XS_RM, "data/a"); /* gone already is fine */
    assert_ok(&r, XS_RM);
    r = ask(&s, XS_DIRECTORY, "data");
    assert_int_equal(r.h.len, 2);
    machine_free(s.ring.m);
}

/* Children first, and of them only who watches exactly that; then the node, with all above it. */
static void removing_a_node_tells_who_watches_its_children(void **state)
{
    struct store s = store_new(1);
    static const char *const watched[] = {"data", "data/a", "data/a/b", "data/a/b/c"};
    struct message r = ask_write(&s, "data/a/b/c", "x");

    assert_ok(&r, XS_WRITE);
    for (unsigned i = 0; i < COUNT(watched); i++) {
        r = ask_watch(&s, XS_WATCH, watched[i], "t");
        assert_ok(&r, XS_WATCH);
        assert_event(&s, watched[i], "t");
    }
    r = ask(&s, XS_RM, "data/a");
    assert_ok(&r, XS_RM);
    assert_event(&s, "data/a/b/c", "t");
    assert_event(&s, "data/a/b", "t");
    assert_event(&s, "data/a", "t"); /* by `data` */
    assert_event(&s, "data/a", "t");
    assert_int_equal(ring_read(&s.ring, RING(rsp_prod), 4), ring_read(&s.ring, RING(rsp_cons), 4));
    machine_free(s.ring.m);
}

static void setting_permissions_is_checked_and_fires_watches(void **state)
{
    static const struct {
        const char *path, *perm, *error;
    } rows[] = {
        {"domid", "n1", "EACCES"}, {"nothing", "n1", "EACCES"}, {"data/nothing", "n1", "ENOENT"},
        {"data", "x1", "EINVAL"},  {"data", "n", "EINVAL"},     {"data", "n1x", "EINVAL"},
        {"data", "n0", "EPERM"}, /* given away */
    };
    struct store s = store_new(1);
    struct message r;

    for (unsigned i = 0; i < COUNT(rows); i++) {
        r = ask_watch(&s, XS_SET_PERMS, rows[i].path, rows[i].perm);
        assert_error(&r, rows[i].error);
    }
    r = ask_watch(&s, XS_WATCH, "data", "t");
    assert_ok(&r, XS_WATCH);
    assert_event(&s, "data", "t");
    r = ask_watch(&s, XS_SET_PERMS, "data", "n1");
    assert_ok(&r, XS_SET_PERMS);
    assert_event(&s, "data", "t");
    send(&s, XS_SET_PERMS, 0, "data\0n1\0r0\0r2\0r3\0r4\0r5", 22); /* the last has no end */
    r = receive(&s);
    assert_error(&r, "EINVAL");
    send(&s, XS_SET_PERMS, 0, "data\0n1\0r0\0r2\0r3\0r4\0r5", 23); /* one more than the quota */
    r = receive(&s);
    assert_error(&r, "ENOSPC");
    machine_free(s.ring.m);
}

/* What does not fit into a message is no list. */
static void a_list_that_is_too_long_is_refused(void **state)
{
    struct store s = store_new(1);
    char path[128] = "data/";
    struct message r;

    memset(path + 5, 'x', 90);
    for (unsigned i = 0; i < 50; i++) {
        path[5] = (char)('A' + i / 26);
        path[6] = (char)('A' + i % 26);
        r = ask_write(&s, path, "");
        assert_ok(&r, XS_WRITE);
    }
    r = ask(&s, XS_DIRECTORY, "data");
    assert_error(&r, "E2BIG");
    machine_free(s.ring.m);
}

/* More than 2048 bytes are above xenstored's quota; what is between that and our room is not modelled. */
static void values_have_a_quota(void **state)
{
    struct store s = store_new(1);
    char data[2100] = "data";
    struct message r;

    send(&s, XS_WRITE, 0, data, 5 + 2049);
    r = receive(&s);
    assert_error(&r, "ENOSPC");
    assert_int_equal(machine_verdict(s.ring.m)->kind, VERDICT_NONE);
    send(&s, XS_WRITE, 0, data, 5 + 2048);
    assert_int_equal(machine_verdict(s.ring.m)->kind, VERDICT_UNMODELLED);
    machine_free(s.ring.m);
}

static void watches_have_a_quota(void **state)
{
    struct store s = store_new(1);
    struct message r;
    char token[16];
    unsigned i = 0;

    for (;; i++) {
        snprintf(token, sizeof(token), "%u", i);
        r = ask_watch(&s, XS_WATCH, "data", token);
        if (r.h.type == XS_ERROR)
            break;
        assert_event(&s, "data", token);
    }
    assert_error(&r, "E2BIG");
    assert_int_equal(i, 129);
    machine_free(s.ring.m);
}

static void what_the_toolstack_owns_says_so(void **state)
{
    struct store s = store_new(1);
    struct message r = ask(&s, XS_GET_PERMS, "memory/target");

    assert_int_equal(r.h.len, 6);
    assert_memory_equal(r.text, "n0\0r1", 6);
    machine_free(s.ring.m);
}

static void a_full_store_refuses_what_is_new(void **state)
{
    struct store s = store_new(1);
    struct message r;
    unsigned i = 0;
    char path[32];

    do {
        snprintf(path, sizeof(path), "data/%u", i++);
        r = ask_write(&s, path, "x");
    } while (r.h.type == XS_WRITE && i < 10000);
    assert_error(&r, "ENOSPC");
    r = ask_write(&s, "data/0", "still");
    assert_ok(&r, XS_WRITE);
    r = ask(&s, XS_RM, "data/0");
    assert_ok(&r, XS_RM);
    r = ask_write(&s, "data/one/two", "x"); /* there is room for the first only: then for neither */
    assert_error(&r, "ENOSPC");
    r = ask(&s, XS_READ, "data/one");
    assert_error(&r, "ENOENT");
    assert_false(xenstore_host_write(s.ring.m, "cpu/9/availability", "online"));
    assert_false(xenstore_host_read(s.ring.m, "cpu/9", path, sizeof(path)));
    r = ask_write(&s, "data/one", "x");
    assert_ok(&r, XS_WRITE);
    assert_int_equal(machine_verdict(s.ring.m)->kind, VERDICT_NONE);
    machine_free(s.ring.m);
}

static void domains_have_paths(void **state)
{
    static const struct {
        uint32_t type;
        const char *domid, *answer;
    } rows[] = {
        {XS_GET_DOMAIN_PATH, "1", "/local/domain/1"},
        {XS_GET_DOMAIN_PATH, "0", "/local/domain/0"},
        {XS_IS_DOMAIN_INTRODUCED, "1", "T"},
        {XS_IS_DOMAIN_INTRODUCED, "7", "F"},
    };
    struct store s = store_new(1);

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct message r = ask(&s, rows[i].type, rows[i].domid);

        assert_int_equal(r.h.type, rows[i].type);
        assert_string_equal(r.text, rows[i].answer);
        assert_int_equal(r.h.len, strlen(rows[i].answer) + 1);
    }
    machine_free(s.ring.m);
}

static void a_watch_fires_at_once_and_for_all_below_it(void **state)
{
    struct store s = store_new(1);
    struct message r = ask_watch(&s, XS_WATCH, "data", "token");

    assert_ok(&r, XS_WATCH);
    assert_event(&s, "data", "token");
    r = ask_watch(&s, XS_WATCH, "data", "token");
    assert_error(&r, "EEXIST");
    r = ask_watch(&s, XS_WATCH, HOME "/data/a", "other"); /* of an absolute path, and of nothing yet */
    assert_ok(&r, XS_WATCH);
    assert_event(&s, HOME "/data/a", "other");
    r = ask_write(&s, "data/a", "1");
    assert_ok(&r, XS_WRITE);
    assert_event(&s, "data/a", "token");
    assert_event(&s, HOME "/data/a", "other");
    r = ask_write(&s, "data/ab", "1"); /* beside data/a, not below it */
    assert_ok(&r, XS_WRITE);
    assert_event(&s, "data/ab", "token");
    assert_true(quiet(&s));
    r = ask_watch(&s, XS_UNWATCH, "data", "wrong");
    assert_error(&r, "ENOENT");
    r = ask_watch(&s, XS_UNWATCH, "data", "token");
    assert_ok(&r, XS_UNWATCH);
    r = ask(&s, XS_RM, "data/a");
    assert_ok(&r, XS_RM);
    assert_event(&s, HOME "/data/a", "other");
    r = ask(&s, XS_RESET_WATCHES, "");
    assert_ok(&r, XS_RESET_WATCHES);
    r = ask_write(&s, "data/a", "1");
    assert_ok(&r, XS_WRITE);
    assert_true(quiet(&s));
    machine_free(s.ring.m);
}

static void the_host_writes_and_the_guest_hears_of_it(void **state)
{
    struct store s = store_new(2);
    struct message r = ask_watch(&s, XS_WATCH, "cpu", "cpu");
    char value[16];
    uint64_t word = 0;

    assert_ok(&r, XS_WATCH);
    assert_event(&s, "cpu", "cpu");
    put(s.ring.m, (SHARED_GFN << PAGE_SHIFT) + offsetof(struct shared_info, evtchn_pending), &word, sizeof(word));
    assert_true(xenstore_host_write(s.ring.m, "cpu/1/availability", "offline"));
    get(s.ring.m, (SHARED_GFN << PAGE_SHIFT) + offsetof(struct shared_info, evtchn_pending), &word, sizeof(word));
    assert_int_equal(word, 1ull << s.ring.port);
    assert_event(&s, "cpu/1/availability", "cpu");
    r = ask(&s, XS_READ, "cpu/1/availability");
    assert_string_equal(r.text, "offline");
    assert_true(xenstore_host_read(s.ring.m, HOME "/cpu/1/availability", value, sizeof(value)));
    assert_string_equal(value, "offline");
    assert_false(xenstore_host_read(s.ring.m, "cpu/1/availability", value, strlen("offline")));
    assert_false(xenstore_host_read(s.ring.m, "nothing", value, sizeof(value)));
    r = ask_write(&s, "cpu/1/availability", "online");
    assert_error(&r, "EACCES");
    machine_free(s.ring.m);
}

static struct message ask_in(struct store *s, uint32_t type, uint32_t transaction, const char *text)
{
    send(s, type, transaction, text, strlen(text) + 1);
    return receive(s);
}

static void a_transaction_has_an_id_and_ends(void **state)
{
    struct store s = store_new(1);
    struct message r = ask(&s, XS_TRANSACTION_START, "");
    uint32_t id = (uint32_t)strtoul(r.text, NULL, 10);

    assert_int_equal(r.h.type, XS_TRANSACTION_START);
    assert_int_not_equal(id, 0);
    r = ask_in(&s, XS_TRANSACTION_START, id, "");
    assert_error(&r, "EBUSY");
    r = ask_in(&s, XS_READ, id, "domid");
    assert_int_equal(r.h.tx_id, id);
    assert_string_equal(r.text, "1");
    r = ask_in(&s, XS_TRANSACTION_END, id + 1, "T");
    assert_error(&r, "ENOENT");
    r = ask_in(&s, XS_TRANSACTION_END, id, "T");
    assert_ok(&r, XS_TRANSACTION_END);
    machine_free(s.ring.m);
}

static void a_request_may_come_in_pieces(void **state)
{
    struct store s = store_new(1);
    struct xsd_sockmsg h = {.type = XS_READ, .req_id = 9, .len = 6};
    struct message r;

    push(&s, &h, 7);
    notify(&s);
    assert_true(quiet(&s));
    push(&s, (const uint8_t *)&h + 7, sizeof(h) - 7);
    push(&s, "dom", 3);
    notify(&s);
    assert_true(quiet(&s));
    push(&s, "id", 3);
    notify(&s);
    r = receive(&s);
    assert_int_equal(r.h.req_id, 9);
    assert_string_equal(r.text, "1");
    machine_free(s.ring.m);
}

/* More responses than the ring holds: they come on when the guest has made room. */
static void responses_wait_for_room_in_the_ring(void **state)
{
    struct store s = store_new(1);

    for (unsigned i = 0; i < 80; i++)
        send(&s, XS_READ, 0, "memory/target", sizeof("memory/target"));
    assert_int_equal(ring_read(&s.ring, RING(rsp_prod), 4), XENSTORE_RING_SIZE);
    for (unsigned i = 0; i < 80; i++) {
        struct message r = receive(&s);

        assert_int_equal(r.h.req_id, i + 1);
        assert_string_equal(r.text, "16384");
    }
    assert_true(quiet(&s));
    assert_int_equal(machine_verdict(s.ring.m)->kind, VERDICT_NONE);
    machine_free(s.ring.m);
}

static void a_broken_ring_is_unmodelled(void **state)
{
    struct store s = store_new(1);
    struct xsd_sockmsg h = {.type = XS_READ, .req_id = 1, .len = XENSTORE_PAYLOAD_MAX + 1};

    push(&s, &h, sizeof(h));
    notify(&s);
    assert_int_equal(machine_verdict(s.ring.m)->kind, VERDICT_UNMODELLED);
    machine_free(s.ring.m);

    s = store_new(1);
    ring_write(&s.ring, RING(req_prod), 4, XENSTORE_RING_SIZE + 1);
    notify(&s);
    assert_int_equal(machine_verdict(s.ring.m)->kind, VERDICT_UNMODELLED);
    machine_free(s.ring.m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_toolstack_has_filled_the_guests_home),
        cmocka_unit_test(every_request_refuses_as_xenstored_does),
        cmocka_unit_test(a_path_must_end_and_be_short),
        cmocka_unit_test(what_is_written_can_be_read_listed_and_removed),
        cmocka_unit_test(removing_a_node_tells_who_watches_its_children),
        cmocka_unit_test(setting_permissions_is_checked_and_fires_watches),
        cmocka_unit_test(a_list_that_is_too_long_is_refused),
        cmocka_unit_test(values_have_a_quota),
        cmocka_unit_test(watches_have_a_quota),
        cmocka_unit_test(what_the_toolstack_owns_says_so),
        cmocka_unit_test(a_full_store_refuses_what_is_new),
        cmocka_unit_test(domains_have_paths),
        cmocka_unit_test(a_watch_fires_at_once_and_for_all_below_it),
        cmocka_unit_test(the_host_writes_and_the_guest_hears_of_it),
        cmocka_unit_test(a_transaction_has_an_id_and_ends),
        cmocka_unit_test(a_request_may_come_in_pieces),
        cmocka_unit_test(responses_wait_for_room_in_the_ring),
        cmocka_unit_test(a_broken_ring_is_unmodelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
