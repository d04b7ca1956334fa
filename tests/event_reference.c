/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/event_reference.h"

#include <string.h>

#include <xen/xen.h>

#include <xen/event_channel.h>

enum { NO_ENTRY = -2, EXISTS = -17, INVALID = -22, NO_SPACE = -28, NO_CALL = -38 };

#define PRIORITY_DEFAULT 7u
#define GROUP            64u /* ports come into being by the group; OPEN */

void reference_init(struct reference *r, const struct reference_rules *rules, unsigned vcpus, uint32_t domid)
{
    memset(r, 0, sizeof(*r));
    r->rules = *rules;
    r->vcpus = vcpus;
    r->domid = domid;
    r->made = GROUP;
    for (uint32_t p = 0; p < REFERENCE_PORTS; p++)
        r->port[p].priority = PRIORITY_DEFAULT;
}

void reference_connect(struct reference *r, uint32_t port)
{
    r->port[port].status = EVTCHNSTAT_interdomain;
    r->port[port].remote_dom = 0;
    r->port[port].remote_port = port;
}

static bool exists(const struct reference *r, uint32_t port)
{
    return port < r->made;
}

static bool bound(const struct reference *r, uint32_t port)
{
    return exists(r, port) && r->port[port].status != EVTCHNSTAT_closed;
}

static bool has_word(const struct reference *r, uint32_t port)
{
    return r->fifo && r->pages > 0; /* a page has far more words than there are ports here */
}

static bool is_pending(const struct reference *r, uint32_t port)
{
    return r->fifo ? has_word(r, port) && r->port[port].pending : r->port[port].shared_pending;
}

static bool is_free(const struct reference *r, uint32_t port)
{
    return r->port[port].status == EVTCHNSTAT_closed && !(r->rules.busy && has_word(r, port) && r->port[port].linked);
}

bool reference_has_room(const struct reference *r)
{
    unsigned free_ports = 0;

    for (uint32_t p = 1; p < REFERENCE_PORTS; p++)
        free_ports += is_free(r, p);
    return free_ports > 1;
}

/* The lowest number; OPEN. "All other channels notify vcpu0 by default." */
static uint32_t new_port(struct reference *r, uint32_t status)
{
    uint32_t port = 1;

    while (!is_free(r, port))
        port++;
    if (port >= r->made)
        r->made += GROUP;
    r->port[port].status = status;
    r->port[port].priority = PRIORITY_DEFAULT;
    if (r->mistake != MISTAKE_CLOSE_KEEPS_VCPU)
        r->port[port].vcpu = 0;
    return port;
}

/* ---- delivery ---- */

static void upcall(struct reference *r, unsigned vcpu)
{
    if (r->vcpu[vcpu].upcall)
        return;
    r->vcpu[vcpu].upcall = true;
    r->vcpu[vcpu].polls = false; /* an upcall wakes it, whatever it polls */
}

static void wake_pollers(struct reference *r, uint32_t port)
{
    for (unsigned v = 0; v < r->vcpus; v++) {
        if (r->vcpu[v].polls && (r->vcpu[v].polls_any || r->vcpu[v].poll_port == port))
            r->vcpu[v].polls = false;
    }
}

static void select_word(struct reference *r, uint32_t port)
{
    struct reference_vcpu *v = &r->vcpu[r->port[port].vcpu];
    uint64_t bit = 1ull << port / r->rules.word_bits;

    if (v->selector & bit)
        return;
    v->selector |= bit;
    upcall(r, r->port[port].vcpu);
}

static void append(struct reference *r, uint32_t port)
{
    unsigned vcpu = r->port[port].vcpu, priority = r->port[port].priority;
    struct reference_vcpu *v = &r->vcpu[vcpu];
    struct reference_queue *q = &v->queue[priority];

    r->port[port].linked = true;
    q->port[q->count++] = port;
    if (q->count > 1)
        return;
    v->head[priority] = port;
    if (v->ready >> priority & 1)
        return;
    v->ready |= 1u << priority;
    upcall(r, vcpu);
}

