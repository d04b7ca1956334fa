/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rest of the Xen model: scheduling, memory, parameters, grants, pirqs, CPUID, console and xenstore. */
#include "tests/xen_guest.h"

#include <xen/io/console.h>
#include <xen/io/xs_wire.h>

#include "emu/base/count.h"

#define V417 XEN_VERSION(4, 17)

static const struct platform_config hvm = {.mode = PLATFORM_HVM};

/* ---- hypercalls as such ---- */

static void hypercalls_outside_the_table_and_from_user_mode_are_refused(void **state)
{
    static const struct {
        unsigned number;
        int64_t answer;
    } rows[] = {{0, XEN_ENOSYS},  {1, XEN_ENOSYS},  {7, XEN_EACCES},       {11, XEN_ENOSYS}, {23, XEN_ENOSYS},
                {30, XEN_ENOSYS}, {31, XEN_ENOSYS}, {35, XEN_EACCES},      {36, XEN_EACCES}, {37, XEN_ENOSYS},
                {47, XEN_ENOSYS}, {63, XEN_ENOSYS}, {1u << 31, XEN_ENOSYS}};
    struct machine *m = guest_new(V417, 1);

    for (unsigned i = 0; i < COUNT(rows); i++)
        assert_int_equal(call(m, rows[i].number, 0, 0, 0), rows[i].answer);
    played_regs(m, 0)->seg[SEG_SS].attributes |= 3u << SEG_ATTR_DPL_SHIFT;
    assert_int_equal(call(m, __HYPERVISOR_xen_version, XENVER_version, 0, 0), XEN_EPERM);
    assert_int_equal(machine_verdict(m)->kind, VERDICT_NONE);
    machine_free(m);
}

/* The argument comes first, then its interface version, then the privilege (xsm/dummy.h). */
static void the_toolstacks_calls_are_refused_in_xens_order(void **state)
{
    static const struct {
        unsigned version, number;
        uint32_t argument[3]; /* command, interface version, domain */
        int64_t answer;
    } rows[] = {
        {V417, __HYPERVISOR_platform_op, {1, 0}, XEN_EACCES},
        {V417, __HYPERVISOR_platform_op, {1, 0x03000001}, XEN_EPERM},
        {XEN_VERSION(4, 4), __HYPERVISOR_platform_op, {1, 0x03000001}, XEN_ENOSYS},
        {V417, __HYPERVISOR_sysctl, {1, 0x14}, XEN_EACCES},
        {V417, __HYPERVISOR_sysctl, {1, 0x15}, XEN_EPERM},
        {XEN_VERSION(4, 7), __HYPERVISOR_sysctl, {1, 0xd}, XEN_EPERM},
        {XEN_VERSION(4, 1), __HYPERVISOR_sysctl, {1, 0}, XEN_EPERM},
        {V417, __HYPERVISOR_domctl, {1, 0x14, 0}, XEN_EACCES},
        {V417, __HYPERVISOR_domctl, {1, 0x15, 99}, XEN_EPERM},
        {V417, __HYPERVISOR_domctl, {3, 0x15, 0}, XEN_EPERM},
        {V417, __HYPERVISOR_domctl, {3, 0x15, 1}, XEN_EPERM},
        {V417, __HYPERVISOR_domctl, {3, 0x15, 2}, XEN_ESRCH},
        {V417, __HYPERVISOR_domctl, {3, 0x15, DOMID_SELF}, XEN_ESRCH},
        {V417, __HYPERVISOR_domctl, {5, 0x15, 2}, XEN_ESRCH},
        {XEN_VERSION(4, 4), __HYPERVISOR_domctl, {5, 9, 2}, XEN_EPERM},
        {XEN_VERSION(4, 4), __HYPERVISOR_domctl, {3, 9, 2}, XEN_ESRCH},
        {XEN_VERSION(4, 18), __HYPERVISOR_domctl, {3, 0x16, 0}, XEN_EPERM},
        {XEN_VERSION(4, 1), __HYPERVISOR_domctl, {3, 7, 0}, XEN_ENOSYS},
    };

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct machine *m = guest_new(rows[i].version, 1);
        bool is_read = rows[i].answer != XEN_ENOSYS && rows[i].version != XEN_VERSION(4, 1);

        put(m, ARG_GPA, rows[i].argument, sizeof(rows[i].argument));
        assert_int_equal(call(m, rows[i].number, ARG_GPA, 0, 0), rows[i].answer);
        assert_int_equal(call(m, rows[i].number, BAD_GVA, 0, 0), is_read ? XEN_EFAULT : rows[i].answer);
        machine_free(m);
    }
}

