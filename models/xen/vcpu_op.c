/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vcpu_op: VCPUOP_*, as an HVM guest may use them.
 *
 * Source: Xen public/vcpu.h, public/hvm/hvm_vcpu.h; common/domain.c, do_vcpu_op() and common_vcpu_op();
 * arch/x86/hvm/domain.c, arch_set_info_hvm_guest().
 */
#include "models/xen/state.h"

#include "emu/base/count.h"
#include "emu/timer.h"
#include "models/pc/lapic.h"
#include "models/platform_config.h"

static unsigned target(const struct xen_call *c)
{
    return (unsigned)c->arg[1];
}

static struct xen_vcpu *target_vcpu(struct xen_call *c)
{
    return &c->x->vcpu[target(c)];
}

/* Before any operation: the white list of old versions, then the vCPU. 0 if it may go on. */
static int64_t check(struct xen_call *c, unsigned op)
{
    uint32_t id = (uint32_t)c->arg[1];

    if (!(c->t->vcpu_op_hvm_mask >> op & 1))
        return XEN_ENOSYS;
    if (c->t->vcpu_op_einval && id >= LEGACY_VCPUS && id >= 8192) /* MAX_VIRT_CPUS */
        return XEN_EINVAL;
    return id < machine_vcpus(c->m) ? 0 : XEN_ENOENT;
}

int64_t xen_vcpu_op_check(struct xen_call *c)
{
    uint32_t op = (uint32_t)c->arg[0];

    return check(c, op < 32 ? op : 31);
}

/* ---- initialise: the registers of a vCPU that is off ---- */

struct entry { /* one segment of struct vcpu_hvm_context */
    uint32_t base, limit, ar;
};

static struct segment segment_from(const struct entry *e)
{
    uint32_t limit = e->limit;

    /* ar: type 0-3, S 4, DPL 5-6, P 7, AVL 8, L 9, D/B 10, G 11, i.e. the descriptor's bits without the limit's. */
    return (struct segment){.base = e->base, .limit = limit, .attributes = (e->ar & 0xff) << 8 | (e->ar & 0xf00) << 12};
}

#define AR_P           0x80u
#define AR_S           0x10u
#define AR_CODE        0x08u
#define AR_WRITE       0x02u /* of a data segment; of a code segment: readable */
#define AR_G           0x800u
#define AR_PAD         0xf000u
#define AR_TYPE_MASK   0xfu
#define AR_BUSY_TSS_32 0xbu
#define DPL(ar)        ((ar) >> 5 & 3)
#define EFER_KNOWN     (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)
#define CR4_KNOWN      0x770fffull /* neither VMXE nor what the guest's CPUID does not have */

enum segment_kind { KIND_CODE, KIND_STACK, KIND_DATA, KIND_TSS };

/* Source: Xen arch/x86/hvm/domain.c, check_segment(). Present segments are taken as accessed, a TSS as busy; 4.7 does
   so with absent ones, which it then finds bad. */
static bool segment_is_bad(const struct xen_call *c, const struct entry *e, enum segment_kind kind)
{
    uint32_t type = e->ar & AR_TYPE_MASK;

    if (e->ar & AR_PAD)
        return true;
    if (!e->ar && c->t->context_null_data)
        return kind != KIND_DATA;
    if (kind == KIND_TSS)
        return (e->ar & AR_S) || (type | 2) != AR_BUSY_TSS_32 || !(e->ar & AR_P);
    if (!(e->ar & AR_S) || !(e->ar & AR_P))
        return true;
    if (kind == KIND_CODE)
        return !(type & AR_CODE);
    return kind == KIND_STACK ? (type & (AR_CODE | AR_WRITE)) != AR_WRITE : (type & (AR_CODE | AR_WRITE)) == AR_CODE;
}

/* What holds for either mode, once LME has brought LMA with it. */
static bool control_is_bad(uint64_t cr4, uint64_t efer)
{
    return (cr4 & ~CR4_KNOWN) || (efer & ~EFER_KNOWN);
}

