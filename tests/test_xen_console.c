/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/xen_ring.h"

#include "emu/base/count.h"

#define RING(field) offsetof(struct xencons_interface, field)

/* The console as a guest finds it: by its parameters. */
static struct ring console_new(void)
{
    return ring_new(1, HVM_PARAM_CONSOLE_PFN, HVM_PARAM_CONSOLE_EVTCHN);
}

/* Put `text` behind what is there, as a guest that knows the size of the ring. */
static void output(const struct ring *c, const char *text)
{
    uint32_t prod = (uint32_t)ring_read(c, RING(out_prod), 4);

    for (; *text; text++, prod++)
        ring_write(c, RING(out) + prod % sizeof(((struct xencons_interface *)0)->out), 1, (uint8_t)*text);
    ring_write(c, RING(out_prod), 4, prod);
}

/* Whether the port is pending, and take it back. */
static bool was_told(const struct ring *c)
{
    uint64_t word = 0, gpa = (SHARED_GFN << PAGE_SHIFT) + offsetof(struct shared_info, evtchn_pending);
    bool told;

    assert_true(c->port < 64);
    get(c->m, gpa, &word, sizeof(word));
    told = word >> c->port & 1;
    word &= ~(1ull << c->port);
    put(c->m, gpa, &word, sizeof(word));
    return told;
}

static void output_is_taken_out_of_the_ring_when_the_guest_notifies(void **state)
{
    struct ring c = console_new();

    output(&c, "one ");
    assert_string_equal(played_console(c.m), "");
    assert_int_equal(ring_notify(&c), 0);
    assert_string_equal(played_console(c.m), "one ");
    assert_int_equal(ring_read(&c, RING(out_cons), 4), 4);
    assert_true(was_told(&c));
    output(&c, "two");
    assert_int_equal(ring_notify(&c), 0);
    assert_string_equal(played_console(c.m), "one two");
    machine_free(c.m);
}

static void a_notification_without_output_is_not_answered(void **state)
{
    struct ring c = console_new();

    assert_int_equal(ring_notify(&c), 0);
    assert_string_equal(played_console(c.m), "");
    assert_false(was_told(&c));
    machine_free(c.m);
}

static void indices_run_over_the_end_of_the_ring_and_of_their_type(void **state)
{
    static const uint32_t starts[] = {2045, 2048, 0x7ffffffe, 0xfffffffe};

    for (unsigned i = 0; i < COUNT(starts); i++) {
        struct ring c = console_new();

        ring_write(&c, RING(out_cons), 4, starts[i]);
        ring_write(&c, RING(out_prod), 4, starts[i]);
        output(&c, "abcdef");
        assert_int_equal(ring_notify(&c), 0);
        assert_string_equal(played_console(c.m), "abcdef");
        assert_int_equal(ring_read(&c, RING(out_cons), 4), (uint32_t)(starts[i] + 6));
        machine_free(c.m);
    }
}

static void nonsense_indices_are_ignored(void **state)
{
    static const struct {
        uint32_t cons, prod;
    } rows[] = {{0, 2049}, {0, UINT32_MAX}, {5, 4}};

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct ring c = console_new();

        ring_write(&c, RING(out_cons), 4, rows[i].cons);
        ring_write(&c, RING(out_prod), 4, rows[i].prod);
        assert_int_equal(ring_notify(&c), 0);
        assert_string_equal(played_console(c.m), "");
        assert_int_equal(ring_read(&c, RING(out_cons), 4), rows[i].cons);
        assert_false(was_told(&c));
        machine_free(c.m);
    }
}

static void input_comes_through_the_ring_with_an_event(void **state)
{
    struct ring c = console_new();

    assert_int_equal(xen_console_input(c.m, (const uint8_t *)"ls\n", 3), 3);
    assert_int_equal(ring_read(&c, RING(in_prod), 4), 3);
    assert_int_equal(ring_read(&c, RING(in), 1), 'l');
    assert_int_equal(ring_read(&c, RING(in) + 2, 1), '\n');
    assert_true(was_told(&c));
    machine_free(c.m);
}

/* 1024 bytes of ring and a buffer of the host's; the rest of what is typed is lost. */
static void input_that_does_not_fit_waits_for_room(void **state)
{
    struct ring c = console_new();
    uint8_t line[100];
    unsigned taken = 0, more;

    for (unsigned i = 0; i < sizeof(line); i++)
        line[i] = (uint8_t)('A' + i % 26);
    do {
        more = xen_console_input(c.m, line, sizeof(line));
        taken += more;
    } while (more == sizeof(line));
    assert_int_equal(ring_read(&c, RING(in_prod), 4), 1024);
    assert_true(taken > 1024);
    assert_int_equal(xen_console_input(c.m, line, 1), 0);
    assert_true(was_told(&c));
    ring_write(&c, RING(in_cons), 4, 1024);
    assert_int_equal(ring_notify(&c), 0);
    assert_int_equal(ring_read(&c, RING(in_prod), 4), taken);
    assert_int_equal(ring_read(&c, RING(in), 1), line[1024 % sizeof(line)]);
    assert_true(was_told(&c));
    machine_free(c.m);
}