static void the_hypercall_page_has_a_stub_for_each_number(void **state)
{
    static const uint8_t stub_29[] = {0xb8, 29, 0, 0, 0, 0x0f, 0x01, 0xc1, 0xc3}, ud2[] = {0x0f, 0x0b};
    struct machine *m = guest_new(V417, 1);
    uint8_t bytes[9];
    uint64_t value;

    assert_int_equal(played_msr_write(m, XEN_HYPERCALL_MSR, 0x14001), MODEL_FAULT_GP);
    assert_int_equal(played_msr_write(m, XEN_HYPERCALL_MSR, 1ull << 45), MODEL_FAULT_GP);
    assert_int_equal(played_msr_write(m, XEN_HYPERCALL_MSR, 0x14000), MODEL_DONE);
    get(m, 0x14000 + 29 * 32, bytes, 9);
    assert_memory_equal(bytes, stub_29, 9);
    get(m, 0x14000 + 23 * 32, bytes, 2);
    assert_memory_equal(bytes, ud2, 2);
    assert_int_equal(played_msr_read(m, XEN_HYPERCALL_MSR, &value), MODEL_DONE);
    machine_free(m);
}

static void multicall_goes_through_the_table(void **state)
{
    struct multicall_entry e[2] = {{.op = __HYPERVISOR_xen_version, .args = {XENVER_version}}, {.op = 63}};
    struct machine *m = guest_new(V417, 1);

    put(m, ARG_GPA, e, sizeof(e));
    assert_int_equal(call(m, __HYPERVISOR_multicall, ARG_GPA, 2, 0), 0);
    get(m, ARG_GPA, e, sizeof(e));
    assert_int_equal(e[0].result, 4 << 16 | 17);
    assert_int_equal((int64_t)e[1].result, XEN_ENOSYS);
    assert_int_equal(call(m, __HYPERVISOR_multicall, BAD_GVA, 1, 0), XEN_EFAULT);
    machine_free(m);
}

static void cpuid_says_the_version_and_the_vcpu(void **state)
{
    static const struct {
        unsigned version;
        uint32_t features;
    } rows[] = {{XEN_VERSION(4, 4), 0}, {XEN_VERSION(4, 7), 0x0c}, {V417, 0x5c}};

    for (unsigned i = 0; i < 3; i++) {
        struct machine *m = guest_new(rows[i].version, 2);
        struct cpuid_regs r;

        played_set_current(m, 1);
        assert_int_equal(played_cpuid(m, XEN_CPUID_BASE, 0, &r), MODEL_DONE);
        assert_true(r.ebx == 0x566e6558 && r.ecx == 0x65584d4d && r.edx == 0x4d4d566e);
        assert_int_equal(played_cpuid(m, XEN_CPUID_BASE + 1, 0, &r), MODEL_DONE);
        assert_int_equal(r.eax, rows[i].version);
        assert_int_equal(played_cpuid(m, XEN_CPUID_BASE + 4, 0, &r), MODEL_DONE);
        assert_int_equal(r.eax, rows[i].features);
        assert_int_equal(r.ebx, rows[i].features ? 1 : 0);
        machine_free(m);
    }
}

/* ---- sched_op ---- */

static void poll_checks_its_ports(void **state)
{
    struct machine *m = guest_new(V417, 1);
    struct sched_poll p;
    uint32_t port = 1u << 20;

    memset(&p, 0, sizeof(p));
    p.nr_ports = 129;
    assert_int_equal(CALL(m, __HYPERVISOR_sched_op, SCHEDOP_poll, &p), XEN_EINVAL);
    p.nr_ports = 1;
    set_xen_guest_handle(p.ports, (evtchn_port_t *)BAD_GVA);
    assert_int_equal(CALL(m, __HYPERVISOR_sched_op, SCHEDOP_poll, &p), XEN_EFAULT);
    put(m, 0x12000, &port, 4);
    set_xen_guest_handle(p.ports, (evtchn_port_t *)0x12000);
    assert_int_equal(CALL(m, __HYPERVISOR_sched_op, SCHEDOP_poll, &p), XEN_EINVAL);
    p.nr_ports = 0;
    p.timeout = 5000;
    assert_int_equal(CALL(m, __HYPERVISOR_sched_op, SCHEDOP_poll, &p), 0);
    assert_int_equal(vcpu_state(m, 0), VCPU_POLLING);
    played_advance_to(m, 5000);
    assert_int_equal(vcpu_state(m, 0), VCPU_RUNNABLE);
    machine_free(m);
}

