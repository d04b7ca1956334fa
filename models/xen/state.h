/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * state: what the Xen model remembers, and what its files offer each other. Not for outside models/xen.
 *
 * The state is plain data in the machine's arena. A page that belongs to Xen (shared_info, the console and xenstore
 * rings, the grant table) has its content here while it is at no guest frame, or at a frame that is not RAM (then the
 * guest reaches it through mmio_read and mmio_write); over RAM its content is in that RAM.
 */
#ifndef BOOTRACE_MODELS_XEN_STATE_H
#define BOOTRACE_MODELS_XEN_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "emu/machine.h"
#include "emu/memory.h"
#include "emu/vcpu.h"
#include "models/xen/public.h"
#include "models/xen/version.h"
#include "models/xen/xen.h"

/* ---- event channels ---- */

#define PORTS_MAX             4096u /* the 2-level limit of a 64-bit guest; FIFO guests are limited below this */
#define PORTS_TOOLSTACK_MAX   1023u /* the highest port by the toolstack's default max_event_channels */
#define PORTS_BUCKET          64u   /* ports come into being in groups of this size */
#define VIRQS                 24u
#define PIRQS                 256u
#define PIRQ_MAPPED           1u /* to an emulated GSI */
#define PIRQ_RESERVED         2u /* by PHYSDEVOP_get_free_pirq */
#define FIFO_PAGES_MAX        128u
#define FIFO_WORDS_PER_PAGE   1024u
#define FIFO_PRIORITIES       16u
#define FIFO_PRIORITY_DEFAULT 7u

enum xen_port_state {
    PORT_FREE,
    PORT_RESERVED,
    PORT_UNBOUND,
    PORT_INTERDOMAIN,
    PORT_PIRQ,
    PORT_VIRQ,
    PORT_IPI,
};

struct xen_port {
    uint8_t state;         /* enum xen_port_state */
    uint8_t priority;      /* FIFO */
    uint8_t last_priority; /* FIFO: the queue on which it was linked last */
    uint8_t pending;       /* FIFO: raised while its event word had no page */
    uint8_t last_vcpu;
    uint8_t xen_consumer; /* the host handles it, the guest may not touch it */
    uint16_t vcpu;        /* to notify */
    uint16_t remote_domid;
    uint16_t number; /* VIRQ or PIRQ */
    uint32_t remote_port;
};

#define FIFO_CONTROL_NONE UINT64_MAX

struct xen_fifo_vcpu {
    uint64_t control_gpa; /* of the control block; FIFO_CONTROL_NONE if there is none */
    uint32_t tail[FIFO_PRIORITIES];
};

/* ---- vCPUs ---- */

enum xen_info_place { INFO_SLOT, INFO_GUEST, INFO_DUMMY };
enum xen_area_kind { AREA_NONE, AREA_LINEAR, AREA_PHYSICAL };

/* A runstate or time area that the guest has registered. */
struct xen_area {
    uint64_t address; /* gva or gpa, by kind */
    uint8_t kind;     /* enum xen_area_kind */
    uint8_t compat;   /* 32-bit layout */
    uint8_t zero[6];
};

#define UPCALL_VECTOR_NONE    0
#define XEN_UPCALL_VECTOR_MIN 0x10u
#define XEN_PERIOD_MIN_NS     1000000ull
#define XEN_PERIOD_MAX_NS     (UINT64_MAX >> 2) /* STIME_DELTA_MAX */
#define POLL_NONE             0u
#define POLL_MANY             UINT32_MAX

struct xen_vcpu {
    uint64_t info_gpa; /* if place is INFO_GUEST */
    uint8_t info_place;
    uint8_t initialised;
    uint8_t up; /* not VPF_down */
    uint8_t upcall_vector;
    uint32_t time_version;
    uint32_t poll_port; /* POLL_NONE, POLL_MANY or the only port */
    uint32_t runstate;  /* RUNSTATE_* */
    uint64_t runstate_entry_ns;
    uint64_t runstate_time_ns[4];
    uint64_t periodic_period_ns; /* 0 if off */
    uint64_t periodic_last_ns;
    uint64_t time_stamp_ns; /* of the last time record */
    struct xen_area runstate_area, time_area;
    uint32_t virq_port[VIRQS];
    struct xen_fifo_vcpu fifo;
};

