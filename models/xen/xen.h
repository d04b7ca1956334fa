/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xen: the modelled hypervisor and the part of its toolstack that a guest can see. `xen_model` is the model; what
 * follows it is what the outside (a command line, a schedule, a toolstack) does to a guest.
 *
 * The guest is an unprivileged HVM domain (of which PVH is one) with id XEN_GUEST_DOMID; its back ends would be in
 * domain 0, of which only the console daemon and xenstored are there.
 *
 * Source: Xen public headers and the hypervisor's sources, by version; see version.h.
 */
#ifndef BOOTRACE_MODELS_XEN_XEN_H
#define BOOTRACE_MODELS_XEN_XEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "emu/model.h"

#define XEN_GUEST_DOMID 1u

extern const struct model xen_model;

/* The first CPUID leaf of Xen. */
#define XEN_CPUID_BASE 0x40000000u
/* The MSR whose write fills a hypercall page. */
#define XEN_HYPERCALL_MSR 0x40000000u

/* Word b of a TRACE_CONSOLE fact. */
enum xen_console_stream {
    XEN_CONSOLE_HYPERCALL = 1, /* console_io: Xen's own console */
    XEN_CONSOLE_RING,          /* the domain's console: `xl console` */
};

/* Console input, as typed on `xl console`; what does not fit into the ring is lost. Returns the bytes taken. */
unsigned xen_console_input(struct machine *m, const uint8_t *bytes, unsigned count);

/* Write a key of xenstore as the toolstack does, and fire the guest's watches. A relative path is under the guest's
   home: "cpu/1/availability" with "online" or "offline" plugs and unplugs. False if the store is full. */
bool xenstore_host_write(struct machine *m, const char *path, const char *value);
/* False if there is no such key or no room in `value`, which gets a terminating 0. */
bool xenstore_host_read(struct machine *m, const char *path, char *value, size_t value_bytes);

/* A GSI of the PC is driven. True if it is asserted, and the guest has it as an event channel instead of an IO-APIC
   pin; false too on a machine without this model. */
bool xen_gsi_is_event(struct machine *m, unsigned gsi, bool level);
/* The same question without driving it, and whether an edge on it would make an upcall pending, and taken, that is not
   pending yet. They change nothing. */
bool xen_gsi_has_event(struct machine *m, unsigned gsi);
bool xen_gsi_would_reach(struct machine *m, unsigned gsi);

/* What a TRACE_HOST_WRITE fact of this model says in `c`. */
enum xen_host_write {
    XEN_WRITE_EVENT = 1, /* a pending or mask bit, a selector, an upcall byte */
    XEN_WRITE_VCPU_INFO, /* a vcpu_info moved to its new place */
    XEN_WRITE_TIME,      /* a time record, or the wall clock */
    XEN_WRITE_RUNSTATE,  /* a runstate area */
    XEN_WRITE_FIFO,      /* an event word or control block */
    XEN_WRITE_CONSOLE,   /* the console ring's indices or input */
    XEN_WRITE_XENSTORE,  /* the xenstore ring's indices or responses */
    /* From here on not by itself: the guest has just asked for it. */
    XEN_WRITE_HYPERCALL_PAGE,
    XEN_WRITE_PAGE, /* a page of Xen's was put over guest memory, or taken away, or populated */
    /* Only of areas (TRACE_HOST_AREA): what is written there is traced as what it is. */
    XEN_WRITE_SHARED_INFO,
    XEN_WRITE_FIFO_CONTROL,
};
const char *xen_host_write_name(uint64_t what);

/* "event_channel_op(bind_virq)" for a TRACE_HYPERCALL fact; the caller's buffer is filled and returned. */
const char *xen_operation_name(uint64_t number, uint64_t operation, char *text, size_t text_bytes);

/* ---- what a person at a debugger asks; changes nothing ---- */

struct xen_port_description {
    const char *state; /* "ipi", "virq", ...; NULL if the port is free */
    unsigned vcpu;     /* to notify */
    bool has_number;   /* `number` is the VIRQ's or PIRQ's */
    unsigned number;
    bool has_remote;
    unsigned remote_domid, remote_port;
    bool pending, masked;
};
/* False from the first port on that does not exist. */
bool xen_describe_port(struct machine *m, uint32_t port, struct xen_port_description *d);
/* Whether an upcall is pending for the vCPU, by its vcpu_info. */
bool xen_describe_upcall(struct machine *m, unsigned vcpu);
/* What a timer kind of this model is, NULL if there is no such kind. */
const char *xen_describe_timer(unsigned kind);

/* The operation that a call means: some bits of its first argument, or 0 where a hypercall has no operations. */
uint64_t xen_operation_number(uint64_t number, uint64_t first_argument);

/* What the model has, in the order of its tables: hypercalls, and operations where there are any. */
struct xen_operation {
    uint64_t number, operation;
    unsigned since, before; /* versions that have it; 0: no limit */
    const char *source;
};
/* False behind the last one. */
bool xen_operation_at(unsigned index, struct xen_operation *o);

/* The domain's end, or that it asked for a soft reset: what a guest's SCHEDOP_shutdown said. -1 if it did not. */
int xen_shutdown_reason(struct machine *m);

#endif
