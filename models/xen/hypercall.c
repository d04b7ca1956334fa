/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hypercall: how a call comes in (VMCALL or VMMCALL, directly or through the hypercall page), and the table of all
 * hypercalls. The numbers that an HVM guest may not use are rows too: Xen has them, and answers -ENOSYS. A
 * `since` is the version from which on HVM guests have it.
 *
 * Source: Xen arch/x86/hvm/hypercall.c, hvm_hypercall(); include/hypercall-defs.c, the table of hypercalls.
 */
#include "models/xen/state.h"

#include <inttypes.h>
#include <stdio.h>

#include "emu/base/count.h"
#include "emu/base/ensure.h"
#include "emu/trace.h"
#include "models/pc/lapic.h"
#include "models/platform_config.h"

static int64_t refused_enosys(struct xen_call *c)
{
    return XEN_ENOSYS;
}

/* The permission check of an unprivileged domain: XSM's dummy policy, XSM_PRIV. */
static int64_t refused_eperm(struct xen_call *c)
{
    return XEN_EPERM;
}

/* What a toolstack asks: the argument is read and its interface version compared before the permission that this domain
   lacks. A command of domctl about another domain than itself and domain 0 finds none.
   Source: Xen common/sysctl.c, common/domctl.c, arch/x86/platform_hypercall.c; their beginnings. */
static int64_t refused_toolstack(struct xen_call *c, unsigned bytes, uint32_t interface, uint32_t head[3])
{
    uint8_t argument[144];

    ensure(bytes <= sizeof(argument));
    if (!xen_copy_in(c, c->arg[0], argument, bytes))
        return XEN_EFAULT;
    memcpy(head, argument, 3 * sizeof(*head));
    return head[1] == interface ? XEN_EPERM : XEN_EACCES;
}

static int64_t refused_platform_op(struct xen_call *c)
{
    uint32_t head[3];

    return refused_toolstack(c, 136, XENPF_INTERFACE_VERSION, head);
}

static int64_t refused_sysctl(struct xen_call *c)
{
    uint32_t head[3];

    return c->t->sysctl_eperm_first ? XEN_EPERM : refused_toolstack(c, 136, c->t->sysctl_interface, head);
}

static int64_t refused_domctl(struct xen_call *c)
{
    uint32_t head[3]; /* command, interface version, domain */
    int64_t answer = refused_toolstack(c, 144, c->t->domctl_interface, head);
    unsigned domid;

    if (answer != XEN_EPERM || head[0] == XEN_DOMCTL_createdomain ||
        (head[0] == XEN_DOMCTL_getdomaininfo && c->t->domctl_info_unlocated))
        return answer;
    domid = (uint16_t)head[2];
    return domid == 0 || domid == XEN_GUEST_DOMID ? XEN_EPERM : XEN_ESRCH;
}

static int64_t pmu_disabled(struct xen_call *c)
{
    return XEN_EOPNOTSUPP;
}

/* Source: Xen common/dm.c, do_dm_op(); arch/x86/hvm/dm.c, dm_op(): XSM_DM_PRIV comes last. */
static int64_t refused_dm_op(struct xen_call *c)
{
    uint64_t buffers[3][2]; /* pointer and size; words of 32 bits in 32-bit guests */
    unsigned domid = (uint16_t)c->arg[0];
    uint32_t count = (uint32_t)c->arg[1];

    if (!count)
        return XEN_ENODATA;
    if (count > COUNT(buffers))
        return XEN_E2BIG;
    if (!xen_copy_in(c, c->arg[2], buffers, count * (c->compat ? 8 : sizeof(buffers[0]))))
        return XEN_EFAULT;
    if (xen_is_self(domid))
        return XEN_EPERM;
    return domid == 0 ? XEN_EINVAL : XEN_ESRCH;
}

/* Only for PV guests, also when a PV guest is the one to be changed.
   Source: Xen arch/x86/mm.c, do_mmuext_op() before its loop, get_pg_owner(). */
