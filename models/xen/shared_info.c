/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * shared_info: where a vCPU's vcpu_info is (a slot of shared_info, the guest's own page, or the dummy), its upcall
 * byte and selector, and how an upcall reaches the vCPU.
 *
 * Source: Xen public/xen.h, struct vcpu_info and struct shared_info; common/domain.c, map_vcpu_info();
 * arch/x86/hvm/irq.c, hvm_assert_evtchn_irq(), hvm_set_callback_via(), hvm_vcpu_has_pending_irq().
 */
#include "models/xen/state.h"

#include "emu/timer.h"
#include "models/pc/ioapic.h"
#include "models/pc/irq.h"
#include "models/pc/lapic.h"
#include "models/platform_config.h"

const struct xen_layout xen_layout_64 = {
    .word_bytes = 8,
    .shared_pending = 0x800,
    .shared_mask = 0xa00,
    .shared_wc_version = 0xc00,
    .shared_wc_sec_hi = 0xc0c,
    .shared_ports = 4096,
    .vcpu_info_sel = 8,
    .vcpu_info_time = 32,
    .runstate_bytes = 48,
    .runstate_entry_time = 8,
    .runstate_time = 16,
};

const struct xen_layout xen_layout_32 = {
    .word_bytes = 4,
    .shared_pending = 0x800,
    .shared_mask = 0x880,
    .shared_wc_version = 0x900,
    .shared_wc_sec_hi = 0x924, /* arch.wc_sec_hi */
    .shared_ports = 1024,
    .vcpu_info_sel = 4,
    .vcpu_info_time = 32,
    .runstate_bytes = 44,
    .runstate_entry_time = 4,
    .runstate_time = 12,
};

static_assert(offsetof(struct shared_info, evtchn_pending) == 0x800, "public/xen.h");
static_assert(offsetof(struct shared_info, evtchn_mask) == 0xa00, "public/xen.h");
static_assert(offsetof(struct shared_info, wc_version) == 0xc00, "public/xen.h");
static_assert(offsetof(struct vcpu_info, evtchn_pending_sel) == 8, "public/xen.h");
static_assert(offsetof(struct vcpu_info, time) == 32, "public/xen.h");

#define CALLBACK_TYPE_SHIFT 56

void xen_info_read(struct machine *m, unsigned vcpu, unsigned offset, void *dst, unsigned bytes)
{
    struct xen_state *x = xen_state(m);
    const struct xen_vcpu *v = &x->vcpu[vcpu];

    if (v->info_place == INFO_SLOT)
        xen_page_read(m, PAGE_SHARED_INFO, vcpu * VCPU_INFO_BYTES + offset, dst, bytes);
    else if (v->info_place == INFO_DUMMY)
        memcpy(dst, x->dummy_info + offset, bytes);
    else if (!xen_gpa_read(m, v->info_gpa + offset, dst, bytes))
        memset(dst, 0, bytes);
}

void xen_info_write(struct machine *m, unsigned vcpu, unsigned offset, const void *src, unsigned bytes,
                    enum xen_host_write what)
{
    struct xen_state *x = xen_state(m);
    const struct xen_vcpu *v = &x->vcpu[vcpu];

    if (v->info_place == INFO_SLOT)
        xen_page_write(m, PAGE_SHARED_INFO, vcpu * VCPU_INFO_BYTES + offset, src, bytes, what);
    else if (v->info_place == INFO_DUMMY)
        memcpy(x->dummy_info + offset, src, bytes);
    else
        (void)!xen_gpa_write(m, v->info_gpa + offset, src, bytes, what);
}

bool xen_upcall_pending(struct machine *m, unsigned vcpu)
{
    uint8_t pending;

    xen_info_read(m, vcpu, VCPU_INFO_PENDING_OFFSET, &pending, 1);
    return pending != 0;
}

static uint64_t selector_of(struct machine *m, unsigned vcpu)
{
    const struct xen_layout *l = xen_layout(xen_state(m));
    uint64_t selector = 0;

    xen_info_read(m, vcpu, l->vcpu_info_sel, &selector, l->word_bytes);
    return selector;
}

bool xen_selector_is_set(struct machine *m, unsigned vcpu, unsigned word)
{
    return selector_of(m, vcpu) >> word & 1;
}

bool xen_test_and_set_selector(struct machine *m, unsigned vcpu, unsigned word)
{
    const struct xen_layout *l = xen_layout(xen_state(m));
    uint64_t selector = selector_of(m, vcpu);

    if (selector >> word & 1)
        return true;
    selector |= 1ull << word;
    xen_info_write(m, vcpu, l->vcpu_info_sel, &selector, l->word_bytes, XEN_WRITE_EVENT);
    return false;
}