enum xen_timer_kind { TIMER_SINGLESHOT, TIMER_PERIODIC, TIMER_POLL, TIMER_WATCHDOG0, TIMER_WATCHDOG1 };
#define WATCHDOGS 2u

/* ---- pages of Xen and holes ---- */

#define GRANT_FRAMES_MAX  64u
#define STATUS_FRAMES_MAX 8u
#define GRANT_PINS        512u /* entries that the guest may map itself: those of the first frame */
enum xen_page {
    PAGE_SHARED_INFO,
    PAGE_CONSOLE,
    PAGE_STORE,
    PAGE_GRANT,
    PAGE_STATUS = PAGE_GRANT + GRANT_FRAMES_MAX,
    PAGE_COUNT = PAGE_STATUS + STATUS_FRAMES_MAX,
};
#define GFN_NONE  UINT64_MAX
#define HOLES_MAX MEMORY_HOLES_MAX

/* Frames of RAM that are none; ascending, neither overlapping nor adjacent. */
struct xen_hole {
    uint64_t gfn, count;
};

/* ---- the whole ---- */

/* VMASST_TYPE_*: what an HVM guest may ask for; arch/x86/domain.c, HVM_VM_ASSIST_VALID. */
#define VM_ASSIST_HVM (1u << VMASST_TYPE_runstate_update_flag)

#define CONSOLE_INPUT_BYTES 256u
#define STORE_NODES_MAX     192u
#define STORE_PATH_BYTES    128u
#define STORE_VALUE_BYTES   256u
#define STORE_WATCHES_MAX   129u /* xenstored refuses once there are more than quota_nb_watch_per_domain, 128 */
#define STORE_TOKEN_BYTES   64u
#define STORE_QUEUE_BYTES   8192u
#define STORE_MESSAGE_BYTES (sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX)

struct xen_store_node {
    char path[STORE_PATH_BYTES]; /* absolute; "" if the slot is free */
    char value[STORE_VALUE_BYTES];
    uint32_t value_bytes;
    uint8_t guest_writes; /* the guest owns it */
    uint8_t zero[3];
};

struct xen_store_watch {
    char path[STORE_PATH_BYTES]; /* as the guest gave it; "" if the slot is free */
    char token[STORE_TOKEN_BYTES];
};

struct xen_store {
    struct xen_store_node node[STORE_NODES_MAX];
    struct xen_store_watch watch[STORE_WATCHES_MAX];
    uint32_t request_bytes; /* received of the request that is coming in */
    uint32_t queue_bytes;   /* responses that did not fit into the ring yet */
    uint32_t transaction;   /* the open one, 0 if none */
    uint32_t transaction_next;
    uint8_t request[STORE_MESSAGE_BYTES];
    uint8_t queue[STORE_QUEUE_BYTES];
    uint8_t zero[4];
};

#define E820_ENTRIES_MAX 1024u

/* struct e820entry: 20 bytes. */
struct xen_e820_entry {
    uint64_t address, bytes;
    uint32_t type;
} __attribute__((packed));

