/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xen_version: XENVER_*: who the hypervisor is and what it offers.
 *
 * Source: Xen public/version.h, public/features.h; common/kernel.c, do_xen_version().
 */
#include "models/xen/state.h"

#include <stdio.h>

#include "emu/base/count.h"
#include "models/platform_config.h"

static int64_t op_version(struct xen_call *c)
{
    return machine_config(c->m)->xen_version;
}

static int64_t copy_out_text(struct xen_call *c, const char *text, unsigned bytes)
{
    char buffer[1024] = {0};

    snprintf(buffer, sizeof(buffer), "%s", text);
    return xen_copy_out(c, c->arg[1], buffer, bytes) ? 0 : XEN_EFAULT;
}

static int64_t op_extraversion(struct xen_call *c)
{
    return copy_out_text(c, c->t->extra, sizeof(xen_extraversion_t));
}

static int64_t op_compile_info(struct xen_call *c)
{
    struct xen_compile_info info = {.compiler = "gcc",
                                    .compile_by = "bootrace",
                                    .compile_domain = "",
                                    .compile_date = "Mon Jan  1 00:00:00 UTC 2024"};

    return xen_copy_out(c, c->arg[1], &info, sizeof(info)) ? 0 : XEN_EFAULT;
}

static const char abi[] = "xen-3.0-x86_64 hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 "; /* 3.0 for ever */

static int64_t op_capabilities(struct xen_call *c)
{
    return copy_out_text(c, abi, sizeof(xen_capabilities_info_t));
}

static int64_t op_changeset(struct xen_call *c)
{
    return copy_out_text(c, c->t->changeset, sizeof(xen_changeset_info_t));
}

/* Of no use to an HVM guest; the start of Xen's own virtual addresses. */
static int64_t op_platform_parameters(struct xen_call *c)
{
    uint64_t virt_start = c->compat ? 0xf5800000u : 0xffff800000000000ull;

    return xen_copy_out(c, c->arg[1], &virt_start, c->compat ? 4 : 8) ? 0 : XEN_EFAULT;
}

#define FEATURE_DM_MSIX_ALL_WRITES 20 /* XENFEAT_dm_msix_all_writes; not in older headers */

static uint32_t features(struct xen_call *c)
{
    unsigned version = machine_config(c->m)->xen_version;
    uint32_t f = 1u << XENFEAT_writable_page_tables | 1u << XENFEAT_auto_translated_physmap |
                 1u << XENFEAT_hvm_callback_vector | 1u << XENFEAT_hvm_safe_pvclock;

    if (version >= XEN_VERSION(4, 5))
        f |= 1u << XENFEAT_memory_op_vnode_supported;
    if (version >= XEN_VERSION(4, 14))
        f |= 1u << XENFEAT_not_direct_mapped;
    if (version >= XEN_VERSION(4, 19))
        f |= 1u << FEATURE_DM_MSIX_ALL_WRITES;
    if (platform_config(c->m)->mode == PLATFORM_HVM)
        f |= 1u << XENFEAT_hvm_pirqs;
    return f;
}

static int64_t op_get_features(struct xen_call *c)
{
    struct xen_feature_info info;

    if (!xen_copy_in(c, c->arg[1], &info, sizeof(info)))
        return XEN_EFAULT;
    if (info.submap_idx != 0)
        return XEN_EINVAL;
    info.submap = features(c);
    return xen_copy_out(c, c->arg[1], &info, sizeof(info)) ? 0 : XEN_EFAULT;
}

static int64_t op_pagesize(struct xen_call *c)
{
    return c->arg[1] ? XEN_EINVAL : (int64_t)PAGE_BYTES;
}

static int64_t op_guest_handle(struct xen_call *c)
{
    uint8_t handle[16] = {[15] = XEN_GUEST_DOMID};

    return xen_copy_out(c, c->arg[1], handle, sizeof(handle)) ? 0 : XEN_EFAULT;
}