static int64_t regs_from_32(const struct xen_call *c, const struct vcpu_hvm_x86_32 *h, struct vcpu_regs *r)
{
    struct entry cs = {h->cs_base, h->cs_limit, h->cs_ar}, ds = {h->ds_base, h->ds_limit, h->ds_ar};
    struct entry ss = {h->ss_base, h->ss_limit, h->ss_ar}, es = {h->es_base, h->es_limit, h->es_ar};
    struct entry tr = {h->tr_base, h->tr_limit, h->tr_ar};
    uint32_t limit = cs.ar & AR_G ? cs.limit << 12 | 0xfff : cs.limit;

    if (h->pad1 || h->pad2[0] || h->pad2[1] || h->pad2[2])
        return XEN_EINVAL;
    if (segment_is_bad(c, &cs, KIND_CODE) || segment_is_bad(c, &ds, KIND_DATA) || segment_is_bad(c, &ss, KIND_STACK) ||
        segment_is_bad(c, &es, KIND_DATA) || segment_is_bad(c, &tr, KIND_TSS))
        return XEN_EINVAL;
    if (h->eip > limit || DPL(ss.ar) != DPL(cs.ar) || ((ds.ar & AR_P) && DPL(ds.ar) > DPL(cs.ar)) ||
        ((es.ar & AR_P) && DPL(es.ar) > DPL(cs.ar)))
        return XEN_EINVAL;
    if (((h->efer & EFER_LMA) && !(h->efer & EFER_LME)) || control_is_bad(h->cr4, h->efer))
        return XEN_EINVAL;
    regs_init_protected32(r, h->eip);
    r->gpr[GPR_RAX] = h->eax;
    r->gpr[GPR_RCX] = h->ecx;
    r->gpr[GPR_RDX] = h->edx;
    r->gpr[GPR_RBX] = h->ebx;
    r->gpr[GPR_RSP] = h->esp;
    r->gpr[GPR_RBP] = h->ebp;
    r->gpr[GPR_RSI] = h->esi;
    r->gpr[GPR_RDI] = h->edi;
    r->rflags = h->eflags | RFLAGS_FIXED;
    r->cr0 = h->cr0 | CR0_ET;
    r->cr3 = h->cr3;
    r->cr4 = h->cr4;
    r->efer = h->efer | (h->efer & EFER_LME ? EFER_LMA : 0);
    r->seg[SEG_CS] = segment_from(&cs);
    r->seg[SEG_DS] = segment_from(&ds);
    r->seg[SEG_SS] = segment_from(&ss);
    r->seg[SEG_ES] = segment_from(&es);
    r->tr = segment_from(&tr);
    return 0;
}

static int64_t regs_from_64(const struct vcpu_hvm_x86_64 *h, struct vcpu_regs *r)
{
    static const struct entry code = {0, UINT32_MAX, 0xa9b}, data = {0, UINT32_MAX, 0xc93};
    int64_t rip = (int64_t)h->rip;

    if (!(h->efer & EFER_LME) || !(h->cr0 & CR0_PG) || !(h->cr4 & CR4_PAE))
        return XEN_EINVAL;
    if ((rip >> 47 != 0 && rip >> 47 != -1) || control_is_bad(h->cr4, h->efer))
        return XEN_EINVAL;
    regs_init_protected32(r, h->rip);
    r->gpr[GPR_RAX] = h->rax;
    r->gpr[GPR_RCX] = h->rcx;
    r->gpr[GPR_RDX] = h->rdx;
    r->gpr[GPR_RBX] = h->rbx;
    r->gpr[GPR_RSP] = h->rsp;
    r->gpr[GPR_RBP] = h->rbp;
    r->gpr[GPR_RSI] = h->rsi;
    r->gpr[GPR_RDI] = h->rdi;
    r->rflags = h->rflags | RFLAGS_FIXED;
    r->cr0 = h->cr0 | CR0_ET;
    r->cr3 = h->cr3;
    r->cr4 = h->cr4;
    r->efer = h->efer | EFER_LMA;
    r->seg[SEG_CS] = segment_from(&code);
    for (unsigned s = 0; s < SEG_COUNT; s++) {
        if (s != SEG_CS)
            r->seg[s] = segment_from(&data);
    }
    return 0;
}