static void watchdogs_are_two_and_bite(void **state)
{
    struct machine *m = guest_new(V417, 1);
    struct sched_watchdog w = {.id = 3, .timeout = 1};

    assert_int_equal(CALL(m, __HYPERVISOR_sched_op, SCHEDOP_watchdog, &w), XEN_EINVAL);
    w.id = 2;
    assert_int_equal(CALL(m, __HYPERVISOR_sched_op, SCHEDOP_watchdog, &w), XEN_EINVAL);
    w.id = 0;
    assert_int_equal(CALL(m, __HYPERVISOR_sched_op, SCHEDOP_watchdog, &w), 1);
    assert_int_equal(CALL(m, __HYPERVISOR_sched_op, SCHEDOP_watchdog, &w), 2);
    assert_int_equal((int32_t)CALL(m, __HYPERVISOR_sched_op, SCHEDOP_watchdog, &w), XEN_ENOSPC);
    w = (struct sched_watchdog){.id = 1};
    assert_int_equal(CALL(m, __HYPERVISOR_sched_op, SCHEDOP_watchdog, &w), 0);
    played_advance_to(m, 1000000000);
    assert_int_equal(xen_shutdown_reason(m), SHUTDOWN_watchdog);
    assert_int_equal(machine_verdict(m)->kind, VERDICT_FAIL);
    machine_free(m);
}

static void shutdown_reasons_have_verdicts(void **state)
{
    static const struct {
        unsigned version, reason;
        enum verdict_kind verdict;
    } rows[] = {
        {V417, SHUTDOWN_poweroff, VERDICT_PASS},
        {V417, SHUTDOWN_reboot, VERDICT_PASS},
        {V417, SHUTDOWN_crash, VERDICT_FAIL},
        {V417, SHUTDOWN_suspend, VERDICT_UNMODELLED},
        {V417, SHUTDOWN_soft_reset, VERDICT_NONE},
        {XEN_VERSION(4, 4), SHUTDOWN_soft_reset, VERDICT_FAIL},
        {V417, 77, VERDICT_FAIL},
    };

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct machine *m = guest_new(rows[i].version, 1);
        struct sched_shutdown s = {.reason = rows[i].reason};

        assert_int_equal(CALL(m, __HYPERVISOR_sched_op, SCHEDOP_shutdown, &s), 0);
        assert_int_equal(machine_verdict(m)->kind, rows[i].verdict);
        machine_free(m);
    }
}

static void the_first_shutdown_code_wins(void **state)
{
    struct machine *m = guest_new(V417, 1);
    struct sched_shutdown s = {.reason = SHUTDOWN_crash};

    assert_int_equal(CALL(m, __HYPERVISOR_sched_op, SCHEDOP_shutdown_code, &s), 0);
    s.reason = SHUTDOWN_poweroff;
    assert_int_equal(CALL(m, __HYPERVISOR_sched_op, SCHEDOP_shutdown, &s), 0);
    assert_int_equal(xen_shutdown_reason(m), SHUTDOWN_crash);
    assert_int_equal(machine_verdict(m)->kind, VERDICT_FAIL);
    machine_free(m);
}