static void raise_fifo(struct reference *r, uint32_t port)
{
    struct reference_port *p = &r->port[port];
    bool fresh;

    if (!has_word(r, port)) {
        p->early = true;
        return;
    }
    if (!r->vcpu[p->vcpu].control)
        return;
    fresh = !p->pending;
    p->pending = true;
    if (!p->masked && !p->linked)
        append(r, port);
    if (fresh && !(r->mistake == MISTAKE_MASKED_EVENTS_WAKE_NO_POLLER && p->masked))
        wake_pollers(r, port);
}

static void raise_2level(struct reference *r, uint32_t port)
{
    struct reference_port *p = &r->port[port];

    if (p->shared_pending)
        return;
    p->shared_pending = true;
    if (!p->shared_mask)
        select_word(r, port);
    if (!(r->mistake == MISTAKE_MASKED_EVENTS_WAKE_NO_POLLER && p->shared_mask))
        wake_pollers(r, port);
}

static void raise_event(struct reference *r, uint32_t port)
{
    if (r->fifo)
        raise_fifo(r, port);
    else
        raise_2level(r, port);
}

void reference_virq(struct reference *r, unsigned vcpu, unsigned virq)
{
    if (r->vcpu[vcpu].virq[virq])
        raise_event(r, r->vcpu[vcpu].virq[virq]);
}

/* ---- operations ---- */

int reference_alloc_unbound(struct reference *r, uint32_t remote_dom, uint32_t *port)
{
    *port = new_port(r, EVTCHNSTAT_unbound);
    r->port[*port].remote_dom = remote_dom == DOMID_SELF ? r->domid : remote_dom;
    return 0;
}

/* Both ends in the guest itself. "The local port is pending at once": an event sent before must not be lost. */
int reference_bind_interdomain(struct reference *r, uint32_t remote_port, uint32_t *port)
{
    struct reference_port *remote;

    /* The new port's group of numbers comes into being first, also when the call fails; OPEN. */
    *port = new_port(r, EVTCHNSTAT_closed);
    if (!exists(r, remote_port))
        return INVALID;
    remote = &r->port[remote_port];
    if (remote->status != EVTCHNSTAT_unbound || remote->remote_dom != r->domid)
        return INVALID;
    r->port[*port].status = EVTCHNSTAT_interdomain;
    r->port[*port].remote_dom = r->domid;
    r->port[*port].remote_port = remote_port;
    remote->status = EVTCHNSTAT_interdomain;
    remote->remote_port = *port;
    raise_event(r, *port);
    return 0;
}

static bool is_per_vcpu(const struct reference *r, uint32_t virq)
{
    return virq == VIRQ_TIMER || virq == VIRQ_DEBUG || virq == VIRQ_XENOPROF ||
           (virq == VIRQ_XENPMU && r->rules.xenpmu);
}

int reference_bind_virq(struct reference *r, uint32_t virq, uint32_t vcpu, uint32_t *port)
{
    if (virq >= REFERENCE_VIRQS || (!is_per_vcpu(r, virq) && vcpu != 0))
        return INVALID;
    if (vcpu >= r->vcpus)
        return NO_ENTRY;
    if (r->vcpu[vcpu].virq[virq])
        return EXISTS;
    *port = new_port(r, EVTCHNSTAT_virq);
    r->port[*port].number = virq;
    r->port[*port].vcpu = vcpu;
    r->vcpu[vcpu].virq[virq] = *port;
    return 0;
}

int reference_bind_pirq(struct reference *r, uint32_t pirq, uint32_t *port)
{
    if (pirq >= REFERENCE_PIRQS)
        return INVALID;
    if (r->pirq[pirq])
        return EXISTS;
    *port = new_port(r, EVTCHNSTAT_pirq);
    r->port[*port].number = pirq;
    r->pirq[pirq] = *port;
    return 0;
}

int reference_bind_ipi(struct reference *r, uint32_t vcpu, uint32_t *port)
{
    if (vcpu >= r->vcpus)
        return NO_ENTRY;
    *port = new_port(r, EVTCHNSTAT_ipi);
    r->port[*port].vcpu = vcpu;
    return 0;
}

int reference_bind_vcpu(struct reference *r, uint32_t port, uint32_t vcpu)
{
    const struct reference_port *p;

    if (vcpu >= r->vcpus)
        return NO_ENTRY;
    if (!bound(r, port))
        return INVALID;
    p = &r->port[port];
    if (p->status == EVTCHNSTAT_ipi || (p->status == EVTCHNSTAT_virq && is_per_vcpu(r, p->number)))
        return INVALID;
    r->port[port].vcpu = vcpu;
    return 0;
}

