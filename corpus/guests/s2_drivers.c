/* SPDX-License-Identifier: GPL-2.0-or-later */
/* s2_drivers: see s2.h. Compiled into both kernels. */
#include "s2.h"
#include <xen/grant_table.h>
#include <xen/physdev.h>
#include <xen/arch-x86/cpuid.h>

#define UPCALL_VECTOR        0xf3
#define STORM_UPCALLS        1000
#define FLAG_IF              0x200ul
#define SERIAL_GSI           4
#define SERIAL_IER           0x3f9
#define SERIAL_MCR           0x3fc
#define VCPUOP_RUNSTATE_PHYS 14
#define VCPUOP_TIME_PHYS     15
#define ENOSYS_OF_XEN        38 /* what a Xen is too old for is no refusal */
#define GRANT_REF            8  /* the first that a change of version must care for */

struct s2_drivers s2_drivers;
static bool fifo;
static uint32_t upcalls;

static void report(const char *name, const char *step, long result, long expected)
{
    printk("%s %s %ld\n", name, step, result);
    if (result != expected && result != -ENOSYS_OF_XEN)
        s2_drivers.refused++;
}

static void handle(evtchn_port_t port)
{
    if (port == s2_drivers.timer_port)
        s2_drivers.ticks++;
    if (port == s2_drivers.serial_port)
        s2_drivers.serials++;
}

static const struct s2_places *now;

/* Xen asks again for as long as it sees the pending byte set. A kernel that clears another byte than Xen's would stay
 * here for ever; this one gives up, with interrupts off. */
static bool is_storm(struct trap_regs *regs)
{
    uint32_t before = upcalls++;
    if (before < STORM_UPCALLS)
        return false;
    if (before == STORM_UPCALLS)
        printk("an upcall without end: the pending byte is not where this kernel clears it\n");
    regs->flags &= (unsigned long)~FLAG_IF;
    return true;
}

static void on_upcall(struct trap_regs *regs)
{
    if (is_storm(regs))
        return;
    volatile struct vcpu_info *info = s2_drivers.vcpu_info;
    info->evtchn_upcall_pending = 0;
    barrier();
    if (fifo) {
        struct evtchn_fifo_control_block *control = now->control;
        uint32_t *words = now->events;
        control->ready = 0;
        evtchn_port_t port = control->head[EVTCHN_FIFO_PRIORITY_DEFAULT];
        for (unsigned round = 0; port && port < 1024 && round < 1024; round++) {
            uint32_t word = words[port];
            words[port] = word & (1u << EVTCHN_FIFO_MASKED);
            if (word >> EVTCHN_FIFO_PENDING & 1)
                handle(port);
            port = word & EVTCHN_FIFO_LINK_MASK;
            control->head[EVTCHN_FIFO_PRIORITY_DEFAULT] = port;
        }
        return;
    }
    struct shared_info *shared = now->shared_info;
    const unsigned bits = 8 * sizeof(unsigned long);
    info->evtchn_pending_sel = 0;
    for (evtchn_port_t port = 0; port < 256; port++) {
        unsigned long *word = &((unsigned long *)shared->evtchn_pending)[port / bits], mask = 1ul << port % bits;
        if (!(*word & ~shared->evtchn_mask[port / bits] & mask))
            continue;
        __atomic_and_fetch(word, ~mask, __ATOMIC_SEQ_CST);
        handle(port);
    }
}

static void unmask(evtchn_port_t port)
{
    struct evtchn_unmask arg = {.port = port};
    evtchn_op(EVTCHNOP_unmask, &arg);
}

