/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hvm_rows: what only a guest with a device model has: pirqs, the callback as an interrupt line, an upcall vector
 * alone. Speaks as the row guests do (rows.h), but needs `--mode hvm`; Debian's Xen runs no such domain under QEMU
 * here, so that its truth is written from the sources (corpus/truth/xen-4.17-sources). Source: Xen public/physdev.h,
 * hvm/params.h; arch/x86/physdev.c, hvm/irq.c, hvm/vlapic.c; seed facts M.4, M.6, S2.1(6).
 */
#include "rows.h"
#include <xen/features.h>
#include <xen/physdev.h>

#define IRQ_LINE         5u
#define INTX_VECTOR      0x61
#define UPCALL_VECTOR    0x51
#define IOAPIC_GPA       0xfec00000u
#define IOAPIC_LEVEL     (1u << 15)
#define PHYSDEV(op, arg) hypercall2(__HYPERVISOR_physdev_op, op, arg)

static volatile uint32_t interrupts;
static volatile bool interrupt_keeps_byte;

static struct vcpu_info *info(unsigned vcpu)
{
    return &xen_shared_info()->vcpu_info[vcpu];
}

static void clear(unsigned vcpu)
{
    info(vcpu)->evtchn_upcall_pending = 0;
    info(vcpu)->evtchn_pending_sel = 0;
}

static void on_line(struct trap_regs *regs)
{
    interrupts++;
    clear(0);
    sched_op(SCHEDOP_yield, NULL); /* Xen looks at the byte when it is entered */
    if (regs->vector == PIC_VECTOR_BASE + IRQ_LINE)
        pic_eoi(IRQ_LINE);
    else
        lapic_write(LAPIC_EOI, 0);
}

static void on_upcall(struct trap_regs *regs)
{
    interrupts++;
    if (!interrupt_keeps_byte)
        clear(0);
    lapic_write(LAPIC_EOI, 0);
}

static uint32_t interrupts_taken(void)
{
    interrupts = 0;
    irq_enable();
    sched_op(SCHEDOP_yield, NULL);
    irq_disable();
    return interrupts;
}

static long set_callback(uint64_t value)
{
    struct xen_hvm_param arg = {.domid = DOMID_SELF, .index = HVM_PARAM_CALLBACK_IRQ, .value = value};
    return hvm_op(HVMOP_set_param, &arg);
}

static evtchn_port_t ipi(uint32_t vcpu)
{
    struct evtchn_bind_ipi bind = {.vcpu = vcpu};
    evtchn_op(EVTCHNOP_bind_ipi, &bind);
    return bind.port;
}

/* One event of the port, as if for the first time. */
static uint32_t interrupts_after(evtchn_port_t port)
{
    struct shared_info *shared = xen_shared_info();
    struct evtchn_send send = {.port = port};
    memset(shared->evtchn_pending, 0, sizeof shared->evtchn_pending);
    memset(shared->evtchn_mask, 0, sizeof shared->evtchn_mask);
    evtchn_op(EVTCHNOP_send, &send);
    return interrupts_taken();
}

static void ioapic_route(unsigned pin, uint32_t low)
{
    volatile uint32_t *ioapic = (volatile uint32_t *)(uintptr_t)IOAPIC_GPA;
    ioapic[0] = 0x10 + 2 * pin + 1;
    ioapic[4] = (uint32_t)lapic_id() << 24;
    ioapic[0] = 0x10 + 2 * pin;
    ioapic[4] = low;
}

static void rows_lines(void)
{
    evtchn_port_t port = ipi(0), other = cpu_count() > 1 ? ipi(1) : 0;
    trap_set(PIC_VECTOR_BASE + IRQ_LINE, on_line);
    trap_set(INTX_VECTOR, on_line);
    pic_init();
    pic_unmask(IRQ_LINE);
    lapic_enable(true);
    ROW_EFFECT("callback.none", set_callback(0), "interrupts %u", interrupts_after(port));
    clear(0);
    ROW_EFFECT("callback.gsi", set_callback(IRQ_LINE), "interrupts %u", interrupts_after(port));
    ROW_EFFECT("callback.gsi.again", 0, "interrupts %u", interrupts_after(port));
    if (other) {
        clear(1);
        uint32_t taken = interrupts_after(other);
        ROW_EFFECT("callback.gsi.event_of_vcpu_1", 0, "interrupts %u, byte of vcpu 1 %u", taken,
                   info(1)->evtchn_upcall_pending);
    }
    info(0)->evtchn_upcall_pending = 1; /* without an event: the line follows the byte when Xen is entered */
    sched_op(SCHEDOP_yield, NULL);
    ROW_EFFECT("callback.gsi.own_byte", 0, "interrupts %u", interrupts_taken());
    /* Device 3, pin A: GSI 28, which the PIC does not have. */
    ioapic_route(28, INTX_VECTOR | IOAPIC_LEVEL);
    ROW_EFFECT("callback.intx", set_callback(1ull << 56 | 3 << 11), "interrupts %u", interrupts_after(port));
    ROW_EFFECT("callback.gsi_0", set_callback(0), "interrupts %u", interrupts_after(port));
    clear(0);
}