int reference_close(struct reference *r, uint32_t port)
{
    struct reference_port *p;

    if (!bound(r, port))
        return INVALID;
    p = &r->port[port];
    if (p->status == EVTCHNSTAT_virq) {
        for (unsigned v = 0; v < r->vcpus; v++) {
            if (r->vcpu[v].virq[p->number] == port)
                r->vcpu[v].virq[p->number] = 0;
        }
    }
    if (p->status == EVTCHNSTAT_pirq)
        r->pirq[p->number] = 0;
    if (p->status == EVTCHNSTAT_interdomain && p->remote_dom == r->domid)
        r->port[p->remote_port].status = EVTCHNSTAT_unbound;
    if (r->fifo)
        p->pending = p->pending && !has_word(r, port);
    else
        p->shared_pending = false;
    p->status = EVTCHNSTAT_closed;
    if (r->mistake != MISTAKE_CLOSE_KEEPS_VCPU)
        p->vcpu = 0;
    return 0;
}

int reference_send(struct reference *r, uint32_t port)
{
    if (!bound(r, port))
        return INVALID;
    switch (r->port[port].status) {
    case EVTCHNSTAT_ipi:
        raise_event(r, port);
        return 0;
    case EVTCHNSTAT_interdomain:
        if (r->port[port].remote_dom == r->domid)
            raise_event(r, r->port[port].remote_port);
        return 0;
    case EVTCHNSTAT_unbound:
        return 0;
    }
    return INVALID;
}

int reference_unmask(struct reference *r, uint32_t port)
{
    struct reference_port *p;

    if (!exists(r, port))
        return INVALID;
    p = &r->port[port];
    if (r->fifo && has_word(r, port)) {
        p->masked = false;
        if (p->pending && r->mistake != MISTAKE_UNMASK_IS_SILENT)
            raise_fifo(r, port);
    } else if (!r->fifo && p->shared_mask) {
        p->shared_mask = false;
        if (p->shared_pending && r->mistake != MISTAKE_UNMASK_IS_SILENT)
            select_word(r, port);
    }
    return 0;
}

int reference_reset(struct reference *r)
{
    for (uint32_t port = 1; port < r->made; port++)
        (void)reference_close(r, port);
    if (!r->rules.reset_fifo)
        return 0;
    r->fifo = false;
    r->pages = 0;
    for (unsigned v = 0; v < r->vcpus; v++) {
        r->vcpu[v].control = false;
        for (unsigned i = 0; i < REFERENCE_PRIORITIES; i++)
            r->vcpu[v].queue[i].count = 0;
    }
    return 0;
}

/* What is pending by the 2-level ABI comes with the event words; the text promises less ("will be lost"): OPEN. */
int reference_init_control(struct reference *r, uint32_t vcpu)
{
    if (!r->rules.fifo)
        return NO_CALL;
    if (vcpu >= r->vcpus)
        return NO_ENTRY;
    if (r->fifo && r->vcpu[vcpu].control)
        return INVALID;
    r->vcpu[vcpu].control = true;
    if (r->fifo)
        return 0;
    r->fifo = true;
    for (uint32_t port = 1; port < r->made; port++) {
        r->port[port].early |= r->port[port].shared_pending;
        r->port[port].priority = PRIORITY_DEFAULT;
    }
    return 0;
}

int reference_expand_array(struct reference *r)
{
    if (!r->rules.fifo)
        return NO_CALL;
    if (!r->fifo)
        return r->rules.expand_2level;
    if (++r->pages > 1)
        return 0;
    for (uint32_t port = 1; port < r->made; port++) {
        if (r->port[port].early)
            raise_fifo(r, port);
    }
    return 0;
}

/* "The priority of an event may be changed", and counts from the next time it is put on a queue. */
int reference_set_priority(struct reference *r, uint32_t port, uint32_t priority)
{
    if (!r->rules.fifo)
        return NO_CALL;
    if (!exists(r, port))
        return INVALID;
    if (!r->fifo)
        return NO_CALL;
    if (priority >= REFERENCE_PRIORITIES)
        return INVALID;
    r->port[port].priority = priority;
    if (r->mistake == MISTAKE_PRIORITY_CHANGES_AT_ONCE && r->port[port].linked)
        r->vcpu[r->port[port].vcpu].ready |= 1u << priority;
    return 0;
}