static void areas_init(const char *name, const struct s2_places *places)
{
    if (param_is("areas", "phys")) { /* Xen 4.18 and later */
        uint64_t at = (uintptr_t)places->runstate;
        report(name, "runstate_phys_area", vcpu_op(VCPUOP_RUNSTATE_PHYS, 0, &at), 0);
        at = (uintptr_t)places->time;
        report(name, "time_phys_area", vcpu_op(VCPUOP_TIME_PHYS, 0, &at), 0);
        return;
    }
    struct vcpu_register_runstate_memory_area runstate = {.addr.v = places->runstate};
    report(name, "runstate_area", vcpu_op(VCPUOP_register_runstate_memory_area, 0, &runstate), 0);
    struct vcpu_register_time_memory_area time = {.addr.v = places->time};
    report(name, "time_area", vcpu_op(VCPUOP_register_vcpu_time_memory_area, 0, &time), 0);
}

static void events_init(const char *name, const struct s2_places *places)
{
    if (fifo) {
        uint32_t *words = places->events;
        for (unsigned i = 0; i < PAGE_BYTES / 4; i++)
            words[i] = 1u << EVTCHN_FIFO_MASKED;
        memset(places->control, 0, PAGE_BYTES);
        struct evtchn_init_control init = {.control_gfn = (uintptr_t)places->control >> 12};
        long result = evtchn_op(EVTCHNOP_init_control, &init);
        report(name, "init_control", result, 0);
        struct evtchn_expand_array expand = {.array_gfn = (uintptr_t)places->events >> 12};
        if (result == 0)
            report(name, "expand_array", evtchn_op(EVTCHNOP_expand_array, &expand), 0);
        else
            fifo = false; /* as Linux does: by itself, whatever Xen does */
    }
    if (!fifo) {
        struct shared_info *shared = places->shared_info;
        memset(shared->evtchn_mask, 0xff, sizeof shared->evtchn_mask);
    }
    struct xen_hvm_param callback = {
        .domid = DOMID_SELF, .index = HVM_PARAM_CALLBACK_IRQ, .value = 2ull << 56 | UPCALL_VECTOR};
    trap_set(UPCALL_VECTOR, on_upcall);
    report(name, "callback", hvm_op(HVMOP_set_param, &callback), 0);
    struct evtchn_bind_virq virq = {.virq = VIRQ_TIMER};
    long result = evtchn_op(EVTCHNOP_bind_virq, &virq);
    report(name, "bind_virq", result, 0);
    if (result == 0) {
        s2_drivers.timer_port = virq.port;
        unmask(virq.port);
    }
    struct evtchn_bind_ipi ipi = {.vcpu = 0};
    report(name, "bind_ipi", evtchn_op(EVTCHNOP_bind_ipi, &ipi), 0);
    struct vcpu_set_periodic_timer periodic = {.period_ns = param_u32("period", 1000000)};
    report(name, "periodic_timer", vcpu_op(VCPUOP_set_periodic_timer, 0, &periodic), 0);
}

/* An emulated device's interrupt as an event: the trap of a second kernel is that the call succeeds. */
static void pirq_init(const char *name)
{
    struct physdev_map_pirq map = {.domid = DOMID_SELF, .type = MAP_PIRQ_TYPE_GSI, .index = SERIAL_GSI, .pirq = -1};
    report(name, "map_pirq", hypercall2(__HYPERVISOR_physdev_op, PHYSDEVOP_map_pirq, &map), 0);
    struct evtchn_bind_pirq bind = {.pirq = (uint32_t)map.pirq, .flags = BIND_PIRQ__WILL_SHARE};
    long result = evtchn_op(EVTCHNOP_bind_pirq, &bind);
    report(name, "bind_pirq", result, 0);
    if (result == 0) {
        s2_drivers.serial_port = bind.port;
        unmask(bind.port);
    }
}

static void balloon_init(const char *name, const struct s2_places *places)
{
    xen_pfn_t frame = (uintptr_t)places->hole >> 12;
    struct xen_memory_reservation arg = {.nr_extents = 1, .domid = DOMID_SELF};
    set_xen_guest_handle(arg.extent_start, &frame);
    report(name, "balloon_extents", memory_op(XENMEM_decrease_reservation, &arg), 1);
}

