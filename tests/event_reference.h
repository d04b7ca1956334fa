/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * event_reference: event channels of one guest, written from the public interface's text alone, as a second opinion on
 * models/xen/event_channel.c and event_fifo.c. It shares no code and no data structure with them: its queues are plain
 * lists of ports, from which it derives what the guest must find in event words and control blocks.
 *
 * It is no hypervisor: it knows neither memory nor structures nor time, and takes the guest for well-behaved (which
 * changes only what the FIFO design lets it change in an event word). Answers are 0 or a negative Xen errno.
 *
 * Source: Xen public/event_channel.h, the notes above each EVTCHNOP_* structure and "2-level ABI", "FIFO ABI";
 * public/xen.h, struct vcpu_info and struct shared_info; public/sched.h, SCHEDOP_poll; the design document "FIFO-based
 * Event Channel ABI", "Event delivery" and "Consuming Events". What these texts leave open is marked OPEN.
 */
#ifndef BOOTRACE_TESTS_EVENT_REFERENCE_H
#define BOOTRACE_TESTS_EVENT_REFERENCE_H

#include <stdbool.h>
#include <stdint.h>

#define REFERENCE_PORTS      192u
#define REFERENCE_VCPUS      4u
#define REFERENCE_PRIORITIES 16u
#define REFERENCE_VIRQS      24u
#define REFERENCE_PIRQS      256u

/* In what the versions of the interface differ. */
struct reference_rules {
    bool fifo;          /* the FIFO ABI exists */
    bool busy;          /* OPEN: a port that is still on a queue is not given out again */
    bool reset_fifo;    /* EVTCHNOP_reset goes back to the 2-level ABI */
    bool poll_usable;   /* OPEN: polling a port that is not bound is a mistake */
    bool xenpmu;        /* VIRQ_XENPMU is each vCPU's own */
    int expand_2level;  /* the answer to expand_array without FIFO */
    unsigned word_bits; /* of the guest's words: 32 or 64 */
};

/* A rule that is wrong on purpose, to see that it is found out. */
enum reference_mistake {
    MISTAKE_NONE,
    MISTAKE_MASKED_EVENTS_WAKE_NO_POLLER,
    MISTAKE_PRIORITY_CHANGES_AT_ONCE,
    MISTAKE_UNMASK_IS_SILENT,
    MISTAKE_CLOSE_KEEPS_VCPU,
};

struct reference_port {
    uint32_t status; /* EVTCHNSTAT_* */
    uint32_t vcpu;
    uint32_t number; /* VIRQ or PIRQ */
    uint32_t remote_dom, remote_port;
    uint32_t priority;
    bool shared_pending, shared_mask; /* bits of shared_info */
    bool pending, masked, linked;     /* of the event word */
    bool early;                       /* raised before it had an event word */
};

struct reference_queue {
    uint32_t port[REFERENCE_PORTS]; /* the first is consumed next */
    unsigned count;
};

struct reference_vcpu {
    bool upcall;
    uint64_t selector;
    bool control; /* has a control block */
    uint32_t ready;
    uint32_t head[REFERENCE_PRIORITIES]; /* as last written to the control block */
    struct reference_queue queue[REFERENCE_PRIORITIES];
    bool polls, polls_any;
    uint32_t poll_port;
    uint32_t virq[REFERENCE_VIRQS];
};

struct reference {
    struct reference_rules rules;
    enum reference_mistake mistake;
    uint32_t domid;
    unsigned vcpus;
    uint32_t made; /* OPEN: ports from here on do not exist yet */
    bool fifo;
    unsigned pages; /* of the event array */
    struct reference_port port[REFERENCE_PORTS];
    struct reference_vcpu vcpu[REFERENCE_VCPUS];
    uint32_t pirq[REFERENCE_PIRQS];
};

void reference_init(struct reference *r, const struct reference_rules *rules, unsigned vcpus, uint32_t domid);
/* A port that the toolstack has connected to domain 0. */
void reference_connect(struct reference *r, uint32_t port);
/* Whether there is a port left to bind (the reference's own limit). */
bool reference_has_room(const struct reference *r);

/* EVTCHNOP_*; a port goes out through `port` when the answer is 0. */
int reference_alloc_unbound(struct reference *r, uint32_t remote_dom, uint32_t *port);
int reference_bind_interdomain(struct reference *r, uint32_t remote_port, uint32_t *port);
int reference_bind_virq(struct reference *r, uint32_t virq, uint32_t vcpu, uint32_t *port);
int reference_bind_pirq(struct reference *r, uint32_t pirq, uint32_t *port);
int reference_bind_ipi(struct reference *r, uint32_t vcpu, uint32_t *port);
int reference_bind_vcpu(struct reference *r, uint32_t port, uint32_t vcpu);
int reference_close(struct reference *r, uint32_t port);
int reference_send(struct reference *r, uint32_t port);
int reference_unmask(struct reference *r, uint32_t port);
int reference_reset(struct reference *r);
int reference_init_control(struct reference *r, uint32_t vcpu);
int reference_expand_array(struct reference *r);
int reference_set_priority(struct reference *r, uint32_t port, uint32_t priority);
/* The answer to EVTCHNOP_status; if 0, what it tells is in r->port[port]. */
int reference_status(const struct reference *r, uint32_t port);

/* SCHEDOP_poll; `r->vcpu[vcpu].polls` says whether it waits. `deliverable`: an upcall could be taken at once. */
int reference_poll(struct reference *r, unsigned vcpu, const uint32_t *ports, unsigned count, bool deliverable);
void reference_poll_timeout(struct reference *r);

/* The hypervisor raises a VIRQ. */
void reference_virq(struct reference *r, unsigned vcpu, unsigned virq);
/* VCPUOP_register_vcpu_info: public/vcpu.h, "evtchn_pending_sel" is filled, so that nothing is lost. */
void reference_move_vcpu_info(struct reference *r, unsigned vcpu);

/* The guest. Masking; answering an upcall: the byte and what says where to look are taken. */
void reference_mask(struct reference *r, uint32_t port);
uint64_t reference_take_selector(struct reference *r, unsigned vcpu);
uint32_t reference_take_ready(struct reference *r, unsigned vcpu);
void reference_handle_2level(struct reference *r, uint32_t port);
/* Take the next port off a queue; 0 if it is empty. `*handled`: it was pending and not masked. */
uint32_t reference_consume(struct reference *r, unsigned vcpu, unsigned priority, bool *handled);
/* What must be in the event word of `port`: by the bits and the link of public/event_channel.h. */
uint32_t reference_word(const struct reference *r, uint32_t port);
/* The guest clears array and control blocks before it uses FIFO again. */
void reference_forget_words(struct reference *r);

#endif