int reference_status(const struct reference *r, uint32_t port)
{
    return exists(r, port) ? 0 : INVALID;
}

int reference_poll(struct reference *r, unsigned vcpu, const uint32_t *ports, unsigned count, bool deliverable)
{
    struct reference_vcpu *v = &r->vcpu[vcpu];
    uint32_t numbers = r->fifo ? EVTCHN_FIFO_NR_CHANNELS : r->rules.word_bits * r->rules.word_bits;

    if (deliverable)
        return 0;
    for (unsigned i = 0; i < count; i++) {
        if (r->rules.poll_usable ? !bound(r, ports[i]) : ports[i] >= numbers)
            return INVALID;
        if (ports[i] < REFERENCE_PORTS && is_pending(r, ports[i]))
            return 0;
    }
    v->polls = true;
    v->polls_any = count != 1 || !ports[0]; /* evtchn_check_pollers(): port 0 is as good as several */
    v->poll_port = count ? ports[count - 1] : 0;
    return 0;
}

void reference_poll_timeout(struct reference *r)
{
    for (unsigned v = 0; v < r->vcpus; v++)
        r->vcpu[v].polls = false;
}

void reference_move_vcpu_info(struct reference *r, unsigned vcpu)
{
    r->vcpu[vcpu].selector = r->rules.word_bits == 64 ? UINT64_MAX : UINT32_MAX;
    upcall(r, vcpu);
}

/* ---- the guest ---- */

void reference_mask(struct reference *r, uint32_t port)
{
    if (!r->fifo)
        r->port[port].shared_mask = true;
    else if (has_word(r, port))
        r->port[port].masked = true;
}

uint64_t reference_take_selector(struct reference *r, unsigned vcpu)
{
    uint64_t selector = r->vcpu[vcpu].selector;

    r->vcpu[vcpu].upcall = false;
    r->vcpu[vcpu].selector = 0;
    return selector;
}

uint32_t reference_take_ready(struct reference *r, unsigned vcpu)
{
    uint32_t ready = r->vcpu[vcpu].ready;

    r->vcpu[vcpu].upcall = false;
    r->vcpu[vcpu].ready = 0;
    return ready;
}

void reference_handle_2level(struct reference *r, uint32_t port)
{
    r->port[port].shared_pending = false;
}

uint32_t reference_consume(struct reference *r, unsigned vcpu, unsigned priority, bool *handled)
{
    struct reference_queue *q = &r->vcpu[vcpu].queue[priority];
    uint32_t port = q->port[0];

    if (!q->count)
        return 0;
    q->count--;
    memmove(q->port, q->port + 1, q->count * sizeof(q->port[0]));
    *handled = r->port[port].pending && !r->port[port].masked;
    r->port[port].linked = false;
    if (*handled)
        r->port[port].pending = false;
    return port;
}

uint32_t reference_word(const struct reference *r, uint32_t port)
{
    const struct reference_port *p = &r->port[port];
    uint32_t word = (uint32_t)p->pending << EVTCHN_FIFO_PENDING | (uint32_t)p->masked << EVTCHN_FIFO_MASKED |
                    (uint32_t)p->linked << EVTCHN_FIFO_LINKED;

    for (unsigned v = 0; v < r->vcpus; v++) {
        for (unsigned i = 0; i < REFERENCE_PRIORITIES; i++) {
            const struct reference_queue *q = &r->vcpu[v].queue[i];

            for (unsigned n = 0; n + 1 < q->count; n++)
                word |= q->port[n] == port ? q->port[n + 1] : 0;
        }
    }
    return word;
}

void reference_forget_words(struct reference *r)
{
    for (uint32_t p = 0; p < REFERENCE_PORTS; p++)
        r->port[p].pending = r->port[p].masked = r->port[p].linked = false;
    for (unsigned v = 0; v < r->vcpus; v++) {
        r->vcpu[v].ready = 0;
        memset(r->vcpu[v].head, 0, sizeof(r->vcpu[v].head));
    }
}
