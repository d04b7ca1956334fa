/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/xen/version.h"

#include "emu/base/count.h"
#include "models/platform_config.h"
#include "models/xen/public.h"

#define BIT(n) (1u << (n))
/* arch/x86/hvm/hvm.c, hvm_vcpu_op() of 4.1 and 4.4: what an HVM guest may ask. */
#define VCPU_OP_41                                                                                                     \
    (BIT(VCPUOP_get_runstate_info) | BIT(VCPUOP_register_runstate_memory_area) | BIT(VCPUOP_set_periodic_timer) |      \
     BIT(VCPUOP_stop_periodic_timer) | BIT(VCPUOP_set_singleshot_timer) | BIT(VCPUOP_stop_singleshot_timer) |          \
     BIT(VCPUOP_register_vcpu_info))
#define VCPU_OP_44  (VCPU_OP_41 | BIT(VCPUOP_register_vcpu_time_memory_area))
#define VCPU_OP_ALL 0xffffffffu

/* What each version brought that later ones have too; and what it was the last to have is in the rows of those that
   have it. Read in the last release of each version (the branches stable-4.x); but a FIFO port
   that is linked still is handed out before 4.7, as at first: the last releases of 4.4 to 4.6 have that repair too. */
#define FROM_42  .nested_hvm = true, .grant_reserved = true, .pirq_msi_seg = true
#define FROM_43  FROM_42, .exchange_order_eperm = true
#define FROM_44  FROM_43, .fifo = true, .port_limit = true, .batch = true, .pirq_multi_msi = true
#define FROM_45  FROM_44, .reset_fifo = true, .cpuid_hvm_leaf = true, .grant_erange = true
#define FROM_46  FROM_45, .upcall_vector_op = true, .cpuid_vcpu_id = true, .virq_xenpmu = true
#define FROM_47  FROM_46, .soft_reset = true, .fifo_busy_ports = true
#define FROM_48  FROM_47, .fifo_expand_eopnotsupp = true
#define FROM_49  FROM_48, .vcpu_info_aligned = true, .context_null_data = true
#define FROM_410 FROM_49, .poll_usable = true, .cpuid_domid = true, .pvh = true
#define FROM_411 FROM_410, .down_last_poweroff = true
#define FROM_414 FROM_411, .vcpu_info_time_at_once = true, .params_deprecated = true
#define FROM_415 FROM_414, .no_pv32 = true
#define FROM_416 FROM_415, .vcpu_info_enxio = true
#define FROM_417 FROM_416, .cpuid_upcall_vector = true, .pirq_upcall_vector = true
#define FROM_418 FROM_417, .vcpu_info_ebusy = true, .phys_areas = true
#define FROM_419 FROM_418, .initialise_dummy_ok = true, .pirq_own_number = true