struct xen_state {
    uint32_t traits; /* index into xen_traits_rows */
    uint8_t compat;  /* shared_info has the 32-bit layout */
    uint8_t callback_type;
    uint8_t callback_vector;
    uint8_t callback_asserted; /* the GSI or INTx line */
    uint8_t callback_gsi;
    uint8_t shutting_down;
    uint8_t shutdown_reason_known;
    uint8_t shutdown_reason;
    uint8_t watchdogs_used; /* one bit each */
    uint8_t fifo;           /* the domain uses FIFO event channels */
    uint8_t grant_version;
    uint8_t pod_zero;
    uint32_t vm_assist;
    uint32_t ports_valid; /* ports below this exist */
    uint32_t port_max;
    uint32_t fifo_ports; /* ports that have an event word */
    uint32_t grant_frames, status_frames;
    uint32_t store_port, console_port;
    uint32_t hole_count;
    uint32_t console_input_bytes;
    uint64_t hypercall_gpa;
    uint64_t gsi_levels;   /* one bit each */
    uint64_t wallclock_ns; /* wall clock at virtual time 0 */
    uint64_t hvm_param[HVM_NR_PARAMS];
    uint64_t fifo_gfn[FIFO_PAGES_MAX];
    struct xen_port port[PORTS_MAX];
    uint32_t pirq_port[PIRQS];
    int32_t pirq_gsi[PIRQS];        /* emulated GSI mapped to that pirq, -1 if none */
    uint8_t pirq_used[PIRQS];       /* PIRQ_* */
    uint8_t grant_pins[GRANT_PINS]; /* how often the guest has mapped its own entry */
    struct xen_vcpu vcpu[VCPUS_MAX];
    struct xen_hole hole[HOLES_MAX];
    uint64_t page_gfn[PAGE_COUNT];
    uint8_t page[PAGE_COUNT][PAGE_BYTES];
    uint8_t dummy_info[VCPU_INFO_BYTES];
    uint8_t console_input[CONSOLE_INPUT_BYTES];
    struct xen_store store;
    uint32_t memory_map_entries; /* XENMEM_set_memory_map */
    uint32_t memory_map_is_set;
    struct xen_e820_entry memory_map[E820_ENTRIES_MAX];
};

static inline struct xen_state *xen_state(struct machine *m)
{
    return machine_model_state(m, &xen_model);
}

static inline const struct xen_traits *xen_traits(const struct xen_state *x)
{
    return &xen_traits_rows[x->traits];
}

static inline const struct xen_layout *xen_layout(const struct xen_state *x)
{
    return x->compat ? &xen_layout_32 : &xen_layout_64;
}

/* ---- one hypercall ---- */

struct xen_call {
    struct machine *m;
    struct xen_state *x;
    const struct xen_traits *t;
    unsigned vcpu;
    bool compat;     /* made from 32-bit code */
    uint64_t number; /* hypercall */
    uint64_t arg[6]; /* [5] only by the register convention of older interfaces */
};

/* Answers go into the guest's RAX: 0 or positive, or a negative enum xen_errno. */
typedef int64_t(xen_handler_fn)(struct xen_call *c);

/* One operation of a family. */
struct xen_op {
    unsigned number;
    const char *name;
    xen_handler_fn *handler;
    unsigned since, before; /* versions that have it; 0: all */
    const char *source;
};

/* One hypercall number; with `ops` when its first argument selects an operation. */
struct xen_family {
    unsigned number;
    const char *name;
    xen_handler_fn *handler; /* for hypercalls without operations, or to look before the table is asked */
    const struct xen_op *ops;
    unsigned op_count;
    uint64_t op_mask;   /* of the first argument; 0: all 32 bits */
    int64_t op_unknown; /* the answer to an operation that is not in the table */
    unsigned since;
    const char *source;
};

extern const struct xen_op xen_event_channel_ops[], xen_vcpu_ops[], xen_sched_ops[], xen_memory_ops[],
    xen_version_ops[], xen_console_ops[], xen_hvm_ops[], xen_grant_ops[], xen_physdev_ops[];
extern const unsigned xen_event_channel_op_count, xen_vcpu_op_count, xen_sched_op_count, xen_memory_op_count,
    xen_version_op_count, xen_console_op_count, xen_hvm_op_count, xen_grant_op_count, xen_physdev_op_count;