static int64_t op_initialise(struct xen_call *c)
{
    struct vcpu_hvm_context context;
    struct xen_vcpu *v;
    struct vcpu_regs r;
    int64_t answer;

    v = target_vcpu(c);
    if (v->info_place == INFO_DUMMY && !c->t->initialise_dummy_ok)
        return XEN_EINVAL;
    if (!xen_copy_in(c, c->arg[2], &context, sizeof(context)))
        return XEN_EFAULT;
    if (v->initialised)
        return XEN_EEXIST;
    if (context.pad)
        return XEN_EINVAL;
    if (context.mode == VCPU_HVM_MODE_32B)
        answer = regs_from_32(c, &context.cpu_regs.x86_32, &r);
    else if (context.mode == VCPU_HVM_MODE_64B)
        answer = regs_from_64(&context.cpu_regs.x86_64, &r);
    else
        answer = XEN_EINVAL;
    if (answer)
        return answer;
    vcpu_set_regs(c->m, target(c), &r);
    lapic_set_initialised(c->m, target(c));
    v->initialised = 1;
    return 0;
}

/* ---- up and down ---- */

/* The LAPIC starts and resets vCPUs by itself, so its view is asked first. */
static void refresh(struct machine *m, unsigned vcpu)
{
    struct xen_vcpu *v = &xen_state(m)->vcpu[vcpu];

    if (vcpu_state(m, vcpu) != VCPU_OFFLINE) {
        v->up = 1;
        v->initialised = 1;
    } else if (v->up) {
        v->up = 0;
    }
    if (vcpu && !v->up && lapic_waits_for_sipi(m, vcpu))
        v->initialised = 0;
}

static void take_down(struct machine *m, unsigned vcpu)
{
    xen_state(m)->vcpu[vcpu].up = 0;
    xen_runstate_change(m, vcpu, RUNSTATE_offline);
    vcpu_stop(m, vcpu);
}

static unsigned others_up(struct machine *m, unsigned vcpu)
{
    unsigned count = 0;

    for (unsigned v = 0; v < machine_vcpus(m); v++) {
        refresh(m, v);
        count += v != vcpu && xen_state(m)->vcpu[v].up;
    }
    return count;
}

/* Source: Xen arch/x86/hvm/hvm.c, hvm_hlt() and hvm_vcpu_down(). A PVH guest without ACPI's S5 powers off so. */
void xen_halted_masked(struct machine *m, unsigned vcpu)
{
    unsigned others = others_up(m, vcpu);

    take_down(m, vcpu);
    if (!others)
        xen_domain_shutdown(m, SHUTDOWN_poweroff);
}

static int64_t op_up(struct xen_call *c)
{
    refresh(c->m, target(c));
    if (!target_vcpu(c)->initialised)
        return XEN_EINVAL;
    if (!target_vcpu(c)->up) {
        target_vcpu(c)->up = 1;
        xen_runstate_change(c->m, target(c), RUNSTATE_runnable);
        vcpu_start(c->m, target(c));
    }
    return 0;
}

static int64_t op_down(struct xen_call *c)
{
    unsigned others;

    others = others_up(c->m, target(c));
    if (!others && c->t->down_last_poweroff)
        xen_domain_shutdown(c->m, SHUTDOWN_poweroff);
    else if (target_vcpu(c)->up)
        take_down(c->m, target(c));
    return 0;
}

static int64_t op_is_up(struct xen_call *c)
{
    refresh(c->m, target(c));
    return target_vcpu(c)->up;
}

/* ---- areas ---- */

static int64_t op_get_runstate_info(struct xen_call *c)
{
    struct vcpu_runstate_info r;
    uint8_t bytes[48];
    unsigned count;

    xen_runstate_get(c->m, target(c), clock_read_ns(c->m), &r);
    count = xen_runstate_layout(&r, c->compat, bytes);
    return xen_copy_out(c, c->arg[2], bytes, count) ? 0 : XEN_EFAULT;
}

/* The argument is a pointer, in the caller's word size, to what is registered. */
static bool copy_in_address(struct xen_call *c, uint64_t *address)
{
    *address = 0;
    return xen_copy_in(c, c->arg[2], address, c->compat ? 4 : 8);
}

/* access_ok(): not in the part of the address space that Xen keeps to itself. */
static bool address_is_ok(uint64_t gva)
{
    int64_t high = (int64_t)gva >> 47;

    return high == 0 || high == -1;
}

