/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * event_fifo: delivery by the FIFO ABI: event words in pages of the guest, queues by priority and vCPU.
 *
 * The host only touches the words of ports it knows, so the links in them, which the guest can write, are never
 * followed here.
 *
 * Source: Xen public/event_channel.h, "EVTCHN_FIFO_*"; common/event_fifo.c; the design document "FIFO-based event
 * channel ABI".
 */
#include "models/xen/state.h"

#include "emu/trace.h"

#define WORD_PENDING   (1u << EVTCHN_FIFO_PENDING)
#define WORD_MASKED    (1u << EVTCHN_FIFO_MASKED)
#define WORD_LINKED    (1u << EVTCHN_FIFO_LINKED)
#define WORD_BUSY      (1u << EVTCHN_FIFO_BUSY)
#define WORD_LINK_MASK ((1u << EVTCHN_FIFO_LINK_BITS) - 1)

#define CONTROL_BYTES        72u
#define CONTROL_READY_OFFSET 0u
#define CONTROL_HEAD_OFFSET  8u
static_assert(sizeof(struct evtchn_fifo_control_block) == CONTROL_BYTES, "public/event_channel.h");
static_assert(offsetof(struct evtchn_fifo_control_block, head) == CONTROL_HEAD_OFFSET, "public/event_channel.h");

void xen_fifo_init(struct machine *m)
{
    for (unsigned v = 0; v < machine_vcpus(m); v++)
        xen_state(m)->vcpu[v].fifo = (struct xen_fifo_vcpu){.control_gpa = FIFO_CONTROL_NONE};
}

bool xen_fifo_control_is_sound(const struct xen_fifo_vcpu *f)
{
    return f->control_gpa == FIFO_CONTROL_NONE ||
           (!(f->control_gpa % 8) && (f->control_gpa & (PAGE_BYTES - 1)) <= PAGE_BYTES - CONTROL_BYTES);
}

/* False if the port has no event word yet. */
static bool word_gpa(const struct xen_state *x, uint32_t port, uint64_t *gpa)
{
    if (port >= x->fifo_ports)
        return false;
    *gpa = (x->fifo_gfn[port / FIFO_WORDS_PER_PAGE] << PAGE_SHIFT) + port % FIFO_WORDS_PER_PAGE * 4;
    return true;
}

static uint32_t word_read(struct machine *m, uint64_t gpa)
{
    uint32_t word = 0;

    return xen_gpa_read(m, gpa, &word, sizeof(word)) ? word : 0;
}

static void word_write(struct machine *m, uint64_t gpa, uint32_t word)
{
    (void)!xen_gpa_write(m, gpa, &word, sizeof(word), XEN_WRITE_FIFO);
}

/* Whether the tail is still on its queue, and its word; else the queue is empty. */
static bool tail_is_linked(struct machine *m, uint32_t tail, uint64_t *gpa, uint32_t *word)
{
    if (!tail || !word_gpa(xen_state(m), tail, gpa))
        return false;
    *word = word_read(m, *gpa);
    return *word & WORD_LINKED;
}

/* Link the tail to `port`; false if the queue is empty. */
static bool link_tail(struct machine *m, uint32_t tail, uint32_t port)
{
    uint64_t gpa;
    uint32_t word;

    if (!tail_is_linked(m, tail, &gpa, &word))
        return false;
    word_write(m, gpa, (word & ~(WORD_BUSY | WORD_LINK_MASK)) | port);
    return true;
}

bool xen_fifo_would_mark(struct machine *m, unsigned vcpu, uint32_t port)
{
    const struct xen_state *x = xen_state(m);
    const struct xen_fifo_vcpu *f = &x->vcpu[vcpu].fifo;
    unsigned priority = x->port[port].priority;
    uint64_t gpa, tail_gpa;
    uint32_t tail_word;

    if (!word_gpa(x, port, &gpa) || !f->control_gpa || (word_read(m, gpa) & (WORD_PENDING | WORD_MASKED | WORD_LINKED)))
        return false;
    return !tail_is_linked(m, f->tail[priority], &tail_gpa, &tail_word) &&
           !(word_read(m, f->control_gpa + CONTROL_READY_OFFSET) >> priority & 1);
}

bool xen_fifo_raise(struct machine *m, unsigned vcpu, uint32_t port)
{
    struct xen_state *x = xen_state(m);
    struct xen_port *p = &x->port[port];
    struct xen_fifo_vcpu *f = &x->vcpu[vcpu].fifo;
    struct xen_fifo_vcpu *old = &x->vcpu[p->last_vcpu].fifo;
    unsigned priority = p->priority;
    bool linked = true, poll;
    uint64_t gpa;
    uint32_t word, ready;

    if (!word_gpa(x, port, &gpa)) {
        p->pending = 1;
        return true;
    }
    if (f->control_gpa == FIFO_CONTROL_NONE) /* dropped; see XSA-107 for the version that did not check */
        return false;
    word = word_read(m, gpa);
    poll = !(word & WORD_PENDING);
    word |= WORD_PENDING;
    if (!(word & WORD_MASKED) && !(word & WORD_LINKED)) {
        word_write(m, gpa, word | WORD_LINKED);
        if (old->tail[p->last_priority] == port)
            old->tail[p->last_priority] = 0;
        p->last_vcpu = (uint8_t)vcpu;
        p->last_priority = (uint8_t)priority;
        linked = link_tail(m, f->tail[priority], port);
        if (!linked)
            word_write(m, f->control_gpa + CONTROL_HEAD_OFFSET + priority * 4, port);
        f->tail[priority] = port;
    } else {
        word_write(m, gpa, word);
    }
    ready = linked ? 0 : word_read(m, f->control_gpa + CONTROL_READY_OFFSET);
    if (!linked && !(ready >> priority & 1)) {
        word_write(m, f->control_gpa + CONTROL_READY_OFFSET, ready | 1u << priority);
        xen_mark_events_pending(m, vcpu);
    }
    if (poll)
        xen_check_pollers(m, port);
    return true;
}