static int64_t refused_mmuext(struct xen_call *c)
{
    unsigned domid = (uint32_t)c->arg[3];

    if (c->compat && !(uint32_t)c->arg[1])
        return 0;
    if (domid == DOMID_SELF || domid == DOMID_IO || domid == DOMID_XEN)
        return XEN_EINVAL;
    return domid == 0 ? XEN_EPERM : XEN_ESRCH;
}

#define HVM_TABLE "hypercall-defs.c: not for HVM"
#define XSM_PRIV  "xsm/dummy.h: privileged domains only"

/* clang-format off */
static const struct xen_family families[] = {
    {.number = __HYPERVISOR_set_trap_table, .name = "set_trap_table", .handler = refused_enosys, .source = HVM_TABLE},
    {.number = __HYPERVISOR_mmu_update, .name = "mmu_update", .handler = refused_enosys, .source = HVM_TABLE},
    {.number = __HYPERVISOR_set_gdt, .name = "set_gdt", .handler = refused_enosys, .source = HVM_TABLE},
    {.number = __HYPERVISOR_stack_switch, .name = "stack_switch", .handler = refused_enosys, .source = HVM_TABLE},
    {.number = __HYPERVISOR_set_callbacks, .name = "set_callbacks", .handler = refused_enosys, .source = HVM_TABLE},
    {.number = __HYPERVISOR_fpu_taskswitch, .name = "fpu_taskswitch", .handler = refused_enosys, .source = HVM_TABLE},
    {.number = __HYPERVISOR_sched_op_compat, .name = "sched_op_compat", .handler = refused_enosys, .source = HVM_TABLE},
    {.number = __HYPERVISOR_platform_op, .name = "platform_op", .handler = refused_platform_op, .since = XEN_VERSION(4, 7), .source = "platform_hypercall.c, do_platform_op; XSM_PRIV comes last"},
    {.number = __HYPERVISOR_set_debugreg, .name = "set_debugreg", .handler = refused_enosys, .source = HVM_TABLE},
    {.number = __HYPERVISOR_get_debugreg, .name = "get_debugreg", .handler = refused_enosys, .source = HVM_TABLE},
    {.number = __HYPERVISOR_update_descriptor, .name = "update_descriptor", .handler = refused_enosys, .source = HVM_TABLE},
    {.number = __HYPERVISOR_memory_op, .name = "memory_op", .ops = xen_memory_ops, .op_mask = 0x3f, .op_unknown = XEN_ENOSYS, .source = "memory.c, do_memory_op"},
    {.number = __HYPERVISOR_multicall, .name = "multicall", .handler = xen_multicall, .since = XEN_VERSION(4, 15), .source = "multicall.c, do_multicall"},
    {.number = __HYPERVISOR_update_va_mapping, .name = "update_va_mapping", .handler = refused_enosys, .source = HVM_TABLE},
    {.number = __HYPERVISOR_set_timer_op, .name = "set_timer_op", .handler = xen_set_timer_op, .source = "sched/core.c, do_set_timer_op"},
    {.number = __HYPERVISOR_event_channel_op_compat, .name = "event_channel_op_compat", .handler = refused_enosys, .source = HVM_TABLE},
    {.number = __HYPERVISOR_xen_version, .name = "xen_version", .ops = xen_version_ops, .op_unknown = XEN_ENOSYS, .source = "kernel.c, do_xen_version"},
    {.number = __HYPERVISOR_console_io, .name = "console_io", .ops = xen_console_ops, .op_unknown = XEN_EPERM, .since = XEN_VERSION(4, 4), .source = "drivers/char/console.c, do_console_io; xsm/dummy.h, XSM_PRIV before the command is looked at"},
    {.number = __HYPERVISOR_physdev_op_compat, .name = "physdev_op_compat", .handler = refused_enosys, .source = HVM_TABLE},
    {.number = __HYPERVISOR_grant_table_op, .name = "grant_table_op", .ops = xen_grant_ops, .op_unknown = XEN_ENOSYS, .source = "hvm/hypercall.c, hvm_grant_table_op"},
    {.number = __HYPERVISOR_vm_assist, .name = "vm_assist", .handler = xen_vm_assist, .since = XEN_VERSION(4, 12), .source = "domain.c, do_vm_assist"},
    {.number = __HYPERVISOR_update_va_mapping_otherdomain, .name = "update_va_mapping_otherdomain", .handler = refused_enosys, .source = HVM_TABLE},
    {.number = __HYPERVISOR_iret, .name = "iret", .handler = refused_enosys, .source = HVM_TABLE},
    {.number = __HYPERVISOR_vcpu_op, .name = "vcpu_op", .handler = xen_vcpu_op_check, .ops = xen_vcpu_ops, .op_unknown = XEN_ENOSYS, .source = "domain.c, do_vcpu_op"},
    {.number = __HYPERVISOR_set_segment_base, .name = "set_segment_base", .handler = refused_enosys, .source = HVM_TABLE},
    {.number = __HYPERVISOR_mmuext_op, .name = "mmuext_op", .handler = refused_mmuext, .since = XEN_VERSION(4, 7), .source = "mm.c, do_mmuext_op"},
    {.number = __HYPERVISOR_xsm_op, .name = "xsm_op", .handler = refused_enosys, .source = "xsm/dummy.h, xsm_do_xsm_op"},
    {.number = __HYPERVISOR_nmi_op, .name = "nmi_op", .handler = refused_enosys, .source = HVM_TABLE},
    {.number = __HYPERVISOR_sched_op, .name = "sched_op", .ops = xen_sched_ops, .op_unknown = XEN_ENOSYS, .source = "sched/core.c, do_sched_op"},
    {.number = __HYPERVISOR_callback_op, .name = "callback_op", .handler = refused_enosys, .source = HVM_TABLE},
    {.number = __HYPERVISOR_xenoprof_op, .name = "xenoprof_op", .handler = refused_enosys, .source = HVM_TABLE},
    {.number = __HYPERVISOR_event_channel_op, .name = "event_channel_op", .ops = xen_event_channel_ops, .op_unknown = XEN_ENOSYS, .source = "event_channel.c, do_event_channel_op"},
    {.number = __HYPERVISOR_physdev_op, .name = "physdev_op", .handler = xen_physdev_op_check, .ops = xen_physdev_ops, .op_unknown = XEN_ENOSYS, .source = "hvm/hypercall.c, hvm_physdev_op"},
    {.number = __HYPERVISOR_hvm_op, .name = "hvm_op", .ops = xen_hvm_ops, .op_unknown = XEN_ENOSYS, .source = "hvm/hvm.c, do_hvm_op"},
    {.number = __HYPERVISOR_sysctl, .name = "sysctl", .handler = refused_sysctl, .source = "sysctl.c, do_sysctl; XSM_PRIV comes last"},
    {.number = __HYPERVISOR_domctl, .name = "domctl", .handler = refused_domctl, .since = XEN_VERSION(4, 3), .source = "domctl.c, do_domctl; XSM_PRIV comes last"},
    {.number = __HYPERVISOR_kexec_op, .name = "kexec_op", .handler = refused_enosys, .source = HVM_TABLE},
    {.number = __HYPERVISOR_tmem_op, .name = "tmem_op", .handler = refused_enosys, .source = "gone in 4.13, off by default before"},
    {.number = __HYPERVISOR_argo_op, .name = "argo_op", .handler = refused_enosys, .source = "Kconfig, ARGO is off unless EXPERT"},
    {.number = __HYPERVISOR_xenpmu_op, .name = "xenpmu_op", .handler = pmu_disabled, .since = XEN_VERSION(4, 7), .source = "cpu/vpmu.c, VPMU is off"},
    {.number = __HYPERVISOR_dm_op, .name = "dm_op", .handler = refused_dm_op, .since = XEN_VERSION(4, 9), .source = "xsm/dummy.h, XSM_DM_PRIV"},
    {.number = __HYPERVISOR_hypfs_op, .name = "hypfs_op", .handler = refused_eperm, .since = XEN_VERSION(4, 14), .source = XSM_PRIV},
};
/* clang-format on */