void xen_kick(struct machine *m, unsigned vcpu)
{
    struct xen_state *x = xen_state(m);

    x->vcpu[vcpu].poll_port = POLL_NONE;
    timer_disarm(m, &xen_model, TIMER_POLL, vcpu);
    if (vcpu_state(m, vcpu) == VCPU_HALTED || vcpu_state(m, vcpu) == VCPU_POLLING) {
        vcpu_wake(m, vcpu);
        if (x->vcpu[vcpu].runstate != RUNSTATE_running) /* it had not left its CPU yet */
            xen_runstate_change(m, vcpu, RUNSTATE_runnable);
    }
    vcpu_kick(m, vcpu);
}

void xen_update_callback_line(struct machine *m)
{
    struct xen_state *x = xen_state(m);
    bool asserted = xen_upcall_pending(m, 0);

    if (x->callback_type != CALLBACK_GSI && x->callback_type != CALLBACK_INTX)
        return;
    if (x->callback_asserted == asserted)
        return;
    x->callback_asserted = asserted;
    irq_set_level(m, x->callback_gsi, asserted);
}

bool xen_would_take_upcall(struct machine *m, unsigned vcpu)
{
    const struct xen_state *x = xen_state(m);

    if (x->vcpu[vcpu].upcall_vector != UPCALL_VECTOR_NONE)
        return lapic_would_take(m, vcpu, x->vcpu[vcpu].upcall_vector);
    return x->callback_type == CALLBACK_VECTOR;
}

void xen_assert_upcall(struct machine *m, unsigned vcpu)
{
    struct xen_state *x = xen_state(m);

    if (x->vcpu[vcpu].upcall_vector != UPCALL_VECTOR_NONE) {
        lapic_raise(m, vcpu, x->vcpu[vcpu].upcall_vector, BUS_EDGE);
        xen_kick(m, vcpu);
    } else if (x->callback_type == CALLBACK_VECTOR) {
        xen_kick(m, vcpu);
    } else if (vcpu == 0) {
        xen_update_callback_line(m);
    }
}

void xen_mark_events_pending(struct machine *m, unsigned vcpu)
{
    static const uint8_t one = 1;

    if (xen_upcall_pending(m, vcpu))
        return;
    xen_info_write(m, vcpu, VCPU_INFO_PENDING_OFFSET, &one, 1, XEN_WRITE_EVENT);
    xen_assert_upcall(m, vcpu);
}

/* Source: Xen asm/hvm/irq.h, hvm_pci_intx_gsi(). */
static uint8_t intx_gsi(uint64_t device, uint64_t pin)
{
    return (uint8_t)((((device << 2) + (device >> 3) + pin) & 31) + 16);
}

/* A guest without IO-APIC and PIC, as PVH is, can't choose a line; its wish is remembered and ignored. */
void xen_set_callback_via(struct machine *m, uint64_t via)
{
    struct xen_state *x = xen_state(m);
    unsigned type = (unsigned)(via >> CALLBACK_TYPE_SHIFT) + 1;

    if ((type == CALLBACK_GSI && via == 0) || type > CALLBACK_VECTOR)
        type = CALLBACK_NONE;
    if (type != CALLBACK_VECTOR && platform_is_pvh(m))
        return;
    if (x->callback_asserted)
        irq_set_level(m, x->callback_gsi, false);
    x->callback_asserted = 0;
    if (type == CALLBACK_VECTOR)
        x->callback_vector = (uint8_t)via;
    else if (type == CALLBACK_GSI)
        x->callback_gsi = (uint8_t)via;
    else if (type == CALLBACK_INTX)
        x->callback_gsi = intx_gsi((via >> 11) & 31, via & 3);
    if (type == CALLBACK_GSI && (!x->callback_gsi || x->callback_gsi >= IOAPIC_PINS))
        type = CALLBACK_NONE;
    x->callback_type = (uint8_t)type;
    for (unsigned v = 0; v < machine_vcpus(m); v++) {
        if (x->vcpu[v].up && xen_upcall_pending(m, v))
            xen_assert_upcall(m, v);
    }
}

/* Level-like: the vector is wanted as long as the byte is set, without an EOI. */
int xen_pending_vector(struct machine *m, unsigned vcpu)
{
    struct xen_state *x = xen_state(m);

    return x->callback_type == CALLBACK_VECTOR && xen_upcall_pending(m, vcpu) ? x->callback_vector : MODEL_NO_VECTOR;
}

void xen_accept_vector(struct machine *m, unsigned vcpu, int vector)
{
    /* Nothing is acknowledged: the guest clears the byte. */
}