void xen_fifo_clear_pending(struct machine *m, uint32_t port)
{
    uint64_t gpa;

    if (word_gpa(xen_state(m), port, &gpa))
        word_write(m, gpa, word_read(m, gpa) & ~WORD_PENDING);
}

void xen_fifo_unmask(struct machine *m, uint32_t port)
{
    struct xen_state *x = xen_state(m);
    uint64_t gpa;
    uint32_t word;

    if (!word_gpa(x, port, &gpa))
        return;
    word = word_read(m, gpa) & ~WORD_MASKED;
    word_write(m, gpa, word);
    if (word & WORD_PENDING)
        (void)xen_fifo_raise(m, x->port[port].vcpu, port);
}

bool xen_fifo_is_pending(struct machine *m, uint32_t port)
{
    uint64_t gpa;

    return word_gpa(xen_state(m), port, &gpa) && (word_read(m, gpa) & WORD_PENDING);
}

bool xen_fifo_is_masked(struct machine *m, uint32_t port)
{
    uint64_t gpa;

    return word_gpa(xen_state(m), port, &gpa) && (word_read(m, gpa) & WORD_MASKED);
}

bool xen_fifo_is_busy(struct machine *m, uint32_t port)
{
    uint64_t gpa;

    return word_gpa(xen_state(m), port, &gpa) && (word_read(m, gpa) & WORD_LINKED);
}

/* Back to the 2-level ABI. */
void xen_fifo_destroy(struct machine *m)
{
    struct xen_state *x = xen_state(m);

    for (unsigned v = 0; x->fifo && v < machine_vcpus(m); v++) {
        xen_area_is(m, v, 0, 0, XEN_WRITE_FIFO);
        xen_area_is(m, v, 0, 0, XEN_WRITE_FIFO_CONTROL);
    }
    x->fifo = 0;
    x->fifo_ports = 0;
    memset(x->fifo_gfn, 0, sizeof(x->fifo_gfn));
    xen_fifo_init(m);
}

/* What is pending by the 2-level ABI is raised again when the event words come. */
static void switch_to_fifo(struct machine *m)
{
    struct xen_state *x = xen_state(m);

    for (uint32_t port = 1; port < x->ports_valid; port++) {
        if (xen_port_is_pending(m, port))
            x->port[port].pending = 1;
        x->port[port].priority = FIFO_PRIORITY_DEFAULT;
        x->port[port].last_priority = 0;
        x->port[port].last_vcpu = 0;
    }
    x->fifo = 1;
}

int64_t xen_fifo_init_control(struct xen_call *c)
{
    struct evtchn_init_control a;

    if (!xen_copy_in(c, c->arg[1], &a, sizeof(a)))
        return XEN_EFAULT;
    if (a.vcpu >= machine_vcpus(c->m))
        return XEN_ENOENT;
    if (a.offset > PAGE_BYTES - CONTROL_BYTES || a.offset % 8)
        return XEN_EINVAL;
    if (c->x->vcpu[a.vcpu].fifo.control_gpa != FIFO_CONTROL_NONE || !xen_gfn_is_backed(c->m, a.control_gfn))
        return XEN_EINVAL;
    if (!c->x->fifo)
        switch_to_fifo(c->m);
    c->x->vcpu[a.vcpu].fifo.control_gpa = (a.control_gfn << PAGE_SHIFT) + a.offset;
    xen_area_is(c->m, a.vcpu, c->x->vcpu[a.vcpu].fifo.control_gpa, CONTROL_BYTES, XEN_WRITE_FIFO_CONTROL);
    a.link_bits = EVTCHN_FIFO_LINK_BITS;
    return xen_copy_out(c, c->arg[1], &a, sizeof(a)) ? 0 : XEN_EFAULT;
}

int64_t xen_fifo_expand_array(struct xen_call *c)
{
    struct evtchn_expand_array a;
    uint32_t port = c->x->fifo_ports;

    if (!xen_copy_in(c, c->arg[1], &a, sizeof(a)))
        return XEN_EFAULT;
    if (!c->x->fifo)
        return c->t->fifo_expand_eopnotsupp ? XEN_EOPNOTSUPP : XEN_ENOSYS;
    if (port / FIFO_WORDS_PER_PAGE >= FIFO_PAGES_MAX)
        return XEN_ENOSPC;
    if (!xen_gfn_is_backed(c->m, a.array_gfn))
        return XEN_EINVAL;
    c->x->fifo_gfn[port / FIFO_WORDS_PER_PAGE] = a.array_gfn;
    c->x->fifo_ports += FIFO_WORDS_PER_PAGE;
    xen_area_is(c->m, c->vcpu, a.array_gfn << PAGE_SHIFT, PAGE_BYTES, XEN_WRITE_FIFO);
    for (; port < c->x->fifo_ports && xen_port_is_valid(c->x, port); port++) {
        if (c->x->port[port].pending)
            xen_port_raise(c->m, port);
    }
    return 0;
}