/* hypercall.c */
enum model_answer xen_hypercall(struct machine *m, unsigned vcpu);
enum model_answer xen_msr_write(struct machine *m, unsigned vcpu, uint32_t msr, uint64_t value);
enum model_answer xen_msr_read(struct machine *m, unsigned vcpu, uint32_t msr, uint64_t *value);
/* One call through the table: what xen_hypercall() does after it has read the registers. */
int64_t xen_dispatch(struct xen_call *c);
/* Guest-virtual copies for handlers; false means -EFAULT. */
bool xen_copy_in(struct xen_call *c, uint64_t gva, void *dst, size_t bytes) EMU_MUST_CHECK;
bool xen_copy_out(struct xen_call *c, uint64_t gva, const void *src, size_t bytes) EMU_MUST_CHECK;
/* Whether `domid` means the guest itself. */
bool xen_is_self(unsigned domid);

/* cpuid.c */
enum model_answer xen_cpuid(struct machine *m, unsigned vcpu, uint32_t leaf, uint32_t subleaf, struct cpuid_regs *r);

/* p2m.c: what is behind guest frame numbers. */
void xen_p2m_init(struct xen_state *x);
/* The machine's state was put back: tell its memory where holes are. */
void xen_p2m_restored(struct machine *m);
/* The holes of a state from a file are holes in this machine's RAM. */
bool xen_p2m_is_sound(struct machine *m);
bool xen_gfn_is_hole(const struct xen_state *x, uint64_t gfn);
/* The Xen page at this frame, or -1. */
int xen_page_at(const struct xen_state *x, uint64_t gfn);
/* RAM of the guest, neither hole nor a page of Xen. */
bool xen_gfn_is_ram(struct machine *m, uint64_t gfn);
/* Something that Xen can map and write: RAM or a page of its own at this frame. */
bool xen_gfn_is_backed(struct machine *m, uint64_t gfn);
/* Make `gfn` a hole; false (and UNMODELLED) when there are too many pieces. */
bool xen_p2m_punch(struct machine *m, uint64_t gfn);
/* Fill a hole with zeroed RAM. */
bool xen_p2m_fill(struct machine *m, uint64_t gfn);
/* Frames of RAM that a page of Xen has taken the place of; what was there is freed. */
uint64_t xen_p2m_pages_over_ram(struct machine *m);
uint64_t xen_p2m_holes(const struct xen_state *x);
/* The highest frame that has something. */
uint64_t xen_p2m_max_gfn(struct machine *m);
/* Put a page of Xen at `gfn`, taking it from where it was (which becomes a hole if that was RAM). */
bool xen_page_map(struct machine *m, enum xen_page page, uint64_t gfn);
/* Take it from the guest; the frame becomes a hole, or fresh RAM if `refill`. */
void xen_page_unmap(struct machine *m, enum xen_page page, bool refill);
/* Content of a page of Xen, wherever it is. A write is traced as `what` if the guest can see it (0: not at all). */
void xen_page_read(struct machine *m, enum xen_page page, unsigned offset, void *dst, unsigned bytes);
void xen_page_write(struct machine *m, enum xen_page page, unsigned offset, const void *src, unsigned bytes,
                    enum xen_host_write what);
/* Guest-physical access: RAM and pages of Xen, no holes. */
bool xen_gpa_read(struct machine *m, uint64_t gpa, void *dst, size_t bytes) EMU_MUST_CHECK;
bool xen_gpa_write(struct machine *m, uint64_t gpa, const void *src, size_t bytes,
                   enum xen_host_write what) EMU_MUST_CHECK;
/* The same through the page tables of `vcpu`, for areas that the guest gave by a linear address. */
bool xen_gva_write(struct machine *m, unsigned vcpu, uint64_t gva, const void *src, size_t bytes,
                   enum xen_host_write what) EMU_MUST_CHECK;
/* Tell the trace where Xen writes by itself from now on; 0 bytes: nowhere any longer. */
void xen_area_is(struct machine *m, unsigned vcpu, uint64_t gpa, uint64_t bytes, enum xen_host_write what);
/* Forget a registered area, if there is one. */
void xen_area_gone(struct machine *m, unsigned vcpu, struct xen_area *area, enum xen_host_write what);
enum model_answer xen_mmio_read(struct machine *m, unsigned vcpu, uint64_t gpa, unsigned bytes, uint64_t *value);
enum model_answer xen_mmio_write(struct machine *m, unsigned vcpu, uint64_t gpa, unsigned bytes, uint64_t value);