static void grants_init(const char *name, const struct s2_places *places)
{
    static uint8_t granted[PAGE_BYTES] __attribute__((aligned(4096))),
        mapped[PAGE_BYTES] __attribute__((aligned(4096)));
    struct gnttab_set_version set = {.version = param_u32("grant_version", 1)};
    report(name, "set_version",
           hypercall3(__HYPERVISOR_grant_table_op, GNTTABOP_set_version, (unsigned long)&set, (void *)1), 0);
    struct xen_add_to_physmap map = {
        .domid = DOMID_SELF, .space = XENMAPSPACE_grant_table, .gpfn = (uintptr_t)places->grants >> 12};
    report(name, "grant_table", memory_op(XENMEM_add_to_physmap, &map), 0);
    if (!param_u32("pin", 0) || set.version != 1)
        return;
    uint32_t a, b, c, d;
    cpuid(xen_cpuid_base() + 4, &a, &b, &c, &d);
    if (!(a & XEN_HVM_CPUID_DOMID_PRESENT))
        c = param_u32("domid", 1);
    struct grant_entry_v1 *entry = (struct grant_entry_v1 *)places->grants + GRANT_REF;
    entry->domid = (domid_t)c;
    entry->frame = (uint32_t)((uintptr_t)granted >> 12);
    barrier();
    entry->flags = GTF_permit_access;
    struct gnttab_map_grant_ref ref = {
        .host_addr = (uintptr_t)mapped, .flags = GNTMAP_host_map, .ref = GRANT_REF, .dom = (domid_t)c};
    hypercall3(__HYPERVISOR_grant_table_op, GNTTABOP_map_grant_ref, (unsigned long)&ref, (void *)1);
    report(name, "pin_grant", ref.status, 0);
}

static void vcpu_info_init(const char *name, const struct s2_places *places)
{
    uintptr_t at = (uintptr_t)places->vcpu_info;
    struct vcpu_register_vcpu_info info = {.mfn = at >> 12, .offset = (uint32_t)(at & 4095)};
    long result = vcpu_op(VCPUOP_register_vcpu_info, 0, &info);
    report(name, "vcpu_info", result, 0);
    if (result == 0)
        s2_drivers.vcpu_info = places->vcpu_info;
}

void s2_drivers_init(const char *name, const struct s2_places *places)
{
    now = places;
    fifo = param_u32("fifo", 1) != 0;
    struct xen_add_to_physmap map = {
        .domid = DOMID_SELF, .space = XENMAPSPACE_shared_info, .gpfn = (uintptr_t)places->shared_info >> 12};
    report(name, "shared_info", memory_op(XENMEM_add_to_physmap, &map), 0);
    struct shared_info *shared = places->shared_info;
    s2_drivers.vcpu_info = &shared->vcpu_info[0];
    if (places->vcpu_info && param_u32("vcpu_info", 1))
        vcpu_info_init(name, places);
    areas_init(name, places);
    events_init(name, places);
    if (param_u32("pirq", 0))
        pirq_init(name);
    balloon_init(name, places);
    grants_init(name, places);
}

bool s2_wait_tick(void)
{
    uint32_t rounds = param_u32("wait", 1000000), before = s2_drivers.ticks;
    irq_enable();
    while (rounds-- && s2_drivers.ticks == before)
        cpu_relax();
    irq_disable();
    return s2_drivers.ticks != before;
}

bool s2_wait_serial(void)
{
    uint32_t rounds = param_u32("wait", 1000000), before = s2_drivers.serials;
    outb(SERIAL_MCR, 0x08); /* OUT2 lets the interrupt out */
    outb(SERIAL_IER, 0x02); /* the transmitter is empty: wants attention at once */
    irq_enable();
    while (rounds-- && s2_drivers.serials == before)
        cpu_relax();
    irq_disable();
    outb(SERIAL_IER, 0);
    return s2_drivers.serials != before;
}