static int64_t register_linear(struct xen_call *c, struct xen_area *area, unsigned bytes, enum xen_host_write what)
{
    uint64_t gva, gpa;

    if (!copy_in_address(c, &gva) || !address_is_ok(gva))
        return XEN_EFAULT;
    xen_area_gone(c->m, target(c), area, what);
    *area = (struct xen_area){.address = gva, .kind = gva ? AREA_LINEAR : AREA_NONE, .compat = c->compat};
    if (gva && vcpu_translate(c->m, c->vcpu, gva, &gpa))
        xen_area_is(c->m, target(c), gpa, bytes, what);
    return 0;
}

static int64_t op_register_runstate(struct xen_call *c)
{
    const struct xen_layout *l = c->compat ? &xen_layout_32 : &xen_layout_64;
    int64_t answer;

    answer = register_linear(c, &target_vcpu(c)->runstate_area, l->runstate_bytes, XEN_WRITE_RUNSTATE);
    if (!answer && target(c) == c->vcpu)
        xen_runstate_store(c->m, target(c));
    return answer;
}

static int64_t op_register_time(struct xen_call *c)
{
    int64_t answer;

    answer = register_linear(c, &target_vcpu(c)->time_area, sizeof(struct vcpu_time_info), XEN_WRITE_TIME);
    if (!answer && target(c) == c->vcpu)
        xen_time_area_store(c->m, target(c));
    return answer;
}

/* Address ~0 takes the area away. */
static int64_t register_physical(struct xen_call *c, struct xen_area *area, unsigned bytes, unsigned align,
                                 enum xen_host_write what)
{
    uint64_t gpa;

    if (!xen_copy_in(c, c->arg[2], &gpa, sizeof(gpa)))
        return XEN_EFAULT;
    if (gpa == UINT64_MAX) {
        xen_area_gone(c->m, target(c), area, what);
        return 0;
    }
    if ((gpa & (PAGE_BYTES - 1)) + bytes > PAGE_BYTES || gpa % align)
        return XEN_ENXIO;
    if (!xen_gfn_is_backed(c->m, gpa >> PAGE_SHIFT))
        return XEN_EINVAL;
    xen_area_gone(c->m, target(c), area, what);
    *area = (struct xen_area){.address = gpa, .kind = AREA_PHYSICAL, .compat = c->compat};
    xen_area_is(c->m, target(c), gpa, bytes, what);
    return 0;
}

static int64_t op_register_runstate_phys(struct xen_call *c)
{
    const struct xen_layout *l = c->compat ? &xen_layout_32 : &xen_layout_64;
    int64_t answer;

    answer = register_physical(c, &target_vcpu(c)->runstate_area, l->runstate_bytes, l->word_bytes, XEN_WRITE_RUNSTATE);
    if (!answer)
        xen_runstate_store(c->m, target(c));
    return answer;
}

static int64_t op_register_time_phys(struct xen_call *c)
{
    int64_t answer;

    answer = register_physical(c, &target_vcpu(c)->time_area, sizeof(struct vcpu_time_info), 8, XEN_WRITE_TIME);
    if (!answer)
        xen_time_area_store(c->m, target(c));
    return answer;
}

static int64_t op_register_vcpu_info(struct xen_call *c)
{
    struct vcpu_register_vcpu_info info;
    int64_t answer;

    if (!xen_copy_in(c, c->arg[2], &info, sizeof(info)))
        return XEN_EFAULT;
    refresh(c->m, target(c));
    answer = xen_register_vcpu_info(c, target(c), info.mfn, info.offset);
    if (c->t->vcpu_info_time_at_once)
        xen_time_update(c->m, target(c), true);
    return answer;
}

/* ---- timers ---- */

static int64_t op_set_periodic(struct xen_call *c)
{
    struct vcpu_set_periodic_timer set;

    if (!xen_copy_in(c, c->arg[2], &set, sizeof(set)))
        return XEN_EFAULT;
    if (set.period_ns < XEN_PERIOD_MIN_NS || set.period_ns > XEN_PERIOD_MAX_NS)
        return XEN_EINVAL;
    xen_periodic_set(c->m, target(c), set.period_ns);
    return 0;
}

static int64_t op_stop_periodic(struct xen_call *c)
{
    xen_periodic_set(c->m, target(c), 0);
    return 0;
}