/* After a soft reset nothing of the first kernel's registrations is written to. */
static void a_soft_reset_forgets_registrations(void **state)
{
    struct machine *m = guest_new(V417, 1);
    struct sched_shutdown s = {.reason = SHUTDOWN_soft_reset};
    struct vcpu_register_vcpu_info info = {.mfn = 0x50};
    uint64_t area = 0x13000;
    uint32_t port;
    unsigned facts;

    assert_int_equal(map_shared_info(m, SHARED_GFN), 0);
    assert_int_equal(CALL_VCPU(m, VCPUOP_register_vcpu_info, 0, &info), 0);
    assert_int_equal(CALL_VCPU(m, VCPUOP_register_runstate_memory_area, 0, &area), 0);
    assert_int_equal(bind_virq(m, VIRQ_TIMER, 0, &port), 0);
    assert_int_equal(CALL(m, __HYPERVISOR_sched_op, SCHEDOP_shutdown, &s), 0);
    assert_int_equal(get_word(m, SHARED_GFN << 12, 8), 0); /* fresh RAM */
    facts = played_fact_count(m);
    played_advance(m, 1000);
    xen_model.vcpu_switched_out(m, 0);
    xen_model.vcpu_switched_in(m, 0);
    for (unsigned i = facts; i < played_fact_count(m); i++)
        assert_int_not_equal(played_fact(m, i)->kind, TRACE_HOST_WRITE);
    assert_int_equal(map_shared_info(m, SHARED_GFN), 0);
    assert_int_equal(CALL_VCPU(m, VCPUOP_register_vcpu_info, 0, &info), 0);
    assert_int_equal(bind_virq(m, VIRQ_TIMER, 0, &port), 0);
    machine_free(m);
}

/* ---- memory_op ---- */

static void shared_info_moves_and_leaves_a_hole(void **state)
{
    struct machine *m = guest_new(V417, 1);
    struct xen_add_to_physmap a = {.domid = DOMID_SELF, .space = XENMAPSPACE_shared_info, .idx = 1, .gpfn = 0x20};
    uint64_t value = 0;

    assert_int_equal(CALL(m, __HYPERVISOR_memory_op, XENMEM_add_to_physmap, &a), XEN_EINVAL);
    a.domid = 0;
    assert_int_equal(CALL(m, __HYPERVISOR_memory_op, XENMEM_add_to_physmap, &a), XEN_EPERM);
    a.domid = 55;
    assert_int_equal(CALL(m, __HYPERVISOR_memory_op, XENMEM_add_to_physmap, &a), XEN_ESRCH);
    assert_int_equal(map_shared_info(m, 0x20), 0);
    put(m, 0x20000 + 100, &(uint8_t){0xab}, 1);
    assert_int_equal(map_shared_info(m, 0x21), 0);
    assert_int_equal(get_word(m, 0x21000 + 100, 1), 0xab);
    assert_true(memory_is_hole(machine_memory(m), 0x20000));
    assert_int_equal(peek_word(m, 0x20000, 4), UINT32_MAX);
    /* Outside RAM it is reached as a device is. */
    assert_int_equal(map_shared_info(m, 0xfe700), 0);
    assert_int_equal(played_mmio_read(m, 0xfe700000 + 100, 1, &value), MODEL_DONE);
    assert_int_equal(value, 0xab);
    assert_int_equal(played_mmio_read(m, 0xfe800000, 4, &value), MODEL_NOT_MINE);
    machine_free(m);
}

static int64_t reservation(struct machine *m, unsigned op, uint64_t first_gfn, unsigned count)
{
    struct xen_memory_reservation r;

    for (unsigned i = 0; i < count; i++) {
        uint64_t gfn = first_gfn + i;

        put(m, 0x12000 + 8 * i, &gfn, 8);
    }
    memset(&r, 0, sizeof(r));
    set_xen_guest_handle(r.extent_start, (xen_pfn_t *)0x12000);
    r.nr_extents = count;
    r.domid = DOMID_SELF;
    return CALL(m, __HYPERVISOR_memory_op, op, &r);
}

static void ballooning_makes_holes_and_fills_them(void **state)
{
    struct machine *m = guest_new(V417, 1);
    uint16_t self = DOMID_SELF;
    uint64_t pages = PLAYED_RAM_BYTES >> 12;

    assert_int_equal(reservation(m, XENMEM_decrease_reservation, 0x60, 5), 5);
    assert_int_equal(reservation(m, XENMEM_decrease_reservation, 0x64, 2), 0);
    assert_int_equal(reservation(m, XENMEM_decrease_reservation, pages - 1, 2), 1);
    assert_true(memory_is_hole(machine_memory(m), 0x62000));
    assert_int_equal(peek_word(m, 0x62000, 8), -1);
    assert_int_equal(CALL(m, __HYPERVISOR_memory_op, XENMEM_current_reservation, &self), pages - 6);
    assert_int_equal(CALL(m, __HYPERVISOR_memory_op, XENMEM_maximum_gpfn, &self), 0xfefff);
    assert_int_equal(reservation(m, XENMEM_populate_physmap, 0x62, 1), 1);
    assert_int_equal(get_word(m, 0x62000, 8), 0);
    assert_int_equal(reservation(m, XENMEM_populate_physmap, 0x60, 2), 2);
    assert_int_equal(CALL(m, __HYPERVISOR_memory_op, XENMEM_current_reservation, &self), pages - 3);
    machine_free(m);
}