/* Hidden from unprivileged domains; the size says how much was copied. */
static int64_t op_commandline(struct xen_call *c)
{
    return copy_out_text(c, "<denied>", sizeof(xen_commandline_t));
}

static int64_t op_build_id(struct xen_call *c)
{
    return XEN_EPERM;
}

/* ---- texts with their length before them, from 4.20 on. Source: Xen common/kernel.c, xenver_varbuf_op() ---- */

#define XENVER_EXTRAVERSION2 11
#define XENVER_CAPABILITIES2 12
#define XENVER_CHANGESET2    13
#define XENVER_COMMANDLINE2  14

/* The length; without a buffer that is all. */
static int64_t copy_out_varbuf(struct xen_call *c, const char *text)
{
    uint32_t bytes = (uint32_t)strlen(text), room;

    if (!c->arg[1])
        return bytes;
    if (!xen_copy_in(c, c->arg[1], &room, sizeof(room)))
        return XEN_EFAULT;
    if (bytes > room)
        return XEN_ENOBUFS;
    return xen_copy_out(c, c->arg[1] + sizeof(room), text, bytes) ? (int64_t)bytes : XEN_EFAULT;
}

static int64_t op_extraversion2(struct xen_call *c)
{
    return copy_out_varbuf(c, c->t->extra);
}

static int64_t op_capabilities2(struct xen_call *c)
{
    return copy_out_varbuf(c, abi);
}

static int64_t op_changeset2(struct xen_call *c)
{
    return copy_out_varbuf(c, c->t->changeset);
}

/* clang-format off */
const struct xen_op xen_version_ops[] = {
    {.number = XENVER_version, .name = "version", .handler = op_version, .source = "XENVER_version"},
    {.number = XENVER_extraversion, .name = "extraversion", .handler = op_extraversion, .source = "XENVER_extraversion"},
    {.number = XENVER_compile_info, .name = "compile_info", .handler = op_compile_info, .source = "XENVER_compile_info"},
    {.number = XENVER_capabilities, .name = "capabilities", .handler = op_capabilities, .source = "XENVER_capabilities"},
    {.number = XENVER_changeset, .name = "changeset", .handler = op_changeset, .source = "XENVER_changeset"},
    {.number = XENVER_platform_parameters, .name = "platform_parameters", .handler = op_platform_parameters, .source = "XENVER_platform_parameters"},
    {.number = XENVER_get_features, .name = "get_features", .handler = op_get_features, .source = "XENVER_get_features"},
    {.number = XENVER_pagesize, .name = "pagesize", .handler = op_pagesize, .source = "XENVER_pagesize"},
    {.number = XENVER_guest_handle, .name = "guest_handle", .handler = op_guest_handle, .source = "XENVER_guest_handle"},
    {.number = XENVER_commandline, .name = "commandline", .handler = op_commandline, .source = "XENVER_commandline"},
    {.number = XENVER_build_id, .name = "build_id", .handler = op_build_id, .since = XEN_VERSION(4, 7), .source = "XENVER_build_id, denied by xsm/dummy.h"},
    {.number = XENVER_EXTRAVERSION2, .name = "extraversion2", .handler = op_extraversion2, .since = XEN_VERSION(4, 20), .source = "xenver_varbuf_op"},
    {.number = XENVER_CAPABILITIES2, .name = "capabilities2", .handler = op_capabilities2, .since = XEN_VERSION(4, 20), .source = "xenver_varbuf_op"},
    {.number = XENVER_CHANGESET2, .name = "changeset2", .handler = op_changeset2, .since = XEN_VERSION(4, 20), .source = "xenver_varbuf_op"},
    {.number = XENVER_COMMANDLINE2, .name = "commandline2", .handler = op_build_id, .since = XEN_VERSION(4, 20), .source = "xenver_varbuf_op, denied by xsm/dummy.h"},
};
/* clang-format on */
const unsigned xen_version_op_count = COUNT(xen_version_ops);