static int64_t op_set_singleshot(struct xen_call *c)
{
    struct {
        uint64_t timeout_abs_ns;
        uint32_t flags;
    } set = {0};

    if (target(c) != c->vcpu)
        return XEN_EINVAL;
    /* A 32-bit guest's structure has no padding at its end. */
    if (!xen_copy_in(c, c->arg[2], &set, 12))
        return XEN_EFAULT;
    if (set.timeout_abs_ns < clock_read_ns(c->m)) {
        if (c->t->singleshot_etime && (set.flags & VCPU_SSHOTTMR_future))
            return XEN_ETIME;
        timer_disarm(c->m, &xen_model, TIMER_SINGLESHOT, c->vcpu);
        xen_virq_raise(c->m, c->vcpu, VIRQ_TIMER);
        return 0;
    }
    timer_arm(c->m, &xen_model, TIMER_SINGLESHOT, c->vcpu, set.timeout_abs_ns);
    return 0;
}

static int64_t op_stop_singleshot(struct xen_call *c)
{
    if (target(c) != c->vcpu)
        return XEN_EINVAL;
    timer_disarm(c->m, &xen_model, TIMER_SINGLESHOT, c->vcpu);
    return 0;
}

static int64_t op_send_nmi(struct xen_call *c)
{
    if (c->arg[2])
        return XEN_EINVAL;
    vcpu_raise_nmi(c->m, target(c));
    return 0;
}

/* Only for the hardware domain whose vCPUs are pinned. */
static int64_t op_get_physid(struct xen_call *c)
{
    return XEN_EINVAL;
}

#define V42 XEN_VERSION(4, 2)
/* clang-format off */
const struct xen_op xen_vcpu_ops[] = {
    {.number = VCPUOP_initialise, .name = "initialise", .handler = op_initialise, .source = "VCPUOP_initialise"},
    {.number = VCPUOP_up, .name = "up", .handler = op_up, .source = "VCPUOP_up"},
    {.number = VCPUOP_down, .name = "down", .handler = op_down, .source = "VCPUOP_down"},
    {.number = VCPUOP_is_up, .name = "is_up", .handler = op_is_up, .source = "VCPUOP_is_up"},
    {.number = VCPUOP_get_runstate_info, .name = "get_runstate_info", .handler = op_get_runstate_info, .source = "VCPUOP_get_runstate_info"},
    {.number = VCPUOP_register_runstate_memory_area, .name = "register_runstate_memory_area", .handler = op_register_runstate, .source = "VCPUOP_register_runstate_memory_area"},
    {.number = VCPUOP_set_periodic_timer, .name = "set_periodic_timer", .handler = op_set_periodic, .source = "VCPUOP_set_periodic_timer"},
    {.number = VCPUOP_stop_periodic_timer, .name = "stop_periodic_timer", .handler = op_stop_periodic, .source = "VCPUOP_stop_periodic_timer"},
    {.number = VCPUOP_set_singleshot_timer, .name = "set_singleshot_timer", .handler = op_set_singleshot, .source = "VCPUOP_set_singleshot_timer"},
    {.number = VCPUOP_stop_singleshot_timer, .name = "stop_singleshot_timer", .handler = op_stop_singleshot, .source = "VCPUOP_stop_singleshot_timer"},
    {.number = VCPUOP_register_vcpu_info, .name = "register_vcpu_info", .handler = op_register_vcpu_info, .source = "VCPUOP_register_vcpu_info"},
    {.number = VCPUOP_send_nmi, .name = "send_nmi", .handler = op_send_nmi, .source = "VCPUOP_send_nmi"},
    {.number = VCPUOP_get_physid, .name = "get_physid", .handler = op_get_physid, .source = "VCPUOP_get_physid"},
    {.number = VCPUOP_register_vcpu_time_memory_area, .name = "register_vcpu_time_memory_area", .handler = op_register_time, .since = V42, .source = "VCPUOP_register_vcpu_time_memory_area"},
    {.number = VCPUOP_register_runstate_phys_area, .name = "register_runstate_phys_area", .handler = op_register_runstate_phys, .since = XEN_VERSION(4, 18), .source = "VCPUOP_register_runstate_phys_area"},
    {.number = VCPUOP_register_vcpu_time_phys_area, .name = "register_vcpu_time_phys_area", .handler = op_register_time_phys, .since = XEN_VERSION(4, 18), .source = "VCPUOP_register_vcpu_time_phys_area"},
};
/* clang-format on */
const unsigned xen_vcpu_op_count = COUNT(xen_vcpu_ops);