/* What callback_type holds. */
enum xen_callback { CALLBACK_NONE, CALLBACK_GSI, CALLBACK_INTX, CALLBACK_VECTOR };

/* shared_info.c: vcpu_info wherever it is, delivery of the upcall. */
void xen_info_read(struct machine *m, unsigned vcpu, unsigned offset, void *dst, unsigned bytes);
void xen_info_write(struct machine *m, unsigned vcpu, unsigned offset, const void *src, unsigned bytes,
                    enum xen_host_write what);
bool xen_upcall_pending(struct machine *m, unsigned vcpu);
bool xen_selector_is_set(struct machine *m, unsigned vcpu, unsigned word);
/* Set the selector bit of `word`; whether it was set before. */
bool xen_test_and_set_selector(struct machine *m, unsigned vcpu, unsigned word);
/* Set upcall_pending and, if that is new, tell the vCPU the way it asked for. */
void xen_mark_events_pending(struct machine *m, unsigned vcpu);
void xen_assert_upcall(struct machine *m, unsigned vcpu);
/* Whether an upcall made pending now would be taken at once, IF allowing it; lines (GSI, INTx) are not answered for. */
bool xen_would_take_upcall(struct machine *m, unsigned vcpu);
/* Wake it (from HLT, block or poll) and let the machine look for a vector. */
void xen_kick(struct machine *m, unsigned vcpu);
void xen_set_callback_via(struct machine *m, uint64_t via);
/* GSI/INTx line: follows vCPU 0's pending byte. */
void xen_update_callback_line(struct machine *m);
int xen_pending_vector(struct machine *m, unsigned vcpu);
void xen_accept_vector(struct machine *m, unsigned vcpu, int vector);

/* host_act.c */
enum model_answer xen_host_act(struct machine *m, const struct decision *d, struct diag *diag);
/* The guest writes its LAPIC's spurious-interrupt register: passed on to the LAPIC. */
enum model_answer xen_lapic_svr_write(struct machine *m, unsigned vcpu, unsigned bytes, uint64_t value);
enum model_answer xen_lapic_svr_msr_write(struct machine *m, unsigned vcpu, uint64_t value);
/* Take the word size of the caller for shared_info. */
void xen_latch_layout(struct machine *m, bool compat);
/* Move vcpu_info out of shared_info; the answer of VCPUOP_register_vcpu_info. */
int64_t xen_register_vcpu_info(struct xen_call *c, unsigned vcpu, uint64_t gfn, uint32_t offset);
void xen_unregister_vcpu_info(struct machine *m, unsigned vcpu);

/* event_channel.c */
void xen_ports_init(struct machine *m);
bool xen_port_is_valid(const struct xen_state *x, uint64_t port);
int64_t xen_port_allocate(struct machine *m);
/* A port whose other end is in domain 0, as the toolstack makes for console and xenstore. */
uint32_t xen_port_backend(struct machine *m);
void xen_port_raise(struct machine *m, uint32_t port);
/* Whether raising it would make an upcall pending that is not pending yet, and that its vCPU takes. */
bool xen_port_would_interrupt(struct machine *m, uint32_t port);
/* Raise a VIRQ on a vCPU that may have it bound. */
void xen_virq_raise(struct machine *m, unsigned vcpu, unsigned virq);
/* PHYSDEV: raise the port bound to a pirq; false if there is none. */
bool xen_pirq_raise(struct machine *m, unsigned pirq);
bool xen_port_is_pending(struct machine *m, uint32_t port);
/* 1 if it is pending, 0 if not, negative if it can't be polled. */
int64_t xen_port_poll(struct machine *m, uint32_t port);
bool xen_port_is_masked(struct machine *m, uint32_t port);
void xen_check_pollers(struct machine *m, uint32_t port);
int64_t xen_event_channel_reset(struct machine *m);
bool xen_virq_is_global(const struct xen_traits *t, unsigned virq);