static void rows_lapic(void)
{
    struct xen_hvm_evtchn_upcall_vector vector = {.vcpu = 0, .vector = UPCALL_VECTOR};
    evtchn_port_t port = ipi(0);
    uint32_t spurious = lapic_read(LAPIC_SVR);
    trap_set(UPCALL_VECTOR, on_upcall);
    clear(0);
    long result = hvm_op(HVMOP_set_evtchn_upcall_vector, &vector);
    ROW("callback.lapic.set", result);
    if (result)
        return;
    interrupt_keeps_byte = true;
    uint32_t taken = interrupts_after(port);
    ROW_EFFECT("callback.lapic", 0, "interrupts %u, byte %u", taken, info(0)->evtchn_upcall_pending);
    ROW_EFFECT("callback.lapic.byte_is_no_edge", 0, "interrupts %u", interrupts_after(port));
    clear(0);
    lapic_write(LAPIC_SVR, spurious & ~0x100u);
    ROW_EFFECT("callback.lapic.disabled", 0, "interrupts %u", interrupts_after(port));
    lapic_write(LAPIC_SVR, spurious | 0x100);
    ROW_EFFECT("callback.lapic.enabled_again", 0, "interrupts %u", interrupts_taken());
    clear(0);
    lapic_write(LAPIC_SVR, spurious);
}

static long map(struct physdev_map_pirq *arg, int type, int index, int pirq)
{
    *arg = (struct physdev_map_pirq){.domid = DOMID_SELF, .type = type, .index = index, .pirq = pirq};
    return PHYSDEV(PHYSDEVOP_map_pirq, arg);
}

static void rows_pirqs(void)
{
    struct xen_feature_info feature = {.submap_idx = 0};
    hypercall2(__HYPERVISOR_xen_version, XENVER_get_features, &feature);
    ROW_EFFECT("pirq.feature", 0, "%u", feature.submap >> XENFEAT_hvm_pirqs & 1);
    struct physdev_map_pirq arg;
    ROW("pirq.map.without_vector_callback", map(&arg, MAP_PIRQ_TYPE_GSI, 4, -1));
    set_callback(2ull << 56 | 0xf3);
    ROW("pirq.map.efault", PHYSDEV(PHYSDEVOP_map_pirq, BAD_POINTER));
    ROW("pirq.map.gsi_minus_1", map(&arg, MAP_PIRQ_TYPE_GSI, -1, -1));
    ROW("pirq.map.gsi_48", map(&arg, MAP_PIRQ_TYPE_GSI, 48, -1));
    ROW("pirq.map.pirq_100000", map(&arg, MAP_PIRQ_TYPE_GSI, 4, 100000));
    ROW("pirq.map.msi", map(&arg, MAP_PIRQ_TYPE_MSI, -1, -1));
    long result = map(&arg, MAP_PIRQ_TYPE_MSI_SEG, -1, -1);
    ROW_EFFECT("pirq.map.msi_seg", result, "type %d", arg.type);
    ROW("pirq.map.multi_msi", map(&arg, MAP_PIRQ_TYPE_MULTI_MSI, -1, -1));
    ROW("pirq.map.type_99", map(&arg, 99, 4, -1));
    result = map(&arg, MAP_PIRQ_TYPE_GSI, 4, -1);
    int first = arg.pirq;
    ROW_EFFECT("pirq.map.gsi_4", result, "pirq %d", first);
    result = map(&arg, MAP_PIRQ_TYPE_GSI, 4, -1);
    ROW_EFFECT("pirq.map.gsi_4_again", result, "%s pirq", arg.pirq == first ? "the same" : "another");
    struct physdev_irq_status_query query = {.irq = (uint32_t)arg.pirq};
    ROW("pirq.status.of_the_second", PHYSDEV(PHYSDEVOP_irq_status_query, &query));
    query.irq = (uint32_t)first;
    result = PHYSDEV(PHYSDEVOP_irq_status_query, &query);
    ROW_EFFECT("pirq.status", result, "flags %u", query.flags);
    struct physdev_eoi eoi = {.irq = (uint32_t)first};
    ROW("pirq.eoi", PHYSDEV(PHYSDEVOP_eoi, &eoi));
    eoi.irq = 200;
    ROW("pirq.eoi.unknown", PHYSDEV(PHYSDEVOP_eoi, &eoi));
    struct evtchn_bind_pirq bind = {.pirq = (uint32_t)first};
    ROW("pirq.bind", evtchn_op(EVTCHNOP_bind_pirq, &bind));
    struct evtchn_close close = {.port = bind.port};
    evtchn_op(EVTCHNOP_close, &close);
    result = PHYSDEV(PHYSDEVOP_irq_status_query, &query);
    ROW("pirq.status.after_close", result);
    struct physdev_unmap_pirq unmap = {.domid = DOMID_SELF, .pirq = first};
    ROW("pirq.unmap", PHYSDEV(PHYSDEVOP_unmap_pirq, &unmap));
    ROW("pirq.unmap.again", PHYSDEV(PHYSDEVOP_unmap_pirq, &unmap));
    unmap.pirq = 100000;
    ROW("pirq.unmap.100000", PHYSDEV(PHYSDEVOP_unmap_pirq, &unmap));
    unmap.domid = BAD_DOMAIN;
    ROW("pirq.unmap.bad_domain", PHYSDEV(PHYSDEVOP_unmap_pirq, &unmap));
    ROW("pirq.status.after_unmap", PHYSDEV(PHYSDEVOP_irq_status_query, &query));
    struct physdev_get_free_pirq free = {.type = MAP_PIRQ_TYPE_GSI};
    result = PHYSDEV(PHYSDEVOP_get_free_pirq, &free);
    ROW_EFFECT("pirq.get_free", result, "%s", free.pirq == (uint32_t)first ? "the one given back" : "another");
}

void guest_main(void)
{
    rows_begin("hvm");
    rows_lines();
    rows_pirqs();
    set_callback(0);
    rows_lapic();
}