static void removing_a_hole_fails(void **state)
{
    struct machine *m = guest_new(V417, 1);
    struct xen_remove_from_physmap r = {.domid = DOMID_SELF, .gpfn = 0x70};

    assert_int_equal(CALL(m, __HYPERVISOR_memory_op, XENMEM_remove_from_physmap, &r), 0);
    assert_int_equal(CALL(m, __HYPERVISOR_memory_op, XENMEM_remove_from_physmap, &r), XEN_ENOENT);
    machine_free(m);
}

/* A thousand single frames out of order leave holes that are merged and split again. */
static void holes_merge_and_split(void **state)
{
    struct machine *m = guest_new(V417, 1);

    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(reservation(m, XENMEM_decrease_reservation, 0x100 + i * 7 % 1000, 1), 1);
    assert_int_equal(xen_state(m)->hole_count, 1);
    assert_true(xen_p2m_holes(xen_state(m)) == 1000);
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(reservation(m, XENMEM_populate_physmap, 0x100 + i * 13 % 1000, 1), 1);
    assert_int_equal(xen_state(m)->hole_count, 0);
    machine_free(m);
}

/* ---- parameters, grants, pirqs ---- */

static void parameters_have_rules(void **state)
{
    static const struct {
        unsigned index;
        uint64_t value;
        int64_t set, get;
    } rows[] = {
        {HVM_NR_PARAMS, 0, XEN_EINVAL, XEN_EINVAL},          {HVM_PARAM_STORE_PFN, 0, XEN_EPERM, 0},
        {HVM_PARAM_PAE_ENABLED, 0, XEN_EINVAL, XEN_EINVAL},  {HVM_PARAM_IOREQ_PFN, 0, XEN_EPERM, XEN_EPERM},
        {HVM_PARAM_X87_FIP_WIDTH, 7, XEN_EINVAL, 0},         {HVM_PARAM_X87_FIP_WIDTH, 8, 0, 0},
        {HVM_PARAM_CALLBACK_IRQ, CALLBACK_VECTOR_F3, 0, 0},  {HVM_PARAM_STORE_EVTCHN, 5, 0, 0},
        {HVM_PARAM_ACPI_IOPORTS_LOCATION, 1, XEN_ENODEV, 0},
    };
    struct machine *m = guest_new(V417, 1);

    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct xen_hvm_param p = {.domid = DOMID_SELF, .index = rows[i].index, .value = rows[i].value};

        assert_int_equal(CALL(m, __HYPERVISOR_hvm_op, HVMOP_set_param, &p), rows[i].set);
        assert_int_equal(CALL(m, __HYPERVISOR_hvm_op, HVMOP_get_param, &p), rows[i].get);
    }
    machine_free(m);
}

static void grant_versions_and_frames_have_limits(void **state)
{
    struct machine *m = guest_new(V417, 1);
    struct gnttab_set_version v = {.version = 3};
    struct gnttab_query_size q = {.dom = DOMID_SELF};
    struct xen_add_to_physmap a = {.domid = DOMID_SELF, .space = XENMAPSPACE_grant_table, .idx = 3, .gpfn = 0x80};

    put(m, ARG_GPA, &v, sizeof(v));
    assert_int_equal(call(m, __HYPERVISOR_grant_table_op, GNTTABOP_set_version, ARG_GPA, 1), XEN_EINVAL);
    put(m, ARG_GPA, &q, sizeof(q));
    assert_int_equal(call(m, __HYPERVISOR_grant_table_op, GNTTABOP_query_size, ARG_GPA, 2), XEN_EINVAL);
    assert_int_equal(call(m, __HYPERVISOR_grant_table_op, GNTTABOP_query_size, ARG_GPA, 1), 0);
    get(m, ARG_GPA, &q, sizeof(q));
    assert_true(q.status == GNTST_okay && q.nr_frames == 1 && q.max_nr_frames == 64);
    assert_int_equal(call(m, __HYPERVISOR_grant_table_op, GNTTABOP_dump_table, ARG_GPA, 1), XEN_ENOSYS);
    assert_int_equal(CALL(m, __HYPERVISOR_memory_op, XENMEM_add_to_physmap, &a), 0);
    a.idx = 64;
    assert_int_equal(CALL(m, __HYPERVISOR_memory_op, XENMEM_add_to_physmap, &a), XEN_EINVAL);
    put(m, ARG_GPA, &q, sizeof(q));
    assert_int_equal(call(m, __HYPERVISOR_grant_table_op, GNTTABOP_query_size, ARG_GPA, 1), 0);
    get(m, ARG_GPA, &q, sizeof(q));
    assert_int_equal(q.nr_frames, 4);
    machine_free(m);
}

