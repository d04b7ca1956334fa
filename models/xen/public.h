/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * public: Xen's public interface as its own headers give it (libxen-dev), for a 64-bit guest, and the layouts that a
 * 32-bit guest sees of the few structures that differ. Structures of which 32-bit and 64-bit guests see the same bytes
 * have no second version here.
 *
 * Source: Xen public headers; Xen public/arch-x86/xen-x86_32.h for alignments (64-bit fields align to 4 bytes).
 */
#ifndef BOOTRACE_MODELS_XEN_PUBLIC_H
#define BOOTRACE_MODELS_XEN_PUBLIC_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define __XEN_INTERFACE_VERSION__ 0x00041100
#define __XEN_TOOLS__             1

#include <xen/xen.h>
#include <xen/domctl.h>
#include <xen/event_channel.h>
#include <xen/features.h>
#include <xen/grant_table.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/hvm_vcpu.h>
#include <xen/hvm/params.h>
#include <xen/memory.h>
#include <xen/physdev.h>
#include <xen/platform.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include <xen/version.h>
#include <xen/io/console.h>
#include <xen/io/xs_wire.h>
#include <xen/arch-x86/cpuid.h>
#include <xen/arch-x86/hvm/start_info.h>

/* Newer than the oldest libxen-dev that we build with; public/vcpu.h of 4.18. */
#ifndef VCPUOP_register_runstate_phys_area
#define VCPUOP_register_runstate_phys_area  14
#define VCPUOP_register_vcpu_time_phys_area 15
#endif

/* Xen's error numbers (public/errno.h) as negative answers; they are Linux's numbers for historic reasons. */
enum xen_errno {
    XEN_EPERM = -1,
    XEN_ENOENT = -2,
    XEN_ESRCH = -3,
    XEN_ENXIO = -6,
    XEN_E2BIG = -7,
    XEN_EAGAIN = -11,
    XEN_ENOMEM = -12,
    XEN_EACCES = -13,
    XEN_EFAULT = -14,
    XEN_EBUSY = -16,
    XEN_EEXIST = -17,
    XEN_EXDEV = -18,
    XEN_ENODEV = -19,
    XEN_EINVAL = -22,
    XEN_ENOSPC = -28,
    XEN_ERANGE = -34,
    XEN_ENOSYS = -38,
    XEN_ENODATA = -61,
    XEN_ETIME = -62,
    XEN_ENOBUFS = -105,
    XEN_EOPNOTSUPP = -95,
};

/* Sizes and offsets of the structures that the host shares with a guest, by the guest's word size. */
struct xen_layout {
    unsigned word_bytes; /* of evtchn_pending_sel and the bitmap words */
    unsigned shared_pending, shared_mask;
    unsigned shared_wc_version; /* wc_version, wc_sec, wc_nsec, 4 bytes each */
    unsigned shared_wc_sec_hi;
    unsigned shared_ports; /* number of 2-level ports */
    unsigned vcpu_info_sel, vcpu_info_time;
    unsigned runstate_bytes, runstate_entry_time, runstate_time;
};
extern const struct xen_layout xen_layout_64, xen_layout_32;

#define VCPU_INFO_BYTES          64u
#define VCPU_INFO_PENDING_OFFSET 0u
#define VCPU_INFO_MASK_OFFSET    1u
#define LEGACY_VCPUS             32u /* XEN_LEGACY_MAX_VCPUS: vcpu_info slots in shared_info */

static_assert(sizeof(struct vcpu_info) == VCPU_INFO_BYTES, "public/xen.h");
static_assert(sizeof(struct vcpu_time_info) == 32, "public/xen.h");
static_assert(sizeof(struct vcpu_runstate_info) == 48, "public/vcpu.h");
static_assert(sizeof(struct hvm_start_info) == 56, "public/arch-x86/hvm/start_info.h");

#endif
