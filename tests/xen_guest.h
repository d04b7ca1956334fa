/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xen_guest: a played machine with the Xen model, and hypercalls as a guest makes them: arguments in registers, the
 * structure at ARG_GPA. Addresses are not translated.
 */
#ifndef BOOTRACE_TESTS_XEN_GUEST_H
#define BOOTRACE_TESTS_XEN_GUEST_H

#include "tests/cmocka_tap.h"

#include <inttypes.h>
#include "tests/played_machine.h"

#include "models/pc/lapic.h"
#include "models/platform.h"
#include "models/xen/state.h"

#define V(minor)   XEN_VERSION(4, minor)
#define ARG_GPA    0x10000ull
#define SHARED_GFN 0x20ull
#define BAD_GVA    0xfffffffffull /* no RAM there */
#define BAD_GVA_32 0xdffff000ull

static const struct model *const xen_test_models[] = {&xen_model, &lapic_model};

static inline void guest_bits(struct machine *m, unsigned bits)
{
    for (unsigned v = 0; v < machine_vcpus(m); v++) {
        struct vcpu_regs *r = played_regs(m, v);

        r->cr0 = CR0_PE | CR0_ET;
        r->efer = bits == 64 ? EFER_LMA | EFER_LME : 0;
        r->seg[SEG_CS].attributes = SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_CODE | (bits == 64 ? SEG_ATTR_L : SEG_ATTR_DB);
        r->seg[SEG_SS].attributes = SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_WRITABLE | SEG_ATTR_DB;
        r->rflags = RFLAGS_FIXED | RFLAGS_IF;
    }
}

static inline struct machine *guest_new_mode(unsigned version, unsigned vcpus, unsigned bits,
                                             const struct platform_config *platform)
{
    struct machine_config config = {
        .ram_bytes = PLAYED_RAM_BYTES,
        .vcpus = vcpus,
        .xen_version = version,
        .models = xen_test_models,
        .model_count = 2,
        .platform = platform,
    };
    struct machine *m = played_machine_new_config(&config);

    guest_bits(m, bits);
    return m;
}

static inline struct machine *guest_new(unsigned version, unsigned vcpus)
{
    return guest_new_mode(version, vcpus, 64, NULL);
}

/* A hypercall of the current vCPU. */
static inline int64_t call(struct machine *m, unsigned number, uint64_t a, uint64_t b, uint64_t c)
{
    bool wide = vcpu_code_bits(m) == 64;

    vcpu_set_gpr(m, GPR_RAX, number);
    vcpu_set_gpr(m, wide ? GPR_RDI : GPR_RBX, a);
    vcpu_set_gpr(m, wide ? GPR_RSI : GPR_RCX, b);
    vcpu_set_gpr(m, GPR_RDX, c);
    assert_int_equal(played_hypercall(m), MODEL_DONE);
    return wide ? (int64_t)vcpu_gpr(m, GPR_RAX) : (int32_t)vcpu_gpr(m, GPR_RAX);
}

/* What an operation answers to a call whose structure is not there: the checks that come before it is read. */
struct bare_row {
    unsigned version, op;
    int64_t answer;
};

static inline void check_bare_rows(unsigned number, uint64_t third, const struct bare_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct machine *m = guest_new(rows[i].version, 1);
        int64_t answer = call(m, number, rows[i].op, BAD_GVA, third);

        if (answer != rows[i].answer)
            print_message("row %zu: answer %" PRId64 "\n", i, answer);
        assert_int_equal(answer, rows[i].answer);
        assert_int_equal(machine_verdict(m)->kind, VERDICT_NONE);
        machine_free(m);
    }
}

static inline void put(struct machine *m, uint64_t gpa, const void *src, size_t bytes)
{
    assert_true(memory_write(machine_memory(m), gpa, src, bytes));
}

static inline void get(struct machine *m, uint64_t gpa, void *dst, size_t bytes)
{
    assert_true(memory_read(machine_memory(m), gpa, dst, bytes));
}

static inline uint64_t get_word(struct machine *m, uint64_t gpa, size_t bytes)
{
    uint64_t value = 0;

    get(m, gpa, &value, bytes);
    return value;
}

/* What the guest would read, also where there is a hole. */
static inline uint64_t peek_word(struct machine *m, uint64_t gpa, size_t bytes)
{
    uint64_t value = 0;

    assert_true(memory_peek(machine_memory(m), gpa, &value, bytes));
    return value;
}

/* A call whose structure is `arg`, which gets the answer's structure. */
#define CALL(m, number, op, arg)                                                                                       \
    (put(m, ARG_GPA, arg, sizeof(*(arg))), guest_call_struct(m, number, op, 0, false, arg, sizeof(*(arg))))
/* The same with a vCPU before it. */
#define CALL_VCPU(m, op, vcpu, arg)                                                                                    \
    (put(m, ARG_GPA, arg, sizeof(*(arg))),                                                                             \
     guest_call_struct(m, __HYPERVISOR_vcpu_op, op, vcpu, true, arg, sizeof(*(arg))))

static inline int64_t guest_call_struct(struct machine *m, unsigned number, uint64_t op, uint64_t vcpu, bool has_vcpu,
                                        void *arg, size_t bytes)
{
    int64_t answer = has_vcpu ? call(m, number, op, vcpu, ARG_GPA) : call(m, number, op, ARG_GPA, 0);

    get(m, ARG_GPA, arg, bytes);
    return answer;
}

static inline int64_t map_shared_info(struct machine *m, uint64_t gfn)
{
    struct xen_add_to_physmap a = {.domid = DOMID_SELF, .space = XENMAPSPACE_shared_info, .gpfn = gfn};

    return CALL(m, __HYPERVISOR_memory_op, XENMEM_add_to_physmap, &a);
}

static inline int64_t set_callback(struct machine *m, uint64_t value)
{
    struct xen_hvm_param p = {.domid = DOMID_SELF, .index = HVM_PARAM_CALLBACK_IRQ, .value = value};

    return CALL(m, __HYPERVISOR_hvm_op, HVMOP_set_param, &p);
}

static inline uint64_t get_param(struct machine *m, uint32_t index)
{
    struct xen_hvm_param p = {.domid = DOMID_SELF, .index = index};

    assert_int_equal(CALL(m, __HYPERVISOR_hvm_op, HVMOP_get_param, &p), 0);
    return p.value;
}

#define CALLBACK_VECTOR_F3 (2ull << 56 | 0xf3)

static inline int64_t bind_ipi(struct machine *m, unsigned vcpu, uint32_t *port)
{
    struct evtchn_bind_ipi b = {.vcpu = vcpu};
    int64_t answer = CALL(m, __HYPERVISOR_event_channel_op, EVTCHNOP_bind_ipi, &b);

    *port = b.port;
    return answer;
}

static inline int64_t bind_virq(struct machine *m, unsigned virq, unsigned vcpu, uint32_t *port)
{
    struct evtchn_bind_virq b = {.virq = virq, .vcpu = vcpu};
    int64_t answer = CALL(m, __HYPERVISOR_event_channel_op, EVTCHNOP_bind_virq, &b);

    *port = b.port;
    return answer;
}

static inline int64_t port_op(struct machine *m, unsigned op, uint32_t port)
{
    struct evtchn_send a = {.port = port};

    return CALL(m, __HYPERVISOR_event_channel_op, op, &a);
}

#endif