static void a_gsi_bound_to_a_port_raises_it(void **state)
{
    struct machine *m = guest_new_mode(V417, 1, 64, &hvm);
    struct physdev_map_pirq a = {.domid = DOMID_SELF, .type = MAP_PIRQ_TYPE_GSI, .index = 20, .pirq = -1};
    struct evtchn_bind_pirq b;
    struct physdev_eoi eoi;

    assert_int_equal(set_callback(m, CALLBACK_VECTOR_F3), 0);
    assert_false(xen_gsi_is_event(m, 20, true)); /* not mapped: the IO-APIC's */
    assert_false(xen_gsi_is_event(m, 20, false));
    assert_int_equal(CALL(m, __HYPERVISOR_physdev_op, PHYSDEVOP_map_pirq, &a), 0);
    assert_false(xen_gsi_is_event(m, 20, true)); /* mapped, not bound */
    assert_false(xen_gsi_is_event(m, 20, false));
    b = (struct evtchn_bind_pirq){.pirq = (uint32_t)a.pirq};
    assert_int_equal(CALL(m, __HYPERVISOR_event_channel_op, EVTCHNOP_bind_pirq, &b), 0);
    assert_true(xen_gsi_is_event(m, 20, true));
    assert_true(xen_port_is_pending(m, b.port));
    put(m, ARG_GPA, &b, sizeof(b));
    assert_int_equal(CALL(m, __HYPERVISOR_event_channel_op, EVTCHNOP_bind_pirq, &b), XEN_EEXIST);
    /* Still asserted: EOI raises it again, as for a level-triggered line. */
    xen_page_write(m, PAGE_SHARED_INFO, 0x800, (uint8_t[8]){0}, 8, 0);
    eoi.irq = (uint32_t)a.pirq;
    assert_int_equal(CALL(m, __HYPERVISOR_physdev_op, PHYSDEVOP_eoi, &eoi), 0);
    assert_true(xen_port_is_pending(m, b.port));
    machine_free(m);
}

static void a_pvh_guest_has_no_pirqs(void **state)
{
    struct machine *m = guest_new(V417, 1);
    struct physdev_map_pirq a = {.domid = DOMID_SELF, .type = MAP_PIRQ_TYPE_GSI, .index = 4, .pirq = -1};

    assert_int_equal(CALL(m, __HYPERVISOR_physdev_op, PHYSDEVOP_map_pirq, &a), XEN_ENOSYS);
    machine_free(m);
}

/* ---- console and xenstore ---- */

#define CONSOLE_GPA 0xfefff000ull
#define STORE_GPA   0xfeffc000ull

static void poke(struct machine *m, uint64_t gpa, const void *src, size_t bytes)
{
    const uint8_t *from = src;

    for (size_t i = 0; i < bytes; i++)
        assert_int_equal(played_mmio_write(m, gpa + i, 1, from[i]), MODEL_DONE);
}

static void peek(struct machine *m, uint64_t gpa, void *dst, size_t bytes)
{
    uint8_t *to = dst;

    for (size_t i = 0; i < bytes; i++) {
        uint64_t value;

        assert_int_equal(played_mmio_read(m, gpa + i, 1, &value), MODEL_DONE);
        to[i] = (uint8_t)value;
    }
}