struct family_ops {
    const struct xen_op *ops;
    const unsigned *count;
};

static unsigned op_count(const struct xen_family *f)
{
    static const struct family_ops counts[] = {
        {xen_memory_ops, &xen_memory_op_count},
        {xen_version_ops, &xen_version_op_count},
        {xen_console_ops, &xen_console_op_count},
        {xen_grant_ops, &xen_grant_op_count},
        {xen_vcpu_ops, &xen_vcpu_op_count},
        {xen_sched_ops, &xen_sched_op_count},
        {xen_event_channel_ops, &xen_event_channel_op_count},
        {xen_physdev_ops, &xen_physdev_op_count},
        {xen_hvm_ops, &xen_hvm_op_count},
    };

    for (unsigned i = 0; i < COUNT(counts); i++) {
        if (counts[i].ops == f->ops)
            return *counts[i].count;
    }
    return 0;
}

static const struct xen_family *family_find(uint64_t number)
{
    for (unsigned i = 0; i < COUNT(families); i++) {
        if (families[i].number == number)
            return &families[i];
    }
    return NULL;
}

static uint64_t op_number(const struct xen_family *f, uint64_t arg)
{
    return (uint32_t)arg & (f->op_mask ? f->op_mask : UINT32_MAX);
}

static const struct xen_op *op_find(const struct xen_family *f, uint64_t number)
{
    unsigned count = op_count(f);

    for (unsigned i = 0; i < count; i++) {
        if (f->ops[i].number == number)
            return &f->ops[i];
    }
    return NULL;
}