/* An upcall whose edge was lost while the LAPIC was off comes when it is switched on.
   Source: Xen arch/x86/hvm/vlapic.c, vlapic_reg_write(), APIC_SPIV. */
static enum model_answer svr_written(struct machine *m, unsigned vcpu, enum model_answer answer)
{
    uint8_t vector = xen_state(m)->vcpu[vcpu].upcall_vector;

    if (answer == MODEL_DONE && vector != UPCALL_VECTOR_NONE && lapic_is_enabled(m, vcpu) &&
        xen_upcall_pending(m, vcpu))
        lapic_raise(m, vcpu, vector, BUS_EDGE);
    return answer;
}

enum model_answer xen_lapic_svr_write(struct machine *m, unsigned vcpu, unsigned bytes, uint64_t value)
{
    return svr_written(m, vcpu, lapic_model.mmio_write(m, vcpu, LAPIC_GPA + 0xf0, bytes, value));
}

enum model_answer xen_lapic_svr_msr_write(struct machine *m, unsigned vcpu, uint64_t value)
{
    return svr_written(m, vcpu, lapic_model.msr_write(m, vcpu, LAPIC_MSR_SVR, value));
}

/* The content stays where it is, byte for byte: Xen changes only how it reads the page. */
void xen_latch_layout(struct machine *m, bool compat)
{
    struct xen_state *x = xen_state(m);

    if (x->compat == compat)
        return;
    x->compat = compat;
    xen_wallclock_update(m);
}

/* The checks in the order of the version. */
static int64_t register_check(struct xen_call *c, unsigned vcpu, uint64_t gfn, uint32_t offset)
{
    const struct xen_vcpu *v = &c->x->vcpu[vcpu];
    const struct xen_traits *t = c->t;
    unsigned align = t->vcpu_info_aligned ? xen_layout(c->x)->word_bytes : 1;
    bool misplaced = offset > PAGE_BYTES - VCPU_INFO_BYTES || offset % align;

    if (t->vcpu_info_ebusy) {
        if (gfn > UINT64_MAX >> PAGE_SHIFT)
            return XEN_EINVAL;
        if (misplaced)
            return XEN_ENXIO;
        if (!xen_gfn_is_backed(c->m, gfn))
            return XEN_EINVAL;
        return v->info_place == INFO_GUEST ? XEN_EBUSY : 0;
    }
    if (misplaced)
        return t->vcpu_info_enxio ? XEN_ENXIO : XEN_EINVAL;
    if (v->info_place == INFO_GUEST)
        return XEN_EINVAL;
    if (vcpu != c->vcpu && v->up)
        return XEN_EINVAL;
    return xen_gfn_is_backed(c->m, gfn) ? 0 : XEN_EINVAL;
}

/* One spurious upcall is guaranteed: everything is marked as pending, so that nothing is lost. */
int64_t xen_register_vcpu_info(struct xen_call *c, unsigned vcpu, uint64_t gfn, uint32_t offset)
{
    struct xen_vcpu *v = &c->x->vcpu[vcpu];
    const struct xen_layout *l = xen_layout(c->x);
    uint64_t all_ones = UINT64_MAX;
    uint8_t info[VCPU_INFO_BYTES] = {0};
    int64_t answer = register_check(c, vcpu, gfn, offset);

    if (answer)
        return answer;
    if (v->info_place == INFO_DUMMY)
        info[VCPU_INFO_MASK_OFFSET] = 1;
    else
        xen_info_read(c->m, vcpu, 0, info, sizeof(info));
    v->info_place = INFO_GUEST;
    v->info_gpa = (gfn << PAGE_SHIFT) + offset;
    xen_area_is(c->m, vcpu, v->info_gpa, VCPU_INFO_BYTES, XEN_WRITE_VCPU_INFO);
    xen_info_write(c->m, vcpu, 0, info, sizeof(info), XEN_WRITE_VCPU_INFO);
    xen_info_write(c->m, vcpu, l->vcpu_info_sel, &all_ones, l->word_bytes, XEN_WRITE_EVENT);
    xen_mark_events_pending(c->m, vcpu);
    return 0;
}

void xen_unregister_vcpu_info(struct machine *m, unsigned vcpu)
{
    struct xen_vcpu *v = &xen_state(m)->vcpu[vcpu];

    if (v->info_place == INFO_GUEST)
        xen_area_is(m, vcpu, 0, 0, XEN_WRITE_VCPU_INFO);
    v->info_place = vcpu < LEGACY_VCPUS ? INFO_SLOT : INFO_DUMMY;
    v->info_gpa = 0;
}