/* event_fifo.c */
/* False if there is no control block, and the event is dropped. */
bool xen_fifo_raise(struct machine *m, unsigned vcpu, uint32_t port);
void xen_fifo_clear_pending(struct machine *m, uint32_t port);
/* Whether xen_fifo_raise() would make an upcall pending. */
bool xen_fifo_would_mark(struct machine *m, unsigned vcpu, uint32_t port);
void xen_fifo_unmask(struct machine *m, uint32_t port);
bool xen_fifo_is_pending(struct machine *m, uint32_t port);
bool xen_fifo_is_masked(struct machine *m, uint32_t port);
bool xen_fifo_is_busy(struct machine *m, uint32_t port);
void xen_fifo_destroy(struct machine *m);
int64_t xen_fifo_init_control(struct xen_call *c);
int64_t xen_fifo_expand_array(struct xen_call *c);
/* No control block and empty queues. */
void xen_fifo_init(struct machine *m);
bool xen_fifo_control_is_sound(const struct xen_fifo_vcpu *f);

/* time.c: time records, wall clock, runstate, timers. */
void xen_time_init(struct machine *m);
void xen_time_update(struct machine *m, unsigned vcpu, bool force);
void xen_wallclock_update(struct machine *m);
void xen_runstate_change(struct machine *m, unsigned vcpu, unsigned state);
void xen_runstate_get(struct machine *m, unsigned vcpu, uint64_t now_ns, struct vcpu_runstate_info *r);
/* The runstate in the guest's layout; returns its size. */
unsigned xen_runstate_layout(const struct vcpu_runstate_info *r, bool compat, uint8_t bytes[48]);
void xen_runstate_store(struct machine *m, unsigned vcpu);
void xen_time_area_store(struct machine *m, unsigned vcpu);
/* Whether the host writes any of these bytes of guest memory as time passes: records and runstate areas. */
bool xen_tells_time(struct machine *m, uint64_t gpa, unsigned bytes);
void xen_periodic_set(struct machine *m, unsigned vcpu, uint64_t period_ns);
void xen_timer_expired(struct machine *m, unsigned kind, unsigned vcpu);
void xen_vcpu_switched_in(struct machine *m, unsigned vcpu);
void xen_vcpu_switched_out(struct machine *m, unsigned vcpu);

/* sched_op.c */
void xen_domain_shutdown(struct machine *m, unsigned reason);
/* The hypervisor's and the toolstack's part of SHUTDOWN_soft_reset; the caller runs on afterwards. */
bool xen_soft_reset(struct machine *m);

/* vcpu_op.c: HLT with interrupts masked takes a vCPU down, the last one the domain. */
void xen_halted_masked(struct machine *m, unsigned vcpu);

/* console.c */
void xen_console_init(struct machine *m);
void xen_console_notified(struct machine *m);

/* xenstore.c */
void xen_store_init(struct machine *m);
void xen_store_notified(struct machine *m);
bool xen_store_is_sound(const struct xen_store *s);

/* physdev_op.c: the pirq to which an emulated GSI is mapped, -1 if none. */
int xen_gsi_pirq(const struct xen_state *x, unsigned gsi);

/* describe.c */
unsigned xen_held_events(struct machine *m, struct held_event *out, unsigned max);

/* hvm_op.c */
void xen_hvm_params_init(struct machine *m);

/* grant_table.c */
void xen_grant_init(struct machine *m);
/* Let the table have at least so many frames; false if that is above the limit. */
bool xen_grant_grow(struct machine *m, uint32_t frames);
/* How many frames of status words a table of version 2 with so many frames has. */
uint32_t xen_grant_status_frames(uint32_t frames);

/* sound.c: model->is_sound(). */
bool xen_is_sound(struct machine *m);

/* Families without operations. */
xen_handler_fn xen_vcpu_op_check, xen_physdev_op_check, xen_set_timer_op, xen_multicall, xen_vm_assist;

#endif
