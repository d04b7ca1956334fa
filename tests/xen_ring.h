/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xen_ring: a page that the guest shares with a service of the host, and the event channel by which each tells the
 * other that it has written there: the console's, xenstore's. What is in the page is the test's.
 */
#ifndef BOOTRACE_TESTS_XEN_RING_H
#define BOOTRACE_TESTS_XEN_RING_H

#include "tests/xen_guest.h"

struct ring {
    struct machine *m;
    uint64_t gpa;
    uint32_t port;
};

/* A machine of Xen 4.17 whose guest has mapped its shared_info, and the ring that these HVM parameters name. */
static inline struct ring ring_new(unsigned vcpus, uint32_t pfn_param, uint32_t port_param)
{
    struct machine *m = guest_new(XEN_VERSION(4, 17), vcpus);

    assert_int_equal(map_shared_info(m, SHARED_GFN), 0);
    return (struct ring){m, get_param(m, pfn_param) << PAGE_SHIFT, (uint32_t)get_param(m, port_param)};
}

static inline uint64_t ring_read(const struct ring *r, size_t offset, unsigned bytes)
{
    uint64_t value = 0;

    assert_int_equal(played_mmio_read(r->m, r->gpa + offset, bytes, &value), MODEL_DONE);
    return value;
}

static inline void ring_write(const struct ring *r, size_t offset, unsigned bytes, uint64_t value)
{
    assert_int_equal(played_mmio_write(r->m, r->gpa + offset, bytes, value), MODEL_DONE);
}

/* Tell the host. What the hypercall returns. */
static inline int64_t ring_notify(const struct ring *r)
{
    struct evtchn_send s = {.port = r->port};

    return CALL(r->m, __HYPERVISOR_event_channel_op, EVTCHNOP_send, &s);
}

#endif