static void console_output_is_taken_at_once_and_input_arrives(void **state)
{
    struct machine *m = guest_new(V417, 1);
    uint32_t port = get_param(m, HVM_PARAM_CONSOLE_EVTCHN), prod = 3, cons = 0;
    char in[2];

    assert_int_equal(get_param(m, HVM_PARAM_CONSOLE_PFN), CONSOLE_GPA >> 12);
    poke(m, CONSOLE_GPA + offsetof(struct xencons_interface, out), "hi\n", 3);
    poke(m, CONSOLE_GPA + offsetof(struct xencons_interface, out_prod), &prod, 4);
    assert_int_equal(port_op(m, EVTCHNOP_send, port), 0);
    assert_string_equal(played_console(m), "hi\n");
    peek(m, CONSOLE_GPA + offsetof(struct xencons_interface, out_cons), &cons, 4);
    assert_int_equal(cons, 3);
    assert_true(xen_port_is_pending(m, port));
    assert_int_equal(xen_console_input(m, (const uint8_t *)"ok", 2), 2);
    peek(m, CONSOLE_GPA + offsetof(struct xencons_interface, in), in, 2);
    assert_memory_equal(in, "ok", 2);
    machine_free(m);
}

/* A request, and the answer to it (type, payload); what follows in the ring stays. */
static unsigned store_request(struct machine *m, unsigned type, const char *payload, size_t bytes, char *answer)
{
    struct xsd_sockmsg h = {.type = type, .req_id = 1, .len = (uint32_t)bytes};
    uint32_t prod, cons;
    uint8_t byte;

    peek(m, STORE_GPA + offsetof(struct xenstore_domain_interface, req_prod), &prod, 4);
    for (size_t i = 0; i < sizeof(h) + bytes; i++) {
        byte = i < sizeof(h) ? ((const uint8_t *)&h)[i] : (uint8_t)payload[i - sizeof(h)];
        poke(m, STORE_GPA + prod++ % XENSTORE_RING_SIZE, &byte, 1);
    }
    poke(m, STORE_GPA + offsetof(struct xenstore_domain_interface, req_prod), &prod, 4);
    assert_int_equal(port_op(m, EVTCHNOP_send, get_param(m, HVM_PARAM_STORE_EVTCHN)), 0);
    peek(m, STORE_GPA + offsetof(struct xenstore_domain_interface, rsp_cons), &cons, 4);
    for (size_t i = 0; i < sizeof(h); i++)
        peek(m, STORE_GPA + XENSTORE_RING_SIZE + cons++ % XENSTORE_RING_SIZE, (uint8_t *)&h + i, 1);
    for (size_t i = 0; i < h.len; i++)
        peek(m, STORE_GPA + XENSTORE_RING_SIZE + cons++ % XENSTORE_RING_SIZE, answer + i, 1);
    answer[h.len] = 0;
    poke(m, STORE_GPA + offsetof(struct xenstore_domain_interface, rsp_cons), &cons, 4);
    return h.type;
}

static bool store_event(struct machine *m, char *event)
{
    struct xsd_sockmsg h;
    uint32_t prod, cons;

    peek(m, STORE_GPA + offsetof(struct xenstore_domain_interface, rsp_prod), &prod, 4);
    peek(m, STORE_GPA + offsetof(struct xenstore_domain_interface, rsp_cons), &cons, 4);
    if (prod == cons)
        return false;
    for (size_t i = 0; i < sizeof(h); i++)
        peek(m, STORE_GPA + XENSTORE_RING_SIZE + cons++ % XENSTORE_RING_SIZE, (uint8_t *)&h + i, 1);
    for (size_t i = 0; i < h.len; i++)
        peek(m, STORE_GPA + XENSTORE_RING_SIZE + cons++ % XENSTORE_RING_SIZE, event + i, 1);
    poke(m, STORE_GPA + offsetof(struct xenstore_domain_interface, rsp_cons), &cons, 4);
    assert_int_equal(h.type, XS_WATCH_EVENT);
    return true;
}

