/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "models/xen/version.h"

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

/* clang-format off */
const struct xen_traits xen_traits_rows[] = {
    {.version = XEN_VERSION(4, 1), .extra = ".6", .changeset = "stable-4.1",
     .vcpu_op_einval = true, .vcpu_op_hvm_mask = VCPU_OP_41, .singleshot_etime = true,
     .sysctl_interface = 0x8, .domctl_interface = 0x7, .sysctl_eperm_first = true,
     .hvm_params = 26, .params_open = true, .exchange_translated = true, .pirq_range_first = true,
     .grant_frames_max = 32},
    {.version = XEN_VERSION(4, 2), .extra = ".5", .changeset = "stable-4.2",
     .vcpu_op_einval = true, .vcpu_op_hvm_mask = VCPU_OP_41, .singleshot_etime = true,
     .sysctl_interface = 0x9, .domctl_interface = 0x8, .sysctl_eperm_first = true,
     .hvm_params = 30, .params_open = true, .exchange_translated = true, .nested_hvm = true, .grant_reserved = true,
     .pirq_msi_seg = true,
     .grant_frames_max = 32},
    {.version = XEN_VERSION(4, 4), .extra = ".4", .changeset = "stable-4.4",
     .vcpu_op_einval = true, .vcpu_op_hvm_mask = VCPU_OP_44, .singleshot_etime = true,
     .fifo = true, .port_limit = true,
     .sysctl_interface = 0xa, .domctl_interface = 0x9, .domctl_info_unlocated = true,
     .hvm_params = 32, .params_open = true, .exchange_translated = true, .nested_hvm = true, .grant_reserved = true,
     .batch = true, .exchange_order_eperm = true, .pirq_msi_seg = true, .pirq_multi_msi = true,
     .grant_frames_max = 32},
    {.version = XEN_VERSION(4, 7), .extra = ".6", .changeset = "stable-4.7",
     .vcpu_op_hvm_mask = VCPU_OP_ALL, .singleshot_etime = true,
     .fifo = true, .fifo_busy_ports = true, .reset_fifo = true, .port_limit = true, .soft_reset = true,
     .upcall_vector_op = true, .cpuid_vcpu_id = true,
     .sysctl_interface = 0xd, .domctl_interface = 0xb, .domctl_info_unlocated = true,
     .hvm_params = 37, .nested_hvm = true, .grant_reserved = true, .grant_erange = true, .batch = true,
     .exchange_order_eperm = true, .virq_xenpmu = true, .pirq_msi_seg = true, .pirq_multi_msi = true,
     .grant_frames_max = 32},
    {.version = XEN_VERSION(4, 17), .extra = ".7", .changeset = "stable-4.17",
     /* The last 4.17 releases, Debian's among them, ignore VCPU_SSHOTTMR_future as 4.18 does. */
     .vcpu_op_hvm_mask = VCPU_OP_ALL, .down_last_poweroff = true,
     .vcpu_info_aligned = true, .vcpu_info_enxio = true, .vcpu_info_time_at_once = true,
     .fifo = true, .fifo_expand_eopnotsupp = true, .fifo_busy_ports = true, .reset_fifo = true, .poll_usable = true,
     .port_limit = true,
     .soft_reset = true, .upcall_vector_op = true, .cpuid_vcpu_id = true, .cpuid_domid = true,
     .cpuid_upcall_vector = true, .no_pv32 = true, .pvh = true,
     .sysctl_interface = 0x15, .domctl_interface = 0x15,
     .hvm_params = HVM_NR_PARAMS, .params_deprecated = true, .nested_hvm = true, .grant_reserved = true,
     .grant_erange = true, .batch = true, .exchange_order_eperm = true, .virq_xenpmu = true, .context_null_data = true,
     .pirq_msi_seg = true, .pirq_multi_msi = true, .pirq_upcall_vector = true,
     .grant_frames_max = 64},
    {.version = XEN_VERSION(4, 18), .extra = ".0", .changeset = "stable-4.18",
     .vcpu_op_hvm_mask = VCPU_OP_ALL, .down_last_poweroff = true, .initialise_dummy_ok = true,
     .vcpu_info_ebusy = true, .vcpu_info_aligned = true, .vcpu_info_enxio = true, .vcpu_info_time_at_once = true,
     .phys_areas = true, .fifo = true, .fifo_expand_eopnotsupp = true, .fifo_busy_ports = true, .reset_fifo = true,
     .poll_usable = true,
     .port_limit = true, .soft_reset = true, .upcall_vector_op = true, .cpuid_vcpu_id = true, .cpuid_domid = true,
     .cpuid_upcall_vector = true, .no_pv32 = true, .pvh = true,
     .sysctl_interface = 0x15, .domctl_interface = 0x16,
     .hvm_params = HVM_NR_PARAMS, .params_deprecated = true, .nested_hvm = true, .grant_reserved = true,
     .grant_erange = true, .batch = true, .exchange_order_eperm = true, .virq_xenpmu = true, .context_null_data = true,
     .pirq_msi_seg = true, .pirq_multi_msi = true, .pirq_upcall_vector = true,
     .grant_frames_max = 64},
};
/* clang-format on */
const unsigned xen_traits_count = sizeof(xen_traits_rows) / sizeof(xen_traits_rows[0]);

enum emu_err xen_traits_find(unsigned version, const struct xen_traits **out, struct diag *d)
{
    if (version < xen_traits_rows[0].version)
        return diag_set(d, EMU_EINPUT, "Xen %u.%u is not modelled; the oldest version that is, is 4.1", version >> 16,
                        version & 0xffff);
    for (unsigned i = 0; i < xen_traits_count && xen_traits_rows[i].version <= version; i++)
        *out = &xen_traits_rows[i];
    return EMU_OK;
}