const char *xen_operation_name(uint64_t number, uint64_t operation, char *text, size_t text_bytes)
{
    const struct xen_family *f = family_find(number);
    const struct xen_op *op = f && f->ops ? op_find(f, op_number(f, operation)) : NULL;

    if (!f)
        snprintf(text, text_bytes, "hypercall %" PRIu64, number);
    else if (op)
        snprintf(text, text_bytes, "%s(%s)", f->name, op->name);
    else if (f->ops)
        snprintf(text, text_bytes, "%s(%" PRIu64 ")", f->name, op_number(f, operation));
    else
        snprintf(text, text_bytes, "%s", f->name);
    return text;
}

uint64_t xen_operation_number(uint64_t number, uint64_t first_argument)
{
    const struct xen_family *f = family_find(number);

    return f && f->ops ? op_number(f, first_argument) : 0;
}

bool xen_operation_at(unsigned index, struct xen_operation *o)
{
    for (unsigned i = 0; i < COUNT(families); i++) {
        const struct xen_family *f = &families[i];
        unsigned rows = f->ops ? op_count(f) : 1;

        if (index >= rows) {
            index -= rows;
            continue;
        }
        *o = (struct xen_operation){.number = f->number, .since = f->since, .source = f->source};
        if (f->ops) {
            o->operation = f->ops[index].number;
            o->since = f->ops[index].since ? f->ops[index].since : f->since;
            o->before = f->ops[index].before;
            o->source = f->ops[index].source;
        }
        return true;
    }
    return false;
}

static bool version_has(unsigned version, unsigned since, unsigned before)
{
    return version >= since && (!before || version < before);
}