static void xenstore_reads_writes_and_refuses(void **state)
{
    static const struct {
        unsigned type;
        const char *payload;
        size_t bytes;
        unsigned answer_type;
        const char *answer;
    } rows[] = {
        {XS_READ, "domid", 6, XS_READ, "1"},
        {XS_READ, "cpu/1/availability", 19, XS_READ, "online"},
        {XS_READ, "/local/domain/1/domid", 22, XS_READ, "1"},
        {XS_READ, "nothing", 8, XS_ERROR, "ENOENT"},
        {XS_READ, "/local/domain/0/domid", 22, XS_ERROR, "EACCES"},
        {XS_READ, "domid", 5, XS_ERROR, "EINVAL"},
        {XS_WRITE, "data/x\0abc", 10, XS_WRITE, "OK"},
        {XS_READ, "data/x", 7, XS_READ, "abc"},
        {XS_WRITE, "domid\0002", 7, XS_ERROR, "EACCES"},
        {XS_DIRECTORY, "cpu", 4, XS_DIRECTORY, "0"},
        {XS_RM, "data/x", 7, XS_RM, "OK"},
        {XS_READ, "data/x", 7, XS_ERROR, "ENOENT"},
        {XS_GET_DOMAIN_PATH, "7", 2, XS_GET_DOMAIN_PATH, "/local/domain/7"},
        {XS_INTRODUCE, "1", 2, XS_ERROR, "EACCES"},
        {XS_TRANSACTION_START, "", 1, XS_TRANSACTION_START, "1"},
        {99, "", 1, XS_ERROR, "ENOSYS"},
    };
    struct machine *m = guest_new(V417, 2);
    char answer[XENSTORE_PAYLOAD_MAX + 1];

    for (unsigned i = 0; i < COUNT(rows); i++) {
        assert_int_equal(store_request(m, rows[i].type, rows[i].payload, rows[i].bytes, answer), rows[i].answer_type);
        assert_string_equal(answer, rows[i].answer);
    }
    machine_free(m);
}

static void the_host_unplugs_a_vcpu_through_a_watch(void **state)
{
    struct machine *m = guest_new(V417, 2);
    char text[XENSTORE_PAYLOAD_MAX + 1];

    assert_int_equal(store_request(m, XS_WATCH, "cpu\0token", 10, text), XS_WATCH);
    assert_true(store_event(m, text));
    assert_memory_equal(text, "cpu\0token", 10);
    assert_false(store_event(m, text));
    assert_int_equal(port_op(m, EVTCHNOP_unmask, get_param(m, HVM_PARAM_STORE_EVTCHN)), 0);
    assert_true(xenstore_host_write(m, "cpu/1/availability", "offline"));
    assert_true(xen_port_is_pending(m, get_param(m, HVM_PARAM_STORE_EVTCHN)));
    assert_true(store_event(m, text));
    assert_memory_equal(text, "cpu/1/availability\0token", 25);
    assert_int_equal(store_request(m, XS_READ, "cpu/1/availability", 19, text), XS_READ);
    assert_string_equal(text, "offline");
    machine_free(m);
}

static void unknown_versions_are_refused(void **state)
{
    const struct xen_traits *t;
    struct diag d;

    diag_init(&d);
    assert_int_equal(xen_traits_find(XEN_VERSION(3, 4), &t, &d), EMU_EINPUT);
    assert_int_equal(xen_traits_find(XEN_VERSION(4, 21), &t, &d), EMU_EINPUT);
    assert_string_equal(d.text, "Xen 4.21 is not modelled; the versions that are: 4.1 to 4.20");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hypercalls_outside_the_table_and_from_user_mode_are_refused),
        cmocka_unit_test(the_toolstacks_calls_are_refused_in_xens_order),
        cmocka_unit_test(the_hypercall_page_has_a_stub_for_each_number),
        cmocka_unit_test(multicall_goes_through_the_table),
        cmocka_unit_test(cpuid_says_the_version_and_the_vcpu),
        cmocka_unit_test(poll_checks_its_ports),
        cmocka_unit_test(watchdogs_are_two_and_bite),
        cmocka_unit_test(shutdown_reasons_have_verdicts),
        cmocka_unit_test(the_first_shutdown_code_wins),
        cmocka_unit_test(a_soft_reset_forgets_registrations),
        cmocka_unit_test(shared_info_moves_and_leaves_a_hole),
        cmocka_unit_test(ballooning_makes_holes_and_fills_them),
        cmocka_unit_test(removing_a_hole_fails),
        cmocka_unit_test(holes_merge_and_split),
        cmocka_unit_test(parameters_have_rules),
        cmocka_unit_test(grant_versions_and_frames_have_limits),
        cmocka_unit_test(a_gsi_bound_to_a_port_raises_it),
        cmocka_unit_test(a_pvh_guest_has_no_pirqs),
        cmocka_unit_test(console_output_is_taken_at_once_and_input_arrives),
        cmocka_unit_test(xenstore_reads_writes_and_refuses),
        cmocka_unit_test(the_host_unplugs_a_vcpu_through_a_watch),
        cmocka_unit_test(unknown_versions_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