static void input_into_a_ring_with_nonsense_indices_does_not_move(void **state)
{
    struct ring c = console_new();

    ring_write(&c, RING(in_cons), 4, 5000);
    assert_int_equal(xen_console_input(c.m, (const uint8_t *)"x", 1), 1);
    assert_int_equal(ring_read(&c, RING(in_prod), 4), 0);
    assert_false(was_told(&c));
    machine_free(c.m);
}

static void a_closed_port_is_not_raised(void **state)
{
    struct ring c = console_new();
    struct evtchn_close a = {.port = c.port};

    assert_int_equal(CALL(c.m, __HYPERVISOR_event_channel_op, EVTCHNOP_close, &a), 0);
    assert_int_equal(ring_notify(&c), XEN_EINVAL);
    assert_int_equal(xen_console_input(c.m, (const uint8_t *)"x", 1), 1);
    assert_false(was_told(&c));
    machine_free(c.m);
}

static int64_t console_io(struct machine *m, uint64_t op, uint64_t count, uint64_t gva)
{
    return call(m, __HYPERVISOR_console_io, op, count, gva);
}

static void console_io_writes_without_a_ring(void **state)
{
    struct machine *m = guest_new(XEN_VERSION(4, 17), 1);

    put(m, ARG_GPA, "hello\n", 6);
    assert_int_equal(console_io(m, CONSOLEIO_write, 6, ARG_GPA), 0);
    assert_string_equal(played_console(m), "hello\n");
    assert_int_equal(console_io(m, CONSOLEIO_write, 0, BAD_GVA), 0);
    assert_int_equal(console_io(m, CONSOLEIO_write, 3, BAD_GVA), XEN_EFAULT);
    assert_int_equal(machine_verdict(m)->kind, VERDICT_NONE);
    machine_free(m);
}

static void console_io_lets_a_guest_do_nothing_but_write(void **state)
{
    static const struct {
        unsigned version;
        uint64_t op;
        int64_t answer;
    } rows[] = {
        {XEN_VERSION(4, 1), CONSOLEIO_read, XEN_ENOSYS}, {XEN_VERSION(4, 2), CONSOLEIO_read, XEN_ENOSYS},
        {XEN_VERSION(4, 4), CONSOLEIO_read, XEN_EPERM},  {XEN_VERSION(4, 17), CONSOLEIO_read, XEN_EPERM},
        {XEN_VERSION(4, 18), CONSOLEIO_read, XEN_EPERM}, {XEN_VERSION(4, 17), 2, XEN_EPERM},
        {XEN_VERSION(4, 17), UINT32_MAX, XEN_EPERM},
    };

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct machine *m = guest_new(rows[i].version, 1);

        assert_int_equal(console_io(m, rows[i].op, 10, ARG_GPA), rows[i].answer);
        assert_int_equal(machine_verdict(m)->kind, VERDICT_NONE);
        machine_free(m);
    }
}

/* It ends where the guest's memory does, and the domain lives; up to 4.12 the count is a negative number. */
static void an_endless_console_write_is_refused_where_memory_ends(void **state)
{
    static const uint32_t counts[] = {0x80000000, UINT32_MAX};

    for (unsigned i = 0; i < COUNT(counts); i++) {
        struct machine *m = guest_new(XEN_VERSION(4, 17), 1), *old = guest_new(XEN_VERSION(4, 12), 1);

        put(m, PLAYED_RAM_BYTES - 200, "the end", 7);
        assert_int_equal(console_io(m, CONSOLEIO_write, counts[i], PLAYED_RAM_BYTES - 200), XEN_EFAULT);
        assert_memory_equal(played_console(m), "the end", 7);
        assert_int_equal(machine_verdict(m)->kind, VERDICT_NONE);
        assert_int_equal(console_io(old, CONSOLEIO_write, counts[i], BAD_GVA), 0);
        assert_string_equal(played_console(old), "");
        machine_free(m);
        machine_free(old);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_is_taken_out_of_the_ring_when_the_guest_notifies),
        cmocka_unit_test(a_notification_without_output_is_not_answered),
        cmocka_unit_test(indices_run_over_the_end_of_the_ring_and_of_their_type),
        cmocka_unit_test(nonsense_indices_are_ignored),
        cmocka_unit_test(input_comes_through_the_ring_with_an_event),
        cmocka_unit_test(input_that_does_not_fit_waits_for_room),
        cmocka_unit_test(input_into_a_ring_with_nonsense_indices_does_not_move),
        cmocka_unit_test(a_closed_port_is_not_raised),
        cmocka_unit_test(console_io_writes_without_a_ring),
        cmocka_unit_test(console_io_lets_a_guest_do_nothing_but_write),
        cmocka_unit_test(an_endless_console_write_is_refused_where_memory_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