int64_t xen_dispatch(struct xen_call *c)
{
    unsigned version = machine_config(c->m)->xen_version;
    const struct xen_family *f = family_find(c->number);
    const struct xen_op *op;

    if (!f || !version_has(version, f->since, 0))
        return XEN_ENOSYS;
    if (!f->ops) {
        if (f->handler)
            return f->handler(c);
        machine_unmodelled(c->m, "hypercall %s(0x%" PRIx64 ", 0x%" PRIx64 ", 0x%" PRIx64 ")", f->name, c->arg[0],
                           c->arg[1], c->arg[2]);
        return XEN_ENOSYS;
    }
    if (f->handler) {
        int64_t answer = f->handler(c);

        if (answer)
            return answer;
    }
    op = op_find(f, op_number(f, c->arg[0]));
    if (!op || !version_has(version, op->since, op->before))
        return f->op_unknown;
    if (op->handler)
        return op->handler(c);
    machine_unmodelled(c->m, "hypercall %s(%s, 0x%" PRIx64 ", 0x%" PRIx64 ")", f->name, op->name, c->arg[1], c->arg[2]);
    return XEN_ENOSYS;
}

enum model_answer xen_hypercall(struct machine *m, unsigned vcpu)
{
    static const enum gpr args_64[] = {GPR_RDI, GPR_RSI, GPR_RDX, GPR_R10, GPR_R8, GPR_R9};
    static const enum gpr args_32[] = {GPR_RBX, GPR_RCX, GPR_RDX, GPR_RSI, GPR_RDI, GPR_RBP};
    struct xen_state *x = xen_state(m);
    bool compat = vcpu_code_bits(m) != 64;
    struct xen_call c = {
        .m = m,
        .x = x,
        .t = xen_traits(x),
        .vcpu = vcpu,
        .compat = compat,
        .number = compat ? (uint32_t)vcpu_gpr(m, GPR_RAX) : vcpu_gpr(m, GPR_RAX),
    };
    int64_t answer;

    for (unsigned i = 0; i < COUNT(c.arg); i++)
        c.arg[i] = compat ? (uint32_t)vcpu_gpr(m, args_32[i]) : vcpu_gpr(m, args_64[i]);
    answer = vcpu_cpl(m) ? XEN_EPERM : xen_dispatch(&c);
    vcpu_set_gpr(m, GPR_RAX, compat ? (uint32_t)answer : (uint64_t)answer);
    trace_add(m, TRACE_HYPERCALL, vcpu, c.number, c.arg[0], (uint64_t)answer);
    xen_update_callback_line(m);
    return MODEL_DONE;
}

/* Each stub is 32 bytes; public/arch-x86/xen.h. VMCALL on Intel, which the guest's CPUID also says; the model takes
   VMMCALL as well. */
static void hypercall_page_fill(uint8_t page[PAGE_BYTES])
{
    memset(page, 0, PAGE_BYTES);
    for (unsigned i = 0; i < PAGE_BYTES / 32; i++) {
        uint8_t *stub = page + i * 32;

        if (i == __HYPERVISOR_iret) { /* UD2 */
            stub[0] = 0x0f;
            stub[1] = 0x0b;
            continue;
        }
        stub[0] = 0xb8; /* mov $i,%eax; vmcall; ret */
        stub[1] = (uint8_t)i;
        stub[5] = 0x0f;
        stub[6] = 0x01;
        stub[7] = 0xc1;
        stub[8] = 0xc3;
    }
}

/* Source: Xen arch/x86/traps.c, guest_wrmsr_xen(): low bits select the page, of which there is one. */
enum model_answer xen_msr_write(struct machine *m, unsigned vcpu, uint32_t msr, uint64_t value)
{
    struct xen_state *x = xen_state(m);
    uint8_t page[PAGE_BYTES];

    if (msr == LAPIC_MSR_SVR)
        return xen_lapic_svr_msr_write(m, vcpu, value);
    if (msr != XEN_HYPERCALL_MSR)
        return MODEL_NOT_MINE;
    if (value & (PAGE_BYTES - 1) || !xen_gfn_is_backed(m, value >> PAGE_SHIFT))
        return MODEL_FAULT_GP;
    hypercall_page_fill(page);
    if (!xen_gpa_write(m, value, page, sizeof(page), XEN_WRITE_HYPERCALL_PAGE))
        return MODEL_FAULT_GP;
    x->hypercall_gpa = value;
    xen_latch_layout(m, vcpu_code_bits(m) != 64);
    return MODEL_DONE;
}