/* clang-format off */
const struct xen_traits xen_traits_rows[] = {
    {.version = XEN_VERSION(4, 1), .extra = ".6", .changeset = "stable-4.1",
     .vcpu_op_einval = true, .vcpu_op_hvm_mask = VCPU_OP_41, .singleshot_etime = true, .params_open = true,
     .exchange = EXCHANGE_WORKS, .pirq_range_first = true, .sysctl_eperm_first = true, .console_count_signed = true,
     .sysctl_interface = 0x8, .domctl_interface = 0x7, .hvm_params = 26, .grant_frames_max = 32, .e820_max = 128},
    {.version = XEN_VERSION(4, 2), .extra = ".5", .changeset = "stable-4.2", FROM_42,
     .vcpu_op_einval = true, .vcpu_op_hvm_mask = VCPU_OP_41, .singleshot_etime = true, .params_open = true,
     .exchange = EXCHANGE_WORKS, .sysctl_eperm_first = true, .console_count_signed = true,
     .sysctl_interface = 0x9, .domctl_interface = 0x8, .hvm_params = 30, .grant_frames_max = 32, .e820_max = 128},
    {.version = XEN_VERSION(4, 3), .extra = ".4", .changeset = "stable-4.3", FROM_43,
     .vcpu_op_einval = true, .vcpu_op_hvm_mask = VCPU_OP_44, .singleshot_etime = true, .params_open = true,
     .exchange = EXCHANGE_WORKS, .domctl_info_unlocated = true, .console_count_signed = true,
     .sysctl_interface = 0xa, .domctl_interface = 0x9, .hvm_params = 32, .grant_frames_max = 32, .e820_max = 128},
    {.version = XEN_VERSION(4, 4), .extra = ".4", .changeset = "stable-4.4", FROM_44,
     .vcpu_op_einval = true, .vcpu_op_hvm_mask = VCPU_OP_44, .singleshot_etime = true, .params_open = true,
     .exchange = EXCHANGE_WORKS, .domctl_info_unlocated = true, .console_count_signed = true,
     .sysctl_interface = 0xa, .domctl_interface = 0x9, .hvm_params = 32, .grant_frames_max = 32, .e820_max = 128},
    {.version = XEN_VERSION(4, 5), .extra = ".5", .changeset = "stable-4.5", FROM_45,
     .vcpu_op_einval = true, .vcpu_op_hvm_mask = VCPU_OP_44, .singleshot_etime = true, .params_open = true,
     .params_ioreq_servers = true, .exchange = EXCHANGE_EINVAL, .domctl_info_unlocated = true,
     .console_count_signed = true,
     .sysctl_interface = 0xb, .domctl_interface = 0xa, .hvm_params = 37, .grant_frames_max = 32, .e820_max = 128},
    {.version = XEN_VERSION(4, 6), .extra = ".6", .changeset = "stable-4.6", FROM_46,
     .vcpu_op_hvm_mask = VCPU_OP_44, .singleshot_etime = true, .exchange = EXCHANGE_EINVAL,
     .domctl_info_unlocated = true, .console_count_signed = true,
     .sysctl_interface = 0xc, .domctl_interface = 0xb, .hvm_params = 37, .grant_frames_max = 32, .e820_max = 128},
    {.version = XEN_VERSION(4, 7), .extra = ".6", .changeset = "stable-4.7", FROM_47,
     .vcpu_op_hvm_mask = VCPU_OP_ALL, .singleshot_etime = true, .domctl_info_unlocated = true,
     .console_count_signed = true,
     .sysctl_interface = 0xd, .domctl_interface = 0xb, .hvm_params = 37, .grant_frames_max = 32, .e820_max = 128},
    {.version = XEN_VERSION(4, 8), .extra = ".5", .changeset = "stable-4.8", FROM_48,
     .vcpu_op_hvm_mask = VCPU_OP_ALL, .singleshot_etime = true, .console_count_signed = true,
     .sysctl_interface = 0xe, .domctl_interface = 0xc, .hvm_params = 37, .grant_frames_max = 32, .e820_max = 128},
    {.version = XEN_VERSION(4, 9), .extra = ".4", .changeset = "stable-4.9", FROM_49,
     .vcpu_op_hvm_mask = VCPU_OP_ALL, .singleshot_etime = true, .console_count_signed = true,
     .sysctl_interface = 0xf, .domctl_interface = 0xd, .hvm_params = 38, .grant_frames_max = 32, .e820_max = 1024},
    {.version = XEN_VERSION(4, 10), .extra = ".4", .changeset = "stable-4.10", FROM_410,
     .vcpu_op_hvm_mask = VCPU_OP_ALL, .singleshot_etime = true, .console_count_signed = true,
     .sysctl_interface = 0x10, .domctl_interface = 0xf, .hvm_params = 39, .grant_frames_max = 64, .e820_max = 1024},
    {.version = XEN_VERSION(4, 11), .extra = ".4", .changeset = "stable-4.11", FROM_411,
     .vcpu_op_hvm_mask = VCPU_OP_ALL, .singleshot_etime = true, .console_count_signed = true,
     .sysctl_interface = 0x11, .domctl_interface = 0x10, .hvm_params = 39, .grant_frames_max = 64, .e820_max = 1024},
    {.version = XEN_VERSION(4, 12), .extra = ".4", .changeset = "stable-4.12", FROM_411,
     .vcpu_op_hvm_mask = VCPU_OP_ALL, .singleshot_etime = true, .console_count_signed = true,
     .sysctl_interface = 0x12, .domctl_interface = 0x11, .hvm_params = 39, .grant_frames_max = 64, .e820_max = 1024},
    {.version = XEN_VERSION(4, 13), .extra = ".5", .changeset = "stable-4.13", FROM_411,
     .vcpu_op_hvm_mask = VCPU_OP_ALL, .singleshot_etime = true,
     .sysctl_interface = 0x12, .domctl_interface = 0x12, .hvm_params = 39, .grant_frames_max = 64, .e820_max = 1024},
    {.version = XEN_VERSION(4, 14), .extra = ".6", .changeset = "stable-4.14", FROM_414,
     .vcpu_op_hvm_mask = VCPU_OP_ALL, .singleshot_etime = true,
     .sysctl_interface = 0x13, .domctl_interface = 0x12, .hvm_params = 39, .grant_frames_max = 64, .e820_max = 1024},
    {.version = XEN_VERSION(4, 15), .extra = ".7", .changeset = "stable-4.15", FROM_415,
     .vcpu_op_hvm_mask = VCPU_OP_ALL, .singleshot_etime = true,
     .sysctl_interface = 0x13, .domctl_interface = 0x13, .hvm_params = 39, .grant_frames_max = 64, .e820_max = 1024},
    {.version = XEN_VERSION(4, 16), .extra = ".7", .changeset = "stable-4.16", FROM_416,
     .vcpu_op_hvm_mask = VCPU_OP_ALL, .singleshot_etime = true,
     .sysctl_interface = 0x14, .domctl_interface = 0x14, .hvm_params = 39, .grant_frames_max = 64, .e820_max = 1024},
    {.version = XEN_VERSION(4, 17), .extra = ".7", .changeset = "stable-4.17", FROM_417,
     .vcpu_op_hvm_mask = VCPU_OP_ALL,
     .sysctl_interface = 0x15, .domctl_interface = 0x15, .hvm_params = 39, .grant_frames_max = 64, .e820_max = 1024},
    {.version = XEN_VERSION(4, 18), .extra = ".0", .changeset = "stable-4.18", FROM_418,
     .vcpu_op_hvm_mask = VCPU_OP_ALL,
     .sysctl_interface = 0x15, .domctl_interface = 0x16, .hvm_params = 39, .grant_frames_max = 64, .e820_max = 1024},
    {.version = XEN_VERSION(4, 19), .extra = ".6", .changeset = "stable-4.19", FROM_419,
     .vcpu_op_hvm_mask = VCPU_OP_ALL,
     .sysctl_interface = 0x15, .domctl_interface = 0x17, .hvm_params = 39, .grant_frames_max = 64, .e820_max = 1024},
    {.version = XEN_VERSION(4, 20), .extra = ".4", .changeset = "stable-4.20", FROM_419,
     .vcpu_op_hvm_mask = VCPU_OP_ALL, .range_overlaps = true,
     .sysctl_interface = 0x15, .domctl_interface = 0x17, .hvm_params = 39, .grant_frames_max = 64, .e820_max = 1024},
};
/* clang-format on */
const unsigned xen_traits_count = COUNT(xen_traits_rows);

enum emu_err xen_traits_find(unsigned version, const struct xen_traits **out, struct diag *d)
{
    const struct xen_traits *first = &xen_traits_rows[0], *last = &xen_traits_rows[xen_traits_count - 1];

    for (unsigned i = 0; i < xen_traits_count; i++) {
        if (xen_traits_rows[i].version == version) {
            *out = &xen_traits_rows[i];
            return EMU_OK;
        }
    }
    return diag_set(d, EMU_EINPUT, "Xen %u.%u is not modelled; the versions that are: %u.%u to %u.%u", version >> 16,
                    version & 0xffff, first->version >> 16, first->version & 0xffff, last->version >> 16,
                    last->version & 0xffff);
}