/* Source: Xen arch/x86/traps.c, guest_rdmsr_xen(): reads as 0. */
enum model_answer xen_msr_read(struct machine *m, unsigned vcpu, uint32_t msr, uint64_t *value)
{
    if (msr != XEN_HYPERCALL_MSR)
        return MODEL_NOT_MINE;
    *value = 0;
    return MODEL_DONE;
}

bool xen_is_self(unsigned domid)
{
    return domid == DOMID_SELF || domid == XEN_GUEST_DOMID;
}

/* RAM is the common case; a page of Xen at a frame that is not RAM takes the detour. */
static bool copy_by_page(struct xen_call *c, uint64_t gva, uint8_t *in, const uint8_t *out, size_t bytes)
{
    while (bytes) {
        size_t chunk = PAGE_BYTES - (gva & (PAGE_BYTES - 1));
        uint64_t gpa;

        if (chunk > bytes)
            chunk = bytes;
        if (!vcpu_translate(c->m, c->vcpu, gva, &gpa))
            return false;
        if (in ? !xen_gpa_read(c->m, gpa, in, chunk) : !xen_gpa_write(c->m, gpa, out, chunk, 0))
            return false;
        if (in)
            in += chunk;
        else
            out += chunk;
        gva += chunk;
        bytes -= chunk;
    }
    return true;
}

bool xen_copy_in(struct xen_call *c, uint64_t gva, void *dst, size_t bytes)
{
    if (c->compat && bytes && gva + bytes - 1 > UINT32_MAX)
        return false;
    return vcpu_read_gva(c->m, c->vcpu, gva, dst, bytes, NULL) || copy_by_page(c, gva, dst, NULL, bytes);
}

bool xen_copy_out(struct xen_call *c, uint64_t gva, const void *src, size_t bytes)
{
    if (c->compat && bytes && gva + bytes - 1 > UINT32_MAX)
        return false;
    return vcpu_write_gva(c->m, c->vcpu, gva, src, bytes, NULL) || copy_by_page(c, gva, NULL, src, bytes);
}

#define MULTICALLS_MAX 1024u

struct multicall_64 {
    uint64_t op, result, args[6];
};
struct multicall_32 {
    uint32_t op, result, args[6];
};

/* Each entry goes back through the table. DEVIATION: a list longer than MULTICALLS_MAX is UNMODELLED; Xen takes any
   length in slices. */
int64_t xen_multicall(struct xen_call *c)
{
    unsigned entry_bytes = c->compat ? sizeof(struct multicall_32) : sizeof(struct multicall_64);
    uint32_t count = (uint32_t)c->arg[1];

    if (count > MULTICALLS_MAX) {
        machine_unmodelled(c->m, "multicall of %u calls", count);
        return XEN_EINVAL;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint64_t gva = c->arg[0] + (uint64_t)i * entry_bytes;
        struct multicall_64 e = {0};
        struct multicall_32 e32;
        struct xen_call inner = *c;
        uint64_t answer;

        if (c->compat) {
            if (!xen_copy_in(c, gva, &e32, sizeof(e32)))
                return XEN_EFAULT;
            e.op = e32.op;
            for (unsigned a = 0; a < 6; a++)
                e.args[a] = e32.args[a];
        } else if (!xen_copy_in(c, gva, &e, sizeof(e))) {
            return XEN_EFAULT;
        }
        inner.number = e.op;
        for (unsigned a = 0; a < 6; a++)
            inner.arg[a] = e.args[a];
        answer = (uint64_t)(e.op == __HYPERVISOR_multicall ? XEN_EINVAL : xen_dispatch(&inner));
        trace_add(c->m, TRACE_HYPERCALL, c->vcpu, inner.number, inner.arg[0], answer);
        if (!xen_copy_out(c, gva + (c->compat ? 4 : 8), &answer, c->compat ? 4 : 8))
            return XEN_EFAULT;
    }
    return 0;
}
